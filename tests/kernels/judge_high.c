/* Where everything of hoist's lies, if nothing was free below 4 GiB. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/words.h"

#define LIMIT (UINT64_C(1) << 32)

static void expect_high(const char *name, uint64_t address)
{
	if (address < LIMIT)
		judge_flaw("%s lies at %lx", name, address);
}

void judge_high(void)
{
	const struct hoist_info *info = &judge.info;
	uint32_t handoffs = 0;

	if (!words_have(judge.cmdline, "expect-high"))
		return;
	expect_high("the root", cpu_cr3());
	expect_high("the information", info->block);
	expect_high("the kernel", info->kernel);
	expect_high("the stack", info->stack);
	for (uint32_t i = 0; i < judge.extent_count; i++)
		expect_high("a table", judge.extents[i].address);
	for (uint32_t i = 0; i < judge.module_count; i++)
		expect_high("a module", judge.modules[i].address);
	judge_verdict("kernel, stack, tables, modules and information lie above 4 GiB");

	/* Code, GDT, TSS, IDT and stacks: the checks of the registers say that they are in these.
	 */
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->purpose != HOIST_PURPOSE_HANDOFF)
			continue;
		handoffs++;
		expect_high("a page of the handoff", m->address);
	}
	if (handoffs != 2)
		judge_flaw("there are %u", handoffs);
	judge_verdict("the pages of the handoff lie above 4 GiB");

	/* Else something was free there after all. */
	for (uint32_t i = 0; i < judge.memory_count; i++) {
		const struct hoist_memory *m = &judge.memory[i];

		if (m->kind == HOIST_MEMORY_USABLE && m->address < LIMIT)
			judge_flaw("%lx bytes at %lx are free", m->size, m->address);
	}
	judge_verdict("no memory below 4 GiB is free");
}
