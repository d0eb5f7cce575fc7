#include "efi/report.h"

#include "efi/console.h"

void report_start(void)
{
	console_print(L"hoist 0.1\n");
}

static const char *purpose_name(uint32_t purpose)
{
	static const char names[][12] = {
		[HOIST_PURPOSE_IDENTITY] = "identity", [HOIST_PURPOSE_DIRECT_MAP] = "direct map",
		[HOIST_PURPOSE_KERNEL] = "kernel",     [HOIST_PURPOSE_STACK] = "stack",
		[HOIST_PURPOSE_HANDOFF] = "handoff",
	};

	return names[purpose];
}

static void print_mapping(const struct hoist_mapping *m)
{
	console_print(L"  %016lx -> %012lx %10lx r%a%a %3a  %a\n", m->address_virt, m->address,
		      m->size, m->rights & HOIST_RIGHT_WRITE ? "w" : "-",
		      m->rights & HOIST_RIGHT_EXECUTE ? "x" : "-",
		      pt_cache_name((enum pt_cache)m->cache), purpose_name(m->purpose));
}

static void report_hardware(const struct boot *boot)
{
	const struct acpi *acpi = &boot->acpi;

	console_print(L"  machine %d processors, local APIC 0x%lx, %d I/O APICs, HPET 0x%lx, "
		      L"%d PCI Express windows\n",
		      acpi->processor_room, acpi->lapic, acpi->ioapic_room, acpi->hpet,
		      acpi->ecam_room);
	if (boot->layout.startup.size == 0)
		console_print(L"  warning: no page is free below 640 KiB, so other processors "
			      L"cannot be started\n");
	if (boot->source.info.entropy_sources == 0)
		console_print(L"  warning: there is no source of entropy\n");
}

void report_plan(const struct boot *boot)
{
	const struct layout *layout = &boot->layout;
	const uint64_t *leaves = layout->plan.leaves;

	console_print(L"  kernel  0x%lx -> 0x%lx, %ld KiB, entry 0x%lx\n", boot->kernel.virt,
		      layout->kernel.base, layout->kernel.size >> 10, boot->kernel.entry);
	console_print(L"  stack   0x%lx -> 0x%lx, %ld KiB\n", layout->stack_virt,
		      layout->stack.base, layout->stack.size >> 10);
	for (uint32_t i = 0; i < boot->request.module_count; i++)
		console_print(L"  module  0x%lx, %ld bytes\n",
			      layout_module(&boot->request, layout, i), boot->module_sizes[i]);
	console_print(L"  tables  %d levels, %ld pages, leaves %ld x 4K, %ld x 2M, %ld x 1G\n",
		      boot->request.cpu.levels, layout->plan.tables, leaves[1], leaves[2],
		      leaves[3]);
	report_hardware(boot);
	if (!boot->request.cpu.nx)
		console_print(
			L"  warning: this processor has no NX, so all memory is executable\n");
	if (boot->config.verbose)
		console_print(L"  virtual          -> physical     size       may cache purpose\n");
	for (size_t i = 0; boot->config.verbose && i < layout->mapping_count; i++)
		print_mapping(&layout->mappings[i]);
}
