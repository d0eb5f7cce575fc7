/*
 * What differs between two spaces: the ranges that only one of them maps, or
 * that they map differently. Compared is what translations say: the physical
 * address, the effective flags but for accessed and dirty, the cache type. How
 * it is said (leaf sizes, rights of links, numbers of levels, where the tables
 * are) does not matter. Soft entries and the tables themselves, seen
 * through a recursive slot, count as not mapped.
 *
 *	struct pt_diff diff;
 *	struct pt_difference d;
 *
 *	pt_diff_start(&diff, &before, &after, pt_lower_half(&after.cpu), PT_NO_BUDGET);
 *	while (pt_diff_next(&diff, &d) == PT_OK)
 *		...
 */
#ifndef PAGING_PT_DIFF_H
#define PAGING_PT_DIFF_H

#include "paging/pt_pieces.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pt_difference_kind {
	PT_ONLY_A,  /* a maps the range, b does not */
	PT_ONLY_B,  /* the other way round */
	PT_CHANGED, /* both do, but not alike */
};

/*
 * One range, as long as both sides go on alike. `a` and `b` are what either
 * maps there: the range itself, or no pages.
 */
struct pt_difference {
	enum pt_difference_kind kind;
	struct pt_range range;
	struct pt_mapping a, b;
};

/* One of the two: its pieces, and what is left of the one last seen. */
struct pt_diff_side {
	struct pt_pieces pieces;
	struct pt_piece piece;
};

/* The fields are the library's. */
struct pt_diff {
	struct pt_diff_side a, b;
	uint64_t va, last;            /* what is not compared yet */
	struct pt_difference pending; /* range.pages == 0: none */
	enum pt_status end;
};

/*
 * Compares `range`, which is one of the space with more levels; where the other
 * has no addresses, it maps nothing. At most `budget` tables of each are
 * visited. Neither may change until it has ended. Statuses as pt_walk_start().
 */
enum pt_status pt_diff_start(struct pt_diff *ret_diff, const struct pt_space *a,
			     const struct pt_space *b, struct pt_range range, uint64_t budget);

/*
 * PT_OK and the next difference, in ascending order; PT_ERR_NOT_MAPPED: there
 * is none left; CORRUPT or BUDGET: one of the spaces cannot be read further.
 */
enum pt_status pt_diff_next(struct pt_diff *diff, struct pt_difference *ret_difference);

#ifdef __cplusplus
}
#endif

#endif
