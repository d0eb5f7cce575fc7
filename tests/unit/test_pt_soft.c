/* Soft entries put in and taken out: pages swapped out and in again. */
#include "tests/fake/stage.h"

/* A page at 1, a large leaf at P2, a soft entry at 2, and tables for all that. */
static void prepare(struct engine *e)
{
	struct engine_options options = stage_options();

	engine_init(e, &options);
	stage_map(e, 1, 1, PT_WRITE | PT_GLOBAL | PT_DIRTY);
	stage_map(e, P2, P2, PT_USER);
	*engine_entry_at(e, 2 * PT_PAGE_SIZE, 1) = pte_leaf(0, 7 * PT_PAGE_SIZE, 1);
	engine_save(e);
}

struct row {
	const char *name;
	uint64_t page;
	unsigned level;
	uint64_t number; /* of a page, in the entry's place for one; 0: absent */
	enum pt_status status;
	enum pte_kind old;
	bool flushes;
};

static const struct row ROWS[] = {
	{ "a page goes", 1, 1, 5, PT_OK, PTE_LEAF, true },
	{ "a page goes without a trace", 1, 1, 0, PT_OK, PTE_LEAF, true },
	{ "a large leaf goes", P2, 2, 4, PT_OK, PTE_LEAF, true },
	{ "an absent entry", 3, 1, 5, PT_OK, PTE_ABSENT, false },
	{ "absent stays absent", 3, 1, 0, PT_OK, PTE_ABSENT, false },
	{ "an absent entry for a large leaf", 2 * P2, 2, 4, PT_OK, PTE_ABSENT, false },
	{ "an absent entry of the root", P4, 4, 4, PT_OK, PTE_ABSENT, false },
	{ "a soft entry becomes another", 2, 1, 9, PT_OK, PTE_SOFT, false },
	{ "a soft entry goes", 2, 1, 0, PT_OK, PTE_SOFT, false },
	{ "a table is there", 0, 2, 4, PT_ERR_SIZE, PTE_ABSENT, false },
	{ "a larger leaf is there", P2, 1, 5, PT_ERR_SIZE, PTE_ABSENT, false },
	{ "no table is there", 2 * P2, 1, 5, PT_ERR_NOT_MAPPED, PTE_ABSENT, false },
	{ "no such level", 0, 5, 4, PT_ERR_LEVEL, PTE_ABSENT, false },
	{ "level 0", 0, 0, 5, PT_ERR_LEVEL, PTE_ABSENT, false },
	{ "not aligned to the size", P2 + 1, 2, 4, PT_ERR_UNALIGNED, PTE_ABSENT, false },
};

static pte_t soft_of(uint64_t number, unsigned level)
{
	unsigned at = level < 1 || level > PT_MAX_LEVELS ? 1 : level;

	return number ? pte_leaf(0, number * level_pages(at > 3 ? 3 : at) * PT_PAGE_SIZE, at) : 0;
}

static void play(const struct row *row)
{
	struct engine e;
	struct pt_entry old = { .raw = 1 };
	pte_t soft = soft_of(row->number, row->level), was = 0;

	prepare(&e);
	if (row->status == PT_OK)
		was = *engine_entry_at(&e, row->page * PT_PAGE_SIZE, row->level);
	CHECK_STATUS(
		pt_set_soft(&e.f.space,
			    &(struct pt_soft){ virt(row->page * PT_PAGE_SIZE), row->level, soft },
			    &e.f.flush, &old),
		row->status, space_text, row->name);
	if (row->status != PT_OK) {
		CHECK(engine_is_as_saved(&e), row->name);
		CHECK_EQ(old.raw, 1, row->name);
	} else {
		CHECK_EQ(*engine_entry_at(&e, row->page * PT_PAGE_SIZE, row->level), soft,
			 row->name);
		CHECK_EQ(old.kind, row->old, row->name);
		CHECK_EQ(old.raw, was, row->name);
		CHECK_EQ(old.at.va.raw, row->page * PT_PAGE_SIZE, row->name);
		CHECK_EQ(old.at.level, row->level, row->name);
	}
	CHECK_EQ(e.f.flush.pages, row->flushes ? level_pages(row->level) : 0, row->name);
	stage_expect_order(&e, row->name);
	engine_free(&e);
}

static void an_entry_is_put_where_no_table_is(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
		play(&ROWS[i]);
}

static void what_was_there_is_told(void)
{
	struct engine e;
	struct pt_entry old;

	prepare(&e);
	CHECK_STATUS(pt_set_soft(&e.f.space,
				 &(struct pt_soft){ virt(PT_PAGE_SIZE), 1, soft_of(5, 1) },
				 &e.f.flush, &old),
		     PT_OK, space_text, "page");
	CHECK_EQ(old.at.pa.raw, (STAGE_FRAME + 1) * PT_PAGE_SIZE, "page");
	CHECK_EQ(old.at.own, PT_WRITE | PT_GLOBAL | PT_DIRTY, "page");
	CHECK_EQ(old.at.pages, 1, "page");
	CHECK(e.f.flush.global, "page");
	CHECK_STATUS(pt_set_soft(&e.f.space,
				 &(struct pt_soft){ virt(P2 * PT_PAGE_SIZE), 2, soft_of(4, 2) },
				 &e.f.flush, &old),
		     PT_OK, space_text, "leaf");
	CHECK_EQ(old.at.pa.raw, (STAGE_FRAME + P2) * PT_PAGE_SIZE, "leaf");
	CHECK_EQ(old.at.own, PT_USER, "leaf");
	engine_free(&e);
}

/* Out, a fault, and in again: queries see nothing in between, and the entry is told back. */
static void a_page_is_swapped_out_and_in(void)
{
	struct engine e;
	struct pt_entry old;
	struct pt_leaf leaf;
	struct pt_mapping m = stage_mapping(1, 1, PT_WRITE);
	struct pt_options replace = { .conflict = PT_REPLACE };
	virt_addr va = virt(PT_PAGE_SIZE);

	prepare(&e);
	CHECK_STATUS(pt_set_soft(&e.f.space, &(struct pt_soft){ va, 1, soft_of(5, 1) }, &e.f.flush,
				 &old),
		     PT_OK, space_text, "out");
	CHECK_STATUS(pt_query(&e.f.space, va, &leaf), PT_ERR_NOT_MAPPED, space_text, "out");
	CHECK_STATUS(pt_map(&e.f.space, &m, NULL, &e.f.flush), PT_ERR_OVERLAP, space_text, "out");
	engine_release(&e);
	CHECK_STATUS(pt_map(&e.f.space, &m, &replace, &e.f.flush), PT_OK, space_text, "in");
	CHECK_EQ(e.f.flush.pages, 0, "no processor knows what was not there");
	stage_expect(&e, 1, 1, PT_WRITE, "in");
	CHECK_STATUS(pt_set_soft(&e.f.space, &(struct pt_soft){ va, 1, soft_of(6, 1) }, &e.f.flush,
				 &old),
		     PT_OK, space_text, "out again");
	CHECK_STATUS(pt_set_soft(&e.f.space, &(struct pt_soft){ va, 1, 0 }, &e.f.flush, &old),
		     PT_OK, space_text, "forgotten");
	CHECK_EQ(old.raw, soft_of(6, 1), "forgotten");
	CHECK_EQ(old.kind, PTE_SOFT, "forgotten");
	engine_release(&e);
	engine_free(&e);
}

static void entries_that_processors_would_follow_are_refused(void)
{
	struct engine e;
	struct pt_entry old;
	pte_t bad[] = { pte_mark(1), pte_leaf(pte_mark(1), 5 * PT_PAGE_SIZE, 1),
			pte_stash(0, 1) /* stash bits alone are absent */ };

	prepare(&e);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CHECK_STATUS(pt_set_soft(&e.f.space, &(struct pt_soft){ virt(0), 1, bad[i] },
					 &e.f.flush, &old),
			     PT_ERR_ATTR, space_text, "present");
		CHECK(engine_is_as_saved(&e), "present");
	}
	engine_free(&e);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(an_entry_is_put_where_no_table_is);
	RUN(what_was_there_is_told);
	RUN(a_page_is_swapped_out_and_in);
	RUN(entries_that_processors_would_follow_are_refused);
	return check_done();
}
