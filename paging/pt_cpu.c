/*
 * What the processor says about itself, in the words of attr.h.
 */
#include "paging/cpu.h"

/* CR4 (SDM 3A 2.5). */
#define CPU_LA57  (UINT64_C(1) << 12)
#define CPU_PCIDE (UINT64_C(1) << 17)
#define CPU_PKE   (UINT64_C(1) << 22)
#define CPU_PKS   (UINT64_C(1) << 24)

/* Registers: SDM 4 2.1; of AMD: APM 2 15.34.10. */
#define CPU_MSR_PAT        0x277u
#define CPU_MSR_EFER       0xc0000080u
#define CPU_MSR_SEV_STATUS 0xc0010131u

#define CPU_EFER_NXE (UINT64_C(1) << 11)

static bool cpu_bit(uint32_t word, unsigned bit)
{
	return word >> bit & 1;
}

/* Leaves above the last one answer with the data of another (SDM 2A, CPUID). */
static struct pt_cpuid cpu_id_if_there(uint32_t leaf)
{
	struct pt_cpuid none = { 0 };

	return pt_cpu_id(leaf & 0x80000000u).a >= leaf ? pt_cpu_id(leaf) : none;
}

/* CPUID 80000008H, EAX 7:0; 36 where the leaf is missing (SDM 3A 4.1.4). */
static uint8_t cpu_phys_bits(void)
{
	uint8_t bits = (uint8_t)cpu_id_if_there(0x80000008u).a;

	if (bits == 0)
		return 36;
	return bits > 52 ? 52 : bits;
}

/*
 * EBX 5:0 of CPUID 8000001FH is where the bit would be (APM 3 E.4.17). It means
 * something if SEV is active, bit 0 of the status, which can be read where EAX
 * bit 1 says that there is SEV at all (APM 2 15.34.1, 15.34.10).
 */
static uint8_t cpu_crypt_bit(void)
{
	struct pt_cpuid id = cpu_id_if_there(0x8000001fu);

	if (!cpu_bit(id.a, 1) || !(pt_cpu_msr(CPU_MSR_SEV_STATUS) & 1))
		return 0;
	return id.b & 0x3f;
}

struct pt_cpu pt_cpu_describe(void)
{
	uint64_t cr4 = pt_cpu_cr4();
	uint32_t features = pt_cpu_id(1).d, extended = cpu_id_if_there(0x80000001u).d;
	uint8_t bits = cpu_phys_bits(), crypt = cpu_crypt_bit();
	struct pt_cpu cpu = {
		.levels = cr4 & CPU_LA57 ? 5 : 4,
		.max_leaf = cpu_bit(extended, 26) ? 3 : 2,
		/* The encryption bit is taken out of the address (APM 2 15.34.1). */
		.phys_bits = crypt != 0 && crypt < bits ? crypt : bits,
		.nx = (pt_cpu_msr(CPU_MSR_EFER) & CPU_EFER_NXE) != 0,
		.pat = cpu_bit(features, 16) ? pt_cpu_msr(CPU_MSR_PAT) : PT_PAT_RESET,
		.keys = (cr4 & (CPU_PKE | CPU_PKS)) != 0,
		.crypt_bit = crypt,
	};

	return cpu;
}

bool pt_cpu_has_pcids(void)
{
	return (pt_cpu_cr4() & CPU_PCIDE) != 0;
}

bool pt_cpu_has_invpcid(void)
{
	return cpu_bit(cpu_id_if_there(7).b, 10);
}

bool pt_cpu_accepts(const struct pt_cpu *cpu, const struct pt_cpu *tables)
{
	bool crypt = cpu->crypt_bit == tables->crypt_bit &&
		     (cpu->crypt_bit == 0 || cpu->crypt_means_shared == tables->crypt_means_shared);

	/* XD is reserved without NX, but tables made without NX never set it. Keys are alike. */
	return cpu->levels == tables->levels && cpu->max_leaf >= tables->max_leaf &&
	       cpu->phys_bits >= tables->phys_bits && (cpu->nx || !tables->nx) &&
	       cpu->pat == tables->pat && (cpu->keys || !tables->keys) && crypt;
}
