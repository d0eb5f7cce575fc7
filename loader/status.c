#include "loader/status.h"

#include <stddef.h>

/*
 * Rows of fixed width: a table of pointers would need relocations in read-only
 * pages of the finished image.
 */
#define TEXT_SIZE 64

static const char texts[][TEXT_SIZE] = {
#define X(code, text) [code] = text,
	LOADER_STATUS_LIST(X)
#undef X
};

#define X(code, text) _Static_assert(sizeof(text) <= TEXT_SIZE, "text is cut: " #code);
LOADER_STATUS_LIST(X)
#undef X

const char *loader_strerror(enum loader_status status)
{
	size_t index = (size_t)status;

	return index < sizeof(texts) / sizeof(texts[0]) ? texts[index] : "unknown status";
}
