/*
 * The recursive slot. An address in it has the slot's index as often as the
 * walk is to stay in the root, and then the indices that lead to the table.
 */
#include "paging/pt_recursive.h"

#include "paging/pt_internal.h"

/* The bits above those that `levels` levels translate, as they have to be. */
static uint64_t recursive_extend(uint64_t va, unsigned levels)
{
	unsigned unused = 64 - (level_shift(levels) + PTE_INDEX_BITS);

	if (!PTE_SIGN_EXTENDS)
		return va;
	return (uint64_t)((int64_t)(va << unused) >> unused);
}

virt_addr pt_recursive_table(unsigned slot, unsigned levels, virt_addr va, unsigned level)
{
	uint64_t ret = 0;

	for (unsigned at = levels; at > 0; at--) {
		/* The walk through the slot is `level` levels behind that for va. */
		uint64_t index = at + level > levels ? slot : level_index(va.raw, at + level);

		ret |= index << level_shift(at);
	}
	return virt(recursive_extend(ret, levels));
}

virt_addr pt_recursive_entry(unsigned slot, unsigned levels, virt_addr va, unsigned level)
{
	return virt(pt_recursive_table(slot, levels, va, level).raw +
		    level_index(va.raw, level) * sizeof(pte_t));
}

struct pt_range pt_recursive_range(unsigned slot, unsigned levels)
{
	uint64_t first = (uint64_t)slot << level_shift(levels);

	return (struct pt_range){ virt(recursive_extend(first, levels)), level_pages(levels) };
}

static void *recursive_lookup(void *ctx, phys_addr table, virt_addr va, unsigned level)
{
	const struct pt_recursive *r = ctx;

	if (level == 0)
		return table_at(&r->pool, table, 0, 0);

	virt_addr page = pt_recursive_table(r->slot, r->levels, va, level);

	r->invalidate(r->ctx, page);
	/* The one place where an address becomes a pointer. */
	return (void *)(uintptr_t)page.raw;
}

struct pt_mem pt_recursive_mem(struct pt_recursive *recursive)
{
	return (struct pt_mem){ .table = recursive_lookup, .ctx = recursive };
}

/* ---- the self link ------------------------------------------------------------ */

static bool recursive_is_there(const struct pt_space *space, const pte_t *root)
{
	unsigned i = 0;

	while (i < PTE_COUNT && !is_self_link(space, pte_load(&root[i]), space->cpu.levels))
		i++;
	return i < PTE_COUNT;
}

/* What both directions ask first; PT_OK and the root. */
static enum pt_status recursive_check(const struct pt_space *space, unsigned slot, pte_t **ret_root)
{
	pte_t *root = root_table(space);

	if (!space->tables.take)
		return PT_ERR_READ_ONLY;
	if (slot >= PTE_COUNT)
		return PT_ERR_RANGE;
	if (slot < space->root_first || slot > space->root_last)
		return PT_ERR_FOREIGN;
	if (!root)
		return PT_ERR_CORRUPT;
	/* The link would lead to a table that this space leaves at its next change. */
	if (hold_of(space, space->root) != PT_OWN)
		return PT_ERR_SHARED;
	*ret_root = root;
	return PT_OK;
}

enum pt_status pt_recursive_enter(struct pt_space *space, unsigned slot, struct pt_flush *flush)
{
	unsigned top = space->cpu.levels;
	struct change change;
	pte_t *root;
	enum pt_status status = recursive_check(space, slot, &root);

	if (status != PT_OK)
		return status;
	if (recursive_is_there(space, root))
		return pte_kind(root[slot], top) == PTE_ABSENT ? PT_ERR_SHARED : PT_ERR_OVERLAP;
	status = change_adopt(&change, space, pt_recursive_range(slot, top).va, top,
			      pte_link(&space->cpu, space->root, PT_WRITE, top));
	return status == PT_OK ? change_carry_out(space, &change, flush) : status;
}

enum pt_status pt_recursive_leave(struct pt_space *space, unsigned slot, struct pt_flush *flush)
{
	struct pt_range range;
	pte_t *root;
	enum pt_status status = recursive_check(space, slot, &root);

	if (status != PT_OK)
		return status;
	if (!is_self_link(space, pte_load(&root[slot]), space->cpu.levels))
		return PT_ERR_NOT_MAPPED;
	range = pt_recursive_range(slot, space->cpu.levels);
	space->hot.entries = NULL;
	space->generation++;
	pte_store(&root[slot], 0);
	/* Links and leaves of all levels were read as leaves there, some of them global. */
	flush_add(flush,
		  (struct slice){ range.va.raw,
				  range.va.raw + ((range.pages << PTE_PAGE_SHIFT) - 1) },
		  true);
	return PT_OK;
}
