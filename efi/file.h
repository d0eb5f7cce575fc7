/* Files on the volumes that the firmware can read. */
#ifndef EFI_FILE_H
#define EFI_FILE_H

#include "efi/boot.h"

struct file {
	EFI_FILE_HANDLE handle;
	uint64_t size;
	char name[256]; /* as configured, for messages; cut if longer */
};

/* The longest path, in UTF-8 bytes or UCS-2 characters. */
#define FILE_PATH_MAX 512

/* Opens `path` (no volume in front of it) of a volume for reading; prints nothing. */
EFI_STATUS file_open_on(EFI_HANDLE volume, struct config_text path, struct file *ret_file);

/*
 * Opens a path as it may stand in the configuration: \dir\file or boot():/dir/file
 * on the boot volume, guid(PARTUUID):/dir/file on another. Prints why it cannot.
 */
bool file_open(struct boot *boot, struct config_text path, struct file *ret_file);

/*
 * Reads the whole file to `to`, which has room for file->size bytes, and closes
 * it. Prints progress of long reads, and why it failed.
 */
bool file_read(struct boot *boot, struct file *file, void *to);

void file_close(struct file *file);

/* Handles of all volumes, in the firmware's order; for BS->FreePool(). */
EFI_STATUS file_volumes(UINTN *ret_count, EFI_HANDLE **ret_handles);

/* Has drivers connected to everything: a fast boot may leave disks without (UEFI 2.10, 7.3.12). */
void file_connect_all(void);

/* The partition's GUID from a handle's device path; false if it has none. */
bool file_partition_guid(EFI_HANDLE volume, uint8_t ret_guid[16]);

/* The device path of a handle and its size, end node included; NULL if it has none. */
const void *file_device_path(EFI_HANDLE handle, uint32_t *ret_size);

#endif
