/* What the files of the core share. Nothing here is for users of pt.h. */
#ifndef PAGING_PT_INTERNAL_H
#define PAGING_PT_INTERNAL_H

#include "paging/pt.h"

/*
 * A piece of the address space: first byte of its first page, last byte of its
 * last page. The end is inclusive so that the last page needs no exception.
 */
struct slice {
	uint64_t va, last;
};

static inline uint64_t slice_pages(struct slice s)
{
	return ((s.last - s.va) >> PTE_PAGE_SHIFT) + 1;
}

/* The part of `s`, from its beginning, that lies in one entry of `level`. */
static inline struct slice slice_in_entry(struct slice s, unsigned level)
{
	uint64_t entry_last = s.va | (level_size(level) - 1);

	return (struct slice){ s.va, entry_last < s.last ? entry_last : s.last };
}

/* True if `part` is all that an entry of `level` covers. */
static inline bool slice_is_whole(struct slice part, unsigned level)
{
	return part.last - part.va == level_size(level) - 1;
}

/*
 * True if all bits of `va` above those that are translated repeat the highest
 * one, or are 0 if the layout does not extend signs.
 */
static inline bool is_canonical(const struct pt_cpu *cpu, uint64_t va)
{
	unsigned unused = 64 - (level_shift(cpu->levels) + PTE_INDEX_BITS);

	if (!PTE_SIGN_EXTENDS)
		return va << unused >> unused == va;
	return (uint64_t)((int64_t)(va << unused) >> unused) == va;
}

/*
 * PT_ERR_UNALIGNED or PT_ERR_RANGE, or PT_OK; *ret_slice is written if there
 * are pages at all.
 */
enum pt_status range_check(const struct pt_cpu *cpu, virt_addr va, uint64_t pages,
			   struct slice *ret_slice);

/* The table at `table`, linked at `va` as one of `level` (0: nowhere); NULL if out of reach. */
static inline pte_t *table_at(const struct pt_mem *mem, phys_addr table, uint64_t va,
			      unsigned level)
{
	if (mem->table)
		return mem->table(mem->ctx, table, virt(va), level);
	if (table.raw < mem->first.raw || table.raw > mem->last.raw)
		return NULL;
	return (pte_t *)(void *)((char *)mem->window + (table.raw - mem->first.raw));
}

static inline phys_addr root_addr(const struct pt_space *space)
{
	return phys(__atomic_load_n(&space->root.raw, __ATOMIC_ACQUIRE));
}

static inline pte_t *root_table(const struct pt_space *space)
{
	return table_at(&space->mem, root_addr(space), 0, space->cpu.levels);
}

/* The table that a link of `level` at `va` leads to; NULL if the link cannot be followed. */
static inline pte_t *table_below(const struct pt_space *space, pte_t link, unsigned level,
				 uint64_t va)
{
	if (!pte_is_valid(&space->cpu, link, level))
		return NULL;
	return table_at(&space->mem, pte_table_addr(&space->cpu, link, level),
			align_down(va, level_size(level)), level - 1);
}

/* True if the link, of `level`, is the one by which the tables map themselves. */
static inline bool is_self_link(const struct pt_space *space, pte_t link, unsigned level)
{
	return level == space->cpu.levels && pte_kind(link, level) == PTE_TABLE &&
	       pte_table_addr(&space->cpu, link, level).raw == space->root.raw;
}

/* True if the link of `level` at `va` has to stay, because others have copies of it. */
static inline bool is_pinned(const struct pt_space *space, unsigned level, uint64_t va)
{
	return space->pins_upper && level == space->cpu.levels && va >> 63;
}

static inline enum pt_hold hold_of(const struct pt_space *space, phys_addr table)
{
	const struct pt_holds *holds = space->tables.holds;

	return holds ? holds->hold(space->tables.ctx, table) : PT_OWN;
}

/* True if no entry is in use. */
static inline bool table_is_empty(const pte_t *table, unsigned level)
{
	unsigned i = 0;

	while (i < PTE_COUNT && pte_kind(table[i], level) == PTE_ABSENT)
		i++;
	return i == PTE_COUNT;
}

/* Readers may be looking: whole, and after all that was written before. */
static inline void pte_store(pte_t *entry, pte_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static inline pte_t pte_load(const pte_t *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

/* The entry with the bits of `keep` as they are and others as in `bits`; returns what it was. */
static inline pte_t pte_alter(const struct pt_space *space, pte_t *entry, pte_t keep, pte_t bits)
{
	pte_t old = pte_load(entry);

	if (!space->live) {
		pte_store(entry, (old & keep) | bits);
		return old;
	}
	/* The processor sets accessed and dirty bits whenever it likes. */
	while (!__atomic_compare_exchange_n(entry, &old, (old & keep) | bits, true,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
	}
	return old;
}

/* ---- reserved tables (pt_reserve.c) --------------------------------------- */

/*
 * Tables taken but not used yet. The allocator hands out runs; the first two
 * words of a run's first table hold the list:
 *
 *	struct reserve        run                      run
 *	  runs ------------> [next | count | ...] --> [NONE | count | ...]
 *	  next, left: what remains of the run that is being used up
 */
struct reserve {
	const struct pt_space *space;
	uint64_t runs;
	uint64_t next;
	uint64_t left;
};

static inline struct reserve reserve_start(const struct pt_space *space)
{
	return (struct reserve){ .space = space, .runs = PT_NO_TABLE };
}

/* Takes `count` tables, or none: NO_TABLES, or CORRUPT if one cannot be reached. */
enum pt_status reserve_take(struct reserve *reserve, uint64_t count);

/*
 * The next reserved table, zeroed if the allocator's are. NULL if there is
 * none: never where each table is linked once, because then plans are exact.
 */
pte_t *reserve_use(struct reserve *reserve, phys_addr *ret_table);

/* Gives back what was not used. */
void reserve_end(struct reserve *reserve);

/* ---- what a change gives up (pt_release.c) -------------------------------- */

/* Adds pages to what processors have to forget. */
void flush_add(struct pt_flush *flush, struct slice s, bool global);

/* Tables that `count` more entries of the flush's log take. */
uint64_t log_tables(const struct pt_space *space, const struct pt_flush *flush, uint64_t count);

/* Lists pages that are to be released; draws on the reserve for the list. */
void log_pages(struct reserve *reserve, struct pt_flush *flush, phys_addr pa, unsigned level);

/* Gives up the table of `level`, no longer linked by this space, and all below it. */
void let_go(struct reserve *reserve, struct pt_flush *flush, phys_addr table, unsigned level);

/* Tells the hooks that the leaves of a run, `pages` from `pa`, will be mapped. */
static inline void acquire_pages(const struct pt_space *space, uint64_t pa, uint64_t pages)
{
	if (space->frames.acquire)
		space->frames.acquire(space->frames.ctx, phys(pa), pages);
}

/*
 * Makes `to` a copy of a table of `level`: what it leads to has one reference
 * more, and the pages of its leaves are mapped once more.
 */
void copy_table(const struct pt_space *space, pte_t *to, const pte_t *from, unsigned level);

/* ---- links ------------------------------------------------------------------ */

/* A link of `level` to a table with `used` entries in use. */
static inline pte_t make_link(const struct pt_space *space, phys_addr table, uint32_t rights,
			      unsigned level, unsigned used)
{
	pte_t link = pte_link(&space->cpu, table, rights, level);

	return space->counted ? pte_set_count(link, used + 1) : link;
}

/* Keeps the number of entries in use below a link, if it is known; returns it, plus one. */
static inline unsigned count_link(const struct pt_space *space, pte_t *entry, int delta)
{
	pte_t link = pte_load(entry);
	unsigned count = space->counted ? pte_count(link) : 0;

	if (count == 0)
		return 0;
	count = (unsigned)((int)count + delta);
	if (delta != 0)
		pte_store(entry, pte_set_count(link, count));
	return count;
}

/* What links can withhold. */
#define LINK_RIGHTS (PT_WRITE | PT_USER | PT_EXEC)

/* ---- one change, decided (pt_plan.c), and carried out (pt_commit.c) ------- */

enum action {
	ACTION_MAP,
	ACTION_PROTECT, /* and update: both rewrite leaves */
	ACTION_UNMAP,
	ACTION_CLEAN,
	ACTION_SET_LINK, /* one link, of leaf_level */
	ACTION_SET_SOFT, /* one entry, of leaf_level */
};

/* A call of the user's, checked and encoded. */
struct change {
	const struct pt_space *space;
	enum action action;
	enum pt_conflict conflict;
	struct slice slice;
	bool empty;          /* no pages: nothing to do */
	bool exact;          /* map: no leaves but of leaf_level */
	bool set_links;      /* map: links on the way are widened to `links` */
	bool mixes;          /* update: leaves can come to say what they may not */
	uint32_t links;      /* what new links let through */
	uint32_t rights;     /* that the links on the way must let through */
	unsigned leaf_level; /* map: the largest leaves that both addresses allow */
	uint64_t delta;      /* map: physical less virtual address, modulo 2^64 */
	struct pt_attr attr;
	struct pt_update update;
	bool adopts;    /* map: the one leaf is a link to somebody's table */
	pte_t *removed; /* set soft: NULL, or where the entry taken out goes */
	uint32_t *seen; /* NULL, or where the flags of all leaves taken out are gathered */

	/* By level, each only as far as the action uses it. */
	pte_t bits[PT_MAX_LEVELS + 1];          /* of a new leaf, or what a protection says anew */
	pte_t keep[PT_MAX_LEAF_LEVEL + 1];      /* protect: bits of a leaf that stay */
	pte_t only_mask[PT_MAX_LEAF_LEVEL + 1]; /* protect: leaves that are concerned */
	pte_t only[PT_MAX_LEAF_LEVEL + 1];      /* say this there */
};

/* True if the change leaves no empty table behind. */
static inline bool change_removes_tables(const struct change *change)
{
	return change->action == ACTION_UNMAP || change->action == ACTION_CLEAN;
}

/* True if a protection concerns the entry. */
static inline bool change_concerns(const struct change *change, pte_t entry, unsigned level)
{
	if (pte_kind(entry, level) != PTE_LEAF)
		return false;
	/* What is a leaf where there can be none is refused later. */
	return level > PT_MAX_LEAF_LEVEL ||
	       (entry & change->only_mask[level]) == change->only[level];
}

/* All entries of a part of a table of pages, put together bit by bit. */
struct page_bits {
	pte_t any, all;
};

static inline struct page_bits page_bits(const pte_t *entries, unsigned count)
{
	struct page_bits bits = { 0, ~(pte_t)0 };

	for (; count >= 4; count -= 4, entries += 4) {
		bits.any |= entries[0] | entries[1] | entries[2] | entries[3];
		bits.all &= entries[0] & entries[1] & entries[2] & entries[3];
	}
	for (; count > 0; count--, entries++) {
		bits.any |= *entries;
		bits.all &= *entries;
	}
	return bits;
}

/*
 * True if a protection rewrites all of these entries. What makes a leaf of
 * level 1 is a bit that is set.
 */
static inline bool change_concerns_all(const struct change *change, struct page_bits bits)
{
	return change->only_mask[1] == 0 && pte_kind(bits.all, 1) == PTE_LEAF;
}

/* What one entry needs. Decided once, for counting and for doing alike. */
enum step {
	STEP_SKIP,      /* nothing */
	STEP_LEAF,      /* write, rewrite or clear the entry itself */
	STEP_NEW_TABLE, /* a table below, for a part of it */
	STEP_DESCEND,   /* the table below exists */
	STEP_SPLIT,     /* a leaf is covered in part: a table of smaller ones */
	STEP_DROP,      /* unlink the table below and all it holds */
	STEP_REPLACE,   /* a leaf where a table is; which must be empty, unless all is replaced */
	STEP_REFUSE,    /* the entry is in use */
};

enum step choose_step(const struct change *change, pte_t entry, unsigned level, struct slice part);

/*
 * How many entries, from the first that `s` covers on, get a leaf where nothing
 * is: for these the decision is the same, and need not be asked for.
 */
unsigned fresh_leaves(const struct change *change, const pte_t *entries, unsigned level,
		      struct slice s);

/* Checks and encodes; status of the call so far. */
enum pt_status change_map(struct change *ret_change, const struct pt_space *space,
			  const struct pt_mapping *m, const struct pt_options *options);
enum pt_status change_protect(struct change *ret_change, const struct pt_space *space,
			      struct pt_range range, struct pt_attr attr);
enum pt_status change_update(struct change *ret_change, const struct pt_space *space,
			     struct pt_range range, struct pt_update update);
/* For the actions that take nothing but a range. */
enum pt_status change_remove(struct change *ret_change, const struct pt_space *space,
			     struct pt_range range, enum action action);
/* For the actions on the one entry of `level` that translates `va`. */
enum pt_status change_entry(struct change *ret_change, const struct pt_space *space, virt_addr va,
			    unsigned level, enum action action);

/* Puts `link` where the one entry of `level` at va is, if nothing is mapped there. */
enum pt_status change_adopt(struct change *ret_change, const struct pt_space *space, virt_addr va,
			    unsigned level, pte_t link);

/* Checks that the entries of the root that `s` covers are the space's own. */
enum pt_status root_check(const struct pt_space *space, struct slice s);

/* The dry run: validates against the tables and counts. */
enum pt_status change_plan(const struct change *change, struct pt_plan *ret_plan);

/* What a change will do to the table below a link of `level`. */
struct effect {
	unsigned gone; /* entries in use that become absent */
	unsigned left; /* entries of the range that are, or come to be, in use */
	bool touched;  /* something is written, in it or below */
	unsigned used; /* entries in use now, plus one, as the link says; 0: not known */
	bool emptied;  /* nothing will be left in the table */
};

/* The effect on a table that is held by others too, which so far is linked by `link`. */
struct effect change_preview(const struct change *change, pte_t link, unsigned level,
			     struct slice part);

/* Plan, reserve, commit. `space` is the change's. */
enum pt_status change_carry_out(struct pt_space *space, const struct change *change,
				struct pt_flush *flush);

/* ---- the short way for one page (pt_single.c); false: nothing was done ------- */

/* True if the space's last mapping has shown what a page with these flags looks like. */
static inline bool is_known_attr(const struct pt_hot *hot, struct pt_attr attr)
{
	return hot->is_known && attr.flags == hot->attr.flags && attr.cache == hot->attr.cache;
}

/* `m` is one page, of whatever soundness; in the table that the last one went to. */
static inline bool single_map_near(const struct pt_space *space, const struct pt_mapping *m)
{
	const struct pt_hot *hot = &space->hot;
	uint64_t va = m->va.raw, pa = m->pa.raw;

	if (!hot->entries || va >> level_shift(2) != hot->span || !is_known_attr(hot, m->attr) ||
	    !is_aligned(va | pa, PT_PAGE_SIZE) || pa >> space->cpu.phys_bits)
		return false;

	pte_t *entry = &hot->entries[level_index(va, 1)];

	if (*entry != 0)
		return false;
	pte_store(entry, pte_leaf(hot->bits, pa, 1));
	if (space->counted)
		count_link(space, hot->link, 1);
	return true;
}

/* The same, anywhere. */
bool single_map(struct pt_space *space, const struct pt_mapping *m);
/* `va` is of whatever soundness. */
bool single_unmap(struct pt_space *space, uint64_t va, struct pt_flush *flush);

/* Remembers what a page looks like, once it has been mapped in the general way. */
void single_learn(struct pt_space *space, const struct change *change);

/* Leaves the table that a walk has just gone into, by a link of `level`, unseen. */
void walk_skip(struct pt_walk *walk, unsigned level);

/*
 * The link of `level` on the way to va, to a table in reach (pt_share.c).
 * NOT_MAPPED, CORRUPT; SIZE: a leaf is there; FOREIGN: by way of the tables themselves.
 */
enum pt_status link_find(const struct pt_space *space, virt_addr va, unsigned level,
			 pte_t *ret_link);

/* Adds a reference to a table that is linked once more, if somebody counts them. */
void share_table(const struct pt_space *space, phys_addr table);

/* An entry at `va`, when the links above leave `rights`. */
struct pt_entry entry_of(const struct pt_space *space, pte_t e, unsigned level, uint64_t va,
			 uint32_t rights);

#endif
