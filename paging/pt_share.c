#include "paging/pt_share.h"

#include "paging/pt_internal.h"

/* ---- entries of the root ------------------------------------------------------- */

/* The first entry of a root that translates the upper half; PTE_COUNT if there is none. */
#define SHARE_UPPER ((unsigned)(PTE_SIGN_EXTENDS ? PTE_COUNT / 2 : PTE_COUNT))

/* The first address that entry `i` of the root translates. */
static uint64_t share_root_va(const struct pt_cpu *cpu, unsigned i)
{
	uint64_t va = (uint64_t)i << level_shift(cpu->levels);

	return i < SHARE_UPPER ? va
			       : va | UINT64_MAX << (level_shift(cpu->levels) + PTE_INDEX_BITS);
}

/* True if the entry of `level` at va is one of a root that the space may not change. */
static bool share_is_foreign(const struct pt_space *space, uint64_t va, unsigned level)
{
	unsigned i = level_index(va, level);

	return level == space->cpu.levels &&
	       (i < space->root_first || i > space->root_last || is_pinned(space, level, va));
}

/* Makes the links by which the tables of `space` map themselves do so for a copy of its root. */
static void share_redirect(const struct pt_space *space, pte_t *copy, phys_addr at)
{
	const struct pt_cpu *cpu = &space->cpu;
	unsigned top = cpu->levels;

	for (unsigned i = 0; i < PTE_COUNT; i++) {
		if (copy[i] != 0 && is_self_link(space, copy[i], top))
			copy[i] = pte_link(cpu, at, pte_rights(cpu, copy[i], top), top);
	}
}

/* A space as it is right after its root was made, but with the policy it has. */
static void clone_forget_uses(struct pt_space *space)
{
	space->generation = 0;
	space->processors = 0;
	space->cursors = NULL;
	space->hot.entries = NULL;
}

/* Others hold tables of the space from now on: what was remembered of them is void. */
static void share_forget(struct pt_space *space)
{
	space->generation++;
	space->hot.entries = NULL;
}

/* ---- one upper half for all ------------------------------------------------------ */

/* Whether an upper entry of the root can be pinned; counts the absent ones. */
static enum pt_status pin_check(const struct pt_space *kernel, pte_t entry, unsigned i,
				uint64_t *absent)
{
	const struct pt_cpu *cpu = &kernel->cpu;
	unsigned top = cpu->levels;

	switch (pte_kind(entry, top)) {
	case PTE_ABSENT:
		++*absent;
		break;
	case PTE_SOFT:
	case PTE_LEAF:
		return PT_ERR_OVERLAP;
	case PTE_TABLE:
		if (is_self_link(kernel, entry, top))
			break;
		if (!table_below(kernel, entry, top, share_root_va(cpu, i)))
			return PT_ERR_CORRUPT;
		if (hold_of(kernel, pte_table_addr(cpu, entry, top)) != PT_OWN)
			return PT_ERR_SHARED;
		break;
	}
	return PT_OK;
}

/* Users have copies of the entry, which must not differ: it counts nothing. */
static void pin_entry(struct reserve *reserve, pte_t *entry)
{
	const struct pt_space *kernel = reserve->space;
	unsigned top = kernel->cpu.levels;
	phys_addr at;
	pte_t *table;

	if (pte_kind(*entry, top) != PTE_ABSENT) {
		if (kernel->counted && !is_self_link(kernel, *entry, top))
			pte_store(entry, pte_set_count(*entry, 0));
		return;
	}
	table = reserve_use(reserve, &at);
	if (!table)
		return;
	if (!kernel->tables.zeroed)
		__builtin_memset(table, 0, PT_PAGE_SIZE);
	pte_store(entry, pte_link(&kernel->cpu, at, LINK_RIGHTS, top));
}

enum pt_status pt_pin_upper(struct pt_space *kernel)
{
	struct reserve reserve = reserve_start(kernel);
	pte_t *root = root_table(kernel);
	uint64_t absent = 0;
	enum pt_status status = PT_OK;

	if (!kernel->tables.take)
		return PT_ERR_READ_ONLY;
	if (kernel->pins_upper)
		return PT_OK;
	if (kernel->root_first != 0 || kernel->root_last != PTE_COUNT - 1)
		return PT_ERR_FOREIGN;
	if (!root)
		return PT_ERR_CORRUPT;
	if (hold_of(kernel, kernel->root) != PT_OWN)
		return PT_ERR_SHARED;
	for (unsigned i = SHARE_UPPER; i < PTE_COUNT && status == PT_OK; i++)
		status = pin_check(kernel, root[i], i, &absent);
	if (status == PT_OK)
		status = reserve_take(&reserve, absent);
	if (status != PT_OK)
		return status;
	for (unsigned i = SHARE_UPPER; i < PTE_COUNT; i++)
		pin_entry(&reserve, &root[i]);
	reserve_end(&reserve);
	kernel->pins_upper = true;
	share_forget(kernel);
	return PT_OK;
}

enum pt_status pt_init_user(struct pt_space *ret_user, const struct pt_space *kernel,
			    const struct pt_tables *tables)
{
	struct pt_space user;
	const pte_t *upper = root_table(kernel);
	enum pt_status status = kernel->pins_upper ? PT_OK : PT_ERR_FOREIGN;

	if (status == PT_OK && !upper)
		status = PT_ERR_CORRUPT;
	if (status == PT_OK)
		status = pt_init(&user, &kernel->cpu, &kernel->mem, tables);
	if (status != PT_OK)
		return status;

	pte_t *root = root_table(&user);

	for (unsigned i = SHARE_UPPER; root && i < PTE_COUNT; i++)
		root[i] = pte_load(&upper[i]);
	if (root)
		share_redirect(kernel, root, user.root);
	user.root_last = SHARE_UPPER - 1;
	*ret_user = user;
	return PT_OK;
}

/* ---- deep clones -------------------------------------------------------------------- */

struct deep {
	const struct pt_space *source;
	struct reserve reserve;
	uint64_t budget, tables;
};

/* True if what the entry links to is to be copied. */
static bool deep_concerns(const struct deep *d, pte_t entry, unsigned level)
{
	return pte_kind(entry, level) == PTE_TABLE && !is_self_link(d->source, entry, level);
}

/* Counts the table below a link, and all below that. Depth is bounded by `level`. */
static enum pt_status deep_count(struct deep *d, pte_t link, unsigned level, uint64_t va)
{
	const pte_t *below = table_below(d->source, link, level, va);
	enum pt_status status = PT_OK;

	if (!below)
		return PT_ERR_CORRUPT;
	if (d->budget-- == 0)
		return PT_ERR_BUDGET;
	d->tables++;
	for (unsigned i = 0; level > 2 && i < PTE_COUNT && status == PT_OK; i++) {
		pte_t e = pte_load(&below[i]);

		if (deep_concerns(d, e, level - 1))
			status = deep_count(d, e, level - 1, va + i * level_size(level - 1));
	}
	return status;
}

static pte_t deep_copy(struct deep *d, pte_t link, unsigned level, uint64_t va);

/* The entry that says in a copy what this one does. */
static pte_t deep_entry(struct deep *d, pte_t entry, unsigned level, uint64_t va)
{
	const struct pt_space *source = d->source;

	if (deep_concerns(d, entry, level))
		return deep_copy(d, entry, level, va);
	if (pte_kind(entry, level) == PTE_LEAF)
		acquire_pages(source, pte_leaf_addr(&source->cpu, entry, level).raw,
			      level_pages(level));
	return entry;
}

/* Copies what deep_count() has counted, and returns the link to it. */
static pte_t deep_copy(struct deep *d, pte_t link, unsigned level, uint64_t va)
{
	const struct pt_cpu *cpu = &d->source->cpu;
	const pte_t *from = table_below(d->source, link, level, va);
	phys_addr at;
	pte_t *to = reserve_use(&d->reserve, &at);

	if (!to || !from)
		return 0;
	for (unsigned i = 0; i < PTE_COUNT; i++)
		to[i] = deep_entry(d, pte_load(&from[i]), level - 1,
				   va + i * level_size(level - 1));
	return pte_set_count(pte_link(cpu, at, pte_rights(cpu, link, level), level),
			     pte_count(link));
}

/* The copy of a root; entries that are others' stay as they are. */
static phys_addr deep_copy_root(struct deep *d, const pte_t *root)
{
	const struct pt_space *source = d->source;
	unsigned top = source->cpu.levels;
	phys_addr at = source->root;
	pte_t *copy = reserve_use(&d->reserve, &at);

	if (!copy)
		return at;
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		pte_t e = pte_load(&root[i]);
		bool is_own = i >= source->root_first && i <= source->root_last;

		copy[i] = is_own ? deep_entry(d, e, top, share_root_va(&source->cpu, i)) : e;
	}
	share_redirect(source, copy, at);
	return at;
}

static enum pt_status clone_deep(struct pt_space *clone, const struct pt_space *source)
{
	const pte_t *root = root_table(source);
	struct deep d = {
		.source = source,
		.reserve = reserve_start(source),
		.budget = source->budget ? source->budget - 1 : UINT64_MAX,
		.tables = 1,
	};
	enum pt_status status = root ? PT_OK : PT_ERR_CORRUPT;

	for (unsigned i = source->root_first; i <= source->root_last && status == PT_OK; i++) {
		pte_t e = pte_load(&root[i]);

		if (deep_concerns(&d, e, source->cpu.levels))
			status = deep_count(&d, e, source->cpu.levels,
					    share_root_va(&source->cpu, i));
	}
	if (status == PT_OK)
		status = reserve_take(&d.reserve, d.tables);
	if (status != PT_OK)
		return status;
	clone->root = deep_copy_root(&d, root);
	reserve_end(&d.reserve);
	return PT_OK;
}

/* ---- clones that have tables in common -------------------------------------------------- */

/* A root of its own over the entries of the source's; those in the clone's window are shared. */
static enum pt_status clone_root(struct pt_space *clone)
{
	const pte_t *from = root_table(clone);
	struct reserve reserve = reserve_start(clone);
	enum pt_status status = from ? reserve_take(&reserve, 1) : PT_ERR_CORRUPT;
	phys_addr at;

	if (status != PT_OK)
		return status;

	pte_t *to = reserve_use(&reserve, &at);

	if (!to)
		return PT_ERR_NO_TABLES;
	copy_table(clone, to, from, clone->cpu.levels);
	share_redirect(clone, to, at);
	clone->root = at;
	return PT_OK;
}

static enum pt_status clone_cow(struct pt_space *clone)
{
	/* What is pinned stays the source's, as it is for its other users. */
	if (clone->pins_upper)
		clone->root_last = SHARE_UPPER - 1;
	clone->pins_upper = false;
	return clone_root(clone);
}

static enum pt_status clone_shallow(struct pt_space *clone)
{
	/* Its users would not see into a copy of the upper half. */
	if (clone->pins_upper)
		return PT_ERR_FOREIGN;
	share_table(clone, clone->root);
	return PT_OK;
}

static enum pt_status clone_view(struct pt_space *clone)
{
	clone->pins_upper = false;
	clone->root_first = 1;
	clone->root_last = 0;
	return clone_root(clone);
}

enum pt_status pt_clone(struct pt_space *ret_clone, struct pt_space *source, enum pt_clone how)
{
	const struct pt_holds *holds = source->tables.holds;
	bool shares = how == PT_CLONE_COW || how == PT_CLONE_SHALLOW;
	struct pt_space clone = *source;
	enum pt_status status = PT_OK;

	if (!source->tables.take)
		return PT_ERR_READ_ONLY;
	if (shares && !(holds && holds->share))
		return PT_ERR_SHARED;
	switch (how) {
	case PT_CLONE_DEEP:
		status = clone_deep(&clone, source);
		break;
	case PT_CLONE_COW:
		status = clone_cow(&clone);
		break;
	case PT_CLONE_SHALLOW:
		status = clone_shallow(&clone);
		break;
	case PT_CLONE_VIEW:
		status = clone_view(&clone);
		break;
	}
	if (status != PT_OK)
		return status;
	share_forget(source);
	clone_forget_uses(&clone);
	*ret_clone = clone;
	return PT_OK;
}

/* ---- sub-trees ----------------------------------------------------------------------------- */

enum pt_status link_find(const struct pt_space *space, virt_addr va, unsigned level,
			 pte_t *ret_link)
{
	const pte_t *table = root_table(space);

	for (unsigned l = space->cpu.levels; table && l >= level; l--) {
		pte_t e = pte_load(&table[level_index(va.raw, l)]);
		enum pte_kind kind = pte_kind(e, l);

		if (kind == PTE_LEAF)
			return PT_ERR_SIZE;
		if (kind != PTE_TABLE)
			return PT_ERR_NOT_MAPPED;
		if (is_self_link(space, e, l))
			return PT_ERR_FOREIGN;
		table = table_below(space, e, l, va.raw);
		if (table && l == level) {
			*ret_link = e;
			return PT_OK;
		}
	}
	return PT_ERR_CORRUPT;
}

/* What can be said of a tree before `space` is looked at; PT_OK and the link to it. */
static enum pt_status tree_check(const struct pt_space *space, const struct pt_tree *tree,
				 pte_t *ret_link)
{
	const struct pt_space *owner = tree->space;

	if (tree->level < 2 || tree->level > space->cpu.levels || tree->level > owner->cpu.levels)
		return PT_ERR_LEVEL;
	if (!is_canonical(&owner->cpu, tree->va.raw))
		return PT_ERR_RANGE;
	/* A pinned table must not become common: its owner would copy it. */
	if (share_is_foreign(owner, tree->va.raw, tree->level))
		return PT_ERR_FOREIGN;
	return link_find(owner, tree->va, tree->level, ret_link);
}

/* The link as it is to stand in another place. */
static pte_t tree_link(const struct pt_space *space, pte_t link, unsigned level)
{
	const struct pt_cpu *cpu = &space->cpu;
	const struct pt_holds *holds = space->tables.holds;
	pte_t copy = pte_link(cpu, pte_table_addr(cpu, link, level), pte_rights(cpu, link, level),
			      level);

	/* Where nobody copies before he writes, a count would not stay true. */
	return pte_set_count(copy, holds && holds->share ? pte_count(link) : 0);
}

/* Whether a link to `table` can come to stand at va, or does so already. */
static enum pt_status tree_place(const struct pt_space *space, virt_addr va, unsigned level,
				 phys_addr table, bool *ret_is_linked)
{
	pte_t link;
	enum pt_status status = link_find(space, va, level, &link);

	*ret_is_linked = status == PT_OK &&
			 pte_table_addr(&space->cpu, link, level).raw == table.raw;
	if (status == PT_ERR_FOREIGN || is_pinned(space, level, va.raw))
		return PT_ERR_FOREIGN;
	return PT_OK;
}

enum pt_status pt_link_tree(struct pt_space *space, virt_addr va, struct pt_tree tree,
			    struct pt_flush *flush)
{
	struct change change;
	pte_t link = 0;
	enum pt_status status = tree_check(space, &tree, &link);

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;
	if (status == PT_OK)
		status = change_adopt(&change, space, va, tree.level,
				      tree_link(space, link, tree.level));
	if (status != PT_OK)
		return status;

	phys_addr table = pte_table_addr(&space->cpu, link, tree.level);
	bool is_linked;

	status = tree_place(space, va, tree.level, table, &is_linked);
	if (status != PT_OK || is_linked)
		return status;
	status = change_carry_out(space, &change, flush);
	if (status == PT_OK)
		share_table(space, table);
	return status;
}
