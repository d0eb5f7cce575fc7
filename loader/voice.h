/*
 * Where last words go: port 0xE9 (a debug console of virtual machines), a
 * UART, and the framebuffer. Each may be absent, and none is waited for without
 * end.
 */
#ifndef LOADER_VOICE_H
#define LOADER_VOICE_H

#include "loader/hoist.h"
#include "loader/uart.h"

#include <stdbool.h>
#include <stdint.h>

struct voice_screen {
	uint64_t address;       /* physical, of the first pixel */
	uint32_t columns, rows; /* characters; no rows: no screen, or none any more */
	uint32_t pitch;         /* bytes from one line of pixels to the next */
	uint32_t bytes;         /* of a pixel */
	uint32_t ink;           /* the value of a white pixel */
	uint32_t column, row;   /* of the next character */
};

struct voice {
	uint16_t serial_port; /* 0: none */
	uint32_t serial_speed;
	bool started; /* what follows is set up by the first character */
	bool console; /* somebody listens on port 0xE9 */
	struct uart uart;
	struct voice_screen screen;
};

/* Prepares; touches no device. */
void voice_init(struct voice *ret_voice, const struct hoist_framebuffer *framebuffer,
		uint16_t serial_port, uint32_t serial_speed);

/*
 * A line feed begins a new line everywhere (the UART gets a carriage return
 * first); the screen fills from the top, and again from there. `base` is where
 * physical address 0 is mapped. A screen that is not mapped there is left out.
 */
void voice_put(struct voice *voice, uint64_t base, char c);

#endif
