/*
 * Walks the tables as the processor does (SDM 3A 4.5) and compares what they
 * translate with the mapping list, in the order of addresses. Shares nothing
 * with the code that built them.
 */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/mem.h"

/* Bits of an entry (SDM 3A tables 4-15 to 4-20). */
#define PRESENT       (UINT64_C(1) << 0)
#define WRITABLE      (UINT64_C(1) << 1)
#define USER          (UINT64_C(1) << 2)
#define WRITE_THROUGH (UINT64_C(1) << 3)
#define CACHE_DISABLE (UINT64_C(1) << 4)
#define LARGE         (UINT64_C(1) << 7)  /* in levels 2 and 3; in level 1 it is PAT */
#define LARGE_PAT     (UINT64_C(1) << 12) /* of a large leaf */
#define NO_EXECUTE    (UINT64_C(1) << 63)
#define ADDRESS       UINT64_C(0x000ffffffffff000)

#define ENTRIES 512u
#define PAGE    ((uint64_t)HOIST_PAGE_SIZE)

struct leaf {
	uint64_t virt, address, size;
	uint32_t rights; /* of all levels together */
	unsigned cache;  /* as IA32_PAT encodes it */
	bool user;
};

static struct {
	uint32_t mapping; /* the first that has not been seen to its end */
	uint64_t seen;    /* bytes of it that have been */
	uint64_t leaves;
	uint64_t tables;
	uint64_t reserved; /* address bits that no entry may have */
	uint64_t pat;
	unsigned levels;
	bool nx;
} walk;

/* One bit for each page of the extents in page_tables: the walk has been there. */
static uint64_t visited[JUDGE_MAX_TABLES / 64];

/* Index of a table among the pages of the extents; false if it is not one of them. */
static bool find_table(uint64_t table, uint64_t *ret_index)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < judge.extent_count; i++) {
		const struct hoist_extent *e = &judge.extents[i];

		if (judge_inside(table, e->address, e->size)) {
			*ret_index = before + (table - e->address) / PAGE;
			return true;
		}
		before += e->size / PAGE;
	}
	return false;
}

/* The entries of a table, or NULL if it is not one that may be read. */
static const uint64_t *enter_table(uint64_t table)
{
	uint64_t index;

	walk.tables++;
	if (!find_table(table, &index) || index >= JUDGE_MAX_TABLES) {
		judge_flaw("the table at %lx is not in page_tables", table);
		return NULL;
	}
	if (visited[index / 64] >> index % 64 & 1) {
		judge_flaw("the table at %lx is linked twice", table);
		return NULL;
	}
	visited[index / 64] |= UINT64_C(1) << index % 64;
	if (!judge_can_read(table, PAGE)) {
		judge_flaw("the table at %lx is not in the direct map", table);
		return NULL;
	}
	return hoist_ptr(&judge.info, table);
}

static uint32_t link_rights(uint64_t entry)
{
	uint32_t rights = (entry & WRITABLE) ? HOIST_RIGHT_WRITE : 0;

	if (!walk.nx || !(entry & NO_EXECUTE))
		rights |= HOIST_RIGHT_EXECUTE;
	return rights;
}

/* SDM 3A 4.9.2: PAT, PCD and PWT, in this order, are an index into IA32_PAT. */
static unsigned cache_type(uint64_t entry, unsigned level)
{
	unsigned index = ((entry & WRITE_THROUGH) ? 1 : 0) + ((entry & CACHE_DISABLE) ? 2 : 0);

	if (entry & (level == 1 ? LARGE : LARGE_PAT))
		index += 4;
	return walk.pat >> index * 8 & 7;
}

static void check_leaf(const struct leaf *leaf)
{
	const struct hoist_mapping *m = &judge.mappings[walk.mapping];

	walk.leaves++;
	if (walk.mapping == judge.mapping_count || leaf->virt != m->address_virt + walk.seen ||
	    leaf->size > m->size - walk.seen) {
		judge_flaw("a leaf at %lx of %lx bytes is not what mapping %u says", leaf->virt,
			   leaf->size, walk.mapping);
		return;
	}
	if (leaf->address != m->address + walk.seen || leaf->rights != m->effective ||
	    leaf->cache != m->cache || leaf->user)
		judge_flaw("%lx: leads to %lx, rights %x, cache %u, user %d; mapping %u",
			   leaf->virt, leaf->address, leaf->rights, leaf->cache, leaf->user,
			   walk.mapping);
	walk.seen += leaf->size;
	if (walk.seen == m->size) {
		walk.mapping++;
		walk.seen = 0;
	}
}

/* Bits that the processor would fault on (SDM 3A 4.7, RSVD). */
static bool is_reserved(uint64_t entry, unsigned level)
{
	uint64_t low = 0;

	if (entry & LARGE && level > 1)
		low = (PAGE << 9 * (level - 1)) - 1 - (LARGE_PAT | (PAGE - 1));
	return entry & (walk.reserved | low) || (entry & LARGE && level > 3) ||
	       (!walk.nx && entry & NO_EXECUTE);
}

static void walk_table(uint64_t table, unsigned level, const struct leaf *above);

static void walk_entry(uint64_t entry, unsigned level, const struct leaf *above)
{
	struct leaf leaf = *above;

	leaf.size = PAGE << 9 * (level - 1);
	leaf.rights &= link_rights(entry);
	leaf.user = leaf.user && entry & USER;
	if (is_reserved(entry, level)) {
		judge_flaw("the entry for %lx in level %u is %lx", leaf.virt, level, entry);
	} else if (level > 1 && !(entry & LARGE)) {
		walk_table(entry & ADDRESS, level - 1, &leaf);
	} else {
		leaf.address = entry & ADDRESS & -leaf.size;
		leaf.cache = cache_type(entry, level);
		check_leaf(&leaf);
	}
}

/* The recursion is as deep as there are levels. */
static void walk_table(uint64_t table, unsigned level, const struct leaf *above)
{
	const uint64_t *entries = enter_table(table);
	unsigned unused = walk.levels == 5 ? 7 : 16;
	bool empty = entries != NULL;

	for (uint64_t i = 0; entries && i < ENTRIES; i++) {
		struct leaf leaf = *above;
		uint64_t virt = above->virt | i << (12 + 9 * (level - 1));

		leaf.virt = (uint64_t)((int64_t)(virt << unused) >> unused);
		if (entries[i] & PRESENT) {
			empty = false;
			walk_entry(entries[i], level, &leaf);
		}
	}
	if (empty)
		judge_flaw("the table at %lx is empty", table);
}

static void walk_all(void)
{
	const struct leaf everything = {
		.rights = HOIST_RIGHT_WRITE | HOIST_RIGHT_EXECUTE,
		.user = true,
	};

	memset(visited, 0, sizeof(visited));
	memset(&walk, 0, sizeof(walk));
	walk.nx = cpu_has_nx();
	walk.pat = cpu_rdmsr(CPU_MSR_PAT);
	walk.reserved = ADDRESS & ~((UINT64_C(1) << cpu_physical_bits()) - 1);
	walk.levels = (cpu_cr4() & CPU_CR4_LA57) ? 5 : 4;
	walk_table(cpu_cr3() & ADDRESS, walk.levels, &everything);
	if (walk.mapping != judge.mapping_count)
		judge_flaw("mapping %u at %lx is not there, or not all of it", walk.mapping,
			   judge.mappings[walk.mapping].address_virt);
	judge_verdict("the tables in CR3 hold the mappings of the list and no other");
}

static void check_extents(void)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < judge.extent_count; i++) {
		const struct hoist_extent *e = &judge.extents[i];

		if (!e->size || (e->address | e->size) % PAGE)
			judge_flaw("extent %u: %lx + %lx", i, e->address, e->size);
		for (uint32_t j = 0; j < i; j++) {
			const struct hoist_extent *other = &judge.extents[j];

			if (judge_common(e->address, e->size, other->address, other->size))
				judge_flaw("extents %u and %u overlap", j, i);
		}
		pages += e->size / PAGE;
	}
	/* Each table was seen once and lies in an extent, so equal counts are equal sets. */
	if (pages != walk.tables || pages != judge.info.table_count)
		judge_flaw("%lu pages in page_tables, table_count %u, %lu tables reached", pages,
			   judge.info.table_count, walk.tables);
	judge_verdict("page_tables lists exactly the tables that CR3 reaches");
}

void judge_tables(void)
{
	walk_all();
	check_extents();
}
