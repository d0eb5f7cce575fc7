#include "efi/file.h"

#include "efi/console.h"
#include "efi/devpath.h"

/* There is firmware that fails on larger reads; and a call costs little beside the disk. */
#define CHUNK (1ull << 20)
/* Files longer than this show how far they are, as often as this. */
#define STRIDE (16ull << 20)

static EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID file_info_guid = EFI_FILE_INFO_ID;
static EFI_GUID device_path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;

EFI_STATUS file_volumes(UINTN *ret_count, EFI_HANDLE **ret_handles)
{
	return BS->LocateHandleBuffer(ByProtocol, &file_system_guid, NULL, ret_count, ret_handles);
}

void file_connect_all(void)
{
	EFI_HANDLE *handles;
	UINTN count;

	if (EFI_ERROR(BS->LocateHandleBuffer(AllHandles, NULL, NULL, &count, &handles)))
		return;
	for (UINTN i = 0; i < count; i++)
		BS->ConnectController(handles[i], NULL, NULL, TRUE);
	BS->FreePool(handles);
}

/* ---- device paths ---------------------------------------------------------------- */

const void *file_device_path(EFI_HANDLE handle, uint32_t *ret_size)
{
	const uint8_t *node;
	void *path;

	if (!handle || EFI_ERROR(BS->HandleProtocol(handle, &device_path_guid, &path)))
		return NULL;
	for (node = path; !devpath_is_end(node);)
		node = devpath_next(node);
	*ret_size = (uint32_t)(node - (const uint8_t *)path) + 4;
	return path;
}

bool file_partition_guid(EFI_HANDLE volume, uint8_t ret_guid[16])
{
	uint32_t size = 0;
	const uint8_t *node = file_device_path(volume, &size);

	for (; node && !devpath_is_end(node); node = devpath_next(node)) {
		if (!devpath_is(node, MEDIA_DEVICE_PATH, MEDIA_HARDDRIVE_DP) ||
		    devpath_length(node) < 42)
			continue;
		if (node[41] != SIGNATURE_TYPE_GUID)
			return false;
		__builtin_memcpy(ret_guid, node + 24, 16);
		return true;
	}
	return false;
}

/* ---- paths -------------------------------------------------------------------- */

static bool text_starts(struct config_text text, const char *prefix, struct config_text *ret_rest)
{
	uint32_t i = 0;

	for (; prefix[i]; i++) {
		if (i == text.length || text.bytes[i] != prefix[i])
			return false;
	}
	*ret_rest = (struct config_text){ text.bytes + i, text.length - i };
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * "12345678-1234-1234-1234-123456789abc", as it is written, to the order of
 * bytes in memory: the first three fields are little endian (UEFI 2.10, A).
 */
static bool guid_parse(struct config_text text, uint8_t ret_guid[16])
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	uint32_t at = 0;

	if (text.length != 36)
		return false;
	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10) {
			if (text.bytes[at++] != '-')
				return false;
		}

		int high = hex_digit(text.bytes[at]), low = hex_digit(text.bytes[at + 1]);

		if (high < 0 || low < 0)
			return false;
		ret_guid[order[i]] = (uint8_t)(high << 4 | low);
		at += 2;
	}
	return true;
}

static EFI_HANDLE volume_by_guid(const uint8_t guid[16])
{
	EFI_HANDLE *handles, found = NULL;
	UINTN count;
	uint8_t have[16];

	if (EFI_ERROR(file_volumes(&count, &handles)))
		return NULL;
	for (UINTN i = 0; i < count && !found; i++) {
		if (file_partition_guid(handles[i], have) &&
		    __builtin_memcmp(have, guid, sizeof(have)) == 0)
			found = handles[i];
	}
	BS->FreePool(handles);
	return found;
}

/* Splits guid(...):/path; the volume is NULL if there is none of that GUID. */
static bool split_guid(struct config_text path, EFI_HANDLE *ret_volume,
		       struct config_text *ret_path)
{
	struct config_text rest, guid;
	uint8_t bytes[16];

	if (!text_starts(path, "guid(", &rest) || rest.length < 38)
		return false;
	guid = (struct config_text){ rest.bytes, 36 };
	rest = (struct config_text){ rest.bytes + 36, rest.length - 36 };
	if (!guid_parse(guid, bytes) || !text_starts(rest, "):", ret_path))
		return false;
	*ret_volume = volume_by_guid(bytes);
	if (!*ret_volume) {
		file_connect_all();
		*ret_volume = volume_by_guid(bytes);
	}
	return true;
}

/* One character of UTF-8 from *at on, which it passes; the text is valid UTF-8. */
static uint32_t next_char(struct config_text text, uint32_t *at)
{
	uint8_t c = (uint8_t)text.bytes[(*at)++];
	unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	uint32_t value = more == 0 ? c : c & (0x3fu >> more);

	for (; more > 0 && *at < text.length; more--)
		value = value << 6 | ((uint8_t)text.bytes[(*at)++] & 0x3f);
	return value;
}

/* To UCS-2, with \ for /. False if it is too long, or beyond what UCS-2 can say. */
static bool path_convert(struct config_text path, CHAR16 ret_path[FILE_PATH_MAX])
{
	uint32_t at = 0;
	unsigned n = 0;

	while (at < path.length) {
		uint32_t c = next_char(path, &at);

		if (n + 1 == FILE_PATH_MAX || c > 0xffff)
			return false;
		ret_path[n++] = c == L'/' ? L'\\' : (CHAR16)c;
	}
	ret_path[n] = 0;
	return true;
}

/* ---- opening and reading -------------------------------------------------------- */

/* The size, from a structure that ends in a name of unknown length. */
static EFI_STATUS handle_size(EFI_FILE_HANDLE handle, uint64_t *ret_size)
{
	uint64_t room[(sizeof(EFI_FILE_INFO) + FILE_PATH_MAX * sizeof(CHAR16)) / 8];
	UINTN size = sizeof(room);
	EFI_STATUS status = handle->GetInfo(handle, &file_info_guid, &size, room);
	const EFI_FILE_INFO *info = (const void *)room;

	if (EFI_ERROR(status))
		return status;
	if (info->Attribute & EFI_FILE_DIRECTORY)
		return EFI_NOT_FOUND;
	*ret_size = info->FileSize;
	return EFI_SUCCESS;
}

/* Fit to be shown, whatever stands in the configuration. */
static void name_copy(char ret_name[256], struct config_text path)
{
	console_quote(ret_name, 256, path.bytes, path.length);
}

EFI_STATUS file_open_on(EFI_HANDLE volume, struct config_text path, struct file *ret_file)
{
	CHAR16 name[FILE_PATH_MAX];
	EFI_FILE_IO_INTERFACE *system;
	EFI_FILE_HANDLE root;
	struct file file = { 0 };

	name_copy(file.name, path);
	if (!volume || !path_convert(path, name))
		return EFI_NOT_FOUND;

	EFI_STATUS status = BS->HandleProtocol(volume, &file_system_guid, (void **)&system);

	if (!EFI_ERROR(status))
		status = system->OpenVolume(system, &root);
	if (EFI_ERROR(status))
		return status;
	status = root->Open(root, &file.handle, name, EFI_FILE_MODE_READ, 0);
	root->Close(root);
	if (EFI_ERROR(status))
		return status;
	status = handle_size(file.handle, &file.size);
	if (EFI_ERROR(status)) {
		file_close(&file);
		return status;
	}
	*ret_file = file;
	return EFI_SUCCESS;
}

static bool fail_guid(struct boot *boot, struct config_text path)
{
	char name[256];

	name_copy(name, path);
	console_fail(name,
		     L"path: volume is not understood, expected guid(8-4-4-4-12 digits):/file");
	return boot_fail(boot, EFI_INVALID_PARAMETER);
}

bool file_open(struct boot *boot, struct config_text path, struct file *ret_file)
{
	EFI_HANDLE volume = boot->volume;
	struct config_text rest = path;

	if (text_starts(path, "guid(", &rest)) {
		if (!split_guid(path, &volume, &rest))
			return fail_guid(boot, path);
	} else {
		rest = path;
		text_starts(path, "boot():", &rest);
	}

	EFI_STATUS status = file_open_on(volume, rest, ret_file);

	if (!EFI_ERROR(status)) {
		name_copy(ret_file->name, path);
		return true;
	}

	char name[256];

	name_copy(name, path);
	console_fail(name, L"file: open is \"%r\", expected a readable file on %a%a", status,
		     volume == boot->volume ? "the boot volume"
		     : volume               ? "that volume"
					    : "a volume that is there",
		     boot->configured ? "" : " (there is no hoist.conf)");
	return boot_fail(boot, status);
}

void file_close(struct file *file)
{
	file->handle->Close(file->handle);
	file->handle = NULL;
}

/* Reads to the end or to the first error. */
static EFI_STATUS read_all(struct file *file, uint8_t *to)
{
	bool shows = file->size > STRIDE;
	uint64_t done = 0;

	while (done < file->size) {
		UINTN size = file->size - done < CHUNK ? (UINTN)(file->size - done) : CHUNK;
		EFI_STATUS status = file->handle->Read(file->handle, &size, to + done);

		if (EFI_ERROR(status))
			return status;
		if (size == 0)
			return EFI_END_OF_FILE;
		done += size;
		if (shows && (done % STRIDE == 0 || done == file->size))
			console_print(L"\r%a: %ld of %ld MiB", file->name, done >> 20,
				      file->size >> 20);
	}
	if (shows)
		console_print(L"\n");
	return EFI_SUCCESS;
}

bool file_read(struct boot *boot, struct file *file, void *to)
{
	EFI_STATUS status = read_all(file, to);

	file_close(file);
	if (!EFI_ERROR(status))
		return true;
	console_fail(file->name, L"file: read is \"%r\", expected %ld bytes", status, file->size);
	return boot_fail(boot, status);
}
