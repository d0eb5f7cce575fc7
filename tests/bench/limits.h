/*
 * What memory itself takes for the work of a mapper: the same loads and stores
 * with nothing decided, checked or called in between. Compiled with the flags
 * of the mapping core.
 */
#ifndef TESTS_BENCH_LIMITS_H
#define TESTS_BENCH_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Tables of four levels. */
struct limit_tables {
	uintptr_t bias; /* pointer to a table less its physical address */
	uint64_t root;
};

/* Stores `count` entries: `first`, and each 4 KiB above the one before. */
void limit_fill(uint64_t *entries, size_t count, uint64_t first);
/* Reads, changes and writes `count` entries. */
void limit_restate(uint64_t *entries, size_t count, uint64_t keep, uint64_t bits);
void limit_zero(void *bytes, size_t size);
/* Copies `count` tables, each to a place of its own, one after the other. */
void limit_copy(void *to, const void *from, size_t count);

/* The sum of the physical addresses of 4 KiB pages: four loads each. */
uint64_t limit_walk(const struct limit_tables *t, const uint64_t *vas, size_t count);
/* The same sum; each walk begins when the one before has ended. */
uint64_t limit_walk_chain(const struct limit_tables *t, const uint64_t *vas, size_t count);
/* Three loads and the fourth, and a store in its place. */
void limit_walk_store(const struct limit_tables *t, const uint64_t *vas, size_t count,
		      uint64_t value);

#endif
