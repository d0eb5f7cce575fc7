/* The framebuffer, by the graphics output protocol (UEFI 2.10, 12.9). */
#ifndef EFI_DISPLAY_H
#define EFI_DISPLAY_H

#include "efi/boot.h"

/*
 * Sets the configured resolution and describes the framebuffer in
 * boot->source.info. A machine without a display is no error, unless the kernel
 * requires one.
 */
bool display_choose(struct boot *boot);

#endif
