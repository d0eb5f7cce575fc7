#include "efi/console.h"

#include "efi/devpath.h"
#include "loader/uart.h"

#include <efilib.h>

#define LINE 512

static struct uart uart;

/*
 * True if one of the device paths in these bytes, end nodes between them, goes
 * through a UART (UEFI 2.10, 10.3.4.14).
 */
static bool paths_have_uart(const uint8_t *node, UINTN size)
{
	while (size >= 4) {
		UINTN length = devpath_length(node);

		if (devpath_is(node, MESSAGING_DEVICE_PATH, MSG_UART_DP))
			return true;
		if (length < 4 || length > size)
			return false;
		node = devpath_next(node);
		size -= length;
	}
	return false;
}

/* The variable ConOut lists the devices of the console (UEFI 2.10, 3.3). */
static bool console_has_uart(void)
{
	static CHAR16 name[] = L"ConOut";
	EFI_GUID global = EFI_GLOBAL_VARIABLE;
	uint8_t path[1024];
	UINTN size = sizeof(path);

	EFI_STATUS status = RT->GetVariable(name, &global, NULL, &size, path);

	/* Where there are so many consoles, one is a UART. */
	return status == EFI_BUFFER_TOO_SMALL ||
	       (!EFI_ERROR(status) && paths_have_uart(path, size));
}

void console_serial(const struct config *config)
{
	if (config->serial_port != 0 && !console_has_uart())
		uart_start(&uart, config->serial_port, config->serial_speed);
}

/* ---- lines ------------------------------------------------------------------ */

static void put(CHAR16 *line)
{
	if (ST->ConOut)
		ST->ConOut->OutputString(ST->ConOut, line);
	for (; uart.port && *line; line++)
		uart_put(&uart, *line < 0x80 ? (uint8_t)*line : '?');
}

/* UnicodeVSPrint() makes \r\n of \n. */
static void print(const CHAR16 *format, va_list arguments)
{
	static CHAR16 line[LINE];

	UnicodeVSPrint(line, sizeof(line), format, arguments);
	put(line);
}

void console_print(const CHAR16 *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
}

void console_fail(const char *subject, const CHAR16 *format, ...)
{
	va_list arguments;

	console_print(L"hoist: %a: ", subject);
	va_start(arguments, format);
	print(format, arguments);
	va_end(arguments);
	console_print(L"\n");
}

void console_quote(char *ret_text, size_t room, const char *text, uint32_t length)
{
	size_t n = 0;

	for (; n < length && n + 1 < room; n++)
		ret_text[n] = (char)(text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?');
	ret_text[n] = 0;
}

void console_error(const char *subject, const struct loader_error *error)
{
	char value[80];

	console_print(L"hoist: %a: %a", subject, error->where);
	if (error->index != LOADER_NO_INDEX)
		console_print(L" %d", error->index);
	if (error->text) {
		console_quote(value, sizeof(value), error->text, error->text_length);
		console_print(L": %a is \"%a\"", error->field, value);
	} else {
		console_print(L": %a is 0x%lx", error->field, error->value);
	}
	console_print(L", expected %a: %a\n", error->expected, loader_strerror(error->status));
}

/* ---- waiting ---------------------------------------------------------------- */

/* Takes keys out of the buffer: what follows hoist must not get the one meant for it. */
static void drain_keys(void)
{
	EFI_INPUT_KEY key;

	while (!EFI_ERROR(ST->ConIn->ReadKeyStroke(ST->ConIn, &key)))
		;
}

void console_wait(unsigned seconds)
{
	EFI_EVENT events[2] = { NULL, NULL };
	UINTN index;

	if (!ST->ConIn || !ST->ConIn->WaitForKey ||
	    EFI_ERROR(BS->CreateEvent(EVT_TIMER, 0, NULL, NULL, &events[1])))
		return;
	events[0] = ST->ConIn->WaitForKey;
	drain_keys();
	console_print(L"hoist: press a key to return to the firmware\n");
	if (!EFI_ERROR(BS->SetTimer(events[1], TimerRelative, seconds * 10000000ull)))
		BS->WaitForEvent(2, events, &index);
	BS->CloseEvent(events[1]);
	drain_keys();
}
