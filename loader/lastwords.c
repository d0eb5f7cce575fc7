#include "loader/lastwords.h"

#include "loader/guard.h"
#include "loader/port.h"
#include "loader/walk.h"

#define CR4_LA57 (UINT64_C(1) << 12)

#define RIGHT_WRITE UINT64_C(2)
#define RIGHT_NONE  (UINT64_C(1) << 63) /* execute-disable */

/* Reset control of chipsets (a hard reset, then with power), and the keyboard controller. */
#define RESET_CONTROL  0xcf9
#define RESET_HARD     0x02
#define RESET_NOW      0x06
#define KEYBOARD       0x64
#define KEYBOARD_PULSE 0xfe
/* Port accesses, of about 1 us each, that a reset is given to happen in. */
#define RESET_PATIENCE 100000

#define STATUS_PORT 0x61 /* harmless to read, on every machine */

__attribute__((section(".switch.data"), aligned(16))) struct lastwords lastwords;

/* ---- text ------------------------------------------------------------------- */

static void put(char c)
{
	voice_put(&lastwords.voice, lastwords.base, c);
}

void lastwords_say(const char *text)
{
	for (; *text; text++)
		put(*text);
}

static void say_hex(const char *name, uint64_t value)
{
	unsigned shift = 60;

	lastwords_say(name);
	lastwords_say("0x");
	while (shift > 0 && value >> shift == 0)
		shift -= 4;
	for (;; shift -= 4) {
		put("0123456789abcdef"[value >> shift & 15]);
		if (shift == 0)
			return;
	}
}

/* Less than 1000. */
static void say_number(const char *name, uint32_t value)
{
	lastwords_say(name);
	if (value >= 100)
		put((char)('0' + value / 100));
	if (value >= 10)
		put((char)('0' + value / 10 % 10));
	put((char)('0' + value % 10));
}

/* The n-th of the texts with commas between them. */
static void say_nth(const char *texts, uint64_t n)
{
	while (n > 0)
		n -= *texts++ == ',';
	for (; *texts && *texts != ','; texts++)
		put(*texts);
}

/* SDM 3A table 6-1; a table of pointers would need relocations. */
static const char names[] = "divide error,"
			    "debug,"
			    "NMI,"
			    "breakpoint,"
			    "overflow,"
			    "bound range,"
			    "invalid opcode,"
			    "no x87,"
			    "double fault,"
			    "reserved,"
			    "invalid TSS,"
			    "segment not present,"
			    "stack segment,"
			    "general protection,"
			    "page fault,"
			    "reserved,"
			    "x87 error,"
			    "alignment check,"
			    "machine check,"
			    "SIMD error,"
			    "virtualization,"
			    "control protection,"
			    "reserved";

/* Of enum walk_kind; a leaf has its rights instead. */
static const char kinds[] = "table,,not present,reserved bits are set,cannot be read";

#define NAMES_LAST 22

/* ---- the walk ------------------------------------------------------------------ */

static bool read_physical(uint64_t physical, uint64_t *ret_value)
{
	return guard_read(lastwords.base + physical, ret_value);
}

static void say_step(const struct walk_step *step)
{
	say_number("hoist: cr2, level ", step->level);
	say_number(": entry ", step->index);
	say_hex(" at ", step->at);
	if (step->kind != WALK_UNREADABLE)
		say_hex(" is ", step->entry);
	lastwords_say(": ");
	if (step->kind == WALK_LEAF) {
		lastwords_say("page r");
		put(step->entry & RIGHT_WRITE ? 'w' : '-');
		put(step->entry & RIGHT_NONE ? '-' : 'x');
	} else {
		say_nth(kinds, (uint64_t)step->kind);
	}
	put('\n');
}

static void say_walk(const struct lastwords_frame *frame)
{
	struct walk_space space = {
		.root = frame->cr3,
		.levels = frame->cr4 & CR4_LA57 ? 5 : 4,
		.max_leaf = lastwords.max_leaf,
		.phys_bits = lastwords.phys_bits,
		.nx = lastwords.nx,
		.read = read_physical,
	};
	struct walk_step steps[WALK_STEPS];
	uint32_t count = walk_address(&space, frame->cr2, steps);

	if (count == 0)
		lastwords_say("hoist: cr2: not canonical\n");
	for (uint32_t i = 0; i < count; i++)
		say_step(&steps[i]);
}

/* ---- the end ---------------------------------------------------------------------- */

static void pause(void)
{
	for (unsigned i = 0; i < RESET_PATIENCE; i++)
		port_in8(STATUS_PORT);
}

/* The runtime service could do it, but not without the firmware's address space. */
_Noreturn static void reset(void)
{
	port_out8(RESET_CONTROL, RESET_HARD);
	port_out8(RESET_CONTROL, RESET_NOW);
	pause();
	port_out8(KEYBOARD, KEYBOARD_PULSE);
	pause();
	guard_shut_down();
}

_Noreturn static void end(void)
{
	if (lastwords.reset)
		reset();
	guard_halt();
}

/* ---- faults ------------------------------------------------------------------------- */

static void say_fault(const struct lastwords_frame *frame)
{
	uint64_t name = frame->vector < NAMES_LAST ? frame->vector : NAMES_LAST;

	say_number("hoist: fault ", (uint32_t)frame->vector);
	lastwords_say(" (");
	say_nth(names, name);
	say_hex(") error ", frame->error);
	say_hex(" at rip ", frame->rip);
	say_hex(" cr2 ", frame->cr2);
	put('\n');
}

static void report(const struct lastwords_frame *frame)
{
	say_fault(frame);
	say_hex("hoist: rsp ", frame->rsp);
	say_hex(" cr3 ", frame->cr3);
	say_hex(" cr4 ", frame->cr4);
	put('\n');
	say_walk(frame);
	lastwords_say(lastwords.reset ? "hoist: the machine is reset\n" : "hoist: halted\n");
}

void lastwords_fault(struct lastwords_frame *frame)
{
	if (frame->rip == (uintptr_t)guard_read_load) {
		frame->rip = (uintptr_t)guard_read_failed;
		return;
	}
	guard_move_stack();
	lastwords.depth++;
	if (lastwords.depth == 1) {
		report(frame);
	} else if (lastwords.depth == 2) {
		/* Perhaps it was the screen. */
		lastwords.voice.screen.rows = 0;
		lastwords_say("\nhoist: while this was said: ");
		say_fault(frame);
	}
	end();
}

void lastwords_prepare(const struct lastwords_setup *setup)
{
	lastwords = (struct lastwords){
		.max_leaf = setup->max_leaf,
		.phys_bits = setup->phys_bits,
		.nx = setup->nx,
		.reset = setup->reset,
	};
	voice_init(&lastwords.voice, &setup->framebuffer, setup->serial_port, setup->serial_speed);
}
