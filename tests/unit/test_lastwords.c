#include "loader/font.h"
#include "loader/guard.h"
#include "loader/lastwords.h"
#include "loader/walk.h"
#include "tests/check.h"
#include "tests/fake/ports.h"

#define P   UINT64_C(1)
#define RW  UINT64_C(2)
#define PS  UINT64_C(0x80)
#define XD  (UINT64_C(1) << 63)
#define GIB (UINT64_C(1) << 30)

/* ---- the walk ----------------------------------------------------------------- */

#define TABLES 8

/* Tables at physical 0x1000, 0x2000 and so on, in a machine of 40 bits. */
static uint64_t tables[TABLES + 1][512] __attribute__((aligned(4096)));

static bool read_tables(uint64_t physical, uint64_t *ret_value)
{
	if (physical < 4096 || physical >= (TABLES + 1) * 4096 || physical % 8)
		return false;
	*ret_value = tables[physical / 4096][physical % 4096 / 8];
	return true;
}

static struct walk_space space(void)
{
	return (struct walk_space){ .root = 0x1000,
				    .levels = 4,
				    .max_leaf = 3,
				    .phys_bits = 40,
				    .nx = true,
				    .read = read_tables };
}

static uint64_t link_to(unsigned table)
{
	return table * UINT64_C(4096) | P | RW;
}

/* Of the address that each row walks: the entries of levels 4, 3, 2 and 1 are 1, 2, 3 and 4. */
#define ADDRESS (1ull << 39 | 2ull << 30 | 3ull << 21 | 4ull << 12 | 0x567)

static const struct {
	const char *name;
	uint64_t entries[4]; /* level 4 first; what links lead to tables 2, 3 and 4 */
	uint8_t max_leaf, phys_bits;
	bool nx;
	uint32_t count;
	enum walk_kind kind; /* of the last step */
} walks[] = {
	{ "nothing", { 0 }, 3, 40, true, 1, WALK_ABSENT },
	{ "not present, all other bits set", { ~P }, 3, 40, true, 1, WALK_ABSENT },
	{ "absent page", { 0x2003, 0x3003, 0x4003, 0 }, 3, 40, true, 4, WALK_ABSENT },
	{ "page", { 0x2003, 0x3003, 0x4003, 0x5003 }, 3, 40, true, 4, WALK_LEAF },
	{ "page with its cache type in bit 7",
	  { 0x2003, 0x3003, 0x4003, 0x5083 },
	  3,
	  40,
	  true,
	  4,
	  WALK_LEAF },
	{ "2 MiB", { 0x2003, 0x3003, 0x200083 }, 3, 40, true, 3, WALK_LEAF },
	{ "2 MiB with its cache type in bit 12",
	  { 0x2003, 0x3003, 0x201083 },
	  3,
	  40,
	  true,
	  3,
	  WALK_LEAF },
	{ "2 MiB, not aligned", { 0x2003, 0x3003, 0x202083 }, 3, 40, true, 3, WALK_RESERVED },
	{ "2 MiB, bit 20", { 0x2003, 0x3003, 0x300083 }, 3, 40, true, 3, WALK_RESERVED },
	{ "1 GiB", { 0x2003, 0x40000083 }, 3, 40, true, 2, WALK_LEAF },
	{ "1 GiB, not aligned", { 0x2003, 0x40200083 }, 3, 40, true, 2, WALK_RESERVED },
	{ "1 GiB on a processor without", { 0x2003, 0x40000083 }, 2, 40, true, 2, WALK_RESERVED },
	{ "a large leaf at level 4", { 0x2083 }, 3, 40, true, 1, WALK_RESERVED },
	{ "the highest bit of an address",
	  { 0x2003, 0x3003, 0x4003, 0x8000000003 },
	  3,
	  40,
	  true,
	  4,
	  WALK_LEAF },
	{ "one bit higher",
	  { 0x2003, 0x3003, 0x4003, 0x10000000003 },
	  3,
	  40,
	  true,
	  4,
	  WALK_RESERVED },
	{ "bit 51 where there are 52",
	  { 0x2003, 0x3003, 0x4003, 0x8000000000003 },
	  3,
	  52,
	  true,
	  4,
	  WALK_LEAF },
	{ "execute-disable", { 0x2003, 0x3003, 0x4003, XD | 0x5003 }, 3, 40, true, 4, WALK_LEAF },
	{ "execute-disable on a processor without",
	  { 0x2003, 0x3003, 0x4003, XD | 0x5003 },
	  3,
	  40,
	  false,
	  4,
	  WALK_RESERVED },
	{ "a link with it", { XD | 0x2003 }, 3, 40, false, 1, WALK_RESERVED },
	{ "ignored bits",
	  { 0x2003, 0x3003, 0x4003, 0x7ff0000000005e03 },
	  3,
	  40,
	  true,
	  4,
	  WALK_LEAF },
	{ "a table outside of memory", { 0x2003, 0xff000003 }, 3, 40, true, 3, WALK_UNREADABLE },
	{ "a table at 0", { 3 }, 3, 40, true, 2, WALK_UNREADABLE },
	{ "every level links to itself", { 0x1003 }, 3, 40, true, 2, WALK_ABSENT },
};

static void test_a_walk_ends_where_the_processor_would_stop(void)
{
	for (size_t i = 0; i < ARRAY_LEN(walks); i++) {
		struct walk_space s = space();
		struct walk_step steps[WALK_STEPS] = { 0 };

		memset(tables, 0, sizeof(tables));
		for (unsigned n = 0; n < 4; n++)
			tables[n + 1][n + 1] = walks[i].entries[n];
		s.max_leaf = walks[i].max_leaf;
		s.phys_bits = walks[i].phys_bits;
		s.nx = walks[i].nx;

		uint32_t count = walk_address(&s, ADDRESS, steps);

		CHECK_EQ(count, walks[i].count, walks[i].name);
		if (count == 0 || count > 4)
			continue;
		CHECK_EQ(steps[count - 1].kind, walks[i].kind, walks[i].name);
		for (uint32_t n = 0; n < count; n++) {
			CHECK_EQ(steps[n].level, 4 - n, walks[i].name);
			CHECK_EQ(steps[n].index, n + 1, walks[i].name);
			CHECK(n == count - 1 || steps[n].kind == WALK_TABLE, walks[i].name);
			CHECK_EQ(steps[n].at % 4096, 8 * (n + 1), walks[i].name);
		}
	}
}

static void test_a_walk_of_tables_that_link_in_circles_ends(void)
{
	struct walk_step steps[WALK_STEPS];
	struct walk_space s = space();

	for (unsigned i = 0; i < 512; i++)
		tables[1][i] = link_to(1);
	CHECK_EQ(walk_address(&s, ADDRESS, steps), 4, "4 levels");
	CHECK_EQ(steps[3].kind, WALK_LEAF, "4 levels");
	s.levels = 5;
	CHECK_EQ(walk_address(&s, ADDRESS, steps), 5, "5 levels");
	CHECK_EQ(steps[0].level, 5, "5 levels");
	CHECK_EQ(steps[4].kind, WALK_LEAF, "5 levels");
}

static void test_bits_of_cr3_that_are_no_address_do_not_count(void)
{
	struct walk_step steps[WALK_STEPS];
	struct walk_space s = space();

	memset(tables, 0, sizeof(tables));
	s.root = 0x8000000000001fff;
	CHECK_EQ(walk_address(&s, 0, steps), 1, "root");
	CHECK_EQ(steps[0].at, 0x1000, "root");
	CHECK_EQ(steps[0].kind, WALK_ABSENT, "root");
}

static const struct {
	uint64_t address;
	bool canonical_4, canonical_5;
} edges[] = {
	{ 0, true, true },
	{ 0x00007fffffffffff, true, true },
	{ 0x0000800000000000, false, true },
	{ 0xffff7fffffffffff, false, true },
	{ 0xffff800000000000, true, true },
	{ 0x00ffffffffffffff, false, true },
	{ 0x0100000000000000, false, false },
	{ 0xfeffffffffffffff, false, false },
	{ 0xff00000000000000, false, true },
	{ 0x8000000000000000, false, false },
	{ 0xffffffffffffffff, true, true },
};

static void test_addresses_that_are_not_canonical_are_not_walked(void)
{
	memset(tables, 0, sizeof(tables));
	for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
		struct walk_step steps[WALK_STEPS];
		struct walk_space s = space();
		char name[32];

		snprintf(name, sizeof(name), "%#" PRIx64, edges[i].address);
		CHECK_EQ(walk_address(&s, edges[i].address, steps), edges[i].canonical_4, name);
		s.levels = 5;
		CHECK_EQ(walk_address(&s, edges[i].address, steps), edges[i].canonical_5, name);
	}
}

static void test_walks_of_random_tables_agree_with_what_was_read(void)
{
	uint64_t seed = check_seed(4);

	for (unsigned i = 0; i < 20000; i++) {
		struct walk_step steps[WALK_STEPS];
		struct walk_space s = space();

		for (unsigned n = 1; n <= TABLES; n++) {
			uint64_t entry = check_random(&seed);

			/* Mostly a link to a table that is there. */
			if (check_random(&seed) % 4)
				entry = link_to(1 + entry % TABLES);
			for (unsigned k = 0; k < 512; k++)
				tables[n][k] = entry;
		}
		s.levels = 4 + i % 2;

		uint32_t count = walk_address(&s, check_random(&seed) >> 17, steps);

		CHECK(count >= 1 && count <= s.levels, "steps");
		for (uint32_t n = 0; n < count; n++) {
			uint64_t value = 0;
			bool there = read_tables(steps[n].at, &value);

			CHECK_EQ(there, steps[n].kind != WALK_UNREADABLE, "readable");
			CHECK_EQ(steps[n].entry, value, "entry");
			CHECK_EQ(steps[n].kind == WALK_TABLE, n + 1 < count, "the last");
		}
	}
}

/* ---- what is said ------------------------------------------------------------------ */

#define WIDTH       320
#define HEIGHT      200
#define PITCH       1296 /* a little more than the line has */
#define GUARD_BYTES 64

/* Tables in the first half, the screen in the second: all that is mapped. */
static struct {
	uint64_t tables[4][512];
	uint8_t screen[HEIGHT * PITCH];
	uint8_t after[GUARD_BYTES];
} memory __attribute__((aligned(4096)));

/* Physical addresses are offsets in `memory`. */
#define PHYSICAL(member) __builtin_offsetof(__typeof__(memory), member)

static struct lastwords_setup setup(void)
{
	return (struct lastwords_setup){
		.framebuffer = { .address = PHYSICAL(screen),
				 .size = sizeof(memory.screen),
				 .width = WIDTH,
				 .height = HEIGHT,
				 .pitch = PITCH,
				 .format = HOIST_PIXELS_BGR,
				 .red_mask = 0xff0000,
				 .green_mask = 0xff00,
				 .blue_mask = 0xff,
				 .bits_per_pixel = 32 },
		.serial_port = PORTS_UART,
		.serial_speed = 115200,
		.max_leaf = 3,
		.phys_bits = 40,
		.nx = true,
	};
}

static void prepare(const struct lastwords_setup *s)
{
	ports_init();
	memset(&memory, 0, sizeof(memory));
	memset(memory.screen, 0x5a, sizeof(memory.screen));
	memset(memory.after, 0xa5, sizeof(memory.after));
	ports.memory = (const char *)&memory;
	ports.memory_size = sizeof(memory);
	guard_prepare();
	lastwords_prepare(s);
	CHECK_EQ(lastwords.base, 0, "before CR3 is loaded");
	CHECK_EQ(ports.reads + ports.write_count, 0, "nothing touched before");
	lastwords.base = (uintptr_t)&memory;
}

/* A fault as guard.S presents it; comes back where the machine would stop. */
static void fault(struct lastwords_frame *frame)
{
	if (setjmp(ports.end) == 0)
		lastwords_fault(frame);
}

static const struct lastwords_frame page_fault = {
	.cr4 = 0x620,
	.cr3 = PHYSICAL(tables),
	.cr2 = 0xffff8000deadb123,
	.vector = 14,
	.error = 0x11,
	.rip = 0xffffffff80001234,
	.cs = 0x10,
	.rflags = 2,
	.rsp = 0xffffffff00010ff8,
	.ss = 0x18,
};

static const char page_fault_text[] =
	"hoist: fault 14 (page fault) error 0x11 at rip 0xffffffff80001234 cr2 0xffff8000deadb123\n"
	"hoist: rsp 0xffffffff00010ff8 cr3 0x0 cr4 0x620\n"
	"hoist: cr2, level 4: entry 256 at 0x800 is 0x1003: table\n"
	"hoist: cr2, level 3: entry 3 at 0x1018 is 0x2003: table\n"
	"hoist: cr2, level 2: entry 245 at 0x27a8 is 0x3003: table\n"
	"hoist: cr2, level 1: entry 219 at 0x36d8 is 0x8000000012345003: page rw-\n"
	"hoist: halted\n";

static void set_up_page_fault(const struct lastwords_setup *s)
{
	prepare(s);
	memory.tables[0][256] = 0x1003;
	memory.tables[1][3] = 0x2003;
	memory.tables[2][245] = 0x3003;
	memory.tables[3][219] = 0x8000000012345003;
}

static void expect_text(const char *got, const char *want, const char *name)
{
	if (strcmp(got, want) != 0)
		CHECK_FAIL("%s: got:\n%s\nexpected:\n%s", name, got, want);
}

/* As a UART sends it. */
static void expect_lines(const char *want, const char *name)
{
	char text[PORTS_TEXT];
	size_t n = 0;

	for (; *want; want++) {
		if (*want == '\n')
			text[n++] = '\r';
		text[n++] = *want;
	}
	text[n] = 0;
	expect_text(ports.uart_text, text, name);
}

static void test_a_fault_is_reported_on_both_ports_and_halts(void)
{
	struct lastwords_frame frame = page_fault;
	struct lastwords_setup s = setup();

	set_up_page_fault(&s);
	fault(&frame);
	expect_text(ports.console_text, page_fault_text, "port 0xE9");
	expect_lines(page_fault_text, "UART");
	CHECK_EQ(ports.ended, PORTS_HALTED, "end");
	CHECK_EQ(guard_tables.tss.ist[0], (uintptr_t)guard_stack_tops - 1024,
		 "a second fault has a stack of its own");
}

static const struct {
	uint64_t vector;
	const char *text;
} vectors[] = {
	{ 0, "hoist: fault 0 (divide error) error" },
	{ 1, "hoist: fault 1 (debug) error" },
	{ 2, "hoist: fault 2 (NMI) error" },
	{ 3, "hoist: fault 3 (breakpoint) error" },
	{ 4, "hoist: fault 4 (overflow) error" },
	{ 5, "hoist: fault 5 (bound range) error" },
	{ 6, "hoist: fault 6 (invalid opcode) error" },
	{ 7, "hoist: fault 7 (no x87) error" },
	{ 8, "hoist: fault 8 (double fault) error" },
	{ 9, "hoist: fault 9 (reserved) error" },
	{ 10, "hoist: fault 10 (invalid TSS) error" },
	{ 11, "hoist: fault 11 (segment not present) error" },
	{ 12, "hoist: fault 12 (stack segment) error" },
	{ 13, "hoist: fault 13 (general protection) error" },
	{ 15, "hoist: fault 15 (reserved) error" },
	{ 16, "hoist: fault 16 (x87 error) error" },
	{ 17, "hoist: fault 17 (alignment check) error" },
	{ 18, "hoist: fault 18 (machine check) error" },
	{ 19, "hoist: fault 19 (SIMD error) error" },
	{ 20, "hoist: fault 20 (virtualization) error" },
	{ 21, "hoist: fault 21 (control protection) error" },
	{ 22, "hoist: fault 22 (reserved) error" },
	{ 23, "hoist: fault 23 (reserved) error" },
	{ 31, "hoist: fault 31 (reserved) error" },
};

static void test_every_vector_has_its_name(void)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct lastwords_frame frame = page_fault;
		struct lastwords_setup s = setup();

		set_up_page_fault(&s);
		frame.vector = vectors[i].vector;
		fault(&frame);
		if (strncmp(ports.console_text, vectors[i].text, strlen(vectors[i].text)) != 0)
			CHECK_FAIL("got %.60s, expected %s", ports.console_text, vectors[i].text);
	}
}

static const struct {
	const char *name;
	uint64_t cr2, cr4;
	uint64_t root_entry; /* the one that cr2 uses */
	const char *text;
} words[] = {
	{ "absent", 0, 0x620, 0, "hoist: cr2, level 4: entry 0 at 0x0 is 0x0: not present\n" },
	{ "reserved", 0, 0x620, 0x83,
	  "hoist: cr2, level 4: entry 0 at 0x0 is 0x83: reserved bits are set\n" },
	{ "unreadable", 0x8080808000, 0x620, 0xff12345003,
	  "hoist: cr2, level 3: entry 2 at 0xff12345010: cannot be read\n" },
	{ "not canonical", 0x8000000000000000, 0x620, 0, "hoist: cr2: not canonical\n" },
	{ "five levels", UINT64_C(1) << 48, 0x1620, 0,
	  "hoist: cr2, level 5: entry 1 at 0x8 is 0x0: not present\n" },
	{ "a page that can be executed", 0, 0x620, 3,
	  "hoist: cr2, level 1: entry 0 at 0x0 is 0x3: page rwx\n" },
	{ "a page that can be read", 0, 0x620, XD | 1,
	  "hoist: cr2, level 1: entry 0 at 0x0 is 0x8000000000000001: page r--\n" },
};

static void test_each_end_of_a_walk_has_its_words(void)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct lastwords_frame frame = page_fault;
		struct lastwords_setup s = setup();
		unsigned index = (unsigned)(words[i].cr2 >> (words[i].cr4 >> 12 ? 48 : 39)) & 511;

		prepare(&s);
		frame.cr2 = words[i].cr2;
		frame.cr4 = words[i].cr4;
		memory.tables[0][index] = words[i].root_entry;
		fault(&frame);
		if (!strstr(ports.console_text, words[i].text))
			CHECK_FAIL("%s: got\n%s", words[i].name, ports.console_text);
	}
}

/* Each is a reserved bit on one processor, and none on another. */
static const struct {
	const char *name;
	uint64_t entry;
	uint8_t max_leaf, phys_bits;
	bool nx, reserved;
} processors[] = {
	{ "XD with NX", XD | 0x2003, 3, 40, true, false },
	{ "XD without NX", XD | 0x2003, 3, 40, false, true },
	{ "bit 36 of 40", 0x1000002003, 3, 40, true, false },
	{ "bit 36 of 36", 0x1000002003, 3, 36, true, true },
	{ "1 GiB", PS | 3, 3, 40, true, false },
	{ "1 GiB on a processor without", PS | 3, 2, 40, true, true },
};

static void test_the_walk_is_that_of_this_processor(void)
{
	for (size_t i = 0; i < ARRAY_LEN(processors); i++) {
		struct lastwords_frame frame = page_fault;
		struct lastwords_setup s = setup();

		s.max_leaf = processors[i].max_leaf;
		s.phys_bits = processors[i].phys_bits;
		s.nx = processors[i].nx;
		prepare(&s);
		/* Entry 100, of three digits that say how a number is written. */
		frame.cr2 = UINT64_C(100) << 39 | UINT64_C(100) << 30;
		memory.tables[0][100] = 0x1003;
		memory.tables[1][100] = processors[i].entry;
		fault(&frame);
		CHECK(strstr(ports.console_text, "level 3: entry 100 at 0x1320 is 0x"),
		      processors[i].name);
		CHECK_EQ(strstr(ports.console_text, "reserved bits are set") != NULL,
			 processors[i].reserved, processors[i].name);
	}
}

static void test_a_fault_in_the_report_is_told_once(void)
{
	struct lastwords_frame frame = page_fault;
	struct lastwords_setup s = setup();
	size_t length;

	set_up_page_fault(&s);
	fault(&frame);
	length = ports.console_length;
	frame.vector = 8;
	frame.error = 0;
	memset(memory.screen, 0x5a, sizeof(memory.screen));
	fault(&frame);
	for (size_t i = 0; i < sizeof(memory.screen); i++)
		CHECK_EQ(memory.screen[i], 0x5a, "the screen may have been the reason");
	expect_text(ports.console_text + length,
		    "\nhoist: while this was said: hoist: fault 8 (double fault) error 0x0 at rip "
		    "0xffffffff80001234 cr2 0xffff8000deadb123\n",
		    "second");
	CHECK_EQ(ports.ended, PORTS_HALTED, "second");
	length = ports.console_length;
	ports.ended = PORTS_RUNS;
	fault(&frame);
	CHECK_EQ(ports.console_length, length, "third: silence");
	CHECK_EQ(ports.ended, PORTS_HALTED, "third");
}

static void test_a_fault_of_the_probe_goes_on_and_is_not_told(void)
{
	struct lastwords_frame frame = page_fault;
	struct lastwords_setup s = setup();

	prepare(&s);
	frame.rip = (uintptr_t)guard_read_load;
	fault(&frame);
	CHECK_EQ(frame.rip, (uintptr_t)guard_read_failed, "goes on");
	CHECK_EQ(ports.ended, PORTS_RUNS, "goes on");
	CHECK_EQ(ports.console_length, 0, "nothing said");
	CHECK_EQ(lastwords.depth, 0, "no fault");
}

static void test_a_reset_tries_one_way_after_the_other(void)
{
	static const struct ports_write want[] = { { 0xcf9, 0x02 },
						   { 0xcf9, 0x06 },
						   { 0x64, 0xfe } };
	struct lastwords_frame frame = page_fault;
	struct lastwords_setup s = setup();

	s.reset = true;
	s.serial_port = 0;
	set_up_page_fault(&s);
	fault(&frame);
	CHECK(strstr(ports.console_text, "hoist: the machine is reset\n"), "words");
	CHECK(!strstr(ports.console_text, "halted"), "words");
	CHECK_EQ(ports.write_count, ARRAY_LEN(want), "writes");
	CHECK(memcmp(ports.writes, want, sizeof(want)) == 0, "writes");
	CHECK_EQ(ports.ended, PORTS_SHUT_DOWN, "at last");
	CHECK(ports.reads > 1000, "time for each");
}

/* ---- devices that are not there ----------------------------------------------------- */

static void test_an_absent_uart_costs_one_read(void)
{
	struct lastwords_frame frame = page_fault;
	struct lastwords_setup s = setup();

	set_up_page_fault(&s);
	ports.uart = false;
	fault(&frame);
	expect_text(ports.console_text, page_fault_text, "port 0xE9");
	CHECK_EQ(ports.uart_length, 0, "UART");
	CHECK(ports.reads <= 2, "reads");
}

static void test_a_uart_that_is_never_ready_costs_a_bounded_wait(void)
{
	struct lastwords_frame frame = page_fault;
	struct lastwords_setup s = setup();

	set_up_page_fault(&s);
	ports.busy = UINT32_MAX;
	fault(&frame);
	expect_text(ports.console_text, page_fault_text, "port 0xE9");
	CHECK_EQ(ports.uart_length, 1, "only the first byte");
	CHECK(ports.waited > 1000 && ports.waited <= 100001, "wait");
}

static void test_a_slow_uart_gets_everything(void)
{
	struct lastwords_frame frame = page_fault;
	struct lastwords_setup s = setup();

	set_up_page_fault(&s);
	ports.busy = 99998;
	lastwords_say("a\nb");
	expect_lines("a\nb", "slow");
	ports.busy = 5;
	fault(&frame);
	CHECK(strstr(ports.uart_text, "hoist: halted\r\n"), "all of it");
}

static void test_port_e9_is_written_only_if_it_answers(void)
{
	struct lastwords_frame frame = page_fault;
	struct lastwords_setup s = setup();

	set_up_page_fault(&s);
	ports.console = false;
	fault(&frame);
	expect_lines(page_fault_text, "UART");
	for (size_t i = 0; i < ports.write_count; i++)
		CHECK(ports.writes[i].port != 0xe9, "port 0xE9");
}

static void test_the_uart_is_set_as_configured(void)
{
	static const struct ports_write want[] = {
		{ PORTS_UART + 1, 0 }, { PORTS_UART + 3, 0x80 }, { PORTS_UART + 0, 12 },
		{ PORTS_UART + 1, 0 }, { PORTS_UART + 3, 3 },    { PORTS_UART + 2, 7 },
		{ PORTS_UART + 4, 3 },
	};
	struct lastwords_setup s = setup();

	s.serial_speed = 9600;
	prepare(&s);
	lastwords_say("x");
	CHECK_EQ(ports.write_count, ARRAY_LEN(want), "writes");
	CHECK(memcmp(ports.writes, want, sizeof(want)) == 0, "writes");
	s.serial_speed = 2;
	prepare(&s);
	lastwords_say("x");
	CHECK_EQ(ports.writes[2].value, 0, "57600, low");
	CHECK_EQ(ports.writes[3].value, 0xe1, "57600, high");
	s.serial_port = 0;
	prepare(&s);
	lastwords_say("x");
	CHECK_EQ(ports.write_count, 0, "no UART configured");
	expect_text(ports.console_text, "x", "no UART configured");
}

/* ---- the screen ----------------------------------------------------------------------- */

static uint32_t pixel(const struct lastwords_setup *s, uint32_t x, uint32_t y)
{
	uint32_t bytes = (s->framebuffer.bits_per_pixel + 7) / 8, value = 0;

	memcpy(&value, memory.screen + (size_t)y * s->framebuffer.pitch + (size_t)x * bytes, bytes);
	return value;
}

/* The character at this place of the screen is drawn, pixel by pixel. */
static bool shows(const struct lastwords_setup *s, uint32_t column, uint32_t row, char c)
{
	const struct hoist_framebuffer *f = &s->framebuffer;
	uint32_t ink = f->red_mask | f->green_mask | f->blue_mask;

	for (uint32_t y = 0; y < FONT_HEIGHT; y++) {
		for (uint32_t x = 0; x < FONT_WIDTH; x++) {
			uint32_t want = font_row(c, y) & (0x80 >> x) ? ink : 0;

			if (pixel(s, column * FONT_WIDTH + x, row * FONT_HEIGHT + y) != want)
				return false;
		}
	}
	return true;
}

static void expect_row(const struct lastwords_setup *s, uint32_t row, const char *text)
{
	for (uint32_t column = 0; column < WIDTH / FONT_WIDTH; column++) {
		char c = column < strlen(text) ? text[column] : ' ';

		if (!shows(s, column, row, c))
			CHECK_FAIL("row %u, column %u: not '%c'", row, column, c);
	}
}

static void expect_nothing_beside(const struct lastwords_setup *s)
{
	uint32_t bytes = (s->framebuffer.bits_per_pixel + 7) / 8;

	for (size_t i = 0; i < sizeof(memory.after); i++)
		CHECK_EQ(memory.after[i], 0xa5, "behind the screen");
	for (size_t y = 0; y < s->framebuffer.height; y++) {
		for (size_t x = (size_t)WIDTH * bytes; x < s->framebuffer.pitch; x++)
			CHECK_EQ(memory.screen[y * s->framebuffer.pitch + x], 0x5a,
				 "beside a line");
	}
}

static void test_text_is_on_the_screen_and_breaks_at_its_edge(void)
{
	struct lastwords_setup s = setup();

	prepare(&s);
	lastwords_say("first\n\n0123456789012345678901234567890123456789wrapped\nlast");
	expect_row(&s, 0, "first");
	expect_row(&s, 2, "0123456789012345678901234567890123456789");
	expect_row(&s, 3, "wrapped");
	expect_row(&s, 4, "last");
	CHECK_EQ(pixel(&s, 0, 1 * FONT_HEIGHT), 0x5a5a5a5a, "a row without text stays");
	CHECK_EQ(pixel(&s, 0, 5 * FONT_HEIGHT), 0x5a5a5a5a, "a row without text stays");
	expect_nothing_beside(&s);
}

static void test_a_full_screen_begins_again_at_the_top(void)
{
	struct lastwords_setup s = setup();

	prepare(&s);
	/* 14 rows of 14 pixels. */
	for (unsigned i = 0; i < 14; i++)
		lastwords_say("old old old\n");
	lastwords_say("new");
	expect_row(&s, 0, "new");
	expect_row(&s, 1, "old old old");
	expect_row(&s, 13, "old old old");
	CHECK_EQ(pixel(&s, 0, 14 * FONT_HEIGHT), 0x5a5a5a5a, "below the last row");
	expect_nothing_beside(&s);
}

static const struct {
	const char *name;
	uint32_t bits, red, green, blue;
} formats[] = {
	{ "32 bits", 32, 0xff0000, 0xff00, 0xff }, { "30 bits", 30, 0x3ff00000, 0xffc00, 0x3ff },
	{ "24 bits", 24, 0xff0000, 0xff00, 0xff }, { "16 bits", 16, 0xf800, 0x7e0, 0x1f },
	{ "8 bits", 8, 0xe0, 0x1c, 0x03 },
};

static void test_pixels_of_any_size_are_drawn(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct lastwords_setup s = setup();

		s.framebuffer.format = HOIST_PIXELS_MASK;
		s.framebuffer.bits_per_pixel = formats[i].bits;
		s.framebuffer.red_mask = formats[i].red;
		s.framebuffer.green_mask = formats[i].green;
		s.framebuffer.blue_mask = formats[i].blue;
		s.framebuffer.pitch = (formats[i].bits + 7) / 8 * WIDTH + 3;
		prepare(&s);
		lastwords_say("pixels");
		expect_row(&s, 0, "pixels");
		expect_nothing_beside(&s);
	}
}

static bool screen_is_untouched(void)
{
	for (size_t i = 0; i < sizeof(memory.screen); i++) {
		if (memory.screen[i] != 0x5a)
			return false;
	}
	return true;
}

static void test_screens_that_cannot_be_drawn_on_are_left_out(void)
{
	static const struct {
		const char *name;
		uint32_t format, width, height, pitch, bits;
	} rows[] = {
		{ "no framebuffer", HOIST_PIXELS_NONE, WIDTH, HEIGHT, PITCH, 32 },
		{ "lower than a character", HOIST_PIXELS_RGB, WIDTH, 13, PITCH, 32 },
		{ "narrower than a character", HOIST_PIXELS_RGB, 7, HEIGHT, PITCH, 32 },
		{ "a pitch of nothing", HOIST_PIXELS_RGB, WIDTH, HEIGHT, 31, 32 },
		{ "pixels of nothing", HOIST_PIXELS_MASK, WIDTH, HEIGHT, PITCH, 0 },
		{ "pixels of 33 bits", HOIST_PIXELS_MASK, WIDTH, HEIGHT, PITCH, 33 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lastwords_setup s = setup();

		s.framebuffer.format = rows[i].format;
		s.framebuffer.width = rows[i].width;
		s.framebuffer.height = rows[i].height;
		s.framebuffer.pitch = rows[i].pitch;
		s.framebuffer.bits_per_pixel = rows[i].bits;
		prepare(&s);
		lastwords_say("text");
		CHECK(screen_is_untouched(), rows[i].name);
		expect_text(ports.console_text, "text", rows[i].name);
	}
}

static void test_a_pitch_that_is_too_short_narrows_the_text(void)
{
	struct lastwords_setup s = setup();

	s.framebuffer.pitch = 20 * FONT_WIDTH * 4;
	prepare(&s);
	lastwords_say("01234567890123456789x");
	CHECK(shows(&s, 19, 0, '9'), "the last column");
	CHECK(shows(&s, 0, 1, 'x'), "the next row");
}

static void test_a_screen_that_is_not_mapped_is_left_out(void)
{
	struct lastwords_setup s = setup();

	/* Where it begins, and where only its first row of text is. */
	prepare(&s);
	ports.memory_size = PHYSICAL(screen);
	lastwords_say("text");
	CHECK(screen_is_untouched(), "nothing mapped");
	expect_text(ports.console_text, "text", "nothing mapped");

	prepare(&s);
	ports.memory_size = PHYSICAL(screen) + (size_t)FONT_HEIGHT * PITCH;
	lastwords_say("first\nsecond\n");
	expect_row(&s, 0, "first");
	CHECK_EQ(pixel(&s, 0, FONT_HEIGHT), 0x5a5a5a5a, "one row mapped");
	expect_text(ports.console_text, "first\nsecond\n", "one row mapped");

	/* All but the last 8 bytes of the row; all of it. */
	prepare(&s);
	ports.memory_size = PHYSICAL(screen) + (size_t)FONT_HEIGHT * PITCH - 1;
	lastwords_say("text");
	CHECK(screen_is_untouched(), "part of a row mapped");
}

int main(void)
{
	RUN(test_a_walk_ends_where_the_processor_would_stop);
	RUN(test_a_walk_of_tables_that_link_in_circles_ends);
	RUN(test_bits_of_cr3_that_are_no_address_do_not_count);
	RUN(test_addresses_that_are_not_canonical_are_not_walked);
	RUN(test_walks_of_random_tables_agree_with_what_was_read);
	RUN(test_a_fault_is_reported_on_both_ports_and_halts);
	RUN(test_every_vector_has_its_name);
	RUN(test_each_end_of_a_walk_has_its_words);
	RUN(test_the_walk_is_that_of_this_processor);
	RUN(test_a_fault_in_the_report_is_told_once);
	RUN(test_a_fault_of_the_probe_goes_on_and_is_not_told);
	RUN(test_a_reset_tries_one_way_after_the_other);
	RUN(test_an_absent_uart_costs_one_read);
	RUN(test_a_uart_that_is_never_ready_costs_a_bounded_wait);
	RUN(test_a_slow_uart_gets_everything);
	RUN(test_port_e9_is_written_only_if_it_answers);
	RUN(test_the_uart_is_set_as_configured);
	RUN(test_text_is_on_the_screen_and_breaks_at_its_edge);
	RUN(test_a_full_screen_begins_again_at_the_top);
	RUN(test_pixels_of_any_size_are_drawn);
	RUN(test_screens_that_cannot_be_drawn_on_are_left_out);
	RUN(test_a_pitch_that_is_too_short_narrows_the_text);
	RUN(test_a_screen_that_is_not_mapped_is_left_out);
	return check_done();
}
