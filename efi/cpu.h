/* The processor that hoist runs on. */
#ifndef EFI_CPU_H
#define EFI_CPU_H

#include "paging/pt.h"

/* What page tables can have here: levels as in use, NX, largest leaf, physical width. */
struct pt_cpu cpu_detect(void);

uint64_t cpu_tsc(void);

/*
 * Frequency of the time-stamp counter in Hz: as the processor states it (CPUID
 * leaf 0x15), else counted while the firmware stalls for 5 ms, else 0. Only
 * before ExitBootServices.
 */
uint64_t cpu_tsc_hz(void);

uint64_t cpu_cr4(void);

#endif
