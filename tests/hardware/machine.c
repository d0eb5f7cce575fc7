#include "tests/hardware/machine.h"

#include "tests/kernels/lib/cpu.h"

/* Entry 256 of the table of level 4 that boot.S made, whatever the number of levels. */
#define DIRECT     UINT64_C(0xffff800000000000)
#define DIRECT_GIB 10u
#define LARGE_SIZE (2 * MACHINE_MIB)

/* Present and writable; that, as a leaf of level 2 (SDM 3A table 4-18). */
#define LINK 0x03u
#define LEAF 0x83u

extern uint64_t boot_level4[512];

static uint64_t direct_level3[512] __attribute__((aligned(4096)));
static uint64_t direct_level2[DIRECT_GIB][512] __attribute__((aligned(4096)));

static struct pt_cpu cpu;
static uint64_t guards, own_root;

static uint64_t physical(const void *in_image)
{
	return (uintptr_t)in_image - MACHINE_WINDOW;
}

static void map_ram(void)
{
	for (unsigned i = 0; i < DIRECT_GIB * 512; i++)
		direct_level2[i / 512][i % 512] = i * LARGE_SIZE | LEAF;
	for (unsigned i = 0; i < DIRECT_GIB; i++)
		direct_level3[i] = physical(direct_level2[i]) | LINK;
	boot_level4[256] = physical(direct_level3) | LINK;
}

void machine_init(void)
{
	/* CPUID leaf 80000001h, EDX bit 26: 1 GiB leaves. Leaf 7, EBX: bit 7 SMEP, 20 SMAP. */
	bool gigabyte = cpu_id(0x80000001u).edx >> 26 & 1;
	uint32_t features = cpu_id(7).ebx;

	map_ram();
	cpu_wrmsr(CPU_MSR_PAT, PT_PAT_FULL);
	guards = (features >> 7 & 1 ? CPU_CR4_SMEP : 0) | (features >> 20 & 1 ? CPU_CR4_SMAP : 0);
	own_root = cpu_cr3();
	cpu = (struct pt_cpu){
		.levels = cpu_cr4() & CPU_CR4_LA57 ? 5 : 4,
		.max_leaf = gigabyte ? 3 : 2,
		.phys_bits = (uint8_t)cpu_physical_bits(),
		.nx = cpu_has_nx(),
		.pat = PT_PAT_FULL,
	};
}

const struct pt_cpu *machine_cpu(void)
{
	return &cpu;
}

uint64_t machine_cr4_guards(void)
{
	return guards;
}

void *machine_ptr(uint64_t address)
{
	return (void *)(uintptr_t)(DIRECT + address);
}

struct pt_mem machine_mem(void)
{
	return (struct pt_mem){
		.window = machine_ptr(MACHINE_TABLES),
		.first = phys(MACHINE_TABLES),
		.last = phys(MACHINE_TABLES + MACHINE_TABLE_COUNT * PT_PAGE_SIZE - 1),
	};
}

uint64_t machine_root(void)
{
	return own_root;
}
