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

/* Flags that a leaf may state together. */
static enum pt_status flags_check(const struct pt_cpu *cpu, uint32_t flags, bool allow_wx)
{
	if ((flags & ~pte_flags(cpu)) || ((flags & PT_COW) && (flags & PT_WRITE)))
		return PT_ERR_ATTR;
	return !allow_wx && (flags & PT_WRITE) && (flags & PT_EXEC) ? PT_ERR_WX : PT_OK;
}

/* The bits of leaves of all levels up to `top`. */
static enum pt_status attr_encode(struct change *change, const struct pt_cpu *cpu,
				  struct pt_attr attr, unsigned top)
{
	for (unsigned level = 1; level <= top; level++) {
		pte_t cache;

		if (!pte_cache_bits(cpu, attr.cache, level, &cache))
			return PT_ERR_CACHE;
		change->bits[level] = pte_mark(level) | cache |
				      pte_flag_bits(cpu, attr.flags, level);
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

/* The arrays are filled as far as they are used. */
static void change_clear(struct change *change)
{
	__builtin_memset(change, 0, offsetof(struct change, bits));
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
		status = flags_check(cpu, m->attr.flags, allow_wx);
	if (status == PT_OK && (options->links & ~LINK_RIGHTS))
		status = PT_ERR_ATTR;
	if (status == PT_OK)
		status = leaf_cap(cpu, options, &cap);
	change->leaf_level = congruent_level(m->va.raw, m->pa.raw, cap);
	if (status == PT_OK)
		status = attr_encode(change, cpu, m->attr, change->leaf_level);
	if (status != PT_OK)
		return status;

	change->action = ACTION_MAP;
	change->conflict = options->conflict;
	change->empty = m->pages == 0;
	change->exact = options->exact;
	change->set_links = options->set_links;
	change->links = options->set_links ? options->links : LINK_RIGHTS;
	change->delta = m->pa.raw - m->va.raw;
	return options->exact ? exact_check(change, m, cap) : PT_OK;
}

static const struct pt_options default_options;

enum pt_status root_check(const struct pt_space *space, struct slice s)
{
	unsigned top = space->cpu.levels;

	return level_index(s.va, top) >= space->root_first &&
			       level_index(s.last, top) <= space->root_last
		       ? PT_OK
		       : PT_ERR_FOREIGN;
}

/* A range of the user's, for any action. */
static enum pt_status change_start(struct change *ret_change, const struct pt_space *space,
				   struct pt_range range, enum action action)
{
	enum pt_status status;

	change_clear(ret_change);
	ret_change->space = space;
	ret_change->action = action;
	ret_change->links = LINK_RIGHTS;
	ret_change->empty = range.pages == 0;
	status = range_check(&space->cpu, range.va, range.pages, &ret_change->slice);
	if (status == PT_OK && !ret_change->empty)
		status = root_check(space, ret_change->slice);
	return status;
}

enum pt_status change_map(struct change *ret_change, const struct pt_space *space,
			  const struct pt_mapping *m, const struct pt_options *options)
{
	change_clear(ret_change);
	ret_change->space = space;

	enum pt_status status = mapping_check(
		ret_change, &space->cpu, m, options ? options : &default_options, space->allow_wx);

	if (status == PT_OK && !ret_change->empty)
		status = root_check(space, ret_change->slice);
	return status;
}

enum pt_status change_remove(struct change *ret_change, const struct pt_space *space,
			     struct pt_range range, enum action action)
{
	return change_start(ret_change, space, range, action);
}

/* What pt_protect() says anew in every leaf; the other flags can only be added to. */
#define STATED_FLAGS \
	((uint32_t)(PT_WRITE | PT_EXEC | PT_USER | PT_GLOBAL | PT_SHARED | PT_COW | PT_KEY_MASK))

enum pt_status change_protect(struct change *ret_change, const struct pt_space *space,
			      struct pt_range range, struct pt_attr attr)
{
	const struct pt_cpu *cpu = &space->cpu;
	enum pt_status status = change_start(ret_change, space, range, ACTION_PROTECT);

	if (status == PT_OK)
		status = flags_check(cpu, attr.flags, space->allow_wx);
	if (status == PT_OK)
		status = attr_encode(ret_change, cpu, attr, PT_MAX_LEAF_LEVEL);
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		ret_change->keep[level] = ~(pte_flag_mask(cpu, STATED_FLAGS, level) |
					    pte_cache_mask(level));
		ret_change->only_mask[level] = ret_change->only[level] = 0;
	}
	return status;
}

/* Refuses what no leaf could come to say, whatever it says now. */
static enum pt_status update_check(const struct pt_space *space, struct pt_update update)
{
	if (((update.set | update.clear | update.only) & ~pte_flags(&space->cpu)) ||
	    (update.set & update.clear))
		return PT_ERR_ATTR;
	return flags_check(&space->cpu, update.set, space->allow_wx);
}

enum pt_status change_update(struct change *ret_change, const struct pt_space *space,
			     struct pt_range range, struct pt_update update)
{
	const struct pt_cpu *cpu = &space->cpu;
	const uint32_t mixing = PT_WRITE | PT_EXEC | PT_COW;
	enum pt_status status = change_start(ret_change, space, range, ACTION_PROTECT);

	if (status == PT_OK)
		status = update_check(space, update);
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		pte_t mask = pte_flag_mask(cpu, update.set | update.clear, level);

		ret_change->keep[level] = ~mask;
		ret_change->bits[level] = pte_flag_bits(cpu, update.set, level) & mask;
		ret_change->only_mask[level] = pte_flag_mask(cpu, update.only, level);
		ret_change->only[level] = pte_flag_bits(cpu, update.only, level) &
					  ret_change->only_mask[level];
	}
	ret_change->rights = update.set & LINK_RIGHTS;
	ret_change->mixes = (update.set & mixing) != 0;
	return status;
}

enum pt_status change_entry(struct change *ret_change, const struct pt_space *space, virt_addr va,
			    unsigned level, enum action action)
{
	if (!is_canonical(&space->cpu, va.raw))
		return PT_ERR_RANGE;

	struct pt_range range = { virt(align_down(va.raw, level_size(level))), level_pages(level) };
	enum pt_status status = change_start(ret_change, space, range, action);

	ret_change->leaf_level = level;
	return status;
}

enum pt_status change_adopt(struct change *ret_change, const struct pt_space *space, virt_addr va,
			    unsigned level, pte_t link)
{
	enum pt_status status = change_entry(ret_change, space, va, level, ACTION_MAP);

	if (status != PT_OK)
		return status;
	/* Mapped like a leaf of this level at physical address 0, which adds no bit. */
	ret_change->adopts = true;
	ret_change->delta = 0 - ret_change->slice.va;
	ret_change->bits[level] = link;
	return PT_OK;
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
		struct change change;

		change_clear(&change);

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
	switch (change->action) {
	case ACTION_MAP:
		return wants_leaf(change, level, part) ? STEP_LEAF : STEP_NEW_TABLE;
	case ACTION_SET_LINK:
		return STEP_REFUSE;
	case ACTION_SET_SOFT:
		return level == change->leaf_level ? STEP_LEAF : STEP_REFUSE;
	case ACTION_PROTECT:
	case ACTION_UNMAP:
	case ACTION_CLEAN:
		break;
	}
	return STEP_SKIP;
}

static enum step step_over_table(const struct change *change, unsigned level, struct slice part)
{
	switch (change->action) {
	case ACTION_MAP:
		/* What is to be kept may be in there, in smaller leaves. */
		if (change->conflict == PT_KEEP && !change->exact)
			return STEP_DESCEND;
		if (!wants_leaf(change, level, part))
			return STEP_DESCEND;
		if (!is_pinned(change->space, level, part.va))
			return STEP_REPLACE;
		return change->exact ? STEP_REFUSE : STEP_DESCEND;
	case ACTION_UNMAP:
		return slice_is_whole(part, level) && !is_pinned(change->space, level, part.va)
			       ? STEP_DROP
			       : STEP_DESCEND;
	case ACTION_SET_LINK:
		return level == change->leaf_level ? STEP_LEAF : STEP_DESCEND;
	case ACTION_SET_SOFT:
		return level == change->leaf_level ? STEP_REFUSE : STEP_DESCEND;
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
	case ACTION_SET_LINK:
		return STEP_REFUSE;
	case ACTION_SET_SOFT:
		return level == change->leaf_level ? STEP_LEAF : STEP_REFUSE;
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
	struct pt_attr attr = pte_attr(cpu, entry, level);
	uint32_t wanted = change->attr.flags | (cpu->nx ? 0u : pte_flags(cpu) & PT_EXEC);
	uint64_t pa = pte_leaf_addr(cpu, entry, level).raw + (part.va & (level_size(level) - 1));

	return pte_is_valid(cpu, entry, level) && pa == part.va + change->delta &&
	       attr.cache == change->attr.cache && ((attr.flags ^ wanted) & STATED_FLAGS) == 0;
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

static enum step step_over_leaf(const struct change *change, pte_t entry, unsigned level,
				struct slice part)
{
	switch (change->action) {
	case ACTION_MAP:
		return map_over_leaf(change, entry, level, part);
	case ACTION_CLEAN:
		return STEP_SKIP;
	case ACTION_SET_LINK:
		return STEP_REFUSE;
	case ACTION_SET_SOFT:
		return level == change->leaf_level ? STEP_LEAF : STEP_REFUSE;
	case ACTION_PROTECT:
		if (!change_concerns(change, entry, level))
			return STEP_SKIP;
		break;
	case ACTION_UNMAP:
		break;
	}
	return slice_is_whole(part, level) ? STEP_LEAF : STEP_SPLIT;
}

unsigned fresh_leaves(const struct change *change, const pte_t *entries, unsigned level,
		      struct slice s)
{
	unsigned count = 0;

	if (change->action != ACTION_MAP || level > change->leaf_level ||
	    !is_aligned(s.va, level_size(level)))
		return 0;

	uint64_t rest = PTE_COUNT - level_index(s.va, level);
	uint64_t whole = slice_pages(s) >> (level_shift(level) - PTE_PAGE_SHIFT);

	whole = whole < rest ? whole : rest;
	/* Zero is absent in every layout. */
	while (count + 4 <= whole &&
	       (entries[count] | entries[count + 1] | entries[count + 2] | entries[count + 3]) == 0)
		count += 4;
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
	return step_over_leaf(change, entry, level, part);
}

/* ---- the dry run over existing tables ------------------------------------ */

struct planner {
	const struct change *change;
	struct pt_plan *plan;
	uint64_t budget;
	bool held; /* what is looked at hangs on a table that others hold too */
};

static enum pt_status plan_table(struct planner *p, const pte_t *table, unsigned level,
				 struct slice s, struct effect *ret_effect);

static bool visit(struct planner *p)
{
	return p->budget-- > 0;
}

/*
 * How the table will be held when the change comes to it: by then a copy of the
 * one above has added a reference.
 */
static enum pt_hold plan_hold(const struct planner *p, phys_addr table)
{
	const struct pt_space *space = p->change->space;
	enum pt_hold hold = hold_of(space, table);

	return hold == PT_OWN && p->held && space->tables.holds->share ? PT_COMMON : hold;
}

/* A sub-tree is to be given up. */
static void plan_let_go(struct planner *p, phys_addr table)
{
	enum pt_hold hold = plan_hold(p, table);

	p->plan->retired++;
	p->plan->logged += hold == PT_COMMON;
}

/* Leaves are to be given up, each by itself. */
static void plan_log(struct planner *p, uint64_t leaves)
{
	p->plan->logged += p->change->space->frames.acquire ? leaves : 0;
}

/*
 * Finds what keeps a sub-tree from being given up: PT_OK if there is nothing
 * but links in it. Depth is bounded by `level`.
 */
static enum pt_status check_unused(struct planner *p, const pte_t *table, unsigned level,
				   uint64_t va)
{
	if (!visit(p))
		return PT_ERR_BUDGET;
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		pte_t e = pte_load(&table[i]);
		enum pte_kind kind = pte_kind(e, level);

		if (kind == PTE_ABSENT)
			continue;
		p->plan->where = virt(va + i * level_size(level));
		if (kind != PTE_TABLE)
			return PT_ERR_OVERLAP;

		const pte_t *below = table_below(p->change->space, e, level, p->plan->where.raw);

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
	const struct pt_space *space = p->change->space;
	const pte_t *below = table_below(space, entry, level, part.va);

	p->plan->leaves[level]++;
	if (!below)
		return PT_ERR_CORRUPT;
	plan_let_go(p, pte_table_addr(&space->cpu, entry, level));
	if (p->change->conflict == PT_REPLACE)
		return PT_OK;
	return check_unused(p, below, level - 1, part.va);
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

static unsigned used_below(const struct change *change, pte_t link)
{
	return change->space->counted ? pte_count(link) : 0;
}

/* True if a table of `level` will hold nothing. */
static bool is_emptied(const struct change *change, const pte_t *table, unsigned level,
		       struct slice s, const struct effect *effect)
{
	if (!change_removes_tables(change) || effect->left != 0)
		return false;
	if (effect->used != 0)
		return effect->used - 1 == effect->gone;
	return rest_is_absent(table, level, level_index(s.va, level), level_index(s.last, level));
}

static enum pt_status plan_descend(struct planner *p, pte_t entry, unsigned level,
				   struct slice part, struct effect *ret_effect)
{
	const struct change *change = p->change;
	const struct pt_space *space = change->space;
	const pte_t *below = table_below(space, entry, level, part.va);
	struct effect inside = { .used = used_below(change, entry) };
	uint32_t rights = pte_rights(&space->cpu, entry, level);
	bool was_held = p->held;

	if (!below)
		return PT_ERR_CORRUPT;
	if (!change->set_links && (change->rights & ~rights))
		return PT_ERR_LINK;

	phys_addr table = pte_table_addr(&space->cpu, entry, level);
	enum pt_hold hold = plan_hold(p, table);
	struct pt_plan before = *p->plan;

	p->held = hold != PT_OWN;

	enum pt_status status = plan_table(p, below, level - 1, part, &inside);

	p->held = was_held;
	if (status != PT_OK)
		return status;
	ret_effect->touched |= inside.touched || (change->set_links && (change->links & ~rights));
	if (is_emptied(change, below, level - 1, part, &inside) &&
	    !is_pinned(space, level, part.va)) {
		if (hold != PT_OWN) /* what others hold is not emptied, but let go */
			*p->plan = before;
		plan_let_go(p, table);
		*ret_effect = (struct effect){ .gone = 1, .touched = true };
	} else if (hold != PT_OWN && inside.touched) {
		p->plan->tables++;
		p->plan->moved++;
		p->plan->logged += hold == PT_COMMON;
	}
	return PT_OK;
}

/* Tables, and leaves of the range, if nothing but what is new lies below the entry. */
static void plan_fresh(struct planner *p, unsigned level, struct slice part, unsigned leaf_level)
{
	struct counter counter = { .plan = p->plan, .top = level };

	count_fresh(&counter, part, leaf_level);
}

/* A leaf of `level` is covered in part: its pieces in the range, if they are to go. */
static void plan_split(struct planner *p, unsigned level, struct slice part)
{
	const struct change *change = p->change;
	struct pt_plan pieces = { 0 };
	struct counter counter = { .plan = &pieces, .top = level };
	bool is_map = change->action == ACTION_MAP;

	count_fresh(&counter, part, level - 1);
	for (unsigned l = 1; change->action != ACTION_PROTECT && l < level; l++)
		plan_log(p, pieces.leaves[l]);
	if (change->action == ACTION_UNMAP)
		p->plan->tables += pieces.tables;
	else
		plan_fresh(p, level, part,
			   is_map && change->leaf_level < level ? change->leaf_level : level - 1);
}

/* A leaf that is rewritten, be it in parts: it must be sound, and stay so. */
static enum pt_status check_protect(const struct change *change, pte_t entry, unsigned level)
{
	const struct pt_cpu *cpu = &change->space->cpu;

	if (!pte_is_valid(cpu, entry, level))
		return PT_ERR_CORRUPT;
	if (!change->mixes)
		return PT_OK;

	pte_t now = (entry & change->keep[level]) | change->bits[level];

	return flags_check(cpu, pte_attr(cpu, now, level).flags & pte_flags(cpu),
			   change->space->allow_wx || !cpu->nx);
}

/* Plans a write of the entry itself. */
static enum pt_status plan_leaf(struct planner *p, pte_t entry, unsigned level)
{
	const struct change *change = p->change;
	bool was_leaf = pte_kind(entry, level) == PTE_LEAF;

	switch (change->action) {
	case ACTION_PROTECT:
		p->plan->leaves[level]++;
		return check_protect(change, entry, level);
	case ACTION_MAP:
		p->plan->leaves[level]++;
		break;
	case ACTION_UNMAP:
	case ACTION_CLEAN:
	case ACTION_SET_LINK:
	case ACTION_SET_SOFT:
		break;
	}
	plan_log(p, was_leaf);
	return PT_OK;
}

/* Why an entry, of this kind, is in the way. */
static enum pt_status refusal(const struct change *change, enum pte_kind kind)
{
	switch (change->action) {
	case ACTION_UNMAP:
		return PT_ERR_SOFT;
	case ACTION_SET_LINK:
	case ACTION_SET_SOFT:
		return kind == PTE_LEAF || kind == PTE_TABLE ? PT_ERR_SIZE : PT_ERR_NOT_MAPPED;
	case ACTION_MAP:
	case ACTION_PROTECT:
	case ACTION_CLEAN:
		break;
	}
	return PT_ERR_OVERLAP;
}

/*
 * Plans one entry, and adds to the effect on its table. On a refusal
 * plan->where is the first page concerned.
 */
static enum pt_status plan_entry(struct planner *p, pte_t entry, unsigned level, struct slice part,
				 struct effect *effect)
{
	const struct change *change = p->change;
	const struct pt_cpu *cpu = &change->space->cpu;
	enum step step = choose_step(change, entry, level, part);
	enum pt_status status = PT_OK;
	struct effect own = { .touched = step != STEP_SKIP && step != STEP_DESCEND };

	p->plan->where = virt(part.va);
	if (is_self_link(change->space, entry, level)) {
		effect->left++;
		return change->action == ACTION_CLEAN ? PT_OK : PT_ERR_FOREIGN;
	}
	switch (step) {
	case STEP_SKIP:
		break;
	case STEP_LEAF:
		status = plan_leaf(p, entry, level);
		own.gone = change->action == ACTION_UNMAP;
		break;
	case STEP_NEW_TABLE:
		plan_log(p, pte_kind(entry, level) == PTE_LEAF);
		plan_fresh(p, level, part, change->leaf_level);
		break;
	case STEP_SPLIT:
		if (!pte_is_valid(cpu, entry, level))
			return PT_ERR_CORRUPT;
		if (change->action == ACTION_PROTECT)
			status = check_protect(change, entry, level);
		plan_split(p, level, part);
		break;
	case STEP_DESCEND:
		status = plan_descend(p, entry, level, part, &own);
		break;
	case STEP_DROP:
		plan_let_go(p, pte_table_addr(cpu, entry, level));
		own.gone = 1;
		break;
	case STEP_REPLACE:
		status = plan_replace(p, entry, level, part);
		break;
	case STEP_REFUSE:
		status = refusal(change, pte_kind(entry, level));
		break;
	}
	effect->gone += own.gone;
	effect->left += own.gone == 0 && pte_kind(entry, level) != PTE_ABSENT;
	effect->touched |= own.touched;
	return status;
}

/* The entries of a table of pages that a change covers, all of them whole. */
struct pages {
	const pte_t *entries;
	unsigned count;
	uint64_t va; /* of the first */
};

static enum pt_status plan_protect_pages(struct planner *p, const struct pages *pages)
{
	const struct change *change = p->change;
	struct page_bits together = page_bits(pages->entries, pages->count);
	uint64_t leaves = 0;

	/* Reserved bits are so each by itself: what none has is in none. */
	if (change_concerns_all(change, together) && !change->mixes &&
	    pte_is_valid(&change->space->cpu, together.any, 1)) {
		p->plan->leaves[1] += pages->count;
		return PT_OK;
	}
	for (unsigned i = 0; i < pages->count; i++) {
		pte_t e = pte_load(&pages->entries[i]);
		enum pt_status status;

		if (!change_concerns(change, e, 1))
			continue;
		status = check_protect(change, e, 1);
		if (status != PT_OK) {
			p->plan->where = virt(pages->va + i * PT_PAGE_SIZE);
			return status;
		}
		leaves++;
	}
	p->plan->leaves[1] += leaves;
	return PT_OK;
}

/* All that is there goes, of whatever kind. */
static unsigned plan_unmap_pages(struct planner *p, const struct pages *pages)
{
	unsigned gone = 0, leaves = 0;

	for (unsigned i = 0; i < pages->count; i++) {
		enum pte_kind kind = pte_kind(pte_load(&pages->entries[i]), 1);

		gone += kind != PTE_ABSENT;
		leaves += kind == PTE_LEAF;
	}
	plan_log(p, leaves);
	return gone;
}

/*
 * A table of pages in one go, for the actions that treat all its entries alike.
 * False if this is not one; then each entry is planned by itself.
 */
static bool plan_pages(struct planner *p, const struct pages *pages, struct effect *ret_effect,
		       enum pt_status *ret_status)
{
	uint64_t leaves = p->plan->leaves[1];

	*ret_status = PT_OK;
	if (p->change->action == ACTION_PROTECT) {
		*ret_status = plan_protect_pages(p, pages);
		ret_effect->touched = p->plan->leaves[1] != leaves;
		return true;
	}
	if (p->change->action != ACTION_UNMAP)
		return false;
	ret_effect->gone = plan_unmap_pages(p, pages);
	ret_effect->touched = ret_effect->gone != 0;
	return true;
}

/* Plans entry by entry. */
static enum pt_status plan_entries(struct planner *p, const pte_t *table, unsigned level,
				   struct slice s, struct effect *effect)
{
	unsigned first = level_index(s.va, level), last = level_index(s.last, level);

	for (unsigned i = first; i <= last; i++) {
		unsigned fresh = fresh_leaves(p->change, &table[i], level, s);
		struct slice part = slice_in_entry(s, level);
		enum pt_status status = PT_OK;

		if (fresh > 0) {
			p->plan->leaves[level] += fresh;
			effect->touched = true;
			i += fresh - 1;
			part.last = s.va + (((uint64_t)fresh << level_shift(level)) - 1);
		} else {
			status = plan_entry(p, pte_load(&table[i]), level, part, effect);
		}
		if (status != PT_OK)
			return status;
		s.va = part.last + 1;
	}
	return PT_OK;
}

/* Plans the part of a table that `s` covers. Depth is bounded by `level`. */
static enum pt_status plan_table(struct planner *p, const pte_t *table, unsigned level,
				 struct slice s, struct effect *ret_effect)
{
	unsigned first = level_index(s.va, level), last = level_index(s.last, level);
	struct pages pages = { &table[first], last - first + 1, s.va };
	enum pt_status status;

	if (!visit(p))
		return PT_ERR_BUDGET;
	if (level == 1 && plan_pages(p, &pages, ret_effect, &status))
		return status;
	return plan_entries(p, table, level, s, ret_effect);
}

static struct planner planner_start(const struct change *change, struct pt_plan *plan)
{
	uint64_t budget = change->space->budget;

	return (struct planner){ .change = change,
				 .plan = plan,
				 .budget = budget ? budget : UINT64_MAX };
}

struct effect change_preview(const struct change *change, pte_t link, unsigned level,
			     struct slice part)
{
	const pte_t *below = table_below(change->space, link, level, part.va);
	struct pt_plan unused = { 0 };
	struct planner planner = planner_start(change, &unused);
	struct effect effect = { .used = used_below(change, link) };

	planner.held = true;
	planner.budget = UINT64_MAX;
	if (!below || plan_table(&planner, below, level - 1, part, &effect) != PT_OK)
		return (struct effect){ 0 };
	effect.emptied = is_emptied(change, below, level - 1, part, &effect) &&
			 !is_pinned(change->space, level, part.va);
	return effect;
}

enum pt_status change_plan(const struct change *change, struct pt_plan *ret_plan)
{
	const struct pt_space *space = change->space;
	const pte_t *root = root_table(space);
	struct planner planner = planner_start(change, ret_plan);
	enum pt_hold hold = hold_of(space, space->root);
	struct effect effect = { 0 };

	*ret_plan = (struct pt_plan){ .where = virt(change->slice.va) };
	if (change->empty)
		return PT_OK;
	if (!root)
		return PT_ERR_CORRUPT;
	planner.held = hold != PT_OWN;

	enum pt_status status = plan_table(&planner, root, space->cpu.levels, change->slice,
					   &effect);

	if (status == PT_OK && hold != PT_OWN && effect.touched) {
		ret_plan->tables++;
		ret_plan->moved++;
		ret_plan->logged += hold == PT_COMMON;
	}
	return status;
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

enum pt_status pt_plan_update(const struct pt_space *space, struct pt_range range,
			      struct pt_update update, struct pt_plan *ret_plan)
{
	struct change change;
	enum pt_status status = change_update(&change, space, range, update);

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
