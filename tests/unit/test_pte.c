/*
 * What every layout of entries has to do, whatever its bits: compiled once for
 * each (PTE_LAYOUT). Bits are found by flipping them, never named.
 */
#include "paging/pt.h"
#include "tests/check.h"

enum { SAMPLES = 200, ENTRY_BITS = 64 };

static const uint32_t RIGHTS = PT_WRITE | PT_USER | PT_EXEC;
static const enum pt_cache CACHES[] = { PT_UC, PT_WC, PT_WT, PT_WP, PT_WB, PT_UC_MINUS };
static uint64_t rng;

static struct pt_cpu cpu_of(bool nx)
{
	return (struct pt_cpu){ .levels = PT_MAX_LEVELS,
				.max_leaf = PT_MAX_LEAF_LEVEL,
				.phys_bits = PTE_MAX_PHYS_BITS,
				.nx = nx,
				.pat = PT_PAT_FULL };
}

/*
 * The processors of a layout: with and without NX, keys, and a bit for
 * encryption of either polarity, which takes the highest bit of the address.
 */
enum { CPU_KINDS = 12 };

static struct pt_cpu cpu_kind(unsigned kind)
{
	struct pt_cpu cpu = cpu_of(kind % 2);

	cpu.keys = kind / 2 % 2;
	if (kind / 4 != 0) {
		cpu.phys_bits = PTE_MAX_PHYS_BITS - 3;
		cpu.crypt_bit = (uint8_t)(PTE_MAX_PHYS_BITS - 3 + kind % 3);
		cpu.crypt_means_shared = kind / 4 == 2;
	}
	return cpu;
}

/* A layout need not have all of what attr.h has words for. */
static bool layout_has(uint32_t flags)
{
	struct pt_cpu cpu = cpu_kind(7);

	return (pte_flags(&cpu) & flags) == flags;
}

static bool layout_has_cache(enum pt_cache cache)
{
	struct pt_cpu cpu = cpu_of(true);
	pte_t bits;

	return pte_cache_bits(&cpu, cache, 1, &bits);
}

static const char *level_name(unsigned level)
{
	static const char names[][8] = { "level 0", "level 1", "level 2",
					 "level 3", "level 4", "level 5" };

	return names[level];
}

static phys_addr random_address(const struct pt_cpu *cpu, unsigned level)
{
	uint64_t mask = (UINT64_C(1) << cpu->phys_bits) - 1;

	return phys(align_down(check_random(&rng) & mask, level_size(level)));
}

static struct pt_attr random_attr(const struct pt_cpu *cpu)
{
	uint64_t r = check_random(&rng);
	enum pt_cache cache = CACHES[r % ARRAY_LEN(CACHES)];

	return (struct pt_attr){ (uint32_t)(r >> 8) & pte_flags(cpu),
				 layout_has_cache(cache) ? cache : PT_WB };
}

/* The bits of a leaf but for its address. */
static bool encode(const struct pt_cpu *cpu, struct pt_attr attr, unsigned level, pte_t *ret_bits)
{
	pte_t cache;

	if (!pte_cache_bits(cpu, attr.cache, level, &cache))
		return false;
	*ret_bits = pte_mark(level) | pte_flag_bits(cpu, attr.flags, level) | cache;
	return true;
}

static pte_t leaf_of(const struct pt_cpu *cpu, struct pt_attr attr, phys_addr pa, unsigned level)
{
	pte_t bits = 0;

	CHECK(encode(cpu, attr, level, &bits), level_name(level));
	return pte_leaf(bits, pa.raw, level);
}

/* What a leaf says of `attr` on a processor that may lack NX. */
static uint32_t flags_on(const struct pt_cpu *cpu, struct pt_attr attr)
{
	return attr.flags | (cpu->nx ? 0u : pte_flags(cpu) & PT_EXEC);
}

static bool same_attr(struct pt_attr a, struct pt_attr b)
{
	return a.flags == b.flags && a.cache == b.cache;
}

static void zero_is_absent_at_every_level(void)
{
	for (unsigned level = 1; level <= PT_MAX_LEVELS; level++) {
		CHECK_EQ(pte_kind(0, level), PTE_ABSENT, level_name(level));
		CHECK_EQ(pte_unstash(0), 0, level_name(level));
	}
}

static void a_leaf_says_what_was_encoded(void)
{
	for (unsigned i = 0; i < SAMPLES * PT_MAX_LEAF_LEVEL; i++) {
		unsigned level = 1 + i % PT_MAX_LEAF_LEVEL;
		struct pt_cpu cpu = cpu_kind(i % CPU_KINDS);
		struct pt_attr attr = random_attr(&cpu);
		phys_addr pa = random_address(&cpu, level);
		pte_t e = leaf_of(&cpu, attr, pa, level);

		CHECK_EQ(pte_kind(e, level), PTE_LEAF, level_name(level));
		CHECK(pte_is_valid(&cpu, e, level), level_name(level));
		CHECK_EQ(pte_leaf_addr(&cpu, e, level).raw, pa.raw, level_name(level));
		CHECK_EQ(pte_attr(&cpu, e, level).flags, flags_on(&cpu, attr), level_name(level));
		CHECK_EQ(pte_attr(&cpu, e, level).cache, attr.cache, level_name(level));
	}
}

static void the_lowest_and_the_highest_address_fit(void)
{
	struct pt_cpu cpu = cpu_of(true);
	struct pt_attr attr = { 0, PT_WB };

	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		uint64_t highest = (UINT64_C(1) << PTE_MAX_PHYS_BITS) - level_size(level);
		pte_t low = leaf_of(&cpu, attr, phys(0), level);
		pte_t high = leaf_of(&cpu, attr, phys(highest), level);

		CHECK_EQ(pte_kind(low, level), PTE_LEAF, level_name(level));
		CHECK_EQ(pte_leaf_addr(&cpu, low, level).raw, 0, level_name(level));
		CHECK_EQ(pte_leaf_addr(&cpu, high, level).raw, highest, level_name(level));
		CHECK(pte_is_valid(&cpu, high, level), level_name(level));
	}
}

static void a_link_leads_to_its_table_and_withholds_nothing(void)
{
	for (unsigned i = 0; i < SAMPLES * PT_MAX_LEVELS; i++) {
		unsigned level = 2 + i % (PT_MAX_LEVELS - 1);
		struct pt_cpu cpu = cpu_kind(i / PT_MAX_LEVELS % CPU_KINDS);
		phys_addr table = random_address(&cpu, 1);
		pte_t e = pte_link(&cpu, table, RIGHTS, level);

		CHECK_EQ(pte_kind(e, level), PTE_TABLE, level_name(level));
		CHECK(pte_is_valid(&cpu, e, level), level_name(level));
		CHECK_EQ(pte_table_addr(&cpu, e, level).raw, table.raw, level_name(level));
		CHECK_EQ(pte_rights(&cpu, e, level), RIGHTS, level_name(level));
	}
}

static void nothing_is_a_table_at_level_1(void)
{
	for (unsigned i = 0; i < SAMPLES; i++)
		CHECK(pte_kind(check_random(&rng), 1) != PTE_TABLE, "random bits");
}

/* Every single bit, flipped in a link, withholds a right, or leads elsewhere, or is reserved. */
static void each_right_can_be_withheld_by_a_link(void)
{
	struct pt_cpu cpu = cpu_of(true);
	phys_addr table = random_address(&cpu, 1);

	for (unsigned level = 2; level <= PT_MAX_LEVELS; level++) {
		uint32_t withheld = 0;

		for (unsigned bit = 0; bit < ENTRY_BITS; bit++) {
			pte_t e = pte_link(&cpu, table, RIGHTS, level) ^ UINT64_C(1) << bit;

			if (pte_kind(e, level) == PTE_TABLE && pte_is_valid(&cpu, e, level))
				withheld |= RIGHTS & ~pte_rights(&cpu, e, level);
		}
		CHECK_EQ(withheld, RIGHTS & pte_flags(&cpu), level_name(level));
	}
}

static void without_nx_neither_leaf_nor_link_forbids_execution(void)
{
	struct pt_cpu with = cpu_of(true), without = cpu_of(false);

	if (!layout_has(PT_EXEC))
		return;
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		struct pt_attr attr = { PT_WRITE, PT_WB };
		pte_t e = leaf_of(&without, attr, phys(0), level);

		CHECK(pte_is_valid(&without, e, level), level_name(level));
		CHECK_EQ(pte_attr(&without, e, level).flags, PT_WRITE | PT_EXEC, level_name(level));
		e = leaf_of(&with, attr, phys(0), level);
		CHECK(!pte_is_valid(&without, e, level), level_name(level));
	}
	for (unsigned bit = 0; bit < ENTRY_BITS; bit++) {
		pte_t e = pte_link(&without, phys(0), RIGHTS, 2) ^ UINT64_C(1) << bit;

		if (pte_kind(e, 2) == PTE_TABLE && pte_is_valid(&without, e, 2))
			CHECK(pte_rights(&without, e, 2) & PT_EXEC, "a link");
	}
}

static void addresses_beyond_the_width_are_reserved(void)
{
	for (unsigned bits = PTE_PAGE_SHIFT + 1; bits <= PTE_MAX_PHYS_BITS; bits++) {
		struct pt_cpu cpu = cpu_of(true);
		struct pt_attr attr = { 0, PT_WB };

		cpu.phys_bits = (uint8_t)bits;
		for (unsigned bit = PTE_PAGE_SHIFT; bit < PTE_MAX_PHYS_BITS; bit++) {
			uint64_t pa = UINT64_C(1) << bit;

			CHECK_EQ(pte_is_valid(&cpu, pte_link(&cpu, phys(pa), RIGHTS, 2), 2),
				 bit < bits, "link");
			CHECK_EQ(pte_is_valid(&cpu, pte_link(&cpu, phys(pa), RIGHTS, PT_MAX_LEVELS),
					      PT_MAX_LEVELS),
				 bit < bits, "link of the highest level");
			CHECK_EQ(pte_is_valid(&cpu, leaf_of(&cpu, attr, phys(pa), 1), 1),
				 bit < bits, "leaf");
			for (unsigned level = 2; level <= PT_MAX_LEAF_LEVEL; level++) {
				if (bit < level_shift(level))
					continue;
				CHECK_EQ(pte_is_valid(&cpu, leaf_of(&cpu, attr, phys(pa), level),
						      level),
					 bit < bits, level_name(level));
			}
		}
	}
}

/* The lowest bit below a large leaf's address may have a meaning of its own, as on x86-64. */
static void bits_below_the_address_of_a_large_leaf_are_reserved(void)
{
	struct pt_cpu cpu = cpu_of(true);
	struct pt_attr attr = { 0, PT_WB };

	for (unsigned level = 2; level <= PT_MAX_LEAF_LEVEL; level++) {
		for (unsigned bit = PTE_PAGE_SHIFT + 1; bit < level_shift(level); bit++) {
			pte_t e = leaf_of(&cpu, attr, phys(UINT64_C(1) << bit), level);

			CHECK(!pte_is_valid(&cpu, e, level), level_name(level));
			CHECK_EQ(pte_leaf_addr(&cpu, e, level).raw, 0, level_name(level));
		}
	}
}

static void a_leaf_larger_than_the_processor_has_is_invalid(void)
{
	for (unsigned largest = 1; largest <= PT_MAX_LEAF_LEVEL; largest++) {
		struct pt_cpu cpu = cpu_of(true);
		struct pt_attr attr = { 0, PT_WB };

		cpu.max_leaf = (uint8_t)largest;
		for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
			pte_t e = leaf_of(&cpu, attr, phys(0), level);

			CHECK_EQ(pte_is_valid(&cpu, e, level), level <= largest, level_name(level));
			CHECK_EQ(pte_kind(e, level), PTE_LEAF, level_name(level));
		}
	}
}

/* Above the largest leaf there is a bit that makes a link something the processor faults on. */
static void a_leaf_above_the_largest_level_is_recognised_and_invalid(void)
{
	struct pt_cpu cpu = cpu_of(true);

	for (unsigned level = PT_MAX_LEAF_LEVEL + 1; level <= PT_MAX_LEVELS; level++) {
		unsigned leaves = 0;

		for (unsigned bit = 0; bit < ENTRY_BITS; bit++) {
			pte_t e = pte_link(&cpu, phys(0), RIGHTS, level) ^ UINT64_C(1) << bit;

			leaves += pte_kind(e, level) == PTE_LEAF;
			CHECK(pte_kind(e, level) != PTE_LEAF || !pte_is_valid(&cpu, e, level),
			      level_name(level));
		}
		CHECK(leaves > 0, level_name(level));
	}
}

static void a_cache_type_that_the_pat_lacks_is_not_encoded(void)
{
	struct pt_cpu cpu = cpu_of(true);

	for (unsigned missing = 0; missing < ARRAY_LEN(CACHES); missing++) {
		for (unsigned index = 0; index < 8; index++) {
			unsigned type = CACHES[(missing + 1 + index % 5) % ARRAY_LEN(CACHES)];

			cpu.pat = (cpu.pat & ~(UINT64_C(0xff) << (8 * index))) |
				  (uint64_t)type << (8 * index);
		}
		for (unsigned i = 0; i < ARRAY_LEN(CACHES); i++) {
			struct pt_attr attr = { 0, CACHES[i] };
			pte_t bits = 77;
			bool ok = encode(&cpu, attr, 1 + i % PT_MAX_LEAF_LEVEL, &bits);

			/* Without a PAT there is the one type, whatever the PAT says. */
			CHECK_EQ(ok, layout_has_cache(PT_UC) ? i != missing : CACHES[i] == PT_WB,
				 pt_cache_name(CACHES[i]));
			CHECK(ok || bits == 77, pt_cache_name(CACHES[i]));
		}
	}
}

static void demoted_leaves_say_together_what_the_leaf_said(void)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		unsigned level = 2 + i % (PT_MAX_LEAF_LEVEL - 1);
		struct pt_cpu cpu = cpu_kind(i / 2 % CPU_KINDS);
		phys_addr at = random_address(&cpu, level);
		pte_t whole = leaf_of(&cpu, random_attr(&cpu), at, level);
		pte_t bits = pte_demote(&cpu, whole, level);

		for (unsigned part = 0; part < PTE_COUNT; part++) {
			uint64_t pa = pte_leaf_addr(&cpu, whole, level).raw +
				      part * level_size(level - 1);
			pte_t e = pte_leaf(bits, pa, level - 1);

			CHECK_EQ(pte_kind(e, level - 1), PTE_LEAF, level_name(level));
			CHECK(pte_is_valid(&cpu, e, level - 1), level_name(level));
			CHECK_EQ(pte_leaf_addr(&cpu, e, level - 1).raw, pa, level_name(level));
			CHECK(same_attr(pte_attr(&cpu, e, level - 1), pte_attr(&cpu, whole, level)),
			      level_name(level));
		}
	}
}

static void a_promoted_leaf_demoted_again_says_the_same(void)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		unsigned level = 1 + i % (PT_MAX_LEAF_LEVEL - 1);
		struct pt_cpu cpu = cpu_kind(i / 2 % CPU_KINDS);
		phys_addr pa = random_address(&cpu, level + 1);
		pte_t e = leaf_of(&cpu, random_attr(&cpu), pa, level);
		pte_t larger = pte_promote(e, level);

		CHECK_EQ(pte_kind(larger, level + 1), PTE_LEAF, level_name(level));
		CHECK(pte_is_valid(&cpu, larger, level + 1), level_name(level));
		CHECK_EQ(pte_leaf_addr(&cpu, larger, level + 1).raw, pa.raw, level_name(level));
		CHECK_EQ(pte_leaf(pte_demote(&cpu, larger, level + 1), pa.raw, level), e,
			 level_name(level));
	}
}

static void the_bits_of_use_are_accessed_and_dirty(void)
{
	struct pt_cpu cpu = cpu_of(true);

	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++) {
		struct pt_attr idle = { PT_WRITE, PT_WB };
		struct pt_attr used = { PT_WRITE | PT_ACCESSED | PT_DIRTY, PT_WB };
		phys_addr pa = random_address(&cpu, level);

		CHECK_EQ(leaf_of(&cpu, idle, pa, level) |
				 pte_flag_mask(&cpu, PT_ACCESSED | PT_DIRTY, level),
			 leaf_of(&cpu, used, pa, level), level_name(level));
		CHECK_EQ(leaf_of(&cpu, used, pa, level) &
				 ~pte_flag_mask(&cpu, PT_ACCESSED | PT_DIRTY, level),
			 leaf_of(&cpu, idle, pa, level), level_name(level));
	}
}

/* Flags and cache type can be said anew, with the masks; all else in a leaf stays. */
static void a_restated_leaf_keeps_what_is_outside_of_the_masks(void)
{
	for (unsigned i = 0; i < SAMPLES * PT_MAX_LEAF_LEVEL; i++) {
		unsigned level = 1 + i % PT_MAX_LEAF_LEVEL;
		struct pt_cpu cpu = cpu_kind(i / PT_MAX_LEAF_LEVEL % CPU_KINDS);
		struct pt_attr was = random_attr(&cpu), is = random_attr(&cpu);
		uint32_t stated = (uint32_t)check_random(&rng) & pte_flags(&cpu);
		pte_t e = leaf_of(&cpu, was, random_address(&cpu, level), level), bits = 0;
		pte_t mask = pte_flag_mask(&cpu, stated, level) | pte_cache_mask(level);

		CHECK(encode(&cpu, is, level, &bits), level_name(level));

		pte_t again = (e & ~mask) | (bits & mask);

		is.flags = flags_on(
			&cpu,
			(struct pt_attr){ (is.flags & stated) | (was.flags & ~stated), is.cache });
		CHECK(pte_is_valid(&cpu, again, level), level_name(level));
		CHECK_EQ(pte_kind(again, level), PTE_LEAF, level_name(level));
		CHECK_EQ(pte_leaf_addr(&cpu, again, level).raw, pte_leaf_addr(&cpu, e, level).raw,
			 level_name(level));
		CHECK(same_attr(pte_attr(&cpu, again, level), is), level_name(level));
	}
}

/* All that the other functions say of an entry. */
struct opinion {
	enum pte_kind kind;
	bool valid;
	uint64_t leaf, table;
	struct pt_attr attr;
	uint32_t rights;
};

static struct opinion opinion_of(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	struct opinion o = { .kind = pte_kind(e, level) };

	if (o.kind != PTE_LEAF && o.kind != PTE_TABLE)
		return o;
	o.valid = pte_is_valid(cpu, e, level);
	if (o.kind == PTE_TABLE) {
		o.table = pte_table_addr(cpu, e, level).raw;
		o.rights = pte_rights(cpu, e, level);
	} else {
		o.leaf = pte_leaf_addr(cpu, e, level).raw;
		o.attr = pte_attr(cpu, e, level);
	}
	return o;
}

static bool same_opinion(struct opinion a, struct opinion b)
{
	return a.kind == b.kind && a.valid == b.valid && a.leaf == b.leaf && a.table == b.table &&
	       same_attr(a.attr, b.attr) && a.rights == b.rights;
}

static void expect_stash_is_invisible(pte_t e, unsigned level)
{
	struct pt_cpu cpu = cpu_of(true);
	unsigned value = (unsigned)check_random(&rng) & ((1u << PTE_STASH_BITS) - 1);
	pte_t with = pte_stash(e, value);

	CHECK_EQ(pte_unstash(with), value, level_name(level));
	CHECK_EQ(pte_stash(with, 0), pte_stash(e, 0), level_name(level));
	CHECK(same_opinion(opinion_of(&cpu, with, level), opinion_of(&cpu, e, level)),
	      level_name(level));
}

static void the_stash_changes_nothing_that_an_entry_says(void)
{
	struct pt_cpu cpu = cpu_of(true);

	for (unsigned i = 0; i < SAMPLES * PT_MAX_LEVELS; i++) {
		unsigned level = 1 + i % PT_MAX_LEVELS;

		expect_stash_is_invisible(0, level);
		expect_stash_is_invisible(check_random(&rng), level);
		if (level > 1)
			expect_stash_is_invisible(
				pte_link(&cpu, random_address(&cpu, 1), RIGHTS, level), level);
		if (level <= PT_MAX_LEAF_LEVEL)
			expect_stash_is_invisible(leaf_of(&cpu, random_attr(&cpu),
							  random_address(&cpu, level), level),
						  level);
	}
}

/* The number is visible to pte_count() alone, up to one more than a table has entries. */
static void a_count_changes_nothing_that_a_link_says(void)
{
	for (unsigned i = 0; i < SAMPLES * PT_MAX_LEVELS; i++) {
		unsigned level = 2 + i % (PT_MAX_LEVELS - 1);
		struct pt_cpu cpu = cpu_kind(i / PT_MAX_LEVELS % CPU_KINDS);
		uint32_t rights = (uint32_t)check_random(&rng) & RIGHTS;
		unsigned count = (unsigned)check_random(&rng) % (PTE_COUNT + 2);
		pte_t link = pte_link(&cpu, random_address(&cpu, 1), rights, level);
		pte_t counted = pte_set_count(link, count);

		CHECK_EQ(pte_count(link), 0, level_name(level));
		CHECK_EQ(pte_count(counted), count, level_name(level));
		CHECK_EQ(pte_set_count(counted, 0), link, level_name(level));
		CHECK_EQ(pte_count(pte_set_count(counted, PTE_COUNT + 1)), PTE_COUNT + 1,
			 level_name(level));
		CHECK(same_opinion(opinion_of(&cpu, counted, level), opinion_of(&cpu, link, level)),
		      level_name(level));
	}
}

static void a_link_restated_has_the_rights_given_and_keeps_all_else(void)
{
	for (unsigned i = 0; i < SAMPLES * PT_MAX_LEVELS; i++) {
		unsigned level = 2 + i % (PT_MAX_LEVELS - 1);
		struct pt_cpu cpu = cpu_kind(i / PT_MAX_LEVELS % CPU_KINDS);
		uint32_t was = (uint32_t)check_random(&rng) & RIGHTS;
		uint32_t is = (uint32_t)check_random(&rng) & RIGHTS;
		uint32_t always = RIGHTS &
				  ~(pte_flags(&cpu) & (cpu.nx ? RIGHTS : RIGHTS ^ PT_EXEC));
		phys_addr table = random_address(&cpu, 1);
		unsigned count = (unsigned)check_random(&rng) % (PTE_COUNT + 2);
		pte_t e = pte_set_count(pte_link(&cpu, table, was, level), count);
		pte_t again = pte_relink(&cpu, e, is, level);

		CHECK_EQ(pte_rights(&cpu, again, level), is | always, level_name(level));
		CHECK_EQ(again, pte_set_count(pte_link(&cpu, table, is, level), count),
			 level_name(level));
		CHECK_EQ(pte_relink(&cpu, again, was, level), e, level_name(level));
	}
}

/* Neither is the address in the way of a flag, nor one flag of another. */
static void what_states_flags_cache_type_and_address_is_disjoint(void)
{
	for (unsigned i = 0; i < CPU_KINDS * PT_MAX_LEAF_LEVEL; i++) {
		unsigned level = 1 + i % PT_MAX_LEAF_LEVEL;
		struct pt_cpu cpu = cpu_kind(i / PT_MAX_LEAF_LEVEL);
		uint64_t highest = (UINT64_C(1) << cpu.phys_bits) - level_size(level);
		pte_t taken = pte_leaf(0, highest, level);

		CHECK_EQ(taken & pte_mark(level), 0, level_name(level));
		taken |= pte_mark(level);
		CHECK_EQ(taken & pte_cache_mask(level), 0, level_name(level));
		taken |= pte_cache_mask(level);
		CHECK_EQ(taken & pte_stash(0, (1u << PTE_STASH_BITS) - 1), 0, level_name(level));
		taken |= pte_stash(0, (1u << PTE_STASH_BITS) - 1);
		for (uint32_t flag = 1; flag <= PT_KEY_MASK; flag <<= 1) {
			pte_t mask = pte_flag_mask(&cpu, flag, level);
			bool has = (pte_flags(&cpu) & flag) && (flag != PT_EXEC || cpu.nx);

			CHECK_EQ(taken & mask, 0, level_name(level));
			CHECK_EQ(mask != 0, has, level_name(level));
			taken |= mask;
		}
	}
}

/* Each flag by itself, in the bits of its mask and in no other. */
static void a_flag_is_stated_where_its_mask_says(void)
{
	for (unsigned i = 0; i < CPU_KINDS * PT_MAX_LEAF_LEVEL; i++) {
		unsigned level = 1 + i % PT_MAX_LEAF_LEVEL;
		struct pt_cpu cpu = cpu_kind(i / PT_MAX_LEAF_LEVEL);
		pte_t none = pte_flag_bits(&cpu, 0, level);

		for (uint32_t flag = 1; flag <= PT_KEY_MASK; flag <<= 1) {
			pte_t with = pte_flag_bits(&cpu, flag & pte_flags(&cpu), level);

			CHECK_EQ(with ^ none, pte_flag_mask(&cpu, flag, level), level_name(level));
		}
	}
}

static void a_key_is_a_number_and_not_four_flags(void)
{
	struct pt_cpu cpu = cpu_kind(3), without = cpu_of(true);

	CHECK_EQ(pte_flags(&without) & PT_KEY_MASK, 0, "without keys");
	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL && layout_has(PT_KEY_MASK); level++) {
		for (unsigned key = 0; key < 16; key++) {
			struct pt_attr attr = { PT_USER | PT_KEY(key), PT_WB };
			pte_t e = leaf_of(&cpu, attr, phys(0), level);

			CHECK_EQ(pte_attr(&cpu, e, level).flags, attr.flags, level_name(level));
		}
	}
}

/* The bit says whether memory is encrypted, and is not one of the address. */
static void memory_is_private_unless_it_is_shared(void)
{
	for (unsigned i = 0; i < CPU_KINDS * PT_MAX_LEAF_LEVEL && layout_has(PT_SHARED); i++) {
		unsigned level = 1 + i % PT_MAX_LEAF_LEVEL;
		struct pt_cpu cpu = cpu_kind(i / PT_MAX_LEAF_LEVEL);
		phys_addr pa = random_address(&cpu, level);
		pte_t private = leaf_of(&cpu, (struct pt_attr){ 0, PT_WB }, pa, level);
		pte_t shared = leaf_of(&cpu, (struct pt_attr){ PT_SHARED, PT_WB }, pa, level);
		pte_t bit = private ^ shared;

		if (!cpu.crypt_bit) {
			CHECK_EQ(bit, 0, level_name(level));
			CHECK(!(pte_flags(&cpu) & PT_SHARED), level_name(level));
			continue;
		}
		CHECK(bit != 0 && (bit & (bit - 1)) == 0, level_name(level));
		CHECK_EQ(pte_attr(&cpu, shared, level).flags & PT_SHARED, PT_SHARED,
			 level_name(level));
		CHECK_EQ(pte_attr(&cpu, private, level).flags & PT_SHARED, 0, level_name(level));
		CHECK_EQ(pte_leaf_addr(&cpu, private, level).raw, pa.raw, level_name(level));
		CHECK_EQ(pte_leaf_addr(&cpu, shared, level).raw, pa.raw, level_name(level));
		CHECK(pte_is_valid(&cpu, private, level), level_name(level));
		CHECK(pte_is_valid(&cpu, shared, level), level_name(level));
	}
}

/* The bit in a link is as in a private leaf, and no link leads elsewhere by it. */
static void tables_are_private(void)
{
	for (unsigned kind = 4; kind < CPU_KINDS && layout_has(PT_SHARED); kind++) {
		struct pt_cpu cpu = cpu_kind(kind);

		for (unsigned level = 2; level <= PT_MAX_LEAF_LEVEL; level++) {
			struct pt_attr attr = { 0, PT_WB };
			pte_t private = leaf_of(&cpu, attr, phys(0), level);
			pte_t shared = pte_flag_mask(&cpu, PT_SHARED, level);
			phys_addr table = random_address(&cpu, 1);
			pte_t link = pte_link(&cpu, table, RIGHTS, level);

			CHECK_EQ(link & shared, private & shared, level_name(level));
			CHECK_EQ(pte_table_addr(&cpu, link ^ shared, level).raw, table.raw,
				 level_name(level));
			CHECK_EQ(pte_relink(&cpu, link, 0, level) & shared, link & shared,
				 level_name(level));
		}
	}
}

static void levels_and_indices_divide_an_address(void)
{
	for (unsigned level = 1; level <= PT_MAX_LEVELS; level++) {
		uint64_t va = check_random(&rng);

		CHECK_EQ(level_size(level), PT_PAGE_SIZE * level_pages(level), level_name(level));
		CHECK_EQ(level_size(level), UINT64_C(1) << level_shift(level), level_name(level));
		CHECK_EQ(level_index(va, level), va / level_size(level) % PTE_COUNT,
			 level_name(level));
	}
	CHECK_EQ(level_size(1), PT_PAGE_SIZE, "level 1");
	CHECK_EQ(level_size(2), PT_PAGE_SIZE * PTE_COUNT, "level 2");
	CHECK_EQ(PTE_COUNT * sizeof(pte_t), PT_PAGE_SIZE, "a table is a page");
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	rng = check_seed(7);
	RUN(zero_is_absent_at_every_level);
	RUN(a_leaf_says_what_was_encoded);
	RUN(the_lowest_and_the_highest_address_fit);
	RUN(a_link_leads_to_its_table_and_withholds_nothing);
	RUN(nothing_is_a_table_at_level_1);
	RUN(each_right_can_be_withheld_by_a_link);
	RUN(without_nx_neither_leaf_nor_link_forbids_execution);
	RUN(addresses_beyond_the_width_are_reserved);
	RUN(bits_below_the_address_of_a_large_leaf_are_reserved);
	RUN(a_leaf_larger_than_the_processor_has_is_invalid);
	RUN(a_leaf_above_the_largest_level_is_recognised_and_invalid);
	RUN(a_cache_type_that_the_pat_lacks_is_not_encoded);
	RUN(demoted_leaves_say_together_what_the_leaf_said);
	RUN(a_promoted_leaf_demoted_again_says_the_same);
	RUN(the_bits_of_use_are_accessed_and_dirty);
	RUN(a_restated_leaf_keeps_what_is_outside_of_the_masks);
	RUN(the_stash_changes_nothing_that_an_entry_says);
	RUN(a_count_changes_nothing_that_a_link_says);
	RUN(a_link_restated_has_the_rights_given_and_keeps_all_else);
	RUN(what_states_flags_cache_type_and_address_is_disjoint);
	RUN(a_flag_is_stated_where_its_mask_says);
	RUN(a_key_is_a_number_and_not_four_flags);
	RUN(memory_is_private_unless_it_is_shared);
	RUN(tables_are_private);
	RUN(levels_and_indices_divide_an_address);
	return check_done();
}
