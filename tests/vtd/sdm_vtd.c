/*
 * What tests/fake/sdm.h promises, for second-stage tables: a unit's view of
 * them, written from the specification (Intel Virtualization Technology for
 * Directed I/O, 9.8) and sharing nothing with the layout.
 */
#include "tests/fake/sdm.h"

#include <stdio.h>
#include <stdlib.h>

#define BIT(n) (UINT64_C(1) << (n))

enum { R = 0, W = 1, PS = 7, A = 8, D = 9, SNP = 11, TM = 62 };
enum { ENTRIES = 512 };

static bool has(uint64_t entry, unsigned bit)
{
	return (entry >> bit) & 1;
}

static bool is_present(uint64_t entry)
{
	return has(entry, R) || has(entry, W);
}

static unsigned shift_of(unsigned level)
{
	return 12 + 9 * (level - 1);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == 1 || (level <= 3 && has(entry, PS));
}

/* Bits from `low` to 51. */
static uint64_t bits_to_51(unsigned low)
{
	return low > 51 ? 0 : (BIT(52) - 1) & ~(BIT(low) - 1);
}

/* Of an entry that is present; X, EMT and IPAT as where they are reserved. */
static uint64_t reserved_bits(const struct pt_cpu *cpu, uint64_t entry, unsigned level)
{
	uint64_t mask = bits_to_51(cpu->phys_bits) | BIT(TM) | 0x7c;

	if (level >= 4 || (level >= 2 && level > cpu->max_leaf))
		mask |= BIT(PS);
	if (!is_leaf(entry, level))
		mask |= BIT(SNP);
	else
		mask |= (BIT(shift_of(level)) - 1) & ~(BIT(12) - 1);
	return mask;
}

static uint64_t address_in(uint64_t entry, unsigned low)
{
	return entry & bits_to_51(low);
}

static uint64_t *table_at(const struct space_arena *arena, uint64_t table)
{
	if (table < SPACE_BASE || (table - SPACE_BASE) >> 12 >= arena->count)
		return NULL;
	return (uint64_t *)(void *)(arena->bytes + (table - SPACE_BASE));
}

struct sdm_translation sdm_translate(const struct space_arena *arena, const struct pt_cpu *cpu,
				     phys_addr root, uint64_t va)
{
	struct sdm_translation t = { .write = true, .type = PT_WB };
	const uint64_t *table = table_at(arena, root.raw);
	bool read = true;
	uint64_t entry = 0;

	for (t.level = cpu->levels; t.level >= 1; t.level--) {
		entry = table[(va >> shift_of(t.level)) % ENTRIES];
		if (!is_present(entry))
			return t;
		t.reserved = (entry & reserved_bits(cpu, entry, t.level)) != 0;
		read &= has(entry, R);
		t.write &= has(entry, W);
		if (t.reserved || is_leaf(entry, t.level))
			break;
		table = table_at(arena, address_in(entry, 12));
		t.reserved = !table;
		if (!table)
			break;
	}
	/* What cannot be read is not what the tests ask for. */
	if (t.reserved || !read)
		return t;
	t.present = true;
	t.pa = address_in(entry, shift_of(t.level)) | (va & (BIT(shift_of(t.level)) - 1));
	t.accessed = has(entry, A);
	t.dirty = has(entry, D);
	return t;
}

uint64_t *sdm_entry(const struct space_arena *arena, const struct pt_cpu *cpu, phys_addr root,
		    uint64_t va, unsigned level)
{
	uint64_t *table = table_at(arena, root.raw);

	for (unsigned at = cpu->levels; table && at > level; at--) {
		uint64_t entry = table[(va >> shift_of(at)) % ENTRIES];

		table = is_present(entry) && !is_leaf(entry, at)
				? table_at(arena, address_in(entry, 12))
				: NULL;
	}
	if (!table) {
		fprintf(stderr, "no table of level %u for %#llx\n", level, (unsigned long long)va);
		abort();
	}
	return &table[(va >> shift_of(level)) % ENTRIES];
}

static size_t count_below(const struct space_arena *arena, uint64_t table, unsigned level)
{
	const uint64_t *entries = table_at(arena, table);
	size_t count = 1;

	for (unsigned i = 0; entries && level > 1 && i < ENTRIES; i++) {
		if (is_present(entries[i]) && !is_leaf(entries[i], level))
			count += count_below(arena, address_in(entries[i], 12), level - 1);
	}
	return count;
}

size_t sdm_count_tables(const struct space_arena *arena, const struct pt_cpu *cpu, phys_addr root)
{
	return count_below(arena, root.raw, cpu->levels);
}
