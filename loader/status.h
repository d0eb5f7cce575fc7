/*
 * What went wrong with a kernel, a configuration or a machine, as data. Code
 * of loader/ fills it in and never prints; efi/ prints it once, as
 *
 *	<file>: <where>: <field> is <value>, expected <expected>: <text>
 */
#ifndef LOADER_STATUS_H
#define LOADER_STATUS_H

#include <stdint.h>

#define LOADER_STATUS_LIST(X)                                                              \
	X(LOADER_OK, "success")                                                            \
	X(LOADER_ERR_TRUNCATED, "the file ends before what it announces")                  \
	X(LOADER_ERR_FORMAT, "not an image that can be loaded")                            \
	X(LOADER_ERR_MACHINE, "made for another machine")                                  \
	X(LOADER_ERR_UNSUPPORTED, "needs something that is not supported")                 \
	X(LOADER_ERR_ALIGNMENT, "wrong alignment")                                         \
	X(LOADER_ERR_OVERLAP, "overlaps another part")                                     \
	X(LOADER_ERR_SHARED_PAGE, "two segments with different rights share a page")       \
	X(LOADER_ERR_WX, "writable and executable at once")                                \
	X(LOADER_ERR_ADDRESS, "address is not one where a kernel can be")                  \
	X(LOADER_ERR_ENTRY, "entry point lies in no executable segment")                   \
	X(LOADER_ERR_RELOCATION, "relocation that cannot be applied")                      \
	X(LOADER_ERR_OPTION, "required option that this version does not know")            \
	X(LOADER_ERR_CONFLICT, "the kernel requires one thing, the configuration another") \
	X(LOADER_ERR_CONFIG, "configuration line that cannot be understood")               \
	X(LOADER_ERR_VALUE, "value that is not acceptable")                                \
	X(LOADER_ERR_MEMORY, "not enough memory")                                          \
	X(LOADER_ERR_CAPACITY, "more than there is room for")                              \
	X(LOADER_ERR_TABLES, "page tables cannot be built")                                \
	X(LOADER_ERR_AUDIT, "finished page tables differ from the mapping list")           \
	X(LOADER_ERR_ACPI, "firmware's table is left aside")

enum loader_status {
#define X(code, text) code,
	LOADER_STATUS_LIST(X)
#undef X
};

/* Lower case, no full stop, static storage, never NULL for a value of the enum. */
const char *loader_strerror(enum loader_status status);

/* In `index` when the place needs no number. */
#define LOADER_NO_INDEX UINT32_MAX

/*
 * The detail that goes with a status; strings are static or lie in the input.
 * A failing function writes all of it; on success it is left untouched.
 */
struct loader_error {
	enum loader_status status;
	const char *where; /* "ELF header", "segment", "line", "mapping"; never NULL */
	uint32_t index;    /* which of them, LOADER_NO_INDEX for none */
	const char *field; /* "e_machine", "p_offset", a key; never NULL */
	const char *text;  /* the value where it is text (text_length bytes), else NULL */
	uint32_t text_length;
	uint64_t value;       /* the value where it is a number */
	const char *expected; /* what would have been right, as text: "62 (x86-64)" */
};

#endif
