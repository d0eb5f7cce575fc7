/*
 * libFuzzer: any bytes as a kernel. What elf_open() accepts keeps every promise
 * of loader/elf.h, and elf_load() writes its block and nothing else. Start from
 * the files of `test_elf --corpus DIR`.
 */
#include "loader/elf.h"
#include "loader/hoist.h"

#include <stdlib.h>
#include <string.h>

#define PAGE      UINT64_C(4096)
#define LOAD_MAX  (UINT64_C(8) << 20)
#define GUARD     64
#define ASSERT(c) ((c) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int inside(const struct elf_image *image, uint64_t virt, uint64_t size)
{
	return virt - image->virt <= image->size && size <= image->size - (virt - image->virt);
}

static void check_rights(uint32_t rights)
{
	ASSERT(rights <= (HOIST_RIGHT_WRITE | HOIST_RIGHT_EXECUTE));
	ASSERT(rights != (HOIST_RIGHT_WRITE | HOIST_RIGHT_EXECUTE));
}

static void check_image(const struct elf_image *image)
{
	ASSERT(image->virt >= ELF_LEAST_ADDRESS && image->virt % PAGE == 0);
	ASSERT(image->size > 0 && image->size < ELF_MAX_SPAN && image->size % PAGE == 0);
	ASSERT(image->size - 1 <= UINT64_MAX - image->virt);
	ASSERT(image->alignment >= PAGE && (image->alignment & (image->alignment - 1)) == 0);
	ASSERT(image->slide == 0 || image->slide == ELF_DYN_BASE);
	ASSERT(image->segment_count > 0 && image->segment_count <= ELF_MAX_SEGMENTS);
	ASSERT(image->range_count > 0 && image->range_count <= ELF_MAX_RANGES);
	ASSERT(image->tls_file_size <= image->tls_size);
	ASSERT(image->tls_file_size == 0 || inside(image, image->tls_virt, image->tls_file_size));
}

static void check_segments(const struct elf_image *image)
{
	int entered = 0;

	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segments[i];

		ASSERT(s->size > 0 && inside(image, s->virt, s->size));
		ASSERT(s->file_size <= s->size && s->offset <= image->file_size);
		ASSERT(s->file_size <= image->file_size - s->offset);
		ASSERT(i == 0 || s->virt - image->virt >= s[-1].virt - image->virt + s[-1].size);
		check_rights(s->rights);
		if (s->rights & HOIST_RIGHT_EXECUTE)
			entered |= image->entry - s->virt < s->size;
	}
	ASSERT(entered);
}

static void check_ranges(const struct elf_image *image)
{
	for (uint32_t i = 0; i < image->range_count; i++) {
		const struct elf_range *r = &image->ranges[i];
		uint64_t gap;

		ASSERT(r->virt % PAGE == 0 && r->size > 0 && r->size % PAGE == 0);
		ASSERT(inside(image, r->virt, r->size));
		check_rights(r->rights);
		if (i == 0)
			continue;
		gap = r->virt - r[-1].virt - r[-1].size;
		ASSERT(gap < ELF_MAX_SPAN && (gap > 0 || r->rights != r[-1].rights));
	}
	ASSERT(image->ranges[0].virt == image->virt);
}

/* Every page of a segment is in a range with its rights, RELRO's apart. */
static void check_cover(const struct elf_image *image)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segments[i];
		uint64_t at = s->virt / PAGE * PAGE - image->virt;
		uint64_t end = s->virt - image->virt + s->size;

		for (uint32_t n = 0; n < image->range_count; n++) {
			const struct elf_range *r = &image->ranges[n];

			if (at >= end || at - (r->virt - image->virt) >= r->size)
				continue;
			ASSERT((r->rights | HOIST_RIGHT_WRITE) == (s->rights | HOIST_RIGHT_WRITE));
			ASSERT(!(r->rights & HOIST_RIGHT_WRITE) || s->rights == r->rights);
			at = r->virt - image->virt + r->size;
		}
		ASSERT(at >= end);
	}
}

static void check_load(const struct elf_image *image)
{
	uint8_t *block = malloc(image->size + GUARD);

	if (!block)
		return;
	memset(block + image->size, 0xa5, GUARD);
	elf_load(image, block);
	for (size_t i = 0; i < GUARD; i++)
		ASSERT(block[image->size + i] == 0xa5);
	free(block);
}

static void check_notes(const struct elf_image *image)
{
	struct elf_note note;
	uint64_t cursor = 0, before = 0;

	while (elf_next_note(image, "hoist", HOIST_NOTE_OPTION, &cursor, &note)) {
		uint64_t at = (uint64_t)(note.desc - image->file);

		ASSERT(at <= image->file_size && note.desc_size <= image->file_size - at);
		ASSERT(cursor > before);
		before = cursor;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_image image;
	struct loader_error error;

	memset(&error, 0, sizeof(error));
	if (elf_open(data, size, &image, &error) != LOADER_OK) {
		ASSERT(error.status != LOADER_OK && error.where && error.field && error.expected);
		return 0;
	}
	ASSERT(image.file == data && image.file_size == size && !error.where);
	check_image(&image);
	check_segments(&image);
	check_ranges(&image);
	check_cover(&image);
	check_notes(&image);
	if (image.size <= LOAD_MAX)
		check_load(&image);
	return 0;
}
