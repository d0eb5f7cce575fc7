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

#define LOW_END  UINT64_C(0x00007fffffffffff)
#define HIGH     UINT64_C(0xffff800000000000)
#define LOW_END5 UINT64_C(0x00ffffffffffffff)
#define HIGH5    UINT64_C(0xff00000000000000)

static const struct {
	const char *name;
	uint64_t a, bytes;
	unsigned bits;
	bool canonical, add, sub, step, back;
	uint64_t sum, difference, forward, backward;
} MOVES[] = {
	{ "nothing", 0, 0, 48, true, true, true, true, true, 0, 0, 0, 0 },
	{ "in the lower half", 0x5000, 0x1000, 48, true, true, true, true, true, 0x6000, 0x4000,
	  0x6000, 0x4000 },
	{ "up to its end", LOW_END - 4, 4, 48, true, true, true, true, true, LOW_END, LOW_END - 8,
	  LOW_END, LOW_END - 8 },
	{ "a byte further", LOW_END - 4, 5, 48, true, false, true, true, true, 0, LOW_END - 9, HIGH,
	  LOW_END - 9 },
	{ "all the lower half", 0, LOW_END, 48, true, true, false, true, false, LOW_END, 0, LOW_END,
	  0 },
	{ "over the hole", 0, HIGH, 48, true, false, false, false, false, 0, 0, 0, 0 },
	{ "the whole row", 0, UINT64_C(0xffffffffffff), 48, true, false, false, true, false, 0, 0,
	  UINT64_MAX, 0 },
	{ "a byte more than the row", 0, UINT64_C(1) << 48, 48, true, false, false, false, false, 0,
	  0, 0, 0 },
	{ "back to the start", 0x5000, 0x5000, 48, true, true, true, true, true, 0xa000, 0, 0xa000,
	  0 },
	{ "before the start", 0x5000, 0x5001, 48, true, true, false, true, false, 0xa001, 0, 0xa001,
	  0 },
	{ "down to the upper half's start", HIGH + 4, 4, 48, true, true, true, true, true, HIGH + 8,
	  HIGH, HIGH + 8, HIGH },
	{ "below it", HIGH + 4, 5, 48, true, true, false, true, true, HIGH + 9, 0, HIGH + 9,
	  LOW_END },
	{ "up to the last byte", UINT64_MAX - 4, 4, 48, true, true, true, true, true, UINT64_MAX,
	  UINT64_MAX - 8, UINT64_MAX, UINT64_MAX - 8 },
	{ "beyond it", UINT64_MAX - 4, 5, 48, true, false, true, false, true, 0, UINT64_MAX - 9, 0,
	  UINT64_MAX - 9 },
	{ "around", UINT64_MAX, UINT64_MAX, 48, true, false, false, false, false, 0, 0, 0, 0 },
	{ "five levels, over the hole", LOW_END5, 1, 57, true, false, true, true, true, 0,
	  LOW_END5 - 1, HIGH5, LOW_END5 - 1 },
	{ "five levels, where four have a hole", LOW_END, 1, 57, true, true, true, true, true,
	  LOW_END + 1, LOW_END - 1, LOW_END + 1, LOW_END - 1 },
};

static void a_virtual_address_moves_in_its_half_or_in_the_row(void)
{
	for (size_t i = 0; i < ARRAY_LEN(MOVES); i++) {
		virt_addr va = virt(MOVES[i].a), sum = virt(77), less = virt(77);
		virt_addr forward = virt(77), backward = virt(77);
		uint64_t bytes = MOVES[i].bytes;
		unsigned bits = MOVES[i].bits;
		const char *name = MOVES[i].name;

		CHECK_EQ(virt_is_canonical(va, bits), MOVES[i].canonical, name);
		CHECK_EQ(virt_add(va, bytes, bits, &sum), MOVES[i].add, name);
		CHECK_EQ(sum.raw, MOVES[i].add ? MOVES[i].sum : 77, name);
		CHECK_EQ(virt_sub(va, bytes, bits, &less), MOVES[i].sub, name);
		CHECK_EQ(less.raw, MOVES[i].sub ? MOVES[i].difference : 77, name);
		CHECK_EQ(virt_step(va, bytes, bits, &forward), MOVES[i].step, name);
		CHECK_EQ(forward.raw, MOVES[i].step ? MOVES[i].forward : 77, name);
		CHECK_EQ(virt_step_back(va, bytes, bits, &backward), MOVES[i].back, name);
		CHECK_EQ(backward.raw, MOVES[i].back ? MOVES[i].backward : 77, name);
	}
}

static void addresses_in_the_hole_are_not_canonical(void)
{
	static const struct {
		uint64_t va;
		bool with48, with57;
	} rows[] = {
		{ 0, true, true },
		{ LOW_END, true, true },
		{ LOW_END + 1, false, true },
		{ HIGH - 1, false, true },
		{ HIGH, true, true },
		{ LOW_END5, false, true },
		{ LOW_END5 + 1, false, false },
		{ HIGH5 - 1, false, false },
		{ HIGH5, false, true },
		{ UINT64_MAX, true, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		virt_addr va = virt(rows[i].va), ret = virt(77);

		CHECK_EQ(virt_is_canonical(va, 48), rows[i].with48, "48 bits");
		CHECK_EQ(virt_is_canonical(va, 57), rows[i].with57, "57 bits");
		CHECK_EQ(virt_add(va, 0, 48, &ret), rows[i].with48, "48 bits");
		CHECK_EQ(virt_sub(va, 0, 57, &ret), rows[i].with57, "57 bits");
	}
}

static void distances_are_measured_in_one_half_or_along_the_row(void)
{
	static const struct {
		const char *name;
		uint64_t from, to;
		bool distance, steps;
		uint64_t bytes, along;
	} rows[] = {
		{ "none", 0x5000, 0x5000, true, true, 0, 0 },
		{ "forward", 0x5000, 0x9000, true, true, 0x4000, 0x4000 },
		{ "backward", 0x9000, 0x5000, false, false, 0, 0 },
		{ "over the hole", LOW_END, HIGH, false, true, 0, 1 },
		{ "from end to end", 0, UINT64_MAX, false, true, 0, UINT64_C(0xffffffffffff) },
		{ "back over the hole", HIGH, LOW_END, false, false, 0, 0 },
		{ "in the upper half", HIGH, UINT64_MAX, true, true, LOW_END, LOW_END },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t bytes = 77, along = 77;

		CHECK_EQ(virt_distance(virt(rows[i].from), virt(rows[i].to), 48, &bytes),
			 rows[i].distance, rows[i].name);
		CHECK_EQ(bytes, rows[i].distance ? rows[i].bytes : 77, rows[i].name);
		CHECK_EQ(virt_steps(virt(rows[i].from), virt(rows[i].to), 48, &along),
			 rows[i].steps, rows[i].name);
		CHECK_EQ(along, rows[i].steps ? rows[i].along : 77, rows[i].name);
	}
	uint64_t bytes = 77;

	CHECK(!virt_distance(virt(0), virt(LOW_END + 1), 48, &bytes), "into the hole");
	CHECK(!virt_distance(virt(LOW_END + 1), virt(LOW_END + 2), 48, &bytes), "in the hole");
	CHECK(!virt_distance(virt(HIGH - 1), virt(HIGH), 48, &bytes), "out of the hole");
	CHECK_EQ(bytes, 77, "untouched");
}

static void a_physical_address_moves_without_wrapping(void)
{
	static const struct {
		const char *name;
		uint64_t pa, bytes;
		bool add, sub;
	} rows[] = {
		{ "nothing", 0, 0, true, true },
		{ "a page", 0x5000, 0x1000, true, true },
		{ "down to 0", 0x5000, 0x5000, true, true },
		{ "below 0", 0x5000, 0x5001, true, false },
		{ "up to the end", UINT64_MAX - 5, 5, true, true },
		{ "beyond the end", UINT64_MAX - 5, 6, false, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		phys_addr pa = phys(rows[i].pa), sum = phys(77), less = phys(77);
		uint64_t bytes = 77;

		CHECK_EQ(phys_add(pa, rows[i].bytes, &sum), rows[i].add, rows[i].name);
		CHECK_EQ(sum.raw, rows[i].add ? rows[i].pa + rows[i].bytes : 77, rows[i].name);
		CHECK_EQ(phys_sub(pa, rows[i].bytes, &less), rows[i].sub, rows[i].name);
		CHECK_EQ(less.raw, rows[i].sub ? rows[i].pa - rows[i].bytes : 77, rows[i].name);
		CHECK_EQ(phys_distance(phys(rows[i].bytes), pa, &bytes), rows[i].sub, rows[i].name);
		CHECK_EQ(bytes, less.raw, rows[i].name);
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(a_piece_fits_if_no_byte_of_it_lies_outside);
	RUN(values_are_aligned_to_either_side);
	RUN(a_virtual_address_moves_in_its_half_or_in_the_row);
	RUN(addresses_in_the_hole_are_not_canonical);
	RUN(distances_are_measured_in_one_half_or_along_the_row);
	RUN(a_physical_address_moves_without_wrapping);
	return check_done();
}
