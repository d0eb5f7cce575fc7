/* The command line as words with blanks between them. */
#ifndef KERNELS_WORDS_H
#define KERNELS_WORDS_H

#include <stdbool.h>
#include <stdint.h>

/* True if `word` is one of the words of `line`. */
bool words_have(const char *line, const char *word);

/*
 * The value of the first word `key`, directly followed by a number (decimal),
 * in `line`: with the key "n=", 12 of "a n=12 b". False if there is none.
 */
bool words_number(const char *line, const char *key, uint64_t *ret_value);

#endif
