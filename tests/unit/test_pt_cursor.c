/*
 * Cursors, on x86-64. A number in a test's name is that of a defect once found
 * in other mappers' cursors.
 */
#include "paging/pt_cursor.h"
#include "tests/check.h"
#include "tests/fake/scene.h"

#define TOP_PAGE UINT64_C(0xfffffffffffff000)
#define LOW_TOP  UINT64_C(0x7ffffffff000)
#define SLOT     (8 * GIB)

static const struct pt_attr RO = { 0, PT_WB }, RW = { PT_WRITE, PT_WB };

static struct pt_range range_of(uint64_t va, uint64_t pages)
{
	return (struct pt_range){ virt(va), pages };
}

/* Opens for writing, which must succeed. */
static struct pt_cursor *open_at(struct space_fixture *f, struct pt_cursor *c, uint64_t va,
				 uint64_t pages)
{
	CHECK_STATUS(pt_cursor_write(c, &f->space, range_of(va, pages)), PT_OK, space_text, "open");
	return c;
}

static void expect_at(const struct pt_cursor *c, uint64_t va, uint64_t left, const char *name)
{
	CHECK_EQ(pt_cursor_at(c).raw, va, name);
	CHECK_EQ(pt_cursor_left(c), left, name);
}

static void expect_entry(const struct pt_entry *e, enum pte_kind kind, struct pt_mapping at,
			 const char *name)
{
	CHECK_EQ(e->kind, kind, name);
	CHECK_EQ(e->at.va.raw, at.va.raw, name);
	CHECK_EQ(e->at.pages, at.pages, name);
	if (kind == PTE_LEAF)
		CHECK_EQ(e->at.pa.raw, at.pa.raw, name);
}

/* ------------------------------------------------------------------------
 * Opening and closing
 */

static const struct {
	const char *name;
	uint64_t va, pages;
	enum pt_status status;
} RANGE_ROWS[] = {
	{ "a page", 4096, 1, PT_OK },
	{ "no page", 4096, 0, PT_OK },
	{ "the last page", TOP_PAGE, 1, PT_OK },
	{ "the upper half", 0xffff800000000000, UINT64_C(1) << 35, PT_OK },
	{ "the lower half", 0, UINT64_C(1) << 35, PT_OK },
	{ "an address in a page", 4097, 1, PT_ERR_UNALIGNED },
	{ "behind the last page", TOP_PAGE, 2, PT_ERR_RANGE },
	{ "more than there is", 4096, UINT64_MAX, PT_ERR_RANGE },
	{ "the hole", 0x800000000000, 1, PT_ERR_RANGE },
	{ "into the hole", LOW_TOP, 2, PT_ERR_RANGE },
};

static void ranges_are_those_of_the_space_or_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(RANGE_ROWS); i++) {
		const char *name = RANGE_ROWS[i].name;
		struct pt_range range = range_of(RANGE_ROWS[i].va, RANGE_ROWS[i].pages);
		struct pt_cursor c = { .first = 77 }, r = { .first = 77 };
		struct space_fixture f;
		bool ok = RANGE_ROWS[i].status == PT_OK;

		scene_init(&f, scene_cpu());
		CHECK_STATUS(pt_cursor_write(&c, &f.space, range), RANGE_ROWS[i].status, space_text,
			     name);
		CHECK_STATUS(pt_cursor_read(&r, &f.space, range), RANGE_ROWS[i].status, space_text,
			     name);
		CHECK_EQ(f.space.cursors == &c, ok, name);
		CHECK_EQ(c.first, ok ? range.va.raw : 77, name);
		CHECK_EQ(r.first, ok ? range.va.raw : 77, name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), name);
		space_fixture_free(&f);
	}
}

static void a_writer_needs_an_allocator_and_root_entries_of_its_own(void)
{
	struct space_fixture f;
	struct pt_cursor c = { .first = 77 };

	scene_init(&f, scene_cpu());
	f.space.root_first = 1;
	f.space.root_last = 2;
	CHECK_STATUS(pt_cursor_write(&c, &f.space, range_of(0, 1)), PT_ERR_FOREIGN, space_text,
		     "before");
	CHECK_STATUS(pt_cursor_write(&c, &f.space, range_of(1536 * GIB - 4096, 2)), PT_ERR_FOREIGN,
		     space_text, "behind");
	CHECK_STATUS(pt_cursor_read(&c, &f.space, range_of(0, 1)), PT_OK, space_text, "read");
	CHECK_STATUS(pt_cursor_write(&c, &f.space, range_of(512 * GIB, PAGES(1024 * GIB))), PT_OK,
		     space_text, "its own");
	pt_cursor_close(&c);
	f.space.tables.take = NULL;
	CHECK_STATUS(pt_cursor_write(&c, &f.space, range_of(512 * GIB, 1)), PT_ERR_READ_ONLY,
		     space_text, "no allocator");
	CHECK(!f.space.cursors, "nothing open");
	space_fixture_free(&f);
}

/* Against a writer at 16 pages from 1 MiB, and one at the last page. */
static const struct {
	const char *name;
	uint64_t va, pages;
	bool busy;
} BUSY_ROWS[] = {
	{ "the same", MIB, 16, true },
	{ "its first page", MIB, 1, true },
	{ "its last page", MIB + 15 * 4096, 1, true },
	{ "around", MIB - 4096, 18, true },
	{ "over its beginning", MIB - 4096, 2, true },
	{ "over its end", MIB + 15 * 4096, 2, true },
	{ "before", MIB - 4096, 1, false },
	{ "behind", MIB + 16 * 4096, 1, false },
	{ "nothing in it", MIB + 4096, 0, false },
	{ "the last page", TOP_PAGE, 1, true },
	{ "up to the last page", TOP_PAGE - 4096, 2, true },
	{ "the upper half", 0xffff800000000000, UINT64_C(1) << 35, true },
	{ "the lower half", 0, UINT64_C(1) << 35, true },
	{ "before the last page", TOP_PAGE - 4096, 1, false },
	{ "the first page", 0, 1, false },
};

static void a_second_writer_over_an_overlapping_range_is_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(BUSY_ROWS); i++) {
		const char *name = BUSY_ROWS[i].name;
		struct pt_range range = range_of(BUSY_ROWS[i].va, BUSY_ROWS[i].pages);
		struct space_fixture f;
		struct pt_cursor a, b, none, c, r;

		scene_init(&f, scene_cpu());
		open_at(&f, &none, MIB + 4096, 0);
		open_at(&f, &a, MIB, 16);
		open_at(&f, &b, TOP_PAGE, 1);
		CHECK_STATUS(pt_cursor_write(&c, &f.space, range),
			     BUSY_ROWS[i].busy ? PT_ERR_BUSY : PT_OK, space_text, name);
		CHECK_STATUS(pt_cursor_read(&r, &f.space, range), PT_OK, space_text, name);
		pt_cursor_close(&r);
		pt_cursor_close(&a);
		pt_cursor_close(&b);
		pt_cursor_close(&b);
		if (BUSY_ROWS[i].busy)
			open_at(&f, &c, range.va.raw, range.pages);
		pt_cursor_close(&none);
		CHECK(f.space.cursors == &c && !c.next, name);
		pt_cursor_close(&c);
		CHECK(!f.space.cursors, name);
		space_fixture_free(&f);
	}
}

static void a_closed_cursor_is_at_the_end_of_nothing(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry entry;

	scene_init(&f, scene_cpu());
	open_at(&f, &c, 0, 4);
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text, "map");
	pt_cursor_close(&c);
	CHECK_STATUS(pt_cursor_query(&c, &entry), PT_ERR_END, space_text, "query");
	CHECK_STATUS(pt_cursor_find(&c, &entry), PT_ERR_END, space_text, "find");
	CHECK_STATUS(pt_cursor_jump(&c, virt(0)), PT_ERR_RANGE, space_text, "jump");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_ERR_READ_ONLY, space_text,
		     "map");
	space_fixture_free(&f);
}

static void a_cursor_for_reading_changes_nothing(void)
{
	const struct pt_update update = { .set = PT_WRITE };
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(MIB), phys(MIB), 4, RO });
	CHECK_STATUS(pt_cursor_read(&c, &f.space, range_of(MIB, 4)), PT_OK, space_text, "open");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_ERR_READ_ONLY, space_text,
		     "map");
	CHECK_STATUS(pt_cursor_take(&c, 1, &f.flush, &e), PT_ERR_READ_ONLY, space_text, "take");
	CHECK_STATUS(pt_cursor_take_leaf(&c, 1, &f.flush, &e), PT_ERR_READ_ONLY, space_text,
		     "take leaf");
	CHECK_STATUS(pt_cursor_protect(&c, 1, RW, &f.flush, &e), PT_ERR_READ_ONLY, space_text,
		     "protect");
	CHECK_STATUS(pt_cursor_update(&c, 1, update, &f.flush, &e), PT_ERR_READ_ONLY, space_text,
		     "update");
	CHECK(space_snapshot_equal(&f.shot, &f.arena) && pt_flush_is_empty(&f.flush), "no trace");
	expect_at(&c, MIB, 4, "position");
	CHECK(!f.space.cursors, "not in the list");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Positions
 */

static const struct {
	const char *name;
	uint64_t first, pages, va;
	enum pt_status status;
} JUMP_ROWS[] = {
	{ "the first page", MIB, 4, MIB, PT_OK },
	{ "the last page", MIB, 4, MIB + 3 * 4096, PT_OK },
	{ "the end, #2709", MIB, 4, MIB + 4 * 4096, PT_ERR_RANGE },
	{ "before", MIB, 4, MIB - 4096, PT_ERR_RANGE },
	{ "far off", MIB, 4, TOP_PAGE, PT_ERR_RANGE },
	{ "an address in a page", MIB, 4, MIB + 1, PT_ERR_UNALIGNED },
	{ "in no pages", MIB, 0, MIB, PT_ERR_RANGE },
	{ "the last page there is", TOP_PAGE, 1, TOP_PAGE, PT_OK },
	{ "the end of all", TOP_PAGE, 1, 0, PT_ERR_RANGE },
	{ "the first page of all, from the end", TOP_PAGE - 4096, 2, 0, PT_ERR_RANGE },
	{ "the end of the lower half", LOW_TOP, 1, LOW_TOP + 4096, PT_ERR_RANGE },
};

static void a_jump_leads_to_a_page_of_the_range(void)
{
	for (size_t i = 0; i < ARRAY_LEN(JUMP_ROWS); i++) {
		const char *name = JUMP_ROWS[i].name;
		uint64_t first = JUMP_ROWS[i].first, pages = JUMP_ROWS[i].pages;
		bool ok = JUMP_ROWS[i].status == PT_OK;
		struct space_fixture f;
		struct pt_cursor c;

		scene_init(&f, scene_cpu());
		open_at(&f, &c, first, pages);
		expect_at(&c, first, pages, name);
		CHECK_STATUS(pt_cursor_jump(&c, virt(JUMP_ROWS[i].va)), JUMP_ROWS[i].status,
			     space_text, name);
		if (ok)
			expect_at(&c, JUMP_ROWS[i].va, pages - (JUMP_ROWS[i].va - first) / 4096,
				  name);
		else
			expect_at(&c, first, pages, name);
		space_fixture_free(&f);
	}
}

static void expect_end(struct space_fixture *f, struct pt_cursor *c, const char *name)
{
	const struct pt_update update = { .set = PT_WRITE };
	struct pt_entry e;

	space_snapshot_take(&f->shot, &f->arena);
	for (uint64_t pages = 0; pages < 2; pages++) {
		CHECK_STATUS(pt_cursor_map(c, phys(0), pages, RW, &f->flush), PT_ERR_END,
			     space_text, name);
		CHECK_STATUS(pt_cursor_take(c, pages, &f->flush, &e), PT_ERR_END, space_text, name);
		CHECK_STATUS(pt_cursor_protect(c, pages, RW, &f->flush, &e), PT_ERR_END, space_text,
			     name);
		CHECK_STATUS(pt_cursor_update(c, pages, update, &f->flush, &e), PT_ERR_END,
			     space_text, name);
	}
	CHECK_STATUS(pt_cursor_query(c, &e), PT_ERR_END, space_text, name);
	CHECK_STATUS(pt_cursor_find(c, &e), PT_ERR_END, space_text, name);
	CHECK(space_snapshot_equal(&f->shot, &f->arena), name);
}

/* At the end of a range, of a half, of the address space; of nothing. */
static void nothing_happens_at_the_end(void)
{
	static const uint64_t lasts[] = { MIB, LOW_TOP, TOP_PAGE };
	struct pt_cursor c;
	struct space_fixture f;

	for (size_t i = 0; i < ARRAY_LEN(lasts); i++) {
		scene_init(&f, scene_cpu());
		open_at(&f, &c, lasts[i] - 4096, 2);
		CHECK_STATUS(pt_cursor_map(&c, phys(MIB), 2, RW, &f.flush), PT_OK, space_text,
			     "map");
		expect_at(&c, lasts[i] + 4096, 0, "end");
		expect_end(&f, &c, "end");
		CHECK_STATUS(pt_cursor_jump(&c, virt(lasts[i])), PT_OK, space_text, "back");
		expect_at(&c, lasts[i], 1, "back");
		space_fixture_free(&f);
	}
	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(MIB), phys(0), 1, RO });
	open_at(&f, &c, MIB, 0);
	expect_end(&f, &c, "nothing");
	space_fixture_free(&f);
}

static void more_pages_than_are_left_are_refused(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(MIB), phys(MIB), 16, RO });
	open_at(&f, &c, MIB, 4);
	CHECK_STATUS(pt_cursor_jump(&c, virt(MIB + 4096)), PT_OK, space_text, "jump");
	space_snapshot_take(&f.shot, &f.arena);
	for (uint64_t pages = 4; pages != 0; pages = pages == 4 ? UINT64_MAX : 0) {
		CHECK_STATUS(pt_cursor_map(&c, phys(0), pages, RW, &f.flush), PT_ERR_RANGE,
			     space_text, "map");
		CHECK_STATUS(pt_cursor_take(&c, pages, &f.flush, &e), PT_ERR_RANGE, space_text,
			     "take");
		CHECK_STATUS(pt_cursor_protect(&c, pages, RW, &f.flush, &e), PT_ERR_RANGE,
			     space_text, "protect");
	}
	expect_at(&c, MIB + 4096, 3, "position");
	CHECK(space_snapshot_equal(&f.shot, &f.arena) && pt_flush_is_empty(&f.flush), "no trace");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Looking
 */

/* In the space of scene_prepare_obstacles(). */
static const struct {
	const char *name;
	uint64_t at;
	enum pt_status status;
	enum pte_kind kind;
	struct pt_mapping slot;
} QUERY_ROWS[] = {
	{ "a page", 5 * 4096, PT_OK, PTE_LEAF, SCENE_RUN(5 * 4096, MIB, 1, 0) },
	{ "next to it", 6 * 4096, PT_OK, PTE_ABSENT, SCENE_RUN(6 * 4096, 0, 1, 0) },
	{ "in 2 MiB", 5 * MIB, PT_OK, PTE_LEAF, SCENE_RUN(4 * MIB, 4 * MIB, 512, 0) },
	{ "in 1 GiB", 3 * GIB - 4096, PT_OK, PTE_LEAF, SCENE_RUN(2 * GIB, 2 * GIB, PAGES(GIB), 0) },
	{ "soft", 9 * 4096, PT_OK, PTE_SOFT, SCENE_RUN(9 * 4096, 0, 1, 0) },
	{ "in soft 2 MiB", 9 * MIB, PT_OK, PTE_SOFT, SCENE_RUN(8 * MIB, 0, 512, 0) },
	{ "in a hole of 2 MiB", 3 * MIB, PT_OK, PTE_ABSENT, SCENE_RUN(2 * MIB, 0, 512, 0) },
	{ "in a hole of 1 GiB", 6 * GIB + 4096, PT_OK, PTE_ABSENT,
	  SCENE_RUN(6 * GIB, 0, PAGES(GIB), 0) },
	{ "in a hole of 512 GiB", 513 * GIB, PT_OK, PTE_ABSENT,
	  SCENE_RUN(512 * GIB, 0, PAGES(512 * GIB), 0) },
	{ "the last page", TOP_PAGE, PT_OK, PTE_ABSENT,
	  SCENE_RUN(0xffffff8000000000, 0, PAGES(512 * GIB), 0) },
	{ "reserved bits", 12 * MIB, PT_ERR_CORRUPT, PTE_ABSENT, SCENE_RUN(0, 0, 0, 0) },
	{ "a link out of reach", 7 * GIB, PT_ERR_CORRUPT, PTE_ABSENT, SCENE_RUN(0, 0, 0, 0) },
	{ "the tables themselves", UINT64_C(0xffffa00000000000), PT_OK, PTE_TABLE,
	  SCENE_RUN(0xffffa00000000000, 0, PAGES(512 * GIB), 0) },
};

static void prepare_looking(struct space_fixture *f)
{
	scene_prepare_obstacles(f);
	*scene_entry(f, 12 * MIB, 2) = 0x4083;
	*scene_entry(f, 7 * GIB, 3) = 0x1007;
	f->root[0x140] = f->space.root.raw | 7;
	space_snapshot_take(&f->shot, &f->arena);
}

static void a_query_tells_the_whole_slot_and_takes_nothing(void)
{
	for (size_t i = 0; i < ARRAY_LEN(QUERY_ROWS); i++) {
		const char *name = QUERY_ROWS[i].name;
		struct pt_entry e = { .at.level = 77 };
		struct space_fixture f;
		struct pt_cursor c, r;

		prepare_looking(&f);
		open_at(&f, &c, QUERY_ROWS[i].at, 1);
		CHECK_STATUS(pt_cursor_read(&r, &f.space, range_of(QUERY_ROWS[i].at, 1)), PT_OK,
			     space_text, name);
		CHECK_STATUS(pt_cursor_query(&c, &e), QUERY_ROWS[i].status, space_text, name);
		if (QUERY_ROWS[i].status == PT_OK)
			expect_entry(&e, QUERY_ROWS[i].kind, QUERY_ROWS[i].slot, name);
		else
			CHECK_EQ(e.at.level, 77, name);
		CHECK_STATUS(pt_cursor_query(&r, &e), QUERY_ROWS[i].status, space_text, name);
		expect_at(&c, QUERY_ROWS[i].at, 1, name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), name);
		space_fixture_free(&f);
	}
}

static void a_query_tells_effective_rights(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, { PT_WRITE | PT_USER, PT_WB } });
	*scene_entry(&f, 0, 3) &= ~UINT64_C(2);
	*scene_entry(&f, 0, 2) &= ~UINT64_C(4);
	open_at(&f, &c, 0, 1);
	CHECK_STATUS(pt_cursor_query(&c, &e), PT_OK, space_text, "query");
	CHECK_EQ(e.at.attr.flags, 0, "effective");
	CHECK_EQ(e.at.own, PT_WRITE | PT_USER, "own");
	space_fixture_free(&f);
}

static const struct {
	const char *name;
	uint64_t va, pages;
	enum pt_status status;
	uint64_t at; /* afterwards */
	uint64_t leaf;
} FIND_ROWS[] = {
	{ "a page", 0, 512, PT_OK, 5 * 4096, 5 * 4096 },
	{ "at a page", 5 * 4096, 1, PT_OK, 5 * 4096, 5 * 4096 },
	{ "behind it, past soft ones", 6 * 4096, PAGES(16 * MIB), PT_OK, 4 * MIB, 4 * MIB },
	{ "in 2 MiB", 5 * MIB, 1, PT_OK, 5 * MIB, 4 * MIB },
	{ "in 1 GiB", 3 * GIB - 4096, 1, PT_OK, 3 * GIB - 4096, 2 * GIB },
	{ "none before the page", 0, 5, PT_ERR_END, 5 * 4096, 0 },
	{ "none in soft ones, #3617", 8 * MIB, 512, PT_ERR_END, 10 * MIB, 0 },
	{ "none in nothing", 600 * GIB, PAGES(600 * GIB), PT_ERR_END, 1200 * GIB, 0 },
	{ "none in an empty table", 16 * MIB, 512, PT_ERR_END, 18 * MIB, 0 },
	{ "past an empty table", 16 * MIB, PAGES(3 * GIB), PT_OK, 2 * GIB, 2 * GIB },
	{ "none up to the last page", 0xffffc00000000000, UINT64_C(1) << 34, PT_ERR_END, 0, 0 },
	{ "none in the tables", 0xffffa00000000000, PAGES(512 * GIB), PT_ERR_END,
	  0xffffa08000000000, 0 },
	{ "reserved bits", 12 * MIB - 4096, 2, PT_ERR_CORRUPT, 12 * MIB, 0 },
	{ "a link out of reach", 6 * GIB, PAGES(2 * GIB), PT_ERR_CORRUPT, 7 * GIB, 0 },
};

static void the_next_leaf_is_found_or_the_end(void)
{
	for (size_t i = 0; i < ARRAY_LEN(FIND_ROWS); i++) {
		const char *name = FIND_ROWS[i].name;
		uint64_t left = FIND_ROWS[i].pages - (FIND_ROWS[i].at - FIND_ROWS[i].va) / 4096;
		struct pt_entry e = { .at.level = 77 };
		struct space_fixture f;
		struct pt_cursor c;

		prepare_looking(&f);
		scene_map(&f, (struct pt_mapping){ virt(16 * MIB), phys(0), 1, RO });
		*scene_entry(&f, 16 * MIB, 1) = 0;
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(
			pt_cursor_read(&c, &f.space, range_of(FIND_ROWS[i].va, FIND_ROWS[i].pages)),
			PT_OK, space_text, name);
		CHECK_STATUS(pt_cursor_find(&c, &e), FIND_ROWS[i].status, space_text, name);
		expect_at(&c, FIND_ROWS[i].at, left, name);
		if (FIND_ROWS[i].status == PT_OK)
			CHECK_EQ(e.at.va.raw, FIND_ROWS[i].leaf, name);
		else
			CHECK_EQ(e.at.level, 77, name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), name);
		space_fixture_free(&f);
	}
}

/* Eight tables without a page, then one with: found in as many calls as it takes. */
static void a_search_goes_on_where_the_budget_ended_it(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;
	unsigned calls = 0;
	enum pt_status status = PT_ERR_BUDGET;

	scene_init(&f, scene_cpu());
	for (uint64_t i = 0; i < 9; i++) {
		scene_map(&f, (struct pt_mapping){ virt(i * 2 * MIB), phys(0), 1, RO });
		*scene_entry(&f, i * 2 * MIB, 1) = 0;
	}
	*scene_entry(&f, 17 * MIB, 1) = 0x1001;
	f.space.budget = 4;
	open_at(&f, &c, 0, PAGES(GIB));
	for (; calls < 20 && status == PT_ERR_BUDGET; calls++)
		status = pt_cursor_find(&c, &e);
	CHECK_STATUS(status, PT_OK, space_text, "in the end");
	CHECK_EQ(calls, 9, "calls");
	CHECK_EQ(e.at.va.raw, 17 * MIB, "found");
	CHECK_STATUS(pt_cursor_jump(&c, virt(0)), PT_OK, space_text, "again");
	CHECK_STATUS(pt_cursor_take(&c, PAGES(18 * MIB) - 1, &f.flush, &e), PT_OK, space_text,
		     "a table is taken unread");
	f.space.budget = 3;
	CHECK_STATUS(pt_cursor_find(&c, &e), PT_ERR_BUDGET, space_text, "too small");
	expect_at(&c, 2 * MIB, PAGES(GIB) - 512, "stays");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Mapping
 */

static void mapping_moves_on_and_a_refusal_does_not(void)
{
	static const struct pt_mapping after[] = {
		SCENE_RUN(SLOT - 4096, 16 * GIB - 4096, 1 + 512, PT_WRITE, PT_WB),
		SCENE_RUN(SLOT + 2 * MIB + 4096, 0, 1, 0, PT_WB),
		{ .pages = 0 },
	};
	struct space_fixture f;
	struct pt_cursor c;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(SLOT + 2 * MIB + 4096), phys(0), 1, RO });
	open_at(&f, &c, SLOT - 4096, 1024);
	CHECK_STATUS(pt_cursor_map(&c, phys(16 * GIB - 4096), 1 + 512, RW, &f.flush), PT_OK,
		     space_text, "map");
	expect_at(&c, SLOT + 2 * MIB, 511, "behind");
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 2, RW, &f.flush), PT_ERR_OVERLAP, space_text,
		     "overlap");
	CHECK_STATUS(pt_cursor_map(&c, phys(1), 1, RW, &f.flush), PT_ERR_UNALIGNED, space_text,
		     "unaligned");
	CHECK_STATUS(pt_cursor_map(&c, phys(UINT64_C(1) << 46), 1, RW, &f.flush), PT_ERR_PHYS,
		     space_text, "physical");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 0, RW, &f.flush), PT_OK, space_text, "none");
	expect_at(&c, SLOT + 2 * MIB, 511, "stays");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "no trace");
	scene_expect_runs(&f, after, "map");
	space_fixture_free(&f);
}

/* A range that is one large entry gets it, wherever it lies. */
static void defect_3731_a_range_of_one_large_leaf_is_mapped_by_it(void)
{
	static const uint64_t ends[] = { 8 * GIB, LOW_TOP + 4096, 0 };

	for (unsigned level = 2; level <= PT_MAX_LEAF_LEVEL; level++) {
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			uint64_t va = ends[i] - level_size(level);
			struct space_fixture f;
			struct pt_cursor c;
			struct pt_entry e;

			scene_init(&f, scene_cpu());
			open_at(&f, &c, va, level_pages(level));
			CHECK_STATUS(
				pt_cursor_map(&c, phys(4 * GIB), level_pages(level), RW, &f.flush),
				PT_OK, space_text, "map");
			expect_at(&c, ends[i], 0, "end");
			CHECK_STATUS(pt_cursor_jump(&c, virt(va)), PT_OK, space_text, "jump");
			CHECK_STATUS(pt_cursor_take(&c, level_pages(level), &f.flush, &e), PT_OK,
				     space_text, "take");
			expect_entry(&e, PTE_LEAF,
				     (struct pt_mapping){ virt(va), phys(4 * GIB),
							  level_pages(level), RW },
				     "taken");
			CHECK_EQ(e.at.level, level, "level");
			expect_at(&c, ends[i], 0, "end again");
			pt_release(&f.space, &f.flush);
			CHECK_EQ(space_taken(&f.arena), 1, "tables");
			space_fixture_free(&f);
		}
	}
}

static void options_hold_until_the_next_ones(void)
{
	struct pt_options keep = { .conflict = PT_KEEP },
			  wide = { .set_links = true, .links = PT_WRITE | PT_USER | PT_EXEC };
	struct space_fixture f;
	struct pt_cursor c;

	scene_init(&f, scene_cpu());
	open_at(&f, &c, 0, 16);
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 4, RO, &f.flush), PT_OK, space_text, "map");
	CHECK_STATUS(pt_cursor_jump(&c, virt(0)), PT_OK, space_text, "jump");
	pt_cursor_set_options(&c, &keep);
	for (unsigned i = 0; i < 5; i++)
		CHECK_STATUS(pt_cursor_map(&c, phys(i * 4096), 1, RO, &f.flush), PT_OK, space_text,
			     "keep");
	*scene_entry(&f, 0, 2) &= ~UINT64_C(2);
	pt_cursor_set_options(&c, &wide);
	CHECK_STATUS(pt_cursor_map(&c, phys(5 * 4096), 1, RO, &f.flush), PT_OK, space_text, "wide");
	CHECK(*scene_entry(&f, 0, 2) & 2, "the link is widened");
	pt_cursor_set_options(&c, NULL);
	CHECK_STATUS(pt_cursor_jump(&c, virt(0)), PT_OK, space_text, "jump");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RO, &f.flush), PT_ERR_OVERLAP, space_text,
		     "default");
	space_fixture_free(&f);
}

/* ---- page by page ---- */

enum way { WAY_PLAIN, WAY_COUNTED, WAY_CALLBACK, WAY_HOOKS, WAY_HELD, WAY_COUNT };

static const char WAYS[][10] = { "plain", "counted", "callback", "hooks", "held" };

static uint64_t acquired, released;

static void acquire(void *ctx, phys_addr pa, uint64_t pages)
{
	(void)ctx;
	(void)pa;
	acquired += pages;
}

static void release(void *ctx, phys_addr pa, uint64_t pages)
{
	(void)ctx;
	(void)pa;
	released += pages;
}

static unsigned hold_calls;

static enum pt_hold hold_own(void *ctx, phys_addr table)
{
	(void)ctx;
	(void)table;
	hold_calls++;
	return PT_OWN;
}

static const struct pt_holds OWN = { .hold = hold_own };

static void way_init(struct space_fixture *f, enum way way)
{
	struct pt_cpu cpu = scene_cpu();

	space_fixture_init(f, &cpu, 32, way == WAY_CALLBACK);
	f->space.counted = way == WAY_COUNTED;
	acquired = released = 0;
	if (way == WAY_HOOKS)
		f->space.frames = (struct pt_frames){ acquire, release, NULL };
	if (way == WAY_HELD)
		f->space.tables.holds = &OWN;
}

/* Single pages over several tables, to the last: all as if by plain calls, each byte. */
static void pages_one_by_one_are_as_by_plain_calls(void)
{
	for (enum way way = WAY_PLAIN; way < WAY_COUNT; way++) {
		struct space_fixture f, g;
		struct pt_cursor c;
		uint64_t va = TOP_PAGE - 1100 * 4096;

		way_init(&f, way);
		way_init(&g, way);
		open_at(&f, &c, va, 1101);
		for (uint64_t i = 0; i < 1101; i++, va += 4096) {
			struct pt_attr attr = i / 7 % 3 == 2 ? RO : RW;
			struct pt_mapping m = { virt(va), phys((i * 37 % 1000) * 4096), 1, attr };

			CHECK_STATUS(pt_cursor_map(&c, m.pa, 1, attr, &f.flush), PT_OK, space_text,
				     WAYS[way]);
			CHECK_STATUS(pt_map(&g.space, &m, NULL, &g.flush), PT_OK, space_text,
				     WAYS[way]);
			expect_at(&c, va + 4096, 1100 - i, WAYS[way]);
		}
		space_snapshot_take(&g.shot, &g.arena);
		CHECK(space_snapshot_equal(&g.shot, &f.arena), WAYS[way]);
		CHECK_EQ(acquired, way == WAY_HOOKS ? 2 * 1101 : 0, WAYS[way]);
		expect_end(&f, &c, WAYS[way]);
		CHECK_EQ(f.arena.misuses + g.arena.misuses, 0, WAYS[way]);
		space_fixture_free(&f);
		space_fixture_free(&g);
	}
}

/* Else the tests of it would test little: only plain calls count up. */
static void the_short_way_is_taken(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	uint64_t generation;

	scene_init(&f, scene_cpu());
	open_at(&f, &c, 0, 512);
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text, "first");
	generation = f.space.generation;
	for (unsigned i = 1; i < 512; i++)
		CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text, "map");
	CHECK_EQ(f.space.generation, generation, "no plain call");
	space_fixture_free(&f);
}

/* Tables can be somewhere else, or somebody else's, when the next call comes. */
static void the_owners_of_tables_are_asked_for_every_page(void)
{
	for (enum way way = WAY_CALLBACK; way <= WAY_HELD; way++) {
		struct space_fixture f;
		struct pt_cursor c;

		way_init(&f, way);
		open_at(&f, &c, 0, 8);
		for (unsigned i = 0; i < 8; i++) {
			uint64_t lookups = f.arena.lookups, pages = acquired;
			unsigned calls = hold_calls;

			CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text,
				     WAYS[way]);
			CHECK_EQ(f.arena.lookups != lookups, way == WAY_CALLBACK, WAYS[way]);
			CHECK_EQ(acquired != pages, way == WAY_HOOKS, WAYS[way]);
			CHECK_EQ(hold_calls != calls, way == WAY_HELD, WAYS[way]);
		}
		space_fixture_free(&f);
	}
}

/* What would be refused by a plain call is refused in between, too. */
static const struct {
	const char *name;
	uint64_t pa, pages;
	struct pt_attr attr;
	enum pt_status status;
} WARM_ROWS[] = {
	{ "fine", 4096, 1, { PT_WRITE, PT_WB }, PT_OK },
	{ "the highest page", (UINT64_C(1) << 46) - 4096, 1, { PT_WRITE, PT_WB }, PT_OK },
	{ "behind it", UINT64_C(1) << 46, 1, { PT_WRITE, PT_WB }, PT_ERR_PHYS },
	{ "the top of all", TOP_PAGE, 1, { PT_WRITE, PT_WB }, PT_ERR_PHYS },
	{ "unaligned", 4096 + 8, 1, { PT_WRITE, PT_WB }, PT_ERR_UNALIGNED },
	{ "two pages", 4096, 2, { PT_WRITE, PT_WB }, PT_OK },
	{ "no page", 4096, 0, { PT_WRITE, PT_WB }, PT_OK },
	{ "too many", 4096, 9, { PT_WRITE, PT_WB }, PT_ERR_RANGE },
	{ "other rights", 4096, 1, { PT_USER, PT_WB }, PT_OK },
	{ "another cache type", 4096, 1, { PT_WRITE, PT_UC }, PT_OK },
	{ "no cache type", 4096, 1, { PT_WRITE, (enum pt_cache)2 }, PT_ERR_CACHE },
	{ "both", 4096, 1, { PT_WRITE | PT_EXEC, PT_WB }, PT_ERR_WX },
	{ "no flag", 4096, 1, { 1u << 31, PT_WB }, PT_ERR_ATTR },
};

static void the_short_way_refuses_what_the_long_one_does(void)
{
	for (size_t i = 0; i < ARRAY_LEN(WARM_ROWS); i++) {
		const char *name = WARM_ROWS[i].name;
		bool ok = WARM_ROWS[i].status == PT_OK;
		uint64_t pages = WARM_ROWS[i].pages, gone = ok ? pages : 0;
		struct sdm_translation t;
		struct space_fixture f;
		struct pt_cursor c;

		scene_init(&f, scene_cpu());
		open_at(&f, &c, 0, 10);
		for (unsigned k = 0; k < 2; k++)
			CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text,
				     name);
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(pt_cursor_map(&c, phys(WARM_ROWS[i].pa), pages, WARM_ROWS[i].attr,
					   &f.flush),
			     WARM_ROWS[i].status, space_text, name);
		expect_at(&c, 8192 + gone * 4096, 8 - gone, name);
		CHECK_EQ(space_snapshot_equal(&f.shot, &f.arena), gone == 0, name);
		t = sdm_translate(&f.arena, &f.space.cpu, f.space.root, 8192);
		CHECK_EQ(t.present, gone != 0, name);
		if (gone != 0) {
			CHECK_EQ(t.pa, WARM_ROWS[i].pa, name);
			CHECK_EQ(t.write, (WARM_ROWS[i].attr.flags & PT_WRITE) != 0, name);
			CHECK_EQ(t.user, (WARM_ROWS[i].attr.flags & PT_USER) != 0, name);
			CHECK_EQ(t.type, WARM_ROWS[i].attr.cache, name);
		}
		space_fixture_free(&f);
	}
}

/* Two pages are mapped by a cursor; then the space is changed without it. */
static void warm_up(struct space_fixture *f, struct pt_cursor *c)
{
	scene_init(f, scene_cpu());
	open_at(f, c, SLOT, 10);
	for (unsigned k = 0; k < 2; k++)
		CHECK_STATUS(pt_cursor_map(c, phys(0), 1, RW, &f->flush), PT_OK, space_text,
			     "warm");
}

static void what_others_change_is_seen(void)
{
	const struct pt_range all = range_of(SLOT, 512), next = range_of(SLOT + 8192, 1);
	struct pt_mapping m = { next.va, phys(MIB), 1, RO };
	struct space_fixture f;
	struct pt_cursor c;

	warm_up(&f, &c);
	CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_OK, space_text, "mapped");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_ERR_OVERLAP, space_text,
		     "mapped by others");
	space_fixture_free(&f);

	warm_up(&f, &c);
	*scene_entry(&f, SLOT + 8192, 1) = 0xabc00;
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_ERR_OVERLAP, space_text,
		     "soft");
	space_fixture_free(&f);

	warm_up(&f, &c);
	CHECK_STATUS(pt_set_link(&f.space, virt(SLOT), 3, 0, &f.flush), PT_OK, space_text, "link");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_ERR_LINK, space_text,
		     "a link forbids");
	space_fixture_free(&f);

	warm_up(&f, &c);
	CHECK_STATUS(pt_unmap(&f.space, all, &f.flush), PT_OK, space_text, "unmap");
	CHECK_EQ(pt_release(&f.space, &f.flush), 3, "release");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text, "table gone");
	CHECK_EQ(space_taken(&f.arena), 4, "tables");
	CHECK(sdm_translate(&f.arena, &f.space.cpu, f.space.root, SLOT + 8192).present, "mapped");
	space_fixture_free(&f);
}

/* Unmapping them all, one by one, retires the tables exactly then. */
static void counts_stay_exact(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	way_init(&f, WAY_COUNTED);
	open_at(&f, &c, SLOT, 100);
	for (unsigned i = 0; i < 100; i++)
		CHECK_STATUS(pt_cursor_map(&c, phys(i * 4096), 1, RW, &f.flush), PT_OK, space_text,
			     "map");
	CHECK_EQ(*scene_entry(&f, SLOT, 2) >> 52 & 0x3ff, 101, "count");
	CHECK_STATUS(pt_cursor_jump(&c, virt(SLOT)), PT_OK, space_text, "jump");
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(space_taken(&f.arena), 4, "tables");
		CHECK_STATUS(pt_cursor_take(&c, 1, &f.flush, &e), PT_OK, space_text, "take");
		CHECK_EQ(e.at.pa.raw, i * 4096, "taken");
		pt_release(&f.space, &f.flush);
	}
	CHECK_EQ(space_taken(&f.arena), 1, "tables");
	/* A link without a count stays one without. */
	CHECK_STATUS(pt_cursor_jump(&c, virt(SLOT)), PT_OK, space_text, "jump");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text, "map");
	*scene_entry(&f, SLOT, 2) &= ~(UINT64_C(0x3ff) << 52);
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text, "map");
	CHECK_EQ(*scene_entry(&f, SLOT, 2) >> 52 & 0x3ff, 0, "no count");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Taking
 */

/* A leaf of 1 GiB at 0, of 2 MiB at 2 GiB, two pages behind it, soft entries at 4 GiB. */
static void prepare_taking(struct space_fixture *f)
{
	struct pt_attr attr = { PT_WRITE | PT_USER | PT_DIRTY, PT_WC };

	scene_init(f, scene_cpu());
	scene_map(f, (struct pt_mapping){ virt(0), phys(GIB), PAGES(GIB), attr });
	scene_map(f, (struct pt_mapping){ virt(2 * GIB), phys(2 * GIB), 512 + 2, RO });
	scene_map(f, (struct pt_mapping){ virt(4 * GIB), phys(0), 4, RO });
	scene_map(f, (struct pt_mapping){ virt(5 * GIB), phys(0), 512, RO });
	scene_map(f, (struct pt_mapping){ virt(5 * GIB + 2 * MIB), phys(0), 1, RO });
	*scene_entry(f, 4 * GIB + 4096, 1) = 0xabc00;
	*scene_entry(f, 5 * GIB, 2) = 0xabc00;
	space_snapshot_take(&f->shot, &f->arena);
}

static const struct {
	const char *name;
	uint64_t va, pages;
	bool leaf_only;
	enum pt_status status;
	enum pte_kind kind;
	struct pt_mapping piece;
	uint64_t at;     /* afterwards */
	unsigned tables; /* taken */
} TAKE_ROWS[] = {
	{ "a page", 2 * GIB + 2 * MIB, 1, false, PT_OK, PTE_LEAF,
	  SCENE_RUN(2 * GIB + 2 * MIB, 2 * GIB + 2 * MIB, 1, 0), 2 * GIB + 2 * MIB + 4096, 0 },
	{ "2 MiB", 2 * GIB, 513, false, PT_OK, PTE_LEAF, SCENE_RUN(2 * GIB, 2 * GIB, 512, 0),
	  2 * GIB + 2 * MIB, 0 },
	{ "2 MiB but for the first page", 2 * GIB + 4096, 512, false, PT_OK, PTE_LEAF,
	  SCENE_RUN(2 * GIB + 4096, 2 * GIB + 4096, 511, 0), 2 * GIB + 2 * MIB, 1 },
	{ "five pages of 2 MiB", 2 * GIB + 4096, 5, false, PT_OK, PTE_LEAF,
	  SCENE_RUN(2 * GIB + 4096, 2 * GIB + 4096, 5, 0), 2 * GIB + 6 * 4096, 1 },
	{ "1 GiB", 0, PAGES(GIB), false, PT_OK, PTE_LEAF, SCENE_RUN(0, GIB, PAGES(GIB), 0), GIB,
	  0 },
	{ "a page of 1 GiB, #3920", 3 * 4096, 1, false, PT_OK, PTE_LEAF,
	  SCENE_RUN(3 * 4096, GIB + 3 * 4096, 1, 0), 4 * 4096, 2 },
	{ "2 MiB of 1 GiB", 4 * MIB, 512, false, PT_OK, PTE_LEAF,
	  SCENE_RUN(4 * MIB, GIB + 4 * MIB, 512, 0), 6 * MIB, 1 },
	{ "from a hole into 2 MiB", GIB, PAGES(GIB) + 3, false, PT_OK, PTE_LEAF,
	  SCENE_RUN(2 * GIB, 2 * GIB, 3, 0), 2 * GIB + 3 * 4096, 1 },
	{ "a table", 2 * GIB, PAGES(GIB), false, PT_OK, PTE_TABLE,
	  SCENE_RUN(2 * GIB, 0, PAGES(GIB), 0), 3 * GIB, 0 },
	{ "the first leaf of a table", 2 * GIB, PAGES(GIB), true, PT_OK, PTE_LEAF,
	  SCENE_RUN(2 * GIB, 2 * GIB, 512, 0), 2 * GIB + 2 * MIB, 0 },
	{ "a table but for a page", 2 * GIB, PAGES(GIB) - 1, false, PT_OK, PTE_LEAF,
	  SCENE_RUN(2 * GIB, 2 * GIB, 512, 0), 2 * GIB + 2 * MIB, 0 },
	{ "all", 0, PAGES(512 * GIB), false, PT_OK, PTE_TABLE, SCENE_RUN(0, 0, PAGES(512 * GIB), 0),
	  512 * GIB, 0 },
	{ "a soft entry", 4 * GIB + 4096, 1, false, PT_OK, PTE_SOFT,
	  SCENE_RUN(4 * GIB + 4096, 0, 1, 0), 4 * GIB + 8192, 0 },
	{ "a large soft entry", 5 * GIB, 512, true, PT_OK, PTE_SOFT, SCENE_RUN(5 * GIB, 0, 512, 0),
	  5 * GIB + 2 * MIB, 0 },
	{ "part of a large soft entry", 5 * GIB - 4096, 512, false, PT_ERR_SOFT, PTE_ABSENT,
	  SCENE_RUN(0, 0, 0, 0), 5 * GIB, 0 },
	{ "nothing", 3 * GIB, PAGES(GIB), false, PT_ERR_NOT_MAPPED, PTE_ABSENT,
	  SCENE_RUN(0, 0, 0, 0), 4 * GIB, 0 },
	{ "nothing in a table", 4 * GIB + 5 * 4096, 4, false, PT_ERR_NOT_MAPPED, PTE_ABSENT,
	  SCENE_RUN(0, 0, 0, 0), 4 * GIB + 9 * 4096, 0 },
	{ "no pages", 0, 0, false, PT_ERR_NOT_MAPPED, PTE_ABSENT, SCENE_RUN(0, 0, 0, 0), 0, 0 },
};

/* Each page of the piece is gone, and the ones beside it are as they were. */
static void expect_gone(const struct space_fixture *f, const struct space_fixture *before,
			struct pt_mapping piece, const char *name)
{
	uint64_t size = piece.pages * 4096;
	const uint64_t probes[] = { piece.va.raw - 4096, piece.va.raw, piece.va.raw + size / 2,
				    piece.va.raw + size - 4096, piece.va.raw + size };

	for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
		struct sdm_translation was, is;
		bool inside = probes[i] - piece.va.raw < size;

		if (probes[i] == 0 - UINT64_C(4096))
			continue;
		was = sdm_translate(&before->arena, &before->space.cpu, before->space.root,
				    probes[i]);
		is = sdm_translate(&f->arena, &f->space.cpu, f->space.root, probes[i]);
		CHECK_EQ(is.present, was.present && !inside, name);
		if (is.present) {
			CHECK_EQ(is.pa, was.pa, name);
			CHECK_EQ(is.type, was.type, name);
			CHECK(is.write == was.write && is.user == was.user && is.dirty == was.dirty,
			      name);
		}
	}
}

static void try_take(size_t i, bool live)
{
	const char *name = TAKE_ROWS[i].name;
	bool ok = TAKE_ROWS[i].status == PT_OK;
	struct pt_mapping piece = TAKE_ROWS[i].piece;
	struct space_fixture f, before;
	struct pt_entry e = { .at.level = 77 };
	struct pt_cursor c;
	size_t taken;

	prepare_taking(&f);
	prepare_taking(&before);
	f.space.live = live;
	taken = space_taken(&f.arena);
	open_at(&f, &c, 0, PAGES(512 * GIB));
	CHECK_STATUS(pt_cursor_jump(&c, virt(TAKE_ROWS[i].va)), PT_OK, space_text, name);
	CHECK_STATUS((TAKE_ROWS[i].leaf_only ? pt_cursor_take_leaf : pt_cursor_take)(
			     &c, TAKE_ROWS[i].pages, &f.flush, &e),
		     TAKE_ROWS[i].status, space_text, name);
	expect_at(&c, TAKE_ROWS[i].at, (512 * GIB - TAKE_ROWS[i].at) / 4096, name);
	CHECK_EQ(space_snapshot_equal(&f.shot, &f.arena), !ok, name);
	CHECK_EQ(space_taken(&f.arena), taken + TAKE_ROWS[i].tables, name);
	if (ok) {
		expect_entry(&e, TAKE_ROWS[i].kind, piece, name);
		expect_gone(&f, &before, piece, name);
	} else {
		CHECK_EQ(e.at.level, 77, name);
	}
	if (ok && e.kind != PTE_SOFT)
		CHECK(fits((piece.va.raw - f.flush.va.raw) / 4096, piece.pages, f.flush.pages),
		      name);
	if (ok && piece.va.raw < GIB && e.kind == PTE_LEAF)
		CHECK_EQ(e.at.own, PT_WRITE | PT_USER | PT_DIRTY, name);
	pt_release(&f.space, &f.flush);
	CHECK_EQ(sdm_count_tables(&f.arena, &f.space.cpu, f.space.root), space_taken(&f.arena),
		 name);
	CHECK_EQ(f.arena.misuses, 0, name);
	space_fixture_free(&f);
	space_fixture_free(&before);
}

static void the_next_fragment_is_taken(void)
{
	for (size_t i = 0; i < ARRAY_LEN(TAKE_ROWS); i++) {
		try_take(i, false);
		try_take(i, true);
	}
}

static void a_range_is_taken_in_few_steps(void)
{
	static const enum pte_kind kinds[] = { PTE_LEAF, PTE_TABLE, PTE_TABLE, PTE_TABLE };
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;
	size_t count = 0;

	prepare_taking(&f);
	open_at(&f, &c, 4096, PAGES(512 * GIB) - 1);
	while (pt_cursor_take(&c, pt_cursor_left(&c), &f.flush, &e) == PT_OK) {
		CHECK(count < ARRAY_LEN(kinds) && e.kind == kinds[count], "step");
		count++;
	}
	CHECK_EQ(count, ARRAY_LEN(kinds), "steps");
	expect_at(&c, 512 * GIB, 0, "end");
	pt_release(&f.space, &f.flush);
	CHECK_EQ(space_taken(&f.arena), 4, "the first page is left, and its tables");
	space_fixture_free(&f);
}

/* A split without tables for it: nothing happens, and it can be tried again. */
static void what_cannot_be_split_stays(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e = { .at.level = 77 };

	prepare_taking(&f);
	open_at(&f, &c, GIB, PAGES(2 * GIB));
	f.arena.limit = space_taken(&f.arena);
	CHECK_STATUS(pt_cursor_take(&c, PAGES(GIB) + 1, &f.flush, &e), PT_ERR_NO_TABLES, space_text,
		     "take");
	expect_at(&c, 2 * GIB, PAGES(GIB), "at the leaf");
	CHECK_STATUS(pt_cursor_protect(&c, 1, RW, &f.flush, &e), PT_ERR_NO_TABLES, space_text,
		     "protect");
	expect_at(&c, 2 * GIB, PAGES(GIB), "at the leaf");
	CHECK_EQ(e.at.level, 77, "nothing told");
	CHECK(space_snapshot_equal(&f.shot, &f.arena) && pt_flush_is_empty(&f.flush), "no trace");
	f.arena.limit = f.arena.count;
	CHECK_STATUS(pt_cursor_take(&c, 1, &f.flush, &e), PT_OK, space_text, "again");
	space_fixture_free(&f);
}

static void links_that_others_have_copies_of_stay(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;
	uint64_t root_entry;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0xffff900000000000), phys(0), 3, RO });
	f.root[0x130] = f.space.root.raw | 7;
	root_entry = f.root[0x120];
	f.space.pins_upper = true;
	open_at(&f, &c, 0xffff800000000000, UINT64_C(1) << 35);
	CHECK_STATUS(pt_cursor_take(&c, pt_cursor_left(&c), &f.flush, &e), PT_OK, space_text,
		     "take");
	expect_entry(&e, PTE_TABLE,
		     (struct pt_mapping){ virt(0xffff900000000000), phys(0), PAGES(GIB), RO },
		     "one level down");
	CHECK_EQ(f.root[0x120], root_entry, "the pinned link");
	CHECK_STATUS(pt_cursor_take(&c, pt_cursor_left(&c), &f.flush, &e), PT_ERR_NOT_MAPPED,
		     space_text, "the tables themselves are passed over");
	CHECK_EQ(f.root[0x130], f.space.root.raw | 7, "they stay");
	expect_at(&c, 0, 0, "end");
	space_fixture_free(&f);
}

static void the_tables_themselves_are_not_taken(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	scene_init(&f, scene_cpu());
	f.root[5] = f.space.root.raw | 7;
	space_snapshot_take(&f.shot, &f.arena);
	open_at(&f, &c, 0, UINT64_C(1) << 35);
	CHECK_STATUS(pt_cursor_take(&c, pt_cursor_left(&c), &f.flush, &e), PT_ERR_NOT_MAPPED,
		     space_text, "take");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "no trace");
	space_fixture_free(&f);
}

/* Reaches tables as the arena does; meanwhile the processor writes to page 1. */
static struct {
	struct pt_mem mem;
	unsigned when; /* which time a table of pages is reached, from 1 */
} busy;

static void *reach_busy(void *ctx, phys_addr table, virt_addr va, unsigned level)
{
	uint64_t *entries = busy.mem.table(ctx, table, va, level);

	if (level == 1 && --busy.when == 0)
		entries[1] |= 0x60;
	return entries;
}

/* The page, or the leaf it is part of, is used between its being found and taken. */
static void use_of_a_page_up_to_its_end_is_told(void)
{
	for (unsigned level = 1; level <= 2; level++) {
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;
		struct pt_cursor c;
		struct pt_entry e;

		space_fixture_init(&f, &cpu, 32, true);
		scene_map(&f, (struct pt_mapping){ virt(0), phys(0), level_pages(level) + 1, RW });
		if (level == 1)
			scene_map(&f, (struct pt_mapping){ virt(8192), phys(0), 1, RW });
		f.space.live = true;
		busy.mem = f.space.mem;
		busy.when = level == 1 ? 2 : 1;
		f.space.mem.table = reach_busy;
		open_at(&f, &c, level == 1 ? 4096 : 0, 4);
		CHECK_STATUS(pt_cursor_take(&c, level == 1 ? 1 : 4, &f.flush, &e), PT_OK,
			     space_text, "take");
		CHECK_EQ(e.at.level, level, "level");
		CHECK_EQ(e.at.own, PT_WRITE | PT_ACCESSED | PT_DIRTY, "own");
		CHECK_EQ(e.at.attr.flags, PT_WRITE | PT_ACCESSED | PT_DIRTY, "effective");
		space_fixture_free(&f);
	}
}

static void pages_taken_are_released_once(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;
	enum pt_status status = PT_OK;

	way_init(&f, WAY_HOOKS);
	open_at(&f, &c, 0, PAGES(GIB) + 600);
	CHECK_STATUS(pt_cursor_map(&c, phys(GIB), PAGES(GIB) + 600, RW, &f.flush), PT_OK,
		     space_text, "map");
	CHECK_STATUS(pt_cursor_jump(&c, virt(4096)), PT_OK, space_text, "jump");
	while (status == PT_OK)
		status = pt_cursor_take(&c, pt_cursor_left(&c), &f.flush, &e);
	CHECK_EQ(released, 0, "not yet");
	pt_release(&f.space, &f.flush);
	CHECK_EQ(acquired, PAGES(GIB) + 600, "acquired");
	CHECK_EQ(released, PAGES(GIB) + 599, "released");
	CHECK_EQ(f.arena.misuses, 0, "tables");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Rights
 */

static void the_next_piece_is_protected(void)
{
	static const struct pt_mapping after[] = {
		SCENE_RUN(2 * GIB, 2 * GIB, 1, 0, PT_WB),
		SCENE_RUN(2 * GIB + 4096, 2 * GIB + 4096, 512, PT_WRITE, PT_UC),
		SCENE_RUN(2 * GIB + 2 * MIB + 4096, 2 * GIB + 2 * MIB + 4096, 1, 0, PT_WB),
		{ .pages = 0 },
	};
	const struct pt_attr attr = { PT_WRITE, PT_UC };
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(2 * GIB), phys(2 * GIB), 512 + 2, RO });
	open_at(&f, &c, GIB + 4096, PAGES(GIB) + 512);
	CHECK_STATUS(pt_cursor_protect(&c, PAGES(GIB) - 1, attr, &f.flush, &e), PT_ERR_NOT_MAPPED,
		     space_text, "nothing");
	expect_at(&c, 2 * GIB, 513, "behind nothing");
	CHECK_STATUS(pt_cursor_jump(&c, virt(2 * GIB + 4096)), PT_OK, space_text, "jump");
	CHECK_STATUS(pt_cursor_protect(&c, 512, attr, &f.flush, &e), PT_OK, space_text, "part");
	expect_entry(&e, PTE_LEAF,
		     (struct pt_mapping){ virt(2 * GIB + 4096), phys(2 * GIB + 4096), 511, RO },
		     "part");
	CHECK_EQ(e.at.own, 0, "as it was");
	expect_at(&c, 2 * GIB + 2 * MIB, 1, "behind the part");
	CHECK_STATUS(pt_cursor_protect(&c, 1, attr, &f.flush, &e), PT_OK, space_text, "page");
	expect_entry(&e, PTE_LEAF,
		     (struct pt_mapping){ virt(2 * GIB + 2 * MIB), phys(2 * GIB + 2 * MIB), 1, RO },
		     "page");
	CHECK_EQ(f.flush.va.raw, 2 * GIB + 4096, "flush");
	CHECK_EQ(f.flush.pages, 512, "flush");
	scene_expect_runs(&f, after, "protected");
	space_fixture_free(&f);
}

static void what_no_leaf_can_say_is_refused_even_where_there_is_none(void)
{
	const struct pt_update both = { .set = PT_WRITE | PT_EXEC };
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	scene_init(&f, scene_cpu());
	open_at(&f, &c, 0, 4);
	CHECK_STATUS(pt_cursor_protect(&c, 4, (struct pt_attr){ 1u << 31, PT_WB }, &f.flush, &e),
		     PT_ERR_ATTR, space_text, "flags");
	CHECK_STATUS(
		pt_cursor_protect(&c, 0, (struct pt_attr){ 0, (enum pt_cache)2 }, &f.flush, &e),
		PT_ERR_CACHE, space_text, "cache");
	CHECK_STATUS(pt_cursor_update(&c, 4, both, &f.flush, &e), PT_ERR_WX, space_text, "both");
	expect_at(&c, 0, 4, "stays");
	CHECK_STATUS(pt_cursor_protect(&c, 0, RO, &f.flush, &e), PT_ERR_NOT_MAPPED, space_text,
		     "no pages");
	CHECK_STATUS(pt_cursor_update(&c, 4, (struct pt_update){ .set = PT_WRITE }, &f.flush, &e),
		     PT_ERR_NOT_MAPPED, space_text, "nothing there");
	expect_at(&c, 16384, 0, "behind");
	space_fixture_free(&f);
}

/* Of three pages the second has both flags; only it is changed. */
static void an_update_finds_the_leaves_that_it_concerns(void)
{
	const struct pt_update update = { .only = PT_SOFT1 | PT_USER,
					  .set = PT_WRITE,
					  .clear = PT_SOFT1 };
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, { PT_SOFT1, PT_WB } });
	scene_map(&f, (struct pt_mapping){ virt(4096), phys(0), 1, { PT_SOFT1 | PT_USER, PT_WB } });
	scene_map(&f, (struct pt_mapping){ virt(8192), phys(0), 1, { PT_USER, PT_WB } });
	open_at(&f, &c, 0, 4);
	CHECK_STATUS(pt_cursor_update(&c, 4, update, &f.flush, &e), PT_OK, space_text, "update");
	CHECK_EQ(e.at.va.raw, 4096, "the second");
	CHECK_EQ(e.at.own, PT_SOFT1 | PT_USER, "as it was");
	expect_at(&c, 8192, 2, "behind it");
	CHECK_EQ(f.flush.pages, 1, "flush");
	CHECK_EQ(*scene_entry(&f, 0, 1) & 0xc06, 0x400, "the first");
	CHECK_EQ(*scene_entry(&f, 4096, 1) & 0xc06, 6, "the second");
	CHECK_EQ(*scene_entry(&f, 8192, 1) & 0xc06, 4, "the third");
	CHECK_STATUS(pt_cursor_update(&c, 2, update, &f.flush, &e), PT_ERR_NOT_MAPPED, space_text,
		     "no other");
	expect_at(&c, 16384, 0, "end");
	space_fixture_free(&f);
}

/* After each way of changing, pages are mapped where the cursor now is. */
static void every_call_leaves_the_short_way(void)
{
	struct space_fixture f;
	struct pt_cursor c;
	struct pt_entry e;

	warm_up(&f, &c);
	CHECK_STATUS(pt_cursor_query(&c, &e), PT_OK, space_text, "query");
	CHECK_EQ(e.at.va.raw, SLOT + 8192, "query");
	CHECK_STATUS(pt_cursor_take(&c, 1, &f.flush, &e), PT_ERR_NOT_MAPPED, space_text, "take");
	expect_at(&c, SLOT + 3 * 4096, 7, "behind the hole");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text, "map");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_OK, space_text, "map");
	CHECK(!sdm_translate(&f.arena, &f.space.cpu, f.space.root, SLOT + 8192).present, "hole");
	CHECK_STATUS(pt_cursor_jump(&c, virt(SLOT + 8192)), PT_OK, space_text, "jump");
	CHECK_STATUS(pt_cursor_map(&c, phys(MIB), 1, RW, &f.flush), PT_OK, space_text, "map");
	CHECK_EQ(sdm_translate(&f.arena, &f.space.cpu, f.space.root, SLOT + 8192).pa, MIB, "hole");
	CHECK_STATUS(pt_cursor_find(&c, &e), PT_OK, space_text, "find");
	expect_at(&c, SLOT + 3 * 4096, 7, "find");
	CHECK_STATUS(pt_cursor_map(&c, phys(0), 1, RW, &f.flush), PT_ERR_OVERLAP, space_text,
		     "map");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(ranges_are_those_of_the_space_or_refused);
	RUN(a_writer_needs_an_allocator_and_root_entries_of_its_own);
	RUN(a_second_writer_over_an_overlapping_range_is_refused);
	RUN(a_closed_cursor_is_at_the_end_of_nothing);
	RUN(a_cursor_for_reading_changes_nothing);
	RUN(a_jump_leads_to_a_page_of_the_range);
	RUN(nothing_happens_at_the_end);
	RUN(more_pages_than_are_left_are_refused);
	RUN(a_query_tells_the_whole_slot_and_takes_nothing);
	RUN(a_query_tells_effective_rights);
	RUN(the_next_leaf_is_found_or_the_end);
	RUN(a_search_goes_on_where_the_budget_ended_it);
	RUN(mapping_moves_on_and_a_refusal_does_not);
	RUN(defect_3731_a_range_of_one_large_leaf_is_mapped_by_it);
	RUN(options_hold_until_the_next_ones);
	RUN(pages_one_by_one_are_as_by_plain_calls);
	RUN(the_short_way_is_taken);
	RUN(the_owners_of_tables_are_asked_for_every_page);
	RUN(the_short_way_refuses_what_the_long_one_does);
	RUN(what_others_change_is_seen);
	RUN(counts_stay_exact);
	RUN(the_next_fragment_is_taken);
	RUN(a_range_is_taken_in_few_steps);
	RUN(what_cannot_be_split_stays);
	RUN(links_that_others_have_copies_of_stay);
	RUN(the_tables_themselves_are_not_taken);
	RUN(use_of_a_page_up_to_its_end_is_told);
	RUN(pages_taken_are_released_once);
	RUN(the_next_piece_is_protected);
	RUN(what_no_leaf_can_say_is_refused_even_where_there_is_none);
	RUN(an_update_finds_the_leaves_that_it_concerns);
	RUN(every_call_leaves_the_short_way);
	return check_done();
}
