#include "tests/kernels/demo.h"
#include "tests/kernels/lib/print.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char kind_names[][16] = {
	[HOIST_MEMORY_USABLE] = "usable",
	[HOIST_MEMORY_RECLAIMABLE] = "reclaimable",
	[HOIST_MEMORY_KERNEL] = "kernel",
	[HOIST_MEMORY_PAGE_TABLES] = "page tables",
	[HOIST_MEMORY_STACK] = "stack",
	[HOIST_MEMORY_MODULE] = "module",
	[HOIST_MEMORY_ACPI_RECLAIM] = "ACPI tables",
	[HOIST_MEMORY_ACPI_NVS] = "ACPI NVS",
	[HOIST_MEMORY_RUNTIME_CODE] = "runtime code",
	[HOIST_MEMORY_RUNTIME_DATA] = "runtime data",
	[HOIST_MEMORY_MMIO] = "device",
	[HOIST_MEMORY_RESERVED] = "reserved",
	[HOIST_MEMORY_BAD] = "bad",
	[HOIST_MEMORY_PERSISTENT] = "persistent",
	[HOIST_MEMORY_UNACCEPTED] = "unaccepted",
	[HOIST_MEMORY_SPECIAL] = "special",
};

static const char purpose_names[][16] = {
	[HOIST_PURPOSE_IDENTITY] = "identity", [HOIST_PURPOSE_DIRECT_MAP] = "direct map",
	[HOIST_PURPOSE_KERNEL] = "kernel",     [HOIST_PURPOSE_STACK] = "stack",
	[HOIST_PURPOSE_HANDOFF] = "handoff",
};

static const char cache_names[][4] = {
	[HOIST_CACHE_UC] = "UC",
	[HOIST_CACHE_WC] = "WC",
	[2] = "?",
	[3] = "?",
	[HOIST_CACHE_WT] = "WT",
	[HOIST_CACHE_WP] = "WP",
	[HOIST_CACHE_WB] = "WB",
};

/* Attributes worth a word, once it is known that memory is cached (UEFI 2.10 section 7.2.3). */
static const struct {
	uint64_t bit;
	char name[4];
} attributes[] = {
	{ UINT64_C(1) << 3, "WB" },  { UINT64_C(1) << 13, "RP" }, { UINT64_C(1) << 14, "XP" },
	{ UINT64_C(1) << 17, "RO" }, { UINT64_C(1) << 15, "NV" }, { UINT64_C(1) << 16, "MR" },
	{ UINT64_C(1) << 18, "SP" }, { UINT64_C(1) << 19, "CC" }, { UINT64_C(1) << 63, "RT" },
};

static void print_attributes(uint64_t bits)
{
	for (unsigned i = 0; i < COUNT(attributes); i++) {
		if (bits & attributes[i].bit)
			print_out(" %s", attributes[i].name);
	}
}

static void print_memory(const struct hoist_memory *m)
{
	print_out("  %016lx-%016lx ", m->address, m->address + m->size - 1);
	demo_size(m->size);
	print_out("  %-13s", m->kind < COUNT(kind_names) ? kind_names[m->kind] : "?");
	print_attributes(m->efi_attributes);
	print_out("\n");
}

static uint64_t total(const struct hoist_info *info, unsigned kind)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < info->memory.count; i++) {
		const struct hoist_memory *m = hoist_at(info, &info->memory, i);

		if (m->kind == kind)
			bytes += m->size;
	}
	return bytes;
}

static int length(const char *text)
{
	int n = 0;

	while (text[n])
		n++;
	return n;
}

/* Three in a line. */
static void print_totals(const struct hoist_info *info)
{
	unsigned shown = 0;
	int padding = 0; /* that the name before needs, if another follows */

	for (unsigned kind = 0; kind < COUNT(kind_names); kind++) {
		uint64_t bytes = total(info, kind);

		if (!bytes)
			continue;
		if (shown && shown % 3 == 0) {
			print_out("\n");
			padding = 0;
		}
		print_out("%*s  ", padding, "");
		demo_size(bytes);
		print_out("  %s", kind_names[kind]);
		padding = 12 - length(kind_names[kind]);
		shown++;
	}
	print_out("\n");
}

void demo_memory(const struct hoist_info *info)
{
	demo_heading("Memory map", "%u entries, from %u of the firmware", info->memory.count,
		     info->efi_memory.count);
	demo_legend("first            last                   size  kind          attributes");
	for (uint32_t i = 0; i < info->memory.count; i++)
		print_memory(hoist_at(info, &info->memory, i));
	demo_heading("Memory in all", "by kind");
	print_totals(info);
}

static void print_mapping(const struct hoist_mapping *m)
{
	char execute = '-';

	if (m->rights & HOIST_RIGHT_EXECUTE)
		execute = 'x';
	else if (m->effective & HOIST_RIGHT_EXECUTE)
		execute = '*';
	print_out("  %016lx  %016lx  ", m->address_virt, m->address);
	demo_size(m->size);
	print_out("  r%c%c  %s  %s\n", m->rights & HOIST_RIGHT_WRITE ? 'w' : '-', execute,
		  m->cache < COUNT(cache_names) ? cache_names[m->cache] : "?",
		  m->purpose < COUNT(purpose_names) ? purpose_names[m->purpose] : "?");
}

void demo_mappings(const struct hoist_info *info)
{
	bool without_nx = false;

	demo_heading("Mappings", "%u, and no other", info->mappings.count);
	demo_legend("virtual           physical               size  may  cache purpose");
	for (uint32_t i = 0; i < info->mappings.count; i++) {
		const struct hoist_mapping *m = hoist_at(info, &info->mappings, i);

		print_mapping(m);
		without_nx |= m->effective != m->rights;
	}
	if (without_nx)
		demo_legend("* can be executed all the same: this processor has no NX");
}
