// The core from C++: the header, its initialisers, and that the names link.
#include "pt.h"

namespace
{
alignas(4096) unsigned char memory[8][4096];

bool works()
{
	const phys_addr first = phys(0x100000), last = phys(0x107000);
	pt_cpu cpu = {};

	cpu.levels = 4;
	cpu.max_leaf = 3;
	cpu.phys_bits = 40;
	cpu.nx = true;
	cpu.pat = PT_PAT_RESET;

	pt_mem mem = { memory, first, last, nullptr, nullptr };
	pt_block block = { first, 8, 0 };
	pt_tables tables = pt_block_tables(&block);
	pt_mapping code = { virt(0x400000), phys(0x200000), 513, { PT_EXEC | PT_USER, PT_WB } };
	pt_flush flush = PT_FLUSH_NONE;
	pt_space space;
	pt_leaf leaf;

	if (pt_init(&space, &cpu, &mem, &tables) || pt_map(&space, &code, nullptr, &flush) ||
	    pt_query(&space, virt(0x600000), &leaf))
		return false;
	if (leaf.pa.raw != 0x400000 || leaf.attr.flags != (PT_EXEC | PT_USER) ||
	    leaf.attr.cache != PT_WB)
		return false;
	return !pt_unmap(&space, { code.va, code.pages }, &flush) && flush.pages == 513 &&
	       pt_release(&space, &flush) == 3 && flush.retired.raw == PT_NO_TABLE;
}
} // namespace

int main()
{
	return works() ? 0 : 1;
}
