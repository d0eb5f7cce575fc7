#include "efi/exit.h"

#include "efi/cpu.h"
#include "efi/plan.h"
#include "loader/guard.h"
#include "loader/lastwords.h"

#define TRIES 8

/* Boot services are half gone: the runtime service is all that is left. */
_Noreturn static void give_up(EFI_STATUS status)
{
	lastwords_say("hoist: ExitBootServices: failed after a first try, or memory changed under "
		      "the plan: the machine is reset\n");
	RT->ResetSystem(EfiResetCold, status, 0, NULL);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* The final map goes straight to its place in the boot information. */
static void *prepare(struct boot *boot)
{
	void *block = boot_pointer(boot->layout.info.base);

	bootinfo_write(&boot->source, block);
	boot->work.firmware.descriptors = bootinfo_efi_map(block);
	boot->work.firmware.room = boot->source.efi_map_room;
	return block;
}

static void finish(struct boot *boot, void *block)
{
	struct hoist_info *info = block;

	bootinfo_set_efi_map(block, boot->work.firmware.size, (uint32_t)boot->work.firmware.stride,
			     boot->work.firmware.version);
	info->tsc[HOIST_PHASE_EXIT] = cpu_tsc();
}

enum exit_result exit_boot_services(struct boot *boot)
{
	void *block = prepare(boot);
	EFI_STATUS status = EFI_SUCCESS;

	for (unsigned i = 0; i < TRIES; i++) {
		status = plan_use_map(boot, true);

		bool holds = !EFI_ERROR(status) && plan_still_holds(boot) &&
			     bootinfo_set_memory(block, &boot->map);

		if (!holds && i == 0)
			return EXIT_CHANGED;
		if (!holds)
			break;
		status = BS->ExitBootServices(boot->image, boot->work.firmware.key);
		if (!EFI_ERROR(status)) {
			guard_arm();
			finish(boot, block);
			return EXIT_DONE;
		}
	}
	give_up(status);
}
