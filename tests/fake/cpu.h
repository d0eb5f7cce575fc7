/*
 * A processor to be asked and told: it answers what a test has put into it, and
 * forgets translations as the manual says (SDM 3A 4.10.4.1), sharing nothing
 * with the core. It takes the place of paging/cpu_x86_64.c.
 */
#ifndef TESTS_FAKE_CPU_H
#define TESTS_FAKE_CPU_H

#include "paging/cpu.h"

enum { FAKE_CPU_ENTRIES = 64, FAKE_CPU_LOG = 128, FAKE_CPU_LEAVES = 8, FAKE_CPU_MSRS = 4 };

/* One page that the processor remembers, or with `is_link` a link on the way to it. */
struct fake_cpu_entry {
	uint64_t va;
	uint16_t pcid;
	bool global, is_link, is_used;
};

enum fake_cpu_what {
	FAKE_CPU_NOTHING,
	FAKE_CPU_CR3,     /* value */
	FAKE_CPU_INVLPG,  /* value: the address */
	FAKE_CPU_INVPCID, /* type, pcid, value: the address */
	FAKE_CPU_ALL,
};

struct fake_cpu_event {
	enum fake_cpu_what what;
	uint64_t value;
	unsigned type, pcid;
};

struct fake_cpu {
	uint64_t cr3, cr4;
	struct {
		uint32_t leaf;
		struct pt_cpuid id;
	} leaves[FAKE_CPU_LEAVES]; /* the others answer as a leaf that is not there: garbage */
	struct {
		uint32_t number;
		uint64_t value;
	} msrs[FAKE_CPU_MSRS];
	struct fake_cpu_entry entries[FAKE_CPU_ENTRIES];
	struct fake_cpu_event log[FAKE_CPU_LOG];
	unsigned count;   /* of what was executed */
	unsigned misuses; /* registers that do not exist, reserved bits, an INVPCID of no type */
};

/* The one that the calls of cpu.h mean: each thread is a processor. */
extern _Thread_local struct fake_cpu fake_cpu;

/* Remembers a translation, under the current PCID. */
void fake_cpu_remember(uint64_t va, bool global);

/* How many entries are remembered, and whether the one of the page and PCID is. */
unsigned fake_cpu_remembered(void);
bool fake_cpu_knows(uint64_t va, uint16_t pcid);

#endif
