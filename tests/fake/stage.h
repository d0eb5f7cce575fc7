/*
 * Small sets for tests of an engine, in pages rather than in bytes, so that
 * they are the same on every layout.
 */
#ifndef TESTS_FAKE_STAGE_H
#define TESTS_FAKE_STAGE_H

#include "tests/check.h"
#include "tests/fake/engine.h"

/* Pages of an entry of level 2, 3, 4. */
#define P2 (UINT64_C(1) << PTE_INDEX_BITS)
#define P3 (P2 << PTE_INDEX_BITS)
#define P4 (P3 << PTE_INDEX_BITS)

/* First frame of what is mapped: a multiple of the largest leaf. */
#define STAGE_FRAME (4 * P3)

/* Four levels, leaves of all sizes, NX, the full PAT. */
static inline struct engine_options stage_options(void)
{
	return (struct engine_options){ .cpu = { .levels = 4,
						 .max_leaf = 3,
						 .phys_bits = PTE_MAX_PHYS_BITS > 36 ? 46 : 18,
						 .nx = true,
						 .pat = PT_PAT_FULL },
					.tables = 200 };
}

static inline struct pt_range stage_range(uint64_t page, uint64_t pages)
{
	return (struct pt_range){ virt(page * PT_PAGE_SIZE), pages };
}

/* Pages from `page`, mapped in order to the frames from STAGE_FRAME, in each entry of the root. */
static inline struct pt_mapping stage_mapping(uint64_t page, uint64_t pages, uint32_t flags)
{
	return (struct pt_mapping){ virt(page * PT_PAGE_SIZE),
				    phys((STAGE_FRAME + page % P4) * PT_PAGE_SIZE),
				    pages,
				    { flags, PT_WB } };
}

static inline void stage_map(struct engine *e, uint64_t page, uint64_t pages, uint32_t flags)
{
	struct pt_mapping m = stage_mapping(page, pages, flags);

	CHECK_STATUS(pt_map(&e->f.space, &m, NULL, &e->f.flush), PT_OK, space_text, "set-up");
}

/* The same in small leaves. */
static inline void stage_map_small(struct engine *e, uint64_t page, uint64_t pages, uint32_t flags)
{
	struct pt_mapping m = stage_mapping(page, pages, flags);
	struct pt_options small = { .max_leaf = 1 };

	CHECK_STATUS(pt_map(&e->f.space, &m, &small, &e->f.flush), PT_OK, space_text, "set-up");
}

/* The leaf that translates a page; PTE_ABSENT and PTE_SOFT: false. */
static inline bool stage_leaf(const struct engine *e, uint64_t page, struct pt_attr *ret_attr,
			      uint64_t *ret_frame)
{
	const struct pt_cpu *cpu = &e->f.space.cpu;
	uint64_t va = page * PT_PAGE_SIZE;
	unsigned level = 0;
	pte_t entry = *engine_entry(e, e->f.space.root, va, &level);

	if (pte_kind(entry, level) != PTE_LEAF)
		return false;
	*ret_attr = pte_attr(cpu, entry, level);
	*ret_frame = (pte_leaf_addr(cpu, entry, level).raw + (va & (level_size(level) - 1))) >>
		     PTE_PAGE_SHIFT;
	return true;
}

/* All pages of the range are mapped in order, and say `flags`. */
static inline void stage_expect(const struct engine *e, uint64_t page, uint64_t pages,
				uint32_t flags, const char *name)
{
	for (uint64_t i = page; i < page + pages; i++) {
		struct pt_attr attr = { 0 };
		uint64_t frame = 0;
		bool mapped = stage_leaf(e, i, &attr, &frame);

		if (mapped && frame == STAGE_FRAME + i % P4 && attr.flags == flags)
			continue;
		CHECK_FAIL("%s: page %#" PRIx64 " mapped %d to %#" PRIx64 " flags %#x, not %#x",
			   name, i, mapped, frame, attr.flags, flags);
		return;
	}
}

static inline void stage_expect_none(const struct engine *e, uint64_t page, uint64_t pages,
				     const char *name)
{
	for (uint64_t i = page; i < page + pages; i++) {
		struct pt_attr attr;
		uint64_t frame;

		if (stage_leaf(e, i, &attr, &frame)) {
			CHECK_FAIL("%s: page %#" PRIx64 " is mapped", name, i);
			return;
		}
	}
}

/* What has to hold whenever nothing waits to be released. */
static inline void stage_expect_order(struct engine *e, const char *name)
{
	engine_release(e);
	CHECK_EQ(engine_wrong_counts(e), 0, name);
	CHECK_EQ(engine_wrong_references(e), 0, name);
	CHECK_EQ(engine_reachable(e), space_taken(&e->f.arena), name);
	CHECK(engine_others_are_unchanged(e), name);
	CHECK_EQ(e->misuses + e->f.arena.misuses, 0, name);
	if (e->f.space.frames.acquire)
		CHECK(engine_frames_balance(e), name);
}

/* Gives all back; nothing is left but what is frozen. */
static inline void stage_end(struct engine *e, const char *name)
{
	engine_release(e);
	engine_destroy(e, &e->f.space);
	e->f.space.root = phys(PT_NO_TABLE);
	if (e->other.raw != PT_NO_TABLE) {
		struct pt_space other = engine_other(e);

		CHECK(engine_others_are_unchanged(e), name);
		e->other = phys(PT_NO_TABLE);
		engine_destroy(e, &other);
	}
	stage_expect_order(e, name);
	engine_free(e);
}

#endif
