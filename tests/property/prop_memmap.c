/*
 * Property: memmap_normalise() says about every page what a list of pages
 * says that looks at each region in turn, for any regions in any order; and
 * its output has the form that the header promises. Replay a failure with
 * SEED=<number in its name>.
 */
#include "loader/memmap.h"
#include "tests/check.h"

#define PAGE  UINT64_C(0x1000)
#define PAGES UINT64_C(64)
#define BYTES (PAGES * PAGE)
#define MOST  24 /* regions */
#define CASES 5000

/* Written down again on purpose, as the number of those that are stronger. */
static const uint32_t weakness[] = {
	[HOIST_MEMORY_BAD] = 0,          [HOIST_MEMORY_MMIO] = 1,
	[HOIST_MEMORY_RESERVED] = 2,     [HOIST_MEMORY_RUNTIME_CODE] = 3,
	[HOIST_MEMORY_RUNTIME_DATA] = 4, [HOIST_MEMORY_ACPI_NVS] = 5,
	[HOIST_MEMORY_ACPI_RECLAIM] = 6, [HOIST_MEMORY_UNACCEPTED] = 7,
	[HOIST_MEMORY_PERSISTENT] = 8,   [HOIST_MEMORY_KERNEL] = 9,
	[HOIST_MEMORY_PAGE_TABLES] = 10, [HOIST_MEMORY_STACK] = 11,
	[HOIST_MEMORY_MODULE] = 12,      [HOIST_MEMORY_SPECIAL] = 13,
	[HOIST_MEMORY_RECLAIMABLE] = 14, [HOIST_MEMORY_USABLE] = 15,
};

/* A window of 64 pages somewhere; what happens, happens in it. */
struct universe {
	uint64_t base;
	bool top; /* it ends at 2^64 */
};

struct page {
	bool known;
	uint32_t kind;
	uint64_t attributes;
};

/* Shared by all cases. */
static struct memmap_region in_regions[MOST], original[MOST], out_regions[2 * MOST + 1],
	again_regions[4 * MOST + 3];
static uint32_t scratch[2 * MOST + 1];

/* Near page boundaries more often than not, and on them half the time. */
static uint64_t random_offset(uint64_t *state)
{
	uint64_t random = check_random(state);
	uint64_t offset = random % PAGES * PAGE;

	switch (random >> 32 & 7) {
	case 0:
		return offset + 1;
	case 1:
		return offset + PAGE - 1;
	case 2:
		return offset + (random >> 40) % PAGE;
	default:
		return offset;
	}
}

/* At the top of the address space a region may pass the end, elsewhere it stays inside. */
static struct memmap_region random_region(uint64_t *state, const struct universe *universe)
{
	uint64_t first = random_offset(state), end = random_offset(state),
		 tails = check_random(state);
	struct memmap_region region = {
		.kind = (uint32_t)(check_random(state) % (ARRAY_LEN(weakness) + 1)),
		.attributes = check_random(state) & 3,
	};

	if (first > end) {
		uint64_t kept = first;

		first = end;
		end = kept;
	}
	if (tails % 4 == 0)
		end = BYTES;
	region.base = universe->base + first;
	region.size = end - first;
	if (universe->top && tails % 8 == 0)
		region.size += 1 + (tails >> 8) % (2 * PAGE);
	if (universe->top && tails % 64 == 1)
		region.size = UINT64_MAX - (tails >> 8) % PAGE;
	return region;
}

/* Whether the region has page `index` of the universe, rounded as the rules say. */
static bool region_has_page(const struct memmap_region *region, const struct universe *universe,
			    uint64_t index)
{
	uint64_t first = region->base - universe->base, begin = index * PAGE;
	bool passes = region->size > BYTES - first;
	uint64_t end = passes ? BYTES - PAGE : first + region->size;

	if (region->size == 0)
		return false;
	if (region->kind == HOIST_MEMORY_USABLE)
		return first <= begin && begin + PAGE <= end;
	return first < begin + PAGE && begin < end;
}

static struct page model_page(const struct universe *universe, size_t count, uint64_t index)
{
	struct page page = { .known = false };

	for (size_t i = 0; i < count; i++) {
		uint32_t kind = original[i].kind;

		if (!region_has_page(&original[i], universe, index))
			continue;
		if (kind >= ARRAY_LEN(weakness))
			kind = HOIST_MEMORY_RESERVED;
		if (page.known && page.kind == kind)
			page.attributes &= original[i].attributes;
		else if (!page.known || weakness[kind] < weakness[page.kind])
			page = (struct page){ true, kind, original[i].attributes };
	}
	return page;
}

/* At the first byte, the last one and one between. */
static void expect_page(const struct memmap *map, struct page want, uint64_t base, const char *name)
{
	static const uint64_t offsets[] = { 0, 0x123, PAGE - 1 };

	for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
		const struct memmap_region *region = memmap_find(map, base + offsets[i]);

		CHECK_EQ(region != NULL, want.known, name);
		if (!region || !want.known)
			continue;
		CHECK_EQ(region->kind, want.kind, name);
		CHECK_EQ(region->attributes, want.attributes, name);
	}
}

static void expect_normal_form(const struct memmap *map, const char *name)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct memmap_region *region = &map->regions[i], *next = region + 1;

		CHECK(region->base % PAGE == 0 && region->size % PAGE == 0, name);
		CHECK(region->size != 0 && region->reserved == 0, name);
		CHECK(region->size - 1 <= UINT64_MAX - region->base, name);
		if (i + 1 == map->count)
			break;
		CHECK(region->base < next->base, name);
		CHECK(next->base - region->base >= region->size, name);
		CHECK(next->base - region->base != region->size || region->kind != next->kind ||
			      region->attributes != next->attributes,
		      name);
	}
}

static void expect_same(const struct memmap *a, const struct memmap *b, const char *name)
{
	CHECK_EQ(a->count, b->count, name);
	CHECK(a->count != b->count ||
		      memcmp(a->regions, b->regions, a->count * sizeof(*a->regions)) == 0,
	      name);
}

static void shuffle(uint64_t *state, struct memmap_region *regions, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = check_random(state) % i;
		struct memmap_region kept = regions[i - 1];

		regions[i - 1] = regions[other];
		regions[other] = kept;
	}
}

static struct universe random_universe(uint64_t *state)
{
	uint64_t random = check_random(state);

	switch (random % 4) {
	case 0:
		return (struct universe){ .base = 0 };
	case 1:
		return (struct universe){ .base = UINT64_MAX - (BYTES - 1), .top = true };
	default:
		return (struct universe){ .base = (random >> 13) * PAGE };
	}
}

static void check_case(uint64_t seed)
{
	uint64_t state = seed;
	struct universe universe = random_universe(&state);
	size_t count = check_random(&state) % (MOST + 1);
	struct memmap in = { in_regions, count, MOST };
	struct memmap out = { out_regions, 0, memmap_worst_case(count) };
	struct memmap again = { again_regions, 0, ARRAY_LEN(again_regions) };
	char name[32];

	snprintf(name, sizeof(name), "SEED=%" PRIu64, seed);
	for (size_t i = 0; i < count; i++)
		original[i] = in_regions[i] = random_region(&state, &universe);
	CHECK(memmap_normalise(&in, scratch, &out), name);
	expect_normal_form(&out, name);
	for (uint64_t i = 0; i < PAGES; i++)
		expect_page(&out, model_page(&universe, count, i), universe.base + i * PAGE, name);
	for (size_t i = 0; i < out.count; i++)
		CHECK(out_regions[i].base - universe.base <= BYTES - out_regions[i].size, name);

	memcpy(in_regions, original, sizeof(in_regions));
	shuffle(&state, in_regions, count);
	CHECK(memmap_normalise(&in, scratch, &again), name);
	expect_same(&again, &out, name);

	/* Rounded input rounds to itself, and output is its own normal form. */
	CHECK(memmap_normalise(&in, scratch, &again), name);
	expect_same(&again, &out, name);
	CHECK(memmap_normalise(&out, scratch, &again), name);
	expect_same(&again, &out, name);
}

static void prop_a_normalised_map_agrees_with_a_list_of_pages(void)
{
	uint64_t seed = check_seed(1);

	for (uint64_t i = 0; i < CASES && check_failures == 0; i++)
		check_case(seed + i);
}

int main(void)
{
	RUN(prop_a_normalised_map_agrees_with_a_list_of_pages);
	return check_done();
}
