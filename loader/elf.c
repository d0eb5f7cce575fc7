#include "loader/elf.h"

#include "loader/elf_reader.h"
#include "loader/hoist.h"

#define GIB UINT64_C(0x40000000)

static uint64_t last_byte(const struct elf_segment *segment)
{
	return segment->virt + (segment->size - 1);
}

/* ---- ELF header -------------------------------------------------------- */

static enum loader_status check_ident(const struct reader *r)
{
	const uint8_t *ident = r->header.e_ident;

	if (__builtin_memcmp(ident, "\177ELF", 4) != 0)
		return elf_fail(r, LOADER_ERR_FORMAT, "e_ident[EI_MAG0]",
				read_word(ident) & UINT32_MAX, "0x464c457f (ELF)");
	if (ident[EI_CLASS] != ELFCLASS64)
		return elf_fail(r, LOADER_ERR_FORMAT, "e_ident[EI_CLASS]", ident[EI_CLASS],
				"2 (64 bits)");
	if (ident[EI_DATA] != ELFDATA2LSB)
		return elf_fail(r, LOADER_ERR_MACHINE, "e_ident[EI_DATA]", ident[EI_DATA],
				"1 (little endian)");
	if (ident[EI_VERSION] != EV_CURRENT)
		return elf_fail(r, LOADER_ERR_FORMAT, "e_ident[EI_VERSION]", ident[EI_VERSION],
				"1");
	return LOADER_OK;
}

static enum loader_status check_kind(const struct reader *r)
{
	const Elf64_Ehdr *h = &r->header;

	if (h->e_machine != EM_X86_64)
		return elf_fail(r, LOADER_ERR_MACHINE, "e_machine", h->e_machine, "62 (x86-64)");
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return elf_fail(r, LOADER_ERR_UNSUPPORTED, "e_type", h->e_type,
				"2 (executable) or 3 (position-independent)");
	if (h->e_version != EV_CURRENT)
		return elf_fail(r, LOADER_ERR_FORMAT, "e_version", h->e_version, "1");
	if (h->e_ehsize != sizeof(Elf64_Ehdr))
		return elf_fail(r, LOADER_ERR_FORMAT, "e_ehsize", h->e_ehsize, "64");
	return LOADER_OK;
}

static enum loader_status check_table(const struct reader *r)
{
	const Elf64_Ehdr *h = &r->header;

	if (h->e_phnum == 0)
		return elf_fail(r, LOADER_ERR_FORMAT, "e_phnum", 0, "at least 1");
	if (h->e_phnum == PN_XNUM)
		return elf_fail(r, LOADER_ERR_CAPACITY, "e_phnum", PN_XNUM, "less than 65535");
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return elf_fail(r, LOADER_ERR_FORMAT, "e_phentsize", h->e_phentsize, "56");
	if (!fits(h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr), r->image.file_size))
		return elf_fail(r, LOADER_ERR_TRUNCATED, "e_phoff", h->e_phoff,
				"a table that ends inside the file");
	return LOADER_OK;
}

static enum loader_status read_header(struct reader *r)
{
	enum loader_status status;

	set_place(r, "ELF header", LOADER_NO_INDEX);
	if (r->image.file_size < sizeof(r->header))
		return elf_fail(r, LOADER_ERR_TRUNCATED, "file size", r->image.file_size,
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
		return elf_fail(r, LOADER_ERR_OVERLAP, "p_filesz", ph->p_filesz, "at most p_memsz");
	if (ph->p_memsz >= ELF_MAX_SPAN)
		return elf_fail(r, LOADER_ERR_ADDRESS, "p_memsz", ph->p_memsz, "less than 2 GiB");
	return LOADER_OK;
}

/* Of a segment without bytes in the file, p_offset means nothing. */
static enum loader_status check_alignment(const struct reader *r, const Elf64_Phdr *ph)
{
	uint64_t alignment = alignment_of(ph);

	if ((alignment & (alignment - 1)) != 0)
		return elf_fail(r, LOADER_ERR_ALIGNMENT, "p_align", ph->p_align, "a power of two");
	if (alignment > GIB)
		return elf_fail(r, LOADER_ERR_ALIGNMENT, "p_align", ph->p_align, "at most 1 GiB");
	return LOADER_OK;
}

static enum loader_status check_load(const struct reader *r, const Elf64_Phdr *ph)
{
	enum loader_status status = check_sizes(r, ph);

	if (status == LOADER_OK)
		status = elf_check_in_file(r, ph);
	if (status == LOADER_OK)
		status = check_alignment(r, ph);
	if (status != LOADER_OK)
		return status;

	if (!is_aligned(ph->p_offset - ph->p_vaddr, alignment_of(ph)))
		return elf_fail(r, LOADER_ERR_ALIGNMENT, "p_offset", ph->p_offset,
				"equal to p_vaddr modulo p_align");
	if ((ph->p_flags & PF_W) && (ph->p_flags & PF_X))
		return elf_fail(r, LOADER_ERR_WX, "p_flags", ph->p_flags,
				"not both writable and executable");
	if (ph->p_memsz - 1 > UINT64_MAX - ph->p_vaddr)
		return elf_fail(r, LOADER_ERR_ADDRESS, "p_vaddr", ph->p_vaddr,
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
		return elf_fail(r, LOADER_ERR_CAPACITY, "PT_LOAD", ELF_MAX_SEGMENTS + 1,
				"at most 32");
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
		return elf_fail(r, LOADER_ERR_FORMAT, "p_type", ph->p_type, "one of this type");
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
		return elf_check_in_file(r, ph);
	case PT_INTERP:
		return elf_fail(r, LOADER_ERR_UNSUPPORTED, "p_type", PT_INTERP,
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
		return elf_fail(r, LOADER_ERR_FORMAT, "PT_LOAD", 0, "a segment that is not empty");
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
			return elf_fail(r, LOADER_ERR_OVERLAP, "p_vaddr", high->virt,
					"behind the end of the segment below");
		if (align_down(last_byte(low), HOIST_PAGE_SIZE) ==
			    align_down(high->virt, HOIST_PAGE_SIZE) &&
		    low->rights != high->rights)
			return elf_fail(r, LOADER_ERR_SHARED_PAGE, "p_vaddr", high->virt,
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
		return elf_fail(r, LOADER_ERR_ADDRESS, "p_vaddr", lowest,
				"at least 0xffff800000000000");
	if (lowest >= HOIST_PAGE_SIZE)
		return elf_fail(r, LOADER_ERR_ADDRESS, "p_vaddr", lowest,
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
		return elf_fail(r, LOADER_ERR_ADDRESS, "p_vaddr", top->virt,
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
	const struct elf_segment *segment = elf_segment_at(&r->image, entry, 1);

	set_place(r, "ELF header", LOADER_NO_INDEX);
	if (!segment || !(segment->rights & HOIST_RIGHT_EXECUTE))
		return elf_fail(r, LOADER_ERR_ENTRY, "e_entry", r->header.e_entry,
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
		return elf_fail(r, LOADER_ERR_ADDRESS, "p_memsz", ph->p_memsz,
				"an end in the last page of the segment");
	if (next < end && next->virt - start < ph->p_memsz)
		return elf_fail(r, LOADER_ERR_OVERLAP, "p_memsz", ph->p_memsz,
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
	segment = elf_segment_at(image, start, 1);
	if (!segment)
		return elf_fail(r, LOADER_ERR_ADDRESS, "p_vaddr", ph.p_vaddr, "inside a segment");
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
	if (ph.p_filesz > 0 && !elf_segment_at(image, template, ph.p_filesz))
		return elf_fail(r, LOADER_ERR_ADDRESS, "p_vaddr", ph.p_vaddr,
				"a template inside one segment");
	if (ph.p_memsz == 0)
		return LOADER_OK;

	image->tls_virt = template;
	image->tls_file_size = ph.p_filesz;
	image->tls_size = ph.p_memsz;
	image->tls_alignment = alignment_of(&ph);
	return LOADER_OK;
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
		status = elf_read_relocations(&r);
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
	elf_relocate(image, bytes);
}
