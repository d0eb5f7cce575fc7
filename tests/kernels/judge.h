/*
 * The judge: a kernel that examines from inside what it was handed. Each check
 * looks for flaws and ends in one sentence, which is printed as true or not.
 *
 *	if (something is wrong)
 *		judge_flaw("entry %u is empty", i);
 *	judge_verdict("no entry is empty");
 *
 * Words of the command line:
 *
 *	qemu-exit            leave QEMU with 33 (nothing failed) or 35
 *	expect-module=N      N modules are there
 *	expect-identity=N    1: there is an identity map, 0: there is none
 *	expect-high          nothing was free below 4 GiB, so all lies above
 *	expect-processors=N  N processors can be used
 *	expect-hpet=N        1: there is an HPET, 0: there is none
 *	expect-ecam=N        N windows of PCI Express configuration space are there
 *	expect-entropy=N     the sources of the seed are N
 *	dump                 print what was handed over in '@' lines
 *	wait                 at the end print "@waiting" and halt
 */
#ifndef KERNELS_JUDGE_H
#define KERNELS_JUDGE_H

#include "loader/hoist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JUDGE_MAX_MAPPINGS 4096u
#define JUDGE_MAX_MEMORY   4096u
#define JUDGE_MAX_EXTENTS  1024u
#define JUDGE_MAX_MODULES  64u
#define JUDGE_MAX_HARDWARE 256u
#define JUDGE_MAX_TABLES   (1u << 18)

#define JUDGE_GIB (UINT64_C(1) << 30)

/* ---- What was handed over, copied ---------------------------------------- */

/* All of it lies in the kernel, so that it outlives reclaimable memory. */
struct judge_handoff {
	const struct hoist_info *where; /* RDI */
	struct hoist_info info;
	struct hoist_mapping mappings[JUDGE_MAX_MAPPINGS];
	struct hoist_memory memory[JUDGE_MAX_MEMORY];
	struct hoist_extent extents[JUDGE_MAX_EXTENTS];
	struct hoist_module modules[JUDGE_MAX_MODULES];
	struct hoist_processor processors[JUDGE_MAX_HARDWARE];
	struct hoist_ioapic ioapics[JUDGE_MAX_HARDWARE];
	struct hoist_ecam ecam[JUDGE_MAX_HARDWARE];
	uint32_t mapping_count, memory_count, extent_count, module_count;
	uint32_t processor_count, ioapic_count, ecam_count;
	char cmdline[1024];
};

extern struct judge_handoff judge;

/* ---- Verdicts ------------------------------------------------------------- */

void judge_flaw(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends a check: prints the sentence, and counts it as passed if no flaw was found: true. */
bool judge_verdict(const char *sentence);

/* Prints the counts and leaves. */
_Noreturn void judge_end(void);

/* ---- Looking things up ---------------------------------------------------- */

/* The mapping of a virtual address; NULL if there is none. Needs a sorted list. */
const struct hoist_mapping *judge_mapping_at(uint64_t virt);

/* The same for a physical address through the direct map or the identity map. */
const struct hoist_mapping *judge_direct_at(uint64_t address);
const struct hoist_mapping *judge_identity_at(uint64_t address);

bool judge_has_identity_map(void);

/* Bytes of [address, address + size) whose kind is one of `kinds` (1 << kind). */
uint64_t judge_bytes_of_kind(uint64_t address, uint64_t size, uint32_t kinds);

/* Bytes that [a, a + a_size) and [b, b + b_size) have in common. */
uint64_t judge_common(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size);

/* True if all of the range can be read through the direct map. */
bool judge_can_read(uint64_t address, uint64_t size);

static inline bool judge_inside(uint64_t address, uint64_t base, uint64_t size)
{
	return address >= base && address - base < size;
}

/* ---- The image, as the linker made it ------------------------------------- */

/* Bytes of [first, end) have these rights; a segment may be empty. */
struct judge_segment {
	const char *name;
	const char *first, *end;
	uint32_t rights; /* of enum hoist_right */
};

/* .text, .rodata, what is read-only after relocation, .data: in the order of addresses. */
enum { JUDGE_SEGMENTS = 4 };
extern const struct judge_segment judge_segments[JUDGE_SEGMENTS];

/* Physical address of something in the image. */
uint64_t judge_physical(const volatile void *object);

/* ---- The checks, in the order in which they run --------------------------- */

/* Registers and MSRs, as judge_start.S found them. */
void judge_registers(void);
/* struct hoist_info itself; false if there is no use in going on. */
bool judge_take(const struct hoist_info *info);
/* The mapping list in itself; false if it is not even sorted. */
bool judge_list(void);
/* The mapping list against everything else. */
void judge_space(void);
/* What several mappings of the same memory must agree on. */
void judge_aliases(void);
/* CR3 against the mapping list. */
void judge_tables(void);
/* The memory map; false if it is not even sorted. */
bool judge_memory_map(void);
/* Addresses, if all of them have to be high. */
void judge_high(void);
/* The memory map against the firmware's. */
void judge_firmware_map(void);
/* Strings, modules, firmware's tables, time. */
void judge_things(void);
/* What ACPI tells of: interrupt controllers, processors, timer, PCI Express. */
void judge_hardware(void);
/* The processor, its clock, the seed. */
void judge_processor(void);
/* Starts all other processors at the page that is there for it. */
void judge_start_others(void);
/* What the modules hold. */
void judge_modules(void);
/* Faults that must happen. */
void judge_faults(void);
/* Writes to memory that is free. */
void judge_usable(void);
/* Overwrites what is reclaimable. Runs on a stack of the kernel's own. */
void judge_reclaim(void);

/* ---- Variants ------------------------------------------------------------- */

/* What is special about this kernel, by the file it was linked with. */
void judge_variant(void);

#endif
