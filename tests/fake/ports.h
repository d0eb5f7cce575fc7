/*
 * What guard.S is to the loader, for tests: ports with a debug console, a UART
 * and nothing else behind them, reads that fail where nothing is, an end that
 * comes back.
 */
#ifndef FAKE_PORTS_H
#define FAKE_PORTS_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORTS_UART   0x3f8
#define PORTS_TEXT   8192
#define PORTS_WRITES 64

enum ports_end { PORTS_RUNS, PORTS_HALTED, PORTS_SHUT_DOWN };

struct ports_write {
	uint16_t port;
	uint8_t value;
};

struct ports {
	/* For the test to set. */
	bool console;       /* port 0xE9 reads as 0xE9 */
	bool uart;          /* there is one at PORTS_UART */
	uint32_t busy;      /* reads of its status until it is ready again after a byte */
	const char *memory; /* what guard_read() can read */
	size_t memory_size;
	jmp_buf end; /* where guard_halt() and guard_shut_down() go */

	/* For the test to look at. */
	char console_text[PORTS_TEXT], uart_text[PORTS_TEXT];
	size_t console_length, uart_length;
	uint32_t waited;                         /* reads of the UART's status */
	uint32_t reads;                          /* of all ports */
	struct ports_write writes[PORTS_WRITES]; /* the first, but for text */
	size_t write_count;
	enum ports_end ended;
};

extern struct ports ports;

/* All devices there, nothing said yet, nothing readable. */
void ports_init(void);

#endif
