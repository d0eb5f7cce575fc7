/*
 * Property: after any sequence of requests, accepted or refused, the tables
 * translate every edge of every mapping, and the pages beside it, as a plain
 * list of the accepted requests does; a request takes exactly the tables and
 * writes exactly the leaves that were announced; a refused one leaves no trace;
 * the audit is clean. Replay with SEED=<printed number> and OPS=<as then>; with
 * EVERY=1, tables are compared as a whole after every request.
 */
#include "tests/check.h"
#include "tests/fake/scene.h"

enum { TABLES = 96, STEPS = 48, SEGMENTS_MAX = 512 };

#define PAGE_2M UINT64_C(512)
#define PAGE_1G (PAGE_2M * 512)
#define RIGHTS  (PT_WRITE | PT_EXEC | PT_USER | PT_GLOBAL)

/* Pages are numbers: virtual address >> 12, physical address >> 12. */
struct segment {
	uint64_t first, count, frame;
	struct pt_attr attr;
};

struct model {
	struct segment segments[SEGMENTS_MAX];
	size_t count;
};

enum op { OP_MAP, OP_PROTECT, OP_UNMAP, OP_CLEAN, OP_COLLAPSE, OP_COUNT };

struct request {
	enum op op;
	struct pt_mapping m;
	struct pt_options options;
	enum pt_status status; /* expected, before the tables are asked */
};

struct trial {
	struct space_fixture f;
	struct model model;
	struct request request;
	bool collapsed; /* then leaves may have been used that the model thinks unused */
	uint64_t rng;
	char name[96];
};

/* ------------------------------------------------------------------------
 * The list
 */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static const struct segment *model_find(const struct model *model, uint64_t page)
{
	for (size_t i = 0; i < model->count; i++) {
		if (page - model->segments[i].first < model->segments[i].count)
			return &model->segments[i];
	}
	return NULL;
}

static void model_add(struct model *model, struct segment s)
{
	if (s.count == 0)
		return;
	if (model->count == SEGMENTS_MAX) {
		fputs("the model is full\n", stderr);
		exit(2);
	}
	model->segments[model->count++] = s;
}

/* The pages that `s` and the range have in common; none: count is 0. */
static struct segment common(struct segment s, uint64_t first, uint64_t count)
{
	uint64_t low = later(s.first, first), high = sooner(s.first + s.count, first + count);

	s.frame += low - s.first;
	s.first = low;
	s.count = high > low ? high - low : 0;
	return s;
}

/* The first page from `page` on that is mapped; `end` if none is before it. */
static uint64_t model_next(const struct model *model, uint64_t page, uint64_t end)
{
	for (size_t i = 0; i < model->count; i++) {
		struct segment s = common(model->segments[i], page, end - page);

		if (s.count != 0)
			end = s.first;
	}
	return end;
}

/* The first page of the range that does not translate as `m` would have it; or the end. */
static uint64_t model_differs(const struct model *model, const struct pt_mapping *m, bool nx)
{
	uint64_t page = m->va.raw >> 12, end = page + m->pages;
	uint32_t stated = nx ? RIGHTS : RIGHTS & ~(uint32_t)PT_EXEC;

	for (size_t i = 0; i < model->count; i++) {
		struct segment s = common(model->segments[i], page, end - page);
		bool same = s.frame - (m->pa.raw >> 12) == s.first - page &&
			    ((s.attr.flags ^ m->attr.flags) & stated) == 0 &&
			    s.attr.cache == m->attr.cache;

		if (s.count != 0 && !same)
			end = s.first;
	}
	return end;
}

/* Maps the holes of the range and keeps the rest. */
static void model_fill(struct model *model, const struct pt_mapping *m)
{
	uint64_t first = m->va.raw >> 12, page = first, end = first + m->pages;

	while (page < end) {
		const struct segment *s = model_find(model, page);
		uint64_t next = s ? s->first + s->count : model_next(model, page, end);

		if (!s)
			model_add(model,
				  (struct segment){ page, next - page,
						    (m->pa.raw >> 12) + (page - first), m->attr });
		page = next;
	}
}

/* Takes the range out of the model, and puts it back with other rights if it is a protect. */
static void model_apply(struct model *model, const struct request *r)
{
	if (r->op == OP_CLEAN || r->op == OP_COLLAPSE)
		return;
	if (r->op == OP_MAP && r->options.conflict == PT_KEEP) {
		model_fill(model, &r->m);
		return;
	}

	uint64_t first = r->m.va.raw >> 12, count = r->m.pages;
	struct model next = { .count = 0 };

	for (size_t i = 0; i < model->count; i++) {
		struct segment s = model->segments[i], middle = common(s, first, count);
		uint32_t use = s.attr.flags & (PT_ACCESSED | PT_DIRTY);

		if (middle.count == 0) {
			model_add(&next, s);
			continue;
		}
		model_add(&next, common(s, s.first, middle.first - s.first));
		model_add(&next, common(s, middle.first + middle.count, s.count));
		middle.attr = (struct pt_attr){ r->m.attr.flags | use, r->m.attr.cache };
		if (r->op == OP_PROTECT)
			model_add(&next, middle);
	}
	if (r->op == OP_MAP)
		model_add(&next, (struct segment){ first, count, r->m.pa.raw >> 12, r->m.attr });
	*model = next;
}

/* The mapped pages of the range: how many, the first and the last. */
static uint64_t model_count(const struct model *model, uint64_t first, uint64_t count,
			    uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t pages = 0;

	*ret_first = UINT64_MAX;
	*ret_last = 0;
	for (size_t i = 0; i < model->count; i++) {
		struct segment s = common(model->segments[i], first, count);

		if (s.count == 0)
			continue;
		pages += s.count;
		*ret_first = sooner(*ret_first, s.first);
		*ret_last = later(*ret_last, s.first + s.count - 1);
	}
	return pages;
}

/* True if a global page is mapped in the range of `m`. */
static bool model_has_global(const struct model *model, const struct pt_mapping *m)
{
	bool found = false;

	for (size_t i = 0; i < model->count; i++) {
		struct segment s = common(model->segments[i], m->va.raw >> 12, m->pages);

		found |= s.count != 0 && (s.attr.flags & PT_GLOBAL);
	}
	return found;
}

static int compare_segments(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* ------------------------------------------------------------------------
 * Requests
 */

/* Of one half, or of all if there is no other. */
static uint64_t half_pages(const struct pt_cpu *cpu)
{
	return UINT64_C(1) << (9 * cpu->levels - (PTE_SIGN_EXTENDS ? 1 : 0));
}

static uint64_t pick(struct trial *t, const uint64_t *list, size_t count)
{
	return list[check_random(&t->rng) % count];
}

static uint64_t below(struct trial *t, uint64_t limit)
{
	return check_random(&t->rng) % limit;
}

/* A multiple of a leaf's size, or one page to either side of it. */
static uint64_t near_edge(struct trial *t)
{
	static const uint64_t sizes[] = { 1, 1, PAGE_2M, PAGE_2M, PAGE_1G };

	return pick(t, sizes, ARRAY_LEN(sizes)) * below(t, 4) + below(t, 3) - 1;
}

/* The first page of a range; near an end of a half, or of an entry of some level. */
static uint64_t random_page(struct trial *t)
{
	uint64_t half = half_pages(&t->f.space.cpu);
	uint64_t top = PTE_SIGN_EXTENDS ? UINT64_C(1) << 52 : half;
	const uint64_t bases[] = { 0,
				   0,
				   PAGE_1G,
				   512 * PAGE_1G,
				   half - 2 * PAGE_1G,
				   half,
				   top - half,
				   top - 2 * PAGE_1G,
				   top };
	uint64_t page = pick(t, bases, ARRAY_LEN(bases)) + near_edge(t);

	return below(t, 8) == 0 ? page - PAGE_1G : page;
}

static uint64_t random_length(struct trial *t)
{
	return below(t, 12) == 0 ? 0 : near_edge(t) + (below(t, 3) == 0);
}

/* Aligned to the virtual page as far as 4 KiB, 2 MiB, 1 GiB or all of it. */
static uint64_t random_frame(struct trial *t, uint64_t page)
{
	static const uint64_t sizes[] = { 1, PAGE_2M, PAGE_1G, PAGE_1G };
	uint64_t size = pick(t, sizes, ARRAY_LEN(sizes));
	uint64_t frame = below(t, 16) * size + page % PAGE_1G;

	return below(t, 12) == 0 ? (UINT64_C(1) << 34) - below(t, 3) * size : frame;
}

static struct pt_attr random_attr(struct trial *t)
{
	static const uint64_t caches[] = { PT_WB, PT_WB, PT_WB, PT_UC, PT_WC, PT_WT, PT_WP };
	uint32_t flags = (uint32_t)below(t, PT_SHARED);

	if (below(t, 2))
		flags &= PT_WRITE | PT_EXEC;
	if ((flags & PT_WRITE) && (flags & PT_EXEC) && below(t, 8) != 0)
		flags &= ~(uint32_t)(below(t, 2) ? PT_WRITE : PT_EXEC);
	return scene_sayable(
		&t->f.space.cpu,
		(struct pt_attr){ flags, (enum pt_cache)pick(t, caches, ARRAY_LEN(caches)) });
}

static bool page_is_canonical(const struct pt_cpu *cpu, uint64_t page)
{
	uint64_t half = half_pages(cpu), top = UINT64_C(1) << 52;

	return page < half || (PTE_SIGN_EXTENDS && page >= top - half && page < top);
}

/* Addresses and length are multiples of a leaf that the processor has. */
static enum pt_status expected_if_exact(const struct pt_cpu *cpu, const struct request *r)
{
	static const uint64_t sizes[] = { 1, 1, PAGE_2M, PAGE_1G };
	uint64_t size = sizes[r->options.max_leaf];

	if (r->options.max_leaf == 0 || r->options.max_leaf > cpu->max_leaf)
		return PT_ERR_LEVEL;
	return (r->m.va.raw >> 12) % size || (r->m.pa.raw >> 12) % size || r->m.pages % size
		       ? PT_ERR_UNALIGNED
		       : PT_OK;
}

/* What the contract says of the range and the rights; the first reason wins. */
static enum pt_status expected_status(const struct pt_cpu *cpu, const struct request *r)
{
	uint64_t page = r->m.va.raw >> 12, last = page + r->m.pages - 1;
	bool wx = (r->m.attr.flags & PT_WRITE) && (r->m.attr.flags & PT_EXEC);

	if (r->m.pages != 0 &&
	    (!page_is_canonical(cpu, page) || !page_is_canonical(cpu, last) || (page ^ last) >> 51))
		return PT_ERR_RANGE;
	if (r->op == OP_MAP && (r->m.pa.raw >> 12) + r->m.pages > UINT64_C(1)
									  << (cpu->phys_bits - 12))
		return PT_ERR_PHYS;
	if (wx && (r->op == OP_MAP || r->op == OP_PROTECT))
		return PT_ERR_WX;
	return r->op == OP_MAP && r->options.exact ? expected_if_exact(cpu, r) : PT_OK;
}

/* Small leaves cost tables; requests are cut so that the arena is filled, not swamped. */
static uint64_t affordable(const struct trial *t, const struct request *r)
{
	uint64_t difference = (r->m.va.raw ^ r->m.pa.raw) >> 12;
	unsigned leaf = t->f.space.cpu.max_leaf;

	if (r->options.max_leaf != 0 && r->options.max_leaf < leaf)
		leaf = r->options.max_leaf;
	if (r->op != OP_MAP)
		return UINT64_MAX;
	if (leaf == 1 || difference % PAGE_2M != 0)
		return 6 * PAGE_2M + 1;
	return leaf == 2 || difference % PAGE_1G != 0 ? 6 * PAGE_1G + 1 : UINT64_MAX;
}

/* A mapping that is there, some pages more or less of it: what can be kept. */
static void repeat_segment(struct trial *t, struct pt_mapping *m)
{
	const struct segment *s;
	uint64_t back, page;

	if (t->model.count == 0)
		return;
	s = &t->model.segments[below(t, t->model.count)];
	back = below(t, 2) ? below(t, 3) : 0;
	page = s->first < back || s->frame < back ? s->first : s->first - back;
	page += below(t, 4) == 0 ? below(t, s->count) : 0;
	m->va = virt(page << 12);
	m->pa = phys((s->frame + (page - s->first)) << 12);
	m->pages = sooner(s->count, UINT64_C(1) << 45) + below(t, 4);
	m->attr = s->attr;
	m->attr.flags ^= below(t, 2) ? PT_ACCESSED | PT_DIRTY : 0u;
}

/*
 * Clears a leaf behind the core's back and has its tables cleaned, one page of
 * it or all: tables that are left empty must go.
 */
static void empty_a_leaf(struct trial *t, struct request *r)
{
	const struct segment *s;
	struct sdm_translation seen;
	struct request gone = { .op = OP_UNMAP };
	uint64_t page;

	if (t->model.count == 0)
		return;
	s = &t->model.segments[below(t, t->model.count)];
	page = s->first + below(t, s->count);
	seen = sdm_translate(&t->f.arena, &t->f.space.cpu, t->f.space.root, page << 12);
	*sdm_entry(&t->f.arena, &t->f.space.cpu, t->f.space.root, page << 12, seen.level) = 0;
	gone.m.va = virt(align_down(page << 12, level_size(seen.level)));
	gone.m.pages = level_pages(seen.level);
	model_apply(&t->model, &gone);
	r->m.va = below(t, 2) ? virt(page << 12) : gone.m.va;
	r->m.pages = r->m.va.raw == gone.m.va.raw ? gone.m.pages : 1;
}

static struct pt_options random_options(struct trial *t)
{
	struct pt_options options = { .conflict = (enum pt_conflict)below(t, 3) };

	options.max_leaf = below(t, 4) == 0 ? (unsigned)below(t, 4) : 0;
	/* Not to keep: what a smaller leaf is in the way of is a matter of other tests. */
	options.exact = options.conflict != PT_KEEP && below(t, 6) == 0;
	if (options.exact)
		options.max_leaf = (unsigned)below(t, 4);
	options.set_links = below(t, 4) == 0;
	/* All, so that the model needs no links: limited ones have tests of their own. */
	options.links = PT_WRITE | PT_USER | PT_EXEC;
	return options;
}

/* Aligned as exact leaves want it, more often than not. */
static void align_exact(struct trial *t, struct request *r)
{
	static const uint64_t sizes[] = { 1, 1, PAGE_2M, PAGE_1G };
	uint64_t size = sizes[r->options.max_leaf];

	if (below(t, 4) == 0)
		return;
	r->m.va = virt(align_down(r->m.va.raw, size << 12));
	r->m.pa = phys(align_down(r->m.pa.raw, size << 12));
	r->m.pages = align_down(r->m.pages, size) + size * below(t, 2);
}

static void random_request(struct trial *t)
{
	static const enum op ops[] = { OP_MAP,     OP_MAP,   OP_MAP,   OP_PROTECT,
				       OP_PROTECT, OP_UNMAP, OP_CLEAN, OP_COLLAPSE };
	struct request r = { .op = ops[below(t, ARRAY_LEN(ops))] };
	uint64_t page = random_page(t);

	r.m.va = virt(page << 12);
	r.m.pa = phys(random_frame(t, page) << 12);
	r.m.pages = random_length(t);
	r.m.attr = random_attr(t);
	r.options = random_options(t);
	if (r.op == OP_MAP && below(t, 3) == 0)
		repeat_segment(t, &r.m);
	if (r.op == OP_UNMAP && below(t, 16) == 0)
		r.m = (struct pt_mapping){ virt(0), phys(0), UINT64_C(1) << 35, r.m.attr };
	r.m.pages = r.m.pages >> 51 ? 1 : sooner(r.m.pages, affordable(t, &r));
	if (r.options.exact)
		align_exact(t, &r);
	if (r.op == OP_COLLAPSE && below(t, 3) != 0)
		repeat_segment(t, &r.m);
	/* Behind the back of links that count what is in use nothing may be done. */
	if (r.op == OP_CLEAN && below(t, 3) != 0 && !t->f.space.counted)
		empty_a_leaf(t, &r);
	r.status = expected_status(&t->f.space.cpu, &r);
	t->request = r;
}

/* ------------------------------------------------------------------------
 * Calls and what is expected of them
 */

static enum pt_status plan_request(const struct trial *t, struct pt_plan *ret_plan)
{
	const struct request *r = &t->request;
	struct pt_range range = { r->m.va, r->m.pages };

	if (r->op == OP_MAP)
		return pt_plan_map(&t->f.space, &r->m, &r->options, ret_plan);
	if (r->op == OP_PROTECT)
		return pt_plan_protect(&t->f.space, range, r->m.attr, ret_plan);
	if (r->op == OP_CLEAN)
		return pt_plan_clean(&t->f.space, range, ret_plan);
	if (r->op == OP_COLLAPSE)
		return pt_plan_collapse(&t->f.space, range, ret_plan);
	return pt_plan_unmap(&t->f.space, range, ret_plan);
}

static enum pt_status call_request(struct trial *t)
{
	const struct request *r = &t->request;
	struct pt_range range = { r->m.va, r->m.pages };

	if (r->op == OP_MAP)
		return pt_map(&t->f.space, &r->m, &r->options, &t->f.flush);
	if (r->op == OP_PROTECT)
		return pt_protect(&t->f.space, range, r->m.attr, &t->f.flush);
	if (r->op == OP_CLEAN)
		return pt_clean(&t->f.space, range, &t->f.flush);
	if (r->op == OP_COLLAPSE)
		return pt_collapse(&t->f.space, range, &t->f.flush);
	return pt_unmap(&t->f.space, range, &t->f.flush);
}

/* Page by page, the largest leaf that fits: what a map writes, counted naively. */
static void naive_leaves(const struct trial *t, uint64_t ret_leaves[PT_MAX_LEAF_LEVEL + 1])
{
	const struct pt_mapping *m = &t->request.m;
	unsigned wanted = t->request.options.max_leaf, cap = wanted ? wanted : 3;
	unsigned cpu = t->f.space.cpu.max_leaf;
	uint64_t page = m->va.raw >> 12, frame = m->pa.raw >> 12, left = m->pages;

	while (left > 0) {
		static const uint64_t sizes[] = { 0, 1, PAGE_2M, PAGE_1G };
		unsigned level = cap < cpu ? cap : cpu;

		while (page % sizes[level] || frame % sizes[level] || left < sizes[level])
			level--;
		ret_leaves[level]++;
		page += sizes[level];
		frame += sizes[level];
		left -= sizes[level];
	}
}

static uint64_t kept;      /* successful calls that kept something */
static uint64_t collapses; /* that put leaves together */

static void expect_flush(const struct trial *t, const struct pt_flush *old, uint64_t first,
			 uint64_t last)
{
	const struct pt_flush *flush = &t->f.flush;
	uint64_t page = flush->va.raw >> 12;
	bool replaces = t->request.op == OP_MAP && t->request.options.conflict == PT_REPLACE;
	bool changes = replaces || t->request.op == OP_PROTECT || t->request.op == OP_UNMAP;

	if (first <= last && changes) {
		CHECK(page <= first && last - page < flush->pages, t->name);
		CHECK(flush->global || !model_has_global(&t->model, &t->request.m), t->name);
	}
	/* Tables that are collapsed or cleaned are so as a whole. */
	if (old->pages == 0 && flush->pages != 0 && t->request.op != OP_COLLAPSE)
		CHECK(page >= t->request.m.va.raw >> 12 &&
			      page + flush->pages <=
				      (t->request.m.va.raw >> 12) + t->request.m.pages,
		      t->name);
	if (t->request.op == OP_MAP && (!replaces || first > last))
		CHECK_EQ(flush->pages, old->pages, t->name);
}

static void expect_refused(struct trial *t, const struct pt_flush *old)
{
	CHECK(space_snapshot_equal(&t->f.shot, &t->f.arena), t->name);
	CHECK(space_flush_equal(&t->f.flush, old), t->name);
}

/* Nothing is left to be put together. */
static void expect_collapsed(struct trial *t, const struct pt_plan *plan)
{
	struct pt_plan again;

	CHECK_STATUS(plan_request(t, &again), PT_OK, space_text, t->name);
	CHECK_EQ(again.retired, 0, t->name);
	if (plan->leaves[2] + plan->leaves[3] == 0)
		return;
	t->collapsed = true;
	collapses++;
}

static void expect_accepted(struct trial *t, const struct pt_plan *plan, size_t taken,
			    uint64_t mapped)
{
	uint64_t leaves[PT_MAX_LEAF_LEVEL + 1] = { 0 };

	CHECK_EQ(space_taken(&t->f.arena), taken + plan->tables, t->name);
	if (t->request.op == OP_COLLAPSE)
		expect_collapsed(t, plan);
	if (t->request.op != OP_MAP || (t->request.options.conflict == PT_KEEP && mapped != 0))
		return;
	naive_leaves(t, leaves);
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		CHECK_EQ(plan->leaves[level], leaves[level], t->name);
}

/* What every leaf allows. */
static uint32_t always(const struct pt_cpu *cpu)
{
	return cpu->nx ? 0 : pte_flags(cpu) & PT_EXEC;
}

static void expect_page(const struct trial *t, uint64_t page)
{
	const struct pt_cpu *cpu = &t->f.space.cpu;
	const struct segment *s = model_find(&t->model, page);
	struct sdm_translation seen;
	struct pt_leaf leaf = { 0 };
	enum pt_status status;
	uint32_t flags, use = PT_ACCESSED | PT_DIRTY;

	if (!page_is_canonical(cpu, page))
		return;
	seen = sdm_translate(&t->f.arena, cpu, t->f.space.root, page << 12 | 0x123);
	status = pt_query(&t->f.space, virt(page << 12 | 0x123), &leaf);
	CHECK_STATUS(status, s ? PT_OK : PT_ERR_NOT_MAPPED, space_text, t->name);
	CHECK(!seen.reserved, t->name);
	CHECK_EQ(seen.present, s != NULL, t->name);
	if (!s || !seen.present || status != PT_OK)
		return;
	flags = (seen.write ? PT_WRITE : 0u) | (seen.exec ? PT_EXEC : 0u) |
		(seen.user ? PT_USER : 0u) | (seen.global ? PT_GLOBAL : 0u) |
		(seen.accessed ? PT_ACCESSED : 0u) | (seen.dirty ? PT_DIRTY : 0u);
	CHECK_EQ(seen.pa, (s->frame + (page - s->first)) << 12 | 0x123, t->name);
	CHECK_EQ(flags & ~use, (s->attr.flags & ~use) | always(cpu), t->name);
	CHECK_EQ((t->collapsed ? flags & s->attr.flags : flags) & use, s->attr.flags & use,
		 t->name);
	CHECK_EQ(seen.type, s->attr.cache, t->name);
	CHECK_EQ(leaf.attr.flags, flags, t->name);
	CHECK_EQ(leaf.attr.cache, s->attr.cache, t->name);
	CHECK_EQ(leaf.level, seen.level, t->name);
	CHECK_EQ(leaf.pa.raw + ((page << 12 | 0x123) - leaf.va.raw), seen.pa, t->name);
	CHECK(seen.level <= cpu->max_leaf, t->name);
}

static void expect_edges(const struct trial *t, uint64_t first, uint64_t count)
{
	expect_page(t, first - 1);
	expect_page(t, first);
	expect_page(t, first + 1);
	expect_page(t, first + count / 2);
	expect_page(t, first + count - 1);
	expect_page(t, first + count);
	expect_page(t, align_down(first + count - 1, PAGE_2M));
	expect_page(t, align_down(first + count - 1, PAGE_1G));
}

static bool continues(const struct segment *a, const struct segment *b)
{
	return b->first == a->first + a->count && b->frame == a->frame + a->count &&
	       (a->attr.flags & RIGHTS) == (b->attr.flags & RIGHTS) &&
	       a->attr.cache == b->attr.cache && (a->first ^ b->first) >> 51 == 0;
}

/* The segments of the model, sorted, neighbours joined: what runs have to be. */
static struct model joined(const struct trial *t)
{
	struct model sorted = t->model, ret = { .count = 0 };

	for (size_t i = 0; i < sorted.count; i++) {
		struct pt_attr *attr = &sorted.segments[i].attr;

		attr->flags = (attr->flags & RIGHTS) | always(&t->f.space.cpu);
	}
	qsort(sorted.segments, sorted.count, sizeof(sorted.segments[0]), compare_segments);
	for (size_t i = 0; i < sorted.count; i++) {
		struct segment *last = ret.count ? &ret.segments[ret.count - 1] : NULL;

		if (last && continues(last, &sorted.segments[i]))
			last->count += sorted.segments[i].count;
		else
			model_add(&ret, sorted.segments[i]);
	}
	return ret;
}

static void expect_runs(const struct trial *t)
{
	struct pt_range halves[] = { pt_lower_half(&t->f.space.cpu),
				     pt_upper_half(&t->f.space.cpu) };
	struct model want = joined(t);
	struct pt_runs runs;
	struct pt_mapping run;
	size_t next = 0;

	for (size_t half = 0; half < 2; half++) {
		pt_runs_start(&runs, &t->f.space, halves[half], PT_NO_BUDGET);
		while (pt_runs_next(&runs, &run) == PT_OK && next < want.count) {
			const struct segment *s = &want.segments[next++];

			CHECK_EQ(run.va.raw >> 12, s->first, t->name);
			CHECK_EQ(run.pages, s->count, t->name);
			CHECK_EQ(run.pa.raw >> 12, s->frame, t->name);
			CHECK_EQ(run.attr.flags, s->attr.flags, t->name);
			CHECK_EQ(run.attr.cache, s->attr.cache, t->name);
		}
		CHECK_STATUS(runs.end, PT_ERR_NOT_MAPPED, space_text, t->name);
	}
	CHECK_EQ(next, want.count, t->name);
}

/* Nothing is lost, nothing is empty, and every page is in a leaf. */
static void expect_structure(struct trial *t)
{
	phys_addr scratch[TABLES];
	struct pt_audit audit;
	uint64_t pages = 0, first, last;

	CHECK_STATUS(pt_audit(&t->f.space, scratch, TABLES, &audit), PT_OK, space_text, t->name);
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		pages += audit.leaves[level] * level_pages(level);
		CHECK(level <= t->f.space.cpu.max_leaf || audit.leaves[level] == 0, t->name);
	}
	CHECK_EQ(pages, model_count(&t->model, 0, UINT64_C(1) << 52, &first, &last), t->name);
	CHECK_EQ(audit.empty_tables, 0, t->name);
	CHECK_EQ(audit.soft, 0, t->name);
	CHECK_EQ(t->f.arena.misuses, 0, t->name);
	if (t->f.flush.retired.raw == PT_NO_TABLE) {
		CHECK_EQ(audit.tables, space_taken(&t->f.arena), t->name);
		CHECK_EQ(sdm_count_tables(&t->f.arena, &t->f.space.cpu, t->f.space.root),
			 audit.tables, t->name);
	}
}

static uint64_t outcomes[32][OP_COUNT]; /* by status */

/*
 * Calls that were carried out and began or ended at such a place, or one page
 * to either side of it.
 */
enum place {
	PLACE_2M,
	PLACE_1G,
	PLACE_512G,
	PLACE_BOTTOM,
	PLACE_LOWER_END,
	PLACE_UPPER_START,
	PLACE_TOP,
	PLACE_LAST_PAGE, /* in the range */
	PLACE_COUNT
};

static const char *const place_names[] = { "2 MiB edges",
					   "1 GiB edges",
					   "512 GiB edges",
					   "the first page",
					   "the end of the lower half",
					   "the start of the upper half",
					   "the end of the upper half",
					   "the last page itself" };

static uint64_t operations, places[PLACE_COUNT];

/* True if `page` is a multiple of `size`, or one off it. */
static bool is_near(uint64_t page, uint64_t size)
{
	return (page + 1) % size <= 2;
}

static void count_place(const struct pt_cpu *cpu, uint64_t page)
{
	uint64_t half = UINT64_C(1) << (cpu->levels == 5 ? 44 : 35), top = UINT64_C(1) << 52;

	places[PLACE_2M] += is_near(page, PAGE_2M);
	places[PLACE_1G] += is_near(page, PAGE_1G);
	places[PLACE_512G] += is_near(page, 512 * PAGE_1G);
	places[PLACE_BOTTOM] += page <= 1;
	places[PLACE_LOWER_END] += page + 1 - half <= 2;
	places[PLACE_UPPER_START] += page + 1 - (top - half) <= 2;
	places[PLACE_TOP] += page + 1 - top <= 2;
}

static void count_places(const struct trial *t)
{
	uint64_t first = t->request.m.va.raw >> 12, end = first + t->request.m.pages;

	if (end == first)
		return;
	count_place(&t->f.space.cpu, first);
	count_place(&t->f.space.cpu, end);
	places[PLACE_LAST_PAGE] += end == UINT64_C(1) << 52;
}

static void random_calls_came_to_every_edge(void)
{
	size_t count = PTE_SIGN_EXTENDS ? PLACE_COUNT : PLACE_UPPER_START;

	for (size_t i = 0; i < count; i++)
		CHECK(places[i] > operations / 1000, place_names[i]);
	CHECK(kept > operations / 1000, "kept");
	CHECK(collapses > operations / 1000, "collapses");
}

/* How often each call ended how: a generator that only ever fails tests nothing. */
static void print_outcomes(void)
{
	static const char names[][12] = { "map", "protect", "unmap", "clean", "collapse" };

	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		for (size_t op = 0; op < OP_COUNT; op++) {
			if (outcomes[i][op] != 0)
				printf("# %" PRIu64 " times %s: %s\n", outcomes[i][op], names[op],
				       space_text((int)i));
		}
	}
	printf("# %" PRIu64 " times something was kept\n", kept);
	printf("# %" PRIu64 " times leaves were put together\n", collapses);
	for (size_t i = 0; i < PLACE_COUNT; i++)
		printf("# %" PRIu64 " times at %s\n", places[i], place_names[i]);
	printf("# %" PRIu64 " operations\n", operations);
}

/* The first page that stands in a map's way; the end of the range if none does. */
static uint64_t find_obstacle(const struct trial *t)
{
	const struct request *r = &t->request;
	uint64_t page = r->m.va.raw >> 12, end = page + r->m.pages;

	if (r->op != OP_MAP || r->options.conflict == PT_REPLACE)
		return end;
	if (r->options.conflict == PT_REFUSE)
		return model_next(&t->model, page, end);
	return model_differs(&t->model, &r->m, t->f.space.cpu.nx);
}

static void step(struct trial *t)
{
	const struct request *r = &t->request;
	struct pt_flush old = t->f.flush;
	size_t taken = space_taken(&t->f.arena), left = t->f.arena.limit - taken;
	uint64_t page = r->m.va.raw >> 12, first, last;
	uint64_t mapped = model_count(&t->model, page, r->m.pages, &first, &last);
	uint64_t obstacle = r->status == PT_OK ? find_obstacle(t) : page + r->m.pages;
	enum pt_status want = obstacle < page + r->m.pages ? PT_ERR_OVERLAP : r->status, status;
	struct pt_plan plan;

	space_snapshot_take(&t->f.shot, &t->f.arena);
	status = plan_request(t, &plan);
	CHECK_STATUS(status, want, space_text, t->name);
	expect_refused(t, &old);
	if (status == PT_ERR_OVERLAP)
		CHECK_EQ(plan.where.raw >> 12, obstacle, t->name);
	status = call_request(t);
	if (want == PT_OK && plan.tables > left)
		want = PT_ERR_NO_TABLES;
	CHECK_STATUS(status, want, space_text, t->name);
	outcomes[status][r->op]++;
	if (status != PT_OK) {
		expect_refused(t, &old);
		return;
	}
	kept += r->op == OP_MAP && r->options.conflict == PT_KEEP && mapped != 0;
	expect_accepted(t, &plan, taken, mapped);
	expect_flush(t, &old, first, last);
	model_apply(&t->model, r);
	count_places(t);
}

/* After each request: the edges of all there is, and of what was asked for. */
static void compare_edges(const struct trial *t)
{
	for (size_t i = 0; i < t->model.count; i++)
		expect_edges(t, t->model.segments[i].first, t->model.segments[i].count);
	expect_edges(t, t->request.m.va.raw >> 12, later(t->request.m.pages, 1));
}

static uint64_t every; /* so many requests, tables are compared as a whole */

static void run_trial(const struct pt_cpu *cpu, uint64_t seed)
{
	struct trial *t = calloc(1, sizeof(*t));

	if (!t)
		exit(2);
	t->rng = seed;
	space_fixture_init(&t->f, cpu, TABLES, seed % 2);
	t->f.arena.limit = below(t, 2) ? TABLES : 8 + below(t, 24);
	t->f.space.counted = seed / 2 % 2;
	for (unsigned i = 0; i < STEPS && check_failures == 0; i++) {
		random_request(t);
		snprintf(t->name, sizeof(t->name), "trial %#" PRIx64 " step %u", seed, i);
		step(t);
		if (below(t, 3) != 0)
			pt_release(&t->f.space, &t->f.flush);
		operations++;
		compare_edges(t);
		if (i % every == every - 1 || i == STEPS - 1) {
			expect_structure(t);
			expect_runs(t);
		}
	}
	space_fixture_free(&t->f);
	free(t);
}

/* ------------------------------------------------------------------------ */

static uint64_t seed, rounds;

static void run_trials(struct pt_cpu cpu)
{
	for (uint64_t i = 0; i < rounds && check_failures == 0; i++)
		run_trial(&cpu, check_random(&seed));
}

static void tables_agree_with_the_list_on_a_full_processor(void)
{
	run_trials((struct pt_cpu){
		.levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL });
}

static void tables_agree_with_the_list_with_five_levels(void)
{
	run_trials((struct pt_cpu){
		.levels = 5, .max_leaf = 3, .phys_bits = 52, .nx = true, .pat = PT_PAT_FULL });
}

static void tables_agree_with_the_list_with_the_fewest_levels(void)
{
	run_trials((struct pt_cpu){ .levels = PT_MIN_LEVELS,
				    .max_leaf = 3,
				    .phys_bits = 46,
				    .nx = true,
				    .pat = PT_PAT_FULL });
}

static void tables_agree_with_the_list_without_1_gib_leaves(void)
{
	run_trials((struct pt_cpu){
		.levels = 4, .max_leaf = 2, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL });
}

static void tables_agree_with_the_list_with_small_pages_only(void)
{
	run_trials((struct pt_cpu){
		.levels = 5, .max_leaf = 1, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL });
}

static void tables_agree_with_the_list_without_nx(void)
{
	run_trials((struct pt_cpu){
		.levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = false, .pat = PT_PAT_FULL });
}

/* Disjoint mappings in order, some of them neighbours. */
static size_t random_list(struct trial *t, struct pt_mapping *ret_list, size_t most)
{
	uint64_t page = 0;
	size_t count = 0;

	while (count < most && page < 500 * PAGE_1G) {
		struct request r = { .op = OP_MAP };

		page += below(t, 3) ? below(t, 4) : near_edge(t) + 1;
		r.m = (struct pt_mapping){ virt(page << 12),
					   phys(random_frame(t, page) % (1 << 30) << 12),
					   near_edge(t) + 1,
					   { PT_WRITE, PT_WB } };
		r.m.pages = sooner(r.m.pages, affordable(t, &r));
		ret_list[count++] = r.m;
		page += r.m.pages;
	}
	return count;
}

/* Plans a list at once, then maps it one by one. */
static void run_list(const struct pt_cpu *cpu, uint64_t list_seed)
{
	struct trial *t = calloc(1, sizeof(*t));
	struct pt_mapping list[16];
	struct pt_plan plan = { 0 };
	struct pt_audit audit;
	phys_addr scratch[TABLES];
	size_t count, index;

	if (!t)
		exit(2);
	t->rng = list_seed;
	snprintf(t->name, sizeof(t->name), "list %#" PRIx64, list_seed);
	space_fixture_init(&t->f, cpu, TABLES, false);
	count = random_list(t, list, ARRAY_LEN(list));
	CHECK_STATUS(pt_plan_list(cpu, list, count, &plan, &index), PT_OK, space_text, t->name);
	if (plan.tables <= TABLES) {
		for (size_t i = 0; i < count; i++)
			CHECK_STATUS(pt_map(&t->f.space, &list[i], 0, &t->f.flush), PT_OK,
				     space_text, t->name);
		CHECK_EQ(space_taken(&t->f.arena), plan.tables, t->name);
		pt_audit(&t->f.space, scratch, TABLES, &audit);
		for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
			CHECK_EQ(audit.leaves[level], plan.leaves[level], t->name);
	}
	space_fixture_free(&t->f);
	free(t);
}

static void a_plan_for_a_list_takes_what_mapping_it_takes(void)
{
	for (uint64_t i = 0; i < rounds && check_failures == 0; i++) {
		struct pt_cpu cpu = { .levels = (uint8_t)(4 + i % 2),
				      .max_leaf = (uint8_t)(1 + i % 3),
				      .phys_bits = 46,
				      .nx = true,
				      .pat = PT_PAT_FULL };

		run_list(&cpu, check_random(&seed));
	}
}

/* A number of the environment's, or the default; 0 is none. */
static uint64_t number(const char *name, uint64_t standard)
{
	const char *text = getenv(name);
	uint64_t value = text ? strtoull(text, NULL, 0) : standard;

	return value ? value : standard;
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	seed = check_seed(1);
	rounds = (number("OPS", 50000) + 5 * STEPS - 1) / (5 * STEPS);
	every = number("EVERY", 8);
	RUN(tables_agree_with_the_list_on_a_full_processor);
	RUN(tables_agree_with_the_list_with_five_levels);
	RUN(tables_agree_with_the_list_with_the_fewest_levels);
	RUN(tables_agree_with_the_list_without_1_gib_leaves);
	RUN(tables_agree_with_the_list_with_small_pages_only);
	RUN(tables_agree_with_the_list_without_nx);
	RUN(a_plan_for_a_list_takes_what_mapping_it_takes);
	RUN(random_calls_came_to_every_edge);
	print_outcomes();
	return check_done();
}
