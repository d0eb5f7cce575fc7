/* The arithmetic that every bound in the project rests on. */
#include "paging/addr.h"
#include "tests/check.h"

static void a_piece_fits_if_no_byte_of_it_lies_outside(void)
{
	static const struct {
		const char *name;
		uint64_t offset, length, size;
		bool fits;
	} rows[] = {
		{ "nothing in nothing", 0, 0, 0, true },
		{ "all of it", 0, 10, 10, true },
		{ "a byte more", 0, 11, 10, false },
		{ "the last byte", 9, 1, 10, true },
		{ "a byte behind", 10, 1, 10, false },
		{ "nothing, at the end", 10, 0, 10, true },
		{ "nothing, behind the end", 11, 0, 10, false },
		{ "a sum that wraps to 0", UINT64_MAX, 1, 10, false },
		{ "a sum that wraps to the size", UINT64_MAX - 4, 15, 10, false },
		{ "a length that wraps", 5, UINT64_MAX, 10, false },
		{ "all there is", 0, UINT64_MAX, UINT64_MAX, true },
		{ "the last of all there is", UINT64_MAX - 1, 1, UINT64_MAX, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		CHECK_EQ(fits(rows[i].offset, rows[i].length, rows[i].size), rows[i].fits,
			 rows[i].name);
}

static void values_are_aligned_to_either_side(void)
{
	static const struct {
		const char *name;
		uint64_t value, unit;
		bool aligned;
		uint64_t down, up;
	} rows[] = {
		{ "zero", 0, 4096, true, 0, 0 },
		{ "one", 1, 4096, false, 0, 4096 },
		{ "one less", 4095, 4096, false, 0, 4096 },
		{ "a multiple", 8192, 4096, true, 8192, 8192 },
		{ "one more", 8193, 4096, false, 8192, 12288 },
		{ "a unit of one", 7, 1, true, 7, 7 },
		{ "the last multiple", UINT64_MAX - 4095, 4096, true, UINT64_MAX - 4095,
		  UINT64_MAX - 4095 },
		{ "just below it", UINT64_MAX - 4096, 4096, false, UINT64_MAX - 8191,
		  UINT64_MAX - 4095 },
		{ "half of all", (UINT64_C(1) << 63) + 1, UINT64_C(1) << 62, false,
		  UINT64_C(1) << 63, UINT64_C(3) << 62 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CHECK_EQ(is_aligned(rows[i].value, rows[i].unit), rows[i].aligned, rows[i].name);
		CHECK_EQ(align_down(rows[i].value, rows[i].unit), rows[i].down, rows[i].name);
		CHECK_EQ(align_up(rows[i].value, rows[i].unit), rows[i].up, rows[i].name);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(a_piece_fits_if_no_byte_of_it_lies_outside);
	RUN(values_are_aligned_to_either_side);
	return check_done();
}
