/*
 * One page of a size that the caller expects, and links set by hand: pt_page(),
 * pt_page_unmap(), pt_page_protect(), pt_set_link(), on x86-64. A number in a
 * test's name is that of a defect once found in other mappers.
 */
#include "tests/check.h"
#include "tests/fake/scene.h"

#define XD        (UINT64_C(1) << 63)
#define LINK_BITS (XD | 6) /* XD, U, W */
#define NO_LEAF             \
	{                   \
		.level = 77 \
	}

static const struct pt_attr RO = { 0, PT_WB }, RW = { PT_WRITE, PT_WB };

/* ------------------------------------------------------------------------
 * Statuses
 */

/* In a space with a page of each size, soft entries and a broken link. */
static const struct {
	const char *name;
	uint64_t va;
	unsigned level;
	enum pt_status status;
	unsigned cpu_leaf; /* the processor's largest; 0: 3 */
} PAGE_ROWS[] = {
	{ "a page of 4 KiB", 5 * 4096, 1, PT_OK, 0 },
	{ "a page of 2 MiB", 4 * MIB, 2, PT_OK, 0 },
	{ "a page of 1 GiB", 2 * GIB, 3, PT_OK, 0 },
	{ "2 MiB expected at 4 KiB", 0, 2, PT_ERR_NOT_MAPPED, 0 },
	{ "2 MiB expected where small pages are", 16 * MIB, 2, PT_ERR_SIZE, 0 },
	{ "1 GiB expected where small pages are", 3 * GIB, 3, PT_ERR_SIZE, 0 },
	{ "1 GiB expected where one of 2 MiB is", 6 * GIB, 3, PT_ERR_SIZE, 0 },
	{ "4 KiB expected at 2 MiB", 4 * MIB, 1, PT_ERR_SIZE, 0 },
	{ "4 KiB expected within 2 MiB", 4 * MIB + 4096, 1, PT_ERR_SIZE, 0 },
	{ "4 KiB expected at 1 GiB", 2 * GIB, 1, PT_ERR_SIZE, 0 },
	{ "2 MiB expected at 1 GiB", 2 * GIB, 2, PT_ERR_SIZE, 0 },
	{ "2 MiB expected within 1 GiB", 2 * GIB + 2 * MIB, 2, PT_ERR_SIZE, 0 },
	{ "nothing in a table", 6 * 4096, 1, PT_ERR_NOT_MAPPED, 0 },
	{ "nothing, no table", 100 * GIB, 1, PT_ERR_NOT_MAPPED, 0 },
	{ "nothing, no top table", 513 * GIB, 3, PT_ERR_NOT_MAPPED, 0 },
	{ "a soft entry", 9 * 4096, 1, PT_ERR_NOT_MAPPED, 0 },
	{ "a large soft entry", 8 * MIB, 2, PT_ERR_NOT_MAPPED, 0 },
	{ "a soft entry of 1 GiB", 4 * GIB, 3, PT_ERR_NOT_MAPPED, 0 },
	{ "level 0", 5 * 4096, 0, PT_ERR_LEVEL, 0 },
	{ "level 4", 0, 4, PT_ERR_LEVEL, 0 },
	{ "1 GiB on a processor without", 2 * GIB, 3, PT_ERR_LEVEL, 2 },
	{ "2 MiB on one with small pages only", 4 * MIB, 2, PT_ERR_LEVEL, 1 },
	{ "4 KiB on one with small pages only", 5 * 4096, 1, PT_OK, 1 },
	{ "a leaf that the processor does not have", 4 * MIB, 1, PT_ERR_CORRUPT, 1 },
	{ "an address in a page", 5 * 4096 + 8, 1, PT_ERR_UNALIGNED, 0 },
	{ "a page in 2 MiB", 4 * MIB + 4096, 2, PT_ERR_UNALIGNED, 0 },
	{ "2 MiB in 1 GiB", 2 * GIB + 2 * MIB, 3, PT_ERR_UNALIGNED, 0 },
	{ "an address of the hole", 0x800000000000, 1, PT_ERR_RANGE, 0 },
	{ "the last 1 GiB of the hole", 0xffff7fffc0000000, 3, PT_ERR_RANGE, 0 },
	{ "behind a link out of reach", 7 * GIB, 1, PT_ERR_CORRUPT, 0 },
	{ "a leaf with reserved bits", 20 * MIB, 2, PT_ERR_CORRUPT, 0 },
};

static void page_prepare(struct space_fixture *f)
{
	scene_prepare_obstacles(f);
	scene_map(f, (struct pt_mapping){ virt(16 * MIB), phys(0), 1, RO });
	scene_map(f, (struct pt_mapping){ virt(3 * GIB), phys(4096), 1, RO });
	scene_map(f, (struct pt_mapping){ virt(6 * GIB), phys(2 * MIB), 512, RO });
	scene_map(f, (struct pt_mapping){ virt(20 * MIB), phys(2 * MIB), 512, RO });
	*scene_entry(f, 20 * MIB, 2) |= 0x4000;
	*scene_entry(f, 7 * GIB, 3) = 0x1007;
}

/* Statuses of all three; what is refused leaves no trace, not in the output either. */
static void pages_are_told_from_other_sizes_and_from_none(void)
{
	for (size_t i = 0; i < ARRAY_LEN(PAGE_ROWS); i++) {
		const char *name = PAGE_ROWS[i].name;
		enum pt_status want = PAGE_ROWS[i].status;
		virt_addr va = virt(PAGE_ROWS[i].va);
		unsigned level = PAGE_ROWS[i].level;
		struct pt_leaf leaf = NO_LEAF, gone = NO_LEAF;
		struct space_fixture f;

		page_prepare(&f);
		if (PAGE_ROWS[i].cpu_leaf)
			f.space.cpu.max_leaf = (uint8_t)PAGE_ROWS[i].cpu_leaf;
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(pt_page(&f.space, va, level, &leaf), want, space_text, name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), name);
		CHECK_EQ(leaf.level, want == PT_OK ? level : 77, name);
		CHECK_STATUS(pt_page_protect(&f.space, va, level, RW, &f.flush), want, space_text,
			     name);
		CHECK_EQ(space_snapshot_equal(&f.shot, &f.arena), want != PT_OK, name);
		CHECK_EQ(f.flush.pages, want == PT_OK ? level_pages(level) : 0, name);
		CHECK_STATUS(pt_page_unmap(&f.space, va, level, &f.flush, &gone), want, space_text,
			     name);
		CHECK_EQ(gone.level, want == PT_OK ? level : 77, name);
		CHECK_EQ(space_snapshot_equal(&f.shot, &f.arena), want != PT_OK, name);
		CHECK_EQ(f.flush.pages, want == PT_OK ? level_pages(level) : 0, name);
		CHECK_EQ(f.arena.misuses, 0, name);
		space_fixture_free(&f);
	}
}

static void pages_of_a_space_for_reading_can_only_be_found(void)
{
	struct space_fixture f;
	struct pt_leaf leaf = NO_LEAF, gone = NO_LEAF;

	page_prepare(&f);
	f.space.tables = (struct pt_tables){ .take = NULL };
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_page(&f.space, virt(4 * MIB), 2, &leaf), PT_OK, space_text, "page");
	CHECK_STATUS(pt_page_protect(&f.space, virt(4 * MIB), 2, RW, &f.flush), PT_ERR_READ_ONLY,
		     space_text, "protect");
	CHECK_STATUS(pt_page_unmap(&f.space, virt(4 * MIB), 2, &f.flush, &gone), PT_ERR_READ_ONLY,
		     space_text, "unmap");
	CHECK_EQ(gone.level, 77, "unmap");
	CHECK_STATUS(pt_set_link(&f.space, virt(4 * MIB), 3, 0, &f.flush), PT_ERR_READ_ONLY,
		     space_text, "link");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "no trace");
	CHECK_EQ(f.flush.pages, 0, "no trace");
	space_fixture_free(&f);
}

static void a_root_out_of_reach_is_no_page(void)
{
	struct space_fixture f;
	struct pt_leaf leaf = NO_LEAF;

	page_prepare(&f);
	f.space.mem = (struct pt_mem){ .table = scene_no_table };
	CHECK_STATUS(pt_page(&f.space, virt(0), 1, &leaf), PT_ERR_CORRUPT, space_text, "page");
	CHECK_STATUS(pt_page_unmap(&f.space, virt(0), 1, &f.flush, &leaf), PT_ERR_CORRUPT,
		     space_text, "unmap");
	CHECK_STATUS(pt_page_protect(&f.space, virt(0), 1, RO, &f.flush), PT_ERR_CORRUPT,
		     space_text, "protect");
	CHECK_STATUS(pt_set_link(&f.space, virt(0), 2, 0, &f.flush), PT_ERR_CORRUPT, space_text,
		     "link");
	CHECK_EQ(leaf.level, 77, "no trace");
	space_fixture_free(&f);
}

/* ------------------------------------------------------------------------
 * What is found, changed, gone
 */

/* The first page, one in the middle, and the last of the address space, of every size. */
static void defect_3_pages_of_every_size_are_found_where_they_lie(void)
{
	static const uint64_t places[] = { 0, 8 * GIB, 0xffff800000000000, 0 - GIB };
	const struct pt_attr attr = { PT_WRITE | PT_GLOBAL | PT_DIRTY, PT_WC };

	for (size_t i = 0; i < PT_MAX_LEAF_LEVEL * ARRAY_LEN(places); i++) {
		unsigned level = 1 + (unsigned)(i % PT_MAX_LEAF_LEVEL);
		uint64_t place = places[i / PT_MAX_LEAF_LEVEL];
		struct pt_leaf leaf = NO_LEAF, gone = NO_LEAF;
		struct space_fixture f;

		if (place == 0 - GIB)
			place = 0 - level_size(level);
		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){ virt(place), phys(3 * GIB), level_pages(level),
						   attr });
		*scene_entry(&f, place, 4) &= ~UINT64_C(2);
		CHECK_STATUS(pt_page(&f.space, virt(place), level, &leaf), PT_OK, space_text,
			     "page");
		CHECK_EQ(leaf.va.raw, place, "va");
		CHECK_EQ(leaf.pa.raw, 3 * GIB, "pa");
		CHECK_EQ(leaf.pages, level_pages(level), "pages");
		CHECK_EQ(leaf.level, level, "level");
		CHECK_EQ(leaf.own, attr.flags, "what the leaf states");
		CHECK_EQ(leaf.attr.flags, attr.flags & ~(uint32_t)PT_WRITE, "what it comes to");
		CHECK_EQ(leaf.attr.cache, PT_WC, "cache type");
		CHECK_STATUS(pt_page_unmap(&f.space, virt(place), level, &f.flush, &gone), PT_OK,
			     space_text, "unmap");
		CHECK(gone.va.raw == leaf.va.raw && gone.pa.raw == leaf.pa.raw &&
			      gone.pages == leaf.pages && gone.level == level &&
			      gone.own == leaf.own && gone.attr.flags == leaf.attr.flags &&
			      gone.attr.cache == leaf.attr.cache,
		      "unmap tells what it was");
		CHECK(f.flush.va.raw == place && f.flush.pages == level_pages(level), "flush");
		CHECK(f.flush.global, "flush");
		CHECK_EQ(pt_release(&f.space, &f.flush), 4 - level, "tables left empty");
		CHECK_EQ(space_taken(&f.arena), 1, "the root remains");
		space_fixture_free(&f);
	}
}

static void a_page_is_unmapped_and_its_neighbours_stay(void)
{
	static const struct pt_mapping after[] = {
		SCENE_RUN(5 * 4096, MIB, 1, 0, PT_WB),
		SCENE_RUN(7 * 4096, MIB + 8192, 1, 0, PT_WB),
		{ .pages = 0 },
	};
	struct pt_leaf gone = NO_LEAF;
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(5 * 4096), phys(MIB), 3, RO });
	CHECK_STATUS(pt_page_unmap(&f.space, virt(6 * 4096), 1, &f.flush, &gone), PT_OK, space_text,
		     "unmap");
	CHECK_EQ(gone.pa.raw, MIB + 4096, "unmap");
	CHECK_EQ(f.flush.retired.raw, PT_NO_TABLE, "unmap");
	CHECK(!f.flush.global, "unmap");
	scene_expect_runs(&f, after, "unmap");
	CHECK_STATUS(pt_page_unmap(&f.space, virt(6 * 4096), 1, &f.flush, &gone), PT_ERR_NOT_MAPPED,
		     space_text, "again");
	space_fixture_free(&f);
}

static uint64_t common_table;

static enum pt_hold hold_one(void *ctx, phys_addr table)
{
	(void)ctx;
	return table.raw == common_table ? PT_COMMON : PT_OWN;
}

static void share_none(void *ctx, phys_addr table)
{
	(void)ctx;
	(void)table;
}

/* The space lets go of the table unread: the last page of its own is in it. */
static void a_page_alone_in_a_common_table_is_told_with_its_flags(void)
{
	static const struct pt_holds holds = { .hold = hold_one, .share = share_none };
	struct pt_leaf gone = NO_LEAF;
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	f.space.tables.holds = &holds;
	scene_map(&f,
		  (struct pt_mapping){
			  virt(5 * 4096), phys(MIB), 1, { PT_USER | PT_DIRTY | PT_SOFT1, PT_WB } });
	common_table = *scene_entry(&f, 5 * 4096, 2) & UINT64_C(0xffffffffff000);
	CHECK_STATUS(pt_page_unmap(&f.space, virt(5 * 4096), 1, &f.flush, &gone), PT_OK, space_text,
		     "unmap");
	CHECK_EQ(gone.own, PT_USER | PT_DIRTY | PT_SOFT1, "flags");
	CHECK_EQ(gone.attr.flags, PT_USER | PT_DIRTY | PT_SOFT1, "effective flags");
	pt_release(&f.space, &f.flush);
	CHECK_EQ(f.arena.misuses, 0, "release");
	common_table = 0;
	space_fixture_free(&f);
}

/* Address, accessed, dirty and software bits stay; a leaf stays a leaf of its size. */
static void defect_10_a_page_is_protected_and_stays_the_page_that_it_was(void)
{
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		struct pt_mapping m = { virt(8 * GIB), phys(16 * GIB), 2 * level_pages(level), RO };
		struct pt_attr attr = { PT_WRITE | PT_USER, PT_WP };
		struct space_fixture f;
		struct pt_leaf leaf = NO_LEAF;
		uint64_t *entry;
		size_t taken;

		scene_init(&f, scene_cpu());
		scene_map(&f, m);
		entry = scene_entry(&f, 8 * GIB, level);
		*entry |= UINT64_C(0x0010000000000c60);
		taken = space_taken(&f.arena);
		CHECK_STATUS(pt_page_protect(&f.space, m.va, level, attr, &f.flush), PT_OK,
			     space_text, "protect");
		CHECK_STATUS(pt_page(&f.space, m.va, level, &leaf), PT_OK, space_text, "page");
		CHECK_EQ(leaf.own, attr.flags | PT_ACCESSED | PT_DIRTY | PT_SOFT1 | PT_SOFT2,
			 "flags");
		CHECK_EQ(leaf.attr.cache, PT_WP, "cache type");
		CHECK_EQ(leaf.pa.raw, 16 * GIB, "address");
		CHECK_EQ(*entry & UINT64_C(0x0010000000000c00), UINT64_C(0x0010000000000c00),
			 "software bits");
		CHECK_EQ(f.flush.pages, level_pages(level), "flush");
		CHECK_EQ(space_taken(&f.arena), taken, "no table");
		CHECK_STATUS(pt_page(&f.space, virt(8 * GIB + level_size(level)), level, &leaf),
			     PT_OK, space_text, "the next one");
		CHECK_EQ(leaf.own, 0, "the next one");
		space_fixture_free(&f);
	}
}

static void a_page_is_protected_by_the_rules_of_protect(void)
{
	static const struct {
		const char *name;
		struct pt_attr attr;
		enum pt_status status;
	} rows[] = {
		{ "no such flag", { 1u << 6, PT_WB }, PT_ERR_ATTR },
		{ "no such cache type", { 0, PT_WT }, PT_ERR_CACHE },
		{ "writable and executable", { PT_WRITE | PT_EXEC, PT_WB }, PT_ERR_WX },
		{ "more than a link allows", { PT_USER, PT_WB }, PT_ERR_LINK },
		{ "what the link allows", { PT_WRITE, PT_WB }, PT_OK },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;

		cpu.pat = UINT64_C(0x0007010500070006); /* no WT */
		scene_init(&f, cpu);
		scene_map(&f, (struct pt_mapping){ virt(2 * MIB), phys(0), 512, RO });
		*scene_entry(&f, 2 * MIB, 3) &= ~UINT64_C(4);
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(pt_page_protect(&f.space, virt(2 * MIB), 2, rows[i].attr, &f.flush),
			     rows[i].status, space_text, rows[i].name);
		CHECK_EQ(space_snapshot_equal(&f.shot, &f.arena), rows[i].status != PT_OK,
			 rows[i].name);
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

/* From all rights to all others and back: exactly those, and nothing else changes. */
static void defect_10_a_link_lets_through_what_it_is_set_to_and_stays_a_link(void)
{
	const uint64_t foreign = UINT64_C(0x0010000000000e20); /* software bits and A */
	const uint64_t va = 9 * GIB + 0x123;

	for (unsigned i = 0; i < 3 * 8 * 8; i++) {
		unsigned level = 2 + i / 64;
		uint32_t from = i % 8, to = i / 8 % 8;
		struct space_fixture f;
		uint64_t *link, before;

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping){
				      virt(9 * GIB), phys(0), 1, { PT_WRITE | PT_USER, PT_WB } });
		link = scene_entry(&f, va, level);
		*link = (*link & ~LINK_BITS) | link_bits(from) | foreign;
		before = *link;
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(pt_set_link(&f.space, virt(va), level, to, &f.flush), PT_OK,
			     space_text, "set");
		CHECK_EQ(*link, (before & ~LINK_BITS) | link_bits(to), "the link");
		CHECK_EQ(f.flush.va.raw, align_down(va, level_size(level)), "flush");
		CHECK_EQ(f.flush.pages, level_pages(level), "flush");
		CHECK(f.flush.global, "flush");
		CHECK_EQ(f.flush.retired.raw, PT_NO_TABLE, "flush");
		*link = before;
		CHECK(space_snapshot_equal(&f.shot, &f.arena), "nothing else");
		space_fixture_free(&f);
	}
}

static void a_link_counts_for_all_that_it_leads_to(void)
{
	struct pt_leaf leaf = NO_LEAF;
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RW });
	scene_map(&f, (struct pt_mapping){ virt(2 * MIB), phys(0), 512, RW });
	scene_map(&f, (struct pt_mapping){ virt(GIB), phys(0), 1, RW });
	CHECK_STATUS(pt_set_link(&f.space, virt(4096), 3, 0, &f.flush), PT_OK, space_text, "set");
	CHECK_STATUS(pt_page(&f.space, virt(0), 1, &leaf), PT_OK, space_text, "4 KiB");
	CHECK_EQ(leaf.attr.flags, 0, "4 KiB");
	CHECK_EQ(leaf.own, PT_WRITE, "4 KiB");
	CHECK_STATUS(pt_page(&f.space, virt(2 * MIB), 2, &leaf), PT_OK, space_text, "2 MiB");
	CHECK_EQ(leaf.attr.flags, 0, "2 MiB");
	CHECK(!sdm_translate(&f.arena, &f.space.cpu, f.space.root, 2 * MIB).write, "2 MiB");
	CHECK_STATUS(pt_page(&f.space, virt(GIB), 1, &leaf), PT_OK, space_text, "another link");
	CHECK_EQ(leaf.attr.flags, PT_WRITE, "another link");
	space_fixture_free(&f);
}

static void links_at_the_ends_of_five_levels_have_their_flush(void)
{
	static const struct {
		uint64_t va, first;
		unsigned level;
	} rows[] = {
		{ 0, 0, 5 },
		{ 0x00ffffffffffffff, 0x00ff000000000000, 5 },
		{ 0xffffffffffffffff, 0xffff000000000000, 5 },
		{ 0xffffffffffffffff, 0xffffff8000000000, 4 },
		{ 0xffffffffffffffff, 0xffffffffc0000000, 3 },
		{ 0xffffffffffffffff, 0xffffffffffe00000, 2 },
		{ 0xff00000000000000, 0xff00000000000000, 5 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;

		cpu.levels = 5;
		scene_init(&f, cpu);
		scene_map(&f, (struct pt_mapping){ virt(align_down(rows[i].va, 4096)), phys(0), 1,
						   RO });
		CHECK_STATUS(pt_set_link(&f.space, virt(rows[i].va), rows[i].level, 0, &f.flush),
			     PT_OK, space_text, "set");
		CHECK_EQ(f.flush.va.raw, rows[i].first, "flush");
		CHECK_EQ(f.flush.pages, level_pages(rows[i].level), "flush");
		space_fixture_free(&f);
	}
}

static void no_execution_is_no_bit_of_a_link_without_nx(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;

	cpu.nx = false;
	scene_init(&f, cpu);
	scene_map(&f, (struct pt_mapping){ virt(0), phys(0), 1, RO });
	CHECK_STATUS(pt_set_link(&f.space, virt(0), 2, 0, &f.flush), PT_OK, space_text, "set");
	CHECK_EQ(*scene_entry(&f, 0, 2) & LINK_BITS, 0, "set");
	space_fixture_free(&f);
}

static const struct {
	const char *name;
	uint64_t va;
	unsigned level;
	uint32_t rights;
	enum pt_status status;
} LINK_ROWS[] = {
	{ "level 1", 5 * 4096, 1, 0, PT_ERR_LEVEL },
	{ "level 0", 5 * 4096, 0, 0, PT_ERR_LEVEL },
	{ "level 5 of four", 5 * 4096, 5, 0, PT_ERR_LEVEL },
	{ "a leaf of 2 MiB", 4 * MIB, 2, 0, PT_ERR_SIZE },
	{ "a leaf of 1 GiB", 2 * GIB, 3, 0, PT_ERR_SIZE },
	{ "below a leaf of 1 GiB", 2 * GIB, 2, 0, PT_ERR_SIZE },
	{ "an absent entry", 10 * MIB, 2, 0, PT_ERR_NOT_MAPPED },
	{ "below an absent entry", 100 * GIB, 2, 0, PT_ERR_NOT_MAPPED },
	{ "an absent entry of the root", 513 * GIB, 4, 0, PT_ERR_NOT_MAPPED },
	{ "a soft entry", 8 * MIB, 2, 0, PT_ERR_NOT_MAPPED },
	{ "below a soft entry", 4 * GIB, 2, 0, PT_ERR_NOT_MAPPED },
	{ "behind a link out of reach", 7 * GIB, 2, 0, PT_ERR_CORRUPT },
	{ "the hole", 0x800000000000, 4, 0, PT_ERR_RANGE },
	{ "global", 0, 2, PT_GLOBAL, PT_ERR_ATTR },
	{ "accessed", 0, 2, PT_ACCESSED, PT_ERR_ATTR },
	{ "dirty", 0, 2, PT_DIRTY, PT_ERR_ATTR },
	{ "no such flag", 0, 2, 1u << 31, PT_ERR_ATTR },
};

static void a_link_that_is_none_is_refused_by_name(void)
{
	for (size_t i = 0; i < ARRAY_LEN(LINK_ROWS); i++) {
		struct space_fixture f;

		page_prepare(&f);
		space_snapshot_take(&f.shot, &f.arena);
		CHECK_STATUS(pt_set_link(&f.space, virt(LINK_ROWS[i].va), LINK_ROWS[i].level,
					 LINK_ROWS[i].rights, &f.flush),
			     LINK_ROWS[i].status, space_text, LINK_ROWS[i].name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), LINK_ROWS[i].name);
		CHECK_EQ(f.flush.pages, 0, LINK_ROWS[i].name);
		space_fixture_free(&f);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(pages_are_told_from_other_sizes_and_from_none);
	RUN(pages_of_a_space_for_reading_can_only_be_found);
	RUN(a_root_out_of_reach_is_no_page);
	RUN(defect_3_pages_of_every_size_are_found_where_they_lie);
	RUN(a_page_is_unmapped_and_its_neighbours_stay);
	RUN(a_page_alone_in_a_common_table_is_told_with_its_flags);
	RUN(defect_10_a_page_is_protected_and_stays_the_page_that_it_was);
	RUN(a_page_is_protected_by_the_rules_of_protect);
	RUN(defect_10_a_link_lets_through_what_it_is_set_to_and_stays_a_link);
	RUN(a_link_counts_for_all_that_it_leads_to);
	RUN(links_at_the_ends_of_five_levels_have_their_flush);
	RUN(no_execution_is_no_bit_of_a_link_without_nx);
	RUN(a_link_that_is_none_is_refused_by_name);
	return check_done();
}
