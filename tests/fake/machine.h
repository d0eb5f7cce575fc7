/*
 * Machines: a memory map, devices, a kernel made by hand and what it brings
 * along, planned and, if wanted, built into tables. A second opinion says for
 * any virtual page what has to be there; it shares no code with the planner.
 */
#ifndef TESTS_FAKE_MACHINE_H
#define TESTS_FAKE_MACHINE_H

#include "loader/audit.h"
#include "loader/bootinfo.h"
#include "loader/devices.h"
#include "loader/layout.h"

#define MACHINE_MODULES 8
#define MACHINE_DEVICES 4

/* EFI_MEMORY_WC, _WT, _WB (UEFI 2.10, 7.2.3). */
#define MACHINE_WC  UINT64_C(0x2)
#define MACHINE_WT  UINT64_C(0x4)
#define MACHINE_WB  UINT64_C(0x8)
#define MACHINE_ALL UINT64_C(0xf)

/* As a table of the firmware's would tell: of any alignment. */
struct machine_device {
	struct layout_extent extent;
	uint32_t cache;
};

/* All storage is the machine's: machine_free(). */
struct machine {
	struct memmap raw; /* as a firmware would tell it */
	struct memmap map; /* after machine_settle() */
	struct elf_image kernel;
	uint64_t module_sizes[MACHINE_MODULES];
	struct machine_device devices[MACHINE_DEVICES];
	uint32_t device_count;
	struct span device_spans[2][2 * MACHINE_DEVICES];
	struct layout_request request;
	struct layout layout;
	uint64_t *tables; /* after machine_build(): exactly layout.plan.tables of them */
	struct pt_space space;
	struct pt_block block;
};

/* A machine without memory: 4 levels, 1 GiB leaves, 46 bits, NX, identity map. */
void machine_init(struct machine *ret_machine);
void machine_free(struct machine *machine);

/*
 * An ordinary one: 2 GiB of memory from 0 with the firmware's things at its
 * end, 2 GiB more at 4 GiB, PCI Express registers, a framebuffer, two modules
 * and the kernel of machine_kernel().
 */
void machine_init_plain(struct machine *ret_machine);

/* Adds to the raw map. */
void machine_add(struct machine *machine, uint64_t base, uint64_t size, uint32_t kind,
		 uint64_t attributes);
/* A device is told of twice, as by efi/: in the request and, as MMIO, in the map. */
void machine_add_device(struct machine *machine, uint64_t base, uint64_t size, uint32_t cache);
void machine_add_module(struct machine *machine, uint64_t size);

/* Pages of code, of constants and of data, one after the other, from `virt`. */
void machine_kernel(struct machine *machine, uint64_t virt, const uint64_t pages[3]);

/* Normalises the raw map and makes room for a plan. */
void machine_settle(struct machine *machine);

/* Normalises the raw map again, whatever has come to it, and leaves the plan alone. */
void machine_normalise(struct machine *machine);

/* Settles, and plans. */
enum loader_status machine_plan(struct machine *machine, struct loader_error *ret_error);

/*
 * The map as it is when everything planned has been allocated: what was usable
 * is the loader's, and hoist's own regions lie over it.
 */
void machine_allocate(struct machine *machine);

/* Builds the tables as efi/ does, in a buffer of exactly the planned size. */
enum pt_status machine_build(struct machine *machine);

/* The request that fits what was built. */
struct audit_request machine_audit_request(const struct machine *machine);

/* What has to be at one virtual page; address is meaningful if it is mapped. */
struct machine_page {
	bool mapped;
	uint64_t address;
	uint32_t rights, cache, purpose;
};

struct machine_page machine_expected(const struct machine *machine, uint64_t virt);

/*
 * Compares the mapping list with machine_expected() on both sides of every
 * border that either has, and checks its form. NULL, or what is wrong, with the
 * virtual address in *ret_where.
 */
const char *machine_list_fault(const struct machine *machine, uint64_t *ret_where);

/* Of the places that were chosen. NULL, or what is wrong. */
const char *machine_place_fault(const struct machine *machine);

/*
 * The fewest tables for the mapping list: the number of different (level,
 * span) in which some leaf of a lower level must lie.
 */
uint64_t machine_least_tables(const struct machine *machine);

#endif
