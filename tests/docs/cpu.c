/* The processor that recipes run on, in the place of the one that would not let them. */
#include "tests/fake/cpu.h"

/* Four levels, NX, 1 GiB pages, 46 bits of physical address, the recommended PAT. */
__attribute__((constructor)) static void boot(void)
{
	fake_cpu = (struct fake_cpu){
		.leaves = { { 0, { .a = 1 } },
			    { 1, { .d = 1u << 16 } },
			    { 0x80000000u, { .a = 0x80000008u } },
			    { 0x80000001u, { .d = 1u << 26 } },
			    { 0x80000008u, { .a = 46 } } },
		.msrs = { { 0x277, PT_PAT_FULL }, { 0xc0000080u, UINT64_C(1) << 11 } },
	};
}
