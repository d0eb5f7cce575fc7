#define _GNU_SOURCE
#include "tests/bench/bench.h"

#include <emmintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64, GARBAGE = 0xa5 };

/* What the largest workload, W3, can need: a table for each 2 MiB of 1 TiB, and those above. */
#define ROOM (524288 + 1024 + 2 + 1)

void bench_die(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

void *bench_allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		bench_die("calloc", "out of memory");
	return memory;
}

uint64_t bench_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void ground_init(struct bench *b)
{
	size_t count = b->counting ? ROOM / COUNTING_DIVISOR : ROOM;
	size_t size = count * PT_PAGE_SIZE;
	void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (bytes == MAP_FAILED)
		bench_die("mmap", "out of memory");
	/* Kernels and firmware reach their tables through large pages; so does this, if it may. */
	(void)madvise(bytes, size, MADV_HUGEPAGE);
	b->arena = (struct space_arena){ .bytes = bytes, .count = count };
	b->scratch = bench_allocate(count, sizeof(*b->scratch));
	/* The page faults must not be timed. */
	if (!b->counting)
		ground_soil(b, count);
}

void ground_free(struct bench *b)
{
	munmap(b->arena.bytes, b->arena.count * PT_PAGE_SIZE);
	free(b->scratch);
}

static size_t take(void *ctx, size_t most, phys_addr *ret_first)
{
	struct bench *b = ctx;
	struct pt_tables tables = pt_block_tables(&b->block);

	return tables.take(tables.ctx, most, ret_first);
}

/* What comes back is counted, and free again when the ground is reset. */
static void give(void *ctx, phys_addr first, size_t count)
{
	struct bench *b = ctx;

	(void)first;
	b->given += count;
}

void ground_reset(struct bench *b)
{
	static const struct pt_cpu cpu = {
		.levels = 4, .max_leaf = 3, .phys_bits = 52, .nx = true, .pat = PT_PAT_FULL
	};
	struct pt_tables tables = { .take = take, .give = give, .ctx = b };
	struct pt_mem mem = {
		.window = b->arena.bytes,
		.first = phys(SPACE_BASE),
		.last = phys(SPACE_BASE + b->arena.count * PT_PAGE_SIZE - 1),
	};

	b->block = (struct pt_block){ phys(SPACE_BASE), b->arena.count, 0 };
	b->flush = (struct pt_flush)PT_FLUSH_NONE;
	b->released = b->given = 0;
	for (size_t i = 0; i < b->batch; i++) {
		enum pt_status status = pt_init(&b->spaces[i], &cpu, &mem, &tables);

		if (status != PT_OK)
			bench_die("pt_init", pt_strerror(status));
	}
}

void ground_soil(struct bench *b, size_t tables)
{
	memset(b->arena.bytes, GARBAGE, tables * PT_PAGE_SIZE);
}

void ground_chill(struct bench *b, size_t tables)
{
	/* Under valgrind a flush is slow, and changes no count. */
	if (b->counting)
		return;
	for (size_t i = 0; i < tables * PT_PAGE_SIZE; i += CACHE_LINE)
		_mm_clflush(b->arena.bytes + i);
	_mm_mfence();
}
