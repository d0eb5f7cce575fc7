/* Several spaces walked together, and rebuilt from what is shown: paging/pt_spaces.h. */
#include "paging/pt_spaces.h"
#include "tests/fake/scene.h"
#include "tests/fake/shared.h"

enum { SPACES = 3, ITEMS_MAX = 3000, SEEN_MAX = 512 };

static const struct pt_attr RW = { PT_WRITE | PT_USER, PT_WB };
static const struct pt_range LOWER = { { 0 }, UINT64_C(1) << 35 };
static const struct pt_range HALVES[] = { { { 0 }, UINT64_C(1) << 35 },
					  { { UINT64_C(0xffff800000000000) }, UINT64_C(1) << 35 } };

static struct shared ground;
static struct pt_space spaces[SPACES];
static struct pt_seen seen[SEEN_MAX];

struct items {
	struct pt_item at[ITEMS_MAX];
	size_t count;
	enum pt_status end;
};

static struct items shown, again;

static void start(void)
{
	struct pt_cpu cpu = scene_cpu();

	shared_init(&ground);
	for (size_t i = 0; i < SPACES; i++) {
		CHECK_STATUS(pt_init(&spaces[i], &cpu, &ground.mem, &ground.tables), PT_OK,
			     space_text, "init");
	}
}

static void end(const char *name)
{
	for (size_t i = 0; i < SPACES; i++)
		pt_destroy(&spaces[i]);
	shared_free(&ground, name);
}

static void put(size_t space, uint64_t va, uint64_t pa, uint64_t pages)
{
	struct pt_mapping m = { virt(va), phys(pa), pages, RW };

	CHECK_STATUS(pt_map(&spaces[space], &m, NULL, &ground.flush), PT_OK, space_text, "put");
}

/* Space `to` gets at va what space `from` has at `there`, by a link of `level`. */
static void link_up(size_t to, uint64_t va, unsigned level, size_t from, uint64_t there)
{
	struct pt_tree tree = { &spaces[from], virt(there), level };

	CHECK_STATUS(pt_link_tree(&spaces[to], virt(va), tree, &ground.flush), PT_OK, space_text,
		     "link");
}

static struct pt_scope scope_of(const struct pt_space *const *list, size_t count,
				const struct pt_range *ranges, size_t range_count)
{
	return (struct pt_scope){ .spaces = list,
				  .count = count,
				  .ranges = ranges,
				  .range_count = range_count,
				  .seen = seen,
				  .most = SEEN_MAX,
				  .budget = PT_NO_BUDGET };
}

static enum pt_status show(const struct pt_scope *scope, struct items *ret_items)
{
	struct pt_spaces walk;
	enum pt_status status = pt_spaces_start(&walk, scope);

	ret_items->count = 0;
	while (status == PT_OK && ret_items->count < ITEMS_MAX) {
		status = pt_spaces_next(&walk, &ret_items->at[ret_items->count]);
		ret_items->count += status == PT_OK;
	}
	ret_items->end = status;
	if (status != PT_OK) {
		struct pt_item none;

		if (scope->most != 0 && ret_items->count != 0)
			CHECK_STATUS(pt_spaces_next(&walk, &none), PT_ERR_NOT_MAPPED, space_text,
				     "ended for good");
	}
	return status;
}

static bool is_same_item(const struct pt_item *a, const struct pt_item *b)
{
	return a->kind == b->kind && a->level == b->level && a->space == b->space &&
	       a->va.raw == b->va.raw && a->pages == b->pages && a->pa.raw == b->pa.raw &&
	       memcmp(a->links, b->links, sizeof(a->links)) == 0 &&
	       a->attr.flags == b->attr.flags && a->attr.cache == b->attr.cache &&
	       a->rights == b->rights && a->owner == b->owner && a->owner_va.raw == b->owner_va.raw;
}

static void expect_same_items(const struct items *a, const struct items *b, const char *name)
{
	CHECK_EQ(a->count, b->count, name);
	for (size_t i = 0; i < a->count && i < b->count; i++)
		CHECK(is_same_item(&a->at[i], &b->at[i]), name);
}

/* Different tables that the spaces lead to. */
static size_t count_tables(const struct pt_space *const *list, size_t count)
{
	static struct shared_audit a;
	size_t tables = 0;

	memset(&a, 0, sizeof(a));
	a.ground = &ground;
	for (size_t i = 0; i < count; i++) {
		a.space = list[i];
		shared_visit(&a, list[i]->root, list[i]->cpu.levels);
	}
	for (size_t i = 0; i < SHARED_TABLES; i++)
		tables += a.references[i] != 0;
	return tables;
}

static size_t count_kind(const struct items *items, enum pt_item_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < items->count; i++)
		count += items->at[i].kind == kind;
	return count;
}

/* ---- rebuilding ------------------------------------------------------------------------- */

struct copy {
	struct pt_space spaces[SPACES];
	struct pt_space *list[SPACES];
	const struct pt_space *as_read[SPACES];
};

static void copy_start(struct copy *c, const struct pt_tables *tables)
{
	struct pt_cpu cpu = scene_cpu();

	for (size_t i = 0; i < SPACES; i++) {
		CHECK_STATUS(pt_init(&c->spaces[i], &cpu, &ground.mem, tables), PT_OK, space_text,
			     "init");
		c->list[i] = &c->spaces[i];
		c->as_read[i] = &c->spaces[i];
	}
}

/* Puts an item in with ever more tables: what is refused leaves all as it was. */
static void rebuild_starved(struct copy *c, const struct pt_item *item, const char *name)
{
	enum pt_status status = PT_ERR_NO_TABLES;
	size_t before = ground.pool.taken;

	for (size_t left = 0; status == PT_ERR_NO_TABLES && left < 8; left++) {
		ground.limit = before + left;
		status = pt_spaces_rebuild(c->list, item, &ground.flush);
		if (status == PT_ERR_NO_TABLES)
			CHECK_EQ(ground.pool.taken, before, name);
	}
	ground.limit = SHARED_TABLES;
	CHECK_STATUS(status, PT_OK, space_text, name);
	pt_release(&c->spaces[item->space], &ground.flush);
}

static void expect_rebuilt(const struct pt_scope *scope, bool counts, const char *name)
{
	struct copy c;
	struct pt_scope scope_again;
	const struct pt_space *all[2 * SPACES];

	show(scope, &shown);
	CHECK_STATUS(shown.end, PT_ERR_NOT_MAPPED, space_text, name);
	copy_start(&c, counts ? &ground.tables : &ground.plain);
	for (size_t i = 0; i < shown.count; i++)
		rebuild_starved(&c, &shown.at[i], name);
	CHECK_EQ(count_tables(c.as_read, SPACES), count_tables(scope->spaces, SPACES), name);
	scope_again = scope_of(c.as_read, scope->count, scope->ranges, scope->range_count);
	show(&scope_again, &again);
	expect_same_items(&shown, &again, name);
	for (size_t i = 0; i < scope->count; i++) {
		for (size_t r = 0; r < scope->range_count; r++)
			CHECK(shared_same(scope->spaces[i], c.as_read[i], scope->ranges[r]), name);
	}
	for (size_t i = 0; i < SPACES; i++) {
		all[i] = &spaces[i];
		all[SPACES + i] = &c.spaces[i];
	}
	/* In a buffer nobody counts; its tables go as the whole that they are. */
	if (!counts)
		return;
	shared_expect(&ground, all, (size_t)2 * SPACES, name);
	for (size_t i = 0; i < SPACES; i++)
		pt_destroy(&c.spaces[i]);
}

/* ---- defect 15 ----------------------------------------------------------------------------- */

struct alias_row {
	const char *name;
	size_t space;   /* that has the alias */
	unsigned level; /* of the table; 4: the root */
	uint64_t va;
	size_t owner;
	uint64_t owner_va;
};

/*
 * Space 0 has pages at 0 and 2 MiB, leaves of 2 MiB at 1 GiB and of 1 GiB at
 * 512 GiB; space 1 has a page at 3 TiB.
 */
static const struct alias_row alias_rows[] = {
	{ "depth 1", 1, 3, 0, 0, 0 },
	{ "depth 1, with leaves of 1 GiB", 1, 3, 512 * GIB, 0, 512 * GIB },
	{ "depth 2", 1, 2, 0, 0, 0 },
	{ "depth 2, with leaves of 2 MiB", 1, 2, GIB, 0, GIB },
	{ "depth 3", 1, 1, 0, 0, 0 },
	{ "depth 3, next to another", 1, 1, 2 * MIB, 0, 2 * MIB },
	{ "the same root", 1, 4, 0, 0, 0 },
	{ "depth 1, elsewhere", 1, 3, 1024 * GIB, 0, 0 },
	{ "depth 2, elsewhere", 1, 2, 1027 * GIB, 0, GIB },
	{ "depth 3, elsewhere", 1, 1, 1027 * GIB + 8 * MIB, 0, 2 * MIB },
	{ "inside one space, depth 1", 0, 3, 1024 * GIB, 0, 0 },
	{ "inside one space, depth 2", 0, 2, 2 * GIB, 0, GIB },
	{ "inside one space, depth 3", 0, 1, 4 * MIB, 0, 0 },
	{ "in the last space", 2, 2, 5 * GIB, 0, 0 },
	{ "of the one before", 2, 3, 512 * GIB, 1, 3072 * GIB },
};

static void start_aliases(const struct alias_row *row)
{
	start();
	put(0, 0, 0x5000, 3);
	put(0, 2 * MIB, 0x15000, 2);
	put(0, GIB, 2 * MIB, PAGES(4 * MIB));
	put(0, 512 * GIB, GIB, PAGES(2 * GIB));
	if (row->level == 4) {
		pt_destroy(&spaces[row->space]);
		CHECK_STATUS(pt_clone(&spaces[row->space], &spaces[row->owner], PT_CLONE_SHALLOW),
			     PT_OK, space_text, row->name);
		return;
	}
	put(1, 3072 * GIB, 0x9000, 1);
	link_up(row->space, row->va, row->level + 1, row->owner, row->owner_va);
}

static void expect_reference(const struct alias_row *row)
{
	for (size_t i = 0; i < shown.count; i++) {
		const struct pt_item *item = &shown.at[i];

		if (item->kind != PT_ITEM_REFERENCE)
			continue;
		CHECK_EQ(item->space, row->space, row->name);
		CHECK_EQ(item->level, row->level, row->name);
		CHECK_EQ(item->va.raw, row->va, row->name);
		CHECK_EQ(item->owner, row->owner, row->name);
		CHECK_EQ(item->owner_va.raw, row->owner_va, row->name);
		CHECK_EQ(item->pages, row->level == 4 ? LOWER.pages : level_pages(row->level + 1),
			 row->name);
	}
	CHECK_EQ(count_kind(&shown, PT_ITEM_REFERENCE), 1, row->name);
	CHECK_EQ(count_kind(&shown, PT_ITEM_MAPPING), row->level == 4 ? 9 : 10, row->name);
}

static void play_aliases(bool counts)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };

	for (size_t i = 0; i < ARRAY_LEN(alias_rows); i++) {
		struct pt_scope scope = scope_of(list, SPACES, &LOWER, 1);

		start_aliases(&alias_rows[i]);
		expect_rebuilt(&scope, counts, alias_rows[i].name);
		expect_reference(&alias_rows[i]);
		if (counts)
			end(alias_rows[i].name);
		else
			space_arena_free(&ground.arena);
	}
}

static void defect_15_tables_in_common_are_shown_as_such_and_rebuilt(void)
{
	play_aliases(true);
}

static void defect_15_rebuilds_in_a_buffer_without_references_too(void)
{
	play_aliases(false);
}

static void references_of_all_depths_together_are_rebuilt(void)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };
	struct pt_scope scope = scope_of(list, SPACES, HALVES, 2);

	start();
	put(0, 0, 0x5000, 700);
	put(0, 512 * GIB, GIB, PAGES(2 * GIB));
	put(0, UINT64_C(0xfffffffffffff000), 0x7000, 1);
	link_up(0, UINT64_C(0xffff800000000000), 4, 0, 0);
	link_up(0, 4 * MIB, 2, 0, 0);
	put(1, 6 * MIB, 6 * MIB, PAGES(2 * MIB));
	link_up(1, 0, 2, 0, 4 * MIB);
	link_up(1, 2048 * GIB, 4, 0, UINT64_C(0xffff800000000000));
	link_up(1, UINT64_C(0xffffffff80000000), 3, 0, UINT64_C(0xffffffffc0000000));
	pt_destroy(&spaces[2]);
	CHECK_STATUS(pt_clone(&spaces[2], &spaces[1], PT_CLONE_SHALLOW), PT_OK, space_text, "");
	shared_done(&ground, &spaces[0]);
	expect_rebuilt(&scope, true, "all depths");
	CHECK(count_kind(&shown, PT_ITEM_REFERENCE) >= 6, "references");
	end("all depths");
}

/* ---- mappings -------------------------------------------------------------------------------- */

static void leaves_keep_what_they_state_and_links_what_they_let_through(void)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };
	struct pt_scope scope = scope_of(list, SPACES, &LOWER, 1);
	struct pt_mapping m = { virt(0), phys(0x5000), 1, { PT_WRITE | PT_DIRTY, PT_WC } };

	start();
	CHECK_STATUS(pt_map(&spaces[0], &m, NULL, &ground.flush), PT_OK, space_text, "map");
	m = (struct pt_mapping){ virt(GIB), phys(GIB), PAGES(GIB), { PT_COW | PT_SOFT2, PT_UC } };
	CHECK_STATUS(pt_map(&spaces[0], &m, NULL, &ground.flush), PT_OK, space_text, "map");
	put(0, 2 * MIB, 0x9000, 2);
	CHECK_STATUS(pt_set_link(&spaces[0], virt(0), 4, PT_USER | PT_EXEC, &ground.flush), PT_OK,
		     space_text, "link");
	CHECK_STATUS(pt_set_link(&spaces[0], virt(2 * MIB), 2, 0, &ground.flush), PT_OK, space_text,
		     "link");
	link_up(1, 0, 2, 0, 2 * MIB);
	CHECK_STATUS(pt_set_link(&spaces[1], virt(0), 2, PT_WRITE, &ground.flush), PT_OK,
		     space_text, "another link");
	show(&scope, &shown);
	CHECK_EQ(shown.count, 5, "items");
	CHECK_EQ(shown.at[0].attr.flags, PT_WRITE | PT_DIRTY, "its own flags");
	CHECK_EQ(shown.at[0].attr.cache, PT_WC, "its own cache type");
	CHECK_EQ(shown.at[0].rights, 0, "effective: the link forbids to write");
	CHECK_EQ(shown.at[0].links[4], PT_USER | PT_EXEC, "the link that forbids");
	CHECK_EQ(shown.at[0].links[2], PT_WRITE | PT_USER | PT_EXEC, "one that does not");
	CHECK_EQ(shown.at[2].links[2], 0, "the other");
	CHECK_EQ(shown.at[2].rights, 0, "effective");
	CHECK_EQ(shown.at[3].level, 3, "a leaf of 1 GiB");
	CHECK_EQ(shown.at[3].links[3], 0, "no link at its level");
	CHECK_EQ(shown.at[3].links[4], PT_USER | PT_EXEC, "but above");
	CHECK_EQ(shown.at[4].links[2], PT_WRITE, "the alias has a link of its own");
	expect_rebuilt(&scope, true, "links");
	end("links");
}

static void a_leaf_is_cut_to_the_range(void)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };
	struct pt_range range = { virt(GIB + 5 * 4096), 600 };
	struct pt_scope scope = scope_of(list, SPACES, &range, 1);

	start();
	put(0, GIB, GIB, PAGES(GIB));
	put(1, GIB, 2 * MIB, PAGES(4 * MIB));
	show(&scope, &shown);
	CHECK_EQ(shown.count, 3, "items");
	CHECK_EQ(shown.at[0].va.raw, GIB + 5 * 4096, "begins with the range");
	CHECK_EQ(shown.at[0].pa.raw, GIB + 5 * 4096, "at the right byte");
	CHECK_EQ(shown.at[0].pages, 600, "ends with it");
	CHECK_EQ(shown.at[1].pages, 507, "two halves");
	CHECK_EQ(shown.at[2].pages, 93, "two halves");
	CHECK_EQ(shown.at[2].pa.raw, 4 * MIB, "two halves");
	end("cut");
}

/* ---- parts -------------------------------------------------------------------------------------
 */

static void a_table_cut_differently_is_shown_again(void)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };
	struct pt_range range = { virt(2 * MIB - 2 * 4096), 1024 };
	struct pt_scope scope = scope_of(list, SPACES, &range, 1);

	start();
	put(0, 0, 0x5000, 512);
	link_up(0, 2 * MIB, 2, 0, 0); /* whole, where the first shows two pages */
	link_up(1, 0, 2, 0, 0);       /* two pages again */
	link_up(1, 2 * MIB, 2, 0, 0); /* whole again */
	show(&scope, &shown);
	CHECK_EQ(count_kind(&shown, PT_ITEM_MAPPING), 2 + 512, "two pages, then the whole");
	/* Space 1 has tables of its own above; both parts are space 0's. */
	CHECK_EQ(count_kind(&shown, PT_ITEM_REFERENCE), 2, "two parts");
	CHECK_EQ(shown.at[514].pages, 2, "a part");
	CHECK_EQ(shown.at[514].owner_va.raw, range.va.raw, "of the first");
	CHECK_EQ(shown.at[515].pages, 512, "the whole");
	CHECK_EQ(shown.at[515].owner_va.raw, 2 * MIB, "of the second");
	end("parts");
}

static void a_table_at_another_level_is_unrelated(void)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };
	struct pt_scope scope = scope_of(list, SPACES, &LOWER, 1);
	uint64_t *entry;

	start();
	put(0, 0, 0x5000, 1);
	put(1, 0, 0x6000, 1);
	/* The table of level 2 stands where one of level 3 should: its link is one to pages. */
	entry = sdm_entry(&ground.arena, &spaces[1].cpu, spaces[1].root, 512 * GIB, 4);
	*entry = *sdm_entry(&ground.arena, &spaces[0].cpu, spaces[0].root, 0, 3);
	show(&scope, &shown);
	CHECK_STATUS(shown.end, PT_ERR_CORRUPT, space_text, "pages are no table");
	*sdm_entry(&ground.arena, &spaces[0].cpu, spaces[0].root, 0, 1) = 0;
	put(0, 4 * MIB, GIB, PAGES(2 * MIB));
	show(&scope, &shown);
	CHECK_STATUS(shown.end, PT_ERR_NOT_MAPPED, space_text, "a leaf of 2 MiB, or of 1 GiB");
	CHECK_EQ(count_kind(&shown, PT_ITEM_REFERENCE), 0, "none");
	CHECK_EQ(count_kind(&shown, PT_ITEM_MAPPING), 3, "as the processor sees them");
	*entry = 0;
	end("levels");
}

static void what_holds_nothing_is_not_shown(void)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };
	struct pt_scope scope = scope_of(list, SPACES, HALVES, 2);
	struct pt_entry old;

	start();
	put(0, 0, 0x5000, 1);
	link_up(0, 2 * MIB, 2, 0, 0);
	link_up(1, GIB, 2, 0, 0);
	*sdm_entry(&ground.arena, &spaces[0].cpu, spaces[0].root, 0, 1) = 0;
	CHECK_STATUS(pt_set_soft(&spaces[0], &(struct pt_soft){ virt(4 * MIB), 2, 0x7700 },
				 &ground.flush, &old),
		     PT_OK, space_text, "soft");
	shared_table(&ground, spaces[0].root)[511] = spaces[0].root.raw | PTE_P | PTE_W;
	show(&scope, &shown);
	CHECK_STATUS(shown.end, PT_ERR_NOT_MAPPED, space_text, "to the end");
	CHECK_EQ(shown.count, 0, "nothing");
	put(2, 0, 0x5000, 1);
	show(&scope, &shown);
	CHECK_EQ(shown.count, 1, "one page");
	CHECK_EQ(shown.at[0].space, 2, "of the third");
	shared_done(&ground, &spaces[0]);
	end("nothing");
}

/* ---- bounds
 * -------------------------------------------------------------------------------------- */

static void the_walk_reads_only_and_stays_in_its_budget(void)
{
	static unsigned char before[SHARED_TABLES * 4096];
	struct pt_space readers[SPACES];
	const struct pt_space *list[] = { &readers[0], &readers[1], &readers[2] };
	struct pt_scope scope = scope_of(list, SPACES, &LOWER, 1);

	start_aliases(&alias_rows[3]);
	for (size_t i = 0; i < SPACES; i++)
		CHECK_STATUS(
			pt_open(&readers[i], &spaces[i].cpu, &ground.mem, NULL, spaces[i].root),
			PT_OK, space_text, "open");
	memcpy(before, ground.arena.bytes, sizeof(before));
	show(&scope, &shown);
	size_t count = shown.count;
	uint64_t asked = ground.asked;

	/* Space 0 has 7 tables, space 1 another 5 and one in common, space 2 a root. */
	for (uint64_t budget = 0; budget <= 14; budget++) {
		scope.budget = budget;
		show(&scope, &again);
		CHECK_STATUS(again.end, budget < 14 ? PT_ERR_BUDGET : PT_ERR_NOT_MAPPED, space_text,
			     "budget");
	}
	expect_same_items(&shown, &again, "budget");
	scope.budget = PT_NO_BUDGET;
	for (size_t most = 0; most <= 13; most++) {
		scope.most = most;
		show(&scope, &again);
		CHECK_STATUS(again.end, most < 13 ? PT_ERR_BUDGET : PT_ERR_NOT_MAPPED, space_text,
			     "scratch");
		CHECK(again.count <= count, "scratch");
	}
	expect_same_items(&shown, &again, "scratch");
	CHECK(memcmp(before, ground.arena.bytes, sizeof(before)) == 0, "nothing is written");
	CHECK_EQ(ground.asked, asked, "nobody is asked");
	end("budget");
}

static void hostile_tables_end_the_walk(void)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };
	struct pt_scope scope = scope_of(list, SPACES, &LOWER, 1);
	uint64_t *entries;

	start();
	put(0, 0, 0x5000, 1);
	put(1, 0, 0x5000, 1);
	/* 512 links to one table per level: each is shown once. */
	for (unsigned level = 4; level >= 2; level--) {
		entries = sdm_entry(&ground.arena, &spaces[0].cpu, spaces[0].root, 0, level);
		for (unsigned i = 1; i < (level == 4 ? 256 : 512); i++)
			entries[i] = entries[0];
	}
	show(&scope, &shown);
	CHECK_STATUS(shown.end, PT_ERR_NOT_MAPPED, space_text, "a DAG");
	CHECK_EQ(shown.count, 1 + 511 + 511 + 255 + 1, "each once, the rest references");
	/* A table that links to the root, as one of a lower level. */
	entries = sdm_entry(&ground.arena, &spaces[1].cpu, spaces[1].root, 0, 3);
	entries[7] = spaces[1].root.raw | PTE_P | PTE_W;
	show(&scope, &shown);
	CHECK_STATUS(shown.end, PT_ERR_NOT_MAPPED, space_text, "a cycle ends");
	entries[7] = 0x3ffffffff000 | PTE_P;
	show(&scope, &shown);
	CHECK_STATUS(shown.end, PT_ERR_CORRUPT, space_text, "out of reach");
	CHECK_EQ(shown.at[shown.count].space, 1, "where");
	CHECK_EQ(shown.at[shown.count].va.raw, 7 * GIB, "where");
	entries[7] = 0;
	for (unsigned level = 4; level >= 2; level--) {
		entries = sdm_entry(&ground.arena, &spaces[0].cpu, spaces[0].root, 0, level);
		memset(&entries[1], 0, (level == 4 ? 255 : 511) * sizeof(*entries));
	}
	end("hostile");
}

static void a_walk_that_cannot_be_is_refused(void)
{
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };
	struct pt_range ranges[] = { { virt(0), 1 }, { virt(0x1234), 1 } };
	struct pt_scope scope = scope_of(list, SPACES, ranges, 2);
	struct pt_spaces walk;
	struct pt_item item;

	start();
	CHECK_STATUS(pt_spaces_start(&walk, &scope), PT_ERR_UNALIGNED, space_text, "unaligned");
	ranges[1] = (struct pt_range){ virt(0x7ffffffff000), 2 };
	CHECK_STATUS(pt_spaces_start(&walk, &scope), PT_ERR_RANGE, space_text, "a hole");
	ranges[1] = (struct pt_range){ virt(0x1000), 0 };
	scope.most = 0;
	CHECK_STATUS(pt_spaces_start(&walk, &scope), PT_ERR_BUDGET, space_text, "no scratch");
	scope.most = SEEN_MAX;
	spaces[2].cpu.levels = 5;
	CHECK_STATUS(pt_spaces_start(&walk, &scope), PT_ERR_LEVEL, space_text, "levels");
	spaces[2].cpu.levels = 4;
	put(1, 0, 0x5000, 1);
	CHECK_STATUS(pt_spaces_start(&walk, &scope), PT_OK, space_text, "no pages");
	CHECK_STATUS(pt_spaces_next(&walk, &item), PT_OK, space_text, "one item");
	CHECK_EQ(item.space, 1, "of space 1");
	CHECK_STATUS(pt_spaces_next(&walk, &item), PT_ERR_NOT_MAPPED, space_text, "the end");
	CHECK_STATUS(pt_spaces_next(&walk, &item), PT_ERR_NOT_MAPPED, space_text, "the end");
	scope.range_count = 0;
	CHECK_STATUS(pt_spaces_start(&walk, &scope), PT_OK, space_text, "no ranges");
	CHECK_STATUS(pt_spaces_next(&walk, &item), PT_ERR_NOT_MAPPED, space_text, "no ranges");
	scope = scope_of(list, 0, ranges, 1);
	CHECK_STATUS(pt_spaces_start(&walk, &scope), PT_OK, space_text, "no spaces");
	CHECK_STATUS(pt_spaces_next(&walk, &item), PT_ERR_NOT_MAPPED, space_text, "no spaces");
	end("refused");
}

/* ---- refusals of the rebuilding
 * ------------------------------------------------------------------- */

static const struct pt_item page_item = { .kind = PT_ITEM_MAPPING,
					  .level = 1,
					  .pages = 1,
					  .pa = { 0x5000 },
					  .attr = { PT_WRITE, PT_WB },
					  .links = { 0, 0, 7, 7, 7 } };

static struct pt_item reference_item(unsigned level, uint64_t owner_va)
{
	return (struct pt_item){ .kind = PT_ITEM_REFERENCE,
				 .level = level,
				 .space = 1,
				 .va = virt(0),
				 .pages = 512,
				 .owner = 0,
				 .owner_va = virt(owner_va),
				 .links = { 0, 0, 7, 7, 7 } };
}

static enum pt_status rebuild(struct pt_space *owner, const struct pt_item *item)
{
	struct pt_space *list[] = { owner, &spaces[1], &spaces[2] };

	return pt_spaces_rebuild(list, item, &ground.flush);
}

static void a_missing_owner_is_reported(void)
{
	struct pt_space *none[] = { NULL };
	size_t taken;

	start();
	put(0, 0, 4 * MIB, PAGES(2 * MIB));
	taken = ground.pool.taken;
	for (unsigned level = 1; level <= 4; level++) {
		struct pt_item item = reference_item(level, 512 * GIB);

		CHECK_STATUS(rebuild(NULL, &item), PT_ERR_OWNER, space_text, "no owner");
		if (level < 4)
			CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_OWNER, space_text,
				     "nothing there");
	}
	struct pt_item item = reference_item(1, 0);

	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_OWNER, space_text, "a leaf is there");
	item = reference_item(4, 0);
	CHECK_STATUS(rebuild(&spaces[2], &item), PT_ERR_OWNER, space_text, "an empty root");
	CHECK_STATUS(pt_spaces_rebuild(none, &page_item, &ground.flush), PT_ERR_OWNER, space_text,
		     "no space");
	CHECK_EQ(ground.pool.taken, taken, "nothing is done");
	CHECK(pt_flush_is_empty(&ground.flush), "nothing is done");
	end("owner");
}

static void a_root_in_common_takes_the_place_of_an_empty_one_only(void)
{
	struct pt_item item = reference_item(4, 0);
	phys_addr old;

	start();
	put(0, 0, 0x5000, 1);
	put(1, 0, 0x5000, 1);
	old = spaces[1].root;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_OVERLAP, space_text, "in use");
	CHECK_STATUS(pt_unmap(&spaces[1], (struct pt_range){ virt(0), 1 }, &ground.flush), PT_OK,
		     space_text, "unmap");
	shared_done(&ground, &spaces[1]);
	spaces[1].root_last = 255;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_FOREIGN, space_text, "a window");
	spaces[1].root_last = 511;
	spaces[0].root_first = 1;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_FOREIGN, space_text, "its window");
	spaces[0].root_first = 0;
	spaces[0].pins_upper = true;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_FOREIGN, space_text, "pinned");
	spaces[0].pins_upper = false;
	spaces[1].pins_upper = true;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_FOREIGN, space_text, "pinned");
	spaces[1].pins_upper = false;
	spaces[1].tables.take = NULL;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_READ_ONLY, space_text, "read only");
	spaces[1].tables.take = ground.tables.take;
	spaces[0].cpu.levels = 5;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_LEVEL, space_text, "levels");
	spaces[0].cpu.levels = 4;
	spaces[0].mem.last = phys(SPACE_BASE - 1);
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_CORRUPT, space_text, "out of reach");
	spaces[0].mem.last = spaces[1].mem.last;
	CHECK_EQ(spaces[1].root.raw, old.raw, "as it was");
	CHECK_EQ(ground.moves, 0, "nobody was told");
	shared_table(&ground, old)[510] = old.raw | PTE_P | PTE_W;
	spaces[1].hot.entries = shared_table(&ground, old);
	uint64_t generation = spaces[1].generation;

	CHECK_STATUS(rebuild(&spaces[0], &item), PT_OK, space_text, "done");
	CHECK(!spaces[1].hot.entries && spaces[1].generation != generation, "nothing remembered");
	CHECK_EQ(spaces[1].root.raw, spaces[0].root.raw, "in common");
	CHECK_EQ(ground.moves, 1, "told");
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_OK, space_text, "done before");
	CHECK_EQ(ground.moves, 1, "nothing to tell");
	CHECK_EQ(ground.flush.retired.raw, old.raw, "the old one is retired");
	CHECK_EQ(shared_done(&ground, &spaces[1]), 1, "and released");
	end("root");
}

static void a_common_root_that_is_given_up_needs_a_list(void)
{
	struct pt_item item = reference_item(4, 0);
	const struct pt_space *list[] = { &spaces[0], &spaces[1], &spaces[2] };

	start();
	put(0, 0, 0x5000, 1);
	pt_destroy(&spaces[2]);
	CHECK_STATUS(pt_clone(&spaces[2], &spaces[1], PT_CLONE_SHALLOW), PT_OK, space_text, "");
	ground.limit = ground.pool.taken;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_ERR_NO_TABLES, space_text, "no list");
	shared_expect(&ground, list, 3, "as it was");
	ground.limit = SHARED_TABLES;
	CHECK_STATUS(rebuild(&spaces[0], &item), PT_OK, space_text, "listed");
	CHECK_EQ(shared_done(&ground, &spaces[1]), 1, "the list");
	shared_expect(&ground, list, 3, "in common");
	end("list");
}

int main(void)
{
	RUN(defect_15_tables_in_common_are_shown_as_such_and_rebuilt);
	RUN(defect_15_rebuilds_in_a_buffer_without_references_too);
	RUN(references_of_all_depths_together_are_rebuilt);
	RUN(leaves_keep_what_they_state_and_links_what_they_let_through);
	RUN(a_leaf_is_cut_to_the_range);
	RUN(a_table_cut_differently_is_shown_again);
	RUN(a_table_at_another_level_is_unrelated);
	RUN(what_holds_nothing_is_not_shown);
	RUN(the_walk_reads_only_and_stays_in_its_budget);
	RUN(hostile_tables_end_the_walk);
	RUN(a_walk_that_cannot_be_is_refused);
	RUN(a_missing_owner_is_reported);
	RUN(a_root_in_common_takes_the_place_of_an_empty_one_only);
	RUN(a_common_root_that_is_given_up_needs_a_list);
	return check_done();
}
