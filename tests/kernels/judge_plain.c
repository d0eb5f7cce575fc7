/* The plain kernel: linked at its address, an identity map as configured. */
#include "tests/kernels/judge.h"

HOIST_NOTE(HOIST_OPTION_VERSION, HOIST_REQUIRED, HOIST_VERSION);
HOIST_NOTE(HOIST_OPTION_STACK_SIZE, HOIST_REQUIRED, 128 << 10);

void judge_variant(void)
{
	if (judge.info.stack_size != 128 << 10)
		judge_flaw("%lu bytes", judge.info.stack_size);
	judge_verdict("the stack is as large as the kernel asked for");
	if (judge.info.tls.size)
		judge_flaw("%lu bytes", judge.info.tls.size);
	judge_verdict("there is no thread-local storage in a kernel without");
}
