/*
 * The machine that the prober runs on: QEMU's q35 with 8 GiB, so 2 GiB of RAM
 * from 0 and 6 GiB from 4 GiB on (hw/i386/pc_q35.c, pc_q35_init). What spaces
 * map lies in two pools; image and tables lie below them.
 */
#ifndef HARDWARE_MACHINE_H
#define HARDWARE_MACHINE_H

#include "paging/pt.h"

#define MACHINE_MIB UINT64_C(0x100000)
#define MACHINE_GIB UINT64_C(0x40000000)

/* Where the image is linked, less its physical address. */
#define MACHINE_WINDOW UINT64_C(0xffffffff80000000)

#define MACHINE_TABLES      (8 * MACHINE_MIB)
#define MACHINE_TABLE_COUNT 8192u
#define MACHINE_LOW_POOL    (64 * MACHINE_MIB)
#define MACHINE_LOW_END     (2 * MACHINE_GIB)
#define MACHINE_HIGH_POOL   (4 * MACHINE_GIB)
#define MACHINE_HIGH_END    (10 * MACHINE_GIB)

/* Borders in the image: code, a page of code for ring 3, constants, data, the end. */
extern char image_text[], image_user[], image_rodata[], image_data[], image_end[];

/* Maps all RAM at machine_ptr(), sets IA32_PAT, and finds out about the processor. */
void machine_init(void);

/* The processor as it has been set up. */
const struct pt_cpu *machine_cpu(void);

/* Those of CPU_CR4_SMEP and CPU_CR4_SMAP that the processor has. */
uint64_t machine_cr4_guards(void);

/* Physical memory, while the prober's own tables are loaded. */
void *machine_ptr(uint64_t address);

/* The tables below MACHINE_TABLES, as the library wants them described. */
struct pt_mem machine_mem(void);

/* The value of CR3 with which the prober started. */
uint64_t machine_root(void);

#endif
