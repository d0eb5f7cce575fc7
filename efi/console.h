/*
 * What hoist says, on the firmware's console and on a serial port. The port is
 * written directly, unless the firmware's console goes there already.
 */
#ifndef EFI_CONSOLE_H
#define EFI_CONSOLE_H

#include "loader/config.h"
#include "loader/status.h"

#include <efi.h>
#include <stdbool.h>

/* Serial output as configured; before it there is none. */
void console_serial(const struct config *config);

/* As Print() of gnu-efi: %a is a char *, %s a CHAR16 *, %d, %lx and so on. One line is 512
 * characters. */
void console_print(const CHAR16 *format, ...);

/* "hoist: <subject>: <message>", the one line that says why a boot failed. */
void console_fail(const char *subject, const CHAR16 *format, ...);

/* The same from a detail of loader/'s. */
void console_error(const char *subject, const struct loader_error *error);

/* What the input says, made fit for a terminal and cut to `room` bytes with a NUL. */
void console_quote(char *ret_text, size_t room, const char *text, uint32_t length);

/* Waits for a key, `seconds` at most; returns at once where there is no input. */
void console_wait(unsigned seconds);

#endif
