#include "tests/kernels/judge.h"

/* From the linker script. */
extern const char kernel_text[], kernel_text_end[];
extern const char kernel_rodata[], kernel_rodata_end[];
extern const char kernel_relro[], kernel_relro_end[];
extern const char kernel_data[], kernel_data_end[];

const struct judge_segment judge_segments[JUDGE_SEGMENTS] = {
	{ "text", kernel_text, kernel_text_end, HOIST_RIGHT_EXECUTE },
	{ "rodata", kernel_rodata, kernel_rodata_end, 0 },
	{ "relro", kernel_relro, kernel_relro_end, 0 },
	{ "data", kernel_data, kernel_data_end, HOIST_RIGHT_WRITE },
};

uint64_t judge_physical(const volatile void *object)
{
	return judge.info.kernel + ((uintptr_t)object - judge.info.kernel_virt);
}
