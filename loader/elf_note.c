#include "loader/elf_reader.h"

/* A cursor is the number of a program header and an offset in its segment. */
#define CURSOR_SHIFT 48
#define CURSOR_MASK  ((UINT64_C(1) << CURSOR_SHIFT) - 1)

struct note {
	const uint8_t *name, *desc;
	uint32_t name_size, desc_size, type;
};

static bool note_is(const struct note *note, const char *owner, uint32_t type)
{
	if (note->type != type)
		return false;
	for (uint32_t i = 0; i < note->name_size; i++) {
		if (note->name[i] != (uint8_t)owner[i])
			return false;
		if (owner[i] == '\0')
			return i + 1 == note->name_size;
	}
	return false;
}

/*
 * Reads the note at *offset of a segment and moves *offset behind it. Name and
 * descriptor are padded to 4 bytes, as linkers do it whatever the gABI says of
 * 64-bit files; where something else is padded to 8, its sizes are so too.
 */
static bool read_note(const uint8_t *file, const Elf64_Phdr *ph, uint64_t *offset,
		      struct note *ret_note)
{
	const uint64_t alignment = sizeof(uint32_t);
	uint64_t name = *offset + sizeof(Elf64_Nhdr), desc;
	const uint8_t *segment;
	Elf64_Nhdr header;

	if (!fits(*offset, sizeof(header), ph->p_filesz))
		return false;
	segment = file + ph->p_offset; /* of an empty segment, it may be anything */
	__builtin_memcpy(&header, segment + *offset, sizeof(header));
	desc = align_up(name + header.n_namesz, alignment);
	if (!fits(desc, header.n_descsz, ph->p_filesz))
		return false;

	*ret_note = (struct note){
		.name = segment + name,
		.desc = segment + desc,
		.name_size = header.n_namesz,
		.desc_size = header.n_descsz,
		.type = header.n_type,
	};
	*offset = align_up(desc + header.n_descsz, alignment);
	return true;
}

bool elf_next_note(const struct elf_image *image, const char *owner, uint32_t type,
		   uint64_t *cursor, struct elf_note *ret_note)
{
	uint64_t offset = *cursor & CURSOR_MASK;
	uint64_t index = *cursor >> CURSOR_SHIFT;
	struct note note;
	Elf64_Ehdr header;

	__builtin_memcpy(&header, image->file, sizeof(header));
	for (; index < header.e_phnum; index++, offset = 0) {
		Elf64_Phdr ph = read_program_header(image->file, &header, (uint32_t)index);

		while (ph.p_type == PT_NOTE && read_note(image->file, &ph, &offset, &note)) {
			if (!note_is(&note, owner, type))
				continue;
			*cursor = index << CURSOR_SHIFT | offset;
			*ret_note = (struct elf_note){ note.desc, note.desc_size };
			return true;
		}
	}
	return false;
}

bool elf_notes_are_whole(const struct elf_image *image)
{
	Elf64_Ehdr header;
	struct note note;

	__builtin_memcpy(&header, image->file, sizeof(header));
	for (uint32_t i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr ph = read_program_header(image->file, &header, i);
		uint64_t offset = 0;

		while (ph.p_type == PT_NOTE && read_note(image->file, &ph, &offset, &note))
			;
		if (ph.p_type == PT_NOTE && fits(offset, sizeof(Elf64_Nhdr), ph.p_filesz))
			return false;
	}
	return true;
}
