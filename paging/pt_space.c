#include "paging/pt_internal.h"

const char *pt_strerror(enum pt_status status)
{
	static const char texts[][80] = {
#define X(code, text) [code] = text,
		PT_STATUS_LIST(X)
#undef X
	};

	if ((size_t)status >= sizeof(texts) / sizeof(texts[0]))
		return "unknown status";
	return texts[status];
}

const char *pt_cache_name(enum pt_cache cache)
{
	static const char names[8][4] = { "UC", "WC", "??", "??", "WT", "WP", "WB", "UC-" };

	return (size_t)cache < 8 ? names[cache] : "??";
}

enum pt_status range_check(const struct pt_cpu *cpu, virt_addr va, uint64_t pages,
			   struct slice *ret_slice)
{
	if (!is_aligned(va.raw, PT_PAGE_SIZE))
		return PT_ERR_UNALIGNED;
	if (pages == 0)
		return PT_OK;
	if (pages - 1 > (UINT64_MAX - va.raw) >> PTE_PAGE_SHIFT)
		return PT_ERR_RANGE;

	uint64_t last = va.raw + ((pages - 1) << PTE_PAGE_SHIFT) + (PT_PAGE_SIZE - 1);

	/* Two canonical addresses with the same sign have no hole between them. */
	if (!is_canonical(cpu, va.raw) || !is_canonical(cpu, last) || (va.raw ^ last) >> 63)
		return PT_ERR_RANGE;
	*ret_slice = (struct slice){ va.raw, last };
	return PT_OK;
}

static bool cpu_is_possible(const struct pt_cpu *cpu)
{
	bool crypt_is_possible = cpu->crypt_bit == 0 || (cpu->crypt_bit >= cpu->phys_bits &&
							 cpu->crypt_bit < PTE_MAX_PHYS_BITS);

	return cpu->levels >= PT_MIN_LEVELS && cpu->levels <= PT_MAX_LEVELS && cpu->max_leaf >= 1 &&
	       cpu->max_leaf <= PT_MAX_LEAF_LEVEL && cpu->phys_bits > PTE_PAGE_SHIFT &&
	       cpu->phys_bits <= PTE_MAX_PHYS_BITS && crypt_is_possible;
}

static struct pt_space space_at(const struct pt_cpu *cpu, const struct pt_mem *mem, phys_addr root)
{
	return (struct pt_space){
		.cpu = *cpu,
		.mem = *mem,
		.root = root,
		.root_last = PTE_COUNT - 1,
		.window = pte_window(cpu, mem->first, mem->last),
	};
}

enum pt_status pt_init(struct pt_space *ret_space, const struct pt_cpu *cpu,
		       const struct pt_mem *mem, const struct pt_tables *tables)
{
	phys_addr root;

	if (!cpu_is_possible(cpu))
		return PT_ERR_LEVEL;
	if (tables->take(tables->ctx, 1, &root) == 0)
		return PT_ERR_NO_TABLES;

	pte_t *table = table_at(mem, root, 0, 0);

	if (!table) {
		tables->give(tables->ctx, root, 1);
		return PT_ERR_CORRUPT;
	}
	__builtin_memset(table, 0, PT_PAGE_SIZE);
	*ret_space = space_at(cpu, mem, root);
	ret_space->tables = *tables;
	return PT_OK;
}

enum pt_status pt_open(struct pt_space *ret_space, const struct pt_cpu *cpu,
		       const struct pt_mem *mem, const struct pt_tables *tables, phys_addr root)
{
	if (!cpu_is_possible(cpu))
		return PT_ERR_LEVEL;
	if (!is_aligned(root.raw, PT_PAGE_SIZE) || !table_at(mem, root, 0, cpu->levels))
		return PT_ERR_CORRUPT;
	*ret_space = space_at(cpu, mem, root);
	if (tables)
		ret_space->tables = *tables;
	return PT_OK;
}

static size_t block_take(void *ctx, size_t most, phys_addr *ret_first)
{
	struct pt_block *block = ctx;
	size_t left = block->count - block->taken;
	size_t count = most < left ? most : left;

	if (count == 0)
		return 0;
	*ret_first = phys(block->first.raw + block->taken * PT_PAGE_SIZE);
	block->taken += count;
	return count;
}

static void block_give(void *ctx, phys_addr first, size_t count)
{
	struct pt_block *block = ctx;

	if (first.raw + count * PT_PAGE_SIZE == block->first.raw + block->taken * PT_PAGE_SIZE)
		block->taken -= count;
}

struct pt_tables pt_block_tables(struct pt_block *block)
{
	return (struct pt_tables){ .take = block_take, .give = block_give, .ctx = block };
}

/* ---- a pool with references --------------------------------------------------- */

void pt_pool_init(struct pt_pool *ret_pool, phys_addr first, size_t count, uint32_t *references)
{
	for (size_t i = 0; i < count; i++)
		references[i] = PT_POOL_FREE | (uint32_t)(i + 1);
	*ret_pool = (struct pt_pool){ .first = first, .count = count, .references = references };
}

static uint32_t *pool_references(const struct pt_pool *pool, phys_addr table)
{
	uint64_t index = (table.raw - pool->first.raw) >> PTE_PAGE_SHIFT;

	return table.raw < pool->first.raw || index >= pool->count ? NULL
								   : &pool->references[index];
}

/* As many as follow each other in memory. */
static size_t pool_take(void *ctx, size_t most, phys_addr *ret_first)
{
	struct pt_pool *pool = ctx;
	uint32_t first = pool->free;
	size_t count = 0;

	while (count < most && pool->free < pool->count && pool->free == first + count) {
		uint32_t *references = &pool->references[pool->free];

		pool->free = *references & ~PT_POOL_FREE;
		*references = 1;
		count++;
	}
	pool->taken += count;
	if (count != 0)
		*ret_first = phys(pool->first.raw + (uint64_t)first * PT_PAGE_SIZE);
	return count;
}

static void pool_give(void *ctx, phys_addr first, size_t count)
{
	struct pt_pool *pool = ctx;

	/* From the last to the first, so that they are taken in order again. */
	while (count-- > 0) {
		uint32_t *references = pool_references(pool,
						       phys(first.raw + count * PT_PAGE_SIZE));

		if (!references || --*references != 0)
			continue;
		*references = PT_POOL_FREE | pool->free;
		pool->free = (uint32_t)(references - pool->references);
		pool->taken--;
	}
}

/* A table from elsewhere is somebody else's. */
static enum pt_hold pool_hold(void *ctx, phys_addr table)
{
	const uint32_t *references = pool_references(ctx, table);

	if (!references)
		return PT_FROZEN;
	return *references > 1 ? PT_COMMON : PT_OWN;
}

static void pool_share(void *ctx, phys_addr table)
{
	uint32_t *references = pool_references(ctx, table);

	if (references)
		++*references;
}

struct pt_tables pt_pool_tables(struct pt_pool *pool)
{
	static const struct pt_holds holds = { .hold = pool_hold, .share = pool_share };

	return (struct pt_tables){
		.take = pool_take, .give = pool_give, .ctx = pool, .holds = &holds
	};
}

struct pt_range pt_lower_half(const struct pt_cpu *cpu)
{
	unsigned bits = PTE_SIGN_EXTENDS ? PTE_INDEX_BITS - 1 : PTE_INDEX_BITS;

	return (struct pt_range){ virt(0), level_pages(cpu->levels) << bits };
}

struct pt_range pt_upper_half(const struct pt_cpu *cpu)
{
	if (!PTE_SIGN_EXTENDS)
		return (struct pt_range){ virt(0), 0 };

	uint64_t pages = level_pages(cpu->levels) << (PTE_INDEX_BITS - 1);

	return (struct pt_range){ virt(0 - (pages << PTE_PAGE_SHIFT)), pages };
}
