/*
 * ELF64 kernels for x86-64: ET_EXEC, and ET_DYN that relocates itself by
 * R_X86_64_RELATIVE and RELR alone. Everything that can be wrong with a file
 * is found by elf_open(); elf_load() cannot fail.
 *
 * An image is one contiguous block of whole pages. Its segments may come in
 * any order and leave holes; empty ones do not count. A page belongs to the
 * segments in it, which must agree about its rights; whole pages of
 * PT_GNU_RELRO become read-only, both its ends rounded down (its first page
 * only if no segment has bytes before it there). Pages of no segment belong to
 * the block and are not mapped.
 *
 *	elf.c        headers, segments, ranges; loading
 *	elf_reloc.c  the dynamic section and relocations
 *	elf_note.c   notes
 *	elf_reader.c what the first two share
 */
#ifndef LOADER_ELF_H
#define LOADER_ELF_H

#include "loader/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PT_LOAD segments that are not empty, at most. */
#define ELF_MAX_SEGMENTS 32
/* Ranges at most: RELRO lies in one segment, which it can cut in three. */
#define ELF_MAX_RANGES (ELF_MAX_SEGMENTS + 2)

/* Where an image linked at 0 is placed, and the least address of a kernel. */
#define ELF_DYN_BASE      UINT64_C(0xffffffff80000000)
#define ELF_LEAST_ADDRESS UINT64_C(0xffff800000000000)
/* An image spans less than this, first to last page. */
#define ELF_MAX_SPAN UINT64_C(0x80000000)

/* One PT_LOAD with p_memsz > 0, addresses as they will be (slide included). */
struct elf_segment {
	uint64_t offset;    /* in the file */
	uint64_t file_size; /* bytes from there; the rest up to `size` is zero */
	uint64_t virt;
	uint64_t size;
	uint32_t rights; /* of enum hoist_right */
};

/* Whole pages with the same rights; `virt` and `size` are multiples of 4096. */
struct elf_range {
	uint64_t virt;
	uint64_t size;
	uint32_t rights; /* of enum hoist_right */
};

struct elf_image {
	const uint8_t *file; /* the caller's; must outlive the image */
	uint64_t file_size;

	uint64_t virt;      /* first page */
	uint64_t size;      /* whole pages; virt + size may be 2^64, that is 0 */
	uint64_t alignment; /* largest p_align, at least 4096: the physical address must be
			       congruent to `virt` modulo this */
	uint64_t slide;     /* what was added to every linked address */
	uint64_t entry;

	uint32_t segment_count;
	uint32_t range_count;
	struct elf_segment segments[ELF_MAX_SEGMENTS]; /* ascending, disjoint */
	struct elf_range ranges[ELF_MAX_RANGES];       /* ascending, disjoint, coalesced */

	uint64_t tls_virt, tls_file_size, tls_size, tls_alignment; /* tls_size 0: none */

	/* Relocations, as offsets in the file; sizes in bytes, checked. */
	uint64_t rela_offset, rela_size;
	uint64_t relr_offset, relr_size;
};

/*
 * Reads `file_size` bytes at `file` (any alignment) and describes the image.
 * Nothing of the file is trusted; ret_image is untouched on failure, and
 * *ret_error then names header field or segment.
 *
 *   TRUNCATED    the file ends inside a header, table or segment
 *   FORMAT       no ELF64, wrong version or header sizes, no PT_LOAD, two PT_TLS ...
 *   MACHINE      e_machine is not x86-64, or the data is not little endian
 *   UNSUPPORTED  e_type is neither ET_EXEC nor ET_DYN, PT_INTERP, DT_NEEDED
 *   ALIGNMENT    p_align no power of two, p_offset and p_vaddr not congruent to it,
 *                or larger than 1 GiB
 *   OVERLAP      two segments share bytes, or p_filesz > p_memsz
 *   SHARED_PAGE  two segments share a page and differ in rights
 *   WX           a segment is writable and executable
 *   ADDRESS      lower half, mixed halves, past the end, or more than ELF_MAX_SPAN
 *   ENTRY        e_entry is in no executable segment
 *   RELOCATION   another type than RELATIVE or RELR, an entry size that is wrong,
 *                or a target outside of every segment
 *   CAPACITY     more than ELF_MAX_SEGMENTS
 */
enum loader_status elf_open(const void *file, uint64_t file_size, struct elf_image *ret_image,
			    struct loader_error *ret_error);

/*
 * Writes the whole image, image->size bytes, to `block`: segments, zeroes
 * between and behind them, relocations applied. `block` is the image's first
 * page; any alignment that memcpy takes will do.
 */
void elf_load(const struct elf_image *image, void *block);

/* One note of the wanted owner and type, its descriptor in the file. */
struct elf_note {
	const uint8_t *desc; /* not aligned */
	uint32_t desc_size;
};

/*
 * Steps through the notes (PT_NOTE segments) of `owner` with `type`. *cursor
 * starts as 0 and is the function's. False at the end; a malformed note ends
 * its segment.
 */
bool elf_next_note(const struct elf_image *image, const char *owner, uint32_t type,
		   uint64_t *cursor, struct elf_note *ret_note);

/* False if a PT_NOTE segment has a malformed note, behind which others could be hidden. */
bool elf_notes_are_whole(const struct elf_image *image);

#endif
