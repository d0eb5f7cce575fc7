/*
 * The instructions. On the host this file is compiled, and linked into programs
 * that never call it; tests bring tests/fake/cpu.c in its place.
 */
#include "paging/cpu.h"

#ifndef PT_OWN_CPU

/* Bit 7 of CR4 (SDM 3A 2.5). */
#define CPU_CR4_PGE (UINT64_C(1) << 7)

struct pt_cpuid pt_cpu_id(uint32_t leaf)
{
	struct pt_cpuid id;

	__asm__ volatile("cpuid"
			 : "=a"(id.a), "=b"(id.b), "=c"(id.c), "=d"(id.d)
			 : "a"(leaf), "c"(0));
	return id;
}

uint64_t pt_cpu_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

uint64_t pt_cpu_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static void cpu_load_cr4(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

uint64_t pt_cpu_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

/* The compiler must not move stores to tables, or to what they map, across these. */
void pt_cpu_load_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

void pt_cpu_invlpg(virt_addr va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va.raw) : "memory");
}

void pt_cpu_invpcid(enum pt_invpcid type, uint16_t pcid, virt_addr va)
{
	uint64_t descriptor[2] = { pcid, va.raw };

	__asm__ volatile("invpcid (%0), %1" : : "r"(descriptor), "r"((uint64_t)type) : "memory");
}

void pt_cpu_flush_all(void)
{
	uint64_t cr4 = pt_cpu_cr4();

	/* Either direction of the change counts, so that it need not be set. */
	cpu_load_cr4(cr4 ^ CPU_CR4_PGE);
	cpu_load_cr4(cr4);
}

#endif
