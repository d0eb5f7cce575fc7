/* A serial port of the 8250 family: out only, polled, never waited for without end. */
#ifndef LOADER_UART_H
#define LOADER_UART_H

#include <stdint.h>

/* The rate that all others divide. */
#define UART_BASE_RATE 115200u

struct uart {
	uint16_t port; /* 0: none, or none any more */
};

/* Sets `speed`, which divides UART_BASE_RATE, 8 data bits, no parity, 1 stop bit. */
void uart_start(struct uart *ret_uart, uint16_t port, uint32_t speed);

/*
 * Sends a byte. Gives up for good, and is then silent, on a port that is
 * absent (its status reads 0xff) or does not become ready within about 0.1 s.
 */
void uart_put(struct uart *uart, uint8_t byte);

#endif
