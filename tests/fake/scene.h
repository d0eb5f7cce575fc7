/*
 * Scenes: what an x86-64 space holds, one call, what it holds afterwards. The
 * player checks the dry run against the call, the count of tables, that a
 * refusal leaves no trace, the flush, and the result twice: as runs, and with
 * the processor's eyes.
 */
#ifndef TESTS_FAKE_SCENE_H
#define TESTS_FAKE_SCENE_H

#include "tests/check.h"
#include "tests/fake/sdm.h"
#include "tests/fake/space.h"

#define MIB          (UINT64_C(1) << 20)
#define GIB          (UINT64_C(1) << 30)
#define PAGES(bytes) ((bytes) / 4096)

/* A mapping of constants: va, pa, pages, flags, cache. */
#define SCENE_RUN(va, pa, pages, ...)  \
	{                              \
		{ va }, { pa }, pages, \
		{                      \
			__VA_ARGS__    \
		}                      \
	}

enum scene_op { SCENE_MAP, SCENE_PROTECT, SCENE_UNMAP, SCENE_CLEAN };

struct scene {
	const char *name;
	struct pt_mapping before[3]; /* ends with one of no pages */
	enum scene_op op;
	struct pt_mapping with; /* protect: pa unused; unmap, clean: attr too */
	struct pt_options options;
	enum pt_status status;
	uint64_t where; /* on refusal the page named; 0: the first of `with` */
	uint64_t tables, released, leaves[PT_MAX_LEAF_LEVEL + 1];
	struct pt_mapping after[6]; /* all runs, ends with one of no pages */
	struct pt_range flush;      /* pages that it has to cover */
	bool global;
};

/* Four levels, 1 GiB leaves, 46 bits, NX, the full PAT. */
static inline struct pt_cpu scene_cpu(void)
{
	return (struct pt_cpu){
		.levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL
	};
}

/* As much of it as leaves of this layout say; where there is no other type, write-back. */
static inline struct pt_attr scene_sayable(const struct pt_cpu *cpu, struct pt_attr attr)
{
	pte_t bits;

	attr.flags &= pte_flags(cpu);
	if (!pte_cache_bits(cpu, attr.cache, 1, &bits))
		attr.cache = PT_WB;
	return attr;
}

/* The same number of bytes before the end of the address space, if signs are not extended. */
static inline virt_addr scene_address(const struct pt_cpu *cpu, virt_addr va)
{
	unsigned bits = level_shift(cpu->levels) + PTE_INDEX_BITS;

	return PTE_SIGN_EXTENDS ? va : virt(va.raw & ((UINT64_C(1) << bits) - 1));
}

/* An empty space, the snapshot up to date. */
static inline void scene_init(struct space_fixture *ret_fixture, struct pt_cpu cpu)
{
	space_fixture_init(ret_fixture, &cpu, 32, false);
}

/* The entry of a table of `level` that the walk for `va` passes. */
static inline uint64_t *scene_entry(const struct space_fixture *f, uint64_t va, unsigned level)
{
	return sdm_entry(&f->arena, &f->space.cpu, f->space.root, va, level);
}

/* A pt_mem.table that reaches nothing. */
static inline void *scene_no_table(void *ctx, phys_addr table, virt_addr va, unsigned level)
{
	(void)va;
	(void)level;
	(void)ctx;
	(void)table;
	return NULL;
}

/* Maps, which must succeed, and brings the snapshot up to date. */
static inline void scene_map(struct space_fixture *f, struct pt_mapping m)
{
	CHECK_STATUS(pt_map(&f->space, &m, 0, &f->flush), PT_OK, space_text, "set-up");
	space_snapshot_take(&f->shot, &f->arena);
}

static inline enum pt_status scene_plan(const struct space_fixture *f, const struct scene *scene,
					struct pt_plan *ret_plan)
{
	struct pt_range range = { scene->with.va, scene->with.pages };

	switch (scene->op) {
	case SCENE_MAP:
		return pt_plan_map(&f->space, &scene->with, &scene->options, ret_plan);
	case SCENE_PROTECT:
		return pt_plan_protect(&f->space, range, scene->with.attr, ret_plan);
	case SCENE_CLEAN:
		return pt_plan_clean(&f->space, range, ret_plan);
	case SCENE_UNMAP:
		break;
	}
	return pt_plan_unmap(&f->space, range, ret_plan);
}

static inline enum pt_status scene_call(struct space_fixture *f, const struct scene *scene)
{
	struct pt_range range = { scene->with.va, scene->with.pages };

	switch (scene->op) {
	case SCENE_MAP:
		return pt_map(&f->space, &scene->with, &scene->options, &f->flush);
	case SCENE_PROTECT:
		return pt_protect(&f->space, range, scene->with.attr, &f->flush);
	case SCENE_CLEAN:
		return pt_clean(&f->space, range, &f->flush);
	case SCENE_UNMAP:
		break;
	}
	return pt_unmap(&f->space, range, &f->flush);
}

/* One page of a mapping, as the processor sees it. */
static inline void scene_expect_page(const struct space_fixture *f, const struct pt_mapping *m,
				     uint64_t page, const char *name)
{
	const uint32_t rights = PT_WRITE | PT_EXEC | PT_USER | PT_GLOBAL;
	uint64_t offset = page * 4096;
	struct sdm_translation t = sdm_translate(&f->arena, &f->space.cpu, f->space.root,
						 m->va.raw + offset);
	uint32_t seen = (t.write ? PT_WRITE : 0u) | (t.exec ? PT_EXEC : 0u) |
			(t.user ? PT_USER : 0u) | (t.global ? PT_GLOBAL : 0u);

	CHECK(t.present && !t.reserved, name);
	CHECK_EQ(t.pa, m->pa.raw + offset, name);
	CHECK_EQ(seen, m->attr.flags & rights, name);
	CHECK_EQ(t.type, m->attr.cache, name);
}

static inline bool scene_same_run(const struct pt_mapping *a, const struct pt_mapping *b)
{
	return a->va.raw == b->va.raw && a->pa.raw == b->pa.raw && a->pages == b->pages &&
	       a->attr.flags == b->attr.flags && a->attr.cache == b->attr.cache;
}

/* The runs of one half are the next of the list; returns where it goes on. */
static inline const struct pt_mapping *scene_expect_half(const struct space_fixture *f,
							 struct pt_range half,
							 const struct pt_mapping *list,
							 const char *name)
{
	struct pt_runs runs;
	struct pt_mapping run;

	CHECK_STATUS(pt_runs_start(&runs, &f->space, half, PT_NO_BUDGET), PT_OK, space_text, name);
	while (pt_runs_next(&runs, &run) == PT_OK) {
		if (!scene_same_run(&run, list)) {
			CHECK_FAIL("%s: run %#" PRIx64 " + %#" PRIx64 " -> %#" PRIx64 " %x %s",
				   name, run.va.raw, run.pages, run.pa.raw, run.attr.flags,
				   pt_cache_name(run.attr.cache));
			return list;
		}
		scene_expect_page(f, list, 0, name);
		scene_expect_page(f, list, list->pages / 2, name);
		scene_expect_page(f, list, list->pages - 1, name);
		list++;
	}
	return list;
}

/* The runs of both halves are those of the list. */
static inline void scene_expect_runs(const struct space_fixture *f, const struct pt_mapping *list,
				     const char *name)
{
	list = scene_expect_half(f, pt_lower_half(&f->space.cpu), list, name);
	list = scene_expect_half(f, pt_upper_half(&f->space.cpu), list, name);
	CHECK_EQ(list->pages, 0, name);
}

/* It covers what changed, and no more than was asked for. */
static inline void scene_expect_flush(const struct pt_flush *flush, const struct scene *scene)
{
	CHECK_EQ(flush->pages != 0, scene->flush.pages != 0, scene->name);
	CHECK_EQ(flush->global, scene->global, scene->name);
	if (flush->pages == 0)
		return;
	CHECK(fits((scene->flush.va.raw - flush->va.raw) / 4096, scene->flush.pages, flush->pages),
	      scene->name);
	CHECK(fits((flush->va.raw - scene->with.va.raw) / 4096, flush->pages, scene->with.pages),
	      scene->name);
}

static inline void scene_expect_change(struct space_fixture *f, const struct scene *scene,
				       const struct pt_plan *plan, size_t taken)
{
	const char *name = scene->name;

	CHECK_EQ(plan->tables, scene->tables, name);
	CHECK_EQ(space_taken(&f->arena), taken + scene->tables, name);
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		if (scene->op != SCENE_UNMAP)
			CHECK_EQ(plan->leaves[level], scene->leaves[level], name);
	}
	scene_expect_flush(&f->flush, scene);
	CHECK_EQ(plan->retired != 0, scene->released != 0, name);
	CHECK(plan->retired <= scene->released, name);
	CHECK_EQ(f->flush.retired.raw != PT_NO_TABLE, scene->released != 0, name);
	CHECK_EQ(pt_release(&f->space, &f->flush), scene->released, name);
	CHECK_EQ(f->flush.pages, 0, name);
	CHECK_EQ(f->flush.retired.raw, PT_NO_TABLE, name);
	CHECK_EQ(space_taken(&f->arena), taken + scene->tables - scene->released, name);
	CHECK_EQ(sdm_count_tables(&f->arena, &f->space.cpu, f->space.root), space_taken(&f->arena),
		 name);
	scene_expect_runs(f, scene->after, name);
}

/* The call itself, in a space that was prepared; leaves the space as the call did. */
static inline void scene_act(struct space_fixture *f, const struct scene *scene)
{
	struct pt_plan plan = { .tables = 99 };
	size_t taken = space_taken(&f->arena);
	uint64_t where = scene->where ? scene->where : scene->with.va.raw;

	f->flush = (struct pt_flush)PT_FLUSH_NONE;
	space_snapshot_take(&f->shot, &f->arena);
	CHECK_STATUS(scene_plan(f, scene, &plan), scene->status, space_text, scene->name);
	CHECK(space_snapshot_equal(&f->shot, &f->arena), scene->name);
	CHECK_STATUS(scene_call(f, scene), scene->status, space_text, scene->name);
	if (scene->status == PT_OK) {
		scene_expect_change(f, scene, &plan, taken);
	} else {
		CHECK_EQ(plan.where.raw, where, scene->name);
		CHECK(space_snapshot_equal(&f->shot, &f->arena), scene->name);
		CHECK_EQ(f->flush.pages, 0, scene->name);
		CHECK_EQ(f->flush.retired.raw, PT_NO_TABLE, scene->name);
	}
	CHECK_EQ(f->arena.misuses, 0, scene->name);
}

static inline void scene_play(const struct scene *scene, struct pt_cpu cpu)
{
	struct space_fixture f;

	scene_init(&f, cpu);
	for (size_t i = 0; i < ARRAY_LEN(scene->before) && scene->before[i].pages != 0; i++)
		scene_map(&f, scene->before[i]);
	scene_act(&f, scene);
	space_fixture_free(&f);
}

/* Maps one page, one of 2 MiB and one of 1 GiB; plants a soft entry and a link that forbids. */
static inline void scene_prepare_obstacles(struct space_fixture *f)
{
	const struct pt_attr ro = { 0, PT_WB };

	scene_init(f, scene_cpu());
	scene_map(f, (struct pt_mapping){ virt(5 * 4096), phys(MIB), 1, ro });
	scene_map(f, (struct pt_mapping){ virt(4 * MIB), phys(4 * MIB), PAGES(2 * MIB), ro });
	scene_map(f, (struct pt_mapping){ virt(2 * GIB), phys(2 * GIB), PAGES(GIB), ro });
	*scene_entry(f, 9 * 4096, 1) = 0xabc00;
	*scene_entry(f, 8 * MIB, 2) = 0xabc00;
	*scene_entry(f, 4 * GIB, 3) = 0xabc00;
}

/* A leaf of `level` and its raw entry. */
static inline uint64_t scene_map_leaf(struct space_fixture *f, unsigned level, struct pt_attr attr)
{
	struct pt_mapping m = { virt(8 * GIB), phys(8 * GIB), level_pages(level), attr };

	scene_init(f, scene_cpu());
	scene_map(f, m);
	m.attr.flags &= ~(uint32_t)(PT_ACCESSED | PT_DIRTY);
	scene_expect_runs(f, (struct pt_mapping[]){ m, { .pages = 0 } }, pt_cache_name(attr.cache));
	return *scene_entry(f, 8 * GIB, level);
}

#endif
