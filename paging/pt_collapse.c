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
};

/* What the entries of a table say together. */
struct summary {
	bool empty, uniform;
	pte_t first; /* leaf; with the accessed and dirty bits of all */
};

static struct summary summary_start(void)
{
	return (struct summary){ .empty = true, .uniform = true };
}

/* Takes entry `i` of a table of `level` into account. */
static void summary_add(struct summary *s, pte_t e, unsigned i, unsigned level)
{
	pte_t use = pte_use(level);

	s->empty = s->empty && pte_kind(e, level) == PTE_ABSENT;
	if (pte_kind(e, level) != PTE_LEAF) {
		s->uniform = false;
	} else if (i == 0) {
		s->first = e;
	} else if (s->uniform) {
		uint64_t pa = pte_leaf_addr(s->first, level).raw + i * level_size(level);
		pte_t bits = s->first & ~pte_leaf(0, pte_leaf_addr(s->first, level).raw, level);

		s->uniform = (pte_leaf(bits, pa, level) | use) == (e | use);
		s->first |= e & use;
	}
}

/* The entry that can take the place of `link`, which leads to a table so summed up. */
static pte_t summary_entry(const struct pt_space *space, const struct summary *s, pte_t link,
			   unsigned level)
{
	const struct pt_cpu *cpu = &space->cpu;

	if (s->empty)
		return 0;
	if (!s->uniform || level > cpu->max_leaf ||
	    !is_aligned(pte_leaf_addr(s->first, level - 1).raw, level_size(level)))
		return link;

	/* A link that withholds what the leaves allow has to stay. */
	uint32_t own = pte_attr(cpu, s->first, level - 1).flags & LINK_RIGHTS;

	return own & ~pte_rights(cpu, link, level) ? link : pte_promote(s->first, level - 1);
}

/* True if this entry links to a table that the range touches. */
static bool collapse_concerns(const struct collapser *c, pte_t entry, unsigned level, uint64_t va)
{
	return pte_kind(entry, level) == PTE_TABLE && va <= c->slice.last &&
	       c->slice.va <= va + (level_size(level) - 1);
}

/* What an entry of `level` becomes. Depth is bounded by `level`. */
static enum pt_status collapse_plan(struct collapser *c, pte_t entry, unsigned level, uint64_t va,
				    pte_t *ret_entry)
{
	struct summary summary = summary_start();

	*ret_entry = entry;
	if (!collapse_concerns(c, entry, level, va))
		return PT_OK;

	const pte_t *below = table_below(c->space, entry, level);

	c->plan->where = virt(va);
	for (unsigned i = 0; below && i < PTE_COUNT; i++) {
		pte_t e;
		enum pt_status status = collapse_plan(c, below[i], level - 1,
						      va + i * level_size(level - 1), &e);

		if (status != PT_OK)
			return status;
		summary_add(&summary, e, i, level - 1);
	}
	if (!below)
		return PT_ERR_CORRUPT;
	*ret_entry = summary_entry(c->space, &summary, entry, level);
	c->plan->retired += *ret_entry != entry;
	if (*ret_entry != entry && *ret_entry != 0)
		c->plan->leaves[level]++;
	return PT_OK;
}

/* The same again, carried out from below. */
static void collapse_commit(struct collapser *c, pte_t *entry, unsigned level, uint64_t va)
{
	struct summary summary = summary_start();
	pte_t link = *entry;
	pte_t *below = table_below(c->space, link, level);

	if (!collapse_concerns(c, link, level, va))
		return;
	for (unsigned i = 0; below && i < PTE_COUNT; i++) {
		collapse_commit(c, &below[i], level - 1, va + i * level_size(level - 1));
		summary_add(&summary, below[i], i, level - 1);
	}

	pte_t now = summary_entry(c->space, &summary, link, level);

	if (now == link)
		return;
	pte_store(entry, now);
	/* The leaves may have been global. */
	flush_add(c->flush, (struct slice){ va, va + (level_size(level) - 1) }, true);
	retire(c->space, link, level, c->flush);
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
	pte_t *root = table_at(&space->mem, space->root);
	enum pt_status status = range_check(&space->cpu, range.va, range.pages, &c->slice);

	if (status == PT_OK && !root)
		status = PT_ERR_CORRUPT;
	if (status != PT_OK)
		return status;
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
	struct collapser c = { .space = space, .plan = ret_plan };
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
	for (unsigned i = e.first; i <= e.last; i++) {
		collapse_commit(&c, &e.table[i], space->cpu.levels, e.va);
		e.va += level_size(space->cpu.levels);
	}
	return PT_OK;
}
