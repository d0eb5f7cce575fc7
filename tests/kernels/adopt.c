#include "tests/kernels/adopt.h"

#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/print.h"
#include "tests/kernels/lib/serial.h"
#include "tests/kernels/lib/trap.h"

HOIST_NOTE(HOIST_OPTION_VERSION, HOIST_REQUIRED, HOIST_VERSION);

#define ALL_PURPOSES UINT32_MAX

/* An entry of a table (SDM 3A tables 4-15 to 4-19), for a count that is not the library's. */
#define PRESENT UINT64_C(1)
#define LARGE   (UINT64_C(1) << 7)
#define ADDRESS UINT64_C(0x000ffffffffff000)

_Noreturn void kernel_main(const struct hoist_info *info);

static struct pt_space space;
static phys_addr tables[JUDGE_MAX_TABLES];
static uint8_t own_stack[32768] __attribute__((aligned(16)));

/* ---- opening ------------------------------------------------------------------ */

static struct pt_cpu find_cpu(void)
{
	/* CPUID leaf 80000001h, EDX bit 26: 1 GiB leaves. */
	return (struct pt_cpu){
		.levels = (uint8_t)judge.info.levels,
		.max_leaf = cpu_id(0x80000001u).edx >> 26 & 1 ? 3 : 2,
		.phys_bits = (uint8_t)cpu_physical_bits(),
		.nx = cpu_has_nx(),
		.pat = cpu_rdmsr(CPU_MSR_PAT),
	};
}

static bool open_space(void)
{
	if (!adopt_memory_init()) {
		judge_flaw("usable memory is too small");
		return judge_verdict("there is memory to work with");
	}

	struct pt_cpu cpu = find_cpu();
	struct pt_tables own = adopt_tables();
	struct pt_mem mem = {
		.window = hoist_ptr(&judge.info, 0),
		.first = phys(0),
		.last = phys(adopt_last_byte()),
	};
	enum pt_status status = pt_open(&space, &cpu, &mem, &own, phys(judge.info.page_table_root));

	if (status != PT_OK)
		judge_flaw("pt_open: %s", pt_strerror(status));
	if (space.root.raw != cpu_cr3())
		judge_flaw("the root is %lx, CR3 %lx", space.root.raw, cpu_cr3());
	return judge_verdict("the tables in CR3 can be opened with what hoist says of them");
}

/* The library's own view of the processor, and its own way to the tables that are loaded. */
static void load_space(void)
{
	struct pt_cpu seen, wanted = find_cpu();

	pt_processor_init(&adopt_processor);
	seen = adopt_processor.cpu;
	if (seen.levels != wanted.levels || seen.max_leaf != wanted.max_leaf ||
	    seen.phys_bits != wanted.phys_bits || seen.nx != wanted.nx || seen.pat != wanted.pat ||
	    seen.keys || seen.crypt_bit)
		judge_flaw("%u levels, leaves of %u, %u bits, nx %u, PAT %lx, keys %u, crypt %u",
			   seen.levels, seen.max_leaf, seen.phys_bits, seen.nx, seen.pat, seen.keys,
			   seen.crypt_bit);
	judge_verdict("the library describes the processor as it is");

	enum pt_status status = pt_activate_first(&adopt_processor, &space);

	if (status != PT_OK || space.processors != 1 || !space.live)
		judge_flaw("%s: %u processors", pt_strerror(status), space.processors);
	if (cpu_cr3() != judge.info.page_table_root)
		judge_flaw("CR3 is %lx, expected %lx", cpu_cr3(), judge.info.page_table_root);
	if (!(cpu_cr4() & CPU_CR4_PGE))
		judge_flaw("CR4 is %lx: it is not what it was", cpu_cr4());
	judge_verdict("it loads the space, and leaves the registers as they were");
}

/* ---- what is there ------------------------------------------------------------- */

static void check_audit(uint64_t wanted_tables)
{
	struct pt_audit audit;
	enum pt_status status = pt_audit(&space, tables, JUDGE_MAX_TABLES, &audit);

	if (status != PT_OK)
		judge_flaw("%s, at %lx", pt_strerror(status), audit.where.raw);
	if (audit.tables != wanted_tables || audit.empty_tables || audit.soft)
		judge_flaw("%lu tables, %lu of them empty, %lu soft entries; expected %lu tables",
			   audit.tables, audit.empty_tables, audit.soft, wanted_tables);
}

static void check_tables(void)
{
	size_t count = 0;
	enum pt_status status = pt_list_tables(&space, tables, JUDGE_MAX_TABLES, &count);

	if (status != PT_OK || count != judge.info.table_count)
		judge_flaw("%s: %lu tables, hoist says %u", pt_strerror(status), count,
			   judge.info.table_count);
	for (size_t i = 0; i < count; i++) {
		if (!adopt_is_of_hoist(tables[i].raw))
			judge_flaw("the table at %lx is not one that hoist lists", tables[i].raw);
	}
	judge_verdict("the library finds the tables that hoist lists");
}

static uint32_t flags_of(uint32_t rights)
{
	return (rights & HOIST_RIGHT_WRITE ? PT_WRITE : 0) |
	       (rights & HOIST_RIGHT_EXECUTE ? PT_EXEC : 0);
}

/* The range of a mapping is one run, which says the same. */
static void check_mapping(const struct hoist_mapping *m)
{
	struct pt_range range = { virt(m->address_virt), m->size / PT_PAGE_SIZE };
	struct pt_mapping run = { .pages = 0 };
	struct pt_runs runs;
	enum pt_status status = pt_runs_start(&runs, &space, range, PT_NO_BUDGET);

	if (status == PT_OK)
		status = pt_runs_next(&runs, &run);
	if (status != PT_OK || run.va.raw != range.va.raw || run.pa.raw != m->address ||
	    run.pages != range.pages || run.attr.flags != flags_of(m->effective) ||
	    (uint32_t)run.attr.cache != m->cache)
		judge_flaw("%lx: %s, %lu pages to %lx, flags %x, cache type %x", m->address_virt,
			   pt_strerror(status), run.pages, run.pa.raw, run.attr.flags,
			   run.attr.cache);
}

static uint64_t pages_in(struct pt_range half)
{
	struct pt_runs runs;
	struct pt_mapping run;
	uint64_t pages = 0;

	pt_runs_start(&runs, &space, half, PT_NO_BUDGET);
	while (pt_runs_next(&runs, &run) == PT_OK)
		pages += run.pages;
	return pages;
}

/* The mappings of the purposes in the set (1 << purpose) are there, and nothing else is. */
static void check_runs(uint32_t purposes)
{
	uint64_t have = pages_in(pt_lower_half(&space.cpu)) + pages_in(pt_upper_half(&space.cpu));
	uint64_t want = 0;

	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		if (!(purposes >> judge.mappings[i].purpose & 1))
			continue;
		check_mapping(&judge.mappings[i]);
		want += judge.mappings[i].size / PT_PAGE_SIZE;
	}
	if (have != want)
		judge_flaw("%lu pages are mapped, %lu are listed", have, want);
}

/* ---- dropping ------------------------------------------------------------------ */

/* The table itself and all that its entries in [first, last] lead to. */
static uint64_t count_tables(uint64_t table, unsigned level, unsigned first, unsigned last)
{
	const uint64_t *entry = hoist_ptr(&judge.info, table);
	uint64_t count = 1;

	for (unsigned i = first; level > 1 && i <= last; i++) {
		if ((entry[i] & (PRESENT | LARGE)) == PRESENT)
			count += count_tables(entry[i] & ADDRESS, level - 1, 0, 511);
	}
	return count;
}

/* Unmaps all mappings of a purpose; their tables stay in the flush. */
static void drop(uint32_t purpose, struct pt_flush *flush)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];
		struct pt_range range = { virt(m->address_virt), m->size / PT_PAGE_SIZE };

		if (m->purpose != purpose)
			continue;

		enum pt_status status = pt_unmap(&space, range, flush);

		if (status != PT_OK)
			judge_flaw("unmapping %lx: %s", m->address_virt, pt_strerror(status));
	}
}

static void check_dropped(uint32_t purpose)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->purpose != purpose)
			continue;
		if (adopt_read(m->address_virt) != 0 ||
		    adopt_read(m->address_virt + m->size - 1) != 0)
			judge_flaw("%lx can be read", m->address_virt);
	}
}

/* The lower half holds the identity map and the handoff pages; the root is the kernel's too. */
static void drop_lower_half(void)
{
	struct pt_flush flush = PT_FLUSH_NONE;
	uint64_t wanted = count_tables(space.root.raw, space.cpu.levels, 0, 255) - 1;

	/* So that there is a translation to forget. */
	adopt_read(PT_PAGE_SIZE);
	drop(HOIST_PURPOSE_IDENTITY, &flush);
	drop(HOIST_PURPOSE_HANDOFF, &flush);
	if (adopt_free_of_hoist())
		judge_flaw("%u tables before the release", adopt_free_of_hoist());
	judge_verdict("no table comes back before the flush has been carried out");

	size_t released = adopt_flush(&space, &flush);

	if (released != wanted || adopt_free_of_hoist() != wanted)
		judge_flaw("%lu, of which %u are hoist's; expected %lu", released,
			   adopt_free_of_hoist(), wanted);
	judge_verdict("the tables of identity map and handoff pages come back");
	check_dropped(HOIST_PURPOSE_IDENTITY);
	check_dropped(HOIST_PURPOSE_HANDOFF);
	judge_verdict("identity map and handoff pages are gone");
}

static void drop_stack(void)
{
	struct pt_flush flush = PT_FLUSH_NONE;

	drop(HOIST_PURPOSE_STACK, &flush);
	if (adopt_flush(&space, &flush) == 0)
		judge_flaw("no table");
	check_dropped(HOIST_PURPOSE_STACK);
	judge_verdict("hoist's stack is gone, and the tables of its window");
}

/* ---- all of it ------------------------------------------------------------------- */

/* Nothing of hoist's is in use any more but the tables. */
static void on_own_stack(void)
{
	drop_lower_half();
	drop_stack();
	adopt_changes(&space);
	if (!adopt_reused_of_hoist())
		judge_flaw("no table was taken again");
	judge_verdict("tables that were hoist's serve new mappings");
	check_runs(1 << HOIST_PURPOSE_DIRECT_MAP | 1 << HOIST_PURPOSE_KERNEL);
	judge_verdict("direct map and kernel are left as they were, and nothing else");
	check_audit(judge.info.table_count - adopt_free_of_hoist());
	judge_verdict("the audit at the end is clean, and no table is missing");
	judge_end();
}

static _Noreturn void go_on(void (*function)(void), void *stack)
{
	__asm__ volatile("mov %1, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%0\n\t"
			 "ud2"
			 :
			 : "r"(function), "r"(stack)
			 : "memory");
	__builtin_unreachable();
}

void kernel_main(const struct hoist_info *info)
{
	if (serial_init())
		print_add_sink(serial_put);
	print_out("\nadopt: goes on with hoist's tables\n");
	trap_init();
	if (!judge_take(info) || !open_space())
		judge_end();
	/* Global translations are to be global. */
	cpu_set_cr4(cpu_cr4() | CPU_CR4_PGE);
	load_space();
	check_tables();
	check_audit(judge.info.table_count);
	judge_verdict("the audit of hoist's tables is clean");
	check_runs(ALL_PURPOSES);
	judge_verdict("every mapping of hoist's list is one run, and there is no other");
	adopt_changes(&space);
	go_on(on_own_stack, own_stack + sizeof(own_stack));
}
