/* The memory map: in itself, against the rest of the handoff, and against the firmware's. */
#include "tests/kernels/judge.h"

#define PAGE      ((uint64_t)HOIST_PAGE_SIZE)
#define BIT(kind) (1u << (kind))

bool judge_memory_map(void)
{
	bool sorted;
	uint64_t next = 0;

	for (uint32_t i = 0; i < judge.memory_count; i++) {
		const struct hoist_memory *m = &judge.memory[i];

		if (!m->size || (m->address | m->size) % PAGE || m->address < next ||
		    m->address + (m->size - 1) < m->address)
			judge_flaw("entry %u: %lx + %lx", i, m->address, m->size);
		next = m->address + m->size;
	}
	sorted = judge_verdict("the memory map is sorted, disjoint and page-aligned");

	for (uint32_t i = 0; i < judge.memory_count; i++) {
		const struct hoist_memory *m = &judge.memory[i];

		if (m->kind > HOIST_MEMORY_SPECIAL || m->reserved)
			judge_flaw("entry %u: kind %u, reserved %x", i, m->kind, m->reserved);
	}
	judge_verdict("kinds of memory are those of hoist.h");

	for (uint32_t i = 1; i < judge.memory_count; i++) {
		const struct hoist_memory *m = &judge.memory[i];

		if (m[-1].address + m[-1].size == m->address && m[-1].kind == m->kind &&
		    m[-1].efi_attributes == m->efi_attributes)
			judge_flaw("entries %u and %u at %lx", i - 1, i, m->address);
	}
	judge_verdict("neighbours of the same kind and attributes are one entry");
	return sorted;
}

static void check_kind(const char *name, uint64_t address, uint64_t size,
		       enum hoist_memory_kind kind)
{
	if (judge_bytes_of_kind(address, size, BIT(kind)) != size)
		judge_flaw("%s, %lx + %lx", name, address, size);
}

static void check_total(const char *name, enum hoist_memory_kind kind, uint64_t size)
{
	uint64_t total = judge_bytes_of_kind(0, UINT64_MAX, BIT(kind));

	if (total != size)
		judge_flaw("%s: %lx bytes, of that kind there are %lx", name, size, total);
}

static void check_modules(void)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < judge.module_count; i++) {
		const struct hoist_module *m = &judge.modules[i];

		check_kind("module", m->address, m->size, HOIST_MEMORY_MODULE);
		bytes += (m->size + PAGE - 1) & -PAGE;
	}
	check_total("modules", HOIST_MEMORY_MODULE, bytes);
}

static void check_tables(void)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < judge.extent_count; i++) {
		const struct hoist_extent *e = &judge.extents[i];

		check_kind("page tables", e->address, e->size, HOIST_MEMORY_PAGE_TABLES);
		bytes += e->size;
	}
	check_total("page tables", HOIST_MEMORY_PAGE_TABLES, bytes);
}

static void check_handoff_pages(void)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->purpose == HOIST_PURPOSE_HANDOFF)
			check_kind("handoff", m->address, m->size, HOIST_MEMORY_RECLAIMABLE);
	}
}

static void check_places(void)
{
	const struct hoist_info *info = &judge.info;

	check_kind("kernel", info->kernel, info->kernel_size, HOIST_MEMORY_KERNEL);
	check_total("kernel", HOIST_MEMORY_KERNEL, info->kernel_size);
	judge_verdict("the memory map has the kernel, and no other memory of that kind");

	check_kind("stack", info->stack, info->stack_size, HOIST_MEMORY_STACK);
	check_total("stack", HOIST_MEMORY_STACK, info->stack_size);
	judge_verdict("the memory map has the stack, and no other memory of that kind");

	check_tables();
	judge_verdict("the memory map has the page tables, and no other memory of that kind");

	check_modules();
	judge_verdict("the memory map has the modules, and no other memory of that kind");

	check_kind("block", info->block, info->block_size, HOIST_MEMORY_RECLAIMABLE);
	check_handoff_pages();
	judge_verdict("the boot information and the handoff lie in reclaimable memory");
}

/* ---- Against the firmware's map --------------------------------------------- */

/* EFI_MEMORY_DESCRIPTOR (UEFI 2.10 section 7.2.3). */
struct efi_descriptor {
	uint32_t type;
	uint32_t padding;
	uint64_t address;
	uint64_t virt;
	uint64_t pages;
	uint64_t attributes;
};

enum { EFI_CONVENTIONAL = 7, EFI_MMIO = 11, EFI_MMIO_PORTS = 12, EFI_TYPES = 16 };

#define TAKEN                                                                                 \
	(BIT(HOIST_MEMORY_KERNEL) | BIT(HOIST_MEMORY_PAGE_TABLES) | BIT(HOIST_MEMORY_STACK) | \
	 BIT(HOIST_MEMORY_MODULE))

/*
 * What memory of each EFI type may be called (UEFI 2.10 table 7.10). Any of it
 * may turn out to be a framebuffer or a device, or to share a page with one;
 * RAM may be special.
 */
static const uint32_t allowed[EFI_TYPES] = {
	[0] = BIT(HOIST_MEMORY_RESERVED),
	[1] = TAKEN | BIT(HOIST_MEMORY_RECLAIMABLE) | BIT(HOIST_MEMORY_SPECIAL),
	[2] = TAKEN | BIT(HOIST_MEMORY_RECLAIMABLE) | BIT(HOIST_MEMORY_SPECIAL),
	[3] = BIT(HOIST_MEMORY_RECLAIMABLE) | BIT(HOIST_MEMORY_SPECIAL),
	[4] = BIT(HOIST_MEMORY_RECLAIMABLE) | BIT(HOIST_MEMORY_SPECIAL),
	[5] = BIT(HOIST_MEMORY_RUNTIME_CODE),
	[6] = BIT(HOIST_MEMORY_RUNTIME_DATA),
	[EFI_CONVENTIONAL] = BIT(HOIST_MEMORY_USABLE) | BIT(HOIST_MEMORY_SPECIAL),
	[8] = BIT(HOIST_MEMORY_BAD),
	[9] = BIT(HOIST_MEMORY_ACPI_RECLAIM),
	[10] = BIT(HOIST_MEMORY_ACPI_NVS),
	[EFI_MMIO] = BIT(HOIST_MEMORY_MMIO),
	[EFI_MMIO_PORTS] = BIT(HOIST_MEMORY_MMIO),
	[13] = BIT(HOIST_MEMORY_RESERVED),
	[14] = BIT(HOIST_MEMORY_PERSISTENT),
	[15] = BIT(HOIST_MEMORY_UNACCEPTED),
};

static const struct efi_descriptor *descriptor_at(uint32_t i)
{
	return hoist_at(&judge.info, &judge.info.efi_memory, i);
}

static void check_descriptor(const struct efi_descriptor *d)
{
	uint64_t size = d->pages * PAGE, found;
	/* Types of an OEM or a loader are nobody else's business (UEFI 2.10 section 7.2.1). */
	uint32_t kinds = BIT(HOIST_MEMORY_RESERVED);

	if (d->type < EFI_TYPES)
		kinds = allowed[d->type];
	if (d->type != EFI_MMIO && d->type != EFI_MMIO_PORTS)
		kinds |= BIT(HOIST_MEMORY_RESERVED) | BIT(HOIST_MEMORY_MMIO);
	found = judge_bytes_of_kind(d->address, size, kinds);
	if (found != size)
		judge_flaw("%lx + %lx of EFI type %u: %lx bytes are missing or of another kind",
			   d->address, size, d->type, size - found);
}

static uint64_t conventional_bytes(uint64_t address, uint64_t size)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < judge.info.efi_memory.count; i++) {
		const struct efi_descriptor *d = descriptor_at(i);

		if (d->type == EFI_CONVENTIONAL)
			bytes += judge_common(address, size, d->address, d->pages * PAGE);
	}
	return bytes;
}

void judge_firmware_map(void)
{
	check_places();
	for (uint32_t i = 0; i < judge.info.efi_memory.count; i++)
		check_descriptor(descriptor_at(i));
	if (!judge.info.efi_memory.count)
		judge_flaw("there is none");
	judge_verdict("the firmware's map is all there, each descriptor with a kind that fits");

	for (uint32_t i = 0; i < judge.memory_count; i++) {
		const struct hoist_memory *m = &judge.memory[i];

		if (m->kind == HOIST_MEMORY_USABLE &&
		    conventional_bytes(m->address, m->size) != m->size)
			judge_flaw("%lx + %lx", m->address, m->size);
	}
	judge_verdict("usable memory is what the firmware calls conventional");
}
