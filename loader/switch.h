/*
 * The last step: from the firmware's page tables to the kernel's, and into the
 * kernel. Code and data lie in pages of their own in hoist's image; both are
 * identity-mapped in either space, so that nothing changes under the processor
 * when CR3 does. docs/handoff.md says what state the kernel finds.
 */
#ifndef LOADER_SWITCH_H
#define LOADER_SWITCH_H

#include <stdbool.h>
#include <stdint.h>

struct switch_target {
	uint64_t root;      /* 0: for CR3 */
	uint64_t stack_top; /* 8: virtual, 16-byte aligned */
	uint64_t entry;     /* 16: virtual */
	uint64_t argument;  /* 24: for RDI */
	uint64_t pat;       /* 32: for IA32_PAT */
	uint64_t nx;        /* 40: 1 if EFER.NXE is to be set, else 0 */
};

/* Whole pages: code to be mapped R-X, data (the GDT) to be mapped RW-. */
extern const char switch_code[], switch_code_end[];
extern char switch_data[], switch_data_end[];

/*
 * Does not come back. Boot services have ended, the tables at target->root map
 * code and data above at their physical addresses, which are those where they
 * run now.
 */
_Noreturn void switch_enter(const struct switch_target *target);

#endif
