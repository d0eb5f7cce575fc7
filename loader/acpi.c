#include "loader/acpi.h"

#include "paging/addr.h"

/* Offsets and lengths of ACPI 6.5 chapter 5.2, unless another document is named. */
#define RSDP_SIZE_1  20u /* 5.2.5.3 */
#define RSDP_SIZE_2  36u
#define HEADER_SIZE  36u /* 5.2.6 */
#define MADT_SIZE    44u /* 5.2.12 */
#define HPET_SIZE    56u /* IA-PC HPET 1.0a, 3.2.4 */
#define MCFG_SIZE    44u /* PCI Firmware 3.3, 4.1.2 */
#define MCFG_ELEMENT 16u

/* Interrupt controller structures (5.2.12.2, .3, .8, .12). */
enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_LAPIC_ADDRESS = 5,
	MADT_X2APIC = 9,
	MADT_TYPES,
};

/* Least length by type; 0 for those that do not matter here. */
static const uint8_t madt_sizes[MADT_TYPES] = {
	[MADT_LAPIC] = 8,
	[MADT_IOAPIC] = 12,
	[MADT_LAPIC_ADDRESS] = 12,
	[MADT_X2APIC] = 16,
};

/* All bits of an APIC id: every processor (SDM 3A 11.6.2.1, 11.12.9). */
#define APIC_ID_ALL   0xffu
#define X2APIC_ID_ALL UINT32_MAX

#define PROCESSOR_FLAGS (HOIST_PROCESSOR_ENABLED | HOIST_PROCESSOR_ONLINE_CAPABLE)

enum table_name { TABLE_MADT, TABLE_HPET, TABLE_MCFG, TABLES };

static const char signatures[TABLES][4] = {
	[TABLE_MADT] = { 'A', 'P', 'I', 'C' },
	[TABLE_HPET] = { 'H', 'P', 'E', 'T' },
	[TABLE_MCFG] = { 'M', 'C', 'F', 'G' },
};

/* One acpi_read() under way, and the table that it is about. */
struct reader {
	const struct acpi_memory *memory;
	struct acpi *acpi;
	const char *where;
	const uint8_t *bytes; /* `size` of them, checked */
	uint32_t size;
	uint32_t found; /* bits of enum table_name */
};

static uint32_t read32(const uint8_t *bytes)
{
	uint32_t value;

	__builtin_memcpy(&value, bytes, sizeof(value));
	return value;
}

static uint64_t read64(const uint8_t *bytes)
{
	uint64_t value;

	__builtin_memcpy(&value, bytes, sizeof(value));
	return value;
}

/* Notes why something is left aside; false, for the caller to return. */
static bool fault(struct reader *r, uint32_t index, const char *field, uint64_t value,
		  const char *expected)
{
	struct acpi *acpi = r->acpi;

	if (acpi->fault_count < ACPI_FAULTS)
		acpi->faults[acpi->fault_count++] = (struct loader_error){
			.status = LOADER_ERR_ACPI,
			.where = r->where,
			.index = index,
			.field = field,
			.value = value,
			.expected = expected,
		};
	return false;
}

static const uint8_t *read(const struct reader *r, uint64_t address, uint64_t size)
{
	if (address == 0 || size - 1 > UINT64_MAX - address)
		return NULL;
	return r->memory->read(r->memory->context, address, size);
}

/* All bytes of a table add up to 0 (5.2.5.3, 5.2.6). */
static uint8_t sum(const uint8_t *bytes, uint32_t size)
{
	uint8_t total = 0;

	for (uint32_t i = 0; i < size; i++)
		total = (uint8_t)(total + bytes[i]);
	return total;
}

/* Whether registers lie where hoist can map them. */
static bool reachable(const struct reader *r, uint64_t address, uint64_t size)
{
	return address != 0 && fits(address, size, r->memory->limit);
}

static const char reachable_text[] = "registers that can be mapped";

/* ---- any table ------------------------------------------------------------------ */

/* Makes the table at `address` that of the reader, once length and checksum are right. */
static bool open_table(struct reader *r, uint64_t address, uint32_t least)
{
	const uint8_t *header = read(r, address, HEADER_SIZE);

	if (!header)
		return fault(r, LOADER_NO_INDEX, "address", address, "memory that can be read");
	r->size = read32(header + 4);
	if (r->size < least)
		return fault(r, LOADER_NO_INDEX, "length", r->size, "a whole table");
	if (r->size > ACPI_TABLE_MAX)
		return fault(r, LOADER_NO_INDEX, "length", r->size, "1 MiB at most");
	r->bytes = read(r, address, r->size);
	if (!r->bytes)
		return fault(r, LOADER_NO_INDEX, "length", r->size, "memory that can be read");

	uint8_t total = sum(r->bytes, r->size);

	return total == 0 ||
	       fault(r, LOADER_NO_INDEX, "sum of all bytes", total, "0, by the checksum");
}

/* ---- MADT ------------------------------------------------------------------------- */

static bool check_madt_structures(struct reader *r)
{
	uint32_t index = 0;

	for (uint32_t at = MADT_SIZE; at < r->size; at += r->bytes[at + 1], index++) {
		uint32_t left = r->size - at;

		if (left < 2)
			return fault(r, index, "length", left, "a structure of 2 bytes or more");

		uint8_t type = r->bytes[at], length = r->bytes[at + 1];
		uint8_t least = type < MADT_TYPES && madt_sizes[type] ? madt_sizes[type] : 2;

		if (length < least || length > left)
			return fault(r, index, "length", length,
				     "that of its type, inside the table");
	}
	return true;
}

static void add_processor(struct acpi *acpi, uint32_t apic_id, uint32_t uid, uint32_t flags)
{
	uint32_t index = acpi->processor_count++;

	if (index < acpi->processor_room)
		acpi->processors[index] = (struct hoist_processor){
			.apic_id = apic_id,
			.acpi_uid = uid,
			.flags = flags & PROCESSOR_FLAGS,
		};
}

static void add_ioapic(struct reader *r, uint32_t index, const uint8_t *structure)
{
	struct acpi *acpi = r->acpi;
	uint64_t address = read32(structure + 4);

	if (!reachable(r, address, ACPI_IOAPIC_SIZE)) {
		fault(r, index, "I/O APIC address", address, reachable_text);
		return;
	}

	uint32_t place = acpi->ioapic_count++;

	if (place < acpi->ioapic_room)
		acpi->ioapics[place] = (struct hoist_ioapic){
			.address = address,
			.id = structure[2],
			.gsi_base = read32(structure + 8),
		};
}

/* `*lapic` is the address so far. */
static void read_madt_structure(struct reader *r, uint32_t index, const uint8_t *s, uint64_t *lapic)
{
	switch (s[0]) {
	case MADT_LAPIC:
		if (s[3] != APIC_ID_ALL)
			add_processor(r->acpi, s[3], s[2], read32(s + 4));
		break;
	case MADT_X2APIC:
		if (read32(s + 4) != X2APIC_ID_ALL)
			add_processor(r->acpi, read32(s + 4), read32(s + 12), read32(s + 8));
		break;
	case MADT_IOAPIC:
		add_ioapic(r, index, s);
		break;
	case MADT_LAPIC_ADDRESS:
		*lapic = read64(s + 4);
		break;
	default:
		break;
	}
}

static void read_madt(struct reader *r)
{
	uint64_t lapic = read32(r->bytes + 36);
	uint32_t index = 0;

	if (!check_madt_structures(r))
		return;
	for (uint32_t at = MADT_SIZE; at < r->size; at += r->bytes[at + 1], index++)
		read_madt_structure(r, index, r->bytes + at, &lapic);
	if (is_aligned(lapic, HOIST_PAGE_SIZE) && reachable(r, lapic, ACPI_LAPIC_SIZE))
		r->acpi->lapic = lapic;
	else
		fault(r, LOADER_NO_INDEX, "local APIC address", lapic, "a page that can be mapped");
}

/* ---- HPET ------------------------------------------------------------------------- */

/* The address is a Generic Address Structure (5.2.3.2). */
static void read_hpet(struct reader *r)
{
	uint8_t space = r->bytes[40];
	uint64_t address = read64(r->bytes + 44);

	if (space != 0)
		fault(r, LOADER_NO_INDEX, "address space", space, "0, memory");
	else if (!is_aligned(address, 8) || !reachable(r, address, ACPI_HPET_SIZE))
		fault(r, LOADER_NO_INDEX, "address", address, reachable_text);
	else
		r->acpi->hpet = address;
}

/* ---- MCFG ------------------------------------------------------------------------- */

/* The address is that of bus 0, wherever the window begins (PCI Firmware 3.3, 4.1.2). */
static void read_window(struct reader *r, uint32_t index, const uint8_t *element)
{
	struct acpi *acpi = r->acpi;
	uint64_t base = read64(element), bus = UINT64_C(1) << 20;
	uint32_t first = element[10], last = element[11];

	if (last < first) {
		fault(r, index, "last bus", last, "the first bus or one behind it");
		return;
	}
	if (base == 0 || !is_aligned(base, bus) ||
	    !fits(base, (last + 1) * bus, r->memory->limit)) {
		fault(r, index, "address", base, "a multiple of 1 MiB that can be mapped");
		return;
	}

	uint32_t place = acpi->ecam_count++;

	if (place < acpi->ecam_room)
		acpi->ecam[place] = (struct hoist_ecam){
			.address = base + first * bus,
			.size = (last - first + 1) * bus,
			.segment = element[8] | (uint32_t)element[9] << 8,
			.first_bus = first,
			.last_bus = last,
		};
}

static void read_mcfg(struct reader *r)
{
	uint32_t count = (r->size - MCFG_SIZE) / MCFG_ELEMENT;

	if ((r->size - MCFG_SIZE) % MCFG_ELEMENT != 0) {
		fault(r, LOADER_NO_INDEX, "length", r->size, "44 and a multiple of 16");
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		read_window(r, i, r->bytes + MCFG_SIZE + (size_t)i * MCFG_ELEMENT);
}

/* ---- from the root ------------------------------------------------------------------ */

static void read_table(struct reader *r, uint64_t address, enum table_name name)
{
	switch (name) {
	case TABLE_MADT:
		r->where = "MADT";
		if (open_table(r, address, MADT_SIZE))
			read_madt(r);
		break;
	case TABLE_HPET:
		r->where = "HPET";
		if (open_table(r, address, HPET_SIZE))
			read_hpet(r);
		break;
	case TABLE_MCFG:
		r->where = "MCFG";
		if (open_table(r, address, MCFG_SIZE))
			read_mcfg(r);
		break;
	case TABLES:
		break;
	}
}

/* One entry of the root table: read if it is of a kind that is wanted and still missing. */
static void read_entry(struct reader *r, uint32_t index, uint64_t address)
{
	const uint8_t *header = read(r, address, HEADER_SIZE);

	if (!header) {
		fault(r, index, "entry", address, "memory that can be read");
		return;
	}
	for (uint32_t name = 0; name < TABLES; name++) {
		struct reader table = *r;

		if ((r->found >> name & 1) || __builtin_memcmp(header, signatures[name], 4) != 0)
			continue;
		r->found |= 1u << name;
		read_table(&table, address, (enum table_name)name);
	}
}

static void read_root(struct reader *r, uint64_t address, const char *signature, uint32_t width)
{
	r->where = signature;
	if (!open_table(r, address, HEADER_SIZE))
		return;
	if (__builtin_memcmp(r->bytes, signature, 4) != 0) {
		fault(r, LOADER_NO_INDEX, "signature", read32(r->bytes), "its name");
		return;
	}
	if ((r->size - HEADER_SIZE) % width != 0) {
		fault(r, LOADER_NO_INDEX, "length", r->size, "36 and whole addresses");
		return;
	}

	uint32_t count = (r->size - HEADER_SIZE) / width;

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *entry = r->bytes + HEADER_SIZE + (size_t)i * width;

		read_entry(r, i, width == 8 ? read64(entry) : read32(entry));
	}
}

/* The part that ACPI 2.0 added; NULL if it is wrong. */
static const uint8_t *open_rsdp_2(struct reader *r, uint64_t address, const uint8_t *rsdp)
{
	uint32_t size = read32(rsdp + 20);

	if (size < RSDP_SIZE_2 || size > HOIST_PAGE_SIZE) {
		fault(r, LOADER_NO_INDEX, "length", size, "36 to 4096");
		return NULL;
	}
	rsdp = read(r, address, size);
	if (!rsdp) {
		fault(r, LOADER_NO_INDEX, "length", size, "memory that can be read");
		return NULL;
	}
	if (sum(rsdp, size) != 0) {
		fault(r, LOADER_NO_INDEX, "sum of all bytes", sum(rsdp, size),
		      "0, by the extended checksum");
		return NULL;
	}
	return rsdp;
}

static void read_rsdp_2(struct reader *r, uint64_t address)
{
	const uint8_t *rsdp = read(r, address, RSDP_SIZE_2);

	if (!rsdp) {
		fault(r, LOADER_NO_INDEX, "address", address, "36 bytes that can be read");
		return;
	}
	rsdp = open_rsdp_2(r, address, rsdp);
	if (!rsdp)
		return;

	/* Where both are there, the XSDT is the one to use (5.2.5.3). */
	uint64_t xsdt = read64(rsdp + 24);

	if (xsdt != 0)
		read_root(r, xsdt, "XSDT", 8);
	else
		read_root(r, read32(rsdp + 16), "RSDT", 4);
}

void acpi_read(const struct acpi_memory *memory, uint64_t rsdp, struct acpi *acpi)
{
	struct reader r = { .memory = memory, .acpi = acpi, .where = "RSDP" };
	const uint8_t *bytes = read(&r, rsdp, RSDP_SIZE_1);

	acpi->processor_count = acpi->ioapic_count = acpi->ecam_count = 0;
	acpi->lapic = acpi->hpet = 0;
	acpi->fault_count = 0;
	if (!bytes)
		fault(&r, LOADER_NO_INDEX, "address", rsdp, "memory that can be read");
	else if (__builtin_memcmp(bytes, "RSD PTR ", 8) != 0)
		fault(&r, LOADER_NO_INDEX, "signature", read64(bytes), "\"RSD PTR \"");
	else if (sum(bytes, RSDP_SIZE_1) != 0)
		fault(&r, LOADER_NO_INDEX, "sum of the first 20 bytes", sum(bytes, RSDP_SIZE_1),
		      "0, by the checksum");
	else if (bytes[15] < 2)
		read_root(&r, read32(bytes + 16), "RSDT", 4);
	else
		read_rsdp_2(&r, rsdp);
}
