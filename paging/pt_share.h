/*
 * Spaces that have tables in common: a kernel's upper half in every space,
 * clones, and sub-trees that are linked from several places.
 *
 *	pt_pin_upper(&kernel);                      once, before the first user
 *	pt_init_user(&user, &kernel, &tables);
 *
 *	pt_update(&user, all, (struct pt_update){ PT_WRITE, PT_COW, PT_WRITE }, &flush);
 *	pt_clone(&child, &user, PT_CLONE_COW);      fork
 *
 * What is common is either counted or not. With holds->share, as in a pool,
 * every link to a table is a reference, a write copies what others hold too,
 * and any of the spaces may be destroyed at any time. Without it nobody knows
 * of the other links: a write through one is seen through all.
 */
#ifndef PAGING_PT_SHARE_H
#define PAGING_PT_SHARE_H

#include "paging/pt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------
 * One upper half for all
 */

/*
 * Makes the upper half of `kernel` one that others can have: every absent entry
 * of the root's upper half gets an empty table, and from then on those entries
 * stay. So the root entries of a user are the kernel's for good, and what the
 * kernel maps later is seen by all. Takes as many tables as entries are absent,
 * all or none; nothing if it was pinned before, or if the layout has no upper
 * half. Nothing has to be flushed.
 *
 *   PT_ERR_FOREIGN  the root entries are not all the space's own
 *   PT_ERR_OVERLAP  an upper root entry is a leaf or soft
 *   PT_ERR_SHARED   the root, or a table that an upper entry leads to, is held by others too
 *   PT_ERR_CORRUPT, PT_ERR_NO_TABLES, PT_ERR_READ_ONLY  as ever
 */
PT_MUST_USE enum pt_status pt_pin_upper(struct pt_space *kernel);

/*
 * Makes a space whose lower half is empty and its own, and whose upper half is
 * the kernel's: reads see it, changes there are PT_ERR_FOREIGN. Takes one table
 * from `tables`, which may be the kernel's allocator or another. The processor
 * and the way in which tables are reached are the kernel's, the policy is that
 * of pt_init(). pt_destroy() gives back the user's own tables and no other. The
 * kernel outlives its users.
 *
 *   PT_ERR_FOREIGN    the kernel is not pinned
 *   PT_ERR_CORRUPT, PT_ERR_NO_TABLES  as pt_init()
 */
PT_MUST_USE enum pt_status pt_init_user(struct pt_space *ret_user, const struct pt_space *kernel,
					const struct pt_tables *tables);

/* ------------------------------------------------------------------------
 * Clones
 */

/*
 * How a space is cloned:
 *
 *			tables taken   a later change of one is seen by the other
 *	DEEP		all            never
 *	COW		1              never
 *	SHALLOW		0              never
 *	VIEW		1              of the source's, below the root entries of now
 *
 * DEEP copies every table as often as it is linked: the clone has nothing in
 * common with any space, itself included. COW takes a new root and has all
 * below in common; a write on either side copies the tables on its way, if
 * others hold them still. SHALLOW has the root in common too; with the first
 * write one of the two gets a root of its own. VIEW is for reading, all changes
 * are PT_ERR_FOREIGN; the source outlives it, and what the source retires is not
 * released before the view is destroyed.
 */
enum pt_clone { PT_CLONE_DEEP, PT_CLONE_COW, PT_CLONE_SHALLOW, PT_CLONE_VIEW };

/*
 * Makes a second space that translates as `source` does, with the same policy
 * and allocator. No translation of the source's changes, so there is nothing to
 * flush. Pages are acquired for leaves that are copied. Root entries that are
 * not the source's own, such as the kernel's in a user, are copied as they are.
 * So are the upper ones of a pinned kernel, with COW: the clone is a user of it.
 * An entry by which the tables map themselves leads to the clone's root.
 *
 *   PT_ERR_SHARED     COW, SHALLOW: the allocator cannot share (holds->share)
 *   PT_ERR_FOREIGN    SHALLOW: the source is pinned
 *   PT_ERR_CORRUPT    a table is out of reach
 *   PT_ERR_BUDGET     DEEP: more tables than the source's budget
 *   PT_ERR_NO_TABLES  the allocator ran out
 *   PT_ERR_READ_ONLY  the source has no allocator
 */
PT_MUST_USE enum pt_status pt_clone(struct pt_space *ret_clone, struct pt_space *source,
				    enum pt_clone how);

/* ------------------------------------------------------------------------
 * Sub-trees
 */

/*
 * The table of `space`, and all below it, that its entry of `level` on the way
 * to va links to; the table is of the level below. 2 is the lowest, the levels
 * of the space the highest: the root itself is had in common by PT_CLONE_SHALLOW.
 */
struct pt_tree {
	const struct pt_space *space;
	virt_addr va; /* any that the entry covers */
	unsigned level;
};

/*
 * Makes the entry of tree.level on the way to va link to the very table of
 * `tree`, as if what lies below it were mapped here, with the rights that the
 * link there lets through. The table gets a reference more, if the allocator
 * counts them. Tables on the way are taken; empty ones in the way are retired.
 * If the entry links to that table already, nothing is done. Both spaces are for
 * the same kind of processor, and reach the same tables; they may be one.
 *
 *   PT_ERR_LEVEL       tree.level is below 2, or above the levels of either space
 *   PT_ERR_RANGE       one of the addresses is not canonical
 *   PT_ERR_NOT_MAPPED  there is no table at `tree`
 *   PT_ERR_SIZE        there is a leaf instead
 *   PT_ERR_OVERLAP     an entry on the way to va or below is in use already
 *   PT_ERR_FOREIGN     one of the two is a root entry that is another space's or pinned,
 *                      or the one by which the tables map themselves
 *   PT_ERR_CORRUPT, PT_ERR_NO_TABLES, PT_ERR_READ_ONLY, PT_ERR_BUDGET  as pt_map()
 */
PT_MUST_USE enum pt_status pt_link_tree(struct pt_space *space, virt_addr va, struct pt_tree tree,
					struct pt_flush *flush);

#ifdef __cplusplus
}
#endif

#endif
