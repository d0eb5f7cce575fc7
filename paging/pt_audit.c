/*
 * The structural audit. It reads through the walker, and keeps the address of
 * every table it has met, so that a table met twice is found by sorting.
 */
#include "paging/pt_internal.h"

struct auditor {
	const struct pt_space *space;
	struct pt_audit *audit;
	phys_addr *met;
	size_t most, count;
};

/* Counts what can be done where a leaf, or the tables themselves, are mapped. */
static enum pt_status audit_rights(struct auditor *a, uint32_t flags, virt_addr va)
{
	const struct pt_space *space = a->space;
	struct pt_audit *audit = a->audit;
	bool wx = (flags & PT_WRITE) && (flags & PT_EXEC);

	audit->writable += (flags & PT_WRITE) != 0;
	audit->executable += (flags & PT_EXEC) != 0;
	audit->user += (flags & PT_USER) != 0;
	audit->global += (flags & PT_GLOBAL) != 0;
	audit->wx += wx;
	audit->user_upper += (flags & PT_USER) && PTE_SIGN_EXTENDS && va.raw >> 63;
	/* Without NX everything can be executed; nothing can be held against a leaf. */
	return wx && space->cpu.nx && !space->allow_wx ? PT_ERR_WX : PT_OK;
}

static enum pt_status audit_leaf(struct auditor *a, const struct pt_leaf *leaf)
{
	a->audit->leaves[leaf->level]++;
	return audit_rights(a, leaf->attr.flags, leaf->va);
}

/* What the link says of the table below, which the walk has been to, so it can be reached. */
static enum pt_status audit_use(struct auditor *a, const struct pt_entry *link)
{
	const struct pt_space *space = a->space;
	unsigned level = link->at.level - 1, used = 0, count = pte_count(link->raw);
	const pte_t *table = table_at(&space->mem, link->at.pa, link->at.va.raw, level);

	for (unsigned i = 0; table && i < PTE_COUNT; i++)
		used += pte_kind(pte_load(&table[i]), level) != PTE_ABSENT;
	a->audit->empty_tables += used == 0;
	/* A count of 0 is none. */
	return space->counted && count != 0 && count - 1 != used ? PT_ERR_CORRUPT : PT_OK;
}

static enum pt_status audit_table(struct auditor *a, const struct pt_entry *link)
{
	bool is_self = is_self_link(a->space, link->raw, link->at.level);

	/* A second one is met twice, like any other table. */
	if (is_self && a->audit->self_links++ == 0)
		return audit_rights(a, link->at.attr.flags, link->at.va);
	if (a->count == a->most)
		return PT_ERR_BUDGET;
	a->met[a->count++] = link->at.pa;
	a->audit->tables++;
	return is_self ? PT_OK : audit_use(a, link);
}

static enum pt_status audit_entry(struct auditor *a, const struct pt_entry *entry)
{
	switch (entry->kind) {
	case PTE_TABLE:
		return audit_table(a, entry);
	case PTE_LEAF:
		return audit_leaf(a, &entry->at);
	case PTE_SOFT:
		a->audit->soft++;
		break;
	case PTE_ABSENT:
		break;
	}
	return PT_OK;
}

static enum pt_status audit_half(struct auditor *a, struct pt_range half)
{
	struct pt_walk walk;
	struct pt_entry entry;
	enum pt_status status = pt_walk_start(&walk, a->space, half, PT_NO_BUDGET);

	while (status == PT_OK) {
		status = pt_walk_next(&walk, &entry);
		if (status == PT_ERR_NOT_MAPPED)
			return PT_OK;
		a->audit->where = entry.at.va;
		if (status == PT_OK)
			status = audit_entry(a, &entry);
	}
	return status;
}

/* Moves met[root] down to where both below it are smaller (heapsort). */
static void audit_sift_down(phys_addr *met, size_t root, size_t count)
{
	for (;;) {
		size_t child = 2 * root + 1;

		if (child >= count)
			return;
		if (child + 1 < count && met[child + 1].raw > met[child].raw)
			child++;
		if (met[root].raw >= met[child].raw)
			return;

		phys_addr swap = met[root];

		met[root] = met[child];
		met[child] = swap;
		root = child;
	}
}

static void audit_sort(phys_addr *met, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		audit_sift_down(met, i, count);
	for (size_t end = count; end-- > 1;) {
		phys_addr swap = met[0];

		met[0] = met[end];
		met[end] = swap;
		audit_sift_down(met, 0, end);
	}
}

/* The first address met twice, or false. */
static bool audit_find_shared(struct auditor *a, phys_addr *ret_table)
{
	audit_sort(a->met, a->count);
	for (size_t i = 1; i < a->count; i++) {
		if (a->met[i].raw == a->met[i - 1].raw) {
			*ret_table = a->met[i];
			return true;
		}
	}
	return false;
}

enum pt_status pt_audit(const struct pt_space *space, phys_addr *scratch, size_t most,
			struct pt_audit *ret_audit)
{
	struct auditor a = { space, ret_audit, scratch, most, 0 };
	phys_addr shared;

	*ret_audit = (struct pt_audit){ .tables = 1 };
	if (most == 0)
		return PT_ERR_BUDGET;
	a.met[a.count++] = space->root;

	enum pt_status status = audit_half(&a, pt_lower_half(&space->cpu));

	if (status == PT_OK)
		status = audit_half(&a, pt_upper_half(&space->cpu));
	/* A cycle exhausts the budget, and shows itself as a table met twice. */
	if ((status == PT_OK || status == PT_ERR_BUDGET) && audit_find_shared(&a, &shared)) {
		ret_audit->where = virt(shared.raw);
		return PT_ERR_SHARED;
	}
	return status;
}
