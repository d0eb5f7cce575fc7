/* Reads struct hoist_info and copies what it leads to. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/mem.h"

#define DIRECT_MAP_4 0xffff800000000000
#define DIRECT_MAP_5 0xff00000000000000

struct judge_handoff judge;

static bool is_in_block(uint64_t address, uint64_t size)
{
	const struct hoist_info *info = &judge.info;

	return judge_inside(address, info->block, info->block_size) &&
	       size <= info->block_size - (address - info->block);
}

/* A list of elements that are made of 64-bit words, at least `element` bytes each. */
static bool is_sound(const char *name, const struct hoist_list *list, size_t element, uint32_t most)
{
	if (!list->count)
		return true;
	if (list->stride < element || list->stride % 8 || list->address % 8) {
		judge_flaw("%s: address %lx, stride %u", name, list->address, list->stride);
		return false;
	}
	if (!is_in_block(list->address, (uint64_t)list->count * list->stride)) {
		judge_flaw("%s lies at %lx, not in the block", name, list->address);
		return false;
	}
	if (list->count > most)
		judge_flaw("%s has %u elements, the judge has room for %u", name, list->count,
			   most);
	return list->count <= most;
}

static uint32_t copy(void *to, size_t element, const struct hoist_list *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		memcpy((char *)to + i * element, hoist_at(&judge.info, list, i), element);
	return list->count;
}

static bool take_lists(void)
{
	const struct hoist_info *info = &judge.info;
	bool sound = is_sound("memory", &info->memory, sizeof(judge.memory[0]), JUDGE_MAX_MEMORY) &&
		     is_sound("mappings", &info->mappings, sizeof(judge.mappings[0]),
			      JUDGE_MAX_MAPPINGS) &&
		     is_sound("page_tables", &info->page_tables, sizeof(judge.extents[0]),
			      JUDGE_MAX_EXTENTS) &&
		     is_sound("modules", &info->modules, sizeof(judge.modules[0]),
			      JUDGE_MAX_MODULES) &&
		     is_sound("efi_memory", &info->efi_memory, 40, UINT32_MAX) &&
		     is_sound("processors", &info->processors, sizeof(judge.processors[0]),
			      JUDGE_MAX_HARDWARE) &&
		     is_sound("ioapics", &info->ioapics, sizeof(judge.ioapics[0]),
			      JUDGE_MAX_HARDWARE) &&
		     is_sound("ecam", &info->ecam, sizeof(judge.ecam[0]), JUDGE_MAX_HARDWARE);

	if (sound) {
		judge.memory_count = copy(judge.memory, sizeof(judge.memory[0]), &info->memory);
		judge.mapping_count = copy(judge.mappings, sizeof(judge.mappings[0]),
					   &info->mappings);
		judge.extent_count = copy(judge.extents, sizeof(judge.extents[0]),
					  &info->page_tables);
		judge.module_count = copy(judge.modules, sizeof(judge.modules[0]), &info->modules);
		judge.processor_count = copy(judge.processors, sizeof(judge.processors[0]),
					     &info->processors);
		judge.ioapic_count = copy(judge.ioapics, sizeof(judge.ioapics[0]), &info->ioapics);
		judge.ecam_count = copy(judge.ecam, sizeof(judge.ecam[0]), &info->ecam);
		if (!judge.memory_count || !judge.mapping_count || !judge.extent_count)
			judge_flaw("a list is empty");
	}
	judge_verdict("lists lie in the block and their strides hold their elements");
	return sound;
}

static void take_cmdline(void)
{
	const struct hoist_string *cmdline = &judge.info.cmdline;

	if (cmdline->length >= sizeof(judge.cmdline) ||
	    !is_in_block(cmdline->address, cmdline->length + 1))
		judge_flaw("%lu bytes at %lx", cmdline->length, cmdline->address);
	else
		memcpy(judge.cmdline, hoist_ptr(&judge.info, cmdline->address), cmdline->length);
	judge_verdict("the command line lies in the block");
}

static bool take_info(const struct hoist_info *info)
{
	/* Only the first fields, until they say how much there is. */
	if (info->magic == HOIST_MAGIC && info->version >= HOIST_VERSION &&
	    info->size >= sizeof(*info))
		judge.info = *info;
	else
		judge_flaw("magic %lx, version %u, size %u", info->magic, info->version,
			   info->size);
	return judge_verdict("magic, version and size are those of hoist.h");
}

static void check_place(const struct hoist_info *info)
{
	uint64_t base = judge.info.levels == 5 ? DIRECT_MAP_5 : DIRECT_MAP_4;

	if (judge.info.direct_map_virt != base)
		judge_flaw("with %u levels it is at %lx", judge.info.levels,
			   judge.info.direct_map_virt);
	judge_verdict("the direct map is where it belongs");

	if (!is_in_block((uintptr_t)info - judge.info.direct_map_virt, judge.info.size))
		judge_flaw("RDI is %p, the block at %lx", (const void *)info, judge.info.block);
	judge_verdict("RDI points to the information, in the block, through the direct map");
}

bool judge_take(const struct hoist_info *info)
{
	judge.where = info;
	if ((uintptr_t)info < DIRECT_MAP_5 || (uintptr_t)info % 8)
		judge_flaw("RDI is %p", (const void *)info);
	if (!judge_verdict("RDI is an aligned address of the higher half") || !take_info(info))
		return false;
	check_place(info);
	take_cmdline();
	return take_lists();
}
