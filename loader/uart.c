#include "loader/uart.h"

#include "loader/port.h"

/* PC16550D data sheet, section 8. */
#define DATA         0
#define DIVISOR_LOW  0
#define INTERRUPTS   1
#define DIVISOR_HIGH 1
#define FIFO         2
#define LINE         3
#define MODEM        4
#define STATUS       5

#define LINE_8N1     0x03
#define LINE_DIVISOR 0x80
#define STATUS_EMPTY 0x20
#define ABSENT       0xff

/* A character takes 100 us at 115200; a port access about 1 us. */
#define PATIENCE 100000

static void put(const struct uart *uart, unsigned number, uint8_t value)
{
	port_out8((uint16_t)(uart->port + number), value);
}

void uart_start(struct uart *ret_uart, uint16_t port, uint32_t speed)
{
	uint32_t divisor = UART_BASE_RATE / speed;

	ret_uart->port = port;
	put(ret_uart, INTERRUPTS, 0);
	put(ret_uart, LINE, LINE_DIVISOR);
	put(ret_uart, DIVISOR_LOW, (uint8_t)divisor);
	put(ret_uart, DIVISOR_HIGH, (uint8_t)(divisor >> 8));
	put(ret_uart, LINE, LINE_8N1);
	put(ret_uart, FIFO, 0x07);
	put(ret_uart, MODEM, 0x03);
}

void uart_put(struct uart *uart, uint8_t byte)
{
	if (uart->port == 0)
		return;
	for (unsigned i = 0; i < PATIENCE; i++) {
		uint8_t status = port_in8((uint16_t)(uart->port + STATUS));

		if (status == ABSENT)
			break;
		if (status & STATUS_EMPTY) {
			put(uart, DATA, byte);
			return;
		}
	}
	uart->port = 0;
}
