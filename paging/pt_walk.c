/*
 * Reading: one walker, and what is said with it.
 */
#include "paging/pt_internal.h"

/* A leaf as the processor sees it, when the links above leave `rights`. */
static struct pt_leaf leaf_of(const struct pt_space *space, pte_t e, unsigned level, uint64_t va,
			      uint32_t rights)
{
	struct pt_attr attr = pte_attr(&space->cpu, e, level);
	uint32_t own = attr.flags;

	attr.flags &= rights | ~LINK_RIGHTS;
	return (struct pt_leaf){
		.va = virt(align_down(va, level_size(level))),
		.pa = pte_leaf_addr(&space->cpu, e, level),
		.pages = level_pages(level),
		.level = level,
		.attr = attr,
		.own = own,
	};
}

enum pt_status pt_query(const struct pt_space *space, virt_addr va, struct pt_leaf *ret_leaf)
{
	const pte_t *table = root_table(space);
	uint32_t rights = LINK_RIGHTS;

	if (!is_canonical(&space->cpu, va.raw))
		return PT_ERR_RANGE;
	for (unsigned level = space->cpu.levels; table && level > 0; level--) {
		pte_t e = pte_load(&table[level_index(va.raw, level)]);
		enum pte_kind kind = pte_kind(e, level);

		if (kind == PTE_ABSENT || kind == PTE_SOFT)
			return PT_ERR_NOT_MAPPED;
		if (kind == PTE_LEAF) {
			if (!pte_is_valid(&space->cpu, e, level))
				return PT_ERR_CORRUPT;
			*ret_leaf = leaf_of(space, e, level, va.raw, rights);
			return PT_OK;
		}
		rights &= pte_rights(&space->cpu, e, level);
		table = table_below(space, e, level, va.raw);
	}
	return PT_ERR_CORRUPT;
}

/* The same, for tables that are called for one by one. */
__attribute__((noinline)) static enum pt_status translate_slowly(const struct pt_space *space,
								 virt_addr va, phys_addr *ret_pa)
{
	struct pt_leaf leaf;
	enum pt_status status = pt_query(space, va, &leaf);

	if (status == PT_OK)
		*ret_pa = phys(leaf.pa.raw + (va.raw - leaf.va.raw));
	return status;
}

/* What an entry translates to that leads to no further table. */
__attribute__((noinline)) static enum pt_status translate_leaf(const struct pt_space *space,
							       pte_t e, unsigned level,
							       virt_addr va, phys_addr *ret_pa)
{
	switch (pte_kind(e, level)) {
	case PTE_ABSENT:
	case PTE_SOFT:
		return PT_ERR_NOT_MAPPED;
	case PTE_TABLE:
		return PT_ERR_CORRUPT;
	case PTE_LEAF:
		break;
	}
	if (!pte_is_valid(&space->cpu, e, level))
		return PT_ERR_CORRUPT;
	*ret_pa = phys(pte_leaf_addr(&space->cpu, e, level).raw |
		       (va.raw & (level_size(level) - 1)));
	return PT_OK;
}

/* The entry of a table in the window that translates va, as it is now. */
static inline pte_t entry_in(const char *window, uint64_t offset, uint64_t va, unsigned level)
{
	const pte_t *table = (const pte_t *)(const void *)(window + offset);

	return pte_load(&table[level_index(va, level)]);
}

enum pt_status pt_translate(const struct pt_space *space, virt_addr va, phys_addr *ret_pa)
{
	const struct pte_window window = space->window;
	uint64_t offset = root_addr(space).raw - space->mem.first.raw;
	pte_t e = 0;

	if (space->mem.table)
		return translate_slowly(space, va, ret_pa);
	if (!is_canonical(&space->cpu, va.raw))
		return PT_ERR_RANGE;
	if (offset > space->mem.last.raw - space->mem.first.raw)
		return PT_ERR_CORRUPT;
		/* Unrolled, each level knows its shifts. */
#pragma GCC unroll 5
	for (unsigned level = PT_MAX_LEVELS; level > 0; level--) {
		if (level > PT_MIN_LEVELS && level > space->cpu.levels)
			continue;
		e = entry_in(space->mem.window, offset, va.raw, level);
		if (level == 1 && pte_follow_page(&window, e, ret_pa)) {
			ret_pa->raw |= va.raw & (PT_PAGE_SIZE - 1);
			return PT_OK;
		}
		if (level == 1 || !pte_follow(&window, e, level, &offset))
			return translate_leaf(space, e, level, va, ret_pa);
	}
	return PT_ERR_CORRUPT;
}

/* ---- one page ---------------------------------------------------- */

enum pt_status pt_page(const struct pt_space *space, virt_addr va, unsigned level,
		       struct pt_leaf *ret_leaf)
{
	struct pt_leaf leaf;

	if (level < 1 || level > space->cpu.max_leaf)
		return PT_ERR_LEVEL;
	if (!is_aligned(va.raw, level_size(level)))
		return PT_ERR_UNALIGNED;

	enum pt_status status = pt_query(space, va, &leaf);

	if (status == PT_OK && leaf.level != level)
		status = PT_ERR_SIZE;
	if (status == PT_OK)
		*ret_leaf = leaf;
	return status;
}

/* ---- the walk ------------------------------------------------------------- */

enum pt_status pt_walk_start(struct pt_walk *ret_walk, const struct pt_space *space,
			     struct pt_range range, uint64_t budget)
{
	struct slice slice = { 0, 0 };
	enum pt_status status = range_check(&space->cpu, range.va, range.pages, &slice);
	const pte_t *root = root_table(space);
	unsigned top = space->cpu.levels;

	if (status != PT_OK)
		return status;
	if (!root)
		return PT_ERR_CORRUPT;
	if (budget == 0)
		return PT_ERR_BUDGET;
	*ret_walk = (struct pt_walk){
		.space = space,
		.va = slice.va,
		.last = slice.last,
		.budget = budget,
		.level = top,
		.done = range.pages == 0,
	};
	ret_walk->table[top] = root;
	ret_walk->rights[top] = LINK_RIGHTS;
	return PT_OK;
}

/* Goes on behind the entry of `level` that holds walk->va, and up where a table ends. */
static void walk_advance(struct pt_walk *walk, unsigned level)
{
	uint64_t entry_last = walk->va | (level_size(level) - 1);

	if (entry_last >= walk->last) {
		walk->done = true;
		return;
	}
	walk->va = entry_last + 1;
	while (level < walk->space->cpu.levels && level_index(walk->va, level) == 0)
		level++;
	walk->level = level;
}

void walk_skip(struct pt_walk *walk, unsigned level)
{
	walk_advance(walk, level);
}

/* Follows the link in *entry; from then on the walk is in the table below. */
static enum pt_status walk_descend(struct pt_walk *walk, const struct pt_entry *entry)
{
	const struct pt_space *space = walk->space;
	unsigned level = walk->level;
	const pte_t *below = table_below(space, entry->raw, level, walk->va);

	if (!below)
		return PT_ERR_CORRUPT;
	/* What is in there are the tables themselves. */
	if (is_self_link(space, entry->raw, level)) {
		walk_advance(walk, level);
		return PT_OK;
	}
	if (walk->budget <= 1)
		return PT_ERR_BUDGET;
	walk->budget--;
	walk->rights[level - 1] = walk->rights[level] & pte_rights(&space->cpu, entry->raw, level);
	walk->table[level - 1] = below;
	walk->level = level - 1;
	return PT_OK;
}

struct pt_entry entry_of(const struct pt_space *space, pte_t e, unsigned level, uint64_t va,
			 uint32_t rights)
{
	struct pt_entry entry = { .kind = pte_kind(e, level), .raw = e };

	entry.at = leaf_of(space, e, level, va, rights);
	if (entry.kind == PTE_TABLE) {
		entry.at.pa = pte_table_addr(&space->cpu, e, level);
		entry.at.attr = (struct pt_attr){ rights & pte_rights(&space->cpu, e, level),
						  PT_WB };
	}
	return entry;
}

enum pt_status pt_walk_next(struct pt_walk *walk, struct pt_entry *ret_entry)
{
	while (!walk->done) {
		unsigned level = walk->level;
		pte_t e = pte_load(&walk->table[level][level_index(walk->va, level)]);
		enum pt_status status = PT_OK;

		if (pte_kind(e, level) == PTE_ABSENT) {
			walk_advance(walk, level);
			continue;
		}
		*ret_entry = entry_of(walk->space, e, level, walk->va, walk->rights[level]);
		if (ret_entry->kind == PTE_TABLE)
			status = walk_descend(walk, ret_entry);
		else if (ret_entry->kind == PTE_LEAF && !pte_is_valid(&walk->space->cpu, e, level))
			status = PT_ERR_CORRUPT;
		else
			walk_advance(walk, level);
		walk->done = walk->done || status != PT_OK;
		return status;
	}
	return PT_ERR_NOT_MAPPED;
}

/* ---- runs ----------------------------------------------------------------- */

enum pt_status pt_runs_start(struct pt_runs *ret_runs, const struct pt_space *space,
			     struct pt_range range, uint64_t budget)
{
	struct pt_walk walk;
	enum pt_status status = pt_walk_start(&walk, space, range, budget);

	if (status == PT_OK)
		*ret_runs = (struct pt_runs){ .walk = walk };
	return status;
}

/* The part of a leaf that lies in the range of the walk. */
static struct pt_mapping leaf_clip(const struct pt_leaf *leaf, uint64_t first, uint64_t last)
{
	uint64_t leaf_last = leaf->va.raw + ((leaf->pages << PTE_PAGE_SHIFT) - 1);
	struct slice s = { leaf->va.raw > first ? leaf->va.raw : first,
			   leaf_last < last ? leaf_last : last };

	return (struct pt_mapping){
		.va = virt(s.va),
		.pa = phys(leaf->pa.raw + (s.va - leaf->va.raw)),
		.pages = slice_pages(s),
		.attr = { leaf->attr.flags & ~(uint32_t)(PT_ACCESSED | PT_DIRTY),
			  leaf->attr.cache },
	};
}

static bool run_continues(const struct pt_mapping *run, const struct pt_mapping *next)
{
	uint64_t size = run->pages << PTE_PAGE_SHIFT;

	return run->pages != 0 && next->va.raw == run->va.raw + size &&
	       next->pa.raw == run->pa.raw + size && next->attr.flags == run->attr.flags &&
	       next->attr.cache == run->attr.cache;
}

enum pt_status pt_runs_next(struct pt_runs *runs, struct pt_mapping *ret_run)
{
	while (runs->end == PT_OK) {
		struct pt_entry entry;
		uint64_t first = runs->walk.va;

		runs->end = pt_walk_next(&runs->walk, &entry);
		if (runs->end != PT_OK || entry.kind != PTE_LEAF)
			continue;

		struct pt_mapping run = runs->pending;
		struct pt_mapping next = leaf_clip(&entry.at, first, runs->walk.last);

		if (run_continues(&run, &next)) {
			runs->pending.pages += next.pages;
			continue;
		}
		runs->pending = next;
		if (run.pages != 0) {
			*ret_run = run;
			return PT_OK;
		}
	}
	if (runs->pending.pages == 0)
		return runs->end;
	*ret_run = runs->pending;
	runs->pending.pages = 0;
	return PT_OK;
}

/* ---- tables --------------------------------------------------------------- */

struct table_list {
	phys_addr *tables;
	size_t most, count;
};

static enum pt_status list_half(const struct pt_space *space, struct pt_range half,
				struct table_list *list)
{
	struct pt_walk walk;
	struct pt_entry entry;
	enum pt_status status = pt_walk_start(&walk, space, half, PT_NO_BUDGET);

	while (status == PT_OK) {
		status = pt_walk_next(&walk, &entry);
		if (status != PT_OK || entry.kind != PTE_TABLE)
			continue;
		if (list->count == list->most)
			return PT_ERR_BUDGET;
		list->tables[list->count++] = entry.at.pa;
	}
	return status == PT_ERR_NOT_MAPPED ? PT_OK : status;
}

enum pt_status pt_list_tables(const struct pt_space *space, phys_addr *ret_tables, size_t most,
			      size_t *ret_count)
{
	struct table_list list = { ret_tables, most, 0 };

	if (most == 0)
		return PT_ERR_BUDGET;
	list.tables[list.count++] = space->root;

	enum pt_status status = list_half(space, pt_lower_half(&space->cpu), &list);

	if (status == PT_OK)
		status = list_half(space, pt_upper_half(&space->cpu), &list);
	if (status == PT_OK)
		*ret_count = list.count;
	return status;
}
