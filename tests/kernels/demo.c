#include "tests/kernels/demo.h"

#include "tests/kernels/lib/print.h"
#include "tests/kernels/lib/qemu.h"
#include "tests/kernels/lib/screen.h"
#include "tests/kernels/lib/serial.h"
#include "tests/kernels/lib/trap.h"
#include "tests/kernels/lib/words.h"

HOIST_NOTE(HOIST_OPTION_VERSION, HOIST_REQUIRED, HOIST_VERSION);

#define WIDTH 78

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

_Noreturn void kernel_main(const struct hoist_info *info);

/* ---- Pieces of lines ------------------------------------------------------------- */

void demo_heading(const char *title, const char *format, ...)
{
	char remark[64];
	va_list arguments;

	va_start(arguments, format);
	print_text(remark, sizeof(remark), format, arguments);
	va_end(arguments);
	screen_set_ink(SCREEN_STRONG);
	print_out("\n %-20s", title);
	screen_set_ink(SCREEN_FAINT);
	print_out("%*s\n", WIDTH - 20, remark);
	screen_set_ink(SCREEN_PLAIN);
}

void demo_legend(const char *text)
{
	screen_set_ink(SCREEN_FAINT);
	print_out("  %s\n", text);
	screen_set_ink(SCREEN_PLAIN);
}

/* With one decimal, rounded down. */
static void print_tenths(uint64_t size, uint64_t unit, const char *name)
{
	print_out("%4lu.%lu %s", size / unit, size % unit * 10 / unit, name);
}

void demo_size(uint64_t size)
{
	if (size < 10000 * KIB)
		print_out("%6lu KiB", size / KIB);
	else if (size < 10000 * MIB)
		print_tenths(size, MIB, "MiB");
	else
		print_tenths(size, GIB, "GiB");
}

/* A size in the middle of a line: a whole number of the largest unit possible. */
static void print_size(uint64_t size)
{
	if (size && size % GIB == 0)
		print_out("%lu GiB", size / GIB);
	else if (size && size % MIB == 0)
		print_out("%lu MiB", size / MIB);
	else if (size % KIB == 0)
		print_out("%lu KiB", size / KIB);
	else
		print_out("%lu bytes", size);
}

static void name(const char *text)
{
	print_out("  %-13s ", text);
}

static void print_string(const struct hoist_info *info, const struct hoist_string *string)
{
	print_out("%s", (const char *)hoist_ptr(info, string->address));
}

/* ---- Sections ---------------------------------------------------------------------- */

static void show_title(const struct hoist_info *info)
{
	demo_heading(hoist_ptr(info, info->loader.address), "version %u of the handoff, %u bytes",
		     info->version, info->size);
	name("command line");
	print_string(info, &info->cmdline);
	print_out("\n");
}

static void show_space(const struct hoist_info *info)
{
	demo_heading("Address space", "%u levels, %u tables", info->levels, info->table_count);
	name("CR3");
	print_out("%016lx\n", info->page_table_root);
	for (uint32_t i = 0; i < info->page_tables.count; i++) {
		const struct hoist_extent *e = hoist_at(info, &info->page_tables, i);

		name(i ? "" : "tables");
		print_out("%016lx  ", e->address);
		print_size(e->size);
		print_out("\n");
	}
	name("direct map");
	print_out("%016lx\n", info->direct_map_virt);
}

static void print_place(const char *what, uint64_t virt, uint64_t address, uint64_t size)
{
	name(what);
	print_out("%016lx  at %lx, ", virt, address);
	print_size(size);
	print_out("\n");
}

static void show_kernel(const struct hoist_info *info)
{
	demo_heading("Kernel", "virtual, physical");
	print_place("image", info->kernel_virt, info->kernel, info->kernel_size);
	print_place("stack", info->stack_virt, info->stack, info->stack_size);
	print_place("information", (uintptr_t)info, info->block, info->block_size);
	if (info->tls.size) {
		name("TLS template");
		print_out("%016lx  %lu of %lu bytes, alignment %lu\n", info->tls.address_virt,
			  info->tls.file_size, info->tls.size, info->tls.alignment);
	}
}

static void show_module(const struct hoist_info *info, uint32_t i)
{
	const struct hoist_module *m = hoist_at(info, &info->modules, i);

	print_out("  %-13u %016lx  ", i, m->address);
	print_size(m->size);
	print_out("  ");
	print_string(info, &m->path);
	print_out(m->string.length ? " " : "");
	print_string(info, &m->string);
	print_out("\n");
}

static void show_modules(const struct hoist_info *info)
{
	if (!info->modules.count)
		return;
	demo_heading("Modules", "%u", info->modules.count);
	for (uint32_t i = 0; i < info->modules.count; i++)
		show_module(info, i);
}

static void show_framebuffer(const struct hoist_framebuffer *fb)
{
	static const char formats[][8] = {
		[HOIST_PIXELS_NONE] = "none",
		[HOIST_PIXELS_RGB] = "RGB",
		[HOIST_PIXELS_BGR] = "BGR",
		[HOIST_PIXELS_MASK] = "masks",
	};

	name("framebuffer");
	if (fb->format == HOIST_PIXELS_NONE || fb->format > HOIST_PIXELS_MASK) {
		print_out("none\n");
		return;
	}
	print_out("%016lx  %ux%u, %s, %u bits, pitch %u\n", fb->address, fb->width, fb->height,
		  formats[fb->format], fb->bits_per_pixel, fb->pitch);
}

/* As EFI writes it: the first three fields are little endian (UEFI 2.10 appendix A). */
static void print_guid(const uint8_t guid[16])
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (unsigned i = 0; i < 16; i++)
		print_out("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			  guid[order[i]]);
}

static void show_volume(const struct hoist_volume *volume)
{
	uint8_t any = 0;

	for (unsigned i = 0; i < 16; i++)
		any |= volume->partition_guid[i];
	name("boot volume");
	if (any)
		print_guid(volume->partition_guid);
	else
		print_out("no GPT partition");
	print_out(", device path of %u bytes\n", volume->device_path.count);
}

static void print_pointer(const char *what, uint64_t address)
{
	name(what);
	if (address)
		print_out("%016lx\n", address);
	else
		print_out("none\n");
}

static void show_machine(const struct hoist_info *info)
{
	demo_heading("Machine", "physical addresses");
	show_framebuffer(&info->framebuffer);
	show_volume(&info->boot_volume);
	print_pointer("ACPI RSDP", info->acpi_rsdp);
	print_pointer("SMBIOS", info->smbios);
	print_pointer("SMBIOS 3", info->smbios3);
	print_pointer("EFI table", info->efi_system_table);
	name("EFI map");
	print_out("%016lx  %u descriptors of %u bytes, version %u\n", info->efi_memory.address,
		  info->efi_memory.count, info->efi_memory.stride, info->efi_memory_version);
}

/* ---- Time -------------------------------------------------------------------------- */

static const char phase_names[][8] = {
	[HOIST_PHASE_START] = "start", [HOIST_PHASE_CONFIG] = "config",
	[HOIST_PHASE_READ] = "read",   [HOIST_PHASE_PLAN] = "plan",
	[HOIST_PHASE_LOAD] = "load",   [HOIST_PHASE_TABLES] = "tables",
	[HOIST_PHASE_AUDIT] = "audit", [HOIST_PHASE_EXIT] = "exit",
};

/* Ticks as microseconds, or as thousands of ticks where the frequency is unknown. */
static uint64_t in_units(const struct hoist_info *info, uint64_t ticks)
{
	uint64_t per_unit = info->tsc_hz / 1000000;

	return ticks / (per_unit ? per_unit : 1000);
}

static const char *unit(const struct hoist_info *info)
{
	return info->tsc_hz / 1000000 ? "ms" : "million ticks";
}

static void show_time(const struct hoist_info *info)
{
	demo_heading("Time", "%s, counted at %lu MHz", unit(info), info->tsc_hz / 1000000);
	print_out("  ");
	for (unsigned i = HOIST_PHASE_CONFIG; i <= HOIST_PHASE_EXIT; i++)
		print_out("%9s", phase_names[i]);
	print_out("\n  ");
	for (unsigned i = HOIST_PHASE_CONFIG; i <= HOIST_PHASE_EXIT; i++) {
		uint64_t units = in_units(info, info->tsc[i] - info->tsc[i - 1]);

		print_out("%5lu.%03lu", units / 1000, units % 1000);
	}
	print_out("\n");
}

static void show_end(const struct hoist_info *info, uint64_t entered)
{
	uint64_t units = in_units(info, entered - info->tsc[HOIST_PHASE_START]);
	uint64_t rip;

	__asm__("lea 0(%%rip), %0" : "=r"(rip));
	screen_set_ink(SCREEN_STRONG);
	print_out("\nhoist: the kernel runs at %016lx, handed over in %lu.%lu %s\n", rip,
		  units / 1000, units % 1000 / 100, unit(info));
}

/* ---- The kernel -------------------------------------------------------------------- */

void trap_unexpected(const struct trap *trap)
{
	print_out("\nhoist: exception %lu, error code %lx, CR2 %lx, RIP %lx\n", trap->vector,
		  trap->error, trap->address, trap->rip);
	cpu_halt();
}

void kernel_main(const struct hoist_info *info)
{
	uint64_t entered = cpu_tsc();

	if (serial_init())
		print_add_sink(serial_put);
	if (info->magic != HOIST_MAGIC || !HOIST_HAS(info, tsc)) {
		print_out("hoist: this is not the handoff of version %u\n", HOIST_VERSION);
		cpu_halt();
	}
	trap_init();
	if (screen_init(info))
		print_add_sink(screen_put);
	show_title(info);
	demo_memory(info);
	demo_mappings(info);
	show_space(info);
	show_kernel(info);
	show_modules(info);
	show_machine(info);
	show_time(info);
	show_end(info, entered);
	if (words_have(hoist_ptr(info, info->cmdline.address), "qemu-exit"))
		qemu_exit(true);
	cpu_halt();
}
