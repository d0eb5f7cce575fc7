/*
 * Cursors: a position in a range of a space, and what is done there.
 *
 *	struct pt_cursor c;
 *	struct pt_entry taken;
 *
 *	if (pt_cursor_write(&c, &space, range) == PT_OK) {
 *		while (pt_cursor_take(&c, pt_cursor_left(&c), &flush, &taken) == PT_OK)
 *			...
 *		pt_cursor_close(&c);
 *	}
 *
 * A cursor never acts on, and never comes to stand in, a page outside of its
 * range; behind the last page is the end, where every call but pt_cursor_jump()
 * and pt_cursor_close() returns PT_ERR_END. Each call is all or nothing, as in
 * pt.h. Calls that search leave the cursor at the entry where the search ended:
 * the one found, or, on a refusal, the one at fault; so after PT_ERR_BUDGET the
 * same search goes on, if the budget is as many tables as the space has levels.
 *
 * Cursors for writing have disjoint ranges, or are refused; they are changes to
 * the space, of which there is one at a time. Any number of cursors can read.
 * Calls that are given the space itself know nothing of cursors; a cursor sees
 * what they did. A space keeps its place in memory and its policy, and is not
 * destroyed, while a cursor for writing is open.
 */
#ifndef PAGING_PT_CURSOR_H
#define PAGING_PT_CURSOR_H

#include "paging/pt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The caller's memory, where it stays until it is closed. The fields are the library's. */
struct pt_cursor {
	const struct pt_space *space;
	struct pt_space *writer; /* the same, NULL: reads only */
	uint64_t first, pages;   /* the range */
	uint64_t va;             /* the position, less what was mapped since near.from */
	struct pt_options options;
	struct pt_cursor *next; /* of the space's */

	/* Where the next page can be mapped without asking again. */
	struct pt_cursor_near {
		pte_t *next, *end, *from; /* in one table of pages and in the range */
		uint64_t generation;      /* of the space when this was so */
		struct pt_attr attr;      /* that links on the way allow, */
		pte_t bits;               /* as a leaf says it */
		uint64_t no_address;      /* bits that no page's physical address has */
		pte_t *link;              /* to the table, NULL if it need not be counted */
	} near;
};

/*
 * Cursors at the first page of a range, for reading or for writing; one that
 * writes is to be closed. A range of no pages has only an end.
 *
 *   PT_ERR_UNALIGNED, PT_ERR_RANGE  as ever
 *   PT_ERR_READ_ONLY  the space has no allocator
 *   PT_ERR_FOREIGN    the range touches root entries of another space's
 *   PT_ERR_BUSY       another cursor writes to part of the range
 */
PT_MUST_USE enum pt_status pt_cursor_read(struct pt_cursor *ret_cursor,
					  const struct pt_space *space, struct pt_range range);
PT_MUST_USE enum pt_status pt_cursor_write(struct pt_cursor *ret_cursor, struct pt_space *space,
					   struct pt_range range);

/* From then on the cursor is at the end of nothing. It may be closed again. */
void pt_cursor_close(struct pt_cursor *c);

/* The position: the first address of a page, or of the one behind the last. */
static inline virt_addr pt_cursor_at(const struct pt_cursor *c)
{
	uint64_t mapped = (uint64_t)(c->near.next - c->near.from);

	return virt(c->va + (mapped << PTE_PAGE_SHIFT));
}

/* How many pages there are from the position to the end. */
static inline uint64_t pt_cursor_left(const struct pt_cursor *c)
{
	return c->pages - ((pt_cursor_at(c).raw - c->first) >> PTE_PAGE_SHIFT);
}

/*
 * Moves to any page of the range. UNALIGNED; RANGE if it is not in the range.
 */
PT_MUST_USE enum pt_status pt_cursor_jump(struct pt_cursor *c, virt_addr va);

/*
 * What is at the position: a leaf, a soft entry, or an absent one, as a whole,
 * even where it reaches beyond the range. PTE_TABLE is the link by which the
 * tables map themselves, which cursors do not follow. Statuses: END, CORRUPT.
 */
enum pt_status pt_cursor_query(const struct pt_cursor *c, struct pt_entry *ret_entry);

/*
 * Moves to the first page from the position on that is mapped, or to the end:
 * PT_ERR_END. The leaf is told as a whole. Further statuses: CORRUPT, BUDGET.
 */
PT_MUST_USE enum pt_status pt_cursor_find(struct pt_cursor *c, struct pt_entry *ret_entry);

/* ------------------------------------------------------------------------
 * Changes, with cursors for writing; PT_ERR_READ_ONLY: this one is not.
 * PT_ERR_RANGE: there are fewer than `pages` up to the end.
 */

/* How pt_cursor_map() maps from now on; NULL, and the cursor at first: the default. */
void pt_cursor_set_options(struct pt_cursor *c, const struct pt_options *options);

/*
 * Maps `pages` from the position on, and moves behind them. Statuses as
 * pt_map(). Single pages of the same attributes, one after the other, are fast.
 */
PT_MUST_USE enum pt_status pt_cursor_map(struct pt_cursor *c, phys_addr pa, uint64_t pages,
					 struct pt_attr attr, struct pt_flush *flush);

/*
 * Unmaps the first thing in the next `pages`, tells what it was, and moves
 * behind it: a leaf, or the part of it in these pages (at.va, pa and pages are
 * the part's, at.level and raw the leaf's); a soft entry; or a whole table, all
 * of whose span is in these pages (PTE_TABLE): it goes unread, and can turn out
 * to hold nothing. pt_cursor_take_leaf() takes such a table piece by piece. Of
 * flags that the processor sets, none is lost: at.own has them as they were in
 * the end.
 *
 *   PT_ERR_NOT_MAPPED  there is nothing; the cursor has moved behind these pages
 *
 * Further statuses as pt_unmap(), on which the cursor is at the entry at fault.
 */
PT_MUST_USE enum pt_status pt_cursor_take(struct pt_cursor *c, uint64_t pages,
					  struct pt_flush *flush, struct pt_entry *ret_taken);
PT_MUST_USE enum pt_status pt_cursor_take_leaf(struct pt_cursor *c, uint64_t pages,
					       struct pt_flush *flush, struct pt_entry *ret_taken);

/*
 * As pt_protect() and pt_update(), for the first leaf in the next `pages`, or the
 * part of it in these; with an update the first that has all of update.only.
 * Tells what it was, as pt_cursor_take() does, and moves behind it.
 *
 *   PT_ERR_NOT_MAPPED  there is none; the cursor has moved behind these pages
 */
PT_MUST_USE enum pt_status pt_cursor_protect(struct pt_cursor *c, uint64_t pages,
					     struct pt_attr attr, struct pt_flush *flush,
					     struct pt_entry *ret_piece);
PT_MUST_USE enum pt_status pt_cursor_update(struct pt_cursor *c, uint64_t pages,
					    struct pt_update update, struct pt_flush *flush,
					    struct pt_entry *ret_piece);

#ifdef __cplusplus
}
#endif

#endif
