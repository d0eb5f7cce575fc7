#include "loader/acpi.h"
#include "tests/check.h"

#define BASE  UINT64_C(0x7f300000) /* of the memory that can be read */
#define SIZE  0x480u
#define LIMIT (UINT64_C(1) << 40)
#define ROOM  8

/* Where the tables of the standard machine lie. */
enum {
	RSDP = 0x10,
	XSDT = 0x43,
	RSDT = 0x9d,
	MADT = 0x105,
	HPET = 0x200,
	MCFG = 0x240,
	FACP = 0x300,
	OTHER = 0x420,
};

enum { HEADER = 36, RSDP_1 = 20, RSDP_2 = 36 };

static uint8_t memory[SIZE];

/* Copies of exactly the size that was asked for: a byte read beyond is seen by the sanitizer. */
static uint8_t *copies[1 << 17];
static size_t copy_count;

static const uint8_t *read_memory(const void *context, uint64_t address, uint64_t size)
{
	uint8_t *copy;

	(void)context;
	if (address == 0 || size - 1 > UINT64_MAX - address || size > ACPI_TABLE_MAX)
		abort(); /* nobody could give that */
	if (address == BASE + RSDP && size > 4096)
		abort();
	if (address < BASE || address - BASE > SIZE || size > SIZE - (address - BASE))
		return NULL;
	copy = malloc(size);
	if (!copy || copy_count == ARRAY_LEN(copies))
		abort();
	memcpy(copy, memory + (address - BASE), size);
	copies[copy_count++] = copy;
	return copy;
}

static void put(uint32_t at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		memory[at + i] = (uint8_t)(value >> (8 * i));
}

static uint32_t length_of(uint32_t table)
{
	return memory[table + 4] | (uint32_t)memory[table + 5] << 8;
}

/* Sets the byte at `at` so that `size` bytes from `first` add up to 0. */
static void fix_sum(uint32_t first, uint32_t size, uint32_t at)
{
	uint8_t sum = 0;

	memory[at] = 0;
	for (uint32_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + memory[first + i]);
	memory[at] = (uint8_t)-sum;
}

static void fix_table(uint32_t table)
{
	fix_sum(table, length_of(table), table + 9);
}

static void fix_rsdp(void)
{
	fix_sum(RSDP, RSDP_1, RSDP + 8);
	fix_sum(RSDP, memory[RSDP + 20], RSDP + 32);
}

/* Every byte of a header is something, so that no offset is right by chance. */
static void put_header(uint32_t table, const char *signature, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		memory[table + i] = (uint8_t)(i < HEADER ? 0x40 + i : 0);
	memcpy(memory + table, signature, 4);
	put(table + 4, 4, size);
}

static const uint8_t madt_structures[] = {
	0,    8,    10, 0,    1,    0,    0,    0, /* 0: processor 0 */
	0,    8,    11, 2,    2,    0,    0,    0, /* 1: may come later */
	0,    8,    12, 0xff, 0,    0,    0,    0, /* 2: all processors: none */
	0,    8,    13, 6,    0,    0,    0,    0, /* 3: not to be used */
	1,    12,   7,  0,    0,    0,    0xc0, 0xfe, 0,    0,    0,    0, /* 4: I/O APIC */
	2,    10,   0,  0,    2,    0,    0,    0,    0,    0, /* 5: interrupt override */
	1,    13,   8,  0,    0,    0x10, 0xc0, 0xfe, 24,   1,    0,    0,    9, /* 6: a longer one
										  */
	9,    16,   0,  0,    0,    1,    2,    0,    0xfd, 0xff, 0xff, 0xff, 0x78, 0x56,
	0x34, 0x12, /* 7 */
	9,    16,   0,  0,    0xff, 0xff, 0xff, 0xff, 1,    0,    0,    0,    0,    0,
	0,    0,                                                           /* 8: all: none */
	200,  2,                                                           /* 9: nobody knows */
	5,    12,   0,  0,    0,    0x10, 0xe0, 0xfe, 1,    0,    0,    0, /* 10: 1fee01000 */
};

/* Offsets of structures in the table. */
enum {
	IOAPIC_AT = 44 + 32,
	IOAPIC_2_AT = IOAPIC_AT + 22,
	X2APIC_AT = IOAPIC_2_AT + 13,
	UNKNOWN_AT = X2APIC_AT + 32,
	OVERRIDE_AT = UNKNOWN_AT + 2,
	MADT_END = OVERRIDE_AT + 12,
};

static void put_madt(void)
{
	put_header(MADT, "APIC", MADT_END);
	put(MADT + 36, 4, 0xfee00000);
	memcpy(memory + MADT + 44, madt_structures, sizeof(madt_structures));
	fix_table(MADT);
}

static void put_hpet(void)
{
	put_header(HPET, "HPET", 56);
	put(HPET + 44, 8, 0xfed00000);
	fix_table(HPET);
}

static void put_mcfg(void)
{
	put_header(MCFG, "MCFG", 44 + 2 * 16);
	put(MCFG + 44, 8, 0xb0000000);
	put(MCFG + 55, 1, 0xff);
	put(MCFG + 60, 8, UINT64_C(0x8000000000));
	put(MCFG + 68, 2, 0x1234);
	put(MCFG + 70, 1, 16);
	put(MCFG + 71, 1, 31);
	fix_table(MCFG);
}

static const uint32_t tables[] = { FACP, MADT, OTHER, HPET, MCFG };

static void put_roots(void)
{
	put_header(XSDT, "XSDT", HEADER + 8 * ARRAY_LEN(tables));
	put_header(RSDT, "RSDT", HEADER + 4 * ARRAY_LEN(tables));
	for (uint32_t i = 0; i < ARRAY_LEN(tables); i++) {
		put(XSDT + HEADER + 8 * i, 8, BASE + tables[i]);
		put(RSDT + HEADER + 4 * i, 4, BASE + tables[i]);
	}
	fix_table(XSDT);
	fix_table(RSDT);
	memset(memory + RSDP, 0x33, RSDP_2);
	memcpy(memory + RSDP, "RSD PTR ", 8);
	put(RSDP + 15, 1, 2);
	put(RSDP + 16, 4, BASE + RSDT);
	put(RSDP + 20, 4, RSDP_2);
	put(RSDP + 24, 8, BASE + XSDT);
	fix_rsdp();
}

static void put_all(void)
{
	memset(memory, 0, sizeof(memory));
	put_header(FACP, "FACP", 276);
	put_header(OTHER, "SSDT", 60);
	put_madt();
	put_hpet();
	put_mcfg();
	put_roots();
}

/* What was found, and the arrays it is in. */
struct found {
	struct acpi acpi;
	struct hoist_processor processors[ROOM];
	struct hoist_ioapic ioapics[ROOM];
	struct hoist_ecam ecam[ROOM];
};

static void find_at(struct found *f, uint64_t rsdp)
{
	const struct acpi_memory source = { .read = read_memory, .limit = LIMIT };

	memset(f, 0x5a, sizeof(*f));
	f->acpi.processors = f->processors;
	f->acpi.ioapics = f->ioapics;
	f->acpi.ecam = f->ecam;
	f->acpi.processor_room = f->acpi.ioapic_room = f->acpi.ecam_room = ROOM;
	acpi_read(&source, rsdp, &f->acpi);
	while (copy_count > 0)
		free(copies[--copy_count]);
}

static void find(struct found *f)
{
	find_at(f, BASE + RSDP);
}

/* ---- what is expected ---------------------------------------------------------- */

static const struct hoist_processor all_processors[] = {
	{ 0, 10, HOIST_PROCESSOR_ENABLED, 0 },
	{ 2, 11, HOIST_PROCESSOR_ONLINE_CAPABLE, 0 },
	{ 6, 13, 0, 0 },
	{ 0x20100, 0x12345678, HOIST_PROCESSOR_ENABLED, 0 },
};

static const struct hoist_ioapic all_ioapics[] = {
	{ 0xfec00000, 7, 0 },
	{ 0xfec01000, 8, 0x118 },
};

static const struct hoist_ecam all_ecam[] = {
	{ 0xb0000000, 0x10000000, 0, 0, 255, 0 },
	{ UINT64_C(0x8001000000), 0x1000000, 0x1234, 16, 31, 0 },
};

enum { FIND_MADT = 1, FIND_HPET = 2, FIND_MCFG = 4, FIND_ALL = 7 };

static void expect_madt(const struct found *f, bool there, const char *name)
{
	CHECK_EQ(f->acpi.processor_count, there ? ARRAY_LEN(all_processors) : 0, name);
	CHECK_EQ(f->acpi.ioapic_count, there ? ARRAY_LEN(all_ioapics) : 0, name);
	CHECK_EQ(f->acpi.lapic, there ? UINT64_C(0x1fee01000) : 0, name);
	if (!there)
		return;
	CHECK(memcmp(f->processors, all_processors, sizeof(all_processors)) == 0, name);
	CHECK(memcmp(f->ioapics, all_ioapics, sizeof(all_ioapics)) == 0, name);
}

static void expect_found(const struct found *f, unsigned what, const char *name)
{
	expect_madt(f, what & FIND_MADT, name);
	CHECK_EQ(f->acpi.hpet, what & FIND_HPET ? 0xfed00000 : 0, name);
	CHECK_EQ(f->acpi.ecam_count, what & FIND_MCFG ? ARRAY_LEN(all_ecam) : 0, name);
	if (what & FIND_MCFG)
		CHECK(memcmp(f->ecam, all_ecam, sizeof(all_ecam)) == 0, name);
}

/* The first fault is of this place; NULL: there is none. */
static void expect_fault(const struct found *f, const char *where, uint32_t index,
			 const char *field, const char *name)
{
	const struct loader_error *e = &f->acpi.faults[0];

	if (!where) {
		CHECK_EQ(f->acpi.fault_count, 0, name);
		return;
	}
	CHECK_EQ(f->acpi.fault_count, 1, name);
	if (f->acpi.fault_count == 0)
		return;
	CHECK_EQ(e->status, LOADER_ERR_ACPI, name);
	CHECK_EQ(e->index, index, name);
	CHECK(e->expected && !e->text, name);
	if (strcmp(e->where, where) != 0 || strcmp(e->field, field) != 0)
		CHECK_FAIL("%s: fault of %s: %s, expected %s: %s", name, e->where, e->field, where,
			   field);
}

/* ---- all is well --------------------------------------------------------------- */

static void every_table_is_found_from_the_xsdt(void)
{
	struct found f;

	put_all();
	find(&f);
	expect_found(&f, FIND_ALL, "standard");
	expect_fault(&f, NULL, 0, NULL, "standard");
	put(RSDP + 16, 4, 0);
	fix_rsdp();
	find(&f);
	expect_found(&f, FIND_ALL, "no RSDT");
}

static void without_an_xsdt_the_rsdt_counts(void)
{
	struct found f;

	put_all();
	put(RSDP + 24, 8, 0);
	fix_rsdp();
	find(&f);
	expect_found(&f, FIND_ALL, "no XSDT");
	expect_fault(&f, NULL, 0, NULL, "no XSDT");

	/* Before ACPI 2.0 what follows 20 bytes is no part of the RSDP. */
	put_all();
	memset(memory + XSDT, 0xee, HEADER);
	put(RSDP + 20, 4, 0xffffffff);
	for (unsigned revision = 0; revision < 2; revision++) {
		put(RSDP + 15, 1, revision);
		fix_sum(RSDP, RSDP_1, RSDP + 8);
		find(&f);
		expect_found(&f, FIND_ALL, "ACPI 1.0");
	}
	memmove(memory + SIZE - RSDP_1, memory + RSDP, RSDP_1);
	find_at(&f, BASE + SIZE - RSDP_1);
	expect_found(&f, FIND_ALL, "ACPI 1.0 at the end of memory");
}

static void a_longer_rsdp_is_summed_up_in_its_length(void)
{
	struct found f;

	put_all();
	put(RSDP + 20, 4, 44);
	put(RSDP + 36, 8, 0x77);
	fix_rsdp();
	find(&f);
	expect_found(&f, FIND_ALL, "44 bytes");
	put(RSDP + 20, 4, 36);
	fix_sum(RSDP, RSDP_1, RSDP + 8);
	put(RSDP + 20, 4, 44);
	fix_sum(RSDP, RSDP_1, RSDP + 8);
	fix_sum(RSDP, 36, RSDP + 32);
	find(&f);
	expect_found(&f, 0, "a sum of the first 36 alone");
}

static void the_first_table_of_a_signature_counts(void)
{
	struct found f;

	put_all();
	put_header(OTHER, "HPET", 56);
	put(OTHER + 44, 8, 0xfed80000);
	fix_table(OTHER);
	find(&f);
	CHECK_EQ(f.acpi.hpet, 0xfed80000, "the first");
	CHECK_EQ(f.acpi.fault_count, 0, "the second is no fault");
	memory[OTHER + 50]++;
	find(&f);
	CHECK_EQ(f.acpi.hpet, 0, "the first even if it is wrong");
	expect_fault(&f, "HPET", LOADER_NO_INDEX, "sum of all bytes", "the first is wrong");
}

static void the_32_bit_address_counts_where_no_other_is_stated(void)
{
	struct found f;

	put_all();
	put(MADT + OVERRIDE_AT, 1, 77);
	fix_table(MADT);
	find(&f);
	CHECK_EQ(f.acpi.lapic, 0xfee00000, "32 bits");
}

static void lists_are_counted_beyond_their_room_and_never_written_there(void)
{
	const struct acpi_memory source = { .read = read_memory, .limit = LIMIT };
	struct found f, before;

	put_all();
	memset(&f, 0x5a, sizeof(f));
	f.acpi = (struct acpi){ .processor_count = 7, .lapic = 1, .hpet = 1, .fault_count = 3 };
	acpi_read(&source, BASE + RSDP, &f.acpi);
	CHECK_EQ(f.acpi.processor_count, 4, "no room");
	CHECK_EQ(f.acpi.ioapic_count, 2, "no room");
	CHECK_EQ(f.acpi.ecam_count, 2, "no room");
	CHECK_EQ(f.acpi.fault_count, 0, "no room");
	CHECK_EQ(f.acpi.lapic, UINT64_C(0x1fee01000), "no room");

	f.acpi = (struct acpi){ .processors = f.processors,
				.ioapics = f.ioapics,
				.ecam = f.ecam,
				.processor_room = 3,
				.ioapic_room = 1,
				.ecam_room = 1 };
	memcpy(&before, &f, sizeof(f));
	acpi_read(&source, BASE + RSDP, &f.acpi);
	CHECK_EQ(f.acpi.processor_count, 4, "less room");
	CHECK(memcmp(f.processors, all_processors, 3 * sizeof(f.processors[0])) == 0, "less room");
	CHECK(memcmp(f.processors + 3, before.processors + 3, sizeof(f.processors[0])) == 0, "4th");
	CHECK(memcmp(f.ioapics, all_ioapics, sizeof(f.ioapics[0])) == 0, "less room");
	CHECK(memcmp(f.ioapics + 1, before.ioapics + 1, sizeof(f.ioapics[0])) == 0, "2nd");
	CHECK(memcmp(f.ecam, all_ecam, sizeof(f.ecam[0])) == 0, "less room");
	CHECK(memcmp(f.ecam + 1, before.ecam + 1, sizeof(f.ecam[0])) == 0, "2nd");
	while (copy_count > 0)
		free(copies[--copy_count]);
}

/* ---- one thing is wrong -------------------------------------------------------- */

#define NONE LOADER_NO_INDEX

/* `width` bytes at `at`; checksums are then right again, unless sum is false. */
struct spoiled_row {
	const char *name;
	uint32_t table, at;
	unsigned width;
	uint64_t value;
	bool sum;
	unsigned found;
	const char *where;
	uint32_t index;
	const char *field;
};

static const struct spoiled_row spoiled_rows[] = {
	/* RSDP */
	{ "RSDP signature", RSDP, 0, 1, 'r', true, 0, "RSDP", NONE, "signature" },
	{ "RSDP last letter", RSDP, 7, 1, 'X', true, 0, "RSDP", NONE, "signature" },
	{ "RSDP sum", RSDP, 9, 1, 1, false, 0, "RSDP", NONE, "sum of the first 20 bytes" },
	{ "RSDP last byte of the sum", RSDP, 19, 1, 1, false, 0, "RSDP", NONE,
	  "sum of the first 20 bytes" },
	{ "RSDP length 35", RSDP, 20, 4, 35, false, 0, "RSDP", NONE, "length" },
	{ "RSDP length 0", RSDP, 20, 4, 0, false, 0, "RSDP", NONE, "length" },
	{ "RSDP length 4097", RSDP, 20, 4, 4097, false, 0, "RSDP", NONE, "length" },
	{ "RSDP extended sum", RSDP, 35, 1, 1, false, 0, "RSDP", NONE, "sum of all bytes" },
	{ "XSDT address", RSDP, 24, 8, BASE - 1, true, 0, "XSDT", NONE, "address" },
	{ "XSDT address at the end", RSDP, 24, 8, UINT64_MAX - 34, true, 0, "XSDT", NONE,
	  "address" },
	/* XSDT */
	{ "XSDT signature", XSDT, 0, 4, 0x54445352, true, 0, "XSDT", NONE, "signature" },
	{ "XSDT last letter", XSDT, 3, 1, 'X', true, 0, "XSDT", NONE, "signature" },
	{ "XSDT sum", XSDT, 30, 1, 1, false, 0, "XSDT", NONE, "sum of all bytes" },
	{ "XSDT length 35", XSDT, 4, 4, 35, true, 0, "XSDT", NONE, "length" },
	{ "XSDT length, half an entry", XSDT, 4, 4, HEADER + 20, true, 0, "XSDT", NONE, "length" },
	{ "XSDT without entries", XSDT, 4, 4, HEADER, true, 0, NULL, 0, NULL },
	{ "XSDT shorter by one", XSDT, 4, 4, HEADER + 32, true, FIND_MADT | FIND_HPET, NULL, 0,
	  NULL },
	{ "XSDT too long", XSDT, 4, 4, ACPI_TABLE_MAX + 1, false, 0, "XSDT", NONE, "length" },
	{ "XSDT beyond memory", XSDT, 4, 4, SIZE - XSDT + 1, false, 0, "XSDT", NONE, "length" },
	{ "entry 0 is 0", XSDT, HEADER, 8, 0, true, FIND_ALL, "XSDT", 0, "entry" },
	{ "entry 1 is not memory", XSDT, HEADER + 8, 8, UINT64_C(1) << 60 | (BASE + MADT), true,
	  FIND_HPET | FIND_MCFG, "XSDT", 1, "entry" },
	{ "entry 2 is at the end of all", XSDT, HEADER + 16, 8, UINT64_MAX, true, FIND_ALL, "XSDT",
	  2, "entry" },
	{ "entry 2 is a header cut", XSDT, HEADER + 16, 8, BASE + SIZE - 35, true, FIND_ALL, "XSDT",
	  2, "entry" },
	{ "entry 2 is the XSDT", XSDT, HEADER + 16, 8, BASE + XSDT, true, FIND_ALL, NULL, 0, NULL },
	/* tables */
	{ "MADT signature", MADT, 0, 1, 'B', true, FIND_HPET | FIND_MCFG, NULL, 0, NULL },
	{ "MADT sum", MADT, 37, 1, 1, false, FIND_HPET | FIND_MCFG, "MADT", NONE,
	  "sum of all bytes" },
	{ "MADT last byte of the sum", MADT, MADT_END - 1, 1, 1, false, FIND_HPET | FIND_MCFG,
	  "MADT", NONE, "sum of all bytes" },
	{ "MADT length 43", MADT, 4, 4, 43, true, FIND_HPET | FIND_MCFG, "MADT", NONE, "length" },
	{ "MADT length 0", MADT, 4, 4, 0, false, FIND_HPET | FIND_MCFG, "MADT", NONE, "length" },
	{ "MADT length, all bits", MADT, 4, 4, UINT32_MAX, false, FIND_HPET | FIND_MCFG, "MADT",
	  NONE, "length" },
	{ "MADT cut in a structure", MADT, 4, 4, MADT_END - 1, true, FIND_HPET | FIND_MCFG, "MADT",
	  10, "length" },
	{ "MADT and one byte", MADT, 4, 4, MADT_END + 1, true, FIND_HPET | FIND_MCFG, "MADT", 11,
	  "length" },
	{ "structure of length 0", MADT, UNKNOWN_AT + 1, 1, 0, true, FIND_HPET | FIND_MCFG, "MADT",
	  9, "length" },
	{ "structure of length 1", MADT, UNKNOWN_AT + 1, 1, 1, true, FIND_HPET | FIND_MCFG, "MADT",
	  9, "length" },
	{ "processor of length 7", MADT, 44 + 1, 1, 7, true, FIND_HPET | FIND_MCFG, "MADT", 0,
	  "length" },
	{ "I/O APIC of length 11", MADT, IOAPIC_AT + 1, 1, 11, true, FIND_HPET | FIND_MCFG, "MADT",
	  4, "length" },
	{ "x2APIC of length 15", MADT, X2APIC_AT + 1, 1, 15, true, FIND_HPET | FIND_MCFG, "MADT", 7,
	  "length" },
	{ "address of length 11", MADT, OVERRIDE_AT + 1, 1, 11, true, FIND_HPET | FIND_MCFG, "MADT",
	  10, "length" },
	{ "address of length 13", MADT, OVERRIDE_AT + 1, 1, 13, true, FIND_HPET | FIND_MCFG, "MADT",
	  10, "length" },
	{ "HPET length 55", HPET, 4, 4, 55, true, FIND_MADT | FIND_MCFG, "HPET", NONE, "length" },
	{ "HPET longer", HPET, 4, 4, 57, true, FIND_ALL, NULL, 0, NULL },
	{ "HPET sum", HPET, 55, 1, 1, false, FIND_MADT | FIND_MCFG, "HPET", NONE,
	  "sum of all bytes" },
	{ "HPET in ports", HPET, 40, 1, 1, true, FIND_MADT | FIND_MCFG, "HPET", NONE,
	  "address space" },
	{ "HPET at 0", HPET, 44, 8, 0, true, FIND_MADT | FIND_MCFG, "HPET", NONE, "address" },
	{ "HPET at an odd address", HPET, 44, 8, 0xfed00004, true, FIND_MADT | FIND_MCFG, "HPET",
	  NONE, "address" },
	{ "HPET at the limit", HPET, 44, 8, LIMIT - 0x3f8, true, FIND_MADT | FIND_MCFG, "HPET",
	  NONE, "address" },
	{ "HPET above all", HPET, 44, 8, UINT64_MAX - 7, true, FIND_MADT | FIND_MCFG, "HPET", NONE,
	  "address" },
	{ "MCFG length 43", MCFG, 4, 4, 43, true, FIND_MADT | FIND_HPET, "MCFG", NONE, "length" },
	{ "MCFG without windows", MCFG, 4, 4, 44, true, FIND_MADT | FIND_HPET, NULL, 0, NULL },
	{ "MCFG with half a window", MCFG, 4, 4, 44 + 24, true, FIND_MADT | FIND_HPET, "MCFG", NONE,
	  "length" },
	{ "MCFG sum", MCFG, 75, 1, 1, false, FIND_MADT | FIND_HPET, "MCFG", NONE,
	  "sum of all bytes" },
};

static void spoil(const struct spoiled_row *row)
{
	put_all();
	put(row->table + row->at, row->width, row->value);
	if (row->sum && row->table == RSDP)
		fix_rsdp();
	else if (row->sum)
		fix_table(row->table);
}

static void a_table_that_is_wrong_is_left_aside_with_a_reason(void)
{
	for (size_t i = 0; i < ARRAY_LEN(spoiled_rows); i++) {
		const struct spoiled_row *row = &spoiled_rows[i];
		struct found f;

		spoil(row);
		find(&f);
		expect_found(&f, row->found, row->name);
		expect_fault(&f, row->where, row->index, row->field, row->name);
	}
}

/* One element is wrong; `lapic` and the counts say what is left. */
struct element_row {
	const char *name;
	uint32_t table, at;
	unsigned width;
	uint64_t value;
	uint32_t ioapics, windows;
	uint64_t lapic;
	uint32_t index;
	const char *field;
};

static const struct element_row element_rows[] = {
	{ "I/O APIC at 0", MADT, IOAPIC_AT + 4, 4, 0, 1, 2, 0x1fee01000, 4, "I/O APIC address" },
	{ "local APIC at 0", MADT, OVERRIDE_AT + 4, 8, 0, 2, 2, 0, NONE, "local APIC address" },
	{ "local APIC inside of a page", MADT, OVERRIDE_AT + 4, 8, 0xfee00800, 2, 2, 0, NONE,
	  "local APIC address" },
	{ "local APIC at the limit", MADT, OVERRIDE_AT + 4, 8, LIMIT, 2, 2, 0, NONE,
	  "local APIC address" },
	{ "local APIC below the limit", MADT, OVERRIDE_AT + 4, 8, LIMIT - 0x1000, 2, 2,
	  LIMIT - 0x1000, NONE, NULL },
	{ "window at 0", MCFG, 44, 8, 0, 2, 1, 0x1fee01000, 0, "address" },
	{ "window at half a bus", MCFG, 44, 8, 0xb0080000, 2, 1, 0x1fee01000, 0, "address" },
	{ "window at the limit", MCFG, 44, 8, LIMIT - 0xff00000, 2, 1, 0x1fee01000, 0, "address" },
	{ "window up to the limit", MCFG, 44, 8, LIMIT - 0x10000000, 2, 2, 0x1fee01000, NONE,
	  NULL },
	{ "window above all", MCFG, 44, 8, UINT64_MAX - 0xfffff, 2, 1, 0x1fee01000, 0, "address" },
	{ "window backwards", MCFG, 71, 1, 15, 2, 1, 0x1fee01000, 1, "last bus" },
	{ "window of one bus", MCFG, 71, 1, 16, 2, 2, 0x1fee01000, NONE, NULL },
};

static void an_element_that_is_wrong_is_left_aside_alone(void)
{
	for (size_t i = 0; i < ARRAY_LEN(element_rows); i++) {
		const struct element_row *row = &element_rows[i];
		const char *where = row->table == MADT ? "MADT" : "MCFG";
		struct found f;

		put_all();
		put(row->table + row->at, row->width, row->value);
		fix_table(row->table);
		find(&f);
		CHECK_EQ(f.acpi.processor_count, 4, row->name);
		CHECK_EQ(f.acpi.ioapic_count, row->ioapics, row->name);
		CHECK_EQ(f.acpi.ecam_count, row->windows, row->name);
		CHECK_EQ(f.acpi.lapic, row->lapic, row->name);
		expect_fault(&f, row->field ? where : NULL, row->index, row->field, row->name);
		if (row->ioapics == 1)
			CHECK_EQ(f.ioapics[0].id, 8, row->name);
		if (row->windows == 1)
			CHECK_EQ(f.ecam[0].segment, row->index == 0 ? 0x1234 : 0, row->name);
	}
}

static void a_root_pointer_that_cannot_be_read_is_a_fault(void)
{
	static const uint64_t places[] = { 0, 1, BASE - 1, BASE + SIZE - 19, UINT64_MAX };
	struct found f;

	put_all();
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		find_at(&f, places[i]);
		expect_found(&f, 0, "no memory");
		expect_fault(&f, "RSDP", NONE, "address", "no memory");
	}
	/* 20 bytes are there, 36 are not. */
	memmove(memory + SIZE - 30, memory + RSDP, 30);
	find_at(&f, BASE + SIZE - 30);
	expect_fault(&f, "RSDP", NONE, "address", "30 bytes");
	/* Nor a length beyond. */
	put_all();
	put(RSDP + 20, 4, 44);
	memmove(memory + SIZE - 40, memory + RSDP, 40);
	find_at(&f, BASE + SIZE - 40);
	expect_fault(&f, "RSDP", NONE, "length", "40 bytes");
}

static void faults_beyond_the_room_are_dropped(void)
{
	struct found f;

	put_all();
	put_header(XSDT, "XSDT", HEADER + 8 * 12);
	for (uint32_t i = 0; i < 12; i++)
		put(XSDT + HEADER + 8 * i, 8, 16 + i);
	fix_table(XSDT);
	find(&f);
	CHECK_EQ(f.acpi.fault_count, ACPI_FAULTS, "12 faults");
	for (uint32_t i = 0; i < ACPI_FAULTS; i++)
		CHECK_EQ(f.acpi.faults[i].index, i, "12 faults");
}

/* Each byte of the tables takes many values: nothing is read outside, nothing goes on for ever. */
static void any_byte_can_have_any_value(void)
{
	static const uint32_t places[] = { RSDP, XSDT, MADT, HPET, MCFG };
	static const uint32_t sizes[] = { RSDP_2, 80, MADT_END, 56, 76 };
	struct found f;

	put_all();
	for (size_t t = 0; t < ARRAY_LEN(places); t++) {
		for (uint32_t at = 0; at < sizes[t]; at++) {
			uint8_t *byte = &memory[places[t] + at], was = *byte;

			for (unsigned value = 0; value < 256; value += 5) {
				*byte = (uint8_t)value;
				if (places[t] == RSDP)
					fix_rsdp();
				else if (length_of(places[t]) <= SIZE - places[t])
					fix_table(places[t]);
				find(&f);
				CHECK(f.acpi.processor_count <= 30 && f.acpi.ioapic_count <= 30 &&
					      f.acpi.ecam_count <= 2,
				      "counts");
			}
			*byte = was;
			put_all();
		}
	}
}

/* The standard tables, as a seed for the fuzzer. */
static int write_corpus(const char *folder)
{
	char path[512];
	FILE *file;

	put_all();
	snprintf(path, sizeof(path), "%s/standard", folder);
	file = fopen(path, "wb");
	if (!file || fwrite(memory, SIZE, 1, file) != 1)
		return 1;
	return fclose(file) != 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2]);
	RUN(every_table_is_found_from_the_xsdt);
	RUN(without_an_xsdt_the_rsdt_counts);
	RUN(a_longer_rsdp_is_summed_up_in_its_length);
	RUN(the_first_table_of_a_signature_counts);
	RUN(the_32_bit_address_counts_where_no_other_is_stated);
	RUN(lists_are_counted_beyond_their_room_and_never_written_there);
	RUN(a_table_that_is_wrong_is_left_aside_with_a_reason);
	RUN(an_element_that_is_wrong_is_left_aside_alone);
	RUN(a_root_pointer_that_cannot_be_read_is_a_fault);
	RUN(faults_beyond_the_room_are_dropped);
	RUN(any_byte_can_have_any_value);
	return check_done();
}
