/* What ACPI tells of: interrupt controllers, timer, PCI Express, and the tables themselves. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/mem.h"
#include "tests/kernels/lib/words.h"

#define BIT(kind) (1u << (kind))

/* ---- Where registers are -------------------------------------------------------- */

static uint32_t read_register(uint64_t address)
{
	return *(volatile uint32_t *)hoist_ptr(&judge.info, address);
}

static void write_register(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)hoist_ptr(&judge.info, address) = value;
}

/* Device memory, uncached in every alias that there is. */
static bool is_uncached(const char *name, uint64_t address, uint64_t size)
{
	const struct hoist_mapping *direct = judge_direct_at(address);
	const struct hoist_mapping *identity = judge_identity_at(address);

	if (judge_bytes_of_kind(address, size, BIT(HOIST_MEMORY_MMIO)) == size &&
	    judge_can_read(address, size) && direct->cache == HOIST_CACHE_UC &&
	    direct->rights == HOIST_RIGHT_WRITE && !identity == !judge_has_identity_map() &&
	    (!identity || identity->cache == HOIST_CACHE_UC))
		return true;
	judge_flaw("%s at %lx", name, address);
	return false;
}

/* ---- Interrupt controllers ------------------------------------------------------- */

static void check_lapic(void)
{
	uint64_t base = judge.info.lapic;

	if (!base) {
		if (judge.info.acpi_rsdp)
			judge_flaw("none");
	} else if (is_uncached("local APIC", base, 0x1000)) {
		/* IA32_APIC_BASE (SDM 3A 11.4.4); the id and version registers (11.4.6, 11.4.8). */
		if ((cpu_rdmsr(CPU_MSR_APIC) & 0xffffffffff000) != base)
			judge_flaw("%lx, the processor says %lx", base, cpu_rdmsr(CPU_MSR_APIC));
		if (read_register(base + 0x20) >> 24 != cpu_id(1).ebx >> 24 ||
		    !(read_register(base + 0x30) & 0xff))
			judge_flaw("id %x, version %x", read_register(base + 0x20),
				   read_register(base + 0x30));
	}
	judge_verdict("the local APIC is where the processor has it, uncached, and answers");
}

static void check_ioapics(void)
{
	if (judge.info.lapic && !judge.ioapic_count)
		judge_flaw("none");
	for (uint32_t i = 0; i < judge.ioapic_count; i++) {
		const struct hoist_ioapic *io = &judge.ioapics[i];

		if (!is_uncached("I/O APIC", io->address, 0x44))
			continue;
		/* Register 1, the version, by index and window (82093AA, 3.0). */
		write_register(io->address, 1);

		uint32_t version = read_register(io->address + 0x10);

		if (!(version & 0xff) || (version & 0xff) == 0xff)
			judge_flaw("I/O APIC %u: version %x", io->id, version);
	}
	judge_verdict("I/O APICs are mapped uncached, and answer");
}

static void check_hpet(void)
{
	uint64_t expected, base = judge.info.hpet;

	if (words_number(judge.cmdline, "expect-hpet=", &expected) && expected != !!base)
		judge_flaw("it is at %lx", base);
	/* Its period in femtoseconds is at most 100 ns (IA-PC HPET 1.0a, 2.3.4). */
	if (base && is_uncached("HPET", base, 0x400) &&
	    (!read_register(base + 4) || read_register(base + 4) > 100000000))
		judge_flaw("period %u", read_register(base + 4));
	judge_verdict("the HPET, if there is one, is mapped uncached, and has a period");
}

/* ---- PCI Express ------------------------------------------------------------------ */

/* Configuration space by ports, PCI Local Bus 3.0, 3.2.2.3.2: bus 0, function 0. */
static uint32_t read_by_ports(uint32_t device, uint32_t offset)
{
	cpu_out32(0xcf8, 0x80000000 | device << 11 | offset);
	return cpu_in32(0xcfc);
}

/* Registers that do not change: identity and class. */
static void compare_bus_0(const struct hoist_ecam *window)
{
	for (uint32_t device = 0; device < 32; device++) {
		uint64_t at = window->address + ((uint64_t)device << 15);

		if (read_register(at) != read_by_ports(device, 0) ||
		    read_register(at + 8) != read_by_ports(device, 8))
			judge_flaw("device %u is %x by memory, %x by ports", device,
				   read_register(at), read_by_ports(device, 0));
	}
}

static void check_ecam(void)
{
	uint64_t expected;

	if (words_number(judge.cmdline, "expect-ecam=", &expected) && expected != judge.ecam_count)
		judge_flaw("there are %u", judge.ecam_count);
	for (uint32_t i = 0; i < judge.ecam_count; i++) {
		const struct hoist_ecam *e = &judge.ecam[i];

		if (e->last_bus < e->first_bus || e->last_bus > 255 ||
		    e->size != (uint64_t)(e->last_bus - e->first_bus + 1) << 20)
			judge_flaw("window %u: buses %u to %u, %lx bytes", i, e->first_bus,
				   e->last_bus, e->size);
		else if (is_uncached("window", e->address, e->size) && e->segment == 0 &&
			 e->first_bus == 0)
			compare_bus_0(e);
	}
	judge_verdict("PCI Express windows are mapped uncached, and show what the ports do");
}

/* ---- The tables stay ---------------------------------------------------------------- */

static uint32_t number_at(uint64_t address)
{
	uint32_t value;

	memcpy(&value, hoist_ptr(&judge.info, address), sizeof(value));
	return value;
}

static uint64_t long_at(uint64_t address)
{
	return number_at(address) | (uint64_t)number_at(address + 4) << 32;
}

static void check_acpi_table(uint64_t address)
{
	if (!judge_can_read(address, 36) || !judge_can_read(address, number_at(address + 4)))
		judge_flaw("table at %lx", address);
}

static void check_acpi_tables(void)
{
	uint64_t rsdp = judge.info.acpi_rsdp, wide = 0, root;

	if (rsdp && *(const uint8_t *)hoist_ptr(&judge.info, rsdp + 15) >= 2)
		wide = long_at(rsdp + 24);
	root = rsdp && !wide ? number_at(rsdp + 16) : wide;
	if (root && judge_can_read(root, 36) && judge_can_read(root, number_at(root + 4))) {
		uint32_t step = wide ? 8 : 4;

		for (uint64_t at = root + 36; at < root + number_at(root + 4); at += step)
			check_acpi_table(wide ? long_at(at) : number_at(at));
	} else if (rsdp) {
		judge_flaw("root table at %lx", root);
	}
	judge_verdict("all ACPI tables that the root table lists can be read");

	/* The structure table: SMBIOS 3.6, 5.2.1 and 5.2.2. */
	if (judge.info.smbios && !judge_can_read(number_at(judge.info.smbios + 0x18),
						 number_at(judge.info.smbios + 0x16) & 0xffff))
		judge_flaw("%x", number_at(judge.info.smbios + 0x18));
	if (judge.info.smbios3 && !judge_can_read(long_at(judge.info.smbios3 + 0x10),
						  number_at(judge.info.smbios3 + 0xc)))
		judge_flaw("%lx", long_at(judge.info.smbios3 + 0x10));
	judge_verdict("the SMBIOS structures can be read");
}

void judge_hardware(void)
{
	check_lapic();
	check_ioapics();
	check_hpet();
	check_ecam();
	check_acpi_tables();
}
