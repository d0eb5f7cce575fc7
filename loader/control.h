/*
 * Control registers as the kernel finds them, as functions of what the
 * firmware left in them; docs/handoff.md has the table.
 */
#ifndef LOADER_CONTROL_H
#define LOADER_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * CR4, to be written before CR3 is loaded: without PGE and PCIDE, and their
 * going from 1 to 0 drops every translation, global ones too, of every PCID
 * (SDM 3A 4.10.4.1). From then on none becomes global, so the load of CR3
 * drops all that the firmware's tables may have left meanwhile.
 */
uint64_t control_cr4(uint64_t firmware);

/* EFER: long mode, and NX where the processor has it. */
uint64_t control_efer(bool nx);

#endif
