/*
 * The second and third step: obtain exactly the tables that the plan counted,
 * then carry it out. Nothing here can fail once the tables are there.
 */
#include "paging/pt_internal.h"

/* ---- reserve -------------------------------------------------------------- */

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

static bool run_is_reachable(const struct pt_mem *mem, phys_addr first, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!table_at(mem, phys(first.raw + i * PT_PAGE_SIZE)))
			return false;
	}
	return true;
}

/* A reserved table; reserve_take() has seen that it can be reached. */
static uint64_t *reserved_at(const struct pt_mem *mem, uint64_t table)
{
	uint64_t *words = table_at(mem, phys(table));

	if (!words)
		__builtin_unreachable();
	return words;
}

/* The last run taken is the first to go back. */
static void reserve_give_back(struct reserve *reserve)
{
	const struct pt_space *space = reserve->space;

	while (reserve->runs != PT_NO_TABLE) {
		const uint64_t *head = reserved_at(&space->mem, reserve->runs);
		uint64_t next = head[0], count = head[1];

		space->tables.give(space->tables.ctx, phys(reserve->runs), (size_t)count);
		reserve->runs = next;
	}
}

/* Takes `count` tables, or none. */
static enum pt_status reserve_take(struct reserve *reserve, uint64_t count)
{
	const struct pt_space *space = reserve->space;
	enum pt_status status = PT_OK;

	while (count > 0 && status == PT_OK) {
		phys_addr first;
		size_t most = count < SIZE_MAX ? (size_t)count : SIZE_MAX;
		size_t got = space->tables.take(space->tables.ctx, most, &first);

		if (got == 0) {
			status = PT_ERR_NO_TABLES;
		} else if (!run_is_reachable(&space->mem, first, got)) {
			space->tables.give(space->tables.ctx, first, got);
			status = PT_ERR_CORRUPT;
		} else {
			uint64_t *head = reserved_at(&space->mem, first.raw);

			head[0] = reserve->runs;
			head[1] = got;
			reserve->runs = first.raw;
			count -= got;
		}
	}
	if (status != PT_OK)
		reserve_give_back(reserve);
	return status;
}

/* The next reserved table; its content is whatever it was. */
static pte_t *reserve_use(struct reserve *reserve, phys_addr *ret_table)
{
	const struct pt_mem *mem = &reserve->space->mem;

	if (reserve->left == 0) {
		const uint64_t *head = reserved_at(mem, reserve->runs);

		reserve->next = reserve->runs;
		reserve->left = head[1];
		reserve->runs = head[0];
	}
	*ret_table = phys(reserve->next);
	reserve->next += PT_PAGE_SIZE;
	reserve->left--;
	return reserved_at(mem, ret_table->raw);
}

/* ---- flush and retirement ------------------------------------------------- */

void flush_add(struct pt_flush *flush, struct slice s, bool global)
{
	uint64_t first = s.va, last = s.last;

	if (flush->pages != 0) {
		uint64_t old_last = flush->va.raw + (flush->pages << PTE_PAGE_SHIFT) - 1;

		first = flush->va.raw < first ? flush->va.raw : first;
		last = old_last > last ? old_last : last;
	}
	flush->va = virt(first);
	flush->pages = ((last - first) >> PTE_PAGE_SHIFT) + 1;
	flush->global = flush->global || global;
}

/*
 * A retired table may still be read, by processors until the flush and by
 * others until the release. So the list of them must not change what an entry
 * says: it is kept in bits that nobody looks at, a few in each entry, as the
 * number of the next table's page with the level of this one below it.
 */
#define STASH_LEVEL_BITS 3
#define STASH_ENTRIES                                                                       \
	((PTE_MAX_PHYS_BITS - PTE_PAGE_SHIFT + 1 + STASH_LEVEL_BITS + PTE_STASH_BITS - 1) / \
	 PTE_STASH_BITS)
_Static_assert(STASH_ENTRIES <= PTE_COUNT, "the list of retired tables fits into a table");
_Static_assert(PT_MAX_LEVELS < 1 << STASH_LEVEL_BITS, "a level fits into its bits");

static void stash_write(pte_t *table, uint64_t value)
{
	for (unsigned i = 0; i < STASH_ENTRIES; i++) {
		unsigned bits = (unsigned)(value & ((1u << PTE_STASH_BITS) - 1));

		pte_store(&table[i], pte_stash(table[i], bits));
		value >>= PTE_STASH_BITS;
	}
}

static uint64_t stash_read(const pte_t *table)
{
	uint64_t value = 0;

	for (unsigned i = STASH_ENTRIES; i-- > 0;)
		value = value << PTE_STASH_BITS | pte_unstash(table[i]);
	return value;
}

void retire(const struct pt_space *space, pte_t link, unsigned level, struct pt_flush *flush)
{
	phys_addr table = pte_table_addr(link, level);
	pte_t *entries = table_below(space, link, level);
	/* One more than the page's number, so that 0 is the end of the list. */
	uint64_t next = flush->retired.raw == PT_NO_TABLE
				? 0
				: (flush->retired.raw >> PTE_PAGE_SHIFT) + 1;

	if (!entries)
		return;
	stash_write(entries, next << STASH_LEVEL_BITS | (level - 1));
	flush->retired = table;
}

/* Depth is bounded by `level`. */
static size_t release_tree(struct pt_space *space, phys_addr table, unsigned level)
{
	const pte_t *entries = table_at(&space->mem, table);
	size_t count = 1;

	for (unsigned i = 0; level > 1 && i < PTE_COUNT; i++) {
		if (pte_kind(entries[i], level) == PTE_TABLE &&
		    table_below(space, entries[i], level))
			count += release_tree(space, pte_table_addr(entries[i], level), level - 1);
	}
	space->tables.give(space->tables.ctx, table, 1);
	return count;
}

size_t pt_release(struct pt_space *space, struct pt_flush *flush)
{
	size_t count = 0;

	while (flush->retired.raw != PT_NO_TABLE) {
		phys_addr table = flush->retired;
		uint64_t stash = stash_read(table_at(&space->mem, table));
		uint64_t next = stash >> STASH_LEVEL_BITS;

		flush->retired = phys(next == 0 ? PT_NO_TABLE : (next - 1) << PTE_PAGE_SHIFT);
		count += release_tree(space, table, stash & ((1u << STASH_LEVEL_BITS) - 1));
	}
	*flush = (struct pt_flush)PT_FLUSH_NONE;
	return count;
}

/* ---- commit --------------------------------------------------------------- */

struct commit {
	const struct change *change;
	struct reserve reserve;
	struct pt_flush *flush;
};

static void commit_table(struct commit *c, pte_t *table, unsigned level, struct slice s);

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

/*
 * Builds a table of `level` that maps `s` and nothing else, complete, every
 * entry written once, and returns where it is. Depth is bounded by `level`.
 */
static phys_addr build_table(struct commit *c, unsigned level, struct slice s)
{
	const struct change *change = c->change;
	unsigned first = level_index(s.va, level), last = level_index(s.last, level);
	phys_addr ret;
	pte_t *table = reserve_use(&c->reserve, &ret);

	__builtin_memset(table, 0, first * sizeof(*table));
	__builtin_memset(&table[last + 1], 0, (PTE_COUNT - 1 - last) * sizeof(*table));
	for (unsigned i = first; i <= last;) {
		struct slice part = slice_in_entry(s, level);
		uint64_t pages = slice_pages(s);

		if (slice_is_whole(part, level) && level <= change->leaf_level) {
			size_t count = (size_t)(pages / level_pages(level));

			fill_leaves(&table[i], count, change->bits[level], s.va + change->delta,
				    level);
			i += (unsigned)count;
			s.va += count << level_shift(level);
		} else {
			table[i++] = pte_link(&change->space->cpu, build_table(c, level - 1, part),
					      change->links, level);
			s.va = part.last + 1;
		}
	}
	return ret;
}

/* A table of smaller leaves that says what the leaf `entry` of `level` does. */
static phys_addr split_leaf(struct commit *c, pte_t entry, unsigned level, struct slice part)
{
	phys_addr ret;
	pte_t *table = reserve_use(&c->reserve, &ret);

	fill_leaves(table, PTE_COUNT, pte_demote(entry, level), pte_leaf_addr(entry, level).raw,
		    level - 1);
	commit_table(c, table, level - 1, part);
	return ret;
}

static void commit_descend(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct change *change = c->change;
	const struct pt_cpu *cpu = &change->space->cpu;
	pte_t link = *entry;
	pte_t *below = table_below(change->space, link, level);
	uint32_t rights = pte_rights(cpu, link, level);

	if (change->set_links && (change->links & ~rights))
		pte_store(entry, pte_relink(cpu, link, rights | change->links, level));
	commit_table(c, below, level - 1, part);
	if (change_removes_tables(change) && table_is_empty(below, level - 1)) {
		pte_store(entry, 0);
		flush_add(c->flush, part, false);
		retire(change->space, link, level, c->flush);
	}
}

/* What processors may remember of an entry that changes. */
static void flush_old(struct commit *c, pte_t old, unsigned level, struct slice part)
{
	struct pt_attr attr;

	if (pte_kind(old, level) != PTE_LEAF)
		return;
	attr = pte_attr(&c->change->space->cpu, old, level);
	flush_add(c->flush, part, attr.flags & PT_GLOBAL);
}

/* Writes, rewrites or clears one entry. */
static void commit_leaf(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct change *change = c->change;
	pte_t old = *entry;

	switch (change->action) {
	case ACTION_MAP:
		pte_store(entry, pte_leaf(change->bits[level], part.va + change->delta, level));
		break;
	case ACTION_PROTECT:
		pte_store(entry, pte_restate(old, change->bits[level], level));
		break;
	case ACTION_UNMAP:
	case ACTION_CLEAN:
		pte_store(entry, 0);
		break;
	}
	flush_old(c, old, level, part);
}

/* Puts a link to a finished table where a leaf or nothing was. */
static void commit_link(struct commit *c, pte_t *entry, phys_addr table, uint32_t rights,
			unsigned level)
{
	pte_store(entry, pte_link(&c->change->space->cpu, table, rights, level));
}

static void commit_entry(struct commit *c, pte_t *entry, unsigned level, struct slice part)
{
	const struct change *change = c->change;
	pte_t old = *entry;

	switch (choose_step(change, old, level, part)) {
	case STEP_SKIP:
	case STEP_REFUSE: /* not after a plan */
		break;
	case STEP_LEAF:
		commit_leaf(c, entry, level, part);
		break;
	case STEP_NEW_TABLE:
		commit_link(c, entry, build_table(c, level - 1, part), change->links, level);
		flush_old(c, old, level, part);
		break;
	case STEP_DESCEND:
		commit_descend(c, entry, level, part);
		break;
	case STEP_SPLIT:
		commit_link(c, entry, split_leaf(c, old, level, part), LINK_RIGHTS, level);
		break;
	case STEP_REPLACE:
	case STEP_DROP:
		commit_leaf(c, entry, level, part);
		/* The leaves that go unread may have been global. */
		flush_add(c->flush, part, true);
		retire(change->space, old, level, c->flush);
		break;
	}
}

/* Rewrites the leaves of a table of pages; the rest stays. */
static void protect_pages(struct commit *c, pte_t *entries, unsigned count, struct slice s)
{
	pte_t bits = c->change->bits[1];
	pte_t seen = 0; /* any bit that any leaf had: enough to know whether one was global */

	for (unsigned i = 0; i < count; i++) {
		pte_t old = pte_load(&entries[i]);

		if (pte_kind(old, 1) != PTE_LEAF)
			continue;
		pte_store(&entries[i], pte_restate(old, bits, 1));
		seen |= old;
	}
	if (seen != 0)
		flush_add(c->flush, s, pte_attr(&c->change->space->cpu, seen, 1).flags & PT_GLOBAL);
}

/* Depth is bounded by `level`. */
static void commit_table(struct commit *c, pte_t *table, unsigned level, struct slice s)
{
	const struct change *change = c->change;
	unsigned first = level_index(s.va, level), last = level_index(s.last, level);

	if (level == 1 && change->action == ACTION_PROTECT) {
		protect_pages(c, &table[first], last - first + 1, s);
		return;
	}
	for (unsigned i = first; i <= last; i++) {
		unsigned fresh = fresh_leaves(change, &table[i], level, s);
		struct slice part = slice_in_entry(s, level);

		if (fresh > 0) {
			fill_leaves(&table[i], fresh, change->bits[level], s.va + change->delta,
				    level);
			i += fresh - 1;
			part.last = s.va + (((uint64_t)fresh << level_shift(level)) - 1);
		} else {
			commit_entry(c, &table[i], level, part);
		}
		s.va = part.last + 1;
	}
}

/* Plan, reserve, commit. */
static enum pt_status change_carry_out(const struct change *change, struct pt_flush *flush)
{
	const struct pt_space *space = change->space;
	struct commit commit = { change, { space, PT_NO_TABLE, 0, 0 }, flush };
	struct pt_plan plan = { 0 };

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;

	enum pt_status status = change_plan(change, &plan);

	if (status == PT_OK)
		status = reserve_take(&commit.reserve, plan.tables);
	if (status != PT_OK || change->empty)
		return status;
	commit_table(&commit, table_at(&space->mem, space->root), space->cpu.levels, change->slice);
	return PT_OK;
}

enum pt_status pt_map(struct pt_space *space, const struct pt_mapping *m,
		      const struct pt_options *options, struct pt_flush *flush)
{
	struct change change;
	enum pt_status status = change_map(&change, space, m, options);

	return status == PT_OK ? change_carry_out(&change, flush) : status;
}

enum pt_status pt_protect(struct pt_space *space, struct pt_range range, struct pt_attr attr,
			  struct pt_flush *flush)
{
	struct change change;
	enum pt_status status = change_protect(&change, space, range, attr);

	return status == PT_OK ? change_carry_out(&change, flush) : status;
}

enum pt_status pt_unmap(struct pt_space *space, struct pt_range range, struct pt_flush *flush)
{
	struct change change;
	enum pt_status status = change_remove(&change, space, range, ACTION_UNMAP);

	return status == PT_OK ? change_carry_out(&change, flush) : status;
}

enum pt_status pt_clean(struct pt_space *space, struct pt_range range, struct pt_flush *flush)
{
	struct change change;
	enum pt_status status = change_remove(&change, space, range, ACTION_CLEAN);

	return status == PT_OK ? change_carry_out(&change, flush) : status;
}

/* ---- one page -------------------------------------------------------------- */

/* The page as a range, once it is known to be there. */
static enum pt_status page_range(const struct pt_space *space, virt_addr va, unsigned level,
				 struct pt_leaf *ret_leaf, struct pt_range *ret_range)
{
	enum pt_status status = pt_page(space, va, level, ret_leaf);

	if (status == PT_OK)
		*ret_range = (struct pt_range){ va, ret_leaf->pages };
	return status;
}

enum pt_status pt_page_unmap(struct pt_space *space, virt_addr va, unsigned level,
			     struct pt_flush *flush, struct pt_leaf *ret_leaf)
{
	struct pt_leaf leaf;
	struct pt_range range;
	enum pt_status status = page_range(space, va, level, &leaf, &range);

	if (status == PT_OK)
		status = pt_unmap(space, range, flush);
	if (status == PT_OK)
		*ret_leaf = leaf;
	return status;
}

enum pt_status pt_page_protect(struct pt_space *space, virt_addr va, unsigned level,
			       struct pt_attr attr, struct pt_flush *flush)
{
	struct pt_leaf leaf;
	struct pt_range range;
	enum pt_status status = page_range(space, va, level, &leaf, &range);

	return status == PT_OK ? pt_protect(space, range, attr, flush) : status;
}

enum pt_status pt_set_link(struct pt_space *space, virt_addr va, unsigned level, uint32_t rights,
			   struct pt_flush *flush)
{
	const struct pt_cpu *cpu = &space->cpu;
	pte_t *entry;

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;
	if (rights & ~LINK_RIGHTS)
		return PT_ERR_ATTR;
	if (level < 2 || level > cpu->levels)
		return PT_ERR_LEVEL;

	enum pt_status status = entry_at(space, va, level, &entry);

	if (status != PT_OK)
		return status;
	switch (pte_kind(*entry, level)) {
	case PTE_ABSENT:
	case PTE_SOFT:
		return PT_ERR_NOT_MAPPED;
	case PTE_LEAF:
		return PT_ERR_SIZE;
	case PTE_TABLE:
		break;
	}

	uint64_t first = align_down(va.raw, level_size(level));

	pte_store(entry, pte_relink(cpu, *entry, rights, level));
	flush_add(flush, (struct slice){ first, first + (level_size(level) - 1) }, true);
	return PT_OK;
}
