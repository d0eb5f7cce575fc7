#include "tests/kernels/judge.h"

#include "tests/kernels/lib/print.h"
#include "tests/kernels/lib/serial.h"
#include "tests/kernels/lib/trap.h"
#include "tests/kernels/lib/words.h"

_Noreturn void kernel_main(const struct hoist_info *info);
_Noreturn void judge_on_stack(void (*function)(void), void *top);

static uint8_t own_stack[32768] __attribute__((aligned(16)));

static void dump_mapping(const struct hoist_mapping *m)
{
	print_out("@map %lx %lx %lx %x %x %x %x\n", m->address_virt, m->address, m->size, m->rights,
		  m->effective, m->cache, m->purpose);
}

static void dump(void)
{
	print_out("@cr3 %lx levels %u\n", judge.info.page_table_root, judge.info.levels);
	for (uint32_t i = 0; i < judge.mapping_count; i++)
		dump_mapping(&judge.mappings[i]);
	for (uint32_t i = 0; i < judge.memory_count; i++) {
		const struct hoist_memory *m = &judge.memory[i];

		print_out("@memory %lx %lx %x %lx\n", m->address, m->size, m->kind,
			  m->efi_attributes);
	}
	for (uint32_t i = 0; i < judge.extent_count; i++)
		print_out("@table %lx %lx\n", judge.extents[i].address, judge.extents[i].size);
	print_out("@end\n");
}

/* Nothing of hoist's is in use any more: stack, GDT and all copies are the kernel's. */
static void on_own_stack(void)
{
	judge_reclaim();
	judge_tables();
	judge_modules();
	judge_faults();
	judge_variant();
	if (words_have(judge.cmdline, "dump"))
		dump();
	judge_end();
}

void kernel_main(const struct hoist_info *info)
{
	if (serial_init())
		print_add_sink(serial_put);
	print_out("\njudge: examines the handoff\n");
	trap_init();
	if (!judge_take(info) || !judge_list() || !judge_memory_map())
		judge_end();
	judge_registers();
	judge_space();
	judge_aliases();
	judge_tables();
	judge_firmware_map();
	judge_high();
	judge_things();
	judge_hardware();
	judge_processor();
	judge_modules();
	judge_variant();
	judge_faults();
	judge_usable();
	judge_start_others();
	judge_on_stack(on_own_stack, own_stack + sizeof(own_stack));
}
