/* Accessed and dirty bits, gathered and cleared, on x86-64. */
#include "paging/pt_use.h"
#include "tests/check.h"
#include "tests/fake/scene.h"

#include <pthread.h>

#define A UINT64_C(0x20)
#define D UINT64_C(0x40)

enum { GATHERED_MAX = 8 };

static const struct pt_attr RW = { PT_WRITE, PT_WB };

struct gathered {
	struct pt_leaf leaves[GATHERED_MAX];
	size_t count;
};

static void gather(void *ctx, const struct pt_leaf *leaf)
{
	struct gathered *g = ctx;

	if (g->count < GATHERED_MAX)
		g->leaves[g->count] = *leaf;
	g->count++;
}

static enum pt_status harvest(struct space_fixture *f, uint64_t va, uint64_t pages, uint32_t flags,
			      struct gathered *ret_gathered)
{
	const struct pt_visitor visitor = { gather, ret_gathered };
	struct pt_range range = { virt(va), pages };

	ret_gathered->count = 0;
	return pt_harvest(&f->space, range, flags, &visitor, &f->flush);
}

/* A leaf of 1 GiB, one of 2 MiB (global) and two pages. */
static void prepare_used(struct space_fixture *f)
{
	scene_init(f, scene_cpu());
	scene_map(f, (struct pt_mapping){ virt(GIB), phys(GIB), PAGES(GIB), RW });
	scene_map(f, (struct pt_mapping){ virt(2 * GIB), phys(0), 512, { PT_GLOBAL, PT_WC } });
	scene_map(f, (struct pt_mapping){ virt(2 * GIB + 2 * MIB), phys(MIB), 2, RW });
	*scene_entry(f, GIB, 3) |= A | D;
	*scene_entry(f, 2 * GIB, 2) |= A;
	*scene_entry(f, 2 * GIB + 2 * MIB + 4096, 1) |= D;
	space_snapshot_take(&f->shot, &f->arena);
}

static const struct {
	const char *name;
	uint64_t va, pages;
	uint32_t flags;
	uint64_t told[4]; /* addresses of leaves, ends with 1 */
	uint64_t left[3]; /* bits of the leaves afterwards */
	struct pt_range flush;
	bool global;
} USE_ROWS[] = {
	{ "all",
	  0,
	  PAGES(512 * GIB),
	  PT_ACCESSED | PT_DIRTY,
	  { GIB, 2 * GIB, 2 * GIB + 2 * MIB + 4096, 1 },
	  { 0, 0, 0 },
	  { { GIB }, PAGES(GIB) + 512 + 2 },
	  true },
	{ "accessed",
	  0,
	  PAGES(512 * GIB),
	  PT_ACCESSED,
	  { GIB, 2 * GIB, 1 },
	  { D, 0, D },
	  { { GIB }, PAGES(GIB) + 512 },
	  true },
	{ "dirty",
	  0,
	  PAGES(512 * GIB),
	  PT_DIRTY,
	  { GIB, 2 * GIB + 2 * MIB + 4096, 1 },
	  { A, A, 0 },
	  { { GIB }, PAGES(GIB) + 512 + 2 },
	  false },
	{ "a page of the large leaf",
	  GIB + 5 * 4096,
	  1,
	  PT_DIRTY,
	  { GIB, 1 },
	  { A, A, D },
	  { { GIB }, PAGES(GIB) },
	  false },
	{ "to the end of the large leaf",
	  2 * GIB - 4096,
	  1,
	  PT_ACCESSED,
	  { GIB, 1 },
	  { D, A, D },
	  { { GIB }, PAGES(GIB) },
	  false },
	{ "the page not used",
	  2 * GIB + 2 * MIB,
	  1,
	  PT_ACCESSED | PT_DIRTY,
	  { 1 },
	  { A | D, A, D },
	  { { 0 }, 0 },
	  false },
	{ "the used page, not accessed",
	  2 * GIB + 2 * MIB + 4096,
	  1,
	  PT_ACCESSED,
	  { 1 },
	  { A | D, A, D },
	  { { 0 }, 0 },
	  false },
	{ "nothing mapped",
	  512 * GIB,
	  PAGES(512 * GIB),
	  PT_ACCESSED | PT_DIRTY,
	  { 1 },
	  { A | D, A, D },
	  { { 0 }, 0 },
	  false },
	{ "no flags", 0, PAGES(512 * GIB), 0, { 1 }, { A | D, A, D }, { { 0 }, 0 }, false },
	{ "no pages", GIB, 0, PT_ACCESSED, { 1 }, { A | D, A, D }, { { 0 }, 0 }, false },
};

static void used_leaves_are_told_and_cleared(void)
{
	for (size_t i = 0; i < ARRAY_LEN(USE_ROWS); i++) {
		const char *name = USE_ROWS[i].name;
		const uint64_t *told = USE_ROWS[i].told;
		struct space_fixture f;
		struct gathered g;
		size_t count = 0;

		prepare_used(&f);
		CHECK_STATUS(harvest(&f, USE_ROWS[i].va, USE_ROWS[i].pages, USE_ROWS[i].flags, &g),
			     PT_OK, space_text, name);
		for (; told[count] != 1; count++)
			CHECK_EQ(g.leaves[count].va.raw, told[count], name);
		CHECK_EQ(g.count, count, name);
		CHECK_EQ(*scene_entry(&f, GIB, 3) & (A | D), USE_ROWS[i].left[0], name);
		CHECK_EQ(*scene_entry(&f, 2 * GIB, 2) & (A | D), USE_ROWS[i].left[1], name);
		CHECK_EQ(*scene_entry(&f, 2 * GIB + 2 * MIB + 4096, 1) & (A | D),
			 USE_ROWS[i].left[2], name);
		CHECK_EQ(f.flush.va.raw, USE_ROWS[i].flush.va.raw, name);
		CHECK_EQ(f.flush.pages, USE_ROWS[i].flush.pages, name);
		CHECK_EQ(f.flush.global, USE_ROWS[i].global, name);
		/* But for these bits all is as it was. */
		*scene_entry(&f, GIB, 3) |= A | D;
		*scene_entry(&f, 2 * GIB, 2) |= A;
		*scene_entry(&f, 2 * GIB + 2 * MIB + 4096, 1) |= D;
		CHECK(space_snapshot_equal(&f.shot, &f.arena), name);
		space_fixture_free(&f);
	}
}

static void a_leaf_is_told_as_it_was(void)
{
	struct space_fixture f;
	struct gathered g;

	prepare_used(&f);
	*scene_entry(&f, GIB, 4) &= ~UINT64_C(2);
	CHECK_STATUS(harvest(&f, GIB, 1, PT_DIRTY, &g), PT_OK, space_text, "harvest");
	CHECK_EQ(g.leaves[0].own, PT_WRITE | PT_ACCESSED | PT_DIRTY, "own");
	CHECK_EQ(g.leaves[0].attr.flags, PT_ACCESSED | PT_DIRTY, "effective");
	CHECK_EQ(g.leaves[0].pa.raw, GIB, "address");
	CHECK_EQ(g.leaves[0].pages, PAGES(GIB), "pages");
	CHECK_STATUS(harvest(&f, GIB, 1, PT_DIRTY, &g), PT_OK, space_text, "again");
	CHECK_EQ(g.count, 0, "once");
	space_fixture_free(&f);
}

static void the_last_page_of_either_half_is_an_ordinary_one(void)
{
	static const uint64_t lasts[] = { 0x7ffffffff000, 0xfffffffffffff000 };

	for (size_t i = 0; i < ARRAY_LEN(lasts); i++) {
		struct pt_mapping m = { virt(lasts[i]), phys(0), 1, { PT_DIRTY, PT_WB } };
		struct space_fixture f;
		struct gathered g;

		scene_init(&f, scene_cpu());
		scene_map(&f, m);
		CHECK_STATUS(harvest(&f, lasts[i] & ~UINT64_C(0x7fffffffffff), UINT64_C(1) << 35,
				     PT_DIRTY, &g),
			     PT_OK, space_text, "half");
		CHECK_EQ(g.count, 1, "told");
		CHECK_EQ(f.flush.va.raw, lasts[i], "flush");
		CHECK_EQ(f.flush.pages, 1, "flush");
		CHECK_EQ(*scene_entry(&f, lasts[i], 1) & D, 0, "cleared");
		space_fixture_free(&f);
	}
}

static void the_tables_themselves_are_passed_over(void)
{
	struct space_fixture f;
	struct gathered g;

	scene_init(&f, scene_cpu());
	f.root[511] = f.space.root.raw | 7 | A | D;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(harvest(&f, 0xffff800000000000, UINT64_C(1) << 35, PT_ACCESSED, &g), PT_OK,
		     space_text, "upper half");
	CHECK_EQ(g.count, 0, "told");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "no trace");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Refusals
 */

static const struct {
	const char *name;
	uint64_t va, pages;
	uint32_t flags;
	enum pt_status status;
} BAD_ROWS[] = {
	{ "an address in a page", 1, 1, PT_DIRTY, PT_ERR_UNALIGNED },
	{ "into the hole", 0x7ffffffff000, 2, PT_DIRTY, PT_ERR_RANGE },
	{ "wraps", 0xfffffffffffff000, 2, PT_DIRTY, PT_ERR_RANGE },
	{ "another flag", 0, 1, PT_DIRTY | PT_WRITE, PT_ERR_ATTR },
	{ "no flag", 0, 1, 1u << 31, PT_ERR_ATTR },
	{ "another's root entry", 1023 * GIB, PAGES(2 * GIB), PT_DIRTY, PT_ERR_FOREIGN },
	{ "reserved bits", 0, PAGES(8 * GIB), PT_DIRTY, PT_ERR_CORRUPT },
	{ "a link out of reach", 9 * GIB, PAGES(8 * GIB), PT_DIRTY, PT_ERR_CORRUPT },
	{ "too many tables", 0, PAGES(4 * GIB), PT_DIRTY, PT_ERR_BUDGET },
};

/* Refused before the used pages at the beginning are told or cleared. */
static void what_is_refused_leaves_no_trace(void)
{
	for (size_t i = 0; i < ARRAY_LEN(BAD_ROWS); i++) {
		const char *name = BAD_ROWS[i].name;
		struct space_fixture f;
		struct gathered g;

		prepare_used(&f);
		scene_map(&f, (struct pt_mapping){ virt(6 * GIB), phys(0), 512, RW });
		*scene_entry(&f, 6 * GIB, 2) |= 0x4000;
		*scene_entry(&f, 10 * GIB, 3) = 0x1007;
		f.space.root_last = 1;
		if (BAD_ROWS[i].status == PT_ERR_BUDGET)
			f.space.budget = 3;
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(harvest(&f, BAD_ROWS[i].va, BAD_ROWS[i].pages, BAD_ROWS[i].flags, &g),
			     BAD_ROWS[i].status, space_text, name);
		CHECK_EQ(g.count, 0, name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena) && pt_flush_is_empty(&f.flush), name);
		if (BAD_ROWS[i].status == PT_ERR_BUDGET) {
			f.space.budget = 4;
			CHECK_STATUS(harvest(&f, 0, PAGES(4 * GIB), PT_DIRTY, &g), PT_OK,
				     space_text, "enough");
		}
		f.space.tables.take = NULL;
		CHECK_STATUS(harvest(&f, 0, 1, PT_DIRTY, &g), PT_ERR_READ_ONLY, space_text, name);
		space_fixture_free(&f);
	}
}

/* ------------------------------------------------------------------------
 * Tables that others hold too
 */

static uint64_t common_table;

static enum pt_hold hold_one(void *ctx, phys_addr table)
{
	(void)ctx;
	return table.raw == common_table ? PT_COMMON : PT_OWN;
}

/* By the level of the table that is held: what lies below is told and stays. */
static void what_others_hold_too_is_told_and_stays(void)
{
	static const struct pt_holds holds = { .hold = hold_one };

	for (unsigned level = 1; level <= 4; level++) {
		struct space_fixture f;
		struct gathered g;
		uint64_t *page;

		prepare_used(&f);
		f.space.tables.holds = &holds;
		page = scene_entry(&f, 2 * GIB + 2 * MIB + 4096, 1);
		common_table = f.space.root.raw;
		if (level < 4)
			common_table = *scene_entry(&f, 2 * GIB + 2 * MIB, level + 1) &
				       UINT64_C(0xffffffffff000);
		CHECK_STATUS(harvest(&f, 0, PAGES(512 * GIB), PT_ACCESSED | PT_DIRTY, &g), PT_OK,
			     space_text, "harvest");
		CHECK_EQ(g.count, 3, "told");
		CHECK_EQ(g.leaves[2].own, PT_WRITE | PT_DIRTY, "told");
		CHECK_EQ(*page & D, D, "stays");
		CHECK_EQ(*scene_entry(&f, 2 * GIB, 2) & A, level >= 2 ? A : 0, "of 2 MiB");
		CHECK_EQ(*scene_entry(&f, GIB, 3) & A, level >= 3 ? A : 0, "of 1 GiB");
		CHECK_EQ(f.flush.pages, level >= 3 ? 0 : PAGES(GIB) + (level == 1 ? 512 : 0),
			 "flush");
		common_table = 0;
		space_fixture_free(&f);
	}
}

/* ------------------------------------------------------------------------
 * Against a processor that goes on setting bits
 */

enum { RACE_PAGES = 256, RACE_TOLD = 200000, RACE_ROUNDS = 1000000 };

struct race {
	struct space_fixture f;
	uint64_t set[RACE_PAGES + 1][2], told[RACE_PAGES + 1][2]; /* of each leaf: A, D */
	uint64_t *entries[RACE_PAGES + 1];
	uint64_t total; /* of told */
	bool done;
};

/* One bit at a time, so that many leaves have one and get the other; counts the bits that were not
 * set before. */
static void *use_pages(void *ctx)
{
	struct race *race = ctx;
	uint64_t rng = 7;

	while (!__atomic_load_n(&race->done, __ATOMIC_ACQUIRE)) {
		uint64_t random = check_random(&rng);
		size_t leaf = random % (RACE_PAGES + 1);
		unsigned which = (unsigned)(random >> 63);
		uint64_t bit = which ? D : A;
		uint64_t old = __atomic_fetch_or(race->entries[leaf], bit, __ATOMIC_RELAXED);

		race->set[leaf][which] += !(old & bit);
	}
	return NULL;
}

static void count_use(void *ctx, const struct pt_leaf *leaf)
{
	struct race *race = ctx;
	size_t i = leaf->level == 2 ? RACE_PAGES : (size_t)(leaf->va.raw / 4096);

	race->told[i][0] += (leaf->own & PT_ACCESSED) != 0;
	race->told[i][1] += (leaf->own & PT_DIRTY) != 0;
	race->total++;
}

static void harvest_race(struct race *race)
{
	const struct pt_visitor visitor = { count_use, race };
	const struct pt_range all = { virt(0), PAGES(4 * MIB) };

	CHECK_STATUS(
		pt_harvest(&race->f.space, all, PT_ACCESSED | PT_DIRTY, &visitor, &race->f.flush),
		PT_OK, space_text, "harvest");
}

/* Each bit set is told exactly once, whether or not the space says that it is live. */
static void no_use_is_lost_or_told_twice(void)
{
	for (unsigned live = 0; live < 2; live++) {
		struct race race = { .done = false };
		pthread_t thread;

		scene_init(&race.f, scene_cpu());
		race.f.space.live = live;
		scene_map(&race.f, (struct pt_mapping){ virt(0), phys(4096), RACE_PAGES, RW });
		scene_map(&race.f, (struct pt_mapping){ virt(2 * MIB), phys(0), 512, RW });
		for (uint64_t i = 0; i < RACE_PAGES; i++)
			race.entries[i] = scene_entry(&race.f, i * 4096, 1);
		race.entries[RACE_PAGES] = scene_entry(&race.f, 2 * MIB, 2);
		if (pthread_create(&thread, NULL, use_pages, &race) != 0) {
			CHECK_FAIL("no thread");
			return;
		}
		for (unsigned i = 0; i < RACE_ROUNDS && race.total < RACE_TOLD; i++)
			harvest_race(&race);
		__atomic_store_n(&race.done, true, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		harvest_race(&race);
		CHECK(race.total > 0, "something is told");
		for (size_t i = 0; i <= RACE_PAGES; i++) {
			CHECK_EQ(race.told[i][0], race.set[i][0], "accessed");
			CHECK_EQ(race.told[i][1], race.set[i][1], "dirty");
		}
		space_fixture_free(&race.f);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(used_leaves_are_told_and_cleared);
	RUN(a_leaf_is_told_as_it_was);
	RUN(the_last_page_of_either_half_is_an_ordinary_one);
	RUN(the_tables_themselves_are_passed_over);
	RUN(what_is_refused_leaves_no_trace);
	RUN(what_others_hold_too_is_told_and_stays);
	RUN(no_use_is_lost_or_told_twice);
	return check_done();
}
