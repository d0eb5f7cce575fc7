/*
 * hoist: from the firmware to a kernel in the higher half, on page tables of
 * its own. efi_main() at the end is the table of contents.
 */
#include "efi/boot.h"
#include "efi/console.h"
#include "efi/cpu.h"
#include "efi/display.h"
#include "efi/exit.h"
#include "efi/hardware.h"
#include "efi/kernel.h"
#include "efi/memory.h"
#include "efi/plan.h"
#include "efi/platform.h"
#include "efi/report.h"
#include "efi/settings.h"
#include "loader/control.h"
#include "loader/guard.h"
#include "loader/lastwords.h"
#include "loader/switch.h"

#define TRIES 8

static bool start(struct boot *boot, EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	EFI_GUID guid = LOADED_IMAGE_PROTOCOL;

	ST = table;
	BS = table->BootServices;
	RT = table->RuntimeServices;
	boot->image = image;
	boot_mark(boot, HOIST_PHASE_START);
	report_start();
	/* Five minutes are short for large files on a slow medium (UEFI 2.10, 3.1.2). */
	BS->SetWatchdogTimer(0, 0, 0, NULL);
	boot->request.cpu = cpu_detect();
	boot->status = BS->HandleProtocol(image, &guid, (void **)&boot->loaded);
	if (EFI_ERROR(boot->status))
		console_fail("firmware", L"loaded image: HandleProtocol is \"%r\"", boot->status);
	return !EFI_ERROR(boot->status);
}

static bool read_files(struct boot *boot)
{
	bool good = settings_read(boot);

	boot_mark(boot, HOIST_PHASE_CONFIG);
	good = good && kernel_read(boot);
	boot_mark(boot, HOIST_PHASE_READ);
	return good;
}

static bool prepare(struct boot *boot)
{
	bool good = plan_make(boot);

	boot_mark(boot, HOIST_PHASE_PLAN);
	good = good && kernel_load(boot);
	boot_mark(boot, HOIST_PHASE_LOAD);
	return good && plan_build_tables(boot);
}

/* From ExitBootServices on, a fault is told without the firmware. */
static void prepare_guard(const struct boot *boot)
{
	struct lastwords_setup setup = {
		.framebuffer = boot->source.info.framebuffer,
		.serial_port = boot->config.serial_port,
		.serial_speed = boot->config.serial_speed,
		.max_leaf = boot->request.cpu.max_leaf,
		.phys_bits = boot->request.cpu.phys_bits,
		.nx = boot->request.cpu.nx,
		.reset = boot->config.reset_on_fault,
	};

	lastwords_prepare(&setup);
	guard_prepare();
}

_Noreturn static void enter(const struct boot *boot)
{
	const struct layout *layout = &boot->layout;
	struct switch_target target = {
		.root = layout->tables.base,
		.stack_top = layout->stack_virt + layout->stack.size,
		.entry = boot->kernel.entry,
		.argument = layout->direct_map + layout->info.base,
		.pat = boot->request.cpu.pat,
		.efer = control_efer(boot->request.cpu.nx),
		.cr4 = control_cr4(cpu_cr4()),
		.base = layout->direct_map,
	};

	switch_enter(&target);
}

/* Comes back only if it cannot be done; again where memory changed under the plan. */
static bool hand_over(struct boot *boot)
{
	for (unsigned i = 0; i < TRIES; i++) {
		if (!prepare(boot))
			return false;
		if (i == 0)
			report_plan(boot);
		prepare_guard(boot);
		if (exit_boot_services(boot) == EXIT_DONE)
			enter(boot);
		plan_undo(boot);
	}
	console_fail("memory",
		     L"map: changed %d times after planning, expected one that keeps still", TRIES);
	return boot_fail(boot, EFI_ABORTED);
}

/* The shell gives programs its parameters protocol; the boot manager does not. */
static bool started_by_shell(const struct boot *boot)
{
	EFI_GUID guid = {
		0x752f3136, 0x4e16, 0x4fdc, { 0xa2, 0x2a, 0xe5, 0xf4, 0x68, 0x12, 0xf4, 0xca }
	};
	void *unused;

	return !EFI_ERROR(BS->HandleProtocol(boot->image, &guid, &unused));
}

static EFI_STATUS give_up(struct boot *boot)
{
	memory_give_all(boot);
	if (!started_by_shell(boot))
		console_wait(10);
	return boot->status;
}

/* Called by gnu-efi's crt0, in the System V ABI. */
EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
	static struct boot boot;

	if (start(&boot, image, table) && read_files(&boot) && display_choose(&boot)) {
		platform_describe(&boot);
		if (hardware_find(&boot))
			hand_over(&boot);
	}
	return give_up(&boot);
}
