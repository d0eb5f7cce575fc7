/*
 * The prober: a kernel that needs no firmware and no loader. It makes random
 * address spaces, loads each, and compares what the processor does with what
 * the library says. tests/hardware/hardware.py starts it on one processor of
 * each kind. Words of the command line, all but the first optional:
 *
 *	spaces=N  how many spaces
 *	seed=N    space i is made from the seed N + i and the kind of the processor
 *	dump=N    prints the runs of every N-th space and waits, with it loaded,
 *	          for a byte from the serial line: QEMU shows its tables meanwhile
 */
#include "tests/hardware/machine.h"
#include "tests/hardware/maker.h"
#include "tests/hardware/probe.h"
#include "tests/hardware/random.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/print.h"
#include "tests/kernels/lib/qemu.h"
#include "tests/kernels/lib/serial.h"
#include "tests/kernels/lib/trap.h"
#include "tests/kernels/lib/words.h"

#define SERIAL_DATA   0x3f8
#define SERIAL_STATUS (SERIAL_DATA + 5)
#define DATA_READY    0x01

#define SPOILS 16u

/* struct hvm_start_info (xen/include/public/arch-x86/hvm/start_info.h), as far as it is used. */
#define START_MAGIC 0x336ec578u

struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list;
	uint64_t cmdline; /* physical, of a string */
};

_Noreturn void prober_main(uint32_t start);

static struct maker maker;
static phys_addr tables[MACHINE_TABLE_COUNT];
static uint64_t this_seed;

void trap_unexpected(const struct trap *trap)
{
	print_out("# seed=%lu: vector %lu, error code %lx, CR2 %lx, RIP %lx\n", this_seed,
		  trap->vector, trap->error, trap->address, trap->rip);
	qemu_exit(false);
}

static uint64_t number(const char *cmdline, const char *key)
{
	uint64_t value = 0;

	words_number(cmdline, key, &value);
	return value;
}

/* ---- for QEMU ---------------------------------------------------------------- */

static void dump_half(struct pt_range half)
{
	struct pt_runs runs;
	struct pt_mapping run;

	pt_runs_start(&runs, &maker.space, half, PT_NO_BUDGET);
	while (pt_runs_next(&runs, &run) == PT_OK)
		print_out("@run %lx %lx %lx %x %x\n", run.va.raw, run.pa.raw,
			  run.pages * PT_PAGE_SIZE, run.attr.flags, run.attr.cache);
}

static void dump(void)
{
	size_t count = 0;

	print_out("@cr3 %lx levels %u\n", maker.space.root.raw, maker.space.cpu.levels);
	dump_half(pt_lower_half(&maker.space.cpu));
	dump_half(pt_upper_half(&maker.space.cpu));
	pt_list_tables(&maker.space, tables, MACHINE_TABLE_COUNT, &count);
	for (size_t i = 0; i < count; i++)
		print_out("@table %lx %lx\n", tables[i].raw, PT_PAGE_SIZE);
	print_out("@end\n");
}

static void show(void)
{
	dump();
	cpu_set_cr3(maker.space.root.raw);
	print_out("@waiting\n");
	while (!(cpu_in8(SERIAL_STATUS) & DATA_READY))
		;
	cpu_in8(SERIAL_DATA);
	cpu_set_cr3(machine_root());
}

/* ---- all of it --------------------------------------------------------------- */

/* SMEP and SMAP are on or off, at random: they tell from ring 0 what is user's. */
static void choose_guards(void)
{
	uint64_t cr4 = cpu_cr4() & ~(CPU_CR4_SMEP | CPU_CR4_SMAP);

	cpu_set_cr4(cr4 | (random_next(&maker.random) & machine_cr4_guards()));
}

/* Processors of different kinds get different spaces from the same seed. */
static uint64_t seed_here(uint64_t seed)
{
	const struct pt_cpu *cpu = machine_cpu();

	return seed * 64 + cpu->levels * UINT64_C(8) + cpu->max_leaf * UINT64_C(2) + cpu->nx;
}

/* Every third space is not what the library made of it. */
static void spoil(void)
{
	for (unsigned i = random_once_in(&maker.random, 3) ? SPOILS : 0; i > 0; i--)
		maker_spoil(&maker);
}

static bool probe_one(uint64_t seed, bool shown)
{
	uint64_t flaws = probe_counts.flaws;

	this_seed = seed;
	if (!maker_make(&maker, seed_here(seed)))
		probe_counts.flaws++;
	if (shown)
		show();
	choose_guards();
	spoil();
	probe_space(&maker);
	if (flaws != probe_counts.flaws)
		print_out("# so with seed=%lu spaces=1\n", seed);
	return flaws == probe_counts.flaws;
}

static void print_results(void)
{
	for (unsigned kind = 0; kind < PROBE_KINDS; kind++) {
		for (unsigned result = 0; result < PROBE_RESULTS; result++) {
			uint64_t count = probe_counts.results[kind][result];

			if (count)
				print_out("@result %u %x %lu\n", kind, result, count);
		}
	}
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		print_out("@success level %u %lu\n", level, probe_counts.successes[level]);
}

static void probe_all(const char *cmdline)
{
	uint64_t spaces = number(cmdline, "spaces="), seed = number(cmdline, "seed=");
	uint64_t shown = number(cmdline, "dump=");
	uint64_t least = UINT64_MAX, changes = 0, good = 0;

	for (uint64_t i = 0; i < spaces; i++) {
		uint64_t before = probe_counts.probes;

		good += probe_one(seed + i, shown && i % shown == 0);
		changes += maker.accepted;
		if (probe_counts.probes - before < least)
			least = probe_counts.probes - before;
	}
	print_results();
	print_out("@total spaces %lu good %lu changes %lu probes %lu least %lu\n", spaces, good,
		  changes, probe_counts.probes, least);
	qemu_exit(good == spaces);
}

void prober_main(uint32_t start)
{
	/* The low GiB is mapped where the image is linked, too. */
	const struct start_info *info = (const void *)(uintptr_t)(MACHINE_WINDOW + start);

	serial_init();
	print_add_sink(serial_put);
	trap_init();
	machine_init();
	if (info->magic != START_MAGIC) {
		print_out("# not started by PVH\n");
		qemu_exit(false);
	}
	print_out("@prober levels %u largest leaf %u nx %u physical bits %u\n",
		  machine_cpu()->levels, machine_cpu()->max_leaf, machine_cpu()->nx,
		  machine_cpu()->phys_bits);
	probe_all((const char *)machine_ptr(info->cmdline));
	cpu_halt();
}
