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

/* True if all bits of `va` above those that are translated repeat the highest one. */
static inline bool is_canonical(const struct pt_cpu *cpu, uint64_t va)
{
	unsigned unused = 64 - (level_shift(cpu->levels) + PTE_INDEX_BITS);

	return (uint64_t)((int64_t)(va << unused) >> unused) == va;
}

/*
 * PT_ERR_UNALIGNED or PT_ERR_RANGE, or PT_OK; *ret_slice is written if there
 * are pages at all.
 */
enum pt_status range_check(const struct pt_cpu *cpu, virt_addr va, uint64_t pages,
			   struct slice *ret_slice);

/* The table at `table`, or NULL if it is out of reach. */
static inline pte_t *table_at(const struct pt_mem *mem, phys_addr table)
{
	if (mem->table)
		return mem->table(mem->ctx, table);
	if (table.raw < mem->first.raw || table.raw > mem->last.raw)
		return NULL;
	return (pte_t *)(void *)((char *)mem->window + (table.raw - mem->first.raw));
}

/* The table that a link of `level` leads to; NULL if the link cannot be followed. */
static inline pte_t *table_below(const struct pt_space *space, pte_t link, unsigned level)
{
	if (!pte_is_valid(&space->cpu, link, level))
		return NULL;
	return table_at(&space->mem, pte_table_addr(link, level));
}

/*
 * The entry of `level` on the way to va. NOT_MAPPED if the way ends above it,
 * SIZE if it ends there in a leaf.
 */
enum pt_status entry_at(const struct pt_space *space, virt_addr va, unsigned level,
			pte_t **ret_entry);

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

/* ---- one change, decided (plan.c), and carried out (commit.c) ----------- */

enum action { ACTION_MAP, ACTION_PROTECT, ACTION_UNMAP, ACTION_CLEAN };

/* What links can withhold. */
#define LINK_RIGHTS ((uint32_t)(PT_WRITE | PT_USER | PT_EXEC))

/* A call of the user's, checked and encoded. */
struct change {
	const struct pt_space *space;
	enum action action;
	enum pt_conflict conflict;
	struct slice slice;
	bool empty;          /* no pages: nothing to do */
	bool exact;          /* map: no leaves but of leaf_level */
	bool set_links;      /* map: links on the way are widened to `links` */
	uint32_t links;      /* what new links let through */
	uint32_t rights;     /* that the links on the way must let through */
	unsigned leaf_level; /* map: the largest leaves that both addresses allow */
	uint64_t delta;      /* map: physical less virtual address, modulo 2^64 */
	struct pt_attr attr;
	pte_t bits[PT_MAX_LEAF_LEVEL + 1]; /* of a leaf, by level */
};

/* True if the change leaves no empty table behind. */
static inline bool change_removes_tables(const struct change *change)
{
	return change->action == ACTION_UNMAP || change->action == ACTION_CLEAN;
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
/* For the actions that take nothing but a range. */
enum pt_status change_remove(struct change *ret_change, const struct pt_space *space,
			     struct pt_range range, enum action action);

/* Adds pages to what processors have to forget. */
void flush_add(struct pt_flush *flush, struct slice s, bool global);

/* Puts the table that `link` of `level` led to, and all below it, on the list of retired ones. */
void retire(const struct pt_space *space, pte_t link, unsigned level, struct pt_flush *flush);

/* The dry run: validates against the tables and counts. */
enum pt_status change_plan(const struct change *change, struct pt_plan *ret_plan);

#endif
