#include "tests/kernels/lib/words.h"

#include <stddef.h>

static const char *skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

static const char *skip_word(const char *text)
{
	while (*text && *text != ' ' && *text != '\t')
		text++;
	return text;
}

/* What follows `start` in `text`, or NULL if that begins otherwise. */
static const char *after(const char *text, const char *start)
{
	while (*start) {
		if (*text++ != *start++)
			return NULL;
	}
	return text;
}

static bool at_end_of_word(const char *text)
{
	return skip_word(text) == text;
}

bool words_have(const char *line, const char *word)
{
	for (line = skip_blanks(line); *line; line = skip_blanks(skip_word(line))) {
		const char *rest = after(line, word);

		if (rest && at_end_of_word(rest))
			return true;
	}
	return false;
}

static bool read_number(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (at_end_of_word(text))
		return false;
	for (; !at_end_of_word(text); text++) {
		if (*text < '0' || *text > '9' || value > (UINT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	*ret_value = value;
	return true;
}

bool words_number(const char *line, const char *key, uint64_t *ret_value)
{
	for (line = skip_blanks(line); *line; line = skip_blanks(skip_word(line))) {
		const char *rest = after(line, key);

		if (rest)
			return read_number(rest, ret_value);
	}
	return false;
}
