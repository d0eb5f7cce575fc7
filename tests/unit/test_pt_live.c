/*
 * A processor sets accessed and dirty bits while calls change the leaves: what
 * it has set, the leaves say afterwards, or the call that took them out. A
 * second thread is the processor. (Defect #22.)
 */
#include "tests/fake/scene.h"

#include <pthread.h>

enum { PAGES_ALL = 8 * 512, TABLES = 64, ROUNDS = 60 };

#define LEAF_P UINT64_C(0x001)
#define LEAF_W UINT64_C(0x002)
#define LEAF_A UINT64_C(0x020)
#define LEAF_D UINT64_C(0x040)
#define LEAF_L UINT64_C(0x080) /* large */

/* Base of what is mapped: 16 MiB of it. */
#define BASE (8 * GIB)

struct machine {
	struct space_fixture f;
	uint8_t used[PAGES_ALL];     /* flags that the processor has set, for good */
	uint32_t removed[PAGES_ALL]; /* what unmapping told */
	bool is_gone[PAGES_ALL];
	bool stops;
	uint64_t cursor; /* page that is about to be changed; the processor is never far */
	uint64_t hits;   /* bits set */
};

/* The processor's walk, down to the leaf. */
static uint64_t *find(struct machine *m, uint64_t va, uint64_t *ret_entry)
{
	const struct space_arena *arena = &m->f.arena;
	uint64_t table = m->f.space.root.raw;

	for (unsigned level = 4; level >= 1; level--) {
		uint64_t *entry = (uint64_t *)(void *)(arena->bytes + (table - SPACE_BASE)) +
				  ((va >> (12 + 9 * (level - 1))) & 511);
		uint64_t e = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

		if (!(e & LEAF_P))
			return NULL;
		*ret_entry = e;
		if (level == 1 || (e & LEAF_L))
			return entry;
		table = e & UINT64_C(0x000ffffffffff000);
	}
	return NULL;
}

/* Reads or writes a page: sets the bits atomically, if the entry is still what it was. */
static void use_page(struct machine *m, uint64_t page, bool writes)
{
	uint64_t e = 0, *entry = find(m, BASE + page * 4096, &e);

	if (!entry)
		return;

	uint64_t bits = LEAF_A | (writes && (e & LEAF_W) ? LEAF_D : 0);

	if ((e & bits) == bits)
		return;
	if (!__atomic_compare_exchange_n(entry, &e, e | bits, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		return;
	m->used[page] |= (uint8_t)bits;
	m->hits++;
}

static void *run_processor(void *ctx)
{
	struct machine *m = ctx;
	uint64_t rng = 5;

	while (!__atomic_load_n(&m->stops, __ATOMIC_ACQUIRE)) {
		uint64_t random = check_random(&rng);

		uint64_t cursor = __atomic_load_n(&m->cursor, __ATOMIC_RELAXED);

		use_page(m, random & 0x100 ? random % PAGES_ALL : (cursor + random % 8) % PAGES_ALL,
			 (random >> 32) & 1);
	}
	return NULL;
}

static void unmap_page(struct machine *m, uint64_t page)
{
	struct pt_leaf leaf;
	virt_addr va = virt(BASE + page * 4096);

	if (m->is_gone[page] || pt_page_unmap(&m->f.space, va, 1, &m->f.flush, &leaf) != PT_OK)
		return;
	m->is_gone[page] = true;
	m->removed[page] = leaf.own;
	CHECK_EQ(leaf.attr.flags & (PT_ACCESSED | PT_DIRTY), leaf.own & (PT_ACCESSED | PT_DIRTY),
		 "effective and own use");
}

/* One change of a few pages; large leaves are split on the way. */
static void change(struct machine *m, uint64_t random)
{
	uint64_t page = (random >> 8) % PAGES_ALL, left = PAGES_ALL - page;
	uint64_t pages = 1 + (random >> 32) % (random & 0x80 ? 600 : 3);
	struct pt_range range = { virt(BASE + page * 4096), pages < left ? pages : left };
	struct pt_attr attr = { random & 0x40 ? PT_WRITE : PT_USER, PT_WB };
	struct pt_update update = { .set = random & 0x40 ? PT_SOFT1 : PT_WRITE,
				    .clear = random & 0x40 ? PT_WRITE : PT_SOFT1 };
	enum pt_status status = PT_OK;

	switch (random % 8) {
	case 0:
		unmap_page(m, page);
		break;
	case 1:
		status = pt_collapse(&m->f.space, range, &m->f.flush);
		break;
	case 2:
	case 3:
	case 4:
		status = pt_protect(&m->f.space, range, attr, &m->f.flush);
		break;
	default:
		status = pt_update(&m->f.space, range, update, &m->f.flush);
		break;
	}
	/* Tables may run out: those retired wait for the flush. */
	CHECK(status == PT_OK || status == PT_ERR_NO_TABLES, "a change");
}

static void expect_nothing_lost(struct machine *m, const char *name)
{
	for (uint64_t page = 0; page < PAGES_ALL; page++) {
		uint64_t e = 0;
		uint32_t says = m->removed[page];

		if (!m->is_gone[page] && find(m, BASE + page * 4096, &e))
			says = (e & LEAF_A ? PT_ACCESSED : 0u) | (e & LEAF_D ? PT_DIRTY : 0u);
		if ((m->used[page] & LEAF_A) && !(says & PT_ACCESSED))
			CHECK_FAIL("%s: page %" PRIu64 ": accessed is lost", name, page);
		if ((m->used[page] & LEAF_D) && !(says & PT_DIRTY))
			CHECK_FAIL("%s: page %" PRIu64 ": dirty is lost", name, page);
	}
}

/* Any change anywhere. */
static void change_all_ways(struct machine *m, uint64_t seed)
{
	for (unsigned i = 0; i < 1500; i++)
		change(m, check_random(&seed));
}

/* The same leaves rewritten again and again, until the processor has come by. */
static void sweep(struct machine *m, uint64_t seed)
{
	struct pt_range all = { virt(BASE), PAGES_ALL };
	uint64_t random = check_random(&seed);

	for (unsigned i = 0; i < 100; i++) {
		struct pt_update update = { .set = i & 1 ? PT_SOFT1 : PT_SOFT2,
					    .clear = i & 1 ? PT_SOFT2 : PT_SOFT1 };
		struct pt_attr attr = { PT_WRITE | (i & 1 ? PT_USER : 0u), PT_WB };
		enum pt_status status = random & 1
						? pt_update(&m->f.space, all, update, &m->f.flush)
						: pt_protect(&m->f.space, all, attr, &m->f.flush);

		CHECK_STATUS(status, PT_OK, space_text, "sweep");
	}
}

/* Page by page, the processor at the next ones. */
static void unmap_in_order(struct machine *m, uint64_t seed)
{
	(void)seed;
	for (uint64_t page = 0; page < PAGES_ALL; page++) {
		__atomic_store_n(&m->cursor, page, __ATOMIC_RELAXED);
		unmap_page(m, page);
	}
}

static void protect_in_order(struct machine *m, uint64_t seed)
{
	for (uint64_t page = 0; page < PAGES_ALL; page++) {
		struct pt_range range = { virt(BASE + page * 4096), 1 };
		struct pt_attr attr = { PT_WRITE | (seed & 4 ? PT_USER : 0u), PT_WB };

		__atomic_store_n(&m->cursor, page, __ATOMIC_RELAXED);
		CHECK_STATUS(pt_protect(&m->f.space, range, attr, &m->f.flush), PT_OK, space_text,
			     "page by page");
	}
}

struct way {
	const char *name;
	void (*act)(struct machine *m, uint64_t seed);
	bool small; /* leaves */
};

static const struct way WAYS[] = {
	{ "large leaves, all ways", change_all_ways, false },
	{ "small leaves, all ways", change_all_ways, true },
	{ "sweeps", sweep, true },
	{ "unmapped in order", unmap_in_order, true },
	{ "protected in order", protect_in_order, true },
	{ "large leaves protected in order", protect_in_order, false },
};

/* A round with fresh tables, so that there are bits to be set. */
static uint64_t play(const struct way *way, uint64_t seed)
{
	static struct machine machine;
	struct machine *m = &machine;
	struct pt_cpu cpu = scene_cpu();
	struct pt_mapping map = { virt(BASE), phys(BASE), PAGES_ALL, { PT_WRITE, PT_WB } };
	struct pt_options small = { .max_leaf = 1 };
	pthread_t thread;

	*m = (struct machine){ .stops = false };
	space_fixture_init(&m->f, &cpu, TABLES, false);
	m->f.space.live = true;
	CHECK_STATUS(pt_map(&m->f.space, &map, way->small ? &small : NULL, &m->f.flush), PT_OK,
		     space_text, way->name);
	if (pthread_create(&thread, NULL, run_processor, m) != 0)
		exit(2);
	way->act(m, seed);
	__atomic_store_n(&m->stops, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	expect_nothing_lost(m, way->name);

	uint64_t hits = m->hits;

	pt_release(&m->f.space, &m->f.flush);
	CHECK_EQ(m->f.arena.misuses, 0, "released");
	space_fixture_free(&m->f);
	return hits;
}

static void no_accessed_or_dirty_bit_is_lost(void)
{
	uint64_t seed = check_seed(22), hits = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < ARRAY_LEN(WAYS); i++)
			hits += play(&WAYS[i], seed + round);
	}
	CHECK(hits > 1000, "the processor was at work");
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(no_accessed_or_dirty_bit_is_lost);
	return check_done();
}
