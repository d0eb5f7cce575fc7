#include "tests/kernels/lib/screen.h"

#include "loader/font.h"
#include "tests/kernels/lib/mem.h"

#define LINE_WIDTH 80u
#define MAX_LINES  1024u
/* Screens higher than this many lines of text get larger characters. */
#define COMFORTABLE_ROWS 80u

struct cell {
	char c;
	uint8_t ink;
};

struct line {
	struct cell cells[LINE_WIDTH];
};

static struct {
	uint8_t *pixels;
	uint32_t pitch;
	uint32_t scale;
	uint32_t width;   /* characters of a line */
	uint32_t columns; /* of lines, side by side */
	uint32_t rows;
	uint32_t inks[SCREEN_INKS];
	uint32_t paper;
} screen;

static struct line lines[MAX_LINES]; /* as they are on the screen, column by column */
static uint32_t line, position;      /* where the next character goes */
static enum screen_ink ink;

static uint32_t colour(const struct hoist_framebuffer *fb, uint32_t red, uint32_t green,
		       uint32_t blue)
{
	if (fb->format == HOIST_PIXELS_RGB)
		return red | green << 8 | blue << 16;
	return blue | green << 8 | red << 16;
}

static void fill(uint32_t x, uint32_t y, uint32_t size, uint32_t value)
{
	for (uint32_t row = y; row < y + size; row++) {
		volatile uint32_t *at = (void *)(screen.pixels + (uint64_t)row * screen.pitch);

		for (uint32_t column = x; column < x + size; column++)
			at[column] = value;
	}
}

static void draw(uint32_t x, uint32_t y, struct cell cell)
{
	for (uint32_t row = 0; row < FONT_HEIGHT; row++) {
		uint8_t bits = font_row(cell.c, row);

		for (uint32_t column = 0; column < FONT_WIDTH; column++) {
			bool set = bits >> (FONT_WIDTH - 1 - column) & 1;

			fill(x + column * screen.scale, y + row * screen.scale, screen.scale,
			     set ? screen.inks[cell.ink] : screen.paper);
		}
	}
}

static void put_cell(uint32_t at_line, uint32_t at, struct cell cell)
{
	struct cell *old = &lines[at_line].cells[at];
	uint32_t column = at_line / screen.rows, row = at_line % screen.rows;
	bool same = cell.c == old->c && (cell.ink == old->ink || cell.c == ' ');

	*old = cell;
	/* Drawing is slow, reading back is slower: what is there already stays. */
	if (!same)
		draw((column * LINE_WIDTH + at) * FONT_WIDTH * screen.scale,
		     row * FONT_HEIGHT * screen.scale, cell);
}

static void put_line(uint32_t at_line, const struct line *from)
{
	for (uint32_t i = 0; i < screen.width; i++)
		put_cell(at_line, i, from->cells[i]);
}

static struct line blank_line(void)
{
	struct line blank;

	for (uint32_t i = 0; i < LINE_WIDTH; i++)
		blank.cells[i] = (struct cell){ ' ', SCREEN_PLAIN };
	return blank;
}

static void scroll(void)
{
	uint32_t count = screen.rows * screen.columns;
	uint32_t step = screen.columns > 1 ? screen.rows : 1;
	struct line blank = blank_line();

	for (uint32_t i = 0; i < count; i++)
		put_line(i, i < count - step ? &lines[i + step] : &blank);
	line -= step;
}

static bool understood(const struct hoist_framebuffer *fb)
{
	uint64_t line_bytes = (uint64_t)fb->width * 4;

	return (fb->format == HOIST_PIXELS_RGB || fb->format == HOIST_PIXELS_BGR) && fb->address &&
	       fb->width >= FONT_WIDTH && fb->height >= FONT_HEIGHT && fb->pitch >= line_bytes &&
	       fb->pitch % 4 == 0 &&
	       (uint64_t)fb->pitch * (fb->height - 1) + line_bytes <= fb->size;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void set_geometry(const struct hoist_framebuffer *fb)
{
	uint32_t cells;

	screen.scale = 1;
	while (fb->height / (FONT_HEIGHT * screen.scale) > COMFORTABLE_ROWS)
		screen.scale++;
	if (fb->width < FONT_WIDTH * screen.scale)
		screen.scale = 1;
	cells = fb->width / (FONT_WIDTH * screen.scale);
	screen.width = least(cells, LINE_WIDTH);
	screen.rows = least(fb->height / (FONT_HEIGHT * screen.scale), MAX_LINES);
	screen.columns = cells / screen.width;
	screen.columns = least(screen.columns, MAX_LINES / screen.rows);
}

bool screen_init(const struct hoist_info *info)
{
	const struct hoist_framebuffer *fb = &info->framebuffer;

	screen.pixels = NULL;
	line = position = 0;
	if (!understood(fb))
		return false;
	set_geometry(fb);
	screen.pixels = hoist_ptr(info, fb->address);
	screen.pitch = fb->pitch;
	screen.paper = colour(fb, 0x10, 0x16, 0x20);
	screen.inks[SCREEN_PLAIN] = colour(fb, 0xd8, 0xde, 0xe4);
	screen.inks[SCREEN_STRONG] = colour(fb, 0xff, 0xb8, 0x4d);
	screen.inks[SCREEN_FAINT] = colour(fb, 0x78, 0x88, 0x98);
	for (uint32_t y = 0; y < fb->height; y++) {
		volatile uint32_t *at = (void *)(screen.pixels + (uint64_t)y * fb->pitch);

		for (uint32_t x = 0; x < fb->width; x++)
			at[x] = screen.paper;
	}
	for (uint32_t i = 0; i < MAX_LINES; i++)
		lines[i] = blank_line();
	return true;
}

void screen_set_ink(enum screen_ink new_ink)
{
	ink = new_ink;
}

void screen_put(char c)
{
	if (!screen.pixels)
		return;
	if (c == '\n' || position == screen.width) {
		position = 0;
		line++;
	}
	if (c == '\n')
		return;
	while (line >= screen.rows * screen.columns)
		scroll();
	put_cell(line, position++, (struct cell){ c, (uint8_t)ink });
}
