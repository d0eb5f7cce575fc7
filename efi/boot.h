/*
 * One boot: the state that the phases of efi_main() hand on, and what has to be
 * given back if one of them fails. A phase returns false after it has said why
 * on the console; nothing it took is lost, memory_give_all() knows it all.
 */
#ifndef EFI_BOOT_H
#define EFI_BOOT_H

#include "efi/cpu.h"
#include "loader/acpi.h"
#include "loader/bootinfo.h"
#include "loader/config.h"
#include "loader/devices.h"
#include "loader/elf.h"
#include "loader/layout.h"
#include "loader/native.h"

#include <efi.h>
#include <efilib.h>
#include <stdbool.h>

/* Extents that are held at a time: six parts of the plan, files, lists, work areas. */
#define BOOT_EXTENTS 16

/* GetMemoryMap() (UEFI 2.10, 7.2.3) with its many results. */
struct memory_map {
	uint8_t *descriptors;
	UINTN room; /* bytes at `descriptors` */
	UINTN size, key, stride;
	UINT32 version;
};

/* The arrays that planning works on, all in one extent. */
struct plan_work {
	struct layout_extent extent;
	struct memory_map firmware;
	struct memmap raw;           /* as translated; its capacity is what the rest is sized for */
	struct memmap free;          /* copy that placement uses up */
	uint32_t *scratch;           /* for memmap_normalise() */
	struct hoist_mapping *check; /* the mapping list of the final map */
};

struct boot {
	EFI_HANDLE image;
	EFI_LOADED_IMAGE *loaded;
	EFI_STATUS status; /* to return to the firmware if a phase fails */

	/* settings.c */
	EFI_HANDLE volume; /* the one that paths without a name mean */
	bool configured;   /* there is a hoist.conf */
	struct config config;

	/* kernel.c */
	struct elf_image kernel;
	struct native_choice choice;
	uint64_t module_sizes[CONFIG_MAX_MODULES];

	/* hardware.c */
	struct acpi acpi;
	struct devices devices;

	/* plan.c */
	struct plan_work work;
	struct memmap map; /* normalised, of the moment */
	struct layout_request request;
	struct layout layout;
	struct bootinfo_source source;

	/* memory.c: all that memory_give_all() gives back */
	struct layout_extent extents[BOOT_EXTENTS];
	uint32_t extent_count;
};

/* Sets status, and is what a phase returns. */
static inline bool boot_fail(struct boot *boot, EFI_STATUS status)
{
	boot->status = status;
	return false;
}

/* Notes the time at which a phase ended. */
static inline void boot_mark(struct boot *boot, enum hoist_phase phase)
{
	boot->source.info.tsc[phase] = cpu_tsc();
}

/* Physical memory is identity-mapped before ExitBootServices (UEFI 2.10, 2.3.4). */
static inline void *boot_pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

#endif
