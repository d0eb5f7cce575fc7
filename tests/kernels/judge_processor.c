/* Processors: what is told of them, their clock, the seed; and that the others can be started. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/mem.h"
#include "tests/kernels/lib/words.h"

#define BIT(kind) (1u << (kind))

/* Where low memory that can be a start address ends. */
#define STARTUP_END 0xa0000

static struct cpu_id leaf_if_there(uint32_t leaf)
{
	struct cpu_id none = { 0, 0, 0, 0 };

	return cpu_id(leaf & 0x80000000).eax >= leaf ? cpu_id(leaf) : none;
}

/* ---- This processor ---------------------------------------------------------------- */

static void check_cpu(void)
{
	const struct hoist_cpu *cpu = &judge.info.cpu;
	uint32_t features = (cpu_has_nx() ? HOIST_CPU_NX : 0u) |
			    (leaf_if_there(0x80000001).edx >> 26 & 1 ? HOIST_CPU_HUGE_PAGES : 0u) |
			    (leaf_if_there(0x80000007).edx >> 8 & 1 ? HOIST_CPU_INVARIANT_TSC : 0u);
	uint32_t levels = leaf_if_there(7).ecx >> 16 & 1 ? 5 : 4;

	if (cpu->features != features || cpu->most_levels != levels ||
	    cpu->physical_bits != cpu_physical_bits() || cpu->apic_id != cpu_id(1).ebx >> 24)
		judge_flaw("id %u, features %x, levels %u, %u bits", cpu->apic_id, cpu->features,
			   cpu->most_levels, cpu->physical_bits);
	judge_verdict("the processor is described as it describes itself");
}

static volatile uint32_t *hpet_register(uint64_t offset)
{
	return hoist_ptr(&judge.info, judge.info.hpet + offset);
}

/* Ticks of the TSC a second, counted over 2 ms of the HPET (IA-PC HPET 1.0a, 2.3). */
static uint64_t measured_hz(void)
{
	uint64_t period = *hpet_register(4); /* femtoseconds */
	uint32_t ticks = (uint32_t)(2000000000000 / period), start = *hpet_register(0xf0), passed;
	uint64_t tsc = cpu_tsc();

	do
		passed = *hpet_register(0xf0) - start;
	while (passed < ticks);
	return (cpu_tsc() - tsc) * (1000000000000000 / period) / passed;
}

/* Emulated machines can stop for a while at any place: the best of many counts. */
static bool hpet_agrees(uint64_t hz)
{
	*hpet_register(0x10) |= 1;
	for (unsigned i = 0; i < 50; i++) {
		uint64_t measured = measured_hz();
		uint64_t difference = measured > hz ? measured - hz : hz - measured;

		if (difference < hz / 2)
			return true;
	}
	return false;
}

static void check_clock(void)
{
	uint64_t hz = judge.info.tsc_hz;

	if (hz < 1000000 || (judge.info.hpet && !hpet_agrees(hz)))
		judge_flaw("%lu Hz", hz);
	judge_verdict("the frequency of the time-stamp counter has the right size");
}

/* ---- The seed ---------------------------------------------------------------------- */

static void check_entropy(void)
{
	uint32_t sources = judge.info.entropy_sources, distinct = 0;
	uint64_t expected, seen[4] = { 0 };
	uint32_t processor = (leaf_if_there(7).ebx >> 18 & 1 ? HOIST_ENTROPY_RDSEED : 0u) |
			     (cpu_id(1).ecx >> 30 & 1 ? HOIST_ENTROPY_RDRAND : 0u);

	if (words_number(judge.cmdline, "expect-entropy=", &expected) && sources != expected)
		judge_flaw("sources are %x", sources);
	if ((sources & ~(uint32_t)HOIST_ENTROPY_FIRMWARE) != processor)
		judge_flaw("sources are %x, the processor has %x", sources, processor);
	for (unsigned i = 0; i < 32; i++) {
		uint8_t byte = judge.info.entropy[i];

		distinct += !(seen[byte / 64] >> (byte % 64) & 1);
		seen[byte / 64] |= UINT64_C(1) << (byte % 64);
	}
	/* Fewer than 20 different bytes of 32: once in 10^7 machines. */
	if (sources ? distinct < 20 : distinct != 1 || judge.info.entropy[0])
		judge_flaw("%u different bytes, sources %x", distinct, sources);
	judge_verdict("the seed comes from the sources that are there, and is zero without");
}

/* ---- The others -------------------------------------------------------------------- */

static void check_list(void)
{
	uint64_t expected;
	uint32_t usable = 0, own = 0;

	for (uint32_t i = 0; i < judge.processor_count; i++) {
		const struct hoist_processor *p = &judge.processors[i];

		usable += p->flags & HOIST_PROCESSOR_ENABLED;
		own += p->apic_id == judge.info.cpu.apic_id && p->flags & HOIST_PROCESSOR_ENABLED;
		for (uint32_t j = 0; j < i; j++) {
			if (judge.processors[j].apic_id == p->apic_id)
				judge_flaw("two of id %u", p->apic_id);
		}
	}
	if (judge.info.lapic && own != 1)
		judge_flaw("the processor itself is there %u times", own);
	if (words_number(judge.cmdline, "expect-processors=", &expected) && usable != expected)
		judge_flaw("%u can be used", usable);
	judge_verdict("processors are listed once, and this one is among them");
}

static void check_startup_page(void)
{
	uint64_t page = judge.info.startup_page;
	const struct hoist_mapping *m = judge_direct_at(page);

	if (!page) {
		if (judge_bytes_of_kind(0, STARTUP_END, BIT(HOIST_MEMORY_USABLE)))
			judge_flaw("none, and low memory is free");
	} else if (page % HOIST_PAGE_SIZE || page >= STARTUP_END || !m ||
		   m->cache != HOIST_CACHE_WB || m->rights != HOIST_RIGHT_WRITE ||
		   judge_bytes_of_kind(page, HOIST_PAGE_SIZE, BIT(HOIST_MEMORY_RECLAIMABLE)) !=
			   HOIST_PAGE_SIZE) {
		judge_flaw("%lx", page);
	}
	judge_verdict("a low page of reclaimable memory is there for starting processors");
}

void judge_processor(void)
{
	check_cpu();
	check_clock();
	check_entropy();
	check_list();
	check_startup_page();
}

/*
 * In real mode, at the first byte of the page: mov eax, 1; cpuid; shr ebx, 24;
 * mov byte cs:[bx + 900h], 1; cli; hlt; jmp to hlt. So the byte of its id is set.
 */
static const uint8_t startup_code[] = {
	0x66, 0xb8, 1,    0,    0, 0, 0x0f, 0xa2, 0x66, 0xc1, 0xeb,
	0x18, 0x2e, 0xc6, 0x87, 0, 9, 1,    0xfa, 0xf4, 0xeb, 0xfd
};

static volatile uint8_t *started(uint32_t id)
{
	return (uint8_t *)hoist_ptr(&judge.info, judge.info.startup_page) + 0x900 + id;
}

static void wait(uint64_t milliseconds)
{
	uint64_t start = cpu_tsc();

	while (cpu_tsc() - start < milliseconds * (judge.info.tsc_hz / 1000))
		__asm__ volatile("pause");
}

/* Through the interrupt command register (SDM 3A 11.6.1). */
static void send(uint32_t id, uint32_t command)
{
	volatile uint32_t *lapic = hoist_ptr(&judge.info, judge.info.lapic);

	lapic[0x310 / 4] = id << 24;
	lapic[0x300 / 4] = command;
}

/* INIT, startup, startup (SDM 3A 9.4.4.1), and INIT again: it rests. */
static void start(uint32_t id)
{
	uint32_t vector = (uint32_t)(judge.info.startup_page / HOIST_PAGE_SIZE);

	send(id, 0x4500);
	wait(10);
	for (unsigned i = 0; i < 2 && !*started(id); i++) {
		send(id, 0x4600 | vector);
		for (unsigned j = 0; j < 1000 && !*started(id); j++)
			wait(1);
	}
	if (!*started(id))
		judge_flaw("%u does not start", id);
	send(id, 0x4500);
	wait(10);
}

void judge_start_others(void)
{
	uint8_t *page = hoist_ptr(&judge.info, judge.info.startup_page);

	if (!judge.info.startup_page || !judge.info.lapic)
		return;
	memset(page, 0, HOIST_PAGE_SIZE);
	memcpy(page, startup_code, sizeof(startup_code));
	for (uint32_t i = 0; i < judge.processor_count; i++) {
		const struct hoist_processor *p = &judge.processors[i];

		if (p->flags & HOIST_PROCESSOR_ENABLED && p->apic_id < 255 &&
		    p->apic_id != judge.info.cpu.apic_id)
			start(p->apic_id);
	}
	judge_verdict("every other processor starts at the page that is there for it");
}
