/*
 * Fuzzer: bytes are the tables themselves, x86-64. Reading them ends, within
 * the budget, in a status, and writes nothing; what a query reports, the
 * processor would do. Changes with an allocator end within the budget too: they
 * are refused and leave no trace, or done; what was reserved and not needed, as
 * where tables are linked twice, is given back.
 */
#include "tests/fake/sdm.h"

#include <stdlib.h>
#include <string.h>

enum { TABLES = 8, BUDGET = 64, REACH = 10, SPARE = 120 };

static void require(bool condition)
{
	if (!condition)
		abort();
}

static bool is_spare(uint64_t table)
{
	return table >= SPACE_BASE + REACH * 4096 && table < SPACE_BASE + (REACH + SPARE) * 4096;
}

/*
 * Nine bytes an entry: where, and what. Addresses are bent to the tables that
 * were planted and two more, else no link would ever lead anywhere; but not to
 * tables that the allocator has: those are the library's to write to.
 */
static void plant(struct space_fixture *f, const uint8_t *data, size_t size)
{
	for (size_t i = 0; size - i >= 9; i += 9) {
		size_t place = (size_t)(data[i] % 4) + (data[i] & 4 ? 508 : 0);
		uint64_t entry, table;

		memcpy(&entry, data + i + 1, sizeof(entry));
		table = SPACE_BASE + (entry >> 12) % REACH * 4096;
		if (!(data[i] & 0x80) || is_spare(entry & UINT64_C(0x000ffffffffff000)))
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

/* Six bytes a call: which, the place, the length in pages and their unit, what is asked for. */
static enum pt_status call(struct space_fixture *f, const uint8_t *data)
{
	static const uint64_t places[] = { 0, 1, 2, 3, 508, 509, 510, 511 };
	uint64_t a = places[data[1] & 7], b = places[data[1] >> 3 & 7], c = places[data[2] & 7];
	struct pt_space *space = &f->space;
	uint64_t unit = UINT64_C(1) << (9 * (data[3] % 4));
	struct pt_range range = { virt((a >= 256 ? UINT64_C(0xffff000000000000) : 0) | a << 39 |
				       b << 30 | c << 21 | places[data[2] >> 3 & 7] << 12),
				  data[3] / 4 % 8 * unit + data[3] / 32 };
	struct pt_attr attr = { data[4] & 0x3ff, PT_WB };
	struct pt_mapping m = { range.va, phys(range.va.raw & 0xfffffffff000), range.pages, attr };
	struct pt_options options = { .conflict = (enum pt_conflict)(data[5] % 3),
				      .max_leaf = data[5] / 4 % 4,
				      .set_links = data[5] & 0x40,
				      .links = PT_WRITE };
	struct pt_update update = { .set = attr.flags, .only = data[5] };
	struct pt_leaf leaf;
	struct pt_entry old;

	switch (data[0] % 10) {
	case 0:
	case 1:
		return pt_map(space, &m, &options, &f->flush);
	case 2:
		return pt_unmap(space, range, &f->flush);
	case 3:
		return pt_protect(space, range, attr, &f->flush);
	case 4:
		return pt_update(space, range, update, &f->flush);
	case 5:
		return pt_clean(space, range, &f->flush);
	case 6:
		return pt_collapse(space, range, &f->flush);
	case 7:
		return pt_set_soft(
			space, &(struct pt_soft){ range.va, 1 + data[5] % 4, data[4] * 0x1000u },
			&f->flush, &old);
	case 8:
		return pt_set_link(space, range.va, 2 + data[5] % 3, data[4] & 7, &f->flush);
	default:
		return pt_page_unmap(space, range.va, 1 + data[5] % 3, &f->flush, &leaf);
	}
}

static void no_hook(void *ctx, phys_addr pa, uint64_t pages)
{
	(void)ctx;
	(void)pa;
	(void)pages;
}

/* True if each table is linked once and can be reached, as pt_release() has to be able to trust. */
static bool is_sound(const struct space_fixture *f)
{
	phys_addr scratch[BUDGET];
	struct pt_audit audit;
	enum pt_status status = pt_audit(&f->space, scratch, BUDGET, &audit);

	return status == PT_OK || status == PT_ERR_WX;
}

/*
 * Calls on the tables as planted. What they give up is released only where that is safe; then no
 * table is lost.
 */
static void check_calls(struct space_fixture *f, const uint8_t *data, size_t size, uint8_t policy)
{
	bool sound = is_sound(f);

	f->space.budget = BUDGET;
	f->space.counted = (policy & 0x10) && sound;
	f->space.live = policy & 0x20;
	if (policy & 0x40)
		f->space.frames = (struct pt_frames){ no_hook, no_hook, NULL };
	for (size_t i = 0; size - i >= 6 && i < 6 * 8; i += 6) {
		struct pt_flush before = f->flush;

		space_snapshot_take(&f->shot, &f->arena);
		if (call(f, data + i) != PT_OK) {
			require(space_snapshot_equal(&f->shot, &f->arena));
			require(space_flush_equal(&f->flush, &before));
		}
		require(f->arena.misuses == 0);
	}
	if (!sound)
		return;

	size_t reachable = sdm_count_tables(&f->arena, &f->space.cpu, f->space.root);
	size_t given, taken = space_taken(&f->arena);

	given = pt_release(&f->space, &f->flush);
	require(f->arena.misuses == 0 && space_taken(&f->arena) == taken - given);
	/* Those planted but not linked are nobody's. */
	require(taken - given <= reachable + REACH - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct space_fixture f;
	struct pt_cpu cpu = {
		.levels = 4, .max_leaf = 3, .phys_bits = 46, .nx = true, .pat = PT_PAT_FULL
	};
	phys_addr first;
	size_t calls;

	if (size == 0)
		return 0;
	cpu.max_leaf = (uint8_t)(1 + data[0] % 3);
	cpu.nx = data[0] & 8;
	space_fixture_init(&f, &cpu, REACH + SPARE, false);
	/* The first tables in memory are those planted; the rest is free again. */
	while (f.space.tables.take(f.space.tables.ctx, REACH, &first) != 0)
		;
	f.space.tables.give(f.space.tables.ctx, phys(SPACE_BASE + REACH * 4096), SPARE);
	memset(f.arena.bytes, 0, REACH * 4096);
	f.space.root = phys(SPACE_BASE);
	plant(&f, data + 1, size - 1);
	space_snapshot_take(&f.shot, &f.arena);
	check_reads(&f);
	check_changes(&f);
	calls = size > 200 ? 48 : (size - 1) / 2;
	check_calls(&f, data + size - calls, calls, data[0]);
	space_fixture_free(&f);
	return 0;
}
