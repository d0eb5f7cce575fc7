/*
 * Benchmarks of the mapping core: what is measured, on which ground, and what
 * the measuring needs from its parts.
 *
 *	main.c       options, repetitions, medians
 *	workloads.c  the table of workloads: what is timed, against what
 *	lists.c      the mappings that they make
 *	ground.c     the memory in which tables lie, and how cold it is; small helpers
 *	limits.c     what memory itself takes for the same work
 *	verify.c     a second opinion on every result
 *	report.py    runs it all, counts instructions, prints the table
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include "tests/fake/sdm.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* Instructions are counted on instances of the large workloads this much smaller. */
#define COUNTING_DIVISOR 16

/* Ends the program with a message: a number from a wrong result must not be printed. */
_Noreturn void bench_die(const char *what, const char *why);
/* Memory of zeroes; ends the program if there is none. */
void *bench_allocate(size_t count, size_t size);
/* splitmix64. */
uint64_t bench_random(uint64_t *state);

/* ---- lists.c ---------------------------------------------------------------- */

/* What the arithmetic says that a list needs, the root included. */
struct shape {
	uint64_t tables, leaves;
};

/* Disjoint mappings, in the order in which they are made. */
struct list {
	struct pt_mapping *at;
	size_t count;
	unsigned max_leaf; /* as pt_map() takes it */
	struct shape shape;
};

/* One leaf of a mapping. */
struct leaf {
	uint64_t va, pa;
	unsigned level;
};

/*
 * The largest leaf at the `done`-th byte of a mapping whose level is at most
 * `cap` (0: no cap), found without the mapping core.
 */
struct leaf list_leaf(const struct pt_mapping *m, uint64_t done, unsigned cap);

/* W1: 16 GiB, skewed by a page so that no large leaf fits. */
struct list list_skewed(uint64_t pages);
/* W2: 512 GiB identity. */
struct list list_identity(unsigned max_leaf);
/* W3: `count` different pages of the lowest `span` pages (a power of two), in random order. */
struct list list_random(size_t count, uint64_t span);
/* W7: a firmware's memory map, at identity and again at a direct-map offset. */
struct list list_firmware(void);
/* W10: `count` extents over `span` bytes from `start`. */
struct list list_extents(size_t count, uint64_t start, uint64_t span);
/* A copy in ascending order. */
struct list list_sorted(const struct list *list);
void list_free(struct list *list);

/* ---- the state of a workload -------------------------------------------------- */

#define BATCH_MAX 256

struct bench {
	bool counting; /* instructions, on small instances; nothing is timed */
	struct space_arena arena;
	struct pt_block block;
	phys_addr *scratch;

	/* Set up once a workload. */
	struct list list, base; /* what is worked on, and by the limit if that differs */
	size_t batch;           /* spaces that get the list, one after the other */
	uint64_t *vas;          /* addresses in the order in which they are visited */
	size_t va_count;
	bool counted, live, zeroed; /* of the spaces, and of the allocator's tables */
	uint64_t ops, limit_ops;    /* in one timed run */

	/* Written by preparations and runs. */
	struct pt_space spaces[BATCH_MAX];
	struct pt_flush flush;
	struct pt_plan plan;
	struct pt_audit audit;
	size_t released, given; /* tables: as pt_release() says, as the allocator saw */
	uint64_t sum, limit_sum;
};

/* One line of the table; any of the functions but run() may be NULL. */
struct workload {
	const char *id, *work, *op;
	unsigned repetitions;
	void (*set_up)(struct bench *b);        /* once */
	void (*prepare)(struct bench *b);       /* before each run */
	void (*run)(struct bench *b);           /* timed */
	void (*verify)(struct bench *b);        /* after the first run */
	void (*prepare_limit)(struct bench *b); /* before each limit */
	void (*limit)(struct bench *b);         /* timed */
	void (*verify_limit)(struct bench *b);  /* after each limit */
};

extern const struct workload bench_workloads[];
extern const size_t bench_workload_count;

/* ---- ground.c ------------------------------------------------------------------- */

void ground_init(struct bench *b);
void ground_free(struct bench *b);
/* Empty spaces, `batch` of them, over tables that are all free. */
void ground_reset(struct bench *b);
/* Fills the first `tables` tables of the arena with garbage. */
void ground_soil(struct bench *b, size_t tables);
/* Turns them out of the caches. */
void ground_chill(struct bench *b, size_t tables);

/* ---- verify.c: each ends the program if it finds something wrong ------------------ */

/* Every space translates `list` and nothing next to it, with as few tables as can be. */
void verify_mapped(struct bench *b, const struct list *list);
/* The first space translates nothing of the list, and all tables but the root are released. */
void verify_unmapped(struct bench *b);
/*
 * A space translates the list; if it was written to, the first page of each 2
 * MiB is read-only, without tables that were copied for nothing.
 */
void verify_written(struct bench *b, size_t space, bool written);
/* b->sum is that of the physical addresses behind b->vas. */
void verify_sum(struct bench *b);
/* b->limit_sum is that of their pages. */
void verify_limit_sum(struct bench *b);
/* b->plan says what the arithmetic says of b->list; `root` tables were not counted. */
void verify_plan(const struct bench *b, uint64_t root);
void verify_audit(struct bench *b);

#endif
