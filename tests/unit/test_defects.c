/*
 * Defects once found in other mappers of page tables, by number; none may
 * exist here. Each test fails on a core that has the defect of its name.
 *
 *	 1 a refused map changed entries        12 a leftover table hindered a leaf
 *	 2 tables stayed after a starved call   13 a split had the stride of pages
 *	 3 the last page could not be named     16 hostile tables were never left
 *	 4 ranges crossed the canonical hole    17 links before their tables
 *	 5 sums wrapped                         18 tables freed before the flush
 *	 6 unmapping a hole took tables         19 global leaves stayed in the TLB
 *	 7 looking took tables                  20 entries not present, not zero
 *	 8 large leaves taken for tables        21 windows showed through elsewhere
 *	 9 PAT bits taken for size or address   22 accessed and dirty bits got lost
 *	10 a link became a leaf, or reversed
 *	11 a range of one leaf got no leaf
 */
#include "tests/check.h"
#include "tests/fake/scene.h"
#include "tests/fake/stepper.h"

#define LAST_PAGE  UINT64_C(0xfffffffffffff000)
#define LOWER_LAST UINT64_C(0x00007ffffffff000)
#define UPPER      UINT64_C(0xffff800000000000)
#define LOWER5     UINT64_C(0x00fffffffffff000)
#define UPPER5     UINT64_C(0xff00000000000000)

#define BIT_W  UINT64_C(0x002)
#define BIT_U  UINT64_C(0x004)
#define BIT_A  UINT64_C(0x020)
#define BIT_D  UINT64_C(0x040)
#define BIT_7  UINT64_C(0x080)
#define BIT_12 UINT64_C(0x1000)

static const struct pt_attr RO = { 0, PT_WB }, RW = { PT_WRITE, PT_WB }, WP = { 0, PT_WP };

static void expect_untouched(const struct space_fixture *f, const char *name)
{
	CHECK(space_snapshot_equal(&f->shot, &f->arena), name);
	CHECK_EQ(f->flush.pages, 0, name);
	CHECK_EQ(f->flush.retired.raw, PT_NO_TABLE, name);
	CHECK_EQ(f->arena.misuses, 0, name);
}

static void release_all(struct space_fixture *f, const char *name)
{
	pt_release(&f->space, &f->flush);
	CHECK_EQ(f->arena.misuses, 0, name);
	CHECK_EQ(sdm_count_tables(&f->arena, &f->space.cpu, f->space.root), space_taken(&f->arena),
		 name);
}

static struct sdm_translation see(const struct space_fixture *f, uint64_t va)
{
	return sdm_translate(&f->arena, &f->space.cpu, f->space.root, va);
}

/* One leaf of `level` at 8 GiB, one to one. */
static struct pt_mapping map_one(struct space_fixture *f, unsigned level, struct pt_attr attr)
{
	struct pt_mapping m = { virt(8 * GIB), phys(8 * GIB), level_pages(level), attr };

	scene_init(f, scene_cpu());
	scene_map(f, m);
	return m;
}

/* ---- 1 ------------------------------------------------------------------------ */

/* In the space of scene_prepare_obstacles(); with set_links, links on the way are narrow. */
static const struct scene REFUSED[] = {
	{ .name = "a page, where a read-only page of 2 MiB is",
	  .with = SCENE_RUN(4 * MIB + 5 * 4096, 0, 1, PT_WRITE | PT_USER, PT_WB) },
	{ .name = "a page, where a page of 1 GiB is",
	  .with = SCENE_RUN(2 * GIB + 5 * 4096, 0, 1, PT_WRITE | PT_USER, PT_WB) },
	{ .name = "2 MiB, where a page of 1 GiB is",
	  .with = SCENE_RUN(2 * GIB + 6 * MIB, 0, PAGES(2 * MIB), PT_WRITE | PT_USER, PT_WB) },
	{ .name = "a page, where one is",
	  .with = SCENE_RUN(5 * 4096, 0, 1, PT_WRITE | PT_USER, PT_WB) },
	{ .name = "six pages, of which the last is in use",
	  .with = SCENE_RUN(0, 0, 6, PT_WRITE | PT_USER, PT_WB),
	  .where = UINT64_C(5) * 4096 },
	{ .name = "2 MiB, where a table with a page is",
	  .with = SCENE_RUN(0, 0, PAGES(2 * MIB), PT_WRITE | PT_USER, PT_WB),
	  .where = UINT64_C(5) * 4096 },
	{ .name = "a hole of many tables, then a page of 1 GiB",
	  .with = SCENE_RUN(2 * GIB - 4 * MIB, 4096, PAGES(4 * MIB) + 1, PT_WRITE, PT_WB),
	  .where = 2 * GIB },
	{ .name = "to keep: a page with other rights",
	  .options.conflict = PT_KEEP,
	  .with = SCENE_RUN(5 * 4096, MIB, 1, PT_WRITE, PT_WB) },
	{ .name = "to replace: a part of what is soft",
	  .options.conflict = PT_REPLACE,
	  .with = SCENE_RUN(4 * MIB, 0, PAGES(4 * MIB) + 1, PT_WRITE, PT_WB),
	  .where = 8 * MIB },
	{ .name = "with links to be widened, a page, where one is",
	  .options = { .set_links = true, .links = PT_WRITE | PT_USER | PT_EXEC },
	  .with = SCENE_RUN(5 * 4096, 0, 1, PT_WRITE | PT_USER, PT_WB) },
	{ .name = "with links to be widened, six pages",
	  .options = { .set_links = true, .links = PT_WRITE | PT_USER | PT_EXEC },
	  .with = SCENE_RUN(0, 0, 6, PT_WRITE | PT_USER, PT_WB),
	  .where = UINT64_C(5) * 4096 },
};

static void defect_01_a_refused_map_leaves_every_entry_as_it_was(void)
{
	for (size_t i = 0; i < ARRAY_LEN(REFUSED); i++) {
		struct scene scene = REFUSED[i];
		struct space_fixture f;

		scene.op = SCENE_MAP;
		scene.status = PT_ERR_OVERLAP;
		scene_prepare_obstacles(&f);
		for (unsigned level = 2; scene.options.set_links && level <= 4; level++)
			*scene_entry(&f, 0, level) &= ~(BIT_W | BIT_U);
		scene_act(&f, &scene);
		space_fixture_free(&f);
	}
}

/* ---- 2 ------------------------------------------------------------------------ */

static const struct scene HUNGRY[] = {
	{ .name = "a page in an empty space",
	  .op = SCENE_MAP,
	  .with = SCENE_RUN(MIB, MIB, 1, 0, PT_WB),
	  .tables = 3 },
	{ .name = "small pages in two tables each of pages and of 2 MiB",
	  .op = SCENE_MAP,
	  .with = SCENE_RUN(GIB - 4096, 0, 2, 0, PT_WB),
	  .tables = 5 },
	{ .name = "a page taken out of 1 GiB",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(5 * MIB, 0, 1, 0, PT_WB),
	  .tables = 2 },
	{ .name = "a page of each of two 1 GiB leaves protected",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * GIB), 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(GIB - 4096, 0, 2, PT_WRITE, PT_WB),
	  .tables = 4 },
	{ .name = "a page of 1 GiB replaced, a hole filled behind it",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_MAP,
	  .options.conflict = PT_REPLACE,
	  .with = SCENE_RUN(GIB - 4096, 0, 2, PT_WRITE, PT_WB),
	  .tables = 4 },
};

static void starve(const struct scene *scene, size_t left)
{
	struct space_fixture f;
	enum pt_status want = left < scene->tables ? PT_ERR_NO_TABLES : PT_OK;
	size_t taken;

	scene_init(&f, scene_cpu());
	if (scene->before[0].pages != 0)
		scene_map(&f, scene->before[0]);
	taken = space_taken(&f.arena);
	f.arena.limit = taken + left;
	CHECK_STATUS(scene_call(&f, scene), want, space_text, scene->name);
	if (want != PT_OK)
		expect_untouched(&f, scene->name);
	else
		CHECK_EQ(space_taken(&f.arena), taken + scene->tables, scene->name);
	space_fixture_free(&f);
}

static void defect_02_a_starved_call_leaves_tables_and_allocator_as_they_were(void)
{
	for (size_t i = 0; i < ARRAY_LEN(HUNGRY); i++) {
		for (size_t left = 0; left <= HUNGRY[i].tables; left++)
			starve(&HUNGRY[i], left);
	}
}

/* ---- 3 ------------------------------------------------------------------------ */

/* Lengths of ranges that end with the address space. */
static const struct {
	const char *name;
	uint64_t pages;
} TOPS[] = {
	{ "the last page", 1 },
	{ "the last two", 2 },
	{ "the last 2 MiB", PAGES(2 * MIB) },
	{ "the last 2 MiB and a page", PAGES(2 * MIB) + 1 },
	{ "the last 1 GiB", PAGES(GIB) },
	{ "the last 1 GiB and a page", PAGES(GIB) + 1 },
};

static uint64_t walked_pages(const struct space_fixture *f, struct pt_range range)
{
	struct pt_walk walk;
	struct pt_entry entry;
	uint64_t pages = 0;
	enum pt_status status = pt_walk_start(&walk, &f->space, range, 100);

	CHECK_STATUS(status, PT_OK, space_text, "walk");
	if (status != PT_OK)
		return 0;
	for (unsigned i = 0; i < 2000 && pt_walk_next(&walk, &entry) == PT_OK; i++)
		pages += entry.kind == PTE_LEAF ? entry.at.pages : 0;
	CHECK_STATUS(pt_walk_next(&walk, &entry), PT_ERR_NOT_MAPPED, space_text, "walk");
	return pages;
}

static void use_the_top(const struct pt_cpu *cpu, uint64_t pages, const char *name)
{
	struct pt_mapping m = { virt(0 - pages * 4096), phys(4 * GIB - pages * 4096), pages, RW };
	struct pt_range range = { m.va, pages }, last = { virt(LAST_PAGE), 1 };
	struct pt_mapping after[] = { m, { .pages = 0 } };
	struct space_fixture f;
	struct pt_leaf leaf = { .pages = 0 };
	phys_addr pa = phys(0);

	scene_init(&f, *cpu);
	CHECK_STATUS(pt_map(&f.space, &m, 0, &f.flush), PT_OK, space_text, name);
	scene_expect_runs(&f, after, name);
	CHECK_STATUS(pt_query(&f.space, virt(UINT64_MAX), &leaf), PT_OK, space_text, name);
	CHECK_STATUS(pt_translate(&f.space, virt(UINT64_MAX), &pa), PT_OK, space_text, name);
	CHECK_EQ(pa.raw, 4 * GIB - 1, name);
	CHECK_EQ(walked_pages(&f, range), pages, name);
	CHECK_EQ(walked_pages(&f, last), leaf.pages, name);
	CHECK_STATUS(pt_protect(&f.space, last, RO, &f.flush), PT_OK, space_text, name);
	CHECK(!see(&f, LAST_PAGE).write, name);
	if (pages > 1)
		CHECK(see(&f, LAST_PAGE - 4096).write, name);
	CHECK_STATUS(pt_unmap(&f.space, last, &f.flush), PT_OK, space_text, name);
	CHECK(!see(&f, LAST_PAGE).present, name);
	CHECK_EQ(see(&f, LAST_PAGE - 4096).present, pages > 1, name);
	CHECK_STATUS(pt_unmap(&f.space, range, &f.flush), PT_OK, space_text, name);
	release_all(&f, name);
	CHECK_EQ(space_taken(&f.arena), 1, name);
	space_fixture_free(&f);
}

static void defect_03_the_last_page_is_a_page_like_any_other(void)
{
	struct pt_cpu four = scene_cpu(), five = scene_cpu();

	five.levels = 5;
	for (size_t i = 0; i < ARRAY_LEN(TOPS); i++) {
		use_the_top(&four, TOPS[i].pages, TOPS[i].name);
		use_the_top(&five, TOPS[i].pages, TOPS[i].name);
	}
}

/* ---- 4, 5 --------------------------------------------------------------------- */

/* Every call that takes a range refuses this one, and changes nothing. */
static void expect_bad_range(struct space_fixture *f, struct pt_range r, const char *name)
{
	struct pt_mapping m = { r.va, phys(0), r.pages, RO };
	struct pt_plan plan;
	struct pt_walk walk;
	struct pt_runs runs;
	const enum pt_status got[] = {
		pt_map(&f->space, &m, 0, &f->flush),
		pt_protect(&f->space, r, RO, &f->flush),
		pt_unmap(&f->space, r, &f->flush),
		pt_clean(&f->space, r, &f->flush),
		pt_collapse(&f->space, r, &f->flush),
		pt_plan_map(&f->space, &m, 0, &plan),
		pt_plan_protect(&f->space, r, RO, &plan),
		pt_plan_unmap(&f->space, r, &plan),
		pt_plan_clean(&f->space, r, &plan),
		pt_plan_collapse(&f->space, r, &plan),
		pt_walk_start(&walk, &f->space, r, PT_NO_BUDGET),
		pt_runs_start(&runs, &f->space, r, PT_NO_BUDGET),
	};

	for (size_t i = 0; i < ARRAY_LEN(got); i++)
		CHECK_STATUS(got[i], PT_ERR_RANGE, space_text, name);
	expect_untouched(f, name);
}

static const struct {
	const char *name;
	uint8_t levels;
	uint64_t va, pages;
} ACROSS[] = {
	{ "from the last page of the lower half on", 4, LOWER_LAST, 2 },
	{ "from the lower half to the first page of the upper", 4, LOWER_LAST, (UPPER >> 12) },
	{ "the first page of the hole", 4, LOWER_LAST + 4096, 1 },
	{ "the last page of the hole", 4, UPPER - 4096, 1 },
	{ "from the hole into the upper half", 4, UPPER - 4096, 2 },
	{ "both halves, 1 GiB of each", 4, LOWER_LAST + 4096 - GIB, PAGES(2 * GIB) },
	{ "an address with five levels' bits", 4, UINT64_C(0x1234800000000000), 1 },
	{ "five levels: from the lower half on", 5, LOWER5, 2 },
	{ "five levels: the first page of the hole", 5, LOWER5 + 4096, 1 },
	{ "five levels: the last page of the hole", 5, UPPER5 - 4096, 1 },
	{ "five levels: from the hole on", 5, UPPER5 - 4096, 2 },
};

static const struct {
	const char *name;
	uint8_t levels;
	uint64_t va;
} BESIDE[] = {
	{ "the last page of the lower half", 4, LOWER_LAST },
	{ "the first page of the upper half", 4, UPPER },
	{ "five levels: the last page of the lower half", 5, LOWER5 },
	{ "five levels: the first page of the upper half", 5, UPPER5 },
};

static void expect_not_canonical(const struct space_fixture *f, uint64_t va, const char *name)
{
	struct pt_leaf leaf;
	phys_addr pa;

	CHECK_STATUS(pt_query(&f->space, virt(va), &leaf), PT_ERR_RANGE, space_text, name);
	CHECK_STATUS(pt_translate(&f->space, virt(va), &pa), PT_ERR_RANGE, space_text, name);
	CHECK_STATUS(pt_page(&f->space, virt(va), 1, &leaf), PT_ERR_RANGE, space_text, name);
}

static void defect_04_nothing_reaches_into_or_across_the_canonical_hole(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ACROSS); i++) {
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;

		cpu.levels = ACROSS[i].levels;
		scene_init(&f, cpu);
		expect_bad_range(&f, (struct pt_range){ virt(ACROSS[i].va), ACROSS[i].pages },
				 ACROSS[i].name);
		if (ACROSS[i].pages == 1)
			expect_not_canonical(&f, ACROSS[i].va, ACROSS[i].name);
		space_fixture_free(&f);
	}
	for (size_t i = 0; i < ARRAY_LEN(BESIDE); i++) {
		struct pt_mapping list[] = { { virt(BESIDE[i].va), phys(0), 1, RO },
					     { .pages = 0 } };
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;

		cpu.levels = BESIDE[i].levels;
		scene_init(&f, cpu);
		scene_map(&f, list[0]);
		scene_expect_runs(&f, list, BESIDE[i].name);
		space_fixture_free(&f);
	}
}

static const struct {
	const char *name;
	uint64_t va, pages;
} WRAPS[] = {
	{ "past the last page by one", LAST_PAGE, 2 },
	{ "round to the first page", LAST_PAGE - 4096, 3 },
	{ "round to where it began", UPPER, UINT64_C(1) << 52 },
	{ "round to the page after that", UPPER, (UINT64_C(1) << 52) + 1 },
	{ "bytes that wrap to one page", 0, (UINT64_C(1) << 52) + 1 },
	{ "bytes that wrap to none", 0, UINT64_C(1) << 52 },
	{ "as many pages as there are numbers", 4096, UINT64_MAX },
	{ "from the last page, as many pages as there are numbers", LAST_PAGE, UINT64_MAX },
};

/* Physical ranges, of processors with so many bits of address. */
static const struct {
	const char *name;
	uint8_t bits;
	uint64_t pa, pages;
} PHYS_WRAPS[] = {
	{ "past the width by one", 46, (UINT64_C(1) << 46) - 4096, 2 },
	{ "past the width", 46, UINT64_C(1) << 46, 1 },
	{ "past the width of 52 bits by one", 52, (UINT64_C(1) << 52) - 4096, 2 },
	{ "past 2^64 by one", 52, LAST_PAGE, 2 },
	{ "the last number of a page", 52, LAST_PAGE, 1 },
	{ "round to a small sum", 46, 0 - GIB, PAGES(2 * GIB) },
};

static void defect_05_a_base_and_a_length_cannot_wrap(void)
{
	struct space_fixture f;
	struct pt_plan plan;

	scene_init(&f, scene_cpu());
	for (size_t i = 0; i < ARRAY_LEN(WRAPS); i++)
		expect_bad_range(&f, (struct pt_range){ virt(WRAPS[i].va), WRAPS[i].pages },
				 WRAPS[i].name);
	for (size_t i = 0; i < ARRAY_LEN(PHYS_WRAPS); i++) {
		struct pt_mapping m = { virt(GIB), phys(PHYS_WRAPS[i].pa), PHYS_WRAPS[i].pages,
					RO };

		f.space.cpu.phys_bits = PHYS_WRAPS[i].bits;
		CHECK_STATUS(pt_plan_map(&f.space, &m, 0, &plan), PT_ERR_PHYS, space_text,
			     PHYS_WRAPS[i].name);
		CHECK_STATUS(pt_map(&f.space, &m, 0, &f.flush), PT_ERR_PHYS, space_text,
			     PHYS_WRAPS[i].name);
		expect_untouched(&f, PHYS_WRAPS[i].name);
	}
	space_fixture_free(&f);
}

/* ---- 6, 7 --------------------------------------------------------------------- */

/* A page at 20 KiB, one of 2 MiB at 4 MiB, one of 1 GiB at 2 GiB. */
static void prepare_sizes(struct space_fixture *f)
{
	scene_init(f, scene_cpu());
	scene_map(f, (struct pt_mapping){ virt(5 * 4096), phys(MIB), 1, RO });
	scene_map(f, (struct pt_mapping){ virt(4 * MIB), phys(4 * MIB), PAGES(2 * MIB), RO });
	scene_map(f, (struct pt_mapping){ virt(2 * GIB), phys(2 * GIB), PAGES(GIB), RO });
}

/* Holes of that space, and of one that is empty. */
static const struct {
	const char *name;
	struct pt_range range;
} HOLES[] = {
	{ "a page in a table of pages", { { 6 * 4096 }, 1 } },
	{ "all before a page", { { 0 }, 5 } },
	{ "a page in a table of 2 MiB", { { 2 * MIB + 4096 }, 1 } },
	{ "2 MiB", { { 2 * MIB }, PAGES(2 * MIB) } },
	{ "2 MiB and a page", { { 6 * MIB }, PAGES(2 * MIB) + 1 } },
	{ "a page in a table of 1 GiB", { { GIB + 4096 }, 1 } },
	{ "1 GiB", { { GIB }, PAGES(GIB) } },
	{ "a page where there is no table at all", { { 5 * 512 * GIB + 4096 }, 1 } },
	{ "a page, 2 MiB and a page there", { { 8191 * MIB + 1020 * 1024 }, PAGES(2 * MIB) + 2 } },
	{ "the upper half", { { UPPER }, UINT64_C(1) << 35 } },
	{ "the last page", { { LAST_PAGE }, 1 } },
};

static void unmap_hole(struct space_fixture *f, struct pt_range r, const char *name)
{
	CHECK_STATUS(pt_unmap(&f->space, r, &f->flush), PT_OK, space_text, name);
	CHECK_STATUS(pt_protect(&f->space, r, RW, &f->flush), PT_OK, space_text, name);
	CHECK_STATUS(pt_clean(&f->space, r, &f->flush), PT_OK, space_text, name);
	CHECK_STATUS(pt_collapse(&f->space, r, &f->flush), PT_OK, space_text, name);
	expect_untouched(f, name);
}

static void defect_06_unmapping_a_hole_takes_no_table(void)
{
	for (size_t i = 0; i < ARRAY_LEN(HOLES); i++) {
		struct space_fixture full, empty;

		prepare_sizes(&full);
		unmap_hole(&full, HOLES[i].range, HOLES[i].name);
		space_fixture_free(&full);
		scene_init(&empty, scene_cpu());
		unmap_hole(&empty, HOLES[i].range, HOLES[i].name);
		CHECK_EQ(space_taken(&empty.arena), 1, HOLES[i].name);
		space_fixture_free(&empty);
	}
}

static void look_everywhere(const struct space_fixture *f, struct pt_range r, const char *name)
{
	struct pt_leaf leaf;
	struct pt_plan plan;
	struct pt_mapping run, m = { r.va, phys(0), 1, RO };
	struct pt_runs runs;
	phys_addr pa, tables[32];
	struct pt_audit audit;
	size_t count;

	CHECK_STATUS(pt_query(&f->space, r.va, &leaf), PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_STATUS(pt_translate(&f->space, r.va, &pa), PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_STATUS(pt_page(&f->space, r.va, 1, &leaf), PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_EQ(walked_pages(f, r), 0, name);
	CHECK_STATUS(pt_runs_start(&runs, &f->space, r, 100), PT_OK, space_text, name);
	CHECK_STATUS(pt_runs_next(&runs, &run), PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_STATUS(pt_list_tables(&f->space, tables, 32, &count), PT_OK, space_text, name);
	CHECK_EQ(count, space_taken(&f->arena), name);
	CHECK_STATUS(pt_audit(&f->space, tables, 32, &audit), PT_OK, space_text, name);
	CHECK_STATUS(pt_plan_map(&f->space, &m, 0, &plan), PT_OK, space_text, name);
	CHECK_STATUS(pt_plan_protect(&f->space, r, RW, &plan), PT_OK, space_text, name);
	CHECK_STATUS(pt_plan_unmap(&f->space, r, &plan), PT_OK, space_text, name);
	expect_untouched(f, name);
}

static void defect_07_looking_takes_no_table(void)
{
	struct space_fixture full, empty;

	prepare_sizes(&full);
	scene_init(&empty, scene_cpu());
	for (size_t i = 0; i < ARRAY_LEN(HOLES); i++) {
		look_everywhere(&full, HOLES[i].range, HOLES[i].name);
		look_everywhere(&empty, HOLES[i].range, HOLES[i].name);
	}
	space_fixture_free(&full);
	space_fixture_free(&empty);
}

/* ---- 8 ------------------------------------------------------------------------ */

/* What lies in the page that is mapped are links: a core that follows them is caught. */
static void expect_leaf_respected(unsigned level, const char *name)
{
	struct space_fixture f;
	struct pt_mapping m = map_one(&f, level, RO), small = { m.va, phys(0), 1, RW };
	struct pt_leaf leaf = { .level = 0 };
	struct pt_audit audit = { .tables = 0 };
	phys_addr pa = phys(0), tables[32];
	size_t count = 0;
	uint64_t inside = m.va.raw + 0x12345;

	CHECK_STATUS(pt_query(&f.space, virt(inside), &leaf), PT_OK, space_text, name);
	CHECK_EQ(leaf.level, level, name);
	CHECK_EQ(leaf.pages, m.pages, name);
	CHECK_STATUS(pt_translate(&f.space, virt(inside), &pa), PT_OK, space_text, name);
	CHECK_EQ(pa.raw, inside, name);
	CHECK_STATUS(pt_page(&f.space, m.va, level, &leaf), PT_OK, space_text, name);
	CHECK_STATUS(pt_page(&f.space, m.va, 1, &leaf), PT_ERR_SIZE, space_text, name);
	CHECK_EQ(walked_pages(&f, (struct pt_range){ m.va, m.pages }), m.pages, name);
	CHECK_STATUS(pt_list_tables(&f.space, tables, 32, &count), PT_OK, space_text, name);
	CHECK_EQ(count, 5 - level, name);
	CHECK_STATUS(pt_audit(&f.space, tables, 32, &audit), PT_OK, space_text, name);
	CHECK_EQ(audit.leaves[level], 1, name);
	CHECK_STATUS(pt_map(&f.space, &small, 0, &f.flush), PT_ERR_OVERLAP, space_text, name);
	expect_untouched(&f, name);
	CHECK_STATUS(pt_unmap(&f.space, (struct pt_range){ virt(m.va.raw + 4096), 1 }, &f.flush),
		     PT_OK, space_text, name);
	CHECK(see(&f, m.va.raw).present && !see(&f, m.va.raw + 4096).present, name);
	release_all(&f, name);
	space_fixture_free(&f);
}

/* Bit 7 of a link of `level`, where there is no leaf of that size: SDM 3A tables 4-14, 4-15. */
static void expect_leaf_impossible(unsigned levels, unsigned level, const char *name)
{
	struct pt_cpu cpu = scene_cpu();
	struct pt_range page = { virt(0), 1 }, all;
	struct pt_mapping m = { virt(4096), phys(0), 1, RO };
	struct space_fixture f;
	struct pt_leaf leaf;
	struct pt_audit audit;
	struct pt_runs runs;
	phys_addr pa, tables[32];
	size_t count;

	cpu.levels = (uint8_t)levels;
	scene_init(&f, cpu);
	all = pt_lower_half(&cpu);
	scene_map(&f, (struct pt_mapping){ page.va, phys(0), 1, RO });
	*scene_entry(&f, 0, level) |= BIT_7;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_query(&f.space, page.va, &leaf), PT_ERR_CORRUPT, space_text, name);
	CHECK_STATUS(pt_translate(&f.space, page.va, &pa), PT_ERR_CORRUPT, space_text, name);
	CHECK_STATUS(pt_runs_start(&runs, &f.space, all, 100), PT_OK, space_text, name);
	CHECK_STATUS(pt_runs_next(&runs, &m), PT_ERR_CORRUPT, space_text, name);
	CHECK_STATUS(pt_list_tables(&f.space, tables, 32, &count), PT_ERR_CORRUPT, space_text,
		     name);
	CHECK_STATUS(pt_audit(&f.space, tables, 32, &audit), PT_ERR_CORRUPT, space_text, name);
	CHECK(pt_map(&f.space, &m, 0, &f.flush) != PT_OK, name);
	CHECK_STATUS(pt_protect(&f.space, page, RW, &f.flush), PT_ERR_CORRUPT, space_text, name);
	CHECK_STATUS(pt_unmap(&f.space, page, &f.flush), PT_ERR_CORRUPT, space_text, name);
	expect_untouched(&f, name);
	space_fixture_free(&f);
}

static void defect_08_bit_7_is_a_leaf_where_there_are_some_and_corrupt_above(void)
{
	expect_leaf_respected(2, "2 MiB");
	expect_leaf_respected(3, "1 GiB");
	expect_leaf_impossible(4, 4, "level 4 of 4");
	expect_leaf_impossible(5, 4, "level 4 of 5");
	expect_leaf_impossible(5, 5, "level 5 of 5");
}

/* ---- 9, 10 -------------------------------------------------------------------- */

/* PT_PAT_FULL has WP in entry 4: of the three index bits, PAT alone. */
static void defect_09_the_pat_bit_is_bit_7_of_a_page_and_bit_12_above(void)
{
	static const char *const names[] = { "", "4 KiB", "2 MiB", "1 GiB" };

	for (unsigned level = 1; level <= 3; level++) {
		uint64_t pat = level == 1 ? BIT_7 : BIT_12;
		struct space_fixture f;
		struct pt_leaf leaf = { .level = 0 };
		struct pt_mapping m = map_one(&f, level, WP);
		uint64_t *entry = scene_entry(&f, m.va.raw, level);
		phys_addr pa = phys(0);

		CHECK_EQ(*entry & (BIT_7 | BIT_12), pat | (level > 1 ? BIT_7 : 0), names[level]);
		CHECK_STATUS(pt_query(&f.space, virt(m.va.raw + 0x123), &leaf), PT_OK, space_text,
			     names[level]);
		CHECK_EQ(leaf.level, level, names[level]);
		CHECK_EQ(leaf.pa.raw, m.pa.raw, names[level]);
		CHECK_EQ(leaf.attr.cache, PT_WP, names[level]);
		CHECK_STATUS(pt_translate(&f.space, virt(m.va.raw + 0x123), &pa), PT_OK, space_text,
			     names[level]);
		CHECK_EQ(pa.raw, m.pa.raw + 0x123, names[level]);
		scene_expect_runs(&f, (struct pt_mapping[]){ m, { .pages = 0 } }, names[level]);
		CHECK_STATUS(pt_protect(&f.space, (struct pt_range){ m.va, m.pages }, RO, &f.flush),
			     PT_OK, space_text, names[level]);
		CHECK_EQ(*entry & (BIT_7 | BIT_12), level > 1 ? BIT_7 : 0, names[level]);
		CHECK_EQ(see(&f, m.va.raw).pa, m.pa.raw, names[level]);
		space_fixture_free(&f);
	}
}

/* A page of this size, asked for where the entry of `level` is a link, or a larger leaf. */
static void expect_kind_kept(unsigned leaf_level, unsigned level)
{
	struct space_fixture f;
	struct pt_mapping m = map_one(&f, leaf_level, RO);
	enum pt_status want = level == leaf_level ? PT_OK : PT_ERR_SIZE;
	uint64_t *entry = scene_entry(&f, m.va.raw, level < leaf_level ? leaf_level : level);
	uint64_t old = *entry;

	CHECK_STATUS(pt_page_protect(&f.space, m.va, level, WP, &f.flush), want, space_text,
		     "a page's flags");
	if (level != leaf_level)
		expect_untouched(&f, "a page's flags");
	*entry = old;
	f.flush = (struct pt_flush)PT_FLUSH_NONE;
	space_snapshot_take(&f.shot, &f.arena);
	if (level > 1 && level <= leaf_level) {
		CHECK_STATUS(pt_set_link(&f.space, m.va, level, PT_WRITE, &f.flush), PT_ERR_SIZE,
			     space_text, "a link's flags");
		expect_untouched(&f, "a link's flags");
	}
	space_fixture_free(&f);
}

/* Links that carry bits of the owner, changed in every way there is. */
static void expect_links_kept(uint32_t rights)
{
	const uint64_t rest = ~(BIT_W | BIT_U | UINT64_C(1) << 63);
	struct pt_options options = { .set_links = true, .links = rights };
	struct space_fixture f;
	struct pt_mapping m = map_one(&f, 1, WP), next = { virt(m.va.raw + 4096), phys(0), 1, WP };
	uint64_t old[5];

	for (unsigned level = 2; level <= 4; level++)
		old[level] = *scene_entry(&f, m.va.raw, level) |= 0xe00;
	CHECK_STATUS(pt_map(&f.space, &next, &options, &f.flush), PT_OK, space_text, "map");
	CHECK_STATUS(pt_protect(&f.space, (struct pt_range){ m.va, 2 }, WP, &f.flush), PT_OK,
		     space_text, "protect");
	for (unsigned level = 2; level <= 4; level++) {
		CHECK_STATUS(pt_set_link(&f.space, m.va, level, rights, &f.flush), PT_OK,
			     space_text, "a link's flags");
		CHECK_EQ(*scene_entry(&f, m.va.raw, level) & rest, old[level] & rest, "a link");
		CHECK_EQ(*scene_entry(&f, m.va.raw, level) & BIT_7, 0, "a link");
	}
	CHECK_EQ(see(&f, m.va.raw).pa, m.pa.raw, "what is linked");
	CHECK_EQ(see(&f, m.va.raw).level, 1, "what is linked");
	space_fixture_free(&f);
}

static void defect_10_a_link_stays_a_link_and_a_leaf_a_leaf(void)
{
	for (unsigned leaf_level = 1; leaf_level <= 3; leaf_level++) {
		for (unsigned level = 1; level <= 3; level++)
			expect_kind_kept(leaf_level, level);
	}
	for (uint32_t rights = 0; rights < 8; rights++)
		expect_links_kept((rights & 1 ? PT_WRITE : 0u) | (rights & 2 ? PT_EXEC : 0u) |
				  (rights & 4 ? PT_USER : 0u));
}

/* ---- 11, 12 ------------------------------------------------------------------- */

static const struct scene ONE_LEAF[] = {
	{ .name = "2 MiB in an empty space",
	  .with = SCENE_RUN(2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB),
	  .tables = 2,
	  .leaves = { 0, 0, 1 },
	  .after = { SCENE_RUN(2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB) } },
	{ .name = "1 GiB in an empty space",
	  .with = SCENE_RUN(GIB, 0, PAGES(GIB), 0, PT_WB),
	  .tables = 1,
	  .leaves = { 0, 0, 0, 1 },
	  .after = { SCENE_RUN(GIB, 0, PAGES(GIB), 0, PT_WB) } },
	{ .name = "2 MiB between pages",
	  .before = { SCENE_RUN(2 * MIB - 4096, 4096, 1, 0, PT_WB),
		      SCENE_RUN(4 * MIB, 8192, 1, 0, PT_WB) },
	  .with = SCENE_RUN(2 * MIB, 0, PAGES(2 * MIB), 0, PT_WC),
	  .leaves = { 0, 0, 1 },
	  .after = { SCENE_RUN(2 * MIB - 4096, 4096, 1, 0, PT_WB),
		     SCENE_RUN(2 * MIB, 0, PAGES(2 * MIB), 0, PT_WC),
		     SCENE_RUN(4 * MIB, 8192, 1, 0, PT_WB) } },
	{ .name = "1 GiB between pages",
	  .before = { SCENE_RUN(GIB - 4096, 4096, 1, 0, PT_WB),
		      SCENE_RUN(2 * GIB, 8192, 1, 0, PT_WB) },
	  .with = SCENE_RUN(GIB, 0, PAGES(GIB), 0, PT_WC),
	  .leaves = { 0, 0, 0, 1 },
	  .after = { SCENE_RUN(GIB - 4096, 4096, 1, 0, PT_WB),
		     SCENE_RUN(GIB, 0, PAGES(GIB), 0, PT_WC),
		     SCENE_RUN(2 * GIB, 8192, 1, 0, PT_WB) } },
	{ .name = "the last 2 MiB",
	  .with = SCENE_RUN(0 - 2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB),
	  .tables = 2,
	  .leaves = { 0, 0, 1 },
	  .after = { SCENE_RUN(0 - 2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB) } },
	{ .name = "the last 1 GiB",
	  .with = SCENE_RUN(0 - GIB, 0, PAGES(GIB), 0, PT_WB),
	  .tables = 1,
	  .leaves = { 0, 0, 0, 1 },
	  .after = { SCENE_RUN(0 - GIB, 0, PAGES(GIB), 0, PT_WB) } },
};

static void defect_11_a_range_of_exactly_one_large_leaf_becomes_one(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ONE_LEAF); i++) {
		struct scene scene = ONE_LEAF[i];

		scene_play(&scene, scene_cpu());
		scene.options.exact = true;
		scene.options.max_leaf = scene.leaves[3] ? 3 : 2;
		scene_play(&scene, scene_cpu());
	}
}

/* All the tables that a page needed are there; it is not. */
static void map_over_leftovers(unsigned level, enum pt_conflict conflict, const char *name)
{
	struct pt_options options = { .conflict = conflict };
	struct pt_mapping m = { virt(GIB), phys(GIB), level_pages(level), RO };
	struct space_fixture f;
	struct pt_plan plan = { 0 };
	size_t kept = 5 - level;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ m.va, phys(0), 1, RO });
	*scene_entry(&f, GIB, 1) = 0;
	f.arena.limit = space_taken(&f.arena);
	CHECK_STATUS(pt_plan_map(&f.space, &m, &options, &plan), PT_OK, space_text, name);
	CHECK_EQ(plan.leaves[level], 1, name);
	CHECK_EQ(plan.retired, 1, name);
	CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_OK, space_text, name);
	CHECK_EQ(see(&f, GIB).level, level, name);
	CHECK_EQ(pt_release(&f.space, &f.flush), level - 1, name);
	CHECK_EQ(space_taken(&f.arena), kept, name);
	release_all(&f, name);
	space_fixture_free(&f);
}

static void defect_12_a_leftover_table_gives_way_to_a_leaf_and_goes_back(void)
{
	map_over_leftovers(2, PT_REFUSE, "2 MiB");
	map_over_leftovers(3, PT_REFUSE, "1 GiB");
	map_over_leftovers(2, PT_REPLACE, "2 MiB, replacing");
	map_over_leftovers(3, PT_REPLACE, "1 GiB, replacing");
}

/* ---- 13 ----------------------------------------------------------------------- */

enum part_op { PART_PROTECT, PART_UNMAP, PART_REPLACE };

static void change_part(struct space_fixture *f, struct pt_range part, enum part_op op)
{
	const struct pt_options replace = { .conflict = PT_REPLACE };
	struct pt_mapping m = { part.va, phys(part.va.raw), part.pages, { PT_USER, PT_WC } };
	enum pt_status status = PT_OK;

	switch (op) {
	case PART_PROTECT:
		status = pt_protect(&f->space, part, m.attr, &f->flush);
		break;
	case PART_UNMAP:
		status = pt_unmap(&f->space, part, &f->flush);
		break;
	case PART_REPLACE:
		status = pt_map(&f->space, &m, &replace, &f->flush);
		break;
	}
	CHECK_STATUS(status, PT_OK, space_text, "a part of a leaf");
}

/* A page of the leaf, inside of the part that was changed or outside. */
static void expect_page_of(const struct space_fixture *f, uint64_t va, bool inside, enum part_op op)
{
	struct sdm_translation t = see(f, va);

	CHECK(!t.reserved, "split");
	CHECK_EQ(t.present, !inside || op != PART_UNMAP, "split");
	if (!t.present)
		return;
	CHECK_EQ(t.pa, va, "the stride");
	CHECK_EQ(t.type, inside ? PT_WC : PT_WP, "the PAT bit");
	CHECK_EQ(t.write, !inside, "write");
	CHECK_EQ(t.user, inside, "user");
	CHECK_EQ(t.exec, false, "exec");
	CHECK_EQ(t.global, !inside, "global");
	CHECK_EQ(t.accessed && t.dirty, !inside || op == PART_PROTECT, "accessed, dirty");
}

static void split_and_look(unsigned level, struct pt_range part, enum part_op op)
{
	struct pt_attr attr = { PT_WRITE | PT_GLOBAL | PT_ACCESSED | PT_DIRTY, PT_WP };
	struct space_fixture f;
	struct pt_mapping m = map_one(&f, level, attr);
	uint64_t around = align_down(part.va.raw, 2 * MIB);

	change_part(&f, part, op);
	for (uint64_t page = 0; page < m.pages; page += page % 512 == 0 ? 511 : 1)
		expect_page_of(&f, m.va.raw + page * 4096,
			       m.va.raw + page * 4096 - part.va.raw < part.pages * 4096, op);
	for (uint64_t va = around; va < around + 2 * MIB; va += 4096)
		expect_page_of(&f, va, va - part.va.raw < part.pages * 4096, op);
	release_all(&f, "split");
	space_fixture_free(&f);
}

static const struct {
	unsigned level;
	struct pt_range part;
} PARTS[] = {
	{ 2, { { 8 * GIB }, 1 } },
	{ 2, { { 8 * GIB + 7 * 4096 }, 3 } },
	{ 2, { { 8 * GIB + 2 * MIB - 4096 }, 1 } },
	{ 3, { { 8 * GIB }, 1 } },
	{ 3, { { 8 * GIB + 6 * MIB + 4096 }, 1 } },
	{ 3, { { 8 * GIB + 8 * MIB }, PAGES(2 * MIB) } },
	{ 3, { { 8 * GIB + 9 * MIB }, PAGES(2 * MIB) } },
	{ 3, { { 9 * GIB - 4096 }, 1 } },
};

static void defect_13_a_part_of_a_large_leaf_changes_and_the_rest_stays(void)
{
	for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
		split_and_look(PARTS[i].level, PARTS[i].part, PART_PROTECT);
		split_and_look(PARTS[i].level, PARTS[i].part, PART_UNMAP);
		split_and_look(PARTS[i].level, PARTS[i].part, PART_REPLACE);
	}
}

/* ---- 16 ----------------------------------------------------------------------- */

enum trap { TRAP_ONE_LINK, TRAP_ALL_LINKS };

/* The link of `level` on the way to 0 is replaced; its target is there, or so far from the root. */
static const struct {
	const char *name;
	unsigned level;
	enum trap trap;
	uint64_t target, beyond;
	bool corrupt; /* else linked twice */
} TRAPS[] = {
	{ "the root links to itself", 4, TRAP_ONE_LINK, 0, 0, false },
	{ "a table of 512 GiB links to the root", 3, TRAP_ONE_LINK, 0, 0, false },
	{ "a table of 1 GiB links to the root", 2, TRAP_ONE_LINK, 0, 0, false },
	{ "all of the root links to itself", 4, TRAP_ALL_LINKS, 0, 0, false },
	{ "all of a table of 512 GiB links to the root", 3, TRAP_ALL_LINKS, 0, 0, false },
	{ "all of a table of 1 GiB links to the root", 2, TRAP_ALL_LINKS, 0, 0, false },
	{ "level 4: no table there", 4, TRAP_ONE_LINK, 0x1000, 0, true },
	{ "level 3: no table there", 3, TRAP_ONE_LINK, 0x1000, 0, true },
	{ "level 2: no table there", 2, TRAP_ONE_LINK, 0x1000, 0, true },
	{ "a table just before memory", 2, TRAP_ONE_LINK, SPACE_BASE - 4096, 0, true },
	{ "a table just behind memory", 2, TRAP_ONE_LINK, SPACE_BASE + 32 * 4096, 0, true },
	{ "a table beyond the width", 2, TRAP_ONE_LINK, 0, UINT64_C(1) << 50, true },
	{ "the largest address there is", 4, TRAP_ALL_LINKS, UINT64_C(0xffffffffff000), 0, true },
};

/* How many entries a walk shows within the budget. */
static enum pt_status walk_all(const struct space_fixture *f, uint64_t budget, uint64_t *ret_count)
{
	struct pt_walk walk;
	struct pt_entry entry;
	uint64_t count = 0;
	enum pt_status status = pt_walk_start(&walk, &f->space, pt_lower_half(&f->space.cpu),
					      budget);

	while (status == PT_OK && count <= 512 * budget) {
		status = pt_walk_next(&walk, &entry);
		count += status == PT_OK;
	}
	*ret_count = count;
	return status;
}

static void expect_reads_to_end(const struct space_fixture *f, bool corrupt, const char *name)
{
	struct pt_runs runs;
	struct pt_mapping run;
	struct pt_leaf leaf;
	struct pt_audit audit;
	phys_addr pa, tables[64];
	size_t listed;
	uint64_t count = 0;
	enum pt_status status = walk_all(f, 40, &count);

	CHECK(status == (corrupt ? PT_ERR_CORRUPT : PT_ERR_NOT_MAPPED) || status == PT_ERR_BUDGET,
	      name);
	CHECK(count <= UINT64_C(512) * 40, name);
	CHECK_STATUS(pt_runs_start(&runs, &f->space, pt_lower_half(&f->space.cpu), 40), PT_OK,
		     space_text, name);
	for (count = 0; count <= UINT64_C(512) * 40 && pt_runs_next(&runs, &run) == PT_OK;)
		count++;
	CHECK(count <= UINT64_C(512) * 40, name);
	/* One link of the root to itself is a recursive slot. */
	status = pt_audit(&f->space, tables, 64, &audit);
	CHECK(status == (corrupt ? PT_ERR_CORRUPT : PT_ERR_SHARED) ||
		      (status == PT_OK && audit.self_links == 1 && audit.tables == 1),
	      name);
	status = pt_list_tables(&f->space, tables, 64, &listed);
	CHECK(corrupt ? status == PT_ERR_CORRUPT : status == PT_OK || status == PT_ERR_BUDGET,
	      name);
	status = pt_query(&f->space, virt(0), &leaf);
	CHECK(corrupt ? status == PT_ERR_CORRUPT : status == PT_OK || status == PT_ERR_CORRUPT,
	      name);
	CHECK_STATUS(pt_translate(&f->space, virt(0), &pa), status, space_text, name);
	expect_untouched(f, name);
}

static void fall_into_trap(size_t i)
{
	struct space_fixture f;
	uint64_t *table, target;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
	table = scene_entry(&f, 0, TRAPS[i].level);
	target = TRAPS[i].target ? TRAPS[i].target : f.space.root.raw | TRAPS[i].beyond;
	for (unsigned e = 0; e < (TRAPS[i].trap == TRAP_ALL_LINKS ? 512 : 1); e++)
		table[e] = target | 1;
	space_snapshot_take(&f.shot, &f.arena);
	expect_reads_to_end(&f, TRAPS[i].corrupt, TRAPS[i].name);
	space_fixture_free(&f);
}

/* One table at each level, linked 512 times from the one above: 2^36 ways and no cycle. */
static void fall_into_lattice(void)
{
	struct space_fixture f;
	uint64_t count;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
	for (unsigned level = 1; level <= 4; level++) {
		uint64_t *table = scene_entry(&f, 0, level);

		for (unsigned e = 1; e < 512; e++)
			table[e] = table[0];
	}
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(walk_all(&f, 40, &count), PT_ERR_BUDGET, space_text, "lattice");
	expect_reads_to_end(&f, false, "lattice");
	space_fixture_free(&f);
}

static void defect_16_hostile_tables_end_every_read_within_its_budget(void)
{
	for (size_t i = 0; i < ARRAY_LEN(TRAPS); i++)
		fall_into_trap(i);
	fall_into_lattice();
}

/* ---- 17 ----------------------------------------------------------------------- */

enum { ORDER_TABLES = 16, ORDER_PROBES = 6 };

enum order_op { ORDER_MAP, ORDER_REPLACE, ORDER_PROTECT, ORDER_COLLAPSE };

/*
 * A call, looked at after each store. What a table holds when a link to
 * it is first seen is kept, and must be what it holds after the call.
 */
struct order {
	struct space_fixture f;
	enum order_op op;
	struct pt_mapping m;
	bool complete; /* all pages are mapped all the time */
	enum pt_status status;
	bool is_seen[ORDER_TABLES];
	unsigned char seen[ORDER_TABLES][4096];
	uint64_t broken; /* links to what is no table, pages that are wrong */
};

static const uint64_t ORDER_VAS[ORDER_PROBES] = {
	0, 4096, 2 * MIB - 4096, 2 * MIB, GIB - 4096, GIB
};

static void order_visit(struct order *o, uint64_t table)
{
	size_t number = (size_t)((table - SPACE_BASE) / 4096);

	if (!o->is_seen[number])
		memcpy(o->seen[number], space_table(&o->f.arena, phys(table)), 4096);
	o->is_seen[number] = true;
}

/* Walks to one address by links alone; every page is mapped one to one or not at all. */
static void order_walk(struct order *o, uint64_t va)
{
	uint64_t table = o->f.space.root.raw;

	for (unsigned level = 4; level >= 1; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t e = space_table(&o->f.arena, phys(table))[(va >> shift) % 512];
		uint64_t address = e & UINT64_C(0xffffffffff000);

		if (!(e & 1)) {
			o->broken += o->complete;
			return;
		}
		if (level == 1 || (e & BIT_7)) {
			o->broken += (address ^ va) >> shift != 0;
			return;
		}
		if (address < SPACE_BASE || (address - SPACE_BASE) / 4096 >= ORDER_TABLES) {
			o->broken++;
			return;
		}
		order_visit(o, address);
		table = address;
	}
}

static void order_look(void *ctx)
{
	for (size_t i = 0; i < ORDER_PROBES; i++)
		order_walk(ctx, ORDER_VAS[i]);
}

static void order_call(void *ctx)
{
	struct order *o = ctx;
	struct pt_range range = { o->m.va, o->m.pages };
	const struct pt_options options = { .conflict = o->op == ORDER_REPLACE ? PT_REPLACE
									       : PT_REFUSE };

	if (o->op == ORDER_COLLAPSE)
		o->status = pt_collapse(&o->f.space, range, &o->f.flush);
	else if (o->op == ORDER_PROTECT)
		o->status = pt_protect(&o->f.space, range, o->m.attr, &o->f.flush);
	else
		o->status = pt_map(&o->f.space, &o->m, &options, &o->f.flush);
}

/* `tables` of the tables that the call takes are on the way to an address looked at. */
static void step_through(struct order *o, size_t tables, const char *name)
{
	size_t linked = 0;
	struct stepper stepper = { order_call, order_look, o, o->f.arena.bytes,
				   o->f.arena.count * 4096 };
	uint64_t stores;

	space_snapshot_take(&o->f.shot, &o->f.arena);
	memset(o->is_seen, 0, sizeof(o->is_seen));
	stores = stepper_run(&stepper);
	CHECK_STATUS(o->status, PT_OK, space_text, name);
	CHECK(stores > 0, name);
	CHECK_EQ(o->broken, 0, name);
	for (size_t i = 0; i < ORDER_TABLES; i++) {
		phys_addr table = phys(SPACE_BASE + i * 4096);

		if (!o->is_seen[i] || o->f.shot.is_taken[i])
			continue;
		linked++;
		/* A split says what the leaf did; changes of it come after, one by one. */
		CHECK(o->complete || memcmp(o->seen[i], space_table(&o->f.arena, table), 4096) == 0,
		      name);
	}
	CHECK_EQ(linked, tables, name);
}

static void order_init(struct order *ret_order, uint64_t pages)
{
	struct pt_cpu cpu = scene_cpu();

	*ret_order = (struct order){ .op = ORDER_MAP, .complete = pages != 0 };
	space_fixture_init(&ret_order->f, &cpu, ORDER_TABLES, false);
	scene_map(&ret_order->f, (struct pt_mapping){ virt(0), phys(0), pages, RO });
}

static void defect_17_a_table_is_complete_before_a_link_to_it_is_stored(void)
{
	struct order o;

	order_init(&o, 0);
	o.m = (struct pt_mapping){ virt(4096), phys(4096), 1, RO };
	step_through(&o, 3, "a page in an empty space");
	space_fixture_free(&o.f);
	order_init(&o, 0);
	o.m = (struct pt_mapping){ virt(GIB - 4096), phys(GIB - 4096), 2, RO };
	step_through(&o, 5, "two pages in five tables");
	space_fixture_free(&o.f);
}

/* One after the other: a page is cut out of 1 GiB and goes back into it. */
static void defect_17_no_page_is_missing_while_leaves_are_split_and_put_together(void)
{
	static const struct {
		const char *name;
		enum order_op op;
		uint64_t pages;
		uint32_t flags;
		size_t tables;
		unsigned level; /* of the last leaf in the first 1 GiB afterwards */
	} rows[] = {
		{ "1 GiB protected", ORDER_PROTECT, PAGES(GIB), PT_USER, 0, 3 },
		{ "back again", ORDER_PROTECT, PAGES(GIB), 0, 0, 3 },
		{ "a page of 1 GiB protected", ORDER_PROTECT, 1, PT_WRITE, 2, 2 },
		{ "that page replaced", ORDER_REPLACE, 1, PT_EXEC, 0, 2 },
		{ "a table of pages protected", ORDER_PROTECT, PAGES(2 * MIB), 0, 0, 2 },
		{ "all put together", ORDER_COLLAPSE, 1, 0, 0, 3 },
		{ "a page of 1 GiB replaced", ORDER_REPLACE, 1, PT_EXEC, 2, 2 },
		{ "1 GiB replaced", ORDER_REPLACE, PAGES(GIB), 0, 0, 3 },
	};
	struct order o;

	order_init(&o, PAGES(2 * GIB));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		o.op = rows[i].op;
		o.m = (struct pt_mapping){
			virt(0), phys(0), rows[i].pages, { rows[i].flags, PT_WB }
		};
		step_through(&o, rows[i].tables, rows[i].name);
		release_all(&o.f, rows[i].name);
		CHECK_EQ(see(&o.f, GIB - 4096).level, rows[i].level, rows[i].name);
	}
	space_fixture_free(&o.f);
}

/* ---- 18 ----------------------------------------------------------------------- */

static void defect_18_no_table_goes_back_before_its_flush_is_released(void)
{
	struct pt_range all = { virt(0), PAGES(512 * GIB) };
	struct space_fixture f;
	size_t taken;
	uint64_t *leaf;

	prepare_sizes(&f);
	leaf = scene_entry(&f, 5 * 4096, 1);
	taken = space_taken(&f.arena);
	CHECK_STATUS(pt_unmap(&f.space, all, &f.flush), PT_OK, space_text, "unmap");
	CHECK_EQ(space_taken(&f.arena), taken, "before the release");
	CHECK_EQ(*leaf & 1, 1, "who is still there finds what was there");
	CHECK_EQ(pt_release(&f.space, &f.flush), taken - 1, "the release");
	CHECK_EQ(space_taken(&f.arena), 1, "after the release");
	CHECK_EQ(f.arena.misuses, 0, "the release");
	space_fixture_free(&f);
}

/* ---- 19 ----------------------------------------------------------------------- */

static void expect_global(unsigned level, bool whole, enum part_op op, bool global)
{
	struct space_fixture f;
	struct pt_mapping m = map_one(&f, level, (struct pt_attr){ global ? PT_GLOBAL : 0, PT_WB });
	struct pt_range part = { virt(m.va.raw + (m.pages - 1) * 4096), 1 };

	change_part(&f, whole ? (struct pt_range){ m.va, m.pages } : part, op);
	CHECK_EQ(f.flush.global, global, "a leaf");
	CHECK(f.flush.va.raw <= part.va.raw, "a leaf");
	CHECK(part.va.raw - f.flush.va.raw < f.flush.pages * 4096, "a leaf");
	space_fixture_free(&f);
}

/* Tables full of global pages, dropped unread, replaced, or put together. */
static void expect_global_tables(void)
{
	const struct pt_options small = { .max_leaf = 1 }, replace = { .conflict = PT_REPLACE };
	struct pt_mapping m = { virt(2 * MIB), phys(2 * MIB), 512, { PT_GLOBAL, PT_WB } };
	struct pt_range range = { m.va, m.pages };

	for (unsigned i = 0; i < 3; i++) {
		struct space_fixture f;

		scene_init(&f, scene_cpu());
		CHECK_STATUS(pt_map(&f.space, &m, &small, &f.flush), PT_OK, space_text, "map");
		CHECK(!f.flush.global && f.flush.pages == 0, "nothing to forget yet");
		CHECK_STATUS(i == 0   ? pt_unmap(&f.space, range, &f.flush)
			     : i == 1 ? pt_collapse(&f.space, range, &f.flush)
				      : pt_map(&f.space, &m, &replace, &f.flush),
			     PT_OK, space_text, "a table");
		CHECK(f.flush.global, "a table of global pages");
		CHECK(f.flush.va.raw <= m.va.raw && f.flush.pages >= 512, "all of it");
		space_fixture_free(&f);
	}
}

static void defect_19_a_global_leaf_that_changes_asks_for_a_global_flush(void)
{
	for (unsigned i = 0; i < 12; i++) {
		unsigned level = 1 + i / 4;

		for (enum part_op op = PART_PROTECT; op <= PART_REPLACE; op++)
			expect_global(level, i & 1, op, i & 2);
	}
	expect_global_tables();
}

/* ---- 20 ----------------------------------------------------------------------- */

/* Entries that are not present, and whose other bits are anything. */
static const struct {
	const char *name;
	uint64_t entry;
} SOFT[] = {
	{ "a number", 0xabc00 },
	{ "what would be writable", BIT_W },
	{ "what would be a large leaf", BIT_7 | 0x200000 },
	{ "the highest bit", UINT64_C(1) << 63 },
	{ "what would be a table", SPACE_BASE | 6 },
};

/* One of them at `level`, on the way to 4 TiB, with a neighbour in the same table. */
static void prepare_soft(struct space_fixture *f, unsigned level, uint64_t entry)
{
	uint64_t va = 4096 * GIB;

	scene_init(f, scene_cpu());
	scene_map(f, (struct pt_mapping){ virt(va + level_size(level)), phys(0), 1, RO });
	*scene_entry(f, va, level) = entry;
	space_snapshot_take(&f->shot, &f->arena);
}

static void expect_soft_stays(struct space_fixture *f, unsigned level, const char *name)
{
	struct pt_range all = { virt(4096 * GIB), level_pages(level) };
	struct pt_mapping m = { all.va, phys(0), all.pages, RO };
	const struct pt_options keep = { .conflict = PT_KEEP };
	struct pt_walk walk;
	struct pt_entry entry;
	struct pt_leaf leaf;
	phys_addr pa;

	CHECK_STATUS(pt_query(&f->space, all.va, &leaf), PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_STATUS(pt_translate(&f->space, all.va, &pa), PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_STATUS(pt_map(&f->space, &m, 0, &f->flush), PT_ERR_OVERLAP, space_text, name);
	CHECK_STATUS(pt_map(&f->space, &m, &keep, &f->flush), PT_ERR_OVERLAP, space_text, name);
	CHECK_STATUS(pt_protect(&f->space, all, RW, &f->flush), PT_OK, space_text, name);
	CHECK_STATUS(pt_clean(&f->space, all, &f->flush), PT_OK, space_text, name);
	CHECK_STATUS(pt_collapse(&f->space, all, &f->flush), PT_OK, space_text, name);
	CHECK_STATUS(pt_walk_start(&walk, &f->space, all, 10), PT_OK, space_text, name);
	for (unsigned l = 4; l >= level; l--)
		CHECK_STATUS(pt_walk_next(&walk, &entry), PT_OK, space_text, name);
	CHECK_EQ(entry.kind, PTE_SOFT, name);
	CHECK_EQ(entry.at.level, level, name);
	if (level > 1) {
		all.pages = m.pages = 1;
		CHECK_STATUS(pt_unmap(&f->space, all, &f->flush), PT_ERR_SOFT, space_text, name);
		CHECK_STATUS(pt_map(&f->space, &m, 0, &f->flush), PT_ERR_OVERLAP, space_text, name);
	}
	expect_untouched(f, name);
}

static void defect_20_an_entry_not_present_and_not_zero_means_one_thing(void)
{
	const struct pt_options replace = { .conflict = PT_REPLACE };

	for (size_t i = 0; i < 4 * ARRAY_LEN(SOFT); i++) {
		const char *name = SOFT[i / 4].name;
		unsigned level = 1 + (unsigned)i % 4;
		struct pt_range all = { virt(4096 * GIB), level_pages(level) };
		struct pt_mapping m = { all.va, phys(0), all.pages, RO };
		struct space_fixture f;

		prepare_soft(&f, level, SOFT[i / 4].entry);
		expect_soft_stays(&f, level, name);
		CHECK_STATUS(pt_unmap(&f.space, all, &f.flush), PT_OK, space_text, name);
		CHECK_EQ(*scene_entry(&f, all.va.raw, level), 0, name);
		*scene_entry(&f, all.va.raw, level) = SOFT[i / 4].entry;
		CHECK_STATUS(pt_map(&f.space, &m, &replace, &f.flush), PT_OK, space_text, name);
		CHECK(see(&f, all.va.raw).present, name);
		CHECK_EQ(see(&f, all.va.raw + 0xfff).pa, 0xfff, name);
		release_all(&f, name);
		space_fixture_free(&f);
	}
}

/* ---- 21 ----------------------------------------------------------------------- */

/* 4 GiB at 0, again as a linear window, and the kernel's own window on the last of it. */
static void defect_21_windows_on_the_same_memory_show_nowhere_else(void)
{
	static const struct pt_mapping windows[] = {
		SCENE_RUN(0, 0, PAGES(4 * GIB), PT_WRITE, PT_WB),
		SCENE_RUN(UPPER, 0, PAGES(4 * GIB), PT_WRITE, PT_WB),
		SCENE_RUN(0 - 2 * GIB, 0, PAGES(GIB), PT_EXEC, PT_WB),
		{ .pages = 0 },
	};
	const uint64_t bases[] = { 0, UPPER, 0 - 512 * GIB };
	struct space_fixture f;
	struct pt_audit audit;
	phys_addr tables[32];

	scene_init(&f, scene_cpu());
	for (size_t i = 0; i < 3; i++)
		scene_map(&f, windows[i]);
	scene_expect_runs(&f, windows, "the windows and nothing else");
	CHECK_STATUS(pt_audit(&f.space, tables, 32, &audit), PT_OK, space_text, "audit");
	for (size_t i = 0; i < 3 * 512; i++) {
		uint64_t index = i % 512;
		bool mapped = i / 512 == 2 ? index == 510 : index < 4;

		CHECK_EQ(see(&f, bases[i / 512] + index * GIB).present, mapped, "1 GiB");
	}
	CHECK_EQ(sdm_count_tables(&f.arena, &f.space.cpu, f.space.root), 4, "none is shared");
	space_fixture_free(&f);
}

/* ---- 22 ----------------------------------------------------------------------- */

static void expect_used(const struct space_fixture *f, uint64_t va, const char *name)
{
	CHECK(see(f, va).accessed, name);
	CHECK(see(f, va).dirty, name);
}

static void defect_22_accessed_and_dirty_bits_that_are_set_survive(void)
{
	for (unsigned level = 1; level <= 3; level++) {
		struct space_fixture f;
		struct pt_mapping m = map_one(&f, level, RO);
		struct pt_range all = { m.va, m.pages }, first = { m.va, 1 };

		*scene_entry(&f, m.va.raw, level) |= BIT_A | BIT_D;
		CHECK_STATUS(pt_protect(&f.space, all, RW, &f.flush), PT_OK, space_text, "protect");
		expect_used(&f, m.va.raw, "protect");
		CHECK_STATUS(pt_page_protect(&f.space, m.va, level, WP, &f.flush), PT_OK,
			     space_text, "page");
		expect_used(&f, m.va.raw, "page");
		CHECK_STATUS(pt_protect(&f.space, first, RW, &f.flush), PT_OK, space_text, "split");
		expect_used(&f, m.va.raw, "split: the part");
		expect_used(&f, m.va.raw + (m.pages - 1) * 4096, "split: the rest");
		CHECK_STATUS(pt_protect(&f.space, first, WP, &f.flush), PT_OK, space_text, "back");
		*scene_entry(&f, m.va.raw, 1) &= ~(level > 1 ? BIT_A | BIT_D : 0);
		CHECK_STATUS(pt_collapse(&f.space, all, &f.flush), PT_OK, space_text, "collapse");
		CHECK_EQ(see(&f, m.va.raw).level, level, "collapse");
		expect_used(&f, m.va.raw, "collapse");
		release_all(&f, "collapse");
		space_fixture_free(&f);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(defect_01_a_refused_map_leaves_every_entry_as_it_was);
	RUN(defect_02_a_starved_call_leaves_tables_and_allocator_as_they_were);
	RUN(defect_03_the_last_page_is_a_page_like_any_other);
	RUN(defect_04_nothing_reaches_into_or_across_the_canonical_hole);
	RUN(defect_05_a_base_and_a_length_cannot_wrap);
	RUN(defect_06_unmapping_a_hole_takes_no_table);
	RUN(defect_07_looking_takes_no_table);
	RUN(defect_08_bit_7_is_a_leaf_where_there_are_some_and_corrupt_above);
	RUN(defect_09_the_pat_bit_is_bit_7_of_a_page_and_bit_12_above);
	RUN(defect_10_a_link_stays_a_link_and_a_leaf_a_leaf);
	RUN(defect_11_a_range_of_exactly_one_large_leaf_becomes_one);
	RUN(defect_12_a_leftover_table_gives_way_to_a_leaf_and_goes_back);
	RUN(defect_13_a_part_of_a_large_leaf_changes_and_the_rest_stays);
	RUN(defect_16_hostile_tables_end_every_read_within_its_budget);
	RUN(defect_17_a_table_is_complete_before_a_link_to_it_is_stored);
	RUN(defect_17_no_page_is_missing_while_leaves_are_split_and_put_together);
	RUN(defect_18_no_table_goes_back_before_its_flush_is_released);
	RUN(defect_19_a_global_leaf_that_changes_asks_for_a_global_flush);
	RUN(defect_20_an_entry_not_present_and_not_zero_means_one_thing);
	RUN(defect_21_windows_on_the_same_memory_show_nowhere_else);
	RUN(defect_22_accessed_and_dirty_bits_that_are_set_survive);
	return check_done();
}
