#include "loader/devices.h"

#define PAGE ((uint64_t)HOIST_PAGE_SIZE)

bool devices_add(struct devices *devices, uint64_t base, uint64_t size, enum hoist_cache cache)
{
	struct span_list swap = devices->list;

	if (size == 0)
		return true;

	uint64_t first = base / PAGE, last = (base + (size - 1)) / PAGE;
	struct span span = { .base = first * PAGE,
			     .size = (last - first + 1) * PAGE,
			     .rights = HOIST_RIGHT_WRITE,
			     .cache = cache };

	if (!span_overlay(&devices->list, &span, 1, &devices->scratch))
		return false;
	devices->list = devices->scratch;
	devices->scratch = swap;
	return true;
}
