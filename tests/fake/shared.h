/*
 * The ground for spaces that have tables in common: a pool in an arena, whose
 * free tables hold garbage; tables that can be frozen; hooks that count how
 * often each page is mapped; and a second opinion on all references. Compiled
 * for every layout.
 */
#ifndef TESTS_FAKE_SHARED_H
#define TESTS_FAKE_SHARED_H

#include "paging/pt_share.h"
#include "tests/check.h"
#include "tests/fake/space.h"

enum { SHARED_TABLES = 1024, SHARED_FRAMES = 32768 };

struct shared {
	struct space_arena arena; /* its bytes; the allocator is the pool */
	struct pt_pool pool;
	uint32_t references[SHARED_TABLES];
	bool frozen[SHARED_TABLES];
	size_t limit; /* of tables that may be taken */
	uint64_t asked, shared, given, misuses;
	unsigned moves;
	phys_addr moved_to;
	uint64_t mapped[SHARED_FRAMES]; /* what the hooks have counted */
	struct pt_tables tables, plain; /* the latter without holds */
	struct pt_mem mem;
	struct pt_frames frames;
	struct pt_flush flush;
};

/* A table's number; SHARED_TABLES for what is not in the arena. */
static inline size_t shared_number(phys_addr table)
{
	uint64_t number = (table.raw - SPACE_BASE) >> PTE_PAGE_SHIFT;

	return table.raw < SPACE_BASE || number >= SHARED_TABLES ? SHARED_TABLES : (size_t)number;
}

static inline pte_t *shared_table(struct shared *s, phys_addr table)
{
	return space_table(&s->arena, table);
}

static inline bool shared_is_free(const struct shared *s, size_t number)
{
	return number == SHARED_TABLES || (s->references[number] & PT_POOL_FREE);
}

static inline size_t shared_take(void *ctx, size_t most, phys_addr *ret_first)
{
	struct shared *s = ctx;
	struct pt_tables pool = pt_pool_tables(&s->pool);
	size_t left = s->limit - s->pool.taken;
	size_t got = pool.take(&s->pool, most < left ? most : left, ret_first);

	if (got != 0)
		memset(shared_table(s, *ret_first), 0xa5, got * PT_PAGE_SIZE);
	return got;
}

static inline void shared_give(void *ctx, phys_addr first, size_t count)
{
	struct shared *s = ctx;
	struct pt_tables pool = pt_pool_tables(&s->pool);

	for (size_t i = 0; i < count; i++) {
		phys_addr table = phys(first.raw + i * PT_PAGE_SIZE);
		size_t number = shared_number(table);

		if (shared_is_free(s, number) || s->frozen[number]) {
			s->misuses++;
			return;
		}
		if (s->references[number] == 1)
			memset(shared_table(s, table), 0xdb, PT_PAGE_SIZE);
	}
	s->given += count;
	pool.give(&s->pool, first, count);
}

static inline enum pt_hold shared_hold(void *ctx, phys_addr table)
{
	struct shared *s = ctx;
	size_t number = shared_number(table);

	s->asked++;
	s->misuses += shared_is_free(s, number);
	if (number == SHARED_TABLES || s->frozen[number])
		return PT_FROZEN;
	return s->references[number] > 1 ? PT_COMMON : PT_OWN;
}

static inline void shared_share(void *ctx, phys_addr table)
{
	struct shared *s = ctx;
	size_t number = shared_number(table);

	s->shared++;
	if (shared_is_free(s, number) || s->frozen[number])
		s->misuses++;
	else
		s->references[number]++;
}

static inline void shared_moved(void *ctx, phys_addr root)
{
	struct shared *s = ctx;

	s->moves++;
	s->moved_to = root;
}

static inline void shared_count(struct shared *s, phys_addr pa, uint64_t pages, uint64_t by)
{
	for (uint64_t i = 0; i < pages; i++)
		s->mapped[((pa.raw >> PTE_PAGE_SHIFT) + i) % SHARED_FRAMES] += by;
}

static inline void shared_acquire(void *ctx, phys_addr pa, uint64_t pages)
{
	shared_count(ctx, pa, pages, 1);
}

static inline void shared_release(void *ctx, phys_addr pa, uint64_t pages)
{
	shared_count(ctx, pa, pages, (uint64_t)0 - 1);
}

static inline void shared_init(struct shared *s)
{
	static const struct pt_holds holds = { shared_hold, shared_share, shared_moved };

	*s = (struct shared){ .limit = SHARED_TABLES, .flush = PT_FLUSH_NONE };
	space_arena_init(&s->arena, SHARED_TABLES);
	pt_pool_init(&s->pool, phys(SPACE_BASE), SHARED_TABLES, s->references);
	s->mem = space_window(&s->arena);
	s->tables = (struct pt_tables){
		.take = shared_take, .give = shared_give, .ctx = s, .holds = &holds
	};
	s->plain = s->tables;
	s->plain.holds = NULL;
	s->frames = (struct pt_frames){ shared_acquire, shared_release, s };
}

/* All tables must have come back. */
static inline void shared_free(struct shared *s, const char *name)
{
	CHECK_EQ(s->pool.taken, 0, name);
	CHECK_EQ(s->misuses, 0, name);
	space_arena_free(&s->arena);
}

static inline size_t shared_done(struct shared *s, struct pt_space *space)
{
	return pt_release(space, &s->flush);
}

/* ---- the second opinion ----------------------------------------------------------------- */

struct shared_audit {
	struct shared *ground;
	const struct pt_space *space;
	uint32_t references[SHARED_TABLES];
	bool seen[SHARED_TABLES][PT_MAX_LEVELS + 1];
};

static inline void shared_visit(struct shared_audit *a, phys_addr table, unsigned level)
{
	const struct pt_space *space = a->space;
	size_t number = shared_number(table);
	bool is_root = level == space->cpu.levels;
	unsigned first = is_root ? space->root_first : 0;
	unsigned last = is_root ? space->root_last : PTE_COUNT - 1;
	const pte_t *entries = shared_table(a->ground, table);

	a->references[number]++;
	if (a->ground->frozen[number] || a->seen[number][level])
		return;
	a->seen[number][level] = true;
	for (unsigned i = first; level > 1 && i <= last; i++) {
		phys_addr below = pte_table_addr(&space->cpu, entries[i], level);

		if (pte_kind(entries[i], level) == PTE_TABLE && below.raw != space->root.raw)
			shared_visit(a, below, level - 1);
	}
}

/* Every table has as many references as the spaces' links and roots; no other is out. */
static inline void shared_expect(struct shared *s, const struct pt_space *const *spaces,
				 size_t count, const char *name)
{
	static struct shared_audit a;
	size_t wrong = 0;

	memset(&a, 0, sizeof(a));
	a.ground = s;
	for (size_t i = 0; i < count; i++) {
		a.space = spaces[i];
		shared_visit(&a, spaces[i]->root, spaces[i]->cpu.levels);
	}
	for (size_t i = 0; i < SHARED_TABLES; i++) {
		uint32_t has = s->references[i] & PT_POOL_FREE ? 0 : s->references[i];

		wrong += !s->frozen[i] && has != a.references[i];
	}
	CHECK_EQ(wrong, 0, name);
	CHECK_EQ(s->misuses, 0, name);
}

/* True if both translate every page of the range alike. */
static inline bool shared_same(const struct pt_space *a, const struct pt_space *b,
			       struct pt_range range)
{
	struct pt_runs left, right;
	enum pt_status status = PT_OK;

	if (pt_runs_start(&left, a, range, PT_NO_BUDGET) != PT_OK ||
	    pt_runs_start(&right, b, range, PT_NO_BUDGET) != PT_OK)
		return false;
	while (status == PT_OK) {
		struct pt_mapping x = { .pages = 0 }, y = { .pages = 0 };

		status = pt_runs_next(&left, &x);
		if (pt_runs_next(&right, &y) != status || x.va.raw != y.va.raw ||
		    x.pa.raw != y.pa.raw || x.pages != y.pages || x.attr.flags != y.attr.flags ||
		    x.attr.cache != y.attr.cache)
			return false;
	}
	return status == PT_ERR_NOT_MAPPED;
}

#endif
