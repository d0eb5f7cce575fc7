/* The kernel and its modules, as files. */
#ifndef EFI_KERNEL_H
#define EFI_KERNEL_H

#include "efi/boot.h"

/* Reads and checks the kernel, and finds out how large the modules are. */
bool kernel_read(struct boot *boot);

/* Puts kernel and modules where the plan wants them. May be repeated for another plan. */
bool kernel_load(struct boot *boot);

#endif
