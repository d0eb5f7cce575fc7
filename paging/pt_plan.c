/*
 * The first of the three steps: what a call means for each entry, whether it
 * can be done, and how many tables it takes. Nothing is written.
 *
 * A table's entries are visited one by one only where tables exist. Where an
 * entry is absent, all below it is arithmetic: the leaves of the part are
 *
 *	 4K 4K | 2M 2M 2M | 1G 1G 1G 1G | 2M | 4K 4K 4K
 *
 * pieces of equal size, at most two of each but the largest, and a table is
 * needed for each span that such a piece touches.
 */
#include "paging/pt_internal.h"

/* ---- validation ---------------------------------------------------------- */

static enum pt_status attr_encode(struct change *change, const struct pt_cpu *cpu,
				  struct pt_attr attr, bool allow_wx)
{
	if (attr.flags & ~(uint32_t)PT_FLAGS_ALL)
		return PT_ERR_ATTR;
	if (!allow_wx && (attr.flags & PT_WRITE) && (attr.flags & PT_EXEC))
		return PT_ERR_WX;
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		if (!pte_encode(cpu, attr, level, &change->bits[level]))
			return PT_ERR_CACHE;
	}
	change->rights = attr.flags & LINK_RIGHTS;
	change->attr = attr;
	return PT_OK;
}

static enum pt_status phys_check(const struct pt_cpu *cpu, phys_addr pa, uint64_t pages)
{
	uint64_t limit = UINT64_C(1) << (cpu->phys_bits - PTE_PAGE_SHIFT); /* in pages */

	if (!is_aligned(pa.raw, PT_PAGE_SIZE))
		return PT_ERR_UNALIGNED;
	return fits(pa.raw >> PTE_PAGE_SHIFT, pages, limit) ? PT_OK : PT_ERR_PHYS;
}

/* The largest level, `cap` at most, at whose leaves both addresses can be aligned. */
static unsigned congruent_level(uint64_t va, uint64_t pa, unsigned cap)
{
	unsigned level = cap;

	while (level > 1 && !is_aligned(va ^ pa, level_size(level)))
		level--;
	return level;
}

/* Caps of caller and processor; PT_OK and the largest level that leaves may have. */
static enum pt_status leaf_cap(const struct pt_cpu *cpu, const struct pt_options *options,
			       unsigned *ret_cap)
{
	unsigned wanted = options->max_leaf;

	if (wanted > PT_MAX_LEAF_LEVEL ||
	    (options->exact && (wanted == 0 || wanted > cpu->max_leaf)))
		return PT_ERR_LEVEL;
	*ret_cap = wanted == 0 || wanted > cpu->max_leaf ? cpu->max_leaf : wanted;
	return PT_OK;
}

/* Exact leaves must fit without smaller ones at the ends. */
static enum pt_status exact_check(const struct change *change, const struct pt_mapping *m,
				  unsigned level)
{
	bool fits_exactly = change->leaf_level == level &&
			    is_aligned(m->va.raw, level_size(level)) &&
			    is_aligned(m->pages, level_pages(level));

	return fits_exactly ? PT_OK : PT_ERR_UNALIGNED;
}

/* All of pt_map() that depends on the processor and the request alone. */
static enum pt_status mapping_check(struct change *change, const struct pt_cpu *cpu,
				    const struct pt_mapping *m, const struct pt_options *options,
				    bool allow_wx)
{
	unsigned cap = 1;
	enum pt_status status = range_check(cpu, m->va, m->pages, &change->slice);

	if (status == PT_OK)
		status = phys_check(cpu, m->pa, m->pages);
	if (status == PT_OK)
		status = attr_encode(change, cpu, m->attr, allow_wx);
	if (status == PT_OK && (options->links & ~LINK_RIGHTS))
		status = PT_ERR_ATTR;
	if (status == PT_OK)
		status = leaf_cap(cpu, options, &cap);
	if (status != PT_OK)
		return status;

	change->action = ACTION_MAP;
	change->conflict = options->conflict;
	change->empty = m->pages == 0;
	change->exact = options->exact;
	change->set_links = options->set_links;
	change->links = options->set_links ? options->links : LINK_RIGHTS;
	change->delta = m->pa.raw - m->va.raw;
	change->leaf_level = congruent_level(m->va.raw, m->pa.raw, cap);
	return options->exact ? exact_check(change, m, cap) : PT_OK;
}

static const struct pt_options default_options;

enum pt_status change_map(struct change *ret_change, const struct pt_space *space,
			  const struct pt_mapping *m, const struct pt_options *options)
{
	*ret_change = (struct change){ .space = space };
	return mapping_check(ret_change, &space->cpu, m, options ? options : &default_options,
			     space->allow_wx);
}

enum pt_status change_protect(struct change *ret_change, const struct pt_space *space,
			      struct pt_range range, struct pt_attr attr)
{
	struct change change = { .space = space,
				 .action = ACTION_PROTECT,
				 .links = LINK_RIGHTS,
				 .empty = range.pages == 0 };
	enum pt_status status = range_check(&space->cpu, range.va, range.pages, &change.slice);

	if (status == PT_OK)
		status = attr_encode(&change, &space->cpu, attr, space->allow_wx);
	*ret_change = change;
	return status;
}

enum pt_status change_remove(struct change *ret_change, const struct pt_space *space,
			     struct pt_range range, enum action action)
{
	struct change change = {
		.space = space, .action = action, .links = LINK_RIGHTS, .empty = range.pages == 0
	};
	enum pt_status status = range_check(&space->cpu, range.va, range.pages, &change.slice);

	*ret_change = change;
	return status;
}

/* ---- arithmetic ---------------------------------------------------------- */

/*
 * Counts the tables of a growing set of leaves that comes in ascending order:
 * at each level it remembers the last span for which it has counted a table.
 */
struct counter {
	struct pt_plan *plan;
	unsigned top; /* tables of this level and above exist */
	bool any[PT_MAX_LEVELS + 1];
	uint64_t span[PT_MAX_LEVELS + 1]; /* by level of the table */
};

/* Leaves of `level` all over `s`: one table a span, at every level from theirs up. */
static void count_piece(struct counter *counter, struct slice s, unsigned level)
{
	counter->plan->leaves[level] += slice_pages(s) / level_pages(level);
	for (unsigned l = level; l < counter->top; l++) {
		uint64_t first = s.va >> level_shift(l + 1);
		uint64_t last = s.last >> level_shift(l + 1);
		bool counted = counter->any[l] && counter->span[l] == first;

		counter->plan->tables += last - first + (counted ? 0 : 1);
		counter->any[l] = true;
		counter->span[l] = last;
	}
}

/* The piece at the beginning of `s` whose leaves are of one size. */
static struct slice first_piece(struct slice s, unsigned leaf_level, unsigned *ret_level)
{
	unsigned level = leaf_level;

	while (level > 1 &&
	       (!is_aligned(s.va, level_size(level)) || s.last - s.va < level_size(level) - 1))
		level--;
	*ret_level = level;

	uint64_t pages = slice_pages(s) & ~(level_pages(level) - 1);
	struct slice piece = { s.va, s.va + ((pages << PTE_PAGE_SHIFT) - 1) };

	if (level < leaf_level) {
		struct slice in_larger = slice_in_entry(s, level + 1);

		/* A larger leaf can begin there, if the slice goes on. */
		if (in_larger.last < piece.last)
			piece.last = in_larger.last;
	}
	return piece;
}

/* Counts what `s` takes where nothing is below counter->top yet. */
static void count_fresh(struct counter *counter, struct slice s, unsigned leaf_level)
{
	for (;;) {
		unsigned level;
		struct slice piece = first_piece(s, leaf_level, &level);

		count_piece(counter, piece, level);
		if (piece.last == s.last)
			return;
		s.va = piece.last + 1;
	}
}

enum pt_status pt_plan_list(const struct pt_cpu *cpu, const struct pt_mapping *list, size_t count,
			    struct pt_plan *ret_plan, size_t *ret_index)
{
	struct pt_plan plan = { .tables = 1 };
	struct counter counter = { .plan = &plan, .top = cpu->levels };
	bool any = false;
	uint64_t last = 0;

	for (size_t i = 0; i < count; i++) {
		struct change change = { 0 };
		enum pt_status status = mapping_check(&change, cpu, &list[i], &default_options,
						      false);

		if (status == PT_OK && !change.empty && any && change.slice.va <= last)
			status = PT_ERR_OVERLAP;
		if (status != PT_OK) {
			*ret_index = i;
			return status;
		}
		if (change.empty)
			continue;
		count_fresh(&counter, change.slice, change.leaf_level);
		last = change.slice.last;
		any = true;
	}
	*ret_plan = plan;
	return PT_OK;
}

/* ---- decision ------------------------------------------------------------ */

/* A leaf can be written here. */
static bool wants_leaf(const struct change *change, unsigned level, struct slice part)
{
	return level <= change->leaf_level && slice_is_whole(part, level);
}

static enum step step_over_nothing(const struct change *change, unsigned level, struct slice part)
{
	if (change->action != ACTION_MAP)
		return STEP_SKIP;
	return wants_leaf(change, level, part) ? STEP_LEAF : STEP_NEW_TABLE;
}

static enum step step_over_table(const struct change *change, unsigned level, struct slice part)
{
	switch (change->action) {
	case ACTION_MAP:
		/* What is to be kept may be in there, in smaller leaves. */
		if (change->conflict == PT_KEEP && !change->exact)
			return STEP_DESCEND;
		return wants_leaf(change, level, part) ? STEP_REPLACE : STEP_DESCEND;
	case ACTION_UNMAP:
		return slice_is_whole(part, level) ? STEP_DROP : STEP_DESCEND;
	case ACTION_PROTECT:
	case ACTION_CLEAN:
		break;
	}
	return STEP_DESCEND;
}

static enum step step_over_soft(const struct change *change, unsigned level, struct slice part)
{
	bool whole = slice_is_whole(part, level);

	switch (change->action) {
	case ACTION_PROTECT:
	case ACTION_CLEAN:
		return STEP_SKIP;
	case ACTION_UNMAP:
		return whole ? STEP_LEAF : STEP_REFUSE;
	case ACTION_MAP:
		break;
	}
	if (change->conflict != PT_REPLACE || !whole)
		return STEP_REFUSE;
	return step_over_nothing(change, level, part);
}

/* True if the leaf translates `part` as the change would, but for use and software bits. */
static bool leaf_is_as_wanted(const struct change *change, pte_t entry, unsigned level,
			      struct slice part)
{
	const struct pt_cpu *cpu = &change->space->cpu;
	const uint32_t stated = LINK_RIGHTS | PT_GLOBAL;
	struct pt_attr attr = pte_attr(cpu, entry, level);
	uint32_t wanted = change->attr.flags | (cpu->nx ? 0u : PT_EXEC);
	uint64_t pa = pte_leaf_addr(entry, level).raw + (part.va & (level_size(level) - 1));

	return pte_is_valid(cpu, entry, level) && pa == part.va + change->delta &&
	       attr.cache == change->attr.cache && ((attr.flags ^ wanted) & stated) == 0;
}

static enum step map_over_leaf(const struct change *change, pte_t entry, unsigned level,
			       struct slice part)
{
	switch (change->conflict) {
	case PT_REFUSE:
		break;
	case PT_KEEP:
		return leaf_is_as_wanted(change, entry, level, part) ? STEP_SKIP : STEP_REFUSE;
	case PT_REPLACE:
		return slice_is_whole(part, level) ? step_over_nothing(change, level, part)
						   : STEP_SPLIT;
	}
	return STEP_REFUSE;
}

unsigned fresh_leaves(const struct change *change, const pte_t *entries, unsigned level,
		      struct slice s)
{
	unsigned count = 0;

	if (change->action != ACTION_MAP || level > change->leaf_level ||
	    !is_aligned(s.va, level_size(level)))
		return 0;

	uint64_t whole = slice_pages(s) / level_pages(level);

	while (count < whole && pte_kind(entries[count], level) == PTE_ABSENT)
		count++;
	return count;
}

enum step choose_step(const struct change *change, pte_t entry, unsigned level, struct slice part)
{
	switch (pte_kind(entry, level)) {
	case PTE_ABSENT:
		return step_over_nothing(change, level, part);
	case PTE_TABLE:
		return step_over_table(change, level, part);
	case PTE_SOFT:
		return step_over_soft(change, level, part);
	case PTE_LEAF:
		break;
	}
	if (change->action == ACTION_MAP)
		return map_over_leaf(change, entry, level, part);
	if (change->action == ACTION_CLEAN)
		return STEP_SKIP;
	return slice_is_whole(part, level) ? STEP_LEAF : STEP_SPLIT;
}

/* ---- the dry run over existing tables ------------------------------------ */

struct planner {
	const struct change *change;
	struct pt_plan *plan;
};

static enum pt_status plan_table(struct planner *p, const pte_t *table, unsigned level,
				 struct slice s, bool *ret_emptied);

/*
 * Finds what keeps a sub-tree from being given up: PT_OK if there is nothing
 * but links in it. Depth is bounded by `level`.
 */
static enum pt_status check_unused(struct planner *p, const pte_t *table, unsigned level,
				   uint64_t va)
{
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		enum pte_kind kind = pte_kind(table[i], level);

		if (kind == PTE_ABSENT)
			continue;
		p->plan->where = virt(va + i * level_size(level));
		if (kind != PTE_TABLE)
			return PT_ERR_OVERLAP;

		const pte_t *below = table_below(p->change->space, table[i], level);

		if (!below)
			return PT_ERR_CORRUPT;

		enum pt_status status = check_unused(p, below, level - 1, p->plan->where.raw);

		if (status != PT_OK)
			return status;
	}
	return PT_OK;
}

/* A leaf over a table: possible if the table holds nothing that may not go. */
static enum pt_status plan_replace(struct planner *p, pte_t entry, unsigned level,
				   struct slice part)
{
	const pte_t *below = table_below(p->change->space, entry, level);

	p->plan->leaves[level]++;
	p->plan->retired++;
	if (!below)
		return PT_ERR_CORRUPT;
	if (p->change->conflict == PT_REPLACE)
		return PT_OK;
	return check_unused(p, below, level - 1, part.va);
}

static enum pt_status plan_descend(struct planner *p, pte_t entry, unsigned level,
				   struct slice part, bool *ret_gone)
{
	const struct change *change = p->change;
	const pte_t *below = table_below(change->space, entry, level);

	if (!below)
		return PT_ERR_CORRUPT;
	if (!change->set_links && (change->rights & ~pte_rights(&change->space->cpu, entry, level)))
		return PT_ERR_LINK;

	enum pt_status status = plan_table(p, below, level - 1, part, ret_gone);

	p->plan->retired += *ret_gone;
	return status;
}

/* Tables, and leaves of the range, if nothing but what is new lies below the entry. */
static void plan_fresh(struct planner *p, unsigned level, struct slice part, unsigned leaf_level)
{
	struct pt_plan unmapped = { 0 };
	bool counts = p->change->action != ACTION_UNMAP;
	struct counter counter = { .plan = counts ? p->plan : &unmapped, .top = level };

	count_fresh(&counter, part, leaf_level);
	p->plan->tables += unmapped.tables;
}

/*
 * Plans one entry. *ret_gone: it will be absent. On a refusal plan->where is
 * the first page concerned.
 */
static enum pt_status plan_entry(struct planner *p, pte_t entry, unsigned level, struct slice part,
				 bool *ret_gone)
{
	const struct change *change = p->change;
	enum step step = choose_step(change, entry, level, part);

	*ret_gone = false;
	p->plan->where = virt(part.va);
	switch (step) {
	case STEP_SKIP:
		*ret_gone = pte_kind(entry, level) == PTE_ABSENT;
		return PT_OK;
	case STEP_LEAF:
		*ret_gone = change->action == ACTION_UNMAP;
		if (*ret_gone)
			return PT_OK;
		if (change->action == ACTION_PROTECT &&
		    !pte_is_valid(&change->space->cpu, entry, level))
			return PT_ERR_CORRUPT;
		p->plan->leaves[level]++;
		return PT_OK;
	case STEP_NEW_TABLE:
		plan_fresh(p, level, part, change->leaf_level);
		return PT_OK;
	case STEP_SPLIT:
		if (!pte_is_valid(&change->space->cpu, entry, level))
			return PT_ERR_CORRUPT;
		plan_fresh(p, level, part,
			   change->action == ACTION_MAP && change->leaf_level < level
				   ? change->leaf_level
				   : level - 1);
		return PT_OK;
	case STEP_DESCEND:
		return plan_descend(p, entry, level, part, ret_gone);
	case STEP_DROP:
		p->plan->retired++;
		*ret_gone = true;
		return PT_OK;
	case STEP_REPLACE:
		return plan_replace(p, entry, level, part);
	case STEP_REFUSE:
		break;
	}
	return change->action == ACTION_UNMAP ? PT_ERR_SOFT : PT_ERR_OVERLAP;
}

/* True if no entry before `first` or after `last` is in use. */
static bool rest_is_absent(const pte_t *table, unsigned level, unsigned first, unsigned last)
{
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		if ((i < first || i > last) && pte_kind(table[i], level) != PTE_ABSENT)
			return false;
	}
	return true;
}

/* The entries of a table of pages that a change covers, all of them whole. */
struct pages {
	const pte_t *entries;
	unsigned count;
	uint64_t va; /* of the first */
};

static enum pt_status plan_protect_pages(struct planner *p, const struct pages *pages)
{
	const struct pt_cpu cpu = p->change->space->cpu;
	uint64_t leaves = 0;

	for (unsigned i = 0; i < pages->count; i++) {
		pte_t e = pages->entries[i];

		if (pte_kind(e, 1) != PTE_LEAF)
			continue;
		if (!pte_is_valid(&cpu, e, 1)) {
			p->plan->where = virt(pages->va + i * PT_PAGE_SIZE);
			return PT_ERR_CORRUPT;
		}
		leaves++;
	}
	p->plan->leaves[1] += leaves;
	return PT_OK;
}

/*
 * A table of pages in one go, for the actions that treat all its entries alike.
 * False if this is not one; then each entry is planned by itself.
 */
static bool plan_pages(struct planner *p, const struct pages *pages, enum pt_status *ret_status)
{
	const struct change *change = p->change;

	if (change->action == ACTION_PROTECT)
		*ret_status = plan_protect_pages(p, pages);
	else if (change->action == ACTION_UNMAP)
		*ret_status = PT_OK;
	else
		return false;
	return true;
}

/* Plans entry by entry; *ret_gone: all of them will be absent. */
static enum pt_status plan_entries(struct planner *p, const pte_t *table, unsigned level,
				   struct slice s, bool *ret_gone)
{
	unsigned first = level_index(s.va, level), last = level_index(s.last, level);

	*ret_gone = true;
	for (unsigned i = first; i <= last; i++) {
		unsigned fresh = fresh_leaves(p->change, &table[i], level, s);
		struct slice part = slice_in_entry(s, level);
		bool gone = false;
		enum pt_status status = PT_OK;

		if (fresh > 0) {
			p->plan->leaves[level] += fresh;
			i += fresh - 1;
			part.last = s.va + (((uint64_t)fresh << level_shift(level)) - 1);
		} else {
			status = plan_entry(p, pte_load(&table[i]), level, part, &gone);
		}
		if (status != PT_OK)
			return status;
		*ret_gone = *ret_gone && gone;
		s.va = part.last + 1;
	}
	return PT_OK;
}

/* Plans the part of a table that `s` covers. Depth is bounded by `level`. */
static enum pt_status plan_table(struct planner *p, const pte_t *table, unsigned level,
				 struct slice s, bool *ret_emptied)
{
	unsigned first = level_index(s.va, level), last = level_index(s.last, level);
	struct pages pages = { &table[first], last - first + 1, s.va };
	enum pt_status status = PT_OK;
	bool gone = true;

	if (level > 1 || !plan_pages(p, &pages, &status))
		status = plan_entries(p, table, level, s, &gone);
	*ret_emptied = status == PT_OK && change_removes_tables(p->change) && gone &&
		       rest_is_absent(table, level, first, last);
	return status;
}

enum pt_status change_plan(const struct change *change, struct pt_plan *ret_plan)
{
	const struct pt_space *space = change->space;
	const pte_t *root = table_at(&space->mem, space->root);
	struct planner planner = { change, ret_plan };
	bool emptied;

	*ret_plan = (struct pt_plan){ .where = virt(change->slice.va) };
	if (change->empty)
		return PT_OK;
	if (!root)
		return PT_ERR_CORRUPT;
	return plan_table(&planner, root, space->cpu.levels, change->slice, &emptied);
}

/* ---- dry runs ------------------------------------------------------------- */

/* A refusal before any table was looked at concerns the first page. */
static enum pt_status plan_if(enum pt_status status, const struct change *change, virt_addr va,
			      struct pt_plan *ret_plan)
{
	if (status == PT_OK)
		return change_plan(change, ret_plan);
	*ret_plan = (struct pt_plan){ .where = va };
	return status;
}

enum pt_status pt_plan_map(const struct pt_space *space, const struct pt_mapping *m,
			   const struct pt_options *options, struct pt_plan *ret_plan)
{
	struct change change;
	enum pt_status status = change_map(&change, space, m, options);

	return plan_if(status, &change, m->va, ret_plan);
}

enum pt_status pt_plan_protect(const struct pt_space *space, struct pt_range range,
			       struct pt_attr attr, struct pt_plan *ret_plan)
{
	struct change change;
	enum pt_status status = change_protect(&change, space, range, attr);

	return plan_if(status, &change, range.va, ret_plan);
}

enum pt_status pt_plan_unmap(const struct pt_space *space, struct pt_range range,
			     struct pt_plan *ret_plan)
{
	struct change change;
	enum pt_status status = change_remove(&change, space, range, ACTION_UNMAP);

	return plan_if(status, &change, range.va, ret_plan);
}

enum pt_status pt_plan_clean(const struct pt_space *space, struct pt_range range,
			     struct pt_plan *ret_plan)
{
	struct change change;
	enum pt_status status = change_remove(&change, space, range, ACTION_CLEAN);

	return plan_if(status, &change, range.va, ret_plan);
}
