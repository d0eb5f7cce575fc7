/* pt_update(), and pt_protect() with the flags that came with it; bits as the SDM has them. */
#include "tests/fake/scene.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Where a leaf states a flag (SDM 3A 4.5.4); `inverted`: the bit is clear if it is set. */
struct flag_row {
	const char *name;
	uint32_t flag;
	uint64_t bit;
	bool inverted;
};

static const struct flag_row FLAGS[] = {
	{ "write", PT_WRITE, BIT(1), false },       { "exec", PT_EXEC, BIT(63), true },
	{ "user", PT_USER, BIT(2), false },         { "global", PT_GLOBAL, BIT(8), false },
	{ "accessed", PT_ACCESSED, BIT(5), false }, { "dirty", PT_DIRTY, BIT(6), false },
	{ "cow", PT_COW, BIT(9), false },           { "soft1", PT_SOFT1, BIT(10), false },
	{ "soft2", PT_SOFT2, BIT(11), false },      { "shared", PT_SHARED, BIT(51), false },
	{ "key 1", PT_KEY(1), BIT(59), false },     { "key 2", PT_KEY(2), BIT(60), false },
	{ "key 4", PT_KEY(4), BIT(61), false },     { "key 8", PT_KEY(8), BIT(62), false },
};

static struct pt_cpu full_cpu(void)
{
	struct pt_cpu cpu = scene_cpu();

	cpu.keys = true;
	cpu.crypt_bit = 51;
	cpu.crypt_means_shared = true; /* so that the SDM's walker follows links */
	return cpu;
}

static struct pt_range at(uint64_t va, uint64_t pages)
{
	return (struct pt_range){ virt(va), pages };
}

/* A leaf of `level` at 8 GiB, write-combining: its cache bits are 12 or 7, 3 and 4. */
static uint64_t *map_leaf(struct space_fixture *f, unsigned level, uint32_t flags)
{
	scene_init(f, full_cpu());
	scene_map(f, (struct pt_mapping){
			     virt(8 * GIB), phys(8 * GIB), level_pages(level), { flags, PT_WC } });
	return scene_entry(f, 8 * GIB, level);
}

static void set_and_clear(const struct flag_row *row, unsigned level)
{
	struct space_fixture f;
	uint64_t *entry = map_leaf(&f, level, 0), before = *entry;
	struct pt_range range = at(8 * GIB, level_pages(level));
	struct pt_update set = { .set = row->flag }, clear = { .clear = row->flag };

	CHECK_STATUS(pt_update(&f.space, range, set, &f.flush), PT_OK, space_text, row->name);
	CHECK_EQ(*entry, before ^ row->bit, row->name);
	CHECK_EQ(!(*entry & row->bit), row->inverted, row->name);
	CHECK_EQ(f.flush.pages, range.pages, row->name);
	CHECK_STATUS(pt_update(&f.space, range, set, &f.flush), PT_OK, space_text, "again");
	CHECK_EQ(*entry, before ^ row->bit, "again");
	CHECK_STATUS(pt_update(&f.space, range, clear, &f.flush), PT_OK, space_text, row->name);
	CHECK_EQ(*entry, before, row->name);
	space_fixture_free(&f);
}

static void each_flag_is_set_and_cleared_and_nothing_else(void)
{
	for (size_t i = 0; i < ARRAY_LEN(FLAGS); i++) {
		for (unsigned level = 1; level <= 3; level++)
			set_and_clear(&FLAGS[i], level);
	}
}

/* What a leaf says before and after; flags not named stay. */
struct mask_row {
	const char *name;
	uint32_t before;
	struct pt_update update;
	uint32_t after;
};

static const struct mask_row MASKS[] = {
	{ "to be copied on write",
	  PT_WRITE | PT_USER | PT_DIRTY,
	  { .only = PT_WRITE, .set = PT_COW, .clear = PT_WRITE },
	  PT_COW | PT_USER | PT_DIRTY },
	{ "only of others",
	  PT_USER | PT_GLOBAL,
	  { .only = PT_WRITE, .set = PT_COW, .clear = PT_WRITE },
	  PT_USER | PT_GLOBAL },
	{ "all of only, not some",
	  PT_SOFT1,
	  { .only = PT_SOFT1 | PT_SOFT2, .set = PT_USER },
	  PT_SOFT1 },
	{ "all of only",
	  PT_SOFT1 | PT_SOFT2,
	  { .only = PT_SOFT1 | PT_SOFT2, .set = PT_USER },
	  PT_SOFT1 | PT_SOFT2 | PT_USER },
	{ "only what can be executed", PT_EXEC, { .only = PT_EXEC, .clear = PT_EXEC }, 0 },
	{ "only what is shared, not this", 0, { .only = PT_SHARED, .set = PT_USER }, 0 },
	{ "only what is shared", PT_SHARED, { .only = PT_SHARED, .clear = PT_SHARED }, 0 },
	{ "a key for another",
	  PT_KEY(5) | PT_WRITE,
	  { .only = PT_KEY(5), .set = PT_KEY(10), .clear = PT_KEY_MASK & ~PT_KEY(10) },
	  PT_KEY(10) | PT_WRITE },
	{ "from writable to executable", PT_WRITE, { .set = PT_EXEC, .clear = PT_WRITE }, PT_EXEC },
	{ "from executable to writable", PT_EXEC, { .set = PT_WRITE, .clear = PT_EXEC }, PT_WRITE },
	{ "nothing", PT_USER | PT_ACCESSED, { .only = 0 }, PT_USER | PT_ACCESSED },
};

static void masks_say_which_leaves_and_which_flags(void)
{
	for (size_t i = 0; i < ARRAY_LEN(MASKS); i++) {
		for (unsigned level = 1; level <= 3; level++) {
			const struct mask_row *row = &MASKS[i];
			struct space_fixture f;
			uint64_t *entry = map_leaf(&f, level, row->before);
			struct pt_leaf leaf;
			struct pt_plan plan;
			struct pt_range range = at(8 * GIB, level_pages(level));
			bool concerned = (row->before & row->update.only) == row->update.only;

			CHECK_STATUS(pt_plan_update(&f.space, range, row->update, &plan), PT_OK,
				     space_text, row->name);
			CHECK_EQ(plan.leaves[level], concerned, row->name);
			CHECK_EQ(plan.tables, 0, row->name);
			CHECK_STATUS(pt_update(&f.space, range, row->update, &f.flush), PT_OK,
				     space_text, row->name);
			CHECK_STATUS(pt_query(&f.space, range.va, &leaf), PT_OK, space_text,
				     row->name);
			CHECK_EQ(leaf.own, row->after, row->name);
			CHECK_EQ(leaf.attr.cache, PT_WC, row->name);
			CHECK_EQ(leaf.pa.raw, 8 * GIB, row->name);
			CHECK_EQ(f.flush.pages != 0, concerned, row->name);
			CHECK(*entry & 1, row->name);
			space_fixture_free(&f);
		}
	}
}

static void check_split(unsigned level, uint64_t page)
{
	struct space_fixture f;
	struct pt_plan plan;
	uint64_t pages = level_pages(level);
	struct pt_range range = at(8 * GIB + page * 4096, 1);
	struct pt_update update = { .set = PT_COW | PT_SOFT1, .clear = PT_WRITE };
	uint32_t before = PT_WRITE | PT_GLOBAL | PT_DIRTY | PT_SHARED | PT_KEY(3);

	map_leaf(&f, level, before);
	CHECK_STATUS(pt_plan_update(&f.space, range, update, &plan), PT_OK, space_text, "split");
	CHECK_EQ(plan.tables, level - 1, "split");
	for (size_t left = 0; left < plan.tables; left++) {
		f.arena.limit = space_taken(&f.arena) + left;
		CHECK_STATUS(pt_update(&f.space, range, update, &f.flush), PT_ERR_NO_TABLES,
			     space_text, "starved");
		CHECK(space_snapshot_equal(&f.shot, &f.arena), "starved");
	}
	f.arena.limit = space_taken(&f.arena) + plan.tables;
	CHECK_STATUS(pt_update(&f.space, range, update, &f.flush), PT_OK, space_text, "split");
	CHECK_EQ(space_taken(&f.arena), f.arena.limit, "split");
	for (uint64_t i = 0; i < pages; i++) {
		struct pt_leaf leaf;
		uint32_t after = i == page ? (before & ~(uint32_t)PT_WRITE) | PT_COW | PT_SOFT1
					   : before;
		virt_addr va = virt(8 * GIB + i * 4096);

		if (pt_query(&f.space, va, &leaf) != PT_OK || leaf.own != after ||
		    leaf.attr.cache != PT_WC || leaf.pa.raw + (va.raw - leaf.va.raw) != va.raw)
			CHECK_FAIL("level %u page %" PRIu64 ": page %" PRIu64, level, page, i);
	}
	space_fixture_free(&f);
}

/* The stride is the smaller leaf's, and the PAT bit moves. (Defect #13.) */
static void a_large_leaf_covered_in_part_is_split_and_the_rest_stays(void)
{
	static const uint64_t pages[] = { 0, 1, 511 };

	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		check_split(2, pages[i]);
	check_split(3, 0);
	check_split(3, 512 * 300 + 7);
	check_split(3, 512 * 512 - 1);
}

/* Not split if `only` does not concern it. */
static void a_leaf_that_is_not_concerned_is_not_split(void)
{
	struct space_fixture f;
	struct pt_update update = { .only = PT_WRITE, .set = PT_COW, .clear = PT_WRITE };

	map_leaf(&f, 3, PT_USER);
	CHECK_STATUS(pt_update(&f.space, at(8 * GIB + 4096, 1), update, &f.flush), PT_OK,
		     space_text, "not concerned");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "not concerned");
	CHECK(pt_flush_is_empty(&f.flush), "not concerned");
	space_fixture_free(&f);
}

struct refusal_row {
	const char *name;
	uint64_t va, pages;
	struct pt_update update;
	enum pt_status status;
	uint64_t where;
};

/* Before: a page at 0 to read, one at 4096 to write, one at 8192 with code, 2 MiB with COW. */
static const struct refusal_row REFUSALS[] = {
	{ "set and cleared", 0, 1, { .set = PT_USER, .clear = PT_USER }, PT_ERR_ATTR, 0 },
	{ "no such flag set", 0, 1, { .set = 1 << 11 }, PT_ERR_ATTR, 0 },
	{ "no such flag cleared", 0, 1, { .clear = 1u << 31 }, PT_ERR_ATTR, 0 },
	{ "no such flag asked for", 0, 1, { .only = 1 << 10 }, PT_ERR_ATTR, 0 },
	{ "no encryption", 0, 1, { .set = PT_SHARED }, PT_ERR_ATTR, 0 },
	{ "no keys", 0, 1, { .clear = PT_KEY(1) }, PT_ERR_ATTR, 0 },
	{ "writable and executable", 0, 1, { .set = PT_WRITE | PT_EXEC }, PT_ERR_WX, 0 },
	{ "writable and to be copied", 0, 1, { .set = PT_WRITE | PT_COW }, PT_ERR_ATTR, 0 },
	{ "code becomes writable", 0, 3, { .set = PT_WRITE }, PT_ERR_WX, 8192 },
	{ "data becomes executable", 0, 3, { .set = PT_EXEC }, PT_ERR_WX, 4096 },
	{ "a writable page to be copied", 0, 3, { .set = PT_COW }, PT_ERR_ATTR, 4096 },
	{ "a large page to be copied becomes writable",
	  4096,
	  1 + PAGES(4 * MIB),
	  { .set = PT_WRITE, .clear = PT_EXEC },
	  PT_ERR_ATTR,
	  2 * MIB },
	{ "in part", 2 * MIB + 4096, 1, { .set = PT_WRITE }, PT_ERR_ATTR, 2 * MIB + 4096 },
	{ "not aligned", 1, 1, { .set = PT_USER }, PT_ERR_UNALIGNED, 1 },
	{ "into the hole", BIT(47) - 4096, 2, { .set = PT_USER }, PT_ERR_RANGE, BIT(47) - 4096 },
};

static void what_no_leaf_may_say_is_refused_at_its_page(void)
{
	for (size_t i = 0; i < ARRAY_LEN(REFUSALS); i++) {
		const struct refusal_row *row = &REFUSALS[i];
		struct space_fixture f;
		struct pt_plan plan;

		scene_init(&f, scene_cpu());
		scene_map(&f, (struct pt_mapping)SCENE_RUN(0, 0, 1, 0, PT_WB));
		scene_map(&f, (struct pt_mapping)SCENE_RUN(4096, 4096, 1, PT_WRITE, PT_WB));
		scene_map(&f, (struct pt_mapping)SCENE_RUN(8192, 8192, 1, PT_EXEC, PT_WB));
		scene_map(&f, (struct pt_mapping)SCENE_RUN(2 * MIB, 2 * MIB, 512, PT_COW, PT_WB));
		CHECK_STATUS(pt_plan_update(&f.space, at(row->va, row->pages), row->update, &plan),
			     row->status, space_text, row->name);
		CHECK_EQ(plan.where.raw, row->where, row->name);
		CHECK_STATUS(pt_update(&f.space, at(row->va, row->pages), row->update, &f.flush),
			     row->status, space_text, row->name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), row->name);
		CHECK(pt_flush_is_empty(&f.flush), row->name);
		space_fixture_free(&f);
	}
}

/* Where the space or the processor allows it, it is done. */
static void writable_and_executable_is_a_policy(void)
{
	struct space_fixture f;
	struct pt_leaf leaf;

	scene_init(&f, scene_cpu());
	f.space.allow_wx = true;
	scene_map(&f, (struct pt_mapping)SCENE_RUN(0, 0, 1, PT_EXEC, PT_WB));
	CHECK_STATUS(pt_update(&f.space, at(0, 1), (struct pt_update){ .set = PT_WRITE }, &f.flush),
		     PT_OK, space_text, "allowed");
	CHECK_STATUS(pt_query(&f.space, virt(0), &leaf), PT_OK, space_text, "allowed");
	CHECK_EQ(leaf.own, PT_WRITE | PT_EXEC, "allowed");
	space_fixture_free(&f);
}

static void holes_and_soft_entries_stay(void)
{
	struct space_fixture f;
	struct pt_update update = { .set = PT_USER };

	scene_prepare_obstacles(&f);
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_update(&f.space, at(9 * 4096, 1), update, &f.flush), PT_OK, space_text,
		     "soft");
	CHECK_STATUS(pt_update(&f.space, at(8 * MIB + 4096, 1), update, &f.flush), PT_OK,
		     space_text, "part of a large soft entry");
	CHECK_STATUS(pt_update(&f.space, at(64 * GIB, PAGES(GIB)), update, &f.flush), PT_OK,
		     space_text, "hole");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "nothing to update");
	space_fixture_free(&f);
}

struct protect_row {
	const char *name;
	uint32_t before, flags, after;
};

static const struct protect_row PROTECTS[] = {
	{ "cow is stated", PT_COW, PT_WRITE, PT_WRITE },
	{ "cow is set", PT_WRITE, PT_COW, PT_COW },
	{ "shared is stated", PT_SHARED, 0, 0 },
	{ "shared is set", 0, PT_SHARED, PT_SHARED },
	{ "the key is stated", PT_KEY(7), PT_KEY(9), PT_KEY(9) },
	{ "key 0 is one too", PT_KEY(15), PT_USER, PT_USER },
	{ "software's flags are kept", PT_SOFT1 | PT_SOFT2, 0, PT_SOFT1 | PT_SOFT2 },
	{ "and added to", PT_SOFT1, PT_SOFT2, PT_SOFT1 | PT_SOFT2 },
	{ "use is kept", PT_ACCESSED | PT_DIRTY, PT_GLOBAL, PT_ACCESSED | PT_DIRTY | PT_GLOBAL },
};

static void protect_states_all_but_use_and_softwares_flags(void)
{
	for (size_t i = 0; i < ARRAY_LEN(PROTECTS); i++) {
		for (unsigned level = 1; level <= 3; level++) {
			const struct protect_row *row = &PROTECTS[i];
			struct space_fixture f;
			struct pt_leaf leaf;

			map_leaf(&f, level, row->before);
			CHECK_STATUS(pt_protect(&f.space, at(8 * GIB, level_pages(level)),
						(struct pt_attr){ row->flags, PT_WP }, &f.flush),
				     PT_OK, space_text, row->name);
			CHECK_STATUS(pt_query(&f.space, virt(8 * GIB), &leaf), PT_OK, space_text,
				     row->name);
			CHECK_EQ(leaf.own, row->after, row->name);
			CHECK_EQ(leaf.attr.cache, PT_WP, row->name);
			space_fixture_free(&f);
		}
	}
}

static void mappings_and_protections_refuse_cow_with_write(void)
{
	struct space_fixture f;
	struct pt_attr attr = { PT_COW | PT_WRITE, PT_WB };
	struct pt_mapping m = { virt(0), phys(0), 1, attr };

	map_leaf(&f, 1, 0);
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_ERR_ATTR, space_text, "map");
	CHECK_STATUS(pt_protect(&f.space, at(8 * GIB, 1), attr, &f.flush), PT_ERR_ATTR, space_text,
		     "protect");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "refused");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(each_flag_is_set_and_cleared_and_nothing_else);
	RUN(masks_say_which_leaves_and_which_flags);
	RUN(a_large_leaf_covered_in_part_is_split_and_the_rest_stays);
	RUN(a_leaf_that_is_not_concerned_is_not_split);
	RUN(what_no_leaf_may_say_is_refused_at_its_page);
	RUN(writable_and_executable_is_a_policy);
	RUN(holes_and_soft_entries_stay);
	RUN(protect_states_all_but_use_and_softwares_flags);
	RUN(mappings_and_protections_refuse_cow_with_write);
	return check_done();
}
