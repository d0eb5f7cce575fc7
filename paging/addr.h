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

/*
 * Arithmetic that says when it fails: false, and nothing is written, where the
 * result is not in [0, 2^64).
 */
static inline bool phys_add(phys_addr pa, uint64_t bytes, phys_addr *ret_sum)
{
	if (bytes > UINT64_MAX - pa.raw)
		return false;
	*ret_sum = phys(pa.raw + bytes);
	return true;
}

static inline bool phys_sub(phys_addr pa, uint64_t bytes, phys_addr *ret_difference)
{
	if (bytes > pa.raw)
		return false;
	*ret_difference = phys(pa.raw - bytes);
	return true;
}

/* Bytes from `from` up to `to`; false if `to` comes first. */
static inline bool phys_distance(phys_addr from, phys_addr to, uint64_t *ret_bytes)
{
	if (to.raw < from.raw)
		return false;
	*ret_bytes = to.raw - from.raw;
	return true;
}

/*
 * Virtual addresses have `bits` bits that are translated, 2 to 63, and the
 * others repeat the highest of these: 48 with four levels, 57 with five (SDM 1
 * 3.3.7.1). Between the two halves is a hole.
 *
 *	0 ... 2^(bits-1)-1   hole   2^64-2^(bits-1) ... 2^64-1
 */
static inline bool virt_is_canonical(virt_addr va, unsigned bits)
{
	return (uint64_t)((int64_t)(va.raw << (64 - bits)) >> (64 - bits)) == va.raw;
}

/*
 * These stay in one half: false where an address is not canonical, or the
 * result would be in the hole, behind it, or beyond an end.
 */
static inline bool virt_add(virt_addr va, uint64_t bytes, unsigned bits, virt_addr *ret_sum)
{
	uint64_t last = va.raw | ((UINT64_C(1) << (bits - 1)) - 1); /* of the half */

	if (!virt_is_canonical(va, bits) || bytes > last - va.raw)
		return false;
	*ret_sum = virt(va.raw + bytes);
	return true;
}

static inline bool virt_sub(virt_addr va, uint64_t bytes, unsigned bits, virt_addr *ret_difference)
{
	uint64_t offset = va.raw & ((UINT64_C(1) << (bits - 1)) - 1); /* in the half */

	if (!virt_is_canonical(va, bits) || bytes > offset)
		return false;
	*ret_difference = virt(va.raw - bytes);
	return true;
}

/* Bytes from `from` up to `to`, which does not come before it, of one half. */
static inline bool virt_distance(virt_addr from, virt_addr to, unsigned bits, uint64_t *ret_bytes)
{
	if (!virt_is_canonical(from, bits) || !virt_is_canonical(to, bits) ||
	    (from.raw ^ to.raw) >> 63 || to.raw < from.raw)
		return false;
	*ret_bytes = to.raw - from.raw;
	return true;
}

/*
 * These step over the hole: the canonical addresses as one row, in which the
 * upper half follows the lower. `va`, `from` and `to` are canonical; false
 * where the row ends, or `to` comes before `from`.
 */
static inline bool virt_step(virt_addr va, uint64_t bytes, unsigned bits, virt_addr *ret_va)
{
	uint64_t mask = (UINT64_C(1) << bits) - 1, at = va.raw & mask;

	if (bytes > mask - at)
		return false;
	*ret_va = virt((uint64_t)((int64_t)((at + bytes) << (64 - bits)) >> (64 - bits)));
	return true;
}

static inline bool virt_step_back(virt_addr va, uint64_t bytes, unsigned bits, virt_addr *ret_va)
{
	uint64_t at = va.raw & ((UINT64_C(1) << bits) - 1);

	if (bytes > at)
		return false;
	*ret_va = virt((uint64_t)((int64_t)((at - bytes) << (64 - bits)) >> (64 - bits)));
	return true;
}

/* Bytes of the row from `from` up to `to`. */
static inline bool virt_steps(virt_addr from, virt_addr to, unsigned bits, uint64_t *ret_bytes)
{
	uint64_t mask = (UINT64_C(1) << bits) - 1;

	if ((to.raw & mask) < (from.raw & mask))
		return false;
	*ret_bytes = (to.raw & mask) - (from.raw & mask);
	return true;
}

#endif
