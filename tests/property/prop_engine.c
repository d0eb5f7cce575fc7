/*
 * Property: whatever a space is told to do beside mapping (to count, to be
 * live, to tell hooks, to keep common and frozen tables as they are, to keep to
 * a budget), any sequence of changes has the statuses and the result of a plain
 * space, and of a flat list of what each piece of the address space says.
 * Others' tables never change, tables and references are taken exactly, counts
 * and hooks balance. Replay with SEED=<printed number>, ROUNDS=<n> for more.
 */
#include "tests/check.h"
#include "tests/fake/engine.h"

#define IS_FAKE (PTE_PAGE_SHIFT != 12)

enum { TABLES = IS_FAKE ? 700 : 400, STEPS = 40, ROUNDS = IS_FAKE ? 2000 : 200, EDGES_MAX = 80 };

/* Pages of leaves. */
#define P2 (UINT64_C(1) << PTE_INDEX_BITS)
#define P3 (P2 << PTE_INDEX_BITS)
#define P4 (P3 << PTE_INDEX_BITS)

/* What one piece between two edges says: of its first page. */
struct piece {
	enum { PIECE_NONE, PIECE_LEAF, PIECE_SOFT } kind;
	uint64_t frame;
	struct pt_attr attr;
	pte_t soft;
};

enum op {
	OP_MAP,
	OP_PROTECT,
	OP_UPDATE,
	OP_UNMAP,
	OP_CLEAN,
	OP_COLLAPSE,
	OP_SET_SOFT,
	OP_SET_LINK,
	OP_PAGE_UNMAP,
	OP_COUNT
};

struct request {
	enum op op;
	size_t first, end; /* edges */
	struct pt_mapping m;
	struct pt_options options;
	struct pt_update update;
	unsigned level;
	pte_t soft;
	uint32_t rights;
};

/* What a call tells beside its status. */
struct told {
	struct pt_leaf leaf;
	struct pt_entry old;
};

struct trial {
	struct engine e;
	struct engine plain;
	struct piece pieces[EDGES_MAX];
	struct request request;
	bool collapses; /* tables can differ from the plain ones in the sizes of leaves */
	uint64_t rng;
	char name[120];
};

static uint64_t edges[EDGES_MAX]; /* pages; the upper half's are negative, at the end */
static size_t edge_count, upper_edge;

static uint64_t pick(struct trial *t, uint64_t most)
{
	return check_random(&t->rng) % most;
}

/* ---- edges ------------------------------------------------------------------------- */

static void add_edge(uint64_t page)
{
	if (edge_count == 0 || edges[edge_count - 1] != page)
		edges[edge_count++] = page;
}

/* On the fake layout every page; else pages beside the edges of leaves. */
static void make_edges(unsigned levels)
{
	static const uint64_t some[] = {
		0,       1,       2,      P2 - 1, P2,     P2 + 1,  2 * P2,
		3 * P2,  P3 - P2, P3 - 1, P3,     P3 + 1, P3 + P2, 2 * P3,
		P4 - P3, P4 - P2, P4 - 1, P4,     P4 + 1, P4 + P2, P4 + P3
	};
	uint64_t half = (IS_FAKE ? UINT64_C(1) << (PTE_INDEX_BITS * levels - 1) : P4 + P3);

	edge_count = 0;
	if (IS_FAKE) {
		uint64_t window = half < 32 ? half : 32;

		for (uint64_t page = half - window; page <= half; page++)
			add_edge(page);
		upper_edge = edge_count;
		for (uint64_t page = 0; page <= 32; page++)
			add_edge(page - 32);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(some); i++)
		add_edge(some[i]);
	upper_edge = edge_count;
	for (size_t i = ARRAY_LEN(some); i-- > 0;)
		add_edge(0 - some[i]);
}

static uint64_t pages_between(size_t first, size_t end)
{
	return edges[end] - edges[first];
}

/* The edge at a page of the half that edge `near` is in; edge_count if there is none. */
static size_t edge_at(uint64_t page, size_t near)
{
	size_t i = near < upper_edge ? 0 : upper_edge,
	       end = near < upper_edge ? upper_edge : edge_count;

	while (i < end && edges[i] != page)
		i++;
	return i < end ? i : edge_count;
}

static virt_addr edge_va(size_t edge)
{
	return virt(edges[edge] * PT_PAGE_SIZE);
}

/* ---- requests ------------------------------------------------------------------------ */

static struct pt_attr pick_attr(struct trial *t)
{
	static const uint32_t flags[] = { 0,
					  PT_WRITE,
					  PT_EXEC,
					  PT_USER | PT_GLOBAL,
					  PT_COW | PT_SOFT1,
					  PT_WRITE | PT_SOFT2 | PT_GLOBAL,
					  PT_WRITE | PT_SHARED,
					  PT_USER | PT_KEY(5) };
	static const uint32_t use[] = { 0, PT_ACCESSED, PT_DIRTY, PT_ACCESSED | PT_DIRTY };
	static const enum pt_cache caches[] = { PT_WB, PT_WB, PT_WC, PT_WP };
	struct pt_attr attr = { flags[pick(t, ARRAY_LEN(flags))], caches[pick(t, 4)] };

	attr.flags &= pte_flags(&t->e.f.space.cpu);
	/* A collapse gives all pages the use of one. */
	return (struct pt_attr){ attr.flags | (t->collapses ? 0 : use[pick(t, 4)]), attr.cache };
}

/* Physical frames congruent to the virtual pages, or nearly. */
static phys_addr pick_frame(struct trial *t, uint64_t page, uint64_t pages)
{
	static const uint64_t shifts[] = { 0, 0, 0, P3, P2, 1, 2 * P3 };
	uint64_t limit = ENGINE_FRAMES / 2, frame;

	frame = (page + P3 * 4 + shifts[pick(t, ARRAY_LEN(shifts))]) % limit;
	if (frame + pages > ENGINE_FRAMES)
		frame %= P3;
	return phys(frame * PT_PAGE_SIZE);
}

static struct pt_options pick_options(struct trial *t)
{
	static const struct pt_options some[] = {
		{ .conflict = PT_REFUSE },
		{ .conflict = PT_REFUSE, .max_leaf = 1 },
		{ .conflict = PT_KEEP },
		{ .conflict = PT_REPLACE },
		{ .conflict = PT_REPLACE },
		{ .conflict = PT_REPLACE, .max_leaf = 1 },
		{ .conflict = PT_REPLACE, .max_leaf = 2, .exact = true },
		{ .conflict = PT_REPLACE, .set_links = true, .links = PT_WRITE | PT_USER },
		{ .conflict = PT_KEEP, .max_leaf = 2, .exact = true },
	};

	return some[pick(t, ARRAY_LEN(some))];
}

static struct pt_update pick_update(struct trial *t)
{
	static const struct pt_update some[] = {
		{ .set = PT_COW, .clear = PT_WRITE, .only = PT_WRITE },
		{ .set = PT_WRITE, .clear = PT_COW, .only = PT_COW },
		{ .set = PT_EXEC },
		{ .set = PT_SOFT1, .clear = PT_SOFT2 },
		{ .clear = PT_ACCESSED | PT_DIRTY },
		{ .set = PT_USER, .clear = PT_GLOBAL, .only = PT_SOFT2 },
		{ .set = PT_WRITE },
		{ .set = PT_COW },
		{ .set = PT_GLOBAL, .clear = PT_EXEC | PT_COW },
	};

	return some[pick(t, ARRAY_LEN(some))];
}

/* A range between two edges of one half, sometimes short. */
static void pick_range(struct trial *t, struct request *r)
{
	bool upper = pick(t, 2);
	size_t low = upper ? upper_edge : 0, high = upper ? edge_count : upper_edge;

	r->first = low + pick(t, high - low - 1);
	r->end = r->first + 1 + pick(t, pick(t, 2) ? high - r->first - 1 : 1);
}

/* A page of some size whose both ends are edges; false if there is none at the place tried. */
static bool pick_page(struct trial *t, struct request *r)
{
	uint64_t page = edges[r->first];

	r->level = 1 + (unsigned)pick(t, 3);
	if (pick(t, 3) != 0) /* mostly one of a size that is there */
		engine_entry(&t->e, t->e.f.space.root, page * PT_PAGE_SIZE, &r->level);
	if (r->level > 3)
		return false;
	if (!is_aligned(page, level_pages(r->level)))
		return false;
	r->end = edge_at(page + level_pages(r->level), r->first);
	return r->end != edge_count;
}

static bool pick_request(struct trial *t)
{
	static const enum op often[] = { OP_MAP, OP_MAP, OP_MAP, OP_UNMAP, OP_UPDATE };
	struct request *r = &t->request;
	uint64_t choice = pick(t, OP_COUNT + ARRAY_LEN(often));

	*r = (struct request){ .op = choice < OP_COUNT ? (enum op)choice
						       : often[choice - OP_COUNT] };
	pick_range(t, r);
	if (r->op == OP_COLLAPSE && !t->collapses)
		return false;
	if ((r->op == OP_SET_SOFT || r->op == OP_PAGE_UNMAP) && !pick_page(t, r))
		return false;
	r->m = (struct pt_mapping){ .va = edge_va(r->first),
				    .pages = pages_between(r->first, r->end),
				    .attr = pick_attr(t) };
	r->m.pa = pick_frame(t, edges[r->first], r->m.pages);
	if (r->op == OP_MAP && r->m.pages > ENGINE_FRAMES / 2)
		return false;
	r->options = pick_options(t);
	r->update = pick_update(t);
	r->soft = pick(t, 3) == 0 ? 0
				  : pte_leaf(0, (1 + pick(t, 9)) * level_pages(3) * PT_PAGE_SIZE,
					     r->level ? r->level : 1);
	if (r->op == OP_SET_LINK) {
		r->level = 2 + (unsigned)pick(t, t->e.f.space.cpu.levels - 1u);
		r->rights = pick(t, 4) ? PT_WRITE | PT_USER | PT_EXEC : PT_EXEC;
	}
	return true;
}

static enum pt_status plan_request(const struct pt_space *space, const struct request *r,
				   struct pt_plan *ret_plan)
{
	struct pt_range range = { r->m.va, r->m.pages };

	switch (r->op) {
	case OP_MAP:
		return pt_plan_map(space, &r->m, &r->options, ret_plan);
	case OP_PROTECT:
		return pt_plan_protect(space, range, r->m.attr, ret_plan);
	case OP_UPDATE:
		return pt_plan_update(space, range, r->update, ret_plan);
	case OP_UNMAP:
		return pt_plan_unmap(space, range, ret_plan);
	case OP_CLEAN:
		return pt_plan_clean(space, range, ret_plan);
	case OP_COLLAPSE:
		return pt_plan_collapse(space, range, ret_plan);
	case OP_SET_SOFT:
	case OP_SET_LINK:
	case OP_PAGE_UNMAP:
	case OP_COUNT:
		break;
	}
	return PT_OK;
}

static bool has_plan(enum op op)
{
	return op <= OP_COLLAPSE;
}

static enum pt_status make_request(struct engine *e, const struct request *r, struct told *ret_told)
{
	struct pt_space *space = &e->f.space;
	struct pt_flush *flush = &e->f.flush;
	struct pt_range range = { r->m.va, r->m.pages };

	switch (r->op) {
	case OP_MAP:
		return pt_map(space, &r->m, &r->options, flush);
	case OP_PROTECT:
		return pt_protect(space, range, r->m.attr, flush);
	case OP_UPDATE:
		return pt_update(space, range, r->update, flush);
	case OP_UNMAP:
		return pt_unmap(space, range, flush);
	case OP_CLEAN:
		return pt_clean(space, range, flush);
	case OP_COLLAPSE:
		return pt_collapse(space, range, flush);
	case OP_SET_SOFT:
		return pt_set_soft(space, &(struct pt_soft){ r->m.va, r->level, r->soft }, flush,
				   &ret_told->old);
	case OP_SET_LINK:
		return pt_set_link(space, r->m.va, r->level, r->rights, flush);
	case OP_PAGE_UNMAP:
		return pt_page_unmap(space, r->m.va, r->level, flush, &ret_told->leaf);
	case OP_COUNT:
		break;
	}
	return PT_OK;
}

/* ---- the list ---------------------------------------------------------------------------- */

static void update_piece(struct piece *p, const struct request *r)
{
	const uint32_t added = PT_ACCESSED | PT_DIRTY | PT_SOFT1 | PT_SOFT2;

	if (p->kind != PIECE_LEAF)
		return;
	if (r->op == OP_PROTECT) {
		p->attr.flags = (p->attr.flags & added) | r->m.attr.flags;
		p->attr.cache = r->m.attr.cache;
	} else if ((p->attr.flags & r->update.only) == r->update.only) {
		p->attr.flags = (p->attr.flags & ~r->update.clear) | r->update.set;
	}
}

static void apply_to_piece(struct piece *p, const struct request *r, uint64_t offset)
{
	switch (r->op) {
	case OP_MAP:
		if (r->options.conflict != PT_REPLACE && p->kind == PIECE_LEAF)
			break;
		*p = (struct piece){ PIECE_LEAF, (r->m.pa.raw >> PTE_PAGE_SHIFT) + offset,
				     r->m.attr, 0 };
		break;
	case OP_PROTECT:
	case OP_UPDATE:
		update_piece(p, r);
		break;
	case OP_UNMAP:
	case OP_PAGE_UNMAP:
		*p = (struct piece){ .kind = PIECE_NONE };
		break;
	case OP_SET_SOFT:
		*p = (struct piece){ .kind = r->soft ? PIECE_SOFT : PIECE_NONE, .soft = r->soft };
		break;
	case OP_CLEAN:
	case OP_COLLAPSE:
	case OP_SET_LINK:
	case OP_COUNT:
		break;
	}
}

static bool same_piece(const struct piece *a, const struct piece *b)
{
	return a->kind == b->kind && a->frame == b->frame && a->attr.flags == b->attr.flags &&
	       a->attr.cache == b->attr.cache && a->soft == b->soft;
}

/* What processors know of a piece and is no longer true has to be in the flush. */
static void expect_flushed(const struct trial *t, size_t edge, const struct piece *old)
{
	const struct pt_flush *flush = &t->e.f.flush;
	uint64_t offset = edges[edge] - (flush->va.raw >> PTE_PAGE_SHIFT);

	/* Canonical addresses only: the upper half's numbers are sign-extended by 12 bits less. */
	offset = (edge_va(edge).raw - flush->va.raw) >> PTE_PAGE_SHIFT;
	if (old->kind != PIECE_LEAF)
		return;
	CHECK(fits(offset, pages_between(edge, edge + 1), flush->pages), t->name);
	CHECK(flush->global || !(old->attr.flags & PT_GLOBAL), t->name);
}

static void apply(struct trial *t)
{
	const struct request *r = &t->request;

	for (size_t i = r->first; i < r->end; i++) {
		struct piece old = t->pieces[i];

		apply_to_piece(&t->pieces[i], r, edges[i] - edges[r->first]);
		if (!same_piece(&old, &t->pieces[i]))
			expect_flushed(t, i, &old);
	}
}

/* ---- judgement ------------------------------------------------------------------------------ */

static void expect_page(const struct trial *t, size_t edge, uint64_t offset)
{
	const struct pt_cpu *cpu = &t->e.f.space.cpu;
	const struct piece *p = &t->pieces[edge];
	uint64_t va = edge_va(edge).raw + offset * PT_PAGE_SIZE;
	unsigned level = 0;
	pte_t e = *engine_entry(&t->e, t->e.f.space.root, va, &level);
	enum pte_kind kind = pte_kind(e, level);
	uint32_t mask = t->collapses ? ~(uint32_t)(PT_ACCESSED | PT_DIRTY) : ~0u;

	/* Where nothing can be forbidden to be executed, leaves do not say so. */
	mask &= cpu->nx ? ~0u : ~(uint32_t)PT_EXEC;

	if (p->kind == PIECE_NONE)
		CHECK_EQ(kind, PTE_ABSENT, t->name);
	if (p->kind == PIECE_SOFT)
		CHECK(kind == PTE_SOFT && e == p->soft, t->name);
	if (p->kind != PIECE_LEAF)
		return;

	struct pt_attr attr = pte_attr(cpu, e, level);
	uint64_t in_leaf = va & (level_size(level) - 1);

	CHECK_EQ(kind, PTE_LEAF, t->name);
	CHECK_EQ((pte_leaf_addr(cpu, e, level).raw + in_leaf) >> PTE_PAGE_SHIFT, p->frame + offset,
		 t->name);
	CHECK_EQ(attr.flags & mask, p->attr.flags & mask, t->name);
	CHECK_EQ(attr.cache, p->attr.cache, t->name);
}

static void expect_pieces(const struct trial *t)
{
	for (size_t i = 0; i + 1 < edge_count; i++) {
		if (i + 1 == upper_edge)
			continue;
		expect_page(t, i, 0);
		expect_page(t, i, pages_between(i, i + 1) - 1);
	}
}

/* Both spaces say the same, entry by entry, but for where tables lie. */
static void expect_like_plain(const struct trial *t, struct pt_range half)
{
	struct pt_walk walk, plain;
	struct pt_entry entry, other;
	enum pt_status status = PT_OK;

	CHECK_STATUS(pt_walk_start(&walk, &t->e.f.space, half, PT_NO_BUDGET), PT_OK, space_text,
		     t->name);
	CHECK_STATUS(pt_walk_start(&plain, &t->plain.f.space, half, PT_NO_BUDGET), PT_OK,
		     space_text, t->name);
	while (status == PT_OK) {
		status = pt_walk_next(&walk, &entry);
		CHECK_STATUS(pt_walk_next(&plain, &other), status, space_text, t->name);
		if (status != PT_OK)
			break;
		CHECK(entry.kind == other.kind && entry.at.va.raw == other.at.va.raw &&
			      entry.at.level == other.at.level &&
			      entry.at.attr.flags == other.at.attr.flags,
		      t->name);
		CHECK(entry.kind == PTE_TABLE || entry.raw == other.raw, t->name);
	}
}

static void expect_told(const struct trial *t, const struct told *told, const struct told *plain)
{
	const struct request *r = &t->request;

	if (r->op == OP_PAGE_UNMAP) {
		CHECK_EQ(told->leaf.own, plain->leaf.own, t->name);
		CHECK_EQ(told->leaf.pa.raw, plain->leaf.pa.raw, t->name);
		CHECK_EQ(told->leaf.attr.flags, plain->leaf.attr.flags, t->name);
	} else if (r->op == OP_SET_SOFT) {
		CHECK(told->old.kind == plain->old.kind && told->old.raw == plain->old.raw,
		      t->name);
	}
}

/* With one table less than announced, and with too small a budget, nothing happens. */
static void try_in_vain(struct trial *t, const struct pt_plan *plan)
{
	struct space_arena *arena = &t->e.f.arena;
	uint64_t need = plan->tables + engine_log_tables(&t->e, plan->logged);
	struct pt_plan unused;
	struct told told;

	if (has_plan(t->request.op) && need > 0) {
		arena->limit = space_taken(arena) + (size_t)pick(t, need);
		CHECK_STATUS(make_request(&t->e, &t->request, &told), PT_ERR_NO_TABLES, space_text,
			     t->name);
		CHECK(engine_is_as_saved(&t->e), t->name);
		arena->limit = arena->count;
	}
	t->e.f.space.budget = 1 + pick(t, 3);
	if (has_plan(t->request.op) &&
	    plan_request(&t->e.f.space, &t->request, &unused) == PT_ERR_BUDGET) {
		CHECK_STATUS(make_request(&t->e, &t->request, &told), PT_ERR_BUDGET, space_text,
			     t->name);
		CHECK(engine_is_as_saved(&t->e), t->name);
	}
	t->e.f.space.budget = 0;
}

static void expect_exact(const struct trial *t, const struct pt_plan *plan, size_t taken,
			 uint64_t need)
{
	if (!has_plan(t->request.op))
		return;
	CHECK_EQ(space_taken(&t->e.f.arena), taken + need, t->name);
	CHECK_EQ(engine_moved(&t->e), plan->moved, t->name);
	CHECK_EQ(t->e.moves - t->e.saved.moves, t->e.f.space.root.raw != t->e.saved.root.raw,
		 t->name);
	if (t->e.moves != t->e.saved.moves)
		CHECK_EQ(t->e.moved_to.raw, t->e.f.space.root.raw, t->name);
}

static void settle(struct trial *t)
{
	if (pick(t, 3) != 0)
		return;
	engine_release(&t->e);
	engine_release(&t->plain);
	CHECK_EQ(engine_wrong_references(&t->e), 0, t->name);
	CHECK_EQ(engine_reachable(&t->e), space_taken(&t->e.f.arena), t->name);
	if (t->e.f.space.frames.acquire && (IS_FAKE || pick(t, 4) == 0))
		CHECK(engine_frames_balance(&t->e), t->name);
}

static void step(struct trial *t)
{
	struct pt_plan plan = { 0 }, plain_plan = { 0 };
	struct told told, plain_told;
	enum pt_status planned = plan_request(&t->e.f.space, &t->request, &plan);
	enum pt_status expected = plan_request(&t->plain.f.space, &t->request, &plain_plan);
	uint64_t need;

	engine_save(&t->e);
	if (planned == PT_OK && pick(t, 3) == 0)
		try_in_vain(t, &plan);
	need = plan.tables + engine_log_tables(&t->e, plan.logged);

	size_t taken = space_taken(&t->e.f.arena);
	size_t left = t->e.f.arena.free;
	enum pt_status status = make_request(&t->e, &t->request, &told);
	enum pt_status plain = PT_OK;

	/* What copies take of an arena that is nearly empty, the plain space need not. */
	if (status == PT_ERR_NO_TABLES && (has_plan(t->request.op) ? left < need : left < 16)) {
		CHECK(engine_is_as_saved(&t->e), t->name);
		return;
	}

	if (!t->collapses) {
		plain = make_request(&t->plain, &t->request, &plain_told);
		CHECK_STATUS(status, plain, space_text, t->name);
		CHECK_STATUS(planned, expected, space_text, t->name);
		CHECK(planned == PT_OK || plan.where.raw == plain_plan.where.raw, t->name);
		CHECK(planned != PT_OK || plan.tables - plan.moved == plain_plan.tables, t->name);
		CHECK(planned != PT_OK || plan.leaves[1] == plain_plan.leaves[1], t->name);
	}
	if (has_plan(t->request.op))
		CHECK_STATUS(status, planned, space_text, t->name);
	if (status != PT_OK) {
		CHECK(engine_is_as_saved(&t->e), t->name);
		return;
	}
	expect_exact(t, &plan, taken, need);
	apply(t);
	if (!t->collapses)
		expect_told(t, &told, &plain_told);
}

static void judge(struct trial *t)
{
	expect_pieces(t);
	if (!t->collapses) {
		expect_like_plain(t, pt_lower_half(&t->e.f.space.cpu));
		expect_like_plain(t, pt_upper_half(&t->e.f.space.cpu));
	}
	CHECK(engine_others_are_unchanged(&t->e), t->name);
	CHECK_EQ(engine_wrong_counts(&t->e), 0, t->name);
	CHECK_EQ(t->e.misuses + t->e.f.arena.misuses, 0, t->name);
	CHECK_EQ(t->plain.misuses + t->plain.f.arena.misuses, 0, t->name);
}

/* Some tables, or all, become somebody else's too. */
static void hold_some(struct trial *t)
{
	phys_addr tables[TABLES];
	size_t count = 0;
	uint64_t way = pick(t, 4);

	engine_release(&t->e);
	if (way == 0)
		engine_freeze_all(&t->e);
	if ((way == 1 || way == 3) && t->e.other.raw == PT_NO_TABLE)
		engine_share_all(&t->e);
	if (way < 2)
		return;
	if (pt_list_tables(&t->e.f.space, tables, TABLES, &count) != PT_OK)
		exit(3);
	for (size_t i = 0; i < 1 + count / 8; i++) {
		phys_addr table = tables[pick(t, count)];

		engine_freeze(&t->e, table, engine_level(&t->e, table));
	}
}

/* All goes, and nothing is left but what is frozen. */
static void destroy(struct trial *t)
{
	struct pt_space other = engine_other(&t->e);

	engine_release(&t->e);
	engine_destroy(&t->e, &t->e.f.space);
	t->e.f.space.root = phys(PT_NO_TABLE);
	if (t->e.other.raw != PT_NO_TABLE) {
		CHECK(engine_others_are_unchanged(&t->e), t->name);
		CHECK_EQ(engine_wrong_references(&t->e), 0, t->name);
		t->e.other = phys(PT_NO_TABLE);
		engine_destroy(&t->e, &other);
	}
	CHECK_EQ(engine_reachable(&t->e), space_taken(&t->e.f.arena), t->name);
	CHECK_EQ(engine_wrong_references(&t->e), 0, t->name);
	if (t->e.f.space.frames.acquire)
		CHECK(engine_frames_balance(&t->e), t->name);
	CHECK_EQ(t->e.misuses + t->e.f.arena.misuses, 0, t->name);
}

static struct pt_cpu pick_cpu(struct trial *t)
{
	struct pt_cpu cpu = { .levels = (uint8_t)(PT_MIN_LEVELS + pick(t, 2)),
			      .max_leaf = (uint8_t)(1 + pick(t, 3)),
			      .phys_bits = PTE_MAX_PHYS_BITS > 36 ? 46 : 18,
			      .nx = pick(t, 4) != 0,
			      .pat = PT_PAT_FULL,
			      .keys = pick(t, 2) };

	if (pick(t, 3) == 0) {
		cpu.crypt_bit = PTE_MAX_PHYS_BITS - 1;
		cpu.crypt_means_shared = !IS_FAKE && pick(t, 2);
	}
	return cpu;
}

static void run_trial(uint64_t seed, unsigned round)
{
	static struct trial trial;
	struct trial *t = &trial;

	*t = (struct trial){ .rng = seed + round };

	struct engine_options plain = { .cpu = pick_cpu(t), .tables = TABLES };
	struct engine_options options = plain;

	make_edges(plain.cpu.levels);
	options.holds = pick(t, 3) != 0;
	options.hooks = pick(t, 2);
	options.counted = pick(t, 2);
	options.live = pick(t, 3) == 0;
	t->collapses = pick(t, 4) == 0;
	engine_init(&t->e, &options);
	engine_init(&t->plain, &plain);

	for (unsigned i = 0; i < STEPS && check_failures == 0; i++) {
		if (options.holds && pick(t, 10) == 0)
			hold_some(t);
		if (!pick_request(t))
			continue;
		snprintf(t->name, sizeof(t->name),
			 "round %u step %u op %d va %#" PRIx64 " + %" PRIu64 "%s%s%s%s%s", round, i,
			 (int)t->request.op, t->request.m.va.raw, t->request.m.pages,
			 options.holds ? " holds" : "", options.hooks ? " hooks" : "",
			 options.counted ? " counted" : "", options.live ? " live" : "",
			 t->collapses ? " collapses" : "");
		step(t);
		judge(t);
		settle(t);
	}
	destroy(t);
	engine_free(&t->e);
	engine_free(&t->plain);
}

static void a_space_with_all_abilities_is_a_plain_one_and_a_flat_list(void)
{
	uint64_t seed = check_seed(20);
	const char *text = getenv("ROUNDS");
	unsigned rounds = text ? (unsigned)strtoul(text, NULL, 0) : ROUNDS;

	for (unsigned i = 0; i < rounds && check_failures == 0; i++)
		run_trial(seed, i);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(a_space_with_all_abilities_is_a_plain_one_and_a_flat_list);
	return check_done();
}
