/* Instructions that C has no words for, each as a function of the same name. */
#ifndef KERNELS_CPU_H
#define KERNELS_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* Bits of control registers and MSRs (SDM 3A 2.5, 2.2.1). */
#define CPU_CR0_PE    (UINT64_C(1) << 0)
#define CPU_CR0_WP    (UINT64_C(1) << 16)
#define CPU_CR0_PG    (UINT64_C(1) << 31)
#define CPU_CR4_PAE   (UINT64_C(1) << 5)
#define CPU_CR4_PGE   (UINT64_C(1) << 7)
#define CPU_CR4_LA57  (UINT64_C(1) << 12)
#define CPU_CR4_PCIDE (UINT64_C(1) << 17)
#define CPU_CR4_SMEP  (UINT64_C(1) << 20)
#define CPU_CR4_SMAP  (UINT64_C(1) << 21)
#define CPU_EFER_LME  (UINT64_C(1) << 8)
#define CPU_EFER_LMA  (UINT64_C(1) << 10)
#define CPU_EFER_NXE  (UINT64_C(1) << 11)
#define CPU_RFLAGS_IF (UINT64_C(1) << 9)
#define CPU_RFLAGS_DF (UINT64_C(1) << 10)

#define CPU_MSR_APIC    0x1bu
#define CPU_MSR_PAT     0x277u
#define CPU_MSR_EFER    0xc0000080u
#define CPU_MSR_FS_BASE 0xc0000100u

/* Vectors (SDM 3A table 6-1) and error code bits of a page fault (4.7). */
#define CPU_BREAKPOINT     3u
#define CPU_GENERAL_FAULT  13u
#define CPU_PAGE_FAULT     14u
#define CPU_FAULT_PRESENT  1u
#define CPU_FAULT_WRITE    2u
#define CPU_FAULT_USER     4u
#define CPU_FAULT_RESERVED 8u
#define CPU_FAULT_FETCH    16u

static inline uint8_t cpu_in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void cpu_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void cpu_out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t cpu_in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint64_t cpu_cr0(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static inline uint64_t cpu_cr2(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

static inline uint64_t cpu_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

/* Forgets all translations but global ones. */
static inline void cpu_set_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline void cpu_set_cr4(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static inline void cpu_invlpg(uint64_t address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline uint64_t cpu_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr));
}

static inline uint64_t cpu_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

struct cpu_id {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpu_id cpu_id(uint32_t leaf)
{
	struct cpu_id id;

	__asm__ volatile("cpuid"
			 : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx), "=d"(id.edx)
			 : "a"(leaf), "c"(0));
	return id;
}

/* Execute-disable: CPUID 80000001h, EDX bit 20 (SDM 3A 4.1.4). */
static inline bool cpu_has_nx(void)
{
	return cpu_id(0x80000000u).eax >= 0x80000001u && cpu_id(0x80000001u).edx >> 20 & 1;
}

/* MAXPHYADDR: CPUID 80000008h, EAX bits 7..0; 36 without that leaf (SDM 3A 4.1.4). */
static inline unsigned cpu_physical_bits(void)
{
	if (cpu_id(0x80000000u).eax < 0x80000008u)
		return 36;
	return cpu_id(0x80000008u).eax & 0xff;
}

static inline _Noreturn void cpu_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

#endif
