/*
 * A small printf. Conversions: %d %u %x (with l for 64 bits), %s, %c, %p (16
 * hexadecimal digits) and %%; flags '-' and '0'; a width; a precision for %s;
 * '*' for either. Nothing else.
 */
#ifndef KERNELS_PRINT_H
#define KERNELS_PRINT_H

#include <stdarg.h>
#include <stddef.h>

#define PRINT_MAX_SINKS 4

/* From now on print_out() puts every character into this one too. */
void print_add_sink(void (*put)(char c));

void print_out(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes at most size - 1 characters and a NUL; size > 0. */
void print_text(char *buffer, size_t size, const char *format, va_list list)
	__attribute__((format(printf, 3, 0)));

#endif
