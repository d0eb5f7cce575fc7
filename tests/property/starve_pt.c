/*
 * Starvation: every call of a list again with 0, 1, 2, ... tables to be had,
 * until it succeeds, which it does with exactly as many as were announced.
 * Each refusal leaves every byte of every table, the allocator and the flush
 * as they were, whatever runs the allocator had handed out. (Defect #2.)
 */
#include "tests/check.h"
#include "tests/fake/scene.h"

static const struct scene SCENES[] = {
	{ .name = "a page in an empty space",
	  .op = SCENE_MAP,
	  .with = SCENE_RUN(MIB, MIB, 1, 0, PT_WB),
	  .tables = 3 },
	{ .name = "the last page of the address space",
	  .op = SCENE_MAP,
	  .with = SCENE_RUN(0xfffffffffffff000, MIB, 1, 0, PT_WB),
	  .tables = 3 },
	{ .name = "a page in a table that exists",
	  .before = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) },
	  .op = SCENE_MAP,
	  .with = SCENE_RUN(0, MIB, 1, 0, PT_WB) },
	{ .name = "two pages across a 512 GiB edge",
	  .before = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) },
	  .op = SCENE_MAP,
	  .with = SCENE_RUN(512 * GIB - 4096, 0, 2, 0, PT_WB),
	  .tables = 5 },
	{ .name = "small leaves all over 24 MiB",
	  .op = SCENE_MAP,
	  .options.max_leaf = 1,
	  .with = SCENE_RUN(GIB - 12 * MIB, 0, PAGES(24 * MIB), PT_WRITE, PT_WB),
	  .tables = 15 },
	{ .name = "leaves of all sizes, a page to either side of 2 GiB",
	  .op = SCENE_MAP,
	  .with = SCENE_RUN(GIB - 4096, GIB - 4096, PAGES(2 * GIB) + 2, PT_EXEC, PT_WC),
	  .tables = 5 },
	{ .name = "unmapping a page of 1 GiB",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(5 * MIB, 0, 1, 0, PT_WB),
	  .tables = 2 },
	{ .name = "unmapping from one 1 GiB leaf into the next",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * GIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(GIB - 4096, 0, 2, 0, PT_WB),
	  .tables = 4 },
	{ .name = "unmapping tables and then a part of a leaf",
	  .before = { SCENE_RUN(2 * MIB, 0, 1, 0, PT_WB),
		      SCENE_RUN(4 * MIB, 0, PAGES(2 * MIB), 0, PT_WB) },
	  .op = SCENE_UNMAP,
	  .with = SCENE_RUN(0, 0, PAGES(4 * MIB) + 1, 0, PT_WB),
	  .tables = 1 },
	{ .name = "protecting a page of 2 MiB",
	  .before = { SCENE_RUN(0, 0, PAGES(4 * MIB), 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(2 * MIB, 0, 1, PT_WRITE, PT_WP),
	  .tables = 1 },
	{ .name = "protecting small leaves first, then parts of 1 GiB",
	  .before = { SCENE_RUN(GIB - 8192, 0, 2, 0, PT_WB),
		      SCENE_RUN(GIB, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(GIB - 4096, 0, 1 + PAGES(2 * MIB) + 1, PT_WRITE, PT_UC),
	  .tables = 2 },
	{ .name = "replacing a page of 1 GiB",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_MAP,
	  .options.conflict = PT_REPLACE,
	  .with = SCENE_RUN(5 * MIB, 0, 1, PT_WRITE, PT_WB),
	  .tables = 2 },
	{ .name = "replacing from one 1 GiB leaf into the next",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * GIB), PT_GLOBAL, PT_WB) },
	  .op = SCENE_MAP,
	  .options.conflict = PT_REPLACE,
	  .with = SCENE_RUN(GIB - 4096, 0, 2, PT_WRITE, PT_WB),
	  .tables = 4 },
	{ .name = "replacing 2 MiB of 1 GiB by small leaves",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_MAP,
	  .options = { .conflict = PT_REPLACE, .max_leaf = 1, .exact = true },
	  .with = SCENE_RUN(4 * MIB, 4 * MIB, PAGES(2 * MIB), PT_WRITE, PT_WB),
	  .tables = 2 },
	{ .name = "replacing a full table, then a part of a leaf",
	  .before = { SCENE_RUN(0, 4096, PAGES(2 * MIB), 0, PT_WB),
		      SCENE_RUN(2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB) },
	  .op = SCENE_MAP,
	  .options.conflict = PT_REPLACE,
	  .with = SCENE_RUN(0, 0, PAGES(2 * MIB) + 1, PT_WRITE, PT_WB),
	  .tables = 1 },
	{ .name = "replacing the first of a leaf, with links to be widened, then a hole",
	  .before = { SCENE_RUN(GIB - 2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB) },
	  .op = SCENE_MAP,
	  .options = { .conflict = PT_REPLACE, .set_links = true, .links = PT_WRITE },
	  .with = SCENE_RUN(GIB - 4096, 0, 2, PT_WRITE, PT_WB),
	  .tables = 3 },
	{ .name = "keeping a part of 1 GiB and filling behind it",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  .op = SCENE_MAP,
	  .options.conflict = PT_KEEP,
	  .with = SCENE_RUN(GIB - 4096, GIB - 4096, 2, 0, PT_WB),
	  .tables = 2 },
	{ .name = "protecting the whole of a leaf",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * MIB), 0, PT_WB) },
	  .op = SCENE_PROTECT,
	  .with = SCENE_RUN(0, 0, PAGES(2 * MIB), PT_WRITE, PT_WB) },
};

static struct pt_mapping adapted(const struct pt_cpu *cpu, struct pt_mapping m)
{
	m.va = scene_address(cpu, m.va);
	m.attr = scene_sayable(cpu, m.attr);
	return m;
}

/* The scene in words that the layout has. */
static struct scene adapted_scene(const struct pt_cpu *cpu, const struct scene *scene)
{
	struct scene ret = *scene;

	for (size_t i = 0; i < ARRAY_LEN(ret.before); i++)
		ret.before[i] = adapted(cpu, ret.before[i]);
	ret.with = adapted(cpu, ret.with);
	return ret;
}

/* A fixture in the scene's initial state, with something in its flush already. */
static void prepare(struct space_fixture *f, const struct scene *scene, struct pt_cpu cpu,
		    bool use_callback)
{
	struct pt_range extra = { virt(0x4000000000), 1 };

	space_fixture_init(f, &cpu, 64, use_callback);
	for (size_t i = 0; i < ARRAY_LEN(scene->before) && scene->before[i].pages != 0; i++)
		scene_map(f, scene->before[i]);
	scene_map(f,
		  adapted(&cpu, (struct pt_mapping){ extra.va, phys(0), 1, { PT_GLOBAL, PT_WB } }));
	CHECK_STATUS(pt_unmap(&f->space, extra, &f->flush), PT_OK, space_text, scene->name);
	space_snapshot_take(&f->shot, &f->arena);
}

/* One try with `left` tables to be had; false once it has succeeded. */
static bool is_starved(const struct scene *scene, struct pt_cpu cpu, bool use_callback, size_t left)
{
	struct space_fixture f;
	struct pt_flush before;
	enum pt_status status;
	size_t taken;

	prepare(&f, scene, cpu, use_callback);
	before = f.flush;
	taken = space_taken(&f.arena);
	f.arena.limit = taken + left;
	status = scene_call(&f, scene);
	CHECK(status == PT_OK || status == PT_ERR_NO_TABLES, scene->name);
	if (status == PT_OK) {
		CHECK_EQ(space_taken(&f.arena), taken + left, scene->name);
	} else {
		CHECK(space_snapshot_equal(&f.shot, &f.arena), scene->name);
		CHECK(space_flush_equal(&f.flush, &before), scene->name);
	}
	pt_release(&f.space, &f.flush);
	CHECK_EQ(f.arena.misuses, 0, scene->name);
	CHECK_EQ(sdm_count_tables(&f.arena, &cpu, f.space.root), space_taken(&f.arena),
		 scene->name);
	space_fixture_free(&f);
	return status != PT_OK;
}

static void starve_all(struct pt_cpu cpu, bool use_callback, bool counts)
{
	for (size_t i = 0; i < ARRAY_LEN(SCENES); i++) {
		struct scene scene = adapted_scene(&cpu, &SCENES[i]);
		size_t left = 0;

		while (left < 64 && is_starved(&scene, cpu, use_callback, left))
			left++;
		if (counts)
			CHECK_EQ(left, scene.tables, scene.name);
	}
}

static void refusals_leave_no_trace_in_a_window(void)
{
	starve_all(scene_cpu(), false, true);
}

static void refusals_leave_no_trace_behind_a_callback(void)
{
	starve_all(scene_cpu(), true, true);
}

static void refusals_leave_no_trace_with_five_levels(void)
{
	struct pt_cpu cpu = scene_cpu();

	cpu.levels = 5;
	starve_all(cpu, false, false);
}

/* The same range again and again, so that each try meets other runs of the allocator. */
static void refusals_leave_no_trace_however_runs_are_cut(void)
{
	struct pt_mapping m = SCENE_RUN(GIB - 8 * MIB, 0, PAGES(16 * MIB), 0, PT_WB);
	struct pt_options small = { .max_leaf = 1 };

	for (size_t extra = 0; extra < 24; extra++) {
		struct space_fixture f;
		struct pt_cpu cpu = scene_cpu();
		struct pt_plan plan;

		space_fixture_init(&f, &cpu, 64, false);
		for (size_t i = 0; i < extra; i++)
			scene_map(&f, (struct pt_mapping)SCENE_RUN(4 * GIB + i * 2 * MIB, 0, 1, 0,
								   PT_WB));
		CHECK_STATUS(pt_plan_map(&f.space, &m, &small, &plan), PT_OK, space_text, "plan");
		for (size_t left = 0; left < plan.tables; left++) {
			f.arena.limit = space_taken(&f.arena) + left;
			CHECK_STATUS(pt_map(&f.space, &m, &small, &f.flush), PT_ERR_NO_TABLES,
				     space_text, "starved");
			CHECK(space_snapshot_equal(&f.shot, &f.arena), "starved");
		}
		f.arena.limit++;
		CHECK_STATUS(pt_map(&f.space, &m, &small, &f.flush), PT_OK, space_text, "fed");
		CHECK_EQ(f.arena.misuses, 0, "fed");
		space_fixture_free(&f);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(refusals_leave_no_trace_in_a_window);
	RUN(refusals_leave_no_trace_behind_a_callback);
	RUN(refusals_leave_no_trace_with_five_levels);
	RUN(refusals_leave_no_trace_however_runs_are_cut);
	return check_done();
}
