/* The mapping list by physical address: kinds of memory, and several views of one page. */
#include "tests/kernels/judge.h"

#define BIT(kind) (1u << (kind))

/* RAM of these kinds is there to be read and written by the kernel. */
#define FREE_KINDS (BIT(HOIST_MEMORY_USABLE) | BIT(HOIST_MEMORY_RECLAIMABLE))
#define RAM_KINDS                                                                \
	(FREE_KINDS | BIT(HOIST_MEMORY_KERNEL) | BIT(HOIST_MEMORY_PAGE_TABLES) | \
	 BIT(HOIST_MEMORY_STACK) | BIT(HOIST_MEMORY_MODULE) | BIT(HOIST_MEMORY_ACPI_RECLAIM))
#define FORBIDDEN_KINDS (BIT(HOIST_MEMORY_BAD) | BIT(HOIST_MEMORY_UNACCEPTED))

static bool is_of(const struct hoist_memory *memory, uint32_t kinds)
{
	return kinds >> (memory->kind & 31) & 1;
}

/* The code of the last step is executable where it runs, so it may be read-only elsewhere. */
static bool is_handoff_code(uint64_t address)
{
	const struct hoist_mapping *m = judge_mapping_at(address);

	return m && m->purpose == HOIST_PURPOSE_HANDOFF && m->rights & HOIST_RIGHT_EXECUTE;
}

static void check_ram(const struct hoist_memory *memory)
{
	uint64_t end = memory->address + memory->size;

	for (uint64_t address = memory->address; address < end;) {
		const struct hoist_mapping *m = judge_direct_at(address);

		if (!m || m->cache != HOIST_CACHE_WB) {
			judge_flaw("%lx of kind %u", address, memory->kind);
			return;
		}
		if (is_of(memory, FREE_KINDS) && !(m->rights & HOIST_RIGHT_WRITE) &&
		    !is_handoff_code(address))
			judge_flaw("%lx of kind %u is read-only", address, memory->kind);
		address = m->address + m->size;
	}
}

static void check_kinds(void)
{
	for (uint32_t i = 0; i < judge.memory_count; i++) {
		if (is_of(&judge.memory[i], RAM_KINDS))
			check_ram(&judge.memory[i]);
	}
	judge_verdict("the direct map has all RAM, write-back, and writable where it is free");

	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (judge_bytes_of_kind(m->address, m->size, FORBIDDEN_KINDS))
			judge_flaw("mapping %u of %lx", i, m->address);
	}
	judge_verdict("bad and unaccepted memory is not mapped");

	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->cache != HOIST_CACHE_UC && m->cache != HOIST_CACHE_WC &&
		    judge_bytes_of_kind(m->address, m->size, BIT(HOIST_MEMORY_MMIO)))
			judge_flaw("mapping %u of %lx", i, m->address);
	}
	judge_verdict("device memory is not mapped cacheable");
}

static void compare(uint32_t i, uint32_t j)
{
	const struct hoist_mapping *a = &judge.mappings[i], *b = &judge.mappings[j];

	if (a->cache != b->cache && judge_common(a->address, a->size, b->address, b->size))
		judge_flaw("mappings %u and %u of %lx and %lx", i, j, a->address, b->address);
}

static void check_cache_types(void)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		for (uint32_t j = i + 1; j < judge.mapping_count; j++)
			compare(i, j);
	}
	judge_verdict("all mappings of the same memory have the same cache type");
}

/* No other mapping lets anybody write what `kernel` does not. */
static void check_read_only(const struct hoist_mapping *kernel)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->rights & HOIST_RIGHT_WRITE &&
		    judge_common(kernel->address, kernel->size, m->address, m->size))
			judge_flaw("%lx is writable at %lx", kernel->address, m->address_virt);
	}
}

void judge_aliases(void)
{
	check_kinds();
	check_cache_types();
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->purpose == HOIST_PURPOSE_KERNEL && !(m->rights & HOIST_RIGHT_WRITE))
			check_read_only(m);
	}
	judge_verdict("the kernel's read-only pages are read-only in every mapping");
}
