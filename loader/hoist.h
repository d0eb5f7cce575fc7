/* SPDX-License-Identifier: 0BSD */
/*
 * hoist.h: what hoist hands to a kernel. Copy this file into your kernel.
 *
 * The kernel is an ELF64 image linked in the higher half. hoist enters it as a
 * System V function
 *
 *	void kernel_main(const struct hoist_info *info);
 *
 * on a fresh stack, interrupts disabled, on page tables of its own. `info`
 * points into the direct map. docs/handoff.md specifies every register.
 *
 * Addresses. Every address in this file is physical unless its name ends in
 * _virt. To read physical memory add info->direct_map_virt, or call
 * hoist_ptr(info, address); lists, strings and modules can be read so. Lengths
 * and sizes are in bytes. This structure and all lists and strings lie in one
 * block of HOIST_MEMORY_RECLAIMABLE memory, which stays until the kernel reuses
 * it; what belongs to the firmware (ACPI, SMBIOS, the EFI system table) lies
 * where the firmware keeps it, and is mapped if its kind of memory is.
 *
 * Versions. A structure is never reordered and a field never changes its
 * meaning: fields and enumerators are added at the end, and `version` counts
 * the additions. info->size says how many bytes of struct hoist_info exist;
 * a kernel that was compiled with a longer one checks HOIST_HAS(info, field)
 * before it reads a field that is younger than the hoist it requires. Lists
 * carry their stride, so that their elements can grow the same way. What a
 * kernel cannot do without, it says in an option (below) and marks required.
 */
#ifndef HOIST_H
#define HOIST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOIST_MAGIC     0x3176497473696f68u /* "hoistIv1", little endian */
#define HOIST_VERSION   2u
#define HOIST_PAGE_SIZE 4096u

/* `count` elements, each `stride` bytes after the one before. */
struct hoist_list {
	uint64_t address; /* of the first; 0 if there are none */
	uint32_t count;
	uint32_t stride;
};

/* Bytes, with a NUL after them that `length` does not count; the empty string too. */
struct hoist_string {
	uint64_t address;
	uint64_t length;
};

/* ---- Memory map -------------------------------------------------------- */

/*
 * The map is sorted, page-aligned and disjoint; neighbours of the same kind
 * and attributes are one entry. Memory that no entry covers is unknown to the
 * firmware: leave it alone.
 */
enum hoist_memory_kind {
	HOIST_MEMORY_USABLE = 0,      /* free now */
	HOIST_MEMORY_RECLAIMABLE = 1, /* free once this information is no longer needed
					 and the kernel runs on its own GDT, IDT and TSS;
					 holds firmware's boot-services memory too */
	HOIST_MEMORY_KERNEL = 2,      /* the image */
	HOIST_MEMORY_PAGE_TABLES = 3, /* those in CR3 */
	HOIST_MEMORY_STACK = 4,       /* the one in RSP */
	HOIST_MEMORY_MODULE = 5,
	HOIST_MEMORY_ACPI_RECLAIM = 6, /* free once the ACPI tables have been read */
	HOIST_MEMORY_ACPI_NVS = 7,     /* firmware's: preserve */
	HOIST_MEMORY_RUNTIME_CODE = 8, /* EFI runtime services */
	HOIST_MEMORY_RUNTIME_DATA = 9,
	HOIST_MEMORY_MMIO = 10,     /* devices */
	HOIST_MEMORY_RESERVED = 11, /* leave alone */
	HOIST_MEMORY_BAD = 12,      /* found defective: never touch */
	HOIST_MEMORY_PERSISTENT = 13,
	HOIST_MEMORY_UNACCEPTED = 14, /* of a confidential guest: accept before use */
	HOIST_MEMORY_SPECIAL = 15,    /* RAM set aside for a purpose (EFI_MEMORY_SP), or
					 RAM that cannot be cached write-back */
};

struct hoist_memory {
	uint64_t address;
	uint64_t size;
	uint32_t kind; /* of enum hoist_memory_kind */
	uint32_t reserved;
	uint64_t efi_attributes; /* EFI_MEMORY_*, UEFI 2.10 section 7.2.3 */
};

/* ---- Mapping list ------------------------------------------------------ */

enum hoist_right {
	HOIST_RIGHT_WRITE = 1,
	HOIST_RIGHT_EXECUTE = 2,
};

/* As IA32_PAT encodes memory types (SDM 3A 12.12.2). */
enum hoist_cache {
	HOIST_CACHE_UC = 0,
	HOIST_CACHE_WC = 1,
	HOIST_CACHE_WT = 4,
	HOIST_CACHE_WP = 5,
	HOIST_CACHE_WB = 6,
};

enum hoist_purpose {
	HOIST_PURPOSE_IDENTITY = 0,   /* virtual == physical */
	HOIST_PURPOSE_DIRECT_MAP = 1, /* virtual == physical + direct_map_virt */
	HOIST_PURPOSE_KERNEL = 2,     /* a segment of the image, where it is linked */
	HOIST_PURPOSE_STACK = 3,      /* unmapped pages on both sides */
	HOIST_PURPOSE_HANDOFF = 4,    /* code, GDT, TSS, IDT and stacks of the last step;
					 identity, drop it together with
					 HOIST_MEMORY_RECLAIMABLE */
};

/*
 * All that is mapped, sorted by virtual address, disjoint: the page tables hold
 * these mappings and no other.
 */
struct hoist_mapping {
	uint64_t address_virt;
	uint64_t address;
	uint64_t size;
	uint32_t rights;    /* of enum hoist_right: what was asked for */
	uint32_t effective; /* what the processor grants: without NX, execute always */
	uint32_t cache;     /* of enum hoist_cache */
	uint32_t purpose;   /* of enum hoist_purpose */
};

/* ---- Things found ------------------------------------------------------ */

struct hoist_module {
	uint64_t address; /* page-aligned, mapped read-only, kind MODULE; 0 if empty */
	uint64_t size;
	struct hoist_string path;   /* as it was configured */
	struct hoist_string string; /* what was written behind the path */
};

enum hoist_pixel_format {
	HOIST_PIXELS_NONE = 0, /* no framebuffer */
	HOIST_PIXELS_RGB = 1,  /* 32 bits: red in the lowest byte */
	HOIST_PIXELS_BGR = 2,  /* 32 bits: blue in the lowest byte */
	HOIST_PIXELS_MASK = 3, /* see the masks */
};

struct hoist_framebuffer {
	uint64_t address; /* mapped write-combining */
	uint64_t size;
	uint32_t width, height; /* pixels */
	uint32_t pitch;         /* bytes from one line to the next */
	uint32_t format;        /* of enum hoist_pixel_format */
	uint32_t red_mask, green_mask, blue_mask;
	uint32_t bits_per_pixel;
};

/* The volume that paths without a name mean: where the configuration was, or hoist. */
struct hoist_volume {
	uint8_t partition_guid[16];    /* GPT partition, EFI byte order; zero if none */
	struct hoist_list device_path; /* EFI_DEVICE_PATH_PROTOCOL bytes, stride 1 */
};

/*
 * A processor, as the MADT lists it (ACPI 6.5 sections 5.2.12.2 and 5.2.12.12).
 * Without any flag it must not be used.
 */
enum hoist_processor_flag {
	HOIST_PROCESSOR_ENABLED = 1,
	HOIST_PROCESSOR_ONLINE_CAPABLE = 2, /* not yet there; the firmware may add it */
};

struct hoist_processor {
	uint32_t apic_id;  /* x2APIC ids have 32 bits, the others 8 */
	uint32_t acpi_uid; /* _UID of its object in the ACPI namespace */
	uint32_t flags;    /* of enum hoist_processor_flag */
	uint32_t reserved;
};

struct hoist_ioapic {
	uint64_t address; /* of its registers; mapped uncached */
	uint32_t id;
	uint32_t gsi_base; /* global system interrupt of its first input */
};

/* PCI Express configuration space: 1 MiB a bus, 32 KiB a device, 4 KiB a function. */
struct hoist_ecam {
	uint64_t address; /* of first_bus; mapped uncached */
	uint64_t size;
	uint32_t segment;
	uint32_t first_bus, last_bus;
	uint32_t reserved;
};

/* Initialisation image of thread-local storage (PT_TLS); size 0: there is none. */
struct hoist_tls {
	uint64_t address_virt; /* of the template */
	uint64_t file_size;    /* bytes of it that are initialised */
	uint64_t size;         /* bytes in all, the rest zero */
	uint64_t alignment;
};

/* What the processor that hoist ran on can do. */
enum hoist_cpu_feature {
	HOIST_CPU_NX = 1,            /* pages that are not executable */
	HOIST_CPU_HUGE_PAGES = 2,    /* leaves of 1 GiB */
	HOIST_CPU_INVARIANT_TSC = 4, /* the counter runs at tsc_hz in all power states */
};

struct hoist_cpu {
	uint32_t apic_id;       /* its own; one of the list of processors */
	uint32_t features;      /* of enum hoist_cpu_feature */
	uint32_t most_levels;   /* of page tables: 4 or 5 */
	uint32_t physical_bits; /* width of a physical address */
};

/* The seed is the exclusive or of 32 bytes of each of these. */
enum hoist_entropy {
	HOIST_ENTROPY_RDSEED = 1,
	HOIST_ENTROPY_RDRAND = 2,
	HOIST_ENTROPY_FIRMWARE = 4, /* EFI_RNG_PROTOCOL, UEFI 2.10 section 37.5 */
};

/*
 * Time-stamp counter at the end of each phase; tsc_hz is its frequency or 0 if
 * unknown.
 */
enum hoist_phase {
	HOIST_PHASE_START = 0, /* first instruction of hoist */
	HOIST_PHASE_CONFIG = 1,
	HOIST_PHASE_READ = 2,
	HOIST_PHASE_PLAN = 3,
	HOIST_PHASE_LOAD = 4,
	HOIST_PHASE_TABLES = 5,
	HOIST_PHASE_AUDIT = 6,
	HOIST_PHASE_EXIT = 7, /* ExitBootServices has returned */
	HOIST_PHASES = 16,    /* room for more */
};

/* ---- All of it --------------------------------------------------------- */

struct hoist_info {
	uint64_t magic;      /* HOIST_MAGIC */
	uint32_t version;    /* HOIST_VERSION of the loader */
	uint32_t size;       /* of this structure in the loader */
	uint64_t block;      /* physical address of the block that holds this structure */
	uint64_t block_size; /* and all lists and strings it points to */

	struct hoist_list memory;   /* struct hoist_memory */
	struct hoist_list mappings; /* struct hoist_mapping */

	uint64_t direct_map_virt;
	uint64_t page_table_root;      /* the value in CR3 */
	uint32_t levels;               /* of page tables: 4 or 5 */
	uint32_t table_count;          /* pages, all in page_tables */
	struct hoist_list page_tables; /* struct hoist_extent */

	uint64_t kernel; /* first byte of the image, contiguous */
	uint64_t kernel_virt;
	uint64_t kernel_size; /* whole pages */
	uint64_t stack;       /* lowest byte */
	uint64_t stack_virt;
	uint64_t stack_size;
	struct hoist_tls tls;

	struct hoist_string cmdline;
	struct hoist_string loader; /* "hoist 0.1" */
	struct hoist_list modules;  /* struct hoist_module */
	struct hoist_framebuffer framebuffer;
	struct hoist_volume boot_volume;

	uint64_t acpi_rsdp; /* 0 if there is none, here and below */
	uint64_t smbios;    /* 32-bit entry point */
	uint64_t smbios3;   /* 64-bit entry point */
	uint64_t efi_system_table;
	struct hoist_list efi_memory; /* the raw map of ExitBootServices; its stride */
	uint32_t efi_memory_version;  /* EFI_MEMORY_DESCRIPTOR_VERSION */
	uint32_t reserved;

	uint64_t tsc_hz;
	uint64_t tsc[16]; /* by enum hoist_phase */

	/* Since version 2. Addresses are 0 where the firmware tells of none. */
	struct hoist_list processors; /* struct hoist_processor */
	struct hoist_list ioapics;    /* struct hoist_ioapic */
	struct hoist_list ecam;       /* struct hoist_ecam */
	uint64_t lapic;               /* registers of the local APICs; mapped uncached */
	uint64_t hpet;                /* registers of the timer; mapped uncached */
	uint64_t startup_page;        /* for the first instructions of other processors; below
					 640 KiB, reclaimable; 0 if no page was free there */
	struct hoist_cpu cpu;
	uint32_t entropy_sources; /* of enum hoist_entropy; 0: entropy is all zero */
	uint32_t reserved_2;
	uint8_t entropy[32]; /* a seed, for the kernel alone: erase it after use */
};

/* Where tables lie. */
struct hoist_extent {
	uint64_t address;
	uint64_t size;
};

/* ---- Options: what a kernel asks of hoist ------------------------------ */

/*
 * A kernel states options in ELF notes (PT_NOTE), owner "hoist", type
 * HOIST_NOTE_OPTION. An option marked required is a refusal if hoist does not
 * know it or cannot grant it; one that is not required gives way to the
 * configuration. The linker script keeps the section .note.hoist, in a PT_NOTE
 * segment; without one, hoist does not see the options. At file scope:
 *
 *	HOIST_NOTE(HOIST_OPTION_IDENTITY_MAP, HOIST_REQUIRED, 0);
 */
#define HOIST_NOTE_OWNER  "hoist"
#define HOIST_NOTE_OPTION 1u

enum hoist_option {
	HOIST_OPTION_VERSION = 1,      /* least HOIST_VERSION that will do */
	HOIST_OPTION_IDENTITY_MAP = 2, /* 0: not wanted; 1: wanted (default) */
	HOIST_OPTION_STACK_SIZE = 3,   /* bytes; default 64 KiB */
	HOIST_OPTION_FRAMEBUFFER = 4,  /* 1: a framebuffer must be there */
};

#define HOIST_REQUIRED 1u

struct hoist_note {
	uint32_t name_size; /* 6 */
	uint32_t desc_size; /* 16 */
	uint32_t type;      /* HOIST_NOTE_OPTION */
	char name[8];       /* "hoist" */
	uint32_t option;    /* of enum hoist_option */
	uint32_t flags;     /* 0 or HOIST_REQUIRED */
	uint32_t value_low, value_high;
};

#define HOIST_NOTE_NAME2(line) hoist_note_##line
#define HOIST_NOTE_NAME(line)  HOIST_NOTE_NAME2(line)
#define HOIST_NOTE(option, flags, value)                                                         \
	__attribute__((section(".note.hoist"), used, aligned(4))) static const struct hoist_note \
	HOIST_NOTE_NAME(__LINE__) = { 6,                                                         \
				      16,                                                        \
				      HOIST_NOTE_OPTION,                                         \
				      { 'h', 'o', 'i', 's', 't', 0, 0, 0 },                      \
				      (option),                                                  \
				      (flags),                                                   \
				      (uint32_t)(uint64_t)(value),                               \
				      (uint32_t)((uint64_t)(value) >> 32) }

/* ---- Helpers ----------------------------------------------------------- */

/* True if the loader that wrote *info knew this field. */
#define HOIST_HAS(info, field) \
	((info)->size >= (uint64_t)((const char *)(&(info)->field + 1) - (const char *)(info)))

/* Pointer to physical memory, through the direct map. */
static inline void *hoist_ptr(const struct hoist_info *info, uint64_t address)
{
	return (void *)(uintptr_t)(info->direct_map_virt + address);
}

/* Element `index` of a list, index < list->count. */
static inline void *hoist_at(const struct hoist_info *info, const struct hoist_list *list,
			     uint32_t index)
{
	return hoist_ptr(info, list->address + (uint64_t)index * list->stride);
}

#ifdef __cplusplus
}
#endif

#endif
