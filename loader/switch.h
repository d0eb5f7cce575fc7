/*
 * The last step: from the firmware's page tables to the kernel's, and into the
 * kernel. docs/handoff.md says what state the kernel finds.
 *
 * Code and data that must be there in both spaces lie in pages of their own in
 * hoist's image, identity-mapped in either: the switch, the guard (guard.h) and
 * last words (lastwords.h). efi/hoist.lds collects them.
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
	uint64_t efer;      /* 40: control_efer() */
	uint64_t cr4;       /* 48: control_cr4() */
	uint64_t base;      /* 56: where physical address 0 is mapped in the new space */
};

/* Whole pages: code and its constants, to be mapped R-X; data, to be mapped RW-. */
extern const char switch_code[], switch_code_end[];
extern char switch_data[], switch_data_end[];

/*
 * Does not come back. Boot services have ended, the guard is armed, the tables
 * at target->root map code and data above at their physical addresses, which
 * are those where they run now.
 */
_Noreturn void switch_enter(const struct switch_target *target);

#endif
