/*
 * Property, on the fake layout, whose whole address space is 64 or 256 pages:
 * the pieces of any range, and the differences of any two spaces, say of every
 * page what a flat array of pages says; they follow each other without a gap,
 * and no two that could be one are left apart. Replay with SEED=<printed
 * number>, ROUNDS=<n> for more.
 */
#include "paging/pt_diff.h"
#include "tests/check.h"
#include "tests/fake/space.h"

enum { TABLES = 128, STEPS = 12, HALF = 128, COMPARED = 8 };

#define USE ((uint32_t)(PT_ACCESSED | PT_DIRTY))

struct cell {
	enum pte_kind kind; /* PTE_ABSENT, PTE_LEAF or PTE_SOFT */
	uint64_t frame;
	struct pt_attr attr;
};

/* A space, and what it maps: the pages -HALF to HALF - 1. */
struct view {
	struct space_fixture f;
	struct cell cells[2 * HALF];
};

static uint64_t rng, rounds;
static char name[64];

static uint64_t below(uint64_t limit)
{
	return check_random(&rng) % limit;
}

static virt_addr page_va(int page)
{
	return virt((uint64_t)page * PT_PAGE_SIZE);
}

static int page_of(virt_addr va)
{
	return (int)((int64_t)va.raw / (int64_t)PT_PAGE_SIZE);
}

static int half_pages(const struct view *view)
{
	return view->f.space.cpu.levels == 3 ? 32 : 128;
}

static struct cell cell_of(const struct view *view, int page)
{
	return page < -half_pages(view) || page >= half_pages(view)
		       ? (struct cell){ .kind = PTE_ABSENT }
		       : view->cells[page + HALF];
}

/* ---- what the spaces hold ------------------------------------------------------- */

static void view_init(struct view *view)
{
	struct pt_cpu cpu = { .levels = (uint8_t)(3 + below(2)),
			      .max_leaf = (uint8_t)(1 + below(3)),
			      .phys_bits = PTE_MAX_PHYS_BITS,
			      .nx = below(4) != 0,
			      .pat = PT_PAT_FULL };

	memset(view->cells, 0, sizeof(view->cells));
	space_fixture_init(&view->f, &cpu, TABLES, false);
}

static struct pt_attr random_attr(void)
{
	static const uint32_t flags[] = { 0, 0, PT_WRITE, PT_WRITE | PT_ACCESSED,
					  PT_USER | PT_DIRTY };

	return (struct pt_attr){ flags[below(ARRAY_LEN(flags))], below(4) ? PT_WB : PT_UC };
}

/* A range of one half; often about the size and the start of some leaf. */
static struct pt_range random_range(int half)
{
	static const unsigned sizes[] = { 1, 1, 4, 16, 32 };
	int size = (int)sizes[below(ARRAY_LEN(sizes))];
	int first = (int)below((uint64_t)half) / size * size;
	int pages = size * (1 + (int)below(3)) + (int)below(2);

	if (pages > half - first)
		pages = half - first;
	return (struct pt_range){ page_va(below(2) ? first : first - half), (uint64_t)pages };
}

/* The frames of few places, so that equal mappings are no rarity. */
static uint64_t random_frame(virt_addr va)
{
	static const uint64_t shifts[] = { 256, 256, 256, 257, 272, 512 };

	return (uint64_t)page_of(va) + shifts[below(ARRAY_LEN(shifts))];
}

static void fill_cells(struct view *view, struct pt_range range, const struct pt_mapping *m)
{
	for (int i = 0; i < (int)range.pages; i++) {
		struct cell *cell = &view->cells[page_of(range.va) + i + HALF];

		*cell = (struct cell){ .kind = m ? PTE_LEAF : PTE_ABSENT };
		if (!m)
			continue;
		cell->frame = (m->pa.raw >> PTE_PAGE_SHIFT) + (uint64_t)i;
		cell->attr = m->attr;
		cell->attr.flags |= view->f.space.cpu.nx ? 0u : PT_EXEC;
	}
}

static void map_random(struct view *view, struct pt_range range)
{
	struct pt_options options = { .conflict = PT_REPLACE, .max_leaf = (unsigned)below(4) };
	struct pt_mapping m = { range.va, phys(random_frame(range.va) * PT_PAGE_SIZE), range.pages,
				random_attr() };

	CHECK_STATUS(pt_map(&view->f.space, &m, &options, &view->f.flush), PT_OK, space_text, name);
	fill_cells(view, range, &m);
}

/* Where a table of pages is. */
static void soften_random(struct view *view, struct pt_range range)
{
	pte_t soft = UINT64_C(1) << (below(40));
	struct pt_entry old;

	if (pte_kind(soft, 1) != PTE_SOFT ||
	    pt_set_soft(&view->f.space, &(struct pt_soft){ range.va, 1, soft }, &view->f.flush,
			&old) != PT_OK)
		return;
	fill_cells(view, (struct pt_range){ range.va, 1 }, NULL);
	view->cells[page_of(range.va) + HALF].kind = PTE_SOFT;
}

static void change_random(struct view *view)
{
	struct pt_range range = random_range(half_pages(view));

	switch (below(5)) {
	case 0:
		CHECK_STATUS(pt_unmap(&view->f.space, range, &view->f.flush), PT_OK, space_text,
			     name);
		fill_cells(view, range, NULL);
		break;
	case 1:
		soften_random(view, range);
		break;
	default:
		map_random(view, range);
		break;
	}
	pt_release(&view->f.space, &view->f.flush);
}

/* ---- pieces --------------------------------------------------------------------- */

static bool same_attr(struct pt_attr a, struct pt_attr b)
{
	return ((a.flags ^ b.flags) & ~USE) == 0 && a.cache == b.cache;
}

/* True if the cell is what the mapping, of pages or of none, says of the page. */
static bool cell_agrees(const struct cell *cell, const struct pt_mapping *m, int page)
{
	uint64_t frame = (m->pa.raw >> PTE_PAGE_SHIFT) + (uint64_t)(page - page_of(m->va));

	if (cell->kind != PTE_LEAF || m->pages == 0)
		return (cell->kind == PTE_LEAF) == (m->pages != 0);
	return cell->frame == frame && same_attr(cell->attr, m->attr) && (m->attr.flags & USE) == 0;
}

/* True if the second cell goes on where the first ends. */
static bool cells_continue(const struct cell *a, const struct cell *b)
{
	if (a->kind != b->kind || a->kind != PTE_LEAF)
		return a->kind == b->kind;
	return b->frame == a->frame + 1 && same_attr(a->attr, b->attr);
}

static void expect_piece(const struct view *view, const struct pt_piece *piece)
{
	struct pt_mapping none = { .pages = 0 };
	const struct pt_mapping *m = piece->kind == PTE_LEAF ? &piece->at : &none;
	uint64_t covered = 0;

	for (int i = 0; i < (int)piece->at.pages; i++) {
		struct cell cell = cell_of(view, page_of(piece->at.va) + i);

		CHECK_EQ(cell.kind, piece->kind, name);
		CHECK(cell_agrees(&cell, m, page_of(piece->at.va) + i), name);
	}
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		covered += piece->leaves[level] * level_pages(level);
	CHECK(piece->kind == PTE_LEAF ? covered >= piece->at.pages : covered == 0, name);
}

static void expect_pieces(const struct view *view, struct pt_range range)
{
	struct pt_pieces pieces;
	struct pt_piece piece;
	int page = page_of(range.va), end = page + (int)range.pages;
	bool first = true;

	CHECK_STATUS(pt_pieces_start(&pieces, &view->f.space, range, TABLES), PT_OK, space_text,
		     name);
	for (; pt_pieces_next(&pieces, &piece) == PT_OK && check_failures == 0; first = false) {
		struct cell before = cell_of(view, page - 1), here = cell_of(view, page);

		CHECK_EQ(piece.at.va.raw, page_va(page).raw, name);
		CHECK(piece.at.pages != 0, name);
		CHECK(first || !cells_continue(&before, &here), name);
		expect_piece(view, &piece);
		page += (int)piece.at.pages;
	}
	CHECK_STATUS(pieces.end, PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_EQ(page, end, name);
}

/* ---- differences ----------------------------------------------------------------- */

static bool pages_differ(const struct view *a, const struct view *b, int page)
{
	struct cell in_a = cell_of(a, page), in_b = cell_of(b, page);

	if (in_a.kind != PTE_LEAF || in_b.kind != PTE_LEAF)
		return (in_a.kind == PTE_LEAF) != (in_b.kind == PTE_LEAF);
	return in_a.frame != in_b.frame || !same_attr(in_a.attr, in_b.attr);
}

/* True if what differs at the page goes on from the page before, on both sides. */
static bool difference_continues(const struct view *a, const struct view *b, int page)
{
	struct cell cells[4] = { cell_of(a, page - 1), cell_of(a, page), cell_of(b, page - 1),
				 cell_of(b, page) };

	for (unsigned i = 0; i < 4; i++)
		cells[i].kind = cells[i].kind == PTE_LEAF ? PTE_LEAF : PTE_ABSENT;
	return pages_differ(a, b, page - 1) && cells_continue(&cells[0], &cells[1]) &&
	       cells_continue(&cells[2], &cells[3]);
}

static void expect_difference(const struct view *a, const struct view *b,
			      const struct pt_difference *d)
{
	enum pt_difference_kind kind = d->a.pages == 0   ? PT_ONLY_B
				       : d->b.pages == 0 ? PT_ONLY_A
							 : PT_CHANGED;

	CHECK_EQ(d->kind, kind, name);
	CHECK(d->a.pages == 0 || d->a.pages == d->range.pages, name);
	CHECK(d->b.pages == 0 || d->b.pages == d->range.pages, name);
	for (int i = 0; i < (int)d->range.pages; i++) {
		int page = page_of(d->range.va) + i;
		struct cell in_a = cell_of(a, page), in_b = cell_of(b, page);

		CHECK(pages_differ(a, b, page), name);
		CHECK(cell_agrees(&in_a, &d->a, page), name);
		CHECK(cell_agrees(&in_b, &d->b, page), name);
	}
}

static void expect_alike(const struct view *a, const struct view *b, int page, int end)
{
	for (; page < end; page++)
		CHECK(!pages_differ(a, b, page), name);
}

static uint64_t differences;

static void expect_differences(const struct view *a, const struct view *b, struct pt_range range)
{
	struct pt_diff diff;
	struct pt_difference d;
	int first = page_of(range.va), page = first, end = page + (int)range.pages;

	CHECK_STATUS(pt_diff_start(&diff, &a->f.space, &b->f.space, range, TABLES), PT_OK,
		     space_text, name);
	while (pt_diff_next(&diff, &d) == PT_OK && check_failures == 0) {
		int here = page_of(d.range.va);

		CHECK(here >= page && d.range.pages != 0, name);
		expect_alike(a, b, page, here);
		expect_difference(a, b, &d);
		CHECK(here == first || !difference_continues(a, b, here), name);
		page = here + (int)d.range.pages;
		differences++;
	}
	CHECK_STATUS(diff.end, PT_ERR_NOT_MAPPED, space_text, name);
	CHECK(page <= end, name);
	expect_alike(a, b, page, end);
}

/* ------------------------------------------------------------------------ */

static void run_round(struct view *a, struct view *b)
{
	int half = half_pages(a) > half_pages(b) ? half_pages(a) : half_pages(b);

	for (unsigned i = 0; i < COMPARED; i++) {
		expect_pieces(a, random_range(half_pages(a)));
		expect_differences(a, b, random_range(half));
	}
	expect_pieces(a, pt_lower_half(&a->f.space.cpu));
	expect_pieces(a, pt_upper_half(&a->f.space.cpu));
	expect_differences(a, b, (struct pt_range){ page_va(0), (uint64_t)half });
	expect_differences(b, a, (struct pt_range){ page_va(-half), (uint64_t)half });
	expect_differences(a, a, pt_lower_half(&a->f.space.cpu));
}

static void views_agree_with_arrays_of_pages(void)
{
	struct view *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));

	if (!a || !b)
		exit(2);
	for (uint64_t i = 0; i < rounds && check_failures == 0; i++) {
		view_init(a);
		view_init(b);
		for (unsigned step = 0; step < STEPS && check_failures == 0; step++) {
			snprintf(name, sizeof(name), "round %" PRIu64 " step %u", i, step);
			change_random(a);
			change_random(b);
			run_round(a, b);
		}
		space_fixture_free(&a->f);
		space_fixture_free(&b->f);
	}
	printf("# %" PRIu64 " differences\n", differences);
	CHECK(differences > rounds, "something differed");
	free(a);
	free(b);
}

int main(int argc, char **argv)
{
	const char *text = getenv("ROUNDS");

	(void)argc;
	(void)argv;
	rng = check_seed(3);
	rounds = text ? strtoull(text, NULL, 0) : 150;
	RUN(views_agree_with_arrays_of_pages);
	return check_done();
}
