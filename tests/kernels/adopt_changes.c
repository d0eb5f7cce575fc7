#include "tests/kernels/adopt.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/trap.h"

#define PAGE       PT_PAGE_SIZE
#define LARGE_LEAF (512 * PAGE)

/* Nothing of hoist's lies here, with four levels or with five. */
#define PLACE UINT64_C(0xffffc00000000000)

#define RET 0xc3

/* ---- touching ----------------------------------------------------------------- */

static void read_byte(uintptr_t va)
{
	__asm__ volatile("movb (%0), %%al" : : "r"(va) : "rax", "memory");
}

static uint8_t to_write;

static void write_byte(uintptr_t va)
{
	*(volatile uint8_t *)va = to_write;
}

static void call(uintptr_t va)
{
	((void (*)(void))va)();
}

static uint64_t error_of(void (*action)(uintptr_t), uint64_t va)
{
	struct trap trap = { 0 };

	if (!trap_catch(action, va, &trap))
		return ADOPT_NO_FAULT;
	if (trap.vector != CPU_PAGE_FAULT || trap.address != va)
		judge_flaw("%lx: vector %lu, CR2 %lx", va, trap.vector, trap.address);
	return trap.error;
}

uint64_t adopt_read(uint64_t va)
{
	return error_of(read_byte, va);
}

uint64_t adopt_write(uint64_t va, uint8_t value)
{
	to_write = value;
	return error_of(write_byte, va);
}

uint64_t adopt_call(uint64_t va)
{
	return error_of(call, va);
}

static void expect(const char *what, uint64_t got, uint64_t wanted)
{
	if (got != wanted)
		judge_flaw("%s: %lx, expected %lx", what, got, wanted);
}

/* ---- changes, each with its flush ----------------------------------------------- */

static void check(const char *call_name, enum pt_status status)
{
	if (status != PT_OK)
		judge_flaw("%s: %s", call_name, pt_strerror(status));
}

static void map(struct pt_space *space, uint64_t va, uint64_t pages, uint32_t flags)
{
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_mapping m = {
		.va = virt(va),
		.pa = phys(adopt_data()),
		.pages = pages,
		.attr = { .flags = flags, .cache = PT_WB },
	};

	check("pt_map", pt_map(space, &m, NULL, &flush));
	adopt_flush(space, &flush);
}

static void protect(struct pt_space *space, uint64_t va, uint64_t pages, uint32_t flags)
{
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_range range = { virt(va), pages };
	struct pt_attr attr = { .flags = flags, .cache = PT_WB };

	check("pt_protect", pt_protect(space, range, attr, &flush));
	adopt_flush(space, &flush);
}

static void unmap(struct pt_space *space, uint64_t va, uint64_t pages)
{
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_range range = { virt(va), pages };

	check("pt_unmap", pt_unmap(space, range, &flush));
	adopt_flush(space, &flush);
}

static void collapse(struct pt_space *space, uint64_t va, uint64_t pages)
{
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_range range = { virt(va), pages };

	check("pt_collapse", pt_collapse(space, range, &flush));
	adopt_flush(space, &flush);
}

/* Level of the leaf at `va`; 0 if there is none. */
static unsigned level_at(const struct pt_space *space, uint64_t va)
{
	struct pt_leaf leaf;

	return pt_query(space, virt(va), &leaf) == PT_OK ? leaf.level : 0;
}

/* ---- what the processor makes of them ---------------------------------------------- */

static void check_page(struct pt_space *space)
{
	volatile uint8_t *frame = hoist_ptr(&judge.info, adopt_data());

	expect("before", adopt_read(PLACE), 0);
	map(space, PLACE, 1, PT_WRITE);
	*frame = 1;
	expect("a write", adopt_write(PLACE, 0x5a), ADOPT_NO_FAULT);
	expect("the frame", *frame, 0x5a);
	expect("the page behind", adopt_read(PLACE + PAGE), 0);
	judge_verdict("a page that is mapped can be written, and its frame gets what is written");

	protect(space, PLACE, 1, 0);
	expect("a write", adopt_write(PLACE, 0), CPU_FAULT_PRESENT | CPU_FAULT_WRITE);
	expect("a read", adopt_read(PLACE), ADOPT_NO_FAULT);
	expect("the frame", *frame, 0x5a);
	judge_verdict("a page that is made read-only refuses the next write");
}

static void check_code(struct pt_space *space)
{
	volatile uint8_t *frame = hoist_ptr(&judge.info, adopt_data());

	*frame = RET;
	expect("a call of data", adopt_call(PLACE),
	       space->cpu.nx ? CPU_FAULT_PRESENT | CPU_FAULT_FETCH : ADOPT_NO_FAULT);
	protect(space, PLACE, 1, PT_EXEC);
	expect("a call of code", adopt_call(PLACE), ADOPT_NO_FAULT);
	judge_verdict("a page that is made executable can be called, and not before");

	unmap(space, PLACE, 1);
	expect("a read", adopt_read(PLACE), 0);
	expect("a call", adopt_call(PLACE), space->cpu.nx ? CPU_FAULT_FETCH : 0);
	judge_verdict("a page that is unmapped faults at the next access");
}

/* The table stays, for the other page. */
static void check_one_of_two(struct pt_space *space)
{
	map(space, PLACE, 2, PT_WRITE);
	expect("a write", adopt_write(PLACE, 1), ADOPT_NO_FAULT);
	expect("a write to the other", adopt_write(PLACE + PAGE, 2), ADOPT_NO_FAULT);
	unmap(space, PLACE, 1);
	expect("a read then", adopt_read(PLACE), 0);
	expect("a write to the other then", adopt_write(PLACE + PAGE, 3), ADOPT_NO_FAULT);
	unmap(space, PLACE + PAGE, 1);
	expect("a read of the other", adopt_read(PLACE + PAGE), 0);
	judge_verdict("of two neighbours one can be unmapped, and then the other");
}

static void check_large(struct pt_space *space)
{
	const uint64_t middle = PLACE + 100 * PAGE, second = PLACE + LARGE_LEAF;

	map(space, PLACE, ADOPT_DATA_PAGES, PT_WRITE);
	expect("the level of the leaf", level_at(space, middle), 2);
	expect("a write", adopt_write(middle, 1), ADOPT_NO_FAULT);
	protect(space, middle, 1, 0);
	expect("the level of the leaf then", level_at(space, middle), 1);
	expect("a write then", adopt_write(middle, 2), CPU_FAULT_PRESENT | CPU_FAULT_WRITE);
	expect("one below", adopt_write(middle - 1, 3), ADOPT_NO_FAULT);
	expect("one above", adopt_write(middle + PAGE, 4), ADOPT_NO_FAULT);
	judge_verdict("a page in the middle of a large leaf can be made read-only");

	protect(space, middle, 1, PT_WRITE);
	collapse(space, PLACE, 512);
	expect("the level of the leaf", level_at(space, middle), 2);
	expect("a write", adopt_write(middle, 5), ADOPT_NO_FAULT);
	expect("a byte of the second leaf", adopt_write(second, 6), ADOPT_NO_FAULT);
	protect(space, second, 512, 0);
	expect("its level", level_at(space, second), 2);
	expect("a byte of it then", adopt_write(second, 7), CPU_FAULT_PRESENT | CPU_FAULT_WRITE);
	expect("one below", adopt_write(second - 1, 8), ADOPT_NO_FAULT);
	judge_verdict("what was split is put together again, under use");

	unmap(space, PLACE, ADOPT_DATA_PAGES);
	expect("the first byte", adopt_read(PLACE), 0);
	expect("the last byte", adopt_read(PLACE + ADOPT_DATA_PAGES * PAGE - 1), 0);
	judge_verdict("large leaves that are unmapped fault at the next access");
}

/* Off by one page, so that there are only small leaves: 512 of them. */
static void check_global(struct pt_space *space)
{
	const uint64_t first = PLACE + PAGE;

	map(space, first, 512, PT_WRITE | PT_GLOBAL);
	for (uint64_t i = 0; i < 512; i++)
		expect("a write", adopt_write(first + i * PAGE, (uint8_t)i), ADOPT_NO_FAULT);
	unmap(space, first, 512);
	for (uint64_t i = 0; i < 512; i++)
		expect("a read", adopt_read(first + i * PAGE), 0);
	judge_verdict("pages that were global fault when they are unmapped");
}

void adopt_changes(struct pt_space *space)
{
	unsigned before = adopt_free_tables();

	check_page(space);
	check_code(space);
	check_one_of_two(space);
	check_large(space);
	check_global(space);
	expect("tables", adopt_free_tables(), before);
	judge_verdict("all tables that were taken for these have come back");
	if (!adopt_flushes.pages || !adopt_flushes.all || !adopt_flushes.all_global)
		judge_flaw("%u by page, %u whole, %u with global ones", adopt_flushes.pages,
			   adopt_flushes.all, adopt_flushes.all_global);
	judge_verdict("flushes went by INVLPG, by CR3 and by CR4.PGE");
}
