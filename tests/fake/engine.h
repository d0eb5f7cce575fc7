/*
 * The ground of tests of all that a space can do beside mapping: an allocator
 * with references whose tables can be frozen, hooks that count how often each
 * frame is mapped, and judges that walk the tables without the core. Compiled
 * once for every layout.
 */
#ifndef TESTS_FAKE_ENGINE_H
#define TESTS_FAKE_ENGINE_H

#include "tests/fake/space.h"

/* Frames that can be mapped under the hooks. */
#define ENGINE_FRAMES (UINT32_C(1) << (PTE_MAX_PHYS_BITS > 36 ? 21 : 15))

/* Which of the abilities a space is to have. */
struct engine_options {
	struct pt_cpu cpu;
	size_t tables;
	bool holds, hooks;
	bool counted, live;
};

struct engine {
	struct space_fixture f; /* its flush and its snapshot are the engine's too */
	uint32_t *references;
	unsigned char *frozen_level; /* of tables that are frozen; 0: of others */
	bool *is_foreign;            /* tables that others see: their bytes must not change */
	unsigned char *foreign;      /* which they were */
	phys_addr other; /* root of the space that tables are common with, or PT_NO_TABLE */

	/* At each frame, by how much the number of mappings differs from the one before. */
	int32_t *mapped, *expected;
	uint64_t acquired, released; /* pages, by all calls */
	uint64_t moves;              /* calls of moved() */
	phys_addr moved_to;
	bool is_releasing;
	uint64_t misuses; /* of references and hooks; those of tables are the arena's */
	uint32_t *saved_references;
	struct engine_sums {
		uint64_t acquired, released, moves;
		phys_addr root;
		struct pt_flush flush;
	} saved;
};

void engine_init(struct engine *ret_engine, const struct engine_options *options);
void engine_free(struct engine *engine);

/* pt_release() and pt_destroy(), in which hooks may be told of releases. */
size_t engine_release(struct engine *engine);
size_t engine_destroy(struct engine *engine, struct pt_space *space);

/* The table is frozen, and what it leads to must not change; that is still held as it was. */
void engine_freeze(struct engine *engine, phys_addr table, unsigned level);
/* Freezes all that the space leads to, its root too. */
void engine_freeze_all(struct engine *engine);
/* Makes another root that leads to the same tables, which are common from now on. */
void engine_share_all(struct engine *engine);
/* True if every byte that others see is as it was. */
bool engine_others_are_unchanged(const struct engine *engine);
/* Opens the other space. */
struct pt_space engine_other(const struct engine *engine);

/* The state of allocator, tables and references; of the hooks, the sums. */
void engine_save(struct engine *engine);
bool engine_is_as_saved(const struct engine *engine);

/* Tables that the log of the flush will take for `count` more entries. */
uint64_t engine_log_tables(const struct engine *engine, uint64_t count);

/*
 * The entry that ends the walk for `va`, of ret_level: a leaf, soft, absent, or a link to a table
 * out of the arena.
 */
pte_t *engine_entry(const struct engine *engine, phys_addr root, uint64_t va, unsigned *ret_level);
/* The entry of `level` on that way, NULL if it ends above. */
pte_t *engine_entry_at(const struct engine *engine, uint64_t va, unsigned level);

/* The level of a table that the space leads to; 0: it does not. */
unsigned engine_level(const struct engine *engine, phys_addr table);

/* How many links have a number of entries other than there are; unknown ones (0) are right. */
uint64_t engine_wrong_counts(const struct engine *engine);
/* How many tables below the root hold nothing. */
uint64_t engine_empty_tables(const struct engine *engine);
/* How many tables can be reached from the space, the other and frozen tables; each once. */
size_t engine_reachable(const struct engine *engine);
/* How many tables have a number of references other than there are links to them. */
uint64_t engine_wrong_references(const struct engine *engine);
/* True if the hooks' sums are the leaves of all that can be reached. */
bool engine_frames_balance(const struct engine *engine);

/* How many tables have moved since the state was saved: links that lead to another one now. */
uint64_t engine_moved(const struct engine *engine);

#endif
