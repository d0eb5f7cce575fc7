/* Mappings as lines of fixed columns, in buffers of any size. */
#include "paging/pt_recursive.h"
#include "paging/pt_text.h"
#include "tests/check.h"
#include "tests/fake/scene.h"

static void expect_text(const char *got, const char *want, const char *name)
{
	if (strcmp(got, want) != 0)
		CHECK_FAIL("%s: is\n# '%s', expected\n# '%s'", name, got, want);
}

static void each_flag_is_a_letter_in_its_place(void)
{
	static const struct {
		uint32_t flags;
		const char *text;
	} rows[] = {
		{ 0, "r-----------" },         { PT_WRITE, "rw----------" },
		{ PT_EXEC, "r-x---------" },   { PT_USER, "r--u--------" },
		{ PT_GLOBAL, "r---g-------" }, { PT_SHARED, "r----s------" },
		{ PT_COW, "r-----c-----" },    { PT_SOFT1, "r------1----" },
		{ PT_SOFT2, "r-------2---" },  { PT_ACCESSED, "r--------a--" },
		{ PT_DIRTY, "r---------d-" },  { PT_KEY(1), "r----------1" },
		{ PT_KEY(8), "r----------8" }, { PT_FLAGS_ALL, "rwxugsc12adf" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[PT_TEXT_FLAGS];

		CHECK_EQ(pt_text_flags(rows[i].flags, text, sizeof(text)), PT_TEXT_FLAGS - 1,
			 rows[i].text);
		expect_text(text, rows[i].text, "flags");
	}
}

static const struct {
	struct pt_mapping m;
	const char *text;
} MAPPINGS[] = {
	{ SCENE_RUN(0x400000, 0x12200000, 512, PT_EXEC | PT_USER | PT_KEY(3), PT_WB),
	  "0000000000400000-00000000005fffff  0000000012200000  "
	  "r-xu-------3  WB              512 pages" },
	{ SCENE_RUN(0xffffffff80000000, 0x200000, 4, PT_WRITE | PT_GLOBAL, PT_UC_MINUS),
	  "ffffffff80000000-ffffffff80003fff  0000000000200000  "
	  "rw--g-------  UC-               4 pages" },
	{ SCENE_RUN(0xfffffffffffff000, 0xffffffffff000, 1, 0, PT_WC),
	  "fffffffffffff000-ffffffffffffffff  000ffffffffff000  "
	  "r-----------  WC                1 page " },
	{ SCENE_RUN(0, 0, UINT64_C(1) << 45, PT_WRITE, PT_UC),
	  "0000000000000000-01ffffffffffffff  0000000000000000  "
	  "rw----------  UC   35184372088832 pages" },
	{ SCENE_RUN(0x1000, 0x2000, 1234567890, 0, (enum pt_cache)2),
	  "0000000000001000-00000499602d2fff  0000000000002000  "
	  "r-----------  ??       1234567890 pages" },
};

static void a_mapping_is_a_line_of_fixed_columns(void)
{
	for (size_t i = 0; i < ARRAY_LEN(MAPPINGS); i++) {
		char text[PT_TEXT_SIZE];
		size_t length = pt_text_mapping(&MAPPINGS[i].m, text, sizeof(text));

		CHECK_EQ(length, strlen(text), "the length");
		CHECK_EQ(length, strlen(MAPPINGS[0].text), "the width");
		expect_text(text, MAPPINGS[i].text, "a mapping");
	}
}

/* As snprintf(): as much as there is room for, a zero behind, and the length of all. */
static void no_byte_behind_the_buffer_is_written(void)
{
	const char *want = MAPPINGS[0].text;
	size_t whole = strlen(want);

	CHECK_EQ(pt_text_mapping(&MAPPINGS[0].m, NULL, 0), whole, "no buffer");
	for (size_t size = 0; size <= whole + 2; size++) {
		char text[PT_TEXT_SIZE];
		size_t fits = size <= whole ? size : whole + 1;

		memset(text, '#', sizeof(text));
		CHECK_EQ(pt_text_mapping(&MAPPINGS[0].m, text, size), whole, "the length");
		for (size_t i = 0; i < sizeof(text); i++) {
			char expected = i + 1 < fits ? want[i] : i + 1 == fits ? '\0' : '#';

			CHECK_EQ(text[i], expected, "a byte");
		}
	}
}

static void a_leaf_is_told_with_its_size_and_use(void)
{
	static const struct {
		unsigned level;
		const char *text;
	} rows[] = {
		{ 1, "0000000040000000-0000000040000fff  0000000080000000  rw-------ad-  WB   4K" },
		{ 2, "0000000040000000-00000000401fffff  0000000080000000  rw-------ad-  WB   2M" },
		{ 3, "0000000040000000-000000007fffffff  0000000080000000  rw-------ad-  WB   1G" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pt_leaf leaf = { .va = virt(GIB),
					.pa = phys(2 * GIB),
					.pages = level_pages(rows[i].level),
					.level = rows[i].level,
					.attr = { PT_WRITE | PT_ACCESSED | PT_DIRTY, PT_WB } };
		char text[PT_TEXT_SIZE];

		CHECK_EQ(pt_text_leaf(&leaf, text, sizeof(text)), strlen(rows[i].text), "length");
		expect_text(text, rows[i].text, "a leaf");
	}
}

/* The longest of all lines is shorter than the room that is said to be enough. */
static void any_text_has_room(void)
{
	struct pt_piece piece = {
		.kind = PTE_LEAF,
		.at = { virt(0), phys(0), UINT64_MAX, { PT_FLAGS_ALL, PT_UC_MINUS } },
		.leaves = { 0, UINT64_C(1) << 45, UINT64_C(1) << 36, UINT64_C(1) << 27 },
	};

	CHECK(pt_text_piece(&piece, true, NULL, 0) < PT_TEXT_SIZE, "a piece");
}

struct lines {
	const char *const *want;
	size_t count;
};

static void next_line(void *ctx, const char *text, size_t length)
{
	struct lines *lines = ctx;

	CHECK_EQ(strlen(text), length, text);
	if (lines->want[lines->count])
		expect_text(text, lines->want[lines->count++], "a line");
	else
		CHECK_FAIL("a line too many: %s", text);
}

static void expect_dump(const struct space_fixture *f, struct pt_range range,
			struct pt_text_out out, const char *const *want)
{
	struct lines lines = { want, 0 };

	out.line = next_line;
	out.ctx = &lines;
	CHECK_STATUS(pt_text_dump(&f->space, range, PT_NO_BUDGET, &out), PT_OK, space_text, "dump");
	CHECK(!want[lines.count], "a line too few");
}

static void a_dump_has_a_line_for_each_piece(void)
{
	static const char *const all[] = {
		"0000000000000000-00000000001fefff  hole              "
		"                              511 pages",
		"00000000001ff000-00000000003fffff  00000000401ff000  "
		"rw----------  WB              513 pages  1 x 4K, 1 x 2M",
		"0000000000400000-0000000000400fff  soft              "
		"                                1 page ",
		"0000000000401000-0000007fffffffff  hole              "
		"                        134216703 pages",
		"0000008000000000-000000ffffffffff  tables            "
		"                        134217728 pages",
		NULL,
	};
	static const char *const runs[] = {
		"00000000001ff000-00000000003fffff  00000000401ff000  "
		"rw----------  WB              513 pages",
		NULL,
	};
	struct space_fixture f;
	struct pt_range range = { virt(0), PAGES(1024 * GIB) };
	struct pt_range some = { virt(0), PAGES(4 * MIB) };

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping)SCENE_RUN(2 * MIB - 4096, GIB + 2 * MIB - 4096, 514,
						   PT_WRITE, PT_WB));
	*scene_entry(&f, 4 * MIB, 1) = 0xabc00;
	CHECK_STATUS(pt_recursive_enter(&f.space, 1, &f.flush), PT_OK, space_text, "enter");
	expect_dump(&f, range, (struct pt_text_out){ .sizes = true, .holes = true }, all);
	expect_dump(&f, some, (struct pt_text_out){ .sizes = false }, runs);
	space_fixture_free(&f);
}

static void ignore_line(void *ctx, const char *text, size_t length)
{
	(void)text;
	(void)length;
	++*(unsigned *)ctx;
}

static void a_dump_tells_why_it_ended(void)
{
	struct space_fixture f;
	unsigned count = 0;
	struct pt_text_out out = { .line = ignore_line, .ctx = &count };
	struct pt_range range = { virt(0), 512 };

	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping)SCENE_RUN(0, GIB, 3, PT_WRITE, PT_WB));
	CHECK_STATUS(pt_text_dump(&f.space, range, 3, &out), PT_ERR_BUDGET, space_text, "budget");
	*scene_entry(&f, 0x2000, 1) |= UINT64_C(1) << 50;
	CHECK_EQ(count, 0, "budget");
	CHECK_STATUS(pt_text_dump(&f.space, range, 4, &out), PT_ERR_CORRUPT, space_text, "corrupt");
	CHECK_EQ(count, 1, "corrupt");
	CHECK_STATUS(pt_text_dump(&f.space, (struct pt_range){ virt(1), 1 }, 4, &out),
		     PT_ERR_UNALIGNED, space_text, "unaligned");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(each_flag_is_a_letter_in_its_place);
	RUN(a_mapping_is_a_line_of_fixed_columns);
	RUN(no_byte_behind_the_buffer_is_written);
	RUN(a_leaf_is_told_with_its_size_and_use);
	RUN(any_text_has_room);
	RUN(a_dump_has_a_line_for_each_piece);
	RUN(a_dump_tells_why_it_ended);
	return check_done();
}
