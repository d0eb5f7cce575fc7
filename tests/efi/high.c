/*
 * A UEFI application that takes all free memory below 4 GiB, then starts hoist
 * from the same volume: what hoist and the firmware allocate for it can only
 * lie above.
 */
#include <efi.h>
#include <efilib.h>

#define LIMIT (UINT64_C(1) << 32)

/* Called by gnu-efi's crt0, in the System V ABI. */
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* What of a descriptor is free and below the limit. */
static UINTN pages_below(const EFI_MEMORY_DESCRIPTOR *d)
{
	if (d->Type != EfiConventionalMemory || d->PhysicalStart >= LIMIT)
		return 0;

	UINT64 most = (LIMIT - d->PhysicalStart) / EFI_PAGE_SIZE;

	return (UINTN)(d->NumberOfPages < most ? d->NumberOfPages : most);
}

/* One round; returns the pages that it took: allocating can split descriptors. */
static UINTN take_round(void)
{
	static UINT8 map[65536] __attribute__((aligned(16)));
	UINTN size = sizeof(map), key, stride, taken = 0;
	UINT32 version;

	if (EFI_ERROR(BS->GetMemoryMap(&size, (EFI_MEMORY_DESCRIPTOR *)(void *)map, &key, &stride,
				       &version)))
		return 0;
	for (UINTN at = 0; at < size; at += stride) {
		const EFI_MEMORY_DESCRIPTOR *d = (const EFI_MEMORY_DESCRIPTOR *)(void *)(map + at);
		UINTN pages = pages_below(d);
		EFI_PHYSICAL_ADDRESS address = d->PhysicalStart;

		if (pages && !EFI_ERROR(BS->AllocatePages(AllocateAddress, EfiReservedMemoryType,
							  pages, &address)))
			taken += pages;
	}
	return taken;
}

static EFI_STATUS start(EFI_HANDLE image, EFI_HANDLE volume)
{
	static CHAR16 name[] = L"\\hoist.efi";
	EFI_DEVICE_PATH *path = FileDevicePath(volume, name);
	EFI_HANDLE hoist;
	EFI_STATUS status = BS->LoadImage(FALSE, image, path, NULL, 0, &hoist);

	return EFI_ERROR(status) ? status : BS->StartImage(hoist, NULL, NULL);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	EFI_GUID guid = LOADED_IMAGE_PROTOCOL;
	EFI_LOADED_IMAGE *loaded;
	UINTN taken = 0, round;

	InitializeLib(image, table);

	EFI_STATUS status = BS->HandleProtocol(image, &guid, (void **)&loaded);

	if (EFI_ERROR(status))
		return status;
	/* Beside memory, what the firmware keeps free in its pools would be below. */
	while ((round = take_round()) > 0)
		taken += round;
	Print(L"high: %d pages below 4 GiB are taken\n", taken);
	status = start(image, loaded->DeviceHandle);
	Print(L"high: hoist returned \"%r\"\n", status);
	return status;
}
