/* One access to memory in another address space, in ring 0 or in ring 3. */
#ifndef HARDWARE_ACCESS_H
#define HARDWARE_ACCESS_H

#include <stdint.h>

/* What CR3 and the frame of an IRETQ get, and the registers that the code there finds. */
struct access {
	uint64_t root;
	uint64_t ss, rsp, cs, rip;
	uint64_t rdi, rsi, rax;
};

/*
 * Loads CR3 and goes on at rip, with the flags clear. The argument is a struct
 * access, which lies in the image. To be called by trap_catch(): an exception
 * is the only way back, and CR3 stays.
 */
void access_go(uintptr_t request);

/*
 * Code for rip. Reading ends with the word at rsi in RAX, if nothing before
 * faults; success is INT3. The latter two are for ring 3.
 */
extern const char access_read[], access_write[], access_user_read[], access_user_write[];

#endif
