#include "efi/plan.h"

#include "efi/console.h"
#include "efi/memory.h"
#include "loader/audit.h"
#include "loader/switch.h"

#define TRIES 8
/* What must be mapped: see collect_needs(). */
#define NEEDS 7
/* Descriptors that may come to the map while we work; each of ours can split one. */
#define SLACK 64
/* Regions beside the firmware's and devices: page 0, and what hoist placed. */
#define OWN_REGIONS 8

/* ---- room --------------------------------------------------------------------- */

/* The next `size` bytes from *at on, which moves. */
static void *divide(uintptr_t *at, size_t size)
{
	void *ret = (void *)*at;

	*at += align_up(size, 16);
	return ret;
}

/* Divides the block at `base` among the arrays; returns where it ends. */
static uintptr_t work_divide(struct boot *boot, uintptr_t base, UINTN map_size, size_t regions)
{
	struct plan_work *work = &boot->work;
	struct layout *layout = &boot->layout;
	size_t normal = memmap_worst_case(regions);
	size_t room = layout_room(normal, boot->request.device_count);

	work->firmware.room = map_size;
	work->firmware.descriptors = divide(&base, map_size);
	work->raw.capacity = regions;
	work->raw.regions = divide(&base, regions * sizeof(*work->raw.regions));
	work->scratch = divide(&base, regions * sizeof(*work->scratch));
	boot->map.capacity = normal;
	boot->map.regions = divide(&base, normal * sizeof(*boot->map.regions));
	work->free.capacity = normal;
	work->free.regions = divide(&base, normal * sizeof(*work->free.regions));
	layout->capacity = room;
	layout->spans[0] = divide(&base, room * sizeof(*layout->spans[0]));
	layout->spans[1] = divide(&base, room * sizeof(*layout->spans[1]));
	layout->mappings = divide(&base, room * sizeof(*layout->mappings));
	layout->pt_list = divide(&base, room * sizeof(*layout->pt_list));
	work->check = divide(&base, room * sizeof(*work->check));
	return base;
}

/* Takes work areas that are large enough for the map as it is, and some more. */
static EFI_STATUS work_take(struct boot *boot)
{
	UINTN size, stride;
	EFI_STATUS status = memory_map_size(&size, &stride);

	if (EFI_ERROR(status))
		return status;

	UINTN map_size = size + SLACK * stride;
	size_t regions = map_size / stride + OWN_REGIONS + boot->request.device_count;

	memory_give(boot, &boot->work.extent);
	status = memory_take(boot, work_divide(boot, 0, map_size, regions), &boot->work.extent);
	if (EFI_ERROR(status))
		return status;
	work_divide(boot, boot->work.extent.base, map_size, regions);
	return EFI_SUCCESS;
}

/* ---- the map -------------------------------------------------------------------- */

/* The firmware's map, devices that it does not tell of, and what hoist placed. */
static bool collect(struct boot *boot, bool placed)
{
	struct memmap *raw = &boot->work.raw;

	raw->count = 0;
	if (!memory_translate(&boot->work.firmware, raw))
		return false;
	for (uint32_t i = 0; i < boot->request.device_count; i++) {
		const struct span *device = &boot->request.devices[i];

		if (!memmap_add(raw, device->base, device->size, HOIST_MEMORY_MMIO, 0))
			return false;
	}
	return !placed || bootinfo_add_regions(raw, &boot->map, &boot->layout);
}

EFI_STATUS plan_use_map(struct boot *boot, bool placed)
{
	EFI_STATUS status = memory_read_map(&boot->work.firmware);

	if (EFI_ERROR(status))
		return status;
	if (!collect(boot, placed) ||
	    !memmap_normalise(&boot->work.raw, boot->work.scratch, &boot->map))
		return EFI_BUFFER_TOO_SMALL;
	return EFI_SUCCESS;
}

bool plan_still_holds(const struct boot *boot)
{
	struct layout now = boot->layout;
	struct loader_error error;

	now.mappings = boot->work.check;
	return layout_map(&boot->request, &now, &error) == LOADER_OK &&
	       layout_same_mappings(&now, &boot->layout);
}

/* ---- planning -------------------------------------------------------------------- */

static void request_prepare(struct boot *boot)
{
	uintptr_t code = (uintptr_t)switch_code, data = (uintptr_t)switch_data;
	struct layout_request *request = &boot->request;
	struct bootinfo_source *source = &boot->source;

	request->map = &boot->map;
	request->kernel = &boot->kernel;
	request->stack_size = boot->choice.stack_size;
	request->identity = boot->choice.identity;
	request->module_sizes = boot->module_sizes;
	request->module_count = boot->config.module_count;
	request->handoff_code = (struct layout_extent){ code, (uintptr_t)switch_code_end - code };
	request->handoff_data = (struct layout_extent){ data, (uintptr_t)switch_data_end - data };
	source->config = &boot->config;
	source->request = request;
	source->layout = &boot->layout;
	source->memory_room = (uint32_t)boot->map.capacity;
	source->efi_map_room = (uint32_t)boot->work.firmware.room;
	request->info_size = bootinfo_size(source);
}

/* Everything at once: the last allocation before the exit. */
static EFI_STATUS reserve(struct boot *boot)
{
	const struct layout *layout = &boot->layout;
	const struct layout_extent *const parts[] = { &layout->kernel, &layout->modules,
						      &layout->stack,  &layout->info,
						      &layout->tables, &layout->startup };
	EFI_STATUS status = EFI_SUCCESS;

	for (size_t i = 0; i < 6 && !EFI_ERROR(status); i++)
		status = memory_take_at(boot, parts[i]);
	if (EFI_ERROR(status))
		plan_undo(boot);
	return status;
}

void plan_undo(struct boot *boot)
{
	struct layout *layout = &boot->layout;

	memory_give(boot, &layout->kernel);
	memory_give(boot, &layout->modules);
	memory_give(boot, &layout->stack);
	memory_give(boot, &layout->info);
	memory_give(boot, &layout->tables);
	memory_give(boot, &layout->startup);
}

/* One plan; *ret_again: the firmware did not keep still, another may do. */
static bool try_plan(struct boot *boot, bool *ret_again)
{
	struct loader_error error;
	EFI_STATUS status = work_take(boot);

	*ret_again = false;
	if (EFI_ERROR(status)) {
		console_fail("memory", L"work area: AllocatePages is \"%r\"", status);
		return boot_fail(boot, status);
	}
	status = plan_use_map(boot, false);
	*ret_again = EFI_ERROR(status);
	if (EFI_ERROR(status))
		return boot_fail(boot, status);
	request_prepare(boot);

	struct memmap *free = &boot->work.free;

	free->count = boot->map.count;
	__builtin_memcpy(free->regions, boot->map.regions, free->count * sizeof(*free->regions));
	if (layout_plan(&boot->request, free, &boot->layout, &error) != LOADER_OK) {
		console_error("memory", &error);
		return boot_fail(boot, EFI_OUT_OF_RESOURCES);
	}
	status = reserve(boot);
	*ret_again = EFI_ERROR(status);
	return EFI_ERROR(status) ? boot_fail(boot, status) : true;
}

bool plan_make(struct boot *boot)
{
	for (unsigned i = 0; i < TRIES; i++) {
		bool again;

		if (try_plan(boot, &again))
			return true;
		if (!again)
			return false;
	}
	console_fail("memory",
		     L"plan: reservation is \"%r\" %d times, expected a map that keeps still",
		     boot->status, TRIES);
	return false;
}

/* ---- tables ---------------------------------------------------------------------- */

static bool fail_tables(struct boot *boot, enum pt_status status, uint64_t address)
{
	console_fail("page tables", L"mapping of 0x%lx: %a", address, pt_strerror(status));
	return boot_fail(boot, EFI_ABORTED);
}

static struct audit_need need(const struct layout_extent *extent, uint64_t virt, uint32_t rights)
{
	return (struct audit_need){ virt, extent->base, extent->size, rights };
}

/* The switch, last words, and the first instruction with all that it is promised. */
static size_t collect_needs(const struct boot *boot, struct audit_need ret_needs[NEEDS])
{
	const uint32_t write = HOIST_RIGHT_WRITE, execute = HOIST_RIGHT_EXECUTE;
	const struct layout_extent *code = &boot->request.handoff_code;
	const struct layout_extent *data = &boot->request.handoff_data;
	const struct layout *l = &boot->layout;
	struct layout_extent entry = { l->kernel.base + (boot->kernel.entry - boot->kernel.virt),
				       1 };
	struct layout_extent fb = { boot->source.info.framebuffer.address,
				    boot->source.info.framebuffer.size };
	size_t n = 0;

	ret_needs[n++] = need(code, code->base, execute);
	ret_needs[n++] = need(data, data->base, write);
	ret_needs[n++] = need(&entry, boot->kernel.entry, execute);
	ret_needs[n++] = need(&l->stack, l->stack_virt, write);
	ret_needs[n++] = need(&l->info, l->direct_map + l->info.base, write);
	ret_needs[n++] = need(&l->tables, l->direct_map + l->tables.base, write);
	if (fb.size != 0)
		ret_needs[n++] = need(&fb, l->direct_map + fb.base, write);
	return n;
}

static bool audit(struct boot *boot)
{
	const struct layout *layout = &boot->layout;
	const struct pt_cpu *cpu = &boot->request.cpu;
	struct audit_need needs[NEEDS];
	struct audit_request request = {
		.tables = boot_pointer(layout->tables.base),
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
		.needs = needs,
		.need_count = collect_needs(boot, needs),
	};
	struct loader_error error;

	if (audit_tables(&request, &error) == LOADER_OK)
		return true;
	console_error("audit", &error);
	return boot_fail(boot, EFI_ABORTED);
}

bool plan_build_tables(struct boot *boot)
{
	const struct layout *layout = &boot->layout;
	uint64_t base = layout->tables.base;
	struct pt_block block = { phys(base), layout->plan.tables, 0 };
	struct pt_tables tables = pt_block_tables(&block);
	struct pt_mem mem = { .window = boot_pointer(base),
			      .first = phys(base),
			      .last = phys(base + layout->tables.size - HOIST_PAGE_SIZE) };
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_space space;
	enum pt_status status = pt_init(&space, &boot->request.cpu, &mem, &tables);

	if (status != PT_OK)
		return fail_tables(boot, status, 0);
	for (size_t i = 0; i < layout->mapping_count; i++) {
		status = pt_map(&space, &layout->pt_list[i], NULL, &flush);
		if (status != PT_OK)
			return fail_tables(boot, status, layout->pt_list[i].va.raw);
	}
	boot_mark(boot, HOIST_PHASE_TABLES);

	bool good = audit(boot);

	boot_mark(boot, HOIST_PHASE_AUDIT);
	return good;
}
