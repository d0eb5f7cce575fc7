/*
 * Last words: the one exception to "nothing below efi/ prints". Text for when
 * there is no firmware to print it and no kernel to do so yet.
 *
 *	hoist: fault 14 (page fault) error 0x2 at rip 0xffffffff80001000 cr2 0x10
 *	hoist: rsp 0xffffffff00020ff0 cr3 0x7e00000 cr4 0x620
 *	hoist: cr2, level 4: entry 0 at 0x7e00000 is 0x7e01027: table
 *	hoist: cr2, level 3: entry 0 at 0x7e01000 is 0x0: not present
 *	hoist: halted
 *
 * It runs on stacks of its own, in both spaces, and survives faults of its own.
 */
#ifndef LOADER_LASTWORDS_H
#define LOADER_LASTWORDS_H

#include "loader/hoist.h"
#include "loader/voice.h"

#include <stdbool.h>
#include <stdint.h>

struct lastwords_setup {
	struct hoist_framebuffer framebuffer;
	uint16_t serial_port; /* 0: none */
	uint32_t serial_speed;
	uint8_t max_leaf, phys_bits; /* of the processor */
	bool nx;
	bool reset; /* after a fault; else halt */
};

struct lastwords {
	uint64_t base;  /* where physical address 0 is mapped; switch.S knows its place */
	uint32_t depth; /* faults that are being reported */
	uint8_t max_leaf, phys_bits;
	bool nx, reset;
	struct voice voice;
};

extern struct lastwords lastwords;

/* What guard.S pushes, then the processor (SDM 3A 6.14.2). */
struct lastwords_frame {
	uint64_t cr4, cr3, cr2;
	uint64_t vector;
	uint64_t error; /* 0 where the vector has none */
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Physical memory is mapped where it is, until switch.S says otherwise. */
void lastwords_prepare(const struct lastwords_setup *setup);

/* Says `text`; a line ends with a line feed. */
void lastwords_say(const char *text);

/*
 * Called by the stubs of guard.S. Comes back only from a fault of
 * guard_read(), which then goes on; any other is reported and ends in
 * guard_halt() or a reset, a fault in the report of another in one more line,
 * one in that line in silence.
 */
void lastwords_fault(struct lastwords_frame *frame);

#endif
