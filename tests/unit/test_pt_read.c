/*
 * The calls of paging/pt.h that read, on x86-64: query, walk, runs, the list
 * of tables, the audit. A number in a test's name is that of a defect once
 * found in other mappers.
 */
#include "tests/check.h"
#include "tests/fake/scene.h"

#define KERNEL    UINT64_C(0xffffffff80000000)
#define LAST_PAGE UINT64_C(0xfffffffffffff000)
#define XD        (UINT64_C(1) << 63)

static const struct pt_attr RO = { 0, PT_WB }, RW = { PT_WRITE, PT_WB }, RX = { PT_EXEC, PT_WB };

/* Pages of all three sizes in the lower half, one small and the last 2 MiB in the upper. */
static void init_sizes(struct space_fixture *f)
{
	scene_init(f, scene_cpu());
	scene_map(f, (struct pt_mapping){ virt(4096), phys(7 * 4096), 2, RW });
	scene_map(f, (struct pt_mapping){ virt(4 * MIB), phys(8 * MIB), PAGES(4 * MIB), RX });
	scene_map(f, (struct pt_mapping){ virt(GIB), phys(GIB), PAGES(GIB), RO });
	scene_map(f, (struct pt_mapping){ virt(KERNEL), phys(4096), 1, RX });
	scene_map(f, (struct pt_mapping){ virt(LAST_PAGE), phys(2 * 4096), 1, RO });
}

/* ------------------------------------------------------------------------
 * Query
 */

static void query_finds_the_leaf_of_any_address(void)
{
	static const struct {
		const char *name;
		uint64_t va;
		enum pt_status status;
		uint64_t leaf_va, pa;
		unsigned level;
		uint32_t flags;
	} rows[] = {
		{ "the first byte of a page", 4096, PT_OK, 4096, 7 * 4096, 1, PT_WRITE },
		{ "the last byte of a page", 8191, PT_OK, 4096, 7 * 4096, 1, PT_WRITE },
		{ "the page behind", 8192, PT_OK, 8192, 8 * 4096, 1, PT_WRITE },
		{ "NULL", 0, PT_ERR_NOT_MAPPED, 0, 0, 0, 0 },
		{ "a hole in a table", 3 * 4096, PT_ERR_NOT_MAPPED, 0, 0, 0, 0 },
		{ "a hole without a table", 3 * GIB, PT_ERR_NOT_MAPPED, 0, 0, 0, 0 },
		{ "the first byte of 2 MiB", 4 * MIB, PT_OK, 4 * MIB, 8 * MIB, 2, PT_EXEC },
		{ "an odd byte of 2 MiB", 7 * MIB + 5, PT_OK, 6 * MIB, 10 * MIB, 2, PT_EXEC },
		{ "the last byte of 2 MiB", 8 * MIB - 1, PT_OK, 6 * MIB, 10 * MIB, 2, PT_EXEC },
		{ "the byte behind it", 8 * MIB, PT_ERR_NOT_MAPPED, 0, 0, 0, 0 },
		{ "the last byte of 1 GiB", 2 * GIB - 1, PT_OK, GIB, GIB, 3, 0 },
		{ "#3: the last byte of all", UINT64_MAX, PT_OK, LAST_PAGE, 8192, 1, 0 },
		{ "#4: the first of the hole", 0x800000000000, PT_ERR_RANGE, 0, 0, 0, 0 },
		{ "#4: the last of the hole", 0xffff7fffffffffff, PT_ERR_RANGE, 0, 0, 0, 0 },
		{ "#4: the last of the lower half", 0x7fffffffffff, PT_ERR_NOT_MAPPED, 0, 0, 0, 0 },
		{ "#4: the first of the upper", 0xffff800000000000, PT_ERR_NOT_MAPPED, 0, 0, 0, 0 },
	};
	struct space_fixture f;

	init_sizes(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_leaf leaf = { .level = 77 };

		CHECK_STATUS(pt_query(&f.space, virt(rows[i].va), &leaf), rows[i].status,
			     space_text, rows[i].name);
		CHECK_EQ(leaf.level, rows[i].status == PT_OK ? rows[i].level : 77, rows[i].name);
		if (rows[i].status != PT_OK)
			continue;
		CHECK_EQ(leaf.va.raw, rows[i].leaf_va, rows[i].name);
		CHECK_EQ(leaf.pa.raw, rows[i].pa, rows[i].name);
		CHECK_EQ(leaf.pages, level_pages(rows[i].level), rows[i].name);
		CHECK_EQ(leaf.attr.flags, rows[i].flags, rows[i].name);
		CHECK_EQ(leaf.attr.cache, PT_WB, rows[i].name);
	}
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "#7: reading takes and writes nothing");
	space_fixture_free(&f);
}

static void five_levels_widen_what_is_canonical(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct pt_leaf leaf;
	struct space_fixture f;

	cpu.levels = 5;
	scene_init(&f, cpu);
	CHECK_STATUS(pt_query(&f.space, virt(0x800000000000), &leaf), PT_ERR_NOT_MAPPED, space_text,
		     "2^47");
	CHECK_STATUS(pt_query(&f.space, virt(0xffffffffffffff), &leaf), PT_ERR_NOT_MAPPED,
		     space_text, "the last byte of the lower half");
	CHECK_STATUS(pt_query(&f.space, virt(0x100000000000000), &leaf), PT_ERR_RANGE, space_text,
		     "2^56");
	CHECK_STATUS(pt_query(&f.space, virt(0xff00000000000000), &leaf), PT_ERR_NOT_MAPPED,
		     space_text, "the first byte of the upper half");
	CHECK_STATUS(pt_query(&f.space, virt(0xfeffffffffffffff), &leaf), PT_ERR_RANGE, space_text,
		     "the last byte of the hole");
	space_fixture_free(&f);
}

static void halves_are_the_two_canonical_ones(void)
{
	struct pt_cpu cpu = scene_cpu();

	CHECK_EQ(pt_lower_half(&cpu).va.raw, 0, "four levels");
	CHECK_EQ(pt_lower_half(&cpu).pages, UINT64_C(1) << 35, "four levels");
	CHECK_EQ(pt_upper_half(&cpu).va.raw, 0xffff800000000000, "four levels");
	CHECK_EQ(pt_upper_half(&cpu).pages, UINT64_C(1) << 35, "four levels");
	cpu.levels = 5;
	CHECK_EQ(pt_lower_half(&cpu).va.raw, 0, "five levels");
	CHECK_EQ(pt_lower_half(&cpu).pages, UINT64_C(1) << 44, "five levels");
	CHECK_EQ(pt_upper_half(&cpu).va.raw, 0xff00000000000000, "five levels");
	CHECK_EQ(pt_upper_half(&cpu).pages, UINT64_C(1) << 44, "five levels");
}

static void defect_20_a_soft_entry_maps_nothing(void)
{
	for (unsigned level = 1; level <= 4; level++) {
		struct space_fixture f;
		struct pt_leaf leaf = { .level = 77 };
		uint64_t *e;

		init_sizes(&f);
		e = scene_entry(&f, 4096, level);
		*e &= ~UINT64_C(1); /* as it was, but not present */
		CHECK_STATUS(pt_query(&f.space, virt(4096), &leaf), PT_ERR_NOT_MAPPED, space_text,
			     "not present");
		*e = 0xabc00;
		CHECK_STATUS(pt_query(&f.space, virt(4096), &leaf), PT_ERR_NOT_MAPPED, space_text,
			     "soft");
		CHECK_EQ(leaf.level, 77, "a refusal writes nothing");
		space_fixture_free(&f);
	}
}

/* What the links above withhold, a reader must not report. */
static void rights_are_those_that_links_and_leaf_leave_together(void)
{
	static const struct {
		const char *name;
		uint64_t clear, set;
		uint32_t lost;
	} rows[] = {
		{ "a read-only link", 2, 0, PT_WRITE },
		{ "a supervisor link", 4, 0, PT_USER },
		{ "an XD link", 0, XD, PT_EXEC },
		{ "all of it", 6, XD, PT_WRITE | PT_USER | PT_EXEC },
		{ "a link with cache bits and bit 8", 0, 0x118, 0 },
	};
	const uint32_t all = PT_WRITE | PT_USER | PT_EXEC | PT_GLOBAL;

	for (size_t i = 0; i < 3 * ARRAY_LEN(rows); i++) {
		size_t row = i % ARRAY_LEN(rows);
		unsigned level = 2 + (unsigned)(i / ARRAY_LEN(rows));
		struct pt_mapping m = { virt(4096), phys(4096), 1, { all, PT_WT } };
		struct space_fixture f;
		struct pt_leaf leaf = { 0 };
		uint64_t *link;

		scene_init(&f, scene_cpu());
		f.space.allow_wx = true;
		scene_map(&f, m);
		link = scene_entry(&f, 4096, level);
		*link = (*link & ~rows[row].clear) | rows[row].set;
		m.attr.flags = all & ~rows[row].lost;
		CHECK_STATUS(pt_query(&f.space, m.va, &leaf), PT_OK, space_text, rows[row].name);
		CHECK_EQ(leaf.attr.flags, m.attr.flags, rows[row].name);
		CHECK_EQ(leaf.attr.cache, PT_WT, rows[row].name);
		scene_expect_runs(&f, (struct pt_mapping[]){ m, { .pages = 0 } }, rows[row].name);
		space_fixture_free(&f);
	}
}

/* ------------------------------------------------------------------------
 * Entries that the processor would fault on
 */

struct broken_row {
	const char *name;
	uint64_t va; /* of init_sizes() */
	unsigned level;
	uint64_t entry; /* put there; or-ed if `add` */
	bool add;
	unsigned phys_bits, max_leaf;
	bool no_nx;
};

#define BROKEN(text, where, at, what, ...)                                         \
	{                                                                          \
		.name = text, .va = where, .level = at, .entry = what, __VA_ARGS__ \
	}

static const struct broken_row BROKEN_ROWS[] = {
	BROKEN("#16: level 4: a table out of reach", 0, 4, 0x1007, 0),
	BROKEN("#16: level 3: a table out of reach", 0, 3, 0x1007, 0),
	BROKEN("#16: level 2: a table out of reach", 4096, 2, 0x1007, 0),
	BROKEN("#16: a table one page before the arena", 4096, 2, (SPACE_BASE - 4096) | 7, 0),
	BROKEN("#16: a table one page behind it", 4096, 2, (SPACE_BASE + 32 * 4096) | 7, 0),
	BROKEN("#8: level 4: bit 7", 0, 4, 0x80, .add = true),
	BROKEN("level 4: address bit 46", 0, 4, UINT64_C(1) << 46, .add = true),
	BROKEN("level 3: address bit 51", 0, 3, UINT64_C(1) << 51, .add = true),
	BROKEN("level 2: address bit 46", 4096, 2, UINT64_C(1) << 46, .add = true),
	BROKEN("level 1: address bit 46", 4096, 1, UINT64_C(1) << 46, .add = true),
	BROKEN("2 MiB leaf: address bit 46", 4 * MIB, 2, UINT64_C(1) << 46, .add = true),
	BROKEN("2 MiB leaf: bit 13", 4 * MIB, 2, 0x2000, .add = true),
	BROKEN("2 MiB leaf: bit 20", 4 * MIB, 2, 0x100000, .add = true),
	BROKEN("1 GiB leaf: bit 13", GIB, 3, 0x2000, .add = true),
	BROKEN("1 GiB leaf: bit 29", GIB, 3, 0x20000000, .add = true),
	BROKEN("1 GiB leaf: bit 51", GIB, 3, UINT64_C(1) << 51, .add = true),
	BROKEN("a 1 GiB leaf that the processor has not", GIB, 3, 0, .add = true, .max_leaf = 2),
	BROKEN("a 2 MiB leaf that the processor has not", 4 * MIB, 2, 0, .add = true,
	       .max_leaf = 1),
	BROKEN("level 1: XD without NX", 4096, 1, 0, .add = true, .no_nx = true),
	BROKEN("level 4: XD without NX", 0, 4, XD, .add = true, .no_nx = true),
	BROKEN("the address of a small page beyond the width", 4096, 1, 0x8000000000, .add = true,
	       .phys_bits = 39),
};

/* Breaks one entry, or the processor; returns the page concerned. */
static void break_entry(struct space_fixture *f, const struct broken_row *row)
{
	uint64_t *e;

	init_sizes(f);
	e = scene_entry(f, row->va, row->level);
	*e = row->add ? *e | row->entry : row->entry;
	if (row->phys_bits)
		f->space.cpu.phys_bits = (uint8_t)row->phys_bits;
	if (row->max_leaf)
		f->space.cpu.max_leaf = (uint8_t)row->max_leaf;
	if (row->no_nx)
		f->space.cpu.nx = false;
}

static void walk_until_corrupt(const struct space_fixture *f, const struct broken_row *row)
{
	struct pt_walk walk;
	struct pt_entry entry = { .raw = 0 };
	enum pt_status status;

	CHECK_STATUS(pt_walk_start(&walk, &f->space, pt_lower_half(&f->space.cpu), 100), PT_OK,
		     space_text, row->name);
	do
		status = pt_walk_next(&walk, &entry);
	while (status == PT_OK);
	CHECK_STATUS(status, PT_ERR_CORRUPT, space_text, row->name);
	CHECK_EQ(entry.at.va.raw, align_down(row->va, level_size(row->level)), row->name);
	CHECK_STATUS(pt_walk_next(&walk, &entry), PT_ERR_NOT_MAPPED, space_text, row->name);
}

static void defects_8_and_16_what_the_processor_faults_on_is_corrupt_to_every_reader(void)
{
	for (size_t i = 0; i < ARRAY_LEN(BROKEN_ROWS); i++) {
		const struct broken_row *row = &BROKEN_ROWS[i];
		struct space_fixture f;
		struct pt_leaf leaf = { .level = 77 };
		struct pt_audit audit;
		struct pt_runs runs;
		struct pt_mapping run;
		phys_addr scratch[64];
		enum pt_status status;

		break_entry(&f, row);
		CHECK_STATUS(pt_query(&f.space, virt(row->va), &leaf), PT_ERR_CORRUPT, space_text,
			     row->name);
		CHECK_EQ(leaf.level, 77, row->name);
		walk_until_corrupt(&f, row);
		CHECK_STATUS(pt_audit(&f.space, scratch, 64, &audit), PT_ERR_CORRUPT, space_text,
			     row->name);
		CHECK_EQ(audit.where.raw, align_down(row->va, level_size(row->level)), row->name);
		pt_runs_start(&runs, &f.space, pt_lower_half(&f.space.cpu), 100);
		do
			status = pt_runs_next(&runs, &run);
		while (status == PT_OK);
		CHECK_STATUS(status, PT_ERR_CORRUPT, space_text, row->name);
		CHECK_STATUS(pt_runs_next(&runs, &run), PT_ERR_CORRUPT, space_text, row->name);
		space_fixture_free(&f);
	}
}

static void the_list_of_tables_stops_at_a_broken_entry(void)
{
	struct space_fixture f;
	phys_addr list[64];
	size_t count = 77;

	break_entry(&f, &BROKEN_ROWS[2]);
	CHECK_STATUS(pt_list_tables(&f.space, list, 64, &count), PT_ERR_CORRUPT, space_text,
		     "out of reach");
	CHECK_EQ(count, 77, "out of reach");
	space_fixture_free(&f);
}

static void ignored_bits_are_no_corruption(void)
{
	static const struct {
		const char *name;
		uint64_t va;
		unsigned level;
		uint64_t bits;
	} rows[] = {
		{ "a link's bits 8 to 11 and 52 to 62", 0, 4, 0x7ff0000000000f00 },
		{ "a link's bit 6", 0, 3, 0x40 },
		{ "a leaf's bits 9 to 11 and 52 to 62", 4096, 1, 0x7ff0000000000e00 },
		{ "a large leaf's bits 9 to 11 and 52 to 62", 4 * MIB, 2, 0x7ff0000000000e00 },
		{ "a large leaf's PAT bit", 4 * MIB, 2, 0x1000 },
		{ "XD in a link", 0, 4, XD },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct space_fixture f;
		struct pt_leaf leaf = { 0 };
		struct pt_audit audit;
		phys_addr scratch[64];

		init_sizes(&f);
		*scene_entry(&f, rows[i].va, rows[i].level) |= rows[i].bits;
		CHECK_STATUS(pt_query(&f.space, virt(4096), &leaf), PT_OK, space_text,
			     rows[i].name);
		CHECK_EQ(leaf.pa.raw, 7 * 4096, rows[i].name);
		CHECK_STATUS(pt_query(&f.space, virt(4 * MIB), &leaf), PT_OK, space_text,
			     rows[i].name);
		CHECK_EQ(leaf.pa.raw, 8 * MIB, rows[i].name);
		CHECK_STATUS(pt_audit(&f.space, scratch, 64, &audit), PT_OK, space_text,
			     rows[i].name);
		space_fixture_free(&f);
	}
}

static void a_root_out_of_reach_is_corrupt(void)
{
	struct space_fixture f;
	struct pt_leaf leaf;
	struct pt_walk walk;
	struct pt_runs runs;
	struct pt_audit audit;
	struct pt_range page = { virt(0), 1 };
	phys_addr scratch[4];
	size_t count = 0;

	init_sizes(&f);
	f.space.mem.first.raw = f.space.mem.last.raw = 0;
	CHECK_STATUS(pt_query(&f.space, virt(0), &leaf), PT_ERR_CORRUPT, space_text, "query");
	CHECK_STATUS(pt_walk_start(&walk, &f.space, page, 9), PT_ERR_CORRUPT, space_text, "walk");
	CHECK_STATUS(pt_runs_start(&runs, &f.space, page, 9), PT_ERR_CORRUPT, space_text, "runs");
	CHECK_STATUS(pt_audit(&f.space, scratch, 4, &audit), PT_ERR_CORRUPT, space_text, "audit");
	CHECK_STATUS(pt_list_tables(&f.space, scratch, 4, &count), PT_ERR_CORRUPT, space_text,
		     "list");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Walks
 */

struct step_row {
	enum pte_kind kind;
	uint64_t va;
	unsigned level;
};

static void expect_walk(const struct space_fixture *f, struct pt_range range,
			const struct step_row *steps, size_t count, const char *name)
{
	struct pt_walk walk;
	struct pt_entry entry;

	CHECK_STATUS(pt_walk_start(&walk, &f->space, range, PT_NO_BUDGET), PT_OK, space_text, name);
	for (size_t i = 0; i < count; i++) {
		CHECK_STATUS(pt_walk_next(&walk, &entry), PT_OK, space_text, name);
		CHECK_EQ(entry.kind, steps[i].kind, name);
		CHECK_EQ(entry.at.va.raw, steps[i].va, name);
		CHECK_EQ(entry.at.level, steps[i].level, name);
		CHECK_EQ(entry.at.pages, level_pages(steps[i].level), name);
		CHECK_EQ(entry.raw, *scene_entry(f, entry.at.va.raw, entry.at.level), name);
		if (entry.kind == PTE_TABLE)
			CHECK_EQ(entry.at.pa.raw, entry.raw & 0xffffffffff000, name);
	}
	CHECK_STATUS(pt_walk_next(&walk, &entry), PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_STATUS(pt_walk_next(&walk, &entry), PT_ERR_NOT_MAPPED, space_text, name);
}

static void a_walk_meets_every_entry_tables_before_their_contents(void)
{
	static const struct step_row lower[] = {
		{ PTE_TABLE, 0, 4 },      { PTE_TABLE, 0, 3 },      { PTE_TABLE, 0, 2 },
		{ PTE_LEAF, 4096, 1 },    { PTE_LEAF, 8192, 1 },    { PTE_SOFT, 5 * 4096, 1 },
		{ PTE_LEAF, 4 * MIB, 2 }, { PTE_LEAF, 6 * MIB, 2 }, { PTE_SOFT, 10 * MIB, 2 },
		{ PTE_LEAF, GIB, 3 },
	};
	static const struct step_row upper[] = {
		{ PTE_TABLE, UINT64_C(0xffffff8000000000), 4 },
		{ PTE_TABLE, KERNEL, 3 },
		{ PTE_TABLE, KERNEL, 2 },
		{ PTE_LEAF, KERNEL, 1 },
		{ PTE_TABLE, UINT64_C(0xffffffffc0000000), 3 },
		{ PTE_TABLE, UINT64_C(0xffffffffffe00000), 2 },
		{ PTE_LEAF, LAST_PAGE, 1 },
	};
	struct space_fixture f;

	init_sizes(&f);
	*scene_entry(&f, 5 * 4096, 1) = 0xabc00;
	*scene_entry(&f, 10 * MIB, 2) = 0x80; /* present is bit 0 alone */
	expect_walk(&f, pt_lower_half(&f.space.cpu), lower, ARRAY_LEN(lower), "lower half");
	expect_walk(&f, pt_upper_half(&f.space.cpu), upper, ARRAY_LEN(upper), "upper half");
	space_fixture_free(&f);
}

static void a_walk_keeps_to_its_range(void)
{
	static const struct step_row in_leaf[] = { { PTE_TABLE, 0, 4 },
						   { PTE_TABLE, 0, 3 },
						   { PTE_LEAF, 6 * MIB, 2 } };
	static const struct step_row one_page[] = {
		{ PTE_TABLE, 0, 4 }, { PTE_TABLE, 0, 3 }, { PTE_TABLE, 0, 2 }, { PTE_LEAF, 8192, 1 }
	};
	static const struct step_row last[] = { { PTE_TABLE, UINT64_C(0xffffff8000000000), 4 },
						{ PTE_TABLE, UINT64_C(0xffffffffc0000000), 3 },
						{ PTE_TABLE, UINT64_C(0xffffffffffe00000), 2 },
						{ PTE_LEAF, LAST_PAGE, 1 } };
	struct space_fixture f;

	init_sizes(&f);
	expect_walk(&f, (struct pt_range){ virt(4096), 0 }, NULL, 0, "no pages");
	expect_walk(&f, (struct pt_range){ virt(8192), 1 }, one_page, 4, "one page");
	expect_walk(&f, (struct pt_range){ virt(8192), 9 }, one_page, 4, "one page and a hole");
	expect_walk(&f, (struct pt_range){ virt(0), 1 }, one_page, 3, "a hole in a table");
	expect_walk(&f, (struct pt_range){ virt(7 * MIB), 1 }, in_leaf, 3, "amid a large leaf");
	expect_walk(&f, (struct pt_range){ virt(8 * MIB), PAGES(MIB) }, in_leaf, 2, "a large hole");
	expect_walk(&f, (struct pt_range){ virt(LAST_PAGE), 1 }, last, 4, "#3: the last page");
	space_fixture_free(&f);
}

static void walks_and_runs_refuse_ranges_by_name(void)
{
	static const struct {
		const char *name;
		struct pt_range range;
		enum pt_status status;
	} rows[] = {
		{ "an odd address", { { 1 }, 1 }, PT_ERR_UNALIGNED },
		{ "#4: the hole", { { 0x800000000000 }, 1 }, PT_ERR_RANGE },
		{ "#4: into the hole", { { 0x7ffffffff000 }, 2 }, PT_ERR_RANGE },
		{ "#5: past the end", { { LAST_PAGE }, 2 }, PT_ERR_RANGE },
		{ "#5: both halves at once", { { 0 }, UINT64_C(1) << 52 }, PT_ERR_RANGE },
	};
	struct space_fixture f;

	init_sizes(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_walk walk = { .budget = 77 };
		struct pt_runs runs = { .walk = { .budget = 77 } };

		CHECK_STATUS(pt_walk_start(&walk, &f.space, rows[i].range, 9), rows[i].status,
			     space_text, rows[i].name);
		CHECK_STATUS(pt_runs_start(&runs, &f.space, rows[i].range, 9), rows[i].status,
			     space_text, rows[i].name);
		CHECK_EQ(walk.budget, 77, rows[i].name);
		CHECK_EQ(runs.walk.budget, 77, rows[i].name);
	}
	space_fixture_free(&f);
}

/* The lower half of init_sizes() has four tables, the root included. */
static void a_budget_counts_tables(void)
{
	for (uint64_t budget = 1; budget <= 6; budget++) {
		struct space_fixture f;
		struct pt_walk walk;
		struct pt_entry entry;
		enum pt_status status;
		uint64_t tables = 1;

		init_sizes(&f);
		pt_walk_start(&walk, &f.space, pt_lower_half(&f.space.cpu), budget);
		while ((status = pt_walk_next(&walk, &entry)) == PT_OK)
			tables += entry.kind == PTE_TABLE;
		CHECK_STATUS(status, budget < 4 ? PT_ERR_BUDGET : PT_ERR_NOT_MAPPED, space_text,
			     "budget");
		CHECK_EQ(tables, budget < 4 ? budget : 4, "budget");
		CHECK_STATUS(pt_walk_next(&walk, &entry), PT_ERR_NOT_MAPPED, space_text, "over");
		space_fixture_free(&f);
	}
}

static void defect_16_tables_that_link_to_themselves_exhaust_the_budget(void)
{
	for (unsigned level = 2; level <= 4; level++) {
		struct space_fixture f;
		struct pt_walk walk;
		struct pt_runs runs;
		struct pt_entry entry;
		struct pt_mapping run;
		struct pt_audit audit;
		enum pt_status status;
		phys_addr scratch[64];
		size_t count = 0;

		init_sizes(&f);
		f.space.allow_wx = true; /* links read as leaves are both */
		*scene_entry(&f, 4096, level) = f.space.root.raw | 7;
		pt_walk_start(&walk, &f.space, pt_lower_half(&f.space.cpu), 1000);
		while ((status = pt_walk_next(&walk, &entry)) == PT_OK)
			;
		CHECK(status == PT_ERR_BUDGET || status == PT_ERR_NOT_MAPPED, "walk");
		pt_runs_start(&runs, &f.space, pt_lower_half(&f.space.cpu), 1000);
		while ((status = pt_runs_next(&runs, &run)) == PT_OK)
			;
		CHECK(status == PT_ERR_BUDGET || status == PT_ERR_NOT_MAPPED, "runs");
		/* The root may link to itself: a recursive slot. */
		CHECK_STATUS(pt_audit(&f.space, scratch, 64, &audit),
			     level == 4 ? PT_OK : PT_ERR_SHARED, space_text, "audit");
		CHECK_EQ(audit.self_links, level == 4, "audit");
		status = pt_list_tables(&f.space, scratch, 64, &count);
		CHECK(status == PT_ERR_BUDGET || count <= 64, "list");
		space_fixture_free(&f);
	}
}

static void a_budget_of_no_tables_does_not_cover_the_root(void)
{
	struct space_fixture f;
	struct pt_walk walk;
	struct pt_runs runs;
	struct pt_range page = { virt(0), 1 };

	init_sizes(&f);
	CHECK_STATUS(pt_walk_start(&walk, &f.space, page, 0), PT_ERR_BUDGET, space_text, "walk");
	CHECK_STATUS(pt_runs_start(&runs, &f.space, page, 0), PT_ERR_BUDGET, space_text, "runs");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Runs
 */

static const struct {
	const char *name;
	struct pt_mapping before[3], runs[4];
} JOINED_RUNS[] = {
	{ "nothing", { { .pages = 0 } }, { { .pages = 0 } } },
	{ "leaves of three sizes",
	  { SCENE_RUN(GIB - 2 * MIB - 4096, 3 * GIB - 2 * MIB - 4096, PAGES(2 * GIB), 0, PT_WB) },
	  { SCENE_RUN(GIB - 2 * MIB - 4096, 3 * GIB - 2 * MIB - 4096, PAGES(2 * GIB), 0, PT_WB) } },
	{ "two mappings that continue each other",
	  { SCENE_RUN(MIB, 0, 3, PT_WRITE, PT_WB),
	    SCENE_RUN(MIB + 0x3000, 0x3000, 4, PT_WRITE, PT_WB) },
	  { SCENE_RUN(MIB, 0, 7, PT_WRITE, PT_WB) } },
	{ "a hole between them",
	  { SCENE_RUN(MIB, 0, 3, 0, PT_WB), SCENE_RUN(MIB + 0x4000, 0x4000, 4, 0, PT_WB) },
	  { SCENE_RUN(MIB, 0, 3, 0, PT_WB), SCENE_RUN(MIB + 0x4000, 0x4000, 4, 0, PT_WB) } },
	{ "a hole between them, physically continued",
	  { SCENE_RUN(MIB, 0, 3, 0, PT_WB), SCENE_RUN(MIB + 0x4000, 0x3000, 4, 0, PT_WB) },
	  { SCENE_RUN(MIB, 0, 3, 0, PT_WB), SCENE_RUN(MIB + 0x4000, 0x3000, 4, 0, PT_WB) } },
	{ "a physical jump between them",
	  { SCENE_RUN(MIB, 0, 3, 0, PT_WB), SCENE_RUN(MIB + 0x3000, 0x4000, 4, 0, PT_WB) },
	  { SCENE_RUN(MIB, 0, 3, 0, PT_WB), SCENE_RUN(MIB + 0x3000, 0x4000, 4, 0, PT_WB) } },
	{ "one physical page twice",
	  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(MIB + 0x1000, 0, 1, 0, PT_WB) },
	  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(MIB + 0x1000, 0, 1, 0, PT_WB) } },
	{ "other rights",
	  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(MIB + 0x1000, 0x1000, 1, PT_EXEC, PT_WB) },
	  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(MIB + 0x1000, 0x1000, 1, PT_EXEC, PT_WB) } },
	{ "only one of them global",
	  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(MIB + 0x1000, 0x1000, 1, PT_GLOBAL, PT_WB) },
	  { SCENE_RUN(MIB, 0, 1, 0, PT_WB),
	    SCENE_RUN(MIB + 0x1000, 0x1000, 1, PT_GLOBAL, PT_WB) } },
	{ "another cache type",
	  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(MIB + 0x1000, 0x1000, 1, 0, PT_WC) },
	  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(MIB + 0x1000, 0x1000, 1, 0, PT_WC) } },
	{ "accessed and dirty make no difference",
	  { SCENE_RUN(MIB, 0, 1, PT_ACCESSED, PT_WB),
	    SCENE_RUN(MIB + 0x1000, 0x1000, 1, PT_DIRTY, PT_WB) },
	  { SCENE_RUN(MIB, 0, 2, 0, PT_WB) } },
	{ "the end of one half does not continue in the other",
	  { SCENE_RUN(0x7ffffffff000, 0, 1, 0, PT_WB),
	    SCENE_RUN(0xffff800000000000, 0x1000, 1, 0, PT_WB) },
	  { SCENE_RUN(0x7ffffffff000, 0, 1, 0, PT_WB),
	    SCENE_RUN(0xffff800000000000, 0x1000, 1, 0, PT_WB) } },
	{ "#3: the last page",
	  { SCENE_RUN(LAST_PAGE - 4096, 0, 2, 0, PT_WB) },
	  { SCENE_RUN(LAST_PAGE - 4096, 0, 2, 0, PT_WB) } },
};

static void runs_join_what_continues_whatever_the_sizes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(JOINED_RUNS); i++) {
		struct space_fixture f;

		scene_init(&f, scene_cpu());
		for (size_t m = 0; m < 3 && JOINED_RUNS[i].before[m].pages != 0; m++)
			scene_map(&f, JOINED_RUNS[i].before[m]);
		scene_expect_runs(&f, JOINED_RUNS[i].runs, JOINED_RUNS[i].name);
		space_fixture_free(&f);
	}
}

static void runs_are_cut_to_their_range(void)
{
	static const struct {
		const char *name;
		struct pt_range range;
		uint64_t va, pa, pages;
	} rows[] = {
		{ "amid a page run", { { 8192 }, 1 }, 8192, 8 * 4096, 1 },
		{ "amid a 2 MiB leaf", { { 5 * MIB }, 3 }, 5 * MIB, 9 * MIB, 3 },
		{ "from one 2 MiB leaf into the next",
		  { { 6 * MIB - 4096 }, 2 },
		  6 * MIB - 4096,
		  10 * MIB - 4096,
		  2 },
		{ "amid a 1 GiB leaf",
		  { { GIB + 4096 }, PAGES(GIB) - 2 },
		  GIB + 4096,
		  GIB + 4096,
		  PAGES(GIB) - 2 },
		{ "from a hole into a leaf",
		  { { 2 * MIB }, PAGES(3 * MIB) },
		  4 * MIB,
		  8 * MIB,
		  PAGES(MIB) },
		{ "from a leaf into a hole",
		  { { 7 * MIB }, PAGES(3 * MIB) },
		  7 * MIB,
		  11 * MIB,
		  PAGES(MIB) },
		{ "the last page", { { LAST_PAGE }, 1 }, LAST_PAGE, 8192, 1 },
		{ "a hole", { { 2 * MIB }, 1 }, 0, 0, 0 },
		{ "no pages", { { 4096 }, 0 }, 0, 0, 0 },
	};
	struct space_fixture f;

	init_sizes(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_runs runs;
		struct pt_mapping run = { .pages = 0 };

		CHECK_STATUS(pt_runs_start(&runs, &f.space, rows[i].range, 9), PT_OK, space_text,
			     rows[i].name);
		CHECK_STATUS(pt_runs_next(&runs, &run), rows[i].pages ? PT_OK : PT_ERR_NOT_MAPPED,
			     space_text, rows[i].name);
		CHECK_EQ(run.va.raw, rows[i].va, rows[i].name);
		CHECK_EQ(run.pa.raw, rows[i].pa, rows[i].name);
		CHECK_EQ(run.pages, rows[i].pages, rows[i].name);
		CHECK_STATUS(pt_runs_next(&runs, &run), PT_ERR_NOT_MAPPED, space_text,
			     rows[i].name);
	}
	space_fixture_free(&f);
}

static void a_run_that_was_complete_is_handed_out_before_the_error(void)
{
	struct space_fixture f;
	struct pt_runs runs;
	struct pt_mapping run = { .pages = 0 };

	break_entry(&f, &BROKEN_ROWS[11]);
	pt_runs_start(&runs, &f.space, pt_lower_half(&f.space.cpu), 100);
	CHECK_STATUS(pt_runs_next(&runs, &run), PT_OK, space_text, "before the broken leaf");
	CHECK_EQ(run.va.raw, 4096, "before the broken leaf");
	CHECK_EQ(run.pages, 2, "before the broken leaf");
	CHECK_STATUS(pt_runs_next(&runs, &run), PT_ERR_CORRUPT, space_text, "the broken leaf");
	CHECK_EQ(run.pages, 2, "a refusal writes nothing");
	pt_runs_start(&runs, &f.space, pt_lower_half(&f.space.cpu), 3);
	CHECK_STATUS(pt_runs_next(&runs, &run), PT_ERR_BUDGET, space_text, "budget");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Tables and audit
 */

static void tables_are_listed_in_the_order_of_what_they_map(void)
{
	struct space_fixture f;
	phys_addr list[16];
	size_t count = 77;
	const struct {
		uint64_t va;
		unsigned level;
	} links[] = { { 0, 4 },      { 0, 3 },      { 0, 2 },         { KERNEL, 4 },
		      { KERNEL, 3 }, { KERNEL, 2 }, { LAST_PAGE, 3 }, { LAST_PAGE, 2 } };

	init_sizes(&f);
	for (size_t most = 0; most <= 8; most++) {
		CHECK_STATUS(pt_list_tables(&f.space, list, most, &count), PT_ERR_BUDGET,
			     space_text, "too little room");
		CHECK_EQ(count, 77, "too little room");
	}
	CHECK_STATUS(pt_list_tables(&f.space, list, 9, &count), PT_OK, space_text, "just enough");
	CHECK_EQ(count, 9, "just enough");
	CHECK_EQ(list[0].raw, f.space.root.raw, "the root first");
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		CHECK_EQ(list[1 + i].raw,
			 *scene_entry(&f, links[i].va, links[i].level) & 0xffffffffff000, "order");
	CHECK_EQ(count, space_taken(&f.arena), "all that are out");
	*scene_entry(&f, 2 * GIB, 3) = *scene_entry(&f, 0, 3);
	CHECK_STATUS(pt_list_tables(&f.space, list, 16, &count), PT_OK, space_text, "twice");
	CHECK_EQ(count, 11, "linked twice, listed twice");
	space_fixture_free(&f);
}

static void an_audit_counts_what_there_is(void)
{
	struct space_fixture f;
	struct pt_audit audit = { .tables = 77 };
	phys_addr scratch[16];

	init_sizes(&f);
	*scene_entry(&f, 4096, 1) = 0;
	*scene_entry(&f, 8192, 1) = 0;
	*scene_entry(&f, 9 * GIB, 3) = 0xabc00;
	*scene_entry(&f, 9 * 512 * GIB, 4) = 0xabc00;
	CHECK_STATUS(pt_audit(&f.space, scratch, 9, &audit), PT_OK, space_text, "audit");
	CHECK_EQ(audit.tables, 9, "tables");
	CHECK_EQ(audit.empty_tables, 1, "empty tables");
	CHECK_EQ(audit.leaves[1], 2, "4 KiB");
	CHECK_EQ(audit.leaves[2], 2, "2 MiB");
	CHECK_EQ(audit.leaves[3], 1, "1 GiB");
	CHECK_EQ(audit.soft, 2, "soft");
	CHECK_STATUS(pt_audit(&f.space, scratch, 8, &audit), PT_ERR_BUDGET, space_text, "budget");
	CHECK_STATUS(pt_audit(&f.space, scratch, 0, &audit), PT_ERR_BUDGET, space_text, "none");
	CHECK(space_snapshot_equal(&f.shot, &f.arena) == false, "entries were poked");
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_audit(&f.space, scratch, 16, &audit), PT_OK, space_text, "again");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "an audit writes nothing");
	space_fixture_free(&f);
}

static void an_empty_space_has_one_table_and_no_empty_one(void)
{
	struct space_fixture f;
	struct pt_audit audit;
	phys_addr scratch[1];

	scene_init(&f, scene_cpu());
	CHECK_STATUS(pt_audit(&f.space, scratch, 1, &audit), PT_OK, space_text, "audit");
	CHECK_EQ(audit.tables, 1, "the root");
	CHECK_EQ(audit.empty_tables, 0, "the root never counts as empty");
	space_fixture_free(&f);
}

static void an_audit_finds_tables_linked_twice(void)
{
	static const struct {
		const char *name;
		uint64_t from, to;
		unsigned level;
	} rows[] = {
		{ "a table of level 1 at two addresses", 0, 8 * MIB, 2 },
		{ "a table of level 2 at two addresses", 0, 3 * GIB, 3 },
		{ "a table of level 3 in both halves", 0, 0xffff800000000000, 4 },
		{ "a table of the upper half in the lower", KERNEL, GIB * 512, 4 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct space_fixture f;
		struct pt_audit audit;
		phys_addr scratch[32];
		uint64_t link;

		init_sizes(&f);
		link = *scene_entry(&f, rows[i].from, rows[i].level);
		*scene_entry(&f, rows[i].to, rows[i].level) = link;
		CHECK_STATUS(pt_audit(&f.space, scratch, 32, &audit), PT_ERR_SHARED, space_text,
			     rows[i].name);
		if (rows[i].level == 2)
			CHECK_EQ(audit.where.raw, link & 0xffffffffff000, rows[i].name);
		space_fixture_free(&f);
	}
}

/* Wherever it lies among the others: the lowest and the highest address too. */
static void an_audit_finds_each_of_many_tables_linked_twice(void)
{
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	for (unsigned i = 0; i < 20; i++)
		scene_map(&f, (struct pt_mapping)SCENE_RUN(i * 2 * MIB, 0, 1, 0, PT_WB));
	for (unsigned i = 0; i < 20; i++) {
		struct pt_audit audit;
		phys_addr scratch[32];
		uint64_t link = *scene_entry(&f, i * 2 * MIB, 2);
		uint64_t *free = scene_entry(&f, 20 * 2 * MIB, 2);

		*free = link;
		CHECK_STATUS(pt_audit(&f.space, scratch, 32, &audit), PT_ERR_SHARED, space_text,
			     "one of many");
		CHECK_EQ(audit.where.raw, link & 0xffffffffff000, "one of many");
		*free = 0;
	}
	space_fixture_free(&f);
}

/* Sixteen links from the root to itself are thousands of paths; the cycle explains them. */
static void an_audit_names_the_cycle_that_exhausts_its_room(void)
{
	struct space_fixture f;
	struct pt_audit audit;
	phys_addr scratch[32];

	scene_init(&f, scene_cpu());
	f.space.allow_wx = true;
	for (size_t i = 0; i < 16; i++)
		f.root[i] = f.space.root.raw | 7;
	CHECK_STATUS(pt_audit(&f.space, scratch, 32, &audit), PT_ERR_SHARED, space_text, "cycle");
	CHECK_EQ(audit.where.raw, f.space.root.raw, "cycle");
	space_fixture_free(&f);
}

static void an_audit_finds_leaves_writable_and_executable(void)
{
	static const struct {
		const char *name;
		uint64_t va;
		unsigned level;
	} rows[] = { { "4 KiB", 4096, 1 }, { "2 MiB", 4 * MIB, 2 }, { "1 GiB", GIB, 3 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct space_fixture f;
		struct pt_audit audit;
		phys_addr scratch[32];
		uint64_t *leaf;

		init_sizes(&f);
		leaf = scene_entry(&f, rows[i].va, rows[i].level);
		*leaf = (*leaf & ~XD) | 2;
		CHECK_STATUS(pt_audit(&f.space, scratch, 32, &audit), PT_ERR_WX, space_text,
			     rows[i].name);
		CHECK_EQ(audit.where.raw, rows[i].va, rows[i].name);
		f.space.allow_wx = true;
		CHECK_STATUS(pt_audit(&f.space, scratch, 32, &audit), PT_OK, space_text,
			     "the space allows it");
		f.space.allow_wx = false;
		*scene_entry(&f, rows[i].va, 4) &= ~UINT64_C(2);
		CHECK_STATUS(pt_audit(&f.space, scratch, 32, &audit), PT_OK, space_text,
			     "a link forbids writing");
		*scene_entry(&f, rows[i].va, 4) |= 2 | XD;
		CHECK_STATUS(pt_audit(&f.space, scratch, 32, &audit), PT_OK, space_text,
			     "a link forbids execution");
		space_fixture_free(&f);
	}
}

static void an_audit_holds_nothing_against_a_processor_without_nx(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;
	struct pt_audit audit;
	phys_addr scratch[8];

	cpu.nx = false;
	scene_init(&f, cpu);
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RW });
	CHECK_STATUS(pt_audit(&f.space, scratch, 8, &audit), PT_OK, space_text, "no NX");
	CHECK_EQ(audit.leaves[1], 1, "no NX");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(query_finds_the_leaf_of_any_address);
	RUN(five_levels_widen_what_is_canonical);
	RUN(halves_are_the_two_canonical_ones);
	RUN(defect_20_a_soft_entry_maps_nothing);
	RUN(rights_are_those_that_links_and_leaf_leave_together);
	RUN(defects_8_and_16_what_the_processor_faults_on_is_corrupt_to_every_reader);
	RUN(the_list_of_tables_stops_at_a_broken_entry);
	RUN(ignored_bits_are_no_corruption);
	RUN(a_root_out_of_reach_is_corrupt);
	RUN(a_walk_meets_every_entry_tables_before_their_contents);
	RUN(a_walk_keeps_to_its_range);
	RUN(walks_and_runs_refuse_ranges_by_name);
	RUN(a_budget_counts_tables);
	RUN(a_budget_of_no_tables_does_not_cover_the_root);
	RUN(defect_16_tables_that_link_to_themselves_exhaust_the_budget);
	RUN(runs_join_what_continues_whatever_the_sizes);
	RUN(runs_are_cut_to_their_range);
	RUN(a_run_that_was_complete_is_handed_out_before_the_error);
	RUN(tables_are_listed_in_the_order_of_what_they_map);
	RUN(an_audit_counts_what_there_is);
	RUN(an_empty_space_has_one_table_and_no_empty_one);
	RUN(an_audit_finds_tables_linked_twice);
	RUN(an_audit_finds_each_of_many_tables_linked_twice);
	RUN(an_audit_names_the_cycle_that_exhausts_its_room);
	RUN(an_audit_finds_leaves_writable_and_executable);
	RUN(an_audit_holds_nothing_against_a_processor_without_nx);
	return check_done();
}
