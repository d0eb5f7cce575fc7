/*
 * Fuzzer: bytes are the tables themselves, x86-64. Reading them ends, within
 * the budget, in a status, and writes nothing; what a query reports, the
 * processor would do. A change is refused or leaves tables that can be read.
 */
#include "tests/fake/sdm.h"

#include <stdlib.h>
#include <string.h>

enum { TABLES = 8, BUDGET = 64, REACH = 10 };

static void require(bool condition)
{
	if (!condition)
		abort();
}

/*
 * Nine bytes an entry: where, and what. Addresses are bent into the arena or
 * one table beside it, else no link would ever lead anywhere.
 */
static void plant(struct space_fixture *f, const uint8_t *data, size_t size)
{
	for (size_t i = 0; size - i >= 9; i += 9) {
		size_t place = (size_t)(data[i] % 4) + (data[i] & 4 ? 508 : 0);
		uint64_t entry, table;

		memcpy(&entry, data + i + 1, sizeof(entry));
		table = SPACE_BASE + (entry >> 12) % REACH * 4096;
		if (!(data[i] & 0x80))
			entry = (entry & UINT64_C(0xfff0000000000fff)) | table;
		space_table(&f->arena,
			    phys(SPACE_BASE + (data[i] >> 3) % TABLES * 4096))[place] = entry;
	}
}

static void check_query(const struct space_fixture *f, uint64_t va)
{
	struct sdm_translation t = sdm_translate(&f->arena, &f->space.cpu, f->space.root, va);
	struct pt_leaf leaf;
	enum pt_status status = pt_query(&f->space, virt(va), &leaf);

	require((status == PT_OK) == t.present && (status == PT_ERR_CORRUPT) == t.reserved);
	if (!t.present)
		return;
	require(leaf.pa.raw + (va - leaf.va.raw) == t.pa && leaf.level == t.level);
	require(!(leaf.attr.flags & PT_WRITE) == !t.write);
	require(!(leaf.attr.flags & PT_EXEC) == !t.exec);
	require(!(leaf.attr.flags & PT_USER) == !t.user);
	require((unsigned)leaf.attr.cache == t.type);
}

static void check_walk(const struct space_fixture *f, struct pt_range range)
{
	struct pt_walk walk;
	struct pt_entry entry;
	struct pt_runs runs;
	struct pt_mapping run;
	uint64_t tables = 1, va = range.va.raw;

	require(pt_walk_start(&walk, &f->space, range, BUDGET) == PT_OK);
	while (pt_walk_next(&walk, &entry) == PT_OK) {
		require(entry.at.va.raw >= va);
		va = entry.at.va.raw;
		tables += entry.kind == PTE_TABLE;
	}
	require(tables <= BUDGET);
	require(pt_runs_start(&runs, &f->space, range, BUDGET) == PT_OK);
	va = range.va.raw;
	while (pt_runs_next(&runs, &run) == PT_OK) {
		require(run.pages != 0 && run.va.raw >= va);
		va = run.va.raw + (run.pages * 4096 - 1);
	}
}

static void check_reads(struct space_fixture *f)
{
	static const uint64_t places[] = { 0, 1, 2, 3, 508, 509, 510, 511 };
	phys_addr scratch[BUDGET];
	struct pt_audit audit;
	size_t count = 0;

	for (size_t i = 0; i < 8 * 8 * 8; i++) {
		uint64_t a = places[i % 8], b = places[i / 8 % 8], c = places[i / 64];
		uint64_t upper = a >= 256 ? UINT64_C(0xffff000000000000) : 0;

		check_query(f, upper | a << 39 | b << 30 | c << 21 | c << 12 | 0x123);
	}
	check_walk(f, pt_lower_half(&f->space.cpu));
	check_walk(f, pt_upper_half(&f->space.cpu));
	pt_audit(&f->space, scratch, BUDGET, &audit);
	require(audit.tables <= BUDGET);
	if (pt_list_tables(&f->space, scratch, BUDGET, &count) == PT_OK)
		require(count >= 1 && count <= BUDGET);
	require(space_snapshot_equal(&f->shot, &f->arena));
}

/* Plans over the whole of a half, and calls that may split and retire what is there. */
static void check_changes(struct space_fixture *f)
{
	struct pt_attr attr = { PT_WRITE, PT_WB };
	struct pt_mapping m = { virt(0x1000), phys(0x1000), 3, attr };
	struct pt_range page = { virt(0x200000), 1 };
	struct pt_plan plan;

	pt_plan_map(&f->space, &m, 0, &plan);
	pt_plan_unmap(&f->space, page, &plan);
	pt_plan_protect(&f->space, page, attr, &plan);
	require(space_snapshot_equal(&f->shot, &f->arena));
	if (pt_plan_map(&f->space, &m, 0, &plan) != PT_OK) {
		require(pt_map(&f->space, &m, 0, &f->flush) != PT_OK);
		require(space_snapshot_equal(&f->shot, &f->arena));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct space_fixture f;
	struct pt_cpu cpu = {
		.levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL
	};
	phys_addr first;

	if (size == 0)
		return 0;
	cpu.max_leaf = (uint8_t)(1 + data[0] % 3);
	cpu.nx = data[0] & 8;
	space_fixture_init(&f, &cpu, TABLES, false);
	while (f.space.tables.take(f.space.tables.ctx, TABLES, &first) != 0)
		;
	memset(f.arena.bytes, 0, TABLES * 4096);
	f.space.root = phys(SPACE_BASE);
	plant(&f, data + 1, size - 1);
	space_snapshot_take(&f.shot, &f.arena);
	check_reads(&f);
	check_changes(&f);
	space_fixture_free(&f);
	return 0;
}
