#include "tests/fake/space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BYTES ((size_t)PT_PAGE_SIZE)

enum { GARBAGE_TAKEN = 0xa5, GARBAGE_GIVEN = 0xdb, RUN_MAX = 3, GROUP = 5 };

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory) {
		fputs("out of memory\n", stderr);
		exit(2);
	}
	return memory;
}

/* Whole pages of the host, so that they can be made read-only. */
static void *allocate_pages(size_t bytes)
{
	void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	if (!memory) {
		fputs("out of memory\n", stderr);
		exit(2);
	}
	return memory;
}

/*
 * Groups of consecutive tables, every other group in descending order. The
 * stack is read from its end, so an ascending group lies in it descending.
 */
static size_t shuffled(size_t position, size_t count)
{
	size_t group = position / GROUP, in_group = position % GROUP;
	size_t length = count - group * GROUP < GROUP ? count - group * GROUP : GROUP;

	return group * GROUP + (group % 2 ? in_group : length - 1 - in_group);
}

void space_arena_init(struct space_arena *ret_arena, size_t count)
{
	*ret_arena = (struct space_arena){
		.bytes = allocate_pages(count * TABLE_BYTES),
		.count = count,
		.stack = allocate(count, sizeof(size_t)),
		.free = count,
		.limit = count,
		.is_taken = allocate(count, sizeof(bool)),
	};
	for (size_t i = 0; i < count; i++)
		ret_arena->stack[i] = shuffled(i, count);
	memset(ret_arena->bytes, GARBAGE_GIVEN, count * TABLE_BYTES);
}

void space_arena_free(struct space_arena *arena)
{
	free(arena->bytes);
	free(arena->stack);
	free(arena->is_taken);
	*arena = (struct space_arena){ 0 };
}

size_t space_taken(const struct space_arena *arena)
{
	return arena->count - arena->free;
}

/* The table's number, or arena->count if there is none at that address. */
static size_t number_of(const struct space_arena *arena, uint64_t table)
{
	uint64_t offset = table - SPACE_BASE;

	if (table < SPACE_BASE || !is_aligned(table, TABLE_BYTES) ||
	    offset / TABLE_BYTES >= arena->count)
		return arena->count;
	return (size_t)(offset / TABLE_BYTES);
}

pte_t *space_table(const struct space_arena *arena, phys_addr table)
{
	size_t number = number_of(arena, table.raw);

	if (number == arena->count) {
		fprintf(stderr, "no table at %#llx\n", (unsigned long long)table.raw);
		abort();
	}
	return (pte_t *)(void *)(arena->bytes + number * TABLE_BYTES);
}

static void *look_up(void *ctx, phys_addr table, virt_addr va, unsigned level)
{
	struct space_arena *arena = ctx;
	size_t number = number_of(arena, table.raw);

	(void)va;
	(void)level;
	arena->lookups++;
	if (number == arena->count)
		return NULL;
	arena->misuses += !arena->is_taken[number];
	return arena->bytes + number * TABLE_BYTES;
}

struct pt_mem space_window(struct space_arena *arena)
{
	return (struct pt_mem){
		.window = arena->bytes,
		.first = phys(SPACE_BASE),
		.last = phys(SPACE_BASE + (arena->count - 1) * TABLE_BYTES),
	};
}

struct pt_mem space_callback(struct space_arena *arena)
{
	return (struct pt_mem){ .table = look_up, .ctx = arena };
}

/* How many of the next tables make one run. */
static size_t run_length(const struct space_arena *arena, size_t most)
{
	size_t taken = space_taken(arena), longest = 1 + taken % RUN_MAX, length = 0;

	if (longest > most)
		longest = most;
	while (length < longest && length < arena->free && taken + length < arena->limit) {
		const size_t *next = &arena->stack[arena->free - 1 - length];

		if (length > 0 && next[0] != next[1] + 1)
			break;
		length++;
	}
	return length;
}

static size_t take(void *ctx, size_t most, phys_addr *ret_first)
{
	struct space_arena *arena = ctx;
	size_t length = run_length(arena, most), first;

	if (length == 0)
		return 0;
	first = arena->stack[arena->free - 1];
	arena->free -= length;
	memset(arena->bytes + first * TABLE_BYTES, GARBAGE_TAKEN, length * TABLE_BYTES);
	memset(arena->is_taken + first, true, length * sizeof(bool));
	*ret_first = phys(SPACE_BASE + first * TABLE_BYTES);
	return length;
}

static void give(void *ctx, phys_addr first, size_t count)
{
	struct space_arena *arena = ctx;

	for (size_t i = count; i-- > 0;) {
		size_t number = number_of(arena, first.raw + i * TABLE_BYTES);

		if (number == arena->count || !arena->is_taken[number]) {
			arena->misuses++;
			continue;
		}
		arena->is_taken[number] = false;
		arena->stack[arena->free++] = number;
		memset(arena->bytes + number * TABLE_BYTES, GARBAGE_GIVEN, TABLE_BYTES);
	}
}

struct pt_tables space_tables(struct space_arena *arena)
{
	return (struct pt_tables){ .take = take, .give = give, .ctx = arena };
}

void space_snapshot_init(struct space_snapshot *ret_shot, const struct space_arena *arena)
{
	*ret_shot = (struct space_snapshot){
		.bytes = allocate(arena->count, TABLE_BYTES),
		.stack = allocate(arena->count, sizeof(size_t)),
		.is_taken = allocate(arena->count, sizeof(bool)),
	};
	space_snapshot_take(ret_shot, arena);
}

void space_snapshot_free(struct space_snapshot *shot)
{
	free(shot->bytes);
	free(shot->stack);
	free(shot->is_taken);
	*shot = (struct space_snapshot){ 0 };
}

void space_snapshot_take(struct space_snapshot *shot, const struct space_arena *arena)
{
	for (size_t i = 0; i < arena->count; i++) {
		if (arena->is_taken[i])
			memcpy(shot->bytes + i * TABLE_BYTES, arena->bytes + i * TABLE_BYTES,
			       TABLE_BYTES);
	}
	memcpy(shot->stack, arena->stack, arena->count * sizeof(size_t));
	memcpy(shot->is_taken, arena->is_taken, arena->count * sizeof(bool));
	shot->free = arena->free;
}

bool space_snapshot_equal(const struct space_snapshot *shot, const struct space_arena *arena)
{
	if (shot->free != arena->free ||
	    memcmp(shot->stack, arena->stack, arena->free * sizeof(size_t)) != 0 ||
	    memcmp(shot->is_taken, arena->is_taken, arena->count * sizeof(bool)) != 0)
		return false;
	for (size_t i = 0; i < arena->count; i++) {
		if (arena->is_taken[i] && memcmp(shot->bytes + i * TABLE_BYTES,
						 arena->bytes + i * TABLE_BYTES, TABLE_BYTES) != 0)
			return false;
	}
	return true;
}

void space_snapshot_restore(const struct space_snapshot *shot, struct space_arena *arena)
{
	for (size_t i = 0; i < arena->count; i++) {
		if (shot->is_taken[i])
			memcpy(arena->bytes + i * TABLE_BYTES, shot->bytes + i * TABLE_BYTES,
			       TABLE_BYTES);
	}
	memcpy(arena->stack, shot->stack, arena->count * sizeof(size_t));
	memcpy(arena->is_taken, shot->is_taken, arena->count * sizeof(bool));
	arena->free = shot->free;
}

void space_fixture_init(struct space_fixture *ret_fixture, const struct pt_cpu *cpu, size_t count,
			bool use_callback)
{
	struct space_fixture *f = ret_fixture;
	struct pt_mem mem;
	struct pt_tables tables;
	enum pt_status status;

	space_arena_init(&f->arena, count);
	f->flush = (struct pt_flush)PT_FLUSH_NONE;
	mem = use_callback ? space_callback(&f->arena) : space_window(&f->arena);
	tables = space_tables(&f->arena);
	status = pt_init(&f->space, cpu, &mem, &tables);
	if (status != PT_OK) {
		fprintf(stderr, "pt_init: %s\n", pt_strerror(status));
		exit(2);
	}
	f->root = space_table(&f->arena, f->space.root);
	space_snapshot_init(&f->shot, &f->arena);
}

void space_fixture_free(struct space_fixture *fixture)
{
	space_snapshot_free(&fixture->shot);
	space_arena_free(&fixture->arena);
}

const char *space_text(int status)
{
	return pt_strerror((enum pt_status)status);
}

bool space_flush_equal(const struct pt_flush *a, const struct pt_flush *b)
{
	return a->va.raw == b->va.raw && a->pages == b->pages && a->global == b->global &&
	       a->retired.raw == b->retired.raw;
}
