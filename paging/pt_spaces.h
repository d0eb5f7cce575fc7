/*
 * Several spaces, walked together: what each maps, and what it has in common
 * with those before it. And the way back, from the items of such a walk to
 * spaces that map the same and have the same in common.
 *
 *	struct pt_scope scope = { .spaces = old, .count = 2, .ranges = &lower, .range_count = 1,
 *				  .seen = scratch, .most = 1024, .budget = PT_NO_BUDGET };
 *
 *	status = pt_spaces_start(&walk, &scope);
 *	while (status == PT_OK && (status = pt_spaces_next(&walk, &item)) == PT_OK)
 *		status = pt_spaces_rebuild(new, &item, &flush);
 *	(PT_ERR_NOT_MAPPED: the end)
 */
#ifndef PAGING_PT_SPACES_H
#define PAGING_PT_SPACES_H

#include "paging/pt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A table that a walk has been to. The fields are the library's. */
struct pt_seen {
	phys_addr table;
	virt_addr va;   /* first address of the part that was looked at */
	uint64_t pages; /* of that part; 0: a free slot */
	uint32_t space;
	uint8_t level;
	bool shown; /* there was something in it */
};

/* What is to be walked. All of it must stay as it is until the walk has ended. */
struct pt_scope {
	const struct pt_space *const *spaces; /* an earlier one owns what it shares with later */
	size_t count;                         /* below 2^32 */
	const struct pt_range *ranges;        /* the same for each space; disjoint, ascending */
	size_t range_count;
	struct pt_seen *seen; /* scratch: room for `most` tables */
	size_t most;
	uint64_t budget; /* of tables to be looked at, all together */
};

enum pt_item_kind { PT_ITEM_MAPPING, PT_ITEM_REFERENCE };

/* One leaf, or a reference to a table and all below it that was shown before. */
struct pt_item {
	enum pt_item_kind kind;
	unsigned level; /* of the leaf or of the table: a space's levels if it is its root */
	size_t space;   /* whose item it is, by index */
	virt_addr va;   /* the part of it that lies in the range */
	uint64_t pages;
	uint32_t links[PT_MAX_LEVELS + 1]; /* rights that the link at each level above the leaf,
					      or table, lets through */

	/* Of a mapping. */
	phys_addr pa;
	struct pt_attr attr; /* as the leaf itself states it */
	uint32_t rights;     /* of PT_WRITE, PT_USER, PT_EXEC: what links and leaf allow */

	/* Of a reference. */
	size_t owner;       /* the space that showed the table; may be the same */
	virt_addr owner_va; /* what va is there */
};

/* A walk. The fields are the library's. */
struct pt_spaces {
	struct pt_scope scope;
	size_t space, range; /* at work on */
	bool inside;         /* the walk below is under way */
	uint64_t budget;
	struct pt_walk walk;
	uint32_t links[PT_MAX_LEVELS + 1];
	size_t path[PT_MAX_LEVELS + 1]; /* by level: where the table is in scope.seen */
};

/*
 * Starts a walk: space by space in the order given, within each range by range,
 * within these in address order. It writes to nothing but the scratch.
 *
 *   PT_ERR_LEVEL   the spaces differ in their number of levels
 *   PT_ERR_BUDGET  there is no scratch
 *   PT_ERR_UNALIGNED, PT_ERR_RANGE  a range is not one
 */
enum pt_status pt_spaces_start(struct pt_spaces *ret_walk, const struct pt_scope *scope);

/*
 * The next item. A table that was met before at the same level, and of which
 * the same part lies in the range, is shown as a reference if there is anything
 * in it, whatever its level: the root included, and in the same space too. At
 * another level, or cut differently by an end of the range, it is shown again.
 * Soft entries and the link by which tables map themselves are not shown. A
 * reference is always to an earlier item.
 *
 *   PT_ERR_NOT_MAPPED  there is no further item: the end
 *   PT_ERR_CORRUPT     as pt_walk_next(); ret_item->space and ->va say where
 *   PT_ERR_BUDGET      more tables than the budget, or than the scratch has room for
 *
 * All of these end the walk.
 */
enum pt_status pt_spaces_next(struct pt_spaces *walk, struct pt_item *ret_item);

/*
 * Puts an item into `spaces`, of which item->space is to get it. Done for all
 * items of a walk in their order, spaces that were empty come to translate as
 * those of the walk do, with the same tables in common; links let through the
 * same, leaves are no larger. A mapping is mapped, a reference linked as by
 * pt_link_tree(); a reference to a root makes the root of the owner that of the
 * space, whose own, which must be empty, is retired. References are counted if
 * the allocators can share; tables in a buffer need not.
 *
 *   PT_ERR_OWNER  the owner is NULL, or has nothing there
 *
 * Other statuses as pt_map() and pt_link_tree(); WX if a leaf states both
 * rights and the space does not allow it. On any nothing is changed.
 */
PT_MUST_USE enum pt_status pt_spaces_rebuild(struct pt_space *const *spaces,
					     const struct pt_item *item, struct pt_flush *flush);

#ifdef __cplusplus
}
#endif

#endif
