/* What is particular to second-stage tables; the rest is in tests/unit/test_pte.c. */
#include "tests/check.h"
#include "tests/fake/scene.h"

/* Entries as the specification has them (9.8), by their bits. */
static void entries_are_told_apart_by_the_bits_of_the_specification(void)
{
	static const struct {
		const char *name;
		uint64_t entry;
		unsigned level;
		enum pte_kind kind;
		bool valid;
	} rows[] = {
		{ "nothing", 0, 1, PTE_ABSENT, false },
		{ "an address without rights", 0x5000, 1, PTE_SOFT, false },
		{ "a page to read", 0x5001, 1, PTE_LEAF, true },
		{ "a page to read and write", 0x5003, 1, PTE_LEAF, true },
		{ "a page to write only", 0x5002, 1, PTE_LEAF, false },
		{ "a page with bit 7", 0x5081, 1, PTE_LEAF, true },
		{ "a page used and written", 0x5303, 1, PTE_LEAF, true },
		{ "a page with SNP", 0x5803, 1, PTE_LEAF, true },
		{ "a page with X", 0x5007, 1, PTE_LEAF, false },
		{ "a page with a memory type", 0x5033, 1, PTE_LEAF, false },
		{ "a page with IPAT", 0x5043, 1, PTE_LEAF, false },
		{ "a page with TM", 0x4000000000005003, 1, PTE_LEAF, false },
		{ "a page with ignored bits", 0xbff0000000005403, 1, PTE_LEAF, true },
		{ "2 MiB", 0x200083, 2, PTE_LEAF, true },
		{ "2 MiB with SNP", 0x200883, 2, PTE_LEAF, true },
		{ "2 MiB, not aligned", 0x201083, 2, PTE_LEAF, false },
		{ "1 GiB", 0x40000081, 3, PTE_LEAF, true },
		{ "1 GiB, not aligned", 0x40200081, 3, PTE_LEAF, false },
		{ "a link", 0x5003, 2, PTE_TABLE, true },
		{ "a link to read", 0x5001, 5, PTE_TABLE, true },
		{ "a link to write only", 0x5002, 2, PTE_TABLE, false },
		{ "a link with SNP", 0x5803, 2, PTE_TABLE, false },
		{ "a link that was used", 0x5103, 4, PTE_TABLE, true },
		{ "bit 7 at level 4", 0x5083, 4, PTE_LEAF, false },
		{ "beyond the width", 0x0000400000005003, 2, PTE_TABLE, false },
	};
	struct pt_cpu cpu = scene_cpu();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum pte_kind kind = pte_kind(rows[i].entry, rows[i].level);

		CHECK_EQ(kind, rows[i].kind, rows[i].name);
		if (kind == PTE_LEAF || kind == PTE_TABLE)
			CHECK_EQ(pte_is_valid(&cpu, rows[i].entry, rows[i].level), rows[i].valid,
				 rows[i].name);
	}
}

static void what_is_mapped_is_written_as_the_specification_says(void)
{
	const uint32_t all = PT_WRITE | PT_ACCESSED | PT_DIRTY | PT_SOFT1 | PT_SOFT2;
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ virt(GIB), phys(0x5000), 1, { 0, PT_WB } });
	scene_map(&f, (struct pt_mapping){ virt(2 * GIB), phys(GIB), PAGES(GIB), { all, PT_WB } });
	scene_map(&f,
		  (struct pt_mapping){ virt(0xfffffffff000), phys(0x6000), 1, { PT_COW, PT_WB } });
	CHECK_EQ(*scene_entry(&f, GIB, 1), 0x5001, "a page to read");
	CHECK_EQ(*scene_entry(&f, 2 * GIB, 3), 0x1800000040000383, "1 GiB to write, all flags");
	CHECK_EQ(*scene_entry(&f, 0xfffffffff000, 1), 0x2000000000006001, "the last page");
	CHECK_EQ(*scene_entry(&f, GIB, 2) & ~PTE_ADDR, 3, "a link");
	space_fixture_free(&f);
}

static void a_space_has_one_half(void)
{
	static const struct {
		const char *name;
		uint8_t levels;
		uint64_t pages;
	} rows[] = {
		{ "39 bits", 3, UINT64_C(1) << 27 },
		{ "48 bits", 4, UINT64_C(1) << 36 },
		{ "57 bits", 5, UINT64_C(1) << 45 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct space_fixture f;
		struct pt_cpu cpu = scene_cpu();
		struct pt_leaf leaf;

		cpu.levels = rows[i].levels;
		scene_init(&f, cpu);
		CHECK_EQ(pt_lower_half(&cpu).pages, rows[i].pages, rows[i].name);
		CHECK_EQ(pt_lower_half(&cpu).va.raw, 0, rows[i].name);
		CHECK_EQ(pt_upper_half(&cpu).pages, 0, rows[i].name);
		CHECK_STATUS(pt_query(&f.space, virt(rows[i].pages * 4096 - 1), &leaf),
			     PT_ERR_NOT_MAPPED, space_text, rows[i].name);
		CHECK_STATUS(pt_query(&f.space, virt(rows[i].pages * 4096), &leaf), PT_ERR_RANGE,
			     space_text, rows[i].name);
		CHECK_STATUS(pt_query(&f.space, virt(UINT64_MAX), &leaf), PT_ERR_RANGE, space_text,
			     rows[i].name);
		space_fixture_free(&f);
	}
}

static void what_an_entry_cannot_say_is_refused(void)
{
	static const struct {
		const char *name;
		struct pt_attr attr;
		enum pt_status status;
	} rows[] = {
		{ "to be executed", { PT_EXEC, PT_WB }, PT_ERR_ATTR },
		{ "the user's", { PT_USER, PT_WB }, PT_ERR_ATTR },
		{ "global", { PT_GLOBAL, PT_WB }, PT_ERR_ATTR },
		{ "shared", { PT_SHARED, PT_WB }, PT_ERR_ATTR },
		{ "with a key", { PT_KEY(1), PT_WB }, PT_ERR_ATTR },
		{ "uncached", { 0, PT_UC }, PT_ERR_CACHE },
		{ "write-combining", { 0, PT_WC }, PT_ERR_CACHE },
		{ "write-through", { 0, PT_WT }, PT_ERR_CACHE },
		{ "write-back", { PT_WRITE, PT_WB }, PT_OK },
	};
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_mapping m = { virt(GIB), phys(GIB), 1, rows[i].attr };

		CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), rows[i].status, space_text,
			     rows[i].name);
	}
	space_fixture_free(&f);
}

/* Taking the right away would leave an entry that is not present. */
static void a_page_that_can_only_be_written_is_not_touched(void)
{
	struct space_fixture f;
	struct pt_leaf leaf;
	struct pt_range page = { virt(GIB), 1 };
	struct pt_update update = { .clear = PT_WRITE };

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping){ page.va, phys(GIB), 1, { PT_WRITE, PT_WB } });
	*scene_entry(&f, GIB, 1) &= ~UINT64_C(1);
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_query(&f.space, page.va, &leaf), PT_ERR_CORRUPT, space_text, "query");
	CHECK_STATUS(pt_update(&f.space, page, update, &f.flush), PT_ERR_CORRUPT, space_text,
		     "update");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "update");
	space_fixture_free(&f);
}

/* It is the unit's business, and no flag states it. */
static void snp_stays_as_it_was_found(void)
{
	struct space_fixture f;
	struct pt_range part = { virt(GIB), 1 };

	scene_init(&f, scene_cpu());
	scene_map(&f,
		  (struct pt_mapping){ virt(GIB), phys(GIB), PAGES(2 * MIB), { PT_WRITE, PT_WB } });
	*scene_entry(&f, GIB, 2) |= 0x800;
	CHECK_STATUS(pt_protect(&f.space, part, (struct pt_attr){ 0, PT_WB }, &f.flush), PT_OK,
		     space_text, "protect");
	CHECK_EQ(*scene_entry(&f, GIB, 1), GIB | 0x801, "the page protected");
	CHECK_EQ(*scene_entry(&f, GIB + 4096, 1), (GIB + 4096) | 0x803, "its neighbour");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(entries_are_told_apart_by_the_bits_of_the_specification);
	RUN(what_is_mapped_is_written_as_the_specification_says);
	RUN(a_space_has_one_half);
	RUN(what_an_entry_cannot_say_is_refused);
	RUN(a_page_that_can_only_be_written_is_not_touched);
	RUN(snp_stays_as_it_was_found);
	return check_done();
}
