/*
 * Property: whatever a cursor is asked to do, and whatever is done past it, the
 * position, the status, what is told and all pages around are those of a plain
 * array of pages. The windows lie at both ends of both halves and across a
 * table's end. Replay with SEED=<printed number>, ROUNDS=<n> for more.
 */
#include "paging/pt_cursor.h"
#include "tests/check.h"
#include "tests/fake/sdm.h"
#include "tests/fake/space.h"

enum { WINDOW = 2048, TABLES = 64, STEPS = 40, ROUNDS = 300 };

#define STICKY ((uint32_t)(PT_ACCESSED | PT_DIRTY | PT_SOFT1 | PT_SOFT2))

/* What one page of the window is. */
struct page {
	enum pte_kind kind; /* PTE_ABSENT, PTE_LEAF, PTE_SOFT */
	uint64_t pa;        /* of a soft entry: itself */
	struct pt_attr attr;
};

struct trial {
	struct space_fixture f;
	struct pt_cursor c;
	struct page pages[WINDOW];
	uint64_t base;         /* address of the window */
	uint64_t first, count; /* range of the cursor, in pages of the window */
	uint64_t at;           /* where it should be */
	enum pt_conflict conflict;
	uint64_t rng;
	char name[64];
};

static const uint64_t BASES[] = {
	0,
	(UINT64_C(1) << 30) - UINT64_C(1024) * 4096,
	(UINT64_C(1) << 47) - (uint64_t)WINDOW * 4096,
	UINT64_C(0xffff800000000000),
	0 - (uint64_t)WINDOW * 4096,
};

static const struct pt_attr ATTRS[] = {
	{ 0, PT_WB },
	{ PT_WRITE, PT_WB },
	{ PT_EXEC | PT_USER, PT_WB },
	{ PT_WRITE | PT_GLOBAL | PT_DIRTY, PT_UC },
	{ PT_USER | PT_SOFT1, PT_WP },
};

static uint64_t below(struct trial *t, uint64_t limit)
{
	return check_random(&t->rng) % limit;
}

static uint64_t left(const struct trial *t)
{
	return t->first + t->count - t->at;
}

/* A number of pages, small ones more often; some are too many. */
static uint64_t some_pages(struct trial *t)
{
	switch (below(t, 6)) {
	case 0:
		return below(t, 4);
	case 1:
		return left(t);
	case 2:
		return left(t) + 1 + below(t, 3);
	case 3:
		return 512;
	case 4:
		return below(t, left(t) + 1);
	default:
		return below(t, 40);
	}
}

static uint64_t address(const struct trial *t, uint64_t page)
{
	return t->base + page * 4096;
}

/* The first page from t->at on, before `end`, that is a leaf (or soft); `end` if none. */
static uint64_t next_page(const struct trial *t, uint64_t end, bool soft, uint32_t only)
{
	for (uint64_t i = t->at; i < end; i++) {
		const struct page *p = &t->pages[i];

		if ((p->kind == PTE_LEAF && (p->attr.flags & only) == only) ||
		    (soft && p->kind == PTE_SOFT))
			return i;
	}
	return end;
}

/* ---- what is there ---------------------------------------------------------- */

static void expect_page(const struct trial *t, uint64_t i)
{
	const struct page *p = &t->pages[i];
	struct sdm_translation s = sdm_translate(&t->f.arena, &t->f.space.cpu, t->f.space.root,
						 address(t, i));
	uint32_t seen = (s.write ? PT_WRITE : 0u) | (s.exec ? PT_EXEC : 0u) |
			(s.user ? PT_USER : 0u) | (s.global ? PT_GLOBAL : 0u) |
			(s.dirty ? PT_DIRTY : 0u);

	CHECK(s.present == (p->kind == PTE_LEAF) && !s.reserved, t->name);
	if (!s.present || p->kind != PTE_LEAF)
		return;
	CHECK_EQ(s.pa, p->pa, t->name);
	CHECK_EQ(seen, p->attr.flags & ~(uint32_t)(PT_SOFT1 | PT_SOFT2), t->name);
	CHECK_EQ(s.type, p->attr.cache, t->name);
}

static void expect_all(const struct trial *t)
{
	CHECK_EQ(pt_cursor_at(&t->c).raw, address(t, t->at), t->name);
	CHECK_EQ(pt_cursor_left(&t->c), left(t), t->name);
	for (uint64_t i = 0; i < WINDOW; i++)
		expect_page(t, i);
	CHECK_EQ(sdm_count_tables(&t->f.arena, &t->f.space.cpu, t->f.space.root),
		 space_taken(&t->f.arena), t->name);
	CHECK_EQ(t->f.arena.misuses, 0, t->name);
}

static void expect_status(const struct trial *t, enum pt_status got, enum pt_status want)
{
	CHECK_STATUS(got, want, space_text, t->name);
}

/* ---- mapping ------------------------------------------------------------------ */

static bool same_page(const struct page *p, uint64_t pa, struct pt_attr attr)
{
	return p->kind == PTE_LEAF && p->pa == pa && p->attr.cache == attr.cache &&
	       ((p->attr.flags ^ attr.flags) & ~STICKY) == 0;
}

static enum pt_status map_status(const struct trial *t, uint64_t pa, uint64_t pages,
				 struct pt_attr attr)
{
	if (left(t) == 0)
		return PT_ERR_END;
	if (pages > left(t))
		return PT_ERR_RANGE;
	for (uint64_t i = 0; i < pages; i++) {
		const struct page *p = &t->pages[t->at + i];

		if (p->kind == PTE_ABSENT || t->conflict == PT_REPLACE)
			continue;
		if (t->conflict == PT_REFUSE || !same_page(p, pa + i * 4096, attr))
			return PT_ERR_OVERLAP;
	}
	return PT_OK;
}

static void map_pages(struct trial *t, uint64_t first, uint64_t pa, uint64_t pages,
		      struct pt_attr attr)
{
	for (uint64_t i = 0; i < pages; i++) {
		struct page *p = &t->pages[first + i];

		if (p->kind != PTE_LEAF || t->conflict != PT_KEEP)
			*p = (struct page){ PTE_LEAF, pa + i * 4096, attr };
	}
}

static void try_map(struct trial *t, uint64_t pa, uint64_t pages, struct pt_attr attr)
{
	enum pt_status want = map_status(t, pa, pages, attr);

	expect_status(t, pt_cursor_map(&t->c, phys(pa), pages, attr, &t->f.flush), want);
	if (want != PT_OK)
		return;
	map_pages(t, t->at, pa, pages, attr);
	t->at += pages;
}

/* Congruent to the position half of the time, so that large leaves are used. */
static uint64_t some_pa(struct trial *t)
{
	uint64_t pa = (1024 + below(t, 4096)) * 4096;

	return below(t, 2) ? pa : (UINT64_C(1) << 33) + t->at * 4096 + (t->base & 0x1fffff);
}

static void op_map(struct trial *t)
{
	uint64_t pa = some_pa(t), pages = some_pages(t);

	try_map(t, pa, pages, ATTRS[below(t, ARRAY_LEN(ATTRS))]);
}

/* Page after page: the short way. */
static void op_map_singly(struct trial *t)
{
	struct pt_attr attr = ATTRS[below(t, ARRAY_LEN(ATTRS))];
	uint64_t count = below(t, 700), pa = some_pa(t);

	while (count-- > 0) {
		pa += below(t, 8) ? 4096 : 8192;
		try_map(t, pa, 1, attr);
	}
}

static void op_options(struct trial *t)
{
	struct pt_options options = { .conflict = (enum pt_conflict)below(t, 3),
				      .max_leaf = (unsigned)below(t, 4) };

	t->conflict = options.conflict;
	pt_cursor_set_options(&t->c, &options);
}

/* ---- looking -------------------------------------------------------------------- */

static void op_jump(struct trial *t)
{
	uint64_t to = below(t, WINDOW);
	bool inside = to >= t->first && to < t->first + t->count;

	expect_status(t, pt_cursor_jump(&t->c, virt(address(t, to))),
		      inside ? PT_OK : PT_ERR_RANGE);
	t->at = inside ? to : t->at;
}

/* The entry covers the page, and says of it what the array does. */
static void expect_entry_at(const struct trial *t, const struct pt_entry *e, uint64_t page)
{
	const struct page *p = &t->pages[page];
	uint64_t offset = address(t, page) - e->at.va.raw;

	CHECK_EQ(e->kind, p->kind, t->name);
	CHECK(offset / 4096 < e->at.pages, t->name);
	if (p->kind == PTE_SOFT)
		CHECK_EQ(e->raw, p->pa, t->name);
	if (p->kind != PTE_LEAF)
		return;
	CHECK_EQ(e->at.pa.raw + offset, p->pa, t->name);
	CHECK_EQ(e->at.own, p->attr.flags, t->name);
	CHECK_EQ(e->at.attr.cache, p->attr.cache, t->name);
}

static void op_query(struct trial *t)
{
	struct pt_entry e;

	expect_status(t, pt_cursor_query(&t->c, &e), left(t) ? PT_OK : PT_ERR_END);
	if (left(t) == 0)
		return;
	expect_entry_at(t, &e, t->at);
	for (uint64_t i = 0; i < WINDOW && e.kind == PTE_ABSENT; i++) {
		if ((address(t, i) - e.at.va.raw) / 4096 < e.at.pages)
			CHECK_EQ(t->pages[i].kind, PTE_ABSENT, t->name);
	}
}

static void op_find(struct trial *t)
{
	uint64_t end = t->first + t->count, found = next_page(t, end, false, 0);
	struct pt_entry e;

	expect_status(t, pt_cursor_find(&t->c, &e), found < end ? PT_OK : PT_ERR_END);
	t->at = found;
	if (found < end)
		expect_entry_at(t, &e, found);
}

/* ---- taking and protecting -------------------------------------------------------- */

/* What a call on the next `pages` has to return that looks for a page, and finds `found`. */
static enum pt_status piece_status(const struct trial *t, uint64_t pages, uint64_t found)
{
	if (left(t) == 0)
		return PT_ERR_END;
	if (pages > left(t))
		return PT_ERR_RANGE;
	return found < t->at + pages ? PT_OK : PT_ERR_NOT_MAPPED;
}

/* The piece begins at `found`, ends in the pages asked for, and is as in the array. */
static bool expect_piece(struct trial *t, const struct pt_entry *e, uint64_t found, uint64_t end)
{
	bool fine = e->at.va.raw == address(t, found) && e->at.pages <= end - found;

	CHECK(fine, t->name);
	for (uint64_t i = 0; fine && i < e->at.pages; i++)
		expect_entry_at(t, e, found + i);
	return fine;
}

/* A table is aligned and whole, and begins at or before what is found. */
static bool expect_table(struct trial *t, const struct pt_entry *e, uint64_t found, uint64_t end)
{
	uint64_t first = (e->at.va.raw - t->base) / 4096;
	bool fine = first >= t->at && first <= found && e->at.pages <= end - first &&
		    e->at.pages == level_pages(e->at.level) &&
		    is_aligned(e->at.va.raw, level_size(e->at.level));

	CHECK(fine, t->name);
	return fine;
}

static void op_take(struct trial *t)
{
	bool tables = below(t, 2);
	uint64_t pages = some_pages(t), end = pages > left(t) ? t->at : t->at + pages;
	uint64_t found = next_page(t, end, true, 0), first;
	enum pt_status want = piece_status(t, pages, found);
	struct pt_entry e = { .kind = PTE_ABSENT };

	expect_status(t,
		      tables ? pt_cursor_take(&t->c, pages, &t->f.flush, &e)
			     : pt_cursor_take_leaf(&t->c, pages, &t->f.flush, &e),
		      want);
	if (want == PT_ERR_NOT_MAPPED)
		t->at = end;
	if (want != PT_OK)
		return;
	CHECK(tables || e.kind != PTE_TABLE, t->name);
	if (!(e.kind == PTE_TABLE ? expect_table : expect_piece)(t, &e, found, end))
		return;
	first = (e.at.va.raw - t->base) / 4096;
	CHECK(fits((e.at.va.raw - t->f.flush.va.raw) / 4096, e.at.pages, t->f.flush.pages) ||
		      e.kind == PTE_SOFT,
	      t->name);
	memset(&t->pages[first], 0, e.at.pages * sizeof(t->pages[0]));
	t->at = first + e.at.pages;
}

static void op_protect(struct trial *t)
{
	struct pt_attr attr = ATTRS[below(t, ARRAY_LEN(ATTRS))];
	uint64_t pages = some_pages(t), end = pages > left(t) ? t->at : t->at + pages;
	uint64_t found = next_page(t, end, false, 0);
	enum pt_status want = piece_status(t, pages, found);
	struct pt_entry e;

	expect_status(t, pt_cursor_protect(&t->c, pages, attr, &t->f.flush, &e), want);
	if (want == PT_ERR_NOT_MAPPED)
		t->at = end;
	if (want != PT_OK || !expect_piece(t, &e, found, end))
		return;
	for (uint64_t i = found; i < found + e.at.pages; i++) {
		struct pt_attr *a = &t->pages[i].attr;

		*a = (struct pt_attr){ attr.flags | (a->flags & STICKY), attr.cache };
	}
	t->at = found + e.at.pages;
}

static void op_update(struct trial *t)
{
	const uint32_t choices[] = { 0, PT_USER, PT_GLOBAL | PT_DIRTY, PT_SOFT1 };
	struct pt_update update = { .only = choices[below(t, 4)],
				    .set = below(t, 2) ? PT_SOFT2 : PT_USER,
				    .clear = below(t, 2) ? PT_SOFT1 : PT_DIRTY };
	uint64_t pages = some_pages(t), end = pages > left(t) ? t->at : t->at + pages;
	uint64_t found = next_page(t, end, false, update.only);
	enum pt_status want = piece_status(t, pages, found);
	struct pt_entry e;

	expect_status(t, pt_cursor_update(&t->c, pages, update, &t->f.flush, &e), want);
	if (want == PT_ERR_NOT_MAPPED)
		t->at = end;
	if (want != PT_OK || !expect_piece(t, &e, found, end))
		return;
	for (uint64_t i = found; i < found + e.at.pages; i++)
		t->pages[i].attr.flags = (t->pages[i].attr.flags & ~update.clear) | update.set;
	t->at = found + e.at.pages;
}

/* ---- past the cursor ---------------------------------------------------------------- */

static void op_unmap_past(struct trial *t)
{
	uint64_t first = below(t, WINDOW), count = 1 + below(t, WINDOW - first);
	struct pt_range range = { virt(address(t, first)), count };

	expect_status(t, pt_unmap(&t->f.space, range, &t->f.flush), PT_OK);
	memset(&t->pages[first], 0, count * sizeof(t->pages[0]));
	if (below(t, 2))
		pt_release(&t->f.space, &t->f.flush);
}

static void op_map_past(struct trial *t)
{
	struct pt_options options = { .conflict = PT_REPLACE };
	uint64_t first = below(t, WINDOW), count = 1 + below(t, WINDOW - first);
	struct pt_attr attr = ATTRS[below(t, ARRAY_LEN(ATTRS))];
	uint64_t pa = (UINT64_C(1) << 34) + address(t, first) % (UINT64_C(1) << 33);
	struct pt_mapping m = { virt(address(t, first)), phys(pa), count, attr };

	expect_status(t, pt_map(&t->f.space, &m, &options, &t->f.flush), PT_OK);
	for (uint64_t i = 0; i < count; i++)
		t->pages[first + i] = (struct page){ PTE_LEAF, pa + i * 4096, attr };
}

/* Puts a soft entry where the tables have a page's entry. */
static void op_soft_past(struct trial *t)
{
	uint64_t page = below(t, WINDOW), raw = (1 + below(t, 1000)) << 12;
	struct pt_entry old;

	if (pt_set_soft(&t->f.space, &(struct pt_soft){ virt(address(t, page)), 1, raw },
			&t->f.flush, &old) == PT_OK)
		t->pages[page] = (struct page){ .kind = PTE_SOFT, .pa = raw };
}

/* Another writer is refused exactly where the ranges overlap. */
static void op_open_another(struct trial *t)
{
	uint64_t first = below(t, WINDOW), count = below(t, WINDOW - first + 1);
	struct pt_range range = { virt(address(t, first)), count };
	bool busy = count != 0 && t->count != 0 && first < t->first + t->count &&
		    t->first < first + count;
	struct pt_cursor other;
	enum pt_status status = pt_cursor_write(&other, &t->f.space, range);

	expect_status(t, status, busy ? PT_ERR_BUSY : PT_OK);
	if (status == PT_OK)
		pt_cursor_close(&other);
}

/* ---- rounds ---------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(struct trial *t);
} OPS[] = {
	{ "map", op_map },
	{ "map", op_map },
	{ "map singly", op_map_singly },
	{ "map singly", op_map_singly },
	{ "options", op_options },
	{ "jump", op_jump },
	{ "jump", op_jump },
	{ "jump", op_jump },
	{ "query", op_query },
	{ "find", op_find },
	{ "take", op_take },
	{ "take", op_take },
	{ "protect", op_protect },
	{ "update", op_update },
	{ "unmap past the cursor", op_unmap_past },
	{ "map past the cursor", op_map_past },
	{ "soft entry past the cursor", op_soft_past },
	{ "open another", op_open_another },
};

static void reopen(struct trial *t)
{
	pt_cursor_close(&t->c);
	t->first = below(t, 3) ? below(t, WINDOW) : 0;
	t->count = below(t, 3) ? below(t, WINDOW - t->first + 1) : WINDOW - t->first;
	t->at = t->first;
	t->conflict = PT_REFUSE;
	expect_status(t,
		      pt_cursor_write(&t->c, &t->f.space,
				      (struct pt_range){ virt(address(t, t->first)), t->count }),
		      PT_OK);
}

static void run_round(uint64_t seed, unsigned round)
{
	static struct trial t;
	struct pt_cpu cpu = { .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL };

	t = (struct trial){ .rng = seed + round, .base = BASES[round % ARRAY_LEN(BASES)] };
	cpu.levels = 4;
	space_fixture_init(&t.f, &cpu, TABLES, below(&t, 4) == 0);
	t.f.space.counted = below(&t, 2);
	t.f.space.live = below(&t, 2);
	for (unsigned step = 0; step < STEPS && check_failures == 0; step++) {
		size_t op = below(&t, ARRAY_LEN(OPS));

		snprintf(t.name, sizeof(t.name), "round %u, step %u: %s", round, step,
			 OPS[op].name);
		if (step % 10 == 0)
			reopen(&t);
		OPS[op].run(&t);
		pt_release(&t.f.space, &t.f.flush);
		expect_all(&t);
	}
	space_fixture_free(&t.f);
}

static void a_cursor_does_to_tables_what_is_done_to_an_array(void)
{
	const char *text = getenv("ROUNDS");
	unsigned rounds = text ? (unsigned)strtoul(text, NULL, 0) : ROUNDS;
	uint64_t seed = check_seed(5);

	for (unsigned round = 0; round < rounds && check_failures == 0; round++)
		run_round(seed * 1000003, round);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(a_cursor_does_to_tables_what_is_done_to_an_array);
	return check_done();
}
