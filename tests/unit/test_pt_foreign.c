/* Entries of the root that are not this space's, that have to stay, or lead back to it. */
#include "tests/fake/stage.h"

enum call { MAP, PROTECT, UPDATE, UNMAP, CLEAN, COLLAPSE, SOFT, LINK, CALLS };

static const char *const NAMES[] = { "map",   "protect",  "update", "unmap",
				     "clean", "collapse", "soft",   "link" };

static enum pt_status act(struct engine *e, enum call call, struct pt_range range)
{
	struct pt_space *space = &e->f.space;
	struct pt_flush *flush = &e->f.flush;
	struct pt_mapping m = { range.va, phys(0), range.pages, { 0, PT_WB } };
	struct pt_options replace = { .conflict = PT_REPLACE, .max_leaf = 1 };
	struct pt_entry old;

	switch (call) {
	case MAP:
		return pt_map(space, &m, &replace, flush);
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
			space, &(struct pt_soft){ range.va, 1, pte_leaf(0, 5 * PT_PAGE_SIZE, 1) },
			flush, &old);
	case LINK:
	case CALLS:
		break;
	}
	return pt_set_link(space, range.va, 4, PT_WRITE | PT_USER | PT_EXEC, flush);
}

/* A page in each of the first and the last entry of the root. */
static void prepare(struct engine *e)
{
	struct engine_options options = stage_options();

	engine_init(e, &options);
	stage_map(e, 0, 2, PT_WRITE);
	stage_map(e, 0 - P4, 2, PT_WRITE);
	engine_save(e);
}

static void no_call_touches_others_entries_of_the_root(void)
{
	for (enum call call = MAP; call < CALLS; call++) {
		struct engine e;

		prepare(&e);
		e.f.space.root_first = 1;
		e.f.space.root_last = PTE_COUNT - 2;
		CHECK_STATUS(act(&e, call, stage_range(0, 1)), PT_ERR_FOREIGN, space_text,
			     NAMES[call]);
		CHECK_STATUS(act(&e, call, stage_range(0 - P4, 1)), PT_ERR_FOREIGN, space_text,
			     NAMES[call]);
		CHECK(engine_is_as_saved(&e), NAMES[call]);
		engine_free(&e);
	}
}

static void a_range_may_not_reach_into_others_entries(void)
{
	struct engine e;

	prepare(&e);
	e.f.space.root_first = 1;
	for (enum call call = MAP; call <= COLLAPSE; call++) {
		CHECK_STATUS(act(&e, call, stage_range(P4 - 1, 2)), PT_ERR_FOREIGN, space_text,
			     NAMES[call]);
		CHECK(engine_is_as_saved(&e), NAMES[call]);
	}
	CHECK_STATUS(act(&e, UNMAP, stage_range(P4, P4)), PT_OK, space_text, "its own");
	CHECK_STATUS(act(&e, UNMAP, stage_range(0, 0)), PT_OK, space_text, "no pages");
	e.f.space.root_first = 0;
	e.f.space.root_last = 0;
	CHECK_STATUS(act(&e, UNMAP, stage_range(0, P4)), PT_OK, space_text, "its only one");
	engine_release(&e);
	engine_free(&e);
}

static void a_destroyed_space_leaves_others_entries(void)
{
	struct engine e;

	prepare(&e);
	e.f.space.root_last = PTE_COUNT - 2;
	CHECK_EQ(engine_destroy(&e, &e.f.space), 4, "root and three below");
	CHECK_EQ(space_taken(&e.f.arena), 3, "another's");
	CHECK_EQ(e.f.arena.misuses, 0, "another's");
	engine_free(&e);
}

/* Where others have copies of the link, it stays, whatever becomes of what is below. */
static void pinned_entries_of_the_root_stay(void)
{
	static const struct {
		const char *name;
		enum call call;
		uint64_t pages;
	} rows[] = { { "unmapped whole", UNMAP, P4 },
		     { "the last pages unmapped", UNMAP, 2 },
		     { "cleaned", CLEAN, P4 },
		     { "collapsed", COLLAPSE, P4 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct engine e;
		uint64_t va = (0 - P4) * PT_PAGE_SIZE;

		prepare(&e);
		e.f.space.pins_upper = true;
		if (rows[i].call != UNMAP) {
			*engine_entry_at(&e, va, 1) = 0;
			*engine_entry_at(&e, va + PT_PAGE_SIZE, 1) = 0;
		}

		pte_t link = *engine_entry_at(&e, va, 4);

		CHECK_STATUS(act(&e, rows[i].call, stage_range(0 - P4, rows[i].pages)), PT_OK,
			     space_text, rows[i].name);
		CHECK_EQ(*engine_entry_at(&e, va, 4), link, rows[i].name);
		CHECK_EQ(pte_kind(*engine_entry_at(&e, va, 3), 3), PTE_ABSENT, rows[i].name);
		CHECK_STATUS(act(&e, UNMAP, stage_range(0, P4)), PT_OK, space_text, rows[i].name);
		CHECK_EQ(*engine_entry_at(&e, 0, 4), 0, "the lower half has no pins");
		engine_release(&e);
		CHECK_EQ(engine_reachable(&e), 2, rows[i].name);
		CHECK_EQ(space_taken(&e.f.arena), 2, rows[i].name);
		engine_free(&e);
	}
}

/* The root as its own entry. */
static void map_itself(struct engine *e)
{
	prepare(e);
	*engine_entry_at(e, P4 * PT_PAGE_SIZE, 4) = pte_link(&e->f.space.cpu, e->f.space.root,
							     PT_WRITE, 4);
	engine_save(e);
}

static void the_link_to_the_root_itself_is_not_changed(void)
{
	for (enum call call = MAP; call < CALLS; call++) {
		struct engine e;
		bool looks = call == CLEAN || call == COLLAPSE;

		map_itself(&e);
		CHECK_STATUS(act(&e, call, stage_range(P4, 1)), looks ? PT_OK : PT_ERR_FOREIGN,
			     space_text, NAMES[call]);
		CHECK_STATUS(act(&e, call, stage_range(P4, P4)), looks ? PT_OK : PT_ERR_FOREIGN,
			     space_text, NAMES[call]);
		CHECK(engine_is_as_saved(&e), NAMES[call]);
		engine_free(&e);
	}
}

static void reads_do_not_descend_into_the_tables_themselves(void)
{
	struct engine e;
	struct pt_walk walk;
	struct pt_entry entry;
	struct pt_runs runs;
	struct pt_mapping run;
	struct pt_audit audit;
	phys_addr tables[16];
	size_t count = 0;
	unsigned entries = 0;

	map_itself(&e);
	CHECK_STATUS(pt_walk_start(&walk, &e.f.space, stage_range(P4, P4), 16), PT_OK, space_text,
		     "walk");
	while (pt_walk_next(&walk, &entry) == PT_OK)
		entries++;
	CHECK_EQ(entries, 1, "the link alone");
	CHECK_STATUS(pt_runs_start(&runs, &e.f.space, stage_range(P4, P4), 16), PT_OK, space_text,
		     "runs");
	CHECK_STATUS(pt_runs_next(&runs, &run), PT_ERR_NOT_MAPPED, space_text, "runs");
	pt_audit(&e.f.space, tables, ARRAY_LEN(tables), &audit);
	CHECK(audit.tables <= 8, "audit");
	CHECK_STATUS(pt_list_tables(&e.f.space, tables, ARRAY_LEN(tables), &count), PT_OK,
		     space_text, "list");
	CHECK_EQ(engine_destroy(&e, &e.f.space), 7, "destroy");
	CHECK_EQ(space_taken(&e.f.arena), 0, "destroy");
	CHECK_EQ(e.f.arena.misuses, 0, "destroy");
	engine_free(&e);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(no_call_touches_others_entries_of_the_root);
	RUN(a_range_may_not_reach_into_others_entries);
	RUN(a_destroyed_space_leaves_others_entries);
	RUN(pinned_entries_of_the_root_stay);
	RUN(the_link_to_the_root_itself_is_not_changed);
	RUN(reads_do_not_descend_into_the_tables_themselves);
	return check_done();
}
