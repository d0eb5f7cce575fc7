#include "loader/elf.h"

#include "loader/elf_format.h"
#include "loader/hoist.h"
#include "paging/addr.h"

#define GIB UINT64_C(0x40000000)

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

/* Arrays, not pointers: constant data must need no relocation. */
static const char slot_names[SLOT_COUNT][12] = {
	"DT_RELA", "DT_RELASZ", "DT_RELAENT", "DT_RELR", "DT_RELRSZ", "DT_RELRENT",
};

/*
 * One elf_open(): the image as far as it is known, and what is only needed on
 * the way. A check that fails names the place in `where` and `index`.
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

static enum loader_status fail(const struct reader *r, enum loader_status status, const char *field,
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

static void set_place(struct reader *r, const char *where, uint32_t index)
{
	r->where = where;
	r->index = index;
}

/* ---- Reading ----------------------------------------------------------- */

/* The file has any alignment, so every structure is copied out of it. */
static uint64_t read_word(const uint8_t *bytes)
{
	uint64_t word;

	__builtin_memcpy(&word, bytes, sizeof(word));
	return word;
}

/* The table is known to lie in the file. */
static Elf64_Phdr read_program_header(const uint8_t *file, const Elf64_Ehdr *header, uint32_t index)
{
	Elf64_Phdr ph;

	__builtin_memcpy(&ph, file + header->e_phoff + index * sizeof(ph), sizeof(ph));
	return ph;
}

static Elf64_Phdr program_header_at(struct reader *r, uint32_t index)
{
	set_place(r, "segment", index);
	return read_program_header(r->image.file, &r->header, index);
}

static uint64_t last_byte(const struct elf_segment *segment)
{
	return segment->virt + (segment->size - 1);
}

/*
 * The segment that holds `length` bytes (at least one) at `virt`, or NULL. An
 * address below a segment wraps to a distance that is longer than any segment.
 */
static const struct elf_segment *segment_at(const struct elf_image *image, uint64_t virt,
					    uint64_t length)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *segment = &image->segments[i];

		if (fits(virt - segment->virt, length, segment->size))
			return segment;
	}
	return NULL;
}

/* ---- ELF header -------------------------------------------------------- */

static enum loader_status check_ident(const struct reader *r)
{
	const uint8_t *ident = r->header.e_ident;

	if (__builtin_memcmp(ident, "\177ELF", 4) != 0)
		return fail(r, LOADER_ERR_FORMAT, "e_ident[EI_MAG0]", read_word(ident) & UINT32_MAX,
			    "0x464c457f (ELF)");
	if (ident[EI_CLASS] != ELFCLASS64)
		return fail(r, LOADER_ERR_FORMAT, "e_ident[EI_CLASS]", ident[EI_CLASS],
			    "2 (64 bits)");
	if (ident[EI_DATA] != ELFDATA2LSB)
		return fail(r, LOADER_ERR_MACHINE, "e_ident[EI_DATA]", ident[EI_DATA],
			    "1 (little endian)");
	if (ident[EI_VERSION] != EV_CURRENT)
		return fail(r, LOADER_ERR_FORMAT, "e_ident[EI_VERSION]", ident[EI_VERSION], "1");
	return LOADER_OK;
}

static enum loader_status check_kind(const struct reader *r)
{
	const Elf64_Ehdr *h = &r->header;

	if (h->e_machine != EM_X86_64)
		return fail(r, LOADER_ERR_MACHINE, "e_machine", h->e_machine, "62 (x86-64)");
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return fail(r, LOADER_ERR_UNSUPPORTED, "e_type", h->e_type,
			    "2 (executable) or 3 (position-independent)");
	if (h->e_version != EV_CURRENT)
		return fail(r, LOADER_ERR_FORMAT, "e_version", h->e_version, "1");
	if (h->e_ehsize != sizeof(Elf64_Ehdr))
		return fail(r, LOADER_ERR_FORMAT, "e_ehsize", h->e_ehsize, "64");
	return LOADER_OK;
}

static enum loader_status check_table(const struct reader *r)
{
	const Elf64_Ehdr *h = &r->header;

	if (h->e_phnum == 0)
		return fail(r, LOADER_ERR_FORMAT, "e_phnum", 0, "at least 1");
	if (h->e_phnum == PN_XNUM)
		return fail(r, LOADER_ERR_CAPACITY, "e_phnum", PN_XNUM, "less than 65535");
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return fail(r, LOADER_ERR_FORMAT, "e_phentsize", h->e_phentsize, "56");
	if (!fits(h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr), r->image.file_size))
		return fail(r, LOADER_ERR_TRUNCATED, "e_phoff", h->e_phoff,
			    "a table that ends inside the file");
	return LOADER_OK;
}

static enum loader_status read_header(struct reader *r)
{
	enum loader_status status;

	set_place(r, "ELF header", LOADER_NO_INDEX);
	if (r->image.file_size < sizeof(r->header))
		return fail(r, LOADER_ERR_TRUNCATED, "file size", r->image.file_size,
			    "at least 64");
	__builtin_memcpy(&r->header, r->image.file, sizeof(r->header));

	status = check_ident(r);
	if (status == LOADER_OK)
		status = check_kind(r);
	if (status == LOADER_OK)
		status = check_table(r);
	return status;
}

/* ---- Program headers --------------------------------------------------- */

/* gABI, "Program Header", p_align: 0 and 1 both mean that none is required. */
static uint64_t alignment_of(const Elf64_Phdr *ph)
{
	return ph->p_align ? ph->p_align : 1;
}

static enum loader_status check_sizes(const struct reader *r, const Elf64_Phdr *ph)
{
	if (ph->p_filesz > ph->p_memsz)
		return fail(r, LOADER_ERR_OVERLAP, "p_filesz", ph->p_filesz, "at most p_memsz");
	if (ph->p_memsz >= ELF_MAX_SPAN)
		return fail(r, LOADER_ERR_ADDRESS, "p_memsz", ph->p_memsz, "less than 2 GiB");
	return LOADER_OK;
}

/* Of a segment without bytes in the file, p_offset means nothing. */
static enum loader_status check_in_file(const struct reader *r, const Elf64_Phdr *ph)
{
	if (ph->p_filesz == 0 || fits(ph->p_offset, ph->p_filesz, r->image.file_size))
		return LOADER_OK;
	if (ph->p_offset > r->image.file_size)
		return fail(r, LOADER_ERR_TRUNCATED, "p_offset", ph->p_offset, "inside the file");
	return fail(r, LOADER_ERR_TRUNCATED, "p_filesz", ph->p_filesz, "inside the file");
}

static enum loader_status check_alignment(const struct reader *r, const Elf64_Phdr *ph)
{
	uint64_t alignment = alignment_of(ph);

	if ((alignment & (alignment - 1)) != 0)
		return fail(r, LOADER_ERR_ALIGNMENT, "p_align", ph->p_align, "a power of two");
	if (alignment > GIB)
		return fail(r, LOADER_ERR_ALIGNMENT, "p_align", ph->p_align, "at most 1 GiB");
	return LOADER_OK;
}

static enum loader_status check_load(const struct reader *r, const Elf64_Phdr *ph)
{
	enum loader_status status = check_sizes(r, ph);

	if (status == LOADER_OK)
		status = check_in_file(r, ph);
	if (status == LOADER_OK)
		status = check_alignment(r, ph);
	if (status != LOADER_OK)
		return status;

	if (!is_aligned(ph->p_offset - ph->p_vaddr, alignment_of(ph)))
		return fail(r, LOADER_ERR_ALIGNMENT, "p_offset", ph->p_offset,
			    "equal to p_vaddr modulo p_align");
	if ((ph->p_flags & PF_W) && (ph->p_flags & PF_X))
		return fail(r, LOADER_ERR_WX, "p_flags", ph->p_flags,
			    "not both writable and executable");
	if (ph->p_memsz - 1 > UINT64_MAX - ph->p_vaddr)
		return fail(r, LOADER_ERR_ADDRESS, "p_vaddr", ph->p_vaddr,
			    "a segment that ends inside the address space");
	return LOADER_OK;
}

static uint32_t rights_of(uint32_t flags)
{
	return (flags & PF_W ? (uint32_t)HOIST_RIGHT_WRITE : 0) |
	       (flags & PF_X ? (uint32_t)HOIST_RIGHT_EXECUTE : 0);
}

/* Keeps segments[] ascending, and indices[] with it. */
static void insert_segment(struct reader *r, const Elf64_Phdr *ph)
{
	struct elf_segment *segments = r->image.segments;
	uint32_t i = r->image.segment_count++;

	for (; i > 0 && segments[i - 1].virt > ph->p_vaddr; i--) {
		segments[i] = segments[i - 1];
		r->indices[i] = r->indices[i - 1];
	}
	segments[i] = (struct elf_segment){
		.offset = ph->p_filesz ? ph->p_offset : 0,
		.file_size = ph->p_filesz,
		.virt = ph->p_vaddr,
		.size = ph->p_memsz,
		.rights = rights_of(ph->p_flags),
	};
	r->indices[i] = r->index;
}

static enum loader_status take_load(struct reader *r, const Elf64_Phdr *ph)
{
	enum loader_status status;

	if (ph->p_memsz == 0 && ph->p_filesz == 0)
		return LOADER_OK;
	status = check_load(r, ph);
	if (status != LOADER_OK)
		return status;
	if (r->image.segment_count == ELF_MAX_SEGMENTS)
		return fail(r, LOADER_ERR_CAPACITY, "PT_LOAD", ELF_MAX_SEGMENTS + 1, "at most 32");
	insert_segment(r, ph);
	if (r->image.alignment < ph->p_align)
		r->image.alignment = ph->p_align;
	return LOADER_OK;
}

/* Remembers a program header of which there is one at most. */
static enum loader_status take_single(const struct reader *r, const Elf64_Phdr *ph,
				      uint32_t *ret_index)
{
	if (*ret_index != LOADER_NO_INDEX)
		return fail(r, LOADER_ERR_FORMAT, "p_type", ph->p_type, "one of this type");
	*ret_index = r->index;
	return LOADER_OK;
}

static enum loader_status take_program_header(struct reader *r, const Elf64_Phdr *ph)
{
	switch (ph->p_type) {
	case PT_LOAD:
		return take_load(r, ph);
	case PT_TLS:
		return take_single(r, ph, &r->tls);
	case PT_DYNAMIC:
		return take_single(r, ph, &r->dynamic);
	case PT_GNU_RELRO:
		return take_single(r, ph, &r->relro);
	case PT_NOTE:
		return check_in_file(r, ph);
	case PT_INTERP:
		return fail(r, LOADER_ERR_UNSUPPORTED, "p_type", PT_INTERP,
			    "no interpreter (PT_INTERP)");
	default:
		return LOADER_OK; /* says nothing about memory */
	}
}

static enum loader_status read_program_headers(struct reader *r)
{
	for (uint32_t i = 0; i < r->header.e_phnum; i++) {
		Elf64_Phdr ph = program_header_at(r, i);
		enum loader_status status = take_program_header(r, &ph);

		if (status != LOADER_OK)
			return status;
	}
	set_place(r, "ELF header", LOADER_NO_INDEX);
	if (r->image.segment_count == 0)
		return fail(r, LOADER_ERR_FORMAT, "PT_LOAD", 0, "a segment that is not empty");
	return LOADER_OK;
}

/* ---- Segments in memory ------------------------------------------------ */

/* Segments are sorted, so whoever shares a byte or a page has a neighbour that does. */
static enum loader_status check_neighbours(struct reader *r)
{
	for (uint32_t i = 1; i < r->image.segment_count; i++) {
		const struct elf_segment *low = &r->image.segments[i - 1];
		const struct elf_segment *high = &r->image.segments[i];

		set_place(r, "segment", r->indices[i]);
		if (high->virt - low->virt < low->size)
			return fail(r, LOADER_ERR_OVERLAP, "p_vaddr", high->virt,
				    "behind the end of the segment below");
		if (align_down(last_byte(low), HOIST_PAGE_SIZE) ==
			    align_down(high->virt, HOIST_PAGE_SIZE) &&
		    low->rights != high->rights)
			return fail(r, LOADER_ERR_SHARED_PAGE, "p_vaddr", high->virt,
				    "another page than the segment below, or its p_flags");
	}
	return LOADER_OK;
}

/* Decides the slide from the lowest page. */
static enum loader_status choose_slide(struct reader *r)
{
	uint64_t lowest = r->image.segments[0].virt;

	set_place(r, "segment", r->indices[0]);
	if (lowest >= ELF_LEAST_ADDRESS)
		return LOADER_OK;
	if (r->header.e_type == ET_EXEC)
		return fail(r, LOADER_ERR_ADDRESS, "p_vaddr", lowest,
			    "at least 0xffff800000000000");
	if (lowest >= HOIST_PAGE_SIZE)
		return fail(r, LOADER_ERR_ADDRESS, "p_vaddr", lowest,
			    "in the first page, or at least 0xffff800000000000");
	r->image.slide = ELF_DYN_BASE;
	return LOADER_OK;
}

/*
 * From here on all addresses are final. The image may end with the address
 * space, so sums stay differences to its first page.
 */
static enum loader_status place_image(struct reader *r)
{
	struct elf_image *image = &r->image;
	const struct elf_segment *top = &image->segments[image->segment_count - 1];
	uint64_t first = align_down(image->segments[0].virt, HOIST_PAGE_SIZE);
	uint64_t last = align_down(last_byte(top), HOIST_PAGE_SIZE);
	enum loader_status status = choose_slide(r);

	if (status != LOADER_OK)
		return status;
	if (last - first >= ELF_MAX_SPAN - HOIST_PAGE_SIZE) {
		set_place(r, "segment", r->indices[image->segment_count - 1]);
		return fail(r, LOADER_ERR_ADDRESS, "p_vaddr", top->virt,
			    "all segments in less than 2 GiB");
	}
	for (uint32_t i = 0; i < image->segment_count; i++)
		image->segments[i].virt += image->slide;
	image->virt = first + image->slide;
	image->size = last - first + HOIST_PAGE_SIZE;
	return LOADER_OK;
}

static enum loader_status check_entry(struct reader *r)
{
	uint64_t entry = r->header.e_entry + r->image.slide;
	const struct elf_segment *segment = segment_at(&r->image, entry, 1);

	set_place(r, "ELF header", LOADER_NO_INDEX);
	if (!segment || !(segment->rights & HOIST_RIGHT_EXECUTE))
		return fail(r, LOADER_ERR_ENTRY, "e_entry", r->header.e_entry,
			    "inside an executable segment");
	r->image.entry = entry;
	return LOADER_OK;
}

/* ---- RELRO and ranges -------------------------------------------------- */

/* `segment` is the one where RELRO starts. Linkers may round its end up to a whole page. */
static enum loader_status check_relro(const struct reader *r, const Elf64_Phdr *ph,
				      const struct elf_segment *segment)
{
	uint64_t start = ph->p_vaddr + r->image.slide;
	uint64_t last = last_byte(segment) | (HOIST_PAGE_SIZE - 1);
	const struct elf_segment *next = segment + 1;
	const struct elf_segment *end = r->image.segments + r->image.segment_count;

	if (ph->p_memsz - 1 > last - start)
		return fail(r, LOADER_ERR_ADDRESS, "p_memsz", ph->p_memsz,
			    "an end in the last page of the segment");
	if (next < end && next->virt - start < ph->p_memsz)
		return fail(r, LOADER_ERR_OVERLAP, "p_memsz", ph->p_memsz,
			    "an end below the next segment");
	return LOADER_OK;
}

/* True if a byte of a segment lies before `virt` in its page; `segment` holds `virt`. */
static bool page_starts_earlier(const struct elf_image *image, const struct elf_segment *segment,
				uint64_t virt)
{
	if (is_aligned(virt, HOIST_PAGE_SIZE))
		return false;
	if (segment->virt < virt)
		return true;
	return segment > image->segments &&
	       last_byte(segment - 1) >= align_down(virt, HOIST_PAGE_SIZE);
}

/*
 * Which pages RELRO makes read-only. Both ends are rounded down, as dynamic
 * linkers do (glibc, _dl_protect_relro(): what lies behind the end in its page
 * is data that stays writable, and linkers let RELRO begin where the segment
 * does). Where it does not, the first page holds writable data as well and
 * stays writable: protecting less than was asked for never breaks a kernel.
 */
static enum loader_status read_relro(struct reader *r)
{
	struct elf_image *image = &r->image;
	const struct elf_segment *segment;
	enum loader_status status;
	Elf64_Phdr ph;
	uint64_t start;

	if (r->relro == LOADER_NO_INDEX)
		return LOADER_OK;
	ph = program_header_at(r, r->relro);
	if (ph.p_memsz == 0)
		return LOADER_OK;
	start = ph.p_vaddr + image->slide;
	segment = segment_at(image, start, 1);
	if (!segment)
		return fail(r, LOADER_ERR_ADDRESS, "p_vaddr", ph.p_vaddr, "inside a segment");
	status = check_relro(r, &ph, segment);
	if (status != LOADER_OK)
		return status;

	r->relro_begin = align_down(start - image->virt, HOIST_PAGE_SIZE);
	r->relro_end = align_down(start - image->virt + ph.p_memsz, HOIST_PAGE_SIZE);
	if (page_starts_earlier(image, segment, start))
		r->relro_begin += HOIST_PAGE_SIZE;
	return LOADER_OK;
}

/* Appends pages [begin, end), offsets in the image, behind all others. */
static void add_range(struct elf_image *image, uint64_t begin, uint64_t end, uint32_t rights)
{
	struct elf_range *top = &image->ranges[image->range_count];
	bool joins = image->range_count > 0 && top[-1].rights == rights &&
		     top[-1].virt - image->virt + top[-1].size == begin;

	if (begin >= end)
		return;
	if (joins) {
		top[-1].size += end - begin;
		return;
	}
	*top = (struct elf_range){
		.virt = image->virt + begin,
		.size = end - begin,
		.rights = rights,
	};
	image->range_count++;
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
	if (value < low)
		return low;
	return value < high ? value : high;
}

/* A page that two segments share has equal rights in both, and counts with the first. */
static void make_ranges(struct reader *r)
{
	struct elf_image *image = &r->image;
	uint64_t done = 0;

	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *segment = &image->segments[i];
		uint64_t offset = segment->virt - image->virt;
		uint64_t end = align_up(offset + segment->size, HOIST_PAGE_SIZE);
		uint64_t begin = clamp(align_down(offset, HOIST_PAGE_SIZE), done, end);
		uint64_t cut = clamp(r->relro_begin, begin, end);
		uint64_t resume = clamp(r->relro_end, cut, end);

		add_range(image, begin, cut, segment->rights);
		add_range(image, cut, resume, segment->rights & ~(uint32_t)HOIST_RIGHT_WRITE);
		add_range(image, resume, end, segment->rights);
		done = end;
	}
}

/* ---- Thread-local storage ---------------------------------------------- */

/* Only the initialised bytes are in memory: p_memsz is the size of each copy. */
static enum loader_status read_tls(struct reader *r)
{
	struct elf_image *image = &r->image;
	enum loader_status status;
	Elf64_Phdr ph;
	uint64_t template;

	if (r->tls == LOADER_NO_INDEX)
		return LOADER_OK;
	ph = program_header_at(r, r->tls);
	template = ph.p_vaddr + image->slide;
	status = check_sizes(r, &ph);
	if (status == LOADER_OK)
		status = check_alignment(r, &ph);
	if (status != LOADER_OK)
		return status;
	if (ph.p_filesz > 0 && !segment_at(image, template, ph.p_filesz))
		return fail(r, LOADER_ERR_ADDRESS, "p_vaddr", ph.p_vaddr,
			    "a template inside one segment");
	if (ph.p_memsz == 0)
		return LOADER_OK;

	image->tls_virt = template;
	image->tls_file_size = ph.p_filesz;
	image->tls_size = ph.p_memsz;
	image->tls_alignment = alignment_of(&ph);
	return LOADER_OK;
}

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
		return fail(r, LOADER_ERR_UNSUPPORTED, "DT_NEEDED", entry->d_val,
			    "no shared libraries");
	case DT_PLTRELSZ:
		if (entry->d_val == 0)
			return LOADER_OK;
		return fail(r, LOADER_ERR_RELOCATION, "DT_PLTRELSZ", entry->d_val,
			    "0: no relocations for a PLT");
	case DT_REL:
		return fail(r, LOADER_ERR_RELOCATION, "DT_REL", entry->d_val, "DT_RELA or DT_RELR");
	case DT_CREL:
		return fail(r, LOADER_ERR_RELOCATION, "DT_CREL", entry->d_val,
			    "DT_RELA or DT_RELR");
	case DT_ANDROID_REL:
	case DT_ANDROID_RELA:
	case DT_ANDROID_RELR:
		return fail(r, LOADER_ERR_RELOCATION, "d_tag", (uint64_t)entry->d_tag,
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
		return fail(r, LOADER_ERR_RELOCATION, slot_names[slot], entry->d_val,
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
	return fail(r, LOADER_ERR_FORMAT, "p_filesz", ph->p_filesz,
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
	status = check_in_file(r, &ph);
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
		return fail(r, LOADER_ERR_RELOCATION, slot_names[has_size ? slot : slot + 1], 0,
			    "present, since its counterpart is");
	if (*size == 0)
		return LOADER_OK;
	if (*stride != entry_size)
		return fail(r, LOADER_ERR_RELOCATION, slot_names[slot + 2], *stride,
			    slot == SLOT_RELA ? "24" : "8");
	if (*size % entry_size != 0)
		return fail(r, LOADER_ERR_RELOCATION, slot_names[slot + 1], *size,
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
	segment = segment_at(&r->image, start, size);
	if (!segment || !fits(start - segment->virt, size, segment->file_size))
		return fail(r, LOADER_ERR_RELOCATION, slot_names[slot], r->slots[slot],
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
			return fail(r, LOADER_ERR_RELOCATION, "ELF64_R_TYPE(r_info)", type,
				    "8 (R_X86_64_RELATIVE)");
		if (!segment_at(image, rela.r_offset + image->slide, sizeof(uint64_t)))
			return fail(r, LOADER_ERR_RELOCATION, "r_offset", rela.r_offset,
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
		return fail(r, LOADER_ERR_RELOCATION, "bitmap", read_word(walk.entries),
			    "an address before the first bitmap");
	while (relr_step(&walk, &target)) {
		set_place(r, "RELR entry", (uint32_t)(walk.at / sizeof(Elf64_Relr) - 1));
		if (!segment_at(&r->image, target + r->image.slide, sizeof(uint64_t)))
			return fail(r, LOADER_ERR_RELOCATION, "target", target,
				    "8 bytes inside one segment");
	}
	return LOADER_OK;
}

static enum loader_status read_relocations(struct reader *r)
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
static void relocate(const struct elf_image *image, uint8_t *block)
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

/* ---- Public ------------------------------------------------------------ */

enum loader_status elf_open(const void *file, uint64_t file_size, struct elf_image *ret_image,
			    struct loader_error *ret_error)
{
	struct reader r = {
		.image = { .file = file, .file_size = file_size, .alignment = HOIST_PAGE_SIZE },
		.tls = LOADER_NO_INDEX,
		.dynamic = LOADER_NO_INDEX,
		.relro = LOADER_NO_INDEX,
		.error = ret_error,
	};
	enum loader_status status = read_header(&r);

	if (status == LOADER_OK)
		status = read_program_headers(&r);
	if (status == LOADER_OK)
		status = check_neighbours(&r);
	if (status == LOADER_OK)
		status = place_image(&r);
	if (status == LOADER_OK)
		status = check_entry(&r);
	if (status == LOADER_OK)
		status = read_relro(&r);
	if (status == LOADER_OK)
		status = read_tls(&r);
	if (status == LOADER_OK)
		status = read_relocations(&r);
	if (status != LOADER_OK)
		return status;

	make_ranges(&r);
	*ret_image = r.image;
	return LOADER_OK;
}

void elf_load(const struct elf_image *image, void *block)
{
	uint8_t *bytes = block;
	uint64_t done = 0;

	/* What no file byte fills is zero, be it .bss, a gap or the rest of a page. */
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct elf_segment *segment = &image->segments[i];
		uint64_t offset = segment->virt - image->virt;

		__builtin_memset(bytes + done, 0, offset - done);
		__builtin_memcpy(bytes + offset, image->file + segment->offset, segment->file_size);
		done = offset + segment->file_size;
	}
	__builtin_memset(bytes + done, 0, image->size - done);
	relocate(image, bytes);
}

/* ---- Notes ------------------------------------------------------------- */

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
 * descriptor are padded to 4 bytes, or 8 if that is the segment's alignment:
 * linkers keep to 4 where the gABI wants 8 of every 64-bit file.
 */
static bool read_note(const uint8_t *file, const Elf64_Phdr *ph, uint64_t *offset,
		      struct note *ret_note)
{
	uint64_t alignment = ph->p_align == 8 ? 8 : 4;
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
