/* What hoist tells the user about the boot under way. */
#ifndef EFI_REPORT_H
#define EFI_REPORT_H

#include "efi/boot.h"

void report_start(void);

/* Where things are, how they are mapped; with verbose = on the whole list. */
void report_plan(const struct boot *boot);

#endif
