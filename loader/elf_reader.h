/*
 * One elf_open() under way: what the files elf*.c share. Nothing here is for
 * users of elf.h.
 */
#ifndef LOADER_ELF_READER_H
#define LOADER_ELF_READER_H

#include "loader/elf.h"
#include "loader/elf_format.h"
#include "paging/addr.h"

/* Entries of the dynamic section that count: address, size, entry size, twice. */
enum dynamic_slot {
	SLOT_RELA,
	SLOT_RELASZ,
	SLOT_RELAENT,
	SLOT_RELR,
	SLOT_RELRSZ,
	SLOT_RELRENT,
	SLOT_COUNT,
};

/*
 * The image as far as it is known, and what is only needed on the way. A check
 * that fails names the place in `where` and `index`.
 */
struct reader {
	struct elf_image image;
	Elf64_Ehdr header;
	uint32_t indices[ELF_MAX_SEGMENTS]; /* program header of each segment */
	uint32_t tls, dynamic, relro;       /* program headers, or LOADER_NO_INDEX */

	uint64_t relro_begin, relro_end; /* offsets in the image; equal for none */
	uint64_t slots[SLOT_COUNT];
	uint32_t slots_seen; /* bits of enum dynamic_slot */

	const char *where;
	uint32_t index;
	struct loader_error *error;
};

/* Fills in the detail with the place of the moment; returns `status`. */
enum loader_status elf_fail(const struct reader *r, enum loader_status status, const char *field,
			    uint64_t value, const char *expected);

/* TRUNCATED if the bytes of a program header's segment are not all in the file. */
enum loader_status elf_check_in_file(const struct reader *r, const Elf64_Phdr *ph);

/* The segment that holds `length` bytes (at least one) at `virt`, or NULL. */
const struct elf_segment *elf_segment_at(const struct elf_image *image, uint64_t virt,
					 uint64_t length);

/* Finds and checks the relocation tables of an image whose segments are known. */
enum loader_status elf_read_relocations(struct reader *r);

/* Applies them to the image at `block`. */
void elf_relocate(const struct elf_image *image, uint8_t *block);

static inline void set_place(struct reader *r, const char *where, uint32_t index)
{
	r->where = where;
	r->index = index;
}

/* The file has any alignment, so every structure is copied out of it. */
static inline uint64_t read_word(const uint8_t *bytes)
{
	uint64_t word;

	__builtin_memcpy(&word, bytes, sizeof(word));
	return word;
}

/* The table is known to lie in the file. */
static inline Elf64_Phdr read_program_header(const uint8_t *file, const Elf64_Ehdr *header,
					     uint32_t index)
{
	Elf64_Phdr ph;

	__builtin_memcpy(&ph, file + header->e_phoff + index * sizeof(ph), sizeof(ph));
	return ph;
}

static inline Elf64_Phdr program_header_at(struct reader *r, uint32_t index)
{
	set_place(r, "segment", index);
	return read_program_header(r->image.file, &r->header, index);
}

#endif
