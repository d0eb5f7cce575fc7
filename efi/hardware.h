/* What no memory map tells of: interrupt controllers, processors, timer, PCI Express. */
#ifndef EFI_HARDWARE_H
#define EFI_HARDWARE_H

#include "efi/boot.h"

/*
 * Reads the ACPI tables into boot->acpi, and makes the planner's list of
 * devices of them and of the framebuffer. Tables that are wrong are named on
 * the console and do without; false if there is no memory for the lists.
 */
bool hardware_find(struct boot *boot);

#endif
