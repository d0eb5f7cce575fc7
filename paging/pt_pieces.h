/*
 * A range of a space, in pieces: what is mapped there, and what lies between.
 *
 *	struct pt_pieces pieces;
 *	struct pt_piece piece;
 *
 *	pt_pieces_start(&pieces, &space, pt_lower_half(&space.cpu), PT_NO_BUDGET);
 *	while (pt_pieces_next(&pieces, &piece) == PT_OK)
 *		...
 *
 * The pieces follow each other without a gap and cover the range exactly.
 * Neighbours that say the same are one piece, whatever the sizes of the leaves.
 */
#ifndef PAGING_PT_PIECES_H
#define PAGING_PT_PIECES_H

#include "paging/pt.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One piece. Its kind says what it is:
 *
 *	PTE_LEAF    a run, as pt_runs_next() has it; `at` is all of it
 *	PTE_ABSENT  a hole: nothing is there
 *	PTE_SOFT    entries that are not present but not zero; whatever they say,
 *	            neighbours are one piece
 *	PTE_TABLE   the tables themselves, seen through the root's link to itself
 *
 * Of all but runs, `at` has only va and pages.
 */
struct pt_piece {
	enum pte_kind kind;
	struct pt_mapping at;
	uint64_t leaves[PT_MAX_LEAF_LEVEL + 1]; /* of a run, by level: those that make it up */
};

/* The fields are the library's. */
struct pt_pieces {
	struct pt_walk walk;
	struct pt_piece pending, after; /* at.pages == 0: none */
	uint64_t left;                  /* pages of the range that no piece has covered yet */
	enum pt_status end;
};

/* Starts as a walk, and with its statuses. The space must not change until it has ended. */
enum pt_status pt_pieces_start(struct pt_pieces *ret_pieces, const struct pt_space *space,
			       struct pt_range range, uint64_t budget);

/*
 * PT_OK and the next piece; PT_ERR_NOT_MAPPED: the range is covered; or the
 * status with which the walk ended early. Before that come all pieces that were
 * found, up to the entry at fault.
 */
enum pt_status pt_pieces_next(struct pt_pieces *pieces, struct pt_piece *ret_piece);

#ifdef __cplusplus
}
#endif

#endif
