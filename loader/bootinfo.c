#include "loader/bootinfo.h"

#define LOADER_NAME "hoist 0.1"

_Static_assert(sizeof(struct hoist_memory) == 32, "an element of the memory map");
_Static_assert(sizeof(struct hoist_mapping) == 40, "an element of the mapping list");
_Static_assert(sizeof(struct hoist_module) == 48, "an element of the module list");
_Static_assert(sizeof(struct hoist_processor) == 16, "an element of the processor list");
_Static_assert(sizeof(struct hoist_ioapic) == 16, "an element of the list of I/O APICs");
_Static_assert(sizeof(struct hoist_ecam) == 32, "an element of the list of PCI Express windows");
_Static_assert(sizeof(struct hoist_info) == 632, "hoist_info of version 2");
_Static_assert(sizeof(struct hoist_info) % 8 == 0, "no padding at its end");

/* A block being written, or, with `bytes` NULL, measured. */
struct block {
	uint8_t *bytes;
	uint64_t address;
	uint64_t used;
};

/* The next `size` bytes, 16-byte aligned. NULL when measuring. */
static void *block_room(struct block *block, uint64_t size, uint64_t *ret_address)
{
	uint64_t offset = align_up(block->used, 16);

	block->used = offset + size;
	*ret_address = block->address + offset;
	return block->bytes ? block->bytes + offset : NULL;
}

static struct hoist_list block_list(struct block *block, uint64_t count, uint32_t stride,
				    void **ret_first)
{
	struct hoist_list list = { 0, (uint32_t)count, stride };

	*ret_first = block_room(block, count * stride, &list.address);
	if (count == 0)
		list.address = 0;
	return list;
}

static struct hoist_string block_string(struct block *block, struct config_text text)
{
	struct hoist_string string = { 0, text.length };
	char *bytes = block_room(block, (uint64_t)text.length + 1, &string.address);

	if (bytes) {
		__builtin_memcpy(bytes, text.bytes, text.length);
		bytes[text.length] = 0;
	}
	return string;
}

static struct hoist_list put_modules(struct block *block, const struct bootinfo_source *source)
{
	const struct layout_request *request = source->request;
	void *first;
	struct hoist_list list = block_list(block, request->module_count,
					    sizeof(struct hoist_module), &first);
	struct hoist_module *modules = first;

	for (uint32_t i = 0; i < request->module_count; i++) {
		struct hoist_module module = {
			.address = layout_module(request, source->layout, i),
			.size = request->module_sizes[i],
			.path = block_string(block, source->config->modules[i].path),
			.string = block_string(block, source->config->modules[i].string),
		};

		if (modules)
			modules[i] = module;
	}
	return list;
}

static struct hoist_list put_tables(struct block *block, const struct layout *layout)
{
	void *first;
	struct hoist_list list = block_list(block, 1, sizeof(struct hoist_extent), &first);

	if (first)
		*(struct hoist_extent *)first = (struct hoist_extent){ layout->tables.base,
								       layout->tables.size };
	return list;
}

static struct hoist_list put_mappings(struct block *block, const struct layout *layout)
{
	uint64_t count = block->bytes ? layout->mapping_count : layout->capacity;
	void *first;
	struct hoist_list list = block_list(block, count, sizeof(struct hoist_mapping), &first);

	if (first)
		__builtin_memcpy(first, layout->mappings,
				 layout->mapping_count * sizeof(struct hoist_mapping));
	return list;
}

static struct hoist_list put_device_path(struct block *block, const struct bootinfo_source *source)
{
	void *first;
	struct hoist_list list = block_list(block, source->device_path_size, 1, &first);

	if (first)
		__builtin_memcpy(first, source->device_path, source->device_path_size);
	return list;
}

static struct hoist_list put_list(struct block *block, const void *elements, uint32_t count,
				  uint32_t stride)
{
	void *first;
	struct hoist_list list = block_list(block, count, stride, &first);

	if (first && count != 0)
		__builtin_memcpy(first, elements, (uint64_t)count * stride);
	return list;
}

static void put_hardware(struct block *block, const struct acpi *acpi, struct hoist_info *info)
{
	info->processors = put_list(block, acpi->processors, acpi->processor_room,
				    sizeof(struct hoist_processor));
	info->ioapics = put_list(block, acpi->ioapics, acpi->ioapic_room,
				 sizeof(struct hoist_ioapic));
	info->ecam = put_list(block, acpi->ecam, acpi->ecam_room, sizeof(struct hoist_ecam));
	info->lapic = acpi->lapic;
	info->hpet = acpi->hpet;
}

/* The one pass: everything in its order. */
static struct hoist_info put_all(struct block *block, const struct bootinfo_source *source)
{
	static const char name[] = LOADER_NAME;
	const struct layout *layout = source->layout;
	const struct elf_image *kernel = source->request->kernel;
	struct hoist_info info = source->info;
	void *unused;

	block_room(block, sizeof(info), &info.block);
	info.magic = HOIST_MAGIC;
	info.version = HOIST_VERSION;
	info.size = sizeof(info);
	info.mappings = put_mappings(block, layout);
	info.page_tables = put_tables(block, layout);
	info.modules = put_modules(block, source);
	info.cmdline = block_string(block, source->config->cmdline);
	info.loader = block_string(block, (struct config_text){ name, sizeof(name) - 1 });
	info.boot_volume.device_path = put_device_path(block, source);
	if (source->acpi)
		put_hardware(block, source->acpi, &info);
	info.memory = block_list(block, source->memory_room, sizeof(struct hoist_memory), &unused);
	info.efi_memory = block_list(block, source->efi_map_room, 1, &unused);
	info.block_size = layout->info.size;
	info.direct_map_virt = layout->direct_map;
	info.page_table_root = layout->tables.base;
	info.levels = source->request->cpu.levels;
	info.table_count = (uint32_t)layout->plan.tables;
	info.kernel = layout->kernel.base;
	info.kernel_virt = kernel->virt;
	info.kernel_size = kernel->size;
	info.stack = layout->stack.base;
	info.stack_virt = layout->stack_virt;
	info.stack_size = layout->stack.size;
	info.startup_page = layout->startup.base;
	info.tls = (struct hoist_tls){ kernel->tls_virt, kernel->tls_file_size, kernel->tls_size,
				       kernel->tls_alignment };
	return info;
}

uint64_t bootinfo_size(const struct bootinfo_source *source)
{
	struct block block = { 0 };

	put_all(&block, source);
	return align_up(block.used, HOIST_PAGE_SIZE);
}

struct hoist_info *bootinfo_write(const struct bootinfo_source *source, void *block)
{
	struct block out = { .bytes = block, .address = source->layout->info.base };
	struct hoist_info *info = block;

	__builtin_memset(block, 0, source->layout->info.size);
	*info = put_all(&out, source);
	return info;
}

static void *block_pointer(void *block, uint64_t address)
{
	const struct hoist_info *info = block;

	return (uint8_t *)block + (address - info->block);
}

/*
 * Entries that there is room for. The count in the list says so only until a
 * first map is entered, and another can follow: ExitBootServices may fail.
 */
static uint64_t memory_room(const struct hoist_info *info)
{
	if (info->memory.address == 0)
		return 0;
	return (info->efi_memory.address - info->memory.address) / sizeof(struct hoist_memory);
}

bool bootinfo_set_memory(void *block, const struct memmap *map)
{
	struct hoist_info *info = block;

	if (map->count > memory_room(info))
		return false;

	struct hoist_memory *memory = block_pointer(block, info->memory.address);

	for (size_t i = 0; i < map->count; i++) {
		const struct memmap_region *r = &map->regions[i];

		memory[i] = (struct hoist_memory){ r->base, r->size, r->kind, 0, r->attributes };
	}
	info->memory.count = (uint32_t)map->count;
	return true;
}

void *bootinfo_efi_map(void *block)
{
	const struct hoist_info *info = block;

	return block_pointer(block, info->efi_memory.address);
}

void bootinfo_set_efi_map(void *block, uint64_t size, uint32_t stride, uint32_t version)
{
	struct hoist_info *info = block;

	info->efi_memory.count = (uint32_t)(size / stride);
	info->efi_memory.stride = stride;
	info->efi_memory_version = version;
}

bool bootinfo_add_regions(struct memmap *map, const struct memmap *planned,
			  const struct layout *layout)
{
	const struct {
		struct layout_extent extent;
		enum hoist_memory_kind kind;
	} placed[] = {
		{ layout->kernel, HOIST_MEMORY_KERNEL },
		{ layout->modules, HOIST_MEMORY_MODULE },
		{ layout->stack, HOIST_MEMORY_STACK },
		{ layout->tables, HOIST_MEMORY_PAGE_TABLES },
	};

	for (size_t i = 0; i < sizeof(placed) / sizeof(placed[0]); i++) {
		const struct layout_extent *extent = &placed[i].extent;
		const struct memmap_region *region = memmap_find(planned, extent->base);

		if (!memmap_add(map, extent->base, extent->size, placed[i].kind,
				region ? region->attributes : 0))
			return false;
	}
	return true;
}
