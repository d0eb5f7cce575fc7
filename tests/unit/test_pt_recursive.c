/*
 * The recursive slot: its addresses, against the processor's own walk; the self
 * link; and a space that is changed through nothing but its slot, in which the
 * pages of this program stand for what a processor would see and remember.
 */
#define _GNU_SOURCE
#include "paging/pt_recursive.h"
#include "tests/check.h"
#include "tests/fake/scene.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TABLES = 64, STEPS = 300, CALLS_PER_CHECK = 10 };

static uint64_t rng;

/* ---- addresses ------------------------------------------------------------------ */

static struct pt_cpu cpu_of_levels(unsigned levels)
{
	struct pt_cpu cpu = scene_cpu();

	cpu.levels = (uint8_t)levels;
	return cpu;
}

/* Known ones, as kernels with such slots have them. */
static void the_slot_has_the_addresses_that_are_known(void)
{
	static const struct {
		const char *name;
		unsigned slot, levels;
		uint64_t va;
		unsigned level;
		uint64_t table;
	} rows[] = {
		{ "the root in slot 511", 511, 4, 0, 4, 0xfffffffffffff000 },
		{ "the root in slot 510", 510, 4, 0x123456789000, 4, 0xffffff7fbfdfe000 },
		{ "the first page table, slot 510", 510, 4, 0, 1, 0xffffff0000000000 },
		{ "the last page table, slot 510", 510, 4, UINT64_MAX, 1, 0xffffff7ffffff000 },
		{ "the first page table, slot 493", 493, 4, 0, 1, 0xfffff68000000000 },
		{ "the root in slot 493", 493, 4, 0, 4, 0xfffff6fb7dbed000 },
		{ "slot 0", 0, 4, 0x201000, 1, 0x1000 },
		{ "slot 0, level 2", 0, 4, GIB, 2, 0x1000 },
		{ "the root in slot 0", 0, 4, 0, 4, 0 },
		{ "slot 256", 256, 4, 0, 1, 0xffff800000000000 },
		{ "slot 255", 255, 4, 0, 1, 0x00007f8000000000 },
		{ "five levels, slot 511", 511, 5, 0, 5, 0xfffffffffffff000 },
		{ "five levels, slot 256", 256, 5, 0, 1, 0xff00000000000000 },
		{ "five levels, slot 255, level 4", 255, 5, UINT64_C(1) << 48, 4,
		  0x00ff7fbfdfe01000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_EQ(pt_recursive_table(rows[i].slot, rows[i].levels, virt(rows[i].va),
					    rows[i].level)
				 .raw,
			 rows[i].table, rows[i].name);
	CHECK_EQ(pt_recursive_entry(510, 4, virt(0x5000), 1).raw, 0xffffff0000000028, "an entry");
	CHECK_EQ(pt_recursive_range(510, 4).va.raw, 0xffffff0000000000, "the range");
	CHECK_EQ(pt_recursive_range(255, 5).va.raw, UINT64_C(255) << 48, "the range");
	CHECK_EQ(pt_recursive_range(0, 4).pages, PAGES(512 * GIB), "the range");
}

/* Puts the table's address under the processor's eyes, which finds the table there. */
static void expect_table(const struct space_fixture *f, unsigned slot, uint64_t va, unsigned level)
{
	unsigned levels = f->space.cpu.levels;
	virt_addr table = pt_recursive_table(slot, levels, virt(va), level);
	struct pt_range range = pt_recursive_range(slot, levels);
	const uint64_t *entry = scene_entry(f, va, level);
	uint64_t offset = (uint64_t)((const unsigned char *)entry - f->arena.bytes);
	virt_addr at = pt_recursive_entry(slot, levels, virt(va), level);
	struct sdm_translation seen = sdm_translate(&f->arena, &f->space.cpu, f->space.root,
						    at.raw);

	CHECK(seen.present && !seen.reserved, "the entry is seen");
	CHECK_EQ(seen.pa, SPACE_BASE + offset, "the entry");
	CHECK(seen.write && !seen.user && !seen.exec, "rights");
	CHECK_EQ(at.raw - table.raw, offset % 4096, "in the table");
	CHECK(table.raw - range.va.raw < range.pages * 4096, "in the range of the slot");
}

static void the_processor_finds_every_table_in_every_slot(void)
{
	for (unsigned i = 0; i < 2 * 512; i++) {
		struct space_fixture f;
		unsigned levels = 4 + i % 2, slot = i / 2;
		uint64_t bits = 12 + 9 * levels;
		uint64_t va = align_down(check_random(&rng), 4096) << (64 - bits);

		va = (uint64_t)((int64_t)va >> (64 - bits));
		va = align_down(va, 4096);
		if (level_index(va, levels) == slot)
			va ^= UINT64_C(1) << level_shift(levels);
		scene_init(&f, cpu_of_levels(levels));
		scene_map(&f, (struct pt_mapping){ virt(va), phys(0x5000), 1, { 0, PT_WB } });
		CHECK_STATUS(pt_recursive_enter(&f.space, slot, &f.flush), PT_OK, space_text,
			     "enter");
		for (unsigned level = 1; level <= levels; level++)
			expect_table(&f, slot, va, level);
		space_fixture_free(&f);
	}
}

/* ---- the link --------------------------------------------------------------------- */

static void entering_puts_one_link_into_the_root_and_leaving_takes_it_out(void)
{
	struct space_fixture f;
	struct pt_range slot = pt_recursive_range(300, 4);
	uint64_t *entry, generation;

	scene_init(&f, scene_cpu());
	entry = &f.root[300];
	CHECK_STATUS(pt_recursive_enter(&f.space, 300, &f.flush), PT_OK, space_text, "enter");
	CHECK_EQ(*entry, f.space.root.raw | 3 | UINT64_C(1) << 63, "supervisor, writable, no exec");
	CHECK(pt_flush_is_empty(&f.flush), "nothing was there");
	CHECK_EQ(space_taken(&f.arena), 1, "no table was taken");
	generation = f.space.generation;
	f.space.hot.entries = f.root;
	CHECK_STATUS(pt_recursive_leave(&f.space, 300, &f.flush), PT_OK, space_text, "leave");
	CHECK_EQ(*entry, 0, "gone");
	CHECK(f.space.generation != generation, "whoever remembers tables learns of it");
	CHECK(!f.space.hot.entries, "whoever remembers tables learns of it");
	CHECK_EQ(f.flush.va.raw, slot.va.raw, "flush");
	CHECK_EQ(f.flush.pages, slot.pages, "flush");
	CHECK(f.flush.global, "flush");
	CHECK_EQ(pt_release(&f.space, &f.flush), 0, "no table was given up");
	CHECK_STATUS(pt_recursive_leave(&f.space, 300, &f.flush), PT_ERR_NOT_MAPPED, space_text,
		     "left already");
	space_fixture_free(&f);
}

static enum pt_hold held_frozen(void *ctx, phys_addr table)
{
	(void)ctx;
	(void)table;
	return PT_FROZEN;
}

/* The link in entry 9 is not for these spaces to take out. */
static void expect_stays(struct space_fixture *f)
{
	struct pt_space other = f->space;

	other.tables.take = NULL;
	CHECK_STATUS(pt_recursive_leave(&other, 9, &f->flush), PT_ERR_READ_ONLY, space_text,
		     "read");
	other = f->space;
	other.root_first = 10;
	CHECK_STATUS(pt_recursive_leave(&other, 9, &f->flush), PT_ERR_FOREIGN, space_text,
		     "window");
	other = f->space;
	other.root_last = 8;
	CHECK_STATUS(pt_recursive_leave(&other, 9, &f->flush), PT_ERR_FOREIGN, space_text,
		     "window");
	CHECK(pt_flush_is_empty(&f->flush), "nothing to flush");
}

static void a_link_that_cannot_be_is_refused(void)
{
	static const struct pt_holds frozen = { .hold = held_frozen };
	struct space_fixture f;
	struct pt_space other;

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping)SCENE_RUN(0, 0, 1, 0, PT_WB));
	f.root[7] = 0xabc00;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_recursive_enter(&f.space, 512, &f.flush), PT_ERR_RANGE, space_text, "512");
	CHECK_STATUS(pt_recursive_enter(&f.space, 0, &f.flush), PT_ERR_OVERLAP, space_text, "0");
	CHECK_STATUS(pt_recursive_enter(&f.space, 7, &f.flush), PT_ERR_OVERLAP, space_text, "7");
	CHECK_STATUS(pt_recursive_leave(&f.space, 0, &f.flush), PT_ERR_NOT_MAPPED, space_text, "0");
	CHECK_STATUS(pt_recursive_leave(&f.space, 512, &f.flush), PT_ERR_RANGE, space_text, "512");
	other = f.space;
	other.tables.take = NULL;
	CHECK_STATUS(pt_recursive_enter(&other, 9, &f.flush), PT_ERR_READ_ONLY, space_text, "read");
	other = f.space;
	other.root_first = 256;
	CHECK_STATUS(pt_recursive_enter(&other, 9, &f.flush), PT_ERR_FOREIGN, space_text, "window");
	other = f.space;
	other.root_last = 8;
	CHECK_STATUS(pt_recursive_enter(&other, 9, &f.flush), PT_ERR_FOREIGN, space_text, "window");
	other = f.space;
	other.tables.holds = &frozen;
	CHECK_STATUS(pt_recursive_enter(&other, 9, &f.flush), PT_ERR_SHARED, space_text, "frozen");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "untouched");
	CHECK_STATUS(pt_recursive_enter(&f.space, 9, &f.flush), PT_OK, space_text, "9");
	CHECK_STATUS(pt_recursive_enter(&f.space, 10, &f.flush), PT_ERR_SHARED, space_text, "two");
	CHECK_STATUS(pt_recursive_enter(&f.space, 9, &f.flush), PT_ERR_OVERLAP, space_text, "same");
	space_snapshot_take(&f.shot, &f.arena);
	expect_stays(&f);
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "untouched");
	space_fixture_free(&f);
}

static void nothing_else_is_changed_or_shown_in_the_slot(void)
{
	struct space_fixture f;
	struct pt_range slot = pt_recursive_range(9, 4);
	struct pt_mapping m = { slot.va, phys(0), 1, { 0, PT_WB } };
	struct pt_runs runs;
	struct pt_mapping run;

	scene_init(&f, scene_cpu());
	CHECK_STATUS(pt_recursive_enter(&f.space, 9, &f.flush), PT_OK, space_text, "enter");
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_ERR_FOREIGN, space_text, "map");
	CHECK_STATUS(pt_unmap(&f.space, slot, &f.flush), PT_ERR_FOREIGN, space_text, "unmap");
	CHECK_STATUS(pt_protect(&f.space, slot, m.attr, &f.flush), PT_ERR_FOREIGN, space_text,
		     "protect");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "untouched");
	CHECK_STATUS(pt_runs_start(&runs, &f.space, pt_lower_half(&f.space.cpu), 9), PT_OK,
		     space_text, "runs");
	CHECK_STATUS(pt_runs_next(&runs, &run), PT_ERR_NOT_MAPPED, space_text, "runs");
	CHECK_EQ(pt_destroy(&f.space), 1, "the root is given back once");
	CHECK_EQ(f.arena.misuses, 0, "the root is given back once");
	space_fixture_free(&f);
}

/* ---- for real ------------------------------------------------------------------------ */

/*
 * A processor that has loaded the root of `f`. The arena's tables lie in a file
 * in memory. A page of the slot that this program touches is translated, and
 * from then on a mapping of the file, which stays whatever becomes of the
 * tables, until it is invalidated: it is what the processor remembers.
 */
static struct {
	struct space_fixture f;
	int file;
	unsigned slot;
	uint64_t faults, invalidated;
} machine;

static void remember_page(int signal, siginfo_t *info, void *context)
{
	uint64_t va = align_down((uint64_t)(uintptr_t)info->si_addr, 4096);
	struct pt_range range = pt_recursive_range(machine.slot, machine.f.space.cpu.levels);
	struct sdm_translation seen;
	void *page;

	(void)signal;
	(void)context;
	if (va - range.va.raw >= range.pages * 4096)
		abort();
	seen = sdm_translate(&machine.f.arena, &machine.f.space.cpu, machine.f.space.root, va);
	if (!seen.present || seen.reserved || !seen.write || seen.user || seen.exec)
		abort();
	page = mmap((void *)(uintptr_t)va, 4096, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED_NOREPLACE, machine.file, (off_t)(seen.pa - SPACE_BASE));
	if (page == MAP_FAILED)
		abort();
	machine.faults++;
}

static void forget_page(void *ctx, virt_addr page)
{
	CHECK(ctx == &machine, "the context");
	CHECK(is_aligned(page.raw, 4096), "a page");
	machine.invalidated++;
	munmap((void *)(uintptr_t)page.raw, 4096);
}

/* Moves the arena's tables, which nobody points to yet, into the file. */
static void machine_start(unsigned slot)
{
	struct sigaction action = { .sa_sigaction = remember_page, .sa_flags = SA_SIGINFO };
	struct space_arena *arena = &machine.f.arena;
	size_t size = TABLES * 4096;

	machine.slot = slot;
	machine.file = memfd_create("tables", 0);
	if (machine.file < 0 || ftruncate(machine.file, (off_t)size) != 0 ||
	    write(machine.file, arena->bytes, size) != (ssize_t)size)
		exit(2);
	free(arena->bytes);
	arena->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, machine.file, 0);
	if (arena->bytes == MAP_FAILED || sigaction(SIGSEGV, &action, NULL) != 0)
		exit(2);
	machine.f.space.mem = space_window(arena);
}

static void machine_stop(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	struct pt_range range = pt_recursive_range(machine.slot, 4);

	sigaction(SIGSEGV, &action, NULL);
	munmap((void *)(uintptr_t)range.va.raw, range.pages * 4096);
	munmap(machine.f.arena.bytes, TABLES * 4096);
	close(machine.file);
	machine.f.arena.bytes = malloc(1); /* for space_fixture_free() */
	space_fixture_free(&machine.f);
}

/* A call on both spaces: the same answer, and the same number of tables. */
static enum pt_status call_both(struct space_fixture *linear, unsigned op, struct pt_mapping m)
{
	struct space_fixture *both[] = { linear, &machine.f };
	struct pt_options replace = { .conflict = PT_REPLACE };
	struct pt_range range = { m.va, m.pages };
	enum pt_status status[2];

	for (unsigned i = 0; i < 2; i++) {
		struct pt_space *space = &both[i]->space;
		struct pt_flush *flush = &both[i]->flush;

		if (op < 2)
			status[i] = pt_map(space, &m, op ? &replace : NULL, flush);
		else if (op == 2)
			status[i] = pt_unmap(space, range, flush);
		else if (op == 3)
			status[i] = pt_protect(space, range, m.attr, flush);
		else
			status[i] = pt_collapse(space, range, flush);
	}
	CHECK_STATUS(status[1], status[0], space_text, "status");
	CHECK_EQ(space_taken(&machine.f.arena), space_taken(&linear->arena), "tables taken");
	return status[0];
}

/* Small and large pages, near each other, far from each other and in the upper half. */
static struct pt_mapping random_mapping(void)
{
	static const uint64_t bases[] = { 0, 2 * MIB, GIB - MIB, 512 * GIB, 0xffffffff80000000 };
	uint64_t r = check_random(&rng);
	uint64_t base = bases[r % ARRAY_LEN(bases)];
	uint64_t unit = (r >> 8) % 3 == 0 ? 1 : 512;
	uint64_t first = unit * ((r >> 16) % 4), pages = unit * ((r >> 24) % 3 + 1);

	return (struct pt_mapping){ virt(base + first * 4096),
				    phys(((r >> 32) % 2 * 16 * MIB) + first * 4096),
				    pages,
				    { (r >> 40) % 2 ? PT_WRITE : 0, PT_WB } };
}

static void expect_same_translations(const struct space_fixture *linear)
{
	for (unsigned i = 0; i < 64; i++) {
		virt_addr va = random_mapping().va;
		struct pt_leaf a = { 0 }, b = { 0 };
		enum pt_status status = pt_query(&linear->space, va, &a);

		CHECK_STATUS(pt_query(&machine.f.space, va, &b), status, space_text, "query");
		CHECK(memcmp(&a, &b, sizeof(a)) == 0, "query");
	}
}

static void expect_same_structure(const struct space_fixture *linear)
{
	phys_addr scratch[TABLES];
	struct pt_audit a, b;

	CHECK_STATUS(pt_audit(&linear->space, scratch, TABLES, &a), PT_OK, space_text, "audit");
	CHECK_STATUS(pt_audit(&machine.f.space, scratch, TABLES, &b), PT_OK, space_text, "audit");
	CHECK_EQ(b.tables, a.tables, "tables");
	CHECK_EQ(b.empty_tables, a.empty_tables, "empty tables");
	CHECK_EQ(b.self_links, 1, "self links");
	CHECK_EQ(b.writable, a.writable + 1, "the slot can be written");
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		CHECK_EQ(b.leaves[level], a.leaves[level], "leaves");
}

static void run_through_slot(unsigned slot)
{
	struct space_fixture linear;
	struct pt_recursive recursive = {
		.slot = slot, .levels = 4, .invalidate = forget_page, .ctx = &machine
	};
	struct pt_cpu cpu = scene_cpu();
	unsigned changes = 0;

	space_fixture_init(&linear, &cpu, TABLES, false);
	space_fixture_init(&machine.f, &cpu, TABLES, false);
	machine_start(slot);
	recursive.pool = machine.f.space.mem;
	CHECK_STATUS(pt_recursive_enter(&machine.f.space, slot, &machine.f.flush), PT_OK,
		     space_text, "enter");
	machine.f.space.mem = pt_recursive_mem(&recursive);
	machine.f.space.counted = linear.space.counted = slot % 2;
	for (unsigned i = 0; i < STEPS && check_failures == 0; i++) {
		unsigned op = (unsigned)(check_random(&rng) % 5);

		changes += call_both(&linear, op, random_mapping()) == PT_OK;
		if (i % 3 == 0) {
			CHECK_EQ(pt_release(&machine.f.space, &machine.f.flush),
				 pt_release(&linear.space, &linear.flush), "released");
		}
		expect_same_translations(&linear);
		if (i % CALLS_PER_CHECK == 0)
			expect_same_structure(&linear);
	}
	CHECK(changes > STEPS / 3 && machine.faults > STEPS, "something happened");
	CHECK_EQ(machine.f.arena.misuses, 0, "misuses");
	printf("# slot %u: %u changes, %" PRIu64 " pages remembered, %" PRIu64 " forgotten\n", slot,
	       changes, machine.faults, machine.invalidated);
	CHECK_STATUS(pt_recursive_leave(&machine.f.space, slot, &machine.f.flush), PT_OK,
		     space_text, "leave");
	machine_stop();
	space_fixture_free(&linear);
}

/* Slots whose addresses are this program's to use. */
static void a_space_is_changed_through_its_own_slot(void)
{
	static const unsigned slots[] = { 40, 101, 180 };

	for (size_t i = 0; i < ARRAY_LEN(slots) && check_failures == 0; i++)
		run_through_slot(slots[i]);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	rng = check_seed(5);
	RUN(the_slot_has_the_addresses_that_are_known);
	RUN(the_processor_finds_every_table_in_every_slot);
	RUN(entering_puts_one_link_into_the_root_and_leaving_takes_it_out);
	RUN(a_link_that_cannot_be_is_refused);
	RUN(nothing_else_is_changed_or_shown_in_the_slot);
	RUN(a_space_is_changed_through_its_own_slot);
	return check_done();
}
