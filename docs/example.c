/* Page tables in an array: map, ask, unmap, and get the tables back. */
#include "pt.h"

#include <inttypes.h>
#include <stdio.h>

enum { TABLES = 8, TABLE_SIZE = 4096 };

/* The array plays the part of the physical memory from 1 MiB on. */
static _Alignas(TABLE_SIZE) char memory[TABLES][TABLE_SIZE];
static const phys_addr first = { 0x100000 }, last = { 0x100000 + (TABLES - 1) * TABLE_SIZE };

int main(void)
{
	struct pt_cpu cpu = {
		.levels = 4, .max_leaf = 3, .phys_bits = 40, .nx = true, .pat = PT_PAT_RESET
	};
	struct pt_mem mem = { .window = memory, .first = first, .last = last };
	struct pt_block block = { .first = first, .count = TABLES };
	struct pt_tables tables = pt_block_tables(&block);
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_attr attr = { PT_EXEC, PT_WB };
	struct pt_mapping code = { { 0xffffffff80000000 }, { 0x200000 }, 513, attr };
	struct pt_space space;
	struct pt_leaf leaf;

	if (pt_init(&space, &cpu, &mem, &tables) || pt_map(&space, &code, NULL, &flush))
		return 1;
	printf("513 pages mapped, with %zu tables\n", block.taken);
	if (pt_query(&space, virt(0xffffffff80200000), &leaf))
		return 1;
	printf("the last is at %#" PRIx64 ", a leaf of level %u\n", leaf.pa.raw, leaf.level);
	if (pt_unmap(&space, (struct pt_range){ code.va, code.pages }, &flush))
		return 1;
	/* Were the space in use, here would be an invlpg for each of flush.pages from flush.va on.
	 */
	printf("%" PRIu64 " pages to flush, ", flush.pages);
	printf("%zu tables given back\n", pt_release(&space, &flush));
	return 0;
}
