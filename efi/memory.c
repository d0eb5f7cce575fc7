#include "efi/memory.h"

#define PAGE ((uint64_t)HOIST_PAGE_SIZE)

/* Younger than gnu-efi's header (UEFI 2.10, table 7-6 and 7.2.3). */
#define MEMORY_PERSISTENT 14
#define MEMORY_UNACCEPTED 15
#define ATTRIBUTE_SP      0x40000ull
/* Any way of caching it. */
#define ATTRIBUTES_CACHED (EFI_MEMORY_WC | EFI_MEMORY_WT | EFI_MEMORY_WB)

static EFI_STATUS take(struct boot *boot, EFI_ALLOCATE_TYPE type, struct layout_extent extent,
		       struct layout_extent *ret_extent)
{
	EFI_PHYSICAL_ADDRESS base = extent.base;

	if (boot->extent_count == BOOT_EXTENTS || extent.size == 0)
		return EFI_OUT_OF_RESOURCES;

	EFI_STATUS status = BS->AllocatePages(type, EfiLoaderData, extent.size / PAGE, &base);

	if (EFI_ERROR(status))
		return status;
	*ret_extent = (struct layout_extent){ base, extent.size };
	boot->extents[boot->extent_count++] = *ret_extent;
	return EFI_SUCCESS;
}

EFI_STATUS memory_take(struct boot *boot, uint64_t size, struct layout_extent *ret_extent)
{
	/* A file system can announce any size. */
	if (size > UINT64_MAX - (PAGE - 1))
		return EFI_OUT_OF_RESOURCES;
	return take(boot, AllocateAnyPages, (struct layout_extent){ 0, align_up(size, PAGE) },
		    ret_extent);
}

EFI_STATUS memory_take_at(struct boot *boot, const struct layout_extent *extent)
{
	struct layout_extent taken;

	return extent->size ? take(boot, AllocateAddress, *extent, &taken) : EFI_SUCCESS;
}

void memory_give(struct boot *boot, struct layout_extent *extent)
{
	for (uint32_t i = 0; i < boot->extent_count; i++) {
		if (boot->extents[i].base != extent->base || extent->size == 0)
			continue;
		BS->FreePages(extent->base, extent->size / PAGE);
		boot->extents[i] = boot->extents[--boot->extent_count];
		break;
	}
	*extent = (struct layout_extent){ 0, 0 };
}

void memory_give_all(struct boot *boot)
{
	while (boot->extent_count > 0) {
		struct layout_extent extent = boot->extents[0];

		memory_give(boot, &extent);
	}
}

EFI_STATUS memory_read_map(struct memory_map *map)
{
	map->size = map->room;
	/* Written on success; some firmware leaves it alone if the buffer is too small. */
	map->stride = sizeof(EFI_MEMORY_DESCRIPTOR);

	EFI_STATUS status = BS->GetMemoryMap(&map->size,
					     (EFI_MEMORY_DESCRIPTOR *)(void *)map->descriptors,
					     &map->key, &map->stride, &map->version);

	return map->stride < sizeof(EFI_MEMORY_DESCRIPTOR) ? EFI_DEVICE_ERROR : status;
}

EFI_STATUS memory_map_size(UINTN *ret_size, UINTN *ret_stride)
{
	struct memory_map map = { .room = 0 };
	EFI_STATUS status = memory_read_map(&map);

	if (status != EFI_BUFFER_TOO_SMALL)
		return EFI_ERROR(status) ? status : EFI_DEVICE_ERROR;
	*ret_size = map.size;
	*ret_stride = map.stride;
	return EFI_SUCCESS;
}

/*
 * The table of docs/handoff.md: type and attributes to kind. Types that this
 * does not know, those of OEMs and operating systems among them, are reserved.
 */
enum hoist_memory_kind memory_kind(const EFI_MEMORY_DESCRIPTOR *d)
{
	bool plain = (d->Attribute & EFI_MEMORY_WB) && !(d->Attribute & ATTRIBUTE_SP);

	switch (d->Type) {
	case EfiLoaderCode:
	case EfiLoaderData:
	case EfiBootServicesCode:
	case EfiBootServicesData:
		return plain ? HOIST_MEMORY_RECLAIMABLE : HOIST_MEMORY_SPECIAL;
	case EfiConventionalMemory:
		return plain ? HOIST_MEMORY_USABLE : HOIST_MEMORY_SPECIAL;
	case EfiRuntimeServicesCode:
		return HOIST_MEMORY_RUNTIME_CODE;
	case EfiRuntimeServicesData:
		return HOIST_MEMORY_RUNTIME_DATA;
	case EfiUnusableMemory:
		return HOIST_MEMORY_BAD;
	case EfiACPIReclaimMemory:
		return HOIST_MEMORY_ACPI_RECLAIM;
	case EfiACPIMemoryNVS:
		return HOIST_MEMORY_ACPI_NVS;
	case EfiMemoryMappedIO:
		return HOIST_MEMORY_MMIO;
	case MEMORY_PERSISTENT:
		return HOIST_MEMORY_PERSISTENT;
	case MEMORY_UNACCEPTED:
		return HOIST_MEMORY_UNACCEPTED;
	case EfiReservedMemoryType:
		/* Uncached and nothing else: registers, such as the PCI Express window. */
		if ((d->Attribute & EFI_MEMORY_UC) && !(d->Attribute & ATTRIBUTES_CACHED))
			return HOIST_MEMORY_MMIO;
		return HOIST_MEMORY_RESERVED;
	default:
		return HOIST_MEMORY_RESERVED;
	}
}

bool memory_translate(const struct memory_map *map, struct memmap *raw)
{
	bool all = memmap_add(raw, 0, PAGE, HOIST_MEMORY_RESERVED, 0);

	for (UINTN at = 0; all && at + map->stride <= map->size; at += map->stride) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map->descriptors + at);
		/* A count of pages that would not fit 64 bits reaches to the end. */
		uint64_t pages = d->NumberOfPages;
		uint64_t size = pages <= UINT64_MAX / PAGE ? pages * PAGE : UINT64_MAX;

		all = memmap_add(raw, d->PhysicalStart, size, memory_kind(d), d->Attribute);
	}
	return all;
}
