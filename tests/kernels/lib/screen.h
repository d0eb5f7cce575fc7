/*
 * Text on the framebuffer. Lines are 80 characters wide; on a wide screen they
 * flow through as many columns as fit side by side, as in a newspaper, and
 * when the last column is full the text moves on by one column (or line).
 */
#ifndef KERNELS_SCREEN_H
#define KERNELS_SCREEN_H

#include "loader/hoist.h"

#include <stdbool.h>

enum screen_ink { SCREEN_PLAIN, SCREEN_STRONG, SCREEN_FAINT, SCREEN_INKS };

/*
 * Clears the screen. False if there is none, or none of a kind that is
 * understood (32 bits a pixel, red and blue in either order, large enough for
 * a character); screen_put() then does nothing.
 */
bool screen_init(const struct hoist_info *info);

/* The colour of what is put from now on. */
void screen_set_ink(enum screen_ink ink);

/* Printable ASCII and '\n'; anything else is shown as '?'. */
void screen_put(char c);

#endif
