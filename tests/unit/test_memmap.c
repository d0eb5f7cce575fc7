#include "loader/memmap.h"
#include "loader/status.h"
#include "tests/check.h"

#define PAGE UINT64_C(0x1000)
#define TOP  (UINT64_MAX - 0xfff) /* the last page of the address space */
#define MANY 5000

enum {
	USABLE = HOIST_MEMORY_USABLE,
	RECLAIMABLE = HOIST_MEMORY_RECLAIMABLE,
	KERNEL = HOIST_MEMORY_KERNEL,
	MMIO = HOIST_MEMORY_MMIO,
	RESERVED = HOIST_MEMORY_RESERVED,
	BAD = HOIST_MEMORY_BAD,
	KINDS = HOIST_MEMORY_SPECIAL + 1,
};

/* As the rules say it, strongest first; written down again on purpose. */
static const uint32_t precedence[] = {
	HOIST_MEMORY_BAD,          HOIST_MEMORY_MMIO,         HOIST_MEMORY_RESERVED,
	HOIST_MEMORY_RUNTIME_CODE, HOIST_MEMORY_RUNTIME_DATA, HOIST_MEMORY_ACPI_NVS,
	HOIST_MEMORY_ACPI_RECLAIM, HOIST_MEMORY_UNACCEPTED,   HOIST_MEMORY_PERSISTENT,
	HOIST_MEMORY_KERNEL,       HOIST_MEMORY_PAGE_TABLES,  HOIST_MEMORY_STACK,
	HOIST_MEMORY_MODULE,       HOIST_MEMORY_SPECIAL,      HOIST_MEMORY_RECLAIMABLE,
	HOIST_MEMORY_USABLE,
};

/* Shared by all tests: each starts with in.count = 0. */
static struct memmap_region in_regions[MANY], out_regions[2 * MANY + 1];
static uint32_t scratch[MANY];

struct row {
	const char *name;
	struct memmap_region in[7];
	size_t in_count;
	struct memmap_region out[7];
	size_t out_count;
};

static const struct row rows[] = {
	{ "nothing stays nothing", { { 0 } }, 0, { { 0 } }, 0 },
	{ "one aligned region stays as it is, attributes included",
	  { { PAGE, 3 * PAGE, USABLE, 0, UINT64_C(0x800000000000000f) } },
	  1,
	  { { PAGE, 3 * PAGE, USABLE, 0, UINT64_C(0x800000000000000f) } },
	  1 },
	{ "unsorted regions are sorted",
	  { { 8 * PAGE, PAGE, USABLE, 0, 1 },
	    { 2 * PAGE, PAGE, KERNEL, 0, 2 },
	    { 5 * PAGE, PAGE, BAD, 0, 3 } },
	  3,
	  { { 2 * PAGE, PAGE, KERNEL, 0, 2 },
	    { 5 * PAGE, PAGE, BAD, 0, 3 },
	    { 8 * PAGE, PAGE, USABLE, 0, 1 } },
	  3 },
	{ "an empty region does not count, not even an unaligned one of a strong kind",
	  { { PAGE, 4 * PAGE, USABLE, 0, 1 },
	    { 2 * PAGE, 0, BAD, 0, 0 },
	    { 2 * PAGE + 5, 0, BAD, 0, 0 },
	    { 0, 0, USABLE, 0, 0 },
	    { UINT64_MAX, 0, BAD, 0, 0 } },
	  5,
	  { { PAGE, 4 * PAGE, USABLE, 0, 1 } },
	  1 },
	{ "an empty region of the same kind does not take attributes away",
	  { { PAGE, 4 * PAGE, USABLE, 0, 1 }, { 2 * PAGE, 0, USABLE, 0, 0 } },
	  2,
	  { { PAGE, 4 * PAGE, USABLE, 0, 1 } },
	  1 },
	{ "usable memory is rounded inwards",
	  { { PAGE + 1, 3 * PAGE, USABLE, 0, 0 } },
	  1,
	  { { 2 * PAGE, 2 * PAGE, USABLE, 0, 0 } },
	  1 },
	{ "usable memory that lacks one byte of its last page loses the page",
	  { { PAGE, 2 * PAGE - 1, USABLE, 0, 0 } },
	  1,
	  { { PAGE, PAGE, USABLE, 0, 0 } },
	  1 },
	{ "usable memory with one byte more keeps its last page",
	  { { PAGE, 2 * PAGE + 1, USABLE, 0, 0 } },
	  1,
	  { { PAGE, 2 * PAGE, USABLE, 0, 0 } },
	  1 },
	{ "usable memory without a whole page vanishes",
	  { { PAGE + 1, 2 * PAGE - 2, USABLE, 0, 0 }, { 8 * PAGE, PAGE - 1, USABLE, 0, 0 } },
	  2,
	  { { 0 } },
	  0 },
	{ "usable halves of one page do not make a page",
	  { { PAGE, PAGE + 0x800, USABLE, 0, 0 },
	    { 2 * PAGE + 0x800, PAGE + 0x800, USABLE, 0, 0 } },
	  2,
	  { { PAGE, PAGE, USABLE, 0, 0 }, { 3 * PAGE, PAGE, USABLE, 0, 0 } },
	  2 },
	{ "other memory is rounded outwards",
	  { { 2 * PAGE - 1, 2, RESERVED, 0, 0 } },
	  1,
	  { { PAGE, 2 * PAGE, RESERVED, 0, 0 } },
	  1 },
	{ "one reserved byte takes its page from usable memory",
	  { { PAGE, 3 * PAGE, USABLE, 0, 0 }, { 2 * PAGE + 0x777, 1, RESERVED, 0, 0 } },
	  2,
	  { { PAGE, PAGE, USABLE, 0, 0 },
	    { 2 * PAGE, PAGE, RESERVED, 0, 0 },
	    { 3 * PAGE, PAGE, USABLE, 0, 0 } },
	  3 },
	{ "reclaimable memory is rounded outwards",
	  { { PAGE + 1, 1, RECLAIMABLE, 0, 0 } },
	  1,
	  { { PAGE, PAGE, RECLAIMABLE, 0, 0 } },
	  1 },
	{ "a region that passes 2^64 ends before the last page",
	  { { TOP - PAGE, 2 * PAGE + 1, RESERVED, 0, 7 } },
	  1,
	  { { TOP - PAGE, PAGE, RESERVED, 0, 7 } },
	  1 },
	{ "so does a usable one, and one of the largest size",
	  { { TOP - PAGE, 2 * PAGE + 1, USABLE, 0, 7 }, { PAGE, UINT64_MAX, RESERVED, 0, 0 } },
	  2,
	  { { PAGE, TOP - PAGE, RESERVED, 0, 0 } },
	  1 },
	{ "a region that begins in the last page and passes 2^64 vanishes",
	  { { TOP, PAGE + 1, RESERVED, 0, 0 }, { TOP + 1, PAGE, USABLE, 0, 0 } },
	  2,
	  { { 0 } },
	  0 },
	{ "a region that ends at 2^64 keeps its last page",
	  { { TOP - PAGE, 2 * PAGE, USABLE, 0, 0 } },
	  1,
	  { { TOP - PAGE, 2 * PAGE, USABLE, 0, 0 } },
	  1 },
	{ "the last page of the address space is a page like any other",
	  { { TOP - PAGE, 2 * PAGE, USABLE, 0, 0 }, { UINT64_MAX, 1, BAD, 0, 0 } },
	  2,
	  { { TOP - PAGE, PAGE, USABLE, 0, 0 }, { TOP, PAGE, BAD, 0, 0 } },
	  2 },
	{ "usable memory in the last page that lacks a byte vanishes",
	  { { TOP, PAGE - 1, USABLE, 0, 0 }, { TOP + 1, PAGE - 1, USABLE, 0, 0 } },
	  2,
	  { { 0 } },
	  0 },
	{ "the whole address space but its last byte loses the last page",
	  { { 0, UINT64_MAX, RESERVED, 0, 0 } },
	  1,
	  { { 0, TOP, RESERVED, 0, 0 } },
	  1 },
	{ "two halves of the address space stay two, having no common size",
	  { { 0, UINT64_C(1) << 63, RESERVED, 0, 0 },
	    { UINT64_C(1) << 63, UINT64_C(1) << 63, RESERVED, 0, 0 } },
	  2,
	  { { 0, UINT64_C(1) << 63, RESERVED, 0, 0 },
	    { UINT64_C(1) << 63, UINT64_C(1) << 63, RESERVED, 0, 0 } },
	  2 },
	{ "the top of a 52-bit physical space is nothing special",
	  { { (UINT64_C(1) << 52) - PAGE, 2 * PAGE, MMIO, 0, 1 } },
	  1,
	  { { (UINT64_C(1) << 52) - PAGE, 2 * PAGE, MMIO, 0, 1 } },
	  1 },
	{ "neighbours of the same kind and attributes become one",
	  { { 3 * PAGE, PAGE, USABLE, 0, 5 },
	    { PAGE, PAGE, USABLE, 0, 5 },
	    { 2 * PAGE, PAGE, USABLE, 0, 5 } },
	  3,
	  { { PAGE, 3 * PAGE, USABLE, 0, 5 } },
	  1 },
	{ "neighbours that differ in kind or attributes stay apart",
	  { { PAGE, PAGE, USABLE, 0, 5 },
	    { 2 * PAGE, PAGE, USABLE, 0, 4 },
	    { 3 * PAGE, PAGE, RECLAIMABLE, 0, 4 } },
	  3,
	  { { PAGE, PAGE, USABLE, 0, 5 },
	    { 2 * PAGE, PAGE, USABLE, 0, 4 },
	    { 3 * PAGE, PAGE, RECLAIMABLE, 0, 4 } },
	  3 },
	{ "regions with a gap of a page stay apart",
	  { { PAGE, PAGE, USABLE, 0, 0 }, { 3 * PAGE, PAGE, USABLE, 0, 0 } },
	  2,
	  { { PAGE, PAGE, USABLE, 0, 0 }, { 3 * PAGE, PAGE, USABLE, 0, 0 } },
	  2 },
	{ "nested regions show each its own part",
	  { { 0, 7 * PAGE, USABLE, 0, 1 },
	    { PAGE, 5 * PAGE, KERNEL, 0, 2 },
	    { 2 * PAGE, 3 * PAGE, RESERVED, 0, 4 },
	    { 3 * PAGE, PAGE, BAD, 0, 8 } },
	  4,
	  { { 0, PAGE, USABLE, 0, 1 },
	    { PAGE, PAGE, KERNEL, 0, 2 },
	    { 2 * PAGE, PAGE, RESERVED, 0, 4 },
	    { 3 * PAGE, PAGE, BAD, 0, 8 },
	    { 4 * PAGE, PAGE, RESERVED, 0, 4 },
	    { 5 * PAGE, PAGE, KERNEL, 0, 2 },
	    { 6 * PAGE, PAGE, USABLE, 0, 1 } },
	  7 },
	{ "a staircase of overlaps is cut where the stronger begins",
	  { { 0, 4 * PAGE, USABLE, 0, 0 },
	    { 2 * PAGE, 4 * PAGE, KERNEL, 0, 0 },
	    { 4 * PAGE, 4 * PAGE, BAD, 0, 0 } },
	  3,
	  { { 0, 2 * PAGE, USABLE, 0, 0 },
	    { 2 * PAGE, 2 * PAGE, KERNEL, 0, 0 },
	    { 4 * PAGE, 4 * PAGE, BAD, 0, 0 } },
	  3 },
	{ "where the same kind overlaps, attributes are intersected",
	  { { 0, 4 * PAGE, USABLE, 0, 0xe }, { 2 * PAGE, 4 * PAGE, USABLE, 0, 0x7 } },
	  2,
	  { { 0, 2 * PAGE, USABLE, 0, 0xe },
	    { 2 * PAGE, 2 * PAGE, USABLE, 0, 0x6 },
	    { 4 * PAGE, 2 * PAGE, USABLE, 0, 0x7 } },
	  3 },
	{ "the same region three times is one, with what all three have",
	  { { 0, PAGE, KERNEL, 0, 0xe },
	    { 0, PAGE, KERNEL, 0, 0x7 },
	    { 0, PAGE, KERNEL, 0, 0x6c } },
	  3,
	  { { 0, PAGE, KERNEL, 0, 0x4 } },
	  1 },
	{ "attributes of a loser do not matter",
	  { { 0, 2 * PAGE, KERNEL, 0, 0xf }, { 0, 2 * PAGE, USABLE, 0, 0 } },
	  2,
	  { { 0, 2 * PAGE, KERNEL, 0, 0xf } },
	  1 },
	{ "a nested region of the same kind and attributes leaves no trace",
	  { { 0, 4 * PAGE, USABLE, 0, 3 }, { PAGE, PAGE, USABLE, 0, 3 } },
	  2,
	  { { 0, 4 * PAGE, USABLE, 0, 3 } },
	  1 },
	{ "a number that is no kind is reserved",
	  { { 0, 2 * PAGE, USABLE, 0, 0 }, { PAGE + 1, 1, KINDS, 0, 3 } },
	  2,
	  { { 0, PAGE, USABLE, 0, 0 }, { PAGE, PAGE, RESERVED, 0, 3 } },
	  2 },
};

static struct memmap normalise(struct memmap *in, const char *name)
{
	struct memmap out = { out_regions, 0, memmap_worst_case(in->count) };
	size_t count = in->count;

	CHECK(memmap_normalise(in, scratch, &out), name);
	CHECK_EQ(in->count, count, name);
	CHECK(out.count <= out.capacity, name);
	return out;
}

static void expect_regions(const struct memmap *got, const struct memmap_region *want, size_t count,
			   const char *name)
{
	CHECK_EQ(got->count, count, name);
	for (size_t i = 0; i < count && i < got->count; i++) {
		CHECK_EQ(got->regions[i].base, want[i].base, name);
		CHECK_EQ(got->regions[i].size, want[i].size, name);
		CHECK_EQ(got->regions[i].kind, want[i].kind, name);
		CHECK_EQ(got->regions[i].reserved, 0, name);
		CHECK_EQ(got->regions[i].attributes, want[i].attributes, name);
	}
}

static struct memmap filled(const struct memmap_region *regions, size_t count)
{
	struct memmap in = { in_regions, count, MANY };

	if (count > 0)
		memcpy(in_regions, regions, count * sizeof(*regions));
	return in;
}

/* Every order of row->in, by swapping each element into place `at`. */
static void expect_row_in_every_order(struct row *row, size_t at)
{
	if (at >= row->in_count) {
		struct memmap in = filled(row->in, row->in_count);
		struct memmap out = normalise(&in, row->name);

		expect_regions(&out, row->out, row->out_count, row->name);
		return;
	}
	for (size_t i = at; i < row->in_count; i++) {
		struct memmap_region kept = row->in[at];

		row->in[at] = row->in[i];
		row->in[i] = kept;
		expect_row_in_every_order(row, at + 1);
		row->in[i] = row->in[at];
		row->in[at] = kept;
	}
}

static void test_every_order_of_input_gives_the_normal_form(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct row row = rows[i];

		expect_row_in_every_order(&row, 0);
	}
}

static void test_a_normalised_map_is_its_own_normal_form(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct memmap in = filled(rows[i].out, rows[i].out_count);
		struct memmap out = normalise(&in, rows[i].name);

		expect_regions(&out, rows[i].out, rows[i].out_count, rows[i].name);
	}
}

/* Pages 0 to 2 of `outer`, page 1 also of `inner`; both orders of input. */
static void expect_pair(uint32_t outer, uint32_t inner, bool inner_wins)
{
	struct memmap_region regions[] = {
		{ 0, 3 * PAGE, outer, 0, 1 },
		{ PAGE, PAGE, inner, 0, 2 },
		{ 0, 3 * PAGE, outer, 0, 1 },
	};
	struct memmap_region cut[] = {
		{ 0, PAGE, outer, 0, 1 },
		{ PAGE, PAGE, inner, 0, 2 },
		{ 2 * PAGE, PAGE, outer, 0, 1 },
	};

	for (size_t order = 0; order < 2; order++) {
		struct memmap in = filled(&regions[order], 2);
		struct memmap out = normalise(&in, memmap_kind_name(inner));

		if (inner_wins)
			expect_regions(&out, cut, 3, memmap_kind_name(inner));
		else
			expect_regions(&out, regions, 1, memmap_kind_name(outer));
	}
}

static void test_of_any_two_kinds_the_higher_in_the_list_wins(void)
{
	CHECK_EQ(ARRAY_LEN(precedence), KINDS, "every kind is in the list");
	for (size_t strong = 0; strong < KINDS; strong++) {
		for (size_t weak = strong + 1; weak < KINDS; weak++) {
			expect_pair(precedence[weak], precedence[strong], true);
			expect_pair(precedence[strong], precedence[weak], false);
		}
	}
}

static void test_only_usable_memory_is_rounded_inwards(void)
{
	for (uint32_t kind = 0; kind < KINDS; kind++) {
		const char *name = memmap_kind_name(kind);
		struct memmap_region region = { PAGE + 1, 3 * PAGE - 2, kind, 0, 0 };
		struct memmap in = filled(&region, 1);
		struct memmap out = normalise(&in, name);
		bool free = kind == HOIST_MEMORY_USABLE;

		CHECK_EQ(memmap_is_free(kind), free, name);
		CHECK_EQ(out.count, 1, name);
		CHECK_EQ(out_regions[0].base, free ? 2 * PAGE : PAGE, name);
		CHECK_EQ(out_regions[0].size, free ? PAGE : 3 * PAGE, name);
	}
	CHECK(!memmap_is_free(KINDS), "a number that is no kind");
}

/* Every attribute bit alone survives, and is alone missing. */
static void test_every_attribute_is_intersected_by_itself(void)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t one = UINT64_C(1) << bit;
		struct memmap_region regions[] = {
			{ 0, PAGE, MMIO, 0, one },
			{ 0, PAGE, MMIO, 0, UINT64_MAX },
			{ PAGE, PAGE, MMIO, 0, ~one },
			{ PAGE, PAGE, MMIO, 0, UINT64_MAX },
		};
		struct memmap in = filled(regions, ARRAY_LEN(regions));
		struct memmap out = normalise(&in, "attributes");

		CHECK_EQ(out.count, 2, "attributes");
		CHECK_EQ(out_regions[0].attributes, one, "alone");
		CHECK_EQ(out_regions[1].attributes, ~one, "alone missing");
	}
}

/* Page i of 5,000, in a scattered order (7 and 5,000 have no common factor). */
static void test_5000_regions_of_alternating_kind_are_sorted(void)
{
	struct memmap in = { in_regions, 0, MANY }, out;

	for (uint64_t i = 0; i < MANY; i++) {
		uint64_t page = i * 7 % MANY;

		CHECK(memmap_add(&in, page * PAGE, PAGE, page % 2 ? BAD : USABLE, page), "room");
	}
	out = normalise(&in, "5,000");
	CHECK_EQ(out.count, MANY, "5,000");
	for (uint64_t page = 0; page < out.count; page++) {
		CHECK_EQ(out_regions[page].base, page * PAGE, "sorted");
		CHECK_EQ(out_regions[page].size, PAGE, "sorted");
		CHECK_EQ(out_regions[page].kind, page % 2 ? BAD : USABLE, "sorted");
		CHECK_EQ(out_regions[page].attributes, page, "sorted");
	}
}

/* Inwards the kinds get stronger, and the regions of a kind lose attributes one by one. */
static void test_1024_nested_regions_make_2047_parts(void)
{
	struct memmap in = { in_regions, 0, MANY }, out;

	for (uint64_t i = 0; i < 1024; i++)
		memmap_add(&in, i * PAGE, (2047 - 2 * i) * PAGE, precedence[KINDS - 1 - i / 64],
			   UINT64_MAX >> i % 64);
	out = normalise(&in, "nested");
	CHECK_EQ(out.count, 2047, "nested");
	for (uint64_t i = 0; i < out.count; i++) {
		uint64_t depth = i < 1024 ? i : 2046 - i;

		CHECK_EQ(out_regions[i].base, i * PAGE, "nested");
		CHECK_EQ(out_regions[i].size, PAGE, "nested");
		CHECK_EQ(out_regions[i].kind, precedence[KINDS - 1 - depth / 64], "nested");
		CHECK_EQ(out_regions[i].attributes, UINT64_MAX >> depth % 64, "nested");
	}
}

static void test_5000_nested_regions_of_16_kinds_make_31_parts(void)
{
	struct memmap in = { in_regions, 0, MANY }, out;

	for (uint64_t i = 0; i < MANY; i++)
		memmap_add(&in, i * PAGE, (2 * MANY - 2 * i) * PAGE,
			   precedence[KINDS - 1 - i * KINDS / MANY], 0);
	out = normalise(&in, "5,000");
	CHECK_EQ(out.count, 2 * KINDS - 1, "5,000");
	for (size_t i = 0; i < out.count; i++) {
		size_t depth = i < KINDS ? i : 2 * KINDS - 2 - i;

		CHECK_EQ(out_regions[i].kind, precedence[KINDS - 1 - depth], "5,000");
	}
}

static void test_too_small_an_output_is_refused_and_nothing_changes(void)
{
	struct memmap_region unsorted[] = { { 3 * PAGE + 1, PAGE, USABLE, 0, 0 },
					    { PAGE + 1, PAGE, BAD, 0, 0 } };
	struct memmap in = filled(unsorted, 2);
	struct memmap out = { out_regions, 3, memmap_worst_case(2) - 1 };

	memset(out_regions, 0x5a, sizeof(out_regions));
	memset(scratch, 0x5a, sizeof(scratch));
	CHECK_EQ(memmap_worst_case(2), 5, "two regions");
	CHECK(!memmap_normalise(&in, scratch, &out), "one short");
	CHECK(memcmp(in_regions, unsorted, sizeof(unsorted)) == 0, "input");
	CHECK_EQ(in.count, 2, "input");
	CHECK_EQ(out.count, 3, "output");
	CHECK_EQ(out_regions[0].kind, 0x5a5a5a5a, "output");
	CHECK_EQ(scratch[0], 0x5a5a5a5a, "scratch");
	out.capacity++;
	CHECK(memmap_normalise(&in, scratch, &out), "just enough");
	CHECK_EQ(out.count, 1, "what was in the output is gone");
}

static void test_adding_ends_when_the_map_is_full(void)
{
	struct memmap_region regions[3] = { [2] = { 1, 2, 3, 4, 5 } };
	struct memmap map = { regions, 0, 2 };

	CHECK(memmap_add(&map, UINT64_MAX, 17, 99, 4), "whatever it looks like");
	CHECK(memmap_add(&map, 0, 0, 0, 0), "last");
	CHECK(!memmap_add(&map, PAGE, PAGE, KERNEL, 1), "full");
	CHECK_EQ(map.count, 2, "full");
	CHECK_EQ(regions[2].base, 1, "beyond");
	CHECK_EQ(regions[0].base, UINT64_MAX, "first");
	CHECK_EQ(regions[0].size, 17, "first");
	CHECK_EQ(regions[0].kind, 99, "first");
	CHECK_EQ(regions[0].reserved, 0, "first");
	CHECK_EQ(regions[0].attributes, 4, "first");
}

static void test_the_region_of_an_address_is_found(void)
{
	static struct memmap_region regions[] = {
		{ PAGE, 2 * PAGE, USABLE, 0, 0 },
		{ 3 * PAGE, PAGE, BAD, 0, 0 },
		{ 9 * PAGE, PAGE, KERNEL, 0, 0 },
		{ TOP, PAGE, RESERVED, 0, 0 },
	};
	static const struct {
		const char *name;
		uint64_t address;
		const struct memmap_region *region;
	} places[] = {
		{ "below the first", 0, NULL },
		{ "last byte below the first", PAGE - 1, NULL },
		{ "first byte", PAGE, &regions[0] },
		{ "last byte", 3 * PAGE - 1, &regions[0] },
		{ "first byte of the neighbour", 3 * PAGE, &regions[1] },
		{ "last byte of the neighbour", 4 * PAGE - 1, &regions[1] },
		{ "first byte of a gap", 4 * PAGE, NULL },
		{ "last byte of a gap", 9 * PAGE - 1, NULL },
		{ "behind a gap", 9 * PAGE + 17, &regions[2] },
		{ "far above", TOP - 1, NULL },
		{ "last page", TOP, &regions[3] },
		{ "last byte of all", UINT64_MAX, &regions[3] },
	};
	struct memmap map = { regions, ARRAY_LEN(regions), ARRAY_LEN(regions) };
	struct memmap empty = { NULL, 0, 0 };

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		CHECK(memmap_find(&map, places[i].address) == places[i].region, places[i].name);
	CHECK(!memmap_find(&empty, 0), "nothing is in an empty map");
}

static void test_every_kind_has_a_name_of_its_own(void)
{
	CHECK(strcmp(memmap_kind_name(USABLE), "usable") == 0, "usable");
	CHECK(strcmp(memmap_kind_name(RECLAIMABLE), "reclaimable") == 0, "reclaimable");
	CHECK(strcmp(memmap_kind_name(HOIST_MEMORY_ACPI_NVS), "ACPI NVS") == 0, "ACPI NVS");
	CHECK(strcmp(memmap_kind_name(HOIST_MEMORY_SPECIAL), "special") == 0, "special");
	CHECK(strcmp(memmap_kind_name(KINDS), "unknown") == 0, "first number that is none");
	CHECK(strcmp(memmap_kind_name(UINT32_MAX), "unknown") == 0, "last number");
	for (uint32_t a = 0; a < KINDS; a++) {
		CHECK(memmap_kind_name(a)[0] != '\0', "not empty");
		for (uint32_t b = 0; b <= KINDS; b++)
			CHECK(a == b || strcmp(memmap_kind_name(a), memmap_kind_name(b)) != 0,
			      memmap_kind_name(a));
	}
}

static void test_every_status_has_its_text(void)
{
	static const struct {
		enum loader_status status;
		const char *text;
	} texts[] = {
#define X(code, text) { code, text },
		LOADER_STATUS_LIST(X)
#undef X
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		CHECK(strcmp(loader_strerror(texts[i].status), texts[i].text) == 0, texts[i].text);
	CHECK(strcmp(loader_strerror((enum loader_status)ARRAY_LEN(texts)), "unknown status") == 0,
	      "first number that is none");
	CHECK(strcmp(loader_strerror((enum loader_status)UINT32_MAX), "unknown status") == 0,
	      "last number");
}

int main(void)
{
	RUN(test_every_order_of_input_gives_the_normal_form);
	RUN(test_a_normalised_map_is_its_own_normal_form);
	RUN(test_of_any_two_kinds_the_higher_in_the_list_wins);
	RUN(test_only_usable_memory_is_rounded_inwards);
	RUN(test_every_attribute_is_intersected_by_itself);
	RUN(test_5000_regions_of_alternating_kind_are_sorted);
	RUN(test_1024_nested_regions_make_2047_parts);
	RUN(test_5000_nested_regions_of_16_kinds_make_31_parts);
	RUN(test_too_small_an_output_is_refused_and_nothing_changes);
	RUN(test_adding_ends_when_the_map_is_full);
	RUN(test_the_region_of_an_address_is_found);
	RUN(test_every_kind_has_a_name_of_its_own);
	RUN(test_every_status_has_its_text);
	return check_done();
}
