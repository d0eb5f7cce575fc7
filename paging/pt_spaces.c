#include "paging/pt_spaces.h"

#include "paging/pt_internal.h"
#include "paging/pt_share.h"

/* ---- what was seen --------------------------------------------------------------- */

/* Spreads neighbouring tables over the scratch: the golden ratio, as Knuth has it. */
static size_t seen_hash(const struct pt_seen *key, size_t most)
{
	uint64_t number = (key->table.raw >> PTE_PAGE_SHIFT) + key->level;

	return (size_t)((number * UINT64_C(0x9e3779b97f4a7c15) >> 32) % most);
}

/* True if both are the same part of the same table, which may lie at other addresses. */
static bool seen_is_same(const struct pt_seen *a, const struct pt_seen *b)
{
	/* A part of a table begins where its entries do; its addresses agree below. */
	uint64_t span = (level_size(a->level) << PTE_INDEX_BITS) - 1;

	return a->table.raw == b->table.raw && a->level == b->level && a->pages == b->pages &&
	       ((a->va.raw ^ b->va.raw) & span) == 0;
}

/* Where `key` is, or a free slot for it; scope->most if there is neither. */
static size_t seen_find(const struct pt_scope *scope, const struct pt_seen *key)
{
	size_t at = seen_hash(key, scope->most);

	for (size_t i = 0; i < scope->most; i++) {
		const struct pt_seen *slot = &scope->seen[at];

		if (slot->pages == 0 || seen_is_same(slot, key))
			return at;
		at = at + 1 == scope->most ? 0 : at + 1;
	}
	return scope->most;
}

/* ---- the walk ----------------------------------------------------------------------- */

enum pt_status pt_spaces_start(struct pt_spaces *ret_walk, const struct pt_scope *scope)
{
	if (scope->most == 0)
		return PT_ERR_BUDGET;
	for (size_t i = 0; i < scope->count; i++) {
		const struct pt_cpu *cpu = &scope->spaces[i]->cpu;

		if (cpu->levels != scope->spaces[0]->cpu.levels)
			return PT_ERR_LEVEL;
		for (size_t r = 0; r < scope->range_count; r++) {
			const struct pt_range *range = &scope->ranges[r];
			struct slice unused;
			enum pt_status status = range_check(cpu, range->va, range->pages, &unused);

			if (status != PT_OK)
				return status;
		}
	}
	for (size_t i = 0; i < scope->most; i++)
		scope->seen[i] = (struct pt_seen){ 0 };
	*ret_walk = (struct pt_spaces){ .scope = *scope, .budget = scope->budget };
	return PT_OK;
}

static const struct pt_space *spaces_now(const struct pt_spaces *w)
{
	return w->scope.spaces[w->space];
}

/* An item of `level` for [va, va + pages), with the links above it. */
static struct pt_item spaces_item(const struct pt_spaces *w, unsigned level, virt_addr va,
				  uint64_t pages)
{
	struct pt_item item = { .level = level, .space = w->space, .va = va, .pages = pages };

	for (unsigned l = level + 1; l <= spaces_now(w)->cpu.levels; l++)
		item.links[l] = w->links[l];
	return item;
}

/* Something is shown in the table of `level` that the walk is in: there, and above. */
static void spaces_mark_shown(struct pt_spaces *w, unsigned level)
{
	for (unsigned l = level; l <= spaces_now(w)->cpu.levels; l++) {
		struct pt_seen *seen = &w->scope.seen[w->path[l]];

		if (seen->shown)
			return;
		seen->shown = true;
	}
}

/* What is to be done about a table. */
enum spaces_meeting { SPACES_NEW, SPACES_AGAIN, SPACES_EMPTY };

/* Meets the part `key` of a table; if again, and not in vain, *ret_item refers to it. */
static enum pt_status spaces_meet(struct pt_spaces *w, const struct pt_seen *key,
				  enum spaces_meeting *ret_how, struct pt_item *ret_item)
{
	size_t at = seen_find(&w->scope, key);

	if (at == w->scope.most)
		return PT_ERR_BUDGET;

	struct pt_seen *seen = &w->scope.seen[at];

	if (seen->pages == 0) {
		*seen = *key;
		w->path[key->level] = at;
		*ret_how = SPACES_NEW;
		return PT_OK;
	}
	*ret_how = seen->shown ? SPACES_AGAIN : SPACES_EMPTY;
	if (!seen->shown)
		return PT_OK;
	*ret_item = spaces_item(w, key->level, key->va, key->pages);
	ret_item->kind = PT_ITEM_REFERENCE;
	ret_item->owner = seen->space;
	ret_item->owner_va = seen->va;
	return PT_OK;
}

static void spaces_range_done(struct pt_spaces *w)
{
	w->inside = false;
	w->range++;
	if (w->range == w->scope.range_count) {
		w->range = 0;
		w->space++;
	}
}

/* Starts on a range of a space, if there is one left. */
static enum pt_status spaces_enter(struct pt_spaces *w, struct pt_item *ret_item, bool *ret_found)
{
	if (w->space == w->scope.count || w->scope.range_count == 0)
		return PT_ERR_NOT_MAPPED;

	const struct pt_space *space = spaces_now(w);
	struct pt_range range = w->scope.ranges[w->range];
	struct pt_seen key = {
		.table = root_addr(space),
		.va = range.va,
		.pages = range.pages,
		.space = (uint32_t)w->space,
		.level = space->cpu.levels,
	};
	enum spaces_meeting how = SPACES_EMPTY;
	enum pt_status status = PT_OK;

	if (range.pages != 0) {
		*ret_item = spaces_item(w, key.level, key.va, key.pages);
		status = pt_walk_start(&w->walk, space, range, w->budget);
		if (status == PT_OK)
			status = spaces_meet(w, &key, &how, ret_item);
	}
	if (status != PT_OK)
		return status;
	*ret_found = how == SPACES_AGAIN;
	if (how == SPACES_NEW) {
		w->inside = true;
		return PT_OK;
	}
	w->budget -= range.pages != 0;
	spaces_range_done(w);
	return PT_OK;
}

/* The walk has gone into a table, which may have been seen before. */
static enum pt_status spaces_show_table(struct pt_spaces *w, const struct pt_entry *entry,
					struct pt_item *ret_item, bool *ret_found)
{
	const struct pt_space *space = spaces_now(w);
	unsigned level = entry->at.level;

	if (is_self_link(space, entry->raw, level))
		return PT_OK;
	w->links[level] = pte_rights(&space->cpu, entry->raw, level);

	struct slice part = slice_in_entry((struct slice){ w->walk.va, w->walk.last }, level);
	struct pt_seen key = {
		.table = entry->at.pa,
		.va = virt(part.va),
		.pages = slice_pages(part),
		.space = (uint32_t)w->space,
		.level = (uint8_t)(level - 1),
	};
	enum spaces_meeting how = SPACES_NEW;
	enum pt_status status = spaces_meet(w, &key, &how, ret_item);

	if (status != PT_OK || how == SPACES_NEW)
		return status;
	walk_skip(&w->walk, level);
	*ret_found = how == SPACES_AGAIN;
	if (*ret_found)
		spaces_mark_shown(w, level);
	return PT_OK;
}

static void spaces_show_leaf(struct pt_spaces *w, const struct pt_leaf *leaf,
			     struct pt_item *ret_item)
{
	uint64_t first = w->scope.ranges[w->range].va.raw, last = w->walk.last;
	uint64_t leaf_last = leaf->va.raw + ((leaf->pages << PTE_PAGE_SHIFT) - 1);
	struct slice part = { leaf->va.raw > first ? leaf->va.raw : first,
			      leaf_last < last ? leaf_last : last };

	*ret_item = spaces_item(w, leaf->level, virt(part.va), slice_pages(part));
	ret_item->kind = PT_ITEM_MAPPING;
	ret_item->pa = phys(leaf->pa.raw + (part.va - leaf->va.raw));
	ret_item->attr = (struct pt_attr){ leaf->own, leaf->attr.cache };
	ret_item->rights = leaf->attr.flags & LINK_RIGHTS;
	spaces_mark_shown(w, leaf->level);
}

static enum pt_status spaces_step(struct pt_spaces *w, struct pt_item *ret_item, bool *ret_found)
{
	struct pt_entry entry;
	enum pt_status status = pt_walk_next(&w->walk, &entry);

	if (status == PT_ERR_NOT_MAPPED) {
		/* The root is not counted by the walk. */
		w->budget = w->walk.budget - 1;
		spaces_range_done(w);
		return PT_OK;
	}
	if (status != PT_OK) {
		*ret_item = spaces_item(w, entry.at.level, entry.at.va, entry.at.pages);
		return status;
	}
	if (entry.kind == PTE_TABLE)
		return spaces_show_table(w, &entry, ret_item, ret_found);
	if (entry.kind == PTE_LEAF) {
		spaces_show_leaf(w, &entry.at, ret_item);
		*ret_found = true;
	}
	return PT_OK;
}

enum pt_status pt_spaces_next(struct pt_spaces *walk, struct pt_item *ret_item)
{
	bool found = false;

	while (!found) {
		enum pt_status status = walk->inside ? spaces_step(walk, ret_item, &found)
						     : spaces_enter(walk, ret_item, &found);

		if (status == PT_OK)
			continue;
		/* The end, whatever is asked for later. */
		if (status == PT_ERR_NOT_MAPPED)
			return status;
		walk->space = walk->scope.count;
		walk->inside = false;
		return status;
	}
	return PT_OK;
}

/* ---- the way back --------------------------------------------------------------------- */

/* Makes the links above an item let through what they did. */
static enum pt_status rebuild_links(struct pt_space *space, const struct pt_item *item,
				    struct pt_flush *flush)
{
	enum pt_status status = PT_OK;

	for (unsigned l = item->level + 1; l <= space->cpu.levels && status == PT_OK; l++) {
		pte_t link;

		status = link_find(space, item->va, l, &link);
		if (status == PT_OK && pte_rights(&space->cpu, link, l) != item->links[l])
			status = pt_set_link(space, item->va, l, item->links[l], flush);
	}
	return status;
}

static enum pt_status rebuild_mapping(struct pt_space *space, const struct pt_item *item,
				      struct pt_flush *flush)
{
	struct pt_mapping m = { item->va, item->pa, item->pages, item->attr };
	/* Links that forbid something are no hindrance, and are put right afterwards. */
	struct pt_options options = { .max_leaf = item->level,
				      .set_links = true,
				      .links = LINK_RIGHTS };

	return pt_map(space, &m, &options, flush);
}

static enum pt_status rebuild_tree(struct pt_space *space, const struct pt_space *owner,
				   const struct pt_item *item, struct pt_flush *flush)
{
	struct pt_tree tree = { owner, item->owner_va, item->level + 1 };
	enum pt_status status = pt_link_tree(space, item->va, tree, flush);

	return status == PT_ERR_NOT_MAPPED || status == PT_ERR_SIZE ? PT_ERR_OWNER : status;
}

/* True if nothing is in the root, but for the link by which it maps itself. */
static bool rebuild_is_unused(const struct pt_space *space, const pte_t *root)
{
	unsigned top = space->cpu.levels;

	for (unsigned i = 0; i < PTE_COUNT; i++) {
		if (pte_kind(root[i], top) != PTE_ABSENT && !is_self_link(space, root[i], top))
			return false;
	}
	return true;
}

static enum pt_status rebuild_check_root(const struct pt_space *space, const struct pt_space *owner)
{
	const pte_t *root = root_table(space), *common = root_table(owner);

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;
	if (space->cpu.levels != owner->cpu.levels)
		return PT_ERR_LEVEL;
	if (!root || !common)
		return PT_ERR_CORRUPT;
	if (space->pins_upper || owner->pins_upper || space->root_first != owner->root_first ||
	    space->root_last != owner->root_last)
		return PT_ERR_FOREIGN;
	if (rebuild_is_unused(owner, common))
		return PT_ERR_OWNER;
	return rebuild_is_unused(space, root) ? PT_OK : PT_ERR_OVERLAP;
}

/* Makes the owner's root that of the space too. */
static enum pt_status rebuild_root(struct pt_space *space, const struct pt_space *owner,
				   struct pt_flush *flush)
{
	const struct pt_holds *holds = space->tables.holds;
	struct reserve reserve = reserve_start(space);
	phys_addr old = space->root;

	if (old.raw == owner->root.raw)
		return PT_OK;

	enum pt_status status = rebuild_check_root(space, owner);

	if (status == PT_OK)
		status = reserve_take(&reserve,
				      log_tables(space, flush, hold_of(space, old) == PT_COMMON));
	if (status != PT_OK)
		return status;
	share_table(space, owner->root);
	__atomic_store_n(&space->root.raw, owner->root.raw, __ATOMIC_RELEASE);
	space->hot.entries = NULL;
	space->generation++;
	let_go(&reserve, flush, old, space->cpu.levels);
	if (holds && holds->moved)
		holds->moved(space->tables.ctx, space->root);
	return PT_OK;
}

enum pt_status pt_spaces_rebuild(struct pt_space *const *spaces, const struct pt_item *item,
				 struct pt_flush *flush)
{
	struct pt_space *space = spaces[item->space];
	bool is_reference = item->kind == PT_ITEM_REFERENCE;
	const struct pt_space *owner = is_reference ? spaces[item->owner] : space;
	enum pt_status status;

	if (!space || !owner)
		return PT_ERR_OWNER;
	if (is_reference && item->level == space->cpu.levels)
		return rebuild_root(space, owner, flush);
	if (is_reference)
		status = rebuild_tree(space, owner, item, flush);
	else
		status = rebuild_mapping(space, item, flush);
	return status == PT_OK ? rebuild_links(space, item, flush) : status;
}
