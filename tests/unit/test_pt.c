/*
 * The calls of paging/pt.h that make spaces and change them, on x86-64. A
 * number in a test's name is that of a defect once found in other mappers.
 */
#include "tests/check.h"
#include "tests/fake/scene.h"

#define KERNEL    UINT64_C(0xffffffff80000000)
#define LAST_PAGE UINT64_C(0xfffffffffffff000)

static const struct pt_attr RO = { 0, PT_WB }, RW = { PT_WRITE, PT_WB };

/* ------------------------------------------------------------------------
 * Texts
 */

static void every_status_has_a_text_of_its_own(void)
{
#define X(code, text) code,
	static const enum pt_status all[] = { PT_STATUS_LIST(X) };
#undef X

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const char *text = pt_strerror(all[i]);

		CHECK(text && *text && text[strlen(text) - 1] != '.', "status text");
		for (size_t j = 0; text && j < i; j++)
			CHECK(strcmp(text, pt_strerror(all[j])) != 0, text);
	}
	CHECK(pt_strerror((enum pt_status)1000) != NULL, "a number that is no status");
	CHECK(strcmp(pt_strerror(PT_ERR_WX), "writable and executable at once") == 0, "W^X");
}

static void every_memory_type_has_a_name(void)
{
	static const struct {
		unsigned type;
		const char *name;
	} rows[] = {
		{ PT_UC, "UC" }, { PT_WC, "WC" },        { 2, "??" },
		{ 3, "??" },     { PT_WT, "WT" },        { PT_WP, "WP" },
		{ PT_WB, "WB" }, { PT_UC_MINUS, "UC-" }, { 8, "??" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK(strcmp(pt_cache_name((enum pt_cache)rows[i].type), rows[i].name) == 0,
		      rows[i].name);
}

/* ------------------------------------------------------------------------
 * Making spaces
 */

static const struct {
	const char *name;
	struct pt_cpu cpu;
	enum pt_status status;
} CPU_ROWS[] = {
	{ "four levels",
	  { .levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  PT_OK },
	{ "five levels",
	  { .levels = 5, .max_leaf = 3, .phys_bits = 52, .nx = true, .pat = PT_PAT_FULL },
	  PT_OK },
	{ "small pages only",
	  { .levels = 4, .max_leaf = 1, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  PT_OK },
	{ "no large leaves above 2 MiB, no NX",
	  { .levels = 4, .max_leaf = 2, .phys_bits = 40, .nx = false, .pat = PT_PAT_RESET },
	  PT_OK },
	{ "three levels",
	  { .levels = 3, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  PT_ERR_LEVEL },
	{ "no levels",
	  { .levels = 0, .max_leaf = 1, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  PT_ERR_LEVEL },
	{ "six levels",
	  { .levels = 6, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  PT_ERR_LEVEL },
	{ "leaves of level 4",
	  { .levels = 4, .max_leaf = 4, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  PT_ERR_LEVEL },
	{ "leaves of level 0",
	  { .levels = 4, .max_leaf = 0, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL },
	  PT_ERR_LEVEL },
	{ "53 bits of physical address",
	  { .levels = 4, .max_leaf = 3, .phys_bits = 53, .nx = true, .pat = PT_PAT_FULL },
	  PT_ERR_LEVEL },
	{ "no physical address",
	  { .levels = 4, .max_leaf = 3, .phys_bits = 0, .nx = true, .pat = PT_PAT_FULL },
	  PT_ERR_LEVEL },
};

static void init_takes_one_clear_table_or_refuses_the_processor(void)
{
	for (size_t i = 0; i < ARRAY_LEN(CPU_ROWS); i++) {
		const char *name = CPU_ROWS[i].name;
		bool ok = CPU_ROWS[i].status == PT_OK;
		struct space_arena arena;
		struct pt_space space = { .root = phys(1) };
		struct pt_mem mem;
		struct pt_tables tables;

		space_arena_init(&arena, 4);
		mem = space_window(&arena);
		tables = space_tables(&arena);
		CHECK_STATUS(pt_init(&space, &CPU_ROWS[i].cpu, &mem, &tables), CPU_ROWS[i].status,
			     space_text, name);
		CHECK_EQ(space_taken(&arena), ok ? 1 : 0, name);
		if (!ok)
			CHECK_EQ(space.root.raw, 1, name);
		for (size_t e = 0; ok && e < PTE_COUNT; e++)
			CHECK_EQ(space_table(&arena, space.root)[e], 0, name);
		CHECK(!ok || !space.allow_wx, name);
		CHECK_EQ(arena.misuses, 0, name);
		space_arena_free(&arena);
	}
}

static void open_checks_the_processor_like_init(void)
{
	for (size_t i = 0; i < ARRAY_LEN(CPU_ROWS); i++) {
		struct space_fixture f;
		struct pt_space space = { .root = phys(1) };

		space_fixture_init(&f, &CPU_ROWS[0].cpu, 4, false);
		CHECK_STATUS(pt_open(&space, &CPU_ROWS[i].cpu, &f.space.mem, NULL, f.space.root),
			     CPU_ROWS[i].status, space_text, CPU_ROWS[i].name);
		CHECK_EQ(space.root.raw, CPU_ROWS[i].status == PT_OK ? f.space.root.raw : 1,
			 CPU_ROWS[i].name);
		space_fixture_free(&f);
	}
}

static void init_gives_back_a_table_that_it_cannot_reach(void)
{
	struct space_arena arena;
	struct space_snapshot shot;
	struct pt_space space = { .root = phys(1) };
	struct pt_tables tables;
	struct {
		const char *name;
		struct pt_mem mem;
	} rows[3];

	space_arena_init(&arena, 8);
	space_snapshot_init(&shot, &arena);
	tables = space_tables(&arena);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i].mem = space_window(&arena);
	rows[0].name = "the window begins after the table";
	rows[0].mem.first.raw += 8 * PT_PAGE_SIZE;
	rows[0].mem.last.raw += 8 * PT_PAGE_SIZE;
	rows[1].name = "the window ends before the table";
	rows[1].mem.first.raw -= 8 * PT_PAGE_SIZE;
	rows[1].mem.last.raw -= 8 * PT_PAGE_SIZE;
	rows[2].name = "the callback knows no table";
	rows[2].mem = (struct pt_mem){ .table = scene_no_table };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_STATUS(pt_init(&space, &CPU_ROWS[0].cpu, &rows[i].mem, &tables),
			     PT_ERR_CORRUPT, space_text, rows[i].name);
		CHECK_EQ(space.root.raw, 1, rows[i].name);
		CHECK(space_snapshot_equal(&shot, &arena), rows[i].name);
	}
	arena.limit = 0;
	rows[0].mem = space_window(&arena);
	CHECK_STATUS(pt_init(&space, &CPU_ROWS[0].cpu, &rows[0].mem, &tables), PT_ERR_NO_TABLES,
		     space_text, "no table left");
	CHECK_EQ(space.root.raw, 1, "no table left");
	space_snapshot_free(&shot);
	space_arena_free(&arena);
}

static void open_wants_a_root_within_reach(void)
{
	struct space_fixture f;
	static const struct {
		const char *name;
		int64_t offset; /* of the root from the arena */
		enum pt_status status;
	} rows[] = {
		{ "the first table", 0, PT_OK },
		{ "the last table", 3 * 4096, PT_OK },
		{ "one page before the arena", -4096, PT_ERR_CORRUPT },
		{ "one page behind the arena", 4 * 4096, PT_ERR_CORRUPT },
		{ "the middle of a table", 8, PT_ERR_CORRUPT },
		{ "an odd address", 4097, PT_ERR_CORRUPT },
		{ "the address that means no table", -(int64_t)SPACE_BASE - 1, PT_ERR_CORRUPT },
	};

	space_fixture_init(&f, &CPU_ROWS[0].cpu, 4, false);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_space space = { .root = phys(1) };
		phys_addr root = phys(SPACE_BASE + (uint64_t)rows[i].offset);

		CHECK_STATUS(pt_open(&space, &f.space.cpu, &f.space.mem, NULL, root),
			     rows[i].status, space_text, rows[i].name);
		CHECK_EQ(space.root.raw, rows[i].status == PT_OK ? root.raw : 1, rows[i].name);
	}
	space_fixture_free(&f);
}

static void a_space_without_allocator_refuses_changes_but_plans_them(void)
{
	struct pt_mapping one = { virt(MIB), phys(MIB), 1, RO };
	struct pt_range range = { virt(MIB), 1 };
	struct space_fixture f;
	struct pt_space space;
	struct pt_plan plan;
	struct pt_leaf leaf;

	scene_init(&f, scene_cpu());
	scene_map(&f, one);
	CHECK_STATUS(pt_open(&space, &f.space.cpu, &f.space.mem, NULL, f.space.root), PT_OK,
		     space_text, "open");
	CHECK_STATUS(pt_unmap(&space, range, &f.flush), PT_ERR_READ_ONLY, space_text, "unmap");
	CHECK_STATUS(pt_protect(&space, range, RW, &f.flush), PT_ERR_READ_ONLY, space_text,
		     "protect");
	CHECK_STATUS(pt_query(&space, virt(MIB), &leaf), PT_OK, space_text, "query");
	CHECK_STATUS(pt_plan_unmap(&space, range, &plan), PT_OK, space_text, "plan unmap");
	one.va = virt(2 * MIB);
	CHECK_STATUS(pt_map(&space, &one, 0, &f.flush), PT_ERR_READ_ONLY, space_text, "map");
	CHECK_STATUS(pt_plan_map(&space, &one, 0, &plan), PT_OK, space_text, "plan map");
	CHECK_EQ(plan.tables, 1, "plan map");
	CHECK_EQ(f.flush.pages, 0, "refused calls flush nothing");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "nothing was written");
	space_fixture_free(&f);
}

static void a_space_opened_with_an_allocator_goes_on_mapping(void)
{
	struct pt_mapping one = { virt(MIB), phys(MIB), 1, RO };
	struct space_fixture f;
	struct pt_space space;
	struct pt_tables tables;

	scene_init(&f, scene_cpu());
	scene_map(&f, one);
	tables = space_tables(&f.arena);
	CHECK_STATUS(pt_open(&space, &f.space.cpu, &f.space.mem, &tables, f.space.root), PT_OK,
		     space_text, "open");
	CHECK_EQ(space.root.raw, f.space.root.raw, "root");
	one.va = virt(MIB + 4096);
	CHECK_STATUS(pt_map(&space, &one, 0, &f.flush), PT_OK, space_text, "map");
	CHECK(sdm_translate(&f.arena, &f.space.cpu, space.root, MIB + 4096).present, "map");
	space_fixture_free(&f);
}

static void a_block_is_a_stack_of_tables(void)
{
	struct pt_block block = { phys(0x1000), 5, 0 };
	struct pt_tables tables = pt_block_tables(&block);
	phys_addr first = phys(7);

	CHECK_EQ(tables.take(tables.ctx, 2, &first), 2, "two of five");
	CHECK_EQ(first.raw, 0x1000, "from the front");
	CHECK_EQ(tables.take(tables.ctx, 9, &first), 3, "no more than there are");
	CHECK_EQ(first.raw, 0x3000, "behind the first two");
	CHECK_EQ(block.taken, 5, "all are out");
	first = phys(7);
	CHECK_EQ(tables.take(tables.ctx, 1, &first), 0, "none left");
	CHECK_EQ(first.raw, 7, "a refusal writes nothing");
	tables.give(tables.ctx, phys(0x3000), 3);
	CHECK_EQ(block.taken, 2, "the last ones come back");
	tables.give(tables.ctx, phys(0x1000), 1);
	CHECK_EQ(block.taken, 2, "one from the middle is lost");
	tables.give(tables.ctx, phys(0x2000), 1);
	CHECK_EQ(block.taken, 1, "the one on top comes back");
}

/* ------------------------------------------------------------------------
 * Mapping
 */

/* Levels of the processor, its largest leaf, the cap; the range; tables taken, leaves by level. */
#define LARGEST(text, l, leaf, most, from, to, count, taken, ...)               \
	{                                                                       \
		.levels = l, .max_leaf = leaf, .scene = {                       \
			.name = text,                                           \
			.op = SCENE_MAP,                                        \
			.options.max_leaf = most,                               \
			.with = { { from }, { to }, count, { 0, PT_WB } },      \
			.after = { { { from }, { to }, count, { 0, PT_WB } } }, \
			.tables = taken,                                        \
			.leaves = { 0, __VA_ARGS__ },                           \
		}                                                               \
	}

static const struct {
	uint8_t levels, max_leaf;
	struct scene scene;
} LARGEST_ROWS[] = {
	LARGEST("no pages", 4, 3, 0, MIB, MIB, 0, 0, 0),
	LARGEST("one page", 4, 3, 0, MIB, MIB, 1, 3, 1),
	LARGEST("one page, five levels", 5, 3, 0, MIB, MIB, 1, 4, 1),
	LARGEST("#11: exactly 2 MiB is one leaf", 4, 3, 0, 2 * MIB, 4 * MIB, PAGES(2 * MIB), 2, 0,
		1),
	LARGEST("#11: exactly 1 GiB is one leaf", 4, 3, 0, GIB, 3 * GIB, PAGES(GIB), 1, 0, 0, 1),
	LARGEST("2 MiB less a page", 4, 3, 0, 2 * MIB, 4 * MIB, PAGES(2 * MIB) - 1, 3, 511),
	LARGEST("2 MiB and a page", 4, 3, 0, 2 * MIB, 4 * MIB, PAGES(2 * MIB) + 1, 3, 1, 1),
	LARGEST("a page before 2 MiB", 4, 3, 0, 2 * MIB - 4096, 4 * MIB - 4096, PAGES(2 * MIB) + 1,
		3, 1, 1),
	LARGEST("1 GiB less a page", 4, 3, 0, GIB, 0, PAGES(GIB) - 1, 3, 511, 511),
	LARGEST("1 GiB and a page", 4, 3, 0, GIB, 0, PAGES(GIB) + 1, 3, 1, 0, 1),
	LARGEST("a page to either side of 1 GiB", 4, 3, 0, GIB - 4096, GIB - 4096, PAGES(GIB) + 2,
		5, 2, 0, 1),
	LARGEST("2 MiB to either side of 1 GiB", 4, 3, 0, GIB - 2 * MIB, 3 * GIB - 2 * MIB,
		PAGES(GIB + 4 * MIB), 3, 0, 2, 1),
	LARGEST("physical address aligned to 4 KiB only", 4, 3, 0, 2 * MIB, MIB, PAGES(2 * MIB), 3,
		512),
	LARGEST("physical address aligned to 2 MiB only", 4, 3, 0, GIB, 2 * MIB, PAGES(GIB), 2, 0,
		512),
	LARGEST("virtual address aligned to 2 MiB only", 4, 3, 0, GIB + 2 * MIB, GIB, PAGES(GIB), 3,
		0, 512),
	LARGEST("1 GiB on a processor with 2 MiB leaves", 4, 2, 0, GIB, GIB, PAGES(GIB), 2, 0, 512),
	LARGEST("2 MiB on a processor with small pages", 4, 1, 0, 2 * MIB, 2 * MIB, PAGES(2 * MIB),
		3, 512),
	LARGEST("1 GiB under a cap of 2 MiB", 4, 3, 2, GIB, GIB, PAGES(GIB), 2, 0, 512),
	LARGEST("2 MiB under a cap of 4 KiB", 4, 3, 1, 2 * MIB, 2 * MIB, PAGES(2 * MIB), 3, 512),
	LARGEST("a cap above what the processor has", 4, 2, 3, GIB, GIB, PAGES(GIB), 2, 0, 512),
	LARGEST("#3: the last page of the address space", 4, 3, 0, LAST_PAGE, MIB, 1, 3, 1),
	LARGEST("#3: the last page, five levels", 5, 3, 0, LAST_PAGE, MIB, 1, 4, 1),
	LARGEST("#3: the last 2 GiB", 4, 3, 0, KERNEL, 0, PAGES(2 * GIB), 1, 0, 0, 2),
	LARGEST("#4: the last page of the lower half", 4, 3, 0, 0x7ffffffff000, 0, 1, 3, 1),
	LARGEST("#4: the first page of the upper half", 4, 3, 0, 0xffff800000000000, 0, 1, 3, 1),
	LARGEST("the last page of the lower half, five levels", 5, 3, 0, 0xfffffffffff000, 0, 1, 4,
		1),
	LARGEST("the first page of the upper half, five levels", 5, 3, 0, 0xff00000000000000, 0, 1,
		4, 1),
	LARGEST("two pages across a 512 GiB edge", 4, 3, 0, 512 * GIB - 4096, MIB, 2, 6, 2),
	LARGEST("two pages across a 256 TiB edge", 5, 3, 0, 0xfffffffff000, MIB, 2, 8, 2),
	LARGEST("the last page of the physical address width", 4, 3, 0, MIB, 0x3ffffffff000, 1, 3,
		1),
};

static void map_uses_the_largest_leaves_and_takes_exactly_the_tables_needed(void)
{
	for (size_t i = 0; i < ARRAY_LEN(LARGEST_ROWS); i++) {
		struct pt_cpu cpu = scene_cpu();

		cpu.levels = LARGEST_ROWS[i].levels;
		cpu.max_leaf = LARGEST_ROWS[i].max_leaf;
		scene_play(&LARGEST_ROWS[i].scene, cpu);
	}
}

#define ONE(va, pa, flags, cache)    \
	{                            \
		{ va }, { pa }, 1,   \
		{                    \
			flags, cache \
		}                    \
	}
#define REFUSE(text, ...)                                  \
	{                                                  \
		.name = text, .op = SCENE_MAP, __VA_ARGS__ \
	}
static const struct scene REFUSED_MAPS[] = {
	REFUSE("an odd virtual address", .with = ONE(MIB + 1, 0, 0, PT_WB),
	       .status = PT_ERR_UNALIGNED),
	REFUSE("half a page off", .with = ONE(MIB + 2048, 0, 0, PT_WB), .status = PT_ERR_UNALIGNED),
	REFUSE("an odd physical address", .with = ONE(MIB, 1, 0, PT_WB),
	       .status = PT_ERR_UNALIGNED),
	REFUSE("half a page off, physically", .with = ONE(MIB, 2048, 0, PT_WB),
	       .status = PT_ERR_UNALIGNED),
	REFUSE("#4: the first address of the hole", .with = ONE(0x800000000000, 0, 0, PT_WB),
	       .status = PT_ERR_RANGE),
	REFUSE("#4: the last page of the hole", .with = ONE(0xffff7ffffffff000, 0, 0, PT_WB),
	       .status = PT_ERR_RANGE),
	REFUSE("#4: an address in the hole", .with = ONE(0x1234800000000000, 0, 0, PT_WB),
	       .status = PT_ERR_RANGE),
	REFUSE("#4: one page into the hole", .with = { { 0x7ffffffff000 }, { 0 }, 2, { 0, PT_WB } },
	       .status = PT_ERR_RANGE),
	REFUSE("#4: across the hole",
	       .with = { { 0x7ffffffff000 },
			 { 0 },
			 (UINT64_C(0xffff800000000000) - 0x7ffffffff000) / 4096 + 1,
			 { 0, PT_WB } },
	       .status = PT_ERR_RANGE),
	REFUSE("#5: one page more than there is", .with = { { LAST_PAGE }, { 0 }, 2, { 0, PT_WB } },
	       .status = PT_ERR_RANGE),
	REFUSE("#5: wraps into the lower half",
	       .with = { { KERNEL }, { 0 }, PAGES(2 * GIB) + 1, { 0, PT_WB } },
	       .status = PT_ERR_RANGE),
	REFUSE("#5: a number of pages whose bytes wrap to one page",
	       .with = { { MIB }, { 0 }, (UINT64_C(1) << 52) + 1, { 0, PT_WB } },
	       .status = PT_ERR_RANGE),
	REFUSE("#5: a number of pages whose bytes wrap to none",
	       .with = { { 0 }, { 0 }, UINT64_C(1) << 52, { 0, PT_WB } }, .status = PT_ERR_RANGE),
	REFUSE("as many pages as there are numbers",
	       .with = { { MIB }, { 0 }, UINT64_MAX, { 0, PT_WB } }, .status = PT_ERR_RANGE),
	REFUSE("a physical address beyond the width", .with = ONE(MIB, UINT64_C(1) << 46, 0, PT_WB),
	       .status = PT_ERR_PHYS),
	REFUSE("one page beyond the width", .with = { { 0 }, { 0x3ffffffff000 }, 2, { 0, PT_WB } },
	       .status = PT_ERR_PHYS),
	REFUSE("the last physical page of all", .with = ONE(MIB, LAST_PAGE, 0, PT_WB),
	       .status = PT_ERR_PHYS),
	REFUSE("physical addresses that wrap", .with = { { 0 }, { LAST_PAGE }, 2, { 0, PT_WB } },
	       .status = PT_ERR_PHYS),
	REFUSE("an unknown flag", .with = ONE(MIB, 0, PT_FLAGS_ALL + 1, PT_WB),
	       .status = PT_ERR_ATTR),
	REFUSE("the highest flag", .with = ONE(MIB, 0, 0x80000000, PT_WB), .status = PT_ERR_ATTR),
	REFUSE("memory type 2", .with = ONE(MIB, 0, 0, 2), .status = PT_ERR_CACHE),
	REFUSE("memory type 3", .with = ONE(MIB, 0, 0, 3), .status = PT_ERR_CACHE),
	REFUSE("memory type 8", .with = ONE(MIB, 0, 0, 8), .status = PT_ERR_CACHE),
	REFUSE("memory type 256 + WB", .with = ONE(MIB, 0, 0, 256 + PT_WB), .status = PT_ERR_CACHE),
	REFUSE("writable and executable", .with = ONE(MIB, 0, PT_WRITE | PT_EXEC, PT_WB),
	       .status = PT_ERR_WX),
	REFUSE("a cap of level 4", .with = ONE(MIB, 0, 0, PT_WB), .options.max_leaf = 4,
	       .status = PT_ERR_LEVEL),
};

static void map_refuses_by_name_and_leaves_no_trace(void)
{
	for (size_t i = 0; i < ARRAY_LEN(REFUSED_MAPS); i++)
		scene_play(&REFUSED_MAPS[i], scene_cpu());
}

static void defect_1_map_over_anything_in_use_changes_nothing_and_says_where(void)
{
#define OVER(text, va, pages, at)                                                                \
	{                                                                                        \
		.name = text, .op = SCENE_MAP, .with = { { va }, { GIB }, pages, { 0, PT_WB } }, \
		.status = PT_ERR_OVERLAP, .where = at                                            \
	}
	static const struct scene rows[] = {
		OVER("the same page", 5 * 4096, 1, 0),
		OVER("a range that ends in it", 0, 6, 5 * 4096),
		OVER("a range that begins with it", 5 * 4096, 4, 0),
		OVER("a large leaf over the table that holds it", 0, PAGES(2 * MIB), 5 * 4096),
		OVER("a huge leaf over the table that holds it", 0, PAGES(GIB), 5 * 4096),
		OVER("the first page of a 2 MiB leaf", 4 * MIB, 1, 0),
		OVER("the last page of a 2 MiB leaf", 6 * MIB - 4096, 1, 0),
		OVER("the whole 2 MiB leaf", 4 * MIB, PAGES(2 * MIB), 0),
		OVER("up to its first page", 4 * MIB - 4096, 2, 4 * MIB),
		OVER("a page of the 1 GiB leaf", 3 * GIB - 4096, 1, 0),
		OVER("up to the 1 GiB leaf", 2 * GIB - 4096, 2, 2 * GIB),
		OVER("over more than the 1 GiB leaf", GIB, PAGES(3 * GIB), 2 * GIB),
		OVER("#20: a soft entry", 9 * 4096, 1, 0),
		OVER("#20: up to a soft entry", 6 * 4096, 4, 9 * 4096),
		OVER("#20: a page under a soft entry of level 2", 8 * MIB + 4096, 1, 0),
		OVER("#20: a leaf over a soft entry of level 2", 8 * MIB, PAGES(2 * MIB), 0),
		OVER("#20: a page under a soft entry of level 3", 5 * GIB - 4096, 1, 0),
		OVER("#20: up to a soft entry of level 3", 4 * GIB - 4096, 2, 4 * GIB),
	};
	struct space_fixture f;

	scene_prepare_obstacles(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		scene_act(&f, &rows[i]);
	space_fixture_free(&f);
}

static void map_fits_between_its_neighbours(void)
{
	static const struct scene rows[] = {
		{ .name = "the page below a page",
		  .before = { { { 5 * 4096 }, { 5 * 4096 }, 1, { 0, PT_WB } } },
		  .op = SCENE_MAP,
		  .with = { { 4 * 4096 }, { 4 * 4096 }, 1, { 0, PT_WB } },
		  .leaves = { 0, 1 },
		  .after = { { { 4 * 4096 }, { 4 * 4096 }, 2, { 0, PT_WB } } } },
		{ .name = "up to a 2 MiB leaf",
		  .before = { { { 2 * MIB }, { 2 * MIB }, PAGES(2 * MIB), { 0, PT_WB } } },
		  .op = SCENE_MAP,
		  .with = { { 0 }, { 0 }, PAGES(2 * MIB), { PT_WRITE, PT_WB } },
		  .leaves = { 0, 0, 1 },
		  .after = { { { 0 }, { 0 }, PAGES(2 * MIB), { PT_WRITE, PT_WB } },
			     { { 2 * MIB }, { 2 * MIB }, PAGES(2 * MIB), { 0, PT_WB } } } },
		{ .name = "between two 1 GiB leaves",
		  .before = { { { 0 }, { 0 }, PAGES(GIB), { 0, PT_WB } },
			      { { 2 * GIB }, { 2 * GIB }, PAGES(GIB), { 0, PT_WB } } },
		  .op = SCENE_MAP,
		  .with = { { GIB }, { GIB }, PAGES(GIB), { 0, PT_WB } },
		  .leaves = { 0, 0, 0, 1 },
		  .after = { { { 0 }, { 0 }, PAGES(3 * GIB), { 0, PT_WB } } } },
		{ .name = "the same address in the other half",
		  .before = { { { 0x800000 }, { 0 }, 1, { 0, PT_WB } } },
		  .op = SCENE_MAP,
		  .with = { { 0xffff800000800000 }, { 0 }, 1, { 0, PT_WB } },
		  .tables = 3,
		  .leaves = { 0, 1 },
		  .after = { { { 0x800000 }, { 0 }, 1, { 0, PT_WB } },
			     { { 0xffff800000800000 }, { 0 }, 1, { 0, PT_WB } } } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		scene_play(&rows[i], scene_cpu());
}

/* A page of every flag, seen by the processor and by the core. */
static void map_writes_the_flags_that_were_asked_for(void)
{
	for (uint32_t flags = 0; flags < PT_SHARED; flags++) {
		struct pt_mapping m = { virt(MIB), phys(MIB), 1, { flags, PT_WB } };
		struct sdm_translation t;
		struct space_fixture f;
		struct pt_leaf leaf = { 0 };

		scene_init(&f, scene_cpu());
		f.space.allow_wx = true;
		scene_map(&f, m);
		t = sdm_translate(&f.arena, &f.space.cpu, f.space.root, MIB);
		scene_expect_page(&f, &m, 0, "flags");
		CHECK_EQ(t.accessed, (flags & PT_ACCESSED) != 0, "accessed");
		CHECK_EQ(t.dirty, (flags & PT_DIRTY) != 0, "dirty");
		CHECK_STATUS(pt_query(&f.space, m.va, &leaf), PT_OK, space_text, "query");
		CHECK_EQ(leaf.attr.flags, flags, "query");
		space_fixture_free(&f);
	}
}

static void a_space_that_allows_it_maps_writable_and_executable(void)
{
	struct pt_mapping m = { virt(MIB), phys(MIB), 1, { PT_WRITE | PT_EXEC, PT_WB } };
	struct pt_range range = { virt(MIB), 1 };
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	f.space.allow_wx = true;
	scene_map(&f, m);
	scene_expect_runs(&f, (struct pt_mapping[]){ m, { .pages = 0 } }, "allowed");
	f.space.allow_wx = false;
	CHECK_STATUS(pt_protect(&f.space, range, m.attr, &f.flush), PT_ERR_WX, space_text,
		     "protect");
	space_fixture_free(&f);
}

/* Execution cannot be forbidden, bit 63 is reserved, and W^X is about what was asked for. */
static void without_nx_every_page_is_executable(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct pt_mapping m = { virt(MIB), phys(MIB), 1, { PT_WRITE, PT_WB } };
	struct space_fixture f;

	cpu.nx = false;
	scene_init(&f, cpu);
	scene_map(&f, m);
	m.attr.flags |= PT_EXEC;
	scene_expect_runs(&f, (struct pt_mapping[]){ m, { .pages = 0 } }, "no NX");
	m.va = virt(2 * MIB);
	CHECK_STATUS(pt_map(&f.space, &m, 0, &f.flush), PT_ERR_WX, space_text, "asked for");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Cache types
 */

static void defect_9_cache_bits_are_where_the_level_has_them(void)
{
	static const struct {
		enum pt_cache cache;
		uint64_t pwt_pcd; /* bits 3 and 4 */
		bool pat;
	} rows[] = {
		{ PT_WB, 0x00, false }, { PT_WT, 0x08, false }, { PT_UC_MINUS, 0x10, false },
		{ PT_UC, 0x18, false }, { PT_WP, 0x00, true },  { PT_WC, 0x08, true },
	};

	for (unsigned level = 1; level <= 3; level++) {
		uint64_t pat_bit = level == 1 ? 0x80 : 0x1000;

		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			const char *name = pt_cache_name(rows[i].cache);
			struct space_fixture f;
			uint64_t e = scene_map_leaf(&f, level,
						    (struct pt_attr){ 0, rows[i].cache });
			struct pt_leaf leaf = { 0 };

			CHECK_EQ(e & 0x18, rows[i].pwt_pcd, name);
			CHECK_EQ(e & pat_bit, rows[i].pat ? pat_bit : 0, name);
			CHECK_EQ(e & 0x80, level > 1 ? 0x80 : e & pat_bit, name);
			CHECK_STATUS(pt_query(&f.space, virt(8 * GIB), &leaf), PT_OK, space_text,
				     name);
			CHECK_EQ(leaf.attr.cache, rows[i].cache, name);
			CHECK_EQ(leaf.pa.raw, 8 * GIB, name);
			space_fixture_free(&f);
		}
	}
}

static void cache_types_are_looked_up_in_the_pat_of_the_processor(void)
{
	static const struct {
		const char *name;
		uint64_t pat;
		enum pt_cache cache;
		enum pt_status status;
	} rows[] = {
		{ "WB after reset", PT_PAT_RESET, PT_WB, PT_OK },
		{ "WT after reset", PT_PAT_RESET, PT_WT, PT_OK },
		{ "UC- after reset", PT_PAT_RESET, PT_UC_MINUS, PT_OK },
		{ "UC after reset", PT_PAT_RESET, PT_UC, PT_OK },
		{ "WC after reset", PT_PAT_RESET, PT_WC, PT_ERR_CACHE },
		{ "WP after reset", PT_PAT_RESET, PT_WP, PT_ERR_CACHE },
		{ "WB as the eighth", 0x0600000000000000, PT_WB, PT_OK },
		{ "WT nowhere", 0x0600000000000000, PT_WT, PT_ERR_CACHE },
		{ "WC as the third", 0x0000000000010606, PT_WC, PT_OK },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_mapping m = { virt(0), phys(0), PAGES(GIB + 2 * MIB) + 1, RO };
		struct scene scene = {
			.name = rows[i].name,
			.op = SCENE_MAP,
			.status = rows[i].status,
			.tables = 3,
			.leaves = { 0, 1, 1, 1 },
		};
		struct pt_cpu cpu = scene_cpu();

		cpu.pat = rows[i].pat;
		m.attr.cache = rows[i].cache;
		scene.with = scene.after[0] = m;
		scene_play(&scene, cpu);
	}
}

/* ------------------------------------------------------------------------
 * Plans for lists
 */

static void a_plan_for_a_list_is_what_mapping_the_list_takes(void)
{
	static const struct {
		const char *name;
		struct pt_mapping list[5];
		uint64_t tables;
	} rows[] = {
		{ "nothing but the root", { { .pages = 0 } }, 1 },
		{ "one page", { SCENE_RUN(MIB, 0, 1, 0, PT_WB) }, 4 },
		{ "two pages in one table",
		  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(MIB + 8192, 0, 1, 0, PT_WB) },
		  4 },
		{ "neighbours in two tables",
		  { SCENE_RUN(2 * MIB - 4096, 0, 1, 0, PT_WB), SCENE_RUN(2 * MIB, 0, 1, 0, PT_WB) },
		  5 },
		{ "a small page to either side of a large leaf",
		  { SCENE_RUN(2 * MIB - 4096, 0, 1, 0, PT_WB),
		    SCENE_RUN(2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB),
		    SCENE_RUN(4 * MIB, 0, 1, 0, PT_WB) },
		  5 },
		{ "all sizes, both halves",
		  { SCENE_RUN(MIB, MIB, PAGES(3 * GIB), 0, PT_WB),
		    SCENE_RUN(512 * GIB - 4096, 0, 2, 0, PT_WB),
		    SCENE_RUN(KERNEL, 0, PAGES(2 * MIB), 0, PT_WB),
		    SCENE_RUN(LAST_PAGE, 0, 1, 0, PT_WB) },
		  15 },
	};

	for (unsigned levels = 4; levels <= 5; levels++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			struct pt_cpu cpu = scene_cpu();
			struct pt_plan plan = { 0 };
			struct space_fixture f;
			size_t count = 0, index = 77;
			uint64_t leaves = 0;

			cpu.levels = (uint8_t)levels;
			scene_init(&f, cpu);
			while (rows[i].list[count].pages != 0)
				count++;
			CHECK_STATUS(pt_plan_list(&cpu, rows[i].list, count, &plan, &index), PT_OK,
				     space_text, rows[i].name);
			if (levels == 4)
				CHECK_EQ(plan.tables, rows[i].tables, rows[i].name);
			for (size_t m = 0; m < count; m++) {
				struct pt_plan one;

				pt_plan_map(&f.space, &rows[i].list[m], 0, &one);
				leaves += one.leaves[1] + one.leaves[2] + one.leaves[3];
				scene_map(&f, rows[i].list[m]);
			}
			CHECK_EQ(space_taken(&f.arena), plan.tables, rows[i].name);
			CHECK_EQ(plan.leaves[1] + plan.leaves[2] + plan.leaves[3], leaves,
				 rows[i].name);
			space_fixture_free(&f);
		}
	}
}

static void a_plan_for_a_list_names_the_mapping_at_fault(void)
{
	static const struct {
		const char *name;
		struct pt_mapping list[3];
		enum pt_status status;
		size_t index;
	} rows[] = {
		{ "one address twice",
		  { SCENE_RUN(MIB, 0, 2, 0, PT_WB), SCENE_RUN(MIB, 0, 1, 0, PT_WB) },
		  PT_ERR_OVERLAP,
		  1 },
		{ "the last page of the one before",
		  { SCENE_RUN(MIB, 0, 2, 0, PT_WB), SCENE_RUN(MIB + 4096, 0, 1, 0, PT_WB) },
		  PT_ERR_OVERLAP,
		  1 },
		{ "out of order",
		  { SCENE_RUN(MIB, 0, 1, 0, PT_WB), SCENE_RUN(2 * MIB, 0, 1, 0, PT_WB),
		    SCENE_RUN(0, 0, 1, 0, PT_WB) },
		  PT_ERR_OVERLAP,
		  2 },
		{ "over the last page",
		  { SCENE_RUN(LAST_PAGE, 0, 1, 0, PT_WB), SCENE_RUN(LAST_PAGE, 0, 1, 0, PT_WB) },
		  PT_ERR_OVERLAP,
		  1 },
		{ "unaligned",
		  { SCENE_RUN(0, 0, 1, 0, PT_WB), SCENE_RUN(4097, 0, 1, 0, PT_WB) },
		  PT_ERR_UNALIGNED,
		  1 },
		{ "in the hole", { SCENE_RUN(0x800000000000, 0, 1, 0, PT_WB) }, PT_ERR_RANGE, 0 },
		{ "beyond the physical width",
		  { SCENE_RUN(0, UINT64_C(1) << 46, 1, 0, PT_WB) },
		  PT_ERR_PHYS,
		  0 },
		{ "an unknown flag", { SCENE_RUN(0, 0, 1, 0x40, PT_WB) }, PT_ERR_ATTR, 0 },
		{ "an unknown type", { SCENE_RUN(0, 0, 1, 0, 2) }, PT_ERR_CACHE, 0 },
		{ "writable and executable",
		  { SCENE_RUN(0, 0, 1, 0, PT_WB),
		    SCENE_RUN(4096, 0, 1, PT_EXEC | PT_WRITE, PT_WB) },
		  PT_ERR_WX,
		  1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_cpu cpu = scene_cpu();
		struct pt_plan plan;
		size_t index = 77, count = 0;

		while (count < 3 && rows[i].list[count].pages != 0)
			count++;
		CHECK_STATUS(pt_plan_list(&cpu, rows[i].list, count, &plan, &index), rows[i].status,
			     space_text, rows[i].name);
		CHECK_EQ(index, rows[i].index, rows[i].name);
	}
}

/* The direct map of 64 TiB of small pages would be walked for minutes if it were not counted. */
static void a_plan_costs_as_much_as_its_list_is_long(void)
{
	struct pt_cpu cpu = {
		.levels = 5, .max_leaf = 1, .phys_bits = 52, .nx = true, .pat = PT_PAT_FULL
	};
	struct pt_mapping all = { virt(0xff00000000000000), phys(0), UINT64_C(1) << 40, RW };
	struct pt_plan plan = { 0 };
	size_t index;

	CHECK_STATUS(pt_plan_list(&cpu, &all, 1, &plan, &index), PT_OK, space_text, "4 PiB");
	CHECK_EQ(plan.leaves[1], UINT64_C(1) << 40, "4 PiB");
	CHECK_EQ(plan.tables, 1 + (UINT64_C(1) << 31) + (1 << 22) + (1 << 13) + 16, "4 PiB");
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(every_status_has_a_text_of_its_own);
	RUN(every_memory_type_has_a_name);
	RUN(init_takes_one_clear_table_or_refuses_the_processor);
	RUN(open_checks_the_processor_like_init);
	RUN(init_gives_back_a_table_that_it_cannot_reach);
	RUN(open_wants_a_root_within_reach);
	RUN(a_space_without_allocator_refuses_changes_but_plans_them);
	RUN(a_space_opened_with_an_allocator_goes_on_mapping);
	RUN(a_block_is_a_stack_of_tables);
	RUN(map_uses_the_largest_leaves_and_takes_exactly_the_tables_needed);
	RUN(map_refuses_by_name_and_leaves_no_trace);
	RUN(defect_1_map_over_anything_in_use_changes_nothing_and_says_where);
	RUN(map_fits_between_its_neighbours);
	RUN(map_writes_the_flags_that_were_asked_for);
	RUN(a_space_that_allows_it_maps_writable_and_executable);
	RUN(without_nx_every_page_is_executable);
	RUN(defect_9_cache_bits_are_where_the_level_has_them);
	RUN(cache_types_are_looked_up_in_the_pat_of_the_processor);
	RUN(a_plan_for_a_list_is_what_mapping_the_list_takes);
	RUN(a_plan_for_a_list_names_the_mapping_at_fault);
	RUN(a_plan_costs_as_much_as_its_list_is_long);
	return check_done();
}
