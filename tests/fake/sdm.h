/*
 * The processor's view of x86-64 tables, written from the manual and sharing
 * nothing with the mapping core but the types of addresses: what it says about
 * a translation is the second opinion of the tests.
 */
#ifndef TESTS_FAKE_SDM_H
#define TESTS_FAKE_SDM_H

#include "tests/fake/space.h"

/* What the processor finds for one linear address. */
struct sdm_translation {
	bool present;  /* a leaf was reached */
	bool reserved; /* the walk ended with a reserved-bit fault, or outside the arena */
	uint64_t pa;   /* of the address asked for */
	unsigned level;
	bool write, user, exec, global, accessed, dirty;
	unsigned type; /* as the PAT encodes it */
};

/* Translates `va`, which is canonical. `entry_level` of the walk is at most cpu->levels. */
struct sdm_translation sdm_translate(const struct space_arena *arena, const struct pt_cpu *cpu,
				     phys_addr root, uint64_t va);

/*
 * The entry of a table of `level` that the walk for `va` passes; ends the
 * program if there is no such table.
 */
uint64_t *sdm_entry(const struct space_arena *arena, const struct pt_cpu *cpu, phys_addr root,
		    uint64_t va, unsigned level);

/* How many tables hang from `root`, itself included; each link counts. */
size_t sdm_count_tables(const struct space_arena *arena, const struct pt_cpu *cpu, phys_addr root);

#endif
