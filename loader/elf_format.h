/*
 * ELF64 files as the System V gABI (4.1, chapters 4 and 5) and the x86-64
 * psABI define them, under their names; only what the loader reads.
 */
#ifndef LOADER_ELF_FORMAT_H
#define LOADER_ELF_FORMAT_H

#include <stdint.h>

/* ---- Header (gABI, "ELF Header") --------------------------------------- */

#define EI_CLASS   4
#define EI_DATA    5
#define EI_VERSION 6
#define EI_NIDENT  16

#define ELFCLASS64  2
#define ELFDATA2LSB 1
#define EV_CURRENT  1
#define ET_EXEC     2
#define ET_DYN      3
#define EM_X86_64   62
/* The real count of program headers then is in a section header. */
#define PN_XNUM 0xffff

typedef struct {
	uint8_t e_ident[EI_NIDENT];
	uint16_t e_type;
	uint16_t e_machine;
	uint32_t e_version;
	uint64_t e_entry;
	uint64_t e_phoff;
	uint64_t e_shoff;
	uint32_t e_flags;
	uint16_t e_ehsize;
	uint16_t e_phentsize;
	uint16_t e_phnum;
	uint16_t e_shentsize;
	uint16_t e_shnum;
	uint16_t e_shstrndx;
} Elf64_Ehdr;

_Static_assert(sizeof(Elf64_Ehdr) == 64, "gABI: ELF header");

/* ---- Program headers (gABI, "Program Header") -------------------------- */

#define PT_LOAD      1
#define PT_DYNAMIC   2
#define PT_INTERP    3
#define PT_NOTE      4
#define PT_TLS       7
#define PT_GNU_RELRO 0x6474e552

#define PF_X 1
#define PF_W 2
#define PF_R 4

typedef struct {
	uint32_t p_type;
	uint32_t p_flags;
	uint64_t p_offset;
	uint64_t p_vaddr;
	uint64_t p_paddr;
	uint64_t p_filesz;
	uint64_t p_memsz;
	uint64_t p_align;
} Elf64_Phdr;

_Static_assert(sizeof(Elf64_Phdr) == 56, "gABI: program header");

/* ---- Dynamic section (gABI, "Dynamic Section") ------------------------- */

#define DT_NULL     0
#define DT_NEEDED   1
#define DT_PLTRELSZ 2
#define DT_RELA     7
#define DT_RELASZ   8
#define DT_RELAENT  9
#define DT_REL      17
#define DT_RELRSZ   35
#define DT_RELR     36
#define DT_RELRENT  37
#define DT_CREL     38
/* Tables of Android's linker, which other linkers write on request. */
#define DT_ANDROID_REL  0x6000000f
#define DT_ANDROID_RELA 0x60000011
#define DT_ANDROID_RELR 0x6fffe000

typedef struct {
	int64_t d_tag;
	uint64_t d_val;
} Elf64_Dyn;

_Static_assert(sizeof(Elf64_Dyn) == 16, "gABI: dynamic section entry");

/* ---- Relocations (gABI, "Relocation"; psABI, table 4.9) ---------------- */

#define R_X86_64_NONE      0
#define R_X86_64_RELATIVE  8
#define ELF64_R_TYPE(info) ((uint32_t)(info))

typedef struct {
	uint64_t r_offset;
	uint64_t r_info;
	int64_t r_addend;
} Elf64_Rela;

_Static_assert(sizeof(Elf64_Rela) == 24, "gABI: relocation with addend");

/* gABI, "Relative Relocation Table": an address, or a bitmap if odd. */
typedef uint64_t Elf64_Relr;

/* ---- Notes (gABI, "Note Section") -------------------------------------- */

typedef struct {
	uint32_t n_namesz;
	uint32_t n_descsz;
	uint32_t n_type;
} Elf64_Nhdr;

_Static_assert(sizeof(Elf64_Nhdr) == 12, "gABI: note header");

#endif
