/*
 * Fuzzer: bytes are a sequence of map, protect, unmap and release. After each
 * call the audit is clean, a refusal has left no trace, and no table is lost.
 * Works with every layout; on the fake one the address space is so small that
 * calls meet.
 */
#include "tests/fake/space.h"

#include <stdlib.h>

/* The arena lies just below this width; on the fake layout requests can exceed it. */
#define PHYS_BITS (PTE_MAX_PHYS_BITS > 36 ? 36 : 14)

enum { TABLES = 48, REQUEST = 6 };

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Pages from -128 to 127: on the fake layout all there is, and some of the hole. */
static uint64_t page_of(uint8_t byte)
{
	return (uint64_t)(int64_t)(int8_t)byte * PT_PAGE_SIZE;
}

static struct pt_attr attr_of(uint8_t byte)
{
	static const enum pt_cache caches[] = { PT_WB, PT_UC, PT_WC, PT_WT };

	return (struct pt_attr){ byte & PT_FLAGS_ALL, caches[byte >> 6] };
}

static enum pt_status call(struct space_fixture *f, const uint8_t *request)
{
	struct pt_range range = { virt(page_of(request[1])), request[2] };
	struct pt_mapping m = {
		.va = range.va,
		.pa = phys(request[3] * PT_PAGE_SIZE),
		.pages = range.pages,
		.attr = attr_of(request[4]),
	};

	switch (request[0] % 4) {
	case 0:
		return pt_map(&f->space, &m, &(struct pt_options){ .max_leaf = request[5] % 5 },
			      &f->flush);
	case 1:
		return pt_protect(&f->space, range, m.attr, &f->flush);
	case 2:
		return pt_unmap(&f->space, range, &f->flush);
	default:
		pt_release(&f->space, &f->flush);
		return PT_OK;
	}
}

static void step(struct space_fixture *f, const uint8_t *request)
{
	struct pt_flush before = f->flush;
	struct pt_audit audit;
	phys_addr scratch[TABLES];

	space_snapshot_take(&f->shot, &f->arena);
	if (call(f, request) != PT_OK) {
		require(space_snapshot_equal(&f->shot, &f->arena));
		require(space_flush_equal(&f->flush, &before));
	}
	require(pt_audit(&f->space, scratch, TABLES, &audit) == PT_OK);
	require(audit.empty_tables == 0 && f->arena.misuses == 0);
	if (f->flush.retired.raw == PT_NO_TABLE)
		require(audit.tables == space_taken(&f->arena));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct space_fixture f;
	struct pt_cpu cpu = { .phys_bits = PHYS_BITS, .pat = PT_PAT_FULL };

	if (size == 0)
		return 0;
	cpu.levels = (uint8_t)(PT_MIN_LEVELS + data[0] % 2);
	cpu.max_leaf = (uint8_t)(1 + data[0] / 2 % 3);
	cpu.nx = data[0] & 0x80;
	space_fixture_init(&f, &cpu, TABLES, data[0] & 0x40);
	f.arena.limit = 4u + (data[0] >> 3) % 8u * 8u;
	if (f.arena.limit > TABLES)
		f.arena.limit = TABLES;
	for (size_t i = 1; size - i >= REQUEST; i += REQUEST)
		step(&f, data + i);
	space_fixture_free(&f);
	return 0;
}
