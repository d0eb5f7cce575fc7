#include "tests/check.h"
#include "tests/fake/machine.h"

#define PAGE    UINT64_C(0x1000)
#define LARGE   UINT64_C(0x200000)
#define GIB     (UINT64_C(1) << 30)
#define ENTRIES 512
#define DIRECT  UINT64_C(0xffff800000000000)
#define KERNEL  UINT64_C(0xffffffff80000000)
#define SCREEN  UINT64_C(0xfd000000)
#define SWITCH  UINT64_C(0x7e002000)

/* Bits of an entry (SDM 3A 4.5.4), written down again on purpose. */
#define P   UINT64_C(0x1)
#define RW  UINT64_C(0x2)
#define US  UINT64_C(0x4)
#define PWT UINT64_C(0x8)
#define PCD UINT64_C(0x10)
#define PS  UINT64_C(0x80)
#define G   UINT64_C(0x100)
#define XD  (UINT64_C(1) << 63)
/* Accessed and dirty, and what the processor ignores: 11:9 and 62:52. */
/* In a link bits 6 and 8 are ignored too; user rights are the leaf's decision. */

static const char *status_text(int status)
{
	return loader_strerror((enum loader_status)status);
}

/* ---- tables ---------------------------------------------------------------- */

static void build(struct machine *m)
{
	struct loader_error error;

	CHECK_STATUS(machine_plan(m, &error), LOADER_OK, status_text, "set-up");
	CHECK(machine_build(m) == PT_OK, "set-up");
}

static void build_plain(struct machine *m)
{
	machine_init_plain(m);
	build(m);
}

/* The other extreme: 5 levels, no 1 GiB leaves, no NX. */
static void build_old_and_deep(struct machine *m)
{
	machine_init_plain(m);
	m->request.cpu = (struct pt_cpu){
		.levels = 5, .max_leaf = 2, .phys_bits = 40, .nx = false, .pat = PT_PAT_FULL
	};
	build(m);
}

static uint64_t *table_at(const struct machine *m, uint64_t address)
{
	return m->tables + (address - m->layout.tables.base) / sizeof(uint64_t);
}

static uint64_t frame(uint64_t entry)
{
	return entry & UINT64_C(0x000ffffffffff000);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == 1 || (entry & PS);
}

/* The entry of the table of `level` on the way to `virt`, which is there. */
static uint64_t *entry_at(const struct machine *m, uint64_t virt, unsigned level)
{
	uint64_t *table = table_at(m, m->layout.tables.base);
	unsigned at = m->request.cpu.levels;

	for (; at > level; at--)
		table = table_at(m, frame(table[virt >> (12 + 9 * (at - 1)) & 511]));
	return &table[virt >> (12 + 9 * (level - 1)) & 511];
}

/* The entry of the leaf that translates `virt`. */
static uint64_t *leaf_at(const struct machine *m, uint64_t virt)
{
	unsigned level = m->request.cpu.levels;

	while (!is_leaf(*entry_at(m, virt, level), level))
		level--;
	return entry_at(m, virt, level);
}

static enum loader_status audit(const struct machine *m, struct loader_error *ret_error)
{
	struct audit_request request = machine_audit_request(m);

	return audit_tables(&request, ret_error);
}

static void expect_clean(const struct machine *m, const char *name)
{
	struct loader_error error, untouched;

	memset(&untouched, 0x5a, sizeof(untouched));
	memcpy(&error, &untouched, sizeof(error));
	CHECK_STATUS(audit(m, &error), LOADER_OK, status_text, name);
	CHECK(memcmp(&error, &untouched, sizeof(error)) == 0, name);
}

static void expect_caught(const struct machine *m, const char *field, uint64_t where,
			  const char *name)
{
	struct loader_error error = { .field = "nothing" };

	CHECK_STATUS(audit(m, &error), LOADER_ERR_AUDIT, status_text, name);
	CHECK_STATUS(error.status, LOADER_ERR_AUDIT, status_text, name);
	if (strcmp(error.field, field) != 0)
		CHECK_FAIL("%s: field is \"%s\", expected \"%s\"", name, error.field, field);
	CHECK_EQ(error.value, where, name);
	CHECK(error.where && strcmp(error.where, "page tables") == 0 && error.expected, name);
	CHECK_EQ(error.index, LOADER_NO_INDEX, name);
}

/* ---- every bit --------------------------------------------------------------- */

/* A table, and what leads to it. */
struct spot {
	uint64_t address, virt;
	unsigned level;
};

static uint64_t entry_virt(const struct machine *m, const struct spot *spot, unsigned index)
{
	unsigned unused = 64 - (12 + 9u * m->request.cpu.levels);
	uint64_t virt = spot->virt + ((uint64_t)index << (12 + 9 * (spot->level - 1)));

	return (uint64_t)((int64_t)(virt << unused) >> unused);
}

static unsigned cache_of_leaf(const struct machine *m, uint64_t entry, unsigned level)
{
	unsigned index = (entry & PWT ? 1u : 0) + (entry & PCD ? 2u : 0) +
			 (entry & (level == 1 ? PS : UINT64_C(0x1000)) ? 4u : 0);

	return (m->request.cpu.pat >> (8 * index)) & 7;
}

/* Everything does, but for indices of the PAT that select the same memory type. */
static bool flip_matters(const struct machine *m, uint64_t entry, uint64_t flip, unsigned level)
{
	uint64_t pat = level == 1 ? PS : UINT64_C(0x1000);

	if (entry == 0 || !is_leaf(entry, level) || !(flip & (PWT | PCD | pat)))
		return true;
	return cache_of_leaf(m, entry, level) != cache_of_leaf(m, entry ^ flip, level);
}

static unsigned flips_caught, flips_ignored;

static void flip_bits(const struct machine *m, uint64_t *entry, unsigned level, uint64_t virt)
{
	const uint64_t kept = *entry;
	bool leaf = kept && is_leaf(kept, level);

	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t flip = UINT64_C(1) << bit;
		bool matters = flip_matters(m, kept, flip, level);
		struct loader_error error = { .value = virt };
		enum loader_status want = matters ? LOADER_ERR_AUDIT : LOADER_OK;

		*entry = kept ^ flip;
		if (audit(m, &error) != want || (leaf && error.value != virt))
			CHECK_FAIL("bit %u of %#" PRIx64 ", level %u, %#" PRIx64
				   ": %s at %#" PRIx64,
				   bit, kept, level, virt, matters ? "missed" : "refused",
				   error.value);
		flips_caught += matters;
		flips_ignored += !matters;
		*entry = kept;
	}
}

/* Entries worth a try: the neighbours of another sort, and one in between now and then. */
static bool is_sample(const uint64_t *table, unsigned index, unsigned level)
{
	const uint64_t sort = RW | PS | XD | P | PWT | PCD;
	uint64_t entry = table[index];

	if (level >= 3 && entry)
		return true;
	if (index == 0 || index == ENTRIES - 1)
		return true;
	return ((entry ^ table[index - 1]) & sort) || index % 201 == 7;
}

static void flip_table(const struct machine *m, const struct spot *spot)
{
	uint64_t *table = table_at(m, spot->address);

	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t virt = entry_virt(m, spot, i);

		if (is_sample(table, i, spot->level))
			flip_bits(m, &table[i], spot->level, virt);
		if (table[i] && !is_leaf(table[i], spot->level)) {
			struct spot below = { frame(table[i]), virt, spot->level - 1 };

			flip_table(m, &below);
		}
	}
}

static void flip_all(struct machine *m)
{
	struct spot root = { m->layout.tables.base, 0, m->request.cpu.levels };

	flips_caught = flips_ignored = 0;
	expect_clean(m, "before");
	flip_table(m, &root);
	expect_clean(m, "after");
	printf("# %u flips caught, %u of no effect\n", flips_caught, flips_ignored);
	machine_free(m);
}

static void every_flipped_bit_that_matters_is_caught_with_4_levels(void)
{
	struct machine m;

	build_plain(&m);
	flip_all(&m);
}

static void every_flipped_bit_that_matters_is_caught_with_5_levels_and_no_nx(void)
{
	struct machine m;

	build_old_and_deep(&m);
	flip_all(&m);
}

/* ---- larger damage ------------------------------------------------------------- */

static void damage_leaf_missing(struct machine *m)
{
	*leaf_at(m, KERNEL + PAGE) = 0;
}

static void damage_last_leaf_missing(struct machine *m)
{
	*leaf_at(m, KERNEL + 8 * PAGE) = 0;
}

static void damage_leaf_too_many(struct machine *m)
{
	*entry_at(m, KERNEL + 9 * PAGE, 1) = 0x5000 | RW | P | XD;
}

static void damage_guard_page_mapped(struct machine *m)
{
	*entry_at(m, m->layout.stack_virt - PAGE, 1) = 0x5000 | RW | P | XD;
}

static void damage_null_mapped(struct machine *m)
{
	*entry_at(m, 0, 1) = RW | P | XD;
}

static void damage_frames_swapped(struct machine *m)
{
	uint64_t *entry = leaf_at(m, m->layout.stack_virt + 2 * PAGE), kept = entry[0];

	entry[0] = entry[1];
	entry[1] = kept;
}

static void damage_large_leaf_for_small_ones(struct machine *m)
{
	*entry_at(m, KERNEL, 2) = align_down(m->layout.kernel.base, LARGE) | P | PS;
}

static void damage_large_leaf_across_a_border(struct machine *m)
{
	*entry_at(m, SCREEN + LARGE, 2) = *entry_at(m, SCREEN, 2) + LARGE;
}

static void damage_table_linked_twice(struct machine *m)
{
	/* Both aliases have the same leaves there, so what is mapped does not change. */
	*entry_at(m, DIRECT + 4 * GIB, 3) = *entry_at(m, 4 * GIB, 3);
	*entry_at(m, DIRECT + SCREEN, 3) = *entry_at(m, SCREEN, 3);
}

static void damage_link_to_the_root(struct machine *m)
{
	*entry_at(m, DIRECT, 4) = m->layout.tables.base | P | RW | US;
}

static void damage_table_below_the_block(struct machine *m)
{
	*entry_at(m, KERNEL, 2) = (m->layout.tables.base - PAGE) | P | RW | US;
}

static void damage_table_behind_the_block(struct machine *m)
{
	*entry_at(m, KERNEL, 2) = (m->layout.tables.base + m->layout.tables.size) | P | RW | US;
}

static void damage_alias_cached(struct machine *m)
{
	*leaf_at(m, DIRECT + SCREEN) &= ~(PWT | PCD | UINT64_C(0x1000));
}

static void damage_alias_writable(struct machine *m)
{
	*leaf_at(m, m->layout.kernel.base) |= RW;
}

static void damage_data_executable(struct machine *m)
{
	*leaf_at(m, m->layout.stack_virt) &= ~XD;
}

static void damage_direct_map_of_the_switch_executable(struct machine *m)
{
	*leaf_at(m, DIRECT + SWITCH) &= ~XD;
}

static void damage_link_read_only(struct machine *m)
{
	*entry_at(m, DIRECT, 4) &= ~RW;
}

static void damage_link_not_executable(struct machine *m)
{
	*entry_at(m, KERNEL, 4) |= XD;
}

static void damage_table_uncached(struct machine *m)
{
	*entry_at(m, KERNEL, 2) |= PCD;
}

static void damage_nothing_linked(struct machine *m)
{
	memset(m->tables, 0, PAGE);
}

struct damage_row {
	const char *name;
	void (*damage)(struct machine *m);
	const char *field;
	uint64_t where;
};

static const struct damage_row damage_rows[] = {
	{ "a leaf is missing", damage_leaf_missing, "leaf", KERNEL + 2 * PAGE },
	{ "the last leaf is missing", damage_last_leaf_missing, "mapping", KERNEL + 8 * PAGE },
	{ "a leaf behind the last", damage_leaf_too_many, "leaf", KERNEL + 9 * PAGE },
	{ "a guard page is mapped", damage_guard_page_mapped, "leaf",
	  UINT64_C(0xffffffff00000000) },
	{ "page 0 is mapped", damage_null_mapped, "leaf", 0 },
	{ "two frames are swapped", damage_frames_swapped, "physical address",
	  UINT64_C(0xffffffff00003000) },
	{ "a large leaf where small ones were", damage_large_leaf_for_small_ones, "leaf size",
	  KERNEL },
	{ "a large leaf across the end of its mapping", damage_large_leaf_across_a_border,
	  "leaf size", SCREEN + LARGE },
	{ "two tables are linked twice, two alike not at all", damage_table_linked_twice, "table",
	  DIRECT + 3 * GIB },
	{ "a link to the root", damage_link_to_the_root, "table", DIRECT },
	{ "a table below the block", damage_table_below_the_block, "table", KERNEL },
	{ "a table behind the block", damage_table_behind_the_block, "table", KERNEL },
	{ "an alias of the framebuffer is cached", damage_alias_cached, "cache type",
	  DIRECT + SCREEN },
	{ "data are executable", damage_data_executable, "rights", UINT64_C(0xffffffff00001000) },
	{ "an alias of the switch is executable", damage_direct_map_of_the_switch_executable,
	  "rights", DIRECT + SWITCH },
	{ "a link takes the right to write away", damage_link_read_only, "link", DIRECT },
	{ "a link takes the right to execute away", damage_link_not_executable, "link",
	  UINT64_C(0xffffff8000000000) },
	{ "a table is read uncached", damage_table_uncached, "link", KERNEL },
	{ "nothing is linked", damage_nothing_linked, "mapping", PAGE },
};

static void damage_is_caught_where_it_is(void)
{
	for (size_t i = 0; i < ARRAY_LEN(damage_rows); i++) {
		const struct damage_row *row = &damage_rows[i];
		struct machine m;

		build_plain(&m);
		expect_clean(&m, row->name);
		row->damage(&m);
		expect_caught(&m, row->field, row->where, row->name);
		machine_free(&m);
	}
}

static void read_only_bytes_that_can_be_written_through_an_alias_are_caught(void)
{
	struct machine m;

	build_plain(&m);
	damage_alias_writable(&m);
	expect_caught(&m, "rights", m.layout.kernel.base, "identity map");
	machine_free(&m);
	build_plain(&m);
	*leaf_at(&m, DIRECT + m.layout.modules.base) |= RW;
	expect_caught(&m, "rights", DIRECT + m.layout.modules.base, "direct map");
	machine_free(&m);
}

/* Both PDs hold the same 2 MiB leaves; more tables than one walk takes note of. */
static void a_table_linked_twice_is_caught_among_thousands(void)
{
	struct machine m;

	machine_init(&m);
	m.request.cpu.max_leaf = 2;
	m.request.handoff_code = (struct layout_extent){ 0x8000, PAGE };
	m.request.handoff_data = (struct layout_extent){ 0x9000, PAGE };
	machine_add(&m, 0x8000, 2 * PAGE, HOIST_MEMORY_RECLAIMABLE, MACHINE_ALL);
	machine_add(&m, GIB, 1500 * GIB, HOIST_MEMORY_USABLE, MACHINE_ALL);
	build(&m);
	CHECK(m.layout.plan.tables > 3000, "more than one walk notes");
	expect_clean(&m, "before");
	for (uint64_t i = 1; i < 1500; i += 211) {
		uint64_t *entry = entry_at(&m, DIRECT + i * GIB, 3), kept = *entry;

		*entry = *entry_at(&m, i * GIB, 3);
		expect_caught(&m, "table", DIRECT + i * GIB, "linked twice");
		*entry = kept;
	}
	expect_clean(&m, "after");
	machine_free(&m);
}

/* ---- another list, another processor --------------------------------------------- */

enum change {
	VIRT,
	ADDRESS,
	SHORTER,
	LONGER,
	NO_WRITE,
	EXECUTE,
	CACHE,
	FIRST_MISSING,
	LAST_MISSING,
	TABLE_MORE,
	TABLE_LESS,
	NO_TABLES,
	ROOT_OUTSIDE,
	LEVELS,
	MAX_LEAF,
	PHYS_BITS,
	NX,
	PAT,
};

/* `last` is the last mapping of the list. */
static void change_request(struct audit_request *request, struct hoist_mapping *last,
			   enum change change)
{
	switch (change) {
	case VIRT:
		last->address_virt += PAGE;
		break;
	case ADDRESS:
		last->address += PAGE;
		break;
	case SHORTER:
		last->size -= PAGE;
		break;
	case LONGER:
		last->size += PAGE;
		break;
	case NO_WRITE:
		last->effective = 0;
		break;
	case EXECUTE:
		last->effective |= HOIST_RIGHT_EXECUTE;
		break;
	case CACHE:
		last->cache = HOIST_CACHE_WT;
		break;
	case FIRST_MISSING:
		request->mappings++;
		request->mapping_count--;
		break;
	case LAST_MISSING:
		request->mapping_count--;
		break;
	case TABLE_MORE:
		request->table_count++;
		break;
	case TABLE_LESS:
		request->table_count--;
		break;
	case NO_TABLES:
		request->table_count = 0;
		break;
	case ROOT_OUTSIDE:
		request->root -= PAGE;
		break;
	case LEVELS:
		request->levels = 3;
		break;
	case MAX_LEAF:
		request->max_leaf = 2;
		break;
	case PHYS_BITS:
		request->phys_bits = 32;
		break;
	case NX:
		request->nx = false;
		break;
	case PAT:
		request->pat = PT_PAT_RESET;
		break;
	}
}

struct change_row {
	const char *name;
	enum change change;
	const char *field;
	uint64_t where;
};

/* The last mapping is the kernel's data: 4 pages from the sixth. */
static const struct change_row change_rows[] = {
	{ "virtual address", VIRT, "leaf", KERNEL + 5 * PAGE },
	{ "physical address", ADDRESS, "physical address", KERNEL + 5 * PAGE },
	{ "a mapping is shorter", SHORTER, "leaf", KERNEL + 8 * PAGE },
	{ "a mapping is longer", LONGER, "mapping", KERNEL + 9 * PAGE },
	{ "read-only", NO_WRITE, "rights", KERNEL + 5 * PAGE },
	{ "executable", EXECUTE, "rights", KERNEL + 5 * PAGE },
	{ "cache type", CACHE, "cache type", KERNEL + 5 * PAGE },
	{ "the first mapping is missing", FIRST_MISSING, "leaf", PAGE },
	{ "the last mapping is missing", LAST_MISSING, "leaf", KERNEL + 5 * PAGE },
	{ "no tables", NO_TABLES, "table", 0 },
	{ "the root lies outside", ROOT_OUTSIDE, "table", 0 },
	{ "three levels", LEVELS, "levels", 3 },
	{ "no 1 GiB leaves", MAX_LEAF, "leaf size", 4 * GIB },
	{ "tables above the physical width", PHYS_BITS, "entry", 0 },
	{ "no NX, so XD is reserved", NX, "entry", PAGE },
	{ "a PAT without write-combining", PAT, "cache type", SCREEN },
};

static void tables_that_fit_another_request_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(change_rows); i++) {
		const struct change_row *row = &change_rows[i];
		struct loader_error error = { .field = "nothing" };
		struct machine m;

		build_plain(&m);

		struct audit_request request = machine_audit_request(&m);

		change_request(&request, &m.layout.mappings[m.layout.mapping_count - 1],
			       row->change);
		CHECK_STATUS(audit_tables(&request, &error), LOADER_ERR_AUDIT, status_text,
			     row->name);
		if (strcmp(error.field, row->field) != 0)
			CHECK_FAIL("%s: field is \"%s\"", row->name, error.field);
		CHECK_EQ(error.value, row->where, row->name);
		machine_free(&m);
	}
}

static void the_number_of_tables_has_to_be_the_planned_one(void)
{
	static const enum change changes[] = { TABLE_MORE, TABLE_LESS };
	static const char *const fields[] = { "tables", "table" };

	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		struct loader_error error = { .field = "nothing" };
		struct machine m;

		build_plain(&m);

		struct audit_request request = machine_audit_request(&m);

		change_request(&request, NULL, changes[i]);
		CHECK_STATUS(audit_tables(&request, &error), LOADER_ERR_AUDIT, status_text,
			     fields[i]);
		CHECK(strcmp(error.field, fields[i]) == 0, fields[i]);
		if (changes[i] == TABLE_MORE)
			CHECK_EQ(error.value, m.layout.plan.tables, "tables seen");
		machine_free(&m);
	}
}

/* Even where list and tables agree. */
static void writable_and_executable_is_refused_unless_there_is_no_nx(void)
{
	struct machine m;

	build_plain(&m);

	struct hoist_mapping *last = &m.layout.mappings[m.layout.mapping_count - 1];

	last->effective = HOIST_RIGHT_WRITE | HOIST_RIGHT_EXECUTE;
	for (unsigned i = 0; i < 4; i++)
		*leaf_at(&m, KERNEL + (5 + i) * PAGE) &= ~XD;
	expect_caught(&m, "rights", KERNEL + 5 * PAGE, "with NX");
	machine_free(&m);
	build_old_and_deep(&m);
	last = &m.layout.mappings[m.layout.mapping_count - 1];
	CHECK_EQ(last->effective, HOIST_RIGHT_WRITE | HOIST_RIGHT_EXECUTE, "without NX");
	expect_clean(&m, "without NX");
	machine_free(&m);
}

/* ---- needs -------------------------------------------------------------------- */

#define LAST UINT64_C(0xfffffffffffff000)

static const struct hoist_mapping needed_list[] = {
	{ 0x1000, 0x1000, 0x3000, 1, 1, 6, HOIST_PURPOSE_IDENTITY },
	{ 0x4000, 0x4000, 0x2000, 2, 2, 6, HOIST_PURPOSE_HANDOFF },
	{ 0x6000, 0x6000, 0x1000, 1, 1, 6, HOIST_PURPOSE_HANDOFF },
	{ 0x8000, 0x8000, 0x1000, 0, 0, 6, HOIST_PURPOSE_IDENTITY },
	{ DIRECT, 0x1000, 0x2000, 1, 3, 6, HOIST_PURPOSE_DIRECT_MAP },
	{ LAST, 0x9000, 0x1000, 1, 1, 6, HOIST_PURPOSE_KERNEL },
};

static const struct {
	const char *name;
	struct audit_need need;
	bool met;
	uint64_t missing; /* the first address that is not as needed */
} need_rows[] = {
	{ "a whole mapping", { 0x4000, 0x4000, 0x2000, 2 }, true, 0 },
	{ "one byte of it", { 0x5fff, 0x5fff, 1, 2 }, true, 0 },
	{ "a byte more", { 0x4000, 0x4000, 0x2001, 2 }, false, 0x6000 },
	{ "a byte before", { 0x3fff, 0x3fff, 2, 2 }, false, 0x3fff },
	{ "nothing", { 0x7000, 0x7000, 0, 3 }, true, 0 },
	{ "across mappings, no right needed", { 0x1000, 0x1000, 0x6000, 0 }, true, 0 },
	{ "into a hole", { 0x6000, 0x6000, 0x2000, 0 }, false, 0x7000 },
	{ "a hole", { 0x7000, 0x7000, 1, 0 }, false, 0x7000 },
	{ "behind a hole", { 0x8000, 0x8000, 0x1000, 0 }, true, 0 },
	{ "not writable", { 0x8000, 0x8000, 0x1000, 1 }, false, 0x8000 },
	{ "not executable", { 0x1000, 0x1000, 1, 2 }, false, 0x1000 },
	{ "both, of which one is there", { 0x1000, 0x1000, 1, 3 }, false, 0x1000 },
	{ "executable in effect", { DIRECT, 0x1000, 1, 2 }, true, 0 },
	{ "other memory", { DIRECT, 0x2000, 1, 0 }, false, DIRECT },
	{ "the last byte there is", { UINT64_MAX, 0x9fff, 1, 1 }, true, 0 },
	{ "the last page, and none after it", { LAST, 0x9000, 0x1001, 1 }, false, 0 },
	{ "below all", { 0, 0, 1, 0 }, false, 0 },
};

static void needs_that_the_list_does_not_meet_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(need_rows); i++) {
		struct audit_request request = { .mappings = needed_list,
						 .mapping_count = ARRAY_LEN(needed_list),
						 .needs = &need_rows[i].need,
						 .need_count = 1 };
		struct loader_error error = { .field = "nothing" };
		bool met = need_rows[i].met;

		CHECK_STATUS(audit_needs(&request, &error), met ? LOADER_OK : LOADER_ERR_AUDIT,
			     status_text, need_rows[i].name);
		CHECK(strcmp(error.field, met ? "nothing" : "need") == 0, need_rows[i].name);
		if (!met)
			CHECK_EQ(error.value, need_rows[i].missing, need_rows[i].name);
	}
}

/* All are looked at, after tables that are as they should be. */
static void needs_are_part_of_the_audit(void)
{
	struct audit_need needs[] = { { SWITCH, SWITCH, 2 * PAGE, HOIST_RIGHT_EXECUTE },
				      { KERNEL, 0, PAGE, HOIST_RIGHT_EXECUTE },
				      { SWITCH, SWITCH, PAGE, HOIST_RIGHT_WRITE } };
	struct loader_error error;
	struct machine m;

	build_plain(&m);
	needs[1].address = m.layout.kernel.base;

	struct audit_request request = machine_audit_request(&m);

	request.needs = needs;
	for (request.need_count = 0; request.need_count < 3; request.need_count++)
		CHECK_STATUS(audit_tables(&request, &error), LOADER_OK, status_text, "met");
	CHECK_STATUS(audit_tables(&request, &error), LOADER_ERR_AUDIT, status_text, "the third");
	CHECK_EQ(error.value, SWITCH, "the third");
	machine_free(&m);
}

int main(void)
{
	RUN(every_flipped_bit_that_matters_is_caught_with_4_levels);
	RUN(every_flipped_bit_that_matters_is_caught_with_5_levels_and_no_nx);
	RUN(damage_is_caught_where_it_is);
	RUN(read_only_bytes_that_can_be_written_through_an_alias_are_caught);
	RUN(a_table_linked_twice_is_caught_among_thousands);
	RUN(tables_that_fit_another_request_are_refused);
	RUN(the_number_of_tables_has_to_be_the_planned_one);
	RUN(writable_and_executable_is_refused_unless_there_is_no_nx);
	RUN(needs_that_the_list_does_not_meet_are_refused);
	RUN(needs_are_part_of_the_audit);
	return check_done();
}
