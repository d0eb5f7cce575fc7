/*
 * What pt_map() does where something is mapped already, exact leaves, links
 * that are set on purpose, and pt_clean(), on x86-64. A number in a test's name
 * is that of a defect once found in other mappers.
 */
#include "tests/check.h"
#include "tests/fake/scene.h"

#define XD        (UINT64_C(1) << 63)
#define LINK_BITS (XD | 6) /* XD, U, W */
#define SLOT      (8 * GIB)

static const struct pt_attr RO = { 0, PT_WB }, RW = { PT_WRITE, PT_WB };
static const char POLICIES[][8] = { "refuse", "keep", "replace" };

/* ------------------------------------------------------------------------
 * Policies: every kind of entry of every size, covered in every way
 */

/* What the entry at SLOT holds before the call. */
enum held {
	HELD_NOTHING,
	HELD_EMPTY_TABLE,
	HELD_SAME_PAGE,  /* in a table: the fourth page, mapped as the call would */
	HELD_OTHER_PAGE, /* the fourth page, elsewhere */
	HELD_SOFT_PAGE,  /* a table whose fourth entry of level 1 is soft */
	HELD_SOFT,
	HELD_SAME,
	HELD_USED, /* the same, but for accessed, dirty and software bits */
	HELD_OTHER,
	HELD_COUNT,
};

static const char HELD_NAMES[][16] = { "nothing",    "empty table", "same page",
				       "other page", "soft page",   "soft",
				       "same leaf",  "used leaf",   "other leaf" };

/* The range of the call, relative to SLOT, in pages; `whole`: and the entry's size. */
static const struct {
	const char *name;
	uint64_t first, count;
	bool whole, from_end;
} COVERS[] = {
	{ "all of it", 0, 0, true, false },
	{ "and a page to either side", UINT64_MAX, 2, true, false },
	{ "the first page", 0, 1, false, false },
	{ "five pages", 1, 5, false, false },
	{ "the last page and the next", UINT64_MAX, 2, false, true },
};

struct policy_case {
	enum pt_conflict conflict;
	enum held held;
	unsigned level, cover;
	struct pt_mapping m;
	struct pt_plan plan;
	char name[96];
};

static const struct pt_attr WANTED = { PT_WRITE | PT_GLOBAL, PT_WB };

/* Its address under the new mapping is 16 GiB up; other leaves are 32 GiB up. */
static void hold_leaf(struct space_fixture *f, uint64_t offset, unsigned level, uint64_t up)
{
	scene_map(f, (struct pt_mapping){ virt(SLOT + offset), phys(SLOT + offset + up),
					  level_pages(level), WANTED });
}

static void hold_table(struct space_fixture *f, enum held held)
{
	uint64_t *page;

	hold_leaf(f, 3 * 4096, 1, held == HELD_SAME_PAGE ? 16 * GIB : 32 * GIB);
	page = scene_entry(f, SLOT + 3 * 4096, 1);
	if (held == HELD_EMPTY_TABLE)
		*page = 0;
	else if (held == HELD_SOFT_PAGE)
		*page = 0xabc00;
}

static void hold_entry(struct space_fixture *f, enum held held, unsigned level)
{
	uint64_t *entry;

	hold_leaf(f, 0, level, held == HELD_OTHER ? 32 * GIB : 16 * GIB);
	entry = scene_entry(f, SLOT, level);
	if (held == HELD_SOFT)
		*entry = 0xabc00;
	else if (held == HELD_USED)
		*entry |= UINT64_C(0x0010000000000c60); /* 52, 11, 10, D, A */
	else if (held == HELD_NOTHING)
		*entry = 0;
}

static void policy_prepare(struct space_fixture *f, const struct policy_case *c)
{
	scene_init(f, scene_cpu());
	if (c->held >= HELD_EMPTY_TABLE && c->held <= HELD_SOFT_PAGE)
		hold_table(f, c->held);
	else
		hold_entry(f, c->held, c->level);
	space_snapshot_take(&f->shot, &f->arena);
}

static struct pt_mapping policy_mapping(const struct policy_case *c)
{
	uint64_t pages = level_pages(c->level);
	uint64_t first = COVERS[c->cover].first + (COVERS[c->cover].from_end ? pages : 0);
	uint64_t count = COVERS[c->cover].count + (COVERS[c->cover].whole ? pages : 0);

	return (struct pt_mapping){ virt(SLOT + first * 4096), phys(SLOT + 16 * GIB + first * 4096),
				    count, WANTED };
}

/* True if the range has the page that a held table is about. */
static bool policy_meets_page(const struct policy_case *c)
{
	return (SLOT + 3 * 4096 - c->m.va.raw) / 4096 < c->m.pages;
}

static bool policy_allows(const struct policy_case *c)
{
	uint64_t last = c->m.va.raw + (c->m.pages - 1) * 4096;
	bool whole = c->m.va.raw <= SLOT && last >= SLOT + level_size(c->level) - 4096;

	switch (c->held) {
	case HELD_NOTHING:
	case HELD_EMPTY_TABLE:
		return true;
	case HELD_SAME_PAGE:
		return c->conflict != PT_REFUSE || !policy_meets_page(c);
	case HELD_OTHER_PAGE:
	case HELD_SOFT_PAGE:
		return c->conflict == PT_REPLACE || !policy_meets_page(c);
	case HELD_SOFT:
		return c->conflict == PT_REPLACE && whole;
	case HELD_SAME:
	case HELD_USED:
		return c->conflict != PT_REFUSE;
	case HELD_OTHER:
	case HELD_COUNT:
		break;
	}
	return c->conflict == PT_REPLACE;
}

static bool holds_leaf(enum held held)
{
	return held >= HELD_SAME && held < HELD_COUNT;
}

static void policy_expect_refused(const struct space_fixture *f, const struct policy_case *c)
{
	uint64_t where = c->m.va.raw > SLOT ? c->m.va.raw : SLOT;

	if (c->held >= HELD_SAME_PAGE && c->held <= HELD_SOFT_PAGE)
		where = SLOT + 3 * 4096;
	CHECK_EQ(c->plan.where.raw, where, c->name);
	CHECK(space_snapshot_equal(&f->shot, &f->arena), c->name);
	CHECK_EQ(f->flush.pages, 0, c->name);
	CHECK_EQ(f->flush.retired.raw, PT_NO_TABLE, c->name);
}

/* One page, as it has to be after the call. */
static void policy_expect_page(const struct space_fixture *f, const struct policy_case *c,
			       uint64_t va)
{
	struct sdm_translation t = sdm_translate(&f->arena, &f->space.cpu, f->space.root, va);
	bool is_new = (va - c->m.va.raw) / 4096 < c->m.pages;
	bool was = va - SLOT < level_size(c->level) && holds_leaf(c->held);
	uint64_t up = c->held == HELD_OTHER && !is_new ? 32 * GIB : 16 * GIB;

	if (!is_new && !was)
		return;
	CHECK(t.present && !t.reserved && t.write && t.global && !t.exec && !t.user, c->name);
	CHECK_EQ(t.pa, va + up, c->name);
	CHECK_EQ(t.type, PT_WB, c->name);
	if (c->held == HELD_USED && (!is_new || (c->conflict == PT_KEEP && was)))
		CHECK(t.accessed && t.dirty, c->name);
}

/* It names what was replaced; what is kept or new needs none. */
static void policy_expect_flush(const struct space_fixture *f, const struct policy_case *c)
{
	uint64_t low = c->m.va.raw > SLOT ? c->m.va.raw : SLOT;
	uint64_t end = c->m.va.raw + c->m.pages * 4096, slot_end = SLOT + level_size(c->level);
	const struct pt_flush *flush = &f->flush;
	bool leaf_changes = holds_leaf(c->held) && c->conflict == PT_REPLACE;
	bool page_changes = c->held == HELD_OTHER_PAGE && policy_meets_page(c);

	end = end < slot_end ? end : slot_end;
	if (page_changes && c->conflict == PT_REPLACE) {
		low = SLOT + 3 * 4096;
		end = low + 4096;
		leaf_changes = true;
	}
	if (leaf_changes) {
		CHECK(flush->global, c->name);
		CHECK(fits((low - flush->va.raw) / 4096, (end - low) / 4096, flush->pages),
		      c->name);
	}
	if (c->conflict == PT_KEEP && c->held != HELD_EMPTY_TABLE)
		CHECK_EQ(flush->pages, 0, c->name);
	if (flush->pages != 0)
		CHECK(fits((flush->va.raw - c->m.va.raw) / 4096, flush->pages, c->m.pages),
		      c->name);
}

static void policy_expect_done(struct space_fixture *f, const struct policy_case *c, size_t taken)
{
	uint64_t end = c->m.va.raw + c->m.pages * 4096, size = level_size(c->level);
	const uint64_t probes[] = { SLOT - 4096,     SLOT,
				    SLOT + 4096,     SLOT + 3 * 4096,
				    SLOT + 5 * 4096, SLOT + 6 * 4096,
				    SLOT + size / 2, SLOT + size - 4096,
				    SLOT + size,     end - 4096 };
	size_t released;

	CHECK_EQ(space_taken(&f->arena), taken + c->plan.tables, c->name);
	CHECK_EQ(f->flush.retired.raw != PT_NO_TABLE, c->plan.retired != 0, c->name);
	policy_expect_flush(f, c);
	for (size_t i = 0; i < ARRAY_LEN(probes); i++)
		policy_expect_page(f, c, probes[i]);
	released = pt_release(&f->space, &f->flush);
	CHECK(released >= c->plan.retired, c->name);
	CHECK_EQ(space_taken(&f->arena), taken + c->plan.tables - released, c->name);
	CHECK_EQ(sdm_count_tables(&f->arena, &f->space.cpu, f->space.root), space_taken(&f->arena),
		 c->name);
}

static void policy_try(struct policy_case *c)
{
	struct pt_options options = { .conflict = c->conflict };
	struct space_fixture f;
	enum pt_status want;
	size_t taken;

	snprintf(c->name, sizeof(c->name), "%s: %s of level %u, %s", POLICIES[c->conflict],
		 HELD_NAMES[c->held], c->level, COVERS[c->cover].name);
	c->m = policy_mapping(c);
	want = policy_allows(c) ? PT_OK : PT_ERR_OVERLAP;
	policy_prepare(&f, c);
	taken = space_taken(&f.arena);
	CHECK_STATUS(pt_plan_map(&f.space, &c->m, &options, &c->plan), want, space_text, c->name);
	CHECK_STATUS(pt_map(&f.space, &c->m, &options, &f.flush), want, space_text, c->name);
	if (want == PT_OK)
		policy_expect_done(&f, c, taken);
	else
		policy_expect_refused(&f, c);
	CHECK_EQ(f.arena.misuses, 0, c->name);
	space_fixture_free(&f);
}

static void try_policy(enum pt_conflict conflict)
{
	size_t shapes = PT_MAX_LEAF_LEVEL * ARRAY_LEN(COVERS);

	for (size_t i = 0; i < HELD_COUNT * shapes; i++) {
		struct policy_case c = { .conflict = conflict,
					 .held = (enum held)(i / shapes),
					 .level = 1 + (unsigned)(i % PT_MAX_LEAF_LEVEL),
					 .cover = (unsigned)(i / PT_MAX_LEAF_LEVEL %
							     ARRAY_LEN(COVERS)) };
		bool in_table = c.held >= HELD_EMPTY_TABLE && c.held <= HELD_SOFT_PAGE;

		if (c.level > 1 || (!in_table && c.cover <= 2))
			policy_try(&c);
	}
}

static void defect_1_refuse_leaves_whatever_is_in_use(void)
{
	try_policy(PT_REFUSE);
}

static void defect_1_keep_leaves_what_translates_the_same_and_refuses_the_rest(void)
{
	try_policy(PT_KEEP);
}

static void replace_takes_the_place_of_all_but_a_part_of_a_soft_entry(void)
{
	try_policy(PT_REPLACE);
}

/* ------------------------------------------------------------------------
 * Policies: counts, flushes, and what is there afterwards
 */

#define REPLACING .op = SCENE_MAP, .options.conflict = PT_REPLACE
#define KEEPING   .op = SCENE_MAP, .options.conflict = PT_KEEP

static const struct scene REPLACE_SCENES[] = {
	{ .name = "a page by another",
	  .before = { SCENE_RUN(MIB, MIB, 1, PT_GLOBAL, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(MIB, 5 * MIB, 1, PT_EXEC, PT_WC),
	  .leaves = { 0, 1 },
	  .after = { SCENE_RUN(MIB, 5 * MIB, 1, PT_EXEC, PT_WC) },
	  .flush = { { MIB }, 1 },
	  .global = true },
	{ .name = "a hole needs no flush",
	  .before = { SCENE_RUN(MIB, MIB, 1, 0, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(0, 0, 3, 0, PT_WB),
	  .leaves = { 0, 3 },
	  .after = { SCENE_RUN(0, 0, 3, 0, PT_WB), SCENE_RUN(MIB, MIB, 1, 0, PT_WB) } },
	{ .name = "the middle of 1 GiB by a page",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), PT_WRITE, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(5 * MIB, 0, 1, 0, PT_UC),
	  .tables = 2,
	  .leaves = { 0, 1 },
	  .after = { SCENE_RUN(0, 0, PAGES(5 * MIB), PT_WRITE, PT_WB),
		     SCENE_RUN(5 * MIB, 0, 1, 0, PT_UC),
		     SCENE_RUN(5 * MIB + 4096, 5 * MIB + 4096, PAGES(GIB - 5 * MIB) - 1, PT_WRITE,
			       PT_WB) },
	  .flush = { { 5 * MIB }, 1 } },
	{ .name = "2 MiB in 1 GiB by one leaf",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), PT_GLOBAL, PT_WP) },
	  REPLACING,
	  .with = SCENE_RUN(4 * MIB, 32 * MIB, PAGES(2 * MIB), 0, PT_WB),
	  .tables = 1,
	  .leaves = { 0, 0, 1 },
	  .after = { SCENE_RUN(0, 0, PAGES(4 * MIB), PT_GLOBAL, PT_WP),
		     SCENE_RUN(4 * MIB, 32 * MIB, PAGES(2 * MIB), 0, PT_WB),
		     SCENE_RUN(6 * MIB, 6 * MIB, PAGES(GIB - 6 * MIB), PT_GLOBAL, PT_WP) },
	  .flush = { { 4 * MIB }, PAGES(2 * MIB) },
	  .global = true },
	{ .name = "2 MiB in 1 GiB by small leaves",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  REPLACING,
	  .options.max_leaf = 1,
	  .with = SCENE_RUN(4 * MIB, 32 * MIB, PAGES(2 * MIB), 0, PT_WB),
	  .tables = 2,
	  .leaves = { 0, 512 },
	  .after = { SCENE_RUN(0, 0, PAGES(4 * MIB), 0, PT_WB),
		     SCENE_RUN(4 * MIB, 32 * MIB, PAGES(2 * MIB), 0, PT_WB),
		     SCENE_RUN(6 * MIB, 6 * MIB, PAGES(GIB - 6 * MIB), 0, PT_WB) },
	  .flush = { { 4 * MIB }, PAGES(2 * MIB) } },
	{ .name = "2 MiB and a page in 1 GiB, the addresses incongruent",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(4 * MIB, 4096, PAGES(2 * MIB) + 1, PT_WRITE, PT_WB),
	  .tables = 3,
	  .leaves = { 0, 513 },
	  .after = { SCENE_RUN(0, 0, PAGES(4 * MIB), 0, PT_WB),
		     SCENE_RUN(4 * MIB, 4096, PAGES(2 * MIB) + 1, PT_WRITE, PT_WB),
		     SCENE_RUN(6 * MIB + 4096, 6 * MIB + 4096, PAGES(GIB - 6 * MIB) - 1, 0,
			       PT_WB) },
	  .flush = { { 4 * MIB }, PAGES(2 * MIB) + 1 } },
	{ .name = "2 MiB as a whole by small leaves",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * MIB), PT_GLOBAL, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(0, 4096, PAGES(2 * MIB), 0, PT_WB),
	  .tables = 1,
	  .leaves = { 0, 512 },
	  .after = { SCENE_RUN(0, 4096, PAGES(2 * MIB), 0, PT_WB) },
	  .flush = { { 0 }, PAGES(2 * MIB) },
	  .global = true },
	{ .name = "1 GiB as a whole by leaves of 2 MiB",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), 0, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(0, 2 * MIB, PAGES(GIB), 0, PT_WB),
	  .tables = 1,
	  .leaves = { 0, 0, 512 },
	  .after = { SCENE_RUN(0, 2 * MIB, PAGES(GIB), 0, PT_WB) },
	  .flush = { { 0 }, PAGES(GIB) } },
	{ .name = "#11, #12: a full table by one leaf",
	  .before = { SCENE_RUN(2 * MIB, 4096, PAGES(2 * MIB), 0, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(2 * MIB, 2 * MIB, PAGES(2 * MIB), 0, PT_WB),
	  .leaves = { 0, 0, 1 },
	  .released = 1,
	  .after = { SCENE_RUN(2 * MIB, 2 * MIB, PAGES(2 * MIB), 0, PT_WB) },
	  .flush = { { 2 * MIB }, PAGES(2 * MIB) },
	  .global = true },
	{ .name = "#11, #12: two levels of tables by one leaf",
	  .before = { SCENE_RUN(GIB, 4096, 1, 0, PT_WB),
		      SCENE_RUN(GIB + 8 * MIB, 4096, 9, PT_GLOBAL, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(GIB, GIB, PAGES(GIB), 0, PT_WB),
	  .leaves = { 0, 0, 0, 1 },
	  .released = 3,
	  .after = { SCENE_RUN(GIB, GIB, PAGES(GIB), 0, PT_WB) },
	  .flush = { { GIB }, PAGES(GIB) },
	  .global = true },
	{ .name = "across leaves of all sizes",
	  .before = { SCENE_RUN(GIB - 2 * MIB - 4096, 4096, 1, 0, PT_WB),
		      SCENE_RUN(GIB - 2 * MIB, 0, PAGES(2 * MIB), 0, PT_WB),
		      SCENE_RUN(GIB, 0, PAGES(GIB), 0, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(GIB - 2 * MIB - 4096, 8 * GIB - 2 * MIB - 4096, PAGES(2 * MIB) + 2,
			    PT_WRITE, PT_WB),
	  .tables = 2,
	  .leaves = { 0, 2, 1 },
	  .after = { SCENE_RUN(GIB - 2 * MIB - 4096, 8 * GIB - 2 * MIB - 4096, PAGES(2 * MIB) + 2,
			       PT_WRITE, PT_WB),
		     SCENE_RUN(GIB + 4096, 4096, PAGES(GIB) - 1, 0, PT_WB) },
	  .flush = { { GIB - 2 * MIB - 4096 }, PAGES(2 * MIB) + 2 } },
	{ .name = "#3: the last page",
	  .before = { SCENE_RUN(0xffffffffffe00000, 0, PAGES(2 * MIB), 0, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(0xfffffffffffff000, MIB, 1, PT_WRITE, PT_WB),
	  .tables = 1,
	  .leaves = { 0, 1 },
	  .after = { SCENE_RUN(0xffffffffffe00000, 0, PAGES(2 * MIB) - 1, 0, PT_WB),
		     SCENE_RUN(0xfffffffffffff000, MIB, 1, PT_WRITE, PT_WB) },
	  .flush = { { 0xfffffffffffff000 }, 1 } },
	{ .name = "nothing at all",
	  .before = { SCENE_RUN(0, 0, 1, 0, PT_WB) },
	  REPLACING,
	  .with = SCENE_RUN(0, MIB, 0, 0, PT_WB),
	  .after = { SCENE_RUN(0, 0, 1, 0, PT_WB) } },
};

static void replace_splits_and_retires_as_it_announces(void)
{
	for (size_t i = 0; i < ARRAY_LEN(REPLACE_SCENES); i++)
		scene_play(&REPLACE_SCENES[i], scene_cpu());
}

static const struct scene KEEP_SCENES[] = {
	{ .name = "the same again",
	  .before = { SCENE_RUN(GIB - 4096, GIB - 4096, PAGES(GIB) + 2, 0, PT_WB) },
	  KEEPING,
	  .with = SCENE_RUN(GIB - 4096, GIB - 4096, PAGES(GIB) + 2, 0, PT_WB),
	  .after = { SCENE_RUN(GIB - 4096, GIB - 4096, PAGES(GIB) + 2, 0, PT_WB) } },
	{ .name = "a hole before, between and behind",
	  .before = { SCENE_RUN(4096, 4096, 1, 0, PT_WB),
		      SCENE_RUN(3 * 4096, 3 * 4096, 1, 0, PT_WB) },
	  KEEPING,
	  .with = SCENE_RUN(0, 0, 5, 0, PT_WB),
	  .leaves = { 0, 3 },
	  .after = { SCENE_RUN(0, 0, 5, 0, PT_WB) } },
	{ .name = "a part of 1 GiB and beyond",
	  .before = { SCENE_RUN(0, 0, PAGES(GIB), PT_WRITE, PT_WC) },
	  KEEPING,
	  .with = SCENE_RUN(GIB - 4096, GIB - 4096, 2, PT_WRITE, PT_WC),
	  .tables = 2,
	  .leaves = { 0, 1 },
	  .after = { SCENE_RUN(0, 0, PAGES(GIB) + 1, PT_WRITE, PT_WC) } },
	{ .name = "a part of 2 MiB, asked for in small leaves",
	  .before = { SCENE_RUN(0, 0, PAGES(2 * MIB), 0, PT_WB) },
	  KEEPING,
	  .options.max_leaf = 1,
	  .with = SCENE_RUN(7 * 4096, 7 * 4096, 2, 0, PT_WB),
	  .after = { SCENE_RUN(0, 0, PAGES(2 * MIB), 0, PT_WB) } },
	{ .name = "small leaves where a large one would fit",
	  .before = { SCENE_RUN(0, 0, 3, 0, PT_WB) },
	  KEEPING,
	  .with = SCENE_RUN(0, 0, PAGES(4 * MIB), 0, PT_WB),
	  .leaves = { 0, 509, 1 },
	  .after = { SCENE_RUN(0, 0, PAGES(4 * MIB), 0, PT_WB) } },
	{ .name = "the right page in a leaf that is one page off",
	  .before = { SCENE_RUN(0, 2 * MIB, PAGES(2 * MIB), 0, PT_WB) },
	  KEEPING,
	  .with = SCENE_RUN(4096, 2 * MIB, 1, 0, PT_WB),
	  .status = PT_ERR_OVERLAP },
	{ .name = "#1: the last page differs",
	  .before = { SCENE_RUN(0, 0, 1, 0, PT_WB), SCENE_RUN(9 * 4096, 0, 1, 0, PT_WB) },
	  KEEPING,
	  .with = SCENE_RUN(0, 0, 10, 0, PT_WB),
	  .status = PT_ERR_OVERLAP,
	  .where = 9 * 4096 },
	{ .name = "exact leaves of 2 MiB are kept",
	  .before = { SCENE_RUN(2 * MIB, 2 * MIB, PAGES(2 * MIB), 0, PT_WB) },
	  KEEPING,
	  .options.max_leaf = 2,
	  .options.exact = true,
	  .with = SCENE_RUN(0, 0, PAGES(6 * MIB), 0, PT_WB),
	  .leaves = { 0, 0, 2 },
	  .after = { SCENE_RUN(0, 0, PAGES(6 * MIB), 0, PT_WB) } },
	{ .name = "small leaves are no exact ones of 2 MiB",
	  .before = { SCENE_RUN(2 * MIB + 4096, 2 * MIB + 4096, 4, 0, PT_WB) },
	  KEEPING,
	  .options.max_leaf = 2,
	  .options.exact = true,
	  .with = SCENE_RUN(0, 0, PAGES(6 * MIB), 0, PT_WB),
	  .status = PT_ERR_OVERLAP,
	  .where = 2 * MIB + 4096 },
};

static void keep_fills_the_holes_and_no_more(void)
{
	for (size_t i = 0; i < ARRAY_LEN(KEEP_SCENES); i++)
		scene_play(&KEEP_SCENES[i], scene_cpu());
}

/* The leaf that is there, and the one asked for; all else is the same. */
static void keep_compares_address_rights_and_cache_type_and_nothing_else(void)
{
	static const struct {
		const char *name;
		struct pt_attr is, wanted;
		uint64_t set; /* in the entry */
		uint64_t off;
		bool kept;
	} rows[] = {
		{ "equal", { PT_WRITE, PT_WB }, { PT_WRITE, PT_WB }, 0, 0, true },
		{ "accessed", { 0, PT_WB }, { 0, PT_WB }, 0x20, 0, true },
		{ "dirty", { PT_WRITE, PT_WB }, { PT_WRITE, PT_WB }, 0x40, 0, true },
		{ "accessed wanted", { 0, PT_WB }, { PT_ACCESSED, PT_WB }, 0, 0, true },
		{ "dirty wanted", { 0, PT_WB }, { PT_DIRTY, PT_WB }, 0, 0, true },
		{ "software bits 11 and 10", { 0, PT_WB }, { 0, PT_WB }, 0xc00, 0, true },
		{ "software bits 58..52 and key",
		  { 0, PT_WB },
		  { 0, PT_WB },
		  UINT64_C(0x7ff0000000000000),
		  0,
		  true },
		{ "write wanted", { 0, PT_WB }, { PT_WRITE, PT_WB }, 0, 0, false },
		{ "write there", { PT_WRITE, PT_WB }, { 0, PT_WB }, 0, 0, false },
		{ "user wanted", { 0, PT_WB }, { PT_USER, PT_WB }, 0, 0, false },
		{ "user there", { PT_USER, PT_WB }, { 0, PT_WB }, 0, 0, false },
		{ "exec wanted", { 0, PT_WB }, { PT_EXEC, PT_WB }, 0, 0, false },
		{ "exec there", { PT_EXEC, PT_WB }, { 0, PT_WB }, 0, 0, false },
		{ "global wanted", { 0, PT_WB }, { PT_GLOBAL, PT_WB }, 0, 0, false },
		{ "global there", { PT_GLOBAL, PT_WB }, { 0, PT_WB }, 0, 0, false },
		{ "another cache type", { 0, PT_WB }, { 0, PT_WC }, 0, 0, false },
		{ "another cache type by the PAT bit", { 0, PT_WB }, { 0, PT_WP }, 0, 0, false },
		{ "UC- instead of UC", { 0, PT_UC }, { 0, PT_UC_MINUS }, 0, 0, false },
		{ "another address", { 0, PT_WB }, { 0, PT_WB }, 0, 16 * GIB, false },
	};

	for (size_t i = 0; i < PT_MAX_LEAF_LEVEL * ARRAY_LEN(rows); i++) {
		size_t row = i / PT_MAX_LEAF_LEVEL;
		unsigned level = 1 + (unsigned)(i % PT_MAX_LEAF_LEVEL);
		struct pt_options keep = { .conflict = PT_KEEP };
		struct pt_mapping m = { virt(SLOT), phys(SLOT), level_pages(level), rows[row].is };
		struct space_fixture f;

		scene_init(&f, scene_cpu());
		scene_map(&f, m);
		*scene_entry(&f, SLOT, level) |= rows[row].set;
		space_snapshot_take(&f.shot, &f.arena);
		m.attr = rows[row].wanted;
		m.pa.raw += rows[row].off;
		CHECK_STATUS(pt_map(&f.space, &m, &keep, &f.flush),
			     rows[row].kept ? PT_OK : PT_ERR_OVERLAP, space_text, rows[row].name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), rows[row].name);
		CHECK_EQ(f.flush.pages, 0, rows[row].name);
		space_fixture_free(&f);
	}
}

static void keep_asks_for_no_execution_right_without_nx(void)
{
	static const uint32_t wanted[] = { 0, PT_EXEC };
	struct pt_options keep = { .conflict = PT_KEEP };

	for (size_t i = 0; i < 2 * ARRAY_LEN(wanted); i++) {
		struct pt_cpu cpu = scene_cpu();
		struct pt_mapping m = { virt(SLOT), phys(SLOT), 1, { wanted[i / 2], PT_WB } };
		struct space_fixture f;

		cpu.nx = false;
		scene_init(&f, cpu);
		scene_map(&f, m);
		m.attr.flags = wanted[i % 2];
		CHECK_STATUS(pt_map(&f.space, &m, &keep, &f.flush), PT_OK, space_text,
			     i % 2 ? "executable" : "not executable");
		space_fixture_free(&f);
	}
}

/* Reserved bits: what faults does not translate as the call would have it (SDM 3A 4.7). */
static void keep_does_not_take_a_broken_leaf_for_a_mapping(void)
{
	struct pt_mapping m = { virt(SLOT), phys(SLOT), 1, RO };
	struct pt_options keep = { .conflict = PT_KEEP };

	for (unsigned row = 0; row < 3; row++) {
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;

		cpu.nx = row != 0;
		m.pages = row == 0 ? 1 : PAGES(2 * MIB);
		scene_init(&f, cpu);
		scene_map(&f, m);
		*scene_entry(&f, SLOT, row == 0 ? 1 : 2) |= row == 0 ? XD : 0x2000;
		if (row == 2)
			m.pages = 1;
		space_snapshot_take(&f.shot, &f.arena);
		CHECK(pt_map(&f.space, &m, &keep, &f.flush) != PT_OK,
		      row ? "below the address" : "XD without NX");
		CHECK(space_snapshot_equal(&f.shot, &f.arena), "broken leaf");
		space_fixture_free(&f);
	}
}

static void defect_1_a_link_that_forbids_is_no_matter_of_policy(void)
{
	struct pt_mapping m = { virt(0), phys(0), 2, RW };

	for (enum pt_conflict policy = PT_REFUSE; policy <= PT_REPLACE; policy++) {
		struct pt_options options = { .conflict = policy };
		struct space_fixture f;

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ virt(4 * 4096), phys(0), 1, RO });
		*scene_entry(&f, 0, 3) &= ~UINT64_C(2);
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_ERR_LINK, space_text,
			     POLICIES[policy]);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), POLICIES[policy]);
		space_fixture_free(&f);
	}
}

static void replace_splits_no_leaf_that_is_broken(void)
{
	struct pt_mapping m = { virt(2 * MIB), phys(0), 1, RO };
	struct pt_options replace = { .conflict = PT_REPLACE };
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(2 * MIB), phys(2 * MIB), 512, RO });
	*scene_entry(&f, 2 * MIB, 2) |= 0x2000;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_map(&f.space, &m, &replace, &f.flush), PT_ERR_CORRUPT, space_text, "part");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "part");
	m.pages = 512;
	m.pa = phys(4 * MIB);
	CHECK_STATUS(pt_map(&f.space, &m, &replace, &f.flush), PT_OK, space_text, "whole");
	CHECK_EQ(f.flush.pages, 512, "whole");
	scene_expect_runs(&f, (struct pt_mapping[]){ m, { .pages = 0 } }, "whole");
	space_fixture_free(&f);
}

/* Cycles and wild links in what is to be dropped: it goes unread, but for the release. */
static void defect_16_replace_does_not_follow_a_link_out_of_reach(void)
{
	struct pt_mapping m = { virt(2 * MIB), phys(0), 512, RO };
	struct pt_options replace = { .conflict = PT_REPLACE };
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
	*scene_entry(&f, 2 * MIB, 2) = 0x1007;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_map(&f.space, &m, 0, &f.flush), PT_ERR_CORRUPT, space_text, "refuse");
	m.pages = 1;
	CHECK_STATUS(pt_map(&f.space, &m, &replace, &f.flush), PT_ERR_CORRUPT, space_text, "part");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "refused");
	CHECK_EQ(pt_release(&f.space, &f.flush), 0, "refused");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * Sizes
 */

static const struct {
	const char *name;
	uint64_t va, pa, pages;
	struct pt_options options;
	unsigned cpu_leaf; /* the processor's largest; 0: 3 */
	enum pt_status status;
	uint64_t leaves[PT_MAX_LEAF_LEVEL + 1];
} SIZE_ROWS[] = {
	{ "one of 4 KiB", MIB, 0, 1, { .max_leaf = 1, .exact = true }, 0, PT_OK, { 0, 1 } },
	{ "one of 2 MiB",
	  2 * MIB,
	  0,
	  512,
	  { .max_leaf = 2, .exact = true },
	  0,
	  PT_OK,
	  { 0, 0, 1 } },
	{ "one of 1 GiB",
	  GIB,
	  0,
	  PAGES(GIB),
	  { .max_leaf = 3, .exact = true },
	  0,
	  PT_OK,
	  { 0, 0, 0, 1 } },
	{ "4 MiB in small ones",
	  0,
	  0,
	  1024,
	  { .max_leaf = 1, .exact = true },
	  0,
	  PT_OK,
	  { 0, 1024 } },
	{ "2 GiB and 2 MiB in ones of 2 MiB",
	  0,
	  0,
	  PAGES(2 * GIB) + 512,
	  { .max_leaf = 2, .exact = true },
	  0,
	  PT_OK,
	  { 0, 0, 1025 } },
	{ "3 GiB in ones of 1 GiB",
	  0,
	  0,
	  PAGES(3 * GIB),
	  { .max_leaf = 3, .exact = true },
	  0,
	  PT_OK,
	  { 0, 0, 0, 3 } },
	{ "none of 2 MiB", 0, 0, 0, { .max_leaf = 2, .exact = true }, 0, PT_OK, { 0 } },
	{ "the last 2 MiB",
	  0xffffffffffe00000,
	  0,
	  512,
	  { .max_leaf = 2, .exact = true },
	  0,
	  PT_OK,
	  { 0, 0, 1 } },
	{ "2 MiB on a processor without 1 GiB",
	  0,
	  0,
	  512,
	  { .max_leaf = 2, .exact = true },
	  2,
	  PT_OK,
	  { 0, 0, 1 } },
	{ "va one page up",
	  4096,
	  0,
	  512,
	  { .max_leaf = 2, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "pa one page up",
	  0,
	  4096,
	  512,
	  { .max_leaf = 2, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "both one page up",
	  4096,
	  4096,
	  512,
	  { .max_leaf = 2, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "a page too many",
	  0,
	  0,
	  513,
	  { .max_leaf = 2, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "a page too few",
	  0,
	  0,
	  511,
	  { .max_leaf = 2, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "one page", 0, 0, 1, { .max_leaf = 3, .exact = true }, 0, PT_ERR_UNALIGNED, { 0 } },
	{ "1 GiB, va 2 MiB up",
	  2 * MIB,
	  0,
	  PAGES(GIB),
	  { .max_leaf = 3, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "1 GiB, pa 2 MiB up",
	  0,
	  2 * MIB,
	  PAGES(GIB),
	  { .max_leaf = 3, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "1 GiB, both 2 MiB up",
	  2 * MIB,
	  2 * MIB,
	  PAGES(GIB),
	  { .max_leaf = 3, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "1 GiB and 2 MiB",
	  0,
	  0,
	  PAGES(GIB) + 512,
	  { .max_leaf = 3, .exact = true },
	  0,
	  PT_ERR_UNALIGNED,
	  { 0 } },
	{ "half a page", 2048, 0, 1, { .max_leaf = 1, .exact = true }, 0, PT_ERR_UNALIGNED, { 0 } },
	{ "exact, but no size", 0, 0, 1, { .exact = true }, 0, PT_ERR_LEVEL, { 0 } },
	{ "exact, level 4",
	  0,
	  0,
	  PAGES(512 * GIB),
	  { .max_leaf = 4, .exact = true },
	  0,
	  PT_ERR_LEVEL,
	  { 0 } },
	{ "exact 1 GiB on a processor without",
	  0,
	  0,
	  PAGES(GIB),
	  { .max_leaf = 3, .exact = true },
	  2,
	  PT_ERR_LEVEL,
	  { 0 } },
	{ "exact 2 MiB on one with small pages only",
	  0,
	  0,
	  512,
	  { .max_leaf = 2, .exact = true },
	  1,
	  PT_ERR_LEVEL,
	  { 0 } },
	{ "a cap of level 4", 0, 0, 1, { .max_leaf = 4 }, 0, PT_ERR_LEVEL, { 0 } },
	{ "a cap of 1 GiB on a processor without",
	  0,
	  0,
	  PAGES(GIB),
	  { .max_leaf = 3 },
	  2,
	  PT_OK,
	  { 0, 0, 512 } },
	{ "a cap of 2 MiB and a page more", 0, 0, 513, { .max_leaf = 2 }, 0, PT_OK, { 0, 1, 1 } },
};

static void defect_11_exact_leaves_have_their_size_or_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(SIZE_ROWS); i++) {
		struct pt_mapping m = { virt(SIZE_ROWS[i].va), phys(SIZE_ROWS[i].pa),
					SIZE_ROWS[i].pages, RO };
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;
		struct pt_plan plan = { .tables = 77 };
		struct pt_audit audit;
		phys_addr scratch[32];

		cpu.max_leaf = SIZE_ROWS[i].cpu_leaf ? (uint8_t)SIZE_ROWS[i].cpu_leaf : 3;
		scene_init(&f, cpu);
		CHECK_STATUS(pt_plan_map(&f.space, &m, &SIZE_ROWS[i].options, &plan),
			     SIZE_ROWS[i].status, space_text, SIZE_ROWS[i].name);
		CHECK_STATUS(pt_map(&f.space, &m, &SIZE_ROWS[i].options, &f.flush),
			     SIZE_ROWS[i].status, space_text, SIZE_ROWS[i].name);
		CHECK_STATUS(pt_audit(&f.space, scratch, 32, &audit), PT_OK, space_text,
			     SIZE_ROWS[i].name);
		for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
			CHECK_EQ(plan.leaves[level], SIZE_ROWS[i].leaves[level], SIZE_ROWS[i].name);
			CHECK_EQ(audit.leaves[level], SIZE_ROWS[i].leaves[level],
				 SIZE_ROWS[i].name);
		}
		CHECK_EQ(plan.tables + 1, audit.tables, SIZE_ROWS[i].name);
		space_fixture_free(&f);
	}
}

static void defect_12_an_exact_leaf_replaces_an_empty_table_under_every_policy(void)
{
	struct pt_mapping m = { virt(2 * MIB), phys(0), 512, RO };

	for (enum pt_conflict policy = PT_REFUSE; policy <= PT_REPLACE; policy++) {
		struct pt_options options = { .conflict = policy, .max_leaf = 2, .exact = true };
		struct space_fixture f;

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ virt(2 * MIB), phys(0), 1, RO });
		*scene_entry(&f, 2 * MIB, 1) = 0;
		CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_OK, space_text,
			     POLICIES[policy]);
		CHECK_EQ(pt_release(&f.space, &f.flush), 1, POLICIES[policy]);
		CHECK_EQ(*scene_entry(&f, 2 * MIB, 2) & 0x81, 0x81, POLICIES[policy]);
		space_fixture_free(&f);
	}
}

/* ------------------------------------------------------------------------
 * Links
 */

static uint64_t link_bits(uint32_t rights)
{
	return (rights & PT_WRITE ? 2u : 0u) | (rights & PT_USER ? 4u : 0u) |
	       (rights & PT_EXEC ? 0 : XD);
}

static void new_links_let_through_what_was_asked_for(void)
{
	struct pt_mapping m = { virt(0), phys(0), 1, { PT_WRITE | PT_USER, PT_WB } };

	for (uint32_t links = 0; links <= 7; links++) {
		for (unsigned set = 0; set < 2; set++) {
			struct pt_options options = { .set_links = set, .links = links };
			uint64_t want = set ? link_bits(links) : 6;
			struct pt_leaf leaf = { .level = 0 };
			struct space_fixture f;

			scene_init(&f, scene_cpu());
			CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_OK, space_text,
				     "map");
			for (unsigned level = 2; level <= 4; level++) {
				CHECK_EQ(*scene_entry(&f, 0, level) & LINK_BITS, want, "link");
				CHECK_EQ(*scene_entry(&f, 0, level) & 0x81, 1, "a link");
			}
			CHECK_STATUS(pt_query(&f.space, m.va, &leaf), PT_OK, space_text, "query");
			CHECK_EQ(leaf.own, PT_WRITE | PT_USER, "the leaf states all");
			CHECK_EQ(leaf.attr.flags, set ? leaf.own & links : leaf.own, "effective");
			space_fixture_free(&f);
		}
	}
}

static void new_links_carry_no_xd_on_a_processor_without_nx(void)
{
	struct pt_mapping m = { virt(0), phys(0), 1, RW };
	struct pt_options options = { .set_links = true };
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;

	cpu.nx = false;
	scene_init(&f, cpu);
	CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_OK, space_text, "map");
	for (unsigned level = 2; level <= 4; level++)
		CHECK_EQ(*scene_entry(&f, 0, level) & LINK_BITS, 0, "link");
	space_fixture_free(&f);
}

/* A foreign link of each level has `is`; the others let everything through. */
static void defect_10_links_that_exist_are_widened_and_never_narrowed(void)
{
	const uint64_t foreign = UINT64_C(0x0010000000000e20); /* software bits and A */

	for (unsigned i = 0; i < 3 * 8 * 8; i++) {
		unsigned level = 2 + i / 64;
		uint32_t is = i % 8, links = i / 8 % 8;
		struct pt_mapping m = { virt(0), phys(0), 1, RO };
		struct pt_options options = { .set_links = true, .links = links };
		struct space_fixture f;
		uint64_t *link, before, others[5];

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ virt(4096), phys(MIB), 1, RO });
		for (unsigned l = 2; l <= 4; l++)
			others[l] = *scene_entry(&f, 0, l);
		link = scene_entry(&f, 0, level);
		*link = (*link & ~LINK_BITS) | link_bits(is) | foreign;
		before = *link;
		CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_OK, space_text, "map");
		CHECK_EQ(*link, (before & ~LINK_BITS) | link_bits(is | links), "the link");
		for (unsigned l = 2; l <= 4; l++) {
			if (l != level)
				CHECK_EQ(*scene_entry(&f, 0, l), others[l], "another link");
		}
		space_fixture_free(&f);
	}
}

/* Links that let nothing through, two pages behind them; calls that pass them. */
static enum pt_status pass_links(struct space_fixture *f, unsigned call)
{
	struct pt_options options = { .conflict = (enum pt_conflict)call, .links = PT_WRITE };
	struct pt_mapping m = { virt(0), phys(0), 1, RO };
	struct pt_range range = { virt(4096), 1 };
	struct pt_leaf gone;

	switch (call) {
	case PT_REFUSE:
	case PT_KEEP:
	case PT_REPLACE:
		return pt_map(&f->space, &m, &options, &f->flush);
	case 3:
		return pt_protect(&f->space, range, RO, &f->flush);
	case 4:
		return pt_unmap(&f->space, range, &f->flush);
	case 5:
		return pt_clean(&f->space, range, &f->flush);
	case 6:
		return pt_page_protect(&f->space, range.va, 1, RO, &f->flush);
	default:
		return pt_page_unmap(&f->space, range.va, 1, &f->flush, &gone);
	}
}

static void defect_10_no_call_touches_a_link_unless_it_is_to_set_links(void)
{
	static const char names[][16] = { "refuse", "keep",  "replace",      "protect",
					  "unmap",  "clean", "page protect", "page unmap" };

	for (unsigned call = 0; call < ARRAY_LEN(names); call++) {
		struct space_fixture f;
		uint64_t before[5];

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ virt(4096), phys(MIB), 2, RO });
		for (unsigned level = 2; level <= 4; level++) {
			uint64_t *link = scene_entry(&f, 0, level);

			before[level] = *link = (*link & ~LINK_BITS) | XD | 0xe00;
		}
		CHECK_STATUS(pass_links(&f, call), PT_OK, space_text, names[call]);
		for (unsigned level = 2; level <= 4; level++)
			CHECK_EQ(*scene_entry(&f, 0, level), before[level], names[call]);
		space_fixture_free(&f);
	}
}

static void a_right_that_a_link_forbids_is_refused_unless_links_are_set(void)
{
	struct pt_mapping m = { virt(0), phys(0), 1, { PT_WRITE, PT_WB } };
	struct pt_options options = { .links = PT_WRITE };
	struct pt_leaf leaf = { .level = 0 };
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(4096), phys(MIB), 1, RO });
	*scene_entry(&f, 0, 3) &= ~UINT64_C(2);
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_ERR_LINK, space_text, "unset");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "unset");
	options.set_links = true;
	CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_OK, space_text, "set");
	CHECK_STATUS(pt_query(&f.space, m.va, &leaf), PT_OK, space_text, "set");
	CHECK_EQ(leaf.attr.flags, PT_WRITE, "set");
	space_fixture_free(&f);
}

static void a_right_that_no_link_has_is_refused(void)
{
	static const uint32_t links[] = { PT_GLOBAL, PT_ACCESSED, PT_DIRTY, 1u << 6, 1u << 31 };
	struct pt_mapping m = { virt(0), phys(0), 1, RO };

	for (size_t i = 0; i < 2 * ARRAY_LEN(links); i++) {
		struct pt_options options = { .set_links = i % 2, .links = links[i / 2] };
		struct space_fixture f;
		struct pt_plan plan;

		scene_init(&f, scene_cpu());
		CHECK_STATUS(pt_plan_map(&f.space, &m, &options, &plan), PT_ERR_ATTR, space_text,
			     "plan");
		CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_ERR_ATTR, space_text,
			     "map");
		CHECK(space_snapshot_equal(&f.shot, &f.arena), "map");
		space_fixture_free(&f);
	}
}

/* The last page is in use, or there are no tables: links on the way stay as they were. */
static void defect_1_a_refused_map_widens_no_link(void)
{
	struct pt_mapping m = { virt(0), phys(0), 10, RW };
	struct pt_options options = { .set_links = true, .links = PT_WRITE | PT_EXEC };

	for (unsigned row = 0; row < 2; row++) {
		struct space_fixture f;
		enum pt_status want = row ? PT_ERR_NO_TABLES : PT_ERR_OVERLAP;

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ virt(9 * 4096), phys(MIB), 1, RO });
		for (unsigned level = 2; level <= 4; level++)
			*scene_entry(&f, 0, level) &= ~UINT64_C(6);
		if (row) {
			options.conflict = PT_REPLACE;
			m.pages = 513;
			f.arena.limit = space_taken(&f.arena);
		}
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), want, space_text, "map");
		CHECK(space_snapshot_equal(&f.shot, &f.arena), "map");
		space_fixture_free(&f);
	}
}

/* The rest of the leaf keeps its rights, whatever new links are to let through. */
static void a_split_takes_no_right_from_the_rest_of_the_leaf(void)
{
	struct pt_mapping m = { virt(4096), phys(0), 1, RO };
	struct pt_options options = { .conflict = PT_REPLACE, .set_links = true };

	for (unsigned level = 2; level <= PT_MAX_LEAF_LEVEL; level++) {
		struct pt_attr attr = { PT_WRITE | PT_USER, PT_WB };
		struct pt_mapping all = { virt(0), phys(0), level_pages(level), attr };
		struct pt_mapping after[] = { all, m, all, { .pages = 0 } };
		struct space_fixture f;

		scene_init(&f, scene_cpu());
		scene_map(&f, all);
		CHECK_STATUS(pt_map(&f.space, &m, &options, &f.flush), PT_OK, space_text, "map");
		after[0].pages = 1;
		after[2] = (struct pt_mapping){ virt(8192), phys(8192), all.pages - 2, attr };
		scene_expect_runs(&f, after, "split");
		space_fixture_free(&f);
	}
}

/* ------------------------------------------------------------------------
 * Cleaning
 */

/* Tables for 0, 2 MiB and 1 GiB; the first two are left empty, the third has a page. */
static void clean_prepare(struct space_fixture *f, bool third_is_empty)
{
	scene_init(f, scene_cpu());
	scene_map(f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
	scene_map(f, (struct pt_mapping){ virt(2 * MIB), phys(0), 1, RO });
	scene_map(f, (struct pt_mapping){ virt(GIB), phys(0), 1, RO });
	*scene_entry(f, 0, 1) = 0;
	*scene_entry(f, 2 * MIB, 1) = 0;
	if (third_is_empty)
		*scene_entry(f, GIB, 1) = 0;
	space_snapshot_take(&f->shot, &f->arena);
}

#define CLEANING(va, pages) .op = SCENE_CLEAN, .with = SCENE_RUN(va, 0, pages, 0, PT_WB)
#define THE_PAGE            SCENE_RUN(GIB, 0, 1, 0, PT_WB)

static const struct {
	struct scene scene;
	bool third_is_empty;
} CLEAN_ROWS[] = {
	{ { .name = "one page: its table only",
	    CLEANING(0, 1),
	    .released = 1,
	    .flush = { { 0 }, 1 },
	    .after = { THE_PAGE } },
	  false },
	{ { .name = "a page that was never mapped, of an empty table",
	    CLEANING(MIB, 1),
	    .released = 1,
	    .flush = { { MIB }, 1 },
	    .after = { THE_PAGE } },
	  false },
	{ { .name = "a page of each of two tables: and the one above",
	    CLEANING(2 * MIB - 4096, 2),
	    .released = 3,
	    .flush = { { 2 * MIB - 4096 }, 2 },
	    .after = { THE_PAGE } },
	  false },
	{ { .name = "all: the page and its tables stay",
	    CLEANING(0, PAGES(512 * GIB)),
	    .released = 3,
	    .flush = { { 0 }, PAGES(4 * MIB) },
	    .after = { THE_PAGE } },
	  false },
	{ { .name = "the page in use", CLEANING(GIB, 1), .after = { THE_PAGE } }, false },
	{ { .name = "where there is no table", CLEANING(8 * MIB, 512), .after = { THE_PAGE } },
	  false },
	{ { .name = "another half",
	    CLEANING(0xffff800000000000, PAGES(128 * 1024 * GIB)),
	    .after = { THE_PAGE } },
	  false },
	{ { .name = "no page", CLEANING(0, 0), .after = { THE_PAGE } }, false },
	{ { .name = "all of an empty space: the root stays",
	    CLEANING(0, PAGES(128 * 1024 * GIB)),
	    .released = 6,
	    .flush = { { 0 }, PAGES(GIB) + 1 } },
	  true },
	{ { .name = "an end of a half: beyond the end",
	    CLEANING(0x7ffffffff000, 2),
	    .status = PT_ERR_RANGE },
	  true },
	{ { .name = "half a page", CLEANING(2048, 1), .status = PT_ERR_UNALIGNED }, true },
};

static void defect_12_clean_retires_tables_that_hold_nothing(void)
{
	for (size_t i = 0; i < ARRAY_LEN(CLEAN_ROWS); i++) {
		struct space_fixture f;

		clean_prepare(&f, CLEAN_ROWS[i].third_is_empty);
		scene_act(&f, &CLEAN_ROWS[i].scene);
		space_fixture_free(&f);
	}
}

static void clean_changes_no_leaf_and_no_soft_entry(void)
{
	static const struct scene scene = {
		.name = "obstacles",
		.op = SCENE_CLEAN,
		.with = SCENE_RUN(0, 0, PAGES(512 * GIB), 0, PT_WB),
		.after = { SCENE_RUN(5 * 4096, MIB, 1, 0, PT_WB),
			   SCENE_RUN(4 * MIB, 4 * MIB, PAGES(2 * MIB), 0, PT_WB),
			   SCENE_RUN(2 * GIB, 2 * GIB, PAGES(GIB), 0, PT_WB) },
	};
	struct space_fixture f;

	scene_prepare_obstacles(&f);
	scene_act(&f, &scene);
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "a page in a leaf");
	CHECK_STATUS(pt_clean(&f.space, (struct pt_range){ virt(2 * GIB + 4096), 1 }, &f.flush),
		     PT_OK, space_text, "a part of a leaf");
	CHECK_STATUS(pt_clean(&f.space, (struct pt_range){ virt(8 * MIB + 4096), 1 }, &f.flush),
		     PT_OK, space_text, "a part of a soft entry");
	*scene_entry(&f, 5 * 4096, 1) = 0;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_clean(&f.space, (struct pt_range){ virt(0), 512 }, &f.flush), PT_OK,
		     space_text, "a table with a soft entry");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "a table with a soft entry");
	CHECK_EQ(f.flush.pages, 0, "a table with a soft entry");
	space_fixture_free(&f);
}

static void clean_takes_an_entry_of_nothing_but_stash_bits_for_absent(void)
{
	struct pt_range range = { virt(0), 1 };
	struct space_fixture f;

	clean_prepare(&f, true);
	*scene_entry(&f, 7 * 4096, 1) = PTE_STASH_MASK;
	CHECK_STATUS(pt_clean(&f.space, range, &f.flush), PT_OK, space_text, "clean");
	CHECK_EQ(pt_release(&f.space, &f.flush), 1, "clean");
	space_fixture_free(&f);
}

static void clean_refuses_broken_links_and_spaces_for_reading(void)
{
	struct pt_range all = { virt(0), PAGES(512 * GIB) };
	struct space_fixture f;
	struct pt_space reader;
	struct pt_plan plan;

	clean_prepare(&f, true);
	CHECK_STATUS(pt_open(&reader, &f.space.cpu, &f.space.mem, NULL, f.space.root), PT_OK,
		     space_text, "open");
	CHECK_STATUS(pt_clean(&reader, all, &f.flush), PT_ERR_READ_ONLY, space_text, "clean");
	CHECK_STATUS(pt_plan_clean(&reader, all, &plan), PT_OK, space_text, "plan");
	CHECK_EQ(plan.tables, 0, "plan");
	CHECK_EQ(plan.retired, 6, "plan: each table goes by itself");
	*scene_entry(&f, 2 * MIB, 2) = 0x1007;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_plan_clean(&f.space, all, &plan), PT_ERR_CORRUPT, space_text, "plan");
	CHECK_EQ(plan.where.raw, 2 * MIB, "plan");
	CHECK_STATUS(pt_clean(&f.space, all, &f.flush), PT_ERR_CORRUPT, space_text, "clean");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "clean");
	CHECK_EQ(f.flush.pages, 0, "clean");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(defect_1_refuse_leaves_whatever_is_in_use);
	RUN(defect_1_keep_leaves_what_translates_the_same_and_refuses_the_rest);
	RUN(replace_takes_the_place_of_all_but_a_part_of_a_soft_entry);
	RUN(replace_splits_and_retires_as_it_announces);
	RUN(keep_fills_the_holes_and_no_more);
	RUN(keep_compares_address_rights_and_cache_type_and_nothing_else);
	RUN(keep_asks_for_no_execution_right_without_nx);
	RUN(keep_does_not_take_a_broken_leaf_for_a_mapping);
	RUN(defect_1_a_link_that_forbids_is_no_matter_of_policy);
	RUN(replace_splits_no_leaf_that_is_broken);
	RUN(defect_16_replace_does_not_follow_a_link_out_of_reach);
	RUN(defect_11_exact_leaves_have_their_size_or_are_refused);
	RUN(defect_12_an_exact_leaf_replaces_an_empty_table_under_every_policy);
	RUN(new_links_let_through_what_was_asked_for);
	RUN(new_links_carry_no_xd_on_a_processor_without_nx);
	RUN(defect_10_links_that_exist_are_widened_and_never_narrowed);
	RUN(defect_10_no_call_touches_a_link_unless_it_is_to_set_links);
	RUN(a_right_that_a_link_forbids_is_refused_unless_links_are_set);
	RUN(a_right_that_no_link_has_is_refused);
	RUN(defect_1_a_refused_map_widens_no_link);
	RUN(a_split_takes_no_right_from_the_rest_of_the_leaf);
	RUN(defect_12_clean_retires_tables_that_hold_nothing);
	RUN(clean_changes_no_leaf_and_no_soft_entry);
	RUN(clean_takes_an_entry_of_nothing_but_stash_bits_for_absent);
	RUN(clean_refuses_broken_links_and_spaces_for_reading);
	return check_done();
}
