#include "loader/elf_reader.h"

enum loader_status elf_fail(const struct reader *r, enum loader_status status, const char *field,
			    uint64_t value, const char *expected)
{
	*r->error = (struct loader_error){
		.status = status,
		.where = r->where,
		.index = r->index,
		.field = field,
		.value = value,
		.expected = expected,
	};
	return status;
}

enum loader_status elf_check_in_file(const struct reader *r, const Elf64_Phdr *ph)
{
	if (ph->p_filesz == 0 || fits(ph->p_offset, ph->p_filesz, r->image.file_size))
		return LOADER_OK;
	if (ph->p_offset > r->image.file_size)
		return elf_fail(r, LOADER_ERR_TRUNCATED, "p_offset", ph->p_offset,
				"inside the file");
	return elf_fail(r, LOADER_ERR_TRUNCATED, "p_filesz", ph->p_filesz, "inside the file");
}

/* An address below a segment wraps to a distance that is longer than any segment. */
const struct elf_segment *elf_segment_at(const struct elf_image *image, uint64_t virt,
					 uint64_t length)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *segment = &image->segments[i];

		if (fits(virt - segment->virt, length, segment->size))
			return segment;
	}
	return NULL;
}
