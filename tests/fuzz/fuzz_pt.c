/*
 * Fuzzer: bytes are a sequence of changing calls, under all options, and releases. After each
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

	return (struct pt_attr){ byte & (PT_SHARED - 1), caches[byte >> 6] };
}

/* Policies, sizes that are none, links: whatever a caller may ask for. */
static struct pt_options options_of(uint8_t policy, uint8_t size)
{
	return (struct pt_options){
		.conflict = (enum pt_conflict)(policy % 3),
		.max_leaf = size % 5,
		.exact = size & 0x08,
		.set_links = size & 0x10,
		.links = (size >> 5) | (policy & 0x10 ? PT_GLOBAL : 0u),
	};
}

static enum pt_status call_range(struct space_fixture *f, const uint8_t *request)
{
	struct pt_range range = { virt(page_of(request[1])), request[2] };
	struct pt_options options = options_of(request[0] >> 3, request[5]);
	struct pt_mapping m = {
		.va = range.va,
		.pa = phys(request[3] * PT_PAGE_SIZE),
		.pages = range.pages,
		.attr = attr_of(request[4]),
	};

	switch (request[0] % 8) {
	case 0:
		return pt_map(&f->space, &m, &options, &f->flush);
	case 1:
		return pt_protect(&f->space, range, m.attr, &f->flush);
	case 2:
		return pt_unmap(&f->space, range, &f->flush);
	case 3:
		return pt_clean(&f->space, range, &f->flush);
	default:
		pt_release(&f->space, &f->flush);
		return PT_OK;
	}
}

static enum pt_status call(struct space_fixture *f, const uint8_t *request)
{
	virt_addr va = virt(page_of(request[1]));
	unsigned level = request[5] % 6;
	struct pt_leaf leaf;

	switch (request[0] % 8) {
	case 5:
		return pt_page_protect(&f->space, va, level, attr_of(request[4]), &f->flush);
	case 6:
		return pt_page_unmap(&f->space, va, level, &f->flush, &leaf);
	case 7:
		return pt_set_link(&f->space, va, level, request[4] & 0xf, &f->flush);
	default:
		return call_range(f, request);
	}
}

/* What was mapped is found, at the right place; what was kept or replaced too. */
static void require_mapped(const struct space_fixture *f, const uint8_t *request)
{
	for (unsigned i = 0; request[0] % 8 == 0 && i < request[2]; i++) {
		virt_addr va = virt(page_of(request[1]) + i * PT_PAGE_SIZE);
		struct pt_leaf leaf;

		require(pt_query(&f->space, va, &leaf) == PT_OK);
		require(leaf.pa.raw + (va.raw - leaf.va.raw) == (request[3] + i) * PT_PAGE_SIZE);
		require(leaf.attr.cache == attr_of(request[4]).cache);
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
	} else {
		require_mapped(f, request);
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
