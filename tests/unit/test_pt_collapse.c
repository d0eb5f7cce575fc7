/*
 * Many equal leaves back into one: pt_collapse(), on x86-64. And the short way
 * to a physical address, pt_translate().
 */
#include "tests/check.h"
#include "tests/fake/scene.h"

#define USED UINT64_C(0x60) /* accessed and dirty */

static const struct pt_attr RW = { PT_WRITE, PT_WB };

/* 1 GiB at 1 GiB, mapped to 2 GiB in leaves of this level. */
static void map_gib(struct space_fixture *f, unsigned level, struct pt_attr attr)
{
	struct pt_mapping m = { virt(GIB), phys(2 * GIB), PAGES(GIB), attr };
	struct pt_options options = { .max_leaf = level, .exact = true };

	CHECK_STATUS(pt_map(&f->space, &m, &options, &f->flush), PT_OK, space_text, "map");
}

static uint64_t *entry_of(struct space_fixture *f, uint64_t va, unsigned level)
{
	uint64_t *table = f->root;

	for (unsigned l = 4; l > level; l--)
		table = space_table(&f->arena, phys(table[level_index(va, l)] & PTE_ADDR));
	return &table[level_index(va, level)];
}

static struct pt_audit audit_of(const struct space_fixture *f)
{
	static phys_addr scratch[1024];
	struct pt_audit audit;

	CHECK_STATUS(pt_audit(&f->space, scratch, ARRAY_LEN(scratch), &audit), PT_OK, space_text,
		     "audit");
	return audit;
}

static void everything(struct space_fixture *f, const char *name)
{
	struct pt_plan plan;
	size_t out = space_taken(&f->arena);
	struct pt_range half = pt_lower_half(&f->space.cpu);

	CHECK_STATUS(pt_plan_collapse(&f->space, half, &plan), PT_OK, space_text, name);
	CHECK_STATUS(pt_collapse(&f->space, half, &f->flush), PT_OK, space_text, name);
	CHECK_EQ(plan.tables, 0, name);
	CHECK_EQ(space_taken(&f->arena), out, "tables are kept until the release");
	CHECK_EQ(pt_release(&f->space, &f->flush), plan.retired, name);
}

static void a_gibibyte_of_small_pages_becomes_one_leaf(void)
{
	for (unsigned largest = 1; largest <= 3; largest++) {
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;
		struct pt_leaf leaf;

		cpu.max_leaf = (uint8_t)largest;
		space_fixture_init(&f, &cpu, 600, false);
		map_gib(&f, 1, (struct pt_attr){ PT_EXEC | PT_USER | PT_GLOBAL, PT_WC });
		everything(&f, "all");
		CHECK_STATUS(pt_query(&f.space, virt(GIB + 0x12345678), &leaf), PT_OK, space_text,
			     "query");
		CHECK_EQ(leaf.level, largest, "as large as the processor allows");
		CHECK_EQ(leaf.pa.raw - leaf.va.raw, GIB, "the same address");
		CHECK_EQ(leaf.attr.flags, PT_EXEC | PT_USER | PT_GLOBAL, "the same rights");
		CHECK_EQ(leaf.attr.cache, PT_WC, "the same cache type");
		CHECK_EQ(audit_of(&f).tables, largest == 1 ? 515 : 5 - largest, "tables");
		CHECK_EQ(space_taken(&f.arena), audit_of(&f).tables, "given back");
		space_fixture_free(&f);
	}
}

static void use_of_one_leaf_is_use_of_the_whole(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;

	space_fixture_init(&f, &cpu, 600, true);
	map_gib(&f, 2, RW);
	*entry_of(&f, GIB + 34 * MIB, 2) |= 0x20;
	*entry_of(&f, 2 * GIB - 2 * MIB, 2) |= 0x40;
	everything(&f, "used");
	CHECK_EQ(*entry_of(&f, GIB, 3) & USED, USED, "accessed and dirty");
	CHECK_EQ(audit_of(&f).leaves[3], 1, "one leaf");
	space_fixture_free(&f);
}

/* What is done to one of 512 leaves of 2 MiB. */
static const struct {
	const char *name;
	uint64_t va, flip;
} DIFFERENCES[] = {
	{ "not writable", GIB, 0x2 },
	{ "user", GIB + 2 * MIB, 0x4 },
	{ "write-through", 2 * GIB - 2 * MIB, 0x8 },
	{ "uncached", GIB + 4 * MIB, 0x10 },
	{ "global", GIB + 6 * MIB, 0x100 },
	{ "software's", GIB + 8 * MIB, 0x200 },
	{ "another PAT index", GIB + 10 * MIB, 0x1000 },
	{ "another frame", GIB + 12 * MIB, 0x200000 },
	{ "a far frame", 2 * GIB - 2 * MIB, UINT64_C(0x4000000000) },
	{ "a key", GIB + 14 * MIB, UINT64_C(1) << 59 },
	{ "executable", GIB + 16 * MIB, UINT64_C(1) << 63 },
	{ "soft", GIB + 18 * MIB, 0x1 },
};

static void one_that_differs_keeps_all_apart(void)
{
	for (size_t i = 0; i < ARRAY_LEN(DIFFERENCES); i++) {
		struct pt_cpu cpu = scene_cpu();
		struct space_fixture f;

		space_fixture_init(&f, &cpu, 16, false);
		map_gib(&f, 2, RW);
		*entry_of(&f, DIFFERENCES[i].va, 2) ^= DIFFERENCES[i].flip;
		space_snapshot_take(&f.shot, &f.arena);
		everything(&f, DIFFERENCES[i].name);
		CHECK(space_snapshot_equal(&f.shot, &f.arena), DIFFERENCES[i].name);
		*entry_of(&f, DIFFERENCES[i].va, 2) ^= DIFFERENCES[i].flip;
		everything(&f, "mended");
		CHECK_EQ(audit_of(&f).leaves[3], 1, DIFFERENCES[i].name);
		space_fixture_free(&f);
	}
}

static void an_unaligned_frame_keeps_leaves_small(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;
	struct pt_mapping m = { virt(2 * MIB), phys(2 * MIB + 4096), 512, RW };

	space_fixture_init(&f, &cpu, 16, false);
	CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_OK, space_text, "map");
	everything(&f, "skewed");
	CHECK_EQ(audit_of(&f).leaves[1], 512, "small leaves");
	space_fixture_free(&f);
}

static void a_link_that_withholds_a_right_stays(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;

	space_fixture_init(&f, &cpu, 16, false);
	map_gib(&f, 2, RW);
	*entry_of(&f, GIB, 3) &= ~UINT64_C(2);
	everything(&f, "read-only link");
	CHECK_EQ(audit_of(&f).leaves[2], 512, "as they were");
	space_fixture_free(&f);
}

static void only_tables_that_the_range_touches_count(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;
	struct pt_range page = { virt(GIB + 6 * MIB + 4096), 1 };
	struct pt_range nothing = { virt(GIB), 0 };
	struct pt_plan plan;

	space_fixture_init(&f, &cpu, 600, false);
	map_gib(&f, 1, RW);
	CHECK_STATUS(pt_plan_collapse(&f.space, nothing, &plan), PT_OK, space_text, "no page");
	CHECK_EQ(plan.retired + plan.leaves[2], 0, "no page");
	CHECK_STATUS(pt_plan_collapse(&f.space, page, &plan), PT_OK, space_text, "one page");
	CHECK_EQ(plan.retired, 1, "one page");
	CHECK_EQ(plan.leaves[2], 1, "one page");
	CHECK_STATUS(pt_collapse(&f.space, page, &f.flush), PT_OK, space_text, "one page");
	CHECK(f.flush.va.raw <= GIB + 6 * MIB && f.flush.global, "flushed");
	CHECK(f.flush.va.raw + f.flush.pages * 4096 >= GIB + 8 * MIB, "flushed to its end");
	CHECK_EQ(pt_release(&f.space, &f.flush), 1, "one table");
	CHECK_EQ(audit_of(&f).leaves[2], 1, "one larger leaf");
	CHECK_EQ(audit_of(&f).leaves[1], 511 * 512, "the rest");
	space_fixture_free(&f);
}

/* Readers may be inside until the release: the list of retired tables must not show. */
static void retired_tables_say_what_they_said(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;
	uint64_t before[3][512];
	uint64_t *tables[3];

	space_fixture_init(&f, &cpu, 600, false);
	map_gib(&f, 1, (struct pt_attr){ PT_EXEC, PT_WB });
	for (unsigned i = 0; i < 3; i++) {
		struct pt_range page = { virt(GIB + i * 2 * MIB), 1 };

		tables[i] = entry_of(&f, page.va.raw, 1);
		memcpy(before[i], tables[i], sizeof(before[i]));
		CHECK_STATUS(pt_collapse(&f.space, page, &f.flush), PT_OK, space_text, "collapse");
	}
	for (unsigned i = 0; i < 3 * 512; i++)
		CHECK_EQ(tables[i / 512][i % 512] & ~PTE_STASH_MASK, before[i / 512][i % 512],
			 "an entry of a retired table");
	CHECK_EQ(pt_release(&f.space, &f.flush), 3, "all of them");
	space_fixture_free(&f);
}

/* As high as a table can lie: the list of retired tables holds whole addresses. */
static void tables_at_the_highest_addresses_are_released(void)
{
	static _Alignas(4096) unsigned char memory[16][4096];
	const phys_addr first = phys((UINT64_C(1) << 52) - sizeof(memory));
	struct pt_cpu cpu = scene_cpu();
	struct pt_mem mem = { .window = memory,
			      .first = first,
			      .last = phys((UINT64_C(1) << 52) - 4096) };
	struct pt_block block = { .first = first, .count = ARRAY_LEN(memory) };
	struct pt_tables tables = pt_block_tables(&block);
	struct pt_flush flush = PT_FLUSH_NONE;
	struct pt_space space;

	cpu.phys_bits = 52;
	CHECK_STATUS(pt_init(&space, &cpu, &mem, &tables), PT_OK, space_text, "init");
	for (uint64_t va = 0; va < 1024 * GIB; va += 512 * GIB) {
		struct pt_mapping m = { virt(va), phys(0), 1, RW };

		CHECK_STATUS(pt_map(&space, &m, NULL, &flush), PT_OK, space_text, "map");
	}
	CHECK_STATUS(pt_unmap(&space, pt_lower_half(&cpu), &flush), PT_OK, space_text, "unmap");
	CHECK_EQ(pt_release(&space, &flush), 6, "all but the root");
}

static void empty_tables_go_and_the_root_stays(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;
	struct pt_mapping m = { virt(5 * GIB), phys(0), 1, RW };

	space_fixture_init(&f, &cpu, 16, false);
	CHECK_STATUS(pt_map(&f.space, &m, NULL, &f.flush), PT_OK, space_text, "map");
	*entry_of(&f, 5 * GIB, 1) = 0;
	everything(&f, "empty");
	CHECK_EQ(space_taken(&f.arena), 1, "the root");
	space_fixture_free(&f);
}

static void what_cannot_be_read_is_refused_and_nothing_changes(void)
{
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;
	struct pt_plan plan;
	struct pt_range half = pt_lower_half(&cpu);

	space_fixture_init(&f, &cpu, 600, false);
	map_gib(&f, 1, RW);
	*entry_of(&f, 2 * GIB - 2 * MIB, 2) = 0x7ffff000 | 7;
	space_snapshot_take(&f.shot, &f.arena);
	CHECK_STATUS(pt_collapse(&f.space, half, &f.flush), PT_ERR_CORRUPT, space_text, "reach");
	CHECK_STATUS(pt_plan_collapse(&f.space, half, &plan), PT_ERR_CORRUPT, space_text, "plan");
	CHECK_EQ(plan.where.raw, 2 * GIB - 2 * MIB, "where");
	CHECK(space_snapshot_equal(&f.shot, &f.arena), "unchanged");
	half.va.raw = 1;
	CHECK_STATUS(pt_collapse(&f.space, half, &f.flush), PT_ERR_UNALIGNED, space_text, "odd");
	half = (struct pt_range){ virt(0x800000000000), 1 };
	CHECK_STATUS(pt_collapse(&f.space, half, &f.flush), PT_ERR_RANGE, space_text, "hole");
	half.pages = 0;
	CHECK_STATUS(pt_collapse(&f.space, half, &f.flush), PT_OK, space_text, "nothing");
	half = (struct pt_range){ virt(0), 1 };
	f.space.root.raw = 0x7ffff000;
	CHECK_STATUS(pt_collapse(&f.space, half, &f.flush), PT_ERR_CORRUPT, space_text, "no root");
	f.space.tables.take = NULL;
	CHECK_STATUS(pt_collapse(&f.space, half, &f.flush), PT_ERR_READ_ONLY, space_text, "read");
	space_fixture_free(&f);
}

static void a_translation_is_what_a_query_says(void)
{
	static const uint64_t probes[] = {
		0,           0xfff,          GIB,        GIB + 12345,  2 * GIB - 1,    3 * GIB,
		2 * MIB - 1, 0x800000000000, UINT64_MAX, 4 * GIB + 99, 0x7fffffffffff, 5 * GIB
	};
	struct pt_cpu cpu = scene_cpu();
	struct space_fixture f;
	struct pt_mapping low = { virt(0), phys(0x5000), 512, RW };

	space_fixture_init(&f, &cpu, 600, true);
	map_gib(&f, 3, RW);
	CHECK_STATUS(pt_map(&f.space, &low, NULL, &f.flush), PT_OK, space_text, "map");
	*entry_of(&f, 4 * GIB, 3) = 0x80 | 0x2000 | 1; /* reserved bit */
	*entry_of(&f, 5 * GIB, 3) = 0x7ffff000 | 7;    /* out of reach */
	for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
		struct pt_leaf leaf = { .level = 0 };
		phys_addr pa = phys(77);
		enum pt_status want = pt_query(&f.space, virt(probes[i]), &leaf);
		uint64_t at = leaf.pa.raw + (probes[i] - leaf.va.raw);

		CHECK_STATUS(pt_translate(&f.space, virt(probes[i]), &pa), want, space_text, "");
		CHECK_EQ(pa.raw, want == PT_OK ? at : 77, "address");
	}
	space_fixture_free(&f);
}

int main(void)
{
	RUN(a_gibibyte_of_small_pages_becomes_one_leaf);
	RUN(use_of_one_leaf_is_use_of_the_whole);
	RUN(one_that_differs_keeps_all_apart);
	RUN(an_unaligned_frame_keeps_leaves_small);
	RUN(a_link_that_withholds_a_right_stays);
	RUN(only_tables_that_the_range_touches_count);
	RUN(retired_tables_say_what_they_said);
	RUN(tables_at_the_highest_addresses_are_released);
	RUN(empty_tables_go_and_the_root_stays);
	RUN(what_cannot_be_read_is_refused_and_nothing_changes);
	RUN(a_translation_is_what_a_query_says);
	return check_done();
}
