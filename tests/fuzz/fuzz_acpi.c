/*
 * libFuzzer: any bytes as the memory that ACPI tables lie in. Nothing is read
 * but what the callback gave, results keep the promises of loader/acpi.h, and
 * counting and filling agree. Checksums are made right first, in the input,
 * as far as its lengths lead: a fuzzer does not guess them. Start from the file
 * of `test_acpi --corpus DIR`.
 */
#include "loader/acpi.h"

#include <stdlib.h>
#include <string.h>

#define BASE      UINT64_C(0x7f300000)
#define RSDP      0x10
#define MOST      4096
#define LIMIT     (UINT64_C(1) << 40)
#define READS     65536
#define ASSERT(c) ((c) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[MOST];
static size_t memory_size;
static uint8_t *copies[READS];
static size_t copy_count;

/* A copy of its own: the sanitizer sees a byte too many. */
static const uint8_t *read_memory(const void *context, uint64_t address, uint64_t size)
{
	uint8_t *copy;

	ASSERT(context == memory && size > 0);
	if (address < BASE || address - BASE > memory_size || size > memory_size - (address - BASE))
		return NULL;
	ASSERT(copy_count < READS);
	copy = malloc(size);
	ASSERT(copy);
	memcpy(copy, memory + (address - BASE), size);
	copies[copy_count++] = copy;
	return copy;
}

static void fix_sum(size_t at, size_t size, size_t byte)
{
	uint8_t sum = 0;

	if (at > memory_size || size > memory_size - at || byte >= size)
		return;
	memory[at + byte] = 0;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + memory[at + i]);
	memory[at + byte] = (uint8_t)-sum;
}

static uint64_t number(size_t at, size_t width)
{
	uint64_t value = 0;

	if (at > memory_size || width > memory_size - at)
		return 0;
	memcpy(&value, memory + at, width);
	return value;
}

static void fix_table(uint64_t address)
{
	if (address >= BASE && address - BASE <= memory_size)
		fix_sum(address - BASE, number(address - BASE + 4, 4), 9);
}

/* Tables first, then what points to them: a sum that changes a table below is bad luck. */
static void fix_all(void)
{
	uint64_t roots[2] = { number(RSDP + 24, 8), number(RSDP + 16, 4) };

	for (unsigned r = 0; r < 2; r++) {
		uint64_t at = roots[r] - BASE, width = r == 0 ? 8 : 4;

		for (uint64_t i = 0; roots[r] >= BASE && at <= memory_size && i < 8; i++)
			fix_table(number(at + 36 + i * width, width));
		fix_table(roots[r]);
	}
	fix_sum(RSDP, 20, 8);
	fix_sum(RSDP, number(RSDP + 20, 4), 32);
}

static void check_results(const struct acpi *acpi)
{
	ASSERT(acpi->fault_count <= ACPI_FAULTS);
	for (uint32_t i = 0; i < acpi->fault_count; i++) {
		const struct loader_error *e = &acpi->faults[i];

		ASSERT(e->status == LOADER_ERR_ACPI && e->where && e->field && e->expected);
	}
	ASSERT(acpi->lapic % 4096 == 0 && acpi->lapic <= LIMIT - ACPI_LAPIC_SIZE);
	ASSERT(acpi->hpet <= LIMIT - ACPI_HPET_SIZE);
}

static void check_lists(const struct acpi *acpi)
{
	for (uint32_t i = 0; i < acpi->processor_count; i++)
		ASSERT(acpi->processors[i].apic_id != UINT32_MAX && acpi->processors[i].flags < 4);
	for (uint32_t i = 0; i < acpi->ioapic_count; i++)
		ASSERT(acpi->ioapics[i].address != 0);
	for (uint32_t i = 0; i < acpi->ecam_count; i++) {
		const struct hoist_ecam *e = &acpi->ecam[i];

		ASSERT(e->first_bus <= e->last_bus && e->last_bus < 256 && e->segment < 65536);
		ASSERT(e->address != 0 && e->address % (1 << 20) == 0 && e->address < LIMIT);
		ASSERT(e->size == (uint64_t)(e->last_bus - e->first_bus + 1) << 20);
		ASSERT(e->size <= LIMIT - e->address);
	}
}

static void free_copies(void)
{
	while (copy_count > 0)
		free(copies[--copy_count]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct acpi_memory source = { read_memory, memory, LIMIT };
	struct acpi counted = { 0 }, acpi = { 0 };

	memory_size = size < MOST ? size : MOST;
	memcpy(memory, data, memory_size);
	fix_all();
	acpi_read(&source, BASE + RSDP, &counted);
	check_results(&counted);
	acpi.processor_room = counted.processor_count;
	acpi.ioapic_room = counted.ioapic_count;
	acpi.ecam_room = counted.ecam_count;
	acpi.processors = calloc(acpi.processor_room, sizeof(*acpi.processors));
	acpi.ioapics = calloc(acpi.ioapic_room, sizeof(*acpi.ioapics));
	acpi.ecam = calloc(acpi.ecam_room, sizeof(*acpi.ecam));
	acpi_read(&source, BASE + RSDP, &acpi);
	ASSERT(acpi.processor_count == counted.processor_count);
	ASSERT(acpi.ioapic_count == counted.ioapic_count && acpi.ecam_count == counted.ecam_count);
	ASSERT(acpi.lapic == counted.lapic && acpi.hpet == counted.hpet);
	check_results(&acpi);
	check_lists(&acpi);
	free(acpi.processors);
	free(acpi.ioapics);
	free(acpi.ecam);
	free_copies();
	return 0;
}
