#include "efi/cpu.h"

#include <efi.h>
#include <efilib.h>

struct cpuid {
	uint32_t a, b, c, d;
};

static struct cpuid cpuid(uint32_t leaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
	return r;
}

/* Of the basic leaves (below 0x80000000) or the extended ones; zeroes if it is not there. */
static struct cpuid cpuid_if_there(uint32_t leaf)
{
	struct cpuid none = { 0 };

	return leaf <= cpuid(leaf & 0x80000000).a ? cpuid(leaf) : none;
}

uint64_t cpu_cr4(void)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	return cr4;
}

/* CR4.LA57: five levels are in use (SDM 3A 2.5). */
static bool has_5_levels(void)
{
	return cpu_cr4() & (1u << 12);
}

struct pt_cpu cpu_detect(void)
{
	uint32_t last = cpuid(0x80000000).a;
	struct cpuid features = cpuid(0x80000001);
	bool huge = features.d & (1u << 26);
	bool nx = features.d & (1u << 20);
	/* 36 where the processor does not say (SDM 3A 4.1.4). */
	uint8_t bits = last >= 0x80000008 ? (uint8_t)cpuid(0x80000008).a : 36;

	return (struct pt_cpu){
		.levels = has_5_levels() ? 5 : 4,
		.max_leaf = huge ? 3 : 2,
		.phys_bits = bits > 52 ? 52 : bits,
		.nx = nx,
		.pat = PT_PAT_FULL,
	};
}

/*
 * The x2APIC id of leaf 0Bh, where a level of the topology says that there is
 * one (SDM 2A, CPUID); else the 8 bits of leaf 1.
 */
static uint32_t apic_id(void)
{
	struct cpuid topology = cpuid_if_there(0xb);

	return topology.b & 0xffff ? topology.d : cpuid(1).b >> 24;
}

struct hoist_cpu cpu_describe(void)
{
	struct pt_cpu cpu = cpu_detect();
	bool la57 = cpuid_if_there(7).c & (1u << 16);
	bool invariant = cpuid_if_there(0x80000007).d & (1u << 8);

	return (struct hoist_cpu){
		.apic_id = apic_id(),
		.features = (cpu.nx ? HOIST_CPU_NX : 0u) |
			    (cpu.max_leaf == 3 ? HOIST_CPU_HUGE_PAGES : 0u) |
			    (invariant ? HOIST_CPU_INVARIANT_TSC : 0u),
		.most_levels = la57 ? 5 : 4,
		.physical_bits = cpu.phys_bits,
	};
}

/* SDM 2A, CPUID: leaf 1, ECX bit 30. */
bool cpu_has_rdrand(void)
{
	return cpuid_if_there(1).c & (1u << 30);
}

/* Leaf 7, EBX bit 18. */
bool cpu_has_rdseed(void)
{
	return cpuid_if_there(7).b & (1u << 18);
}

uint64_t cpu_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* SDM 3B 20.7.3: crystal frequency in ECX, ratio EBX / EAX; each may be missing. */
static uint64_t tsc_hz_stated(void)
{
	struct cpuid r = cpuid_if_there(0x15);

	return r.a && r.b && r.c ? (uint64_t)r.c * r.b / r.a : 0;
}

uint64_t cpu_tsc_hz(void)
{
	const uint64_t microseconds = 2000;
	uint64_t hz = tsc_hz_stated();

	if (hz)
		return hz;

	/* What comes in between only makes it longer: the shortest of three is the best. */
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t start = cpu_tsc();

		if (EFI_ERROR(BS->Stall(microseconds)))
			return 0;

		uint64_t ticks = cpu_tsc() - start;

		if (ticks < least)
			least = ticks;
	}
	return least * (1000000 / microseconds);
}
