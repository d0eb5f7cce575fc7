/*
 * What a change gives up, and when it is given back: flush sets, retired
 * tables, the log of released leaves and references.
 */
#include "paging/pt_internal.h"

/* ---- flush ------------------------------------------------------------------ */

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

bool pt_flush_is_empty(const struct pt_flush *flush)
{
	return flush->pages == 0 && flush->retired.raw == PT_NO_TABLE &&
	       flush->log.raw == PT_NO_TABLE;
}

void pt_flush_expect_empty(const struct pt_flush *flush)
{
	if (!pt_flush_is_empty(flush))
		__builtin_trap();
}

/* ---- retired tables ----------------------------------------------------------- */

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

static void retire(const struct pt_space *space, struct pt_flush *flush, phys_addr table,
		   unsigned level)
{
	pte_t *entries = table_at(&space->mem, table, 0, 0);
	/* One more than the page's number, so that 0 is the end of the list. */
	uint64_t next = flush->retired.raw == PT_NO_TABLE
				? 0
				: (flush->retired.raw >> PTE_PAGE_SHIFT) + 1;

	if (!entries)
		return;
	stash_write(entries, next << STASH_LEVEL_BITS | level);
	flush->retired = table;
}

/* ---- the log -------------------------------------------------------------------- */

/*
 * A page of the log, a table from the allocator: the next page of it, how many
 * entries, and these: an address with the level of the leaf or table in its low
 * bits.
 */
struct log {
	uint64_t next, count;
	uint64_t entries[PT_LOG_ENTRIES];
};

#define LOG_LEVEL UINT64_C(0x7)
#define LOG_TABLE UINT64_C(0x8)
_Static_assert(sizeof(struct log) == PT_PAGE_SIZE, "a page of the log is a table");
_Static_assert(PT_MAX_LEVELS <= LOG_LEVEL && PTE_PAGE_SHIFT >= 4, "a level fits below an address");

static struct log *log_at(const struct pt_space *space, phys_addr page)
{
	return (struct log *)(void *)table_at(&space->mem, page, 0, 0);
}

static uint64_t log_room(const struct pt_space *space, const struct pt_flush *flush)
{
	if (flush->log.raw == PT_NO_TABLE)
		return 0;
	return PT_LOG_ENTRIES - log_at(space, flush->log)->count;
}

uint64_t log_tables(const struct pt_space *space, const struct pt_flush *flush, uint64_t count)
{
	uint64_t room = count == 0 ? 0 : log_room(space, flush);

	return count <= room ? 0 : (count - room - 1) / PT_LOG_ENTRIES + 1;
}

static void log_add(struct reserve *reserve, struct pt_flush *flush, uint64_t entry)
{
	const struct pt_space *space = reserve->space;

	if (log_room(space, flush) == 0) {
		phys_addr page;
		struct log *fresh = (struct log *)(void *)reserve_use(reserve, &page);

		if (!fresh)
			return;
		fresh->next = flush->log.raw;
		fresh->count = 0;
		flush->log = page;
	}

	struct log *log = log_at(space, flush->log);

	log->entries[log->count++] = entry;
}

void log_pages(struct reserve *reserve, struct pt_flush *flush, phys_addr pa, unsigned level)
{
	if (reserve->space->frames.acquire)
		log_add(reserve, flush, pa.raw | level);
}

void let_go(struct reserve *reserve, struct pt_flush *flush, phys_addr table, unsigned level)
{
	switch (hold_of(reserve->space, table)) {
	case PT_OWN:
		retire(reserve->space, flush, table, level);
		break;
	case PT_COMMON:
		log_add(reserve, flush, table.raw | level | LOG_TABLE);
		break;
	case PT_FROZEN:
		break;
	}
}

/* ---- release ---------------------------------------------------------------------- */

static void release_pages(const struct pt_space *space, phys_addr pa, uint64_t pages)
{
	if (space->frames.acquire)
		space->frames.release(space->frames.ctx, pa, pages);
}

static size_t release_tree(const struct pt_space *space, phys_addr table, unsigned level);

static size_t release_entry(const struct pt_space *space, pte_t e, unsigned level)
{
	uint64_t pages = level_pages(level);

	switch (pte_kind(e, level)) {
	case PTE_TABLE:
		if (!pte_is_valid(&space->cpu, e, level))
			return 0;
		return release_tree(space, pte_table_addr(&space->cpu, e, level), level - 1);
	case PTE_LEAF:
		release_pages(space, pte_leaf_addr(&space->cpu, e, level), pages);
		break;
	case PTE_ABSENT:
	case PTE_SOFT:
		break;
	}
	return 0;
}

/* Entries of a table that are the space's to give up. */
struct window {
	unsigned first, last;
};

static struct window window_of(const struct pt_space *space, unsigned level)
{
	if (level == space->cpu.levels)
		return (struct window){ space->root_first, space->root_last };
	return (struct window){ 0, PTE_COUNT - 1 };
}

/* True for the entry of a root by which it maps itself. */
static bool is_link_to(const struct pt_space *space, pte_t e, unsigned level, phys_addr root)
{
	return level == space->cpu.levels && pte_kind(e, level) == PTE_TABLE &&
	       pte_table_addr(&space->cpu, e, level).raw == root.raw;
}

/*
 * Gives back one reference; with the last, all below. A root that spaces had in
 * common can come here too. What leads there is not linked any more. Depth is
 * bounded by `level`.
 */
static size_t release_tree(const struct pt_space *space, phys_addr table, unsigned level)
{
	const pte_t *entries = table_at(&space->mem, table, 0, 0);
	enum pt_hold hold = hold_of(space, table);
	bool looks_inside = entries && (level > 1 || space->frames.acquire);
	struct window window = window_of(space, level);
	size_t count = 1;

	if (hold == PT_FROZEN || !entries)
		return 0;
	if (hold == PT_COMMON) {
		space->tables.give(space->tables.ctx, table, 1);
		return 0;
	}
	for (unsigned i = window.first; looks_inside && i <= window.last; i++) {
		if (!is_link_to(space, entries[i], level, table))
			count += release_entry(space, entries[i], level);
	}
	space->tables.give(space->tables.ctx, table, 1);
	return count;
}

static size_t release_log(struct pt_space *space, phys_addr page)
{
	const struct log *log = log_at(space, page);
	size_t count = 0;

	for (uint64_t i = 0; i < log->count; i++) {
		uint64_t entry = log->entries[i];
		phys_addr address = phys(entry & ~(LOG_LEVEL | LOG_TABLE));
		unsigned level = entry & LOG_LEVEL;

		if (entry & LOG_TABLE)
			count += release_tree(space, address, level);
		else
			release_pages(space, address, level_pages(level));
	}
	return count;
}

size_t pt_release(struct pt_space *space, struct pt_flush *flush)
{
	size_t count = 0;

	while (flush->retired.raw != PT_NO_TABLE) {
		phys_addr table = flush->retired;
		uint64_t stash = stash_read(table_at(&space->mem, table, 0, 0));
		uint64_t next = stash >> STASH_LEVEL_BITS;

		flush->retired = phys(next == 0 ? PT_NO_TABLE : (next - 1) << PTE_PAGE_SHIFT);
		count += release_tree(space, table, stash & ((1u << STASH_LEVEL_BITS) - 1));
	}
	while (flush->log.raw != PT_NO_TABLE) {
		phys_addr page = flush->log;
		phys_addr next = phys(log_at(space, page)->next);

		count += release_log(space, page) + 1;
		space->tables.give(space->tables.ctx, page, 1);
		flush->log = next;
	}
	*flush = (struct pt_flush)PT_FLUSH_NONE;
	return count;
}

size_t pt_destroy(struct pt_space *space)
{
	space->hot.entries = NULL;
	return release_tree(space, space->root, space->cpu.levels);
}

/* ---- copies ------------------------------------------------------------------------ */

void share_table(const struct pt_space *space, phys_addr table)
{
	const struct pt_holds *holds = space->tables.holds;

	if (holds && holds->share && hold_of(space, table) != PT_FROZEN)
		holds->share(space->tables.ctx, table);
}

static void share_entry(const struct pt_space *space, pte_t e, unsigned level)
{
	enum pte_kind kind = pte_kind(e, level);

	if (kind == PTE_LEAF)
		acquire_pages(space, pte_leaf_addr(&space->cpu, e, level).raw, level_pages(level));
	else if (kind == PTE_TABLE)
		share_table(space, pte_table_addr(&space->cpu, e, level));
}

void copy_table(const struct pt_space *space, pte_t *to, const pte_t *from, unsigned level)
{
	struct window window = window_of(space, level);

	__builtin_memcpy(to, from, PT_PAGE_SIZE);
	if (level == 1 && !space->frames.acquire)
		return;
	for (unsigned i = window.first; i <= window.last; i++) {
		if (to[i] != 0 && !is_self_link(space, to[i], level))
			share_entry(space, to[i], level);
	}
}
