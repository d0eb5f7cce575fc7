#include "loader/span.h"

#include "loader/hoist.h"

/*
 * Inside, places are numbers of pages: the end of the last page of the address
 * space is one of them, while 2^64 is no uint64_t.
 */
#define PAGE      ((uint64_t)HOIST_PAGE_SIZE)
#define PAGES_ALL ((UINT64_MAX / PAGE) + 1)

static uint64_t first_page(const struct span *span)
{
	return span->base / PAGE;
}

static uint64_t end_page(const struct span *span)
{
	return first_page(span) + span->size / PAGE;
}

bool span_add(struct span_list *list, struct span span)
{
	struct span *before = list->count ? &list->spans[list->count - 1] : NULL;

	if (span.size == 0)
		return true;
	if (before && before->base + before->size == span.base && before->rights == span.rights &&
	    before->cache == span.cache && before->handoff == span.handoff) {
		before->size += span.size;
		return true;
	}
	if (list->count == list->capacity)
		return false;
	list->spans[list->count++] = span;
	return true;
}

/* Where the merge has come to in the list below. */
struct span_reader {
	const struct span_list *in;
	size_t next;
	uint64_t from; /* page: nothing below it is wanted any more */
};

/* Adds what the reader has left below page `end`. */
static bool copy_below(struct span_reader *reader, uint64_t end, struct span_list *out)
{
	for (; reader->next < reader->in->count; reader->next++) {
		struct span span = reader->in->spans[reader->next];
		uint64_t first = first_page(&span), span_end = end_page(&span);

		if (span_end <= reader->from)
			continue;
		if (first >= end)
			return true;
		if (first < reader->from) {
			span.size = (span_end - reader->from) * PAGE;
			span.base = reader->from * PAGE;
		}
		if (span_end > end) {
			span.size = end * PAGE - span.base;
			return span_add(out, span);
		}
		if (!span_add(out, span))
			return false;
	}
	return true;
}

bool span_overlay(const struct span_list *in, const struct span *over, size_t count,
		  struct span_list *out)
{
	struct span_reader reader = { .in = in };

	out->count = 0;
	for (size_t i = 0; i < count; i++) {
		if (over[i].size == 0)
			continue;
		if (!copy_below(&reader, first_page(&over[i]), out) || !span_add(out, over[i]))
			return false;
		reader.from = end_page(&over[i]);
	}
	return copy_below(&reader, PAGES_ALL, out);
}
