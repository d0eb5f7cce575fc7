#include "efi/hardware.h"

#include "efi/console.h"
#include "efi/memory.h"

#define PAGE ((uint64_t)HOIST_PAGE_SIZE)

/* Where PCs keep the RSDP, mapped whether the memory map has it or not (ACPI 6.5, 5.2.5.1). */
#define LEGACY_BASE UINT64_C(0xe0000)
#define LEGACY_SIZE UINT64_C(0x20000)

#define MOST_PAGES (ACPI_TABLE_MAX / PAGE + 1)

/* ---- reading ------------------------------------------------------------------ */

static bool in_descriptor(const EFI_MEMORY_DESCRIPTOR *d, uint64_t address)
{
	return address >= d->PhysicalStart &&
	       (address - d->PhysicalStart) / PAGE < d->NumberOfPages;
}

/* Whether reading has no effect and cannot fail: RAM, or flash that is cached. */
static bool is_readable(const EFI_MEMORY_DESCRIPTOR *d)
{
	enum hoist_memory_kind kind = memory_kind(d);

	return kind != HOIST_MEMORY_MMIO && kind != HOIST_MEMORY_BAD &&
	       kind != HOIST_MEMORY_UNACCEPTED;
}

/* Bytes from `address` on that can be read. */
static uint64_t readable_bytes(const struct memory_map *map, uint64_t address)
{
	for (UINTN at = 0; at + map->stride <= map->size; at += map->stride) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map->descriptors + at);

		uint64_t pages = d->NumberOfPages - (address - d->PhysicalStart) / PAGE;

		/* No table is longer than that; a count of pages can be anything. */
		if (in_descriptor(d, address) && is_readable(d))
			return (pages < MOST_PAGES ? pages : MOST_PAGES) * PAGE - address % PAGE;
	}
	if (address - LEGACY_BASE < LEGACY_SIZE)
		return LEGACY_BASE + LEGACY_SIZE - address;
	return 0;
}

/* For acpi_read(). Memory of the map is identity-mapped (UEFI 2.10, 2.3.4). */
static const uint8_t *read_physical(const void *context, uint64_t address, uint64_t size)
{
	uint64_t done = 0;

	while (done < size) {
		uint64_t bytes = readable_bytes(context, address + done);

		if (bytes == 0)
			return NULL;
		if (bytes >= size - done)
			break;
		done += bytes;
	}
	return boot_pointer(address);
}

/* ---- room --------------------------------------------------------------------- */

/* The next `count` elements from *at on, which moves. */
static void *divide(uintptr_t *at, size_t count, size_t size)
{
	void *ret = (void *)*at;

	*at += align_up(count * size, 16);
	return ret;
}

/* Divides the block at `base` among the arrays, as the counts say; returns where it ends. */
static uintptr_t room_divide(struct acpi *acpi, struct devices *devices, uintptr_t base)
{
	/* Besides the lists: local APICs, HPET, framebuffer. */
	size_t room = devices_room((size_t)acpi->ioapic_count + acpi->ecam_count + 3);

	acpi->processor_room = acpi->processor_count;
	acpi->ioapic_room = acpi->ioapic_count;
	acpi->ecam_room = acpi->ecam_count;
	acpi->processors = divide(&base, acpi->processor_room, sizeof(*acpi->processors));
	acpi->ioapics = divide(&base, acpi->ioapic_room, sizeof(*acpi->ioapics));
	acpi->ecam = divide(&base, acpi->ecam_room, sizeof(*acpi->ecam));
	devices->list.capacity = devices->scratch.capacity = room;
	devices->list.spans = divide(&base, room, sizeof(struct span));
	devices->scratch.spans = divide(&base, room, sizeof(struct span));
	return base;
}

static EFI_STATUS take_lists(struct boot *boot)
{
	struct layout_extent extent;
	EFI_STATUS status = memory_take(boot, room_divide(&boot->acpi, &boot->devices, 0), &extent);

	if (EFI_ERROR(status))
		return status;
	room_divide(&boot->acpi, &boot->devices, extent.base);
	return EFI_SUCCESS;
}

/* ---- finding ------------------------------------------------------------------ */

/* A second reading finds what the first counted: the rooms are the lengths of the lists. */
static EFI_STATUS read_tables(struct boot *boot, const struct memory_map *map)
{
	struct acpi *acpi = &boot->acpi;
	uint64_t rsdp = boot->source.info.acpi_rsdp;
	const struct acpi_memory memory = { .read = read_physical,
					    .context = map,
					    .limit = layout_limit(&boot->request.cpu) };

	if (rsdp != 0)
		acpi_read(&memory, rsdp, acpi);

	EFI_STATUS status = take_lists(boot);

	if (!EFI_ERROR(status) && rsdp != 0)
		acpi_read(&memory, rsdp, acpi);
	return status;
}

/* Reads with a map of the moment: the firmware's tables do not move. */
static EFI_STATUS read_with_map(struct boot *boot)
{
	struct memory_map map = { 0 };
	struct layout_extent extent;
	UINTN size, stride;
	EFI_STATUS status = memory_map_size(&size, &stride);

	if (EFI_ERROR(status))
		return status;
	/* Taking memory for the map may change it. */
	map.room = size + 16 * stride;
	status = memory_take(boot, map.room, &extent);
	if (EFI_ERROR(status))
		return status;
	map.descriptors = boot_pointer(extent.base);
	status = memory_read_map(&map);
	if (!EFI_ERROR(status))
		status = read_tables(boot, &map);
	memory_give(boot, &extent);
	return status;
}

/* The framebuffer comes last, so that it wins. */
static bool list_devices(struct boot *boot)
{
	struct devices *devices = &boot->devices;
	const struct acpi *acpi = &boot->acpi;
	const struct hoist_framebuffer *fb = &boot->source.info.framebuffer;
	bool all = devices_add(devices, acpi->lapic, acpi->lapic ? ACPI_LAPIC_SIZE : 0,
			       HOIST_CACHE_UC) &&
		   devices_add(devices, acpi->hpet, acpi->hpet ? ACPI_HPET_SIZE : 0,
			       HOIST_CACHE_UC);

	for (uint32_t i = 0; all && i < acpi->ioapic_room; i++)
		all = devices_add(devices, acpi->ioapics[i].address, ACPI_IOAPIC_SIZE,
				  HOIST_CACHE_UC);
	for (uint32_t i = 0; all && i < acpi->ecam_room; i++)
		all = devices_add(devices, acpi->ecam[i].address, acpi->ecam[i].size,
				  HOIST_CACHE_UC);
	return all && devices_add(devices, fb->address, fb->size, HOIST_CACHE_WC);
}

bool hardware_find(struct boot *boot)
{
	EFI_STATUS status = read_with_map(boot);

	if (EFI_ERROR(status)) {
		console_fail("memory", L"lists of hardware: the firmware says \"%r\"", status);
		return boot_fail(boot, status);
	}
	for (uint32_t i = 0; i < boot->acpi.fault_count; i++)
		console_error("ACPI", &boot->acpi.faults[i]);
	if (!list_devices(boot))
		return boot_fail(boot, EFI_OUT_OF_RESOURCES);
	boot->source.acpi = &boot->acpi;
	boot->request.devices = boot->devices.list.spans;
	boot->request.device_count = (uint32_t)boot->devices.list.count;
	return true;
}
