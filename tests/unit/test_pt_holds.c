/*
 * Tables that are common with others or frozen: whatever call comes to them,
 * what others see stays, the result is that of a space of its own, and what is
 * copied is announced and copied once.
 */
#include "tests/fake/stage.h"

enum step { MAP, REPLACE, PROTECT, UPDATE, UNMAP, CLEAN, COLLAPSE, SOFT, LINK, PAGE_UNMAP };

/* What the space holds before: see prepare(). */
struct row {
	const char *name;
	enum step step;
	uint64_t page, pages;
	unsigned level;   /* of SOFT, LINK, PAGE_UNMAP */
	uint64_t tables;  /* all that the call takes, but for lists */
	uint64_t moved;   /* of these copies */
	uint64_t retired; /* sub-trees, announced */
	uint64_t common;  /* references in the list, where tables are common */
};

/*
 * One table of small pages for the first P2 pages but the first, a large leaf at P2, a page at P3,
 * and nothing from P4 on; so tables are: root, third, two second, two of pages.
 */
static const struct row ROWS[] = {
	{ "a page into a table of pages", MAP, 0, 1, 1, 3, 3, 0, 3 },
	{ "a page where no table is", MAP, 2 * P2 + 1, 1, 1, 3, 2, 0, 2 },
	{ "a page far off: only the root", MAP, P4, 1, 1, 3, 0, 0, 0 },
	{ "a page replaced", REPLACE, 1, 1, 1, 3, 3, 0, 3 },
	{ "a table replaced by a leaf", REPLACE, 0, P2, 1, 2, 2, 1, 3 },
	{ "a page of the large leaf replaced", REPLACE, P2, 1, 1, 3, 2, 0, 2 },
	{ "pages protected", PROTECT, 0, P2, 1, 3, 3, 0, 3 },
	{ "the large leaf protected", PROTECT, P2, P2, 1, 2, 2, 0, 2 },
	{ "a part of it protected", PROTECT, P2 + 1, 1, 1, 3, 2, 0, 2 },
	{ "all protected", PROTECT, 0, P4, 1, 5, 5, 0, 5 },
	{ "a hole protected", PROTECT, 2 * P2, P2, 1, 0, 0, 0, 0 },
	{ "a page updated", UPDATE, 1, 1, 1, 3, 3, 0, 3 },
	{ "nothing that the update concerns", UPDATE, P3, P3, 1, 0, 0, 0, 0 },
	{ "a page unmapped", UNMAP, 1, 1, 1, 3, 3, 0, 3 },
	{ "a hole of a table unmapped", UNMAP, 0, 1, 1, 0, 0, 0, 0 },
	{ "a hole without a table unmapped", UNMAP, 2 * P2, P2, 1, 0, 0, 0, 0 },
	{ "a table unmapped", UNMAP, 0, P2, 1, 2, 2, 1, 3 },
	{ "all pages of a table unmapped, but not its hole", UNMAP, 1, P2 - 1, 1, 2, 2, 1, 3 },
	{ "the only page of two tables unmapped", UNMAP, P3, 1, 1, 1, 1, 1, 2 },
	{ "a part of the large leaf unmapped", UNMAP, P2 + 1, 1, 1, 3, 2, 0, 2 },
	{ "all unmapped", UNMAP, 0, P4, 1, 0, 0, 1, 1 },
	{ "all unmapped but the hole at the beginning", UNMAP, 1, P4 - 1, 1, 0, 0, 1, 1 },
	{ "a clean of what is not empty", CLEAN, 0, P4, 1, 0, 0, 0, 0 },
	{ "a collapse", COLLAPSE, 0, P4, 1, 0, 0, 0, 0 },
	{ "a soft entry for a page", SOFT, 1, 1, 1, 3, 3, 0, 3 },
	{ "a soft entry for the large leaf", SOFT, P2, P2, 2, 2, 2, 0, 2 },
	{ "a link of pages", LINK, 1, 1, 2, 2, 2, 0, 2 },
	{ "a link of the root", LINK, 1, 1, 4, 0, 0, 0, 0 },
	{ "the large leaf as a page", PAGE_UNMAP, P2, P2, 2, 2, 2, 0, 2 },
	{ "the last page as a page", PAGE_UNMAP, P3, 1, 1, 1, 1, 1, 2 },
};

/* Whom the tables belong to. */
enum whose { OWN, COMMON, FROZEN, BOTH, WHOSE_COUNT };

static const char *const WHOSE_NAMES[] = { "own", "common", "frozen", "common, pages frozen" };

static void prepare(struct engine *e, enum whose whose, bool hooks, bool counted)
{
	struct engine_options options = stage_options();

	options.holds = true;
	options.hooks = hooks;
	options.counted = counted;
	engine_init(e, &options);
	stage_map_small(e, 1, P2 - 1, PT_WRITE | PT_ACCESSED);
	stage_map(e, P2, P2, PT_GLOBAL | PT_WRITE);
	stage_map(e, P3, 1, PT_USER);
	switch (whose) {
	case OWN:
	case WHOSE_COUNT:
		break;
	case COMMON:
		engine_share_all(e);
		break;
	case FROZEN:
		engine_freeze_all(e);
		break;
	case BOTH:
		engine_share_all(e);
		engine_freeze(e, pte_table_addr(&e->f.space.cpu, *engine_entry_at(e, 0, 2), 2), 1);
		break;
	}
	engine_save(e);
}

static pte_t soft_entry(unsigned level)
{
	return pte_leaf(0, 4 * P3 * PT_PAGE_SIZE, level);
}

static const struct pt_update UPDATE_WRITE = { .only = PT_WRITE, .set = PT_COW, .clear = PT_WRITE };

static enum pt_status plan(const struct engine *e, const struct row *row, struct pt_plan *ret)
{
	const struct pt_space *space = &e->f.space;
	struct pt_mapping m = stage_mapping(row->page, row->pages, PT_USER);
	struct pt_range range = { m.va, m.pages };
	struct pt_options options = { .conflict = row->step == MAP ? PT_REFUSE : PT_REPLACE };

	switch (row->step) {
	case PROTECT:
		return pt_plan_protect(space, range, (struct pt_attr){ PT_EXEC, PT_WB }, ret);
	case UPDATE:
		return pt_plan_update(space, range, UPDATE_WRITE, ret);
	case PAGE_UNMAP:
	case UNMAP:
		return pt_plan_unmap(space, range, ret);
	case CLEAN:
		return pt_plan_clean(space, range, ret);
	case COLLAPSE:
		return pt_plan_collapse(space, range, ret);
	case SOFT:
	case LINK:
		*ret = (struct pt_plan){ .tables = 99 };
		return PT_OK;
	case MAP:
	case REPLACE:
		break;
	}
	return pt_plan_map(space, &m, &options, ret);
}

static enum pt_status act(struct engine *e, const struct row *row, struct pt_leaf *ret_leaf)
{
	struct pt_space *space = &e->f.space;
	struct pt_flush *flush = &e->f.flush;
	struct pt_mapping m = stage_mapping(row->page, row->pages, PT_USER);
	struct pt_range range = { m.va, m.pages };
	struct pt_options options = { .conflict = row->step == MAP ? PT_REFUSE : PT_REPLACE };
	struct pt_entry old;

	switch (row->step) {
	case PROTECT:
		return pt_protect(space, range, (struct pt_attr){ PT_EXEC, PT_WB }, flush);
	case UPDATE:
		return pt_update(space, range, UPDATE_WRITE, flush);
	case UNMAP:
		return pt_unmap(space, range, flush);
	case CLEAN:
		return pt_clean(space, range, flush);
	case COLLAPSE:
		return pt_collapse(space, range, flush);
	case SOFT:
		return pt_set_soft(space,
				   &(struct pt_soft){ m.va, row->level, soft_entry(row->level) },
				   flush, &old);
	case LINK:
		return pt_set_link(space, m.va, row->level, PT_USER, flush);
	case PAGE_UNMAP:
		return pt_page_unmap(space, m.va, row->level, flush, ret_leaf);
	case MAP:
	case REPLACE:
		break;
	}
	return pt_map(space, &m, &options, flush);
}

/* Both say the same of every page, and have tables where the other has. */
static void expect_same(const struct engine *a, const struct engine *b, const char *name)
{
	struct pt_walk walks[2];
	struct pt_entry x, y;
	enum pt_status status = PT_OK;
	struct pt_range half = pt_lower_half(&a->f.space.cpu);

	CHECK_STATUS(pt_walk_start(&walks[0], &a->f.space, half, 1000), PT_OK, space_text, name);
	CHECK_STATUS(pt_walk_start(&walks[1], &b->f.space, half, 1000), PT_OK, space_text, name);
	while (status == PT_OK) {
		status = pt_walk_next(&walks[0], &x);
		CHECK_STATUS(pt_walk_next(&walks[1], &y), status, space_text, name);
		if (status == PT_OK)
			CHECK(x.at.va.raw == y.at.va.raw && x.at.level == y.at.level &&
				      x.at.attr.flags == y.at.attr.flags &&
				      (x.kind == PTE_TABLE || x.raw == y.raw),
			      name);
	}
}

/* The root moves if anything does; where the root alone is not own, nothing else is copied. */
static uint64_t root_copies(const struct row *row, enum whose whose)
{
	bool touches = row->tables != 0 || row->retired != 0 || row->step == LINK;

	return whose == FROZEN && touches;
}

static void play(const struct row *row, enum whose whose, bool hooks, bool counted)
{
	struct engine own, e;
	struct pt_plan expected, own_plan;
	struct pt_leaf leaf = { .level = 0 }, own_leaf = { .level = 0 };
	char name[160];
	bool has_plan = row->step != SOFT && row->step != LINK;
	uint64_t roots = root_copies(row, whose);

	snprintf(name, sizeof(name), "%s (%s%s%s)", row->name, WHOSE_NAMES[whose],
		 hooks ? ", hooks" : "", counted ? ", counted" : "");
	prepare(&own, OWN, hooks, counted);
	prepare(&e, whose, hooks, counted);
	CHECK_STATUS(plan(&own, row, &own_plan), PT_OK, space_text, name);
	CHECK_STATUS(plan(&e, row, &expected), PT_OK, space_text, name);
	if (has_plan) {
		CHECK_EQ(expected.tables, row->tables + roots, name);
		CHECK_EQ(expected.moved, row->moved + roots, name);
		CHECK_EQ(own_plan.tables, row->tables - row->moved, name);
		CHECK_EQ(own_plan.moved, 0, name);
	}
	if (has_plan && !hooks && row->step != COLLAPSE)
		CHECK_EQ(expected.logged, whose == COMMON ? row->common : expected.logged, name);

	uint64_t lists = engine_log_tables(&e, expected.logged);
	size_t taken = space_taken(&e.f.arena);

	CHECK_STATUS(act(&own, row, &own_leaf), PT_OK, space_text, name);
	CHECK_STATUS(act(&e, row, &leaf), PT_OK, space_text, name);
	CHECK_EQ(leaf.own, own_leaf.own, name);
	CHECK_EQ(leaf.attr.flags, own_leaf.attr.flags, name);
	CHECK_EQ(leaf.pa.raw, own_leaf.pa.raw, name);
	CHECK_EQ(engine_moved(&e), row->moved + roots, name);
	CHECK_EQ(e.moves, roots, name);
	if (has_plan)
		CHECK_EQ(space_taken(&e.f.arena), taken + expected.tables + lists, name);
	CHECK(engine_others_are_unchanged(&e), name);
	if (row->step != COLLAPSE)
		expect_same(&e, &own, name);
	stage_expect_order(&e, name);
	stage_end(&own, name);
	stage_end(&e, name);
}

static void others_see_no_change_and_this_space_the_same_as_alone(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		for (enum whose whose = COMMON; whose < WHOSE_COUNT; whose++) {
			play(&ROWS[i], whose, false, false);
			play(&ROWS[i], whose, true, false);
			play(&ROWS[i], whose, false, true);
		}
	}
}

/* 0, 1, 2, ... tables: every refusal leaves bytes, references and hooks. */
static void refusals_copy_nothing(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		for (enum whose whose = COMMON; whose < WHOSE_COUNT; whose++) {
			struct engine e;
			struct pt_leaf leaf;
			size_t left = 0;

			prepare(&e, whose, true, false);
			e.f.arena.limit = space_taken(&e.f.arena);
			while (act(&e, &ROWS[i], &leaf) == PT_ERR_NO_TABLES && left++ < 20) {
				CHECK(engine_is_as_saved(&e), ROWS[i].name);
				e.f.arena.limit++;
			}
			CHECK_EQ(space_taken(&e.f.arena), e.f.arena.limit, ROWS[i].name);
			e.f.arena.limit = e.f.arena.count;
			stage_end(&e, ROWS[i].name);
		}
	}
}

/* Processors remember the old table for all that it translates. */
static void a_moved_table_is_flushed_whole(void)
{
	struct engine e;
	struct pt_range page = stage_range(2, 1);

	prepare(&e, COMMON, false, false);
	CHECK_STATUS(pt_unmap(&e.f.space, page, &e.f.flush), PT_OK, space_text, "moved");
	CHECK_EQ(e.f.flush.va.raw, 0, "moved");
	CHECK(e.f.flush.pages >= P4, "moved");
	stage_end(&e, "moved");
}

/* What could be one leaf stays a table, as long as others look at it. */
static void held_tables_are_not_put_together(void)
{
	for (enum whose whose = COMMON; whose <= FROZEN; whose++) {
		struct engine_options options = stage_options();
		struct engine e;
		struct pt_plan expected;

		options.holds = true;
		engine_init(&e, &options);
		stage_map_small(&e, 0, P2, PT_WRITE);
		if (whose == COMMON)
			engine_share_all(&e);
		else
			engine_freeze(&e,
				      pte_table_addr(&e.f.space.cpu, *engine_entry_at(&e, 0, 2), 2),
				      1);
		engine_save(&e);
		CHECK_STATUS(pt_plan_collapse(&e.f.space, stage_range(0, P2), &expected), PT_OK,
			     space_text, WHOSE_NAMES[whose]);
		CHECK_EQ(expected.retired, 0, WHOSE_NAMES[whose]);
		CHECK_STATUS(pt_collapse(&e.f.space, stage_range(0, P2), &e.f.flush), PT_OK,
			     space_text, WHOSE_NAMES[whose]);
		CHECK(engine_is_as_saved(&e), WHOSE_NAMES[whose]);
		stage_end(&e, WHOSE_NAMES[whose]);
	}
}

/* When the other is gone, tables are this space's again, and written in place. */
static void tables_become_own_when_the_other_goes(void)
{
	struct engine e;
	struct pt_plan expected;
	struct pt_space other;

	prepare(&e, COMMON, true, false);
	other = engine_other(&e);
	e.other = phys(PT_NO_TABLE);
	engine_destroy(&e, &other);
	CHECK_STATUS(pt_plan_unmap(&e.f.space, stage_range(1, 1), &expected), PT_OK, space_text,
		     "alone");
	CHECK_EQ(expected.moved, 0, "alone");
	memset(e.is_foreign, 0, e.f.arena.count * sizeof(bool));
	CHECK_STATUS(pt_unmap(&e.f.space, stage_range(1, 1), &e.f.flush), PT_OK, space_text,
		     "alone");
	stage_expect_order(&e, "alone");
	stage_end(&e, "alone");
}

/* The flush's reference is the last: all below goes with it, but what is not this space's. */
static void a_root_left_to_the_flush_is_released_without_others_entries(void)
{
	struct engine e;
	unsigned top = 4, foreign = PTE_COUNT - 1;
	phys_addr old, below;
	pte_t *root;

	prepare(&e, OWN, false, false);
	stage_map(&e, 0 - P4, 1, 0); /* the last entry of the root, which becomes another's */
	e.f.space.root_last = (uint16_t)(foreign - 1);
	old = e.f.space.root;
	root = space_table(&e.f.arena, old);
	below = pte_table_addr(&e.f.space.cpu, root[foreign], top);
	root[PTE_COUNT / 2 - 1] = pte_link(&e.f.space.cpu, old, PT_WRITE, top);
	e.references[(old.raw - SPACE_BASE) / PT_PAGE_SIZE]++; /* somebody holds the root too */
	CHECK_STATUS(pt_unmap(&e.f.space, stage_range(1, 1), &e.f.flush), PT_OK, space_text,
		     "common root");
	CHECK(e.f.space.root.raw != old.raw, "the root has moved");
	CHECK_EQ(pte_table_addr(&e.f.space.cpu,
				space_table(&e.f.arena, e.f.space.root)[PTE_COUNT / 2 - 1], top)
			 .raw,
		 e.f.space.root.raw, "and maps itself");
	e.f.space.tables.give(&e, old, 1);
	engine_release(&e);
	CHECK(!e.f.arena.is_taken[(old.raw - SPACE_BASE) / PT_PAGE_SIZE], "the old root");
	CHECK(e.f.arena.is_taken[(below.raw - SPACE_BASE) / PT_PAGE_SIZE], "another's table");
	engine_destroy(&e, &e.f.space);
	CHECK(e.f.arena.is_taken[(below.raw - SPACE_BASE) / PT_PAGE_SIZE], "another's table");
	CHECK_EQ(space_taken(&e.f.arena), 3, "another's tables");
	CHECK_EQ(e.misuses + e.f.arena.misuses, 0, "another's tables");
	engine_free(&e);
}

/* ---- the pool ---------------------------------------------------------------------- */

static void a_pool_hands_out_runs_and_takes_them_back_in_order(void)
{
	uint32_t references[8];
	struct pt_pool pool;
	struct pt_tables tables;
	phys_addr first = phys(99), second = phys(99);

	pt_pool_init(&pool, phys(SPACE_BASE), 8, references);
	tables = pt_pool_tables(&pool);
	CHECK_EQ(tables.take(tables.ctx, 3, &first), 3, "three");
	CHECK_EQ(first.raw, SPACE_BASE, "three");
	CHECK_EQ(tables.take(tables.ctx, 100, &second), 5, "the rest");
	CHECK_EQ(second.raw, SPACE_BASE + 3 * PT_PAGE_SIZE, "the rest");
	CHECK_EQ(pool.taken, 8, "all");
	CHECK_EQ(tables.take(tables.ctx, 1, &first), 0, "none left");
	tables.give(tables.ctx, phys(SPACE_BASE + 6 * PT_PAGE_SIZE), 1);
	tables.give(tables.ctx, phys(SPACE_BASE + 1 * PT_PAGE_SIZE), 2);
	CHECK_EQ(pool.taken, 5, "given back");
	CHECK_EQ(tables.take(tables.ctx, 100, &first), 2, "a run, as it was");
	CHECK_EQ(first.raw, SPACE_BASE + PT_PAGE_SIZE, "the last given is the first taken");
	CHECK_EQ(tables.take(tables.ctx, 100, &first), 1, "the other");
	CHECK_EQ(first.raw, SPACE_BASE + 6 * PT_PAGE_SIZE, "the other");
}

static void a_pool_counts_references(void)
{
	uint32_t references[4];
	struct pt_pool pool;
	struct pt_tables tables;
	phys_addr table;

	pt_pool_init(&pool, phys(SPACE_BASE), 4, references);
	tables = pt_pool_tables(&pool);
	CHECK_EQ(tables.take(tables.ctx, 1, &table), 1, "one");
	CHECK_EQ(tables.holds->hold(tables.ctx, table), PT_OWN, "one reference");
	tables.holds->share(tables.ctx, table);
	tables.holds->share(tables.ctx, table);
	CHECK_EQ(tables.holds->hold(tables.ctx, table), PT_COMMON, "three");
	tables.give(tables.ctx, table, 1);
	CHECK_EQ(tables.holds->hold(tables.ctx, table), PT_COMMON, "two");
	tables.give(tables.ctx, table, 1);
	CHECK_EQ(tables.holds->hold(tables.ctx, table), PT_OWN, "one again");
	CHECK_EQ(pool.taken, 1, "still out");
	tables.give(tables.ctx, table, 1);
	CHECK_EQ(pool.taken, 0, "back");
	CHECK_EQ(tables.holds->hold(tables.ctx, phys(SPACE_BASE - PT_PAGE_SIZE)), PT_FROZEN,
		 "from before the pool");
	CHECK_EQ(tables.holds->hold(tables.ctx, phys(SPACE_BASE + 4 * PT_PAGE_SIZE)), PT_FROZEN,
		 "from behind it");
	CHECK_EQ(tables.holds->hold(tables.ctx, phys(SPACE_BASE + 3 * PT_PAGE_SIZE)) == PT_FROZEN,
		 false, "the last of it");
}

/* A refused call leaves the pool, word for word. */
static void a_starved_pool_is_left_as_it_was(void)
{
	enum { COUNT = 6 };
	static _Alignas(4096) unsigned char bytes[COUNT * PT_PAGE_SIZE];
	uint32_t references[COUNT], before[COUNT];
	struct pt_pool pool, was;
	struct pt_tables tables;
	struct pt_space space;
	struct pt_mem mem = { .window = bytes,
			      .first = phys(SPACE_BASE),
			      .last = phys(SPACE_BASE + (COUNT - 1) * PT_PAGE_SIZE) };
	struct pt_cpu cpu = stage_options().cpu;
	struct pt_mapping m = stage_mapping(0, 1, 0), far = stage_mapping(P4, 1, 0);
	PT_FLUSH(flush);

	pt_pool_init(&pool, phys(SPACE_BASE), COUNT, references);
	tables = pt_pool_tables(&pool);
	CHECK_STATUS(pt_init(&space, &cpu, &mem, &tables), PT_OK, space_text, "pool");
	CHECK_STATUS(pt_map(&space, &m, NULL, &flush), PT_OK, space_text, "pool");
	was = pool;
	memcpy(before, references, sizeof(before));
	CHECK_STATUS(pt_map(&space, &far, NULL, &flush), PT_ERR_NO_TABLES, space_text, "pool");
	CHECK(memcmp(&was, &pool, sizeof(pool)) == 0, "pool");
	CHECK(memcmp(before, references, sizeof(before)) == 0, "pool");
	CHECK_EQ(pt_destroy(&space), 4, "pool");
	CHECK_EQ(pool.taken, 0, "pool");
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(others_see_no_change_and_this_space_the_same_as_alone);
	RUN(refusals_copy_nothing);
	RUN(a_moved_table_is_flushed_whole);
	RUN(held_tables_are_not_put_together);
	RUN(tables_become_own_when_the_other_goes);
	RUN(a_root_left_to_the_flush_is_released_without_others_entries);
	RUN(a_pool_hands_out_runs_and_takes_them_back_in_order);
	RUN(a_pool_counts_references);
	RUN(a_starved_pool_is_left_as_it_was);
	return check_done();
}
