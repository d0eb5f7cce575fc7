/*
 * The ACPI tables that say where hardware lies which no memory map tells of:
 * interrupt controllers, processors, timer, PCI Express configuration space.
 *
 *	RSDP --> XSDT (RSDT before ACPI 2.0) --> MADT  local APIC, I/O APICs, processors
 *	                                     --> HPET  registers of the timer
 *	                                     --> MCFG  configuration space, by segment
 *
 * Tables are the firmware's word and believed in nothing: bytes are read only
 * where the caller says that they can be, lengths and checksums are checked
 * before contents. A table that is wrong counts as not there, with a reason;
 * the others still count. Of several tables with the same signature the first
 * counts. Time is linear in the size of the tables, which is limited.
 */
#ifndef LOADER_ACPI_H
#define LOADER_ACPI_H

#include "loader/hoist.h"
#include "loader/status.h"

/* Longer is no table of these: a MADT of 65,536 processors has this size. */
#define ACPI_TABLE_MAX UINT32_C(0x100000)

/* Bytes of registers behind an address: IA-PC HPET 1.0a, 2.3.1; SDM 3A 11.4.1; 82093AA, 3.0. */
#define ACPI_LAPIC_SIZE  UINT64_C(0x1000)
#define ACPI_IOAPIC_SIZE UINT64_C(0x44)
#define ACPI_HPET_SIZE   UINT64_C(0x400)

struct acpi_memory {
	/* All of [address, address + size) to be read, at any alignment; NULL if it cannot be. */
	const uint8_t *(*read)(const void *context, uint64_t address, uint64_t size);
	const void *context;
	/* Hardware must end at or below it, to be mapped; hardware above is left aside. */
	uint64_t limit;
};

#define ACPI_FAULTS 8

struct acpi {
	/* The caller's, each with room for as many; NULL and 0 to count only. */
	struct hoist_processor *processors;
	struct hoist_ioapic *ioapics;
	struct hoist_ecam *ecam;
	uint32_t processor_room, ioapic_room, ecam_room;

	/* What acpi_read() finds: counts of all there are, even where the room was less. */
	uint32_t processor_count, ioapic_count, ecam_count;
	uint64_t lapic, hpet; /* 0: none */

	/* What was left aside; of more than there is room for, the first. Status ACPI. */
	struct loader_error faults[ACPI_FAULTS];
	uint32_t fault_count;
};

/*
 * Reads what the RSDP at `rsdp` leads to, into *acpi, of which only arrays and
 * rooms have to be set. Fills lists in the order of the tables, processors
 * whose APIC id addresses all processors left out. A root pointer or root table
 * that is wrong is a fault like others: nothing is found then.
 */
void acpi_read(const struct acpi_memory *memory, uint64_t rsdp, struct acpi *acpi);

#endif
