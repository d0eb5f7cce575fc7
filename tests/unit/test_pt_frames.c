/* Hooks: how often each frame is mapped, told in time, from map to release. */
#include "tests/fake/stage.h"

enum step { MAP, MAP_SMALL, REPLACE, PROTECT, UPDATE, UNMAP, CLEAN, COLLAPSE, SOFT, END };

struct deed {
	enum step step;
	uint64_t page, pages;
};

struct row {
	const char *name;
	struct deed deeds[5]; /* ends with END */
	uint64_t logged;      /* by the last of them */
	uint64_t released;    /* pages, when the last is released */
	uint64_t left;        /* pages mapped in the end */
};

static const struct row ROWS[] = {
	{ "a map", { { MAP, 0, 3 }, { END, 0, 0 } }, 0, 0, 3 },
	{ "a large leaf", { { MAP, 0, P3 }, { END, 0, 0 } }, 0, 0, P3 },
	{ "a page unmapped", { { MAP, 0, 3 }, { UNMAP, 1, 1 }, { END, 0, 0 } }, 1, 1, 2 },
	{ "a hole unmapped", { { MAP, 0, 3 }, { UNMAP, 3, 1 }, { END, 0, 0 } }, 0, 0, 3 },
	{ "a table's last page unmapped: logged, the table retired",
	  { { MAP, 0, 1 }, { UNMAP, 0, 1 }, { END, 0, 0 } },
	  1,
	  1,
	  0 },
	{ "a whole table unmapped unread",
	  { { MAP_SMALL, 0, P2 }, { UNMAP, 0, P2 }, { END, 0, 0 } },
	  0,
	  P2,
	  0 },
	{ "a split", { { MAP, 0, P3 }, { PROTECT, 1, 1 }, { END, 0, 0 } }, 0, 0, P3 },
	{ "a page of the largest leaf unmapped",
	  { { MAP, 0, P3 }, { UNMAP, 1, 1 }, { END, 0, 0 } },
	  1,
	  1,
	  P3 - 1 },
	{ "pieces of two sizes of a leaf unmapped",
	  { { MAP, 0, P3 }, { UNMAP, P2 - 1, P2 + 2 }, { END, 0, 0 } },
	  3,
	  P2 + 2,
	  P3 - P2 - 2 },
	{ "a collapse", { { MAP_SMALL, 0, P2 }, { COLLAPSE, 0, P2 }, { END, 0, 0 } }, 0, P2, P2 },
	{ "a split and a collapse",
	  { { MAP, 0, P3 },
	    { UPDATE, 5, 1 },
	    { PROTECT, 0, P3 },
	    { COLLAPSE, 0, P3 },
	    { END, 0, 0 } },
	  0,
	  P3 + P2,
	  P3 },
	{ "pages replaced one by one",
	  { { MAP, 0, 2 }, { REPLACE, 0, 2 }, { END, 0, 0 } },
	  2,
	  2,
	  2 },
	{ "a table replaced by a leaf",
	  { { MAP_SMALL, 0, P2 }, { REPLACE, 0, P2 }, { END, 0, 0 } },
	  0,
	  P2,
	  P2 },
	{ "a page of a leaf replaced",
	  { { MAP, 0, P2 }, { REPLACE, 1, 1 }, { END, 0, 0 } },
	  1,
	  1,
	  P2 },
	{ "a page swapped out", { { MAP, 0, 2 }, { SOFT, 0, 1 }, { END, 0, 0 } }, 1, 1, 1 },
	{ "a soft entry unmapped",
	  { { MAP, 0, 2 }, { SOFT, 0, 1 }, { UNMAP, 0, 1 }, { END, 0, 0 } },
	  0,
	  0,
	  1 },
	{ "a clean", { { MAP, 0, 2 }, { CLEAN, 0, P4 }, { END, 0, 0 } }, 0, 0, 2 },
};

static enum pt_status plan(const struct engine *e, const struct deed *deed, struct pt_plan *ret)
{
	const struct pt_space *space = &e->f.space;
	struct pt_mapping m = stage_mapping(deed->page, deed->pages, PT_WRITE);
	struct pt_options options = { .conflict = deed->step == REPLACE ? PT_REPLACE : PT_REFUSE,
				      .max_leaf = deed->step == MAP_SMALL ? 1 : 0 };
	struct pt_range range = { m.va, m.pages };

	switch (deed->step) {
	case PROTECT:
		return pt_plan_protect(space, range, m.attr, ret);
	case UPDATE:
		return pt_plan_update(space, range, (struct pt_update){ .set = PT_USER }, ret);
	case UNMAP:
		return pt_plan_unmap(space, range, ret);
	case CLEAN:
		return pt_plan_clean(space, range, ret);
	case COLLAPSE:
		return pt_plan_collapse(space, range, ret);
	case SOFT:
		*ret = (struct pt_plan){ .logged = 1 };
		return PT_OK;
	case MAP:
	case MAP_SMALL:
	case REPLACE:
	case END:
		break;
	}
	return pt_plan_map(space, &m, &options, ret);
}

static enum pt_status act(struct engine *e, const struct deed *deed)
{
	struct pt_space *space = &e->f.space;
	struct pt_flush *flush = &e->f.flush;
	struct pt_mapping m = stage_mapping(deed->page, deed->pages, PT_WRITE);
	struct pt_options options = { .conflict = deed->step == REPLACE ? PT_REPLACE : PT_REFUSE,
				      .max_leaf = deed->step == MAP_SMALL ? 1 : 0 };
	struct pt_range range = { m.va, m.pages };
	struct pt_entry old;

	switch (deed->step) {
	case PROTECT:
		return pt_protect(space, range, m.attr, flush);
	case UPDATE:
		return pt_update(space, range, (struct pt_update){ .set = PT_USER }, flush);
	case UNMAP:
		return pt_unmap(space, range, flush);
	case CLEAN:
		return pt_clean(space, range, flush);
	case COLLAPSE:
		return pt_collapse(space, range, flush);
	case SOFT:
		return pt_set_soft(
			space, &(struct pt_soft){ m.va, 1, pte_leaf(0, 0x40 * PT_PAGE_SIZE, 1) },
			flush, &old);
	case MAP:
	case MAP_SMALL:
	case REPLACE:
	case END:
		break;
	}
	return pt_map(space, &m, &options, flush);
}

/* All deeds but the last, each released. Returns the last. */
static const struct deed *prepare(struct engine *e, const struct row *row)
{
	const struct deed *deed = row->deeds;

	for (; deed[1].step != END; deed++) {
		CHECK_STATUS(act(e, deed), PT_OK, space_text, row->name);
		engine_release(e);
	}
	return deed;
}

static void play(const struct row *row, bool counted)
{
	struct engine_options options = stage_options();
	struct engine e;
	struct pt_plan expected;

	options.hooks = true;
	options.counted = counted;
	engine_init(&e, &options);

	const struct deed *last = prepare(&e, row);
	uint64_t released = e.released;
	size_t taken = space_taken(&e.f.arena);

	CHECK_STATUS(plan(&e, last, &expected), PT_OK, space_text, row->name);
	CHECK_EQ(expected.logged, row->logged, row->name);
	CHECK_STATUS(act(&e, last), PT_OK, space_text, row->name);
	CHECK_EQ(space_taken(&e.f.arena),
		 taken + expected.tables + (row->logged + PT_LOG_ENTRIES - 1) / PT_LOG_ENTRIES,
		 row->name);
	CHECK_EQ(e.released, released, row->name);
	stage_expect_order(&e, row->name);
	CHECK_EQ(e.released - released, row->released, row->name);
	CHECK_EQ(e.acquired - e.released, row->left, row->name);
	stage_end(&e, row->name);
}

static void frames_are_counted_from_map_to_release(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		play(&ROWS[i], false);
		play(&ROWS[i], true);
	}
}

/* With too few tables, down to none, no hook is told, and no byte changes. */
static void refusals_tell_no_hook(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		struct engine_options options = stage_options();
		struct engine e;
		struct pt_plan expected;

		options.hooks = true;
		engine_init(&e, &options);

		const struct deed *last = prepare(&e, &ROWS[i]);

		CHECK_STATUS(plan(&e, last, &expected), PT_OK, space_text, ROWS[i].name);

		uint64_t need = expected.tables + engine_log_tables(&e, expected.logged);

		engine_save(&e);
		for (uint64_t left = 0; left < need; left++) {
			e.f.arena.limit = space_taken(&e.f.arena) + (size_t)left;
			CHECK_STATUS(act(&e, last), PT_ERR_NO_TABLES, space_text, ROWS[i].name);
			CHECK(engine_is_as_saved(&e), ROWS[i].name);
		}
		e.f.arena.limit = space_taken(&e.f.arena) + (size_t)need;
		CHECK_STATUS(act(&e, last), PT_OK, space_text, ROWS[i].name);
		e.f.arena.limit = e.f.arena.count;
		stage_end(&e, ROWS[i].name);
	}
}

/* The list goes on in the table begun by the call before. */
static void lists_of_released_pages_are_filled_up(void)
{
	struct engine_options options = stage_options();
	struct engine e;
	uint64_t pages = PT_LOG_ENTRIES + 2 < P4 ? PT_LOG_ENTRIES + 2 : P4;

	options.hooks = true;
	engine_init(&e, &options);
	stage_map_small(&e, 0, P2 * ((pages + 1) / P2 + 2), 0);

	size_t taken = space_taken(&e.f.arena);

	for (uint64_t i = 0; i < pages; i++) {
		/* One of each table stays. */
		uint64_t page = i + 1 + i / (P2 - 1);

		CHECK_STATUS(pt_unmap(&e.f.space, stage_range(page, 1), &e.f.flush), PT_OK,
			     space_text, "page by page");
		CHECK_EQ(space_taken(&e.f.arena), taken + (i + PT_LOG_ENTRIES) / PT_LOG_ENTRIES,
			 "page by page");
	}
	CHECK_EQ(e.released, 0, "before the release");
	engine_release(&e);
	CHECK_EQ(e.released, pages, "after it");
	CHECK_EQ(space_taken(&e.f.arena), taken, "after it");
	stage_end(&e, "page by page");
}

/* Neither tables nor frames go before the flush: tables stay as they are, byte for byte. */
static void defect_18_nothing_is_given_back_before_the_flush(void)
{
	struct engine_options options = stage_options();
	struct engine e;

	options.hooks = true;
	engine_init(&e, &options);
	stage_map_small(&e, 0, 2 * P2, PT_WRITE);

	pte_t *entry = engine_entry_at(&e, 0, 2);
	phys_addr table = pte_table_addr(&e.f.space.cpu, *entry, 2);
	pte_t first = space_table(&e.f.arena, table)[0];
	size_t taken = space_taken(&e.f.arena);

	CHECK_STATUS(pt_unmap(&e.f.space, stage_range(0, P2), &e.f.flush), PT_OK, space_text,
		     "a table");
	CHECK_EQ(space_taken(&e.f.arena), taken, "a table");
	CHECK_EQ(e.released, 0, "a table");
	CHECK_EQ(pte_stash(space_table(&e.f.arena, table)[0], 0), first, "what readers see");
	CHECK(!pt_flush_is_empty(&e.f.flush), "a table");
	CHECK_EQ(engine_release(&e), 1, "a table");
	CHECK_EQ(e.released, P2, "a table");
	CHECK_EQ(space_taken(&e.f.arena), taken - 1, "a table");
	stage_end(&e, "a table");
}

/* When acquire() is called, nobody can see the page yet. */
struct early {
	struct pt_space *space;
	unsigned calls, seen;
};

static void look(void *ctx, phys_addr pa, uint64_t pages)
{
	struct early *early = ctx;
	struct pt_leaf leaf;

	(void)pages;
	early->calls++;
	early->seen += pt_query(early->space, virt(pa.raw - STAGE_FRAME * PT_PAGE_SIZE), &leaf) ==
		       PT_OK;
}

static void no_release(void *ctx, phys_addr pa, uint64_t pages)
{
	(void)ctx;
	(void)pa;
	(void)pages;
}

static void pages_are_acquired_before_they_are_mapped(void)
{
	struct engine_options options = stage_options();
	struct engine e;
	struct early early = { .space = &e.f.space };

	engine_init(&e, &options);
	e.f.space.frames = (struct pt_frames){ look, no_release, &early };
	stage_map(&e, 0, P2, 0);
	stage_map(&e, P2, 3, 0);
	stage_map(&e, P2 + 3, 1, 0);
	CHECK_EQ(early.calls, 3, "runs of leaves");
	CHECK_EQ(early.seen, 0, "mapped already");
	e.f.space.frames.acquire = NULL;
	stage_end(&e, "early");
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(frames_are_counted_from_map_to_release);
	RUN(refusals_tell_no_hook);
	RUN(lists_of_released_pages_are_filled_up);
	RUN(defect_18_nothing_is_given_back_before_the_flush);
	RUN(pages_are_acquired_before_they_are_mapped);
	return check_done();
}
