/*
 * Physical memory as the mappings see it: ascending, disjoint pieces, each with
 * one set of rights and one cache type.
 */
#ifndef LOADER_SPAN_H
#define LOADER_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	uint64_t base, size; /* whole pages */
	uint32_t rights;     /* of enum hoist_right */
	uint32_t cache;      /* of enum hoist_cache */
	bool handoff;        /* needed in the last step: HOIST_PURPOSE_HANDOFF */
};

/* Over storage of the caller's. */
struct span_list {
	struct span *spans;
	size_t count, capacity;
};

/*
 * Appends a span that lies above all others; one that continues the last is
 * joined to it, one of size 0 is nothing. False, and nothing done, if the list
 * is full.
 */
bool span_add(struct span_list *list, struct span span);

/*
 * Writes to `out` what `in` says, with `over` (ascending, disjoint) laid on
 * top: where it lies, nothing of `in` is left. False if `out` is too small.
 */
bool span_overlay(const struct span_list *in, const struct span *over, size_t count,
		  struct span_list *out);

#endif
