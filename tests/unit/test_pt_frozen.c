/* Frozen tables: writing moves them, what is on the way, and the root, once each. */
#include "paging/pt_cow.h"
#include "tests/fake/scene.h"
#include "tests/fake/shared.h"

static const struct pt_attr RW = { PT_WRITE | PT_USER, PT_WB };
static const struct pt_attr RO = { PT_USER, PT_WB };

static struct shared ground;
static struct pt_space space, model;
static unsigned char before[SHARED_TABLES * 4096];

static void put(struct pt_space *to, uint64_t va, uint64_t pa, uint64_t pages)
{
	struct pt_mapping m = { virt(va), phys(pa), pages, RW };

	CHECK_STATUS(pt_map(to, &m, NULL, &ground.flush), PT_OK, space_text, "put");
}

/*
 * Pages on both sides of the ends of tables of level 1, 2, 3; 2 MiB leaves; the
 * last page. All is frozen; `model` is a copy that is not.
 */
static void start(struct pt_cpu cpu)
{
	shared_init(&ground);
	CHECK_STATUS(pt_init(&space, &cpu, &ground.mem, &ground.tables), PT_OK, space_text, "");
	put(&space, 0x1000, 0x5000, 1022);
	put(&space, GIB - 4 * 4096, 0x400000 + 0x3000, 8);
	put(&space, 512 * GIB - 4 * 4096, 0x500000 + 0x3000, 8);
	put(&space, 2 * GIB, 4 * MIB, PAGES(6 * MIB));
	put(&space, UINT64_C(0xfffffffffffff000), 0x9000, 1);
	CHECK_STATUS(pt_clone(&model, &space, PT_CLONE_DEEP), PT_OK, space_text, "model");
	static struct shared_audit a;

	memset(&a, 0, sizeof(a));
	a.ground = &ground;
	a.space = &space;
	shared_visit(&a, space.root, space.cpu.levels);
	for (size_t i = 0; i < SHARED_TABLES; i++)
		ground.frozen[i] = a.references[i] != 0;
	memcpy(before, ground.arena.bytes, sizeof(before));
}

static void expect_untouched(const char *name)
{
	for (size_t i = 0; i < SHARED_TABLES; i++) {
		if (ground.frozen[i])
			CHECK(memcmp(before + i * 4096, ground.arena.bytes + i * 4096, 4096) == 0,
			      name);
	}
}

/* The frozen ones are somebody else's: they stay. */
static void end(const char *name)
{
	size_t frozen = 0;

	expect_untouched(name);
	pt_destroy(&space);
	pt_destroy(&model);
	for (size_t i = 0; i < SHARED_TABLES; i++)
		frozen += ground.frozen[i];
	CHECK_EQ(ground.pool.taken, frozen, name);
	ground.pool.taken = 0;
	shared_free(&ground, name);
}

enum op { MAP, PROTECT, UPDATE, UNMAP, SET_LINK, SET_SOFT, OPS };

static const char *const op_names[] = { "map", "protect", "update", "unmap", "link", "soft" };

static enum pt_status act(struct pt_space *to, enum op op, struct pt_range range)
{
	struct pt_mapping m = { range.va, phys((range.va.raw & 0xfffffff) + 0x7000), range.pages,
				RO };
	struct pt_options options = { .conflict = PT_REPLACE, .max_leaf = 1 };
	struct pt_update update = { .set = PT_SOFT1, .clear = PT_WRITE };
	struct pt_entry old;

	switch (op) {
	case MAP:
		return pt_map(to, &m, &options, &ground.flush);
	case PROTECT:
		return pt_protect(to, range, RO, &ground.flush);
	case UPDATE:
		return pt_update(to, range, update, &ground.flush);
	case UNMAP:
		return pt_unmap(to, range, &ground.flush);
	case SET_LINK:
		return pt_set_link(to, range.va, 2, PT_USER, &ground.flush);
	case SET_SOFT:
	case OPS:
		break;
	}
	return pt_set_soft(to, &(struct pt_soft){ range.va, 1, 0x7700 }, &ground.flush, &old);
}

struct frozen_row {
	const char *name;
	uint64_t va, pages;
	unsigned moved;
	bool fits_one; /* also for the calls on one entry */
	bool is_alone; /* unmapping empties all tables on the way but the root */
};

static const struct frozen_row frozen_rows[] = {
	{ "one page", 0x1000, 1, 4, true, false },
	{ "four pages", 0x4000, 4, 4, true, false },
	{ "over the end of a table of pages", 2 * MIB - 8192, 4, 5, false, false },
	{ "over the end of a table of 2 MiB", GIB - 8192, 4, 6, false, false },
	{ "over the end of a table of 1 GiB", 512 * GIB - 8192, 4, 7, false, false },
	{ "a hundred pages", 0x10000, 100, 4, true, false },
	{ "the last page", UINT64_C(0xfffffffffffff000), 1, 4, true, true },
};

static bool is_like_model(void)
{
	return shared_same(&space, &model, pt_lower_half(&space.cpu)) &&
	       shared_same(&space, &model, pt_upper_half(&space.cpu));
}

static void play(const struct frozen_row *row, enum op op, unsigned levels, const char *name)
{
	struct pt_cpu cpu = scene_cpu();
	struct pt_range range = { virt(row->va), row->pages };

	cpu.levels = (uint8_t)levels;
	start(cpu);
	phys_addr root = space.root;
	size_t taken = ground.pool.taken;
	/* A link of level 2 lies above the table of pages, which stays. */
	unsigned moved = row->moved + levels - 4 - (op == SET_LINK);

	if (op == UNMAP && row->is_alone)
		moved = 1;

	CHECK_STATUS(act(&model, op, range), PT_OK, space_text, name);
	pt_release(&model, &ground.flush);
	taken = ground.pool.taken;
	ground.moves = 0;
	CHECK_STATUS(act(&space, op, range), PT_OK, space_text, name);
	CHECK_EQ(ground.pool.taken - taken, moved, name);
	CHECK(space.root.raw != root.raw, name);
	CHECK_EQ(ground.moves, 1, name);
	CHECK_EQ(ground.moved_to.raw, space.root.raw, name);
	CHECK(ground.flush.retired.raw == PT_NO_TABLE && ground.flush.log.raw == PT_NO_TABLE, name);
	CHECK_EQ(pt_release(&space, &ground.flush), 0, "nothing is given up");
	CHECK(is_like_model(), name);
	expect_untouched(name);

	/* Once more: by now they are the space's own. */
	taken = ground.pool.taken;
	root = space.root;
	CHECK_STATUS(act(&space, op, range), PT_OK, space_text, name);
	CHECK_EQ(ground.pool.taken, taken, name);
	CHECK_EQ(ground.moves, 1, name);
	CHECK_EQ(space.root.raw, root.raw, name);
	pt_release(&space, &ground.flush);
	end(name);
}

static void defect_14_a_range_in_frozen_tables_moves_each_once_and_keeps_every_change(void)
{
	for (size_t i = 0; i < ARRAY_LEN(frozen_rows); i++) {
		const struct frozen_row *row = &frozen_rows[i];

		for (enum op op = MAP; op < OPS; op++) {
			char name[80];

			if (op >= SET_LINK && !row->fits_one)
				continue;
			snprintf(name, sizeof(name), "%s, %s", row->name, op_names[op]);
			for (unsigned levels = 4; levels <= 5; levels++)
				play(row, op, levels, name);
		}
	}
}

static void defect_14_plans_count_what_will_be_moved(void)
{
	struct pt_plan plan;

	for (size_t i = 0; i < ARRAY_LEN(frozen_rows); i++) {
		const struct frozen_row *row = &frozen_rows[i];
		struct pt_range range = { virt(row->va), row->pages };
		enum pt_status status = PT_ERR_NO_TABLES;

		start(scene_cpu());
		CHECK_STATUS(pt_plan_protect(&space, range, RO, &plan), PT_OK, space_text,
			     row->name);
		CHECK_EQ(plan.moved, row->moved, row->name);
		CHECK_EQ(plan.tables, row->moved, row->name);
		size_t taken = ground.pool.taken;
		phys_addr root = space.root;

		for (size_t left = 0; left < row->moved; left++) {
			ground.limit = taken + left;
			CHECK_STATUS(act(&space, PROTECT, range), PT_ERR_NO_TABLES, space_text,
				     row->name);
			CHECK_EQ(ground.pool.taken, taken, row->name);
			CHECK_EQ(space.root.raw, root.raw, row->name);
			CHECK_EQ(ground.moves, 0, row->name);
		}
		ground.limit = taken + row->moved;
		status = act(&space, PROTECT, range);
		CHECK_STATUS(status, PT_OK, space_text, row->name);
		ground.limit = SHARED_TABLES;
		pt_release(&space, &ground.flush);
		end(row->name);
	}
}

static void siblings_stay_where_they_are(void)
{
	const struct pt_cpu cpu = scene_cpu();
	uint64_t moved = 0;

	start(cpu);
	phys_addr root = space.root;

	CHECK_STATUS(act(&space, PROTECT, (struct pt_range){ virt(0x4000), 4 }), PT_OK, space_text,
		     "protect");
	for (unsigned level = 4; level >= 1; level--) {
		uint64_t *old = sdm_entry(&ground.arena, &cpu, root, 0, level);
		uint64_t *new = sdm_entry(&ground.arena, &cpu, space.root, 0, level);

		for (unsigned i = 0; i < 512; i++)
			moved += old[i] != new[i];
	}
	CHECK_EQ(moved, 3 + 4, "three links, four pages");
	pt_release(&space, &ground.flush);
	end("siblings");
}

static void what_changes_nothing_moves_nothing(void)
{
	const struct pt_range hole = { virt(100 * GIB), 4 }, next = { virt(8 * MIB), 4 };
	struct pt_update none = { .only = PT_GLOBAL, .set = PT_SOFT1 };
	struct pt_mapping same = { virt(0x4000), phys(0x8000), 4, RW };
	struct pt_options keep = { .conflict = PT_KEEP };

	start(scene_cpu());
	phys_addr root = space.root;
	size_t taken = ground.pool.taken;

	CHECK_STATUS(pt_unmap(&space, hole, &ground.flush), PT_OK, space_text, "unmap");
	CHECK_STATUS(pt_unmap(&space, next, &ground.flush), PT_OK, space_text, "in a table");
	CHECK_STATUS(pt_protect(&space, next, RO, &ground.flush), PT_OK, space_text, "protect");
	CHECK_STATUS(pt_update(&space, pt_lower_half(&space.cpu), none, &ground.flush), PT_OK,
		     space_text, "no leaf is concerned");
	CHECK_STATUS(pt_map(&space, &same, &keep, &ground.flush), PT_OK, space_text, "kept");
	CHECK_STATUS(pt_clean(&space, pt_lower_half(&space.cpu), &ground.flush), PT_OK, space_text,
		     "clean");
	CHECK_STATUS(pt_collapse(&space, pt_lower_half(&space.cpu), &ground.flush), PT_OK,
		     space_text, "collapse");
	CHECK_EQ(ground.pool.taken, taken, "nothing is taken");
	CHECK_EQ(space.root.raw, root.raw, "the root stays");
	CHECK_EQ(ground.moves, 0, "nobody is told");
	CHECK(pt_flush_is_empty(&ground.flush), "nothing to flush");
	end("nothing");
}

static void whole_subtrees_go_without_being_copied(void)
{
	start(scene_cpu());
	size_t taken = ground.pool.taken;

	CHECK_STATUS(pt_unmap(&space, (struct pt_range){ virt(0), PAGES(GIB) }, &ground.flush),
		     PT_OK, space_text, "unmap");
	/* The root, and the table of level 3; those below are let go unread. */
	CHECK_EQ(ground.pool.taken, taken + 2, "two");
	CHECK_EQ(pt_release(&space, &ground.flush), 0, "they are not the space's to give");
	CHECK_STATUS(pt_unmap(&model, (struct pt_range){ virt(0), PAGES(GIB) }, &ground.flush),
		     PT_OK, space_text, "unmap");
	pt_release(&model, &ground.flush);
	CHECK(is_like_model(), "the same");
	end("subtrees");
}

static bool page_take(void *ctx, phys_addr *ret_page)
{
	(void)ctx;
	*ret_page = phys(0x2000000);
	return true;
}

static void page_copy(void *ctx, phys_addr to, phys_addr from)
{
	(void)ctx;
	CHECK(to.raw == 0x2000000 && from.raw == 0x8000, "copied");
}

static bool page_is_last(void *ctx, phys_addr page)
{
	(void)ctx;
	(void)page;
	return true;
}

static void a_fault_in_a_snapshot_moves_the_tables_on_its_way(void)
{
	static const struct pt_pages pages = { page_take, NULL, page_copy, page_is_last, NULL };
	struct pt_update freeze = { .only = PT_WRITE, .set = PT_COW, .clear = PT_WRITE };
	phys_addr at;

	start(scene_cpu());
	/* As if it had been frozen so. */
	memset(ground.frozen, 0, sizeof(ground.frozen));
	CHECK_STATUS(pt_update(&space, pt_lower_half(&space.cpu), freeze, &ground.flush), PT_OK,
		     space_text, "freeze");
	pt_release(&space, &ground.flush);
	ground.moves = 0;
	pt_destroy(&model);
	for (size_t i = 0; i < SHARED_TABLES; i++)
		ground.frozen[i] = !shared_is_free(&ground, i);
	CHECK_STATUS(pt_clone(&model, &space, PT_CLONE_DEEP), PT_OK, space_text, "model");
	memcpy(before, ground.arena.bytes, sizeof(before));
	size_t taken = ground.pool.taken;

	CHECK_STATUS(pt_cow_resolve(&space, virt(0x4000), PT_FAULT_PRESENT | PT_FAULT_WRITE, &pages,
				    &ground.flush),
		     PT_OK, space_text, "fault");
	CHECK_EQ(ground.pool.taken, taken + 4, "four tables");
	CHECK_EQ(ground.moves, 1, "told once");
	CHECK_STATUS(pt_translate(&space, virt(0x4000), &at), PT_OK, space_text, "translate");
	CHECK_EQ(at.raw, 0x2000000, "the copy, though the callback had the page to itself");
	pt_release(&space, &ground.flush);
	end("fault");
}

/* ---- without holds ------------------------------------------------------------------------ */

static void storage_without_holds_never_pays_nor_has_its_root_changed(void)
{
	const struct pt_range range = { virt(2 * MIB - 8192), 4 };
	uint64_t lookups[2];

	for (unsigned holds = 0; holds < 2; holds++) {
		struct pt_cpu cpu = scene_cpu();

		shared_init(&ground);
		ground.mem = space_callback(&ground.arena);
		CHECK_STATUS(
			pt_init(&space, &cpu, &ground.mem, holds ? &ground.tables : &ground.plain),
			PT_OK, space_text, "init");
		put(&space, 0x1000, 0x5000, 1022);
		phys_addr root = space.root;

		ground.arena.lookups = 0;
		for (enum op op = MAP; op <= UNMAP; op++)
			CHECK_STATUS(act(&space, op, range), PT_OK, space_text, op_names[op]);
		lookups[holds] = ground.arena.lookups;
		CHECK_EQ(ground.asked != 0, holds, "asked only if there is somebody to ask");
		CHECK_EQ(ground.shared + ground.moves, 0, "nothing shared, nothing moved");
		CHECK_EQ(space.root.raw, root.raw, "the root stays");
		pt_release(&space, &ground.flush);
		pt_destroy(&space);
		shared_free(&ground, "holds");
	}
	CHECK_EQ(lookups[0], lookups[1], "no table is looked up more often");
	/* The root, two above, two tables of pages: planned and carried out, four times. */
	CHECK(lookups[0] <= (uint64_t)4 * 2 * 5, "each twice a call at most");
}

int main(void)
{
	RUN(defect_14_a_range_in_frozen_tables_moves_each_once_and_keeps_every_change);
	RUN(defect_14_plans_count_what_will_be_moved);
	RUN(siblings_stay_where_they_are);
	RUN(what_changes_nothing_moves_nothing);
	RUN(whole_subtrees_go_without_being_copied);
	RUN(a_fault_in_a_snapshot_moves_the_tables_on_its_way);
	RUN(storage_without_holds_never_pays_nor_has_its_root_changed);
	return check_done();
}
