#include "paging/pt_use.h"

#include "paging/pt_internal.h"

struct harvest {
	const struct pt_space *space;
	const struct pt_visitor *visitor;
	struct pt_flush *flush;
	uint64_t budget;
	bool gathers;                       /* the second time; the first time only looks */
	pte_t mask[PT_MAX_LEAF_LEVEL + 1];  /* where the flags are stated, */
	pte_t clear[PT_MAX_LEAF_LEVEL + 1]; /* and how when they are not set */
};

/* An entry, and what the links above it mean for it. */
struct harvest_place {
	pte_t *table;
	unsigned level;
	uint32_t rights;
	bool held; /* by others too */
};

static enum pt_status harvest_table(struct harvest *h, struct harvest_place p, struct slice s);

/* Clears the flags and returns the entry as it was; a bit set meanwhile is in it. */
static pte_t harvest_clear(const struct harvest *h, pte_t *entry, unsigned level)
{
	pte_t old = pte_load(entry), now;

	do {
		now = (old & ~h->mask[level]) | h->clear[level];
	} while (!__atomic_compare_exchange_n(entry, &old, now, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	return old;
}

static void harvest_leaf(struct harvest *h, const struct harvest_place *p, pte_t *entry,
			 uint64_t va)
{
	unsigned level = p->level;
	uint64_t first = align_down(va, level_size(level));
	pte_t old = pte_load(entry);

	if ((old & h->mask[level]) == h->clear[level])
		return;
	if (!p->held) {
		old = harvest_clear(h, entry, level);
		flush_add(h->flush, (struct slice){ first, first + (level_size(level) - 1) },
			  pte_attr(&h->space->cpu, old, level).flags & PT_GLOBAL);
	}

	struct pt_entry found = entry_of(h->space, old, level, va, p->rights);

	h->visitor->each(h->visitor->ctx, &found.at);
}

static enum pt_status harvest_entry(struct harvest *h, const struct harvest_place *p, pte_t *entry,
				    struct slice part)
{
	const struct pt_space *space = h->space;
	unsigned level = p->level;
	pte_t e = pte_load(entry);
	enum pte_kind kind = pte_kind(e, level);

	if (kind == PTE_LEAF) {
		if (!pte_is_valid(&space->cpu, e, level))
			return PT_ERR_CORRUPT;
		if (h->gathers)
			harvest_leaf(h, p, entry, part.va);
	}
	if (kind != PTE_TABLE || is_self_link(space, e, level))
		return PT_OK;

	struct harvest_place below = {
		.table = table_below(space, e, level, part.va),
		.level = level - 1,
		.rights = p->rights & pte_rights(&space->cpu, e, level),
		.held = p->held || hold_of(space, pte_table_addr(&space->cpu, e, level)) != PT_OWN,
	};

	return harvest_table(h, below, part);
}

/* Depth is bounded by the level. */
static enum pt_status harvest_table(struct harvest *h, struct harvest_place p, struct slice s)
{
	unsigned first = level_index(s.va, p.level), last = level_index(s.last, p.level);

	if (!p.table)
		return PT_ERR_CORRUPT;
	if (h->budget-- == 0)
		return PT_ERR_BUDGET;
	for (unsigned i = first; i <= last; i++) {
		struct slice part = slice_in_entry(s, p.level);
		enum pt_status status = harvest_entry(h, &p, &p.table[i], part);

		if (status != PT_OK)
			return status;
		s.va = part.last + 1;
	}
	return PT_OK;
}

/* Looks at everything, or gathers it. */
static enum pt_status harvest_run(struct harvest *h, bool gathers, struct slice s)
{
	const struct pt_space *space = h->space;
	struct harvest_place root = {
		.table = root_table(space),
		.level = space->cpu.levels,
		.rights = LINK_RIGHTS,
		.held = hold_of(space, space->root) != PT_OWN,
	};

	h->gathers = gathers;
	h->budget = space->budget ? space->budget : UINT64_MAX;
	return harvest_table(h, root, s);
}

enum pt_status pt_harvest(struct pt_space *space, struct pt_range range, uint32_t flags,
			  const struct pt_visitor *visitor, struct pt_flush *flush)
{
	struct harvest h = { .space = space, .visitor = visitor, .flush = flush };
	struct slice slice = { 0, 0 };
	enum pt_status status = range_check(&space->cpu, range.va, range.pages, &slice);

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;
	if (status == PT_OK && range.pages != 0)
		status = root_check(space, slice);
	if (status == PT_OK && (flags & ~(uint32_t)(PT_ACCESSED | PT_DIRTY)))
		status = PT_ERR_ATTR;
	if (status != PT_OK || range.pages == 0)
		return status;
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		h.mask[level] = pte_flag_mask(&space->cpu, flags, level);
		h.clear[level] = pte_flag_bits(&space->cpu, 0, level) & h.mask[level];
	}
	status = harvest_run(&h, false, slice);
	return status == PT_OK ? harvest_run(&h, true, slice) : status;
}
