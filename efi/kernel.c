#include "efi/kernel.h"

#include "efi/console.h"
#include "efi/file.h"
#include "efi/memory.h"

static bool fail_memory(struct boot *boot, const char *name, uint64_t size, EFI_STATUS status)
{
	console_fail(name, L"memory: AllocatePages is \"%r\", expected %ld bytes", status, size);
	return boot_fail(boot, status);
}

static bool read_kernel(struct boot *boot, struct file *file)
{
	struct loader_error error;
	char name[sizeof(file->name)];

	__builtin_memcpy(name, file->name, sizeof(name));

	struct layout_extent extent;
	EFI_STATUS status = memory_take(boot, file->size ? file->size : 1, &extent);

	if (EFI_ERROR(status)) {
		uint64_t size = file->size;

		file_close(file);
		return fail_memory(boot, name, size, status);
	}

	void *bytes = boot_pointer(extent.base);
	uint64_t size = file->size;

	if (!file_read(boot, file, bytes))
		return false;
	if (elf_open(bytes, size, &boot->kernel, &error) == LOADER_OK &&
	    native_choose(&boot->kernel, &boot->config, &boot->choice, &error) == LOADER_OK)
		return true;
	console_error(name, &error);
	return boot_fail(boot, EFI_LOAD_ERROR);
}

bool kernel_read(struct boot *boot)
{
	struct file file;

	if (!file_open(boot, boot->config.kernel, &file) || !read_kernel(boot, &file))
		return false;
	for (uint32_t i = 0; i < boot->config.module_count; i++) {
		if (!file_open(boot, boot->config.modules[i].path, &file))
			return false;
		boot->module_sizes[i] = file.size;
		file_close(&file);
	}
	return true;
}

static bool load_module(struct boot *boot, uint32_t index)
{
	uint64_t size = boot->module_sizes[index];
	uint8_t *to = boot_pointer(layout_module(&boot->request, &boot->layout, index));
	struct file file;

	if (!file_open(boot, boot->config.modules[index].path, &file))
		return false;
	if (file.size != size) {
		console_fail(file.name, L"file: size is %ld, expected %ld as a moment ago",
			     file.size, size);
		file_close(&file);
		return boot_fail(boot, EFI_MEDIA_CHANGED);
	}
	if (!file_read(boot, &file, to))
		return false;
	__builtin_memset(to + size, 0, align_up(size, HOIST_PAGE_SIZE) - size);
	return true;
}

bool kernel_load(struct boot *boot)
{
	elf_load(&boot->kernel, boot_pointer(boot->layout.kernel.base));
	for (uint32_t i = 0; i < boot->config.module_count; i++) {
		if (boot->module_sizes[i] > 0 && !load_module(boot, i))
			return false;
	}
	return true;
}
