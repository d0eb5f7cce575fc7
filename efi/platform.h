/* What else the firmware tells: configuration tables, the boot volume, the clock. */
#ifndef EFI_PLATFORM_H
#define EFI_PLATFORM_H

#include "efi/boot.h"

/* Fills these parts of boot->source in. */
void platform_describe(struct boot *boot);

#endif
