/*
 * The boot information block: struct hoist_info and everything it points to,
 * in one block of physical memory. Measured first, then written; both are the
 * same pass, so the size is right by construction.
 *
 *	+-------------+---------+---------+---------+---------+----------+-----------+
 *	| hoist_info  | mapping | tables' | modules | strings | memory   | EFI map   |
 *	|             | list    | extents |         |         | map      | as it was |
 *	+-------------+---------+---------+---------+---------+----------+-----------+
 *	  written when the tables are built                    | room, filled with each
 *	                                                         try of ExitBootServices
 */
#ifndef LOADER_BOOTINFO_H
#define LOADER_BOOTINFO_H

#include "loader/acpi.h"
#include "loader/config.h"
#include "loader/hoist.h"
#include "loader/layout.h"

struct bootinfo_source {
	struct hoist_info info; /* the numbers: framebuffer, ACPI, TLS, ... */
	const struct config *config;
	const struct layout_request *request;
	const struct layout *layout; /* when measuring: capacity counts, not mapping_count */
	const void *device_path;     /* of the boot volume */
	uint32_t device_path_size;
	const struct acpi *acpi; /* lists of hardware, as long as their room; NULL: none */
	uint32_t memory_room;    /* entries */
	uint32_t efi_map_room;   /* bytes, not 0 */
};

/* Bytes, in whole pages, that the block of this source can need. */
uint64_t bootinfo_size(const struct bootinfo_source *source);

/*
 * Writes the block at `block`, whose physical address and size are
 * source->layout->info, but for the memory map, for which room is left.
 */
struct hoist_info *bootinfo_write(const struct bootinfo_source *source, void *block);

/*
 * Enters the final memory map: that of the firmware, normalised, with what
 * hoist placed laid over it. `block` as above. False if `map` has more regions
 * than there is room for.
 */
bool bootinfo_set_memory(void *block, const struct memmap *map);

/* Where the raw EFI map goes, `efi_map_room` bytes; and how much of it there is. */
void *bootinfo_efi_map(void *block);
void bootinfo_set_efi_map(void *block, uint64_t size, uint32_t stride, uint32_t version);

/*
 * Adds what hoist placed to a list of regions that is yet to be normalised,
 * with the attributes that the map it was planned on had there. False if the
 * list is full.
 */
bool bootinfo_add_regions(struct memmap *map, const struct memmap *planned,
			  const struct layout *layout);

#endif
