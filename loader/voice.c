#include "loader/voice.h"

#include "loader/font.h"
#include "loader/guard.h"
#include "loader/port.h"

#define CONSOLE 0xe9

void voice_init(struct voice *ret_voice, const struct hoist_framebuffer *framebuffer,
		uint16_t serial_port, uint32_t serial_speed)
{
	uint32_t bytes = (framebuffer->bits_per_pixel + 7) / 8;
	uint32_t width = framebuffer->width;

	*ret_voice = (struct voice){ .serial_port = serial_port, .serial_speed = serial_speed };
	if (framebuffer->format == HOIST_PIXELS_NONE || bytes == 0 || bytes > 4)
		return;
	/* Firmware is known to lie about one of them. */
	if (width > framebuffer->pitch / bytes)
		width = framebuffer->pitch / bytes;
	if (width < FONT_WIDTH)
		return;
	ret_voice->screen = (struct voice_screen){
		.address = framebuffer->address,
		.columns = width / FONT_WIDTH,
		.rows = framebuffer->height / FONT_HEIGHT,
		.pitch = framebuffer->pitch,
		.bytes = bytes,
		.ink = framebuffer->red_mask | framebuffer->green_mask | framebuffer->blue_mask,
	};
}

/* ---- screen ---------------------------------------------------------------- */

static void set_pixel(uint64_t at, uint32_t bytes, uint32_t value)
{
	if (bytes == 4) {
		*(volatile uint32_t *)(uintptr_t)at = value;
		return;
	}
	for (uint32_t i = 0; i < bytes; i++)
		*(volatile uint8_t *)(uintptr_t)(at + i) = (uint8_t)(value >> (8 * i));
}

static void draw(const struct voice_screen *s, uint64_t base, char c)
{
	uint64_t line = base + s->address + (uint64_t)s->row * FONT_HEIGHT * s->pitch +
			(uint64_t)s->column * FONT_WIDTH * s->bytes;

	for (unsigned y = 0; y < FONT_HEIGHT; y++, line += s->pitch) {
		uint8_t bits = font_row(c, y);

		for (unsigned x = 0; x < FONT_WIDTH; x++)
			set_pixel(line + (uint64_t)x * s->bytes, s->bytes,
				  bits & (0x80 >> x) ? s->ink : 0);
	}
}

/* Blanks the row that the next character begins; false if it is not mapped. */
static bool begin_row(struct voice_screen *s, uint64_t base)
{
	uint64_t size = (uint64_t)FONT_HEIGHT * s->pitch, value;
	uint64_t first = base + s->address + s->row * size;

	if (!guard_read(first & ~UINT64_C(7), &value) ||
	    !guard_read((first + size - 1) & ~UINT64_C(7), &value))
		return false;
	for (s->column = 0; s->column < s->columns; s->column++)
		draw(s, base, ' ');
	s->column = 0;
	return true;
}

static void end_row(struct voice_screen *s)
{
	s->column = 0;
	s->row = s->row + 1 < s->rows ? s->row + 1 : 0;
}

static void screen_put(struct voice_screen *s, uint64_t base, char c)
{
	if (s->rows == 0)
		return;
	if (c == '\n') {
		end_row(s);
		return;
	}
	if (s->column == s->columns)
		end_row(s);
	if (s->column == 0 && !begin_row(s, base)) {
		s->rows = 0;
		return;
	}
	draw(s, base, c);
	s->column++;
}

/* ---- all of them ------------------------------------------------------------ */

static void start(struct voice *voice)
{
	voice->started = true;
	/* It reads as its own number where there is one; elsewhere the port is left alone. */
	voice->console = port_in8(CONSOLE) == CONSOLE;
	if (voice->serial_port != 0)
		uart_start(&voice->uart, voice->serial_port, voice->serial_speed);
}

void voice_put(struct voice *voice, uint64_t base, char c)
{
	if (!voice->started)
		start(voice);
	if (voice->console)
		port_out8(CONSOLE, (uint8_t)c);
	if (c == '\n')
		uart_put(&voice->uart, '\r');
	uart_put(&voice->uart, (uint8_t)c);
	screen_put(&voice->screen, base, c);
}
