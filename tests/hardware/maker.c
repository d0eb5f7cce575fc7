#include "tests/hardware/maker.h"

#include "tests/hardware/machine.h"
#include "tests/hardware/random.h"
#include "tests/kernels/lib/print.h"

/* A change may leave so many leaves in its range, rarely more; a space stops growing at the last.
 */
#define LEAVES_USUALLY 40u
#define LEAVES_RARELY  1100u
#define LEAVES_IN_ALL  1200u

#define MOST_TRIES 400u

/* Lengths that meet the borders of leaves, and miss them by a page. */
static const uint64_t lengths[] = { 1,      1,      1,      2,      3,     511,   512,
				    513,    1024,   1535,   4096,   8193,  32768, 262143,
				    262144, 262145, 262656, 524288, 524289 };

/* Levels of the leaves whose size virtual and physical addresses may be congruent modulo. */
static const uint8_t congruences[] = { 1, 2, 2, 3, 3, 3 };

static const enum pt_cache caches[] = { PT_WB, PT_WT, PT_UC_MINUS, PT_UC, PT_WP, PT_WC };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t below(struct maker *m, uint64_t limit)
{
	return random_below(&m->random, limit);
}

bool maker_is_image(uint64_t va)
{
	return va >= (uintptr_t)image_text && va < (uintptr_t)image_end;
}

/* True if [va, va + size), which does not wrap, holds a byte of the image. */
static bool meets_image(uint64_t va, uint64_t size)
{
	return maker_is_image(va) ||
	       (va < (uintptr_t)image_text && size > (uintptr_t)image_text - va);
}

/* ---- where ------------------------------------------------------------------- */

uint64_t maker_anchor(struct maker *m)
{
	uint64_t half = level_size(m->space.cpu.levels) << (PTE_INDEX_BITS - 1);

	switch (below(m, 8)) {
	case 0:
		return 0;
	case 1:
		return half;
	case 2:
		return 0 - half;
	case 3:
		return MACHINE_WINDOW + below(m, 2) * MACHINE_GIB;
	case 4:
		return (uintptr_t)(below(m, 2) ? image_text : image_end);
	case 5:
		return (below(m, 1024) - 512) * level_size(m->space.cpu.levels - 1);
	default:
		return m->edge_count ? m->edges[below(m, m->edge_count)] & ~(PT_PAGE_SIZE - 1) : 0;
	}
}

/* Some units of a leaf size and often a page to either side of an anchor. */
static uint64_t random_place(struct maker *m)
{
	uint64_t unit = level_size(1 + (unsigned)below(m, 3));

	return maker_anchor(m) + (below(m, 9) - 4) * unit + (below(m, 3) - 1) * PT_PAGE_SIZE;
}

static struct pt_range random_range(struct maker *m)
{
	uint64_t pages = lengths[below(m, COUNT(lengths))];
	uint64_t va = random_place(m);

	if (random_once_in(&m->random, 2))
		va -= pages * PT_PAGE_SIZE;
	return (struct pt_range){ virt(va), pages };
}

/* One or two large leaves that are there or could be, perhaps with a page more at either end. */
static struct pt_range large_range(struct maker *m)
{
	unsigned level = 2 + (unsigned)below(m, 2);
	uint64_t pages = level_pages(level) * (1 + below(m, 2));
	uint64_t va = align_down(random_place(m), level_size(level));
	uint64_t before = random_once_in(&m->random, 4), behind = random_once_in(&m->random, 4);

	return (struct pt_range){ virt(va - before * PT_PAGE_SIZE), pages + before + behind };
}

/* Bytes in a pool, congruent with `va` modulo a random leaf size if there is room for that. */
static uint64_t random_target(struct maker *m, uint64_t va, uint64_t size)
{
	bool low = size <= MACHINE_LOW_END - MACHINE_LOW_POOL && random_once_in(&m->random, 2);
	uint64_t first = low ? MACHINE_LOW_POOL : MACHINE_HIGH_POOL;
	uint64_t last = (low ? MACHINE_LOW_END : MACHINE_HIGH_END) - size;
	uint64_t unit = level_size(congruences[below(m, COUNT(congruences))]);
	uint64_t pa = first + below(m, (last - first) / PT_PAGE_SIZE + 1) * PT_PAGE_SIZE;
	uint64_t alike = align_down(pa, unit) | (va & (unit - 1));

	return alike >= first && alike <= last ? alike : pa;
}

/* ---- what -------------------------------------------------------------------- */

/* Sometimes the last one again, so that neighbours say the same. */
static struct pt_attr random_attr(struct maker *m)
{
	if (random_once_in(&m->random, 3))
		return m->attr;

	uint32_t flags = (uint32_t)random_next(&m->random) & (PT_SHARED - 1);

	/* Mostly what the policy allows; the rest is refused. */
	if (!m->space.allow_wx && !random_once_in(&m->random, 8) && (flags & PT_WRITE))
		flags &= ~(uint32_t)PT_EXEC;
	m->attr = (struct pt_attr){ flags, caches[below(m, COUNT(caches))] };
	return m->attr;
}

static struct pt_options random_options(struct maker *m)
{
	struct pt_options options = {
		.conflict = (enum pt_conflict)below(m, 3),
		.max_leaf = (unsigned)below(m, 4),
		.exact = random_once_in(&m->random, 16),
	};

	if (random_once_in(&m->random, 3)) {
		options.set_links = true;
		options.links = (uint32_t)random_next(&m->random) & (PT_WRITE | PT_USER | PT_EXEC);
	}
	return options;
}

static bool is_affordable(struct maker *m, const struct pt_plan *plan)
{
	uint64_t most = random_once_in(&m->random, 8) ? LEAVES_RARELY : LEAVES_USUALLY;
	uint64_t leaves = 0;

	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		leaves += plan->leaves[level];
	return leaves <= most;
}

static enum pt_status map(struct maker *m, struct pt_range range, struct pt_flush *flush)
{
	struct pt_options options = random_options(m);
	struct pt_mapping mapping = {
		.va = range.va,
		.pa = phys(random_target(m, range.va.raw, range.pages * PT_PAGE_SIZE)),
		.pages = range.pages,
		.attr = random_attr(m),
	};
	struct pt_plan plan;
	enum pt_status status = pt_plan_map(&m->space, &mapping, &options, &plan);

	if (status != PT_OK)
		return status;
	if (!is_affordable(m, &plan))
		return PT_ERR_BUDGET;
	return pt_map(&m->space, &mapping, &options, flush);
}

static enum pt_status protect(struct maker *m, struct pt_range range, struct pt_flush *flush)
{
	struct pt_attr attr = random_attr(m);
	struct pt_plan plan;
	enum pt_status status = pt_plan_protect(&m->space, range, attr, &plan);

	if (status != PT_OK)
		return status;
	if (!is_affordable(m, &plan))
		return PT_ERR_BUDGET;
	return pt_protect(&m->space, range, attr, flush);
}

static enum pt_status set_link(struct maker *m, struct pt_range range, struct pt_flush *flush)
{
	unsigned level = 2 + (unsigned)below(m, m->space.cpu.levels - 1u);
	uint32_t rights = (uint32_t)random_next(&m->random) & (PT_WRITE | PT_USER | PT_EXEC);

	/* The way to the image stays open. */
	if (meets_image(align_down(range.va.raw, level_size(level)), level_size(level)))
		return PT_ERR_RANGE;
	return pt_set_link(&m->space, range.va, level, rights, flush);
}

static enum pt_status change(struct maker *m, struct pt_range range, struct pt_flush *flush)
{
	switch (below(m, 16)) {
	case 0:
	case 1:
		return pt_unmap(&m->space, range, flush);
	case 2:
	case 3:
	case 4:
		return protect(m, range, flush);
	case 5:
		return pt_clean(&m->space, range, flush);
	case 6:
		return pt_collapse(&m->space, range, flush);
	case 7:
		return set_link(m, range, flush);
	default:
		return map(m, range, flush);
	}
}

/* What a random change may be refused for; BUDGET is is_affordable()'s. */
static bool is_refusal(enum pt_status status)
{
	return status == PT_ERR_RANGE || status == PT_ERR_OVERLAP || status == PT_ERR_WX ||
	       status == PT_ERR_LINK || status == PT_ERR_SIZE || status == PT_ERR_NOT_MAPPED ||
	       status == PT_ERR_UNALIGNED || status == PT_ERR_LEVEL || status == PT_ERR_BUDGET;
}

static void keep_edge(struct maker *m, uint64_t va)
{
	if (m->edge_count < MAKER_MAX_EDGES)
		m->edges[m->edge_count++] = va;
}

static bool change_once(struct maker *m)
{
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_range range = random_once_in(&m->random, 3) ? large_range(m) : random_range(m);

	if (meets_image(range.va.raw, range.pages * PT_PAGE_SIZE))
		return true;

	enum pt_status status = change(m, range, &flush);

	pt_release(&m->space, &flush);
	if (status == PT_OK) {
		m->accepted++;
		keep_edge(m, range.va.raw);
		keep_edge(m, range.va.raw + range.pages * PT_PAGE_SIZE - 1);
	}
	if (status == PT_OK || is_refusal(status))
		return true;
	print_out("# a change of %lx pages at %lx: %s\n", range.pages, range.va.raw,
		  pt_strerror(status));
	return false;
}

/* ---- the space --------------------------------------------------------------- */

static bool map_part(struct maker *m, const char *from, const char *to, uint32_t flags)
{
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_mapping part = {
		.va = virt((uintptr_t)from),
		.pa = phys((uintptr_t)from - MACHINE_WINDOW),
		.pages = (uint64_t)(to - from) / PT_PAGE_SIZE,
		.attr = { flags, PT_WB },
	};
	enum pt_status status = pt_map(&m->space, &part, NULL, &flush);

	if (status != PT_OK)
		print_out("# mapping the image at %lx: %s\n", part.va.raw, pt_strerror(status));
	return status == PT_OK;
}

/* The image's pages have A and D set, so that its entries do not change while QEMU shows them. */
static bool map_image(struct maker *m)
{
	uint32_t used = PT_ACCESSED | PT_DIRTY;

	return map_part(m, image_text, image_user, used | PT_EXEC) &&
	       map_part(m, image_user, image_rodata, used | PT_EXEC | PT_USER) &&
	       map_part(m, image_rodata, image_data, used) &&
	       map_part(m, image_data, image_end, used | PT_WRITE);
}

unsigned maker_leaves(const struct maker *m)
{
	struct pt_range halves[] = { pt_lower_half(&m->space.cpu), pt_upper_half(&m->space.cpu) };
	unsigned leaves = 0;

	for (unsigned i = 0; i < COUNT(halves); i++) {
		struct pt_walk walk;
		struct pt_entry entry;

		pt_walk_start(&walk, &m->space, halves[i], PT_NO_BUDGET);
		while (pt_walk_next(&walk, &entry) == PT_OK)
			leaves += entry.kind == PTE_LEAF;
	}
	return leaves;
}

bool maker_make(struct maker *ret_maker, uint64_t seed)
{
	struct maker *m = ret_maker;
	struct pt_mem mem = machine_mem();

	*m = (struct maker){
		.block = { phys(MACHINE_TABLES), MACHINE_TABLE_COUNT, 0 },
		.random = seed,
		.attr = { PT_WRITE, PT_WB },
	};

	struct pt_tables tables = pt_block_tables(&m->block);

	if (pt_init(&m->space, machine_cpu(), &mem, &tables) != PT_OK || !map_image(m))
		return false;
	m->space.allow_wx = random_once_in(&m->random, 3);

	unsigned wanted = 6 + (unsigned)below(m, 20);

	for (unsigned i = 0; i < MOST_TRIES && m->accepted < wanted; i++) {
		if (!change_once(m))
			return false;
		if (maker_leaves(m) > LEAVES_IN_ALL)
			break;
	}
	return true;
}

/* ---- spoiling ---------------------------------------------------------------- */

/* The entry of `level` on the way to `va`, or of the level where the way ends or is spoilt. */
static uint64_t *entry_of(const struct maker *m, uint64_t va, unsigned level, unsigned *ret_level)
{
	uint64_t table = m->space.root.raw;

	for (unsigned l = m->space.cpu.levels;; l--) {
		uint64_t *entry = (uint64_t *)machine_ptr(table) + level_index(va, l);

		if (l == level || pte_kind(*entry, l) != PTE_TABLE ||
		    !pte_is_valid(&m->space.cpu, *entry, l)) {
			*ret_level = l;
			return entry;
		}
		table = pte_table_addr(&m->space.cpu, *entry, l).raw;
	}
}

/* The largest level of a leaf that any processor has. QEMU 7.2 takes 1 GiB leaves, too, where CPUID
   says that there are none: bit 7 of a link of level 3 is left alone. */
#define LARGEST_LEAF 3u

/*
 * The entry, or what breaks a rule for its kind: one of the reserved bits (SDM
 * 3A 4.5.4, table 4-14 on), or P clear with the rest left.
 */
static uint64_t spoilt(struct maker *m, uint64_t entry, unsigned level)
{
	const struct pt_cpu *cpu = &m->space.cpu;
	bool large = pte_kind(entry, level) == PTE_LEAF && level > 1;

	switch (below(m, 5)) {
	case 0:
		return entry | UINT64_C(1) << (cpu->phys_bits + below(m, 52u - cpu->phys_bits));
	case 1: /* execute-disable */
		return cpu->nx ? entry : entry | UINT64_C(1) << 63;
	case 2: /* a larger leaf, at the address 0 */
		return level > LARGEST_LEAF ? (entry & 0xfff) | UINT64_C(1) << 7 : entry;
	case 3: /* from bit 13 up to the address of a large leaf */
		return large ? entry | UINT64_C(1) << (13 + below(m, 9 * level - 10)) : entry;
	default:
		return entry & ~UINT64_C(1);
	}
}

void maker_spoil(struct maker *m)
{
	uint64_t va = maker_anchor(m);
	unsigned level;
	uint64_t *entry = entry_of(m, va, 1 + (unsigned)below(m, m->space.cpu.levels), &level);
	uint64_t first = align_down(va, level_size(level));

	if (meets_image(first, level_size(level)) || !*entry)
		return;
	*entry = spoilt(m, *entry, level);
	keep_edge(m, first);
}
