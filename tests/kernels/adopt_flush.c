/* Flushes as the library executes them, counted by their ways. */
#include "tests/kernels/adopt.h"

struct adopt_flushes adopt_flushes;
struct pt_processor adopt_processor;

size_t adopt_flush(struct pt_space *space, struct pt_flush *flush)
{
	uint64_t limit = adopt_processor.limit;

	switch (pt_forget_choose(flush, PT_HELD_CURRENT, limit, 1).how) {
	case PT_FORGET_PAGES:
		adopt_flushes.pages++;
		break;
	case PT_FORGET_LOCAL:
		adopt_flushes.all++;
		break;
	case PT_FORGET_ALL:
		adopt_flushes.all_global++;
		break;
	case PT_FORGET_NOTHING:
	case PT_FORGET_PCID_PAGES:
	case PT_FORGET_PCID:
		break;
	}
	return pt_settle(&adopt_processor, space, flush);
}
