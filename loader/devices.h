/*
 * Memory of devices that no memory map tells of, or that wants another cache
 * type than the map tells: whole pages, ascending, disjoint, each with one
 * cache type. Where devices share a page the one that was added last has it.
 */
#ifndef LOADER_DEVICES_H
#define LOADER_DEVICES_H

#include "loader/hoist.h"
#include "loader/span.h"

/* Both over storage of the caller's, of the same capacity. */
struct devices {
	struct span_list list;
	struct span_list scratch;
};

/* Capacity that suffices for so many devices: each can cut another in two. */
static inline size_t devices_room(size_t count)
{
	return 2 * count;
}

/*
 * Adds the pages that hold [base, base + size), which does not pass 2^64; of
 * size 0 it is nothing. False, and nothing done, if the list is full.
 */
bool devices_add(struct devices *devices, uint64_t base, uint64_t size, enum hoist_cache cache);

#endif
