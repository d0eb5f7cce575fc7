#include "loader/hoist.h"
#include "loader/span.h"
#include "tests/check.h"

#define PAGE  UINT64_C(0x1000)
#define TOP   (UINT64_MAX - 0xfff) /* the last page of the address space */
#define SPANS 8

enum {
	RW = HOIST_RIGHT_WRITE,
	RX = HOIST_RIGHT_EXECUTE,
	WB = HOIST_CACHE_WB,
	WC = HOIST_CACHE_WC,
};

/* In pages, for short rows: { first, count, rights, cache, handoff }. */
struct piece {
	uint64_t first, count;
	uint32_t rights, cache;
	bool handoff;
};

static struct span span_of(struct piece p)
{
	return (struct span){ p.first * PAGE, p.count * PAGE, p.rights, p.cache, p.handoff };
}

static bool same_span(struct span a, struct span b)
{
	return a.base == b.base && a.size == b.size && a.rights == b.rights && a.cache == b.cache &&
	       a.handoff == b.handoff;
}

/* `want` ends with a piece of no pages. */
static void expect_list(const struct span_list *list, const struct piece *want, const char *name)
{
	size_t count = 0;

	while (want[count].count != 0)
		count++;
	CHECK_EQ(list->count, count, name);
	for (size_t i = 0; i < count && i < list->count; i++) {
		if (!same_span(list->spans[i], span_of(want[i])))
			CHECK_FAIL("%s: span %zu is %#" PRIx64 " + %#" PRIx64, name, i,
				   list->spans[i].base, list->spans[i].size);
	}
}

static size_t list_of(const struct piece *pieces, struct span *spans)
{
	size_t count = 0;

	for (; count < SPANS && pieces[count].count != 0; count++)
		spans[count] = span_of(pieces[count]);
	return count;
}

struct add_row {
	const char *name;
	struct piece add[3];
	struct piece want[4];
};

static const struct add_row add_rows[] = {
	{ "one", { { 1, 2, RW, WB, false } }, { { 1, 2, RW, WB, false } } },
	{ "a neighbour that is alike is joined",
	  { { 1, 2, RW, WB, false }, { 3, 4, RW, WB, false }, { 7, 1, RW, WB, false } },
	  { { 1, 7, RW, WB, false } } },
	{ "a gap is kept",
	  { { 1, 2, RW, WB, false }, { 4, 4, RW, WB, false } },
	  { { 1, 2, RW, WB, false }, { 4, 4, RW, WB, false } } },
	{ "other rights are kept apart",
	  { { 1, 2, RW, WB, false }, { 3, 4, 0, WB, false } },
	  { { 1, 2, RW, WB, false }, { 3, 4, 0, WB, false } } },
	{ "another cache type is kept apart",
	  { { 1, 2, RW, WB, false }, { 3, 4, RW, WC, false } },
	  { { 1, 2, RW, WB, false }, { 3, 4, RW, WC, false } } },
	{ "another purpose is kept apart",
	  { { 1, 2, RW, WB, false }, { 3, 4, RW, WB, true } },
	  { { 1, 2, RW, WB, false }, { 3, 4, RW, WB, true } } },
	{ "the first page and the last",
	  { { 0, 1, RW, WB, false }, { TOP / PAGE, 1, RW, WB, false } },
	  { { 0, 1, RW, WB, false }, { TOP / PAGE, 1, RW, WB, false } } },
};

static void added_spans_are_joined_where_they_are_alike(void)
{
	for (size_t i = 0; i < ARRAY_LEN(add_rows); i++) {
		const struct add_row *row = &add_rows[i];
		struct span spans[SPANS];
		struct span_list list = { spans, 0, SPANS };

		for (size_t j = 0; j < 3; j++)
			CHECK(span_add(&list, span_of(row->add[j])), row->name);
		expect_list(&list, row->want, row->name);
	}
}

static void a_full_list_takes_only_what_needs_no_room(void)
{
	struct span spans[2];
	struct span_list list = { spans, 0, 1 };
	const struct piece want[] = { { 1, 2, RW, WB, false }, { 0 } };
	const struct piece longer[] = { { 1, 3, RW, WB, false }, { 0 } };

	memset(spans, 0x5a, sizeof(spans));
	CHECK(span_add(&list, span_of(want[0])), "room for one");
	CHECK(!span_add(&list, span_of((struct piece){ 9, 1, RW, WB, false })), "another");
	expect_list(&list, want, "refused");
	CHECK(span_add(&list, span_of((struct piece){ 9, 0, RW, WB, false })), "an empty one");
	expect_list(&list, want, "an empty one");
	CHECK(span_add(&list, span_of((struct piece){ 3, 1, RW, WB, false })), "a longer one");
	expect_list(&list, longer, "a longer one");
	CHECK_EQ(spans[1].base, UINT64_C(0x5a5a5a5a5a5a5a5a), "nothing behind the capacity");
}

struct overlay_row {
	const char *name;
	struct piece in[4], over[4], want[SPANS];
};

static const struct overlay_row overlay_rows[] = {
	{ "nothing on nothing", { { 0 } }, { { 0 } }, { { 0 } } },
	{ "nothing on something",
	  { { 1, 2, RW, WB, false }, { 5, 1, RW, WB, false } },
	  { { 0 } },
	  { { 1, 2, RW, WB, false }, { 5, 1, RW, WB, false } } },
	{ "something on nothing",
	  { { 0 } },
	  { { 1, 2, 0, WC, false }, { 5, 1, RX, WB, true } },
	  { { 1, 2, 0, WC, false }, { 5, 1, RX, WB, true } } },
	{ "in the middle",
	  { { 0, 10, RW, WB, false } },
	  { { 4, 2, 0, WB, false } },
	  { { 0, 4, RW, WB, false }, { 4, 2, 0, WB, false }, { 6, 4, RW, WB, false } } },
	{ "at the beginning",
	  { { 0, 10, RW, WB, false } },
	  { { 0, 2, 0, WB, false } },
	  { { 0, 2, 0, WB, false }, { 2, 8, RW, WB, false } } },
	{ "at the end",
	  { { 0, 10, RW, WB, false } },
	  { { 9, 1, 0, WB, false } },
	  { { 0, 9, RW, WB, false }, { 9, 1, 0, WB, false } } },
	{ "the whole of one",
	  { { 1, 2, RW, WB, false }, { 4, 2, RW, WB, false }, { 7, 2, RW, WB, false } },
	  { { 4, 2, 0, WB, false } },
	  { { 1, 2, RW, WB, false }, { 4, 2, 0, WB, false }, { 7, 2, RW, WB, false } } },
	{ "over several and the gaps between",
	  { { 1, 2, RW, WB, false }, { 4, 2, RW, WB, false }, { 7, 3, RW, WB, false } },
	  { { 2, 6, 0, WB, false } },
	  { { 1, 1, RW, WB, false }, { 2, 6, 0, WB, false }, { 8, 2, RW, WB, false } } },
	{ "two in one",
	  { { 0, 10, RW, WB, false } },
	  { { 2, 1, 0, WB, false }, { 5, 1, RX, WB, true } },
	  { { 0, 2, RW, WB, false },
	    { 2, 1, 0, WB, false },
	    { 3, 2, RW, WB, false },
	    { 5, 1, RX, WB, true },
	    { 6, 4, RW, WB, false } } },
	{ "two that touch are kept apart if they differ",
	  { { 0, 10, RW, WB, false } },
	  { { 2, 1, RX, WB, true }, { 3, 1, RW, WB, true } },
	  { { 0, 2, RW, WB, false },
	    { 2, 1, RX, WB, true },
	    { 3, 1, RW, WB, true },
	    { 4, 6, RW, WB, false } } },
	{ "one that says the same leaves no mark",
	  { { 0, 10, RW, WB, false } },
	  { { 2, 3, RW, WB, false } },
	  { { 0, 10, RW, WB, false } } },
	{ "an empty one is nothing",
	  { { 0, 10, RW, WB, false } },
	  { { 2, 3, 0, WB, false }, { 0 } },
	  { { 0, 2, RW, WB, false }, { 2, 3, 0, WB, false }, { 5, 5, RW, WB, false } } },
	{ "in a gap, and behind everything",
	  { { 1, 2, RW, WB, false }, { 8, 1, RW, WB, false } },
	  { { 4, 2, 0, WB, false }, { 20, 1, 0, WC, false } },
	  { { 1, 2, RW, WB, false },
	    { 4, 2, 0, WB, false },
	    { 8, 1, RW, WB, false },
	    { 20, 1, 0, WC, false } } },
	{ "the last page of the address space is a page like any other",
	  { { TOP / PAGE - 1, 2, RW, WB, false } },
	  { { 5, 1, 0, WB, false } },
	  { { 5, 1, 0, WB, false }, { TOP / PAGE - 1, 2, RW, WB, false } } },
	{ "over the last page",
	  { { 1, 1, RW, WB, false }, { TOP / PAGE - 1, 2, RW, WB, false } },
	  { { TOP / PAGE, 1, 0, WC, false } },
	  { { 1, 1, RW, WB, false },
	    { TOP / PAGE - 1, 1, RW, WB, false },
	    { TOP / PAGE, 1, 0, WC, false } } },
};

static void an_overlay_replaces_what_lies_under_it(void)
{
	for (size_t i = 0; i < ARRAY_LEN(overlay_rows); i++) {
		const struct overlay_row *row = &overlay_rows[i];
		struct span in_spans[SPANS], over[SPANS], out_spans[SPANS];
		struct span_list in = { in_spans, list_of(row->in, in_spans), SPANS };
		struct span_list out = { out_spans, 3, SPANS };

		CHECK(span_overlay(&in, over, list_of(row->over, over), &out), row->name);
		expect_list(&out, row->want, row->name);
	}
}

static void empty_overlays_between_others_are_nothing(void)
{
	const struct piece want[] = {
		{ 0, 2, RW, WB, false }, { 2, 1, 0, WB, false }, { 3, 7, RW, WB, false }, { 0 }
	};
	struct span in_span = span_of((struct piece){ 0, 10, RW, WB, false }), out_spans[SPANS];
	const struct span over[] = { span_of((struct piece){ 0 }),
				     span_of((struct piece){ 2, 1, 0, WB, false }),
				     span_of((struct piece){ 5, 0, RX, WC, true }) };
	struct span_list in = { &in_span, 1, 1 }, out = { out_spans, 0, SPANS };

	CHECK(span_overlay(&in, over, ARRAY_LEN(over), &out), "empty ones");
	expect_list(&out, want, "empty ones");
}

/* For every capacity that is too small. */
static void an_overlay_without_room_is_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(overlay_rows); i++) {
		const struct overlay_row *row = &overlay_rows[i];
		struct span in_spans[SPANS], over[SPANS], want[SPANS];
		struct span_list in = { in_spans, list_of(row->in, in_spans), SPANS };
		size_t over_count = list_of(row->over, over), need = list_of(row->want, want);

		for (size_t capacity = 0; capacity <= need; capacity++) {
			/* Exactly that large, so that the sanitizer sees a write behind it. */
			struct span *out_spans = malloc(capacity ? capacity * sizeof(*over) : 1);
			struct span_list out = { out_spans, 0, capacity };

			CHECK_EQ(span_overlay(&in, over, over_count, &out), capacity == need,
				 row->name);
			free(out_spans);
		}
	}
}

int main(void)
{
	RUN(added_spans_are_joined_where_they_are_alike);
	RUN(a_full_list_takes_only_what_needs_no_room);
	RUN(an_overlay_replaces_what_lies_under_it);
	RUN(empty_overlays_between_others_are_nothing);
	RUN(an_overlay_without_room_is_refused);
	return check_done();
}
