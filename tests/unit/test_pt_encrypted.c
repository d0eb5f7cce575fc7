/* Memory encryption: which bit says what, in leaves and links, in both polarities. */
#include "tests/fake/scene.h"

#define BIT(n) (UINT64_C(1) << (n))

struct row {
	const char *name;
	uint8_t bit, phys_bits;
	bool means_shared;
};

static const struct row ROWS[] = {
	{ "SEV, bit 51", 51, 46, false },
	{ "SEV, bit 47 just above the width", 47, 47, false },
	{ "TDX, bit 51", 51, 46, true },
	{ "TDX, bit 47", 47, 46, true },
};

static struct pt_cpu cpu_of(const struct row *row)
{
	struct pt_cpu cpu = scene_cpu();

	cpu.crypt_bit = row->bit;
	cpu.phys_bits = row->phys_bits;
	cpu.crypt_means_shared = row->means_shared;
	return cpu;
}

/* The entry of `level` on the way to va, by a walk that knows the bit. */
static uint64_t *entry_at(const struct space_fixture *f, uint64_t va, unsigned level)
{
	uint64_t *table = f->root;

	for (unsigned at = 4; at > level; at--) {
		uint64_t link = table[(va >> (12 + 9 * (at - 1))) & 511];
		uint64_t address = link & UINT64_C(0x000ffffffffff000) &
				   ~BIT(f->space.cpu.crypt_bit);

		table = space_table(&f->arena, phys(address));
	}
	return &table[(va >> (12 + 9 * (level - 1))) & 511];
}

static void expect_leaf(const struct space_fixture *f, uint64_t va, bool shared, const char *name)
{
	struct pt_leaf leaf = { .level = 0 };
	phys_addr pa = phys(0);

	CHECK_STATUS(pt_query(&f->space, virt(va), &leaf), PT_OK, space_text, name);
	CHECK_EQ((leaf.own & PT_SHARED) != 0, shared, name);
	CHECK_EQ((leaf.attr.flags & PT_SHARED) != 0, shared, name);
	CHECK_EQ(leaf.pa.raw + (va - leaf.va.raw), va, name);
	CHECK_STATUS(pt_translate(&f->space, virt(va + 5), &pa), PT_OK, space_text, name);
	CHECK_EQ(pa.raw, va + 5, name);
}

static void map_level(struct space_fixture *f, const struct row *row, unsigned level,
		      uint32_t flags)
{
	struct pt_cpu cpu = cpu_of(row);

	space_fixture_init(f, &cpu, 32, false);
	scene_map(f, (struct pt_mapping){
			     virt(8 * GIB), phys(8 * GIB), level_pages(level), { flags, PT_WC } });
}

static void leaves_say_it_and_links_are_private(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		for (unsigned level = 1; level <= 6; level++) {
			const struct row *row = &ROWS[i];
			bool shared = level > 3;
			unsigned at = shared ? level - 3 : level;
			struct space_fixture f;

			map_level(&f, row, at, PT_WRITE | (shared ? PT_SHARED : 0u));
			CHECK_EQ((*entry_at(&f, 8 * GIB, at) & BIT(row->bit)) != 0,
				 shared == row->means_shared, row->name);
			for (unsigned up = at + 1; up <= 4; up++)
				CHECK_EQ((*entry_at(&f, 8 * GIB, up) & BIT(row->bit)) != 0,
					 !row->means_shared, row->name);
			expect_leaf(&f, 8 * GIB, shared, row->name);
			space_fixture_free(&f);
		}
	}
}

static void walks_report_addresses_without_the_bit(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		struct space_fixture f;
		struct pt_walk walk;
		struct pt_entry entry;
		unsigned tables = 0, leaves = 0;

		map_level(&f, &ROWS[i], 1, PT_SHARED);
		CHECK_STATUS(pt_walk_start(&walk, &f.space, pt_lower_half(&f.space.cpu), 16), PT_OK,
			     space_text, ROWS[i].name);
		while (pt_walk_next(&walk, &entry) == PT_OK) {
			tables += entry.kind == PTE_TABLE;
			leaves += entry.kind == PTE_LEAF;
			CHECK(entry.at.pa.raw < BIT(ROWS[i].phys_bits), ROWS[i].name);
		}
		CHECK_EQ(tables, 3, ROWS[i].name);
		CHECK_EQ(leaves, 1, ROWS[i].name);
		space_fixture_free(&f);
	}
}

/* A page of a large leaf made shared, and private again, and the leaf put together. */
static void a_split_and_a_collapse_keep_it(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		for (unsigned level = 2; level <= 3; level++) {
			const char *name = ROWS[i].name;
			struct space_fixture f;
			struct pt_range page = { virt(8 * GIB + 4096), 1 };
			struct pt_range all = { virt(8 * GIB), level_pages(level) };
			struct pt_attr shared = { PT_WRITE | PT_SHARED, PT_WC };
			struct pt_update back = { .clear = PT_SHARED };
			uint64_t before;

			map_level(&f, &ROWS[i], level, PT_WRITE);
			before = *entry_at(&f, 8 * GIB, level);
			CHECK_STATUS(pt_protect(&f.space, page, shared, &f.flush), PT_OK,
				     space_text, name);
			expect_leaf(&f, 8 * GIB, false, name);
			expect_leaf(&f, 8 * GIB + 4096, true, name);
			expect_leaf(&f, 8 * GIB + 8192, false, name);
			expect_leaf(&f, 8 * GIB + (all.pages - 1) * 4096, false, name);
			CHECK_STATUS(pt_collapse(&f.space, all, &f.flush), PT_OK, space_text, name);
			expect_leaf(&f, 8 * GIB + 4096, true, "mixed pages do not collapse");
			CHECK_STATUS(pt_update(&f.space, page, back, &f.flush), PT_OK, space_text,
				     name);
			CHECK_STATUS(pt_collapse(&f.space, all, &f.flush), PT_OK, space_text, name);
			CHECK_EQ(*entry_at(&f, 8 * GIB, level), before, name);
			space_fixture_free(&f);
		}
	}
}

static void all_pages_are_shared_at_once(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		for (unsigned level = 1; level <= 3; level++) {
			struct space_fixture f;
			struct pt_range all = { virt(8 * GIB), level_pages(level) };
			struct pt_update share = { .set = PT_SHARED };
			uint64_t before;

			map_level(&f, &ROWS[i], level, PT_WRITE);
			before = *entry_at(&f, 8 * GIB, level);
			CHECK_STATUS(pt_update(&f.space, all, share, &f.flush), PT_OK, space_text,
				     ROWS[i].name);
			CHECK_EQ(*entry_at(&f, 8 * GIB, level), before ^ BIT(ROWS[i].bit),
				 ROWS[i].name);
			space_fixture_free(&f);
		}
	}
}

static void addresses_end_below_the_bit(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		struct space_fixture f;
		struct pt_mapping m = {
			virt(0), phys(BIT(ROWS[i].phys_bits) - 4096), 1, { 0, PT_WB }
		};
		struct pt_leaf leaf;

		map_level(&f, &ROWS[i], 1, 0);
		CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_OK, space_text, "the last");
		m = (struct pt_mapping){ virt(4096), phys(BIT(ROWS[i].phys_bits)), 1, m.attr };
		CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_ERR_PHYS, space_text,
			     "beyond");
		m.pa = phys(BIT(ROWS[i].bit));
		CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_ERR_PHYS, space_text,
			     "the bit itself");
		if (ROWS[i].bit > ROWS[i].phys_bits) {
			*entry_at(&f, 8 * GIB, 1) |= BIT(ROWS[i].phys_bits);
			CHECK_STATUS(pt_query(&f.space, virt(8 * GIB), &leaf), PT_ERR_CORRUPT,
				     space_text, "other bits above the width are reserved");
		}
		space_fixture_free(&f);
	}
}

struct bad_row {
	const char *name;
	uint8_t bit, phys_bits;
	enum pt_status status;
};

static const struct bad_row BAD[] = {
	{ "none", 0, 46, PT_OK },
	{ "the lowest", 46, 46, PT_OK },
	{ "the highest", 51, 46, PT_OK },
	{ "in the address", 45, 46, PT_ERR_LEVEL },
	{ "in the flags", 5, 46, PT_ERR_LEVEL },
	{ "above the address field", 52, 46, PT_ERR_LEVEL },
	{ "no bit at all", 63, 46, PT_ERR_LEVEL },
	{ "beyond an entry", 200, 46, PT_ERR_LEVEL },
	{ "no room above the widest address", 51, 52, PT_ERR_LEVEL },
};

static void only_bits_above_the_address_are_taken(void)
{
	for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
		struct space_arena arena;
		struct pt_cpu cpu = scene_cpu();
		struct pt_space space;

		space_arena_init(&arena, 4);

		struct pt_mem mem = space_window(&arena);
		struct pt_tables tables = space_tables(&arena);

		cpu.crypt_bit = BAD[i].bit;
		cpu.phys_bits = BAD[i].phys_bits;
		CHECK_STATUS(pt_init(&space, &cpu, &mem, &tables), BAD[i].status, space_text,
			     BAD[i].name);
		CHECK_EQ(space_taken(&arena), BAD[i].status == PT_OK, BAD[i].name);
		CHECK_STATUS(pt_open(&space, &cpu, &mem, NULL, phys(SPACE_BASE)), BAD[i].status,
			     space_text, BAD[i].name);
		space_arena_free(&arena);
	}
}

/* SDM 3A 4.6.2: bits 62:59 of a leaf; ignored, and not reported, without the feature. */
static void protection_keys_are_in_bits_62_to_59(void)
{
	for (unsigned key = 0; key < 16; key++) {
		for (unsigned level = 1; level <= 3; level++) {
			struct space_fixture f;
			struct pt_cpu cpu = scene_cpu();
			struct pt_leaf leaf;
			struct pt_mapping m = { virt(8 * GIB),
						phys(8 * GIB),
						level_pages(level),
						{ PT_KEY(key), PT_WB } };

			cpu.keys = true;
			space_fixture_init(&f, &cpu, 8, false);
			scene_map(&f, m);
			f.space.cpu.keys = false;
			CHECK_EQ((*scene_entry(&f, 8 * GIB, level) >> 59) & 15, key, "key");
			CHECK_STATUS(pt_query(&f.space, virt(8 * GIB), &leaf), PT_OK, space_text,
				     "ignored");
			CHECK_EQ(leaf.own, 0, "ignored");
			f.space.cpu.keys = true;
			CHECK_STATUS(pt_query(&f.space, virt(8 * GIB), &leaf), PT_OK, space_text,
				     "key");
			CHECK_EQ(leaf.attr.flags, PT_KEY(key), "key");
			space_fixture_free(&f);
		}
	}
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(leaves_say_it_and_links_are_private);
	RUN(walks_report_addresses_without_the_bit);
	RUN(a_split_and_a_collapse_keep_it);
	RUN(all_pages_are_shared_at_once);
	RUN(addresses_end_below_the_bit);
	RUN(only_bits_above_the_address_are_taken);
	RUN(protection_keys_are_in_bits_62_to_59);
	return check_done();
}
