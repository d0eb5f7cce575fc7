#include "loader/memmap.h"

#include "paging/addr.h"

/*
 * Who wins where regions overlap: the earlier in this list.
 *
 *	usable       |---------------------------|
 *	kernel             |-----------|
 *	bad                      |--|
 *
 *	result       |usabl|kerne|ba|ker|-usable-|
 *
 *  1. What must never be touched wins over everything: defective memory, then
 *     devices, then what the firmware reserves.
 *  2. What the firmware still uses, or what holds its tables.
 *  3. Memory that needs an act before it can be used: a kernel that took it
 *     for ordinary memory would lose data or be stopped by the hypervisor.
 *  4. What the loader put somewhere. It lies in memory that the firmware calls
 *     the loader's, which would otherwise be reclaimable.
 *  5. Free memory, the less free the stronger.
 */
enum memmap_rank {
	MEMMAP_RANK_BAD,
	MEMMAP_RANK_MMIO,
	MEMMAP_RANK_RESERVED,
	MEMMAP_RANK_RUNTIME_CODE,
	MEMMAP_RANK_RUNTIME_DATA,
	MEMMAP_RANK_ACPI_NVS,
	MEMMAP_RANK_ACPI_RECLAIM,
	MEMMAP_RANK_UNACCEPTED,
	MEMMAP_RANK_PERSISTENT,
	MEMMAP_RANK_KERNEL,
	MEMMAP_RANK_PAGE_TABLES,
	MEMMAP_RANK_STACK,
	MEMMAP_RANK_MODULE,
	MEMMAP_RANK_SPECIAL,
	MEMMAP_RANK_RECLAIMABLE,
	MEMMAP_RANK_USABLE,
	MEMMAP_RANKS,
};

static const uint8_t kind_of_rank[] = {
	[MEMMAP_RANK_BAD] = HOIST_MEMORY_BAD,
	[MEMMAP_RANK_MMIO] = HOIST_MEMORY_MMIO,
	[MEMMAP_RANK_RESERVED] = HOIST_MEMORY_RESERVED,
	[MEMMAP_RANK_RUNTIME_CODE] = HOIST_MEMORY_RUNTIME_CODE,
	[MEMMAP_RANK_RUNTIME_DATA] = HOIST_MEMORY_RUNTIME_DATA,
	[MEMMAP_RANK_ACPI_NVS] = HOIST_MEMORY_ACPI_NVS,
	[MEMMAP_RANK_ACPI_RECLAIM] = HOIST_MEMORY_ACPI_RECLAIM,
	[MEMMAP_RANK_UNACCEPTED] = HOIST_MEMORY_UNACCEPTED,
	[MEMMAP_RANK_PERSISTENT] = HOIST_MEMORY_PERSISTENT,
	[MEMMAP_RANK_KERNEL] = HOIST_MEMORY_KERNEL,
	[MEMMAP_RANK_PAGE_TABLES] = HOIST_MEMORY_PAGE_TABLES,
	[MEMMAP_RANK_STACK] = HOIST_MEMORY_STACK,
	[MEMMAP_RANK_MODULE] = HOIST_MEMORY_MODULE,
	[MEMMAP_RANK_SPECIAL] = HOIST_MEMORY_SPECIAL,
	[MEMMAP_RANK_RECLAIMABLE] = HOIST_MEMORY_RECLAIMABLE,
	[MEMMAP_RANK_USABLE] = HOIST_MEMORY_USABLE,
};

/* Rows of fixed width: pointers would need relocations in read-only pages. */
static const char kind_names[][16] = {
	[HOIST_MEMORY_USABLE] = "usable",
	[HOIST_MEMORY_RECLAIMABLE] = "reclaimable",
	[HOIST_MEMORY_KERNEL] = "kernel",
	[HOIST_MEMORY_PAGE_TABLES] = "page tables",
	[HOIST_MEMORY_STACK] = "stack",
	[HOIST_MEMORY_MODULE] = "module",
	[HOIST_MEMORY_ACPI_RECLAIM] = "ACPI reclaim",
	[HOIST_MEMORY_ACPI_NVS] = "ACPI NVS",
	[HOIST_MEMORY_RUNTIME_CODE] = "runtime code",
	[HOIST_MEMORY_RUNTIME_DATA] = "runtime data",
	[HOIST_MEMORY_MMIO] = "MMIO",
	[HOIST_MEMORY_RESERVED] = "reserved",
	[HOIST_MEMORY_BAD] = "bad",
	[HOIST_MEMORY_PERSISTENT] = "persistent",
	[HOIST_MEMORY_UNACCEPTED] = "unaccepted",
	[HOIST_MEMORY_SPECIAL] = "special",
};

#define KIND_COUNT (sizeof(kind_names) / sizeof(kind_names[0]))

_Static_assert(KIND_COUNT == MEMMAP_RANKS, "every kind has one name and one rank");

/*
 * Inside, places are numbers of pages: the end of the last page of the address
 * space is one of them, while 2^64 is no uint64_t.
 */
#define SPACE_PAGES ((UINT64_MAX / HOIST_PAGE_SIZE) + 1)

static uint64_t first_page(const struct memmap_region *region)
{
	return region->base / HOIST_PAGE_SIZE;
}

static uint64_t end_page(const struct memmap_region *region)
{
	return first_page(region) + region->size / HOIST_PAGE_SIZE;
}

/* Rules 1 and 2. A region of which nothing is left has size 0. */
static void round_region(struct memmap_region *region)
{
	bool inwards = memmap_is_free(region->kind);
	uint64_t first = first_page(region);
	uint64_t end = SPACE_PAGES - 1;
	uint64_t pages;

	if (region->size == 0)
		return;
	if (inwards && !is_aligned(region->base, HOIST_PAGE_SIZE))
		first++;
	if (region->size - 1 <= UINT64_MAX - region->base) {
		uint64_t last = region->base + (region->size - 1);
		bool whole = last % HOIST_PAGE_SIZE == HOIST_PAGE_SIZE - 1;

		end = last / HOIST_PAGE_SIZE + (inwards && !whole ? 0 : 1);
	}
	pages = end > first ? end - first : 0;
	/* The whole address space has a size that is no uint64_t. */
	if (pages == SPACE_PAGES)
		pages--;
	region->base = first * HOIST_PAGE_SIZE;
	region->size = pages * HOIST_PAGE_SIZE;
}

/*
 * What heapsort sees: the regions themselves by their beginning, or, if there
 * is one, `order` (indices of regions) by their end. Heapsort because it needs
 * no memory and no recursion and has no bad case.
 */
struct sequence {
	struct memmap_region *regions;
	uint32_t *order;
};

static uint64_t sequence_key(const struct sequence *s, size_t at)
{
	return s->order ? end_page(&s->regions[s->order[at]]) : first_page(&s->regions[at]);
}

static void sequence_swap(const struct sequence *s, size_t a, size_t b)
{
	if (s->order) {
		uint32_t index = s->order[a];

		s->order[a] = s->order[b];
		s->order[b] = index;
	} else {
		struct memmap_region region = s->regions[a];

		s->regions[a] = s->regions[b];
		s->regions[b] = region;
	}
}

static void sift_down(const struct sequence *s, size_t at, size_t count)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= count)
			return;
		if (child + 1 < count && sequence_key(s, child) < sequence_key(s, child + 1))
			child++;
		if (sequence_key(s, at) >= sequence_key(s, child))
			return;
		sequence_swap(s, at, child);
		at = child;
	}
}

static void sort(const struct sequence *s, size_t count)
{
	for (size_t i = count / 2; i > 0; i--)
		sift_down(s, i - 1, count);
	for (size_t i = count; i > 1; i--) {
		sequence_swap(s, 0, i - 1);
		sift_down(s, 0, i - 1);
	}
}

/*
 * The regions that hold the place where the sweep is, counted by kind, and how
 * many of each kind have an attribute. The intersection of any number of
 * regions is then known without looking at one of them.
 */
struct active {
	int32_t regions[KIND_COUNT];
	int32_t with_attribute[KIND_COUNT][64];
};

/*
 * A number that is no kind counts as reserved: the one kind that says nothing
 * about the memory and forbids its use.
 */
static void active_change(struct active *active, const struct memmap_region *region, int32_t by)
{
	uint32_t kind = region->kind < KIND_COUNT ? region->kind : HOIST_MEMORY_RESERVED;

	active->regions[kind] += by;
	for (uint64_t rest = region->attributes; rest != 0; rest &= rest - 1)
		active->with_attribute[kind][__builtin_ctzll(rest)] += by;
}

/* The kind that wins here, or KIND_COUNT if there is no region. */
static uint32_t active_kind(const struct active *active)
{
	for (size_t rank = 0; rank < MEMMAP_RANKS; rank++) {
		if (active->regions[kind_of_rank[rank]] > 0)
			return kind_of_rank[rank];
	}
	return KIND_COUNT;
}

/* What all active regions of this kind have in common. */
static uint64_t active_attributes(const struct active *active, uint32_t kind)
{
	uint64_t common = 0;

	for (uint32_t bit = 0; bit < 64; bit++) {
		if (active->with_attribute[kind][bit] == active->regions[kind])
			common |= UINT64_C(1) << bit;
	}
	return common;
}

/*
 * The sum of the sizes is 0 only for two regions that are the whole address
 * space, which is no size of one.
 */
static bool joins(const struct memmap_region *a, const struct memmap_region *b)
{
	return a->base + a->size == b->base && a->kind == b->kind &&
	       a->attributes == b->attributes && a->size + b->size != 0;
}

/* Writes pages [first, end), throughout which the same regions are active. */
static void emit(struct memmap *out, const struct active *active, uint64_t first, uint64_t end)
{
	struct memmap_region region = {
		.base = first * HOIST_PAGE_SIZE,
		.size = (end - first) * HOIST_PAGE_SIZE,
		.kind = active_kind(active),
	};

	if (region.kind == KIND_COUNT)
		return;
	region.attributes = active_attributes(active, region.kind);
	if (out->count > 0 && joins(&out->regions[out->count - 1], &region))
		out->regions[out->count - 1].size += region.size;
	else
		out->regions[out->count++] = region;
}

/*
 * Walks over all places where a region begins or ends, in ascending order.
 * Those that begin are counted before those that end, so that an empty region
 * comes and goes.
 */
static void sweep(const struct memmap *in, const uint32_t *by_end, struct memmap *out)
{
	struct active active = { 0 };
	const struct memmap_region *regions = in->regions;
	size_t begun = 0, ended = 0;
	uint64_t at = 0;

	while (ended < in->count) {
		uint64_t next = end_page(&regions[by_end[ended]]);

		if (begun < in->count && first_page(&regions[begun]) < next)
			next = first_page(&regions[begun]);
		emit(out, &active, at, next);
		at = next;
		for (; begun < in->count && first_page(&regions[begun]) == at; begun++)
			active_change(&active, &regions[begun], 1);
		for (; ended < in->count && end_page(&regions[by_end[ended]]) == at; ended++)
			active_change(&active, &regions[by_end[ended]], -1);
	}
}

bool memmap_add(struct memmap *map, uint64_t base, uint64_t size, uint32_t kind,
		uint64_t attributes)
{
	if (map->count >= map->capacity)
		return false;
	map->regions[map->count++] = (struct memmap_region){
		.base = base,
		.size = size,
		.kind = kind,
		.attributes = attributes,
	};
	return true;
}

bool memmap_normalise(struct memmap *in, uint32_t *scratch, struct memmap *out)
{
	struct sequence by_begin = { .regions = in->regions };
	struct sequence by_end = { .regions = in->regions, .order = scratch };

	if (out->capacity < memmap_worst_case(in->count))
		return false;
	for (size_t i = 0; i < in->count; i++) {
		round_region(&in->regions[i]);
		scratch[i] = (uint32_t)i;
	}
	sort(&by_begin, in->count);
	sort(&by_end, in->count);
	out->count = 0;
	sweep(in, scratch, out);
	return true;
}

bool memmap_is_free(uint32_t kind)
{
	return kind == HOIST_MEMORY_USABLE;
}

const struct memmap_region *memmap_find(const struct memmap *map, uint64_t address)
{
	size_t low = 0, high = map->count;

	/* Regions before `low` begin at or below the address, from `high` on above it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->regions[middle].base <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address - map->regions[low - 1].base >= map->regions[low - 1].size)
		return NULL;
	return &map->regions[low - 1];
}

const char *memmap_kind_name(uint32_t kind)
{
	return kind < KIND_COUNT ? kind_names[kind] : "unknown";
}
