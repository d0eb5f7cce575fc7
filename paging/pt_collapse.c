/*
 * Many equal leaves back into one. Decided from below: what a table's entries
 * would become says what the link to it can become.
 */
#include "paging/pt_internal.h"

/* One call: the range, and where it counts or what it adds to. */
struct collapser {
	const struct pt_space *space;
	struct slice slice;
	struct pt_plan *plan;
	struct pt_flush *flush;
	uint64_t budget; /* of the plan */
};

/* What the entries of a table say together. */
struct summary {
	bool uniform;
	unsigned used; /* entries */
	pte_t first;   /* leaf; with the accessed and dirty bits of all */
};

/* Takes entry `i` of a table of `level` into account. */
static void summary_add(struct summary *s, const struct pt_cpu *cpu, pte_t e, unsigned i,
			unsigned level)
{
	pte_t use = pte_flag_mask(cpu, PT_ACCESSED | PT_DIRTY, level);

	s->used += pte_kind(e, level) != PTE_ABSENT;
	if (pte_kind(e, level) != PTE_LEAF) {
		s->uniform = false;
	} else if (i == 0) {
		s->uniform = true;
		s->first = e;
	} else if (s->uniform) {
		uint64_t pa = pte_leaf_addr(cpu, s->first, level).raw;
		pte_t bits = s->first & ~pte_leaf(0, pa, level);

		s->uniform = (pte_leaf(bits, pa + i * level_size(level), level) | use) == (e | use);
		s->first |= e & use;
	}
}

/*
 * The leaf of `level` that can take the place of uniform ones. On a live space
 * a processor may be about to mark one of them.
 */
static pte_t summary_leaf(const struct pt_space *space, const struct summary *s, unsigned level)
{
	const struct pt_cpu *cpu = &space->cpu;
	uint32_t use = pte_attr(cpu, s->first, level - 1).flags & PT_WRITE ? PT_ACCESSED | PT_DIRTY
									   : PT_ACCESSED;
	pte_t leaf = pte_promote(s->first, level - 1);
	pte_t mask = pte_flag_mask(cpu, use, level);

	return space->live ? leaf | (pte_flag_bits(cpu, use, level) & mask) : leaf;
}

/* The entry that can take the place of `link`, at va, to a table so summed up. */
static pte_t summary_entry(const struct pt_space *space, const struct summary *s, pte_t link,
			   unsigned level, uint64_t va)
{
	const struct pt_cpu *cpu = &space->cpu;

	if (is_pinned(space, level, va))
		return link;
	if (s->used == 0)
		return 0;
	if (!s->uniform || level > cpu->max_leaf ||
	    !is_aligned(pte_leaf_addr(cpu, s->first, level - 1).raw, level_size(level)))
		return link;

	/* A link that withholds what the leaves allow has to stay. */
	uint32_t own = pte_attr(cpu, s->first, level - 1).flags & LINK_RIGHTS;

	return own & ~pte_rights(cpu, link, level) ? link : summary_leaf(space, s, level);
}

/* True if this entry links to a table of the space's own that the range touches. */
static bool collapse_concerns(const struct collapser *c, pte_t entry, unsigned level, uint64_t va)
{
	const struct pt_space *space = c->space;

	return pte_kind(entry, level) == PTE_TABLE && va <= c->slice.last &&
	       c->slice.va <= va + (level_size(level) - 1) && !is_self_link(space, entry, level) &&
	       hold_of(space, pte_table_addr(&space->cpu, entry, level)) == PT_OWN;
}

/* What an entry of `level` becomes. Depth is bounded by `level`. */
static enum pt_status collapse_plan(struct collapser *c, pte_t entry, unsigned level, uint64_t va,
				    pte_t *ret_entry)
{
	const struct pt_space *space = c->space;
	struct summary summary = { 0 };

	*ret_entry = entry;
	if (!collapse_concerns(c, entry, level, va))
		return PT_OK;

	const pte_t *below = table_below(space, entry, level, va);

	c->plan->where = virt(va);
	if (!below)
		return PT_ERR_CORRUPT;
	if (c->budget-- == 0)
		return PT_ERR_BUDGET;
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		pte_t e;
		enum pt_status status = collapse_plan(c, pte_load(&below[i]), level - 1,
						      va + i * level_size(level - 1), &e);

		if (status != PT_OK)
			return status;
		summary_add(&summary, &space->cpu, e, i, level - 1);
	}
	*ret_entry = summary_entry(space, &summary, entry, level, va);
	c->plan->retired += *ret_entry != entry;
	if (*ret_entry != entry && *ret_entry != 0)
		c->plan->leaves[level]++;
	return PT_OK;
}

/* Puts `now` where a link to a table was that is needed no longer. */
static void collapse_unlink(struct collapser *c, pte_t *entry, pte_t now, unsigned level,
			    uint64_t va)
{
	const struct pt_cpu *cpu = &c->space->cpu;
	struct reserve none = reserve_start(c->space);
	phys_addr table = pte_table_addr(cpu, *entry, level);

	if (now != 0)
		acquire_pages(c->space, pte_leaf_addr(cpu, now, level).raw, level_pages(level));
	pte_store(entry, now);
	/* The leaves may have been global. */
	flush_add(c->flush, (struct slice){ va, va + (level_size(level) - 1) }, true);
	let_go(&none, c->flush, table, level - 1);
}

/* The same again, carried out from below. */
static void collapse_commit(struct collapser *c, pte_t *entry, unsigned level, uint64_t va)
{
	const struct pt_space *space = c->space;
	struct summary summary = { 0 };
	pte_t link = *entry;

	if (!collapse_concerns(c, link, level, va))
		return;

	pte_t *below = table_below(space, link, level, va);

	for (unsigned i = 0; below && i < PTE_COUNT; i++) {
		collapse_commit(c, &below[i], level - 1, va + i * level_size(level - 1));
		summary_add(&summary, &space->cpu, pte_load(&below[i]), i, level - 1);
	}

	pte_t now = summary_entry(space, &summary, link, level, va);

	if (now != link)
		collapse_unlink(c, entry, now, level, va);
	else if (space->counted && pte_count(link) != 0)
		pte_store(entry, pte_set_count(link, summary.used + 1));
}

/* The entries of the root that the range touches. */
struct collapse_entries {
	pte_t *table;
	unsigned first, last;
	uint64_t va; /* of the first */
};

static enum pt_status collapse_start(struct collapser *c, struct pt_range range,
				     struct collapse_entries *ret_entries)
{
	const struct pt_space *space = c->space;
	unsigned top = space->cpu.levels;
	pte_t *root = root_table(space);
	enum pt_status status = range_check(&space->cpu, range.va, range.pages, &c->slice);

	if (status == PT_OK && range.pages != 0)
		status = root_check(space, c->slice);
	if (status == PT_OK && !root)
		status = PT_ERR_CORRUPT;
	if (status != PT_OK)
		return status;
	/* Nothing below a root that others hold too is this space's to fold. */
	if (hold_of(space, space->root) != PT_OWN) {
		*ret_entries = (struct collapse_entries){ .first = 1 };
		return PT_OK;
	}
	*ret_entries = (struct collapse_entries){
		.table = root,
		.first = level_index(c->slice.va, top),
		.last = level_index(c->slice.last, top),
		.va = align_down(c->slice.va, level_size(top)),
	};
	return PT_OK;
}

enum pt_status pt_plan_collapse(const struct pt_space *space, struct pt_range range,
				struct pt_plan *ret_plan)
{
	/* The root counts, as everywhere. */
	uint64_t budget = (space->budget ? space->budget : UINT64_MAX) - 1;
	struct collapser c = { .space = space, .plan = ret_plan, .budget = budget };
	struct collapse_entries e = { 0 };
	enum pt_status status = collapse_start(&c, range, &e);

	*ret_plan = (struct pt_plan){ .where = range.va };
	if (range.pages == 0)
		return status;
	for (unsigned i = e.first; status == PT_OK && i <= e.last; i++) {
		pte_t unused;

		status = collapse_plan(&c, e.table[i], space->cpu.levels, e.va, &unused);
		e.va += level_size(space->cpu.levels);
	}
	return status;
}

enum pt_status pt_collapse(struct pt_space *space, struct pt_range range, struct pt_flush *flush)
{
	struct collapser c = { .space = space, .flush = flush };
	struct pt_plan plan;
	struct collapse_entries e = { 0 };

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;

	enum pt_status status = pt_plan_collapse(space, range, &plan);

	if (status == PT_OK)
		status = collapse_start(&c, range, &e);
	if (status != PT_OK || range.pages == 0)
		return status;
	space->hot.entries = NULL;
	space->generation++;
	for (unsigned i = e.first; i <= e.last; i++) {
		collapse_commit(&c, &e.table[i], space->cpu.levels, e.va);
		e.va += level_size(space->cpu.levels);
	}
	return PT_OK;
}
