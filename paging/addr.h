/*
 * Typed addresses. A physical and a virtual address are different types, so
 * that one cannot be passed for the other; both are plain numbers inside.
 * Conversions have names: nothing turns one into the other but phys() and
 * virt() around an explicit number.
 */
#ifndef PAGING_ADDR_H
#define PAGING_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct phys_addr {
	uint64_t raw;
} phys_addr;

typedef struct virt_addr {
	uint64_t raw;
} virt_addr;

static inline phys_addr phys(uint64_t raw)
{
	phys_addr a = { raw };

	return a;
}

static inline virt_addr virt(uint64_t raw)
{
	virt_addr a = { raw };

	return a;
}

/* True if `value` is a multiple of `unit`, a power of two. */
static inline bool is_aligned(uint64_t value, uint64_t unit)
{
	return (value & (unit - 1)) == 0;
}

/* The multiple of `unit` (a power of two) at or below `value`. */
static inline uint64_t align_down(uint64_t value, uint64_t unit)
{
	return value & ~(unit - 1);
}

/*
 * The multiple of `unit` (a power of two) at or above `value`. The caller
 * knows that there is one below 2^64: value <= UINT64_MAX - (unit - 1).
 */
static inline uint64_t align_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

/* True if [offset, offset + length) lies in [0, size); no sum can wrap. */
static inline bool fits(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

#endif
