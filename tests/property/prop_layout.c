#include "tests/check.h"
#include "tests/fake/machine.h"

#include <time.h>

#define CASES 2000
#define PAGE  UINT64_C(0x1000)
#define LARGE UINT64_C(0x200000)
#define GIB   (UINT64_C(1) << 30)
#define TIB   (UINT64_C(1) << 40)
#define MANY  10000 /* descriptors */

/* What came of the cases, and how large they were. */
static struct {
	unsigned planned, no_memory, address, tables;
	unsigned whole, many, top, noticed; /* planned: 64 TiB, MANY regions, the last page */
	uint64_t most_regions, most_tables, most_mappings;
} tally;

static uint64_t below(uint64_t *state, uint64_t limit)
{
	return check_random(state) % limit;
}

static bool one_in(uint64_t *state, uint64_t n)
{
	return below(state, n) == 0;
}

/* Many caching attributes, none at all now and then. */
static uint64_t random_attributes(uint64_t *state)
{
	return one_in(state, 2) ? MACHINE_ALL : check_random(state) & (MACHINE_ALL - 1);
}

/* Free memory can be cached; efi/ makes it special if it cannot. */
static void add_random(struct machine *m, uint64_t *state, uint64_t base, uint64_t size)
{
	uint32_t kind = (uint32_t)below(state, HOIST_MEMORY_SPECIAL + 3);
	bool free = kind == HOIST_MEMORY_USABLE || kind == HOIST_MEMORY_RECLAIMABLE;

	machine_add(m, base, size, kind,
		    random_attributes(state) | (free ? MACHINE_WB : UINT64_C(0)));
}

static void add_usable(struct machine *m, uint64_t *state, uint64_t base, uint64_t size)
{
	machine_add(m, base, size, HOIST_MEMORY_USABLE,
		    one_in(state, 2) ? MACHINE_ALL : MACHINE_WB);
}

/* A number below `limit` that likes to lie on or beside borders of leaves. */
static uint64_t random_place(uint64_t *state, uint64_t limit)
{
	static const uint64_t units[] = { 1, PAGE, PAGE, LARGE, LARGE, GIB };
	uint64_t unit = units[below(state, ARRAY_LEN(units))];
	uint64_t place = below(state, limit) / unit * unit;

	switch (below(state, 8)) {
	case 0:
		return place + PAGE;
	case 1:
		return place >= PAGE ? place - PAGE : place;
	case 2:
		return place + 1;
	default:
		return place;
	}
}

/* ---- machines --------------------------------------------------------------- */

/* Up to 8 GiB in a few pieces, full of small things. */
static void make_small(struct machine *m, uint64_t *state)
{
	uint64_t end = 16 * PAGE + random_place(state, UINT64_C(1) << (20 + below(state, 14)));

	for (uint64_t i = below(state, 6) + 1; i > 0; i--)
		add_usable(m, state, random_place(state, end), random_place(state, end));
	if (one_in(state, 2))
		add_usable(m, state, end, LARGE + random_place(state, 64 * LARGE));
	for (uint64_t i = below(state, 40); i > 0; i--)
		add_random(m, state, random_place(state, end), below(state, 40 * PAGE));
}

/* Terabytes, with leaves of 1 GiB. */
static void make_large(struct machine *m, uint64_t *state)
{
	m->request.cpu.max_leaf = 3;
	add_usable(m, state, 0, 2 * GIB);
	for (uint64_t i = below(state, 8) + 1; i > 0; i--)
		add_usable(m, state, below(state, 64) * TIB, below(state, 64 * 1024) * GIB);
	for (uint64_t i = below(state, 20); i > 0; i--)
		add_random(m, state, random_place(state, 64 * TIB), random_place(state, 8 * GIB));
}

/* More than a thousand pieces, holes of a page among them; wide apart now and then. */
static void make_dust(struct machine *m, uint64_t *state)
{
	uint64_t count = 1000 + below(state, 1500), at = random_place(state, 4 * GIB);
	uint64_t gap = one_in(state, 4) ? LARGE << below(state, 3) : 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t size = (1 + below(state, 12)) * PAGE;

		if (one_in(state, 3))
			add_random(m, state, at, size);
		else
			add_usable(m, state, at, size);
		at += size + below(state, 3) * PAGE + gap;
	}
	if (gap || one_in(state, 2))
		add_usable(m, state, at, 16 * LARGE + below(state, 64) * LARGE);
}

/* Memory and devices at the ends of what can be addressed, and beyond. */
static void make_high(struct machine *m, uint64_t *state)
{
	static const unsigned ends[] = { 36, 46, 47, 47, 52, 56, 64 };
	unsigned bits = ends[below(state, ARRAY_LEN(ends))];
	uint64_t end = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
	uint64_t size = (1 + below(state, 64)) * PAGE;

	add_usable(m, state, PAGE, random_place(state, 3 * GIB));
	if (one_in(state, 2))
		machine_add_device(m, end - (size - 1), size, HOIST_CACHE_UC);
	else
		add_random(m, state, end - (size - 1), size);
}

/*
 * 64 TiB in one piece, for leaves of 1 GiB. Holes of a page and more lie just
 * below, around and above multiples of what leaves and tables of each level span.
 */
static void make_whole(struct machine *m, uint64_t *state)
{
	static const uint64_t units[] = { LARGE, GIB, 512 * GIB, TIB, 32 * TIB };
	static const uint32_t holes[] = { HOIST_MEMORY_RESERVED, HOIST_MEMORY_BAD,
					  HOIST_MEMORY_MMIO,     HOIST_MEMORY_UNACCEPTED,
					  HOIST_MEMORY_SPECIAL,  HOIST_MEMORY_RUNTIME_CODE };

	m->request.cpu.max_leaf = 3;
	add_usable(m, state, 0, GIB);
	add_usable(m, state, 4 * GIB, 64 * TIB - 4 * GIB);
	for (uint64_t i = below(state, 60); i > 0; i--) {
		uint64_t unit = units[below(state, ARRAY_LEN(units))];
		uint64_t border = (1 + below(state, 64 * TIB / unit)) * unit;
		uint64_t size = PAGE << below(state, 4);
		/* Ends at the border, lies around it, or begins there. */
		uint64_t base = border - below(state, 3) * size / 2;

		machine_add(m, base, size, holes[below(state, ARRAY_LEN(holes))],
			    random_attributes(state));
	}
}

/* More descriptors than any firmware has been seen to have; each is a mapping. */
static void make_many(struct machine *m, uint64_t *state)
{
	uint64_t count = MANY + 1 + below(state, 3000), at = PAGE * (1 + below(state, 4096));

	add_usable(m, state, 8 * GIB, 64 * LARGE);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t size = (1 + below(state, 3)) * PAGE;
		bool odd = i % 2;

		machine_add(m, at, size, odd ? HOIST_MEMORY_RUNTIME_DATA : HOIST_MEMORY_USABLE,
			    MACHINE_ALL | (odd ? UINT64_C(1) << 63 : 0));
		at += size + (one_in(state, 2) ? PAGE : 0);
	}
}

/* Up to the last page of the processor's physical space, which is smaller than the windows. */
static void make_top(struct machine *m, uint64_t *state)
{
	uint64_t end = UINT64_C(1) << 46;

	add_usable(m, state, 0, 2 * GIB);
	if (one_in(state, 2))
		add_usable(m, state, end - 64 * LARGE, 64 * LARGE);
	for (uint64_t i = below(state, 8) + 1; i > 0; i--) {
		uint64_t size = (1 + below(state, 8)) * PAGE;

		add_random(m, state, end - size * (1 + below(state, 3)), size);
	}
	if (one_in(state, 2))
		machine_add_device(m, end - 1, 1, HOIST_CACHE_UC);
	else
		machine_add(m, end - PAGE, PAGE, HOIST_MEMORY_ACPI_NVS, MACHINE_ALL);
}

static void add_framebuffer(struct machine *m, uint64_t *state)
{
	uint64_t count = m->raw.count;
	const struct memmap_region *inside = count ? &m->raw.regions[below(state, count)] : NULL;
	uint64_t base = random_place(state, 4 * GIB);

	if (inside && inside->size > 0 && inside->base < 64 * TIB && one_in(state, 2))
		base = inside->base + below(state, inside->size);
	machine_add_device(m, base, 1 + below(state, 16 << 20),
			   one_in(state, 4) ? HOIST_CACHE_UC : HOIST_CACHE_WC);
}

/* Code and data of the switch, in memory that is the loader's. */
static void add_handoff(struct machine *m, uint64_t *state)
{
	uint64_t count = m->raw.count;
	const struct memmap_region *in = &m->raw.regions[below(state, count)];
	uint64_t base = PAGE + in->base % (4 * GIB) / PAGE * PAGE;
	uint64_t gap = one_in(state, 2) ? 0 : below(state, 3) * PAGE;

	m->request.handoff_code = (struct layout_extent){ base, 2 * PAGE };
	m->request.handoff_data = (struct layout_extent){ base + 2 * PAGE + gap, PAGE };
	if (one_in(state, 2)) {
		m->request.handoff_data.base = base;
		m->request.handoff_code.base = base + PAGE + gap;
	}
	machine_add(m, base, 3 * PAGE + gap, HOIST_MEMORY_RECLAIMABLE, MACHINE_ALL);
}

static void make_kernel(struct machine *m, uint64_t *state)
{
	static const uint64_t places[] = {
		UINT64_C(0xffffffff80000000), UINT64_C(0xffffffff80200000),
		UINT64_C(0xffffffffa0000000), UINT64_C(0xffffffffc0000000),
		UINT64_C(0xffffffff80001000), UINT64_C(0xffffc00000200000),
		UINT64_C(0xffff800000000000), UINT64_C(0xfffffffeff000000),
		UINT64_C(0xffffffff7ffff000), UINT64_C(0xffffffff80000000),
	};
	uint64_t most = one_in(state, 4) ? 2048 : 40;
	const uint64_t pages[3] = { 1 + below(state, most), below(state, most),
				    below(state, most) };

	machine_kernel(m, places[below(state, ARRAY_LEN(places))], pages);
	if (one_in(state, 8))
		m->kernel.alignment = PAGE << below(state, 19);
	if (m->kernel.range_count == 3 && one_in(state, 4)) {
		/* A hole in the image: it is there, and not mapped. */
		m->kernel.ranges[2].virt += 3 * PAGE;
		m->kernel.size += 3 * PAGE;
	}
}

static void make_request(struct machine *m, uint64_t *state)
{
	struct pt_cpu *cpu = &m->request.cpu;

	make_kernel(m, state);
	m->request.stack_size = (1 + below(state, 64)) * PAGE;
	m->request.info_size = (1 + below(state, 64)) * PAGE;
	m->request.identity = !one_in(state, 3);
	cpu->levels = one_in(state, 3) ? 5 : 4;
	cpu->phys_bits = one_in(state, 3) ? 52 : 46;
	cpu->nx = !one_in(state, 4);
	if (one_in(state, 16))
		cpu->pat = PT_PAT_RESET;
	for (uint64_t i = below(state, MACHINE_MODULES + 1); i > 0; i--)
		machine_add_module(m, below(state, one_in(state, 3) ? 4 * LARGE : 5 * PAGE));
}

static void make_machine(struct machine *m, uint64_t *state)
{
	static void (*const makers[])(struct machine * m, uint64_t * state) = {
		make_small, make_small, make_small, make_large, make_whole,
		make_high,  make_top,   make_dust,  make_many,
	};
	uint64_t maker = below(state, ARRAY_LEN(makers));

	machine_init(m);
	/* Large ones take their time. */
	if ((maker == 7 && !one_in(state, 3)) || (maker == 8 && !one_in(state, 10)))
		maker = 0;
	m->request.cpu.max_leaf = one_in(state, 2) ? 3 : 2;
	makers[maker](m, state);
	make_request(m, state);
	if (m->device_count == 0 && one_in(state, 2))
		add_framebuffer(m, state);
	add_handoff(m, state);
}

/* ---- what has to hold --------------------------------------------------------- */

/* All that wants a place but the tables. */
static uint64_t size_of_all(const struct machine *m)
{
	uint64_t size = m->kernel.size + m->request.stack_size + m->request.info_size;

	for (uint32_t i = 0; i < m->request.module_count; i++)
		size += (m->module_sizes[i] + PAGE - 1) / PAGE * PAGE;
	return size;
}

/* One region takes all, however the kernel has to be aligned. */
static bool has_obvious_room(const struct machine *m, uint64_t tables)
{
	uint64_t size = size_of_all(m) + 2 * tables + m->kernel.alignment;

	for (size_t i = 0; i < m->map.count; i++) {
		const struct memmap_region *r = &m->map.regions[i];

		if (r->kind == HOIST_MEMORY_USABLE && r->size > size + PAGE)
			return true;
	}
	return false;
}

static bool cache_is_missing(const struct machine *m)
{
	for (size_t i = 0; i < m->layout.mapping_count; i++) {
		bool found = false;

		for (unsigned j = 0; j < 64; j += 8)
			found |= ((m->request.cpu.pat >> j) & 7) == m->layout.mappings[i].cache;
		if (!found)
			return true;
	}
	return false;
}

/* The highest byte that is mapped at all; a device is, whatever the map says of it. */
static uint64_t last_mapped(const struct machine *m)
{
	uint64_t last = m->request.handoff_code.base;

	for (uint32_t i = 0; i < m->device_count; i++) {
		const struct layout_extent *extent = &m->devices[i].extent;
		uint64_t end = (extent->base + (extent->size - 1)) | (PAGE - 1);

		if (last < end)
			last = end;
	}

	for (size_t i = 0; i < m->map.count; i++) {
		const struct memmap_region *r = &m->map.regions[i];

		if (r->kind != HOIST_MEMORY_RESERVED && r->kind != HOIST_MEMORY_BAD &&
		    r->kind != HOIST_MEMORY_UNACCEPTED && last < r->base + (r->size - 1))
			last = r->base + (r->size - 1);
	}
	return last;
}

/* Whether an address is one for which ADDRESS is the right answer. */
static bool collides(const struct machine *m)
{
	uint64_t last = last_mapped(m), direct = m->layout.direct_map;
	uint64_t kernel = m->kernel.virt, kernel_last = kernel + (m->kernel.size - 1);
	uint64_t lower_half = m->request.cpu.levels == 5 ? UINT64_C(1) << 56 : UINT64_C(1) << 47;

	return (m->request.identity && last >= lower_half) ||
	       last >= UINT64_C(0xffffffff00000000) - direct || kernel - direct <= last ||
	       (kernel < UINT64_C(0xffffffff80000000) &&
		kernel_last >= UINT64_C(0xffffffff00000000));
}

static void check_refusal(const struct machine *m, const struct loader_error *error,
			  const char *name)
{
	bool of_tables = strcmp(error->field, "page tables") == 0;

	switch ((int)error->status) {
	case LOADER_ERR_MEMORY:
		CHECK(!has_obvious_room(m, of_tables ? error->value : 0), name);
		tally.no_memory++;
		break;
	case LOADER_ERR_ADDRESS:
		CHECK(collides(m), name);
		tally.address++;
		break;
	case LOADER_ERR_TABLES:
		CHECK(last_mapped(m) >> m->request.cpu.phys_bits != 0 || cache_is_missing(m), name);
		tally.tables++;
		break;
	default:
		CHECK_FAIL("%s: refused with \"%s\"", name, loader_strerror(error->status));
	}
	CHECK(error->where && error->field && error->expected, name);
}

static void check_list(const struct machine *m, const char *name)
{
	uint64_t where = 0;
	const char *fault = machine_place_fault(m);

	if (fault)
		CHECK_FAIL("%s: places: %s", name, fault);
	fault = machine_list_fault(m, &where);
	if (fault)
		CHECK_FAIL("%s: %s at %#" PRIx64, name, fault, where);
	CHECK(!collides(m), name);
	CHECK_EQ(m->layout.plan.tables, machine_least_tables(m), name);
}

static void check_tables(struct machine *m, const char *name)
{
	size_t most = m->layout.plan.tables;
	struct audit_request request;
	struct loader_error error;
	struct pt_audit found;
	phys_addr *scratch = malloc(most * sizeof(*scratch));

	CHECK(machine_build(m) == PT_OK, name);
	CHECK_EQ(m->block.taken, most, name);
	request = machine_audit_request(m);
	if (audit_tables(&request, &error) != LOADER_OK)
		CHECK_FAIL("%s: audit: %s at %#" PRIx64, name, error.field, error.value);
	CHECK(scratch && pt_audit(&m->space, scratch, most, &found) == PT_OK, name);
	CHECK_EQ(found.tables, most, name);
	CHECK_EQ(found.empty_tables, 0, name);
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		CHECK_EQ(found.leaves[level], m->layout.plan.leaves[level], name);
	free(scratch);
}

static void check_stays_the_same(struct machine *m, const char *name)
{
	struct layout now = m->layout;
	struct loader_error error;

	now.mappings = calloc(now.capacity, sizeof(*now.mappings));
	machine_allocate(m);
	CHECK(now.mappings && layout_map(&m->request, &now, &error) == LOADER_OK, name);
	CHECK(layout_same_mappings(&now, &m->layout), name);
	free(now.mappings);
}

/* Some page that is mapped through the map alone: not hoist's, not a device's. */
static bool plain_page_of(const struct machine *m, uint64_t *state, uint64_t *ret_page)
{
	const struct memmap_region *r = &m->map.regions[below(state, m->map.count)];
	uint64_t page = r->base + below(state, r->size / PAGE) * PAGE;
	struct machine_page direct = machine_expected(m, m->layout.direct_map + page);

	if (r->kind != HOIST_MEMORY_RECLAIMABLE && r->kind != HOIST_MEMORY_USABLE)
		return false;
	*ret_page = page;
	return direct.mapped && direct.rights == HOIST_RIGHT_WRITE &&
	       direct.cache == HOIST_CACHE_WB &&
	       machine_expected(m, page).purpose != HOIST_PURPOSE_HANDOFF;
}

/*
 * What makes hoist plan again: the firmware calls a page something else than it
 * did, so that it is mapped in another way or not at all.
 */
static void check_notices_a_change(struct machine *m, uint64_t *state, const char *name)
{
	static const uint32_t kinds[] = { HOIST_MEMORY_RESERVED, HOIST_MEMORY_BAD,
					  HOIST_MEMORY_UNACCEPTED, HOIST_MEMORY_MMIO };
	struct layout now = m->layout;
	struct loader_error error;
	uint64_t page;

	if (!plain_page_of(m, state, &page))
		return;
	machine_add(m, page, PAGE, kinds[below(state, ARRAY_LEN(kinds))], 0);
	machine_normalise(m);
	now.mappings = calloc(now.capacity, sizeof(*now.mappings));
	CHECK(now.mappings, name);
	CHECK(layout_map(&m->request, &now, &error) != LOADER_OK ||
		      !layout_same_mappings(&now, &m->layout),
	      name);
	free(now.mappings);
	tally.noticed++;
}

static void count_case(const struct machine *m)
{
	const struct memmap_region *last = &m->map.regions[m->map.count - 1];

	tally.planned++;
	tally.whole += m->layout.plan.leaves[3] > 60 * 1024;
	tally.many += m->map.count > MANY;
	tally.top += last->base + last->size == UINT64_C(1) << 46;
	if (tally.most_regions < m->map.count)
		tally.most_regions = m->map.count;
	if (tally.most_tables < m->layout.plan.tables)
		tally.most_tables = m->layout.plan.tables;
	if (tally.most_mappings < m->layout.mapping_count)
		tally.most_mappings = m->layout.mapping_count;
}

static void check_case(uint64_t seed)
{
	uint64_t state = seed;
	struct machine m;
	struct loader_error error;
	char name[32];

	snprintf(name, sizeof(name), "SEED=%" PRIu64, seed);
	make_machine(&m, &state);
	if (machine_plan(&m, &error) != LOADER_OK) {
		check_refusal(&m, &error, name);
		machine_free(&m);
		return;
	}
	count_case(&m);
	check_list(&m, name);
	if (check_failures == 0)
		check_tables(&m, name);
	if (check_failures == 0)
		check_stays_the_same(&m, name);
	if (check_failures == 0)
		check_notices_a_change(&m, &state, name);
	machine_free(&m);
}

static void prop_every_machine_is_mapped_exactly_or_refused_for_a_reason(void)
{
	uint64_t seed = check_seed(1);

	for (uint64_t i = 0; i < CASES && check_failures == 0; i++)
		check_case(seed + i);
	printf("# %u planned; refused: %u memory, %u address, %u tables\n", tally.planned,
	       tally.no_memory, tally.address, tally.tables);
	printf("# most: %" PRIu64 " regions, %" PRIu64 " mappings, %" PRIu64 " tables\n",
	       tally.most_regions, tally.most_mappings, tally.most_tables);
	printf("# planned: %u of 64 TiB, %u of more than %u regions, %u up to the last page; "
	       "%u changes noticed\n",
	       tally.whole, tally.many, MANY, tally.top, tally.noticed);
	CHECK(check_failures != 0 || tally.planned >= CASES / 4, "many machines can be used");
	CHECK(check_failures != 0 || (tally.whole >= CASES / 50 && tally.many >= CASES / 400 &&
				      tally.top >= CASES / 50 && tally.noticed >= CASES / 20),
	      "each kind of machine is there");
}

/* ---- time --------------------------------------------------------------------- */

/* The least of several: anything else that runs only makes it longer. */
static double planning_seconds(struct machine *m)
{
	double least = 1e9;

	for (unsigned i = 0; i < 7; i++) {
		struct loader_error error;
		clock_t start = clock();

		CHECK(machine_plan(m, &error) == LOADER_OK, "set-up");

		double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;

		if (seconds < least)
			least = seconds;
	}
	return least;
}

/* Pieces that are all apart, and room above them. */
static double seconds_for_pieces(uint64_t count, uint64_t size)
{
	struct machine m;
	double seconds;

	machine_init(&m);
	m.request.handoff_code = (struct layout_extent){ PAGE, PAGE };
	m.request.handoff_data = (struct layout_extent){ 2 * PAGE, PAGE };
	for (uint64_t i = 0; i < count; i++)
		machine_add(&m, 4 * GIB + 2 * i * size, size, HOIST_MEMORY_USABLE, MACHINE_ALL);
	machine_add(&m, GIB, 64 * LARGE, HOIST_MEMORY_USABLE, MACHINE_ALL);
	seconds = planning_seconds(&m);
	machine_free(&m);
	return seconds;
}

/*
 * Eight times as many descriptors, n log n: about ten times as long; quadratic
 * would be 64 times. The same number, each 2^20 times as large: the same.
 */
static void prop_planning_takes_as_long_as_there_are_descriptors(void)
{
	double few = seconds_for_pieces(2500, PAGE), many = seconds_for_pieces(20000, PAGE);
	double small = seconds_for_pieces(2000, GIB / 64),
	       large = seconds_for_pieces(2000, 15 * GIB);

	printf("# 2500 pieces %.2f ms, 20000 %.2f ms; 2000 of 16 MiB %.2f ms, of 15 GiB %.2f ms\n",
	       few * 1e3, many * 1e3, small * 1e3, large * 1e3);
	CHECK(many < 24 * few + 1e-3, "descriptors");
	CHECK(large < 4 * small + 1e-3, "sizes");
}

int main(void)
{
	RUN(prop_every_machine_is_mapped_exactly_or_refused_for_a_reason);
	RUN(prop_planning_takes_as_long_as_there_are_descriptors);
	return check_done();
}
