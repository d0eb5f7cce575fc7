/* Random address spaces, made with the library's changing calls. */
#ifndef HARDWARE_MAKER_H
#define HARDWARE_MAKER_H

#include "paging/pt.h"

#define MAKER_MAX_EDGES 128u

struct maker {
	struct pt_space space;
	struct pt_block block;
	uint64_t random;
	struct pt_attr attr; /* of the last change */
	unsigned accepted;   /* changes that succeeded */
	unsigned edge_count;
	uint64_t
		edges[MAKER_MAX_EDGES]; /* first bytes of ranges that were changed, and last ones */
};

/*
 * Makes a space that the seed determines: the prober's image, and around it
 * what some dozen of random changes leave. False if a call of the library
 * failed that cannot.
 */
bool maker_make(struct maker *ret_maker, uint64_t seed);

/*
 * Spoils a random entry on purpose, or nothing if the choice falls on an empty
 * one: reserved bits, or not present but not zero. The image is left alone.
 */
void maker_spoil(struct maker *maker);

/* An address near the ends of the halves, of the image, or of what was changed. */
uint64_t maker_anchor(struct maker *maker);

/* True if the byte belongs to the prober's image. */
bool maker_is_image(uint64_t va);

/* How many leaves the space has, the image's included. */
unsigned maker_leaves(const struct maker *maker);

#endif
