/* What a kernel needs beside the library: a flush, carried out by a single processor. */
#include "tests/kernels/adopt.h"
#include "tests/kernels/lib/cpu.h"

/* More single pages than this cost more than forgetting everything. */
#define MOST_PAGES 32u

struct adopt_flushes adopt_flushes;

/* INVLPG forgets a global translation, too (SDM 3A 4.10.4.1). */
static void forget_pages(const struct pt_flush *flush)
{
	for (uint64_t i = 0; i < flush->pages; i++)
		cpu_invlpg(flush->va.raw + i * PT_PAGE_SIZE);
	adopt_flushes.pages++;
}

/* Loading CR3 spares global translations; changing CR4.PGE does not. */
static void forget_all(bool global)
{
	uint64_t cr4 = cpu_cr4();

	if (!global) {
		cpu_set_cr3(cpu_cr3());
		adopt_flushes.all++;
		return;
	}
	cpu_set_cr4(cr4 ^ CPU_CR4_PGE);
	cpu_set_cr4(cr4);
	adopt_flushes.all_global++;
}

size_t adopt_flush(struct pt_space *space, struct pt_flush *flush)
{
	if (flush->pages > MOST_PAGES)
		forget_all(flush->global);
	else if (flush->pages)
		forget_pages(flush);
	return pt_release(space, flush);
}
