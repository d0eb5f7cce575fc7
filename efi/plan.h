/* From a memory map to reserved memory and finished page tables. */
#ifndef EFI_PLAN_H
#define EFI_PLAN_H

#include "efi/boot.h"

/*
 * Plans the handoff on the memory map of the moment and takes all memory for
 * it; where that changed the map under the plan, plans again, 8 times at most.
 */
bool plan_make(struct boot *boot);

/* Gives back what plan_make() took, for another try. */
void plan_undo(struct boot *boot);

/* Builds the page tables in their place, and audits them. */
bool plan_build_tables(struct boot *boot);

/*
 * Reads the memory map into boot->work.firmware and makes boot->map of it, with
 * what hoist `placed` if it has. EFI_BUFFER_TOO_SMALL if the map has outgrown
 * the work areas. Allocates and prints nothing.
 */
EFI_STATUS plan_use_map(struct boot *boot, bool placed);

/* True if boot->map leads to the very mapping list that was built. */
bool plan_still_holds(const struct boot *boot);

#endif
