/* Pinned upper halves, clones, links to sub-trees: paging/pt_share.h on x86-64. */
#include "tests/fake/scene.h"
#include "tests/fake/shared.h"

#define KERNEL UINT64_C(0xffff800000000000)
#define TOP    UINT64_C(0xfffffffffffff000)

static const struct pt_attr RW = { PT_WRITE | PT_USER, PT_WB };
static const struct pt_attr RO = { PT_USER, PT_WB };

static struct shared ground;
static struct pt_space kernel, user, clone;

static void start(struct pt_space *space)
{
	struct pt_cpu cpu = scene_cpu();

	shared_init(&ground);
	CHECK_STATUS(pt_init(space, &cpu, &ground.mem, &ground.tables), PT_OK, space_text, "init");
}

static enum pt_status put(struct pt_space *space, uint64_t va, uint64_t pa, uint64_t pages)
{
	struct pt_mapping m = { virt(va), phys(pa), pages, RW };

	return pt_map(space, &m, NULL, &ground.flush);
}

static void must_put(struct pt_space *space, uint64_t va, uint64_t pa, uint64_t pages)
{
	CHECK_STATUS(put(space, va, pa, pages), PT_OK, space_text, "put");
}

static bool is_at(const struct pt_space *space, uint64_t va, uint64_t pa)
{
	phys_addr at;

	return pt_translate(space, virt(va), &at) == PT_OK && at.raw == pa;
}

static enum pt_status take_away(struct pt_space *space, uint64_t va, uint64_t pages)
{
	return pt_unmap(space, (struct pt_range){ virt(va), pages }, &ground.flush);
}

static void expect_references(size_t count, const char *name)
{
	const struct pt_space *spaces[] = { &kernel, &user, &clone };

	shared_expect(&ground, spaces, count, name);
}

/* ---- pinning ----------------------------------------------------------------------------- */

static void pinning_takes_a_table_for_each_absent_entry_and_no_other(void)
{
	start(&kernel);
	must_put(&kernel, TOP, 0x5000, 1);
	must_put(&kernel, 0x1000, 0x6000, 1);
	size_t before = ground.pool.taken;

	kernel.hot.entries = shared_table(&ground, kernel.root);
	uint64_t generation = kernel.generation;

	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "pin");
	CHECK(!kernel.hot.entries && kernel.generation != generation, "nothing remembered");
	CHECK_EQ(ground.pool.taken, before + 255, "one for each that was absent");
	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "again");
	CHECK_EQ(ground.pool.taken, before + 255, "nothing to do");
	CHECK(is_at(&kernel, TOP, 0x5000) && is_at(&kernel, 0x1000, 0x6000), "all is there");
	for (unsigned i = 0; i < 512; i++) {
		pte_t e = shared_table(&ground, kernel.root)[i];

		CHECK_EQ(pte_kind(e, 4) == PTE_TABLE, i >= 256 || i == 0, "lower half");
		if (i >= 256 && i < 511)
			CHECK(e == pte_link(&kernel.cpu, pte_table_addr(&kernel.cpu, e, 4),
					    PT_WRITE | PT_USER | PT_EXEC, 4),
			      "a link that lets all through");
	}
	CHECK_EQ(pt_flush_is_empty(&ground.flush), true, "nothing to flush");
	expect_references(1, "pinned");
	CHECK_EQ(pt_destroy(&kernel), before + 255, "all given back");
	shared_free(&ground, "pinned");
}

static void pinning_that_runs_out_of_tables_changes_nothing(void)
{
	start(&kernel);
	for (size_t left = 0; left < 256; left += left < 8 || left > 250 ? 1 : 37) {
		struct pt_space before = kernel;

		ground.limit = 1 + left;
		CHECK_STATUS(pt_pin_upper(&kernel), PT_ERR_NO_TABLES, space_text, "too few");
		CHECK_EQ(ground.pool.taken, 1, "given back");
		CHECK(memcmp(&before, &kernel, sizeof(before)) == 0, "the space is as it was");
		for (unsigned i = 0; i < 512; i++)
			CHECK_EQ(shared_table(&ground, kernel.root)[i], 0, "the root is");
	}
	ground.limit = 257;
	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "just enough");
	pt_destroy(&kernel);
	shared_free(&ground, "starved");
}

static void pinned_links_count_nothing(void)
{
	start(&kernel);
	kernel.counted = true;
	must_put(&kernel, KERNEL, 0x5000, 2);
	must_put(&kernel, 0, 0x5000, 2);
	CHECK_EQ(pte_count(shared_table(&ground, kernel.root)[256]), 2, "one entry in use");
	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "pin");
	must_put(&kernel, KERNEL + GIB, 0x9000, 1);
	CHECK_EQ(pte_count(shared_table(&ground, kernel.root)[256]), 0, "unknown");
	CHECK_EQ(pte_count(shared_table(&ground, kernel.root)[0]), 2, "the lower half's stay");
	pt_destroy(&kernel);
	shared_free(&ground, "counts");
}

static void what_cannot_be_pinned_is_refused(void)
{
	struct pt_space reader;
	pte_t *root;

	start(&kernel);
	must_put(&kernel, KERNEL, 0x5000, 1);
	root = shared_table(&ground, kernel.root);
	CHECK_STATUS(pt_open(&reader, &kernel.cpu, &ground.mem, NULL, kernel.root), PT_OK,
		     space_text, "open");
	CHECK_STATUS(pt_pin_upper(&reader), PT_ERR_READ_ONLY, space_text, "reader");
	CHECK_STATUS(pt_init_user(&user, &kernel, &ground.tables), PT_ERR_FOREIGN, space_text,
		     "not pinned");
	reader.pins_upper = true;
	reader.mem.first.raw += 4096; /* the root is the first table */
	CHECK_STATUS(pt_init_user(&user, &reader, &ground.tables), PT_ERR_CORRUPT, space_text,
		     "the kernel's root is out of reach");
	root[300] = 0xabc00;
	CHECK_STATUS(pt_pin_upper(&kernel), PT_ERR_OVERLAP, space_text, "soft");
	root[300] = 0x7ffffff000 | PTE_P | PTE_W;
	CHECK_STATUS(pt_pin_upper(&kernel), PT_ERR_CORRUPT, space_text, "out of reach");
	root[300] = 0;
	kernel.root_last = 255;
	CHECK_STATUS(pt_pin_upper(&kernel), PT_ERR_FOREIGN, space_text, "not all of the root");
	kernel.root_last = 511;
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_COW), PT_OK, space_text, "clone");
	CHECK_STATUS(pt_pin_upper(&kernel), PT_ERR_SHARED, space_text, "a common table");
	pt_destroy(&clone);
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_SHALLOW), PT_OK, space_text, "clone");
	CHECK_STATUS(pt_pin_upper(&kernel), PT_ERR_SHARED, space_text, "a common root");
	pt_destroy(&clone);
	CHECK_EQ(ground.pool.taken, 4, "no table was taken");
	CHECK(!kernel.pins_upper, "not pinned");
	pt_destroy(&kernel);
	shared_free(&ground, "refused");
}

/* ---- users --------------------------------------------------------------------------------- */

static void start_user(void)
{
	start(&kernel);
	must_put(&kernel, KERNEL, 0x5000, 4);
	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "pin");
	CHECK_STATUS(pt_init_user(&user, &kernel, &ground.tables), PT_OK, space_text, "user");
}

static void a_user_sees_what_its_kernel_maps_later_everywhere(void)
{
	start_user();
	CHECK(is_at(&user, KERNEL + 0x1000, 0x6000), "from before");
	for (unsigned i = 256; i < 512; i++) {
		uint64_t va = UINT64_MAX << 48 | (uint64_t)i << 39 | 0x7654321000;

		must_put(&kernel, va, 0x9000, 1);
		CHECK(is_at(&user, va, 0x9000), "later");
	}
	must_put(&kernel, TOP, 0xa000, 1);
	CHECK(is_at(&user, TOP, 0xa000), "the last page");
	must_put(&kernel, 0x4000, 0xb000, 1);
	CHECK(!is_at(&user, 0x4000, 0xb000), "the lower half is the user's own");
	CHECK_STATUS(pt_unmap(&kernel, pt_upper_half(&kernel.cpu), &ground.flush), PT_OK,
		     space_text, "unmap all");
	shared_done(&ground, &kernel);
	CHECK(!is_at(&user, TOP, 0xa000), "gone");
	must_put(&kernel, TOP, 0xc000, 1);
	CHECK(is_at(&user, TOP, 0xc000), "and back");
	CHECK_STATUS(pt_clean(&kernel, (struct pt_range){ virt(KERNEL), 1 }, &ground.flush), PT_OK,
		     space_text, "clean");
	CHECK_STATUS(pt_collapse(&kernel, (struct pt_range){ virt(KERNEL), 1 }, &ground.flush),
		     PT_OK, space_text, "collapse");
	shared_done(&ground, &kernel);
	CHECK(memcmp(&shared_table(&ground, kernel.root)[256],
		     &shared_table(&ground, user.root)[256], 256 * 8) == 0,
	      "the root entries agree");
	pt_destroy(&user);
	pt_destroy(&kernel);
	shared_free(&ground, "seen");
}

static void a_user_cannot_change_the_kernels_half(void)
{
	struct pt_range page = { virt(KERNEL), 1 };
	struct pt_update update = { 0, PT_SOFT1, 0 };
	struct pt_entry old;

	start_user();
	CHECK_STATUS(put(&user, KERNEL + GIB, 0x5000, 1), PT_ERR_FOREIGN, space_text, "map");
	CHECK_STATUS(pt_unmap(&user, page, &ground.flush), PT_ERR_FOREIGN, space_text, "unmap");
	CHECK_STATUS(pt_protect(&user, page, RO, &ground.flush), PT_ERR_FOREIGN, space_text,
		     "protect");
	CHECK_STATUS(pt_update(&user, page, update, &ground.flush), PT_ERR_FOREIGN, space_text,
		     "update");
	CHECK_STATUS(pt_clean(&user, page, &ground.flush), PT_ERR_FOREIGN, space_text, "clean");
	CHECK_STATUS(pt_collapse(&user, page, &ground.flush), PT_ERR_FOREIGN, space_text,
		     "collapse");
	CHECK_STATUS(pt_set_link(&user, virt(KERNEL), 4, 0, &ground.flush), PT_ERR_FOREIGN,
		     space_text, "set link");
	CHECK_STATUS(
		pt_set_soft(&user, &(struct pt_soft){ virt(KERNEL), 1, 0 }, &ground.flush, &old),
		PT_ERR_FOREIGN, space_text, "set soft");
	CHECK_STATUS(pt_pin_upper(&user), PT_ERR_FOREIGN, space_text, "pin");
	CHECK_STATUS(put(&user, 0x7ffffffff000, 0x5000, 1), PT_OK, space_text, "its own last");
	CHECK(is_at(&kernel, KERNEL, 0x5000), "untouched");
	pt_destroy(&user);
	pt_destroy(&kernel);
	shared_free(&ground, "not its own");
}

static void a_user_gives_back_its_own_tables_and_no_other(void)
{
	static const char *const names[] = { "the kernel's allocator", "another, without holds" };

	for (unsigned i = 0; i < 2; i++) {
		start(&kernel);
		must_put(&kernel, KERNEL, 0x5000, 4);
		CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "pin");
		size_t before = ground.pool.taken;

		ground.limit = before;
		CHECK_STATUS(pt_init_user(&user, &kernel, i ? &ground.plain : &ground.tables),
			     PT_ERR_NO_TABLES, space_text, names[i]);
		ground.limit = SHARED_TABLES;
		CHECK_STATUS(pt_init_user(&user, &kernel, i ? &ground.plain : &ground.tables),
			     PT_OK, space_text, names[i]);
		CHECK_EQ(ground.pool.taken, before + 1, names[i]);
		must_put(&user, 0, 0x5000, 600);
		CHECK_EQ(pt_destroy(&user), 5, names[i]);
		CHECK_EQ(ground.pool.taken, before, names[i]);
		CHECK(is_at(&kernel, KERNEL, 0x5000), names[i]);
		expect_references(1, names[i]);
		pt_destroy(&kernel);
		shared_free(&ground, names[i]);
	}
}

static void with_five_levels_the_upper_half_is_pinned_too(void)
{
	struct pt_cpu cpu = scene_cpu();

	cpu.levels = 5;
	shared_init(&ground);
	CHECK_STATUS(pt_init(&kernel, &cpu, &ground.mem, &ground.tables), PT_OK, space_text, "");
	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "pin");
	CHECK_STATUS(pt_init_user(&user, &kernel, &ground.tables), PT_OK, space_text, "user");
	must_put(&kernel, UINT64_C(0xff00000000000000), 0x5000, 1);
	must_put(&kernel, TOP, 0x6000, 1);
	CHECK(is_at(&user, UINT64_C(0xff00000000000000), 0x5000), "first");
	CHECK(is_at(&user, TOP, 0x6000), "last");
	CHECK_STATUS(put(&user, UINT64_C(0xff00000000000000), 0x5000, 1), PT_ERR_FOREIGN,
		     space_text, "foreign");
	must_put(&user, UINT64_C(0x00fffffffffff000), 0x5000, 1);
	pt_destroy(&user);
	pt_destroy(&kernel);
	shared_free(&ground, "five");
}

/* Entry 510 of the root leads to the root itself. */
static void plant_self_link(struct pt_space *space)
{
	shared_table(&ground, space->root)[510] = pte_link(&space->cpu, space->root, PT_WRITE, 4);
}

static phys_addr self_link_of(const struct pt_space *space)
{
	return pte_table_addr(&space->cpu, shared_table(&ground, space->root)[510], 4);
}

static void the_link_to_itself_leads_to_the_new_root_in_users_and_clones(void)
{
	static const enum pt_clone ways[] = { PT_CLONE_DEEP, PT_CLONE_COW, PT_CLONE_VIEW };

	start(&kernel);
	plant_self_link(&kernel);
	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "pin");
	CHECK_EQ(ground.pool.taken, 256, "the entry was in use");
	CHECK_STATUS(pt_init_user(&user, &kernel, &ground.tables), PT_OK, space_text, "user");
	CHECK_EQ(self_link_of(&user).raw, user.root.raw, "user");
	must_put(&user, 0x1000, 0x5000, 1);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		CHECK_STATUS(pt_clone(&clone, &user, ways[i]), PT_OK, space_text, "clone");
		CHECK_EQ(self_link_of(&clone).raw, clone.root.raw, "clone of the user");
		CHECK(pte_rights(&user.cpu, shared_table(&ground, clone.root)[510], 4) == PT_WRITE,
		      "with its rights");
		expect_references(3, "clone of the user");
		pt_destroy(&clone);
		CHECK_STATUS(pt_clone(&clone, &kernel, ways[i]), PT_OK, space_text, "clone");
		CHECK_EQ(self_link_of(&clone).raw, clone.root.raw, "clone of the kernel");
		pt_destroy(&clone);
	}
	pt_destroy(&user);
	pt_destroy(&kernel);
	shared_free(&ground, "self link");
}

/* ---- clones ------------------------------------------------------------------------------- */

/* Pages, both large leaves, a soft entry, an upper half. */
static void start_source(void)
{
	struct pt_mapping leaf = { virt(4 * MIB), phys(4 * MIB), PAGES(2 * MIB), RO };
	struct pt_mapping global = { virt(KERNEL), phys(0x9000), 3, { PT_GLOBAL, PT_UC } };
	struct pt_entry old;

	start(&kernel);
	kernel.frames = ground.frames;
	must_put(&kernel, 0x1000, 0x5000, 700);
	CHECK_STATUS(pt_map(&kernel, &leaf, NULL, &ground.flush), PT_OK, space_text, "2 MiB");
	leaf = (struct pt_mapping){ virt(GIB), phys(GIB), PAGES(GIB), RO };
	CHECK_STATUS(pt_map(&kernel, &leaf, NULL, &ground.flush), PT_OK, space_text, "1 GiB");
	CHECK_STATUS(pt_map(&kernel, &global, NULL, &ground.flush), PT_OK, space_text, "upper");
	CHECK_STATUS(pt_set_soft(&kernel, &(struct pt_soft){ virt(0x400000 - 0x1000), 1, 0x7700 },
				 &ground.flush, &old),
		     PT_OK, space_text, "soft");
	shared_done(&ground, &kernel);
}

static bool is_same_space(const struct pt_space *a, const struct pt_space *b)
{
	return shared_same(a, b, pt_lower_half(&a->cpu)) &&
	       shared_same(a, b, pt_upper_half(&a->cpu));
}

static const enum pt_clone every_way[] = { PT_CLONE_DEEP, PT_CLONE_COW, PT_CLONE_SHALLOW,
					   PT_CLONE_VIEW };
static const char *const way_names[] = { "deep", "copy-on-write", "shallow", "view" };
static const size_t way_tables[] = { 8, 1, 0, 1 };

static void a_clone_translates_as_its_source_and_takes_exactly_its_tables(void)
{
	for (size_t i = 0; i < ARRAY_LEN(every_way); i++) {
		start_source();
		size_t before = ground.pool.taken;

		kernel.allow_wx = true;
		kernel.budget = 1000;
		CHECK_EQ(before, 8, "the source's");
		for (size_t left = 0; left < way_tables[i]; left++) {
			ground.limit = before + left;
			clone.root = phys(0xbad);
			CHECK_STATUS(pt_clone(&clone, &kernel, every_way[i]), PT_ERR_NO_TABLES,
				     space_text, way_names[i]);
			CHECK_EQ(ground.pool.taken, before, way_names[i]);
			CHECK_EQ(clone.root.raw, 0xbad, way_names[i]);
			expect_references(1, way_names[i]);
		}
		ground.limit = before + way_tables[i];
		kernel.hot.entries = shared_table(&ground, kernel.root);
		kernel.processors = 0x80000002u;
		uint64_t generation = kernel.generation;

		CHECK_STATUS(pt_clone(&clone, &kernel, every_way[i]), PT_OK, space_text,
			     way_names[i]);
		CHECK(!kernel.hot.entries && kernel.generation != generation, "remembered");
		CHECK(!clone.hot.entries && clone.processors == 0 && !clone.cursors,
		      "nobody uses the clone");
		CHECK_EQ(ground.pool.taken, before + way_tables[i], way_names[i]);
		CHECK(is_same_space(&kernel, &clone), way_names[i]);
		CHECK(clone.allow_wx && clone.budget == 1000 && clone.frames.acquire, "policy");
		CHECK_EQ(clone.root.raw == kernel.root.raw, every_way[i] == PT_CLONE_SHALLOW,
			 way_names[i]);
		ground.limit = SHARED_TABLES;
		pt_destroy(&clone);
		CHECK_EQ(ground.pool.taken, before, way_names[i]);
		pt_destroy(&kernel);
		shared_free(&ground, way_names[i]);
	}
}

/* The bytes of all tables that are out, in `copy`. */
static void save_tables(unsigned char *copy)
{
	memcpy(copy, ground.arena.bytes, SHARED_TABLES * PT_PAGE_SIZE);
}

static void a_deep_clone_has_nothing_in_common_and_leaves_the_source_as_it_was(void)
{
	static unsigned char before[SHARED_TABLES * 4096];

	start_source();
	size_t tables = ground.pool.taken;
	uint64_t pages = ground.mapped[5];

	save_tables(before);
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_OK, space_text, "clone");
	CHECK_EQ(ground.mapped[5], 2 * pages, "pages are mapped once more");
	for (size_t i = 0; i < SHARED_TABLES; i++)
		CHECK(ground.references[i] == 1 || shared_is_free(&ground, i), "linked once");
	must_put(&clone, 0x700000000000, 0x5000, 1);
	CHECK_STATUS(pt_unmap(&clone, pt_lower_half(&clone.cpu), &ground.flush), PT_OK, space_text,
		     "unmap");
	shared_done(&ground, &clone);
	CHECK_STATUS(pt_protect(&clone, pt_upper_half(&clone.cpu), RO, &ground.flush), PT_OK,
		     space_text, "protect");
	CHECK(memcmp(before, ground.arena.bytes, tables * 4096) == 0, "not a byte");
	CHECK_EQ(pte_kind(*sdm_entry(&ground.arena, &kernel.cpu, kernel.root, 0x3ff000, 1), 1),
		 PTE_SOFT, "a soft entry");
	shared_done(&ground, &clone);
	pt_destroy(&clone);
	CHECK_EQ(ground.mapped[5], pages, "and once less");
	pt_destroy(&kernel);
	CHECK_EQ(ground.mapped[5], 0, "not at all");
	shared_free(&ground, "deep");
}

static void a_deep_clone_copies_soft_entries_rights_and_counts(void)
{
	start_source();
	CHECK_STATUS(pt_set_link(&kernel, virt(GIB), 4, PT_USER, &ground.flush), PT_OK, space_text,
		     "link");
	kernel.counted = true;
	must_put(&kernel, 0x10000000000, 0x5000, 3);
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_OK, space_text, "clone");
	for (uint64_t va = 0x3ff000; va <= 0x10000000000; va += 0x10000000000 - 0x3ff000) {
		for (unsigned level = 1; level <= 4; level++) {
			pte_t a = *sdm_entry(&ground.arena, &kernel.cpu, kernel.root, va, level);
			pte_t b = *sdm_entry(&ground.arena, &kernel.cpu, clone.root, va, level);

			CHECK_EQ((a ^ b) & ~(level > 1 ? PTE_ADDR : 0), 0, "but for the address");
		}
	}
	shared_done(&ground, &kernel);
	pt_destroy(&clone);
	pt_destroy(&kernel);
	shared_free(&ground, "deep entries");
}

/* Finds tables in the window; told where one is linked, sees that it is. */
static void *find_table(void *ctx, phys_addr table, virt_addr va, unsigned level)
{
	struct space_arena *arena = ctx;

	if (level != 0 && level < 4) {
		uint64_t link = *sdm_entry(arena, &kernel.cpu, kernel.root, va.raw, level + 1);

		CHECK_EQ(link & PTE_ADDR, table.raw, "it is linked there");
		CHECK_EQ(va.raw & (level_size(level + 1) - 1), 0, "the first that it translates");
	}
	return space_table(arena, table);
}

static void a_deep_clone_tells_where_the_tables_that_it_reads_are_linked(void)
{
	start_source();
	must_put(&kernel, 0x7f8040201000, 0x5000, 1);
	kernel.mem = (struct pt_mem){ .table = find_table, .ctx = &ground.arena };
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_OK, space_text, "clone");
	pt_destroy(&clone);
	pt_destroy(&kernel);
	shared_free(&ground, "places");
}

static void the_first_entry_can_be_the_link_to_itself(void)
{
	start(&kernel);
	shared_table(&ground, kernel.root)[0] = pte_link(&kernel.cpu, kernel.root, 0, 4);
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_OK, space_text, "clone");
	CHECK_EQ(pte_table_addr(&kernel.cpu, shared_table(&ground, clone.root)[0], 4).raw,
		 clone.root.raw, "the clone's");
	CHECK_EQ(ground.pool.taken, 2, "a root each");
	pt_destroy(&clone);
	pt_destroy(&kernel);
	shared_free(&ground, "first");
}

static void a_deep_clone_copies_a_table_as_often_as_it_is_linked(void)
{
	start(&kernel);
	must_put(&kernel, 0, 0x5000, 1);
	struct pt_tree tree = { &kernel, virt(0), 2 };

	CHECK_STATUS(pt_link_tree(&kernel, virt(2 * MIB), tree, &ground.flush), PT_OK, space_text,
		     "link");
	CHECK_EQ(ground.pool.taken, 4, "one table twice");
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_OK, space_text, "clone");
	CHECK_EQ(ground.pool.taken, 9, "two tables");
	CHECK(is_same_space(&kernel, &clone), "the same");
	kernel.budget = 4;
	pt_destroy(&clone);
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_ERR_BUDGET, space_text, "five");
	kernel.budget = 5;
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_OK, space_text, "five");
	pt_destroy(&clone);
	pt_destroy(&kernel);
	shared_free(&ground, "twice");
}

static void a_deep_clone_of_hostile_tables_ends_with_a_status(void)
{
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
	f.space.budget = 1000;
	for (unsigned level = 4; level >= 2; level--) {
		for (unsigned i = 0; i < 512; i++)
			scene_entry(&f, 0, level)[i] = *scene_entry(&f, 0, level);
	}
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_clone(&clone, &f.space, PT_CLONE_DEEP), PT_ERR_BUDGET, space_text, "DAG");
	*scene_entry(&f, 3 * 4096 * 512, 2) = 0x3ffffffff000 | PTE_P;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_clone(&clone, &f.space, PT_CLONE_DEEP), PT_ERR_CORRUPT, space_text, "link");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "nothing taken");
	space_fixture_free(&f);
}

static void after_a_copy_on_write_clone_a_write_copies_its_path_only(void)
{
	static unsigned char before[SHARED_TABLES * 4096];

	for (unsigned side = 0; side < 2; side++) {
		start_source();
		size_t tables = ground.pool.taken;

		CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_COW), PT_OK, space_text, "clone");
		struct pt_space *writer = side ? &clone : &kernel, *other = side ? &kernel : &clone;
		const struct pt_space *both[] = { &kernel, &clone };
		struct pt_space old;
		struct pt_plan plan;
		struct pt_range page = { virt(0x2000), 1 };

		shared_expect(&ground, both, 2, "cloned");
		save_tables(before);
		CHECK_STATUS(pt_clone(&old, other, PT_CLONE_DEEP), PT_OK, space_text, "model");
		CHECK_STATUS(pt_plan_protect(writer, page, RO, &plan), PT_OK, space_text, "plan");
		CHECK_EQ(plan.tables, 3, "a path of three");
		CHECK_EQ(plan.moved, 3, "all copies");
		size_t taken = ground.pool.taken;

		CHECK_STATUS(pt_protect(writer, page, RO, &ground.flush), PT_OK, space_text, "");
		CHECK_EQ(ground.pool.taken, taken + 4, "and a table for the list");
		CHECK_EQ(shared_done(&ground, writer), 1, "the list");
		CHECK_EQ(ground.pool.taken, taken + 3, "the path");
		CHECK(is_same_space(other, &old), "the other is as it was");
		CHECK(!is_same_space(writer, &old), "this one is not");
		pt_destroy(&old);
		shared_expect(&ground, both, 2, "written");
		CHECK_STATUS(
			pt_protect(writer, (struct pt_range){ virt(0x3000), 1 }, RO, &ground.flush),
			PT_OK, space_text, "next to it");
		CHECK_EQ(ground.pool.taken, tables + 4, "in place");
		shared_done(&ground, writer);
		pt_destroy(writer);
		shared_expect(&ground, (const struct pt_space *[]){ other }, 1, "one left");
		CHECK_EQ(ground.pool.taken, tables, "its own");
		pt_destroy(other);
		CHECK_EQ(ground.mapped[6], 0, "pages");
		shared_free(&ground, "written");
	}
}

static void after_a_shallow_clone_the_first_write_gets_a_root_of_its_own(void)
{
	for (unsigned side = 0; side < 4; side++) {
		const struct pt_space *both[] = { &kernel, &clone };

		start_source();
		plant_self_link(&kernel);
		CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_SHALLOW), PT_OK, space_text, "");
		shared_expect(&ground, both, 2, "cloned");
		struct pt_space *writer = side & 1 ? &clone : &kernel;
		struct pt_space *other = side & 1 ? &kernel : &clone;
		phys_addr root = other->root;

		must_put(writer, 0x700000000000, 0x5000, 1);
		CHECK_EQ(other->root.raw, root.raw, "the other's stays");
		CHECK(writer->root.raw != root.raw, "a new one");
		CHECK_EQ(ground.moves, 1, "told once");
		CHECK_EQ(ground.moved_to.raw, writer->root.raw, "which");
		CHECK_EQ(self_link_of(writer).raw, writer->root.raw, "links to itself");
		CHECK_EQ(self_link_of(other).raw, root.raw, "and so does the other");
		CHECK(!is_at(other, 0x700000000000, 0x5000), "not the other's");
		if (side & 2) { /* the last reference to the old root goes with the flush */
			pt_destroy(other);
			shared_done(&ground, writer);
		} else {
			shared_done(&ground, writer);
			shared_expect(&ground, both, 2, "written");
			must_put(other, 0x710000000000, 0x5000, 1);
			CHECK_EQ(other->root.raw, root.raw, "in place: nobody else has it");
			shared_done(&ground, other);
			pt_destroy(other);
		}
		shared_expect(&ground, (const struct pt_space *[]){ writer }, 1, "one left");
		CHECK(is_at(writer, 0x2000, 0x6000), "all there");
		pt_destroy(writer);
		shared_free(&ground, "shallow");
	}
}

static void the_kernels_half_outlives_the_roots_that_users_had_in_common(void)
{
	start_user();
	must_put(&user, 0x1000, 0x5000, 1);
	size_t kernels = ground.pool.taken - 4;

	CHECK_STATUS(pt_clone(&clone, &user, PT_CLONE_SHALLOW), PT_OK, space_text, "clone");
	must_put(&clone, 0x2000, 0x6000, 1);
	pt_destroy(&user);
	shared_done(&ground, &clone);
	CHECK_EQ(ground.pool.taken, kernels + 4, "the kernel's, and four");
	CHECK(is_at(&kernel, KERNEL, 0x5000) && is_at(&clone, KERNEL, 0x5000), "the kernel's half");
	pt_destroy(&clone);
	expect_references(1, "the kernel alone");
	pt_destroy(&kernel);
	shared_free(&ground, "outlived");
}

static void a_view_sees_what_changes_below_and_changes_nothing(void)
{
	start_source();
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_VIEW), PT_OK, space_text, "view");
	must_put(&kernel, 0x3000000, 0x5000, 1);
	CHECK(is_at(&clone, 0x3000000, 0x5000), "below");
	for (uint64_t va = 0x4000000; va >> 47 == 0; va += 512 * GIB)
		CHECK_STATUS(put(&clone, va, 0x5000, 1), PT_ERR_FOREIGN, space_text, "lower");
	CHECK_STATUS(put(&clone, 0, 0x5000, 0), PT_OK, space_text, "no pages");
	CHECK_STATUS(take_away(&clone, KERNEL, 1), PT_ERR_FOREIGN, space_text, "upper");
	CHECK_STATUS(pt_set_link(&clone, virt(0), 4, 0, &ground.flush), PT_ERR_FOREIGN, space_text,
		     "link");
	CHECK_EQ(pt_destroy(&clone), 1, "its root");
	expect_references(1, "viewed");
	CHECK(is_at(&kernel, 0x2000, 0x6000), "all there");
	pt_destroy(&kernel);
	shared_free(&ground, "view");
}

static void what_cannot_be_cloned_is_refused(void)
{
	struct pt_space reader;
	struct pt_holds no_share = { shared_hold, NULL, NULL };

	start_source();
	CHECK_STATUS(pt_open(&reader, &kernel.cpu, &ground.mem, NULL, kernel.root), PT_OK,
		     space_text, "open");
	for (size_t i = 0; i < ARRAY_LEN(every_way); i++)
		CHECK_STATUS(pt_clone(&clone, &reader, every_way[i]), PT_ERR_READ_ONLY, space_text,
			     way_names[i]);
	kernel.tables.holds = NULL;
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_COW), PT_ERR_SHARED, space_text, "none");
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_SHALLOW), PT_ERR_SHARED, space_text,
		     "none");
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_OK, space_text, "none");
	pt_destroy(&clone);
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_VIEW), PT_OK, space_text, "none");
	pt_destroy(&clone);
	kernel.tables.holds = &no_share;
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_COW), PT_ERR_SHARED, space_text, "share");
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_SHALLOW), PT_ERR_SHARED, space_text,
		     "share");
	kernel.tables = ground.tables;
	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "pin");
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_SHALLOW), PT_ERR_FOREIGN, space_text,
		     "pinned");
	expect_references(1, "refused");
	pt_destroy(&kernel);
	shared_free(&ground, "refused");
}

static void a_copy_on_write_clone_of_a_kernel_is_a_user_of_it(void)
{
	start_source();
	CHECK_STATUS(pt_pin_upper(&kernel), PT_OK, space_text, "pin");
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_COW), PT_OK, space_text, "clone");
	CHECK_STATUS(pt_init_user(&user, &clone, &ground.tables), PT_ERR_FOREIGN, space_text,
		     "not a kernel");
	CHECK_STATUS(pt_clone(&user, &clone, PT_CLONE_SHALLOW), PT_OK, space_text, "shallow");
	pt_destroy(&user);
	CHECK_STATUS(pt_clone(&user, &kernel, PT_CLONE_VIEW), PT_OK, space_text, "view");
	CHECK(!user.pins_upper, "a view is no kernel");
	pt_destroy(&user);
	CHECK_STATUS(pt_clone(&user, &clone, PT_CLONE_COW), PT_OK, space_text, "again");
	expect_references(3, "cloned");
	must_put(&kernel, TOP, 0x5000, 1);
	must_put(&kernel, KERNEL + 0x5000, 0x7000, 1);
	CHECK(is_at(&clone, TOP, 0x5000) && is_at(&user, TOP, 0x5000), "later");
	CHECK(is_at(&user, KERNEL + 0x5000, 0x7000), "in an old table");
	CHECK_STATUS(put(&clone, TOP, 0x5000, 1), PT_ERR_FOREIGN, space_text, "not its own");
	must_put(&kernel, 0x700000000000, 0x5000, 1);
	CHECK(!is_at(&clone, 0x700000000000, 0x5000), "the lower halves part");
	shared_done(&ground, &kernel);
	CHECK_STATUS(take_away(&clone, 0, PAGES(GIB)), PT_OK, space_text, "unmap");
	shared_done(&ground, &clone);
	CHECK(is_at(&kernel, 0x2000, 0x6000), "the kernel's stays");
	expect_references(3, "written");
	pt_destroy(&user);
	pt_destroy(&clone);
	CHECK_STATUS(pt_clone(&clone, &kernel, PT_CLONE_DEEP), PT_OK, space_text, "deep");
	CHECK(clone.pins_upper, "a kernel too");
	must_put(&kernel, TOP - 0x1000, 0x5000, 1);
	CHECK(!is_at(&clone, TOP - 0x1000, 0x5000), "of its own");
	shared_done(&ground, &kernel);
	pt_destroy(&clone);
	pt_destroy(&kernel);
	shared_free(&ground, "kernels");
}

/* ---- sub-trees ------------------------------------------------------------------------------- */

struct link_row {
	const char *name;
	uint64_t va, from; /* kernel's va gets user's tree at `from` */
	unsigned level;
	enum pt_status status;
	size_t tables; /* taken */
};

/* The kernel has a page at 0, the user pages at 0 and 1 GiB, and leaves of 2 MiB and 1 GiB. */
static const struct link_row link_rows[] = {
	{ "pages, the way is there", 2 * MIB, GIB, 2, PT_OK, 0 },
	{ "pages, unaligned", 2 * MIB + 0x1234, GIB + 0x54321, 2, PT_OK, 0 },
	{ "pages, a table on the way", 3 * GIB, 0, 2, PT_OK, 1 },
	{ "pages, two on the way", 1024 * GIB, 0, 2, PT_OK, 2 },
	{ "level 3", GIB, 0, 3, PT_OK, 0 },
	{ "level 3, a table on the way", 512 * GIB, GIB, 3, PT_OK, 1 },
	{ "level 4", 512 * GIB, 0, 4, PT_OK, 0 },
	{ "upper half", TOP, 0, 4, PT_OK, 0 },
	{ "the last entry of all", TOP, 0, 2, PT_OK, 2 },
	{ "a table is there", 0, 0, 2, PT_ERR_OVERLAP, 0 },
	{ "a table with a page below", 0, 0, 4, PT_ERR_OVERLAP, 0 },
	{ "not mapped", 2 * MIB, 2 * MIB, 2, PT_ERR_NOT_MAPPED, 0 },
	{ "not mapped above", 2 * MIB, 1024 * GIB, 2, PT_ERR_NOT_MAPPED, 0 },
	{ "a leaf of 2 MiB", 2 * MIB, 4 * MIB, 2, PT_ERR_SIZE, 0 },
	{ "a leaf of 1 GiB", 2 * MIB, 4 * GIB, 2, PT_ERR_SIZE, 0 },
	{ "a leaf of 1 GiB at its level", 5 * GIB, 4 * GIB, 3, PT_ERR_SIZE, 0 },
	{ "level 1", 2 * MIB, 0, 1, PT_ERR_LEVEL, 0 },
	{ "level 0", 2 * MIB, 0, 0, PT_ERR_LEVEL, 0 },
	{ "level 5", 2 * MIB, 0, 5, PT_ERR_LEVEL, 0 },
	{ "not canonical", UINT64_C(1) << 47, 0, 2, PT_ERR_RANGE, 0 },
	{ "not canonical there", 2 * MIB, UINT64_C(1) << 50, 2, PT_ERR_RANGE, 0 },
};

static void start_two(void)
{
	struct pt_cpu cpu = scene_cpu();

	start(&kernel);
	must_put(&kernel, 0, 0x5000, 1);
	CHECK_STATUS(pt_init(&user, &cpu, &ground.mem, &ground.tables), PT_OK, space_text, "user");
	must_put(&user, 0, 0x6000, 2);
	must_put(&user, GIB, 0x8000, 2);
	must_put(&user, 4 * MIB, 4 * MIB, PAGES(2 * MIB));
	must_put(&user, 4 * GIB, 4 * GIB, PAGES(GIB));
}

static void end_two(const char *name)
{
	shared_done(&ground, &kernel);
	expect_references(2, name);
	pt_destroy(&user);
	pt_destroy(&kernel);
	shared_free(&ground, name);
}

static void expect_linked(const struct link_row *row)
{
	uint64_t size = level_size(row->level);
	uint64_t here = align_down(row->va, size), there = align_down(row->from, size);

	for (uint64_t i = 0; i < 4; i++) {
		phys_addr a = { 0 }, b = { 0 };
		uint64_t offset = (i & 1) * 4096 + (i & 2 ? GIB & (size - 1) : 0);

		CHECK_EQ(pt_translate(&kernel, virt(here + offset), &a),
			 pt_translate(&user, virt(there + offset), &b), row->name);
		CHECK_EQ(a.raw, b.raw, row->name);
	}
	/* What is common is copied before it is written to. */
	CHECK_STATUS(put(&user, there + 0x5000, 0xf000, 1), PT_OK, space_text, row->name);
	CHECK(!is_at(&kernel, here + 0x5000, 0xf000), row->name);
	shared_done(&ground, &user);
}

static void a_subtree_is_linked_and_counted_or_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(link_rows); i++) {
		const struct link_row *row = &link_rows[i];
		struct pt_tree tree = { &user, virt(row->from), row->level };

		start_two();
		size_t before = ground.pool.taken;

		for (size_t left = 0; left < row->tables; left++) {
			ground.limit = before + left;
			CHECK_STATUS(pt_link_tree(&kernel, virt(row->va), tree, &ground.flush),
				     PT_ERR_NO_TABLES, space_text, row->name);
			CHECK_EQ(ground.pool.taken, before, row->name);
			expect_references(2, row->name);
		}
		ground.limit = before + row->tables;
		CHECK_STATUS(pt_link_tree(&kernel, virt(row->va), tree, &ground.flush), row->status,
			     space_text, row->name);
		CHECK_EQ(ground.pool.taken, before + row->tables, row->name);
		expect_references(2, row->name);
		CHECK(pt_flush_is_empty(&ground.flush), row->name);
		ground.limit = SHARED_TABLES;
		if (row->status == PT_OK)
			expect_linked(row);
		end_two(row->name);
	}
}

static void a_tree_linked_where_it_is_already_changes_nothing(void)
{
	struct pt_tree tree = { &user, virt(0), 2 };

	start_two();
	for (unsigned i = 0; i < 3; i++) {
		CHECK_STATUS(pt_link_tree(&kernel, virt(2 * MIB), tree, &ground.flush), PT_OK,
			     space_text, "again");
		expect_references(2, "again");
	}
	CHECK_STATUS(pt_link_tree(&user, virt(0x1000), tree, &ground.flush), PT_OK, space_text,
		     "to itself");
	CHECK_STATUS(take_away(&user, 0, 2), PT_OK, space_text, "empty");
	end_two("again");
}

static void an_empty_table_gives_way_to_a_linked_one(void)
{
	struct pt_tree tree = { &user, virt(0), 2 };

	start_two();
	must_put(&kernel, 2 * MIB, 0x5000, 1);
	*sdm_entry(&ground.arena, &kernel.cpu, kernel.root, 2 * MIB, 1) = 0;
	size_t before = ground.pool.taken;

	CHECK_STATUS(pt_link_tree(&kernel, virt(2 * MIB), tree, &ground.flush), PT_OK, space_text,
		     "linked");
	CHECK_EQ(ground.flush.pages, 512, "processors may remember it");
	CHECK_EQ(shared_done(&ground, &kernel), 1, "retired");
	CHECK_EQ(ground.pool.taken, before - 1, "given back");
	CHECK(is_at(&kernel, 2 * MIB, 0x6000), "linked");
	/* Emptied where it lies, and linked over itself. */
	*sdm_entry(&ground.arena, &kernel.cpu, user.root, 0, 1) = 0;
	*sdm_entry(&ground.arena, &kernel.cpu, user.root, 0x1000, 1) = 0;
	CHECK_STATUS(pt_link_tree(&user, virt(0), tree, &ground.flush), PT_OK, space_text, "same");
	CHECK(pt_flush_is_empty(&ground.flush), "nothing is retired");
	end_two("empty");
}

static void an_alias_inside_one_space_parts_when_written_to(void)
{
	struct pt_tree tree = { &kernel, virt(0), 2 };

	start_two();
	CHECK_STATUS(pt_link_tree(&kernel, virt(6 * MIB), tree, &ground.flush), PT_OK, space_text,
		     "alias");
	CHECK(is_at(&kernel, 6 * MIB, 0x5000), "there too");
	must_put(&kernel, 6 * MIB + 0x3000, 0x7000, 1);
	CHECK(!is_at(&kernel, 0x3000, 0x7000), "not at the other");
	CHECK(is_at(&kernel, 6 * MIB + 0x3000, 0x7000) && is_at(&kernel, 0, 0x5000), "both");
	end_two("alias");
}

static void a_link_carries_the_rights_of_the_one_it_copies(void)
{
	struct pt_tree tree = { &user, virt(0), 2 };
	struct pt_leaf leaf;

	start_two();
	CHECK_STATUS(pt_set_link(&user, virt(0), 2, PT_USER, &ground.flush), PT_OK, space_text, "");
	CHECK_STATUS(pt_link_tree(&kernel, virt(2 * MIB), tree, &ground.flush), PT_OK, space_text,
		     "link");
	CHECK_STATUS(pt_query(&kernel, virt(2 * MIB), &leaf), PT_OK, space_text, "query");
	CHECK_EQ(leaf.attr.flags & (PT_WRITE | PT_USER), PT_USER, "effective");
	end_two("rights");
}

static void counts_go_with_the_link_only_if_references_are_counted(void)
{
	struct pt_tree tree = { &user, virt(0), 2 };

	for (unsigned counts = 0; counts < 2; counts++) {
		start_two();
		user.counted = kernel.counted = true;
		CHECK_STATUS(take_away(&user, 0, PAGES(2 * MIB)), PT_OK, space_text, "anew");
		must_put(&user, 0, 0x6000, 3);
		shared_done(&ground, &user);
		if (!counts)
			kernel.tables.holds = NULL;
		CHECK_STATUS(pt_link_tree(&kernel, virt(2 * MIB), tree, &ground.flush), PT_OK,
			     space_text, "link");
		CHECK_EQ(pte_count(*sdm_entry(&ground.arena, &kernel.cpu, kernel.root, 2 * MIB, 2)),
			 counts ? 4 : 0, "used entries and one, or unknown");
		if (!counts)
			*sdm_entry(&ground.arena, &kernel.cpu, kernel.root, 2 * MIB, 2) = 0;
		kernel.tables = ground.tables;
		CHECK_STATUS(take_away(&kernel, 2 * MIB, 2), PT_OK, space_text, "two go");
		CHECK_EQ(is_at(&kernel, 2 * MIB + 0x2000, 0x8000), counts, "the third stays");
		end_two("counted");
	}
}

static void root_entries_of_others_are_neither_linked_nor_replaced(void)
{
	struct pt_tree tree = { &kernel, virt(KERNEL), 4 };

	start_user();
	must_put(&user, 0, 0x5000, 1);
	CHECK_STATUS(pt_link_tree(&user, virt(GIB << 9), tree, &ground.flush), PT_ERR_FOREIGN,
		     space_text, "a pinned table");
	tree.space = &user;
	CHECK_STATUS(pt_link_tree(&user, virt(GIB << 9), tree, &ground.flush), PT_ERR_FOREIGN,
		     space_text, "the kernel's, through the user");
	tree = (struct pt_tree){ &user, virt(0), 4 };
	CHECK_STATUS(pt_link_tree(&user, virt(TOP), tree, &ground.flush), PT_ERR_FOREIGN,
		     space_text, "into the kernel's half");
	CHECK_STATUS(pt_link_tree(&kernel, virt(TOP), tree, &ground.flush), PT_ERR_FOREIGN,
		     space_text, "over a pinned entry");
	tree = (struct pt_tree){ &kernel, virt(KERNEL), 3 };
	CHECK_STATUS(pt_link_tree(&user, virt(GIB), tree, &ground.flush), PT_OK, space_text,
		     "below a pinned entry");
	must_put(&kernel, KERNEL + 0x10000, 0x9000, 1);
	CHECK(is_at(&user, KERNEL + 0x10000, 0x9000), "users see the kernel's copy");
	CHECK(!is_at(&user, GIB + 0x10000, 0x9000), "the link has the old");
	shared_done(&ground, &kernel);
	expect_references(2, "linked");
	tree = (struct pt_tree){ &user, virt(0), 2 };
	user.tables.take = NULL;
	CHECK_STATUS(pt_link_tree(&user, virt(2 * MIB), tree, &ground.flush), PT_ERR_READ_ONLY,
		     space_text, "read only");
	user.tables = ground.tables;
	pt_destroy(&user);
	pt_destroy(&kernel);
	shared_free(&ground, "others");
}

static void nothing_is_linked_by_way_of_the_tables_themselves(void)
{
	const virt_addr inside = virt(UINT64_C(0xffffff0000000000));
	struct pt_tree tree = { &kernel, inside, 3 };

	start_two();
	plant_self_link(&kernel);
	CHECK_STATUS(pt_link_tree(&user, virt(2 * GIB), tree, &ground.flush), PT_ERR_FOREIGN,
		     space_text, "from there");
	tree.level = 4;
	CHECK_STATUS(pt_link_tree(&user, virt(GIB << 9), tree, &ground.flush), PT_ERR_FOREIGN,
		     space_text, "the root");
	tree = (struct pt_tree){ &user, virt(0), 2 };
	CHECK_STATUS(pt_link_tree(&kernel, inside, tree, &ground.flush), PT_ERR_FOREIGN, space_text,
		     "to there");
	tree.level = 4;
	CHECK_STATUS(pt_link_tree(&kernel, inside, tree, &ground.flush), PT_ERR_FOREIGN, space_text,
		     "in its place");
	end_two("self link");
}

int main(void)
{
	RUN(pinning_takes_a_table_for_each_absent_entry_and_no_other);
	RUN(pinning_that_runs_out_of_tables_changes_nothing);
	RUN(pinned_links_count_nothing);
	RUN(what_cannot_be_pinned_is_refused);
	RUN(a_user_sees_what_its_kernel_maps_later_everywhere);
	RUN(a_user_cannot_change_the_kernels_half);
	RUN(a_user_gives_back_its_own_tables_and_no_other);
	RUN(with_five_levels_the_upper_half_is_pinned_too);
	RUN(the_link_to_itself_leads_to_the_new_root_in_users_and_clones);
	RUN(a_clone_translates_as_its_source_and_takes_exactly_its_tables);
	RUN(a_deep_clone_has_nothing_in_common_and_leaves_the_source_as_it_was);
	RUN(a_deep_clone_copies_soft_entries_rights_and_counts);
	RUN(a_deep_clone_tells_where_the_tables_that_it_reads_are_linked);
	RUN(the_first_entry_can_be_the_link_to_itself);
	RUN(a_deep_clone_copies_a_table_as_often_as_it_is_linked);
	RUN(a_deep_clone_of_hostile_tables_ends_with_a_status);
	RUN(after_a_copy_on_write_clone_a_write_copies_its_path_only);
	RUN(after_a_shallow_clone_the_first_write_gets_a_root_of_its_own);
	RUN(the_kernels_half_outlives_the_roots_that_users_had_in_common);
	RUN(a_view_sees_what_changes_below_and_changes_nothing);
	RUN(what_cannot_be_cloned_is_refused);
	RUN(a_copy_on_write_clone_of_a_kernel_is_a_user_of_it);
	RUN(a_subtree_is_linked_and_counted_or_refused);
	RUN(a_tree_linked_where_it_is_already_changes_nothing);
	RUN(an_empty_table_gives_way_to_a_linked_one);
	RUN(an_alias_inside_one_space_parts_when_written_to);
	RUN(a_link_carries_the_rights_of_the_one_it_copies);
	RUN(counts_go_with_the_link_only_if_references_are_counted);
	RUN(root_entries_of_others_are_neither_linked_nor_replaced);
	RUN(nothing_is_linked_by_way_of_the_tables_themselves);
	return check_done();
}
