/*
 * Takes possession of free memory: writes to it through the direct map, and
 * reads it back when all is written, so that two addresses of the same memory
 * are found out.
 */
#include "tests/kernels/judge.h"

#define PAGE ((uint64_t)HOIST_PAGE_SIZE)

/* Up to here every byte is written; beyond, the first and last page of each GiB. */
#define FULL_BELOW (2 * JUDGE_GIB)

/* Both are called for whole pages. */
typedef void visit_fn(uint64_t address, uint64_t size);

static uint64_t bytes_visited;

/* What is written at a physical address: never the same at two places. */
static uint64_t pattern(uint64_t address)
{
	return ~address;
}

static void fill(uint64_t address, uint64_t size)
{
	uint64_t *word = hoist_ptr(&judge.info, address);

	/* Four at a time: with gigabytes, under emulation, it counts. */
	for (uint64_t at = address; at < address + size; at += 32) {
		word[0] = pattern(at);
		word[1] = pattern(at + 8);
		word[2] = pattern(at + 16);
		word[3] = pattern(at + 24);
		word += 4;
	}
	bytes_visited += size;
}

static void verify(uint64_t address, uint64_t size)
{
	const uint64_t *word = hoist_ptr(&judge.info, address);

	for (uint64_t at = address; at < address + size; at += 32) {
		uint64_t wrong = (word[0] ^ pattern(at)) | (word[1] ^ pattern(at + 8)) |
				 (word[2] ^ pattern(at + 16)) | (word[3] ^ pattern(at + 24));

		if (wrong)
			judge_flaw("%lx holds %lx", at, word[0]);
		word += 4;
	}
}

/* The other view of the same memory, a word of each page. */
static void verify_identity(uint64_t address, uint64_t size)
{
	uint64_t end = address + size;

	for (uint64_t at = address; at < end; at += PAGE) {
		const uint64_t *word = (const uint64_t *)(uintptr_t)at;

		if (judge_identity_at(at) && *word != pattern(at))
			judge_flaw("%lx holds %lx", at, *word);
	}
}

/* The first and the last page of a range that lies within one GiB. */
static void visit_ends(uint64_t address, uint64_t size, visit_fn *visit)
{
	visit(address, PAGE);
	if (size > PAGE)
		visit(address + size - PAGE, PAGE);
}

static void visit_range(uint64_t address, uint64_t size, visit_fn *visit)
{
	uint64_t end = address + size;

	while (address < end) {
		uint64_t border = (address & -JUDGE_GIB) + JUDGE_GIB;
		uint64_t stop = border < end ? border : end;

		if (address < FULL_BELOW)
			visit(address, stop - address);
		else
			visit_ends(address, stop - address, visit);
		address = stop;
	}
}

/* Leaves out what is read-only: judge_aliases() has found that to be right. */
static void visit_writable(const struct hoist_memory *memory, visit_fn *visit)
{
	uint64_t end = memory->address + memory->size;

	for (uint64_t address = memory->address; address < end;) {
		const struct hoist_mapping *m = judge_direct_at(address);
		uint64_t stop = m ? m->address + m->size : end;

		if (stop > end)
			stop = end;
		if (m && m->rights & HOIST_RIGHT_WRITE)
			visit_range(address, stop - address, visit);
		address = stop;
	}
}

static void visit_kind(enum hoist_memory_kind kind, visit_fn *visit)
{
	for (uint32_t i = 0; i < judge.memory_count; i++) {
		if (judge.memory[i].kind == kind)
			visit_writable(&judge.memory[i], visit);
	}
}

void judge_usable(void)
{
	bytes_visited = 0;
	visit_kind(HOIST_MEMORY_USABLE, fill);
	visit_kind(HOIST_MEMORY_USABLE, verify);
	if (!bytes_visited)
		judge_flaw("there is none");
	judge_verdict("usable memory holds what is written to it");
	visit_kind(HOIST_MEMORY_USABLE, verify_identity);
	judge_verdict("the identity map shows what the direct map wrote");
}

void judge_reclaim(void)
{
	bytes_visited = 0;
	visit_kind(HOIST_MEMORY_RECLAIMABLE, fill);
	visit_kind(HOIST_MEMORY_RECLAIMABLE, verify);
	visit_kind(HOIST_MEMORY_USABLE, verify);
	if (bytes_visited < judge.info.block_size)
		judge_flaw("only %lx bytes were there to be overwritten", bytes_visited);
	judge_verdict("reclaimable memory can be overwritten, and the kernel goes on");
}
