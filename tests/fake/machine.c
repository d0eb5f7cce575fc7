#include "tests/fake/machine.h"

#include <stdlib.h>
#include <string.h>

#define PAGE UINT64_C(0x1000)

#define GIB (UINT64_C(1) << 30)

/* calloc() that ends the program instead of failing; never of size 0. */
static void *room_for(size_t count, size_t size)
{
	void *room = calloc(count ? count : 1, size);

	if (!room)
		abort();
	return room;
}

/* ---- making one ------------------------------------------------------------ */

void machine_init(struct machine *ret_machine)
{
	static const uint64_t pages[3] = { 3, 2, 4 };

	*ret_machine = (struct machine){ .request = { .cpu = { .levels = 4,
							       .max_leaf = 3,
							       .phys_bits = 46,
							       .nx = true,
							       .pat = PT_PAT_FULL },
						      .stack_size = 16 * PAGE,
						      .info_size = 8 * PAGE,
						      .identity = true } };
	machine_kernel(ret_machine, UINT64_C(0xffffffff80000000), pages);
}

static void free_plan(struct machine *machine)
{
	struct layout *layout = &machine->layout;

	free(machine->map.regions);
	free(layout->spans[0]);
	free(layout->spans[1]);
	free(layout->mappings);
	free(layout->pt_list);
	free(machine->tables);
	machine->map = (struct memmap){ 0 };
	machine->layout = (struct layout){ 0 };
	machine->tables = NULL;
}

void machine_free(struct machine *machine)
{
	free_plan(machine);
	free(machine->raw.regions);
	*machine = (struct machine){ 0 };
}

void machine_add(struct machine *machine, uint64_t base, uint64_t size, uint32_t kind,
		 uint64_t attributes)
{
	struct memmap *raw = &machine->raw;

	if (raw->count == raw->capacity) {
		raw->capacity = 2 * raw->capacity + 32;
		raw->regions = realloc(raw->regions, raw->capacity * sizeof(*raw->regions));
		if (!raw->regions)
			abort();
	}
	memmap_add(raw, base, size, kind, attributes);
}

void machine_add_device(struct machine *machine, uint64_t base, uint64_t size, uint32_t cache)
{
	uint32_t index = machine->device_count++;

	machine->devices[index] = (struct machine_device){ { base, size }, cache };
	machine_add(machine, base, size, HOIST_MEMORY_MMIO, 0);
}

void machine_add_module(struct machine *machine, uint64_t size)
{
	machine->module_sizes[machine->request.module_count++] = size;
}

void machine_kernel(struct machine *machine, uint64_t virt, const uint64_t pages[3])
{
	static const uint32_t rights[3] = { HOIST_RIGHT_EXECUTE, 0, HOIST_RIGHT_WRITE };
	struct elf_image *kernel = &machine->kernel;

	*kernel = (struct elf_image){ .virt = virt, .alignment = PAGE, .entry = virt };
	for (unsigned i = 0; i < 3; i++) {
		struct elf_range range = { virt + kernel->size, pages[i] * PAGE, rights[i] };

		if (range.size == 0)
			continue;
		kernel->ranges[kernel->range_count++] = range;
		kernel->size += range.size;
	}
}

void machine_init_plain(struct machine *ret_machine)
{
	static const struct memmap_region regions[] = {
		{ 0x0, 0xa0000, HOIST_MEMORY_USABLE, 0, MACHINE_ALL },
		{ 0x100000, 0x7df00000, HOIST_MEMORY_USABLE, 0, MACHINE_ALL },
		{ 0x7e000000, 0x8000, HOIST_MEMORY_RECLAIMABLE, 0, MACHINE_ALL },
		{ 0x7e008000, 0xff8000, HOIST_MEMORY_USABLE, 0, MACHINE_ALL },
		{ 0x7f000000, 0x200000, HOIST_MEMORY_RUNTIME_CODE, 0, MACHINE_ALL },
		{ 0x7f200000, 0x100000, HOIST_MEMORY_RUNTIME_DATA, 0, MACHINE_ALL },
		{ 0x7f300000, 0x10000, HOIST_MEMORY_ACPI_RECLAIM, 0, MACHINE_ALL },
		{ 0x7f310000, 0xf0000, HOIST_MEMORY_ACPI_NVS, 0, MACHINE_ALL },
		{ 0x7f400000, 0xc00000, HOIST_MEMORY_RESERVED, 0, MACHINE_ALL },
		{ 0xe0000000, 0x10000000, HOIST_MEMORY_MMIO, 0, 0x1 },
		{ 4 * GIB, 2 * GIB, HOIST_MEMORY_USABLE, 0, MACHINE_ALL },
	};

	machine_init(ret_machine);
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
		machine_add(ret_machine, regions[i].base, regions[i].size, regions[i].kind,
			    regions[i].attributes);
	machine_add_device(ret_machine, 0xfd000000, 0x3e8800, HOIST_CACHE_WC);
	machine_add_module(ret_machine, 5000);
	machine_add_module(ret_machine, 12345);
	ret_machine->request.handoff_code = (struct layout_extent){ 0x7e002000, 2 * PAGE };
	ret_machine->request.handoff_data = (struct layout_extent){ 0x7e004000, PAGE };
}

static void settle_devices(struct machine *machine)
{
	struct devices devices = { { machine->device_spans[0], 0, 2 * MACHINE_DEVICES },
				   { machine->device_spans[1], 0, 2 * MACHINE_DEVICES } };

	for (uint32_t i = 0; i < machine->device_count; i++) {
		const struct machine_device *device = &machine->devices[i];

		if (!devices_add(&devices, device->extent.base, device->extent.size,
				 (enum hoist_cache)device->cache))
			abort();
	}
	machine->request.devices = devices.list.spans;
	machine->request.device_count = (uint32_t)devices.list.count;
}

void machine_settle(struct machine *machine)
{
	struct layout *layout = &machine->layout;
	struct memmap *map = &machine->map;

	free_plan(machine);
	settle_devices(machine);
	machine_normalise(machine);
	/* The planner relies on nothing that is there already. */
	memset(layout, 0x5a, sizeof(*layout));

	size_t room = layout_room(map->count, machine->request.device_count);

	layout->capacity = room;
	layout->spans[0] = room_for(room, sizeof(*layout->spans[0]));
	layout->spans[1] = room_for(room, sizeof(*layout->spans[1]));
	layout->mappings = room_for(room, sizeof(*layout->mappings));
	layout->pt_list = room_for(room, sizeof(*layout->pt_list));
	machine->request.map = map;
	machine->request.kernel = &machine->kernel;
	machine->request.module_sizes = machine->module_sizes;
}

enum loader_status machine_plan(struct machine *machine, struct loader_error *ret_error)
{
	machine_settle(machine);

	struct memmap copy = machine->map;

	copy.regions = room_for(copy.count, sizeof(*copy.regions));
	memcpy(copy.regions, machine->map.regions, copy.count * sizeof(*copy.regions));

	enum loader_status status = layout_plan(&machine->request, &copy, &machine->layout,
						ret_error);

	free(copy.regions);
	return status;
}

void machine_normalise(struct machine *machine)
{
	struct memmap *map = &machine->map;
	uint32_t *scratch = room_for(machine->raw.count, sizeof(*scratch));

	free(map->regions);
	map->capacity = memmap_worst_case(machine->raw.count);
	map->regions = room_for(map->capacity, sizeof(*map->regions));
	if (!memmap_normalise(&machine->raw, scratch, map))
		abort();
	free(scratch);
}

void machine_allocate(struct machine *machine)
{
	struct layout *layout = &machine->layout;
	const struct layout_extent *placed[] = {
		&layout->kernel, &layout->modules, &layout->stack,
		&layout->info,   &layout->tables,  &layout->startup
	};
	struct memmap planned = machine->map;

	for (size_t i = 0; i < sizeof(placed) / sizeof(placed[0]); i++) {
		const struct memmap_region *region = memmap_find(&planned, placed[i]->base);

		if (placed[i]->size != 0)
			machine_add(machine, placed[i]->base, placed[i]->size,
				    HOIST_MEMORY_RECLAIMABLE, region->attributes);
	}
	for (size_t i = 0; i < sizeof(placed) / sizeof(placed[0]); i++)
		machine_add(machine, 0, 0, HOIST_MEMORY_BAD, 0); /* room for what follows */
	machine->raw.count -= sizeof(placed) / sizeof(placed[0]);
	if (!bootinfo_add_regions(&machine->raw, &planned, layout))
		abort();
	machine->map.regions = NULL;
	machine_normalise(machine);
	free(planned.regions);
}

/* ---- tables ---------------------------------------------------------------- */

enum pt_status machine_build(struct machine *machine)
{
	const struct layout *layout = &machine->layout;
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_tables tables = pt_block_tables(&machine->block);
	size_t bytes = layout->plan.tables * PAGE;

	free(machine->tables);
	machine->tables = aligned_alloc(PAGE, bytes);
	if (!machine->tables)
		abort();
	memset(machine->tables, 0xa5, bytes);
	machine->block = (struct pt_block){ phys(layout->tables.base), layout->plan.tables, 0 };

	struct pt_mem mem = { .window = machine->tables,
			      .first = phys(layout->tables.base),
			      .last = phys(layout->tables.base + bytes - PAGE) };
	enum pt_status status = pt_init(&machine->space, &machine->request.cpu, &mem, &tables);

	for (size_t i = 0; status == PT_OK && i < layout->mapping_count; i++)
		status = pt_map(&machine->space, &layout->pt_list[i], 0, &flush);
	return status;
}

struct audit_request machine_audit_request(const struct machine *machine)
{
	const struct layout *layout = &machine->layout;
	const struct pt_cpu *cpu = &machine->request.cpu;

	return (struct audit_request){
		.tables = machine->tables,
		.tables_base = layout->tables.base,
		.table_count = layout->plan.tables,
		.root = layout->tables.base,
		.levels = cpu->levels,
		.max_leaf = cpu->max_leaf,
		.phys_bits = cpu->phys_bits,
		.nx = cpu->nx,
		.pat = cpu->pat,
		.mappings = layout->mappings,
		.mapping_count = layout->mapping_count,
	};
}

/* ---- the second opinion ---------------------------------------------------- */

static bool lies_in(uint64_t address, uint64_t base, uint64_t size)
{
	return address >= base && address - base < size;
}

static bool extent_has(const struct layout_extent *extent, uint64_t address)
{
	return lies_in(address, extent->base, extent->size);
}

static uint32_t cache_of_memory(const struct memmap_region *region)
{
	if (region->kind == HOIST_MEMORY_MMIO)
		return HOIST_CACHE_UC;
	if (region->attributes & MACHINE_WB)
		return HOIST_CACHE_WB;
	if (region->attributes & MACHINE_WT)
		return HOIST_CACHE_WT;
	return region->attributes & MACHINE_WC ? HOIST_CACHE_WC : HOIST_CACHE_UC;
}

/* A page of physical memory as the map and the devices have it. */
static struct machine_page plain_page(const struct machine *m, uint64_t address)
{
	const struct memmap_region *region = memmap_find(&m->map, address);
	struct machine_page page = { .mapped = false };

	if (region && region->kind != HOIST_MEMORY_RESERVED && region->kind != HOIST_MEMORY_BAD &&
	    region->kind != HOIST_MEMORY_UNACCEPTED)
		page = (struct machine_page){ true, address, HOIST_RIGHT_WRITE,
					      cache_of_memory(region), HOIST_PURPOSE_IDENTITY };
	for (uint32_t i = 0; i < m->device_count; i++) {
		const struct layout_extent *extent = &m->devices[i].extent;
		uint64_t first = extent->base / PAGE,
			 last = (extent->base + extent->size - 1) / PAGE;

		if (extent->size != 0 && lies_in(address / PAGE, first, last - first + 1))
			page = (struct machine_page){ true, address, HOIST_RIGHT_WRITE,
						      m->devices[i].cache, HOIST_PURPOSE_IDENTITY };
	}
	return page;
}

/* That with what hoist placed and brings along, as the identity map has it. */
static struct machine_page physical_page(const struct machine *m, uint64_t address)
{
	const uint32_t wb = HOIST_CACHE_WB;
	const struct elf_image *kernel = &m->kernel;

	if (extent_has(&m->request.handoff_code, address))
		return (struct machine_page){ true, address, HOIST_RIGHT_EXECUTE, wb,
					      HOIST_PURPOSE_HANDOFF };
	if (extent_has(&m->request.handoff_data, address))
		return (struct machine_page){ true, address, HOIST_RIGHT_WRITE, wb,
					      HOIST_PURPOSE_HANDOFF };
	if (extent_has(&m->layout.modules, address))
		return (struct machine_page){ true, address, 0, wb, HOIST_PURPOSE_IDENTITY };
	for (uint32_t i = 0; i < kernel->range_count; i++) {
		const struct elf_range *range = &kernel->ranges[i];
		uint64_t base = m->layout.kernel.base + (range->virt - kernel->virt);

		if (lies_in(address, base, range->size) && !(range->rights & HOIST_RIGHT_WRITE))
			return (struct machine_page){ true, address, 0, wb,
						      HOIST_PURPOSE_IDENTITY };
	}
	return plain_page(m, address);
}

static struct machine_page identity_page(const struct machine *m, uint64_t virt)
{
	struct machine_page page = physical_page(m, virt);

	if (virt < PAGE || (!m->request.identity && page.purpose != HOIST_PURPOSE_HANDOFF))
		page.mapped = false;
	return page;
}

static struct machine_page direct_page(const struct machine *m, uint64_t address)
{
	struct machine_page page = physical_page(m, address);

	page.rights &= HOIST_RIGHT_WRITE;
	page.purpose = HOIST_PURPOSE_DIRECT_MAP;
	return page;
}

struct machine_page machine_expected(const struct machine *m, uint64_t virt)
{
	const uint64_t window = UINT64_C(0xffffffff00000000);
	const uint64_t direct = m->request.cpu.levels == 5 ? UINT64_C(0xff00000000000000)
							   : UINT64_C(0xffff800000000000);
	const struct elf_image *kernel = &m->kernel;

	if (lies_in(virt, window + PAGE, m->request.stack_size))
		return (struct machine_page){ true, m->layout.stack.base + (virt - window - PAGE),
					      HOIST_RIGHT_WRITE, HOIST_CACHE_WB,
					      HOIST_PURPOSE_STACK };
	for (uint32_t i = 0; i < kernel->range_count; i++) {
		const struct elf_range *range = &kernel->ranges[i];

		if (lies_in(virt, range->virt, range->size))
			return (struct machine_page){ true,
						      m->layout.kernel.base + (virt - kernel->virt),
						      range->rights, HOIST_CACHE_WB,
						      HOIST_PURPOSE_KERNEL };
	}
	return virt < direct ? identity_page(m, virt) : direct_page(m, virt - direct);
}

static const struct hoist_mapping *find_mapping(const struct layout *layout, uint64_t virt)
{
	size_t low = 0, high = layout->mapping_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct hoist_mapping *m = &layout->mappings[middle];

		if (virt < m->address_virt)
			high = middle;
		else if (virt - m->address_virt >= m->size)
			low = middle + 1;
		else
			return m;
	}
	return NULL;
}

static const char *page_fault_at(const struct machine *m, uint64_t virt)
{
	struct machine_page want = machine_expected(m, virt);
	const struct hoist_mapping *got = find_mapping(&m->layout, virt);
	uint32_t free_rights = m->request.cpu.nx ? 0 : HOIST_RIGHT_EXECUTE;

	if (!got)
		return want.mapped ? "a page is not mapped" : NULL;
	if (!want.mapped)
		return "a page is mapped that must not be";
	if (got->address + (virt - got->address_virt) != want.address)
		return "physical address";
	if (got->rights != want.rights)
		return "rights";
	if (got->effective != (want.rights | free_rights))
		return "effective rights";
	if (got->cache != want.cache)
		return "cache type";
	return got->purpose == want.purpose ? NULL : "purpose";
}

static const char *border_fault(const struct machine *m, uint64_t border, uint64_t *ret_where)
{
	uint64_t page = border & ~(PAGE - 1);
	const char *fault = page_fault_at(m, page);

	*ret_where = page;
	if (fault)
		return fault;
	*ret_where = page - PAGE;
	return page_fault_at(m, page - PAGE);
}

/* The borders of a piece of physical memory, in both aliases. */
static const char *piece_fault(const struct machine *m, uint64_t base, uint64_t size,
			       uint64_t *ret_where)
{
	const uint64_t end = base + size + (PAGE - 1);
	const uint64_t borders[] = { base, end, m->layout.direct_map + base,
				     m->layout.direct_map + end };
	const char *fault = NULL;

	for (size_t i = 0; i < 4 && !fault; i++)
		fault = border_fault(m, borders[i], ret_where);
	return fault;
}

/* Neighbours that could be one would make the list depend on how memory came to be. */
static bool could_be_one(const struct hoist_mapping *a, const struct hoist_mapping *b)
{
	return a->address_virt + a->size == b->address_virt && a->address + a->size == b->address &&
	       a->rights == b->rights && a->cache == b->cache && a->purpose == b->purpose;
}

static const char *form_fault(const struct layout *layout, uint64_t *ret_where)
{
	for (size_t i = 0; i < layout->mapping_count; i++) {
		const struct hoist_mapping *m = &layout->mappings[i];

		*ret_where = m->address_virt;
		if (m->address_virt % PAGE || m->address % PAGE || m->size % PAGE || m->size == 0)
			return "no whole pages";
		if ((m->rights & HOIST_RIGHT_WRITE) && (m->rights & HOIST_RIGHT_EXECUTE))
			return "writable and executable";
		if (i > 0 && (m[-1].address_virt >= m->address_virt ||
			      m->address_virt - m[-1].address_virt < m[-1].size))
			return "not ascending, or not disjoint";
		if (i > 0 && could_be_one(m - 1, m))
			return "two mappings that could be one";
	}
	return NULL;
}

static const char *map_borders_fault(const struct machine *m, uint64_t *ret_where)
{
	const char *fault = NULL;

	for (size_t i = 0; i < m->map.count && !fault; i++)
		fault = piece_fault(m, m->map.regions[i].base, m->map.regions[i].size, ret_where);
	for (uint32_t i = 0; i < m->device_count && !fault; i++)
		fault = piece_fault(m, m->devices[i].extent.base, m->devices[i].extent.size,
				    ret_where);
	return fault;
}

static const char *own_borders_fault(const struct machine *m, uint64_t *ret_where)
{
	const struct layout *layout = &m->layout;
	const struct elf_image *kernel = &m->kernel;
	const struct layout_extent extents[] = { m->request.handoff_code, m->request.handoff_data,
						 layout->kernel,          layout->modules,
						 layout->stack,           layout->info,
						 layout->tables };
	const char *fault = border_fault(m, 0, ret_where);

	for (size_t i = 0; i < sizeof(extents) / sizeof(extents[0]) && !fault; i++)
		fault = piece_fault(m, extents[i].base, extents[i].size, ret_where);
	for (uint32_t i = 0; i < kernel->range_count && !fault; i++) {
		const struct elf_range *range = &kernel->ranges[i];

		fault = border_fault(m, range->virt, ret_where);
		if (!fault)
			fault = border_fault(m, range->virt + range->size, ret_where);
		if (!fault)
			fault = piece_fault(m, layout->kernel.base + (range->virt - kernel->virt),
					    range->size, ret_where);
	}
	if (!fault)
		fault = border_fault(m, layout->stack_virt, ret_where);
	return fault ? fault : border_fault(m, layout->stack_virt + layout->stack.size, ret_where);
}

const char *machine_list_fault(const struct machine *m, uint64_t *ret_where)
{
	const struct layout *layout = &m->layout;
	const char *fault = form_fault(layout, ret_where);

	for (size_t i = 0; i < layout->mapping_count && !fault; i++) {
		const struct hoist_mapping *mapping = &layout->mappings[i];

		fault = border_fault(m, mapping->address_virt, ret_where);
		if (!fault)
			fault = border_fault(m, mapping->address_virt + mapping->size, ret_where);
	}
	if (!fault)
		fault = map_borders_fault(m, ret_where);
	return fault ? fault : own_borders_fault(m, ret_where);
}

/* ---- places ---------------------------------------------------------------- */

static bool extents_meet(const struct layout_extent *a, const struct layout_extent *b)
{
	return a->size != 0 && b->size != 0 && a->base < b->base + b->size &&
	       b->base < a->base + a->size;
}

static const char *extent_fault(const struct machine *m, const struct layout_extent *extent)
{
	const struct memmap_region *region = memmap_find(&m->map, extent->base);

	if (extent->size == 0)
		return extent->base == 0 ? NULL : "nothing has an address";
	if (extent->base % PAGE != 0 || extent->size % PAGE != 0)
		return "not whole pages";
	if (extent->base == 0)
		return "at address 0, which means nothing";
	if (!region || region->kind != HOIST_MEMORY_USABLE ||
	    extent->base + extent->size > region->base + region->size)
		return "not in one piece of usable memory";
	return NULL;
}

static const char *size_fault(const struct machine *m)
{
	const struct layout *layout = &m->layout;
	uint64_t modules = 0;

	for (uint32_t i = 0; i < m->request.module_count; i++) {
		uint64_t size = m->module_sizes[i];

		if (layout_module(&m->request, layout, i) !=
		    (size ? layout->modules.base + modules : 0))
			return "place of a module";
		modules += (size + PAGE - 1) / PAGE * PAGE;
	}
	if (layout->kernel.size != m->kernel.size || layout->modules.size != modules ||
	    layout->stack.size != m->request.stack_size ||
	    layout->info.size != m->request.info_size ||
	    layout->tables.size != layout->plan.tables * PAGE)
		return "size of a place";
	return NULL;
}

static bool region_is_taken(const struct machine *m, const struct memmap_region *region)
{
	const struct layout *layout = &m->layout;
	const struct layout_extent *extents[] = { &layout->kernel, &layout->modules, &layout->stack,
						  &layout->info, &layout->tables };
	const struct layout_extent all = { region->base, region->size };

	for (size_t i = 0; i < sizeof(extents) / sizeof(extents[0]); i++) {
		if (extents_meet(&all, extents[i]))
			return true;
	}
	return false;
}

/* It lies low, and is not missing while there is low memory that nothing else uses. */
static const char *startup_fault(const struct machine *m)
{
	const struct layout_extent *startup = &m->layout.startup;

	if (startup->size != 0)
		return startup->size == PAGE && startup->base < 0xa0000
			       ? NULL
			       : "the page for starting processors is none, or high";
	for (size_t i = 0; i < m->map.count && m->map.regions[i].base < 0xa0000; i++) {
		const struct memmap_region *region = &m->map.regions[i];

		if (region->kind == HOIST_MEMORY_USABLE && !region_is_taken(m, region) &&
		    (region->base != 0 || region->size > PAGE))
			return "no page for starting processors";
	}
	return NULL;
}

const char *machine_place_fault(const struct machine *m)
{
	const struct layout *layout = &m->layout;
	const struct layout_extent *extents[] = {
		&layout->kernel,          &layout->modules,
		&layout->stack,           &layout->info,
		&layout->tables,          &layout->startup,
		&m->request.handoff_code, &m->request.handoff_data
	};
	const size_t count = sizeof(extents) / sizeof(extents[0]);

	for (size_t i = 0; i < count; i++) {
		const char *fault = i < 6 ? extent_fault(m, extents[i]) : NULL;

		if (fault)
			return fault;
		for (size_t j = i + 1; j < count; j++) {
			if (extents_meet(extents[i], extents[j]))
				return "two of them overlap";
		}
	}
	if ((layout->kernel.base - m->kernel.virt) % m->kernel.alignment != 0)
		return "the kernel is not aligned as its address is";
	if (startup_fault(m))
		return startup_fault(m);
	return size_fault(m);
}

/* ---- the fewest tables ------------------------------------------------------- */

struct key_set {
	uint64_t *keys;
	size_t count, capacity;
};

static void key_add(struct key_set *set, unsigned level, uint64_t index)
{
	uint64_t key = (uint64_t)level << 60 | index;

	if (set->count > 0 && set->keys[set->count - 1] == key)
		return;
	if (set->count == set->capacity) {
		set->capacity = 2 * set->capacity + 1024;
		set->keys = realloc(set->keys, set->capacity * sizeof(*set->keys));
		if (!set->keys)
			abort();
	}
	set->keys[set->count++] = key;
}

static int key_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The spans of 2^shift bytes that pages first..last (inclusive) touch. */
static void key_add_spans(struct key_set *set, unsigned level, uint64_t first, uint64_t last)
{
	unsigned shift = 9 * level; /* of pages */

	for (uint64_t index = first >> shift; index <= last >> shift; index++)
		key_add(set, level, index);
}

/*
 * The tables of one level that a mapping needs: those whose span it touches,
 * but for spans that are leaves themselves or lie in larger ones. These are
 * in the middle of the mapping, where both addresses are aligned.
 */
static void add_level(struct key_set *set, const struct machine *m, const struct hoist_mapping *map,
		      unsigned level)
{
	const struct pt_cpu *cpu = &m->request.cpu;
	uint64_t unit = UINT64_C(1) << (9 * level); /* pages in a leaf of the level above */
	uint64_t first = map->address_virt / PAGE, end = first + map->size / PAGE;
	uint64_t low = (first + unit - 1) / unit * unit, high = end / unit * unit;

	if (level + 1 > cpu->max_leaf || (first - map->address / PAGE) % unit != 0 || low >= high) {
		key_add_spans(set, level, first, end - 1);
		return;
	}
	if (first < low)
		key_add_spans(set, level, first, low - 1);
	if (high < end)
		key_add_spans(set, level, high, end - 1);
}

uint64_t machine_least_tables(const struct machine *m)
{
	struct key_set set = { 0 };
	uint64_t count = 1; /* the root */

	for (unsigned level = 1; level < m->request.cpu.levels; level++) {
		for (size_t i = 0; i < m->layout.mapping_count; i++)
			add_level(&set, m, &m->layout.mappings[i], level);
	}
	if (set.count > 0)
		qsort(set.keys, set.count, sizeof(*set.keys), key_compare);
	for (size_t i = 0; i < set.count; i++)
		count += i == 0 || set.keys[i] != set.keys[i - 1];
	free(set.keys);
	return count;
}
