/*
 * The kernel's own GDT, TSS and IDT, and exceptions as results: trap_catch()
 * runs something and says whether it faulted.
 */
#ifndef KERNELS_TRAP_H
#define KERNELS_TRAP_H

#include <stdbool.h>
#include <stdint.h>

struct trap {
	uint64_t vector;
	uint64_t error;   /* 0 if the vector has none */
	uint64_t address; /* CR2, whatever the vector */
	uint64_t rip;     /* of the instruction that faulted; behind INT3 */
	uint64_t rax;
};

/* Segment selectors; those of ring 3 with their privilege level. */
#define TRAP_CODE      0x08u
#define TRAP_DATA      0x10u
#define TRAP_USER_CODE 0x1bu
#define TRAP_USER_DATA 0x23u

/*
 * Loads tables and segment registers that lie in the kernel's image. Exceptions
 * run on a stack of their own. Ring 3 may execute INT3.
 */
void trap_init(void);

/*
 * Calls action(argument). False if it returned. True if an exception ended it;
 * then *ret_trap says which, and ring 0 has the processor
 * again, whatever the action did to that. Not to be nested.
 */
bool trap_catch(void (*action)(uintptr_t), uintptr_t argument, struct trap *ret_trap);

/* The kernel's: an exception outside of trap_catch(). */
_Noreturn void trap_unexpected(const struct trap *trap);

#endif
