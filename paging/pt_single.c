/*
 * One page of the smallest size, in the most common case: the short way. What
 * these functions do not do at once they leave to the general way, untouched.
 */
#include "paging/pt_internal.h"

/* Spaces whose tables can be changed without asking about each. */
static bool is_plain(const struct pt_space *space)
{
	return space->tables.take && !space->tables.holds && space->budget == 0;
}

/* Pages in the table that the last page went to, mapped alike, and not tracked. */
bool single_map_again(struct pt_space *space, const struct pt_mapping *m)
{
	const struct pt_hot *hot = &space->hot;
	uint64_t va = m->va.raw, pa = m->pa.raw;

	if (!hot->entries || va >> level_shift(2) != hot->span ||
	    m->attr.flags != hot->attr.flags || m->attr.cache != hot->attr.cache ||
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

/* Makes the tables below an absent entry of `level`, one page in each. */
static bool single_build(struct pt_space *space, const struct change *change, pte_t *entry,
			 unsigned level)
{
	uint64_t va = change->slice.va, pa = va + change->delta;
	struct reserve reserve = reserve_start(space);
	pte_t below = pte_leaf(change->bits[1], pa, 1);

	if (reserve_take(&reserve, level - 1) != PT_OK)
		return false;
	acquire_pages(space, pa, 1);
	for (unsigned l = 1; l < level; l++) {
		phys_addr at;
		pte_t *table = reserve_use(&reserve, &at);

		if (!table)
			__builtin_unreachable();
		if (!space->tables.zeroed)
			__builtin_memset(table, 0, PT_PAGE_SIZE);
		table[level_index(va, l)] = below;
		below = make_link(space, at, LINK_RIGHTS, l + 1, 1);
	}
	pte_store(entry, below);
	return true;
}

bool single_map(struct pt_space *space, const struct change *change)
{
	uint64_t va = change->slice.va, pa = va + change->delta;
	pte_t *table = root_table(space), *entry = NULL, *link = NULL;
	unsigned level = space->cpu.levels;

	if (!is_plain(space))
		return false;
	for (; table; level--) {
		entry = &table[level_index(va, level)];
		if (level == 1 || pte_kind(*entry, level) != PTE_TABLE)
			break;
		if (is_self_link(space, *entry, level) ||
		    (change->rights & ~pte_rights(&space->cpu, *entry, level)))
			return false;
		link = entry;
		table = table_below(space, *entry, level, va);
	}
	if (!table || pte_kind(*entry, level) != PTE_ABSENT)
		return false;
	if (level > 1) {
		if (!single_build(space, change, entry, level))
			return false;
	} else {
		acquire_pages(space, pa, 1);
		pte_store(entry, pte_leaf(change->bits[1], pa, 1));
		if (space->frames.acquire)
			table = NULL;
		space->hot = (struct pt_hot){ table, link, va >> level_shift(2), change->attr,
					      change->bits[1] };
	}
	if (link)
		count_link(space, link, 1);
	return true;
}

/*
 * The highest link that goes with the page, given that each table's number of
 * entries in use is known; 0 if one is not.
 */
static unsigned single_last_table(const struct pt_space *space, pte_t *const *path, uint64_t va)
{
	unsigned level = 2;

	while (level <= space->cpu.levels && pte_count(*path[level]) == 2 &&
	       !is_pinned(space, level, va))
		level++;
	if (level > space->cpu.levels)
		return level - 1;
	return pte_count(*path[level]) == 0 ? 0 : level - 1;
}

/* The entry of a page that is mapped, and those on the way; NULL if it is not. */
static pte_t *single_path(const struct pt_space *space, uint64_t va,
			  pte_t *ret_path[PT_MAX_LEVELS + 1])
{
	pte_t *table = root_table(space);

	for (unsigned level = space->cpu.levels; table; level--) {
		pte_t *entry = &table[level_index(va, level)];

		ret_path[level] = entry;
		if (level == 1)
			return pte_kind(*entry, 1) == PTE_LEAF ? entry : NULL;
		if (pte_kind(*entry, level) != PTE_TABLE || is_self_link(space, *entry, level))
			return NULL;
		table = table_below(space, *entry, level, va);
	}
	return NULL;
}

bool single_unmap(struct pt_space *space, uint64_t va, struct pt_flush *flush)
{
	pte_t *path[PT_MAX_LEVELS + 1] = { NULL }, *entry;

	if (!is_plain(space) || !space->counted || space->frames.acquire)
		return false;
	entry = single_path(space, va, path);
	if (!entry)
		return false;

	unsigned last = single_last_table(space, path, va);
	struct reserve none = reserve_start(space);

	if (last == 0)
		return false;

	pte_t old = pte_alter(space, entry, 0, 0);

	flush_add(flush, (struct slice){ va, va + (PT_PAGE_SIZE - 1) },
		  pte_attr(&space->cpu, old, 1).flags & PT_GLOBAL);
	for (unsigned level = 2; level <= last; level++) {
		pte_t link = *path[level];

		pte_store(path[level], 0);
		let_go(&none, flush, pte_table_addr(&space->cpu, link, level), level - 1);
	}
	if (last > 1) {
		space->hot.entries = NULL;
		space->generation++;
	}
	if (last < space->cpu.levels)
		count_link(space, path[last + 1], -1);
	return true;
}
