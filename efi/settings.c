#include "efi/settings.h"

#include "efi/console.h"
#include "efi/devpath.h"
#include "efi/file.h"
#include "efi/memory.h"

#define NAME          "hoist.conf"
#define SIZE_MAX_CONF (1u << 20)

/* ---- UCS-2 to UTF-8 ------------------------------------------------------------ */

#define UTF8_MAX 3 /* bytes of one character */

/* Appends one character; returns how many bytes it took. */
static uint32_t utf8_put(char *to, CHAR16 c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | c >> 12);
	to[1] = (char)(0x80 | ((c >> 6) & 0x3f));
	to[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

/* ---- finding ----------------------------------------------------------------- */

/* Appends the name in a file path node (UEFI 2.10, 10.3.5.4); false if there is no room. */
static bool append_node(const uint8_t *node, char *buffer, uint32_t room, uint32_t *used)
{
	UINTN length = devpath_length(node);

	for (UINTN at = 4; at + 1 < length; at += 2) {
		CHAR16 c = (CHAR16)(node[at] | node[at + 1] << 8);

		if (c == 0)
			break;
		if (*used + UTF8_MAX > room)
			return false;
		*used += utf8_put(buffer + *used, c == L'/' ? L'\\' : c);
	}
	return true;
}

/*
 * The directory of hoist's own image, with its last backslash, in UTF-8. The
 * path may come in one node or several, which then have backslashes between
 * them or not.
 */
static struct config_text image_directory(const struct boot *boot, char *buffer, uint32_t room)
{
	const uint8_t *node = (const uint8_t *)boot->loaded->FilePath;
	uint32_t used = 0;

	for (; node && !devpath_is_end(node); node = devpath_next(node)) {
		if (!devpath_is(node, MEDIA_DEVICE_PATH, MEDIA_FILEPATH_DP))
			continue;
		if (used > 0 && used < room && buffer[used - 1] != '\\')
			buffer[used++] = '\\';
		if (!append_node(node, buffer, room, &used))
			return (struct config_text){ buffer, 0 };
	}
	while (used > 0 && buffer[used - 1] != '\\')
		used--;
	return (struct config_text){ buffer, used };
}

static EFI_STATUS open_in(EFI_HANDLE volume, struct config_text directory, struct file *ret_file)
{
	char path[FILE_PATH_MAX];
	uint32_t length = directory.length;

	if (length + sizeof(NAME) > sizeof(path))
		return EFI_NOT_FOUND;
	__builtin_memcpy(path, directory.bytes, length);
	__builtin_memcpy(path + length, NAME, sizeof(NAME));
	return file_open_on(volume,
			    (struct config_text){ path, length + (uint32_t)sizeof(NAME) - 1 },
			    ret_file);
}

/* Next to the image, else at the root of its volume. */
static EFI_STATUS open_on_own(const struct boot *boot, struct file *ret_file)
{
	static const char root[] = "\\";
	char buffer[FILE_PATH_MAX];
	struct config_text directory = image_directory(boot, buffer, sizeof(buffer));
	EFI_STATUS status = EFI_NOT_FOUND;

	if (directory.length > 0)
		status = open_in(boot->volume, directory, ret_file);
	if (EFI_ERROR(status))
		status = open_in(boot->volume, (struct config_text){ root, 1 }, ret_file);
	return status;
}

/*
 * The first volume that has one, at its root or where removable media keep
 * their image; where none has, the first is the boot volume if hoist's own
 * place has no files.
 */
static EFI_STATUS open_elsewhere(struct boot *boot, bool own_is_volume, struct file *ret_file)
{
	static const char root[] = "\\", boot_path[] = "\\EFI\\BOOT\\";
	struct config_text removable = { boot_path, sizeof(boot_path) - 1 };
	EFI_HANDLE *handles;
	UINTN count;
	EFI_STATUS status = file_volumes(&count, &handles);

	if (EFI_ERROR(status))
		return status;
	status = EFI_NOT_FOUND;
	if (!own_is_volume && count > 0)
		boot->volume = handles[0];
	for (UINTN i = 0; i < count && EFI_ERROR(status); i++) {
		status = open_in(handles[i], (struct config_text){ root, 1 }, ret_file);
		if (EFI_ERROR(status))
			status = open_in(handles[i], removable, ret_file);
		if (!EFI_ERROR(status))
			boot->volume = handles[i];
	}
	BS->FreePool(handles);
	return status;
}

static bool has_kernel(const struct boot *boot, EFI_HANDLE volume)
{
	struct file file;

	if (EFI_ERROR(file_open_on(volume, boot->config.kernel, &file)))
		return false;
	file_close(&file);
	return true;
}

/* Where nothing is configured, the first volume that has the kernel will do. */
static void find_kernel(struct boot *boot)
{
	EFI_HANDLE *handles;
	UINTN count;

	if (has_kernel(boot, boot->volume) || EFI_ERROR(file_volumes(&count, &handles)))
		return;
	for (UINTN i = 0; i < count; i++) {
		if (!has_kernel(boot, handles[i]))
			continue;
		boot->volume = handles[i];
		break;
	}
	BS->FreePool(handles);
}

static EFI_STATUS open_config(struct boot *boot, bool own_is_volume, struct file *ret_file)
{
	EFI_STATUS status = own_is_volume ? open_on_own(boot, ret_file) : EFI_NOT_FOUND;

	if (EFI_ERROR(status))
		status = open_elsewhere(boot, own_is_volume, ret_file);
	if (!EFI_ERROR(status) || has_kernel(boot, boot->volume))
		return status;
	file_connect_all();
	return open_elsewhere(boot, own_is_volume, ret_file);
}

static bool is_volume(EFI_HANDLE handle)
{
	EFI_GUID guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
	void *unused;

	return handle && !EFI_ERROR(BS->HandleProtocol(handle, &guid, &unused));
}

/* ---- the file ------------------------------------------------------------------ */

static bool parse_file(struct boot *boot, struct file *file)
{
	struct layout_extent extent;
	struct loader_error error;
	char name[sizeof(file->name)];

	__builtin_memcpy(name, file->name, sizeof(name));
	if (file->size > SIZE_MAX_CONF) {
		console_fail(name, L"file: size is %ld, expected at most %d", file->size,
			     SIZE_MAX_CONF);
		file_close(file);
		return boot_fail(boot, EFI_BAD_BUFFER_SIZE);
	}

	/* One byte more, so that an empty file has an address too. */
	EFI_STATUS status = memory_take(boot, file->size + 1, &extent);

	if (EFI_ERROR(status)) {
		console_fail(name, L"memory: AllocatePages is \"%r\"", status);
		file_close(file);
		return boot_fail(boot, status);
	}

	char *text = boot_pointer(extent.base);
	uint32_t size = (uint32_t)file->size;

	if (!file_read(boot, file, text))
		return false;
	if (config_parse_file(&boot->config, text, size, &error) == LOADER_OK)
		return true;
	console_serial(&boot->config);
	console_error(name, &error);
	return boot_fail(boot, EFI_LOAD_ERROR);
}

/* ---- load options -------------------------------------------------------------- */

/*
 * UCS-2 to UTF-8. Firmware puts binary data into entries that it makes itself;
 * what is not text is no options.
 */
static bool options_text(const CHAR16 *options, UINTN count, char *ret_text, uint32_t *ret_length)
{
	uint32_t n = 0;

	for (UINTN i = 0; i < count && options[i]; i++) {
		CHAR16 c = options[i];

		if ((c < 0x20 && c != L'\t') || (c >= 0xd800 && c < 0xe000))
			return false;
		n += utf8_put(ret_text + n, c);
	}
	*ret_length = n;
	return true;
}

static bool parse_options(struct boot *boot)
{
	UINTN count = boot->loaded->LoadOptionsSize / sizeof(CHAR16);
	struct layout_extent extent;
	struct loader_error error;
	uint32_t length;

	if (count == 0 || !boot->loaded->LoadOptions)
		return true;

	EFI_STATUS status = memory_take(boot, UTF8_MAX * count + 1, &extent);

	if (EFI_ERROR(status)) {
		console_fail("load options", L"memory: AllocatePages is \"%r\"", status);
		return boot_fail(boot, status);
	}

	char *text = boot_pointer(extent.base);

	if (!options_text(boot->loaded->LoadOptions, count, text, &length)) {
		console_print(L"hoist: load options are not text, ignored\n");
		return true;
	}
	if (config_parse_options(&boot->config, text, length, &error) == LOADER_OK)
		return true;
	console_serial(&boot->config);
	console_error("load options", &error);
	return boot_fail(boot, EFI_INVALID_PARAMETER);
}

bool settings_read(struct boot *boot)
{
	struct file file;
	bool own_is_volume = is_volume(boot->loaded->DeviceHandle);

	config_init(&boot->config);
	boot->volume = boot->loaded->DeviceHandle;

	boot->configured = !EFI_ERROR(open_config(boot, own_is_volume, &file));
	if (boot->configured && !parse_file(boot, &file))
		return false;
	if (!parse_options(boot))
		return false;
	if (!boot->configured)
		find_kernel(boot);
	console_serial(&boot->config);
	return true;
}
