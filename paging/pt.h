/*
 * Page tables: bytes in, tables out.
 *
 * This header is the whole of the mapping core. It knows no firmware, no
 * allocator, no lock and no control register; the caller supplies the memory
 * in which tables lie and decides when the processor is told. Who wants that
 * done as well finds it in pt_active.h.
 *
 *	struct pt_space space;
 *	struct pt_flush flush = PT_FLUSH_NONE;
 *	struct pt_mapping m = { virt(0xffffffff80000000), phys(0x200000), 512,
 *				{ PT_EXEC, PT_WB } };
 *
 *	pt_init(&space, &cpu, &mem, &tables);
 *	pt_map(&space, &m, &flush);
 *
 * Every changing call has three steps. The plan validates, finds conflicts and
 * counts tables; the reservation obtains exactly that many; the commit cannot
 * fail. So a call that returns anything but PT_OK has left every byte of every
 * table, and the allocator, as they were.
 *
 * Ranges are a first address and a count of pages, so the last page of the
 * address space is an ordinary page. A page is PT_PAGE_SIZE bytes. Reversed,
 * wrapping, unaligned or non-canonical ranges are refused, never rounded.
 * A range of no pages is accepted and does nothing.
 *
 * Levels are numbered as in PML5..PML1: level n is the table whose entries
 * each cover 4 KiB << 9 * (n - 1); a leaf of level 1, 2, 3 is a 4 KiB, 2 MiB,
 * 1 GiB page.
 *
 *	 63        48 47     39 38     30 29     21 20     12 11          0
 *	+------------+---------+---------+---------+---------+-------------+
 *	| sign of 47 | level 4 | level 3 | level 2 | level 1 |   offset    |
 *	+------------+---------+---------+---------+---------+-------------+
 *	  with five levels: 63..57 sign of 56, 56..48 level 5
 *	                                        (SDM 3A 4.5, figures 4-8 to 4-12)
 */
#ifndef PAGING_PT_H
#define PAGING_PT_H

#include "paging/addr.h"
#include "paging/attr.h"
#include "paging/pte.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PT_STATUS_LIST(X)                                                             \
	X(PT_OK, "success")                                                           \
	X(PT_ERR_UNALIGNED, "address is not aligned to a page")                       \
	X(PT_ERR_RANGE, "virtual range wraps, is not canonical or spans the hole")    \
	X(PT_ERR_PHYS, "physical range exceeds the physical address width")           \
	X(PT_ERR_ATTR, "flags are not among those a leaf can carry")                  \
	X(PT_ERR_CACHE, "the PAT holds no entry of this cache type")                  \
	X(PT_ERR_WX, "writable and executable at once")                               \
	X(PT_ERR_LEVEL, "level or leaf size is not one that the processor has")       \
	X(PT_ERR_OVERLAP, "part of the range is mapped already")                      \
	X(PT_ERR_SOFT, "a soft entry is covered in part only")                        \
	X(PT_ERR_SIZE, "what is mapped there has another size")                       \
	X(PT_ERR_NOT_MAPPED, "the address is not mapped")                             \
	X(PT_ERR_LINK, "a table link on the way forbids a right that was asked for")  \
	X(PT_ERR_CORRUPT, "an entry has reserved bits, or its table is out of reach") \
	X(PT_ERR_NO_TABLES, "the allocator has too few tables left")                  \
	X(PT_ERR_READ_ONLY, "the space was opened for reading only")                  \
	X(PT_ERR_BUDGET, "the tables are larger than the visit budget given")         \
	X(PT_ERR_SHARED, "one table is linked from two places")                       \
	X(PT_ERR_FOREIGN, "the range is not this space's to change")                  \
	X(PT_ERR_BUSY, "another cursor is at work in the range")                      \
	X(PT_ERR_END, "the cursor has come to the end of its range")                  \
	X(PT_ERR_COW, "the page is not one to be copied on write")                    \
	X(PT_ERR_OWNER, "the space that shows a shared table first is not there")     \
	X(PT_ERR_NO_PAGE, "there is no page to copy to")                              \
	X(PT_ERR_PROCESSOR, "the processor has no use for such tables or such a PCID")

enum pt_status {
#define X(code, text) code,
	PT_STATUS_LIST(X)
#undef X
};

/* Compilers warn where the status of a change is not looked at. */
#define PT_MUST_USE __attribute__((warn_unused_result))

/* The text of a status: lower case, no full stop, static storage, never NULL. */
const char *pt_strerror(enum pt_status status);

/* ------------------------------------------------------------------------
 * Mappings. Rights, cache types and the processor are described in attr.h.
 */

/* "WB", "UC-" and so on; "??" for a number that is no memory type. */
const char *pt_cache_name(enum pt_cache cache);

/* `pages` pages of PT_PAGE_SIZE from `va`, mapped to consecutive ones from `pa`. */
struct pt_mapping {
	virt_addr va;
	phys_addr pa;
	uint64_t pages;
	struct pt_attr attr;
};

struct pt_range {
	virt_addr va;
	uint64_t pages;
};

/* `pages` pages from `pa`, at the virtual address of the same number. */
static inline struct pt_mapping pt_identity(phys_addr pa, uint64_t pages, struct pt_attr attr)
{
	struct pt_mapping m = { { pa.raw }, pa, pages, attr };

	return m;
}

/* ------------------------------------------------------------------------
 * Where tables lie
 */

/*
 * How tables are reached. With `table` NULL, the tables lie in a linear
 * window: the table at physical address p, first <= p <= last, is at
 * (char *)window + (p - first). Otherwise `table` is called, once per table
 * and never per entry, and returns a pointer to the 8-byte aligned table, or
 * NULL if there is no table at that address; the pointer must stay valid for
 * the duration of the call into this library. It is also told where in the
 * space the table is linked, if it is: its level and the first address that it
 * translates (level 0: not linked, or not known).
 *
 * This description alone is enough for every call that reads.
 */
struct pt_mem {
	void *window;
	phys_addr first, last; /* of the tables that can be reached, inclusive */
	void *(*table)(void *ctx, phys_addr table, virt_addr va, unsigned level);
	void *ctx;
};

/*
 * Where tables come from. take() hands out a run of consecutive tables, as
 * many as it can and at most `most`, and returns how many (0: none left); they
 * need not be zeroed; from then on their bytes are the library's, and
 * unspecified when they come back. give() takes a run back. A refused call
 * gives back the runs it took in the opposite order, so that an allocator that
 * works like a stack is left exactly as it was. Neither may call into the same
 * space. No entry of the space's may lead to a table that is free, and none but
 * those that are counted (struct pt_holds) be linked twice: of foreign tables,
 * pt_audit() says so.
 */
struct pt_tables {
	size_t (*take)(void *ctx, size_t most, phys_addr *ret_first);
	void (*give)(void *ctx, phys_addr first, size_t count);
	void *ctx;
	bool zeroed; /* take() hands out nothing but zeroed tables */
	const struct pt_holds *holds;
};

/*
 * Tables that a space may not write to where they lie. A call that changes
 * something below such a table first copies it, and the tables above it, at
 * most once each; what it need not touch stays common. A space without `holds`
 * owns its tables, and never pays for the question.
 *
 * hold() says what a table is now. share() adds a reference, which give() takes
 * away; only the last give() gives the table back. moved() is told that a call
 * has made the root move to `root`, at most once a call, when all is in place:
 * the old root, and all that it leads to, is as it was. Processors that have it
 * loaded are to load the new one, before the flush is released: pt_settle() and
 * pt_flush_here() of pt_active.h see that by themselves. Where no table is ever
 * shared or frozen, share or moved may be NULL. ctx is that of struct pt_tables.
 */
enum pt_hold {
	PT_OWN,    /* linked once, by this space: written in place */
	PT_COMMON, /* has several references: a copy takes the place of one */
	PT_FROZEN, /* belongs to somebody else (a snapshot): never written, shared or given */
};

struct pt_holds {
	enum pt_hold (*hold)(void *ctx, phys_addr table);
	void (*share)(void *ctx, phys_addr table);
	void (*moved)(void *ctx, phys_addr root);
};

/*
 * Told how long pages are mapped. acquire() when `pages` pages from `pa` are
 * mapped once more, before they are; release() when they are mapped once less:
 * from pt_release(), when no processor knows them any more. Splitting and
 * collapsing change nothing in that. With hooks, a call that unmaps single
 * leaves takes tables to list them in until the release: one for each
 * PT_LOG_ENTRIES, if there is no room left in the flush's last one.
 */
struct pt_frames {
	void (*acquire)(void *ctx, phys_addr pa, uint64_t pages);
	void (*release)(void *ctx, phys_addr pa, uint64_t pages);
	void *ctx;
};

#define PT_LOG_ENTRIES (PT_PAGE_SIZE / 8 - 2)

/*
 * A stack of consecutive tables, the simplest allocator: tables are taken from
 * the front; giving back works for the last ones taken, others are lost until
 * the whole block is. `taken` counts.
 */
struct pt_block {
	phys_addr first;
	size_t count, taken;
};

/* Draws on `block`, which the caller keeps and must outlive the result. */
struct pt_tables pt_block_tables(struct pt_block *block);

/*
 * A pool of tables, each with a number of references, so that spaces can have
 * tables in common. A table that is given back for the last time is the first
 * to be taken again.
 */
struct pt_pool {
	phys_addr first;
	size_t count;
	uint32_t *references; /* of each table; of free ones, PT_POOL_FREE and the next free */
	uint32_t free;        /* first free one, `count` if there is none */
	size_t taken;
};

#define PT_POOL_FREE 0x80000000u

/* `references` has room for `count` (below PT_POOL_FREE) numbers; the caller keeps both. */
void pt_pool_init(struct pt_pool *ret_pool, phys_addr first, size_t count, uint32_t *references);
struct pt_tables pt_pool_tables(struct pt_pool *pool);

/* ------------------------------------------------------------------------
 * A space
 */

/*
 * One address space. The caller owns it and every table in it; the fields are
 * the library's, but for `root`, which may be read (it goes into CR3), and for
 * the policy, which its owner sets after pt_init() or pt_open().
 *
 * One writer at a time calls what changes a space. Any number of readers may
 * call what takes a const space, at any time and without a lock: an entry is
 * read and written as one 64-bit word, and a table is complete before it is
 * linked. A reader sees each entry as it was before or after a change, not a
 * call as a whole. Tables no longer linked stay as they are until
 * pt_release(), whose caller vouches that no reader is inside them.
 */
struct pt_space {
	struct pt_cpu cpu;
	struct pt_mem mem;
	struct pt_tables tables; /* take is NULL: read only */
	phys_addr root;

	/* Policy. */
	bool allow_wx;           /* leaves may be writable and executable at once */
	bool live;               /* a processor uses the tables now: no accessed or dirty bit that
				    it sets during a call is lost (slower) */
	bool counted;            /* links hold how many entries are in use below, so that unmapping
				    single pages is fast; for tables that nobody else writes,
				    and not to be switched off and on again */
	struct pt_frames frames; /* acquire NULL: none */
	uint64_t budget;         /* of tables that a call may look at; 0: any number */

	/* The library's. */
	uint16_t root_first, root_last; /* entries of the root that are this space's to change */
	bool pins_upper;                /* upper root entries stay: others have copies of them */
	uint64_t generation;            /* of what links lead to */
	uint32_t processors;            /* that have it loaded; the top bit: it was abandoned */
	struct pt_cursor *cursors;      /* at work */
	struct pte_window window;       /* in which links lead to tables */
	struct pt_hot {                 /* the last mapping's flags as bits of a page, */
		bool is_known;          /* if they are known, */
		struct pt_attr attr;
		pte_t bits;
		pte_t *entries, *link; /* and the table that the last single page went to */
		uint64_t span;
	} hot;
};

/*
 * Makes an empty space: takes one table for the root and clears it.
 *
 *   PT_ERR_LEVEL      cpu->levels or cpu->max_leaf is not one the layout has,
 *                     or cpu->phys_bits is not
 *   PT_ERR_NO_TABLES  there is no table to be had
 *   PT_ERR_CORRUPT    the allocator's table cannot be reached through `mem`
 */
PT_MUST_USE enum pt_status pt_init(struct pt_space *ret_space, const struct pt_cpu *cpu,
				   const struct pt_mem *mem, const struct pt_tables *tables);

/*
 * Opens tables that exist, whoever built them, without reading them. With
 * `tables` NULL the space can be read only, and changing calls return
 * PT_ERR_READ_ONLY.
 *
 *   PT_ERR_LEVEL    as pt_init()
 *   PT_ERR_CORRUPT  there is no table at `root`
 */
PT_MUST_USE enum pt_status pt_open(struct pt_space *ret_space, const struct pt_cpu *cpu,
				   const struct pt_mem *mem, const struct pt_tables *tables,
				   phys_addr root);

/* ------------------------------------------------------------------------
 * Flushes
 */

/*
 * What the processors must forget after a change, as data: the hull of the
 * pages whose translation changed, and the tables and pages that are to be
 * given up after that. Starts as PT_FLUSH_NONE; calls add to it. The caller
 * invalidates [va, va + pages) on every processor that may hold a translation,
 * the global ones too if `global`, and then gives it to pt_release(); that is
 * what pt_settle() of pt_active.h does. A flush belongs to one space.
 */
struct pt_flush {
	virt_addr va;
	uint64_t pages; /* 0: nothing to invalidate */
	bool global;
	phys_addr retired; /* list of sub-trees no longer linked, PT_NO_TABLE at its end */
	phys_addr log;     /* list of what else is to be given up, PT_NO_TABLE at its end */
};

#define PT_NO_TABLE UINT64_MAX
#define PT_FLUSH_NONE                             \
	{                                         \
		{ 0 }, 0, false, { PT_NO_TABLE }, \
		{                                 \
			PT_NO_TABLE               \
		}                                 \
	}

/* True if there is nothing to invalidate and nothing to release. */
bool pt_flush_is_empty(const struct pt_flush *flush);

/* Stops the program (a trap) if `flush` was not released. */
void pt_flush_expect_empty(const struct pt_flush *flush);

/*
 * Declares a flush that cannot be forgotten: if it is not empty where it goes
 * out of scope, the program stops there. PT_FLUSH(flush); pt_map(..., &flush);
 */
#define PT_FLUSH(name) \
	struct pt_flush name __attribute__((cleanup(pt_flush_expect_empty))) = PT_FLUSH_NONE

/*
 * Gives the tables in `flush` back to the allocator, and empties it. The
 * caller vouches for the flush: no processor can reach them any more, and no
 * reader is inside them. Returns how many tables were given back.
 */
size_t pt_release(struct pt_space *space, struct pt_flush *flush);

/*
 * Gives back all tables of a space that is no longer used by any processor or
 * reader, the root included, and its pages to the hooks; of what it has in
 * common with others, the references. Entries of the root that are another
 * space's stay out of it. Returns how many tables were given back. Where
 * processors may have the space loaded still, pt_abandon() leaves this to the
 * last of them (pt_active.h).
 */
size_t pt_destroy(struct pt_space *space);

/* ------------------------------------------------------------------------
 * Changes
 */

/* What a call would do, or the place where it was refused. */
struct pt_plan {
	uint64_t tables;                    /* to be taken, but for lists of released leaves */
	uint64_t moved;                     /* of these: copies of tables held elsewhere */
	uint64_t retired;                   /* sub-trees that will be unlinked */
	uint64_t logged;                    /* single leaves and references to be released */
	uint64_t leaves[PT_MAX_LEVELS + 1]; /* that the range will have by a map or protect,
					       by level; only those of leaves used */
	virt_addr where;                    /* on refusal: first page that does not allow it */
};

/* What pt_map() does where something is mapped already. */
enum pt_conflict {
	PT_REFUSE,  /* the call, with PT_ERR_OVERLAP */
	PT_KEEP,    /* it, if the leaf itself says what the new one would; else refuse.
		       Tables in the way stay, even empty ones */
	PT_REPLACE, /* it, but for a soft entry that is covered in part */
};

/* How pt_map() is to do it; all zero is the default, and what NULL means. */
struct pt_options {
	enum pt_conflict conflict;
	unsigned max_leaf; /* level of the largest leaves wanted; 0: no cap */
	bool exact;        /* leaves of max_leaf and no smaller ones */
	bool set_links;    /* links let `links` through instead of everything: */
	uint32_t links;    /* of PT_WRITE, PT_USER, PT_EXEC; those that exist, at least these
			      (more rights need no flush, SDM 3A 4.10.4.3) */
};

/*
 * Maps m->pages pages from m->va to m->pa, with the largest leaves that the
 * processor, the alignment of both addresses and the options allow. Leftover
 * tables without a mapping in them do not hinder a large leaf; they are
 * retired. With exact leaves, addresses and length are multiples of their size.
 *
 * The space may be the live one: a table is complete before it is linked.
 *
 *   PT_ERR_UNALIGNED   m->va or m->pa; or m->pages, if leaves are to be exact
 *   PT_ERR_RANGE       the virtual range wraps or is not in one canonical half
 *   PT_ERR_PHYS        the physical range exceeds cpu.phys_bits
 *   PT_ERR_ATTR        a flag that leaves of this processor do not carry, PT_COW with
 *                      PT_WRITE, or a link's outside of its three
 *   PT_ERR_CACHE       cpu.pat has no such type
 *   PT_ERR_WX          PT_WRITE and PT_EXEC, and the space does not allow it
 *   PT_ERR_LEVEL       max_leaf is larger than the layout's largest leaf; or, if
 *                      leaves are to be exact, than the processor's, or 0
 *   PT_ERR_OVERLAP     an entry of the range is in use already, be it soft, and
 *                      the policy does not allow for it
 *   PT_ERR_LINK        a foreign table link would withhold a right asked for
 *                      (not with set_links)
 *   PT_ERR_CORRUPT     an existing table cannot be read, or one of the
 *                      allocator's cannot be reached
 *   PT_ERR_NO_TABLES   the allocator ran out
 *   PT_ERR_READ_ONLY   the space has no allocator
 *   PT_ERR_FOREIGN     the range touches root entries of another space's, or the
 *                      one by which the tables map themselves
 *   PT_ERR_BUDGET      more tables than the space's budget allows to look at
 *
 * READ_ONLY, FOREIGN and BUDGET can come from every call that changes a space.
 */
PT_MUST_USE enum pt_status pt_map(struct pt_space *space, const struct pt_mapping *m,
				  const struct pt_options *options, struct pt_flush *flush);

/*
 * Gives every mapped page of the range the flags and cache type of `attr`;
 * holes and soft entries stay what they are. Large leaves that are covered in
 * part are split. Accessed, dirty and software's flags are those of `attr` or
 * of the leaf, whichever is set. Statuses as pt_map(), without OVERLAP and PHYS.
 */
PT_MUST_USE enum pt_status pt_protect(struct pt_space *space, struct pt_range range,
				      struct pt_attr attr, struct pt_flush *flush);

/* A change of flags: in every leaf that has all of `only`, sets `set` and clears `clear`. */
struct pt_update {
	uint32_t only, set, clear;
};

/*
 * Changes some flags of every mapped page of the range; the other flags and
 * the cache type of each stay. Large leaves covered in part are split. ATTR: a
 * flag is not one that leaves carry, is to be set and cleared, or a leaf would
 * get PT_COW and PT_WRITE; WX: a leaf would become writable and executable.
 * Further statuses as pt_protect().
 */
PT_MUST_USE enum pt_status pt_update(struct pt_space *space, struct pt_range range,
				     struct pt_update update, struct pt_flush *flush);

/*
 * Unmaps the range; holes in it are no error, soft entries are cleared. Large
 * leaves that are covered in part are split; tables left empty are retired,
 * whole sub-trees unread. Statuses: UNALIGNED, RANGE, CORRUPT, READ_ONLY,
 * NO_TABLES (for a split), and SOFT for a large soft entry covered in part.
 */
PT_MUST_USE enum pt_status pt_unmap(struct pt_space *space, struct pt_range range,
				    struct pt_flush *flush);

/*
 * Retires the tables of the range that hold nothing; a table that the range
 * touches counts whole. Statuses: UNALIGNED, RANGE, CORRUPT, READ_ONLY.
 */
PT_MUST_USE enum pt_status pt_clean(struct pt_space *space, struct pt_range range,
				    struct pt_flush *flush);

/*
 * Puts leaves together again: where the entries of a table continue each other
 * physically and say the same, and the processor has leaves of their size
 * together, one leaf takes the table's place; its accessed and dirty bits are
 * set if one of theirs was. Tables that hold nothing are retired. A table that
 * the range touches counts whole. Takes no table.
 * Statuses: UNALIGNED, RANGE, CORRUPT, READ_ONLY.
 */
PT_MUST_USE enum pt_status pt_collapse(struct pt_space *space, struct pt_range range,
				       struct pt_flush *flush);

/*
 * Dry runs: the first step of the calls above, with the same statuses
 * but NO_TABLES and READ_ONLY. ret_plan is always written: the counts are
 * exact on PT_OK; on a refusal only `where` has a meaning.
 */
enum pt_status pt_plan_map(const struct pt_space *space, const struct pt_mapping *m,
			   const struct pt_options *options, struct pt_plan *ret_plan);
enum pt_status pt_plan_protect(const struct pt_space *space, struct pt_range range,
			       struct pt_attr attr, struct pt_plan *ret_plan);
enum pt_status pt_plan_update(const struct pt_space *space, struct pt_range range,
			      struct pt_update update, struct pt_plan *ret_plan);
enum pt_status pt_plan_unmap(const struct pt_space *space, struct pt_range range,
			     struct pt_plan *ret_plan);
enum pt_status pt_plan_clean(const struct pt_space *space, struct pt_range range,
			     struct pt_plan *ret_plan);
enum pt_status pt_plan_collapse(const struct pt_space *space, struct pt_range range,
				struct pt_plan *ret_plan);

/*
 * How many tables an empty space needs for all of `list`, the root included,
 * and which leaves it gets: before there is any memory for them. `list` is
 * sorted by virtual address and disjoint (else PT_ERR_OVERLAP); each mapping
 * is checked as pt_map() does in a space that keeps W^X. Mapping the list one by one into a space
 * that pt_init() made takes exactly that many. Linear in `count`, whatever the sizes. `cpu` is one
 * that pt_init() accepts. On refusal *ret_index is the mapping at fault.
 */
enum pt_status pt_plan_list(const struct pt_cpu *cpu, const struct pt_mapping *list, size_t count,
			    struct pt_plan *ret_plan, size_t *ret_index);

/* ------------------------------------------------------------------------
 * Reading. None of these calls takes a table or writes to one.
 */

/* One leaf, as the processor would use it. */
struct pt_leaf {
	virt_addr va;   /* first address that it translates */
	phys_addr pa;   /* what that becomes */
	uint64_t pages; /* in units of PT_PAGE_SIZE */
	unsigned level;
	struct pt_attr attr; /* effective: links and leaf together */
	uint32_t own;        /* flags that the leaf itself states */
};

/* One entry that is not absent. */
struct pt_entry {
	enum pte_kind kind; /* PTE_TABLE, PTE_LEAF or PTE_SOFT */
	struct pt_leaf at;  /* PTE_TABLE: va, pages and level of the entry; pa of the table */
	pte_t raw;
};

/*
 * Finds the leaf that translates `va` (any address, not only a page's first).
 * Rights are effective: the intersection of what links and leaf allow.
 *
 *   PT_ERR_RANGE       va is not canonical
 *   PT_ERR_NOT_MAPPED  no leaf is present there
 *   PT_ERR_CORRUPT     a table on the way is out of reach, or reserved bits are set
 */
enum pt_status pt_query(const struct pt_space *space, virt_addr va, struct pt_leaf *ret_leaf);

/*
 * What `va` translates to, and nothing else: as short a way as there is.
 * Statuses as pt_query().
 */
enum pt_status pt_translate(const struct pt_space *space, virt_addr va, phys_addr *ret_pa);

/* ------------------------------------------------------------------------
 * One page of a size that the caller expects: 4 KiB, 2 MiB, 1 GiB are level 1,
 * 2, 3. pt_map() with exact leaves maps one; these are the rest.
 *
 *   PT_ERR_LEVEL       the processor has no leaf of that level
 *   PT_ERR_UNALIGNED   va is not a multiple of the size
 *   PT_ERR_NOT_MAPPED  nothing is mapped at va
 *   PT_ERR_SIZE        a page of another size is
 *   PT_ERR_RANGE, PT_ERR_CORRUPT, PT_ERR_READ_ONLY  as ever
 */

/* Finds the page; reads only. */
enum pt_status pt_page(const struct pt_space *space, virt_addr va, unsigned level,
		       struct pt_leaf *ret_leaf);

/* Unmaps the page, and tells what it was. Tables left empty are retired. */
PT_MUST_USE enum pt_status pt_page_unmap(struct pt_space *space, virt_addr va, unsigned level,
					 struct pt_flush *flush, struct pt_leaf *ret_leaf);

/* Gives the page other rights and another cache type; further statuses as pt_protect(). */
PT_MUST_USE enum pt_status pt_page_protect(struct pt_space *space, virt_addr va, unsigned level,
					   struct pt_attr attr, struct pt_flush *flush);

/* An entry that is not present for the processor, and where it is to be. */
struct pt_soft {
	virt_addr va;
	unsigned level;
	pte_t entry; /* of the owner's making: pte_kind() says PTE_SOFT; or 0, absent */
};

/*
 * Puts soft->entry where a page of the size of soft->level, a soft entry or
 * nothing is. The table that holds it must exist. What was there is returned as
 * it was: its kind, and for a leaf what it mapped. PT_ERR_ATTR: the entry is
 * neither soft nor 0.
 */
PT_MUST_USE enum pt_status pt_set_soft(struct pt_space *space, const struct pt_soft *soft,
				       struct pt_flush *flush, struct pt_entry *ret_old);

/*
 * Makes the link at `level` on the way to va (2 up to the levels of the space)
 * let `rights` through, of PT_WRITE, PT_USER, PT_EXEC, and no other. It counts
 * for all that the link leads to; va is any address that it leads to.
 * PT_ERR_SIZE: there is a leaf, not a link. PT_ERR_ATTR: other rights.
 */
PT_MUST_USE enum pt_status pt_set_link(struct pt_space *space, virt_addr va, unsigned level,
				       uint32_t rights, struct pt_flush *flush);

/* ------------------------------------------------------------------------
 * Walks
 */

/*
 * A walk over the entries of a range in address order, tables before what they
 * contain. It visits at most `budget` tables, so tables that link to
 * themselves end it, with PT_ERR_BUDGET. The fields are the library's.
 */
struct pt_walk {
	const struct pt_space *space;
	uint64_t va, last; /* next address to look at, last of the range */
	uint64_t budget;
	unsigned level; /* of the table looked at */
	bool done;
	const pte_t *table[PT_MAX_LEVELS + 1];
	uint32_t rights[PT_MAX_LEVELS + 1]; /* that the links down to it leave */
};

#define PT_NO_BUDGET UINT64_MAX

/*
 * Starts a walk. The space may change meanwhile: the walk sees each entry as it
 * was before or after. Tables that it may be in are not to be released until it
 * has ended.
 * Statuses: UNALIGNED, RANGE, CORRUPT (no root), BUDGET (it is 0).
 */
enum pt_status pt_walk_start(struct pt_walk *ret_walk, const struct pt_space *space,
			     struct pt_range range, uint64_t budget);

/*
 * The next entry that is not absent: PT_OK and the entry, or
 *
 *   PT_ERR_NOT_MAPPED  the range has no further entry: the end
 *   PT_ERR_CORRUPT     the entry at ret_entry->at.va has reserved bits set or
 *                      links to a table out of reach; the walk is over
 *   PT_ERR_BUDGET      too many tables; the walk is over
 */
enum pt_status pt_walk_next(struct pt_walk *walk, struct pt_entry *ret_entry);

/* The whole of the lower half, and of the upper (none, if the layout has none). */
struct pt_range pt_lower_half(const struct pt_cpu *cpu);
struct pt_range pt_upper_half(const struct pt_cpu *cpu);

/*
 * Runs: neighbouring leaves that continue each other physically and have the
 * same effective rights and cache type, as one piece, whatever their sizes.
 * Accessed and dirty bits are left out. Start as a walk; `pending` is the
 * library's.
 */
struct pt_runs {
	struct pt_walk walk;
	struct pt_mapping pending; /* pages == 0: none */
	enum pt_status end;
};

enum pt_status pt_runs_start(struct pt_runs *ret_runs, const struct pt_space *space,
			     struct pt_range range, uint64_t budget);
/* PT_OK and a run, or the status with which the walk ended (NOT_MAPPED: the end). */
enum pt_status pt_runs_next(struct pt_runs *runs, struct pt_mapping *ret_run);

/*
 * Writes the physical addresses of all tables of the space, the root first, to
 * ret_tables, in ascending order of what they map, and their number to
 * ret_count. Tables linked twice are listed twice.
 *
 *   PT_ERR_BUDGET   there are more than `most`
 *   PT_ERR_CORRUPT  as pt_walk_next()
 */
enum pt_status pt_list_tables(const struct pt_space *space, phys_addr *ret_tables, size_t most,
			      size_t *ret_count);

/* What pt_audit() found. The counts are of leaves, whatever their size. */
struct pt_audit {
	uint64_t tables, empty_tables; /* the root counts as a table, never as an empty one */
	uint64_t leaves[PT_MAX_LEAF_LEVEL + 1];
	uint64_t soft; /* entries not present but not zero */

	/* By what they effectively allow. */
	uint64_t writable, executable, user, global;
	uint64_t wx;         /* writable and executable, where that is allowed */
	uint64_t user_upper; /* in the upper half, and the user reaches them */

	uint64_t self_links; /* 0 or 1: of the root to itself; its rights count as a leaf's */
	virt_addr where;     /* on a finding: the entry */
};

/*
 * Checks the structure of a space, trusting nothing in it: reserved bits,
 * tables in reach and linked once (but for one link of the root to itself), no
 * leaf writable and executable (unless the space allows it or the processor has
 * no NX), and in a space that counts what its links say is in use. `scratch`
 * has room for `most` addresses, and bounds the tables visited. ret_audit is
 * always written.
 *
 *   PT_ERR_CORRUPT  reserved bits, a table out of reach, or a wrong count, at
 *                   ret_audit->where
 *   PT_ERR_SHARED   a table is linked twice (cycles included), its address in `where`
 *   PT_ERR_WX       a leaf is effectively writable and executable
 *   PT_ERR_BUDGET   more tables than `most`
 */
enum pt_status pt_audit(const struct pt_space *space, phys_addr *scratch, size_t most,
			struct pt_audit *ret_audit);

#ifdef __cplusplus
}
#endif

#endif
