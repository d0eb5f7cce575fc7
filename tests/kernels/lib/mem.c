#include "tests/kernels/lib/mem.h"

#include <stdint.h>

/* String instructions, since a loop here could be compiled to a call of itself. */

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	void *result = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return result;
}

static void copy_backwards(void *to, const void *from, size_t size)
{
	/* An interrupt handler would want DF clear again: it is, before anything else runs. */
	__asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

void *memmove(void *to, const void *from, size_t size)
{
	uintptr_t distance = (uintptr_t)to - (uintptr_t)from;

	/* Modulo 2^64: small exactly if `to` lies inside of what is read. */
	if (distance >= size)
		return memcpy(to, from, size);
	if (distance)
		copy_backwards((uint8_t *)to + size - 1, (const uint8_t *)from + size - 1, size);
	return to;
}

void *memset(void *at, int byte, size_t size)
{
	void *result = at;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
	return result;
}

int memcmp(const void *left, const void *right, size_t size)
{
	const uint8_t *a = left, *b = right;

	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return 0;
}
