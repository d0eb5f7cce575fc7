/*
 * Two cores in one program and one file: that of x86-64, and that of the fake
 * layout, with pages of 32 bytes, under another prefix.
 */
#include "fake.h"
#include "pt.h"

static _Alignas(4096) char memory[8][4096], fake_memory[64][32];

/* Addresses are of one type for both. */
static const phys_addr first = { 0x10000 };

static bool x86_works(void)
{
	struct pt_cpu cpu = { .levels = 4, .max_leaf = 3, .phys_bits = 40, .pat = PT_PAT_RESET };
	struct pt_mem mem = { .window = memory, .first = first, .last = { 0x17000 } };
	struct pt_block block = { .first = first, .count = 8 };
	struct pt_tables tables = pt_block_tables(&block);
	struct pt_mapping m = { virt(0x1000), phys(0x5000), 1, { PT_WRITE | PT_EXEC, PT_WB } };
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_space space;
	phys_addr pa;

	return pt_init(&space, &cpu, &mem, &tables) == PT_OK &&
	       pt_map(&space, &m, NULL, &flush) == PT_ERR_WX && block.taken == 1 &&
	       (m.attr.flags = PT_WRITE, pt_map(&space, &m, NULL, &flush)) == PT_OK &&
	       pt_translate(&space, virt(0x1234), &pa) == PT_OK && pa.raw == 0x5234 &&
	       block.taken == 4;
}

static bool fake_works(void)
{
	struct fake_cpu cpu = {
		.levels = 3, .max_leaf = 3, .phys_bits = 20, .pat = FAKE_PAT_RESET
	};
	struct fake_mem mem = { .window = fake_memory, .first = first, .last = { 0x107e0 } };
	struct fake_block block = { .first = first, .count = 64 };
	struct fake_tables tables = fake_block_tables(&block);
	struct fake_mapping m = { virt(0x20), phys(0x60), 1, { FAKE_WRITE, FAKE_WB } };
	struct fake_flush flush = FAKE_FLUSH_NONE;
	struct fake_space space;
	phys_addr pa;

	return fake_init(&space, &cpu, &mem, &tables) == FAKE_OK &&
	       fake_map(&space, &m, NULL, &flush) == FAKE_OK &&
	       fake_translate(&space, virt(0x2a), &pa) == FAKE_OK && pa.raw == 0x6a &&
	       block.taken == 3;
}

int main(void)
{
	return x86_works() && fake_works() && PT_PAGE_SIZE == 4096 && FAKE_PAGE_SIZE == 32 ? 0 : 1;
}
