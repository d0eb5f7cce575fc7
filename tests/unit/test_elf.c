/*
 * loader/elf: files are built in memory, one valid baseline of each kind, then
 * spoiled field by field. With arguments the program opens real files instead;
 * "--corpus DIR" writes the baselines there, for the fuzzer to start from.
 */
#include "loader/elf.h"
#include "loader/elf_format.h"
#include "loader/hoist.h"
#include "tests/check.h"

#include <stddef.h>

#define PAGE       UINT64_C(0x1000)
#define EXEC_BASE  UINT64_C(0xffffffff80200000)
#define FILE_MAX   0x6000
#define IMAGE_MAX  0x40000
#define HEADER_MAX 40
#define RW         HOIST_RIGHT_WRITE
#define RX         HOIST_RIGHT_EXECUTE

static const char *status_name(int status)
{
	switch (status) {
#define X(code, text) \
	case code:    \
		return #code;
		LOADER_STATUS_LIST(X)
#undef X
	}
	return "no status";
}

/* ---- The builder ------------------------------------------------------- */

/* A file: emit() writes header and program headers over `bytes`. */
struct elf_file {
	Elf64_Ehdr header;
	Elf64_Phdr ph[HEADER_MAX];
	uint64_t size;
	uint8_t bytes[FILE_MAX];
};

/* Program headers of the baseline. */
enum { TEXT, RODATA, DATA, NOTE, TLS, DYNAMIC, RELRO, STACK, COUNT };

/* Where its tables lie: in file and image alike. */
#define AT_RELA    0x2100
#define AT_RELR    0x2200
#define AT_NOTE    0x2300
#define AT_TLS     0x3010
#define AT_DYNAMIC 0x3800
#define ENTRY      0x1004

static void put(struct elf_file *f, uint64_t at, const void *data, size_t size)
{
	memcpy(f->bytes + at, data, size);
}

static void put_word(struct elf_file *f, uint64_t at, uint64_t word)
{
	put(f, at, &word, sizeof(word));
}

static Elf64_Phdr load_at(uint64_t base, uint64_t at, uint64_t file_size, uint64_t size,
			  uint32_t flags)
{
	return (Elf64_Phdr){ .p_type = PT_LOAD,
			     .p_flags = flags,
			     .p_offset = at,
			     .p_vaddr = base + at,
			     .p_paddr = at,
			     .p_filesz = file_size,
			     .p_memsz = size,
			     .p_align = PAGE };
}

static Elf64_Phdr part_at(uint32_t type, uint64_t base, uint64_t at, uint64_t size, uint64_t align)
{
	return (Elf64_Phdr){ .p_type = type,
			     .p_flags = PF_R,
			     .p_offset = at,
			     .p_vaddr = base + at,
			     .p_filesz = size,
			     .p_memsz = size,
			     .p_align = align };
}

static void put_rela(struct elf_file *f, uint64_t at, uint64_t target, uint32_t type,
		     uint64_t addend)
{
	Elf64_Rela rela = { target, type, (int64_t)addend };

	put(f, at, &rela, sizeof(rela));
}

/* A note as compilers write it; returns where the next one starts. */
static uint64_t put_note(struct elf_file *f, uint64_t at, const char *owner, uint32_t type,
			 const char *desc)
{
	Elf64_Nhdr header = { (uint32_t)strlen(owner) + 1, (uint32_t)strlen(desc), type };

	put(f, at, &header, sizeof(header));
	at += sizeof(header);
	put(f, at, owner, header.n_namesz);
	at += (header.n_namesz + 3) & ~3u;
	put(f, at, desc, header.n_descsz);
	return at + ((header.n_descsz + 3) & ~3u);
}

static void put_dynamic(struct elf_file *f, uint64_t base)
{
	const Elf64_Dyn entries[] = {
		{ DT_RELA, base + AT_RELA },
		{ DT_RELASZ, 3 * 24 },
		{ DT_RELAENT, 24 },
		{ DT_RELR, base + AT_RELR },
		{ DT_RELRSZ, 3 * 8 },
		{ DT_RELRENT, 8 },
		{ DT_PLTRELSZ, 0 },
		{ 22 /* DT_TEXTREL */, 0 },
		{ DT_NULL, 0 },
		{ DT_NEEDED, 1 }, /* behind the end */
	};

	put(f, AT_DYNAMIC, entries, sizeof(entries));
	put_rela(f, AT_RELA, base + 0x3100, R_X86_64_RELATIVE, base + 0x1004);
	put_rela(f, AT_RELA + 24, base + 0x4ff0, R_X86_64_NONE, 7);
	put_rela(f, AT_RELA + 48, base + 0x5ff8, R_X86_64_RELATIVE, base + 0x2000);
	put_word(f, AT_RELR, base + 0x3200);
	put_word(f, AT_RELR + 8, UINT64_C(0x8000000000000003)); /* words 0 and 62 behind it */
	put_word(f, AT_RELR + 16, 5);                           /* word 1 behind these 63 */
}

static struct elf_file baseline(uint16_t type, uint64_t base)
{
	struct elf_file f = {
		.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_type = type,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_entry = base + ENTRY,
			    .e_phoff = 64,
			    .e_ehsize = 64,
			    .e_phentsize = 56,
			    .e_phnum = COUNT },
		.ph = { [TEXT] = load_at(base, 0, 0x1200, 0x1200, PF_R | PF_X),
			[RODATA] = load_at(base, 0x2000, 0x800, 0x800, PF_R),
			[DATA] = load_at(base, 0x3000, 0x1800, 0x3000, PF_R | PF_W),
			[NOTE] = part_at(PT_NOTE, base, AT_NOTE, 0x60, 4),
			[TLS] = part_at(PT_TLS, base, AT_TLS, 0x20, 16),
			[DYNAMIC] = part_at(PT_DYNAMIC, base, AT_DYNAMIC, 10 * 16, 8),
			[RELRO] = part_at(PT_GNU_RELRO, base, 0x3000, 0x1000, 1),
			[STACK] = { .p_type = 0x6474e551 } },
		.size = 0x4800,
	};

	for (uint64_t at = 0x1000; at < f.size; at++)
		f.bytes[at] = (uint8_t)(at * 37 + (at >> 8));
	f.ph[TLS].p_memsz = 0x50;
	put_dynamic(&f, base);
	put_note(&f, put_note(&f, put_note(&f, AT_NOTE, "other", 1, "x"), "hoist", 1, "first"),
		 "hoist", 2, "second");
	return f;
}

static struct elf_file exec_file(void)
{
	return baseline(ET_EXEC, EXEC_BASE);
}

static struct elf_file dyn_file(void)
{
	return baseline(ET_DYN, 0);
}

static void emit(struct elf_file *f)
{
	put(f, 0, &f->header, sizeof(f->header));
	put(f, f->header.e_phoff, f->ph, f->header.e_phnum * sizeof(f->ph[0]));
}

/* ---- Opening ----------------------------------------------------------- */

/* A file in memory of its very size, so that sanitizers see a byte read beyond it. */
struct opened {
	uint8_t *memory;
	struct elf_image image;
	struct loader_error error;
	enum loader_status status;
};

static bool all_bytes_are(const void *bytes, uint8_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const uint8_t *)bytes)[i] != value)
			return false;
	return true;
}

static void check_error_is_complete(const struct opened *o, const char *name)
{
	CHECK(all_bytes_are(&o->image, 0xa5, sizeof(o->image)), name);
	CHECK_EQ(o->error.status, o->status, name);
	CHECK(o->error.where && o->error.field && o->error.expected, name);
	CHECK(!o->error.text && o->error.text_length == 0, name);
}

static struct opened open_bytes(const uint8_t *bytes, uint64_t size, size_t shift, const char *name)
{
	struct opened o = { .memory = malloc(size + shift) };

	if (!o.memory)
		abort();
	memcpy(o.memory + shift, bytes, size);
	memset(&o.image, 0xa5, sizeof(o.image));
	memset(&o.error, 0xa5, sizeof(o.error));
	o.status = elf_open(o.memory + shift, size, &o.image, &o.error);
	if (o.status != LOADER_OK)
		check_error_is_complete(&o, name);
	else
		CHECK(all_bytes_are(&o.error, 0xa5, sizeof(o.error)), name);
	return o;
}

static struct opened open_file(struct elf_file *f, const char *name)
{
	emit(f);
	return open_bytes(f->bytes, f->size, 0, name);
}

static void close_file(struct opened *o)
{
	free(o->memory);
}

/* What a failure must say. */
struct refusal {
	enum loader_status status;
	const char *where;
	uint32_t index;
	const char *field;
	uint64_t value;
};

static void expect_refusal_of(const struct elf_file *f, struct refusal want, const char *name)
{
	struct opened o = open_bytes(f->bytes, f->size, 0, name);

	CHECK_STATUS(o.status, want.status, status_name, name);
	if (o.status != LOADER_OK && want.status != LOADER_OK) {
		CHECK_EQ(o.error.index, want.index, name);
		CHECK_EQ(o.error.value, want.value, name);
		if (strcmp(o.error.where, want.where) != 0 ||
		    strcmp(o.error.field, want.field) != 0)
			CHECK_FAIL("%s: \"%s\" of \"%s\", expected \"%s\" of \"%s\"", name,
				   o.error.field, o.error.where, want.field, want.where);
	}
	close_file(&o);
}

static void expect_refusal(struct elf_file *f, struct refusal want, const char *name)
{
	emit(f);
	expect_refusal_of(f, want, name);
}

static void expect_ok(struct elf_file *f, const char *name)
{
	struct opened o = open_file(f, name);

	CHECK_STATUS(o.status, LOADER_OK, status_name, name);
	if (o.status != LOADER_OK)
		CHECK_FAIL("%s: %s of %s %u is %#" PRIx64, name, o.error.field, o.error.where,
			   o.error.index, o.error.value);
	close_file(&o);
}

/* ---- A valid file ------------------------------------------------------ */

/* "x0-2 r2-4 w4-6": rights and pages of the image, from first to behind last. */
static void ranges_text(const struct elf_image *image, char *ret_text, size_t size)
{
	static const char letters[] = { 'r', 'w', 'x', '?' };
	size_t used = 0;

	ret_text[0] = '\0';
	for (uint32_t i = 0; i < image->range_count && used < size; i++) {
		const struct elf_range *range = &image->ranges[i];
		uint64_t first = (range->virt - image->virt) / PAGE;

		used += (size_t)snprintf(ret_text + used, size - used, "%s%c%" PRIu64 "-%" PRIu64,
					 i ? " " : "", letters[range->rights & 3], first,
					 first + range->size / PAGE);
	}
}

static void expect_ranges(const struct elf_image *image, const char *want, const char *name)
{
	char got[256];

	ranges_text(image, got, sizeof(got));
	if (strcmp(got, want) != 0)
		CHECK_FAIL("%s: ranges are \"%s\", expected \"%s\"", name, got, want);
}

static void expect_segment(const struct elf_segment *got, struct elf_segment want, const char *name)
{
	CHECK_EQ(got->offset, want.offset, name);
	CHECK_EQ(got->file_size, want.file_size, name);
	CHECK_EQ(got->virt, want.virt, name);
	CHECK_EQ(got->size, want.size, name);
	CHECK_EQ(got->rights, want.rights, name);
}

static void expect_baseline(const struct elf_image *image, uint64_t virt, uint64_t slide,
			    const char *name)
{
	CHECK_EQ(image->virt, virt, name);
	CHECK_EQ(image->size, 6 * PAGE, name);
	CHECK_EQ(image->alignment, PAGE, name);
	CHECK_EQ(image->slide, slide, name);
	CHECK_EQ(image->entry, virt + ENTRY, name);
	CHECK_EQ(image->file_size, 0x4800, name);
	CHECK_EQ(image->segment_count, 3, name);
	expect_segment(&image->segments[0], (struct elf_segment){ 0, 0x1200, virt, 0x1200, RX },
		       name);
	expect_segment(&image->segments[1],
		       (struct elf_segment){ 0x2000, 0x800, virt + 0x2000, 0x800, 0 }, name);
	expect_segment(&image->segments[2],
		       (struct elf_segment){ 0x3000, 0x1800, virt + 0x3000, 0x3000, RW }, name);
	expect_ranges(image, "x0-2 r2-4 w4-6", name);
	CHECK_EQ(image->tls_virt, virt + AT_TLS, name);
	CHECK_EQ(image->tls_file_size, 0x20, name);
	CHECK_EQ(image->tls_size, 0x50, name);
	CHECK_EQ(image->tls_alignment, 16, name);
	CHECK_EQ(image->rela_offset, AT_RELA, name);
	CHECK_EQ(image->rela_size, 3 * 24, name);
	CHECK_EQ(image->relr_offset, AT_RELR, name);
	CHECK_EQ(image->relr_size, 3 * 8, name);
}

/* The three ways to link a kernel, and where it ends up. */
static const struct {
	const char *name;
	uint16_t type;
	uint64_t base, virt;
} kinds[] = {
	{ "ET_EXEC", ET_EXEC, EXEC_BASE, EXEC_BASE },
	{ "ET_DYN linked at 0", ET_DYN, 0, ELF_DYN_BASE },
	{ "ET_DYN linked high", ET_DYN, EXEC_BASE, EXEC_BASE },
};

static void test_a_valid_file_is_described(void)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct elf_file f = baseline(kinds[i].type, kinds[i].base);
		struct opened o = open_file(&f, kinds[i].name);

		CHECK_STATUS(o.status, LOADER_OK, status_name, kinds[i].name);
		if (o.status == LOADER_OK) {
			CHECK(o.image.file == o.memory, kinds[i].name);
			expect_baseline(&o.image, kinds[i].virt, kinds[i].virt - kinds[i].base,
					kinds[i].name);
		}
		close_file(&o);
	}
}

static void test_a_file_may_lie_at_any_address(void)
{
	struct elf_file f = dyn_file();

	emit(&f);
	for (size_t shift = 1; shift < 8; shift++) {
		struct opened o = open_bytes(f.bytes, f.size, shift, "unaligned");
		uint8_t *block = malloc(6 * PAGE + 1);

		CHECK_STATUS(o.status, LOADER_OK, status_name, "unaligned");
		if (block && o.status == LOADER_OK) {
			expect_baseline(&o.image, ELF_DYN_BASE, ELF_DYN_BASE, "unaligned");
			elf_load(&o.image, block + 1);
			CHECK(memcmp(block + 1 + 0x2000, f.bytes + 0x2000, 0x800) == 0,
			      "unaligned");
		}
		free(block);
		close_file(&o);
	}
}

static void swap_headers(struct elf_file *f, unsigned a, unsigned b)
{
	Elf64_Phdr ph = f->ph[a];

	f->ph[a] = f->ph[b];
	f->ph[b] = ph;
}

/* Heap's algorithm, without recursion: all orders of all program headers but one. */
static void test_program_headers_may_have_any_order(void)
{
	unsigned counts[COUNT] = { 0 }, orders = 1, i = 1;
	struct elf_file f = dyn_file();

	while (i < COUNT - 1) {
		struct opened o;

		if (counts[i] == i) {
			counts[i++] = 0;
			continue;
		}
		swap_headers(&f, i % 2 ? counts[i] : 0, i);
		counts[i]++;
		i = 1;
		orders++;
		o = open_file(&f, "order");
		CHECK_STATUS(o.status, LOADER_OK, status_name, "order");
		if (o.status == LOADER_OK)
			expect_baseline(&o.image, ELF_DYN_BASE, ELF_DYN_BASE, "order");
		close_file(&o);
	}
	CHECK_EQ(orders, 5040, "number of orders");
}

/* ---- Loading ----------------------------------------------------------- */

/* Loads into memory that held something else and is not the image's behind it. */
static void load_and_compare(const struct elf_image *image, const uint8_t *want, const char *name)
{
	uint8_t *block = malloc(image->size + 64);

	if (!block)
		abort();
	memset(block, 0xa5, image->size + 64);
	elf_load(image, block);
	for (uint64_t i = 0; i < image->size; i++)
		if (block[i] != want[i]) {
			CHECK_FAIL("%s: byte %#" PRIx64 " is %#x, expected %#x", name, i, block[i],
				   want[i]);
			break;
		}
	CHECK(all_bytes_are(block + image->size, 0xa5, 64), name);
	free(block);
}

/* What PT_LOAD says, at `ret_memory`, whose zeroes stay for the rest. */
static void model_load(const struct elf_file *f, uint64_t base, uint8_t *ret_memory)
{
	for (unsigned i = 0; i < f->header.e_phnum; i++)
		for (uint64_t b = 0; f->ph[i].p_type == PT_LOAD && b < f->ph[i].p_filesz; b++)
			ret_memory[f->ph[i].p_vaddr - base + b] = f->bytes[f->ph[i].p_offset + b];
}

static void model_set(uint8_t *memory, uint64_t at, uint64_t word)
{
	memcpy(memory + at, &word, sizeof(word));
}

static void model_slide(uint8_t *memory, uint64_t at, uint64_t slide)
{
	uint64_t word;

	memcpy(&word, memory + at, sizeof(word));
	model_set(memory, at, word + slide);
}

/* The targets are those of put_dynamic(), decoded by hand. */
static void test_loading_copies_zeroes_and_relocates(void)
{
	static const uint64_t relr[] = { 0x3200, 0x3208, 0x33f8, 0x3408 };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct elf_file f = baseline(kinds[i].type, kinds[i].base);
		struct opened o = open_file(&f, kinds[i].name);
		uint8_t want[6 * PAGE] = { 0 };

		model_load(&f, kinds[i].base, want);
		for (size_t n = 0; n < ARRAY_LEN(relr); n++)
			model_slide(want, relr[n], kinds[i].virt - kinds[i].base);
		model_set(want, 0x3100, kinds[i].virt + 0x1004);
		model_set(want, 0x5ff8, kinds[i].virt + 0x2000);
		CHECK_STATUS(o.status, LOADER_OK, status_name, kinds[i].name);
		if (o.status == LOADER_OK)
			load_and_compare(&o.image, want, kinds[i].name);
		close_file(&o);
	}
}

/* RELR adds to the word in the file, RELA sets it: the other way round would add twice. */
static void test_rela_wins_over_relr(void)
{
	struct elf_file f = dyn_file();
	uint8_t want[6 * PAGE] = { 0 };
	struct opened o;

	put_rela(&f, AT_RELA, 0x3200, R_X86_64_RELATIVE, 0x10);
	o = open_file(&f, "both");
	model_load(&f, 0, want);
	model_slide(want, 0x3208, ELF_DYN_BASE);
	model_slide(want, 0x33f8, ELF_DYN_BASE);
	model_slide(want, 0x3408, ELF_DYN_BASE);
	model_set(want, 0x3200, ELF_DYN_BASE + 0x10);
	model_set(want, 0x5ff8, ELF_DYN_BASE + 0x2000);
	CHECK_STATUS(o.status, LOADER_OK, status_name, "both");
	if (o.status == LOADER_OK)
		load_and_compare(&o.image, want, "both");
	close_file(&o);
}

/* ---- Refusals ---------------------------------------------------------- */

static void test_every_prefix_of_a_file_is_truncated(void)
{
	struct elf_file f = exec_file();

	emit(&f);
	for (uint64_t size = 0; size < f.size; size++) {
		struct opened o = open_bytes(f.bytes, size, 0, "prefix");

		if (o.status != LOADER_ERR_TRUNCATED)
			CHECK_FAIL("%" PRIu64 " bytes: %s", size, status_name((int)o.status));
		close_file(&o);
	}
}

/* One number in the file becomes `value`. */
struct spoil {
	uint64_t at;
	size_t size;
	uint64_t value;
};

#define EH(field, value)                                                             \
	{                                                                            \
		offsetof(Elf64_Ehdr, field), sizeof(((Elf64_Ehdr *)0)->field), value \
	}
#define ID(i, value)          \
	{                     \
		(i), 1, value \
	}
#define PH(i, field, value)                                                                    \
	{                                                                                      \
		64 + 56 * (i) + offsetof(Elf64_Phdr, field), sizeof(((Elf64_Phdr *)0)->field), \
			value                                                                  \
	}
#define DYN_TAG(i, value)                       \
	{                                       \
		AT_DYNAMIC + 16 * (i), 8, value \
	}
#define DYN_VAL(i, value)                           \
	{                                           \
		AT_DYNAMIC + 16 * (i) + 8, 8, value \
	}
#define RELA(i, word, value)                              \
	{                                                 \
		AT_RELA + 24 * (i) + 8 * (word), 8, value \
	}
#define RELR(i, value)                      \
	{                                   \
		AT_RELR + 8 * (i), 8, value \
	}

#define HEADER(status, field, value)                                             \
	{                                                                        \
		LOADER_ERR_##status, "ELF header", LOADER_NO_INDEX, field, value \
	}
#define SEGMENT(status, i, field, value)                        \
	{                                                       \
		LOADER_ERR_##status, "segment", i, field, value \
	}
#define DYNSECT(status, i, field, value)                                \
	{                                                               \
		LOADER_ERR_##status, "dynamic section", i, field, value \
	}
#define RELAENT(i, field, value)                                     \
	{                                                            \
		LOADER_ERR_RELOCATION, "RELA entry", i, field, value \
	}
#define RELRENT(i, field, value)                                     \
	{                                                            \
		LOADER_ERR_RELOCATION, "RELR entry", i, field, value \
	}
#define TYPE "ELF64_R_TYPE(r_info)"

struct spoil_row {
	const char *name;
	struct spoil spoil;
	struct refusal want;
};

static void expect_spoiled(struct elf_file f, const struct spoil_row *rows, size_t count)
{
	emit(&f);
	for (size_t i = 0; i < count; i++) {
		struct elf_file spoiled = f;

		put(&spoiled, rows[i].spoil.at, &rows[i].spoil.value, rows[i].spoil.size);
		expect_refusal_of(&spoiled, rows[i].want, rows[i].name);
	}
}

static void test_a_spoiled_elf_header_is_refused_by_name(void)
{
	static const struct spoil_row rows[] = {
		{ "first magic byte", ID(0, 0x7e), HEADER(FORMAT, "e_ident[EI_MAG0]", 0x464c457e) },
		{ "last magic byte", ID(3, 'G'), HEADER(FORMAT, "e_ident[EI_MAG0]", 0x474c457f) },
		{ "32 bits", ID(EI_CLASS, 1), HEADER(FORMAT, "e_ident[EI_CLASS]", 1) },
		{ "big endian", ID(EI_DATA, 2), HEADER(MACHINE, "e_ident[EI_DATA]", 2) },
		{ "version of ident", ID(EI_VERSION, 0), HEADER(FORMAT, "e_ident[EI_VERSION]", 0) },
		{ "AArch64", EH(e_machine, 183), HEADER(MACHINE, "e_machine", 183) },
		{ "object file", EH(e_type, 1), HEADER(UNSUPPORTED, "e_type", 1) },
		{ "core file", EH(e_type, 4), HEADER(UNSUPPORTED, "e_type", 4) },
		{ "version", EH(e_version, 2), HEADER(FORMAT, "e_version", 2) },
		{ "size of header", EH(e_ehsize, 52), HEADER(FORMAT, "e_ehsize", 52) },
		{ "size of entries", EH(e_phentsize, 32), HEADER(FORMAT, "e_phentsize", 32) },
		{ "no program headers", EH(e_phnum, 0), HEADER(FORMAT, "e_phnum", 0) },
		{ "PN_XNUM", EH(e_phnum, 0xffff), HEADER(CAPACITY, "e_phnum", 0xffff) },
		{ "65534 headers", EH(e_phnum, 0xfffe), HEADER(TRUNCATED, "e_phoff", 64) },
		{ "one header too many", EH(e_phnum, 329), HEADER(TRUNCATED, "e_phoff", 64) },
		{ "table one byte too late", EH(e_phoff, 0x4800 - 8 * 56 + 1),
		  HEADER(TRUNCATED, "e_phoff", 0x4800 - 8 * 56 + 1) },
		{ "table behind the end", EH(e_phoff, 0x4801),
		  HEADER(TRUNCATED, "e_phoff", 0x4801) },
		{ "table that wraps", EH(e_phoff, UINT64_MAX - 55),
		  HEADER(TRUNCATED, "e_phoff", UINT64_MAX - 55) },
		{ "entry in read-only data", EH(e_entry, 0x2000),
		  HEADER(ENTRY, "e_entry", 0x2000) },
		{ "entry behind the text", EH(e_entry, 0x1200), HEADER(ENTRY, "e_entry", 0x1200) },
		{ "entry that wraps", EH(e_entry, UINT64_MAX),
		  HEADER(ENTRY, "e_entry", UINT64_MAX) },
	};

	expect_spoiled(dyn_file(), rows, ARRAY_LEN(rows));
}

static void test_a_spoiled_segment_is_refused_by_name(void)
{
	static const struct spoil_row rows[] = {
		{ "interpreter", PH(STACK, p_type, PT_INTERP),
		  SEGMENT(UNSUPPORTED, STACK, "p_type", PT_INTERP) },
		{ "more bytes than memory", PH(DATA, p_filesz, 0x3001),
		  SEGMENT(OVERLAP, DATA, "p_filesz", 0x3001) },
		{ "bytes without memory", PH(RODATA, p_memsz, 0),
		  SEGMENT(OVERLAP, RODATA, "p_filesz", 0x800) },
		{ "2 GiB", PH(DATA, p_memsz, 0x80000000),
		  SEGMENT(ADDRESS, DATA, "p_memsz", 0x80000000) },
		{ "all memory", PH(DATA, p_memsz, UINT64_MAX),
		  SEGMENT(ADDRESS, DATA, "p_memsz", UINT64_MAX) },
		{ "one byte too many", PH(DATA, p_filesz, 0x1801),
		  SEGMENT(TRUNCATED, DATA, "p_filesz", 0x1801) },
		{ "bytes behind the file", PH(DATA, p_offset, 0x5000),
		  SEGMENT(TRUNCATED, DATA, "p_offset", 0x5000) },
		{ "bytes that wrap", PH(DATA, p_offset, UINT64_MAX - 0xfff),
		  SEGMENT(TRUNCATED, DATA, "p_offset", UINT64_MAX - 0xfff) },
		{ "p_align 3", PH(TEXT, p_align, 3), SEGMENT(ALIGNMENT, TEXT, "p_align", 3) },
		{ "p_align 0x1800", PH(TEXT, p_align, 0x1800),
		  SEGMENT(ALIGNMENT, TEXT, "p_align", 0x1800) },
		{ "p_align 2 GiB", PH(TEXT, p_align, 0x80000000),
		  SEGMENT(ALIGNMENT, TEXT, "p_align", 0x80000000) },
		{ "offset not congruent", PH(DATA, p_offset, 0x2008),
		  SEGMENT(ALIGNMENT, DATA, "p_offset", 0x2008) },
		{ "address not congruent", PH(DATA, p_vaddr, 0x3800),
		  SEGMENT(ALIGNMENT, DATA, "p_offset", 0x3000) },
		{ "RWX", PH(TEXT, p_flags, 7), SEGMENT(WX, TEXT, "p_flags", 7) },
		{ "-WX", PH(DATA, p_flags, 3), SEGMENT(WX, DATA, "p_flags", 3) },
		{ "overlap with the end of another", PH(RODATA, p_vaddr, 0x1000),
		  SEGMENT(OVERLAP, RODATA, "p_vaddr", 0x1000) },
		{ "overlap with the start of another", PH(RODATA, p_memsz, 0x1001),
		  SEGMENT(OVERLAP, DATA, "p_vaddr", 0x3000) },
		{ "twice the same address", PH(RODATA, p_vaddr, 0),
		  SEGMENT(OVERLAP, RODATA, "p_vaddr", 0) },
		{ "end of the address space", PH(DATA, p_vaddr, UINT64_MAX - 0xfff),
		  SEGMENT(ADDRESS, DATA, "p_vaddr", UINT64_MAX - 0xfff) },
		{ "lowest page is not 0", PH(TEXT, p_vaddr, 0x7000),
		  SEGMENT(ADDRESS, RODATA, "p_vaddr", 0x2000) },
		{ "one segment in the other half", PH(DATA, p_vaddr, ELF_DYN_BASE),
		  SEGMENT(ADDRESS, DATA, "p_vaddr", ELF_DYN_BASE) },
		{ "2 GiB from end to end", PH(DATA, p_vaddr, 0x7fffd000),
		  SEGMENT(ADDRESS, DATA, "p_vaddr", 0x7fffd000) },
	};

	expect_spoiled(dyn_file(), rows, ARRAY_LEN(rows));
}

static void test_a_spoiled_other_segment_is_refused_by_name(void)
{
	static const struct spoil_row rows[] = {
		{ "two PT_TLS", PH(STACK, p_type, PT_TLS),
		  SEGMENT(FORMAT, STACK, "p_type", PT_TLS) },
		{ "two PT_DYNAMIC", PH(STACK, p_type, PT_DYNAMIC),
		  SEGMENT(FORMAT, STACK, "p_type", PT_DYNAMIC) },
		{ "two PT_GNU_RELRO", PH(STACK, p_type, PT_GNU_RELRO),
		  SEGMENT(FORMAT, STACK, "p_type", PT_GNU_RELRO) },
		{ "notes behind the file", PH(NOTE, p_offset, 0x4801),
		  SEGMENT(TRUNCATED, NOTE, "p_offset", 0x4801) },
		{ "notes beyond the file", PH(NOTE, p_filesz, UINT64_MAX),
		  SEGMENT(TRUNCATED, NOTE, "p_filesz", UINT64_MAX) },
		{ "dynamic section behind the file", PH(DYNAMIC, p_offset, UINT64_MAX),
		  SEGMENT(TRUNCATED, DYNAMIC, "p_offset", UINT64_MAX) },
		{ "dynamic section beyond the file", PH(DYNAMIC, p_filesz, 0x1001),
		  SEGMENT(TRUNCATED, DYNAMIC, "p_filesz", 0x1001) },
		{ "dynamic section without end", PH(DYNAMIC, p_filesz, 8 * 16 + 15),
		  SEGMENT(FORMAT, DYNAMIC, "p_filesz", 8 * 16 + 15) },
		{ "dynamic section of less than an entry", PH(DYNAMIC, p_filesz, 15),
		  SEGMENT(FORMAT, DYNAMIC, "p_filesz", 15) },
		{ "RELRO between segments", PH(RELRO, p_vaddr, 0x2800),
		  SEGMENT(ADDRESS, RELRO, "p_vaddr", 0x2800) },
		{ "RELRO behind the last page", PH(RELRO, p_memsz, 0x3001),
		  SEGMENT(ADDRESS, RELRO, "p_memsz", 0x3001) },
		{ "RELRO that wraps", PH(RELRO, p_memsz, UINT64_MAX),
		  SEGMENT(ADDRESS, RELRO, "p_memsz", UINT64_MAX) },
		{ "template larger than the block", PH(TLS, p_filesz, 0x51),
		  SEGMENT(OVERLAP, TLS, "p_filesz", 0x51) },
		{ "2 GiB of TLS", PH(TLS, p_memsz, 0x80000000),
		  SEGMENT(ADDRESS, TLS, "p_memsz", 0x80000000) },
		{ "TLS alignment", PH(TLS, p_align, 24), SEGMENT(ALIGNMENT, TLS, "p_align", 24) },
		{ "template one byte too late", PH(TLS, p_vaddr, 0x5fe1),
		  SEGMENT(ADDRESS, TLS, "p_vaddr", 0x5fe1) },
		{ "template outside", PH(TLS, p_vaddr, 0x1800),
		  SEGMENT(ADDRESS, TLS, "p_vaddr", 0x1800) },
		{ "template that wraps", PH(TLS, p_vaddr, UINT64_MAX),
		  SEGMENT(ADDRESS, TLS, "p_vaddr", UINT64_MAX) },
	};

	expect_spoiled(dyn_file(), rows, ARRAY_LEN(rows));
}

static void test_a_spoiled_dynamic_section_is_refused_by_name(void)
{
	static const struct spoil_row rows[] = {
		{ "shared library", DYN_TAG(7, DT_NEEDED),
		  DYNSECT(UNSUPPORTED, 7, "DT_NEEDED", 0) },
		{ "DT_REL", DYN_TAG(7, DT_REL), DYNSECT(RELOCATION, 7, "DT_REL", 0) },
		{ "DT_CREL", DYN_TAG(7, DT_CREL), DYNSECT(RELOCATION, 7, "DT_CREL", 0) },
		{ "DT_ANDROID_REL", DYN_TAG(7, DT_ANDROID_REL),
		  DYNSECT(RELOCATION, 7, "d_tag", DT_ANDROID_REL) },
		{ "DT_ANDROID_RELA", DYN_TAG(7, DT_ANDROID_RELA),
		  DYNSECT(RELOCATION, 7, "d_tag", DT_ANDROID_RELA) },
		{ "DT_ANDROID_RELR", DYN_TAG(7, DT_ANDROID_RELR),
		  DYNSECT(RELOCATION, 7, "d_tag", DT_ANDROID_RELR) },
		{ "PLT", DYN_VAL(6, 24), DYNSECT(RELOCATION, 6, "DT_PLTRELSZ", 24) },
		{ "DT_RELA twice", DYN_TAG(7, DT_RELA), DYNSECT(RELOCATION, 7, "DT_RELA", 0) },
		{ "DT_RELRENT twice", DYN_TAG(7, DT_RELRENT),
		  DYNSECT(RELOCATION, 7, "DT_RELRENT", 0) },
		{ "no DT_RELA", DYN_TAG(0, 22),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELA", 0) },
		{ "no DT_RELASZ", DYN_TAG(1, 22),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELASZ", 0) },
		{ "no DT_RELAENT", DYN_TAG(2, 22),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELAENT", 0) },
		{ "no DT_RELR", DYN_TAG(3, 22),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELR", 0) },
		{ "no DT_RELRSZ", DYN_TAG(4, 22),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELRSZ", 0) },
		{ "no DT_RELRENT", DYN_TAG(5, 22),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELRENT", 0) },
		{ "RELA size", DYN_VAL(1, 71),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELASZ", 71) },
		{ "RELA entry size", DYN_VAL(2, 16),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELAENT", 16) },
		{ "RELR size", DYN_VAL(4, 20),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELRSZ", 20) },
		{ "RELR entry size", DYN_VAL(5, 4),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELRENT", 4) },
		{ "RELA outside", DYN_VAL(0, 0x1800),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELA", 0x1800) },
		{ "RELA beyond its segment", DYN_VAL(0, 0x27b9),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELA", 0x27b9) },
		{ "RELA beyond the file", DYN_VAL(0, 0x47b9),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELA", 0x47b9) },
		{ "RELA in .bss", DYN_VAL(0, 0x5000),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELA", 0x5000) },
		{ "RELA that wraps", DYN_VAL(0, UINT64_MAX - 7),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELA", UINT64_MAX - 7) },
		{ "RELA of all memory", DYN_VAL(1, UINT64_MAX / 24 * 24),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELA", AT_RELA) },
		{ "RELR beyond the file", DYN_VAL(3, 0x47e9),
		  DYNSECT(RELOCATION, LOADER_NO_INDEX, "DT_RELR", 0x47e9) },
	};

	expect_spoiled(dyn_file(), rows, ARRAY_LEN(rows));
}

static void test_a_spoiled_relocation_is_refused_by_name(void)
{
	static const struct spoil_row rows[] = {
		{ "R_X86_64_64", RELA(0, 1, 1), RELAENT(0, TYPE, 1) },
		{ "R_X86_64_IRELATIVE", RELA(2, 1, 37), RELAENT(2, TYPE, 37) },
		{ "type of more than 8 bits", RELA(0, 1, 0x108), RELAENT(0, TYPE, 0x108) },
		{ "across the end", RELA(0, 0, 0x5ff9), RELAENT(0, "r_offset", 0x5ff9) },
		{ "across the end of text", RELA(2, 0, 0x11f9), RELAENT(2, "r_offset", 0x11f9) },
		{ "across the start of data", RELA(0, 0, 0x2fff), RELAENT(0, "r_offset", 0x2fff) },
		{ "across the end of memory", RELA(0, 0, UINT64_MAX - 3),
		  RELAENT(0, "r_offset", UINT64_MAX - 3) },
		{ "relative to the slide", RELA(0, 0, ELF_DYN_BASE + 0x3100),
		  RELAENT(0, "r_offset", ELF_DYN_BASE + 0x3100) },
		{ "bitmap first", RELR(0, 3), RELRENT(0, "bitmap", 3) },
		{ "RELR across the end", RELR(0, 0x5ffa), RELRENT(0, "target", 0x5ffa) },
		{ "RELR outside", RELR(1, 0x1800), RELRENT(1, "target", 0x1800) },
		{ "last word of a bitmap", RELR(0, 0x5e00), RELRENT(2, "target", 0x6008) },
		{ "last bit of a bitmap", RELR(0, 0x5e10), RELRENT(1, "target", 0x6008) },
	};

	expect_spoiled(dyn_file(), rows, ARRAY_LEN(rows));
}

/* The other side of each border. */
static void test_what_is_only_unusual_is_accepted(void)
{
	static const struct spoil_row rows[] = {
		{ "OS ABI", ID(7, 9), { 0 } },
		{ "e_flags", EH(e_flags, 1), { 0 } },
		{ "section headers", EH(e_shoff, UINT64_MAX), { 0 } },
		{ "entry at the first byte", EH(e_entry, 0), { 0 } },
		{ "entry at the last byte", EH(e_entry, 0x11ff), { 0 } },
		{ "unknown segment", PH(STACK, p_type, 0x70000001), { 0 } },
		{ "p_paddr", PH(TEXT, p_paddr, UINT64_MAX), { 0 } },
		{ "p_align 0", PH(TEXT, p_align, 0), { 0 } },
		{ "p_align 1", PH(TEXT, p_align, 1), { 0 } },
		{ "p_align 1 GiB", PH(DATA, p_align, 0x40000000), { 0 } },
		{ "touching the next segment", PH(RODATA, p_memsz, 0x1000), { 0 } },
		{ "no bytes of notes, anywhere", PH(NOTE, p_filesz, 0), { 0 } },
		{ "no dynamic section", PH(DYNAMIC, p_filesz, 0), { 0 } },
		{ "dynamic section just ended", PH(DYNAMIC, p_filesz, 9 * 16), { 0 } },
		{ "empty RELRO", PH(RELRO, p_memsz, 0), { 0 } },
		{ "RELRO up to the last page's end", PH(RELRO, p_memsz, 0x3000), { 0 } },
		{ "template at the end", PH(TLS, p_vaddr, 0x5fe0), { 0 } },
		{ "no relocations", DYN_VAL(1, 0), { 0 } },
		{ "relocations with a symbol", RELA(0, 1, UINT64_C(0x500000008)), { 0 } },
		{ "nothing to do, anywhere", RELA(1, 0, UINT64_MAX), { 0 } },
		{ "target at the end", RELA(0, 0, 0x5ff8), { 0 } },
		{ "target in text", RELA(0, 0, 0x11f8), { 0 } },
		{ "RELA at the end of the file", DYN_VAL(0, 0x47b8), { 0 } },
		{ "last word of memory by bitmap", RELR(0, 0x5df0), { 0 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct elf_file f = dyn_file();

		/* Zeroes are relocations of no type, wherever a row moves the table to. */
		memset(f.bytes + 0x47b8, 0, 0x48);
		emit(&f);
		put(&f, rows[i].spoil.at, &rows[i].spoil.value, rows[i].spoil.size);
		expect_refusal_of(&f, rows[i].want, rows[i].name);
	}
}

/* ---- Pages ------------------------------------------------------------- */

#define R_ PF_R
#define W_ (PF_R | PF_W)
#define X_ (PF_R | PF_X)

/* Segments without bytes in the file, relative to `base`; size 0 ends the list. */
struct layout {
	const char *name;
	struct {
		uint64_t virt, size;
		uint32_t flags;
	} segments[5];
	uint64_t relro, relro_size;
	enum loader_status status;
	const char *ranges; /* where the status is LOADER_OK */
};

/* The first executable segment is entered. */
static struct elf_file layout_file(const struct layout *layout, uint16_t type, uint64_t base)
{
	struct elf_file f = baseline(type, base);
	unsigned n = 0;

	f.header.e_entry = UINT64_MAX;
	for (; n < ARRAY_LEN(layout->segments) && layout->segments[n].size; n++) {
		f.ph[n] = (Elf64_Phdr){ .p_type = PT_LOAD,
					.p_flags = layout->segments[n].flags,
					.p_vaddr = base + layout->segments[n].virt,
					.p_memsz = layout->segments[n].size };
		if ((f.ph[n].p_flags & PF_X) && f.header.e_entry == UINT64_MAX)
			f.header.e_entry = f.ph[n].p_vaddr;
	}
	f.ph[n] = part_at(PT_GNU_RELRO, base, layout->relro, layout->relro_size, 1);
	f.header.e_phnum = (uint16_t)(n + 1);
	return f;
}

static void expect_layout(const struct layout *layout, uint16_t type, uint64_t base)
{
	struct elf_file f = layout_file(layout, type, base);
	struct opened o = open_file(&f, layout->name);

	CHECK_STATUS(o.status, layout->status, status_name, layout->name);
	if (o.status == LOADER_OK && layout->status == LOADER_OK)
		expect_ranges(&o.image, layout->ranges, layout->name);
	close_file(&o);
}

static void expect_layouts(const struct layout *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		expect_layout(&rows[i], ET_EXEC, EXEC_BASE);
		expect_layout(&rows[i], ET_DYN, 0);
	}
}

static const struct layout page_rows[] = {
	{ "one byte", { { 0, 1, X_ } }, 0, 0, LOADER_OK, "x0-1" },
	{ "one page", { { 0, PAGE, X_ } }, 0, 0, LOADER_OK, "x0-1" },
	{ "one byte more", { { 0, PAGE + 1, X_ } }, 0, 0, LOADER_OK, "x0-2" },
	{ "from the last byte of a page", { { PAGE - 1, 2, X_ } }, 0, 0, LOADER_OK, "x0-2" },
	{ "a hole", { { 0, 1, X_ }, { 2 * PAGE, 1, X_ } }, 0, 0, LOADER_OK, "x0-1 x2-3" },
	{ "neighbours with equal rights",
	  { { 0, PAGE, X_ }, { PAGE, PAGE, X_ } },
	  0,
	  0,
	  LOADER_OK,
	  "x0-2" },
	{ "neighbours with other rights",
	  { { 0, PAGE, X_ }, { PAGE, PAGE, W_ } },
	  0,
	  0,
	  LOADER_OK,
	  "x0-1 w1-2" },
	{ "a page shared", { { 0, 0x1800, X_ }, { 0x1800, PAGE, X_ } }, 0, 0, LOADER_OK, "x0-3" },
	{ "a page shared by four",
	  { { 0, PAGE, X_ }, { 0x1000, 8, W_ }, { 0x1800, 8, W_ }, { 0x1ff8, 16, W_ } },
	  0,
	  0,
	  LOADER_OK,
	  "x0-1 w1-3" },
	{ "no PF_R is readable all the same",
	  { { 0, 1, PF_X }, { PAGE, 1, 0 } },
	  0,
	  0,
	  LOADER_OK,
	  "x0-1 r1-2" },
	{ "a page shared with other rights",
	  { { 0, 0x1800, X_ }, { 0x1800, 8, R_ } },
	  0,
	  0,
	  LOADER_ERR_SHARED_PAGE,
	  NULL },
	{ "first and last byte of a page",
	  { { 0, 1, X_ }, { 0xfff, 1, W_ } },
	  0,
	  0,
	  LOADER_ERR_SHARED_PAGE,
	  NULL },
	{ "the third in a page",
	  { { 0, PAGE, X_ }, { 0x1000, 8, W_ }, { 0x1008, 8, W_ }, { 0x1ff8, 16, R_ } },
	  0,
	  0,
	  LOADER_ERR_SHARED_PAGE,
	  NULL },
};

static void test_pages_belong_to_segments_of_equal_rights(void)
{
	expect_layouts(page_rows, ARRAY_LEN(page_rows));
}

/* The name is the program header's, whatever the order of addresses. */
static void test_a_shared_page_is_refused_by_name(void)
{
	static const struct layout layout = {
		"shared",
		{ { 0x4000, 8, R_ }, { 0x1800, 8, W_ }, { 0, 0x1001, X_ } },
		0,
		0,
		LOADER_ERR_SHARED_PAGE,
		NULL
	};
	struct elf_file f = layout_file(&layout, ET_EXEC, EXEC_BASE);

	expect_refusal(&f, (struct refusal)SEGMENT(SHARED_PAGE, 1, "p_vaddr", EXEC_BASE + 0x1800),
		       "shared");
}

static const struct layout relro_rows[] = {
	{ "all of a segment",
	  { { 0, 1, X_ }, { 0x1000, 0x2000, W_ } },
	  0x1000,
	  0x2000,
	  LOADER_OK,
	  "x0-1 r1-3" },
	{ "the start",
	  { { 0, 1, X_ }, { 0x1000, 0x3000, W_ } },
	  0x1000,
	  0x1000,
	  LOADER_OK,
	  "x0-1 r1-2 w2-4" },
	{ "the middle",
	  { { 0, 1, X_ }, { 0x1000, 0x3000, W_ } },
	  0x2000,
	  0x1000,
	  LOADER_OK,
	  "x0-1 w1-2 r2-3 w3-4" },
	{ "less than a page",
	  { { 0, 1, X_ }, { 0x1000, 0x3000, W_ } },
	  0x1000,
	  0xfff,
	  LOADER_OK,
	  "x0-1 w1-4" },
	{ "the end is rounded down",
	  { { 0, 1, X_ }, { 0x1000, 0x3000, W_ } },
	  0x1000,
	  0x1fff,
	  LOADER_OK,
	  "x0-1 r1-2 w2-4" },
	{ "the start is rounded down where the segment starts",
	  { { 0, 1, X_ }, { 0x1e00, 0x1200, W_ } },
	  0x1e00,
	  0x200,
	  LOADER_OK,
	  "x0-1 r1-2 w2-3" },
	{ "but not behind other data",
	  { { 0, 1, X_ }, { 0x1dff, 0x3000, W_ } },
	  0x1e00,
	  0x1200,
	  LOADER_OK,
	  "x0-1 w1-2 r2-3 w3-5" },
	{ "nor behind another segment",
	  { { 0, 1, X_ }, { 0x1000, 1, W_ }, { 0x1e00, 0x1200, W_ } },
	  0x1e00,
	  0x1200,
	  LOADER_OK,
	  "x0-1 w1-2 r2-3" },
	{ "another segment that ends a page earlier",
	  { { 0, 1, X_ }, { 0x1000, 0x1000, W_ }, { 0x2e00, 0x1200, W_ } },
	  0x2e00,
	  0x1200,
	  LOADER_OK,
	  "x0-1 w1-2 r2-4" },
	{ "behind other data, less than the rest of the page",
	  { { 0, 1, X_ }, { 0x1000, 0x3000, W_ } },
	  0x1e00,
	  0x100,
	  LOADER_OK,
	  "x0-1 w1-4" },
	{ "rounded up to a page by the linker",
	  { { 0, 1, X_ }, { 0x1000, 0x10, W_ } },
	  0x1000,
	  0x1000,
	  LOADER_OK,
	  "x0-1 r1-2" },
	{ "of what is read-only",
	  { { 0, 1, X_ }, { 0x1000, 0x1000, R_ } },
	  0x1000,
	  0x1000,
	  LOADER_OK,
	  "x0-1 r1-2" },
	{ "of text", { { 0, 0x2000, X_ } }, 0x1000, 0x1000, LOADER_OK, "x0-2" },
	{ "joins read-only data",
	  { { 0, 1, X_ }, { 0x1000, 0x800, R_ }, { 0x2000, 0x2000, W_ } },
	  0x2000,
	  0x1000,
	  LOADER_OK,
	  "x0-1 r1-3 w3-4" },
	{ "up to the next segment",
	  { { 0, 1, X_ }, { 0x1000, 0x800, W_ }, { 0x1800, 0x800, W_ } },
	  0x1000,
	  0x800,
	  LOADER_OK,
	  "x0-1 w1-2" },
	{ "into the next segment",
	  { { 0, 1, X_ }, { 0x1000, 0x800, W_ }, { 0x1800, 0x800, W_ } },
	  0x1000,
	  0x801,
	  LOADER_ERR_OVERLAP,
	  NULL },
	{ "into a page behind",
	  { { 0, 1, X_ }, { 0x1000, 0x800, W_ } },
	  0x1000,
	  0x1001,
	  LOADER_ERR_ADDRESS,
	  NULL },
	{ "behind the last byte",
	  { { 0, 1, X_ }, { 0x1000, 0x800, W_ } },
	  0x1800,
	  8,
	  LOADER_ERR_ADDRESS,
	  NULL },
};

static void test_relro_makes_whole_pages_read_only(void)
{
	expect_layouts(relro_rows, ARRAY_LEN(relro_rows));
}

static void test_addresses_are_in_the_higher_half_or_slide_there(void)
{
	static const struct {
		const char *name;
		uint16_t type;
		uint64_t base, size;
		enum loader_status status;
		uint64_t virt;
	} rows[] = {
		{ "least address", ET_EXEC, ELF_LEAST_ADDRESS, 1, LOADER_OK, ELF_LEAST_ADDRESS },
		{ "one byte less", ET_EXEC, ELF_LEAST_ADDRESS - 1, 1, LOADER_ERR_ADDRESS, 0 },
		{ "across it", ET_EXEC, ELF_LEAST_ADDRESS - 8, 16, LOADER_ERR_ADDRESS, 0 },
		{ "least address, ET_DYN", ET_DYN, ELF_LEAST_ADDRESS, 1, LOADER_OK,
		  ELF_LEAST_ADDRESS },
		{ "one byte less, ET_DYN", ET_DYN, ELF_LEAST_ADDRESS - 1, 1, LOADER_ERR_ADDRESS,
		  0 },
		{ "ET_EXEC at 0", ET_EXEC, 0, 1, LOADER_ERR_ADDRESS, 0 },
		{ "ET_EXEC at 2 MiB", ET_EXEC, 0x200000, 1, LOADER_ERR_ADDRESS, 0 },
		{ "ET_DYN in the first page", ET_DYN, 0xfff, 1, LOADER_OK, ELF_DYN_BASE },
		{ "ET_DYN in the second", ET_DYN, 0x1000, 1, LOADER_ERR_ADDRESS, 0 },
		{ "ET_DYN of 2 GiB less a page", ET_DYN, 0, 0x7ffff000, LOADER_OK, ELF_DYN_BASE },
		{ "one byte more", ET_DYN, 0, 0x7ffff001, LOADER_ERR_ADDRESS, 0 },
		{ "the last page", ET_EXEC, UINT64_MAX - 0xfff, 0x1000, LOADER_OK,
		  UINT64_MAX - 0xfff },
		{ "the last byte", ET_EXEC, UINT64_MAX, 1, LOADER_OK, UINT64_MAX - 0xfff },
		{ "one byte more", ET_EXEC, UINT64_MAX, 2, LOADER_ERR_ADDRESS, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct layout layout = { rows[i].name, { { 0, rows[i].size, X_ } }, 0, 0, 0, 0 };
		struct elf_file f = layout_file(&layout, rows[i].type, rows[i].base);
		struct opened o = open_file(&f, rows[i].name);

		CHECK_STATUS(o.status, rows[i].status, status_name, rows[i].name);
		if (o.status == LOADER_OK) {
			CHECK_EQ(o.image.virt, rows[i].virt, rows[i].name);
			CHECK_EQ(o.image.virt + o.image.size,
				 (o.image.segments[0].virt + rows[i].size - 1) / PAGE * PAGE + PAGE,
				 rows[i].name);
			CHECK_EQ(o.image.entry, rows[i].base + o.image.slide, rows[i].name);
		}
		close_file(&o);
	}
}

static void test_an_image_may_end_with_the_address_space(void)
{
	static const struct layout layout = {
		"last pages", { { 0, 0x1000, X_ }, { 0x1000, 0x2000, W_ } },
		0x1000,       0x1000,
		LOADER_OK,    "x0-1 r1-2 w2-3"
	};

	expect_layout(&layout, ET_EXEC, UINT64_MAX - 0x2fff);
}

static void test_empty_segments_do_not_count(void)
{
	struct elf_file f = dyn_file();
	struct opened o;

	f.ph[STACK] = (Elf64_Phdr){ .p_type = PT_LOAD,
				    .p_flags = 7,
				    .p_offset = UINT64_MAX,
				    .p_vaddr = 0x1001,
				    .p_align = 3 };
	o = open_file(&f, "empty");
	CHECK_STATUS(o.status, LOADER_OK, status_name, "empty");
	if (o.status == LOADER_OK)
		expect_baseline(&o.image, ELF_DYN_BASE, ELF_DYN_BASE, "empty");
	close_file(&o);

	f = dyn_file();
	f.ph[0] = f.ph[STACK];
	f.header.e_phnum = 1;
	expect_refusal(&f, (struct refusal)HEADER(FORMAT, "PT_LOAD", 0), "no segment");
	f.ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_X };
	expect_refusal(&f, (struct refusal)HEADER(FORMAT, "PT_LOAD", 0), "only an empty segment");
}

static void test_a_segment_without_bytes_may_point_anywhere(void)
{
	struct elf_file f = dyn_file();
	struct opened o;
	uint8_t want[6 * PAGE] = { 0 };

	f.ph[RODATA].p_filesz = 0;
	f.ph[RODATA].p_offset = UINT64_MAX - 0xfff;
	f.header.e_phnum = DATA; /* nothing that needs its bytes */
	o = open_file(&f, "no bytes");
	CHECK_STATUS(o.status, LOADER_OK, status_name, "no bytes");
	model_load(&f, 0, want);
	if (o.status == LOADER_OK)
		load_and_compare(&o.image, want, "no bytes");
	close_file(&o);
}

static void test_more_segments_than_there_is_room_for_are_refused(void)
{
	struct elf_file f = dyn_file();

	for (unsigned i = 0; i <= ELF_MAX_SEGMENTS; i++)
		f.ph[i] = (Elf64_Phdr){ .p_type = PT_LOAD,
					.p_flags = i % 2 ? R_ : X_,
					.p_vaddr = (ELF_MAX_SEGMENTS - i) * PAGE,
					.p_memsz = 8 };
	f.header.e_entry = 0;
	f.header.e_phnum = ELF_MAX_SEGMENTS + 1;
	expect_refusal(&f,
		       (struct refusal)SEGMENT(CAPACITY, ELF_MAX_SEGMENTS, "PT_LOAD",
					       ELF_MAX_SEGMENTS + 1),
		       "33 segments");
	f.ph[0].p_memsz = 0;
	expect_ok(&f, "32 segments and an empty one");
}

static void test_the_largest_alignment_of_a_segment_counts(void)
{
	static const uint64_t rows[][3] = { /* two segments, image */
					    { 0, 1, PAGE },
					    { 8, 0x800, PAGE },
					    { 0x200000, 0, 0x200000 },
					    { 0x1000, 0x40000000, 0x40000000 }
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct elf_file f = dyn_file();
		struct opened o;

		f.ph[TEXT].p_align = rows[i][0];
		f.ph[DATA].p_align = rows[i][1];
		f.ph[RODATA].p_align = f.ph[TLS].p_align = 8;
		o = open_file(&f, "alignment");
		CHECK_STATUS(o.status, LOADER_OK, status_name, "alignment");
		CHECK_EQ(o.image.alignment, rows[i][2], "alignment");
		close_file(&o);
	}
}

static void test_thread_local_storage_is_described(void)
{
	static const struct {
		const char *name;
		uint64_t virt, file_size, size, align;
		uint64_t want_virt, want_size, want_align;
	} rows[] = {
		{ "template and zeroes", AT_TLS, 8, 24, 8, ELF_DYN_BASE + AT_TLS, 24, 8 },
		{ "only zeroes, in no segment", 0x9000, 0, 24, 64, ELF_DYN_BASE + 0x9000, 24, 64 },
		{ "no alignment", AT_TLS, 8, 8, 0, ELF_DYN_BASE + AT_TLS, 8, 1 },
		{ "nothing", 0x9000, 0, 0, 0, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct elf_file f = dyn_file();
		struct opened o;

		f.ph[TLS] = (Elf64_Phdr){ .p_type = PT_TLS,
					  .p_vaddr = rows[i].virt,
					  .p_filesz = rows[i].file_size,
					  .p_memsz = rows[i].size,
					  .p_align = rows[i].align };
		o = open_file(&f, rows[i].name);
		CHECK_STATUS(o.status, LOADER_OK, status_name, rows[i].name);
		CHECK_EQ(o.image.tls_virt, rows[i].want_virt, rows[i].name);
		CHECK_EQ(o.image.tls_file_size, rows[i].file_size, rows[i].name);
		CHECK_EQ(o.image.tls_size, rows[i].want_size, rows[i].name);
		CHECK_EQ(o.image.tls_alignment, rows[i].want_align, rows[i].name);
		close_file(&o);
	}
}

/* ---- Notes ------------------------------------------------------------- */

/* Descriptors of all notes of (owner, type), separated by blanks. */
static void notes_text(const struct elf_image *image, const char *owner, uint32_t type,
		       char ret_text[256])
{
	struct elf_note note = { (const uint8_t *)"untouched", 9 };
	uint64_t cursor = 0;
	size_t used = 0;

	while (elf_next_note(image, owner, type, &cursor, &note) && used + note.desc_size < 250) {
		memcpy(ret_text + used, note.desc, note.desc_size);
		used += note.desc_size;
		ret_text[used++] = ' ';
	}
	ret_text[used] = '\0';
	note = (struct elf_note){ (const uint8_t *)"untouched", 9 };
	CHECK(!elf_next_note(image, owner, type, &cursor, &note), "the end stays the end");
	CHECK(memcmp(note.desc, "untouched", 9) == 0, "no note, no output");
}

static void expect_notes(struct elf_file *f, uint32_t type, const char *want, const char *name)
{
	struct opened o = open_file(f, name);

	CHECK_STATUS(o.status, LOADER_OK, status_name, name);
	if (o.status == LOADER_OK) {
		char got[256];

		notes_text(&o.image, "hoist", type, got);
		if (strcmp(got, want) != 0)
			CHECK_FAIL("%s: notes are \"%s\", expected \"%s\"", name, got, want);
	}
	close_file(&o);
}

static void test_notes_are_found_by_owner_and_type(void)
{
	struct elf_file f = dyn_file();

	expect_notes(&f, 1, "first ", "type 1");
	expect_notes(&f, 2, "second ", "type 2");
	expect_notes(&f, 3, "", "type 3");
	f.ph[NOTE].p_filesz = 0;
	f.ph[NOTE].p_offset = UINT64_MAX;
	expect_notes(&f, 1, "", "an empty segment of notes, anywhere");
}

static uint64_t put_tight_note(struct elf_file *f, uint64_t at, const char *name, uint32_t length)
{
	Elf64_Nhdr header = { length, 4, 1 };

	put(f, at, &header, sizeof(header));
	put(f, at + 12, name, length);
	put(f, at + 12 + ((length + 3) & ~3u), "desc", 4);
	return at + 12 + ((length + 3) & ~3u) + 4;
}

static void test_an_owner_is_compared_to_its_end(void)
{
	struct elf_file f = dyn_file();
	uint64_t at = AT_NOTE;

	at = put_tight_note(&f, at, "hoist", 5);
	at = put_tight_note(&f, at, "hoist\0\0", 7);
	at = put_tight_note(&f, at, "hois", 5);
	at = put_tight_note(&f, at, "hoister", 8);
	at = put_tight_note(&f, at, "", 0);
	f.ph[NOTE].p_filesz = at - AT_NOTE;
	expect_notes(&f, 1, "", "almost hoist");
	f.ph[NOTE].p_filesz = put_tight_note(&f, at, "hoist", 6) - AT_NOTE;
	expect_notes(&f, 1, "desc ", "hoist at last");
}

static void test_notes_of_all_segments_are_found(void)
{
	struct elf_file f = dyn_file();
	uint64_t second = put_note(&f, AT_NOTE, "hoist", 1, "one");
	uint64_t third = put_note(&f, second, "hoist", 1, "two");
	uint64_t end = put_note(&f, third, "hoist", 1, "three");

	f.ph[NOTE] = part_at(PT_NOTE, 0, third, end - third, 4);
	f.ph[STACK] = part_at(PT_NOTE, 0, AT_NOTE, third - AT_NOTE, 4);
	expect_notes(&f, 1, "three one two ", "two segments");
}

/* GNU property notes have p_align 8, and their descriptors are padded to it. */
static void test_notes_are_padded_to_4_whatever_the_alignment_of_their_segment(void)
{
	struct elf_file f = dyn_file();
	uint64_t second = put_note(&f, AT_NOTE, "GNU", 5, "0123456789abcde");
	uint64_t third = put_note(&f, second, "hoist", 1, "abc");
	uint64_t end = put_note(&f, third, "hoist", 1, "def");

	f.ph[NOTE] = part_at(PT_NOTE, 0, AT_NOTE, end - AT_NOTE, 8);
	expect_notes(&f, 1, "abc def ", "alignment 8");
}

static void test_malformed_notes_are_told_from_whole_ones(void)
{
	static const struct {
		const char *name;
		uint32_t name_size;
		uint64_t more; /* bytes of the segment behind the note */
		bool whole;
	} rows[] = {
		{ "one note", 6, 0, true },
		{ "padding that holds no header", 6, 11, true },
		{ "a header of zeroes", 6, 12, true },
		{ "a name that is too long", 0x1000, 0, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct elf_file f = dyn_file();
		uint64_t end = put_note(&f, AT_NOTE, "hoist", 1, "one");
		struct opened o;

		put(&f, AT_NOTE, &rows[i].name_size, 4);
		memset(f.bytes + end, 0, 12);
		f.ph[NOTE] = part_at(PT_NOTE, 0, AT_NOTE, end - AT_NOTE + rows[i].more, 4);
		o = open_file(&f, rows[i].name);
		CHECK_STATUS(o.status, LOADER_OK, status_name, rows[i].name);
		CHECK_EQ(elf_notes_are_whole(&o.image), rows[i].whole, rows[i].name);
		close_file(&o);
	}
}

static void test_a_malformed_note_ends_its_segment(void)
{
	static const struct {
		const char *name;
		uint64_t at; /* in the second note: 0 name size, 4 descriptor size */
		uint32_t value;
		uint64_t cut; /* bytes missing at the end */
		const char *want;
	} rows[] = {
		{ "well-formed", 4, 3, 0, "one two three last " },
		{ "name too long", 0, 0x1000, 0, "one last " },
		{ "name far too long", 0, UINT32_MAX, 0, "one last " },
		{ "descriptor too long", 4, 0x1000, 0, "one last " },
		{ "descriptor far too long", 4, UINT32_MAX, 0, "one last " },
		{ "end without padding", 4, 3, 3, "one two three last " },
		{ "end inside the descriptor", 4, 3, 4, "one two last " },
		{ "end inside the name", 4, 3, 10, "one two last " },
		{ "end inside the header", 4, 3, 17, "one two last " },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct elf_file f = dyn_file();
		uint64_t second = put_note(&f, AT_NOTE, "hoist", 1, "one");
		uint64_t third = put_note(&f, second, "hoist", 1, "two");
		uint64_t end = put_note(&f, third, "hoist", 1, "three");
		uint64_t last = end + 8;

		put(&f, second + rows[i].at, &rows[i].value, 4);
		f.ph[NOTE] = part_at(PT_NOTE, 0, AT_NOTE, end - AT_NOTE - rows[i].cut, 4);
		f.ph[STACK] = part_at(PT_NOTE, 0, last,
				      put_note(&f, last, "hoist", 1, "last") - last, 1);
		expect_notes(&f, 1, rows[i].want, rows[i].name);
	}
}

static void test_notes_at_the_end_of_the_file_are_not_read_beyond_it(void)
{
	for (uint64_t rest = 0; rest < 12; rest++) {
		struct elf_file f = dyn_file();
		uint64_t start = f.size, end = put_note(&f, start, "hoist", 1, "last");

		memset(f.bytes + end, 0, rest);
		f.size = end + rest;
		f.ph[NOTE] = part_at(PT_NOTE, 0, start, f.size - start, 4);
		expect_notes(&f, 1, "last ", "at the end");
	}
}

/* ---- Random ------------------------------------------------------------ */

#define ROUNDS 3000

/* A table in the format of the gABI for `count` ascending words' addresses. */
static uint64_t encode_relr(struct elf_file *f, uint64_t at, const uint64_t *targets, size_t count)
{
	uint64_t start = at, next = 0;

	for (size_t i = 0; i < count;) {
		uint64_t bitmap = 1;
		size_t taken = i;

		while (taken < count && start != at && targets[taken] - next < 63 * 8)
			bitmap |= UINT64_C(2) << (targets[taken++] - next) / 8;
		put_word(f, at, taken == i ? targets[i] : bitmap);
		at += 8;
		next = taken == i ? targets[i] + 8 : next + 63 * 8;
		i = taken == i ? i + 1 : taken;
	}
	return at - start;
}

/* Any set of words in the writable segment can be named, and only they change. */
static void test_any_relr_table_is_applied(void)
{
	uint64_t state = check_seed(1);

	for (int round = 0; round < ROUNDS; round++) {
		struct elf_file f = dyn_file();
		uint8_t want[6 * PAGE] = { 0 };
		uint64_t targets[200], at = 0x3000;
		struct opened o;
		size_t count = 0;

		for (; count < ARRAY_LEN(targets); count++) {
			at += 8 * (check_random(&state) % 8 ? 1 : 1 + check_random(&state) % 150);
			if (at > AT_DYNAMIC - 8)
				break;
			targets[count] = at;
		}
		f.ph[TEXT].p_flags = PF_X;
		put_word(&f, AT_DYNAMIC + 16 * 3 + 8, 0x400);
		put_word(&f, AT_DYNAMIC + 16 * 4 + 8, encode_relr(&f, 0x400, targets, count));
		put_word(&f, AT_DYNAMIC + 16 * 1 + 8, 0);
		o = open_file(&f, "random RELR");
		CHECK_STATUS(o.status, LOADER_OK, status_name, "random RELR");
		model_load(&f, 0, want);
		for (size_t i = 0; i < count; i++)
			model_slide(want, targets[i], ELF_DYN_BASE);
		if (o.status == LOADER_OK)
			load_and_compare(&o.image, want, "random RELR");
		close_file(&o);
	}
}

/* What each page of a layout is, looked at page by page: 0 hole, 1 shared wrongly, 'r', 'w', 'x'.
 */
static void model_pages(const struct layout *layout, size_t count, char *ret_pages, size_t pages)
{
	for (size_t p = 0; p < pages; p++) {
		ret_pages[p] = 0;
		for (size_t i = 0; i < count; i++) {
			uint64_t first = layout->segments[i].virt / PAGE;
			uint64_t last = (layout->segments[i].virt + layout->segments[i].size - 1) /
					PAGE;
			uint32_t flags = layout->segments[i].flags;
			char letter = flags & PF_W ? 'w' : flags & PF_X ? 'x' : 'r';

			if (p < first || p > last)
				continue;
			ret_pages[p] = ret_pages[p] && ret_pages[p] != letter ? 1 : letter;
		}
	}
}

static bool model_overlaps(const struct layout *layout, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			if (layout->segments[i].virt <
				    layout->segments[j].virt + layout->segments[j].size &&
			    layout->segments[j].virt <
				    layout->segments[i].virt + layout->segments[i].size)
				return true;
	return false;
}

static void model_ranges(const char *pages, size_t count, char *ret_text, size_t size)
{
	size_t used = 0;

	ret_text[0] = '\0';
	for (size_t first = 0, end; first < count && used < size; first = end) {
		for (end = first + 1; end < count && pages[end] == pages[first];)
			end++;
		if (pages[first])
			used += (size_t)snprintf(ret_text + used, size - used, "%s%c%zu-%zu",
						 used ? " " : "", pages[first], first, end);
	}
}

static struct layout random_layout(uint64_t *state, size_t *ret_count)
{
	static const uint32_t flags[] = { R_, W_, X_, W_ };
	struct layout layout = { "random layout", { { 0, 1, X_ } }, 0, 0, LOADER_OK, NULL };
	size_t count = 2 + check_random(state) % 4;

	for (size_t i = 1; i < count; i++) {
		layout.segments[i].virt = 0x800 * (1 + check_random(state) % 20);
		layout.segments[i].size = 0x400 * (1 + check_random(state) % 10);
		layout.segments[i].flags = flags[check_random(state) % 4];
	}
	*ret_count = count;
	return layout;
}

static void test_ranges_agree_with_pages_looked_at_one_by_one(void)
{
	uint64_t state = check_seed(2);
	unsigned accepted = 0;

	for (int round = 0; round < ROUNDS * 10; round++) {
		size_t count;
		struct layout layout = random_layout(&state, &count);
		char pages[24], ranges[256];

		model_pages(&layout, count, pages, sizeof(pages));
		model_ranges(pages, sizeof(pages), ranges, sizeof(ranges));
		layout.ranges = ranges;
		if (model_overlaps(&layout, count))
			layout.status = LOADER_ERR_OVERLAP;
		else if (memchr(pages, 1, sizeof(pages)))
			layout.status = LOADER_ERR_SHARED_PAGE;
		accepted += layout.status == LOADER_OK;
		if (layout.status == LOADER_ERR_OVERLAP && memchr(pages, 1, sizeof(pages)))
			continue; /* which of the two is found first is nobody's business */
		expect_layout(&layout, round % 2 ? ET_EXEC : ET_DYN, round % 2 ? EXEC_BASE : 0);
	}
	CHECK(accepted > ROUNDS, "enough layouts are valid");
}

/* Whatever is accepted can be loaded; sanitizers and a page behind watch. */
static void test_spoiled_bytes_never_lead_out_of_the_block(void)
{
	uint64_t state = check_seed(3);
	unsigned accepted = 0;

	for (int round = 0; round < ROUNDS * 5; round++) {
		struct elf_file f = baseline(round % 2 ? ET_EXEC : ET_DYN,
					     round % 2 ? EXEC_BASE : 0);
		struct opened o;

		emit(&f);
		for (uint64_t n = 1 + check_random(&state) % 3; n; n--) {
			static const uint64_t areas[][2] = { { 0, 64 + 56 * COUNT },
							     { AT_DYNAMIC, 160 },
							     { AT_RELA, 72 },
							     { AT_RELR, 24 },
							     { AT_NOTE, 0x60 } };
			const uint64_t *area = areas[check_random(&state) % ARRAY_LEN(areas)];
			uint64_t at = area[0] + check_random(&state) % area[1];

			f.bytes[at] = (uint8_t)(check_random(&state) >> check_random(&state) % 8);
		}
		o = open_bytes(f.bytes, f.size, 0, "spoiled");
		if (o.status == LOADER_OK && o.image.size <= IMAGE_MAX) {
			uint8_t *block = malloc(o.image.size);
			char text[256];

			accepted++;
			if (block)
				elf_load(&o.image, block);
			free(block);
			notes_text(&o.image, "hoist", 1, text);
		}
		close_file(&o);
	}
	CHECK(accepted > ROUNDS, "enough spoiled files are valid");
}

/* ---- Real files -------------------------------------------------------- */

static uint8_t *read_file(const char *path, size_t *ret_size)
{
	FILE *stream = fopen(path, "rb");
	uint8_t *bytes = NULL;
	long size;

	if (!stream)
		return NULL;
	if (fseek(stream, 0, SEEK_END) == 0 && (size = ftell(stream)) > 0 &&
	    fseek(stream, 0, SEEK_SET) == 0 && (bytes = malloc((size_t)size)) != NULL)
		*ret_size = fread(bytes, 1, (size_t)size, stream);
	(void)fclose(stream);
	return bytes;
}

static void print_image(const struct elf_image *image)
{
	char text[256];

	ranges_text(image, text, sizeof(text));
	printf("  %#" PRIx64 " + %#" PRIx64 ", slide %#" PRIx64 ", entry %#" PRIx64 "\n",
	       image->virt, image->size, image->slide, image->entry);
	printf("  %u segments, ranges %s\n", image->segment_count, text);
	printf("  RELA %" PRIu64 " bytes, RELR %" PRIu64 " bytes, TLS %" PRIu64 " bytes\n",
	       image->rela_size, image->relr_size, image->tls_size);
}

/* Describes the file, or says why not; loads it, for a sanitizer to watch. */
static int open_real(const char *path)
{
	struct elf_image image;
	struct loader_error e;
	size_t size = 0;
	uint8_t *bytes = read_file(path, &size), *block = NULL;
	enum loader_status status = elf_open(bytes, size, &image, &e);

	printf("%s: %s\n", path, status_name((int)status));
	if (status == LOADER_OK) {
		print_image(&image);
		block = malloc(image.size);
		if (block)
			elf_load(&image, block);
	} else {
		printf("  %s %d: %s is %#" PRIx64 ", expected %s\n", e.where, (int)e.index, e.field,
		       e.value, e.expected);
	}
	free(block);
	free(bytes);
	return status != LOADER_OK;
}

static int write_corpus(const char *folder)
{
	int failures = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct elf_file f = baseline(kinds[i].type, kinds[i].base);
		char path[512];
		FILE *stream;

		emit(&f);
		(void)snprintf(path, sizeof(path), "%s/baseline-%zu.elf", folder, i);
		stream = fopen(path, "wb");
		if (!stream || fwrite(f.bytes, 1, f.size, stream) != f.size || fclose(stream) != 0)
			failures++;
	}
	return failures != 0;
}

static int real_main(int argc, char **argv)
{
	int failures = 0;

	if (argc == 3 && strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2]);
	for (int i = 1; i < argc; i++)
		failures += open_real(argv[i]);
	return failures != 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return real_main(argc, argv);
	RUN(test_a_valid_file_is_described);
	RUN(test_a_file_may_lie_at_any_address);
	RUN(test_program_headers_may_have_any_order);
	RUN(test_loading_copies_zeroes_and_relocates);
	RUN(test_rela_wins_over_relr);
	RUN(test_every_prefix_of_a_file_is_truncated);
	RUN(test_a_spoiled_elf_header_is_refused_by_name);
	RUN(test_a_spoiled_segment_is_refused_by_name);
	RUN(test_a_spoiled_other_segment_is_refused_by_name);
	RUN(test_a_spoiled_dynamic_section_is_refused_by_name);
	RUN(test_a_spoiled_relocation_is_refused_by_name);
	RUN(test_what_is_only_unusual_is_accepted);
	RUN(test_pages_belong_to_segments_of_equal_rights);
	RUN(test_a_shared_page_is_refused_by_name);
	RUN(test_relro_makes_whole_pages_read_only);
	RUN(test_addresses_are_in_the_higher_half_or_slide_there);
	RUN(test_an_image_may_end_with_the_address_space);
	RUN(test_empty_segments_do_not_count);
	RUN(test_a_segment_without_bytes_may_point_anywhere);
	RUN(test_more_segments_than_there_is_room_for_are_refused);
	RUN(test_the_largest_alignment_of_a_segment_counts);
	RUN(test_thread_local_storage_is_described);
	RUN(test_notes_are_found_by_owner_and_type);
	RUN(test_an_owner_is_compared_to_its_end);
	RUN(test_notes_of_all_segments_are_found);
	RUN(test_notes_are_padded_to_4_whatever_the_alignment_of_their_segment);
	RUN(test_malformed_notes_are_told_from_whole_ones);
	RUN(test_a_malformed_note_ends_its_segment);
	RUN(test_notes_at_the_end_of_the_file_are_not_read_beyond_it);
	RUN(test_any_relr_table_is_applied);
	RUN(test_ranges_agree_with_pages_looked_at_one_by_one);
	RUN(test_spoiled_bytes_never_lead_out_of_the_block);
	return check_done();
}
