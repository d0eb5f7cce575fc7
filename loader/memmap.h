/*
 * Memory maps: from what a firmware says to a map that can be relied on.
 *
 * Input is a list of regions in any order, of any alignment, overlapping,
 * empty, thousands of them. Output is sorted, disjoint and page-aligned, every
 * byte has one kind, and neighbours of the same kind and attributes are one
 * region.
 *
 * Rules, in this order:
 *  1. An empty region does not count. A region that would pass 2^64 ends one
 *     page before it. A number that is no kind counts as reserved.
 *  2. Usable memory (memmap_is_free()) is rounded inwards to whole pages, and
 *     vanishes if none is left; every other kind outwards.
 *  3. Where regions overlap, the kind higher in enum memmap_rank (memmap.c)
 *     wins, whatever the order of input; what is left of the loser survives as
 *     one or two regions.
 *  4. Where regions of the same kind overlap, their attributes are intersected.
 */
#ifndef LOADER_MEMMAP_H
#define LOADER_MEMMAP_H

#include "loader/hoist.h"
#include "loader/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One region: [base, base + size), its kind of enum hoist_memory_kind, and
 * EFI's attributes unchanged. In a normalised map, size is a multiple of
 * HOIST_PAGE_SIZE and never 0.
 */
struct memmap_region {
	uint64_t base;
	uint64_t size;
	uint32_t kind;
	uint32_t reserved;
	uint64_t attributes;
};

/*
 * A growing list over storage that the caller owns. regions[0..count) are in
 * use.
 */
struct memmap {
	struct memmap_region *regions;
	size_t count, capacity;
};

/*
 * Regions that memmap_normalise() needs in `out` for `count` regions of input:
 * every region can begin and end one.
 */
static inline size_t memmap_worst_case(size_t count)
{
	return 2 * count + 1;
}

/*
 * Appends a region, whatever it looks like. False, and the map unchanged, if
 * it is full.
 */
bool memmap_add(struct memmap *map, uint64_t base, uint64_t size, uint32_t kind,
		uint64_t attributes);

/*
 * Writes the normalised form of `in` to `out`, whose storage does not overlap.
 * in->regions is reordered and rounded. `scratch` has room for in->count
 * numbers. Time is O(n log n).
 *
 * False if out->capacity could be too small (less than
 * memmap_worst_case(in->count)); nothing is then changed.
 */
bool memmap_normalise(struct memmap *in, uint32_t *scratch, struct memmap *out);

/* True for kinds that a kernel may use at once: rounded inwards. */
bool memmap_is_free(uint32_t kind);

/* The region of a normalised map that holds `address`, or NULL. O(log n). */
const struct memmap_region *memmap_find(const struct memmap *map, uint64_t address);

/* "usable", "reclaimable", ... ; "unknown" for a number that is no kind. */
const char *memmap_kind_name(uint32_t kind);

#endif
