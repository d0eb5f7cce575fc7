#include "tests/kernels/lib/print.h"

#include <stdbool.h>
#include <stdint.h>

/* Where characters go: to a buffer, or to the sinks if there is none. */
struct output {
	char *buffer;
	size_t left;
};

/* What stands behind '%'. */
struct spec {
	bool left, zero, wide;
	char letter;
	int width;
	int precision;
};

/* For a width or a precision that is the next argument, and for no precision. */
#define FROM_ARGUMENT (-1)
#define NO_PRECISION  (-2)

static void (*sinks[PRINT_MAX_SINKS])(char c);
static unsigned sink_count;

void print_add_sink(void (*put)(char c))
{
	if (sink_count < PRINT_MAX_SINKS)
		sinks[sink_count++] = put;
}

static void put(struct output *output, char c)
{
	if (!output->buffer) {
		for (unsigned i = 0; i < sink_count; i++)
			sinks[i](c);
	} else if (output->left > 1) {
		*output->buffer++ = c;
		output->left--;
	}
}

static void put_padding(struct output *output, char c, int count)
{
	for (; count > 0; count--)
		put(output, c);
}

/* `text` behind a sign, if there is one, in a field as wide as `spec` wants. */
static void put_field(struct output *output, const struct spec *spec, const char *text, int length)
{
	bool negative = spec->zero && length > 0 && text[0] == '-';
	int missing = spec->width - length;

	if (negative)
		put(output, '-');
	if (!spec->left)
		put_padding(output, spec->zero ? '0' : ' ', missing);
	for (int i = negative; i < length; i++)
		put(output, text[i]);
	if (spec->left)
		put_padding(output, ' ', missing);
}

static void put_string(struct output *output, struct spec *spec, const char *text)
{
	int length = 0;

	if (!text)
		text = "(null)";
	while ((spec->precision < 0 || length < spec->precision) && text[length])
		length++;
	spec->zero = false;
	put_field(output, spec, text, length);
}

static void put_number(struct output *output, const struct spec *spec, uint64_t value,
		       unsigned base, bool negative)
{
	char digits[24];
	char *first = digits + sizeof(digits);

	do {
		*--first = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative)
		*--first = '-';
	put_field(output, spec, first, (int)(digits + sizeof(digits) - first));
}

/* A number, or FROM_ARGUMENT for '*'. */
static const char *read_int(const char *format, int *ret_value)
{
	int value = 0;

	if (*format == '*') {
		*ret_value = FROM_ARGUMENT;
		return format + 1;
	}
	for (; *format >= '0' && *format <= '9'; format++)
		value = value * 10 + (*format - '0');
	*ret_value = value;
	return format;
}

static const char *read_spec(const char *format, struct spec *ret_spec)
{
	struct spec spec = { .precision = NO_PRECISION };

	for (; *format == '-' || *format == '0'; format++) {
		spec.left |= *format == '-';
		spec.zero |= *format == '0';
	}
	spec.zero &= !spec.left;
	format = read_int(format, &spec.width);
	if (*format == '.')
		format = read_int(format + 1, &spec.precision);
	if (*format == 'l') {
		spec.wide = true;
		format++;
	}
	spec.letter = *format;
	*ret_spec = spec;
	return *format ? format + 1 : format;
}

/* `value` as it was passed, sign-extended from an int if it was one. */
static void put_integer(struct output *output, const struct spec *spec, uint64_t value)
{
	char c = (char)value;

	if (spec->letter == 'c')
		put_field(output, spec, &c, 1);
	else if (spec->letter == 'd' && (int64_t)value < 0)
		put_number(output, spec, -value, 10, true);
	else
		put_number(output, spec, spec->wide ? value : (uint32_t)value,
			   spec->letter == 'x' ? 16 : 10, false);
}

static void put_pointer(struct output *output, const void *pointer)
{
	static const struct spec spec = { .zero = true, .width = 16 };

	put_number(output, &spec, (uintptr_t)pointer, 16, false);
}

/* All arguments are fetched here: a va_list that was passed on is of no more use. */
static void format_to(struct output *output, const char *format, va_list list)
{
	while (*format) {
		struct spec spec;

		if (*format != '%') {
			put(output, *format++);
			continue;
		}
		format = read_spec(format + 1, &spec);
		if (spec.width == FROM_ARGUMENT)
			spec.width = va_arg(list, int);
		if (spec.precision == FROM_ARGUMENT)
			spec.precision = va_arg(list, int);
		if (spec.letter == 's')
			put_string(output, &spec, va_arg(list, const char *));
		else if (spec.letter == 'p')
			put_pointer(output, va_arg(list, const void *));
		else if (spec.letter == '%')
			put(output, '%');
		else if (spec.wide)
			put_integer(output, &spec, va_arg(list, uint64_t));
		else if (spec.letter)
			put_integer(output, &spec, (uint64_t)va_arg(list, int));
	}
}

void print_out(const char *format, ...)
{
	struct output output = { .buffer = NULL };
	va_list list;

	va_start(list, format);
	format_to(&output, format, list);
	va_end(list);
}

void print_text(char *buffer, size_t size, const char *format, va_list list)
{
	struct output output = { .buffer = buffer, .left = size };

	format_to(&output, format, list);
	*output.buffer = '\0';
}
