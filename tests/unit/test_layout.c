#include "tests/check.h"
#include "tests/fake/machine.h"

#define PAGE   UINT64_C(0x1000)
#define MIB    UINT64_C(0x100000)
#define LARGE  (2 * MIB)
#define GIB    (UINT64_C(1) << 30)
#define DIRECT UINT64_C(0xffff800000000000)
#define DEEP   UINT64_C(0xff00000000000000)
#define KERNEL UINT64_C(0xffffffff80000000)
#define STACK  UINT64_C(0xffffffff00001000)

enum {
	R = 0,
	RW = HOIST_RIGHT_WRITE,
	RX = HOIST_RIGHT_EXECUTE,
	UC = HOIST_CACHE_UC,
	WC = HOIST_CACHE_WC,
	WT = HOIST_CACHE_WT,
	WB = HOIST_CACHE_WB,
	USABLE = HOIST_MEMORY_USABLE,
	RECLAIMABLE = HOIST_MEMORY_RECLAIMABLE,
	MMIO = HOIST_MEMORY_MMIO,
	RESERVED = HOIST_MEMORY_RESERVED,
	IDENTITY = HOIST_PURPOSE_IDENTITY,
	DIRECT_MAP = HOIST_PURPOSE_DIRECT_MAP,
	IMAGE = HOIST_PURPOSE_KERNEL,
	THE_STACK = HOIST_PURPOSE_STACK,
	HANDOFF = HOIST_PURPOSE_HANDOFF,
};

static const char *status_text(int status)
{
	return loader_strerror((enum loader_status)status);
}

/* Everything that has to hold for any plan. */
static void expect_sound(struct machine *m, const char *name)
{
	uint64_t where = 0;
	const char *fault = machine_place_fault(m);

	if (fault)
		CHECK_FAIL("%s: places: %s", name, fault);
	fault = machine_list_fault(m, &where);
	if (fault)
		CHECK_FAIL("%s: %s at %#" PRIx64, name, fault, where);
	CHECK_EQ(m->layout.plan.tables, machine_least_tables(m), name);
}

static void plan(struct machine *m, const char *name)
{
	struct loader_error error, untouched;

	memset(&untouched, 0x5a, sizeof(untouched));
	memcpy(&error, &untouched, sizeof(error));
	CHECK_STATUS(machine_plan(m, &error), LOADER_OK, status_text, name);
	CHECK(memcmp(&error, &untouched, sizeof(error)) == 0, name);
	expect_sound(m, name);
}

static void expect_refused(struct machine *m, enum loader_status status, const char *field,
			   const char *name)
{
	struct loader_error error = { .field = "nothing" };

	CHECK_STATUS(machine_plan(m, &error), status, status_text, name);
	CHECK_STATUS(error.status, status, status_text, name);
	if (strcmp(error.field, field) != 0)
		CHECK_FAIL("%s: field is \"%s\", expected \"%s\"", name, error.field, field);
	CHECK(error.where && error.expected && !error.text, name);
	if (status != LOADER_ERR_TABLES)
		CHECK_EQ(error.index, LOADER_NO_INDEX, name);
}

static const struct hoist_mapping *mapping_at(const struct machine *m, uint64_t virt)
{
	for (size_t i = 0; i < m->layout.mapping_count; i++) {
		const struct hoist_mapping *mapping = &m->layout.mappings[i];

		if (virt >= mapping->address_virt && virt - mapping->address_virt < mapping->size)
			return mapping;
	}
	return NULL;
}

static void expect_page(const struct machine *m, uint64_t virt, uint32_t rights, uint32_t cache,
			const char *name)
{
	const struct hoist_mapping *mapping = mapping_at(m, virt);

	CHECK(mapping, name);
	if (!mapping)
		return;
	CHECK_EQ(mapping->rights, rights, name);
	CHECK_EQ(mapping->cache, cache, name);
}

/* ---- the list, written by hand --------------------------------------------------- */

/* 2 MiB of memory, the switch in the middle of the first, one page of framebuffer. */
static void init_tiny(struct machine *m)
{
	machine_init(m);
	machine_add(m, 0, 2 * MIB, USABLE, MACHINE_ALL);
	machine_add(m, 0x10000, 2 * PAGE, RECLAIMABLE, MACHINE_ALL);
	machine_add_device(m, 0x80000000, PAGE, WC);
	m->request.handoff_code = (struct layout_extent){ 0x10000, PAGE };
	m->request.handoff_data = (struct layout_extent){ 0x11000, PAGE };
}

static const struct hoist_mapping tiny_identity[] = {
	{ 0x1000, 0x1000, 0xf000, RW, RW, WB, IDENTITY },
	{ 0x10000, 0x10000, 0x1000, RX, RX, WB, HANDOFF },
	{ 0x11000, 0x11000, 0x1000, RW, RW, WB, HANDOFF },
	{ 0x12000, 0x12000, 0x1cd000, RW, RW, WB, IDENTITY },
	{ 0x1df000, 0x1df000, 0x5000, R, R, WB, IDENTITY },
	{ 0x1e4000, 0x1e4000, 0x1c000, RW, RW, WB, IDENTITY },
	{ 0x80000000, 0x80000000, 0x1000, RW, RW, WC, IDENTITY },
};

static const struct hoist_mapping tiny_rest[] = {
	{ DIRECT, 0, 0x10000, RW, RW, WB, DIRECT_MAP },
	{ DIRECT + 0x10000, 0x10000, 0x1000, R, R, WB, DIRECT_MAP },
	{ DIRECT + 0x11000, 0x11000, 0x1ce000, RW, RW, WB, DIRECT_MAP },
	{ DIRECT + 0x1df000, 0x1df000, 0x5000, R, R, WB, DIRECT_MAP },
	{ DIRECT + 0x1e4000, 0x1e4000, 0x1c000, RW, RW, WB, DIRECT_MAP },
	{ DIRECT + 0x80000000, 0x80000000, 0x1000, RW, RW, WC, DIRECT_MAP },
	{ STACK, 0x1e8000, 0x10000, RW, RW, WB, THE_STACK },
	{ KERNEL, 0x1df000, 0x3000, RX, RX, WB, IMAGE },
	{ KERNEL + 0x3000, 0x1e2000, 0x2000, R, R, WB, IMAGE },
	{ KERNEL + 0x5000, 0x1e4000, 0x4000, RW, RW, WB, IMAGE },
};

static void expect_mappings(const struct machine *m, size_t first, const struct hoist_mapping *want,
			    size_t count)
{
	CHECK(m->layout.mapping_count >= first + count, "count");
	for (size_t i = 0; i < count && first + i < m->layout.mapping_count; i++) {
		if (memcmp(&m->layout.mappings[first + i], &want[i], sizeof(want[i])) != 0)
			CHECK_FAIL("mapping %zu is not that of %#" PRIx64, first + i,
				   want[i].address_virt);
	}
}

static void the_list_of_a_tiny_machine_is_as_written_by_hand(void)
{
	struct machine m;

	init_tiny(&m);
	plan(&m, "tiny");
	CHECK_EQ(m.layout.mapping_count, ARRAY_LEN(tiny_identity) + ARRAY_LEN(tiny_rest), "all");
	expect_mappings(&m, 0, tiny_identity, ARRAY_LEN(tiny_identity));
	expect_mappings(&m, ARRAY_LEN(tiny_identity), tiny_rest, ARRAY_LEN(tiny_rest));
	/* The root; for either alias PDPT, two PDs, two PTs; PDPT, two PDs, two PTs on top. */
	CHECK_EQ(m.layout.plan.tables, 16, "tables");
	CHECK_EQ(m.layout.tables.base, 0x1cf000, "tables");
	CHECK_EQ(m.layout.stack_virt, STACK, "stack");
	CHECK_EQ(m.layout.direct_map, DIRECT, "direct map");
	machine_free(&m);
}

static void without_identity_map_the_pages_of_the_handoff_remain(void)
{
	struct machine m;

	init_tiny(&m);
	m.request.identity = false;
	plan(&m, "tiny");
	CHECK_EQ(m.layout.mapping_count, 2 + ARRAY_LEN(tiny_rest), "all");
	expect_mappings(&m, 0, tiny_identity + 1, 2);
	expect_mappings(&m, 2, tiny_rest, ARRAY_LEN(tiny_rest));
	CHECK_EQ(m.layout.plan.tables, 14, "tables");
	machine_free(&m);
}

static void without_nx_everything_is_effectively_executable(void)
{
	struct machine m;

	init_tiny(&m);
	m.request.cpu.nx = false;
	plan(&m, "tiny");
	for (size_t i = 0; i < m.layout.mapping_count; i++) {
		const struct hoist_mapping *mapping = &m.layout.mappings[i];

		CHECK_EQ(mapping->effective, mapping->rights | HOIST_RIGHT_EXECUTE, "effective");
		CHECK(mapping->rights != (RW | RX), "what was asked for");
	}
	machine_free(&m);
}

static void with_five_levels_the_direct_map_lies_lower(void)
{
	struct machine m;

	machine_init_plain(&m);
	m.request.cpu.levels = 5;
	plan(&m, "plain");
	CHECK_EQ(m.layout.direct_map, DEEP, "direct map");
	expect_page(&m, DEEP + 4 * GIB, RW, WB, "direct map");
	CHECK(!mapping_at(&m, DIRECT + 4 * GIB), "nothing where it is with four levels");
	machine_free(&m);
}

/* ---- places ---------------------------------------------------------------------- */

/* The machine of machine_init(), no identity map: 33 pages of image, stack and block. */
struct place_row {
	const char *name;
	struct memmap_region regions[5];
	struct {
		uint64_t kernel, modules, stack, info, tables;
	} want;
	uint64_t alignment; /* of the image; 0: a page */
	uint64_t phase;     /* of its address, which is KERNEL + phase */
	uint64_t text;      /* pages of it; 0: 3 */
	uint64_t modules;   /* bytes of the one that there is; 0: none */
};

#define MEMORY(base, size)                         \
	{                                          \
		base, size, USABLE, 0, MACHINE_ALL \
	}
/* Where the switch lies. */
#define LOW                                                 \
	{                                                   \
		0x8000, 0x2000, RECLAIMABLE, 0, MACHINE_ALL \
	}

static const struct place_row place_rows[] = {
	{ "together at the highest end",
	  { LOW, MEMORY(MIB, MIB), MEMORY(4 * MIB, MIB), MEMORY(8 * MIB, MIB) },
	  .want = { 0x8df000, 0, 0x8e8000, 0x8f8000, 0x8d1000 } },
	{ "modules between the image and what is written",
	  { LOW, MEMORY(MIB, MIB), MEMORY(8 * MIB, MIB) },
	  .want = { 0x8dd000, 0x8e6000, 0x8e8000, 0x8f8000, 0x8d0000 },
	  .modules = 0x1800 },
	{ "exactly as large as needed, tables elsewhere",
	  { LOW, MEMORY(MIB, MIB), MEMORY(8 * MIB, 0x21000) },
	  .want = { 0x800000, 0, 0x809000, 0x819000, 0x1f3000 } },
	{ "a page too small above",
	  { LOW, MEMORY(MIB, MIB), MEMORY(8 * MIB, 0x20000) },
	  .want = { 0x1df000, 0, 0x1e8000, 0x1f8000, 0x813000 } },
	{ "what is not usable is not used",
	  { LOW,
	    MEMORY(MIB, MIB),
	    { 8 * MIB, MIB, RECLAIMABLE, 0, MACHINE_ALL },
	    { 9 * MIB, MIB, HOIST_MEMORY_ACPI_RECLAIM, 0, MACHINE_ALL },
	    { 10 * MIB, MIB, HOIST_MEMORY_SPECIAL, 0, MACHINE_ALL } },
	  .want = { 0x1df000, 0, 0x1e8000, 0x1f8000, 0x1d2000 } },
	{ "apart where no hole takes all",
	  { LOW, MEMORY(MIB, 0x12000), MEMORY(2 * MIB, 0x12000), MEMORY(3 * MIB, 0x12000) },
	  .want = { 0x309000, 0, 0x202000, 0x301000, 0x105000 } },
	{ "apart with modules",
	  { LOW, MEMORY(MIB, 0x20000), MEMORY(2 * MIB, 0x12000), MEMORY(3 * MIB, 0x12000) },
	  .want = { 0x309000, 0x300000, 0x202000, 0x118000, 0x10b000 },
	  .modules = 0x8001 },
	{ "aligned as the image wants it",
	  { LOW, MEMORY(MIB, MIB), MEMORY(8 * MIB, MIB) },
	  .want = { 0x8d0000, 0, 0x8d9000, 0x8e9000, 0x8c3000 },
	  .alignment = 0x10000 },
	{ "a large image is congruent to its address modulo 2 MiB",
	  { LOW, MEMORY(MIB, 8 * MIB) },
	  .want = { 0x600000, 0, 0x806000, 0x816000, 0x5f3000 },
	  .text = 512 },
	{ "a large image gives up large leaves where there is no such place",
	  { LOW, MEMORY(3 * MIB, 3 * MIB) },
	  .want = { 0x3e2000, 0, 0x5e8000, 0x5f8000, 0x3d3000 },
	  .text = 512 },
	{ "1 GiB is not crossed where there is room below it",
	  { LOW, MEMORY(GIB - MIB, MIB + 0x10000) },
	  .want = { 0x3ffdf000, 0, 0x3ffe8000, 0x3fff8000, 0x3ffd0000 } },
	{ "1 GiB is crossed where there is none",
	  { LOW, MEMORY(GIB - 0x20000, 0x40000) },
	  .want = { 0x3ffff000, 0, 0x40008000, 0x40018000, 0x3fff0000 } },
	{ "what lies above an aligned image is not lost",
	  { LOW, MEMORY(17 * MIB, 31 * MIB) },
	  .want = { 0x2000000, 0, 0x2009000, 0x2019000, 0x2ff2000 },
	  .alignment = 16 * MIB },
	{ "a large image apart, where large leaves are not to be had",
	  { LOW, MEMORY(MIB, 0x20000), MEMORY(3 * MIB, 0x206000), MEMORY(8 * MIB, 0x1d000) },
	  .want = { 0x300000, 0, 0x80d000, 0x805000, 0x110000 },
	  .text = 512 },
	{ "no GiB is crossed by going below the one above it",
	  { LOW, MEMORY(768 * MIB, 2304 * MIB) },
	  .want = { 1936 * MIB, 0, 0xa4c06000, 0xa4c16000, 0x78ff0000 },
	  .alignment = 512 * MIB,
	  .phase = 400 * MIB,
	  .text = 700 * 256 },
};

static void print_places(const struct layout *layout)
{
	printf("# kernel %#" PRIx64 " modules %#" PRIx64 " stack %#" PRIx64 " info %#" PRIx64
	       " tables %#" PRIx64 " + %#" PRIx64 "\n",
	       layout->kernel.base, layout->modules.base, layout->stack.base, layout->info.base,
	       layout->tables.base, layout->tables.size);
}

static void make_place_row(struct machine *m, const struct place_row *row)
{
	uint64_t pages[3] = { row->text ? row->text : 3, 2, 4 };

	machine_init(m);
	machine_kernel(m, KERNEL + row->phase, pages);
	if (row->alignment != 0)
		m->kernel.alignment = row->alignment;
	if (row->modules != 0)
		machine_add_module(m, row->modules);
	m->request.identity = false;
	m->request.handoff_code = (struct layout_extent){ 0x8000, PAGE };
	m->request.handoff_data = (struct layout_extent){ 0x9000, PAGE };
	for (size_t i = 0; i < ARRAY_LEN(row->regions); i++)
		machine_add(m, row->regions[i].base, row->regions[i].size, row->regions[i].kind,
			    row->regions[i].attributes);
}

static void parts_lie_highest_first_and_together_if_they_can(void)
{
	for (size_t i = 0; i < ARRAY_LEN(place_rows); i++) {
		const struct place_row *row = &place_rows[i];
		struct machine m;

		make_place_row(&m, row);
		plan(&m, row->name);
		CHECK_EQ(m.layout.kernel.base, row->want.kernel, row->name);
		CHECK_EQ(m.layout.modules.base, row->want.modules, row->name);
		CHECK_EQ(m.layout.stack.base, row->want.stack, row->name);
		CHECK_EQ(m.layout.info.base, row->want.info, row->name);
		CHECK_EQ(m.layout.tables.base, row->want.tables, row->name);
		if (check_failures != 0)
			print_places(&m.layout);
		machine_free(&m);
	}
}

/* ---- refusals ---------------------------------------------------------------------- */

/* Room in apart pieces for 9 pages of kernel, 16 of stack, 8 of information, then tables. */
struct room_row {
	const char *name;
	uint64_t kernel, modules, stack, info, tables; /* pages of each hole */
	const char *field;
};

static const struct room_row room_rows[] = {
	{ "no memory at all", 0, 0, 0, 0, 0, "kernel image" },
	{ "kernel", 8, 3, 0, 0, 0, "kernel image" },
	{ "modules", 9, 4, 0, 0, 0, "modules" },
	{ "stack", 9, 5, 15, 0, 0, "stack" },
	{ "information", 9, 5, 16, 7, 0, "boot information" },
	{ "tables", 9, 5, 16, 8, 6, "page tables" },
};

static void too_little_memory_is_refused_by_the_part_that_lacks_it(void)
{
	for (size_t i = 0; i < ARRAY_LEN(room_rows); i++) {
		const struct room_row *row = &room_rows[i];
		const uint64_t pages[] = { row->kernel, row->modules, row->stack, row->info,
					   row->tables };
		struct machine m;

		machine_init(&m);
		machine_add_module(&m, 4 * PAGE);
		machine_add_module(&m, 1);
		m.request.handoff_code = (struct layout_extent){ 0x8000, PAGE };
		m.request.handoff_data = (struct layout_extent){ 0x9000, PAGE };
		machine_add(&m, 0x8000, 2 * PAGE, RECLAIMABLE, MACHINE_ALL);
		for (size_t j = 0; j < ARRAY_LEN(pages); j++)
			machine_add(&m, (8 - j) * MIB, pages[j] * PAGE, USABLE, MACHINE_ALL);
		expect_refused(&m, LOADER_ERR_MEMORY, row->field, row->name);
		machine_free(&m);
	}
}

/* The right phase is nowhere but 2 MiB above a multiple of 16 MiB. */
static void a_region_below_the_phase_of_a_kernel_does_not_hold_it(void)
{
	static const uint64_t pages[3] = { 3, 2, 4 };
	struct machine m;

	machine_init(&m);
	machine_kernel(&m, KERNEL + LARGE, pages);
	m.kernel.alignment = 16 * MIB;
	m.request.handoff_code = (struct layout_extent){ 0x8000, PAGE };
	m.request.handoff_data = (struct layout_extent){ 0x9000, PAGE };
	machine_add(&m, 0x8000, 2 * PAGE, RECLAIMABLE, MACHINE_ALL);
	machine_add(&m, MIB, MIB, USABLE, MACHINE_ALL);
	machine_add(&m, 4 * MIB, 13 * MIB, USABLE, MACHINE_ALL);
	expect_refused(&m, LOADER_ERR_MEMORY, "kernel image", "wrong phase");
	machine_add(&m, 17 * MIB, MIB + 9 * PAGE, USABLE, MACHINE_ALL);
	plan(&m, "right phase");
	CHECK_EQ(m.layout.kernel.base, 18 * MIB, "right phase");
	machine_free(&m);
}

static void what_would_fit_at_address_0_alone_does_not_fit(void)
{
	struct machine m;

	machine_init(&m);
	m.request.handoff_code = (struct layout_extent){ 0x8000, PAGE };
	m.request.handoff_data = (struct layout_extent){ 0x9000, PAGE };
	machine_add(&m, 0, 8 * PAGE, USABLE, MACHINE_ALL);
	machine_add(&m, 0x8000, 2 * PAGE, RECLAIMABLE, MACHINE_ALL);
	machine_add(&m, MIB, 25 * PAGE, USABLE, MACHINE_ALL);
	expect_refused(&m, LOADER_ERR_MEMORY, "boot information", "8 pages from 0");
	m.request.info_size -= PAGE;
	expect_refused(&m, LOADER_ERR_MEMORY, "page tables", "7 pages, from the second");
	machine_free(&m);
}

/* File systems can announce any size. */
static void modules_whose_sizes_add_up_past_the_end_are_refused(void)
{
	static const uint64_t sizes[][3] = {
		{ UINT64_MAX, 0, 0 },
		{ UINT64_MAX - PAGE, 1, 0 },
		{ UINT64_C(1) << 63, UINT64_C(1) << 63, 0 },
		{ UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1, 4096 },
		{ 1, UINT64_MAX - 4095, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct machine m;

		machine_init_plain(&m);
		for (size_t j = 0; j < 3; j++)
			machine_add_module(&m, sizes[i][j]);
		expect_refused(&m, LOADER_ERR_MEMORY, "modules", "sizes");
		machine_free(&m);
	}
}

struct kernel_row {
	const char *name;
	uint64_t virt;
	bool good;
};

/* 9 pages; the plain machine ends at 6 GiB. */
static const struct kernel_row kernel_rows[] = {
	{ "at the beginning of the direct map", DIRECT, false },
	{ "in the last page of the direct map", DIRECT + 6 * GIB - PAGE, false },
	{ "behind the direct map", DIRECT + 6 * GIB, true },
	{ "far behind the direct map", UINT64_C(0xffffc00000000000), true },
	{ "last page in the first of the stack window", LAYOUT_STACK_WINDOW - 8 * PAGE, false },
	{ "right below the stack window", LAYOUT_STACK_WINDOW - 9 * PAGE, true },
	{ "first page in the last of the stack window",
	  LAYOUT_STACK_WINDOW + LAYOUT_STACK_WINDOW_SIZE - PAGE, false },
	{ "right behind the stack window", LAYOUT_STACK_WINDOW + LAYOUT_STACK_WINDOW_SIZE, true },
	{ "at the end of the address space", UINT64_MAX - 9 * PAGE + 1, true },
};

static void a_kernel_must_not_meet_the_windows(void)
{
	for (size_t i = 0; i < ARRAY_LEN(kernel_rows); i++) {
		const struct kernel_row *row = &kernel_rows[i];
		static const uint64_t pages[3] = { 3, 2, 4 };
		struct machine m;

		machine_init_plain(&m);
		machine_kernel(&m, row->virt, pages);
		if (row->good)
			plan(&m, row->name);
		else
			expect_refused(&m, LOADER_ERR_ADDRESS, "kernel", row->name);
		machine_free(&m);
	}
}

struct high_row {
	const char *name;
	uint64_t base, size;
	uint32_t kind;
	uint8_t levels;
	bool identity, good;
};

#define HALF_4 (UINT64_C(1) << 47)
#define WINDOW (LAYOUT_STACK_WINDOW - LAYOUT_DIRECT_MAP_4)

static const struct high_row high_rows[] = {
	{ "the last page of the direct map's window", WINDOW - PAGE, PAGE, USABLE, 4, true, true },
	{ "the first above it", WINDOW, PAGE, USABLE, 4, true, false },
	{ "across the end of it", WINDOW - PAGE, 2 * PAGE, MMIO, 4, true, false },
	{ "above the lower half", HALF_4, PAGE, USABLE, 4, true, false },
	{ "what is not mapped may lie anywhere", HALF_4, PAGE, RESERVED, 4, true, true },
	{ "the same at the end of the address space", UINT64_MAX - PAGE + 1, PAGE, RESERVED, 4,
	  true, true },
	{ "five levels have a larger half", HALF_4, PAGE, USABLE, 5, true, true },
	{ "without identity map the window is the same", WINDOW - PAGE, PAGE, USABLE, 4, false,
	  true },
	{ "and one page more is refused", WINDOW, PAGE, USABLE, 4, false, false },
	{ "four levels, above both", HALF_4, PAGE, USABLE, 4, false, false },
	{ "the last page of the address space", UINT64_MAX - PAGE + 1, PAGE, MMIO, 4, true, false },
	{ "and without identity map", UINT64_MAX - PAGE + 1, PAGE, MMIO, 4, false, false },
	{ "and with five levels", UINT64_MAX - PAGE + 1, PAGE, MMIO, 5, false, false },
};

static void memory_above_the_windows_is_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(high_rows); i++) {
		const struct high_row *row = &high_rows[i];
		struct machine m;

		machine_init_plain(&m);
		m.request.cpu.phys_bits = 52;
		m.request.cpu.levels = row->levels;
		m.request.identity = row->identity;
		machine_add(&m, row->base, row->size, row->kind, MACHINE_ALL);
		if (row->good)
			plan(&m, row->name);
		else
			expect_refused(&m, LOADER_ERR_ADDRESS, "last byte of memory", row->name);
		machine_free(&m);
	}
}

static void what_the_core_refuses_is_refused_with_its_words(void)
{
	struct loader_error error = { .field = "nothing" };
	struct machine m;

	machine_init_plain(&m);
	m.request.cpu.phys_bits = 32;
	expect_refused(&m, LOADER_ERR_TABLES, "address", "32 physical bits");
	CHECK(machine_plan(&m, &error) == LOADER_ERR_TABLES, "32 physical bits");
	CHECK(strcmp(error.where, "mapping") == 0, "where");
	CHECK_EQ(error.value, 4 * GIB, "the mapping at fault");
	CHECK_EQ(m.layout.mappings[error.index].address_virt, 4 * GIB, "its index");
	CHECK(strcmp(error.expected, "an end below the physical address width") == 0, "why");
	machine_free(&m);

	machine_init_plain(&m);
	m.request.cpu.pat = PT_PAT_RESET;
	CHECK(machine_plan(&m, &error) == LOADER_ERR_TABLES, "no write-combining");
	CHECK_EQ(error.value, 0xfd000000, "the framebuffer");
	CHECK(strcmp(error.expected, pt_strerror(PT_ERR_CACHE)) == 0, "why");
	machine_free(&m);
}

/* With every capacity that is too small, nothing is written behind it. */
static void too_small_a_list_is_refused(void)
{
	struct loader_error error;
	struct machine m;
	bool done = false;

	machine_init_plain(&m);
	plan(&m, "with room");
	for (size_t capacity = 0; !done; capacity++) {
		struct layout small = m.layout;

		small.capacity = capacity;
		small.spans[0] = malloc(capacity * sizeof(struct span) + 1);
		small.spans[1] = malloc(capacity * sizeof(struct span) + 1);
		small.mappings = malloc(capacity * sizeof(struct hoist_mapping) + 1);
		done = layout_map(&m.request, &small, &error) == LOADER_OK;
		if (done) {
			CHECK_EQ(capacity, m.layout.mapping_count, "as many as there are");
			CHECK(layout_same_mappings(&small, &m.layout), "the same");
		} else {
			CHECK_STATUS(error.status, LOADER_ERR_CAPACITY, status_text, "small");
			CHECK(strcmp(error.field, "mappings") == 0, "small");
			CHECK_EQ(error.value, capacity, "small");
		}
		free(small.spans[0]);
		free(small.spans[1]);
		free(small.mappings);
	}
	machine_free(&m);
}

/* As many pieces as a map can have, everything in the middle of one, on both sides of RAM. */
static void the_room_that_is_announced_suffices(void)
{
	struct machine m;

	machine_init(&m);
	for (uint64_t i = 0; i < 500; i++)
		machine_add(&m, 64 * MIB + 2 * i * MIB, MIB, i % 2 ? USABLE : MMIO, MACHINE_ALL);
	for (uint64_t i = 0; i < MACHINE_DEVICES; i++)
		machine_add_device(&m, 64 * MIB + 14 * i * MIB + 16 * PAGE, PAGE, WC);
	m.request.handoff_code = (struct layout_extent){ 82 * MIB + PAGE, PAGE };
	m.request.handoff_data = (struct layout_extent){ 82 * MIB + 3 * PAGE, PAGE };
	machine_add(&m, 82 * MIB + PAGE, 3 * PAGE, RECLAIMABLE, MACHINE_ALL);
	machine_add(&m, 32 * GIB, 64 * MIB, USABLE, MACHINE_ALL);
	m.kernel.range_count = 0;
	for (uint32_t i = 0; i < ELF_MAX_RANGES; i++)
		m.kernel.ranges[m.kernel.range_count++] = (struct elf_range){
			KERNEL + 2 * i * PAGE, PAGE, i % 2 ? HOIST_RIGHT_EXECUTE : 0
		};
	m.kernel.size = 2 * PAGE * ELF_MAX_RANGES;
	plan(&m, "the most");
	CHECK(m.layout.mapping_count > 2 * (500 + MACHINE_DEVICES) + 3 * ELF_MAX_RANGES, "many");
	machine_free(&m);
}

/* ---- what is mapped how -------------------------------------------------------------- */

/* A cache type, or not mapped. */
#define NOT UINT32_MAX

static uint32_t cache_by_attributes(uint64_t attributes)
{
	static const uint32_t caches[] = { UC, WC, WT, WT, WB, WB, WB, WB };

	return caches[attributes >> 1 & 7];
}

static uint32_t wanted_cache(uint32_t kind, uint64_t attributes)
{
	switch (kind) {
	case HOIST_MEMORY_RESERVED:
	case HOIST_MEMORY_BAD:
	case HOIST_MEMORY_UNACCEPTED:
		return NOT;
	case HOIST_MEMORY_MMIO:
		return UC;
	default:
		return cache_by_attributes(attributes);
	}
}

static void every_kind_is_mapped_as_its_attributes_say(void)
{
	struct machine m;

	machine_init_plain(&m);
	for (uint32_t kind = 0; kind <= HOIST_MEMORY_SPECIAL; kind++) {
		for (uint64_t attributes = 0; attributes < 16; attributes++)
			machine_add(&m, 8 * GIB + (kind * 64 + attributes * 2) * PAGE, PAGE, kind,
				    attributes | UINT64_C(0x8000000000007000));
	}
	plan(&m, "a page of each");
	for (uint32_t kind = 0; kind <= HOIST_MEMORY_SPECIAL; kind++) {
		for (uint64_t attributes = 0; attributes < 16; attributes++) {
			uint64_t page = 8 * GIB + (kind * 64 + attributes * 2) * PAGE;
			uint32_t cache = wanted_cache(kind, attributes);
			const char *name = memmap_kind_name(kind);

			if (cache == NOT) {
				CHECK(!mapping_at(&m, page), name);
				CHECK(!mapping_at(&m, DIRECT + page), name);
				continue;
			}
			expect_page(&m, page, RW, cache, name);
			expect_page(&m, DIRECT + page, RW, cache, name);
		}
	}
	machine_free(&m);
}

struct device_row {
	const char *name;
	uint64_t base, size;
	uint64_t pages; /* that are mapped for it */
};

static const struct device_row device_rows[] = {
	{ "where the map has nothing", 0xc0000000, 0x300000, 0x300 },
	{ "inside memory", 0x40000000, 0x300000, 0x300 },
	{ "inside memory, not aligned", 0x40000fff, 2, 2 },
	{ "one byte", 0x40001800, 1, 1 },
	{ "at the end of memory", 0x7ffff000, 0x2000, 2 },
	{ "inside reserved memory", 0x7f500000, 0x1000, 1 },
	{ "inside other registers", 0xe0001000, 0x1000, 1 },
	{ "in the first page", 0, 0x1000, 1 },
};

static void a_framebuffer_is_write_combining_in_every_alias_and_only_there(void)
{
	for (size_t i = 0; i < ARRAY_LEN(device_rows); i++) {
		const struct device_row *row = &device_rows[i];
		uint64_t first = align_down(row->base, PAGE);
		struct machine m;

		machine_init_plain(&m);
		m.device_count = 0;
		m.raw.count--; /* the framebuffer of the plain machine */
		machine_add_device(&m, row->base, row->size, WC);
		plan(&m, row->name);
		for (uint64_t j = 0; j < row->pages; j++) {
			expect_page(&m, DIRECT + first + j * PAGE, RW, WC, row->name);
			if (first + j != 0)
				expect_page(&m, first + j * PAGE, RW, WC, row->name);
		}
		for (size_t j = 0; j < m.layout.mapping_count; j++) {
			const struct hoist_mapping *mapping = &m.layout.mappings[j];
			bool in = mapping->address >= first &&
				  mapping->address < first + row->pages * PAGE;

			CHECK_EQ(mapping->cache == WC, in, row->name);
		}
		machine_free(&m);
	}
}

static void devices_that_share_a_page_follow_the_last(void)
{
	struct machine m;

	machine_init_plain(&m);
	m.device_count = 0;
	machine_add_device(&m, 0x90000000, 0x1800, WC);
	machine_add_device(&m, 0x90001800, 0x800, UC);
	machine_add_device(&m, 0x90002000, 0x1000, WC);
	plan(&m, "shared");
	expect_page(&m, 0x90000000, RW, WC, "first");
	expect_page(&m, 0x90001000, RW, UC, "shared");
	expect_page(&m, 0x90002000, RW, WC, "third");
	machine_free(&m);
}

struct startup_row {
	const char *name;
	uint64_t base, size;
	uint32_t kind;
	uint64_t want;
};

static const struct startup_row startup_rows[] = {
	{ "memory of a PC", 0, 0xa0000, USABLE, 0x9f000 },
	{ "memory beyond", 0x80000, 0x80000, USABLE, 0x9f000 },
	{ "memory that ends earlier", 0x1000, 0x57000, USABLE, 0x57000 },
	{ "one page", 0x9f000, 0x1000, USABLE, 0x9f000 },
	{ "pages 0 and 1", 0, 0x2000, USABLE, 0x1000 },
	{ "page 0 alone", 0, 0x1000, USABLE, 0 },
	{ "one page too high", 0xa0000, 0x1000, USABLE, 0 },
	{ "memory that is not free", 0x1000, 0x9f000, RECLAIMABLE, 0 },
	{ "none", 0, 0, USABLE, 0 },
};

static void a_low_page_is_kept_for_starting_processors(void)
{
	for (size_t i = 0; i < ARRAY_LEN(startup_rows); i++) {
		const struct startup_row *row = &startup_rows[i];
		struct machine m;

		machine_init(&m);
		m.request.handoff_code = (struct layout_extent){ 64 * MIB, PAGE };
		m.request.handoff_data = (struct layout_extent){ 64 * MIB + PAGE, PAGE };
		machine_add(&m, row->base, row->size, row->kind, MACHINE_ALL);
		machine_add(&m, 32 * MIB, MIB, USABLE, MACHINE_ALL);
		plan(&m, row->name);
		CHECK_EQ(m.layout.startup.base, row->want, row->name);
		CHECK_EQ(m.layout.startup.size, row->want ? PAGE : 0, row->name);
		machine_free(&m);
	}
}

static void of_several_low_pages_the_highest_is_kept(void)
{
	struct machine m;

	machine_init_plain(&m);
	machine_add(&m, 0x10000, 0x90000, RECLAIMABLE, MACHINE_ALL);
	machine_add(&m, 0x50000, PAGE, RESERVED, MACHINE_ALL);
	plan(&m, "two regions");
	CHECK_EQ(m.layout.startup.base, 0xf000, "below what is taken");
	machine_free(&m);

	machine_init_plain(&m);
	machine_add(&m, 0x50000, PAGE, RESERVED, MACHINE_ALL);
	plan(&m, "two regions");
	CHECK_EQ(m.layout.startup.base, 0x9f000, "above the hole");
	machine_free(&m);
}

struct limit_row {
	uint8_t levels, phys_bits;
	uint64_t want;
};

static const struct limit_row limit_rows[] = {
	{ 4, 36, UINT64_C(1) << 36 },        { 4, 46, UINT64_C(1) << 46 },
	{ 4, 47, UINT64_C(0x7fff00000000) }, { 4, 52, UINT64_C(0x7fff00000000) },
	{ 5, 52, UINT64_C(1) << 52 },
};

/* What ends at the limit is mapped; a page more is not. */
static void devices_are_mapped_up_to_the_limit(void)
{
	for (size_t i = 0; i < ARRAY_LEN(limit_rows); i++) {
		const struct limit_row *row = &limit_rows[i];
		struct loader_error error;
		struct machine m;

		machine_init_plain(&m);
		m.request.cpu.levels = row->levels;
		m.request.cpu.phys_bits = row->phys_bits;
		CHECK_EQ(layout_limit(&m.request.cpu), row->want, "limit");
		machine_add_device(&m, row->want - PAGE, PAGE, UC);
		plan(&m, "below the limit");
		machine_add_device(&m, row->want, 1, UC);
		CHECK(machine_plan(&m, &error) != LOADER_OK, "above the limit");
		machine_free(&m);
	}
}

static void page_0_is_in_the_direct_map_alone(void)
{
	static const uint64_t sizes[] = { PAGE, 2 * PAGE, 4 * LARGE };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct machine m;

		machine_init(&m);
		m.request.handoff_code = (struct layout_extent){ 64 * MIB, PAGE };
		m.request.handoff_data = (struct layout_extent){ 64 * MIB + PAGE, PAGE };
		machine_add(&m, 0, sizes[i], USABLE, MACHINE_ALL);
		machine_add(&m, 32 * MIB, MIB, USABLE, MACHINE_ALL);
		plan(&m, "memory from 0");
		CHECK(!mapping_at(&m, 0), "NULL");
		CHECK_EQ(mapping_at(&m, PAGE) != NULL, sizes[i] > PAGE, "the page after it");
		expect_page(&m, DIRECT, RW, WB, "direct map");
		machine_free(&m);
	}
}

/* Every byte of an image that is read-only where it is linked, and of every module. */
static void what_is_read_only_is_so_in_every_alias(void)
{
	struct machine m;

	machine_init_plain(&m);
	plan(&m, "plain");
	for (uint64_t i = 0; i < 9; i++) {
		uint64_t page = m.layout.kernel.base + i * PAGE;

		expect_page(&m, page, i < 5 ? R : RW, WB, "identity");
		expect_page(&m, DIRECT + page, i < 5 ? R : RW, WB, "direct map");
	}
	for (uint64_t i = 0; i < 2 + 4; i++) {
		uint64_t page = m.layout.modules.base + i * PAGE;

		expect_page(&m, page, R, WB, "identity");
		expect_page(&m, DIRECT + page, R, WB, "direct map");
	}
	machine_free(&m);
}

static void a_hole_in_the_image_is_not_mapped_where_it_is_linked(void)
{
	struct machine m;

	machine_init_plain(&m);
	m.kernel.ranges[2].virt += 3 * PAGE;
	m.kernel.size += 3 * PAGE;
	plan(&m, "hole");
	CHECK(!mapping_at(&m, KERNEL + 5 * PAGE), "hole");
	CHECK(!mapping_at(&m, KERNEL + 7 * PAGE), "hole");
	expect_page(&m, KERNEL + 8 * PAGE, RW, WB, "data");
	expect_page(&m, m.layout.kernel.base + 5 * PAGE, RW, WB, "hole in the identity map");
	machine_free(&m);
}

/* Each order, apart or together, at the edge of memory and inside. */
static void code_and_data_of_the_switch_may_lie_in_any_order(void)
{
	static const uint64_t places[][2] = {
		{ 0x7e002000, 0x7e004000 }, { 0x7e002000, 0x7e005000 }, { 0x7e003000, 0x7e002000 },
		{ 0x7e005000, 0x7e000000 }, { 0x7e006000, 0x7e000000 }, { 0x90000000, 0x1000 },
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		for (unsigned identity = 0; identity < 2; identity++) {
			struct machine m;

			machine_init_plain(&m);
			m.request.identity = identity;
			m.request.handoff_code = (struct layout_extent){ places[i][0], 2 * PAGE };
			m.request.handoff_data = (struct layout_extent){ places[i][1], PAGE };
			machine_add(&m, places[i][1], PAGE, RECLAIMABLE, MACHINE_ALL);
			plan(&m, "order");
			expect_page(&m, places[i][0] + PAGE, RX, WB, "code");
			expect_page(&m, DIRECT + places[i][0], R, WB, "code");
			expect_page(&m, places[i][1], RW, WB, "data");
			machine_free(&m);
		}
	}
}

/* ---- the list over time ------------------------------------------------------------- */

static bool still_the_same(struct machine *m)
{
	struct layout now = m->layout;
	struct loader_error error;

	now.mappings = calloc(now.capacity, sizeof(*now.mappings));

	bool same = now.mappings && layout_map(&m->request, &now, &error) == LOADER_OK &&
		    layout_same_mappings(&now, &m->layout);

	free(now.mappings);
	return same;
}

static void allocating_what_was_planned_does_not_change_the_list(void)
{
	struct machine m;

	machine_init_plain(&m);
	plan(&m, "plain");
	CHECK(still_the_same(&m), "nothing allocated");
	machine_allocate(&m);
	CHECK(memmap_find(&m.map, m.layout.tables.base)->kind == HOIST_MEMORY_PAGE_TABLES,
	      "allocated");
	CHECK(memmap_find(&m.map, m.layout.info.base)->kind == RECLAIMABLE, "allocated");
	CHECK(still_the_same(&m), "allocated");
	machine_free(&m);
}

/* Kinds of a page that is usable when the plan is made. */
struct kind_row {
	uint32_t kind;
	bool same;
};

static const struct kind_row kind_rows[] = {
	{ HOIST_MEMORY_RECLAIMABLE, true },  { HOIST_MEMORY_ACPI_RECLAIM, true },
	{ HOIST_MEMORY_RUNTIME_DATA, true }, { HOIST_MEMORY_SPECIAL, true },
	{ HOIST_MEMORY_MMIO, false },        { HOIST_MEMORY_RESERVED, false },
	{ HOIST_MEMORY_BAD, false },         { HOIST_MEMORY_UNACCEPTED, false },
};

static void the_list_changes_with_what_memory_is_and_not_with_whose(void)
{
	for (size_t i = 0; i < ARRAY_LEN(kind_rows); i++) {
		const char *name = memmap_kind_name(kind_rows[i].kind);
		struct machine m;

		machine_init_plain(&m);
		plan(&m, name);
		machine_add(&m, 0x30000000, PAGE, kind_rows[i].kind, MACHINE_ALL);
		machine_allocate(&m);
		CHECK_EQ(still_the_same(&m), kind_rows[i].same, name);
		machine_free(&m);
	}
}

static void lists_differ_if_anything_in_them_does(void)
{
	struct hoist_mapping lists[2][2] = {
		{ { 1, 2, 3, 4, 5, 6, 7 }, { 8, 9, 10, 11, 12, 13, 14 } },
		{ { 1, 2, 3, 4, 5, 6, 7 }, { 8, 9, 10, 11, 12, 13, 14 } },
	};
	struct layout a = { .mappings = lists[0], .mapping_count = 2 };
	struct layout b = { .mappings = lists[1], .mapping_count = 2 };
	uint8_t *bytes = (uint8_t *)lists[1];

	CHECK(layout_same_mappings(&a, &b), "alike");
	for (size_t i = 0; i < sizeof(lists[1]); i++) {
		bytes[i] ^= 1;
		CHECK(!layout_same_mappings(&a, &b), "one bit");
		bytes[i] ^= 1;
	}
	b.mapping_count = 1;
	CHECK(!layout_same_mappings(&a, &b), "shorter");
	a.mapping_count = 1;
	lists[1][1].size++;
	CHECK(layout_same_mappings(&a, &b), "what is behind the end does not count");
}

static void modules_follow_each_other_in_whole_pages(void)
{
	static const uint64_t sizes[] = { 0, 1, 4096, 0, 4097, 1 };
	static const uint64_t pages[] = { 0, 0, 1, 0, 2, 4 };
	struct machine m;

	machine_init_plain(&m);
	m.request.module_count = 0;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		machine_add_module(&m, sizes[i]);
	plan(&m, "six");
	CHECK_EQ(m.layout.modules.size, 5 * PAGE, "all of them");
	for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++)
		CHECK_EQ(layout_module(&m.request, &m.layout, i),
			 sizes[i] ? m.layout.modules.base + pages[i] * PAGE : 0, "place");
	machine_free(&m);
}

int main(void)
{
	RUN(the_list_of_a_tiny_machine_is_as_written_by_hand);
	RUN(without_identity_map_the_pages_of_the_handoff_remain);
	RUN(without_nx_everything_is_effectively_executable);
	RUN(with_five_levels_the_direct_map_lies_lower);
	RUN(parts_lie_highest_first_and_together_if_they_can);
	RUN(too_little_memory_is_refused_by_the_part_that_lacks_it);
	RUN(a_region_below_the_phase_of_a_kernel_does_not_hold_it);
	RUN(what_would_fit_at_address_0_alone_does_not_fit);
	RUN(modules_whose_sizes_add_up_past_the_end_are_refused);
	RUN(a_kernel_must_not_meet_the_windows);
	RUN(memory_above_the_windows_is_refused);
	RUN(what_the_core_refuses_is_refused_with_its_words);
	RUN(too_small_a_list_is_refused);
	RUN(the_room_that_is_announced_suffices);
	RUN(every_kind_is_mapped_as_its_attributes_say);
	RUN(a_framebuffer_is_write_combining_in_every_alias_and_only_there);
	RUN(devices_that_share_a_page_follow_the_last);
	RUN(a_low_page_is_kept_for_starting_processors);
	RUN(of_several_low_pages_the_highest_is_kept);
	RUN(devices_are_mapped_up_to_the_limit);
	RUN(page_0_is_in_the_direct_map_alone);
	RUN(what_is_read_only_is_so_in_every_alias);
	RUN(a_hole_in_the_image_is_not_mapped_where_it_is_linked);
	RUN(code_and_data_of_the_switch_may_lie_in_any_order);
	RUN(allocating_what_was_planned_does_not_change_the_list);
	RUN(the_list_changes_with_what_memory_is_and_not_with_whose);
	RUN(lists_differ_if_anything_in_them_does);
	RUN(modules_follow_each_other_in_whole_pages);
	return check_done();
}
