#include "loader/devices.h"
#include "tests/check.h"

#define PAGE  UINT64_C(0x1000)
#define MOST  6
#define CASES 3000

#define UC HOIST_CACHE_UC
#define WC HOIST_CACHE_WC
#define RW HOIST_RIGHT_WRITE

struct device {
	uint64_t base, size;
	enum hoist_cache cache;
};

struct row {
	const char *name;
	struct device in[4];
	size_t in_count;
	struct span out[5];
	size_t out_count;
};

static const struct row rows[] = {
	{ "one byte", { { 0xfee00123, 1, UC } }, 1, { { 0xfee00000, PAGE, RW, UC, false } }, 1 },
	{ "two bytes in two pages",
	  { { 0xfff, 2, WC } },
	  1,
	  { { 0, 2 * PAGE, RW, WC, false } },
	  1 },
	{ "nothing", { { 0x1234, 0, UC } }, 1, { { 0 } }, 0 },
	{ "in any order",
	  { { 0x5000, PAGE, UC }, { 0x1000, PAGE, UC }, { 0x3000, PAGE, WC } },
	  3,
	  { { 0x1000, PAGE, RW, UC, false },
	    { 0x3000, PAGE, RW, WC, false },
	    { 0x5000, PAGE, RW, UC, false } },
	  3 },
	{ "neighbours of one type are one",
	  { { 0x1000, PAGE, UC }, { 0x2000, PAGE, UC } },
	  2,
	  { { 0x1000, 2 * PAGE, RW, UC, false } },
	  1 },
	{ "the last wins, and cuts in two",
	  { { 0x1000, 4 * PAGE, UC }, { 0x2800, 0x900, WC } },
	  2,
	  { { 0x1000, PAGE, RW, UC, false },
	    { 0x2000, 2 * PAGE, RW, WC, false },
	    { 0x4000, PAGE, RW, UC, false } },
	  3 },
	{ "the last page of all",
	  { { UINT64_MAX, 1, UC } },
	  1,
	  { { UINT64_MAX - 0xfff, PAGE, RW, UC, false } },
	  1 },
};

static void devices_are_whole_pages_with_one_cache_type(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		struct span spans[2][2 * MOST];
		struct devices devices = { { spans[0], 0, devices_room(row->in_count) },
					   { spans[1], 0, devices_room(row->in_count) } };

		for (size_t j = 0; j < row->in_count; j++)
			CHECK(devices_add(&devices, row->in[j].base, row->in[j].size,
					  row->in[j].cache),
			      row->name);
		CHECK_EQ(devices.list.count, row->out_count, row->name);
		for (size_t j = 0; j < row->out_count && j < devices.list.count; j++) {
			const struct span *got = &devices.list.spans[j], *want = &row->out[j];

			CHECK(got->base == want->base && got->size == want->size &&
				      got->rights == want->rights && got->cache == want->cache &&
				      !got->handoff,
			      row->name);
		}
	}
}

static void a_full_list_stays_as_it_is(void)
{
	struct span spans[2][2];
	struct devices devices = { { spans[0], 0, 2 }, { spans[1], 0, 2 } };

	CHECK(devices_add(&devices, 0x1000, PAGE, UC), "first");
	CHECK(devices_add(&devices, 0x5000, PAGE, UC), "second");
	CHECK(!devices_add(&devices, 0x3000, PAGE, UC), "third");
	CHECK_EQ(devices.list.count, 2, "full");
	CHECK_EQ(devices.list.spans[0].base, 0x1000, "full");
	CHECK_EQ(devices.list.spans[1].base, 0x5000, "full");
	CHECK(devices_add(&devices, 0x2000, PAGE, UC), "room for what joins another");
	CHECK_EQ(devices.list.spans[0].size, 2 * PAGE, "joined");
}

/* Page by page, the last device that touches it decides. */
static void expect_pages(const struct devices *devices, const struct device *in, size_t count,
			 const char *name)
{
	for (uint64_t page = 0; page < 24; page++) {
		int want = -1, got = -1;

		for (size_t i = 0; i < count; i++) {
			if (in[i].size != 0 && in[i].base / PAGE <= page &&
			    (in[i].base + in[i].size - 1) / PAGE >= page)
				want = (int)in[i].cache;
		}
		for (size_t i = 0; i < devices->list.count; i++) {
			const struct span *span = &devices->list.spans[i];

			if (page * PAGE >= span->base && page * PAGE - span->base < span->size)
				got = (int)span->cache;
		}
		if (got != want)
			CHECK_FAIL("%s: page %" PRIu64 " is %d, expected %d", name, page, got,
				   want);
	}
}

static void any_devices_fit_their_room(void)
{
	uint64_t seed = check_seed(1);

	for (uint64_t n = 0; n < CASES && check_failures == 0; n++) {
		uint64_t state = seed + n, count = check_random(&state) % (MOST + 1);
		struct device in[MOST];
		struct span spans[2][2 * MOST];
		struct devices devices = { { spans[0], 0, devices_room(count) },
					   { spans[1], 0, devices_room(count) } };
		char name[32];

		snprintf(name, sizeof(name), "SEED=%" PRIu64, seed + n);
		for (size_t i = 0; i < count; i++) {
			in[i].base = check_random(&state) % (16 * PAGE);
			in[i].size = check_random(&state) % (6 * PAGE);
			in[i].cache = check_random(&state) % 2 ? HOIST_CACHE_UC : HOIST_CACHE_WC;
			CHECK(devices_add(&devices, in[i].base, in[i].size, in[i].cache), name);
		}
		expect_pages(&devices, in, count, name);
	}
}

int main(void)
{
	RUN(devices_are_whole_pages_with_one_cache_type);
	RUN(a_full_list_stays_as_it_is);
	RUN(any_devices_fit_their_room);
	return check_done();
}
