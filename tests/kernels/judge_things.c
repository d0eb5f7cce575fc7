/* Strings, modules, firmware's tables, thread-local storage, time. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/mem.h"
#include "tests/kernels/lib/words.h"

static bool is_string(const struct hoist_string *string)
{
	const struct hoist_info *info = &judge.info;
	const char *text;

	if (!judge_inside(string->address, info->block, info->block_size) ||
	    string->length >= info->block_size - (string->address - info->block))
		return false;
	text = hoist_ptr(info, string->address);
	for (uint64_t i = 0; i < string->length; i++) {
		if (!text[i])
			return false;
	}
	return text[string->length] == '\0';
}

static void check_string(const char *name, const struct hoist_string *string)
{
	if (!is_string(string))
		judge_flaw("%s: %lu bytes at %lx", name, string->length, string->address);
}

static void check_strings(void)
{
	const struct hoist_string *loader = &judge.info.loader;

	check_string("cmdline", &judge.info.cmdline);
	check_string("loader", loader);
	for (uint32_t i = 0; i < judge.module_count; i++) {
		check_string("path of a module", &judge.modules[i].path);
		check_string("string of a module", &judge.modules[i].string);
	}
	judge_verdict("strings lie in the block and end where their length says");

	if (loader->length < 7 || memcmp(hoist_ptr(&judge.info, loader->address), "hoist ", 6) != 0)
		judge_flaw("%lu bytes", loader->length);
	judge_verdict("the loader says that it is hoist, and its version");
}

static uint8_t expected_byte(uint32_t module, uint64_t i)
{
	return (uint8_t)(i * 7 + 3 * (uint64_t)module + (i >> 8));
}

static void check_module(uint32_t index)
{
	const struct hoist_module *m = &judge.modules[index];
	const struct hoist_mapping *mapping = judge_direct_at(m->address);
	const uint8_t *bytes = hoist_ptr(&judge.info, m->address);

	if (!m->size) {
		if (m->address)
			judge_flaw("module %u is empty, but at %lx", index, m->address);
		return;
	}
	if (m->address % HOIST_PAGE_SIZE || !mapping || mapping->rights ||
	    !judge_can_read(m->address, m->size)) {
		judge_flaw("module %u at %lx", index, m->address);
		return;
	}
	for (uint64_t i = 0; i < m->size; i++) {
		if (bytes[i] != expected_byte(index, i))
			judge_flaw("byte %lu of module %u is %x, expected %x", i, index, bytes[i],
				   expected_byte(index, i));
	}
}

void judge_modules(void)
{
	uint64_t expected;

	if (!words_number(judge.cmdline, "expect-module=", &expected))
		return;
	if (judge.module_count != expected)
		judge_flaw("%u of %lu", judge.module_count, expected);
	judge_verdict("all modules are there");
	for (uint32_t i = 0; i < judge.module_count; i++)
		check_module(i);
	judge_verdict("modules are page-aligned, mapped read-only, and hold what their files do");
}

/* ---- Firmware's tables -------------------------------------------------------- */

static bool begins_with(uint64_t address, const char *signature, size_t length)
{
	return judge_can_read(address, length) &&
	       memcmp(hoist_ptr(&judge.info, address), signature, length) == 0;
}

/* The first 20 bytes of an RSDP add up to 0 (ACPI 6.5 section 5.2.5.3). */
static bool has_checksum(uint64_t rsdp)
{
	const uint8_t *bytes = hoist_ptr(&judge.info, rsdp);
	uint8_t sum = 0;

	for (unsigned i = 0; i < 20; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return sum == 0;
}

static void check_firmware_tables(void)
{
	const struct hoist_info *info = &judge.info;

	if (!begins_with(info->efi_system_table, "IBI SYST", 8))
		judge_flaw("%lx", info->efi_system_table);
	judge_verdict("the EFI system table can be read and is one");

	if (info->acpi_rsdp &&
	    (!begins_with(info->acpi_rsdp, "RSD PTR ", 8) || !has_checksum(info->acpi_rsdp)))
		judge_flaw("%lx", info->acpi_rsdp);
	judge_verdict("the ACPI root pointer, if there is one, can be read and is one");

	if (info->smbios && !begins_with(info->smbios, "_SM_", 4))
		judge_flaw("smbios %lx", info->smbios);
	if (info->smbios3 && !begins_with(info->smbios3, "_SM3_", 5))
		judge_flaw("smbios3 %lx", info->smbios3);
	judge_verdict("SMBIOS entry points, if there are any, can be read and are such");
}

static void check_volume(void)
{
	/* End of a device path: type 7Fh, subtype FFh, length 4 (UEFI 2.10 section 10.3.1). */
	static const uint8_t end[] = { 0x7f, 0xff, 4, 0 };
	const struct hoist_list *path = &judge.info.boot_volume.device_path;
	const uint8_t *bytes = hoist_ptr(&judge.info, path->address);

	if (path->count < sizeof(end) || path->stride != 1 ||
	    judge_common(path->address, path->count, judge.info.block, judge.info.block_size) !=
		    path->count ||
	    memcmp(bytes + path->count - sizeof(end), end, sizeof(end)) != 0)
		judge_flaw("%u bytes at %lx", path->count, path->address);
	judge_verdict("the boot volume has a device path, complete to its end");
}

/* ---- Time -------------------------------------------------------------------- */

static void check_time(void)
{
	const struct hoist_info *info = &judge.info;
	uint64_t before = 0;

	for (unsigned i = HOIST_PHASE_START; i <= HOIST_PHASE_EXIT; i++) {
		if (!info->tsc[i] || info->tsc[i] < before)
			judge_flaw("phase %u: %lu after %lu", i, info->tsc[i], before);
		before = info->tsc[i];
	}
	if (cpu_tsc() < before)
		judge_flaw("the last phase ends in the future, at %lu", before);
	judge_verdict("time stamps are there for all phases, and ascend");
}

void judge_things(void)
{
	check_strings();
	check_firmware_tables();
	check_volume();
	check_time();
}
