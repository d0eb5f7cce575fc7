/*
 * Leaving QEMU. The port belongs to its device isa-debug-exit, and on a real
 * machine to who knows what: it must only be written when the command line
 * says `qemu-exit`.
 */
#ifndef KERNELS_QEMU_H
#define KERNELS_QEMU_H

#include "tests/kernels/lib/cpu.h"

#define QEMU_EXIT_PORT 0xf4

/* QEMU's exit code is (value << 1) | 1: 33 for success, 35 for failure. */
static inline _Noreturn void qemu_exit(bool success)
{
	cpu_out32(QEMU_EXIT_PORT, success ? 0x10 : 0x11);
	cpu_halt();
}

#endif
