/*
 * Cursors. What they change is changed by the calls of pt.h; but the pages that
 * follow one another in a table of pages are mapped right here.
 */
#include "paging/pt_cursor.h"

#include "paging/pt_internal.h"

/* ---- the position ------------------------------------------------------------- */

static bool cursor_is_at_end(const struct pt_cursor *c)
{
	return pt_cursor_left(c) == 0;
}

/* Puts the cursor at `va`; where pages can be mapped is not known any more. */
static void cursor_move(struct pt_cursor *c, uint64_t va)
{
	c->va = va;
	c->near.next = c->near.end = c->near.from = NULL;
}

/* The next `pages`, which are not behind the end; of none, only the end has a meaning. */
static struct slice cursor_slice(const struct pt_cursor *c, uint64_t pages)
{
	uint64_t va = pt_cursor_at(c).raw;

	return (struct slice){ va, va + ((pages - 1) << PTE_PAGE_SHIFT) + (PT_PAGE_SIZE - 1) };
}

/* Whether the next `pages` can be changed. */
static enum pt_status cursor_check(const struct pt_cursor *c, uint64_t pages)
{
	if (!c->writer)
		return PT_ERR_READ_ONLY;
	if (cursor_is_at_end(c))
		return PT_ERR_END;
	return pages <= pt_cursor_left(c) ? PT_OK : PT_ERR_RANGE;
}

/* ---- opening and closing -------------------------------------------------------- */

enum pt_status pt_cursor_read(struct pt_cursor *ret_cursor, const struct pt_space *space,
			      struct pt_range range)
{
	struct slice slice;
	enum pt_status status = range_check(&space->cpu, range.va, range.pages, &slice);

	if (status != PT_OK)
		return status;
	*ret_cursor = (struct pt_cursor){
		.space = space, .first = range.va.raw, .pages = range.pages, .va = range.va.raw
	};
	return PT_OK;
}

/* True if a cursor writes to part of the range. */
static bool cursor_is_in_the_way(const struct pt_space *space, struct pt_range range)
{
	for (const struct pt_cursor *c = space->cursors; c; c = c->next) {
		/* As differences, since either may end with the last page there is. */
		if (range.pages != 0 && c->pages != 0 &&
		    ((range.va.raw - c->first) >> PTE_PAGE_SHIFT < c->pages ||
		     (c->first - range.va.raw) >> PTE_PAGE_SHIFT < range.pages))
			return true;
	}
	return false;
}

enum pt_status pt_cursor_write(struct pt_cursor *ret_cursor, struct pt_space *space,
			       struct pt_range range)
{
	struct slice slice;
	enum pt_status status = range_check(&space->cpu, range.va, range.pages, &slice);

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;
	if (status == PT_OK && range.pages != 0)
		status = root_check(space, slice);
	if (status != PT_OK)
		return status;
	if (cursor_is_in_the_way(space, range))
		return PT_ERR_BUSY;
	*ret_cursor = (struct pt_cursor){ .space = space,
					  .writer = space,
					  .first = range.va.raw,
					  .pages = range.pages,
					  .va = range.va.raw,
					  .next = space->cursors };
	space->cursors = ret_cursor;
	return PT_OK;
}

void pt_cursor_close(struct pt_cursor *c)
{
	struct pt_cursor **at = c->writer ? &c->writer->cursors : NULL;

	while (at && *at && *at != c)
		at = &(*at)->next;
	if (at && *at)
		*at = c->next;
	*c = (struct pt_cursor){ .space = c->space };
}

enum pt_status pt_cursor_jump(struct pt_cursor *c, virt_addr va)
{
	if (!is_aligned(va.raw, PT_PAGE_SIZE))
		return PT_ERR_UNALIGNED;
	if ((va.raw - c->first) >> PTE_PAGE_SHIFT >= c->pages)
		return PT_ERR_RANGE;
	cursor_move(c, va.raw);
	return PT_OK;
}

/* ---- looking ---------------------------------------------------------------------- */

enum pt_status pt_cursor_query(const struct pt_cursor *c, struct pt_entry *ret_entry)
{
	const struct pt_space *space = c->space;
	const pte_t *table = root_table(space);
	uint64_t va = pt_cursor_at(c).raw;
	uint32_t rights = LINK_RIGHTS;

	if (cursor_is_at_end(c))
		return PT_ERR_END;
	for (unsigned level = space->cpu.levels; table && level > 0; level--) {
		pte_t e = pte_load(&table[level_index(va, level)]);
		enum pte_kind kind = pte_kind(e, level);

		if (kind == PTE_TABLE && !is_self_link(space, e, level)) {
			rights &= pte_rights(&space->cpu, e, level);
			table = table_below(space, e, level, va);
			continue;
		}
		if (kind == PTE_LEAF && !pte_is_valid(&space->cpu, e, level))
			return PT_ERR_CORRUPT;
		*ret_entry = entry_of(space, e, level, va, rights);
		return PT_OK;
	}
	return PT_ERR_CORRUPT;
}

/* What a search looks for. */
struct cursor_quarry {
	bool soft, tables; /* and not only leaves */
	uint32_t only;     /* flags that a leaf states itself */
};

static bool cursor_is_wanted(const struct pt_space *space, const struct pt_entry *entry,
			     const struct cursor_quarry *quarry, struct slice in)
{
	const struct pt_leaf *at = &entry->at;

	switch (entry->kind) {
	case PTE_LEAF:
		return (at->own & quarry->only) == quarry->only;
	case PTE_SOFT:
		return quarry->soft;
	case PTE_TABLE:
		/* The walk itself does not follow a link to the root. */
		return quarry->tables && at->va.raw >= in.va &&
		       in.last - at->va.raw >= level_size(at->level) - 1 &&
		       !is_self_link(space, entry->raw, at->level) &&
		       !is_pinned(space, at->level, at->va.raw);
	case PTE_ABSENT:
		break;
	}
	return false;
}

/*
 * Moves to the first entry wanted in the next `pages`. NOT_MAPPED: there is
 * none, and the cursor is behind them. CORRUPT, BUDGET: it is at the entry.
 */
static enum pt_status cursor_seek(struct pt_cursor *c, uint64_t pages,
				  const struct cursor_quarry *quarry, struct pt_entry *ret_entry)
{
	const struct pt_space *space = c->space;
	uint64_t budget = space->budget ? space->budget : PT_NO_BUDGET;
	struct pt_range range = { pt_cursor_at(c), pages };
	struct slice in = cursor_slice(c, pages);
	struct pt_walk walk;
	struct pt_entry entry = { .kind = PTE_ABSENT };
	enum pt_status status = pt_walk_start(&walk, space, range, budget);

	if (status != PT_OK)
		return status;
	while (status == PT_OK && !cursor_is_wanted(space, &entry, quarry, in))
		status = pt_walk_next(&walk, &entry);
	if (status == PT_ERR_NOT_MAPPED) {
		cursor_move(c, in.last + 1);
	} else if (status != PT_OK) {
		cursor_move(c, walk.va);
	} else {
		cursor_move(c, entry.at.va.raw > in.va ? entry.at.va.raw : in.va);
		*ret_entry = entry;
	}
	return status;
}

enum pt_status pt_cursor_find(struct pt_cursor *c, struct pt_entry *ret_entry)
{
	const struct cursor_quarry leaves = { .only = 0 };

	if (cursor_is_at_end(c))
		return PT_ERR_END;

	enum pt_status status = cursor_seek(c, pt_cursor_left(c), &leaves, ret_entry);

	return status == PT_ERR_NOT_MAPPED ? PT_ERR_END : status;
}

/* ---- mapping ------------------------------------------------------------------------ */

void pt_cursor_set_options(struct pt_cursor *c, const struct pt_options *options)
{
	c->options = options ? *options : (struct pt_options){ .conflict = PT_REFUSE };
	cursor_move(c, pt_cursor_at(c).raw);
}

/* The table of pages that translates `va`, and its link; NULL if there is none. */
static pte_t *cursor_page_table(const struct pt_space *space, uint64_t va, pte_t **ret_link)
{
	pte_t *table = root_table(space);

	for (unsigned level = space->cpu.levels; table && level > 1; level--) {
		pte_t *entry = &table[level_index(va, level)];
		pte_t e = pte_load(entry);

		if (pte_kind(e, level) != PTE_TABLE)
			return NULL;
		*ret_link = entry;
		table = table_below(space, e, level, va);
	}
	return table;
}

/*
 * A page has been mapped before the cursor: those that follow in its table need
 * no check but of their entry and physical address. Not where tables move, pages
 * have owners, or a table can be looked at only as long as a call lasts.
 */
static void cursor_remember(struct pt_cursor *c, struct pt_attr attr)
{
	const struct pt_space *space = c->space;
	const struct pt_cpu *cpu = &space->cpu;
	uint64_t limit = UINT64_C(1) << cpu->phys_bits;
	unsigned index = level_index(c->va, 1);
	uint64_t left = pt_cursor_left(c);
	pte_t cache, *link = NULL;

	if (space->mem.table || space->tables.holds || space->frames.acquire || index == 0)
		return;

	pte_t *table = cursor_page_table(space, c->va - PT_PAGE_SIZE, &link);

	if (!table || !pte_cache_bits(cpu, attr.cache, 1, &cache))
		return;
	left = left < PTE_COUNT - index ? left : PTE_COUNT - index;
	c->near = (struct pt_cursor_near){
		.next = &table[index],
		.end = &table[index + left],
		.from = &table[index],
		.generation = space->generation,
		.attr = attr,
		.bits = pte_mark(1) | cache | pte_flag_bits(cpu, attr.flags, 1),
		.no_address = ~(limit - PT_PAGE_SIZE),
		.link = space->counted ? link : NULL,
	};
}

/* Not inlined, so that the short way needs no registers saved. */
static __attribute__((noinline)) enum pt_status cursor_map_any(struct pt_cursor *c, phys_addr pa,
							       uint64_t pages, struct pt_attr attr,
							       struct pt_flush *flush)
{
	struct pt_mapping m = { pt_cursor_at(c), pa, pages, attr };
	enum pt_status status = cursor_check(c, pages);

	if (status == PT_OK)
		status = pt_map(c->writer, &m, &c->options, flush);
	if (status != PT_OK)
		return status;
	cursor_move(c, m.va.raw + (pages << PTE_PAGE_SHIFT));
	if (pages == 1)
		cursor_remember(c, attr);
	return PT_OK;
}

/* One entry of a table has come into use. */
static void cursor_count(pte_t *link)
{
	pte_t e = pte_load(link);
	unsigned count = pte_count(e);

	if (count != 0)
		pte_store(link, pte_set_count(e, count + 1));
}

enum pt_status pt_cursor_map(struct pt_cursor *c, phys_addr pa, uint64_t pages, struct pt_attr attr,
			     struct pt_flush *flush)
{
	struct pt_cursor_near *near = &c->near;
	pte_t *entry = near->next;

	if (__builtin_expect(entry == near->end || pages != 1 ||
				     c->writer->generation != near->generation ||
				     __builtin_memcmp(&attr, &near->attr, sizeof(attr)) != 0 ||
				     (pa.raw & near->no_address) ||
				     pte_kind(pte_load(entry), 1) != PTE_ABSENT,
			     0))
		return cursor_map_any(c, pa, pages, attr, flush);
	pte_store(entry, pte_leaf(near->bits, pa.raw, 1));
	if (__builtin_expect(near->link != NULL, 0))
		cursor_count(near->link);
	near->next = entry + 1;
	return PT_OK;
}

/* ---- changing what is there ------------------------------------------------------- */

/* The part of the entry that lies in the next `pages`. */
static struct slice cursor_part(const struct pt_cursor *c, const struct pt_entry *entry,
				struct slice in)
{
	uint64_t last = entry->at.va.raw + (level_size(entry->at.level) - 1);

	return (struct slice){ pt_cursor_at(c).raw, last < in.last ? last : in.last };
}

/* Tells of a leaf's part as of a leaf. */
static void cursor_clip(struct pt_entry *entry, struct slice part)
{
	struct pt_leaf *at = &entry->at;

	if (entry->kind == PTE_LEAF)
		at->pa = phys(at->pa.raw + (part.va - at->va.raw));
	at->va = virt(part.va);
	at->pages = slice_pages(part);
}

static struct pt_range cursor_range(struct slice s)
{
	return (struct pt_range){ virt(s.va), slice_pages(s) };
}

static enum pt_status cursor_unmap(struct pt_cursor *c, struct slice part, struct pt_flush *flush,
				   uint32_t *ret_seen)
{
	struct change change;
	enum pt_status status = change_remove(&change, c->space, cursor_range(part), ACTION_UNMAP);

	change.seen = ret_seen;
	return status == PT_OK ? change_carry_out(c->writer, &change, flush) : status;
}

static enum pt_status cursor_take(struct pt_cursor *c, uint64_t pages, bool tables,
				  struct pt_flush *flush, struct pt_entry *ret_taken)
{
	const struct cursor_quarry anything = { .soft = true, .tables = tables };
	struct pt_entry entry;
	uint32_t seen = 0;
	enum pt_status status = cursor_check(c, pages);

	if (status != PT_OK)
		return status;
	struct slice in = cursor_slice(c, pages);

	status = cursor_seek(c, pages, &anything, &entry);
	if (status != PT_OK)
		return status;

	struct slice part = cursor_part(c, &entry, in);

	status = cursor_unmap(c, part, flush, &seen);
	if (status != PT_OK)
		return status;
	/* The processor may have used the pages since they were found. */
	entry.at.own |= seen;
	entry.at.attr.flags |= seen & (PT_ACCESSED | PT_DIRTY);
	cursor_clip(&entry, part);
	cursor_move(c, part.last + 1);
	*ret_taken = entry;
	return PT_OK;
}

enum pt_status pt_cursor_take(struct pt_cursor *c, uint64_t pages, struct pt_flush *flush,
			      struct pt_entry *ret_taken)
{
	return cursor_take(c, pages, true, flush, ret_taken);
}

enum pt_status pt_cursor_take_leaf(struct pt_cursor *c, uint64_t pages, struct pt_flush *flush,
				   struct pt_entry *ret_taken)
{
	return cursor_take(c, pages, false, flush, ret_taken);
}

/*
 * Carries out the change, which is for no pages yet, on the first leaf that it
 * concerns.
 */
static enum pt_status cursor_rewrite(struct pt_cursor *c, uint64_t pages, struct change *change,
				     struct pt_flush *flush, struct pt_entry *ret_piece)
{
	const struct cursor_quarry leaves = { .only = change->update.only };
	struct pt_entry entry;

	struct slice in = cursor_slice(c, pages);
	enum pt_status status = cursor_seek(c, pages, &leaves, &entry);

	if (status != PT_OK)
		return status;
	change->slice = cursor_part(c, &entry, in);
	change->empty = false;
	status = change_carry_out(c->writer, change, flush);
	if (status != PT_OK)
		return status;
	cursor_clip(&entry, change->slice);
	cursor_move(c, change->slice.last + 1);
	*ret_piece = entry;
	return PT_OK;
}

enum pt_status pt_cursor_protect(struct pt_cursor *c, uint64_t pages, struct pt_attr attr,
				 struct pt_flush *flush, struct pt_entry *ret_piece)
{
	struct change change;
	enum pt_status status = cursor_check(c, pages);

	if (status == PT_OK)
		status = change_protect(&change, c->space, (struct pt_range){ virt(0), 0 }, attr);
	return status == PT_OK ? cursor_rewrite(c, pages, &change, flush, ret_piece) : status;
}

enum pt_status pt_cursor_update(struct pt_cursor *c, uint64_t pages, struct pt_update update,
				struct pt_flush *flush, struct pt_entry *ret_piece)
{
	struct change change;
	enum pt_status status = cursor_check(c, pages);

	if (status == PT_OK)
		status = change_update(&change, c->space, (struct pt_range){ virt(0), 0 }, update);
	if (status != PT_OK)
		return status;
	change.update = update;
	return cursor_rewrite(c, pages, &change, flush, ret_piece);
}
