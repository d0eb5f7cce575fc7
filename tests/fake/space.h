/*
 * The ground that the tests of the mapping core stand on: an arena of tables
 * whose physical addresses are not their positions, an allocator that can be
 * starved and notices misuse, snapshots of both, and a space over them.
 * Compiled once for every layout.
 */
#ifndef TESTS_FAKE_SPACE_H
#define TESTS_FAKE_SPACE_H

#include "paging/pt.h"

/* A physical base that is a multiple of one page and of nothing larger. */
#if PTE_MAX_PHYS_BITS > 36
#define SPACE_BASE UINT64_C(0x5a1237000)
#else
#define SPACE_BASE (UINT64_C(0x123) << PTE_PAGE_SHIFT)
#endif

/*
 * `count` tables from physical address SPACE_BASE. Free ones are on a stack,
 * in an order in which neighbours are often but not always consecutive; a run
 * handed out has one to three tables. What is handed out, or was given back,
 * is filled with garbage.
 */
struct space_arena {
	unsigned char *bytes;
	size_t count;
	size_t *stack; /* free tables, the next to be handed out at stack[free - 1] */
	size_t free;
	size_t limit; /* tables that may be out at once */
	bool *is_taken;
	uint64_t lookups; /* calls of the callback that finds tables */
	uint64_t misuses; /* gives of what is not out, look-ups of tables that are not out */
};

void space_arena_init(struct space_arena *ret_arena, size_t count);
void space_arena_free(struct space_arena *arena);

/* How many tables are out. */
size_t space_taken(const struct space_arena *arena);

/* The two ways of reaching the arena's tables. */
struct pt_mem space_window(struct space_arena *arena);
struct pt_mem space_callback(struct space_arena *arena);

struct pt_tables space_tables(struct space_arena *arena);

/* The table at a physical address, which lies in the arena. */
pte_t *space_table(const struct space_arena *arena, phys_addr table);

/*
 * The state of an arena: the allocator's and every byte of every table that is
 * out. Tables on the free list belong to nobody and may change.
 */
struct space_snapshot {
	unsigned char *bytes;
	size_t *stack;
	bool *is_taken;
	size_t free;
};

void space_snapshot_init(struct space_snapshot *ret_shot, const struct space_arena *arena);
void space_snapshot_take(struct space_snapshot *shot, const struct space_arena *arena);
bool space_snapshot_equal(const struct space_snapshot *shot, const struct space_arena *arena);
/* Puts the arena back into that state. */
void space_snapshot_restore(const struct space_snapshot *shot, struct space_arena *arena);
void space_snapshot_free(struct space_snapshot *shot);

/* An empty space over an arena of its own, and a flush to collect changes in. */
struct space_fixture {
	struct space_arena arena;
	struct pt_space space;
	struct pt_flush flush;
	struct space_snapshot shot;
	uint64_t *root; /* the root table */
};

/* Ends the program if pt_init() fails. `use_callback` chooses how tables are reached. */
void space_fixture_init(struct space_fixture *ret_fixture, const struct pt_cpu *cpu, size_t count,
			bool use_callback);
void space_fixture_free(struct space_fixture *fixture);

/* pt_strerror() of a number, as tests/check.h has it. */
const char *space_text(int status);

/* True if two flushes say the same. */
bool space_flush_equal(const struct pt_flush *a, const struct pt_flush *b);

#endif
