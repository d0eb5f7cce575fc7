#include "tests/fake/cpu.h"

#include <stddef.h>

#define PCIDE (UINT64_C(1) << 17)

_Thread_local struct fake_cpu fake_cpu;

static void record(enum fake_cpu_what what, uint64_t value, unsigned type, unsigned pcid)
{
	if (fake_cpu.count < FAKE_CPU_LOG)
		fake_cpu.log[fake_cpu.count] = (struct fake_cpu_event){ what, value, type, pcid };
	fake_cpu.count++;
}

/* ---- what it says ----------------------------------------------------------------------- */

struct pt_cpuid pt_cpu_id(uint32_t leaf)
{
	for (size_t i = 0; i < FAKE_CPU_LEAVES; i++) {
		if (fake_cpu.leaves[i].leaf == leaf)
			return fake_cpu.leaves[i].id;
	}
	return (struct pt_cpuid){ 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff };
}

uint64_t pt_cpu_msr(uint32_t msr)
{
	for (size_t i = 0; i < FAKE_CPU_MSRS; i++) {
		if (fake_cpu.msrs[i].number == msr)
			return fake_cpu.msrs[i].value;
	}
	fake_cpu.misuses++;
	return UINT64_MAX;
}

uint64_t pt_cpu_cr4(void)
{
	return fake_cpu.cr4;
}

uint64_t pt_cpu_cr3(void)
{
	return fake_cpu.cr3;
}

/* ---- what it remembers --------------------------------------------------------------------- */

static uint16_t current_pcid(void)
{
	return fake_cpu.cr4 & PCIDE ? fake_cpu.cr3 & 0xfff : 0;
}

static void remember(uint64_t va, bool global, bool is_link)
{
	for (size_t i = 0; i < FAKE_CPU_ENTRIES; i++) {
		if (!fake_cpu.entries[i].is_used) {
			fake_cpu.entries[i] = (struct fake_cpu_entry){ va, current_pcid(), global,
								       is_link, true };
			return;
		}
	}
	fake_cpu.misuses++;
}

void fake_cpu_remember(uint64_t va, bool global)
{
	remember(va, global, false);
	remember(va, false, true);
}

unsigned fake_cpu_remembered(void)
{
	unsigned count = 0;

	for (size_t i = 0; i < FAKE_CPU_ENTRIES; i++)
		count += fake_cpu.entries[i].is_used;
	return count;
}

bool fake_cpu_knows(uint64_t va, uint16_t pcid)
{
	for (size_t i = 0; i < FAKE_CPU_ENTRIES; i++) {
		const struct fake_cpu_entry *e = &fake_cpu.entries[i];

		if (e->is_used && e->va == va && e->pcid == pcid)
			return true;
	}
	return false;
}

/* ---- what makes it forget -------------------------------------------------------------------- */

static void forget_pcid(uint16_t pcid)
{
	for (size_t i = 0; i < FAKE_CPU_ENTRIES; i++) {
		struct fake_cpu_entry *e = &fake_cpu.entries[i];

		if (e->pcid == pcid && !e->global)
			e->is_used = false;
	}
}

static void forget_all(bool global_too)
{
	for (size_t i = 0; i < FAKE_CPU_ENTRIES; i++) {
		if (global_too || !fake_cpu.entries[i].global)
			fake_cpu.entries[i].is_used = false;
	}
}

/* Bit 63 is reserved, and bits 11:0 are no PCID, where there are no PCIDs. */
void pt_cpu_load_cr3(uint64_t value)
{
	bool has_pcids = fake_cpu.cr4 & PCIDE;

	record(FAKE_CPU_CR3, value, 0, 0);
	if (!has_pcids && value & (UINT64_C(1) << 63 | 0xfff))
		fake_cpu.misuses++;
	fake_cpu.cr3 = value & ~(UINT64_C(1) << 63);
	if (!has_pcids)
		forget_all(false);
	else if (!(value >> 63))
		forget_pcid(current_pcid());
}

/* Links of the current PCID go, whatever they lead to; of pages that one. */
void pt_cpu_invlpg(virt_addr va)
{
	record(FAKE_CPU_INVLPG, va.raw, 0, 0);
	for (size_t i = 0; i < FAKE_CPU_ENTRIES; i++) {
		struct fake_cpu_entry *e = &fake_cpu.entries[i];

		if ((e->is_link && e->pcid == current_pcid()) ||
		    (e->va == va.raw && (e->global || e->pcid == current_pcid())))
			e->is_used = false;
	}
}

static void forget_page_of(uint16_t pcid, uint64_t va)
{
	for (size_t i = 0; i < FAKE_CPU_ENTRIES; i++) {
		struct fake_cpu_entry *e = &fake_cpu.entries[i];

		if (e->pcid == pcid && e->va == va && !e->global)
			e->is_used = false;
	}
}

void pt_cpu_invpcid(enum pt_invpcid type, uint16_t pcid, virt_addr va)
{
	record(FAKE_CPU_INVPCID, va.raw, type, pcid);
	switch (type) {
	case PT_INVPCID_PAGE:
		forget_page_of(pcid, va.raw);
		break;
	case PT_INVPCID_SINGLE:
		forget_pcid(pcid);
		break;
	case PT_INVPCID_ALL:
	case PT_INVPCID_ALL_BUT:
		forget_all(type == PT_INVPCID_ALL);
		break;
	}
	/* Without PCIDs in use, there is none but 0 (SDM 2A, INVPCID). */
	if (pcid > 0xfff || (pcid != 0 && !(fake_cpu.cr4 & PCIDE)))
		fake_cpu.misuses++;
}

void pt_cpu_flush_all(void)
{
	record(FAKE_CPU_ALL, 0, 0, 0);
	forget_all(true);
}
