#include "paging/pt_cow.h"

#include "paging/pt_internal.h"

/* The fault that copying can resolve, whoever caused it. */
#define FAULT_OURS ((uint64_t)(PT_FAULT_PRESENT | PT_FAULT_WRITE))

/* What is to be done about a fault. */
enum cow_step {
	COW_COPY,
	COW_REUSE, /* the page has no other owner */
	COW_FLUSH, /* it can be written to by now */
};

static enum pt_status cow_check_error(uint64_t error)
{
	if (!(error & PT_FAULT_PRESENT))
		return PT_ERR_NOT_MAPPED;
	return (error & ~(uint64_t)PT_FAULT_USER) == FAULT_OURS ? PT_OK : PT_ERR_COW;
}

/* True if no table on the way to a leaf is held by others too: through these they have the page. */
static bool cow_path_is_own(const struct pt_space *space, const struct pt_leaf *leaf)
{
	bool is_own = hold_of(space, space->root) == PT_OWN;

	for (unsigned level = space->cpu.levels; is_own && level > leaf->level; level--) {
		pte_t link;

		is_own = link_find(space, leaf->va, level, &link) == PT_OK &&
			 hold_of(space, pte_table_addr(&space->cpu, link, level)) == PT_OWN;
	}
	return is_own;
}

static enum pt_status cow_choose(const struct pt_leaf *leaf, uint64_t error,
				 enum cow_step *ret_step)
{
	uint32_t wanted = error & PT_FAULT_USER ? PT_WRITE | PT_USER : PT_WRITE;

	if ((leaf->attr.flags & wanted) == wanted) {
		*ret_step = COW_FLUSH;
		return PT_OK;
	}
	/* A user may not have the page, even as a copy. */
	if ((error & PT_FAULT_USER) && !(leaf->attr.flags & PT_USER))
		return PT_ERR_COW;
	*ret_step = COW_COPY;
	return leaf->own & PT_COW ? PT_OK : PT_ERR_COW;
}

static bool cow_is_last(const struct pt_space *space, const struct pt_leaf *leaf, phys_addr page,
			const struct pt_pages *pages)
{
	return pages->is_last && cow_path_is_own(space, leaf) && pages->is_last(pages->ctx, page);
}

/* Puts a copy of `page` where the leaf translates to it. */
static enum pt_status cow_copy(struct pt_space *space, const struct pt_mapping *page,
			       const struct pt_pages *pages, struct pt_flush *flush)
{
	struct pt_mapping copy = *page;
	struct pt_options options = { .conflict = PT_REPLACE, .max_leaf = 1 };

	if (!pages->take(pages->ctx, &copy.pa))
		return PT_ERR_NO_PAGE;
	/* Complete before it can be read. */
	pages->copy(pages->ctx, copy.pa, page->pa);

	enum pt_status status = pt_map(space, &copy, &options, flush);

	if (status != PT_OK)
		pages->give(pages->ctx, copy.pa);
	return status;
}

enum pt_status pt_cow_resolve(struct pt_space *space, virt_addr va, uint64_t error,
			      const struct pt_pages *pages, struct pt_flush *flush)
{
	const struct pt_update reuse = { .only = PT_COW, .set = PT_WRITE, .clear = PT_COW };
	struct pt_leaf leaf;
	enum cow_step step = COW_COPY;
	enum pt_status status = cow_check_error(error);

	if (status == PT_OK)
		status = pt_query(space, va, &leaf);
	if (status == PT_OK)
		status = cow_choose(&leaf, error, &step);
	if (status != PT_OK)
		return status;

	uint64_t first = align_down(va.raw, PT_PAGE_SIZE);
	struct pt_mapping page = {
		.va = virt(first),
		.pa = phys(leaf.pa.raw + (first - leaf.va.raw)),
		.pages = 1,
		.attr = { (leaf.own & ~(uint32_t)PT_COW) | PT_WRITE, leaf.attr.cache },
	};

	if (step == COW_COPY && cow_is_last(space, &leaf, page.pa, pages))
		step = COW_REUSE;
	switch (step) {
	case COW_COPY:
		return cow_copy(space, &page, pages, flush);
	case COW_REUSE:
		return pt_update(space, (struct pt_range){ page.va, 1 }, reuse, flush);
	case COW_FLUSH:
		flush_add(flush, (struct slice){ first, first + (PT_PAGE_SIZE - 1) },
			  leaf.own & PT_GLOBAL);
		break;
	}
	return PT_OK;
}
