/*
 * The recursive slot: an entry of the root that links to the root itself. It
 * makes all tables of the space that a processor has loaded visible at virtual
 * addresses that can be computed:
 *
 *	the table of level 1 for va   slot i4   i3   i2        i1..i4: the indices of va,
 *	                    level 2   slot slot i4   i3        four levels
 *	                    level 3   slot slot slot i4
 *	the root            level 4   slot slot slot slot
 *
 * The slot belongs to no other mapping: walks pass over it, changes in its range
 * are PT_ERR_FOREIGN.
 */
#ifndef PAGING_PT_RECURSIVE_H
#define PAGING_PT_RECURSIVE_H

#include "paging/pt.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Where the table of `level` (1 to `levels`) that translates `va` is seen in a
 * space of so many levels with the self link in entry `slot` of the root.
 */
virt_addr pt_recursive_table(unsigned slot, unsigned levels, virt_addr va, unsigned level);

/* Where the entry of that table is seen that translates va. */
virt_addr pt_recursive_entry(unsigned slot, unsigned levels, virt_addr va, unsigned level);

/* The pages that the slot takes: all addresses of the above. */
struct pt_range pt_recursive_range(unsigned slot, unsigned levels);

/*
 * The tables of the loaded space, reached through its slot. Tables that are not
 * linked, be it not yet or no longer, are reached through `pool`, in which all
 * the tables of the space lie.
 *
 * invalidate() makes this processor forget the translation of one page (INVLPG,
 * which also drops what it remembers of links, SDM 3A 4.10.4.1). It is called
 * whenever a table is looked up, before it is looked at: the link that leads
 * there may have changed since the last time, in the same call even, and no
 * flush set names the addresses in the slot.
 */
struct pt_recursive {
	unsigned slot, levels;
	struct pt_mem pool;
	void (*invalidate)(void *ctx, virt_addr page);
	void *ctx;
};

/* Draws on `recursive`, which the caller keeps and must outlive the result. */
struct pt_mem pt_recursive_mem(struct pt_recursive *recursive);

/*
 * Puts the self link into entry `slot` of the root: for the supervisor,
 * writable, not to be executed. The root is reached as space->mem says, so
 * pt_recursive_mem() becomes space->mem after this, when the processor has
 * loaded the root.
 *
 *   PT_ERR_RANGE    there is no such entry
 *   PT_ERR_OVERLAP  the entry is in use
 *   PT_ERR_SHARED   there is a self link already, or others hold the root too
 *   PT_ERR_FOREIGN, PT_ERR_READ_ONLY, PT_ERR_CORRUPT  as ever
 */
PT_MUST_USE enum pt_status pt_recursive_enter(struct pt_space *space, unsigned slot,
					      struct pt_flush *flush);

/*
 * Takes the self link out again; what is seen in the slot goes into the flush.
 * From then on pt_recursive_mem() reaches nothing: space->mem is to be another.
 * PT_ERR_NOT_MAPPED: the entry is not the self link; else as above.
 */
PT_MUST_USE enum pt_status pt_recursive_leave(struct pt_space *space, unsigned slot,
					      struct pt_flush *flush);

#ifdef __cplusplus
}
#endif

#endif
