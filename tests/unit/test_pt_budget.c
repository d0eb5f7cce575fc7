/*
 * Tables that lead back to themselves, fan out, or lead nowhere: every call
 * ends within the budget, and a refusal leaves all as it was.
 */
#include "tests/check.h"
#include "tests/fake/space.h"

#define LEVELS 4u

enum shape {
	FAN,     /* each entry of each table leads to the one table of the next level */
	SELF,    /* each table leads to itself, but for the root's to the second */
	LOOP,    /* as a fan, but what the last leads to is the second */
	OUTSIDE, /* links to tables out of reach */
	GARBAGE, /* bytes */
	SHAPES
};

static const char *const SHAPE_NAMES[] = { "fan", "self", "loop", "outside", "garbage" };

enum call { MAP, REPLACE, PROTECT, UPDATE, UNMAP, CLEAN, COLLAPSE, SOFT, LINK, PAGE_UNMAP, CALLS };

static const char *const CALL_NAMES[] = { "map",   "replace",  "protect", "update", "unmap",
					  "clean", "collapse", "soft",    "link",   "page unmap" };

static pte_t link_to(const struct space_fixture *f, uint64_t table, unsigned level)
{
	return pte_link(&f->space.cpu, phys(table), PT_WRITE | PT_USER | PT_EXEC, level);
}

static pte_t leaf_of_pages(const struct space_fixture *f, uint64_t number)
{
	pte_t cache = 0;

	pte_cache_bits(&f->space.cpu, PT_WB, 1, &cache);
	return pte_leaf(pte_mark(1) | cache | pte_flag_bits(&f->space.cpu, 0, 1),
			number * PT_PAGE_SIZE, 1);
}

static void build_fan(struct space_fixture *f, const phys_addr *tables, bool loops)
{
	for (unsigned n = 0; n < LEVELS; n++) {
		pte_t *table = space_table(&f->arena, tables[n]);

		for (unsigned i = 0; i < PTE_COUNT; i++) {
			if (n + 1 < LEVELS)
				table[i] = link_to(f, tables[n + 1].raw, LEVELS - n);
			else
				table[i] = loops ? link_to(f, tables[1].raw, 1)
						 : leaf_of_pages(f, i);
		}
	}
}

static void build_wild(struct space_fixture *f, const phys_addr *tables, enum shape shape)
{
	uint64_t rng = 9;

	for (unsigned n = 0; n < LEVELS; n++) {
		pte_t *table = space_table(&f->arena, tables[n]);

		for (unsigned i = 0; i < PTE_COUNT; i++) {
			if (shape == GARBAGE)
				table[i] = check_random(&rng);
			else if (shape == OUTSIDE)
				table[i] = link_to(f, i * PT_PAGE_SIZE, LEVELS - n);
			else
				table[i] = link_to(f, tables[n == 0 ? 1 : n].raw, LEVELS - n);
		}
	}
}

/* A space whose tables, one of each level at first, are of the shape. */
static void prepare(struct space_fixture *f, enum shape shape)
{
	struct pt_cpu cpu = { .levels = LEVELS,
			      .max_leaf = 3,
			      .phys_bits = PTE_MAX_PHYS_BITS > 36 ? 46 : 18,
			      .nx = true,
			      .pat = PT_PAT_FULL };
	phys_addr tables[LEVELS];

	space_fixture_init(f, &cpu, 64, true);
	tables[0] = f->space.root;
	for (unsigned n = 1; n < LEVELS; n++) {
		if (f->space.tables.take(f->space.tables.ctx, 1, &tables[n]) != 1)
			exit(2);
	}
	if (shape == FAN || shape == LOOP)
		build_fan(f, tables, shape == LOOP);
	else
		build_wild(f, tables, shape);
	space_snapshot_take(&f->shot, &f->arena);
}

static struct pt_range all_but_ends(const struct space_fixture *f)
{
	struct pt_range half = pt_lower_half(&f->space.cpu);

	return (struct pt_range){ virt(half.va.raw + PT_PAGE_SIZE), half.pages - 2 };
}

static enum pt_status act(struct space_fixture *f, enum call call, struct pt_range range)
{
	struct pt_space *space = &f->space;
	struct pt_flush *flush = &f->flush;
	struct pt_attr attr = { PT_WRITE, PT_WB };
	struct pt_mapping m = { range.va, phys(0), range.pages / 64, attr };
	struct pt_options small = { .max_leaf = 1, .conflict = call == MAP ? PT_KEEP : PT_REPLACE };
	struct pt_update update = { .set = PT_USER };
	struct pt_entry old;
	struct pt_leaf leaf;

	switch (call) {
	case MAP:
	case REPLACE:
		return pt_map(space, &m, &small, flush);
	case PROTECT:
		return pt_protect(space, range, attr, flush);
	case UPDATE:
		return pt_update(space, range, update, flush);
	case UNMAP:
		return pt_unmap(space, range, flush);
	case CLEAN:
		return pt_clean(space, range, flush);
	case COLLAPSE:
		return pt_collapse(space, range, flush);
	case SOFT:
		return pt_set_soft(space, &(struct pt_soft){ range.va, 1, 0 }, flush, &old);
	case LINK:
		return pt_set_link(space, range.va, 2, PT_USER, flush);
	case PAGE_UNMAP:
	case CALLS:
		break;
	}
	return pt_page_unmap(space, range.va, 1, flush, &leaf);
}

static void try_call(enum shape shape, enum call call, uint64_t budget)
{
	struct space_fixture f;
	char name[80];
	uint64_t lookups;

	prepare(&f, shape);
	f.space.budget = budget;
	snprintf(name, sizeof(name), "%s on %s, budget %u", CALL_NAMES[call], SHAPE_NAMES[shape],
		 (unsigned)budget);
	lookups = f.arena.lookups;

	enum pt_status status = act(&f, call, all_but_ends(&f));

	CHECK(status == PT_OK || space_snapshot_equal(&f.shot, &f.arena), name);
	CHECK(status == PT_OK || pt_flush_is_empty(&f.flush), name);
	/* One look-up for each table, one for a table that is seen not to fit, a walk for a page.
	 */
	if (status != PT_OK)
		CHECK(f.arena.lookups - lookups <= budget + 2 + 2 * LEVELS, name);
	if (shape == FAN && call <= COLLAPSE && call != MAP && call != REPLACE && call != UNMAP)
		CHECK_STATUS(status, PT_ERR_BUDGET, space_text, name);
	space_fixture_free(&f);
}

static void every_call_ends_within_its_budget(void)
{
	static const uint64_t budgets[] = { 1, 2, 3, 4, 5, 9, 40 };

	for (enum shape shape = FAN; shape < SHAPES; shape++) {
		for (enum call call = MAP; call < CALLS; call++) {
			for (size_t i = 0; i < ARRAY_LEN(budgets); i++)
				try_call(shape, call,
					 PTE_COUNT > 4 || budgets[i] < 40 ? budgets[i] : 20);
		}
	}
}

static void walks_end_within_their_budget(void)
{
	for (enum shape shape = FAN; shape < SHAPES; shape++) {
		struct space_fixture f;
		struct pt_walk walk;
		struct pt_entry entry;
		struct pt_runs runs;
		struct pt_mapping run;
		struct pt_audit audit;
		phys_addr scratch[20];
		size_t count = 0;
		uint64_t lookups;

		prepare(&f, shape);
		lookups = f.arena.lookups;
		CHECK_STATUS(pt_walk_start(&walk, &f.space, pt_lower_half(&f.space.cpu), 20), PT_OK,
			     space_text, SHAPE_NAMES[shape]);
		while (pt_walk_next(&walk, &entry) == PT_OK)
			;
		CHECK_STATUS(pt_runs_start(&runs, &f.space, pt_lower_half(&f.space.cpu), 20), PT_OK,
			     space_text, SHAPE_NAMES[shape]);
		while (pt_runs_next(&runs, &run) == PT_OK)
			;
		CHECK(f.arena.lookups - lookups <= 2 * (20 + 2 + PTE_COUNT), SHAPE_NAMES[shape]);
		CHECK(pt_audit(&f.space, scratch, ARRAY_LEN(scratch), &audit) != PT_OK,
		      SHAPE_NAMES[shape]);
		CHECK(pt_list_tables(&f.space, scratch, ARRAY_LEN(scratch), &count) != PT_OK ||
			      count <= ARRAY_LEN(scratch),
		      SHAPE_NAMES[shape]);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), SHAPE_NAMES[shape]);
		space_fixture_free(&f);
	}
}

/* As many tables as there are on the way, and not one less. */
static void a_budget_is_counted_in_tables_the_root_included(void)
{
	enum { TABLES = 6 }; /* of two mappings: root, one, one, two, and their pages' */
	struct pt_cpu cpu = { .levels = LEVELS,
			      .max_leaf = 3,
			      .phys_bits = PTE_MAX_PHYS_BITS > 36 ? 46 : 18,
			      .nx = true,
			      .pat = PT_PAT_FULL };
	uint64_t second = level_size(3);

	for (enum call call = PROTECT; call <= COLLAPSE; call++) {
		struct space_fixture f;
		struct pt_mapping m = { virt(0), phys(0), 1, { 0, PT_WB } };
		struct pt_range range = { virt(0), (second >> PTE_PAGE_SHIFT) + 2 };

		space_fixture_init(&f, &cpu, 64, false);
		CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_OK, space_text, "set-up");
		m.va = virt(second);
		CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_OK, space_text, "set-up");
		CHECK_EQ(space_taken(&f.arena), TABLES, "set-up");
		space_snapshot_take(&f.shot, &f.arena);
		f.space.budget = call == UNMAP ? 3 : TABLES - 1;
		CHECK_STATUS(act(&f, call, range), PT_ERR_BUDGET, space_text, CALL_NAMES[call]);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), CALL_NAMES[call]);
		f.space.budget = call == UNMAP ? 4 : TABLES;
		CHECK_STATUS(act(&f, call, range), PT_OK, space_text, CALL_NAMES[call]);
		space_fixture_free(&f);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(every_call_ends_within_its_budget);
	RUN(walks_end_within_their_budget);
	RUN(a_budget_is_counted_in_tables_the_root_included);
	return check_done();
}
