/*
 * Device paths (UEFI 2.10, 10.3): a chain of nodes, each with type, subtype and
 * length, up to an end node. The firmware's are trusted no further than this:
 * a node shorter than its header ends the path.
 */
#ifndef EFI_DEVPATH_H
#define EFI_DEVPATH_H

#include <efi.h>
#include <stdbool.h>
#include <stdint.h>

static inline UINTN devpath_length(const uint8_t *node)
{
	return node[2] | (UINTN)node[3] << 8;
}

static inline bool devpath_is_end(const uint8_t *node)
{
	return node[0] == END_DEVICE_PATH_TYPE || devpath_length(node) < 4;
}

static inline bool devpath_is(const uint8_t *node, uint8_t type, uint8_t subtype)
{
	return node[0] == type && node[1] == subtype;
}

/* The node behind this one, which is not the end. */
static inline const uint8_t *devpath_next(const uint8_t *node)
{
	return node + devpath_length(node);
}

#endif
