#include "tests/fake/ports.h"

#include "loader/guard.h"
#include "loader/port.h"

#include <string.h>

#define CONSOLE 0xe9

#define UART_DATA    0
#define UART_LINE    3
#define UART_STATUS  5
#define LINE_DIVISOR 0x80
#define EMPTY        0x60

struct ports ports;

const char guard_read_load[1], guard_read_failed[1];
const char guard_stubs[16 * GUARD_VECTORS];
char guard_stack_tops[1];

static bool divisor; /* the UART's data register is its divisor */
static uint32_t busy;

void ports_init(void)
{
	memset(&ports, 0, sizeof(ports));
	ports.console = true;
	ports.uart = true;
	divisor = false;
	busy = 0;
}

uint8_t port_in8(uint16_t port)
{
	ports.reads++;
	if (port == CONSOLE && ports.console)
		return CONSOLE;
	if (port != PORTS_UART + UART_STATUS || !ports.uart)
		return 0xff;
	ports.waited++;
	if (busy == 0)
		return EMPTY;
	busy--;
	return 0;
}

static void append(char *text, size_t *length, uint8_t value)
{
	if (*length + 1 < PORTS_TEXT)
		text[(*length)++] = (char)value;
}

static void note(uint16_t port, uint8_t value)
{
	if (ports.write_count < PORTS_WRITES)
		ports.writes[ports.write_count++] = (struct ports_write){ port, value };
}

void port_out8(uint16_t port, uint8_t value)
{
	if (port == CONSOLE && ports.console) {
		append(ports.console_text, &ports.console_length, value);
	} else if (port == PORTS_UART + UART_DATA && ports.uart && !divisor) {
		append(ports.uart_text, &ports.uart_length, value);
		busy = ports.busy;
	} else {
		note(port, value);
	}
	if (port == PORTS_UART + UART_LINE)
		divisor = value & LINE_DIVISOR;
}

bool guard_read(uint64_t address, uint64_t *ret_value)
{
	uint64_t offset = address - (uintptr_t)ports.memory;

	if (offset >= ports.memory_size || ports.memory_size - offset < sizeof(*ret_value))
		return false;
	memcpy(ret_value, ports.memory + offset, sizeof(*ret_value));
	return true;
}

void guard_arm(void)
{
}

void guard_halt(void)
{
	ports.ended = PORTS_HALTED;
	longjmp(ports.end, 1);
}

void guard_shut_down(void)
{
	ports.ended = PORTS_SHUT_DOWN;
	longjmp(ports.end, 1);
}
