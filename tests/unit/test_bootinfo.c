#include "loader/bootinfo.h"
#include "tests/check.h"
#include "tests/fake/machine.h"

#define PAGE   UINT64_C(0x1000)
#define CASES  200
#define TEXT   5000
#define PIECES (2 * CONFIG_MAX_MODULES + 13)

static const char *status_text(int status)
{
	return loader_strerror((enum loader_status)status);
}

/* A machine, what is said about it, and the block. */
struct fixture {
	struct machine machine;
	struct config config;
	struct bootinfo_source source;
	uint8_t *block; /* of exactly layout.info.size bytes */
};

/* Texts are slices of it. */
static char text[TEXT];

static void fixture_init(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	machine_init_plain(&f->machine);
	config_init(&f->config);
	f->source = (struct bootinfo_source){
		.config = &f->config,
		.request = &f->machine.request,
		.layout = &f->machine.layout,
		.memory_room = 40,
		.efi_map_room = 4800,
	};
	f->machine.request.module_count = 0;
}

static void fixture_free(struct fixture *f)
{
	machine_free(&f->machine);
	free(f->block);
}

static void add_module(struct fixture *f, uint64_t size, struct config_text path,
		       struct config_text string)
{
	uint32_t index = f->config.module_count++;

	f->config.modules[index] = (struct config_module){ path, string };
	machine_add_module(&f->machine, size);
}

/* Measured, planned and written as efi/ does. */
static struct hoist_info *fixture_write(struct fixture *f)
{
	struct machine *m = &f->machine;
	struct loader_error error;

	machine_settle(m);
	m->request.info_size = bootinfo_size(&f->source);
	CHECK_STATUS(machine_plan(m, &error), LOADER_OK, status_text, "set-up");
	f->block = malloc(m->layout.info.size);
	if (!f->block)
		abort();
	memset(f->block, 0x5a, m->layout.info.size);
	return bootinfo_write(&f->source, f->block);
}

static void *at(const struct fixture *f, uint64_t address)
{
	return f->block + (address - f->machine.layout.info.base);
}

/* ---- everything lies in the block ------------------------------------------------ */

struct piece {
	uint64_t address, size;
};

struct pieces {
	struct piece list[PIECES];
	size_t count;
	uint64_t end; /* of the highest */
};

static void piece_add(struct pieces *pieces, uint64_t address, uint64_t size)
{
	pieces->list[pieces->count++] = (struct piece){ address, size };
	if (size != 0 && pieces->end < address + size)
		pieces->end = address + size;
}

static void list_add(struct pieces *pieces, const struct hoist_list *list)
{
	piece_add(pieces, list->address, (uint64_t)list->count * list->stride);
}

static void string_add(struct pieces *pieces, const struct hoist_string *string)
{
	piece_add(pieces, string->address, string->length + 1);
}

static void collect(const struct fixture *f, const struct hoist_info *info,
		    struct pieces *ret_pieces)
{
	*ret_pieces = (struct pieces){ .count = 0 };
	piece_add(ret_pieces, info->block, info->size);
	list_add(ret_pieces, &info->memory);
	list_add(ret_pieces, &info->mappings);
	list_add(ret_pieces, &info->page_tables);
	list_add(ret_pieces, &info->modules);
	list_add(ret_pieces, &info->boot_volume.device_path);
	list_add(ret_pieces, &info->efi_memory);
	list_add(ret_pieces, &info->processors);
	list_add(ret_pieces, &info->ioapics);
	list_add(ret_pieces, &info->ecam);
	string_add(ret_pieces, &info->cmdline);
	string_add(ret_pieces, &info->loader);
	for (uint32_t i = 0; i < info->modules.count; i++) {
		const struct hoist_module *module = (const struct hoist_module *)at(
							    f, info->modules.address) +
						    i;

		string_add(ret_pieces, &module->path);
		string_add(ret_pieces, &module->string);
	}
}

static void expect_inside_and_apart(const struct hoist_info *info, const struct pieces *pieces,
				    const char *name)
{
	for (size_t i = 0; i < pieces->count; i++) {
		const struct piece *a = &pieces->list[i];

		if (a->size == 0) {
			CHECK_EQ(a->address, 0, name);
			continue;
		}
		CHECK(fits(a->address - info->block, a->size, info->block_size), name);
		CHECK_EQ(a->address % 16, 0, name);
		for (size_t j = 0; j < i; j++) {
			const struct piece *b = &pieces->list[j];

			CHECK(a->address >= b->address + b->size ||
				      b->address >= a->address + a->size,
			      name);
		}
	}
}

static void expect_string(const struct fixture *f, const struct hoist_string *got,
			  struct config_text want, const char *name)
{
	const char *bytes = at(f, got->address);

	CHECK_EQ(got->length, want.length, name);
	CHECK(memcmp(bytes, want.bytes, want.length) == 0, name);
	CHECK_EQ(bytes[want.length], 0, name);
}

static void expect_elements(const struct fixture *f, const struct hoist_list *got, const void *want,
			    uint32_t count, uint32_t stride, const char *name)
{
	CHECK_EQ(got->count, count, name);
	CHECK_EQ(got->stride, stride, name);
	CHECK(count == 0 || memcmp(at(f, got->address), want, (size_t)count * stride) == 0, name);
}

static void expect_hardware(const struct fixture *f, const struct hoist_info *info,
			    const char *name)
{
	const struct acpi *acpi = f->source.acpi;

	if (!acpi) {
		CHECK(info->processors.address == 0 && info->processors.count == 0, name);
		CHECK(info->ioapics.count == 0 && info->ecam.count == 0 && info->lapic == 0, name);
		return;
	}
	expect_elements(f, &info->processors, acpi->processors, acpi->processor_room,
			sizeof(struct hoist_processor), name);
	expect_elements(f, &info->ioapics, acpi->ioapics, acpi->ioapic_room,
			sizeof(struct hoist_ioapic), name);
	expect_elements(f, &info->ecam, acpi->ecam, acpi->ecam_room, sizeof(struct hoist_ecam),
			name);
	CHECK_EQ(info->lapic, acpi->lapic, name);
	CHECK_EQ(info->hpet, acpi->hpet, name);
}

static void expect_modules(const struct fixture *f, const struct hoist_info *info, const char *name)
{
	const struct layout_request *request = &f->machine.request;

	CHECK_EQ(info->modules.count, f->config.module_count, name);
	CHECK_EQ(info->modules.stride, sizeof(struct hoist_module), name);
	for (uint32_t i = 0; i < info->modules.count; i++) {
		const struct hoist_module *module = (const struct hoist_module *)at(
							    f, info->modules.address) +
						    i;

		CHECK_EQ(module->address, layout_module(request, &f->machine.layout, i), name);
		CHECK_EQ(module->size, request->module_sizes[i], name);
		expect_string(f, &module->path, f->config.modules[i].path, name);
		expect_string(f, &module->string, f->config.modules[i].string, name);
	}
}

static void expect_lists(const struct fixture *f, const struct hoist_info *info, const char *name)
{
	const struct layout *layout = &f->machine.layout;
	const struct hoist_extent *tables = at(f, info->page_tables.address);

	CHECK_EQ(info->mappings.count, layout->mapping_count, name);
	CHECK_EQ(info->mappings.stride, sizeof(struct hoist_mapping), name);
	CHECK(memcmp(at(f, info->mappings.address), layout->mappings,
		     layout->mapping_count * sizeof(*layout->mappings)) == 0,
	      name);
	CHECK_EQ(info->page_tables.count, 1, name);
	CHECK_EQ(info->page_tables.stride, sizeof(*tables), name);
	CHECK_EQ(tables->address, layout->tables.base, name);
	CHECK_EQ(tables->size, layout->plan.tables * PAGE, name);
	CHECK_EQ(info->boot_volume.device_path.count, f->source.device_path_size, name);
	CHECK_EQ(info->boot_volume.device_path.stride, 1, name);
	if (f->source.device_path_size != 0)
		CHECK(memcmp(at(f, info->boot_volume.device_path.address), f->source.device_path,
			     f->source.device_path_size) == 0,
		      name);
	CHECK_EQ(info->memory.count, f->source.memory_room, name);
	CHECK_EQ(info->memory.stride, sizeof(struct hoist_memory), name);
	CHECK_EQ(info->efi_memory.count, f->source.efi_map_room, name);
}

static void expect_block(const struct fixture *f, const struct hoist_info *info, const char *name)
{
	static const char loader[] = "hoist 0.1";
	struct pieces pieces;

	collect(f, info, &pieces);
	expect_inside_and_apart(info, &pieces, name);
	expect_lists(f, info, name);
	expect_modules(f, info, name);
	expect_hardware(f, info, name);
	expect_string(f, &info->cmdline, f->config.cmdline, name);
	expect_string(f, &info->loader, (struct config_text){ loader, sizeof(loader) - 1 }, name);

	/* With no more mappings than there are, the size is the least possible. */
	struct layout exact = f->machine.layout;
	struct bootinfo_source source = f->source;

	exact.capacity = exact.mapping_count;
	source.layout = &exact;
	CHECK_EQ(bootinfo_size(&source), align_up(pieces.end - info->block, PAGE), name);
	CHECK_EQ(bootinfo_size(&f->source), f->machine.layout.info.size, name);
}

static struct config_text random_text(uint64_t *state)
{
	uint64_t length = check_random(state) % (check_random(state) % 4 ? 40 : TEXT / 2);

	return (struct config_text){ text + check_random(state) % (TEXT / 2), (uint32_t)length };
}

/* Hardware is slices of `text` too: the writer does not look at what it copies. */
static void random_hardware(struct fixture *f, struct acpi *acpi, uint64_t *state)
{
	static struct hoist_processor processors[40];
	static struct hoist_ioapic ioapics[5];
	static struct hoist_ecam ecam[5];

	memcpy(processors, text, sizeof(processors));
	memcpy(ioapics, text + 1000, sizeof(ioapics));
	memcpy(ecam, text + 2000, sizeof(ecam));
	*acpi = (struct acpi){ .processors = processors,
			       .ioapics = ioapics,
			       .ecam = ecam,
			       .processor_room = (uint32_t)(check_random(state) % 41),
			       .ioapic_room = (uint32_t)(check_random(state) % 6),
			       .ecam_room = (uint32_t)(check_random(state) % 6),
			       .lapic = check_random(state),
			       .hpet = check_random(state) };
	f->source.acpi = acpi;
}

static void random_case(uint64_t seed)
{
	struct acpi acpi;
	uint64_t state = seed;
	struct fixture f;
	char name[32];

	snprintf(name, sizeof(name), "SEED=%" PRIu64, seed);
	fixture_init(&f);
	f.config.cmdline = random_text(&state);
	for (uint64_t i = check_random(&state) % (MACHINE_MODULES + 1); i > 0; i--)
		add_module(&f, check_random(&state) % 3 * 5000, random_text(&state),
			   random_text(&state));
	f.source.device_path = text + 1;
	f.source.device_path_size = (uint32_t)(check_random(&state) % 3 * 41);
	if (check_random(&state) % 4 != 0)
		random_hardware(&f, &acpi, &state);
	f.source.memory_room = 20 + (uint32_t)(check_random(&state) % 300);
	f.source.efi_map_room = (uint32_t)(check_random(&state) % 10000);
	if (check_random(&state) % 8 == 0)
		f.source.efi_map_room = 0;
	expect_block(&f, fixture_write(&f), name);

	/* The EFI map fills its room to the last byte, and spoils nothing else. */
	if (f.source.efi_map_room != 0)
		memset(bootinfo_efi_map(f.block), 0xff, f.source.efi_map_room);
	expect_block(&f, (const struct hoist_info *)(const void *)f.block, name);
	fixture_free(&f);
}

static void all_that_the_block_points_to_lies_in_it(void)
{
	uint64_t seed = check_seed(1), state = seed;

	for (size_t i = 0; i < TEXT; i++)
		text[i] = (char)(check_random(&state) % 255 + 1);
	for (uint64_t i = 0; i < CASES && check_failures == 0; i++)
		random_case(seed + i);
}

/* ---- numbers ------------------------------------------------------------------- */

static void the_numbers_are_those_of_the_plan(void)
{
	struct fixture f;

	fixture_init(&f);
	f.machine.request.cpu.levels = 5;
	f.machine.kernel.tls_virt = 0x1111;
	f.machine.kernel.tls_file_size = 0x2222;
	f.machine.kernel.tls_size = 0x3333;
	f.machine.kernel.tls_alignment = 0x40;

	const struct hoist_info *info = fixture_write(&f);
	const struct layout *layout = &f.machine.layout;

	CHECK((const uint8_t *)info == f.block, "it is the first thing of the block");
	CHECK_EQ(info->magic, HOIST_MAGIC, "magic");
	CHECK(memcmp(&info->magic, "hoistIv1", 8) == 0, "magic as text");
	CHECK_EQ(info->version, 2, "version");
	CHECK_EQ(info->size, sizeof(*info), "size");
	CHECK_EQ(info->block, layout->info.base, "block");
	CHECK_EQ(info->block_size, layout->info.size, "block");
	CHECK_EQ(info->direct_map_virt, LAYOUT_DIRECT_MAP_5, "direct map");
	CHECK_EQ(info->page_table_root, layout->tables.base, "root");
	CHECK_EQ(info->levels, 5, "levels");
	CHECK_EQ(info->table_count, layout->plan.tables, "tables");
	CHECK_EQ(info->kernel, layout->kernel.base, "kernel");
	CHECK_EQ(info->kernel_virt, f.machine.kernel.virt, "kernel");
	CHECK_EQ(info->kernel_size, f.machine.kernel.size, "kernel");
	CHECK_EQ(info->stack, layout->stack.base, "stack");
	CHECK_EQ(info->startup_page, 0x9f000, "page for starting processors");
	CHECK_EQ(info->stack_virt, UINT64_C(0xffffffff00001000), "stack");
	CHECK_EQ(info->stack_size, f.machine.request.stack_size, "stack");
	CHECK_EQ(info->tls.address_virt, 0x1111, "TLS");
	CHECK_EQ(info->tls.file_size, 0x2222, "TLS");
	CHECK_EQ(info->tls.size, 0x3333, "TLS");
	CHECK_EQ(info->tls.alignment, 0x40, "TLS");
	fixture_free(&f);
}

static void what_is_said_about_the_machine_is_handed_on(void)
{
	struct fixture f;

	fixture_init(&f);

	struct hoist_info *said = &f.source.info;

	said->framebuffer = (struct hoist_framebuffer){ .address = 1, .width = 2, .red_mask = 3 };
	memset(said->boot_volume.partition_guid, 4, 16);
	said->acpi_rsdp = 5;
	said->smbios = 6;
	said->smbios3 = 7;
	said->efi_system_table = 8;
	said->tsc_hz = 9;
	said->tsc[HOIST_PHASE_AUDIT] = 10;
	said->tsc[15] = 11;
	said->cpu = (struct hoist_cpu){ 12, 13, 14, 15 };
	said->entropy_sources = 16;
	memset(said->entropy, 17, sizeof(said->entropy));

	const struct hoist_info *info = fixture_write(&f);

	CHECK(memcmp(&info->framebuffer, &said->framebuffer, sizeof(said->framebuffer)) == 0,
	      "framebuffer");
	CHECK(memcmp(info->boot_volume.partition_guid, said->boot_volume.partition_guid, 16) == 0,
	      "partition");
	CHECK_EQ(info->acpi_rsdp, 5, "ACPI");
	CHECK_EQ(info->smbios, 6, "SMBIOS");
	CHECK_EQ(info->smbios3, 7, "SMBIOS 3");
	CHECK_EQ(info->efi_system_table, 8, "system table");
	CHECK_EQ(info->tsc_hz, 9, "frequency");
	CHECK(memcmp(&info->cpu, &said->cpu, sizeof(said->cpu)) == 0, "processor");
	CHECK_EQ(info->entropy_sources, 16, "entropy");
	CHECK(memcmp(info->entropy, said->entropy, sizeof(said->entropy)) == 0, "entropy");
	CHECK(memcmp(info->tsc, said->tsc, sizeof(said->tsc)) == 0, "time stamps");
	fixture_free(&f);
}

static void what_is_not_there_has_address_0(void)
{
	struct fixture f;

	fixture_init(&f);

	const struct hoist_info *info = fixture_write(&f);

	CHECK_EQ(info->modules.address, 0, "no modules");
	CHECK_EQ(info->modules.count, 0, "no modules");
	CHECK_EQ(info->boot_volume.device_path.address, 0, "no device path");
	CHECK_EQ(info->cmdline.length, 0, "no command line");
	CHECK_EQ(*(const char *)at(&f, info->cmdline.address), 0, "an empty string has its NUL");
	fixture_free(&f);
}

/* What was in the memory before does not reach the kernel. */
static void what_is_not_used_of_the_block_is_zero(void)
{
	struct fixture f;
	struct pieces pieces;

	fixture_init(&f);
	collect(&f, fixture_write(&f), &pieces);
	for (size_t i = 1; i < pieces.count; i++) {
		const struct piece *piece = &pieces.list[i];

		if (piece->size != 0)
			memset(at(&f, piece->address), 0, piece->size);
	}
	memset(f.block, 0, sizeof(struct hoist_info));
	for (uint64_t i = 0; i < f.machine.layout.info.size; i++)
		CHECK_EQ(f.block[i], 0, "unused byte");
	fixture_free(&f);
}

/* ---- the memory map -------------------------------------------------------------- */

#define ROOM 40

static struct memmap_region regions[ROOM + 1];

static void make_regions(uint64_t salt)
{
	for (size_t i = 0; i < ARRAY_LEN(regions); i++)
		regions[i] = (struct memmap_region){ .base = (salt + 2 * i) * PAGE,
						     .size = PAGE,
						     .kind = (uint32_t)i % 16,
						     .reserved = 77,
						     .attributes = salt ^ i };
}

static void expect_memory(const struct fixture *f, size_t count, const char *name)
{
	const struct hoist_info *info = (const struct hoist_info *)(const void *)f->block;
	const struct hoist_memory *memory = at(f, info->memory.address);

	CHECK_EQ(info->memory.count, count, name);
	CHECK_EQ(info->memory.stride, sizeof(*memory), name);
	for (size_t i = 0; i < count; i++) {
		CHECK_EQ(memory[i].address, regions[i].base, name);
		CHECK_EQ(memory[i].size, regions[i].size, name);
		CHECK_EQ(memory[i].kind, regions[i].kind, name);
		CHECK_EQ(memory[i].reserved, 0, name);
		CHECK_EQ(memory[i].efi_attributes, regions[i].attributes, name);
	}
}

/* With the EFI map behind it, and with nothing. */
static void the_memory_map_is_entered_as_often_as_the_firmware_changes_it(void)
{
	static const size_t counts[] = { ROOM / 2, ROOM, 1, 0, ROOM };
	static const uint32_t efi_rooms[] = { 4800, 0 };

	for (size_t j = 0; j < ARRAY_LEN(efi_rooms); j++) {
		struct fixture f;

		fixture_init(&f);
		f.source.efi_map_room = efi_rooms[j];
		fixture_write(&f);
		for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
			struct memmap map = { regions, counts[i], ARRAY_LEN(regions) };

			make_regions(i + 1);
			CHECK(bootinfo_set_memory(f.block, &map), "it fits");
			expect_memory(&f, counts[i], "entered");
		}
		fixture_free(&f);
	}
}

static void a_memory_map_that_is_too_long_changes_nothing(void)
{
	struct fixture f;
	struct memmap map = { regions, ROOM, ROOM + 1 };

	fixture_init(&f);
	fixture_write(&f);
	make_regions(1);
	CHECK(bootinfo_set_memory(f.block, &map), "as many as there is room for");

	uint64_t size = f.machine.layout.info.size;
	uint8_t *copy = malloc(size);

	if (!copy)
		abort();
	memcpy(copy, f.block, size);
	map.count = ROOM + 1;
	CHECK(!bootinfo_set_memory(f.block, &map), "one more");
	CHECK(memcmp(copy, f.block, size) == 0, "one more");
	free(copy);
	fixture_free(&f);
}

static void without_room_there_is_no_memory_map(void)
{
	struct fixture f;
	struct memmap map = { regions, 1, ROOM };

	fixture_init(&f);
	f.source.memory_room = 0;
	CHECK_EQ(fixture_write(&f)->memory.address, 0, "no room");
	CHECK(!bootinfo_set_memory(f.block, &map), "one region");
	fixture_free(&f);
}

static void the_efi_map_is_described_as_it_came(void)
{
	struct fixture f;

	fixture_init(&f);

	const struct hoist_info *info = fixture_write(&f);

	CHECK(bootinfo_efi_map(f.block) == at(&f, info->efi_memory.address), "its place");
	bootinfo_set_efi_map(f.block, 48 * 13, 48, 1);
	CHECK_EQ(info->efi_memory.count, 13, "descriptors");
	CHECK_EQ(info->efi_memory.stride, 48, "stride");
	CHECK_EQ(info->efi_memory_version, 1, "version");
	fixture_free(&f);
}

/* ---- regions of hoist's own ------------------------------------------------------- */

static void what_was_placed_is_added_with_the_attributes_of_its_memory(void)
{
	struct fixture f;
	struct memmap_region storage[5];
	struct memmap map = { storage, 0, 4 };

	fixture_init(&f);
	add_module(&f, 5000, (struct config_text){ text, 1 }, (struct config_text){ text, 0 });
	fixture_write(&f);

	const struct layout *layout = &f.machine.layout;
	const struct memmap_region want[] = {
		{ layout->kernel.base, layout->kernel.size, HOIST_MEMORY_KERNEL, 0, MACHINE_ALL },
		{ layout->modules.base, 2 * PAGE, HOIST_MEMORY_MODULE, 0, MACHINE_ALL },
		{ layout->stack.base, layout->stack.size, HOIST_MEMORY_STACK, 0, MACHINE_ALL },
		{ layout->tables.base, layout->tables.size, HOIST_MEMORY_PAGE_TABLES, 0,
		  MACHINE_ALL },
	};

	CHECK(bootinfo_add_regions(&map, &f.machine.map, layout), "room for four");
	CHECK_EQ(map.count, 4, "four");
	for (size_t i = 0; i < 4; i++) {
		CHECK_EQ(storage[i].base, want[i].base, "base");
		CHECK_EQ(storage[i].size, want[i].size, "size");
		CHECK_EQ(storage[i].kind, want[i].kind, "kind");
		CHECK_EQ(storage[i].attributes, want[i].attributes, "attributes");
	}
	for (map.capacity = 0; map.capacity < 4; map.capacity++) {
		map.count = 0;
		CHECK(!bootinfo_add_regions(&map, &f.machine.map, layout), "no room");
	}
	fixture_free(&f);
}

int main(void)
{
	RUN(all_that_the_block_points_to_lies_in_it);
	RUN(the_numbers_are_those_of_the_plan);
	RUN(what_is_said_about_the_machine_is_handed_on);
	RUN(what_is_not_there_has_address_0);
	RUN(what_is_not_used_of_the_block_is_zero);
	RUN(the_memory_map_is_entered_as_often_as_the_firmware_changes_it);
	RUN(a_memory_map_that_is_too_long_changes_nothing);
	RUN(without_room_there_is_no_memory_map);
	RUN(the_efi_map_is_described_as_it_came);
	RUN(what_was_placed_is_added_with_the_attributes_of_its_memory);
	return check_done();
}
