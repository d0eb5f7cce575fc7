/*
 * Text, letter by letter: there is no libc to lean on.
 */
#include "paging/pt_text.h"

#include "paging/pt_internal.h"

/* ---- writing ------------------------------------------------------------------ */

/* A text that grows, in a buffer that may be too small for it. */
struct text {
	char *bytes;
	size_t size, length;
};

static void text_char(struct text *t, char c)
{
	if (t->length < t->size)
		t->bytes[t->length] = c;
	t->length++;
}

static void text_string(struct text *t, const char *string)
{
	while (*string)
		text_char(t, *string++);
}

/* Blanks up to that length. */
static void text_pad(struct text *t, size_t length)
{
	while (t->length < length)
		text_char(t, ' ');
}

static char text_digit(unsigned digit)
{
	return "0123456789abcdef"[digit & 15];
}

static void text_address(struct text *t, uint64_t address)
{
	for (unsigned shift = 64; shift > 0; shift -= 4)
		text_char(t, text_digit((unsigned)(address >> (shift - 4))));
}

/* At least `width` columns wide, in the right of them. */
static void text_number(struct text *t, uint64_t number, size_t width)
{
	uint64_t unit = 1; /* of the first digit */
	size_t digits = 1;

	for (; number / unit > 9; unit *= 10)
		digits++;
	for (; digits < width; digits++)
		text_char(t, ' ');
	for (; unit > 0; unit /= 10)
		text_char(t, text_digit((unsigned)(number / unit % 10)));
}

static size_t text_end(struct text *t)
{
	if (t->size != 0)
		t->bytes[t->length < t->size ? t->length : t->size - 1] = '\0';
	return t->length;
}

/* ---- parts of a line ------------------------------------------------------------ */

static void text_letter(struct text *t, bool is_set, char letter)
{
	if (is_set)
		text_char(t, letter);
	else
		text_char(t, '-');
}

static void text_flags(struct text *t, uint32_t flags)
{
	static const struct {
		uint32_t flag;
		char letter;
	} letters[] = {
		{ PT_WRITE, 'w' },    { PT_EXEC, 'x' },  { PT_USER, 'u' },  { PT_GLOBAL, 'g' },
		{ PT_SHARED, 's' },   { PT_COW, 'c' },   { PT_SOFT1, '1' }, { PT_SOFT2, '2' },
		{ PT_ACCESSED, 'a' }, { PT_DIRTY, 'd' },
	};
	unsigned key = (flags & PT_KEY_MASK) / PT_KEY(1);

	text_char(t, 'r');
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		text_letter(t, flags & letters[i].flag, letters[i].letter);
	text_letter(t, key != 0, text_digit(key));
}

enum { TEXT_NUMBER = 16, TEXT_CACHE = 3, TEXT_PAGES = 16 };

static void text_range(struct text *t, virt_addr va, uint64_t pages)
{
	text_address(t, va.raw);
	text_char(t, '-');
	text_address(t, va.raw + ((pages << PTE_PAGE_SHIFT) - 1));
	text_string(t, "  ");
}

static void text_attr(struct text *t, struct pt_attr attr)
{
	size_t start;

	text_string(t, "  ");
	text_flags(t, attr.flags);
	text_string(t, "  ");
	start = t->length;
	text_string(t, pt_cache_name(attr.cache));
	text_pad(t, start + TEXT_CACHE);
}

static void text_pages(struct text *t, uint64_t pages)
{
	text_number(t, pages, TEXT_PAGES);
	text_string(t, pages == 1 ? " page " : " pages");
}

/* "4K", "2M", "1G" on x86-64. */
static void text_level(struct text *t, unsigned level)
{
	static const char units[] = "BKMGTPE";
	unsigned shift = level_shift(level);

	text_number(t, UINT64_C(1) << shift % 10, 0);
	text_char(t, units[shift / 10]);
}

static void text_mapping(struct text *t, const struct pt_mapping *m)
{
	text_range(t, m->va, m->pages);
	text_address(t, m->pa.raw);
	text_attr(t, m->attr);
	text_pages(t, m->pages);
}

/* The columns of a mapping, for what has no address and says nothing. */
static void text_nothing(struct text *t, const struct pt_mapping *m, const char *what)
{
	size_t start;

	text_range(t, m->va, m->pages);
	start = t->length;
	text_string(t, what);
	text_pad(t, start + TEXT_NUMBER + 2 + (PT_TEXT_FLAGS - 1) + 2 + TEXT_CACHE);
	text_pages(t, m->pages);
}

static void text_sizes(struct text *t, const struct pt_piece *piece)
{
	const char *before = "  ";

	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		if (piece->leaves[level] == 0)
			continue;
		text_string(t, before);
		text_number(t, piece->leaves[level], 0);
		text_string(t, " x ");
		text_level(t, level);
		before = ", ";
	}
}

/* ---- lines ------------------------------------------------------------------------ */

size_t pt_text_flags(uint32_t flags, char *ret_text, size_t size)
{
	struct text t = { ret_text, size, 0 };

	text_flags(&t, flags);
	return text_end(&t);
}

size_t pt_text_mapping(const struct pt_mapping *m, char *ret_text, size_t size)
{
	struct text t = { ret_text, size, 0 };

	text_mapping(&t, m);
	return text_end(&t);
}

size_t pt_text_leaf(const struct pt_leaf *leaf, char *ret_text, size_t size)
{
	struct text t = { ret_text, size, 0 };

	text_range(&t, leaf->va, leaf->pages);
	text_address(&t, leaf->pa.raw);
	text_attr(&t, leaf->attr);
	text_string(&t, "  ");
	text_level(&t, leaf->level);
	return text_end(&t);
}

size_t pt_text_piece(const struct pt_piece *piece, bool sizes, char *ret_text, size_t size)
{
	struct text t = { ret_text, size, 0 };

	switch (piece->kind) {
	case PTE_LEAF:
		text_mapping(&t, &piece->at);
		if (sizes)
			text_sizes(&t, piece);
		break;
	case PTE_ABSENT:
		text_nothing(&t, &piece->at, "hole");
		break;
	case PTE_SOFT:
		text_nothing(&t, &piece->at, "soft");
		break;
	case PTE_TABLE:
		text_nothing(&t, &piece->at, "tables");
		break;
	}
	return text_end(&t);
}

enum pt_status pt_text_dump(const struct pt_space *space, struct pt_range range, uint64_t budget,
			    const struct pt_text_out *out)
{
	struct pt_pieces pieces;
	struct pt_piece piece;
	char line[PT_TEXT_SIZE];
	enum pt_status status = pt_pieces_start(&pieces, space, range, budget);

	while (status == PT_OK) {
		status = pt_pieces_next(&pieces, &piece);
		if (status != PT_OK || (piece.kind == PTE_ABSENT && !out->holes))
			continue;
		out->line(out->ctx, line, pt_text_piece(&piece, out->sizes, line, sizeof(line)));
	}
	return status == PT_ERR_NOT_MAPPED ? PT_OK : status;
}
