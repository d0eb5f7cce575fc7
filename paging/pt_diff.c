/*
 * Two spaces, piece by piece. Where the pieces of the two overlap, each says one
 * thing, and they are compared; differences that go on alike are put together.
 */
#include "paging/pt_diff.h"

#include "paging/pt_internal.h"

/* ---- one side ---------------------------------------------------------------- */

/*
 * The pieces of a space in the slice. A space of fewer levels has only the
 * addresses next to the hole's ends; in the others it maps nothing.
 */
static enum pt_status diff_side_start(struct pt_diff_side *side, const struct pt_space *space,
				      struct slice s, uint64_t budget)
{
	const struct pt_cpu *cpu = &space->cpu;
	struct pt_range half = s.va >> 63 ? pt_upper_half(cpu) : pt_lower_half(cpu);
	uint64_t half_last = half.va.raw + ((half.pages << PTE_PAGE_SHIFT) - 1);
	struct slice own = { s.va > half.va.raw ? s.va : half.va.raw,
			     s.last < half_last ? s.last : half_last };
	bool any = own.va <= own.last;
	struct pt_range range = { any ? virt(own.va) : half.va, any ? slice_pages(own) : 0 };

	side->piece = (struct pt_piece){ .kind = PTE_ABSENT };
	return pt_pieces_start(&side->pieces, space, range, budget);
}

static uint64_t diff_last(const struct pt_mapping *m)
{
	return m->va.raw + ((m->pages << PTE_PAGE_SHIFT) - 1);
}

/* Goes on to the piece that `va` is in, or the first behind; none if there is none. */
static enum pt_status diff_side_seek(struct pt_diff_side *side, uint64_t va)
{
	enum pt_status status = PT_OK;

	while (status == PT_OK && (side->piece.at.pages == 0 || diff_last(&side->piece.at) < va))
		status = pt_pieces_next(&side->pieces, &side->piece);
	if (status != PT_ERR_NOT_MAPPED)
		return status;
	side->piece = (struct pt_piece){ .kind = PTE_ABSENT };
	return PT_OK;
}

/* What the side says from `va` on, alike up to *last, which comes no later than it was. */
static struct pt_mapping diff_side_part(const struct pt_diff_side *side, uint64_t va,
					uint64_t *last)
{
	struct pt_mapping m = side->piece.at;

	if (m.pages == 0)
		return m;
	/* A space of fewer levels can begin behind va. */
	uint64_t m_last = m.va.raw > va ? m.va.raw - 1 : diff_last(&m);

	*last = m_last < *last ? m_last : *last;
	if (m.va.raw > va || side->piece.kind != PTE_LEAF)
		return (struct pt_mapping){ .pages = 0 };
	m.pa = phys(m.pa.raw + (va - m.va.raw));
	m.va = virt(va);
	return m;
}

/* ---- both --------------------------------------------------------------------- */

enum pt_status pt_diff_start(struct pt_diff *ret_diff, const struct pt_space *a,
			     const struct pt_space *b, struct pt_range range, uint64_t budget)
{
	const struct pt_cpu *wider = a->cpu.levels > b->cpu.levels ? &a->cpu : &b->cpu;
	struct slice s = { 0, 0 };
	struct pt_diff diff = { .end = range.pages == 0 ? PT_ERR_NOT_MAPPED : PT_OK };
	enum pt_status status = range_check(wider, range.va, range.pages, &s);

	if (status == PT_OK)
		status = diff_side_start(&diff.a, a, s, budget);
	if (status == PT_OK)
		status = diff_side_start(&diff.b, b, s, budget);
	if (status != PT_OK)
		return status;
	diff.va = s.va;
	diff.last = s.last;
	*ret_diff = diff;
	return PT_OK;
}

/* True if the two say the same, each where it is: nothing, or one going on from the other. */
static bool diff_same(const struct pt_mapping *m, const struct pt_mapping *n)
{
	if (m->pages == 0 || n->pages == 0)
		return m->pages == n->pages;
	return n->pa.raw - m->pa.raw == n->va.raw - m->va.raw && n->attr.flags == m->attr.flags &&
	       n->attr.cache == m->attr.cache;
}

/* What the two say from diff->va on, as far as both say one thing. */
static enum pt_status diff_part(struct pt_diff *diff, struct pt_difference *ret_part)
{
	uint64_t last = diff->last;
	enum pt_status status = diff_side_seek(&diff->a, diff->va);

	if (status == PT_OK)
		status = diff_side_seek(&diff->b, diff->va);
	if (status != PT_OK)
		return status;

	struct pt_difference part = { .range.va = virt(diff->va) };

	part.a = diff_side_part(&diff->a, diff->va, &last);
	part.b = diff_side_part(&diff->b, diff->va, &last);
	part.range.pages = slice_pages((struct slice){ diff->va, last });
	part.a.pages = part.a.pages == 0 ? 0 : part.range.pages;
	part.b.pages = part.b.pages == 0 ? 0 : part.range.pages;
	if (part.a.pages == 0)
		part.kind = PT_ONLY_B;
	else
		part.kind = part.b.pages == 0 ? PT_ONLY_A : PT_CHANGED;
	diff->end = last == diff->last ? PT_ERR_NOT_MAPPED : PT_OK;
	diff->va = last + 1;
	*ret_part = part;
	return PT_OK;
}

/* True if the part was put to the pending difference. */
static bool diff_join(struct pt_difference *pending, const struct pt_difference *part)
{
	uint64_t end = pending->range.va.raw + (pending->range.pages << PTE_PAGE_SHIFT);

	if (pending->range.pages == 0 || end != part->range.va.raw ||
	    !diff_same(&pending->a, &part->a) || !diff_same(&pending->b, &part->b))
		return false;
	pending->range.pages += part->range.pages;
	pending->a.pages += part->a.pages;
	pending->b.pages += part->b.pages;
	return true;
}

enum pt_status pt_diff_next(struct pt_diff *diff, struct pt_difference *ret_difference)
{
	while (diff->end == PT_OK) {
		struct pt_difference part, pending = diff->pending;
		enum pt_status status = diff_part(diff, &part);

		if (status != PT_OK)
			diff->end = status;
		if (status != PT_OK || diff_same(&part.a, &part.b) ||
		    diff_join(&diff->pending, &part))
			continue;
		diff->pending = part;
		if (pending.range.pages != 0) {
			*ret_difference = pending;
			return PT_OK;
		}
	}
	if (diff->pending.range.pages == 0)
		return diff->end;
	*ret_difference = diff->pending;
	diff->pending.range.pages = 0;
	return PT_OK;
}
