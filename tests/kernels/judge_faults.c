/* Does what must fault, at every address where the same memory can be reached. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/trap.h"

#define PAGE   ((uint64_t)HOIST_PAGE_SIZE)
#define RETURN 0xc3 /* the opcode */

/* An instruction that returns, where code has no business. */
static uint8_t return_in_data = RETURN;
static const uint8_t return_in_rodata = RETURN;

/* The same in .text, in judge_start.S. */
extern const char judge_return[];

static void read_byte(uintptr_t at)
{
	(void)*(const volatile uint8_t *)at;
}

/* Writes what is there, so that nothing is destroyed where it is possible after all. */
static void rewrite_byte(uintptr_t at)
{
	volatile uint8_t *byte = (volatile uint8_t *)at;
	uint8_t value = *byte;

	*byte = value;
}

static void write_zero(uintptr_t at)
{
	*(volatile uint8_t *)at = 0;
}

static void execute(uintptr_t at)
{
	((void (*)(void))at)();
}

/* action(at) ends in a page fault at that address, with this error code. */
static bool faults(void (*action)(uintptr_t), uint64_t at, uint64_t error)
{
	struct trap trap;

	if (!trap_catch(action, at, &trap)) {
		judge_flaw("%lx: nothing happened", at);
		return false;
	}
	if (trap.vector != CPU_PAGE_FAULT || trap.error != error || trap.address != at)
		judge_flaw("%lx: vector %lu, error code %lx, CR2 %lx", at, trap.vector, trap.error,
			   trap.address);
	return true;
}

/* The same at an address of the kernel and at all its aliases. */
static void faults_everywhere(void (*action)(uintptr_t), const volatile void *object,
			      uint64_t error)
{
	uint64_t address = judge_physical(object);

	faults(action, (uintptr_t)object, error);
	faults(action, (uintptr_t)hoist_ptr(&judge.info, address), error);
	if (judge_identity_at(address))
		faults(action, address, error);
}

/* ---- Writing what is read-only -------------------------------------------------- */

static void check_segment(const struct judge_segment *segment)
{
	const uint64_t error = CPU_FAULT_PRESENT | CPU_FAULT_WRITE;

	if (segment->rights & HOIST_RIGHT_WRITE || segment->first == segment->end)
		return;
	for (const char *page = segment->first; page < segment->end; page += PAGE)
		faults_everywhere(rewrite_byte, page, error);
	faults_everywhere(rewrite_byte, segment->end - 1, error);
}

static void check_writes(void)
{
	for (unsigned i = 0; i < JUDGE_SEGMENTS; i++)
		check_segment(&judge_segments[i]);
	judge_verdict("writing .text or .rodata faults, through every alias");

	for (uint32_t i = 0; i < judge.module_count; i++) {
		const struct hoist_module *m = &judge.modules[i];

		if (m->size)
			faults(rewrite_byte, judge.info.direct_map_virt + m->address,
			       CPU_FAULT_PRESENT | CPU_FAULT_WRITE);
	}
	judge_verdict("writing a module faults");
}

/* ---- Executing what is not code ------------------------------------------------- */

/* What the list says about execution at `at` is what happens. */
static void try_to_execute(uint64_t at)
{
	const struct hoist_mapping *m = judge_mapping_at(at);
	struct trap trap;

	if (!m)
		judge_flaw("%lx is not mapped", at);
	else if (!(m->effective & HOIST_RIGHT_EXECUTE))
		faults(execute, at, CPU_FAULT_PRESENT | CPU_FAULT_FETCH);
	else if (cpu_has_nx())
		judge_flaw("%lx may be executed", at);
	else if (trap_catch(execute, at, &trap))
		judge_flaw("%lx: vector %lu in spite of effective rights", at, trap.vector);
}

static void try_to_execute_aliases(const volatile void *object)
{
	uint64_t address = judge_physical(object);

	try_to_execute((uintptr_t)hoist_ptr(&judge.info, address));
	if (judge_identity_at(address))
		try_to_execute(address);
}

static void check_execution(void)
{
	volatile uint8_t return_on_stack = RETURN;
	bool nx = cpu_has_nx();

	try_to_execute((uintptr_t)&return_in_data);
	judge_verdict(nx ? "executing .data faults" : "without NX .data can be executed");
	try_to_execute((uintptr_t)&return_in_rodata);
	judge_verdict(nx ? "executing .rodata faults" : "without NX .rodata can be executed");
	try_to_execute((uintptr_t)&return_on_stack);
	judge_verdict(nx ? "executing the stack faults" : "without NX the stack can be executed");
	try_to_execute_aliases(&return_in_data);
	try_to_execute_aliases(judge_return);
	judge_verdict(nx ? "executing the direct map and the identity map faults"
			 : "without NX the direct map and the identity map can be executed");
}

/* ---- Touching what is not mapped ------------------------------------------------ */

static void check_absent(uint64_t first, uint64_t last)
{
	/* Only a page that cannot be read is one that may be written in a test. */
	if (faults(read_byte, first, 0) && faults(read_byte, last, 0)) {
		faults(write_zero, first, CPU_FAULT_WRITE);
		faults(write_zero, last, CPU_FAULT_WRITE);
	}
}

static void check_unmapped(void)
{
	uint64_t stack = judge.info.stack_virt, end = stack + judge.info.stack_size;

	check_absent(0, PAGE - 1);
	judge_verdict("touching NULL faults");
	check_absent(stack - PAGE, stack - 1);
	judge_verdict("touching the page below the stack faults");
	check_absent(end, end + PAGE - 1);
	judge_verdict("touching the page above the stack faults");
}

void judge_faults(void)
{
	check_writes();
	check_execution();
	check_unmapped();
}
