/*
 * Spaces in use: which one a processor has loaded, and what it has to do when
 * a space has changed.
 *
 *	struct pt_processor cpu0;
 *
 *	pt_processor_init(&cpu0);
 *	pt_activate_first(&cpu0, &kernel);
 *
 *	pt_unmap(&kernel, range, &flush);
 *	pt_settle(&cpu0, &kernel, &flush);	flushes, here and elsewhere, and releases
 *
 * There is one struct pt_processor for each processor, and only that processor
 * calls what takes one: neither preempted nor interrupted by another such call.
 * The instructions are those of cpu.h.
 */
#ifndef PAGING_PT_ACTIVE_H
#define PAGING_PT_ACTIVE_H

#include "paging/cpu.h"
#include "paging/pt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------
 * What a flush set asks of one processor
 */

/* How much of a space this processor can remember. */
enum pt_held {
	PT_HELD_GLOBAL,  /* global pages alone: another space is loaded, and what is kept under
			    this one's PCID, if anything, is dropped before it is used again */
	PT_HELD_CURRENT, /* what is reached through CR3 as it is */
	PT_HELD_PCID,    /* what is kept under a PCID that is not the current one */
	PT_HELD_PCIDS,   /* what is kept under several PCIDs */
};

enum pt_forget_how {
	PT_FORGET_NOTHING,
	PT_FORGET_PAGES,      /* INVLPG for each step */
	PT_FORGET_LOCAL,      /* all but global ones: CR3 is loaded again */
	PT_FORGET_ALL,        /* everything: CR4.PGE is toggled */
	PT_FORGET_PCID_PAGES, /* INVPCID for each step, with the PCID */
	PT_FORGET_PCID,       /* INVPCID for the PCID */
};

/* What is to be executed: the first of the pages to be named, how many, and their size. */
struct pt_forget {
	enum pt_forget_how how;
	virt_addr va;
	uint64_t count, step;
};

/*
 * Decides what a processor that holds so much is to execute for a flush:
 *
 *			nothing   no pages,   up to `limit` steps     more steps
 *				  but tables  not global  global      not global  global
 *	HELD_GLOBAL	NOTHING   NOTHING     NOTHING     PAGES       NOTHING     ALL
 *	HELD_CURRENT	NOTHING   LOCAL       PAGES       PAGES       LOCAL       ALL
 *	HELD_PCID	NOTHING   PCID        PCID_PAGES  ALL         PCID        ALL
 *	HELD_PCIDS	NOTHING   ALL         ALL         ALL         ALL         ALL
 *
 * MOV to CR3 does not evict global translations; INVLPG does, whatever the
 * PCID, but evicts others, and what is remembered of links, of the current PCID
 * alone. INVPCID of a page or a PCID spares global ones (SDM 3A 4.10.4.1).
 *
 * Steps are as large as leaves of `level`: 1, unless the caller knows that all
 * leaves in the flush's pages were, and are, of that level at least (one INVLPG
 * is enough for a page of any size, SDM 3A 4.10.4.2).
 */
struct pt_forget pt_forget_choose(const struct pt_flush *flush, enum pt_held held, uint64_t limit,
				  unsigned level);

/*
 * Executes it on this processor. `pcid` is that of PT_HELD_PCID, which is for
 * processors that have INVPCID (pt_cpu_has_invpcid()); else it is not looked at.
 */
void pt_forget(const struct pt_forget *forget, uint16_t pcid);

/* ------------------------------------------------------------------------
 * Processors
 */

#define PT_PAGE_LIMIT 32

/* The fields are the library's, but for the policy, which is set after pt_processor_init(). */
struct pt_processor {
	/* Policy. */
	uint64_t limit; /* pages forgotten one by one, PT_PAGE_LIMIT at first */

	/*
	 * Makes all other processors that may remember something of `space` call
	 * pt_flush_here() with this flush, and returns when they have. NULL: there
	 * are none. space->processors counts those that have it loaded.
	 */
	void (*others)(void *ctx, struct pt_space *space, const struct pt_flush *flush);

	/*
	 * Is given a space that was abandoned, when the last processor has left it:
	 * it calls pt_destroy(), at once or later. NULL: pt_activate() does that.
	 */
	void (*last)(void *ctx, struct pt_space *space);
	void *ctx;

	/* The library's. */
	struct pt_cpu cpu;
	struct pt_space *space; /* loaded; NULL: somebody else's tables */
	phys_addr root;         /* of it, as CR3 has it */
	uint16_t pcid;
	bool keeps; /* translations of spaces that are not loaded, under PCIDs */
};

/* Describes the processor that runs this, in its present state, with nothing loaded. */
void pt_processor_init(struct pt_processor *ret_processor);

/*
 * Loads the first space of this library's into the processor, and forgets all
 * that it remembers of the tables before, global pages included. What the
 * processor executes, and its stack, are mapped alike in both.
 *
 *   PT_ERR_PROCESSOR  the space is not made for this processor (pt_cpu_accepts())
 *
 * The space becomes live. No call may be changing it when it is first loaded
 * into any processor; it stays in its place in memory while it is loaded.
 */
PT_MUST_USE enum pt_status pt_activate_first(struct pt_processor *processor,
					     struct pt_space *space);

/*
 * Loads a space, if it is not the one loaded; translations that are not global
 * are forgotten. If it has the root that is loaded, CR3 stays as it is. The
 * space before is given up by this processor; if it was abandoned, and this
 * processor was the last, it is destroyed. Statuses as pt_activate_first().
 */
PT_MUST_USE enum pt_status pt_activate(struct pt_processor *processor, struct pt_space *space);

/*
 * The same under a PCID, where CR4.PCIDE is set. With `keep`, what the
 * processor remembers under the PCID stays: the caller vouches that it is of
 * this space, and that the processor was told of every flush of it since. Under
 * PCID 0, which pt_activate() uses, nothing is ever kept. A space is loaded into
 * a processor under one PCID, until another space has taken that over.
 *
 *   PT_ERR_PROCESSOR  as above; or pcid is above 4095, or CR4.PCIDE is not set
 */
PT_MUST_USE enum pt_status pt_activate_pcid(struct pt_processor *processor, struct pt_space *space,
					    uint16_t pcid, bool keep);

/*
 * Gives up a space for good: destroys it, as pt_destroy() does, and returns
 * true; or, if processors have it loaded, leaves that to the last of them, and
 * returns false. The space must not be activated or changed any more. Any
 * processor may call this.
 */
bool pt_abandon(struct pt_space *space);

/* ------------------------------------------------------------------------
 * Flushes
 */

/*
 * Executes a flush of `space` on this processor: all that it may remember of
 * the flush's pages is forgotten. If the root has moved since it was loaded, the
 * new one is loaded; holds->moved() tells that others need to. Changes below
 * the pinned upper half of a kernel reach every processor, whatever it has
 * loaded. Other spaces that have tables in common with this one, where nobody
 * counts references to tables, are to be flushed by calls of their own.
 *
 * A processor that keeps translations under PCIDs forgets those of a space that
 * it has not loaded by forgetting everything; who knows the PCID can do with
 * less (pt_forget_choose()).
 */
void pt_flush_here(struct pt_processor *processor, const struct pt_space *space,
		   const struct pt_flush *flush);

/*
 * Executes a flush on this processor, has the others do so, and releases it.
 * Nothing is done if it is empty and the root is where it was. Readers of the
 * space, if there are any but processors, must be elsewhere. Returns how many
 * tables were given back.
 */
size_t pt_settle(struct pt_processor *processor, struct pt_space *space, struct pt_flush *flush);

/*
 * pt_protect(), and pt_settle() of what it changed: when it returns PT_OK, no
 * processor uses the old rights any more.
 */
PT_MUST_USE enum pt_status pt_protect_now(struct pt_processor *processor, struct pt_space *space,
					  struct pt_range range, struct pt_attr attr);

#ifdef __cplusplus
}
#endif

#endif
