/* What differs between two spaces, whatever their tables look like. */
#include "paging/pt_diff.h"
#include "paging/pt_recursive.h"
#include "tests/check.h"
#include "tests/fake/scene.h"

#define UPPER 0xffff800000000000

struct want {
	enum pt_difference_kind kind;
	uint64_t va, pages, pa_of_a, pa_of_b;
};

struct row {
	const char *name;
	struct pt_mapping a[3], b[3];
	struct pt_options options; /* b is mapped with */
	struct pt_range range;
	struct want want[6];
};

#define RUN_RW(va, pa, pages) SCENE_RUN(va, pa, pages, PT_WRITE, PT_WB)
#define RANGE(va, pages)      \
	{                     \
		{ va }, pages \
	}

static const struct want NONE[1];

static const struct row ROWS[] = {
	{ .name = "both empty", .range = RANGE(0, PAGES(UINT64_C(1) << 47)) },
	{ .name = "equal, with leaves of other sizes",
	  .a = { RUN_RW(0, 0, PAGES(4 * MIB)) },
	  .b = { RUN_RW(0, 0, PAGES(4 * MIB)) },
	  .options.max_leaf = 1,
	  .range = RANGE(0, PAGES(GIB)) },
	{ .name = "equal but for use",
	  .a = { SCENE_RUN(0, 0, 5, PT_WRITE | PT_ACCESSED | PT_DIRTY, PT_WB) },
	  .b = { RUN_RW(0, 0, 5) },
	  .range = RANGE(0, PAGES(GIB)) },
	{ .name = "only in a",
	  .a = { RUN_RW(0x5000, 0x8000, 2) },
	  .range = RANGE(0, PAGES(GIB)),
	  .want = { { PT_ONLY_A, 0x5000, 2, 0x8000, 0 } } },
	{ .name = "only in b, the last page",
	  .b = { RUN_RW(0xfffffffffffff000, 0x8000, 1) },
	  .range = RANGE(UPPER, PAGES(UINT64_C(1) << 47)),
	  .want = { { PT_ONLY_B, 0xfffffffffffff000, 1, 0, 0x8000 } } },
	{ .name = "no pages", .a = { RUN_RW(0, 0x8000, 8) }, .range = RANGE(0x5000, 0) },
	{ .name = "outside of the range",
	  .a = { RUN_RW(0x5000, 0x8000, 4) },
	  .range = RANGE(0x6000, 2),
	  .want = { { PT_ONLY_A, 0x6000, 2, 0x9000, 0 } } },
	{ .name = "another address",
	  .a = { RUN_RW(0x5000, 0x8000, 2) },
	  .b = { RUN_RW(0x5000, 0x9000, 2) },
	  .range = RANGE(0, PAGES(GIB)),
	  .want = { { PT_CHANGED, 0x5000, 2, 0x8000, 0x9000 } } },
	{ .name = "other rights",
	  .a = { RUN_RW(0x5000, 0x8000, 2) },
	  .b = { SCENE_RUN(0x5000, 0x8000, 2, PT_USER | PT_WRITE, PT_WB) },
	  .range = RANGE(0, PAGES(GIB)),
	  .want = { { PT_CHANGED, 0x5000, 2, 0x8000, 0x8000 } } },
	{ .name = "another cache type",
	  .a = { RUN_RW(0x5000, 0x8000, 2) },
	  .b = { SCENE_RUN(0x5000, 0x8000, 2, PT_WRITE, PT_UC) },
	  .range = RANGE(0, PAGES(GIB)),
	  .want = { { PT_CHANGED, 0x5000, 2, 0x8000, 0x8000 } } },
	{ .name = "a page of a large leaf",
	  .a = { RUN_RW(0, GIB, PAGES(GIB)) },
	  .b = { RUN_RW(0, GIB, 7), SCENE_RUN(0x7000, GIB + 0x7000, 1, 0, PT_WB),
		 RUN_RW(0x8000, GIB + 0x8000, PAGES(GIB) - 8) },
	  .range = RANGE(0, PAGES(2 * GIB)),
	  .want = { { PT_CHANGED, 0x7000, 1, GIB + 0x7000, GIB + 0x7000 } } },
	{ .name = "overlapping in part",
	  .a = { RUN_RW(0x5000, 0x8000, 4) },
	  .b = { RUN_RW(0x7000, 0xf000, 4) },
	  .range = RANGE(0, PAGES(GIB)),
	  .want = { { PT_ONLY_A, 0x5000, 2, 0x8000, 0 },
		    { PT_CHANGED, 0x7000, 2, 0xa000, 0xf000 },
		    { PT_ONLY_B, 0x9000, 2, 0, 0x11000 } } },
	{ .name = "a run that goes on where the other side changes twice",
	  .a = { RUN_RW(0x5000, 0x8000, 6) },
	  .b = { RUN_RW(0x7000, 0xa000, 2) },
	  .range = RANGE(0, PAGES(GIB)),
	  .want = { { PT_ONLY_A, 0x5000, 2, 0x8000, 0 }, { PT_ONLY_A, 0x9000, 2, 0xc000, 0 } } },
	{ .name = "neighbours that differ in different ways",
	  .a = { RUN_RW(0x5000, 0x8000, 1), RUN_RW(0x6000, 0x20000, 1) },
	  .range = RANGE(0, PAGES(GIB)),
	  .want = { { PT_ONLY_A, 0x5000, 1, 0x8000, 0 }, { PT_ONLY_A, 0x6000, 1, 0x20000, 0 } } },
};

static void expect_difference(const struct pt_difference *d, const struct want *want,
			      const char *name)
{
	CHECK_EQ(d->kind, want->kind, name);
	CHECK_EQ(d->range.va.raw, want->va, name);
	CHECK_EQ(d->range.pages, want->pages, name);
	CHECK_EQ(d->a.pages, want->kind == PT_ONLY_B ? 0 : want->pages, name);
	CHECK_EQ(d->b.pages, want->kind == PT_ONLY_A ? 0 : want->pages, name);
	if (d->a.pages != 0) {
		CHECK_EQ(d->a.va.raw, want->va, name);
		CHECK_EQ(d->a.pa.raw, want->pa_of_a, name);
	}
	if (d->b.pages != 0) {
		CHECK_EQ(d->b.va.raw, want->va, name);
		CHECK_EQ(d->b.pa.raw, want->pa_of_b, name);
	}
}

static void expect_differences(const struct pt_space *a, const struct pt_space *b,
			       struct pt_range range, const struct want *want, const char *name)
{
	struct pt_diff diff;
	struct pt_difference d;
	enum pt_status status = pt_diff_start(&diff, a, b, range, PT_NO_BUDGET);

	CHECK_STATUS(status, PT_OK, space_text, name);
	while (status == PT_OK) {
		status = pt_diff_next(&diff, &d);
		if (status == PT_OK)
			expect_difference(&d, want++, name);
	}
	CHECK_STATUS(status, PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_STATUS(pt_diff_next(&diff, &d), PT_ERR_NOT_MAPPED, space_text, name);
	CHECK_EQ(want->pages, 0, name);
}

static void fill(struct space_fixture *f, struct pt_cpu cpu, const struct pt_mapping list[3],
		 const struct pt_options *options)
{
	scene_init(f, cpu);
	for (size_t i = 0; i < 3 && list[i].pages != 0; i++)
		CHECK_STATUS(pt_map(&f->space, &list[i], options, &f->flush), PT_OK, space_text,
			     "set-up");
}

static struct pt_cpu cpu_of_levels(unsigned levels)
{
	struct pt_cpu cpu = scene_cpu();

	cpu.levels = (uint8_t)levels;
	return cpu;
}

/* The same with four and five levels, in either place. */
static void differences_are_those_of_what_is_mapped(void)
{
	for (size_t i = 0; i < 4 * ARRAY_LEN(ROWS); i++) {
		const struct row *row = &ROWS[i / 4];
		struct space_fixture a, b;

		fill(&a, cpu_of_levels(4 + i % 2), row->a, NULL);
		fill(&b, cpu_of_levels(4 + i / 2 % 2), row->b, &row->options);
		expect_differences(&a.space, &b.space, row->range, row->want, row->name);
		space_fixture_free(&a);
		space_fixture_free(&b);
	}
}

/* Beyond the ends of the smaller space there is nothing in it. */
static void where_one_space_has_no_addresses_it_maps_nothing(void)
{
	static const struct pt_mapping wide[2][3] = {
		{ RUN_RW(0x7ffffffff000, 0x5000, 3), RUN_RW(UINT64_C(1) << 55, 0x9000, 1) },
		{ RUN_RW(0xff00000000000000, 0x5000, 1), RUN_RW(0xffff7ffffffff000, 0x9000, 2) },
	};
	static const struct pt_mapping narrow[2][3] = {
		{ RUN_RW(0x7ffffffff000, 0x5000, 1) },
		{ RUN_RW(0xffff800000000000, 0xa000, 1) },
	};
	static const struct want want[2][3] = {
		{ { PT_ONLY_A, 0x800000000000, 2, 0x6000, 0 },
		  { PT_ONLY_A, UINT64_C(1) << 55, 1, 0x9000, 0 } },
		{ { PT_ONLY_A, 0xff00000000000000, 1, 0x5000, 0 },
		  { PT_ONLY_A, 0xffff7ffffffff000, 1, 0x9000, 0 } },
	};
	struct pt_cpu cpu = cpu_of_levels(5);

	for (unsigned half = 0; half < 2; half++) {
		struct pt_range range = half ? pt_upper_half(&cpu) : pt_lower_half(&cpu);
		struct pt_range beyond = { virt(UINT64_C(1) << 50), PAGES(MIB) };
		struct space_fixture a, b;

		fill(&a, cpu, wide[half], NULL);
		fill(&b, scene_cpu(), narrow[half], NULL);
		expect_differences(&a.space, &b.space, range, want[half], "wide first");
		expect_differences(&b.space, &b.space, pt_lower_half(&b.space.cpu), NONE, "itself");
		expect_differences(&b.space, &a.space, beyond, NONE, "beyond the narrow");
		space_fixture_free(&a);
		space_fixture_free(&b);
	}
}

static void processors_without_nx_execute_everything(void)
{
	static const struct pt_mapping plain[3] = { RUN_RW(0, 0x5000, 1) };
	static const struct pt_mapping code[3] = { SCENE_RUN(0, 0x5000, 1, PT_EXEC, PT_WB) };
	static const struct want changed[2] = { { PT_CHANGED, 0, 1, 0x5000, 0x5000 } };
	struct pt_cpu cpu = scene_cpu();
	struct pt_range range = { virt(0), 512 };
	struct space_fixture a, b, c;

	cpu.nx = false;
	fill(&a, scene_cpu(), plain, NULL);
	fill(&b, cpu, plain, NULL);
	expect_differences(&a.space, &b.space, range, changed, "plain");
	fill(&c, scene_cpu(), code, NULL);
	CHECK_STATUS(pt_update(&b.space, range, (struct pt_update){ .clear = PT_WRITE }, &b.flush),
		     PT_OK, space_text, "update");
	expect_differences(&b.space, &c.space, range, NONE, "code");
	space_fixture_free(&a);
	space_fixture_free(&b);
	space_fixture_free(&c);
}

static void soft_entries_and_the_recursive_slot_are_not_mapped(void)
{
	static const struct pt_mapping page[3] = { RUN_RW(0x5000, 0x5000, 3) };
	static const struct want want[2] = { { PT_ONLY_A, 0x6000, 1, 0x6000, 0 } };
	struct pt_range range = { virt(0), PAGES(UINT64_C(1) << 47) };
	struct space_fixture a, b;

	fill(&a, scene_cpu(), page, NULL);
	fill(&b, scene_cpu(), page, NULL);
	*scene_entry(&b, 0x6000, 1) = 0xabc00;
	*scene_entry(&b, 0x9000, 1) = 0xabc00;
	CHECK_STATUS(pt_recursive_enter(&b.space, 100, &b.flush), PT_OK, space_text, "enter");
	expect_differences(&a.space, &b.space, range, want, "soft");
	space_fixture_free(&a);
	space_fixture_free(&b);
}

static void a_space_that_cannot_be_read_ends_the_comparison(void)
{
	static const struct pt_mapping two[3] = { RUN_RW(0, 0x5000, 1), RUN_RW(0x3000, 0x9000, 1) };
	static const struct pt_mapping none[3] = { { .pages = 0 } };
	struct pt_range range = { virt(0), 100 };

	for (unsigned i = 0; i < 2; i++) {
		struct space_fixture a, b;
		struct pt_diff diff;
		struct pt_difference d;

		fill(&a, scene_cpu(), two, NULL);
		fill(&b, scene_cpu(), none, NULL);
		*scene_entry(&a, 0x3000, 1) |= UINT64_C(1) << 50;
		pt_diff_start(&diff, i ? &b.space : &a.space, i ? &a.space : &b.space, range,
			      PT_NO_BUDGET);
		CHECK_STATUS(pt_diff_next(&diff, &d), PT_OK, space_text, "before");
		CHECK_EQ(d.range.va.raw, 0, "before");
		CHECK_STATUS(pt_diff_next(&diff, &d), PT_ERR_CORRUPT, space_text, "corrupt");
		CHECK_STATUS(pt_diff_next(&diff, &d), PT_ERR_CORRUPT, space_text, "again");
		CHECK_STATUS(pt_diff_start(&diff, &a.space, &b.space, range, 3), PT_OK, space_text,
			     "budget");
		CHECK_STATUS(pt_diff_next(&diff, &d), PT_ERR_BUDGET, space_text, "budget");
		CHECK_STATUS(pt_diff_start(&diff, &a.space, &b.space, range, 0), PT_ERR_BUDGET,
			     space_text, "no budget");
		CHECK_STATUS(pt_diff_start(&diff, &a.space, &b.space,
					   (struct pt_range){ virt(UINT64_C(1) << 47), 1 }, 3),
			     PT_ERR_RANGE, space_text, "neither has it");
		space_fixture_free(&a);
		space_fixture_free(&b);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(differences_are_those_of_what_is_mapped);
	RUN(where_one_space_has_no_addresses_it_maps_nothing);
	RUN(processors_without_nx_execute_everything);
	RUN(soft_entries_and_the_recursive_slot_are_not_mapped);
	RUN(a_space_that_cannot_be_read_ends_the_comparison);
	return check_done();
}
