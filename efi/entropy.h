/* Randomness of the processor's and the firmware's, for the kernel. */
#ifndef EFI_ENTROPY_H
#define EFI_ENTROPY_H

#include "loader/hoist.h"

/*
 * Fills info->entropy: the exclusive or of what all sources give that are
 * there, so that it is as good as the best of them. Without any it is all zero.
 */
void entropy_gather(struct hoist_info *info);

#endif
