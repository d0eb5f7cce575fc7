/*
 * What stands between the firmware and the kernel: a GDT, TSS and IDT of
 * hoist's own, with a stack for every exception, in force from
 * ExitBootServices until the kernel loads an IDT. An exception then ends in
 * last words (lastwords.h), not in a reset.
 *
 *	gdt   0  null   8  null   10  code   18  data   20  TSS (two entries)
 *	idt   32 interrupt gates, code 10; what comes above them is a #GP
 *	ist   1  every exception but        a second one while the first is
 *	      2  double fault               reported finds IST 1 moved to a
 *	      3  NMI                        stack of its own
 *	      4  machine check
 *
 * All of it lies in the section .switch.data, all code that runs then (and its
 * constants) in .switch.text: whole pages, identity-mapped in both spaces.
 */
#ifndef LOADER_GUARD_H
#define LOADER_GUARD_H

#include <stdbool.h>
#include <stdint.h>

/* Addressed directly: the table that the compiler would look in is not mapped everywhere. */
#define GUARD_HERE __attribute__((visibility("hidden")))

#define GUARD_CODE 0x10
#define GUARD_DATA 0x18
#define GUARD_TSS  0x20

#define GUARD_VECTORS 32

/* 64-bit TSS (SDM 3A 7.7). */
struct guard_tss {
	uint32_t reserved;
	uint64_t rsp[3];
	uint64_t reserved_2;
	uint64_t ist[7]; /* ist[0] is IST 1 */
	uint64_t reserved_3;
	uint16_t reserved_4;
	uint16_t io_map;
} __attribute__((packed));

/* Two entries of the GDT, or one of the IDT. */
struct guard_descriptor {
	uint64_t low, high;
};

struct guard_tables {
	uint64_t gdt[6];
	struct guard_tss tss;
	struct guard_descriptor idt[GUARD_VECTORS];
};

_Static_assert(sizeof(struct guard_tss) == 104, "SDM 3A figure 7-11");
_Static_assert(__builtin_offsetof(struct guard_tables, idt) == 152, "guard.S");

extern struct guard_tables guard_tables;

/* An available 64-bit TSS (SDM 3A 7.2.3). */
struct guard_descriptor guard_tss_descriptor(uint64_t base, uint32_t limit);

/* An interrupt gate of ring 0 on stack `ist` (SDM 3A 6.14.1). */
struct guard_descriptor guard_gate(uint64_t handler, uint16_t selector, unsigned ist);

/* Fills guard_tables. */
void guard_prepare(void);

/* An exception from now on may use IST 1 again, though what runs does so. */
void guard_move_stack(void);

/* ---- assembly; the rest of it is for lastwords.c ------------------------------ */

/* Loads guard_tables, all segment registers, LDTR and TR; interrupts are off from here. */
void guard_arm(void);

/*
 * Reads 8 aligned bytes. False if that faults, by the help of lastwords_fault():
 * the instruction is at guard_read_load, and goes on at guard_read_failed.
 */
bool guard_read(uint64_t address, uint64_t *ret_value);
GUARD_HERE extern const char guard_read_load[], guard_read_failed[];

/* The entries of the exceptions, 16 bytes each, and the end of their stacks, 1 KiB each. */
GUARD_HERE extern const char guard_stubs[];
GUARD_HERE extern char guard_stack_tops[];

_Noreturn void guard_halt(void);
/* Has the processor shut down, which resets the machine. */
_Noreturn void guard_shut_down(void);

#endif
