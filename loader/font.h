/* A font of 8 by 14 pixels for printable ASCII. */
#ifndef LOADER_FONT_H
#define LOADER_FONT_H

#include <stdint.h>

#define FONT_WIDTH  8u
#define FONT_HEIGHT 14u

/* Row `row` of `c` from the top, the leftmost pixel in bit 7. Not printable: '?'. */
uint8_t font_row(char c, unsigned row);

#endif
