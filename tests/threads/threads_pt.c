/*
 * One writer and several readers without a lock, under ThreadSanitizer. The
 * writer keeps, for every cell of some areas, the last states that it gave the
 * cell; a reader must see one that the cell had between the beginning and the
 * end of the read. Tables go back to the allocator, which fills them with
 * garbage, once no reader can be inside them.
 */
#include "tests/check.h"
#include "tests/fake/sdm.h"
#include "tests/fake/space.h"

#include <pthread.h>
#include <sched.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

enum { TABLES = 512, READERS = 3, CELLS_MAX = 1024, RING = 32, SPAN_MAX = 12, TURN = 128 };

/*
 * Neighbouring cells of one size. Those on a stone are mapped at the start and
 * never touched again, whatever becomes of the tables and leaves around them.
 */
static const struct area {
	uint64_t base;
	unsigned shift; /* of a cell's size */
	size_t cells;
	bool has_stones;
} AREAS[] = {
	{ 3 * GIB + 2 * MIB, 12, 1024, true },
	{ 1024 * GIB, 21, 1024, false },
	{ 0 - 2 * MIB, 12, 512, false },
};

/* What a cell can be mapped to, from the area's beginning on; aligned to 1 GiB, 2 MiB, 4 KiB. */
static const uint64_t FRAMES[] = { 4 * GIB, 8 * GIB, 12 * GIB + 2 * MIB, 16 * GIB + 4096 };

static const struct pt_attr ATTRS[] = {
	{ 0, PT_WB },
	{ PT_WRITE, PT_WB },
	{ PT_EXEC | PT_USER, PT_WB },
	{ PT_WRITE | PT_GLOBAL, PT_WP },
};

/* A state: 0 is absent, else a frame and an attribute; nothing is made unknown. */
enum { STATE_UNKNOWN = 999 };

static unsigned state_of(size_t frame, size_t attr)
{
	return 1 + (unsigned)(frame * ARRAY_LEN(ATTRS) + attr);
}

/* The state number `n` of a cell is ring[n % RING]; calls for begun - done are under way. */
struct cell {
	uint64_t begun, done;
	uint8_t ring[RING];
};

struct shared;

struct reader {
	_Alignas(64) uint64_t inside; /* odd while a read goes on */
	struct shared *shared;
	uint64_t rng;
	bool exact; /* looks at the cells' states; else only at what any cell could be */
	uint64_t reads, overlapped, outrun, wrong;
	char first_wrong[128];
};

struct shared {
	struct space_arena arena;
	struct pt_space space;
	struct pt_flush flush;
	struct cell cells[ARRAY_LEN(AREAS)][CELLS_MAX];
	struct reader readers[READERS];
	bool done;
	uint64_t rng, released, calls[8];
};

static uint64_t below(uint64_t *rng, uint64_t limit)
{
	return check_random(rng) % limit;
}

static uint64_t cell_va(size_t area, size_t cell)
{
	return AREAS[area].base + ((uint64_t)cell << AREAS[area].shift);
}

static bool is_stone(size_t area, size_t cell)
{
	return AREAS[area].has_stones && (cell == 77 || cell == 1023);
}

/* ---- readers ---------------------------------------------------------------- */

static void complain(struct reader *r, const char *call, uint64_t va, unsigned state)
{
	if (r->wrong++ == 0)
		snprintf(r->first_wrong, sizeof(r->first_wrong), "%s: %#" PRIx64 " is %u", call, va,
			 state);
}

/* The state that such a leaf means at `va`, were it ever made. */
static unsigned state_seen(size_t area, uint64_t va, uint64_t pa, struct pt_attr attr)
{
	uint64_t offset = va - AREAS[area].base;
	uint32_t flags = attr.flags & ~(uint32_t)(PT_ACCESSED | PT_DIRTY);

	for (size_t f = 0; f < ARRAY_LEN(FRAMES); f++) {
		for (size_t a = 0; a < ARRAY_LEN(ATTRS); a++) {
			if (pa == FRAMES[f] + offset && flags == ATTRS[a].flags &&
			    attr.cache == ATTRS[a].cache)
				return state_of(f, a);
		}
	}
	return STATE_UNKNOWN;
}

/* What the cells of a read are seen as, and how far they were when it began. */
struct sight {
	const char *call;
	size_t area, first, count;
	uint64_t done[SPAN_MAX];
	unsigned seen[SPAN_MAX];
};

static void sight_begin(struct reader *r, struct sight *s)
{
	__atomic_fetch_add(&r->inside, 1, __ATOMIC_ACQ_REL);
	memset(s->seen, 0, sizeof(s->seen));
	for (size_t i = 0; r->exact && i < s->count; i++)
		s->done[i] = __atomic_load_n(&r->shared->cells[s->area][s->first + i].done,
					     __ATOMIC_ACQUIRE);
}

/* Writes what `pages` from `va` are seen as into the cells that they cover. */
static void sight_fill(struct sight *s, const struct pt_leaf *leaf)
{
	for (size_t i = 0; i < s->count; i++) {
		uint64_t va = cell_va(s->area, s->first + i), offset = va - leaf->va.raw;

		if (va >= leaf->va.raw && offset >> 12 < leaf->pages)
			s->seen[i] = state_seen(s->area, va, leaf->pa.raw + offset, leaf->attr);
	}
}

/* One cell, after the read: a state that it had in the meantime? */
static void judge_cell(struct reader *r, const struct sight *s, size_t i)
{
	struct cell *cell = &r->shared->cells[s->area][s->first + i];
	uint64_t from = s->done[i], to = __atomic_load_n(&cell->begun, __ATOMIC_ACQUIRE);
	bool legal = false;

	for (uint64_t n = from; n <= to && to - from < RING; n++)
		legal |= __atomic_load_n(&cell->ring[n % RING], __ATOMIC_RELAXED) == s->seen[i];
	r->overlapped += to != from;
	/* The writer may have come round to the states that were compared. */
	if (__atomic_load_n(&cell->begun, __ATOMIC_ACQUIRE) + 1 - from >= RING)
		r->outrun++;
	else if (!legal)
		complain(r, s->call, cell_va(s->area, s->first + i), s->seen[i]);
}

static void sight_end(struct reader *r, const struct sight *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (r->exact)
			judge_cell(r, s, i);
		else if (s->seen[i] == STATE_UNKNOWN ||
			 (is_stone(s->area, s->first + i) && s->seen[i] != state_of(0, 0)))
			complain(r, s->call, cell_va(s->area, s->first + i), s->seen[i]);
	}
	__atomic_fetch_add(&r->inside, 1, __ATOMIC_RELEASE);
	r->reads++;
}

static void read_query(struct reader *r, struct sight *s)
{
	uint64_t size = UINT64_C(1) << AREAS[s->area].shift;
	uint64_t va = cell_va(s->area, s->first) + below(&r->rng, size);
	struct pt_leaf leaf;
	enum pt_status status;

	s->call = "query";
	s->count = 1;
	sight_begin(r, s);
	status = pt_query(&r->shared->space, virt(va), &leaf);
	if (status == PT_OK)
		sight_fill(s, &leaf);
	else if (status != PT_ERR_NOT_MAPPED)
		s->seen[0] = STATE_UNKNOWN;
	sight_end(r, s);
}

/* The address alone; whatever rights the cell has go with it. */
static void read_translation(struct reader *r, const struct sight *s)
{
	uint64_t va = cell_va(s->area, s->first) | below(&r->rng, 4096);
	phys_addr pa = phys(0);
	bool known = false;
	enum pt_status status;

	__atomic_fetch_add(&r->inside, 1, __ATOMIC_ACQ_REL);
	status = pt_translate(&r->shared->space, virt(va), &pa);
	__atomic_fetch_add(&r->inside, 1, __ATOMIC_RELEASE);
	for (size_t f = 0; f < ARRAY_LEN(FRAMES); f++)
		known |= pa.raw == FRAMES[f] + (va - AREAS[s->area].base);
	if (status == PT_OK ? !known : status != PT_ERR_NOT_MAPPED || is_stone(s->area, s->first))
		complain(r, "translate", va, STATE_UNKNOWN);
	r->reads++;
}

static struct pt_range range_of(size_t area, size_t first, size_t count)
{
	return (struct pt_range){ virt(cell_va(area, first)),
				  (uint64_t)count << (AREAS[area].shift - 12) };
}

static void read_walk(struct reader *r, struct sight *s)
{
	struct pt_walk walk;
	struct pt_entry entry;
	enum pt_status status;
	bool dawdles = below(&r->rng, 8) == 0; /* so that tables are retired around it */

	s->call = "walk";
	sight_begin(r, s);
	status = pt_walk_start(&walk, &r->shared->space, range_of(s->area, s->first, s->count),
			       PT_NO_BUDGET);
	while (status == PT_OK) {
		status = pt_walk_next(&walk, &entry);
		if (status == PT_OK && entry.kind == PTE_LEAF)
			sight_fill(s, &entry.at);
		if (dawdles)
			sched_yield();
		if (status == PT_OK && entry.kind == PTE_SOFT)
			complain(r, "walk: soft", entry.at.va.raw, STATE_UNKNOWN);
	}
	if (status != PT_ERR_NOT_MAPPED)
		complain(r, pt_strerror(status), cell_va(s->area, s->first), STATE_UNKNOWN);
	sight_end(r, s);
}

static void read_runs(struct reader *r, struct sight *s)
{
	struct pt_runs runs;
	struct pt_mapping run;
	enum pt_status status;

	s->call = "runs";
	sight_begin(r, s);
	status = pt_runs_start(&runs, &r->shared->space, range_of(s->area, s->first, s->count),
			       PT_NO_BUDGET);
	while (status == PT_OK) {
		status = pt_runs_next(&runs, &run);
		if (status == PT_OK)
			sight_fill(s, &(struct pt_leaf){ .va = run.va,
							 .pa = run.pa,
							 .pages = run.pages,
							 .attr = run.attr });
	}
	if (status != PT_ERR_NOT_MAPPED)
		complain(r, pt_strerror(status), cell_va(s->area, s->first), STATE_UNKNOWN);
	sight_end(r, s);
}

static void *reader_main(void *argument)
{
	struct reader *r = argument;

	while (!__atomic_load_n(&r->shared->done, __ATOMIC_RELAXED)) {
		struct sight s = { .area = below(&r->rng, ARRAY_LEN(AREAS)) };

		s.count = 1 + below(&r->rng, SPAN_MAX);
		s.first = below(&r->rng, AREAS[s.area].cells - s.count + 1);
		if (below(&r->rng, 4) == 0)
			s.first = s.first / 512 * 512; /* where retired tables keep their list */
		switch (below(&r->rng, 4)) {
		case 0:
			read_query(r, &s);
			break;
		case 1:
			read_translation(r, &s);
			break;
		case 2:
			read_walk(r, &s);
			break;
		default:
			read_runs(r, &s);
			break;
		}
		/* Whoever loses the processor here and not inside keeps no writer waiting. */
		if (r->reads % TURN == 0)
			sched_yield();
	}
	return NULL;
}

/* ---- the writer --------------------------------------------------------------- */

enum op { OP_MAP, OP_REPLACE, OP_PROTECT, OP_UNMAP, OP_CLEAN, OP_COLLAPSE, OP_COUNT };

/* A call over some cells. */
struct call {
	enum op op;
	size_t area, first, count, frame, attr;
	unsigned max_leaf;
};

static unsigned cell_state(const struct cell *cell)
{
	return cell->ring[cell->begun % RING];
}

static unsigned state_after(const struct call *c, unsigned old)
{
	size_t frame = old ? (old - 1) / ARRAY_LEN(ATTRS) : 0;

	switch (c->op) {
	case OP_MAP:
	case OP_REPLACE:
		return state_of(c->frame, c->attr);
	case OP_PROTECT:
		return old ? state_of(frame, c->attr) : 0;
	case OP_UNMAP:
		return 0;
	case OP_CLEAN:
	case OP_COLLAPSE:
	case OP_COUNT:
		break;
	}
	return old;
}

/* True if a map without policy is to be refused. */
static bool is_in_use(const struct shared *s, const struct call *c)
{
	for (size_t i = c->first; c->op == OP_MAP && i < c->first + c->count; i++) {
		if (cell_state(&s->cells[c->area][i]) != 0)
			return true;
	}
	return false;
}

static enum pt_status perform(struct shared *s, const struct call *c)
{
	struct pt_range range = range_of(c->area, c->first, c->count);
	struct pt_options options = { .max_leaf = c->max_leaf };
	struct pt_mapping m = { range.va,
				phys(FRAMES[c->frame] + (range.va.raw - AREAS[c->area].base)),
				range.pages, ATTRS[c->attr] };

	switch (c->op) {
	case OP_MAP:
		return pt_map(&s->space, &m, &options, &s->flush);
	case OP_REPLACE:
		options.conflict = PT_REPLACE;
		return pt_map(&s->space, &m, &options, &s->flush);
	case OP_PROTECT:
		return pt_protect(&s->space, range, m.attr, &s->flush);
	case OP_UNMAP:
		return pt_unmap(&s->space, range, &s->flush);
	case OP_CLEAN:
		return pt_clean(&s->space, range, &s->flush);
	case OP_COLLAPSE:
	case OP_COUNT:
		break;
	}
	return pt_collapse(&s->space, range, &s->flush);
}

/* Says what is to come, does it, and says that it is done. */
static void announce_and_perform(struct shared *s, const struct call *c)
{
	bool refused = is_in_use(s, c);
	struct cell *cells = &s->cells[c->area][c->first];

	for (size_t i = 0; !refused && i < c->count; i++) {
		unsigned old = cell_state(&cells[i]), next = state_after(c, old);

		if (next == old)
			continue;
		__atomic_store_n(&cells[i].ring[(cells[i].begun + 1) % RING], (uint8_t)next,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&cells[i].begun, cells[i].begun + 1, __ATOMIC_RELEASE);
	}
	CHECK_STATUS(perform(s, c), refused ? PT_ERR_OVERLAP : PT_OK, space_text, "writer");
	for (size_t i = 0; !refused && i < c->count; i++) {
		if (cells[i].done != cells[i].begun)
			__atomic_store_n(&cells[i].done, cells[i].begun, __ATOMIC_RELEASE);
	}
	s->calls[c->op] += !refused;
}

/*
 * Waits until each reader has been outside once. To add nothing orders the
 * reader's next entry after what was unlinked before.
 */
static void wait_for_readers(struct shared *s)
{
	for (size_t i = 0; i < READERS; i++) {
		uint64_t *inside = &s->readers[i].inside;
		uint64_t then = __atomic_fetch_add(inside, 0, __ATOMIC_ACQ_REL);

		while (then % 2 != 0 && __atomic_load_n(inside, __ATOMIC_ACQUIRE) == then)
			sched_yield();
	}
}

static bool covers_stone(const struct call *c)
{
	for (size_t i = c->first; i < c->first + c->count; i++) {
		if (is_stone(c->area, i))
			return true;
	}
	return false;
}

/* A few cells, or all up to an edge; those that would touch a stone do not change it. */
static struct call random_call(struct shared *s)
{
	struct call c = { .op = (enum op)below(&s->rng, OP_COUNT) };
	uint64_t size = below(&s->rng, 3);

	c.area = below(&s->rng, ARRAY_LEN(AREAS));
	c.frame = below(&s->rng, ARRAY_LEN(FRAMES) - (AREAS[c.area].shift > 12));
	c.attr = below(&s->rng, ARRAY_LEN(ATTRS));
	c.max_leaf = below(&s->rng, 3) ? 0 : (AREAS[c.area].shift > 12 ? 2 : 1);
	c.first = below(&s->rng, AREAS[c.area].cells);
	if (size > 0)
		c.first = c.first / 512 * 512;
	c.count = 1 + below(&s->rng, size == 0 ? 20 : 512);
	if (size == 2)
		c.count = (size_t)512 << below(&s->rng, 2);
	if (c.count > AREAS[c.area].cells - c.first)
		c.count = AREAS[c.area].cells - c.first;
	while (c.op <= OP_UNMAP && covers_stone(&c))
		c.count--;
	return c;
}

static void write_all(struct shared *s, uint64_t count)
{
	for (uint64_t i = 0; i < count && check_failures == 0; i++) {
		struct call c = random_call(s);

		announce_and_perform(s, &c);
		if (c.max_leaf != 0 && c.count >= 512) {
			/* Most likely alike now. */
			c.op = OP_COLLAPSE;
			announce_and_perform(s, &c);
		}
		if (below(&s->rng, 8) != 0)
			continue;
		wait_for_readers(s);
		s->released += pt_release(&s->space, &s->flush);
	}
}

/* ---- all together --------------------------------------------------------------- */

static void place_stones(struct shared *s)
{
	for (size_t area = 0; area < ARRAY_LEN(AREAS); area++) {
		for (size_t i = 0; i < AREAS[area].cells; i++) {
			struct call c = { OP_MAP, area, i, 1, 0, 0, 0 };

			if (is_stone(area, i))
				announce_and_perform(s, &c);
		}
	}
}

static struct shared *start(const struct pt_cpu *cpu, uint64_t seed)
{
	struct shared *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);
	struct pt_mem mem;
	struct pt_tables tables;

	if (!s)
		exit(2);
	memset(s, 0, sizeof(*s));
	s->rng = seed;
	s->flush = (struct pt_flush)PT_FLUSH_NONE;
	space_arena_init(&s->arena, TABLES);
	mem = space_window(&s->arena);
	tables = space_tables(&s->arena);
	CHECK_STATUS(pt_init(&s->space, cpu, &mem, &tables), PT_OK, space_text, "start");
	place_stones(s);
	for (size_t i = 0; i < READERS; i++)
		s->readers[i] = (struct reader){ .shared = s,
						 .rng = check_random(&s->rng),
						 .exact = i % 2 == 0 };
	return s;
}

/* The writer's view of all cells, and the processor's. */
static void expect_final(struct shared *s)
{
	for (size_t area = 0; area < ARRAY_LEN(AREAS); area++) {
		for (size_t i = 0; i < AREAS[area].cells; i++) {
			unsigned state = cell_state(&s->cells[area][i]);
			uint64_t va = cell_va(area, i), frame = state - 1;
			struct sdm_translation t = sdm_translate(&s->arena, &s->space.cpu,
								 s->space.root, va);

			CHECK_EQ(t.present, state != 0, "final");
			if (t.present && state != 0)
				CHECK_EQ(t.pa,
					 FRAMES[frame / ARRAY_LEN(ATTRS)] + (va - AREAS[area].base),
					 "final");
		}
	}
	pt_release(&s->space, &s->flush);
	CHECK_EQ(s->arena.misuses, 0, "final");
	CHECK_EQ(sdm_count_tables(&s->arena, &s->space.cpu, s->space.root), space_taken(&s->arena),
		 "final");
}

static void expect_readers(const struct shared *s)
{
	uint64_t reads = 0, overlapped = 0, outrun = 0;

	for (size_t i = 0; i < READERS; i++) {
		const struct reader *r = &s->readers[i];

		CHECK(r->wrong == 0, r->first_wrong);
		reads += r->reads;
		overlapped += r->overlapped;
		outrun += r->outrun;
	}
	for (size_t op = 0; op < OP_COUNT; op++)
		CHECK(s->calls[op] > 0, "calls of every kind");
	CHECK(s->released > 0, "tables were released");
	CHECK(overlapped > 0, "cells changed while they were read");
	printf("# %" PRIu64 " reads, %" PRIu64 " cells changed meanwhile, %" PRIu64
	       " too often to tell; %" PRIu64 " tables released\n",
	       reads, overlapped, outrun, s->released);
}

static uint64_t seed, ops;

static void write_and_read(struct pt_cpu cpu)
{
	struct shared *s = start(&cpu, check_random(&seed));
	pthread_t threads[READERS];

	for (size_t i = 0; i < READERS; i++) {
		if (pthread_create(&threads[i], NULL, reader_main, &s->readers[i]) != 0)
			exit(2);
	}
	write_all(s, ops);
	__atomic_store_n(&s->done, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	expect_readers(s);
	expect_final(s);
	space_arena_free(&s->arena);
	free(s);
}

static void readers_see_nothing_but_what_was_made_with_all_leaves(void)
{
	write_and_read((struct pt_cpu){
		.levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL });
}

static void readers_see_nothing_but_what_was_made_with_five_levels(void)
{
	write_and_read((struct pt_cpu){
		.levels = 5, .max_leaf = 2, .phys_bits = 52, .nx = true, .pat = PT_PAT_FULL });
}

int main(int argc, char **argv)
{
	const char *text = getenv("OPS");

	(void)argc;
	(void)argv;
	seed = check_seed(1);
	ops = text ? strtoull(text, NULL, 0) : 10000;
	RUN(readers_see_nothing_but_what_was_made_with_all_leaves);
	RUN(readers_see_nothing_but_what_was_made_with_five_levels);
	return check_done();
}
