/*
 * The workloads. A run does nothing but the work; what it needs is set up once
 * or prepared before each run, and neither is timed.
 */
#include "paging/pt_cursor.h"
#include "paging/pt_share.h"
#include "tests/bench/bench.h"
#include "tests/bench/limits.h"

#include <stdlib.h>
#include <string.h>

enum { W1_PAGES = 4194304, W1S_PAGES = 1048576, W3_PAGES = 1000000, QUERIES = 2000000 };
enum { PLANS = 1000, W10_BASE = 1000 };

#define W3_SPAN  (TIB / 4096)
#define W10_SPAN (64 * TIB)

static void expect_ok(enum pt_status status, const char *what)
{
	if (status != PT_OK)
		bench_die(what, pt_strerror(status));
}

/* The size of a large workload, and of the instance on which instructions are counted. */
static size_t scaled(const struct bench *b, size_t count)
{
	return b->counting ? count / COUNTING_DIVISOR : count;
}

static struct limit_tables tables_of(const struct bench *b)
{
	return (struct limit_tables){
		.bias = (uintptr_t)b->arena.bytes - SPACE_BASE,
		.root = b->spaces[0].root.raw,
	};
}

/* ---- mapping: W1, W2, W3, W7, W10 ------------------------------------------------- */

static void map_list(struct bench *b, struct pt_space *space, const struct list *list)
{
	struct pt_options options = { .max_leaf = list->max_leaf };

	for (size_t i = 0; i < list->count; i++)
		expect_ok(pt_map(space, &list->at[i], &options, &b->flush), "pt_map");
}

static void run_map(struct bench *b)
{
	for (size_t i = 0; i < b->batch; i++)
		map_list(b, &b->spaces[i], &b->list);
}

static void limit_map_base(struct bench *b)
{
	map_list(b, &b->spaces[0], &b->base);
}

static void limit_fill_leaves(struct bench *b)
{
	limit_fill((uint64_t *)(void *)b->arena.bytes, b->list.shape.leaves * b->batch, 0x1003);
}

static void verify_list(struct bench *b)
{
	verify_mapped(b, &b->list);
}

/* Tables that hold garbage and are in no cache, and empty spaces over them. */
static void prepare_cold(struct bench *b)
{
	size_t tables = b->list.shape.tables * b->batch;

	if (b->base.shape.tables > tables)
		tables = b->base.shape.tables;
	ground_soil(b, tables);
	ground_reset(b);
	ground_chill(b, tables);
}

/* Everything is mapped, and its tables are in no cache. */
static void prepare_mapped(struct bench *b)
{
	ground_reset(b);
	run_map(b);
	ground_chill(b, b->block.taken);
}

static void chill_mapped(struct bench *b)
{
	ground_chill(b, b->block.taken);
}

static void set_up_w1(struct bench *b)
{
	b->list = list_skewed(scaled(b, W1_PAGES));
	b->ops = b->limit_ops = b->list.shape.leaves;
}

static void set_up_w2_2m(struct bench *b)
{
	b->list = list_identity(2);
	b->ops = b->limit_ops = b->list.shape.leaves;
}

/* One instance is too short to be timed. */
static void set_up_w2_1g(struct bench *b)
{
	b->batch = BATCH_MAX;
	b->list = list_identity(3);
	b->ops = b->limit_ops = b->list.shape.leaves * b->batch;
}

static void set_up_w7(struct bench *b)
{
	b->list = list_firmware();
	b->ops = b->limit_ops = b->list.count;
}

/* ---- one page a call: W1s, W3 --------------------------------------------------------- */

static void set_up_w1s(struct bench *b)
{
	b->list = list_skewed(scaled(b, W1S_PAGES));
	b->ops = b->list.shape.leaves;
}

static void run_map_singly(struct bench *b)
{
	struct pt_mapping m = b->list.at[0];
	uint64_t pages = m.pages;

	m.pages = 1;
	for (uint64_t i = 0; i < pages; i++) {
		expect_ok(pt_map(&b->spaces[0], &m, NULL, &b->flush), "pt_map");
		m.va.raw += 4096;
		m.pa.raw += 4096;
	}
}

/* The same pages by a cursor. */
static void run_map_by_cursor(struct bench *b)
{
	const struct pt_mapping *m = &b->list.at[0];
	struct pt_range range = { m->va, m->pages };
	struct pt_cursor c;
	phys_addr pa = m->pa;

	expect_ok(pt_cursor_write(&c, &b->spaces[0], range), "pt_cursor_write");
	for (uint64_t i = 0; i < m->pages; i++) {
		expect_ok(pt_cursor_map(&c, pa, 1, m->attr, &b->flush), "pt_cursor_map");
		pa.raw += 4096;
	}
	pt_cursor_close(&c);
}

static void set_up_w3(struct bench *b)
{
	b->list = list_random(scaled(b, W3_PAGES), scaled(b, W3_SPAN));
	b->ops = b->limit_ops = b->va_count = b->list.count;
	b->vas = bench_allocate(b->va_count, sizeof(*b->vas));
	for (size_t i = 0; i < b->va_count; i++)
		b->vas[i] = b->list.at[i].va.raw;
}

/* The walks need the links, so the tables are zeroed after them. */
static void limit_walk_store_zero(struct bench *b)
{
	struct limit_tables t = tables_of(b);

	limit_walk_store(&t, b->vas, b->va_count, 0x1003);
	limit_zero(b->arena.bytes, b->list.shape.tables * PT_PAGE_SIZE);
}

/* ---- translation: W4 --------------------------------------------------------------------- */

/* Random addresses, any byte of any page of the list. */
static void set_up_queries(struct bench *b, struct list list)
{
	uint64_t state = 4;

	b->list = list;
	b->ops = b->limit_ops = b->va_count = scaled(b, QUERIES);
	b->vas = bench_allocate(b->va_count, sizeof(*b->vas));
	for (size_t i = 0; i < b->va_count; i++) {
		const struct pt_mapping *m = &list.at[bench_random(&state) % list.count];
		uint64_t page = bench_random(&state) % m->pages;

		b->vas[i] = m->va.raw + page * 4096 + bench_random(&state) % 4096;
	}
	ground_reset(b);
	run_map(b);
	if (!b->counting)
		verify_mapped(b, &b->list);
}

static void set_up_w4_w1(struct bench *b)
{
	set_up_queries(b, list_skewed(scaled(b, W1_PAGES)));
}

static void set_up_w4_w3(struct bench *b)
{
	set_up_queries(b, list_random(scaled(b, W3_PAGES), scaled(b, W3_SPAN)));
}

static uint64_t query(const struct bench *b, uint64_t va)
{
	phys_addr pa;

	expect_ok(pt_translate(&b->spaces[0], virt(va), &pa), "pt_translate");
	return pa.raw;
}

static void run_query(struct bench *b)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < b->va_count; i++)
		sum += query(b, b->vas[i]);
	b->sum = sum;
}

/* Each translation begins when the one before has ended. */
static void run_query_chain(struct bench *b)
{
	uint64_t sum = 0, none = 0;

	for (size_t i = 0; i < b->va_count; i++) {
		uint64_t pa = query(b, b->vas[i] + none);

		sum += pa;
		/* Always 0, which the compiler must not know. */
		__asm__ volatile("" : "+r"(pa));
		none = pa >> 52;
	}
	b->sum = sum;
}

static void limit_query(struct bench *b)
{
	struct limit_tables t = tables_of(b);

	b->limit_sum = limit_walk(&t, b->vas, b->va_count);
}

static void limit_query_chain(struct bench *b)
{
	struct limit_tables t = tables_of(b);

	b->limit_sum = limit_walk_chain(&t, b->vas, b->va_count);
}

/* ---- unmapping: W5 --------------------------------------------------------------------- */

static struct pt_range hull_of(const struct bench *b, uint64_t pages)
{
	return (struct pt_range){ b->list.at[0].va, pages };
}

static void set_up_w5a(struct bench *b)
{
	b->list = list_skewed(W1_PAGES);
	b->ops = b->limit_ops = 1;
}

static void set_up_w5a_release(struct bench *b)
{
	set_up_w5a(b);
	b->ops = b->list.shape.tables - 1;
}

static void run_unmap_w1(struct bench *b)
{
	expect_ok(pt_unmap(&b->spaces[0], hull_of(b, W1_PAGES), &b->flush), "pt_unmap");
}

static void prepare_unmapped(struct bench *b)
{
	prepare_mapped(b);
	run_unmap_w1(b);
	ground_chill(b, b->list.shape.tables);
}

static void run_release(struct bench *b)
{
	b->released += pt_release(&b->spaces[0], &b->flush);
}

static void limit_zero_leaves(struct bench *b)
{
	limit_zero(b->arena.bytes, b->list.shape.leaves * sizeof(uint64_t));
}

static void shuffle(uint64_t *vas, size_t count)
{
	uint64_t state = 5;

	for (size_t i = count; i > 1; i--) {
		size_t j = bench_random(&state) % i;
		uint64_t swap = vas[i - 1];

		vas[i - 1] = vas[j];
		vas[j] = swap;
	}
}

/* Tables that nobody else writes, and are zero when they are handed out. */
static void set_up_w3_zeroed(struct bench *b)
{
	set_up_w3(b);
	b->zeroed = true;
}

static void prepare_cold_zeroed(struct bench *b)
{
	prepare_cold(b);
	memset(b->arena.bytes, 0, b->arena.count * PT_PAGE_SIZE);
	ground_chill(b, b->list.shape.tables);
}

static void set_up_w5b(struct bench *b)
{
	set_up_w3(b);
	b->counted = true;
	shuffle(b->vas, b->va_count);
}

/* As a kernel does it: tables are released with each call, not kept for later. */
static void run_unmap_singly(struct bench *b)
{
	for (size_t i = 0; i < b->va_count; i++) {
		struct pt_range page = { virt(b->vas[i]), 1 };

		expect_ok(pt_unmap(&b->spaces[0], page, &b->flush), "pt_unmap");
		b->released += pt_release(&b->spaces[0], &b->flush);
	}
}

static void limit_walk_clear(struct bench *b)
{
	struct limit_tables t = tables_of(b);

	limit_walk_store(&t, b->vas, b->va_count, 0);
}

/* The unmapping takes no time to speak of, so the release is part of it. */
static void run_unmap_w3(struct bench *b)
{
	struct pt_range all = { virt(0), scaled(b, W3_SPAN) };

	expect_ok(pt_unmap(&b->spaces[0], all, &b->flush), "pt_unmap");
	run_release(b);
}

/* ---- protection: W6 --------------------------------------------------------------------- */

static const struct pt_attr READ_ONLY = { 0, PT_WB };

static void run_protect(struct bench *b)
{
	struct pt_range range = hull_of(b, b->list.at[0].pages);

	expect_ok(pt_protect(&b->spaces[0], range, READ_ONLY, &b->flush), "pt_protect");
}

static void set_up_w6_live(struct bench *b)
{
	set_up_w1(b);
	b->live = true;
}

static void verify_protected(struct bench *b)
{
	struct pt_mapping protected = b->list.at[0];
	struct list list = b->list;

	protected.attr = READ_ONLY;
	list.at = &protected;
	verify_mapped(b, &list);
}

static void limit_restate_leaves(struct bench *b)
{
	limit_restate((uint64_t *)(void *)b->arena.bytes, b->list.shape.leaves, ~UINT64_C(2),
		      UINT64_C(1) << 63);
}

/* ---- tables in common: W8 ------------------------------------------------------------- */

enum { W8_PAGES = 512 * 512, W8_TABLES = 512 + 3, W8_CLONES = 1000, W8_ROOM = 4096 };

/* The pool that the tables of W8 come from; the first ones may be frozen. */
static struct {
	struct pt_pool pool;
	uint32_t references[W8_ROOM];
	struct pt_holds holds;
	uint64_t frozen;
} w8;

static enum pt_hold w8_frozen(void *ctx, phys_addr table)
{
	(void)ctx;
	return (table.raw - SPACE_BASE) / PT_PAGE_SIZE < w8.frozen ? PT_FROZEN : PT_OWN;
}

static void set_up_w8(struct bench *b)
{
	b->list = list_skewed(W8_PAGES);
	b->ops = b->limit_ops = 512;
}

static void set_up_w8_clones(struct bench *b)
{
	set_up_w8(b);
	b->ops = b->limit_ops = W8_CLONES;
}

/* The first space, from the pool. */
static void prepare_w8(struct bench *b)
{
	struct pt_tables tables;
	struct pt_cpu cpu;
	struct pt_mem mem;

	ground_soil(b, W8_ROOM);
	ground_reset(b);
	pt_pool_init(&w8.pool, phys(SPACE_BASE), W8_ROOM, w8.references);
	tables = pt_pool_tables(&w8.pool);
	cpu = b->spaces[0].cpu;
	mem = b->spaces[0].mem;
	expect_ok(pt_init(&b->spaces[0], &cpu, &mem, &tables), "pt_init");
	map_list(b, &b->spaces[0], &b->list);
	if (w8.pool.taken != W8_TABLES)
		bench_die("tables", "not the arithmetic minimum");
	ground_chill(b, W8_ROOM);
}

static void run_clones(struct bench *b)
{
	for (unsigned i = 0; i < W8_CLONES; i++)
		expect_ok(pt_clone(&b->spaces[1], &b->spaces[0], PT_CLONE_COW), "pt_clone");
}

static void verify_clones(struct bench *b)
{
	verify_written(b, 0, false);
	verify_written(b, 1, false);
	if (w8.pool.taken != W8_TABLES + W8_CLONES)
		bench_die("clones", "not a table each");
}

static void write_first(struct bench *b, struct pt_space *space)
{
	for (uint64_t i = 0; i < 512; i++) {
		struct pt_range page = { virt(b->list.at[0].va.raw + i * 2 * MIB), 1 };

		expect_ok(pt_protect(space, page, READ_ONLY, &b->flush), "pt_protect");
	}
}

/* Of the clone; the tables are common by then. */
static void run_clone_and_write(struct bench *b)
{
	expect_ok(pt_clone(&b->spaces[1], &b->spaces[0], PT_CLONE_COW), "pt_clone");
	write_first(b, &b->spaces[1]);
}

static void verify_clone_written(struct bench *b)
{
	verify_written(b, 0, false);
	verify_written(b, 1, true);
	pt_release(&b->spaces[1], &b->flush);
	if (w8.pool.taken != 2 * W8_TABLES)
		bench_die("clone", "not a copy of each table");
}

static void prepare_w8_frozen(struct bench *b)
{
	prepare_w8(b);
	w8.holds = (struct pt_holds){ .hold = w8_frozen };
	w8.frozen = W8_TABLES;
	b->spaces[1] = b->spaces[0];
	b->spaces[1].tables.holds = &w8.holds;
}

static void run_write_frozen(struct bench *b)
{
	write_first(b, &b->spaces[1]);
}

static void limit_copy_tables(struct bench *b)
{
	limit_copy(b->arena.bytes + W8_TABLES * PT_PAGE_SIZE, b->arena.bytes, W8_TABLES);
}

/* The root, as often as it is cloned. */
static void limit_copy_roots(struct bench *b)
{
	for (size_t i = 0; i < W8_CLONES; i++)
		limit_copy(b->arena.bytes + (W8_TABLES + i) * PT_PAGE_SIZE, b->arena.bytes, 1);
}

/* ---- planning: W9 ------------------------------------------------------------------------ */

/* The spaces are empty; the limit is the work that the plan stands for. */
static void set_up_plan(struct bench *b, struct list list)
{
	b->list = list;
	b->ops = PLANS;
	b->limit_ops = 1;
}

static void set_up_plan_w1(struct bench *b)
{
	set_up_plan(b, list_skewed(W1_PAGES));
}

static void set_up_plan_w2_2m(struct bench *b)
{
	set_up_plan(b, list_identity(2));
}

static void set_up_plan_w7(struct bench *b)
{
	set_up_plan(b, list_firmware());
}

static void run_plan(struct bench *b)
{
	struct pt_options options = { .max_leaf = b->list.max_leaf };

	for (unsigned i = 0; i < PLANS; i++) {
		enum pt_status status = pt_plan_map(&b->spaces[0], &b->list.at[0], &options,
						    &b->plan);

		expect_ok(status, "pt_plan_map");
	}
}

static void verify_plan_of_map(struct bench *b)
{
	verify_plan(b, 1);
}

static void plan_list(struct bench *b, const struct list *list)
{
	size_t index;

	expect_ok(pt_plan_list(&b->spaces[0].cpu, list->at, list->count, &b->plan, &index),
		  "pt_plan_list");
}

static void run_plan_list_often(struct bench *b)
{
	for (unsigned i = 0; i < PLANS; i++)
		plan_list(b, &b->list);
}

static void verify_plan_of_list(struct bench *b)
{
	verify_plan(b, 0);
}

/* ---- growth: W10 -------------------------------------------------------------------------- */

static void set_up_w10_plan(struct bench *b, size_t count)
{
	b->list = list_extents(scaled(b, count), 0, scaled(b, W10_SPAN));
	b->base = list_extents(W10_BASE, 0, W10_SPAN);
	b->ops = b->list.count;
	b->limit_ops = b->base.count;
}

static void set_up_w10_plan_10k(struct bench *b)
{
	set_up_w10_plan(b, 10000);
}

static void set_up_w10_plan_100k(struct bench *b)
{
	set_up_w10_plan(b, 100000);
}

static void set_up_w10_plan_high(struct bench *b)
{
	b->list = list_extents(W10_BASE, 63 * TIB, W10_SPAN);
	b->base = list_extents(W10_BASE, 0, W10_SPAN);
	b->ops = b->limit_ops = W10_BASE;
}

/* Building and auditing are linear in both. */
static void set_up_w10_work(struct bench *b, size_t count)
{
	set_up_w10_plan(b, count);
	b->ops += b->list.shape.leaves;
	b->limit_ops += b->base.shape.leaves;
}

static void set_up_w10_work_10k(struct bench *b)
{
	set_up_w10_work(b, 10000);
}

static void set_up_w10_work_100k(struct bench *b)
{
	set_up_w10_work(b, 100000);
}

static void run_plan_list(struct bench *b)
{
	plan_list(b, &b->list);
}

static void limit_plan_base(struct bench *b)
{
	plan_list(b, &b->base);
}

static void run_audit(struct bench *b)
{
	expect_ok(pt_audit(&b->spaces[0], b->scratch, b->arena.count, &b->audit), "pt_audit");
}

static void prepare_base_mapped(struct bench *b)
{
	ground_reset(b);
	limit_map_base(b);
	ground_chill(b, b->block.taken);
}

/* ---- the table ---------------------------------------------------------------------------- */

/* Identity, repetitions, set_up, prepare, run, verify, prepare_limit, limit, verify_limit. */
const struct workload bench_workloads[] = {
	{ "W1", "map 16 GiB in pages of 4 KiB, one call", "entry", 11, set_up_w1, prepare_cold,
	  run_map, verify_list, prepare_cold, limit_fill_leaves, NULL },
	{ "W1s", "map 4 GiB in pages of 4 KiB, a call each", "call", 7, set_up_w1s, prepare_cold,
	  run_map_singly, verify_list, NULL, NULL, NULL },
	{ "W1s-c", "map 4 GiB in pages of 4 KiB, by a cursor", "call", 7, set_up_w1s, prepare_cold,
	  run_map_by_cursor, verify_list, NULL, NULL, NULL },
	{ "W2-2M", "map 512 GiB in leaves of 2 MiB", "entry", 21, set_up_w2_2m, prepare_cold,
	  run_map, verify_list, prepare_cold, limit_fill_leaves, NULL },
	{ "W2-1G", "map 512 GiB in leaves of 1 GiB", "entry", 21, set_up_w2_1g, prepare_cold,
	  run_map, verify_list, prepare_cold, limit_fill_leaves, NULL },
	{ "W3", "map 1,000,000 random pages in 1 TiB", "call", 5, set_up_w3, prepare_cold, run_map,
	  verify_list, chill_mapped, limit_walk_store_zero, NULL },
	{ "W3z", "the same, from zeroed tables", "call", 5, set_up_w3_zeroed, prepare_cold_zeroed,
	  run_map, verify_list, chill_mapped, limit_walk_store_zero, NULL },
	{ "W4i-W1", "translate in W1, independent", "lookup", 5, set_up_w4_w1, NULL, run_query,
	  verify_sum, NULL, limit_query, verify_limit_sum },
	{ "W4d-W1", "translate in W1, dependent", "lookup", 5, set_up_w4_w1, NULL, run_query_chain,
	  verify_sum, NULL, limit_query_chain, verify_limit_sum },
	{ "W4i-W3", "translate in W3, independent", "lookup", 5, set_up_w4_w3, NULL, run_query,
	  verify_sum, NULL, limit_query, verify_limit_sum },
	{ "W4d-W3", "translate in W3, dependent", "lookup", 5, set_up_w4_w3, NULL, run_query_chain,
	  verify_sum, NULL, limit_query_chain, verify_limit_sum },
	{ "W5a", "unmap W1, one call", "call", 7, set_up_w5a, prepare_mapped, run_unmap_w1,
	  verify_unmapped, prepare_cold, limit_zero_leaves, NULL },
	{ "W5a-rel", "release what W5a unlinked", "table", 7, set_up_w5a_release, prepare_unmapped,
	  run_release, verify_unmapped, NULL, NULL, NULL },
	{ "W5b", "unmap and release W3 page by page", "call", 5, set_up_w5b, prepare_mapped,
	  run_unmap_singly, verify_unmapped, prepare_mapped, limit_walk_clear, NULL },
	{ "W5c", "unmap and release W3, one call", "page", 5, set_up_w3, prepare_mapped,
	  run_unmap_w3, verify_unmapped, NULL, NULL, NULL },
	{ "W6", "protect W1, one call, offline", "entry", 11, set_up_w1, prepare_mapped,
	  run_protect, verify_protected, chill_mapped, limit_restate_leaves, NULL },
	{ "W6L", "protect W1, one call, live", "entry", 11, set_up_w6_live, prepare_mapped,
	  run_protect, verify_protected, chill_mapped, limit_restate_leaves, NULL },
	{ "W7", "map a firmware's memory map twice", "call", 21, set_up_w7, prepare_cold, run_map,
	  verify_list, prepare_cold, limit_fill_leaves, NULL },
	{ "W8-clone", "clone a space copy-on-write", "clone", 11, set_up_w8_clones, prepare_w8,
	  run_clones, verify_clones, prepare_w8, limit_copy_roots, NULL },
	{ "W8-cow", "clone, and write to 512 common tables", "table", 21, set_up_w8, prepare_w8,
	  run_clone_and_write, verify_clone_written, prepare_w8, limit_copy_tables, NULL },
	{ "W8-frozen", "write to 512 frozen tables", "table", 21, set_up_w8, prepare_w8_frozen,
	  run_write_frozen, verify_clone_written, prepare_w8, limit_copy_tables, NULL },
	{ "W9-W1", "plan W1 (limit: do it)", "plan", 5, set_up_plan_w1, prepare_cold, run_plan,
	  verify_plan_of_map, prepare_cold, run_map, NULL },
	{ "W9-W2", "plan W2-2M (limit: do it)", "plan", 5, set_up_plan_w2_2m, prepare_cold,
	  run_plan, verify_plan_of_map, prepare_cold, run_map, NULL },
	{ "W9-W7", "plan W7 (limit: do it)", "plan", 5, set_up_plan_w7, prepare_cold,
	  run_plan_list_often, verify_plan_of_list, prepare_cold, run_map, NULL },
	{ "W10p-10k", "plan 10,000 extents (limit: 1,000)", "extent", 15, set_up_w10_plan_10k,
	  prepare_cold, run_plan_list, verify_plan_of_list, NULL, limit_plan_base, NULL },
	{ "W10p-100k", "plan 100,000 extents (limit: 1,000)", "extent", 15, set_up_w10_plan_100k,
	  prepare_cold, run_plan_list, verify_plan_of_list, NULL, limit_plan_base, NULL },
	{ "W10p-high", "plan 1,000 at 63 TiB (limit: at 0)", "extent", 15, set_up_w10_plan_high,
	  prepare_cold, run_plan_list, verify_plan_of_list, NULL, limit_plan_base, NULL },
	{ "W10b-10k", "build 10,000 extents (limit: 1,000)", "ext+leaf", 5, set_up_w10_work_10k,
	  prepare_cold, run_map, verify_list, prepare_cold, limit_map_base, NULL },
	{ "W10b-100k", "build 100,000 extents (limit: 1,000)", "ext+leaf", 3, set_up_w10_work_100k,
	  prepare_cold, run_map, verify_list, prepare_cold, limit_map_base, NULL },
	{ "W10a-10k", "audit 10,000 extents (limit: 1,000)", "ext+leaf", 5, set_up_w10_work_10k,
	  prepare_mapped, run_audit, verify_audit, prepare_base_mapped, run_audit, NULL },
	{ "W10a-100k", "audit 100,000 extents (limit: 1,000)", "ext+leaf", 3, set_up_w10_work_100k,
	  prepare_mapped, run_audit, verify_audit, prepare_base_mapped, run_audit, NULL },
};

const size_t bench_workload_count = sizeof(bench_workloads) / sizeof(bench_workloads[0]);
