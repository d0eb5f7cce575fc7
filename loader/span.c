#include "loader/span.h"

#include "paging/addr.h"

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
	uint64_t from; /* nothing below it is wanted any more */
};

/* Adds what the reader has left below `end`. */
static bool copy_below(struct span_reader *reader, uint64_t end, struct span_list *out)
{
	for (; reader->next < reader->in->count; reader->next++) {
		struct span span = reader->in->spans[reader->next];
		uint64_t last = span.base + (span.size - 1);

		if (last < reader->from)
			continue;
		if (span.base >= end)
			return true;
		if (span.base < reader->from) {
			span.size -= reader->from - span.base;
			span.base = reader->from;
		}
		if (last >= end) {
			span.size = end - span.base;
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
		if (!copy_below(&reader, over[i].base, out) || !span_add(out, over[i]))
			return false;
		reader.from = over[i].base + over[i].size;
	}
	return copy_below(&reader, UINT64_MAX, out);
}
