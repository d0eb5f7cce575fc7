#include "efi/platform.h"

#include "efi/cpu.h"
#include "efi/entropy.h"
#include "efi/file.h"

/* UEFI 2.10, 4.6.1; gnu-efi's header lacks the last. */
static EFI_GUID acpi_20 = ACPI_20_TABLE_GUID;
static EFI_GUID acpi_10 = ACPI_TABLE_GUID;
static EFI_GUID smbios = SMBIOS_TABLE_GUID;
static EFI_GUID smbios3 = {
	0xf2fd1544, 0x9794, 0x4a2c, { 0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94 }
};

static uint64_t find_table(const EFI_GUID *guid)
{
	for (UINTN i = 0; i < ST->NumberOfTableEntries; i++) {
		const EFI_CONFIGURATION_TABLE *entry = &ST->ConfigurationTable[i];

		if (__builtin_memcmp(&entry->VendorGuid, guid, sizeof(*guid)) == 0)
			return (uintptr_t)entry->VendorTable;
	}
	return 0;
}

void platform_describe(struct boot *boot)
{
	struct bootinfo_source *source = &boot->source;
	struct hoist_info *info = &source->info;
	uint64_t acpi = find_table(&acpi_20);

	info->acpi_rsdp = acpi ? acpi : find_table(&acpi_10);
	info->smbios = find_table(&smbios);
	info->smbios3 = find_table(&smbios3);
	info->efi_system_table = (uintptr_t)ST;
	info->tsc_hz = cpu_tsc_hz();
	info->cpu = cpu_describe();
	entropy_gather(info);
	source->device_path = file_device_path(boot->volume, &source->device_path_size);
	if (boot->volume)
		file_partition_guid(boot->volume, info->boot_volume.partition_guid);
}
