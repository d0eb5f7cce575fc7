/* Leaving boot services (UEFI 2.10, 7.4.6). */
#ifndef EFI_EXIT_H
#define EFI_EXIT_H

#include "efi/boot.h"

enum exit_result {
	EXIT_DONE,    /* the machine is ours, the guard armed; no firmware call any more */
	EXIT_CHANGED, /* memory is no longer as planned; boot services are still there */
};

/*
 * Writes the boot information, takes the final memory map, compares it with
 * the plan, and exits; with a fresh key as often as the firmware wants, 8 times
 * at most. A failed exit may have shut down half of the firmware, so from then
 * on nothing can be given up: what goes wrong then is said in last words, and
 * resets the machine. guard_prepare() and lastwords_prepare() come before.
 */
enum exit_result exit_boot_services(struct boot *boot);

#endif
