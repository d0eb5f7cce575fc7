/*
 * Which pages were used: the accessed and dirty bits, gathered and cleared.
 */
#ifndef PAGING_PT_USE_H
#define PAGING_PT_USE_H

#include "paging/pt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Told of leaves, one at a time. It may read the space, but not change it. */
struct pt_visitor {
	void (*each)(void *ctx, const struct pt_leaf *leaf);
	void *ctx;
};

/*
 * Clears `flags`, of PT_ACCESSED and PT_DIRTY, in every leaf that the range
 * touches, large ones as a whole, and tells the visitor of each leaf that had
 * one of them: at.own has its flags as they were. What a processor sets is
 * told exactly once, by this call or the next, whether the space is live or
 * not; but it may set no bit again until it has forgotten the page, for which
 * the flush names the leaves cleared.
 *
 * Leaves in tables that others hold too are told of, but stay as they are.
 * Entries by which the tables map themselves are passed over. Takes no table.
 *
 *   PT_ERR_ATTR  another flag
 *
 * Further statuses: UNALIGNED, RANGE, CORRUPT, READ_ONLY, FOREIGN, BUDGET; then
 * nothing was cleared or told.
 */
PT_MUST_USE enum pt_status pt_harvest(struct pt_space *space, struct pt_range range, uint32_t flags,
				      const struct pt_visitor *visitor, struct pt_flush *flush);

#ifdef __cplusplus
}
#endif

#endif
