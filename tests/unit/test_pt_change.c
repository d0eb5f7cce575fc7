/*
 * The calls of paging/pt.h that change a space that is in use, on x86-64:
 * foreign links, tables that come and go, unmap and protect. A number in a
 * test's name is that of a defect once found in other mappers.
 */
#include "tests/check.h"
#include "tests/fake/scene.h"

#define LAST_PAGE UINT64_C(0xfffffffffffff000)

static const struct pt_attr RO = { 0, PT_WB }, RW = { PT_WRITE, PT_WB }, RX = { PT_EXEC, PT_WB };

/* ------------------------------------------------------------------------
 * Links
 */

/* Clears W, clears U, or sets XD in a link of each level. */
static void a_link_that_withholds_a_right_is_refused_by_name(void)
{
	static const struct {
		const char *name;
		uint64_t clear, set;
		uint32_t flags;
		enum pt_status status;
	} rows[] = {
		{ "writing through a read-only link", 2, 0, PT_WRITE, PT_ERR_LINK },
		{ "reading through a read-only link", 2, 0, 0, PT_OK },
		{ "user rights through a supervisor link", 4, 0, PT_USER, PT_ERR_LINK },
		{ "writing through a supervisor link", 4, 0, PT_WRITE, PT_OK },
		{ "execution through an XD link", 0, UINT64_C(1) << 63, PT_EXEC, PT_ERR_LINK },
		{ "user rights through an XD link", 0, UINT64_C(1) << 63, PT_USER, PT_OK },
		{ "a global page through a read-only link", 2, 0, PT_GLOBAL, PT_OK },
	};

	for (size_t i = 0; i < 3 * ARRAY_LEN(rows); i++) {
		size_t row = i % ARRAY_LEN(rows);
		unsigned level = 2 + (unsigned)(i / ARRAY_LEN(rows));
		struct pt_mapping m = { virt(0), phys(0), 1, { rows[row].flags, PT_WB } };
		struct pt_range old = { virt(4096), 1 };
		struct space_fixture f;
		struct pt_plan plan;
		uint64_t *link;

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ old.va, phys(MIB), 1, RO });
		link = scene_entry(&f, 0, level);
		*link = (*link & ~rows[row].clear) | rows[row].set;
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(pt_plan_map(&f.space, &m, 0, &plan), rows[row].status, space_text,
			     rows[row].name);
		CHECK_STATUS(pt_map(&f.space, &m, 0, &f.flush), rows[row].status, space_text,
			     rows[row].name);
		CHECK_EQ(space_snapshot_equal(&f.shot, &f.arena), rows[row].status != PT_OK,
			 rows[row].name);
		CHECK_STATUS(pt_protect(&f.space, old, m.attr, &f.flush), rows[row].status,
			     space_text, rows[row].name);
		CHECK_EQ(f.flush.pages, rows[row].status == PT_OK, rows[row].name);
		space_fixture_free(&f);
	}
}

/* Links lead a writer astray: reserved bits, no table there, a leaf where none can be. */
static void defects_8_and_16_a_broken_link_stops_every_change(void)
{
	static const struct {
		const char *name;
		unsigned level;
		uint64_t entry;
	} rows[] = {
		{ "level 4: a table out of reach", 4, 0x1000 | 7 },
		{ "level 3: a table out of reach", 3, 0x1000 | 7 },
		{ "level 2: a table out of reach", 2, 0x1000 | 7 },
		{ "level 2: a table one page before the arena", 2, (SPACE_BASE - 4096) | 7 },
		{ "level 2: a table one page behind it", 2, (SPACE_BASE + 32 * 4096) | 7 },
		{ "level 4: an address beyond the width", 4, SPACE_BASE | UINT64_C(1) << 46 | 7 },
		{ "level 3: an address beyond the width", 3, SPACE_BASE | UINT64_C(1) << 51 | 7 },
		{ "#8: level 4: a leaf", 4, 0x83 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_mapping m = { virt(4096), phys(0), 1, RO };
		struct pt_range range = { virt(4096), 1 };
		struct space_fixture f;
		struct pt_plan plan;
		enum pt_status status;

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
		*scene_entry(&f, 0, rows[i].level) = rows[i].entry;
		space_snapshot_take(&f.shot, &f.arena);
		status = pt_map(&f.space, &m, 0, &f.flush);
		CHECK(status == PT_ERR_CORRUPT ||
			      (status == PT_ERR_OVERLAP && rows[i].entry == 0x83),
		      rows[i].name);
		CHECK_STATUS(pt_protect(&f.space, range, RW, &f.flush), PT_ERR_CORRUPT, space_text,
			     rows[i].name);
		CHECK_STATUS(pt_unmap(&f.space, range, &f.flush), PT_ERR_CORRUPT, space_text,
			     rows[i].name);
		CHECK_STATUS(pt_plan_unmap(&f.space, range, &plan), PT_ERR_CORRUPT, space_text,
			     rows[i].name);
		CHECK_EQ(plan.where.raw, 4096, rows[i].name);
		CHECK_EQ(f.flush.pages, 0, rows[i].name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), rows[i].name);
		space_fixture_free(&f);
	}
}

static void a_broken_leaf_is_neither_split_nor_protected_but_can_be_unmapped(void)
{
	struct pt_range whole = { virt(2 * MIB), PAGES(2 * MIB) }, part = { virt(2 * MIB), 1 };
	struct space_fixture f;
	uint64_t *leaf;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ whole.va, phys(2 * MIB), whole.pages, RO });
	leaf = scene_entry(&f, 2 * MIB, 2);
	*leaf |= 0x2000; /* below the address of a 2 MiB leaf: SDM 3A table 4-18 */
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_protect(&f.space, whole, RW, &f.flush), PT_ERR_CORRUPT, space_text,
		     "protect all");
	CHECK_STATUS(pt_protect(&f.space, part, RW, &f.flush), PT_ERR_CORRUPT, space_text,
		     "protect a part");
	CHECK_STATUS(pt_unmap(&f.space, part, &f.flush), PT_ERR_CORRUPT, space_text,
		     "unmap a part");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "refused");
	CHECK_STATUS(pt_unmap(&f.space, whole, &f.flush), PT_OK, space_text, "unmap all");
	scene_expect_runs(&f, &(struct pt_mapping){ .pages = 0 }, "unmap all");
	space_fixture_free(&f);
}

static void a_link_out_of_reach_can_be_unmapped_as_a_whole(void)
{
	struct pt_range whole = { virt(2 * MIB), PAGES(2 * MIB) };
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
	*scene_entry(&f, 2 * MIB, 2) = 0x1007;
	CHECK_STATUS(pt_unmap(&f.space, whole, &f.flush), PT_OK, space_text, "unmap");
	CHECK_EQ(*scene_entry(&f, 2 * MIB, 2), 0, "unmap");
	CHECK_EQ(f.flush.pages, 512, "unmap");
	CHECK_EQ(pt_release(&f.space, &f.flush), 0, "there is nothing to give back");
	space_fixture_free(&f);
}

static void a_root_out_of_reach_stops_every_change(void)
{
	struct pt_mapping m = { virt(0), phys(0), 1, RO };
	struct pt_range range = { virt(0), 1 };
	struct space_fixture f;
	struct pt_plan plan;

	scene_init(&f, scene_cpu());
	f.space.mem = (struct pt_mem){ .table = scene_no_table };
	CHECK_STATUS(pt_map(&f.space, &m, 0, &f.flush), PT_ERR_CORRUPT, space_text, "map");
	CHECK_STATUS(pt_unmap(&f.space, range, &f.flush), PT_ERR_CORRUPT, space_text, "unmap");
	CHECK_STATUS(pt_protect(&f.space, range, RO, &f.flush), PT_ERR_CORRUPT, space_text,
		     "protect");
	CHECK_STATUS(pt_plan_map(&f.space, &m, 0, &plan), PT_ERR_CORRUPT, space_text, "plan");
	space_fixture_free(&f);
}

/* The allocator's tables beyond the window; the root is within. */
static void tables_that_cannot_be_reached_go_back_to_the_allocator(void)
{
	struct pt_mapping m = { virt(0), phys(0), 1, RO };
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	f.space.mem.window = f.root;
	f.space.mem.first = f.space.mem.last = f.space.root;
	CHECK_STATUS(pt_map(&f.space, &m, 0, &f.flush), PT_ERR_CORRUPT, space_text, "map");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "map");
	CHECK_EQ(f.arena.misuses, 0, "map");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Tables of a change
 */

/* The tree below the root, checked each time the core asks for a table. */
struct observer {
	struct space_fixture *fixture;
	struct pt_mem arena;
	bool complete; /* all pages but the sixth are mapped all the time */
	uint64_t lookups, broken;
};

static void *observe(void *ctx, phys_addr table, virt_addr va, unsigned level)
{
	struct observer *o = ctx;
	const struct space_fixture *f = o->fixture;
	const uint64_t probes[] = { 0, 4096, 5 * 4096, 2 * MIB, 2 * MIB + 4096, GIB };

	o->lookups++;
	for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
		struct sdm_translation t = sdm_translate(&f->arena, &f->space.cpu, f->space.root,
							 probes[i]);

		o->broken += t.reserved || (t.present && t.pa != probes[i]);
		o->broken += o->complete && !t.present && i != 2;
	}
	return o->arena.table(o->arena.ctx, table, va, level);
}

static void defect_17_a_table_is_complete_before_it_is_linked(void)
{
	struct pt_range part = { virt(5 * 4096), 1 }, most = { virt(0), PAGES(GIB) - 1 };
	struct space_fixture f;
	struct observer o = { .fixture = &f };

	scene_init(&f, scene_cpu());
	o.arena = space_callback(&f.arena);
	f.space.mem = (struct pt_mem){ .table = observe, .ctx = &o };
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), PAGES(2 * GIB), RO });
	o.complete = true;
	CHECK_STATUS(pt_protect(&f.space, part, RW, &f.flush), PT_OK, space_text, "protect");
	CHECK_STATUS(pt_unmap(&f.space, part, &f.flush), PT_OK, space_text, "unmap");
	o.complete = false;
	CHECK_STATUS(pt_unmap(&f.space, most, &f.flush), PT_OK, space_text, "unmap");
	scene_map(&f, (struct pt_mapping){ virt(4096), phys(4096), 9, RX });
	CHECK(o.lookups > 20, "the tables were looked up");
	CHECK_EQ(o.broken, 0, "every state on the way translates right or not at all");
	pt_release(&f.space, &f.flush);
	space_fixture_free(&f);
}

static void the_callback_is_called_for_tables_and_not_for_entries(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct pt_mapping m = { virt(4096), phys(0), PAGES(4 * MIB), RO };
	struct pt_leaf leaf;
	struct space_fixture f;

	space_fixture_init(&f, &cpu, 16, true);
	scene_map(&f, m);
	CHECK(f.arena.lookups < 40, "mapping 1,024 pages in six tables");
	f.arena.lookups = 0;
	CHECK_STATUS(pt_query(&f.space, m.va, &leaf), PT_OK, space_text, "query");
	CHECK_EQ(f.arena.lookups, 4, "query");
	CHECK_EQ(f.arena.misuses, 0, "every table asked for is out");
	space_fixture_free(&f);
}

static const struct scene OVER_EMPTY_TABLES[] = {
	{ .name = "a 2 MiB leaf over an empty table",
	  .op = SCENE_MAP,
	  .with = { { 2 * MIB }, { 0 }, PAGES(2 * MIB), { 0, PT_WB } },
	  .leaves = { 0, 0, 1 },
	  .released = 1,
	  .flush = { { 2 * MIB }, PAGES(2 * MIB) },
	  .global = true,
	  .after = { { { 2 * MIB }, { 0 }, PAGES(2 * MIB), { 0, PT_WB } } } },
	{ .name = "a 1 GiB leaf over two levels of empty tables",
	  .op = SCENE_MAP,
	  .with = { { 0 }, { 0 }, PAGES(GIB), { 0, PT_WB } },
	  .leaves = { 0, 0, 0, 1 },
	  .released = 2,
	  .flush = { { 0 }, PAGES(GIB) },
	  .global = true,
	  .after = { { { 0 }, { 0 }, PAGES(GIB), { 0, PT_WB } } } },
	{ .name = "a small page goes into the empty table",
	  .op = SCENE_MAP,
	  .with = { { 2 * MIB }, { 0 }, 1, { 0, PT_WB } },
	  .leaves = { 0, 1 },
	  .after = { { { 2 * MIB }, { 0 }, 1, { 0, PT_WB } } } },
	{ .name = "small pages for a 2 MiB range that a cap forbids a leaf",
	  .op = SCENE_MAP,
	  .options.max_leaf = 1,
	  .with = { { 2 * MIB }, { 0 }, PAGES(2 * MIB), { 0, PT_WB } },
	  .leaves = { 0, 512 },
	  .after = { { { 2 * MIB }, { 0 }, PAGES(2 * MIB), { 0, PT_WB } } } },
	{ .name = "protecting what is not there keeps the tables",
	  .op = SCENE_PROTECT,
	  .with = { { 0 }, { 0 }, PAGES(GIB), { 0, PT_WB } } },
	{ .name = "unmapping a page of the empty table retires all three",
	  .op = SCENE_UNMAP,
	  .with = { { 2 * MIB }, { 0 }, 1, { 0, PT_WB } },
	  .released = 3,
	  .flush = { { 2 * MIB }, 1 } },
	{ .name = "unmapping everything retires all three",
	  .op = SCENE_UNMAP,
	  .with = { { 0 }, { 0 }, PAGES(512 * GIB), { 0, PT_WB } },
	  .released = 3,
	  .flush = { { 0 }, PAGES(512 * GIB) },
	  .global = true },
};

static void defect_12_a_leaf_replaces_tables_without_a_mapping_in_them(void)
{
	for (size_t i = 0; i < ARRAY_LEN(OVER_EMPTY_TABLES); i++) {
		struct space_fixture f;

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ virt(2 * MIB), phys(0), 1, RO });
		*scene_entry(&f, 2 * MIB, 1) = 0;
		scene_act(&f, &OVER_EMPTY_TABLES[i]);
		space_fixture_free(&f);
	}
}

static void defect_18_retired_tables_stay_out_until_they_are_released(void)
{
	struct pt_range all = { virt(0), PAGES(512 * GIB) };
	struct space_fixture f;
	size_t taken;
	phys_addr table;

	scene_init(&f, scene_cpu());
	for (uint64_t i = 0; i < 4; i++)
		scene_map(&f, (struct pt_mapping){ virt(i * GIB), phys(0), 1, RO });
	taken = space_taken(&f.arena);
	table = phys(*scene_entry(&f, 0, 2) & 0xffffffffff000);
	CHECK_STATUS(pt_unmap(&f.space, all, &f.flush), PT_OK, space_text, "unmap");
	CHECK_EQ(space_taken(&f.arena), taken, "still out");
	CHECK_EQ(space_table(&f.arena, table)[0] & 1, 1, "a late reader still finds the leaf");
	scene_map(&f, (struct pt_mapping){ virt(GIB), phys(0), 1, RO });
	CHECK_STATUS(pt_unmap(&f.space, (struct pt_range){ virt(GIB), 1 }, &f.flush), PT_OK,
		     space_text, "unmap again");
	CHECK_EQ(pt_release(&f.space, &f.flush), taken - 1 + 3, "two lists in one flush");
	CHECK_EQ(space_taken(&f.arena), 1, "the root remains");
	CHECK_EQ(pt_release(&f.space, &f.flush), 0, "a flush is empty after its release");
	CHECK_EQ(f.arena.misuses, 0, "every table went back once");
	space_fixture_free(&f);
}

static void a_flush_collects_the_hull_of_several_calls(void)
{
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 16, RO });
	scene_map(&f, (struct pt_mapping){ virt(LAST_PAGE), phys(0), 1, RO });
	CHECK_EQ(f.flush.pages, 0, "new pages need no flush");
	CHECK_STATUS(pt_protect(&f.space, (struct pt_range){ virt(0x5000), 2 }, RW, &f.flush),
		     PT_OK, space_text, "protect");
	CHECK_STATUS(pt_unmap(&f.space, (struct pt_range){ virt(0x3000), 1 }, &f.flush), PT_OK,
		     space_text, "unmap below");
	CHECK_EQ(f.flush.va.raw, 0x3000, "from the lower");
	CHECK_EQ(f.flush.pages, 4, "to the higher");
	CHECK(!f.flush.global, "no global page among them");
	CHECK_STATUS(pt_unmap(&f.space, (struct pt_range){ virt(0x4000), 1 }, &f.flush), PT_OK,
		     space_text, "unmap in between");
	CHECK_EQ(f.flush.pages, 4, "no larger than needed");
	CHECK_STATUS(pt_protect(&f.space, (struct pt_range){ virt(LAST_PAGE), 1 }, RW, &f.flush),
		     PT_OK, space_text, "protect the last page");
	CHECK_EQ(f.flush.va.raw, 0x3000, "from the lower");
	CHECK_EQ(f.flush.pages, (UINT64_C(1) << 52) - 3, "to the last page");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Unmapping and protecting
 */

static const struct scene UNMAPS[] = {
	{ .name = "the only page",
	  .before = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(MIB, 0, 1, 0, PT_WB),
	  .released = 3,
	  .flush = { { MIB }, 1 } },
	{ .name = "#3: the last page of the address space",
	  .before = { SCENE_RUN(LAST_PAGE, MIB, 1, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(LAST_PAGE, 0, 1, 0, PT_WB),
	  .released = 3,
	  .flush = { { LAST_PAGE }, 1 } },
	{ .name = "the middle of three pages",
	  .before = { SCENE_RUN(MIB, MIB, 3, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(MIB + 4096, 0, 1, 0, PT_WB),
	  .flush = { { MIB + 4096 }, 1 },
	  .after = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB),
		     SCENE_RUN(MIB + 8192, MIB + 8192, 1, 0, PT_WB) } },
	{ .name = "no pages",
	  .before = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(MIB, 0, 0, 0, PT_WB),
	  .after = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) } },
	{ .name = "#6: a hole beside a page",
	  .before = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(MIB + 4096, 0, 1, 0, PT_WB),
	  .after = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) } },
	{ .name = "#6: a hole without tables",
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(0xffff800000000000, 0, PAGES(1024 * GIB) + 1, 0, PT_WB) },
	{ .name = "the whole lower half",
	  .before = { SCENE_RUN(MIB, MIB, 2, 0, PT_WB), SCENE_RUN(900 * GIB, 0, 1, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(0, 0, UINT64_C(1) << 35, 0, PT_WB),
	  .released = 6,
	  .global = true,
	  .flush = { { MIB }, PAGES(900 * GIB - MIB) + 1 } },
	{ .name = "a whole 2 MiB leaf",
	  .before = { SCENE_RUN(2 * MIB, 0, PAGES(4 * MIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB),
	  .flush = { { 2 * MIB }, PAGES(2 * MIB) },
	  .after = { SCENE_RUN(4 * MIB, 2 * MIB, PAGES(2 * MIB), 0, PT_WB) } },
	{ .name = "all but the first page of a 2 MiB leaf",
	  .before = { SCENE_RUN(2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(2 * MIB + 4096, 0, 511, 0, PT_WB),
	  .tables = 1,
	  .flush = { { 2 * MIB + 4096 }, 511 },
	  .after = { SCENE_RUN(2 * MIB, 0, 1, 0, PT_WB) } },
	{ .name = "the first page of a 1 GiB leaf",
	  .before = { SCENE_RUN(GIB, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(GIB, 0, 1, 0, PT_WB),
	  .tables = 2,
	  .flush = { { GIB }, 1 },
	  .after = { SCENE_RUN(GIB + 4096, 4096, PAGES(GIB) - 1, 0, PT_WB) } },
	{ .name = "from the last page of one 1 GiB leaf to the first of the next",
	  .before = { SCENE_RUN(GIB, 0, PAGES(2 * GIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(2 * GIB - 4096, 0, 2, 0, PT_WB),
	  .tables = 4,
	  .flush = { { 2 * GIB - 4096 }, 2 },
	  .after = { SCENE_RUN(GIB, 0, PAGES(GIB) - 1, 0, PT_WB),
		     SCENE_RUN(2 * GIB + 4096, GIB + 4096, PAGES(GIB) - 1, 0, PT_WB) } },
	{ .name = "2 MiB out of a 1 GiB leaf",
	  .before = { SCENE_RUN(GIB, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(GIB + 4 * MIB, 0, PAGES(2 * MIB), 0, PT_WB),
	  .tables = 1,
	  .flush = { { GIB + 4 * MIB }, PAGES(2 * MIB) },
	  .after = { SCENE_RUN(GIB, 0, PAGES(4 * MIB), 0, PT_WB),
		     SCENE_RUN(GIB + 6 * MIB, 6 * MIB, PAGES(GIB - 6 * MIB), 0, PT_WB) } },
	{ .name = "#19: a global page",
	  .before = { SCENE_RUN(MIB, MIB, 2, PT_GLOBAL, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(MIB, 0, 1, 0, PT_WB),
	  .flush = { { MIB }, 1 },
	  .global = true,
	  .after = { SCENE_RUN(MIB + 4096, MIB + 4096, 1, PT_GLOBAL, PT_WB) } },
	{ .name = "#19: a page of a global 2 MiB leaf",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * MIB), PT_GLOBAL, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(0, 0, 1, 0, PT_WB),
	  .tables = 1,
	  .flush = { { 0 }, 1 },
	  .global = true,
	  .after = { SCENE_RUN(4096, 4096, 511, PT_GLOBAL, PT_WB) } },
	{ .name = "#19: a sub-tree with a global page",
	  .before = { SCENE_RUN(MIB, 0, 1, PT_GLOBAL, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(0, 0, PAGES(2 * MIB), 0, PT_WB),
	  .released = 3,
	  .flush = { { MIB }, 1 },
	  .global = true },
	{ .name = "a table that keeps an entry before the range stays",
	  .before = { SCENE_RUN(0, 0, 1, 0, PT_WB), SCENE_RUN(4 * MIB, 0, 1, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(4 * MIB, 0, 1, 0, PT_WB),
	  .released = 1,
	  .flush = { { 4 * MIB }, 1 },
	  .after = { SCENE_RUN(0, 0, 1, 0, PT_WB) } },
	{ .name = "a table whose first entry keeps a page stays",
	  .before = { SCENE_RUN(0, 0, 2, 0, PT_WB), SCENE_RUN(4 * MIB, 0, 1, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(4096, 0, PAGES(GIB) - 1, 0, PT_WB),
	  .released = 1,
	  .global = true,
	  .flush = { { 4096 }, PAGES(4 * MIB) },
	  .after = { SCENE_RUN(0, 0, 1, 0, PT_WB) } },
	{ .name = "a table that keeps an entry behind the range stays",
	  .before = { SCENE_RUN(0, 0, 1, 0, PT_WB), SCENE_RUN(GIB - 4096, 0, 1, 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(0, 0, PAGES(GIB) - 1, 0, PT_WB),
	  .released = 1,
	  .global = true,
	  .flush = { { 0 }, 1 },
	  .after = { SCENE_RUN(GIB - 4096, 0, 1, 0, PT_WB) } },
};

static void unmap_leaves_exactly_the_rest(void)
{
	for (size_t i = 0; i < ARRAY_LEN(UNMAPS); i++)
		scene_play(&UNMAPS[i], scene_cpu());
}

static const struct scene PROTECTS[] = {
	{ .name = "one page of three",
	  .before = { SCENE_RUN(MIB, MIB, 3, 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(MIB + 4096, 0, 1, PT_WRITE, PT_WB),
	  .leaves = { 0, 1 },
	  .flush = { { MIB + 4096 }, 1 },
	  .after = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB),
		     SCENE_RUN(MIB + 4096, MIB + 4096, 1, PT_WRITE, PT_WB),
		     SCENE_RUN(MIB + 8192, MIB + 8192, 1, 0, PT_WB) } },
	{ .name = "holes stay holes",
	  .before = { SCENE_RUN(0, MIB, 1, 0, PT_WB), SCENE_RUN(0x2000, MIB, 1, 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(0, 0, PAGES(GIB), PT_EXEC, PT_WB),
	  .leaves = { 0, 2 },
	  .flush = { { 0 }, 3 },
	  .after = { SCENE_RUN(0, MIB, 1, PT_EXEC, PT_WB),
		     SCENE_RUN(0x2000, MIB, 1, PT_EXEC, PT_WB) } },
	{ .name = "nothing mapped, nothing done",
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(0, 0, UINT64_C(1) << 35, PT_WRITE, PT_WB) },
	{ .name = "no pages",
	  .before = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(MIB, 0, 0, PT_WRITE, PT_WB),
	  .after = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) } },
	{ .name = "#3: the last page of the address space",
	  .before = { SCENE_RUN(LAST_PAGE - 4096, MIB, 2, 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(LAST_PAGE, 0, 1, PT_WRITE, PT_WB),
	  .leaves = { 0, 1 },
	  .flush = { { LAST_PAGE }, 1 },
	  .after = { SCENE_RUN(LAST_PAGE - 4096, MIB, 1, 0, PT_WB),
		     SCENE_RUN(LAST_PAGE, MIB + 4096, 1, PT_WRITE, PT_WB) } },
	{ .name = "a whole 2 MiB leaf stays one",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * MIB), 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(0, 0, PAGES(2 * MIB), PT_WRITE, PT_WC),
	  .leaves = { 0, 0, 1 },
	  .flush = { { 0 }, PAGES(2 * MIB) },
	  .after = { SCENE_RUN(0, 0, PAGES(2 * MIB), PT_WRITE, PT_WC) } },
	{ .name = "a whole 1 GiB leaf stays one",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), PT_WRITE, PT_WP) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(0, 0, PAGES(GIB), PT_USER, PT_WB),
	  .leaves = { 0, 0, 0, 1 },
	  .flush = { { 0 }, PAGES(GIB) },
	  .after = { SCENE_RUN(0, 0, PAGES(GIB), PT_USER, PT_WB) } },
	{ .name = "#13: the middle of a 2 MiB leaf; the PAT bit moves",
	  .before = { SCENE_RUN(2 * MIB, 6 * MIB, PAGES(2 * MIB), PT_USER, PT_WP) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(2 * MIB + 0x5000, 0, 3, PT_WRITE, PT_UC),
	  .tables = 1,
	  .leaves = { 0, 3 },
	  .flush = { { 2 * MIB + 0x5000 }, 3 },
	  .after = { SCENE_RUN(2 * MIB, 6 * MIB, 5, PT_USER, PT_WP),
		     SCENE_RUN(2 * MIB + 0x5000, 6 * MIB + 0x5000, 3, PT_WRITE, PT_UC),
		     SCENE_RUN(2 * MIB + 0x8000, 6 * MIB + 0x8000, 504, PT_USER, PT_WP) } },
	{ .name = "#13: the middle of a 1 GiB leaf; the PAT bit moves twice",
	  .before = { SCENE_RUN(GIB, 3 * GIB, PAGES(GIB), PT_EXEC | PT_GLOBAL, PT_WC) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(GIB + 2 * MIB - 4096, 0, PAGES(2 * MIB) + 2, PT_WRITE, PT_WT),
	  .tables = 3,
	  .leaves = { 0, 2, 1 },
	  .flush = { { GIB + 2 * MIB - 4096 }, PAGES(2 * MIB) + 2 },
	  .global = true,
	  .after = { SCENE_RUN(GIB, 3 * GIB, 511, PT_EXEC | PT_GLOBAL, PT_WC),
		     SCENE_RUN(GIB + 2 * MIB - 4096, 3 * GIB + 2 * MIB - 4096, PAGES(2 * MIB) + 2,
			       PT_WRITE, PT_WT),
		     SCENE_RUN(GIB + 4 * MIB + 4096, 3 * GIB + 4 * MIB + 4096,
			       PAGES(GIB - 4 * MIB) - 1, PT_EXEC | PT_GLOBAL, PT_WC) } },
	{ .name = "#10: a PAT bit for small pages does not touch the link above",
	  .before = { SCENE_RUN(4096, MIB, PAGES(2 * MIB), 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(0, 0, PAGES(GIB), PT_WRITE, PT_WP),
	  .leaves = { 0, 512 },
	  .flush = { { 4096 }, 512 },
	  .after = { SCENE_RUN(4096, MIB, PAGES(2 * MIB), PT_WRITE, PT_WP) } },
	{ .name = "#10: a large leaf that loses all rights stays a leaf",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * MIB), PT_EXEC | PT_USER, PT_WP) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(0, 0, PAGES(2 * MIB), 0, PT_WB),
	  .leaves = { 0, 0, 1 },
	  .flush = { { 0 }, PAGES(2 * MIB) },
	  .after = { SCENE_RUN(0, 0, PAGES(2 * MIB), 0, PT_WB) } },
	{ .name = "#19: a page that was global",
	  .before = { SCENE_RUN(0, 0, 1, PT_GLOBAL, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(0, 0, 1, 0, PT_WB),
	  .leaves = { 0, 1 },
	  .flush = { { 0 }, 1 },
	  .global = true,
	  .after = { SCENE_RUN(0, 0, 1, 0, PT_WB) } },
	{ .name = "leaves of all three sizes, part of the first and of the last",
	  .before = { SCENE_RUN(GIB - 4 * MIB, 3 * GIB - 4 * MIB, PAGES(2 * GIB), 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(GIB - 2 * MIB - 4096, 0, PAGES(GIB + 2 * MIB) + 2, PT_WRITE, PT_WB),
	  .tables = 2,
	  .leaves = { 0, 2, 1, 1 },
	  .flush = { { GIB - 2 * MIB - 4096 }, PAGES(GIB + 2 * MIB) + 2 },
	  .after = { SCENE_RUN(GIB - 4 * MIB, 3 * GIB - 4 * MIB, 511, 0, PT_WB),
		     SCENE_RUN(GIB - 2 * MIB - 4096, 3 * GIB - 2 * MIB - 4096,
			       PAGES(GIB + 2 * MIB) + 2, PT_WRITE, PT_WB),
		     SCENE_RUN(2 * GIB + 4096, 4 * GIB + 4096, PAGES(GIB - 4 * MIB) - 1, 0,
			       PT_WB) } },
};

static void protect_changes_exactly_the_mapped_pages_of_the_range(void)
{
	for (size_t i = 0; i < ARRAY_LEN(PROTECTS); i++)
		scene_play(&PROTECTS[i], scene_cpu());
}

#define BAD_RANGE(text, first, count, why)                                  \
	{ .name = text,                                                     \
	  .op = SCENE_UNMAP,                                                \
	  .status = why,                                                    \
	  .with = { { first }, { 0 }, count, { 0, PT_WB } } },              \
	{                                                                   \
		.name = text, .op = SCENE_PROTECT, .status = why, .with = { \
			{ first },                                          \
			{ 0 },                                              \
			count,                                              \
			{ 0, PT_WB }                                        \
		}                                                           \
	}
#define BAD_ATTR(text, flags, cache, why)                                   \
	{                                                                   \
		.name = text, .op = SCENE_PROTECT, .status = why, .with = { \
			{ MIB },                                            \
			{ 0 },                                              \
			1,                                                  \
			{ flags, cache }                                    \
		}                                                           \
	}

static const struct scene REFUSED_CHANGES[] = {
	BAD_RANGE("an odd address", 1, 1, PT_ERR_UNALIGNED),
	BAD_RANGE("half a page off", 2048, 1, PT_ERR_UNALIGNED),
	BAD_RANGE("#4: the hole", 0x800000000000, 1, PT_ERR_RANGE),
	BAD_RANGE("#4: into the hole", 0x7ffffffff000, 2, PT_ERR_RANGE),
	BAD_RANGE("#4: out of the hole", 0xffff7ffffffff000, 2, PT_ERR_RANGE),
	BAD_RANGE("#5: past the end", LAST_PAGE, 2, PT_ERR_RANGE),
	BAD_RANGE("#5: all there is and one", 0, (UINT64_C(1) << 52) + 1, PT_ERR_RANGE),
	BAD_RANGE("#5: everything", 0, UINT64_C(1) << 52, PT_ERR_RANGE),
	BAD_RANGE("more than there is", MIB, UINT64_MAX, PT_ERR_RANGE),
	BAD_ATTR("an unknown flag", PT_FLAGS_ALL + 1, PT_WB, PT_ERR_ATTR),
	BAD_ATTR("memory type 2", 0, 2, PT_ERR_CACHE),
	BAD_ATTR("memory type 8", 0, 8, PT_ERR_CACHE),
	BAD_ATTR("writable and executable", PT_WRITE | PT_EXEC, PT_WB, PT_ERR_WX),
};

static void unmap_and_protect_refuse_by_name_and_leave_no_trace(void)
{
	for (size_t i = 0; i < ARRAY_LEN(REFUSED_CHANGES); i++)
		scene_play(&REFUSED_CHANGES[i], scene_cpu());
}

static void defect_20_a_soft_entry_has_one_meaning_in_every_call(void)
{
	static const struct scene rows[] = {
		{ .name = "protect passes by",
		  .op = SCENE_PROTECT,
		  .with = SCENE_RUN(9 * 4096, 0, 1, PT_WRITE, PT_WB) },
		{ .name = "protect passes by a part of a large one",
		  .op = SCENE_PROTECT,
		  .with = SCENE_RUN(8 * MIB + 4096, 0, 1, PT_WRITE, PT_WB) },
		{ .name = "unmap refuses a part of a large one",
		  .op = SCENE_UNMAP,
		  .status = PT_ERR_SOFT,
		  .with = SCENE_RUN(8 * MIB + 4096, 0, 1, 0, PT_WB) },
		{ .name = "unmap refuses all but a page of one of level 3",
		  .op = SCENE_UNMAP,
		  .status = PT_ERR_SOFT,
		  .with = SCENE_RUN(4 * GIB, 0, PAGES(GIB) - 1, 0, PT_WB) },
		{ .name = "unmap clears nothing before one that it refuses",
		  .op = SCENE_UNMAP,
		  .status = PT_ERR_SOFT,
		  .where = 8 * MIB,
		  .with = SCENE_RUN(0, 0, PAGES(8 * MIB) + 1, 0, PT_WB) },
	};
	struct pt_range small = { virt(9 * 4096), 1 }, large = { virt(8 * MIB), PAGES(2 * MIB) };
	struct space_fixture f;
	uint64_t *entries[2];

	scene_prepare_obstacles(&f);
	entries[0] = scene_entry(&f, small.va.raw, 1);
	entries[1] = scene_entry(&f, large.va.raw, 2);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		f.flush = (struct pt_flush)PT_FLUSH_NONE;
		if (rows[i].status == PT_OK)
			CHECK_STATUS(scene_call(&f, &rows[i]), PT_OK, space_text, rows[i].name);
		else
			scene_act(&f, &rows[i]);
		CHECK_EQ(f.flush.pages, 0, rows[i].name);
		CHECK_EQ(*entries[0], 0xabc00, rows[i].name);
		CHECK_EQ(*entries[1], 0xabc00, rows[i].name);
	}
	CHECK_STATUS(pt_unmap(&f.space, small, &f.flush), PT_OK, space_text, "unmap clears it");
	CHECK_STATUS(pt_unmap(&f.space, large, &f.flush), PT_OK, space_text, "and a large one");
	CHECK_EQ(*entries[0], 0, "unmap clears it");
	CHECK_EQ(*entries[1], 0, "and a large one");
	CHECK_EQ(f.flush.pages, 0, "the processor never knew it");
	space_fixture_free(&f);
}

/* A table with a soft entry in it is not empty. */
static void a_soft_entry_keeps_its_table(void)
{
	struct pt_mapping large = { virt(0), phys(0), PAGES(2 * MIB), RO };
	struct space_fixture f;
	struct pt_plan plan;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
	*scene_entry(&f, 7 * 4096, 1) = 0xabc00;
	CHECK_STATUS(pt_unmap(&f.space, (struct pt_range){ virt(0), 1 }, &f.flush), PT_OK,
		     space_text, "unmap");
	CHECK_EQ(f.flush.retired.raw, PT_NO_TABLE, "unmap");
	CHECK_STATUS(pt_plan_map(&f.space, &large, 0, &plan), PT_ERR_OVERLAP, space_text, "map");
	CHECK_EQ(plan.where.raw, 7 * 4096, "map");
	CHECK_STATUS(pt_unmap(&f.space, (struct pt_range){ virt(0), 8 }, &f.flush), PT_OK,
		     space_text, "unmap both");
	CHECK_EQ(pt_release(&f.space, &f.flush), 3, "unmap both");
	space_fixture_free(&f);
}

static void protect_keeps_accessed_dirty_and_software_bits(void)
{
	static const struct {
		const char *name;
		uint64_t bits; /* set in the leaf behind the core's back */
		uint32_t flags, after;
	} rows[] = {
		{ "accessed stays", 0x20, 0, PT_ACCESSED },
		{ "dirty stays", 0x40, PT_EXEC, PT_EXEC | PT_DIRTY },
		{ "both may be set in advance", 0, PT_ACCESSED | PT_DIRTY, PT_ACCESSED | PT_DIRTY },
		{ "both of either origin", 0x20, PT_DIRTY | PT_WRITE,
		  PT_ACCESSED | PT_DIRTY | PT_WRITE },
		{ "bits 10 and 11 stay", 0xc00, PT_USER, PT_USER | PT_SOFT1 | PT_SOFT2 },
		{ "bits 59 to 62 stay", UINT64_C(0x7800000000000000), 0, 0 },
	};

	for (unsigned level = 1; level <= 3; level++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			struct space_fixture f;
			struct pt_leaf leaf = { 0 };
			struct pt_range range = { virt(8 * GIB), level_pages(level) };
			uint64_t *e;

			scene_map_leaf(&f, level, (struct pt_attr){ PT_WRITE, PT_WP });
			e = scene_entry(&f, 8 * GIB, level);
			*e |= rows[i].bits;
			CHECK_STATUS(pt_protect(&f.space, range,
						(struct pt_attr){ rows[i].flags, PT_WT }, &f.flush),
				     PT_OK, space_text, rows[i].name);
			CHECK_EQ(*e & rows[i].bits, rows[i].bits, rows[i].name);
			CHECK_STATUS(pt_query(&f.space, range.va, &leaf), PT_OK, space_text,
				     rows[i].name);
			CHECK_EQ(leaf.attr.flags, rows[i].after, rows[i].name);
			CHECK_EQ(leaf.attr.cache, PT_WT, rows[i].name);
			CHECK_EQ(leaf.pa.raw, 8 * GIB, rows[i].name);
			space_fixture_free(&f);
		}
	}
}

static void a_split_hands_accessed_and_dirty_down(void)
{
	struct pt_range page = { virt(8 * GIB + 2 * MIB), 1 };
	struct space_fixture f;
	struct sdm_translation t;

	scene_map_leaf(&f, 3, (struct pt_attr){ PT_WRITE | PT_ACCESSED | PT_DIRTY, PT_WP });
	CHECK_STATUS(pt_unmap(&f.space, page, &f.flush), PT_OK, space_text, "unmap");
	for (uint64_t va = 8 * GIB; va < 9 * GIB; va += GIB / 4 + MIB + 4096) {
		t = sdm_translate(&f.arena, &f.space.cpu, f.space.root, va);
		CHECK(t.present && t.accessed && t.dirty, "neighbours");
	}
	t = sdm_translate(&f.arena, &f.space.cpu, f.space.root, page.va.raw + 4096);
	CHECK(t.present && t.accessed && t.dirty && t.level == 1, "next page");
	space_fixture_free(&f);
}

/* Somebody else's damage: what cannot be reached is not given back, the rest is. */
static void a_table_out_of_reach_is_not_given_back(void)
{
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping)SCENE_RUN(0, 0, 1, 0, PT_WB));
	scene_map(&f, (struct pt_mapping)SCENE_RUN(GIB, 0, 1, 0, PT_WB));
	*scene_entry(&f, GIB, 3) = 0x1000 | 3;
	*scene_entry(&f, 2 * MIB, 2) = f.space.root.raw | UINT64_C(1) << 50 | 3;
	CHECK_EQ(pt_destroy(&f.space), 4, "the root and three tables");
	CHECK_EQ(f.arena.misuses, 0, "the root and three tables");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(a_link_that_withholds_a_right_is_refused_by_name);
	RUN(defects_8_and_16_a_broken_link_stops_every_change);
	RUN(a_broken_leaf_is_neither_split_nor_protected_but_can_be_unmapped);
	RUN(a_link_out_of_reach_can_be_unmapped_as_a_whole);
	RUN(a_root_out_of_reach_stops_every_change);
	RUN(tables_that_cannot_be_reached_go_back_to_the_allocator);
	RUN(defect_17_a_table_is_complete_before_it_is_linked);
	RUN(the_callback_is_called_for_tables_and_not_for_entries);
	RUN(defect_12_a_leaf_replaces_tables_without_a_mapping_in_them);
	RUN(defect_18_retired_tables_stay_out_until_they_are_released);
	RUN(a_flush_collects_the_hull_of_several_calls);
	RUN(unmap_leaves_exactly_the_rest);
	RUN(protect_changes_exactly_the_mapped_pages_of_the_range);
	RUN(unmap_and_protect_refuse_by_name_and_leave_no_trace);
	RUN(defect_20_a_soft_entry_has_one_meaning_in_every_call);
	RUN(a_soft_entry_keeps_its_table);
	RUN(protect_keeps_accessed_dirty_and_software_bits);
	RUN(a_split_hands_accessed_and_dirty_down);
	RUN(a_table_out_of_reach_is_not_given_back);
	return check_done();
}
