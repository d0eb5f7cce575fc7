/* A range in pieces: runs, holes, soft entries and the tables' own slot, without a gap. */
#include "paging/pt_pieces.h"
#include "paging/pt_recursive.h"
#include "tests/check.h"
#include "tests/fake/scene.h"

#define SOFT_ENTRY 0xabc00
#define UPPER      0xffff800000000000

struct want {
	enum pte_kind kind;
	uint64_t va, pages, pa;
	uint64_t leaves[PT_MAX_LEAF_LEVEL]; /* of 4 KiB, 2 MiB, 1 GiB */
};

struct row {
	const char *name;
	struct pt_mapping before[4];
	struct pt_range soft[3]; /* an entry of that many pages each */
	struct pt_range range;
	struct want want[8];
};

#define RUN_RW(va, pa, pages) SCENE_RUN(va, pa, pages, PT_WRITE, PT_WB)
#define RUN_RO(va, pa, pages) SCENE_RUN(va, pa, pages, 0, PT_WB)
#define RANGE(va, pages)      \
	{                     \
		{ va }, pages \
	}

static const struct row ROWS[] = {
	{ .name = "an empty half",
	  .range = RANGE(0, PAGES(UINT64_C(1) << 47)),
	  .want = { { PTE_ABSENT, 0, PAGES(UINT64_C(1) << 47), 0, { 0 } } } },
	{ .name = "an empty upper half",
	  .range = RANGE(UPPER, PAGES(UINT64_C(1) << 47)),
	  .want = { { PTE_ABSENT, UPPER, PAGES(UINT64_C(1) << 47), 0, { 0 } } } },
	{ .name = "no pages", .range = RANGE(GIB, 0) },
	{ .name = "a hole to either side",
	  .before = { RUN_RW(GIB, 0x5000, 3) },
	  .range = RANGE(GIB - 4096, 6),
	  .want = { { PTE_ABSENT, GIB - 4096, 1, 0, { 0 } },
		    { PTE_LEAF, GIB, 3, 0x5000, { 3 } },
		    { PTE_ABSENT, GIB + 0x3000, 2, 0, { 0 } } } },
	{ .name = "the last page of the address space",
	  .before = { RUN_RW(0xfffffffffffff000, 0x5000, 1) },
	  .range = RANGE(0xffffffffffffe000, 2),
	  .want = { { PTE_ABSENT, 0xffffffffffffe000, 1, 0, { 0 } },
		    { PTE_LEAF, 0xfffffffffffff000, 1, 0x5000, { 1 } } } },
	{ .name = "a hole up to the end of the address space",
	  .before = { RUN_RW(0xffffffffffffd000, 0x5000, 1) },
	  .range = RANGE(0xffffffffffffd000, 3),
	  .want = { { PTE_LEAF, 0xffffffffffffd000, 1, 0x5000, { 1 } },
		    { PTE_ABSENT, 0xffffffffffffe000, 2, 0, { 0 } } } },
	{ .name = "leaves of all sizes as one run",
	  .before = { RUN_RW(GIB - 2 * MIB - 4096, GIB - 2 * MIB - 4096,
			     PAGES(GIB + 2 * MIB) + 2) },
	  .range = RANGE(0, PAGES(4 * GIB)),
	  .want = { { PTE_ABSENT, 0, PAGES(GIB - 2 * MIB) - 1, 0, { 0 } },
		    { PTE_LEAF,
		      GIB - 2 * MIB - 4096,
		      PAGES(GIB + 2 * MIB) + 2,
		      GIB - 2 * MIB - 4096,
		      { 2, 1, 1 } },
		    { PTE_ABSENT, 2 * GIB + 4096, PAGES(2 * GIB) - 1, 0, { 0 } } } },
	{ .name = "a part of a large leaf",
	  .before = { RUN_RW(GIB, GIB, PAGES(GIB)) },
	  .range = RANGE(GIB + 5 * 4096, 7),
	  .want = { { PTE_LEAF, GIB + 5 * 4096, 7, GIB + 5 * 4096, { 0, 0, 1 } } } },
	{ .name = "neighbours that do not continue each other",
	  .before = { RUN_RW(0, 0x5000, 1), RUN_RW(0x1000, 0x7000, 1), RUN_RO(0x2000, 0x8000, 1) },
	  .range = RANGE(0, 3),
	  .want = { { PTE_LEAF, 0, 1, 0x5000, { 1 } },
		    { PTE_LEAF, 0x1000, 1, 0x7000, { 1 } },
		    { PTE_LEAF, 0x2000, 1, 0x8000, { 1 } } } },
	{ .name = "runs that continue each other but for a hole",
	  .before = { RUN_RW(0, 0x5000, 1), RUN_RW(0x2000, 0x7000, 1) },
	  .range = RANGE(0, 3),
	  .want = { { PTE_LEAF, 0, 1, 0x5000, { 1 } },
		    { PTE_ABSENT, 0x1000, 1, 0, { 0 } },
		    { PTE_LEAF, 0x2000, 1, 0x7000, { 1 } } } },
	{ .name = "holes of an absent entry and of an empty part of a table",
	  .before = { RUN_RW(2 * MIB, 0x5000, 1) },
	  .range = RANGE(0, PAGES(8 * MIB)),
	  .want = { { PTE_ABSENT, 0, 512, 0, { 0 } },
		    { PTE_LEAF, 2 * MIB, 1, 0x5000, { 1 } },
		    { PTE_ABSENT, 2 * MIB + 4096, PAGES(6 * MIB) - 1, 0, { 0 } } } },
	{ .name = "soft entries of two sizes are one piece",
	  .before = { RUN_RW(0, 0x5000, 1) },
	  .soft = { RANGE(2 * MIB - 4096, 1), RANGE(2 * MIB, 512) },
	  .range = RANGE(0, PAGES(6 * MIB)),
	  .want = { { PTE_LEAF, 0, 1, 0x5000, { 1 } },
		    { PTE_ABSENT, 0x1000, 510, 0, { 0 } },
		    { PTE_SOFT, 2 * MIB - 4096, 513, 0, { 0 } },
		    { PTE_ABSENT, 4 * MIB, 512, 0, { 0 } } } },
	{ .name = "a part of a soft entry",
	  .soft = { RANGE(2 * MIB, 512) },
	  .before = { RUN_RW(0, 0x5000, 1) },
	  .range = RANGE(2 * MIB + 4096, 600),
	  .want = { { PTE_SOFT, 2 * MIB + 4096, 511, 0, { 0 } },
		    { PTE_ABSENT, 4 * MIB, 89, 0, { 0 } } } },
};

static void expect_piece(const struct pt_piece *piece, const struct want *want, const char *name)
{
	CHECK_EQ(piece->kind, want->kind, name);
	CHECK_EQ(piece->at.va.raw, want->va, name);
	CHECK_EQ(piece->at.pages, want->pages, name);
	CHECK_EQ(piece->at.pa.raw, want->pa, name);
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		CHECK_EQ(piece->leaves[level], want->leaves[level - 1], name);
}

static void expect_row(const struct row *row)
{
	struct space_fixture f;
	struct pt_pieces pieces;
	struct pt_piece piece;
	size_t next = 0;

	scene_init(&f, scene_cpu());
	for (size_t i = 0; i < ARRAY_LEN(row->before) && row->before[i].pages != 0; i++)
		scene_map(&f, row->before[i]);
	for (size_t i = 0; i < ARRAY_LEN(row->soft) && row->soft[i].pages != 0; i++)
		*scene_entry(&f, row->soft[i].va.raw, row->soft[i].pages == 1 ? 1 : 2) = SOFT_ENTRY;
	CHECK_STATUS(pt_pieces_start(&pieces, &f.space, row->range, PT_NO_BUDGET), PT_OK,
		     space_text, row->name);
	while (pt_pieces_next(&pieces, &piece) == PT_OK && next < ARRAY_LEN(row->want))
		expect_piece(&piece, &row->want[next++], row->name);
	CHECK_STATUS(pieces.end, PT_ERR_NOT_MAPPED, space_text, row->name);
	CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_ERR_NOT_MAPPED, space_text, row->name);
	CHECK(next == ARRAY_LEN(row->want) || row->want[next].pages == 0, row->name);
	space_fixture_free(&f);
}

static void a_range_is_covered_exactly(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
		expect_row(&ROWS[i]);
}

static void the_recursive_slot_is_a_piece_of_its_own(void)
{
	static const struct want want[] = {
		{ PTE_ABSENT, UPPER, PAGES(512 * GIB), 0, { 0 } },
		{ PTE_TABLE, UPPER + 512 * GIB, PAGES(512 * GIB), 0, { 0 } },
		{ PTE_LEAF, UPPER + 1024 * GIB, 1, 0x5000, { 1 } },
	};
	struct space_fixture f;
	struct pt_pieces pieces;
	struct pt_piece piece;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping)RUN_RW(UPPER + 1024 * GIB, 0x5000, 1));
	CHECK_STATUS(pt_recursive_enter(&f.space, 257, &f.flush), PT_OK, space_text, "enter");
	CHECK_STATUS(pt_pieces_start(&pieces, &f.space,
				     (struct pt_range){ virt(UPPER), PAGES(1024 * GIB) + 1 },
				     PT_NO_BUDGET),
		     PT_OK, space_text, "start");
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_OK, space_text, "next");
		expect_piece(&piece, &want[i], "recursive");
	}
	CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_ERR_NOT_MAPPED, space_text, "end");
	space_fixture_free(&f);
}

/* All up to there is told, and then the status. */
static void an_entry_at_fault_ends_the_pieces(void)
{
	static const struct want want[] = {
		{ PTE_LEAF, GIB, 1, 0x5000, { 1 } },
		{ PTE_ABSENT, GIB + 0x1000, 4, 0, { 0 } },
	};
	struct space_fixture f;
	struct pt_pieces pieces;
	struct pt_piece piece;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping)RUN_RW(GIB, 0x5000, 1));
	scene_map(&f, (struct pt_mapping)RUN_RW(GIB + 5 * 4096, 0xa000, 1));
	*scene_entry(&f, GIB + 5 * 4096, 1) |= UINT64_C(1) << 50;
	pt_pieces_start(&pieces, &f.space, (struct pt_range){ virt(GIB), 100 }, PT_NO_BUDGET);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_OK, space_text, "next");
		expect_piece(&piece, &want[i], "before the fault");
	}
	CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_ERR_CORRUPT, space_text, "fault");
	CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_ERR_CORRUPT, space_text, "again");
	/* In the middle of an entry at fault there is nothing before it. */
	*scene_entry(&f, GIB, 3) |= UINT64_C(1) << 50;
	pt_pieces_start(&pieces, &f.space, (struct pt_range){ virt(GIB + 4096), 1 }, PT_NO_BUDGET);
	CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_ERR_CORRUPT, space_text, "the middle");
	space_fixture_free(&f);
}

static void a_budget_ends_the_pieces(void)
{
	struct space_fixture f;
	struct pt_pieces pieces;
	struct pt_piece piece;
	struct pt_range range = { virt(0), PAGES(2 * GIB) };

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping)RUN_RW(GIB, 0x5000, 1));
	CHECK_STATUS(pt_pieces_start(&pieces, &f.space, range, 0), PT_ERR_BUDGET, space_text, "0");
	CHECK_STATUS(pt_pieces_start(&pieces, &f.space, range, 3), PT_OK, space_text, "3");
	CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_OK, space_text, "3");
	expect_piece(&piece, &(struct want){ PTE_ABSENT, 0, PAGES(GIB), 0, { 0 } }, "3");
	CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_ERR_BUDGET, space_text, "3");
	CHECK_STATUS(pt_pieces_start(&pieces, &f.space, range, 4), PT_OK, space_text, "4");
	for (unsigned i = 0; i < 3; i++)
		CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_OK, space_text, "4");
	CHECK_STATUS(pt_pieces_next(&pieces, &piece), PT_ERR_NOT_MAPPED, space_text, "4");
	CHECK_STATUS(
		pt_pieces_start(&pieces, &f.space, (struct pt_range){ virt(UPPER - 4096), 1 }, 4),
		PT_ERR_RANGE, space_text, "the hole");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(a_range_is_covered_exactly);
	RUN(the_recursive_slot_is_a_piece_of_its_own);
	RUN(an_entry_at_fault_ends_the_pieces);
	RUN(a_budget_ends_the_pieces);
	return check_done();
}
