#include "loader/control.h"
#include "loader/guard.h"
#include "tests/check.h"

/* ---- descriptors ------------------------------------------------------------- */

/* Expected values put together by hand from the figures of the SDM. */
static const struct {
	const char *name;
	uint64_t base;
	uint32_t limit;
	struct guard_descriptor want;
} tss_rows[] = {
	{ "every byte of the base at its place",
	  0x1122334455667788,
	  0x67,
	  { 0x5500896677880067, 0x11223344 } },
	{ "zero base", 0, 0x67, { 0x0000890000000067, 0 } },
	{ "a limit of 20 bits", 0, 0xabcde, { 0x000a89000000bcde, 0 } },
	{ "above 4 GiB", 0x123456000, 0x67, { 0x2300894560000067, 0x1 } },
	{ "higher half", 0xffffffff80001000, 0x67, { 0x8000890010000067, 0xffffffff } },
};

static void test_a_tss_descriptor_is_as_the_sdm_draws_it(void)
{
	for (size_t i = 0; i < ARRAY_LEN(tss_rows); i++) {
		struct guard_descriptor d = guard_tss_descriptor(tss_rows[i].base,
								 tss_rows[i].limit);

		CHECK_EQ(d.low, tss_rows[i].want.low, tss_rows[i].name);
		CHECK_EQ(d.high, tss_rows[i].want.high, tss_rows[i].name);
	}
}

static const struct {
	const char *name;
	uint64_t handler;
	uint16_t selector;
	unsigned ist;
	struct guard_descriptor want;
} gate_rows[] = {
	{ "every byte of the handler at its place",
	  0x1122334455667788,
	  0x10,
	  1,
	  { 0x55668e0100107788, 0x11223344 } },
	{ "no stack of its own", 0x1000, 0x10, 0, { 0x00008e0000101000, 0 } },
	{ "the last stack, another selector", 0x1000, 0xfff8, 7, { 0x00008e07fff81000, 0 } },
	{ "above 4 GiB", 0x234567890, 0x10, 4, { 0x34568e0400107890, 0x2 } },
};

static void test_a_gate_is_as_the_sdm_draws_it(void)
{
	for (size_t i = 0; i < ARRAY_LEN(gate_rows); i++) {
		struct guard_descriptor d = guard_gate(gate_rows[i].handler, gate_rows[i].selector,
						       gate_rows[i].ist);

		CHECK_EQ(d.low, gate_rows[i].want.low, gate_rows[i].name);
		CHECK_EQ(d.high, gate_rows[i].want.high, gate_rows[i].name);
	}
}

/* ---- the tables ---------------------------------------------------------------- */

static uint64_t gate_handler(const struct guard_descriptor *gate)
{
	return (gate->low & 0xffff) | (gate->low >> 48) << 16 | gate->high << 32;
}

static void test_the_tables_lead_each_vector_to_its_stub_and_stack(void)
{
	uint64_t top = (uintptr_t)guard_stack_tops;

	memset(&guard_tables, 0, sizeof(guard_tables));
	guard_prepare();
	for (unsigned i = 0; i < GUARD_VECTORS; i++) {
		const struct guard_descriptor *gate = &guard_tables.idt[i];
		unsigned want = i == 8 ? 2 : i == 2 ? 3 : i == 18 ? 4 : 1;
		char name[32];

		snprintf(name, sizeof(name), "vector %u", i);
		CHECK_EQ(gate_handler(gate), (uintptr_t)guard_stubs + 16 * i, name);
		CHECK_EQ(gate->low >> 16 & 0xffff, GUARD_CODE, name);
		CHECK_EQ(gate->low >> 32 & 0xffff, 0x8e00 | want, name);
	}
	CHECK_EQ(guard_tables.tss.ist[0], top, "IST 1");
	CHECK_EQ(guard_tables.tss.ist[1], top - 2048, "IST 2");
	CHECK_EQ(guard_tables.tss.ist[2], top - 3072, "IST 3");
	CHECK_EQ(guard_tables.tss.ist[3], top - 4096, "IST 4");
	CHECK_EQ(guard_tables.tss.io_map, 104, "no map of ports");
	guard_move_stack();
	CHECK_EQ(guard_tables.tss.ist[0], top - 1024, "IST 1, moved");
	CHECK_EQ(guard_tables.tss.ist[1], top - 2048, "IST 2, not moved");
	guard_prepare();
	CHECK_EQ(guard_tables.tss.ist[0], top, "IST 1, prepared anew");
}

static void test_the_gdt_has_code_data_and_the_tss(void)
{
	struct guard_descriptor tss = guard_tss_descriptor((uintptr_t)&guard_tables.tss, 103);

	memset(&guard_tables, 0, sizeof(guard_tables));
	guard_prepare();
	CHECK_EQ(guard_tables.gdt[0], 0, "null");
	CHECK_EQ(guard_tables.gdt[1], 0, "unused");
	/* Present, DPL 0, code, readable, 64-bit, not 32-bit. */
	CHECK_EQ(guard_tables.gdt[2] & 0x0060fa0000000000, 0x00209a0000000000, "code");
	/* Accessed already: the processor has nothing to write. */
	CHECK_EQ(guard_tables.gdt[2] >> 40 & 1, 1, "code");
	CHECK_EQ(guard_tables.gdt[3] & 0x0000fb0000000000, 0x0000930000000000, "data");
	CHECK_EQ(guard_tables.gdt[4], tss.low, "TSS");
	CHECK_EQ(guard_tables.gdt[5], tss.high, "TSS");
}

/* ---- control registers ------------------------------------------------------------ */

enum {
	PAE = 1 << 5,
	MCE = 1 << 6,
	PGE = 1 << 7,
	OSFXSR = 1 << 9,
	OSXMMEXCPT = 1 << 10,
	LA57 = 1 << 12,
	PCIDE = 1 << 17,
};

/*
 * A TLB at its worst: it keeps everything that it is not told to drop, and
 * while a space is loaded all of that space's translations come into it.
 */
struct tlb {
	uint64_t cr4;
	bool firmware;              /* CR3 holds the firmware's root */
	bool plain, global, tagged; /* firmware's translations in it */
};

static void tlb_fill(struct tlb *t)
{
	if (!t->firmware)
		return;
	t->plain = true;
	t->global |= (t->cr4 & PGE) != 0;
	t->tagged |= (t->cr4 & PCIDE) != 0;
}

/* SDM 3A 4.10.4.1. */
static void tlb_write_cr4(struct tlb *t, uint64_t value)
{
	bool all = ((t->cr4 ^ value) & PGE) || (t->cr4 & ~value & PCIDE);

	t->cr4 = value;
	if (all)
		t->plain = t->global = t->tagged = false;
	tlb_fill(t);
}

static void tlb_write_cr3(struct tlb *t)
{
	t->firmware = false;
	t->plain = false;
}

static bool stale_after_switch(uint64_t cr4)
{
	struct tlb tlb = { .cr4 = cr4, .firmware = true };

	tlb_fill(&tlb);
	tlb_write_cr4(&tlb, control_cr4(cr4));
	tlb_write_cr3(&tlb);
	return tlb.plain || tlb.global || tlb.tagged;
}

static void expect_cr4(uint64_t firmware)
{
	uint64_t want = PAE | OSFXSR | OSXMMEXCPT | (firmware & MCE) | (firmware & LA57);
	char name[32];

	snprintf(name, sizeof(name), "CR4 %#" PRIx64, firmware);
	CHECK_EQ(control_cr4(firmware), want, name);
	CHECK(!stale_after_switch(firmware), name);
}

static void test_no_translation_of_the_firmwares_outlives_the_switch(void)
{
	struct tlb kept = { .cr4 = PGE, .firmware = true };

	/* The model itself: a plain load of CR3 keeps what is global. */
	tlb_fill(&kept);
	tlb_write_cr3(&kept);
	CHECK(kept.global && !kept.plain, "the model");

	for (uint32_t low = 0; low < 1 << 13; low++)
		expect_cr4(low | PAE);
	for (unsigned a = 0; a < 64; a++) {
		for (unsigned b = 0; b < 64; b++)
			expect_cr4(UINT64_C(1) << a | UINT64_C(1) << b);
	}
	expect_cr4(UINT64_MAX);
}

static void test_efer_has_long_mode_and_nx_where_there_is_nx(void)
{
	CHECK_EQ(control_efer(false), 0x500, "without NX");
	CHECK_EQ(control_efer(true), 0xd00, "with NX");
}

int main(void)
{
	RUN(test_a_tss_descriptor_is_as_the_sdm_draws_it);
	RUN(test_a_gate_is_as_the_sdm_draws_it);
	RUN(test_the_tables_lead_each_vector_to_its_stub_and_stack);
	RUN(test_the_gdt_has_code_data_and_the_tss);
	RUN(test_no_translation_of_the_firmwares_outlives_the_switch);
	RUN(test_efer_has_long_mode_and_nx_where_there_is_nx);
	return check_done();
}
