#include "loader/elf_reader.h"

/* Arrays, not pointers: constant data must need no relocation. */
static const char slot_names[SLOT_COUNT][12] = {
	"DT_RELA", "DT_RELASZ", "DT_RELAENT", "DT_RELR", "DT_RELRSZ", "DT_RELRENT",
};

/* ---- Dynamic section --------------------------------------------------- */

static enum dynamic_slot slot_of(int64_t tag)
{
	switch (tag) {
	case DT_RELA:
		return SLOT_RELA;
	case DT_RELASZ:
		return SLOT_RELASZ;
	case DT_RELAENT:
		return SLOT_RELAENT;
	case DT_RELR:
		return SLOT_RELR;
	case DT_RELRSZ:
		return SLOT_RELRSZ;
	case DT_RELRENT:
		return SLOT_RELRENT;
	default:
		return SLOT_COUNT;
	}
}

/*
 * Refuses what would be left undone. DT_PLTRELSZ is there without harm when
 * the table that it measures is empty.
 */
static enum loader_status refuse_tag(const struct reader *r, const Elf64_Dyn *entry)
{
	switch (entry->d_tag) {
	case DT_NEEDED:
		return elf_fail(r, LOADER_ERR_UNSUPPORTED, "DT_NEEDED", entry->d_val,
				"no shared libraries");
	case DT_PLTRELSZ:
		if (entry->d_val == 0)
			return LOADER_OK;
		return elf_fail(r, LOADER_ERR_RELOCATION, "DT_PLTRELSZ", entry->d_val,
				"0: no relocations for a PLT");
	case DT_REL:
		return elf_fail(r, LOADER_ERR_RELOCATION, "DT_REL", entry->d_val,
				"DT_RELA or DT_RELR");
	case DT_CREL:
		return elf_fail(r, LOADER_ERR_RELOCATION, "DT_CREL", entry->d_val,
				"DT_RELA or DT_RELR");
	case DT_ANDROID_REL:
	case DT_ANDROID_RELA:
	case DT_ANDROID_RELR:
		return elf_fail(r, LOADER_ERR_RELOCATION, "d_tag", (uint64_t)entry->d_tag,
				"DT_RELA or DT_RELR instead of Android's");
	default:
		return LOADER_OK;
	}
}

static enum loader_status take_dynamic(struct reader *r, const Elf64_Dyn *entry)
{
	enum dynamic_slot slot = slot_of(entry->d_tag);

	if (slot == SLOT_COUNT)
		return refuse_tag(r, entry);
	if (r->slots_seen & 1u << slot)
		return elf_fail(r, LOADER_ERR_RELOCATION, slot_names[slot], entry->d_val,
				"one entry of this kind");
	r->slots[slot] = entry->d_val;
	r->slots_seen |= 1u << slot;
	return LOADER_OK;
}

/* Of the section at `ph`, whose bytes are in the file, up to DT_NULL. */
static enum loader_status read_dynamic_entries(struct reader *r, const Elf64_Phdr *ph)
{
	const uint8_t *entries = r->image.file + ph->p_offset;

	for (uint64_t i = 0; i < ph->p_filesz / sizeof(Elf64_Dyn); i++) {
		enum loader_status status;
		Elf64_Dyn entry;

		__builtin_memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
		if (entry.d_tag == DT_NULL)
			return LOADER_OK;
		set_place(r, "dynamic section", (uint32_t)i);
		status = take_dynamic(r, &entry);
		if (status != LOADER_OK)
			return status;
	}
	set_place(r, "segment", r->dynamic);
	return elf_fail(r, LOADER_ERR_FORMAT, "p_filesz", ph->p_filesz,
			"a dynamic section that ends with DT_NULL");
}

static enum loader_status read_dynamic(struct reader *r)
{
	enum loader_status status;
	Elf64_Phdr ph;

	if (r->dynamic == LOADER_NO_INDEX)
		return LOADER_OK;
	ph = program_header_at(r, r->dynamic);
	if (ph.p_filesz == 0)
		return LOADER_OK;
	status = elf_check_in_file(r, &ph);
	if (status == LOADER_OK)
		status = read_dynamic_entries(r, &ph);
	return status;
}

/* ---- Relocations ------------------------------------------------------- */

static enum loader_status check_slots(const struct reader *r, enum dynamic_slot slot,
				      uint64_t entry_size)
{
	const uint64_t *address = &r->slots[slot], *size = address + 1, *stride = address + 2;
	bool has_address = r->slots_seen & 1u << slot;
	bool has_size = r->slots_seen & 2u << slot;

	if (has_address != has_size)
		return elf_fail(r, LOADER_ERR_RELOCATION, slot_names[has_size ? slot : slot + 1], 0,
				"present, since its counterpart is");
	if (*size == 0)
		return LOADER_OK;
	if (*stride != entry_size)
		return elf_fail(r, LOADER_ERR_RELOCATION, slot_names[slot + 2], *stride,
				slot == SLOT_RELA ? "24" : "8");
	if (*size % entry_size != 0)
		return elf_fail(r, LOADER_ERR_RELOCATION, slot_names[slot + 1], *size,
				"a multiple of the entry size");
	return LOADER_OK;
}

/* Finds the table of `slot` in the file; no table is one of size 0. */
static enum loader_status locate_table(struct reader *r, enum dynamic_slot slot,
				       uint64_t entry_size, uint64_t *ret_offset,
				       uint64_t *ret_size)
{
	uint64_t start = r->slots[slot] + r->image.slide, size = r->slots[slot + 1];
	const struct elf_segment *segment;
	enum loader_status status;

	set_place(r, "dynamic section", LOADER_NO_INDEX);
	status = check_slots(r, slot, entry_size);
	if (status != LOADER_OK || size == 0)
		return status;
	segment = elf_segment_at(&r->image, start, size);
	if (!segment || !fits(start - segment->virt, size, segment->file_size))
		return elf_fail(r, LOADER_ERR_RELOCATION, slot_names[slot], r->slots[slot],
				"a table inside a segment and the file");
	*ret_offset = segment->offset + (start - segment->virt);
	*ret_size = size;
	return LOADER_OK;
}

static Elf64_Rela rela_at(const struct elf_image *image, uint64_t position)
{
	Elf64_Rela rela;

	__builtin_memcpy(&rela, image->file + image->rela_offset + position, sizeof(rela));
	return rela;
}

static enum loader_status check_rela(struct reader *r)
{
	const struct elf_image *image = &r->image;

	for (uint64_t at = 0; at < image->rela_size; at += sizeof(Elf64_Rela)) {
		Elf64_Rela rela = rela_at(image, at);
		uint32_t type = ELF64_R_TYPE(rela.r_info);

		set_place(r, "RELA entry", (uint32_t)(at / sizeof(rela)));
		if (type == R_X86_64_NONE)
			continue;
		if (type != R_X86_64_RELATIVE)
			return elf_fail(r, LOADER_ERR_RELOCATION, "ELF64_R_TYPE(r_info)", type,
					"8 (R_X86_64_RELATIVE)");
		if (!elf_segment_at(image, rela.r_offset + image->slide, sizeof(uint64_t)))
			return elf_fail(r, LOADER_ERR_RELOCATION, "r_offset", rela.r_offset,
					"8 bytes inside one segment");
	}
	return LOADER_OK;
}

/*
 * The targets of a RELR table (gABI, "Relative Relocation Table"). An even
 * entry is an address and a target. An odd one describes the 63 words that
 * follow the last address or bitmap: bit n + 1 says that word n is a target.
 */
struct relr_walk {
	const uint8_t *entries;
	uint64_t size, at; /* bytes */
	uint64_t next;     /* what a bitmap that comes now would describe */
	uint64_t base;     /* what `bits` describes */
	uint64_t bits;     /* targets not yet returned */
};

static struct relr_walk relr_start(const struct elf_image *image)
{
	return (struct relr_walk){
		.entries = image->file + image->relr_offset,
		.size = image->relr_size,
	};
}

static bool relr_step(struct relr_walk *walk, uint64_t *ret_target)
{
	while (walk->bits == 0) {
		Elf64_Relr entry;

		if (walk->at == walk->size)
			return false;
		entry = read_word(walk->entries + walk->at);
		walk->at += sizeof(entry);
		if ((entry & 1) == 0) {
			walk->next = entry + sizeof(entry);
			*ret_target = entry;
			return true;
		}
		walk->base = walk->next;
		walk->bits = entry >> 1;
		walk->next += 63 * sizeof(entry);
	}
	*ret_target = walk->base + sizeof(uint64_t) * (unsigned)__builtin_ctzll(walk->bits);
	walk->bits &= walk->bits - 1;
	return true;
}

static enum loader_status check_relr(struct reader *r)
{
	struct relr_walk walk = relr_start(&r->image);
	uint64_t target;

	set_place(r, "RELR entry", 0);
	if (walk.size > 0 && (read_word(walk.entries) & 1))
		return elf_fail(r, LOADER_ERR_RELOCATION, "bitmap", read_word(walk.entries),
				"an address before the first bitmap");
	while (relr_step(&walk, &target)) {
		set_place(r, "RELR entry", (uint32_t)(walk.at / sizeof(Elf64_Relr) - 1));
		if (!elf_segment_at(&r->image, target + r->image.slide, sizeof(uint64_t)))
			return elf_fail(r, LOADER_ERR_RELOCATION, "target", target,
					"8 bytes inside one segment");
	}
	return LOADER_OK;
}

enum loader_status elf_read_relocations(struct reader *r)
{
	struct elf_image *image = &r->image;
	enum loader_status status = read_dynamic(r);

	if (status == LOADER_OK)
		status = locate_table(r, SLOT_RELA, sizeof(Elf64_Rela), &image->rela_offset,
				      &image->rela_size);
	if (status == LOADER_OK)
		status = check_rela(r);
	if (status == LOADER_OK)
		status = locate_table(r, SLOT_RELR, sizeof(Elf64_Relr), &image->relr_offset,
				      &image->relr_size);
	if (status == LOADER_OK)
		status = check_relr(r);
	return status;
}

/* RELR comes first, as in dynamic linkers: it adds to a word, RELA sets it. */
void elf_relocate(const struct elf_image *image, uint8_t *block)
{
	uint64_t to_block = image->slide - image->virt; /* modulo 2^64 */
	struct relr_walk walk = relr_start(image);
	uint64_t target;

	while (relr_step(&walk, &target)) {
		uint64_t value = read_word(block + (target + to_block)) + image->slide;

		__builtin_memcpy(block + (target + to_block), &value, sizeof(value));
	}
	for (uint64_t at = 0; at < image->rela_size; at += sizeof(Elf64_Rela)) {
		Elf64_Rela rela = rela_at(image, at);
		uint64_t value = (uint64_t)rela.r_addend + image->slide;

		if (ELF64_R_TYPE(rela.r_info) == R_X86_64_RELATIVE)
			__builtin_memcpy(block + (rela.r_offset + to_block), &value, sizeof(value));
	}
}
