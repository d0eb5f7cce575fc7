/* hoist.conf and the load options. */
#ifndef EFI_SETTINGS_H
#define EFI_SETTINGS_H

#include "efi/boot.h"

/*
 * Finds the boot volume and the configuration, and reads both it and the load
 * options into boot->config. The rules are in the README, "Configuration".
 */
bool settings_read(struct boot *boot);

#endif
