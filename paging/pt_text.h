/*
 * Mappings as text, in lines of fixed columns:
 *
 *	0000000000400000-00000000005fffff  0000000012200000  r-xu-------3  WB              512 pages
 *	ffffffff80000000-ffffffff80003fff  0000000000200000  rw--g-------  UC-               4 pages
 *	virtual, first and last byte       physical          flags         cache          length
 *
 * The flags, each a letter in its place or a dash:
 *
 *	r w x u g  readable, PT_WRITE, PT_EXEC, PT_USER, PT_GLOBAL
 *	s c 1 2    PT_SHARED, PT_COW, PT_SOFT1, PT_SOFT2
 *	a d        PT_ACCESSED, PT_DIRTY
 *	1 to f     the protection key
 *
 * The functions that format work like snprintf(): they write at most `size`
 * bytes to `ret_text`, the last of them a zero, and return the length that the
 * text has where there is room enough. With a size of 0 nothing is written.
 */
#ifndef PAGING_PT_TEXT_H
#define PAGING_PT_TEXT_H

#include "paging/pt_pieces.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room for any text of this file, its zero included. */
#define PT_TEXT_SIZE 160

/* Room for flags, the zero included. */
#define PT_TEXT_FLAGS 13

/* The twelve letters of the flags. */
size_t pt_text_flags(uint32_t flags, char *ret_text, size_t size);

/* A mapping, or a run. A mapping of no pages is shown as one that ends before it begins. */
size_t pt_text_mapping(const struct pt_mapping *m, char *ret_text, size_t size);

/* A leaf, with accessed and dirty bits; in the place of the length its size: "2M". */
size_t pt_text_leaf(const struct pt_leaf *leaf, char *ret_text, size_t size);

/*
 * A piece. With `sizes`, a run ends with its leaves: "3 x 4K, 1 x 2M". Of what
 * is no run the physical column says what it is: "hole", "soft", "tables".
 */
size_t pt_text_piece(const struct pt_piece *piece, bool sizes, char *ret_text, size_t size);

/* Where lines go: `text` ends with a zero, without a newline, and is `length` long. */
struct pt_text_out {
	void (*line)(void *ctx, const char *text, size_t length);
	void *ctx;
	bool sizes; /* of leaves are told */
	bool holes; /* have lines too */
};

/*
 * One line for each piece of the range; holes only if asked for. PT_OK when all
 * of it was shown, or the status with which the walk ended.
 */
enum pt_status pt_text_dump(const struct pt_space *space, struct pt_range range, uint64_t budget,
			    const struct pt_text_out *out);

#ifdef __cplusplus
}
#endif

#endif
