/*
 * One page of the smallest size, in the most common cases: the short way. What
 * these functions do not do at once they leave to the general way, untouched.
 */
#include "paging/pt_internal.h"

/* Spaces whose tables can be changed without asking about each. */
static bool is_plain(const struct pt_space *space)
{
	return space->tables.take && !space->tables.holds && space->budget == 0 &&
	       !space->mem.table;
}

/* An address of the space's own. */
static bool is_own_page(const struct pt_space *space, uint64_t va)
{
	unsigned index = level_index(va, space->cpu.levels);

	return is_aligned(va, PT_PAGE_SIZE) && is_canonical(&space->cpu, va) &&
	       index >= space->root_first && index <= space->root_last;
}

/* The entries on the way to a page. */
struct path {
	pte_t *entry[PT_MAX_LEVELS + 1];
	unsigned level; /* of the last one: 1, or where there is no link to follow */
	pte_t last;     /* what it says */
	uint32_t rights;
};

static inline pte_t *table_in_window(const struct pt_space *space, uint64_t offset)
{
	return (pte_t *)(void *)((char *)space->mem.window + offset);
}

static bool path_find(struct path *ret_path, const struct pt_space *space, uint64_t va)
{
	const uint64_t root = space->root.raw - space->mem.first.raw;
	unsigned level = space->cpu.levels;
	uint64_t offset = root;

	ret_path->rights = LINK_RIGHTS;
	for (;; level--) {
		pte_t *entry = &table_in_window(space, offset)[level_index(va, level)];
		pte_t e = *entry;

		ret_path->entry[level] = entry;
		ret_path->level = level;
		ret_path->last = e;
		if (level == 1 || !pte_follow(&space->window, e, level, &offset))
			return true;
		/* Only the root can be linked from itself. */
		if (offset == root)
			return false;
		ret_path->rights &= pte_rights(&space->cpu, e, level);
	}
}

/* ---- map ------------------------------------------------------------------------ */

/* Makes the tables below an absent entry of `level`, one page in each. */
static bool single_build(struct pt_space *space, const struct path *path, uint64_t va, uint64_t pa)
{
	struct reserve reserve = reserve_start(space);
	pte_t below = pte_leaf(space->hot.bits, pa, 1);

	if (reserve_take(&reserve, path->level - 1) != PT_OK)
		return false;
	acquire_pages(space, pa, 1);
	for (unsigned level = 1; level < path->level; level++) {
		phys_addr at;
		pte_t *table = reserve_use(&reserve, &at);

		if (!table)
			__builtin_unreachable();
		if (!space->tables.zeroed)
			__builtin_memset(table, 0, PT_PAGE_SIZE);
		table[level_index(va, level)] = below;
		below = make_link(space, at, LINK_RIGHTS, level + 1, 1);
	}
	pte_store(path->entry[path->level], below);
	return true;
}

bool single_map(struct pt_space *space, const struct pt_mapping *m)
{
	struct pt_hot *hot = &space->hot;
	uint64_t va = m->va.raw, pa = m->pa.raw;
	struct path path;

	if (!is_known_attr(hot, m->attr))
		return false;
	if (!is_plain(space) || !is_own_page(space, va) || !is_aligned(pa, PT_PAGE_SIZE) ||
	    pa >> space->cpu.phys_bits || !path_find(&path, space, va) || path.last != 0 ||
	    (hot->attr.flags & LINK_RIGHTS & ~path.rights))
		return false;

	pte_t *link = path.level < space->cpu.levels ? path.entry[path.level + 1] : NULL;

	if (path.level > 1) {
		if (!single_build(space, &path, va, pa))
			return false;
	} else {
		acquire_pages(space, pa, 1);
		pte_store(path.entry[1], pte_leaf(hot->bits, pa, 1));
		hot->link = link;
		hot->span = va >> level_shift(2);
		hot->entries = space->frames.acquire ? NULL : path.entry[1] - level_index(va, 1);
	}
	if (link)
		count_link(space, link, 1);
	return true;
}

void single_learn(struct pt_space *space, const struct change *change)
{
	const uint32_t wx = PT_WRITE | PT_EXEC;

	/* Both at once are allowed as long as the policy does. */
	space->hot.is_known = (change->attr.flags & wx) != wx;
	space->hot.attr = change->attr;
	space->hot.bits = change->bits[1];
	space->hot.entries = NULL;
}

/* ---- unmap ---------------------------------------------------------------------- */

/*
 * The highest link that goes with the page, given that each table's number of
 * entries in use is known; 0 if one is not.
 */
static unsigned single_last_table(const struct pt_space *space, const struct path *path,
				  uint64_t va)
{
	unsigned level = 2;

	while (level <= space->cpu.levels && pte_count(*path->entry[level]) == 2 &&
	       !is_pinned(space, level, va))
		level++;
	if (level > space->cpu.levels)
		return level - 1;
	return pte_count(*path->entry[level]) == 0 ? 0 : level - 1;
}

bool single_unmap(struct pt_space *space, uint64_t va, struct pt_flush *flush)
{
	struct reserve none = reserve_start(space);
	struct path path = { .level = 0 };

	if (!space->counted || space->frames.acquire || !is_plain(space) ||
	    !is_own_page(space, va) || !path_find(&path, space, va) || path.level != 1 ||
	    pte_kind(path.last, 1) != PTE_LEAF)
		return false;

	unsigned last = single_last_table(space, &path, va);

	if (last == 0)
		return false;

	pte_t old = pte_alter(space, path.entry[1], 0, 0);

	flush_add(flush, (struct slice){ va, va + (PT_PAGE_SIZE - 1) },
		  pte_attr(&space->cpu, old, 1).flags & PT_GLOBAL);
	for (unsigned level = 2; level <= last; level++) {
		pte_t link = *path.entry[level];

		pte_store(path.entry[level], 0);
		let_go(&none, flush, pte_table_addr(&space->cpu, link, level), level - 1);
	}
	if (last > 1) {
		space->hot.entries = NULL;
		space->generation++;
	}
	if (last < space->cpu.levels)
		count_link(space, path.entry[last + 1], -1);
	return true;
}
