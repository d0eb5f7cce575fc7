/*
 * The plan of a handoff: where everything lies in physical memory, and the list
 * of all mappings. Pure: it reads a memory map and writes a plan; nothing is
 * allocated by it, and it never writes a table.
 *
 *	     virtual                                          physical
 *	0000000000000000 +------------------+
 *	                 | page 0: unmapped |
 *	0000000000001000 | identity         | RAM RW, devices UC, --> the same
 *	                 | (may be declined)| framebuffer WC
 *	0000800000000000 +------------------+
 *	                 : not canonical    :
 *	ffff800000000000 +------------------+
 *	                 | direct map       | the same, at an    --> minus the base
 *	                 |                  | offset
 *	                 +------------------+
 *	ffffffff00000000 | stack window     | guard, stack, guard
 *	ffffffff80000000 +------------------+
 *	                 | kernel, usually  | R-X, R--, RW-      --> the image
 *	                 +------------------+
 *
 * (with five levels the direct map begins at ff00000000000000). No alias is
 * executable but the kernel's code where it is linked and the code of the last
 * step; what is read-only for the kernel is so in every alias.
 *
 * The geometry of the aliases depends on what memory is (RAM and its cache
 * type, device, nothing), never on whether it is free, so allocating what was
 * planned does not change the plan.
 */
#ifndef LOADER_LAYOUT_H
#define LOADER_LAYOUT_H

#include "loader/elf.h"
#include "loader/hoist.h"
#include "loader/memmap.h"
#include "loader/span.h"
#include "loader/status.h"
#include "paging/pt.h"

#define LAYOUT_DIRECT_MAP_4      UINT64_C(0xffff800000000000)
#define LAYOUT_DIRECT_MAP_5      UINT64_C(0xff00000000000000)
#define LAYOUT_STACK_WINDOW      UINT64_C(0xffffffff00000000)
#define LAYOUT_STACK_WINDOW_SIZE UINT64_C(0x80000000)

struct layout_extent {
	uint64_t base;
	uint64_t size; /* whole pages; 0: nothing there */
};

/*
 * Processors are started at a page below this: what follows is the display's and
 * the firmware's, and the vectors A0h to BFh of that are reserved (MP 1.4, B.4.2).
 */
#define LAYOUT_STARTUP_END UINT64_C(0xa0000)

struct layout_request {
	const struct memmap *map; /* normalised; devices are in it, as MMIO */
	struct pt_cpu cpu;
	const struct elf_image *kernel;
	uint64_t stack_size;          /* whole pages */
	uint64_t info_size;           /* of the boot information block, whole pages */
	const uint64_t *module_sizes; /* bytes */
	uint32_t module_count;
	const struct span *devices; /* of loader/devices.h: whole pages, ascending, disjoint */
	uint32_t device_count;
	struct layout_extent handoff_code; /* of the switch: whole pages, R-X */
	struct layout_extent handoff_data; /* its GDT, TSS, IDT, stacks: whole pages, RW- */
	bool identity;
};

/*
 * The plan. The arrays are the caller's, each with room for `capacity`
 * elements; everything else is written by layout_plan().
 */
struct layout {
	struct span *spans[2]; /* scratch */
	struct hoist_mapping *mappings;
	struct pt_mapping *pt_list; /* the same list, as the core wants it */
	size_t capacity;

	size_t mapping_count;
	struct pt_plan plan; /* tables, the root included, and leaves */
	struct layout_extent kernel, modules, stack, info, tables;
	struct layout_extent startup; /* a page for starting processors; size 0: none was free */
	uint64_t stack_virt;
	uint64_t direct_map;
};

/* Capacity that suffices for a map of `regions` regions and these devices. */
size_t layout_room(size_t regions, uint32_t devices);

/* Physical memory ends at or below it, to be mapped: of the processor and the direct map. */
uint64_t layout_limit(const struct pt_cpu *cpu);

/*
 * Chooses addresses in usable memory, highest first and never 0, makes the
 * mapping list and counts tables. The page for starting processors comes last,
 * below LAYOUT_STARTUP_END, and no boot fails for want of it. `free` is a copy
 * of request->map's regions that is used up. On failure *layout has no meaning.
 *
 *   MEMORY    no room for one of the parts; `field` says which
 *   ADDRESS   the kernel collides with the direct map or the stack window, or
 *             memory lies too high for the direct map
 *   TABLES    a mapping is refused by the core; `expected` says why
 *   CAPACITY  more mappings than layout->capacity
 */
enum loader_status layout_plan(const struct layout_request *request, struct memmap *free,
			       struct layout *layout, struct loader_error *ret_error);

/*
 * Makes the mapping list anew, for the same addresses and another map, into
 * its own `mappings` and the scratch arrays. Statuses ADDRESS and CAPACITY.
 */
enum loader_status layout_map(const struct layout_request *request, struct layout *layout,
			      struct loader_error *ret_error);

/* True if both lists say the same. */
bool layout_same_mappings(const struct layout *a, const struct layout *b);

/* Physical address of module `index`, 0 if it is empty. */
uint64_t layout_module(const struct layout_request *request, const struct layout *layout,
		       uint32_t index);

#endif
