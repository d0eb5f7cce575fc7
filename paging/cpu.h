/*
 * The processor: what page tables need of it that C has no words for.
 *
 * cpu_x86_64.c defines these functions, one or two instructions each, and is
 * the only file of the core with such instructions. Nothing but pt_cpu_describe()
 * and the calls of pt_active.h uses them: who only builds tables runs none.
 * Compiled with PT_OWN_CPU defined it is empty, and the program brings its own:
 * for tests on a host, or for a guest that asks its hypervisor instead.
 *
 * All but CPUID and what is said otherwise is for ring 0, on the processor that
 * is meant, from which the caller is not moved away meanwhile.
 */
#ifndef PAGING_CPU_H
#define PAGING_CPU_H

#include "paging/addr.h"
#include "paging/attr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What CPUID answers, sub-leaf 0 (SDM 2A, CPUID). */
struct pt_cpuid {
	uint32_t a, b, c, d;
};

struct pt_cpuid pt_cpu_id(uint32_t leaf);

/* A model-specific register, which must exist. */
uint64_t pt_cpu_msr(uint32_t msr);

/* CR4, and CR3: the root, and with PCIDs in bits 11:0 the current one (SDM 3A 2.5). */
uint64_t pt_cpu_cr4(void);
uint64_t pt_cpu_cr3(void);

/*
 * Loads CR3. All translations but global ones are forgotten; if CR4.PCIDE is
 * set those of the PCID in `value` only, and none if bit 63 is set
 * (SDM 3A 4.10.4.1).
 */
void pt_cpu_load_cr3(uint64_t value);

/*
 * INVLPG: forgets the page at `va`, be it global, for the current PCID, and all
 * that this remembers of links (SDM 3A 4.10.4.1).
 */
void pt_cpu_invlpg(virt_addr va);

/* The types of INVPCID (SDM 2A, INVPCID). */
enum pt_invpcid {
	PT_INVPCID_PAGE = 0,    /* one page of one PCID, if it is not global */
	PT_INVPCID_SINGLE = 1,  /* all of one PCID but global ones */
	PT_INVPCID_ALL = 2,     /* everything */
	PT_INVPCID_ALL_BUT = 3, /* everything but global ones */
};

/* INVPCID, for processors that have it: CPUID 7, EBX bit 10. */
void pt_cpu_invpcid(enum pt_invpcid type, uint16_t pcid, virt_addr va);

/*
 * Forgets everything, global translations and all PCIDs included: CR4.PGE is
 * changed, and changed back (SDM 3A 4.10.4.1).
 */
void pt_cpu_flush_all(void);

/* ------------------------------------------------------------------------
 * What these say about tables (pt_cpu.c)
 */

/*
 * Describes the processor in its present state, for tables that it is to use:
 *
 *	levels     5 if CR4.LA57, else 4                         SDM 3A 4.1.1
 *	max_leaf   3 if it has 1 GiB pages, else 2               SDM 3A 4.1.4
 *	phys_bits  MAXPHYADDR; not above the encryption bit      SDM 3A 4.1.4
 *	nx         EFER.NXE                                      SDM 3A 4.1.1
 *	pat        IA32_PAT, or what holds without it            SDM 3A 12.12
 *	keys       CR4.PKE or CR4.PKS                            SDM 3A 4.6.2
 *	crypt_bit  the C-bit, in a guest with SEV active         APM 2 15.34
 *
 * What the kernel sets up later (EFER.NXE, IA32_PAT, CR4) it states in the
 * result itself. The shared bit of Intel's TDX is not found here: its position
 * is told by the TDX module, which the guest asks (crypt_bit, crypt_means_shared).
 */
struct pt_cpu pt_cpu_describe(void);

/* True if CR4.PCIDE is set: CR3 has a PCID (SDM 3A 4.10.1). */
bool pt_cpu_has_pcids(void);

/* True if there is INVPCID. */
bool pt_cpu_has_invpcid(void);

/*
 * True if tables made for `tables` can be loaded by `cpu` and mean there what
 * they were made to mean: as many levels, no larger leaves, no wider addresses,
 * and XD, PAT, keys and encryption bit as the entries rely on.
 */
bool pt_cpu_accepts(const struct pt_cpu *cpu, const struct pt_cpu *tables);

#ifdef __cplusplus
}
#endif

#endif
