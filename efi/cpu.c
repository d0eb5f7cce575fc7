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

uint64_t cpu_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* SDM 3B 20.7.3: crystal frequency in ECX, ratio EBX / EAX; each may be missing. */
static uint64_t tsc_hz_stated(void)
{
	if (cpuid(0).a < 0x15)
		return 0;

	struct cpuid r = cpuid(0x15);

	return r.a && r.b && r.c ? (uint64_t)r.c * r.b / r.a : 0;
}

uint64_t cpu_tsc_hz(void)
{
	const uint64_t microseconds = 5000;
	uint64_t hz = tsc_hz_stated();

	if (hz)
		return hz;

	uint64_t start = cpu_tsc();

	if (EFI_ERROR(BS->Stall(microseconds)))
		return 0;
	return (cpu_tsc() - start) * (1000000 / microseconds);
}
