/*
 * A range in pieces. The walk says what is there; what it leaves out are holes.
 */
#include "paging/pt_pieces.h"

#include "paging/pt_internal.h"

enum pt_status pt_pieces_start(struct pt_pieces *ret_pieces, const struct pt_space *space,
			       struct pt_range range, uint64_t budget)
{
	struct pt_walk walk;
	enum pt_status status = pt_walk_start(&walk, space, range, budget);

	if (status == PT_OK)
		*ret_pieces = (struct pt_pieces){ .walk = walk, .left = range.pages };
	return status;
}

/* What the walk came to, as far as it lies in the range; `first` is where the walk was. */
static struct pt_piece piece_of(const struct pt_walk *walk, const struct pt_entry *entry,
				uint64_t first)
{
	const struct pt_leaf *at = &entry->at;
	uint64_t entry_last = at->va.raw + ((at->pages << PTE_PAGE_SHIFT) - 1);
	struct slice s = { at->va.raw > first ? at->va.raw : first,
			   entry_last < walk->last ? entry_last : walk->last };
	struct pt_piece piece = {
		.kind = entry->kind,
		.at = { .va = virt(s.va), .pages = slice_pages(s) },
	};

	if (entry->kind != PTE_LEAF)
		return piece;
	piece.at.pa = phys(at->pa.raw + (s.va - at->va.raw));
	piece.at.attr = (struct pt_attr){ at->attr.flags & ~(uint32_t)(PT_ACCESSED | PT_DIRTY),
					  at->attr.cache };
	if (at->level <= PT_MAX_LEAF_LEVEL)
		piece.leaves[at->level] = 1;
	return piece;
}

/* True if `next`, which begins where `piece` ends, says the same. */
static bool piece_continues(const struct pt_piece *piece, const struct pt_piece *next)
{
	const struct pt_mapping *m = &piece->at, *n = &next->at;

	if (piece->kind != PTE_LEAF || next->kind != PTE_LEAF)
		return piece->kind == next->kind;
	return n->pa.raw == m->pa.raw + (m->pages << PTE_PAGE_SHIFT) &&
	       n->attr.flags == m->attr.flags && n->attr.cache == m->attr.cache;
}

static void piece_extend(struct pt_piece *piece, const struct pt_piece *next)
{
	piece->at.pages += next->at.pages;
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		piece->leaves[level] += next->leaves[level];
}

/* Absent up to `va`, from the first address that no piece has covered. */
static struct pt_piece piece_hole(const struct pt_pieces *pieces, uint64_t va)
{
	uint64_t rest = pieces->left << PTE_PAGE_SHIFT;
	uint64_t first = pieces->walk.last - (rest - 1);

	return (struct pt_piece){
		.kind = PTE_ABSENT,
		.at = { .va = virt(first), .pages = (va - first) >> PTE_PAGE_SHIFT },
	};
}

/*
 * The next thing that is there, or all that is left as a hole, or the hole
 * before the entry that ends the walk; no pages: it has ended.
 */
static struct pt_piece piece_found(struct pt_pieces *pieces)
{
	struct pt_walk *walk = &pieces->walk;

	while (pieces->end == PT_OK) {
		struct pt_entry entry;
		uint64_t first = walk->va;

		pieces->end = pt_walk_next(walk, &entry);
		if (pieces->end == PT_ERR_NOT_MAPPED)
			return piece_hole(pieces, walk->last + 1);
		if (pieces->end != PT_OK)
			return piece_hole(pieces,
					  entry.at.va.raw > first ? entry.at.va.raw : first);
		if (entry.kind != PTE_TABLE || is_self_link(walk->space, entry.raw, entry.at.level))
			return piece_of(walk, &entry, first);
	}
	return (struct pt_piece){ .kind = PTE_ABSENT };
}

/* The next part of the range, be it a hole before what was found. */
static struct pt_piece piece_next(struct pt_pieces *pieces)
{
	struct pt_piece found = pieces->after;

	if (found.at.pages == 0)
		found = piece_found(pieces);
	pieces->after.at.pages = 0;
	if (found.at.pages == 0)
		return found;

	struct pt_piece hole = piece_hole(pieces, found.at.va.raw);

	if (hole.at.pages != 0) {
		pieces->after = found;
		found = hole;
	}
	pieces->left -= found.at.pages;
	return found;
}

enum pt_status pt_pieces_next(struct pt_pieces *pieces, struct pt_piece *ret_piece)
{
	for (;;) {
		struct pt_piece piece = pieces->pending, next = piece_next(pieces);

		if (piece.at.pages != 0 && next.at.pages != 0 && piece_continues(&piece, &next)) {
			piece_extend(&pieces->pending, &next);
			continue;
		}
		pieces->pending = next;
		if (piece.at.pages != 0) {
			*ret_piece = piece;
			return PT_OK;
		}
		if (next.at.pages == 0)
			return pieces->end;
	}
}
