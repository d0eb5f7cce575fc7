/*
 * The third step: the plan is carried out. Nothing here can fail, since the
 * tables are there.
 */
#include "paging/pt_internal.h"

struct commit {
	const struct change *change;
	struct pt_space *space; /* that of the change; its root can move */
	struct reserve reserve;
	struct pt_flush *flush;
};

static int commit_table(struct commit *c, pte_t *table, unsigned level, struct slice s);

/* ---- building ---------------------------------------------------------------- */

/*
 * Leaves in consecutive entries. Unrolled: a loop of single stores runs at half
 * the speed of memory where the compiler places it badly.
 */
static void fill_leaves(pte_t *entries, size_t count, pte_t bits, uint64_t pa, unsigned level)
{
	uint64_t size = level_size(level);
	size_t i = 0;

	for (; i + 4 <= count; i += 4, pa += 4 * size) {
		pte_store(&entries[i], pte_leaf(bits, pa, level));
		pte_store(&entries[i + 1], pte_leaf(bits, pa + size, level));
		pte_store(&entries[i + 2], pte_leaf(bits, pa + 2 * size, level));
		pte_store(&entries[i + 3], pte_leaf(bits, pa + 3 * size, level));
	}
	for (; i < count; i++, pa += size)
		pte_store(&entries[i], pte_leaf(bits, pa, level));
}

/* New leaves of `level`, `count` of them, from `va`. */
static void map_leaves(struct commit *c, pte_t *entries, size_t count, uint64_t va, unsigned level)
{
	const struct change *change = c->change;
	uint64_t pa = va + change->delta;

	if (!change->adopts)
		acquire_pages(change->space, pa, count * level_pages(level));
	fill_leaves(entries, count, change->bits[level], pa, level);
}

/*
 * Builds a table of `level` that maps `s` and nothing else, complete, every
 * entry written once, and returns the link to it. Depth is bounded by `level`.
 */
static pte_t build_table(struct commit *c, unsigned level, struct slice s)
{
	const struct change *change = c->change;
	unsigned first = level_index(s.va, level), last = level_index(s.last, level);
	phys_addr ret;
	pte_t *table = reserve_use(&c->reserve, &ret);

	if (!table)
		return 0;
	if (!change->space->tables.zeroed) {
		__builtin_memset(table, 0, first * sizeof(*table));
		__builtin_memset(&table[last + 1], 0, (PTE_COUNT - 1 - last) * sizeof(*table));
	}
	for (unsigned i = first; i <= last;) {
		struct slice part = slice_in_entry(s, level);

		if (slice_is_whole(part, level) && level <= change->leaf_level) {
			size_t count = (size_t)(slice_pages(s) / level_pages(level));

			map_leaves(c, &table[i], count, s.va, level);
			i += (unsigned)count;
			s.va += count << level_shift(level);
		} else {
			table[i++] = build_table(c, level - 1, part);
			s.va = part.last + 1;
		}
	}
	return make_link(change->space, ret, change->links, level + 1, last - first + 1);
}

/* Puts a table of smaller leaves in the place of a leaf; they say what it did. */
static bool split_leaf(struct commit *c, pte_t *entry, unsigned level)
{
	const struct pt_space *space = c->change->space;
	pte_t old = pte_load(entry), link;
	phys_addr at;
	pte_t *table = reserve_use(&c->reserve, &at);

	if (!table)
		return false;
	link = make_link(space, at, LINK_RIGHTS, level, PTE_COUNT);
	/* Again if the processor has set the accessed or dirty bit meanwhile. */
	do {
		fill_leaves(table, PTE_COUNT, pte_demote(&space->cpu, old, level),
			    pte_leaf_addr(&space->cpu, old, level).raw, level - 1);
	} while (!__atomic_compare_exchange_n(entry, &old, link, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return true;
}

/* ---- tables that others hold too ------------------------------------------------ */

/*
 * Puts a copy in the place of the table that the link leads to. Processors may
 * remember the old one for all that the link translates.
 */
static bool move_table(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct pt_space *space = c->change->space;
	const struct pt_cpu *cpu = &space->cpu;
	pte_t link = pte_load(entry);
	const pte_t *from = table_below(space, link, level, part.va);
	uint64_t first = align_down(part.va, level_size(level));
	phys_addr at;
	pte_t *to = reserve_use(&c->reserve, &at);

	if (!to || !from)
		return false;
	copy_table(space, to, from, level - 1);
	pte_store(entry, pte_set_count(pte_link(cpu, at, pte_rights(cpu, link, level), level),
				       pte_count(link)));
	flush_add(c->flush, (struct slice){ first, first + (level_size(level) - 1) }, false);
	let_go(&c->reserve, c->flush, pte_table_addr(cpu, link, level), level - 1);
	return true;
}

/* As move_table(), for the table that nothing links to; all that it translates. */
static bool move_root(struct commit *c)
{
	struct pt_space *space = c->space;
	unsigned top = space->cpu.levels;
	phys_addr old = space->root, at;
	pte_t *from = root_table(space), *to = reserve_use(&c->reserve, &at);

	if (!to)
		return false;
	copy_table(space, to, from, top);
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		if (is_self_link(space, to[i], top))
			to[i] = pte_link(&space->cpu, at, pte_rights(&space->cpu, to[i], top), top);
	}
	__atomic_store_n(&space->root.raw, at.raw, __ATOMIC_RELEASE);
	let_go(&c->reserve, c->flush, old, top);
	return true;
}

/* Makes the table below the link the space's own, if anything is to be done there. */
static bool prepare_descend(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct change *change = c->change;
	const struct pt_space *space = change->space;
	pte_t link = pte_load(entry);
	phys_addr table = pte_table_addr(&space->cpu, link, level);

	if (!space->tables.holds || hold_of(space, table) == PT_OWN)
		return true;

	struct effect effect = change_preview(change, link, level, part);

	if (effect.emptied) {
		pte_store(entry, 0);
		flush_add(c->flush, part, true);
		let_go(&c->reserve, c->flush, table, level - 1);
		return false;
	}
	return effect.touched && move_table(c, entry, level, part);
}

/* ---- changing -------------------------------------------------------------------- */

static void widen_link(struct commit *c, pte_t *entry, unsigned level)
{
	const struct change *change = c->change;
	const struct pt_cpu *cpu = &change->space->cpu;
	pte_t link = pte_load(entry);
	uint32_t rights = pte_rights(cpu, link, level);

	if (change->set_links && (change->links & ~rights))
		pte_store(entry, pte_relink(cpu, link, rights | change->links, level));
}

static void commit_descend(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct change *change = c->change;
	const struct pt_space *space = change->space;

	if (is_self_link(space, *entry, level))
		return;
	widen_link(c, entry, level);
	if (!prepare_descend(c, entry, level, part))
		return;

	pte_t link = pte_load(entry);
	pte_t *below = table_below(space, link, level, part.va);

	/* Tables linked twice, at different levels, can change under the plan. */
	if (!below)
		return;

	unsigned count = count_link(space, entry, commit_table(c, below, level - 1, part));

	if (!change_removes_tables(change) || is_pinned(space, level, part.va))
		return;
	if (count == 0 ? table_is_empty(below, level - 1) : count == 1) {
		pte_store(entry, 0);
		flush_add(c->flush, part, false);
		let_go(&c->reserve, c->flush, pte_table_addr(&space->cpu, link, level), level - 1);
	}
}

/* A leaf is no more: processors may remember it, and its pages are to be released. */
static void drop_leaf(struct commit *c, pte_t old, unsigned level, struct slice part)
{
	const struct pt_cpu *cpu = &c->change->space->cpu;

	if (c->change->removed)
		*c->change->removed = old;
	if (pte_kind(old, level) != PTE_LEAF)
		return;

	uint32_t flags = pte_attr(cpu, old, level).flags;

	if (c->change->seen)
		*c->change->seen |= flags;
	flush_add(c->flush, part, flags & PT_GLOBAL);
	log_pages(&c->reserve, c->flush, pte_leaf_addr(cpu, old, level), level);
}

/* Rewrites a leaf that a protection concerns. */
static void commit_protect(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct change *change = c->change;
	const struct pt_space *space = change->space;
	pte_t old = pte_alter(space, entry, change->keep[level], change->bits[level]);

	flush_add(c->flush, part, pte_attr(&space->cpu, old, level).flags & PT_GLOBAL);
}

static void commit_set_link(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct change *change = c->change;

	pte_store(entry, pte_relink(&change->space->cpu, *entry, change->links, level));
	flush_add(c->flush, part, true);
}

/* Writes, rewrites or clears one entry. */
static void commit_leaf(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct change *change = c->change;
	pte_t now = 0;

	switch (change->action) {
	case ACTION_PROTECT:
		commit_protect(c, entry, level, part);
		return;
	case ACTION_SET_LINK:
		commit_set_link(c, entry, level, part);
		return;
	case ACTION_MAP:
		if (!change->adopts)
			acquire_pages(change->space, part.va + change->delta, level_pages(level));
		now = pte_leaf(change->bits[level], part.va + change->delta, level);
		break;
	case ACTION_SET_SOFT:
		now = change->bits[0];
		break;
	case ACTION_UNMAP:
	case ACTION_CLEAN:
		break;
	}
	drop_leaf(c, pte_alter(change->space, entry, 0, now), level, part);
}

/* Unlinks a table for good; a leaf may take its place. */
static void commit_unlink(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	phys_addr table = pte_table_addr(&c->change->space->cpu, *entry, level);

	commit_leaf(c, entry, level, part);
	/* The leaves that go unread may have been global. */
	flush_add(c->flush, part, true);
	let_go(&c->reserve, c->flush, table, level - 1);
}

static void commit_new_table(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	pte_t link = build_table(c, level - 1, part);

	if (link != 0)
		drop_leaf(c, pte_alter(c->change->space, entry, 0, link), level, part);
}

static void commit_entry(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	switch (choose_step(c->change, pte_load(entry), level, part)) {
	case STEP_SKIP:
	case STEP_REFUSE: /* not after a plan */
		break;
	case STEP_LEAF:
		commit_leaf(c, entry, level, part);
		break;
	case STEP_NEW_TABLE:
		commit_new_table(c, entry, level, part);
		break;
	case STEP_DESCEND:
		commit_descend(c, entry, level, part);
		break;
	case STEP_SPLIT:
		if (split_leaf(c, entry, level))
			commit_descend(c, entry, level, part);
		break;
	case STEP_REPLACE:
	case STEP_DROP:
		commit_unlink(c, entry, level, part);
		break;
	}
}

/* Rewrites entries that are leaves all; nobody else writes to them. Unrolled as fill_leaves(). */
static void restate_leaves(pte_t *entries, unsigned count, pte_t keep, pte_t bits)
{
	for (; count >= 4; count -= 4, entries += 4) {
		pte_store(&entries[0], (entries[0] & keep) | bits);
		pte_store(&entries[1], (entries[1] & keep) | bits);
		pte_store(&entries[2], (entries[2] & keep) | bits);
		pte_store(&entries[3], (entries[3] & keep) | bits);
	}
	for (; count > 0; count--, entries++)
		pte_store(entries, (*entries & keep) | bits);
}

/* Rewrites the leaves of a table of pages; the rest stays. */
static void protect_pages(struct commit *c, pte_t *entries, unsigned count, struct slice s)
{
	const struct change *change = c->change;
	const struct pt_space *space = change->space;
	struct page_bits together = page_bits(entries, count);
	pte_t seen = together.any; /* enough to know whether one was global */

	if (!space->live && change_concerns_all(change, together)) {
		restate_leaves(entries, count, change->keep[1], change->bits[1]);
	} else {
		seen = 0;
		for (unsigned i = 0; i < count; i++) {
			if (change_concerns(change, pte_load(&entries[i]), 1))
				seen |= pte_alter(space, &entries[i], change->keep[1],
						  change->bits[1]);
		}
	}
	if (seen != 0)
		flush_add(c->flush, s, pte_attr(&space->cpu, seen, 1).flags & PT_GLOBAL);
}

/*
 * Returns how many more entries of the table are in use. Depth is bounded by
 * `level`.
 */
static int commit_table(struct commit *c, pte_t *table, unsigned level, struct slice s)
{
	const struct change *change = c->change;
	unsigned first = level_index(s.va, level), last = level_index(s.last, level);
	/* Where nothing is allowed to be, the plan has found nothing. */
	bool is_free = level == 1 && change->action == ACTION_MAP && change->conflict == PT_REFUSE;
	int delta = 0;

	if (level == 1 && change->action == ACTION_PROTECT) {
		protect_pages(c, &table[first], last - first + 1, s);
		return 0;
	}
	for (unsigned i = first; i <= last; i++) {
		unsigned fresh = is_free ? last - i + 1 : fresh_leaves(change, &table[i], level, s);
		struct slice part = slice_in_entry(s, level);

		if (fresh > 0) {
			map_leaves(c, &table[i], fresh, s.va, level);
			delta += (int)fresh;
			i += fresh - 1;
			part.last = s.va + (((uint64_t)fresh << level_shift(level)) - 1);
		} else {
			delta -= pte_kind(table[i], level) != PTE_ABSENT;
			commit_entry(c, &table[i], level, part);
			delta += pte_kind(table[i], level) != PTE_ABSENT;
		}
		s.va = part.last + 1;
	}
	return delta;
}

/* ---- all three steps ---------------------------------------------------------------- */

/* Where the tables are in place, and the root may be to move. */
static void commit_change(struct commit *c, const struct pt_plan *plan)
{
	struct pt_space *space = c->space;
	const struct pt_holds *holds = space->tables.holds;
	phys_addr root = space->root;
	bool moves = plan->moved != 0 && hold_of(space, root) != PT_OWN;

	if (moves && !move_root(c))
		return;
	commit_table(c, root_table(space), space->cpu.levels, c->change->slice);
	if (moves && holds->moved)
		holds->moved(space->tables.ctx, space->root);
}

enum pt_status change_carry_out(struct pt_space *space, const struct change *change,
				struct pt_flush *flush)
{
	struct commit commit = { change, space, reserve_start(space), flush };
	struct pt_plan plan = { 0 };

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;

	enum pt_status status = change_plan(change, &plan);

	if (status == PT_OK) {
		uint64_t logs = log_tables(space, flush, plan.logged);

		status = reserve_take(&commit.reserve, plan.tables + logs);
	}
	if (status != PT_OK || change->empty)
		return status;
	space->hot.entries = NULL;
	space->generation++;
	commit_change(&commit, &plan);
	reserve_end(&commit.reserve);
	return PT_OK;
}

/* True if the options, which pt_map() accepts, ask for nothing that one page could notice. */
static bool is_simple(const struct pt_mapping *m, const struct pt_options *options)
{
	if (m->pages != 1)
		return false;
	return !options || (options->conflict == PT_REFUSE && !options->set_links &&
			    !options->exact && options->max_leaf <= PT_MAX_LEAF_LEVEL);
}

/* Kept apart, so that the short way saves no registers. */
__attribute__((noinline)) static enum pt_status map_pages(struct pt_space *space,
							  const struct pt_mapping *m,
							  const struct pt_options *options,
							  struct pt_flush *flush)
{
	struct change change;

	if (is_simple(m, options) && single_map(space, m))
		return PT_OK;

	enum pt_status status = change_map(&change, space, m, options);

	if (status == PT_OK)
		status = change_carry_out(space, &change, flush);
	if (status == PT_OK && !change.empty)
		single_learn(space, &change);
	return status;
}

enum pt_status pt_map(struct pt_space *space, const struct pt_mapping *m,
		      const struct pt_options *options, struct pt_flush *flush)
{
	if (is_simple(m, options) && single_map_near(space, m))
		return PT_OK;
	return map_pages(space, m, options, flush);
}

enum pt_status pt_protect(struct pt_space *space, struct pt_range range, struct pt_attr attr,
			  struct pt_flush *flush)
{
	struct change change;
	enum pt_status status = change_protect(&change, space, range, attr);

	return status == PT_OK ? change_carry_out(space, &change, flush) : status;
}

enum pt_status pt_update(struct pt_space *space, struct pt_range range, struct pt_update update,
			 struct pt_flush *flush)
{
	struct change change;
	enum pt_status status = change_update(&change, space, range, update);

	return status == PT_OK ? change_carry_out(space, &change, flush) : status;
}

enum pt_status pt_unmap(struct pt_space *space, struct pt_range range, struct pt_flush *flush)
{
	struct change change;

	if (range.pages == 1 && single_unmap(space, range.va.raw, flush))
		return PT_OK;

	enum pt_status status = change_remove(&change, space, range, ACTION_UNMAP);

	return status == PT_OK ? change_carry_out(space, &change, flush) : status;
}

enum pt_status pt_clean(struct pt_space *space, struct pt_range range, struct pt_flush *flush)
{
	struct change change;
	enum pt_status status = change_remove(&change, space, range, ACTION_CLEAN);

	return status == PT_OK ? change_carry_out(space, &change, flush) : status;
}

/* ---- one page, one entry ------------------------------------------------------------ */

enum pt_status pt_page_unmap(struct pt_space *space, virt_addr va, unsigned level,
			     struct pt_flush *flush, struct pt_leaf *ret_leaf)
{
	struct pt_leaf leaf;
	struct change change;
	uint32_t seen = 0;
	enum pt_status status = pt_page(space, va, level, &leaf);

	if (status == PT_OK)
		status = change_remove(&change, space, (struct pt_range){ va, leaf.pages },
				       ACTION_UNMAP);
	if (status != PT_OK)
		return status;
	change.seen = &seen;
	status = change_carry_out(space, &change, flush);
	if (status != PT_OK)
		return status;
	/* The processor may have used the page since it was looked up. A leaf that went with a
	   table that others hold is not told of: it is still there. */
	leaf.own |= seen;
	leaf.attr.flags |= seen & (PT_ACCESSED | PT_DIRTY);
	*ret_leaf = leaf;
	return PT_OK;
}

enum pt_status pt_page_protect(struct pt_space *space, virt_addr va, unsigned level,
			       struct pt_attr attr, struct pt_flush *flush)
{
	struct pt_leaf leaf;
	enum pt_status status = pt_page(space, va, level, &leaf);

	if (status != PT_OK)
		return status;
	return pt_protect(space, (struct pt_range){ va, leaf.pages }, attr, flush);
}

enum pt_status pt_set_link(struct pt_space *space, virt_addr va, unsigned level, uint32_t rights,
			   struct pt_flush *flush)
{
	struct change change;

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;
	if (rights & ~LINK_RIGHTS)
		return PT_ERR_ATTR;
	if (level < 2 || level > space->cpu.levels)
		return PT_ERR_LEVEL;

	enum pt_status status = change_entry(&change, space, va, level, ACTION_SET_LINK);

	change.links = rights;
	return status == PT_OK ? change_carry_out(space, &change, flush) : status;
}

enum pt_status pt_set_soft(struct pt_space *space, const struct pt_soft *soft,
			   struct pt_flush *flush, struct pt_entry *ret_old)
{
	unsigned level = soft->level;
	struct change change;
	pte_t removed = 0;

	if (level < 1 || level > space->cpu.levels)
		return PT_ERR_LEVEL;
	if (!is_aligned(soft->va.raw, level_size(level)))
		return PT_ERR_UNALIGNED;
	if (soft->entry != 0 && pte_kind(soft->entry, level) != PTE_SOFT)
		return PT_ERR_ATTR;

	enum pt_status status = change_entry(&change, space, soft->va, level, ACTION_SET_SOFT);

	change.bits[0] = soft->entry;
	change.removed = &removed;
	if (status == PT_OK)
		status = change_carry_out(space, &change, flush);
	if (status == PT_OK)
		*ret_old = entry_of(space, removed, level, soft->va.raw, LINK_RIGHTS);
	return status;
}
