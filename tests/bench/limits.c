#include "tests/bench/limits.h"

#define ADDRESS UINT64_C(0x000ffffffffff000)

void limit_fill(uint64_t *entries, size_t count, uint64_t first)
{
	size_t i = 0;

	for (; i + 4 <= count; i += 4, first += 0x4000) {
		entries[i] = first;
		entries[i + 1] = first + 0x1000;
		entries[i + 2] = first + 0x2000;
		entries[i + 3] = first + 0x3000;
	}
	for (; i < count; i++, first += 0x1000)
		entries[i] = first;
}

void limit_restate(uint64_t *entries, size_t count, uint64_t keep, uint64_t bits)
{
	size_t i = 0;

	for (; i + 4 <= count; i += 4) {
		entries[i] = (entries[i] & keep) | bits;
		entries[i + 1] = (entries[i + 1] & keep) | bits;
		entries[i + 2] = (entries[i + 2] & keep) | bits;
		entries[i + 3] = (entries[i + 3] & keep) | bits;
	}
	for (; i < count; i++)
		entries[i] = (entries[i] & keep) | bits;
}

void limit_zero(void *bytes, size_t size)
{
	__builtin_memset(bytes, 0, size);
}

void limit_copy(void *to, const void *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		__builtin_memcpy((char *)to + i * 4096, (const char *)from + i * 4096, 4096);
}

static inline uint64_t *entry_of(const struct limit_tables *t, uint64_t va)
{
	uint64_t entry = t->root;

	for (unsigned shift = 39; shift > 12; shift -= 9)
		entry = ((uint64_t *)(t->bias + (entry & ADDRESS)))[(va >> shift) & 511];
	return &((uint64_t *)(t->bias + (entry & ADDRESS)))[(va >> 12) & 511];
}

uint64_t limit_walk(const struct limit_tables *t, const uint64_t *vas, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += *entry_of(t, vas[i]) & ADDRESS;
	return sum;
}

uint64_t limit_walk_chain(const struct limit_tables *t, const uint64_t *vas, size_t count)
{
	uint64_t sum = 0, none = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t pa = *entry_of(t, vas[i] + none) & ADDRESS;

		sum += pa;
		/* Always 0, which the compiler must not know. */
		__asm__ volatile("" : "+r"(pa));
		none = pa >> 52;
	}
	return sum;
}

void limit_walk_store(const struct limit_tables *t, const uint64_t *vas, size_t count,
		      uint64_t value)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t *entry = entry_of(t, vas[i]);
		uint64_t old = *entry;

		/* The load takes place though nothing comes of it. */
		__asm__ volatile("" : : "r"(old));
		*entry = value;
	}
}
