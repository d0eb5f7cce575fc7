/*
 * A kernel that faults at once, before it has an IDT: hoist's is in force. The
 * command line says how.
 *
 *	invalid        ud2
 *	null           reads address 0
 *	text           writes to its own code
 *	data           jumps to its data
 *	divide         divides by zero
 *	stack          pushes until it meets the page below the stack
 *	noncanonical   jumps to an address that is none
 *	software       int 0x80, a vector that the IDT does not have
 *	double         breaks hoist's gate of page faults, then reads address 0
 *	tables         breaks a link to a table, then reads through it
 *	own-tables     loads a CR3 under which last words find nothing
 *	wait           says "ready" on port 0xE9 and halts: an NMI may come
 */
#include "loader/hoist.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/words.h"

#include <stddef.h>

_Noreturn void kernel_main(const struct hoist_info *info);

/* At an address that tests know: 0x10 into a terabyte that nothing maps. */
#define NOWHERE UINT64_C(0x10000000010)

/* The debug console of QEMU. */
#define CONSOLE 0xe9

#define PRESENT UINT64_C(1)

static char data[16] = { (char)0xc3 };

static void invalid(const struct hoist_info *info)
{
	(void)info;
	__asm__ volatile("ud2");
}

static void null(const struct hoist_info *info)
{
	(void)info;
	__asm__ volatile("mov (%0), %%al" : : "r"(UINT64_C(0)) : "rax", "memory");
}

static void text(const struct hoist_info *info)
{
	(void)info;
	*(volatile char *)(uintptr_t)&kernel_main = 0;
}

static void jump_to_data(const struct hoist_info *info)
{
	(void)info;
	__asm__ volatile("jmp *%0" : : "r"(data));
}

static void divide(const struct hoist_info *info)
{
	(void)info;
	__asm__ volatile("div %0" : : "r"(0), "a"(1), "d"(0));
}

static void stack(const struct hoist_info *info)
{
	(void)info;
	__asm__ volatile("1: push %rax; jmp 1b");
}

static void noncanonical(const struct hoist_info *info)
{
	(void)info;
	__asm__ volatile("jmp *%0" : : "r"(UINT64_C(0x8000000000000000)));
}

static void software(const struct hoist_info *info)
{
	(void)info;
	__asm__ volatile("int $0x80");
}

static void double_fault(const struct hoist_info *info)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idt;

	__asm__ volatile("sidt %0" : "=m"(idt));
	/* Byte 5 of a gate has the bit that says present. */
	((volatile uint8_t *)(uintptr_t)idt.base)[16 * CPU_PAGE_FAULT + 5] = 0;
	null(info);
}

/* The first entry of the root that leads to NOWHERE: its table is beyond all memory. */
static void tables(const struct hoist_info *info)
{
	volatile uint64_t *root = hoist_ptr(info, info->page_table_root);
	uint64_t address = NOWHERE, beyond = UINT64_C(0xfff0000000);

	root[address >> 39] = beyond | PRESENT;
	__asm__ volatile("mov (%0), %%al" : : "r"(address) : "rax", "memory");
}

/* The lower half, with the handoff in it, stays; the direct map goes. */
static void own_tables(const struct hoist_info *info)
{
	static uint64_t root[512] __attribute__((aligned(4096)));
	const uint64_t *old = hoist_ptr(info, info->page_table_root);
	uint64_t address = (uintptr_t)root - info->kernel_virt + info->kernel;

	root[0] = old[0];
	root[511] = old[511];
	__asm__ volatile("mov %0, %%cr3" : : "r"(address) : "memory");
	null(info);
}

static void wait(const struct hoist_info *info)
{
	static const char ready[] = "ready\n";

	(void)info;
	for (size_t i = 0; i + 1 < sizeof(ready); i++)
		cpu_out8(CONSOLE, (uint8_t)ready[i]);
	__asm__ volatile("1: hlt; jmp 1b");
}

static const struct {
	char word[16];
	void (*fault)(const struct hoist_info *info);
} faults[] = {
	{ "invalid", invalid },
	{ "null", null },
	{ "text", text },
	{ "data", jump_to_data },
	{ "divide", divide },
	{ "stack", stack },
	{ "double", double_fault },
	{ "noncanonical", noncanonical },
	{ "software", software },
	{ "tables", tables },
	{ "own-tables", own_tables },
	{ "wait", wait },
};

void kernel_main(const struct hoist_info *info)
{
	const char *line = hoist_ptr(info, info->cmdline.address);

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		if (words_have(line, faults[i].word))
			faults[i].fault(info);
	}
	cpu_halt();
}
