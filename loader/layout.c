#include "loader/layout.h"

#define PAGE  ((uint64_t)HOIST_PAGE_SIZE)
#define LARGE UINT64_C(0x200000)
#define HUGE  UINT64_C(0x40000000)

/* EFI memory attributes (UEFI 2.10, 7.2.3). */
#define EFI_WC 0x2u
#define EFI_WT 0x4u
#define EFI_WB 0x8u

static enum loader_status fail(struct loader_error *ret_error, enum loader_status status,
			       const char *field, uint64_t value, const char *expected)
{
	*ret_error = (struct loader_error){ .status = status,
					    .where = "layout",
					    .index = LOADER_NO_INDEX,
					    .field = field,
					    .value = value,
					    .expected = expected };
	return status;
}

static uint64_t whole_pages(uint64_t size)
{
	return align_up(size, PAGE);
}

/* ---- placement ------------------------------------------------------------ */

/* A block that wants a place, congruent to `phase` modulo `align`. */
struct wish {
	uint64_t size, align, phase;
};

/* The highest base at or below `top` that has the right phase; it may wrap. */
static uint64_t in_phase(const struct wish *wish, uint64_t top)
{
	return top - ((top - wish->phase) & (wish->align - 1));
}

/* The highest base in a region, not crossing a multiple of `boundary` (0: any). */
static bool place_in_region(const struct memmap_region *region, const struct wish *wish,
			    uint64_t boundary, uint64_t *ret_base)
{
	uint64_t highest = region->base + (region->size - wish->size);
	uint64_t base = in_phase(wish, highest);
	uint64_t last = base + (wish->size - 1);

	if (boundary && (base ^ last) >= boundary)
		base = in_phase(wish, align_down(last, boundary) - wish->size);
	if (base < region->base || base > highest)
		return false;
	if (base == 0) /* says in many places that there is nothing */
		return false;
	if (boundary && (base ^ (base + (wish->size - 1))) >= boundary)
		return false;
	*ret_base = base;
	return true;
}

/* Of what is left on both sides of a block, the larger: the other is a gap of its alignment. */
static void cut_off(struct memmap_region *region, uint64_t base, uint64_t size)
{
	uint64_t below = base - region->base, above = region->size - below - size;

	if (above > below)
		region->base = base + size;
	region->size = above > below ? above : below;
}

/* The highest address in `free` where the block fits, which is then cut off. */
static bool place_within(struct memmap *free, const struct wish *wish, uint64_t boundary,
			 uint64_t *ret_base)
{
	for (size_t i = free->count; i-- > 0;) {
		struct memmap_region *r = &free->regions[i];

		if (r->kind != HOIST_MEMORY_USABLE || r->size < wish->size ||
		    !place_in_region(r, wish, boundary, ret_base))
			continue;
		cut_off(r, *ret_base, wish->size);
		return true;
	}
	return false;
}

/* Crossing 1 GiB only where nothing else is left. */
static bool place(struct memmap *free, uint64_t size, uint64_t align, uint64_t phase,
		  struct layout_extent *ret_extent)
{
	struct wish wish = { size, align, phase };
	uint64_t base = 0;

	if (size != 0 && !(size <= HUGE && place_within(free, &wish, HUGE, &base)) &&
	    !place_within(free, &wish, 0, &base))
		return false;
	*ret_extent = (struct layout_extent){ base, size };
	return true;
}

/* Stands for all sums that are not less: a file system can announce any size. */
#define MODULES_MAX (UINT64_C(1) << 56)

static uint64_t modules_size(const struct layout_request *request)
{
	uint64_t size = 0;

	for (uint32_t i = 0; i < request->module_count; i++) {
		if (request->module_sizes[i] >= MODULES_MAX - size)
			return MODULES_MAX;
		size += whole_pages(request->module_sizes[i]);
	}
	return size;
}

/*
 * One block for all if there is such a hole: the image, then the modules, then
 * what is written. So at most three borders between read-only and writable
 * pages cut large leaves, whatever the number of modules.
 */
static bool place_together(const struct layout_request *request, struct memmap *free,
			   uint64_t align, struct layout *layout)
{
	uint64_t kernel = request->kernel->size, modules = modules_size(request);
	uint64_t size = kernel + modules + request->stack_size + request->info_size;
	struct layout_extent all;

	if (!place(free, size, align, request->kernel->virt, &all))
		return false;
	layout->kernel = (struct layout_extent){ all.base, kernel };
	layout->modules = (struct layout_extent){ modules ? all.base + kernel : 0, modules };
	layout->stack = (struct layout_extent){ all.base + kernel + modules, request->stack_size };
	layout->info = (struct layout_extent){ layout->stack.base + request->stack_size,
					       request->info_size };
	return true;
}

static enum loader_status place_apart(const struct layout_request *request, struct memmap *free,
				      uint64_t align, struct layout *layout,
				      struct loader_error *ret_error)
{
	static const char expected[] = "as many bytes of free memory in one piece";
	uint64_t kernel = request->kernel->size, modules = modules_size(request);

	if (!place(free, kernel, align, request->kernel->virt, &layout->kernel) &&
	    !place(free, kernel, request->kernel->alignment, request->kernel->virt,
		   &layout->kernel))
		return fail(ret_error, LOADER_ERR_MEMORY, "kernel image", kernel, expected);
	if (!place(free, modules, PAGE, 0, &layout->modules))
		return fail(ret_error, LOADER_ERR_MEMORY, "modules", modules, expected);
	if (!place(free, request->stack_size, PAGE, 0, &layout->stack))
		return fail(ret_error, LOADER_ERR_MEMORY, "stack", request->stack_size, expected);
	if (!place(free, request->info_size, PAGE, 0, &layout->info))
		return fail(ret_error, LOADER_ERR_MEMORY, "boot information", request->info_size,
			    expected);
	return LOADER_OK;
}

static enum loader_status place_all(const struct layout_request *request, struct memmap *free,
				    struct layout *layout, struct loader_error *ret_error)
{
	uint64_t least = request->kernel->alignment, align = least;

	if (align < LARGE && request->kernel->size >= LARGE)
		align = LARGE;
	if (place_together(request, free, align, layout) ||
	    place_together(request, free, least, layout))
		return LOADER_OK;
	return place_apart(request, free, align, layout, ret_error);
}

/* After all others, which lie high where they can: a boot does not fail for want of it. */
static void place_startup(const struct memmap *free, struct layout *layout)
{
	layout->startup = (struct layout_extent){ 0, 0 };
	for (size_t i = free->count; i-- > 0;) {
		const struct memmap_region *r = &free->regions[i];

		if (r->kind != HOIST_MEMORY_USABLE || r->size == 0 || r->base >= LAYOUT_STARTUP_END)
			continue;

		uint64_t left = LAYOUT_STARTUP_END - r->base;
		uint64_t base = r->base + (r->size < left ? r->size : left) - PAGE;

		if (base == 0)
			continue;
		layout->startup = (struct layout_extent){ base, PAGE };
		return;
	}
}

uint64_t layout_module(const struct layout_request *request, const struct layout *layout,
		       uint32_t index)
{
	uint64_t base = layout->modules.base;

	if (request->module_sizes[index] == 0)
		return 0;
	for (uint32_t i = 0; i < index; i++)
		base += whole_pages(request->module_sizes[i]);
	return base;
}

/* ---- what memory is like ---------------------------------------------------- */

/* Whether memory of this kind is mapped, and how; the table in docs/handoff.md. */
static bool kind_is_mapped(const struct memmap_region *region, uint32_t *ret_cache)
{
	switch ((enum hoist_memory_kind)region->kind) {
	case HOIST_MEMORY_RESERVED:
	case HOIST_MEMORY_BAD:
	case HOIST_MEMORY_UNACCEPTED:
		return false;
	case HOIST_MEMORY_MMIO:
		*ret_cache = HOIST_CACHE_UC;
		return true;
	case HOIST_MEMORY_USABLE:
	case HOIST_MEMORY_RECLAIMABLE:
	case HOIST_MEMORY_KERNEL:
	case HOIST_MEMORY_PAGE_TABLES:
	case HOIST_MEMORY_STACK:
	case HOIST_MEMORY_MODULE:
	case HOIST_MEMORY_ACPI_RECLAIM:
	case HOIST_MEMORY_ACPI_NVS:
	case HOIST_MEMORY_RUNTIME_CODE:
	case HOIST_MEMORY_RUNTIME_DATA:
	case HOIST_MEMORY_PERSISTENT:
	case HOIST_MEMORY_SPECIAL:
		break;
	}
	if (region->attributes & EFI_WB)
		*ret_cache = HOIST_CACHE_WB;
	else if (region->attributes & EFI_WT)
		*ret_cache = HOIST_CACHE_WT;
	else if (region->attributes & EFI_WC)
		*ret_cache = HOIST_CACHE_WC;
	else
		*ret_cache = HOIST_CACHE_UC;
	return true;
}

static bool spans_from_map(struct span_list *list, const struct memmap *map)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct memmap_region *r = &map->regions[i];
		uint32_t cache;

		if (kind_is_mapped(r, &cache) &&
		    !span_add(list, (struct span){ .base = r->base,
						   .size = r->size,
						   .rights = HOIST_RIGHT_WRITE,
						   .cache = cache }))
			return false;
	}
	return true;
}

/* ---- what lies on top of plain memory -------------------------------------- */

/* Kernel ranges, modules, code and data of the last step. */
#define OVERLAYS_MAX (ELF_MAX_RANGES + 3)

struct overlays {
	struct span spans[OVERLAYS_MAX];
	size_t count;
};

/* Inserts in ascending order. */
static void overlay_add(struct overlays *o, struct layout_extent extent, uint32_t rights,
			bool handoff)
{
	size_t i = o->count++;

	for (; i > 0 && o->spans[i - 1].base > extent.base; i--)
		o->spans[i] = o->spans[i - 1];
	o->spans[i] = (struct span){ extent.base, extent.size, rights, HOIST_CACHE_WB, handoff };
}

/* What may not be written through an alias, and what is needed in the last step. */
static void overlays_collect(const struct layout_request *request, const struct layout *layout,
			     struct overlays *ret)
{
	const struct elf_image *kernel = request->kernel;

	ret->count = 0;
	for (uint32_t i = 0; i < kernel->range_count; i++) {
		const struct elf_range *range = &kernel->ranges[i];
		uint64_t base = layout->kernel.base + (range->virt - kernel->virt);

		if (!(range->rights & HOIST_RIGHT_WRITE))
			overlay_add(ret, (struct layout_extent){ base, range->size }, 0, false);
	}
	overlay_add(ret, layout->modules, 0, false);
	overlay_add(ret, request->handoff_code, HOIST_RIGHT_EXECUTE, true);
	overlay_add(ret, request->handoff_data, HOIST_RIGHT_WRITE, true);
}

/* ---- the list ------------------------------------------------------------- */

struct writer {
	const struct layout_request *request;
	struct layout *layout;
	bool full;
};

/* Puts a mapping in its place; nearly always that is the end. */
static void mapping_add(struct writer *w, struct hoist_mapping m)
{
	struct layout *layout = w->layout;
	size_t i = layout->mapping_count;

	if (i == layout->capacity) {
		w->full = true;
		return;
	}
	m.effective = m.rights | (w->request->cpu.nx ? 0 : HOIST_RIGHT_EXECUTE);
	for (; i > 0 && layout->mappings[i - 1].address_virt > m.address_virt; i--)
		layout->mappings[i] = layout->mappings[i - 1];
	layout->mappings[i] = m;
	layout->mapping_count++;
}

static void add_identity(struct writer *w, const struct span_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		struct span s = list->spans[i];

		if (!s.handoff && !w->request->identity)
			continue;
		if (s.base == 0) { /* a NULL pointer must fault */
			s.base += PAGE;
			s.size -= PAGE;
		}
		if (s.size != 0)
			mapping_add(w, (struct hoist_mapping){
					       .address_virt = s.base,
					       .address = s.base,
					       .size = s.size,
					       .rights = s.rights,
					       .cache = s.cache,
					       .purpose = s.handoff ? HOIST_PURPOSE_HANDOFF
								    : HOIST_PURPOSE_IDENTITY });
	}
}

static bool same_in_direct_map(const struct hoist_mapping *m, const struct span *s,
			       uint64_t direct_map)
{
	return m->purpose == HOIST_PURPOSE_DIRECT_MAP && m->address + m->size == s->base &&
	       m->address_virt == m->address + direct_map && m->cache == s->cache &&
	       m->rights == (s->rights & HOIST_RIGHT_WRITE);
}

static void add_direct_map(struct writer *w, const struct span_list *list)
{
	struct layout *layout = w->layout;

	for (size_t i = 0; i < list->count; i++) {
		const struct span *s = &list->spans[i];
		struct hoist_mapping *before =
			layout->mapping_count ? &layout->mappings[layout->mapping_count - 1] : NULL;

		/* Here the code of the last step is memory like any other, but read-only. */
		if (before && same_in_direct_map(before, s, layout->direct_map))
			before->size += s->size;
		else
			mapping_add(w, (struct hoist_mapping){
					       .address_virt = s->base + layout->direct_map,
					       .address = s->base,
					       .size = s->size,
					       .rights = s->rights & HOIST_RIGHT_WRITE,
					       .cache = s->cache,
					       .purpose = HOIST_PURPOSE_DIRECT_MAP });
	}
}

static void add_kernel_and_stack(struct writer *w)
{
	const struct elf_image *kernel = w->request->kernel;
	struct layout *layout = w->layout;

	mapping_add(w, (struct hoist_mapping){ .address_virt = layout->stack_virt,
					       .address = layout->stack.base,
					       .size = layout->stack.size,
					       .rights = HOIST_RIGHT_WRITE,
					       .cache = HOIST_CACHE_WB,
					       .purpose = HOIST_PURPOSE_STACK });
	for (uint32_t i = 0; i < kernel->range_count; i++) {
		const struct elf_range *range = &kernel->ranges[i];

		mapping_add(w, (struct hoist_mapping){ .address_virt = range->virt,
						       .address = layout->kernel.base +
								  (range->virt - kernel->virt),
						       .size = range->size,
						       .rights = range->rights,
						       .cache = HOIST_CACHE_WB,
						       .purpose = HOIST_PURPOSE_KERNEL });
	}
}

/* ---- checks ---------------------------------------------------------------- */

static bool ranges_meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

/* That memory ends where the windows do, and the kernel meets none of them. */
static enum loader_status check_windows(const struct layout_request *request,
					const struct layout *layout, const struct span_list *list,
					struct loader_error *ret_error)
{
	const struct elf_image *kernel = request->kernel;
	const struct span *highest = list->count ? &list->spans[list->count - 1] : NULL;
	uint64_t last = highest ? highest->base + (highest->size - 1) : 0;

	/* The lower half is larger: what the direct map holds, the identity map does. */
	if (last >= LAYOUT_STACK_WINDOW - layout->direct_map)
		return fail(ret_error, LOADER_ERR_ADDRESS, "last byte of memory", last,
			    "inside the window of the direct map");
	if (ranges_meet(kernel->virt, kernel->size, layout->direct_map, last + 1))
		return fail(ret_error, LOADER_ERR_ADDRESS, "kernel", kernel->virt,
			    "linked above the direct map");
	if (ranges_meet(kernel->virt, kernel->size, LAYOUT_STACK_WINDOW, LAYOUT_STACK_WINDOW_SIZE))
		return fail(ret_error, LOADER_ERR_ADDRESS, "kernel", kernel->virt,
			    "linked outside of the stack window");
	return LOADER_OK;
}

static uint64_t direct_map_of(const struct pt_cpu *cpu)
{
	return cpu->levels == 5 ? LAYOUT_DIRECT_MAP_5 : LAYOUT_DIRECT_MAP_4;
}

uint64_t layout_limit(const struct pt_cpu *cpu)
{
	uint64_t window = LAYOUT_STACK_WINDOW - direct_map_of(cpu);
	uint64_t physical = UINT64_C(1) << cpu->phys_bits;

	return physical < window ? physical : window;
}

enum loader_status layout_map(const struct layout_request *request, struct layout *layout,
			      struct loader_error *ret_error)
{
	struct span_list list = { layout->spans[0], 0, layout->capacity };
	struct span_list other = { layout->spans[1], 0, layout->capacity };
	struct writer writer = { .request = request, .layout = layout };
	struct overlays overlays;

	layout->mapping_count = 0;
	layout->direct_map = direct_map_of(&request->cpu);
	layout->stack_virt = LAYOUT_STACK_WINDOW + PAGE;
	overlays_collect(request, layout, &overlays);
	if (!spans_from_map(&list, request->map) ||
	    !span_overlay(&list, request->devices, request->device_count, &other) ||
	    !span_overlay(&other, overlays.spans, overlays.count, &list))
		return fail(ret_error, LOADER_ERR_CAPACITY, "mappings", layout->capacity,
			    "fewer pieces of memory");

	enum loader_status status = check_windows(request, layout, &list, ret_error);

	if (status != LOADER_OK)
		return status;
	add_identity(&writer, &list);
	add_direct_map(&writer, &list);
	add_kernel_and_stack(&writer);
	if (writer.full)
		return fail(ret_error, LOADER_ERR_CAPACITY, "mappings", layout->capacity,
			    "fewer pieces of memory");
	return LOADER_OK;
}

/* ---- counting, and all together -------------------------------------------- */

static struct pt_mapping pt_mapping_of(const struct hoist_mapping *mapping)
{
	return (struct pt_mapping){
		.va = virt(mapping->address_virt),
		.pa = phys(mapping->address),
		.pages = mapping->size / HOIST_PAGE_SIZE,
		.attr = { (mapping->rights & HOIST_RIGHT_WRITE ? PT_WRITE : 0u) |
				  (mapping->rights & HOIST_RIGHT_EXECUTE ? PT_EXEC : 0u),
			  (enum pt_cache)mapping->cache },
	};
}

static enum loader_status count_tables(const struct layout_request *request, struct layout *layout,
				       struct loader_error *ret_error)
{
	struct pt_plan plan;
	size_t at = 0;

	for (size_t i = 0; i < layout->mapping_count; i++)
		layout->pt_list[i] = pt_mapping_of(&layout->mappings[i]);

	enum pt_status status = pt_plan_list(&request->cpu, layout->pt_list, layout->mapping_count,
					     &plan, &at);

	if (status != PT_OK) {
		fail(ret_error, LOADER_ERR_TABLES, "address", layout->mappings[at].address,
		     status == PT_ERR_PHYS ? "an end below the physical address width"
					   : pt_strerror(status));
		ret_error->where = "mapping";
		ret_error->index = (uint32_t)at;
		return LOADER_ERR_TABLES;
	}
	layout->plan = plan;
	return LOADER_OK;
}

enum loader_status layout_plan(const struct layout_request *request, struct memmap *free,
			       struct layout *layout, struct loader_error *ret_error)
{
	enum loader_status status = place_all(request, free, layout, ret_error);

	if (status == LOADER_OK)
		status = layout_map(request, layout, ret_error);
	if (status == LOADER_OK)
		status = count_tables(request, layout, ret_error);
	if (status != LOADER_OK)
		return status;

	/* Tables are writable memory like their neighbours: where they lie changes no mapping. */
	uint64_t size = layout->plan.tables * PAGE;

	if (!place(free, size, PAGE, 0, &layout->tables))
		return fail(ret_error, LOADER_ERR_MEMORY, "page tables", size,
			    "as many bytes of free memory in one piece");
	place_startup(free, layout);
	return LOADER_OK;
}

size_t layout_room(size_t regions, uint32_t devices)
{
	size_t spans = regions + 2 * ((size_t)devices + OVERLAYS_MAX) + 1;

	return 2 * spans + (size_t)ELF_MAX_RANGES + 1;
}

bool layout_same_mappings(const struct layout *a, const struct layout *b)
{
	return a->mapping_count == b->mapping_count &&
	       __builtin_memcmp(a->mappings, b->mappings,
				a->mapping_count * sizeof(a->mappings[0])) == 0;
}
