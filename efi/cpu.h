/* The processor that hoist runs on. */
#ifndef EFI_CPU_H
#define EFI_CPU_H

#include "loader/hoist.h"
#include "paging/pt.h"

/* What page tables can have here: levels as in use, NX, largest leaf, physical width. */
struct pt_cpu cpu_detect(void);

/* What the kernel is told of it. */
struct hoist_cpu cpu_describe(void);

bool cpu_has_rdrand(void);
bool cpu_has_rdseed(void);

uint64_t cpu_tsc(void);

/*
 * Frequency of the time-stamp counter in Hz: as the processor states it (CPUID
 * leaf 0x15), else counted while the firmware stalls for a few milliseconds,
 * else 0. Only before ExitBootServices.
 */
uint64_t cpu_tsc_hz(void);

uint64_t cpu_cr4(void);

#endif
