/* Firmware memory: pages, which boot keeps a list of, and the memory map. */
#ifndef EFI_MEMORY_H
#define EFI_MEMORY_H

#include "efi/boot.h"

/* Takes whole pages of EfiLoaderData, anywhere, or those at extent->base. */
EFI_STATUS memory_take(struct boot *boot, uint64_t size, struct layout_extent *ret_extent);
EFI_STATUS memory_take_at(struct boot *boot, const struct layout_extent *extent);

/* Gives one extent back, and forgets it: *extent is empty then. */
void memory_give(struct boot *boot, struct layout_extent *extent);
void memory_give_all(struct boot *boot);

/* Fills in all but the first two fields; EFI_BUFFER_TOO_SMALL if there is no room. */
EFI_STATUS memory_read_map(struct memory_map *map);

/* Of a descriptor's type and attributes. */
enum hoist_memory_kind memory_kind(const EFI_MEMORY_DESCRIPTOR *descriptor);

/* Bytes that the map needs now. */
EFI_STATUS memory_map_size(UINTN *ret_size, UINTN *ret_stride);

/*
 * Appends the descriptors to `raw` as regions, and page 0 as reserved: code
 * that takes address 0 for "nothing" is everywhere. False if `raw` is full.
 */
bool memory_translate(const struct memory_map *map, struct memmap *raw);

#endif
