/* Numbers of entries in links: exact after every call, and the calls do as they do without. */
#include "tests/fake/stage.h"

static unsigned count_at(const struct engine *e, uint64_t page, unsigned level)
{
	pte_t entry = *engine_entry_at(e, page * PT_PAGE_SIZE, level);

	return pte_kind(entry, level) == PTE_TABLE ? pte_count(entry) : 0;
}

static void prepare(struct engine *e, bool counted)
{
	struct engine_options options = stage_options();

	options.counted = counted;
	engine_init(e, &options);
}

static void unmap(struct engine *e, uint64_t page, uint64_t pages)
{
	CHECK_STATUS(pt_unmap(&e->f.space, stage_range(page, pages), &e->f.flush), PT_OK,
		     space_text, "unmap");
}

static void a_new_table_is_counted(void)
{
	struct engine e;

	prepare(&e, true);
	stage_map(&e, 1, 2, 0);
	CHECK_EQ(count_at(&e, 0, 2), 2 + 1, "two pages");
	CHECK_EQ(count_at(&e, 0, 3), 1 + 1, "one table");
	CHECK_EQ(count_at(&e, 0, 4), 1 + 1, "one table");
	stage_map(&e, 3, 1, 0);
	CHECK_EQ(count_at(&e, 0, 2), 3 + 1, "one page more");
	stage_map(&e, P2, P2, 0);
	CHECK_EQ(count_at(&e, 0, 3), 2 + 1, "a large leaf more");
	stage_expect_order(&e, "new tables");
	stage_end(&e, "new tables");
}

static void a_split_leaf_is_a_full_table(void)
{
	struct engine e;

	prepare(&e, true);
	stage_map(&e, 0, P3, 0);
	unmap(&e, P2 + 1, 1);
	CHECK_EQ(count_at(&e, 0, 3), PTE_COUNT + 1, "second level");
	CHECK_EQ(count_at(&e, P2, 2), PTE_COUNT - 1 + 1, "pages, less one");
	stage_end(&e, "split");
}

static void soft_entries_count_like_leaves(void)
{
	struct engine e;
	struct pt_entry old;
	pte_t soft = pte_leaf(0, P3 * PT_PAGE_SIZE, 1);

	prepare(&e, true);
	stage_map(&e, 0, 1, 0);
	CHECK_STATUS(pt_set_soft(&e.f.space, &(struct pt_soft){ virt(PT_PAGE_SIZE), 1, soft },
				 &e.f.flush, &old),
		     PT_OK, space_text, "in");
	CHECK_EQ(count_at(&e, 0, 2), 2 + 1, "in");
	CHECK_STATUS(
		pt_set_soft(&e.f.space, &(struct pt_soft){ virt(0), 1, soft }, &e.f.flush, &old),
		PT_OK, space_text, "instead of a page");
	CHECK_EQ(count_at(&e, 0, 2), 2 + 1, "instead of a page");
	CHECK_STATUS(pt_set_soft(&e.f.space, &(struct pt_soft){ virt(0), 1, 0 }, &e.f.flush, &old),
		     PT_OK, space_text, "out");
	CHECK_EQ(count_at(&e, 0, 2), 1 + 1, "out");
	unmap(&e, 1, 1);
	CHECK_EQ(engine_reachable(&e), 1, "all retired");
	stage_end(&e, "soft");
}

/* The last page takes its table along, the last but one does not. */
static void tables_are_retired_exactly_when_they_are_empty(void)
{
	struct engine e;

	prepare(&e, true);
	stage_map_small(&e, 0, P2, 0);
	for (uint64_t page = P2 - 1; page > 0; page--) {
		unmap(&e, page, 1);
		CHECK_EQ(count_at(&e, 0, 2), page + 1, "page by page");
		CHECK_EQ(e.f.flush.retired.raw, PT_NO_TABLE, "page by page");
		stage_expect_order(&e, "page by page");
	}
	unmap(&e, 0, 1);
	CHECK_EQ(engine_reachable(&e), 1, "the last");
	CHECK_EQ(engine_release(&e), 3, "the last");
	stage_end(&e, "the last");
}

/* Cleared behind the core's back, by someone who keeps no count: 0 is "not known". */
static void an_unknown_count_is_found_by_looking(void)
{
	struct engine e;

	prepare(&e, false);
	stage_map(&e, 0, 3, 0);
	stage_map(&e, P3, 1, 0);
	e.f.space.counted = true;
	CHECK_EQ(count_at(&e, 0, 2), 0, "not counted");
	unmap(&e, 0, 2);
	CHECK_EQ(count_at(&e, 0, 2), 0, "still not");
	CHECK_EQ(count_at(&e, 0, 4), 0, "nor above");
	stage_map(&e, P2, 1, 0);
	CHECK_EQ(count_at(&e, P2, 2), 1 + 1, "a new one is");
	stage_expect_order(&e, "unknown");
	unmap(&e, 2, 1);
	CHECK_EQ(pte_kind(*engine_entry_at(&e, 0, 2), 2), PTE_ABSENT, "retired all the same");
	unmap(&e, P2, 1);
	unmap(&e, P3, 1);
	CHECK_EQ(engine_reachable(&e), 1, "all retired");
	stage_end(&e, "unknown");
}

static void a_link_with_other_rights_keeps_its_count(void)
{
	struct engine e;
	struct pt_options options = { .set_links = true, .links = PT_WRITE };
	struct pt_mapping m = stage_mapping(2, 1, 0);

	prepare(&e, true);
	stage_map(&e, 0, 2, 0);
	CHECK_STATUS(pt_set_link(&e.f.space, virt(0), 2, PT_EXEC, &e.f.flush), PT_OK, space_text,
		     "link");
	CHECK_EQ(count_at(&e, 0, 2), 2 + 1, "set");
	CHECK_STATUS(pt_map(&e.f.space, &m, &options, &e.f.flush), PT_OK, space_text, "widened");
	CHECK_EQ(count_at(&e, 0, 2), 3 + 1, "widened");
	stage_end(&e, "link");
}

static void a_collapse_counts_what_is_left(void)
{
	struct engine e;
	struct pt_entry old;

	prepare(&e, true);
	stage_map_small(&e, 0, P2, 0);
	stage_map_small(&e, P2, 3, 0);
	stage_map_small(&e, 2 * P2, 1, 0);
	CHECK_STATUS(pt_set_soft(&e.f.space, &(struct pt_soft){ virt(2 * P2 * PT_PAGE_SIZE), 1, 0 },
				 &e.f.flush, &old),
		     PT_OK, space_text, "a table left empty");
	CHECK_EQ(count_at(&e, 0, 3), 3 + 1, "three tables");
	CHECK_STATUS(pt_collapse(&e.f.space, stage_range(0, P3), &e.f.flush), PT_OK, space_text,
		     "collapse");
	CHECK_EQ(count_at(&e, 0, 3), 2 + 1, "a leaf and a table");
	stage_expect_order(&e, "collapse");
	stage_end(&e, "collapse");
}

/* A number is nothing that the processor looks at: reads are the same. */
static void numbers_change_nothing_that_links_say(void)
{
	struct engine e, plain;
	struct pt_leaf a, b;

	prepare(&e, true);
	prepare(&plain, false);
	stage_map(&e, 5, 1, PT_WRITE);
	stage_map(&plain, 5, 1, PT_WRITE);
	CHECK_STATUS(pt_query(&e.f.space, virt(5 * PT_PAGE_SIZE), &a), PT_OK, space_text, "query");
	CHECK_STATUS(pt_query(&plain.f.space, virt(5 * PT_PAGE_SIZE), &b), PT_OK, space_text,
		     "query");
	CHECK_EQ(a.attr.flags, b.attr.flags, "query");
	CHECK_EQ(*engine_entry_at(&e, 0, 3) & ~pte_set_count(0, PTE_COUNT | (PTE_COUNT - 1)),
		 *engine_entry_at(&plain, 0, 3), "a link");
	stage_end(&e, "query");
	stage_end(&plain, "query");
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(a_new_table_is_counted);
	RUN(a_split_leaf_is_a_full_table);
	RUN(soft_entries_count_like_leaves);
	RUN(tables_are_retired_exactly_when_they_are_empty);
	RUN(an_unknown_count_is_found_by_looking);
	RUN(a_link_with_other_rights_keeps_its_count);
	RUN(a_collapse_counts_what_is_left);
	RUN(numbers_change_nothing_that_links_say);
	return check_done();
}
