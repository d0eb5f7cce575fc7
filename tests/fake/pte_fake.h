/*
 * A layout that no processor has, for the tests: pages of 32 bytes, so tables
 * of four entries, three or four levels. What an entry says is laid out like
 * this in 48 bits, which are then rotated by an amount that differs from level
 * to level, so that code that knows a bit, or takes an entry of one level for
 * one of another, goes wrong at once:
 *
 *	  47..44 43..40 39..37  36..22  21  20  19   18  17   16  15   14  13   12  9..8
 *	+------+------+-------+--------+----+----+---+---+----+---+----+---+-----+---+------+
 *	| key  | res. | cache | page   | RO | NX | S1| U | COW| G | S2 | A | prv | D | kind |
 *	|      |      | index | number |    |    |   |   |    |   |    |   |     |   |      |
 *	+------+------+-------+--------+----+----+---+---+----+---+----+---+-----+---+------+
 *
 * "prv" is 1 in private memory, if it can be encrypted, S1 and S2 software's.
 * Above them, not rotated: bits 55..50 are the stash, 63..61 a link's count.
 * The cache index is stored exclusive-or the level.
 */
#ifndef TESTS_FAKE_PTE_FAKE_H
#define TESTS_FAKE_PTE_FAKE_H

typedef uint64_t pte_t;

#define PTE_PAGE_SHIFT    5
#define PTE_INDEX_BITS    2
#define PT_MIN_LEVELS     3
#define PT_MAX_LEVELS     4
#define PT_MAX_LEAF_LEVEL 3
#define PTE_MAX_PHYS_BITS 20
#define PTE_SIGN_EXTENDS  1

#define PTE_STASH_BITS  6
#define PTE_STASH_SHIFT 50
#define PTE_COUNT_SHIFT 61

#define PTE_WORD         ((UINT64_C(1) << 48) - 1)
#define PTE_KIND         UINT64_C(0x300)
#define PTE_KIND_LEAF    UINT64_C(0x100)
#define PTE_KIND_TABLE   UINT64_C(0x300)
#define PTE_DIRTY        (UINT64_C(1) << 12)
#define PTE_PRIVATE      (UINT64_C(1) << 13)
#define PTE_ACCESSED     (UINT64_C(1) << 14)
#define PTE_SOFT2        (UINT64_C(1) << 15)
#define PTE_GLOBAL       (UINT64_C(1) << 16)
#define PTE_COW          (UINT64_C(1) << 17)
#define PTE_USER         (UINT64_C(1) << 18)
#define PTE_SOFT1        (UINT64_C(1) << 19)
#define PTE_NO_EXEC      (UINT64_C(1) << 20)
#define PTE_READ_ONLY    (UINT64_C(1) << 21)
#define PTE_NUMBER_SHIFT 22
#define PTE_NUMBER       (UINT64_C(0x7fff) << PTE_NUMBER_SHIFT)
#define PTE_CACHE_SHIFT  37
#define PTE_CACHE        (UINT64_C(7) << PTE_CACHE_SHIFT)
#define PTE_RESERVED     (UINT64_C(0xf) << 40)
#define PTE_KEY_SHIFT    (44 - 12) /* from PT_KEY_MASK */
#define PTE_STASH_MASK   (UINT64_C(0x3f) << PTE_STASH_SHIFT)
#define PTE_COUNT_MASK   (UINT64_C(7) << PTE_COUNT_SHIFT)

/* From the drawing above to the bits of a table of `level`, and back. */
static inline pte_t pte_scramble(uint64_t word, unsigned level)
{
	unsigned by = 11 * level;
	uint64_t low = word & PTE_WORD;

	return (word & ~PTE_WORD) | ((low << by | low >> (48 - by)) & PTE_WORD);
}

static inline uint64_t pte_unscramble(pte_t e, unsigned level)
{
	unsigned by = 11 * level;
	uint64_t low = e & PTE_WORD;

	return (e & ~PTE_WORD) | ((low >> by | low << (48 - by)) & PTE_WORD);
}

/* Odd kinds are present; at level 1 there is nothing but leaves. */
static inline enum pte_kind pte_kind(pte_t e, unsigned level)
{
	uint64_t kind = pte_unscramble(e, level) & PTE_KIND;

	if (!(kind & PTE_KIND_LEAF))
		return (e & ~PTE_STASH_MASK) == 0 ? PTE_ABSENT : PTE_SOFT;
	return kind == PTE_KIND_TABLE && level > 1 ? PTE_TABLE : PTE_LEAF;
}

/* Pages in a leaf of this level. */
static inline uint64_t pte_pages(unsigned level)
{
	return UINT64_C(1) << (PTE_INDEX_BITS * (level - 1));
}

static inline bool pte_is_valid(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	uint64_t word = pte_unscramble(e, level);
	uint64_t number = (word & PTE_NUMBER) >> PTE_NUMBER_SHIFT;
	bool leaf = (word & PTE_KIND) == PTE_KIND_LEAF;

	if ((word & PTE_RESERVED) || (!cpu->nx && (word & PTE_NO_EXEC)))
		return false;
	if (number >> (cpu->phys_bits - PTE_PAGE_SHIFT) != 0)
		return false;
	if (leaf)
		return level <= cpu->max_leaf && is_aligned(number, pte_pages(level));
	return level > 1;
}

static inline pte_t pte_link(const struct pt_cpu *cpu, phys_addr table, uint32_t rights,
			     unsigned level)
{
	uint64_t number = table.raw >> PTE_PAGE_SHIFT;

	return pte_scramble(number << PTE_NUMBER_SHIFT | PTE_KIND_TABLE |
				    (cpu->crypt_bit ? PTE_PRIVATE : 0) |
				    (rights & PT_WRITE ? 0 : PTE_READ_ONLY) |
				    (rights & PT_USER ? PTE_USER : 0) |
				    (rights & PT_EXEC || !cpu->nx ? 0 : PTE_NO_EXEC),
			    level);
}

static inline pte_t pte_relink(const struct pt_cpu *cpu, pte_t e, uint32_t rights, unsigned level)
{
	uint64_t word = pte_unscramble(e, level) & ~(PTE_READ_ONLY | PTE_USER | PTE_NO_EXEC);

	return pte_scramble(word | (rights & PT_WRITE ? 0 : PTE_READ_ONLY) |
				    (rights & PT_USER ? PTE_USER : 0) |
				    (rights & PT_EXEC || !cpu->nx ? 0 : PTE_NO_EXEC),
			    level);
}

static inline phys_addr pte_table_addr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	uint64_t number = (pte_unscramble(e, level) & PTE_NUMBER) >> PTE_NUMBER_SHIFT;

	(void)cpu;
	return phys(number << PTE_PAGE_SHIFT);
}

static inline phys_addr pte_leaf_addr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	uint64_t number = (pte_unscramble(e, level) & PTE_NUMBER) >> PTE_NUMBER_SHIFT;

	(void)cpu;
	return phys(align_down(number, pte_pages(level)) << PTE_PAGE_SHIFT);
}

static inline pte_t pte_leaf(pte_t bits, uint64_t pa, unsigned level)
{
	return bits | pte_scramble(pa >> PTE_PAGE_SHIFT << PTE_NUMBER_SHIFT, level);
}

static inline uint64_t pte_cache_word(unsigned index, unsigned level)
{
	return (uint64_t)((index ^ level) & 7) << PTE_CACHE_SHIFT;
}

static inline unsigned pte_cache_index(uint64_t word, unsigned level)
{
	return ((unsigned)((word & PTE_CACHE) >> PTE_CACHE_SHIFT) ^ level) & 7;
}

static inline pte_t pte_mark(unsigned level)
{
	return pte_scramble(PTE_KIND_LEAF, level);
}

static inline uint32_t pte_flags(const struct pt_cpu *cpu)
{
	return PT_FLAGS_ALL & ~(cpu->crypt_bit ? 0u : (uint32_t)PT_SHARED) &
	       ~(cpu->keys ? 0u : (uint32_t)PT_KEY_MASK);
}

static inline pte_t pte_flag_bits(const struct pt_cpu *cpu, uint32_t flags, unsigned level)
{
	bool private = cpu->crypt_bit != 0 && !(flags & PT_SHARED);

	return pte_scramble(
		(flags & PT_WRITE ? 0 : PTE_READ_ONLY) |
			(flags & PT_EXEC || !cpu->nx ? 0 : PTE_NO_EXEC) |
			(flags & PT_USER ? PTE_USER : 0) | (flags & PT_GLOBAL ? PTE_GLOBAL : 0) |
			(flags & PT_ACCESSED ? PTE_ACCESSED : 0) |
			(flags & PT_DIRTY ? PTE_DIRTY : 0) | (flags & PT_COW ? PTE_COW : 0) |
			(flags & PT_SOFT1 ? PTE_SOFT1 : 0) | (flags & PT_SOFT2 ? PTE_SOFT2 : 0) |
			(private ? PTE_PRIVATE : 0) |
			(cpu->keys ? (uint64_t)(flags & PT_KEY_MASK) << PTE_KEY_SHIFT : 0),
		level);
}

static inline pte_t pte_flag_mask(const struct pt_cpu *cpu, uint32_t flags, unsigned level)
{
	return pte_scramble(
		(flags & PT_WRITE ? PTE_READ_ONLY : 0) |
			(flags & PT_EXEC && cpu->nx ? PTE_NO_EXEC : 0) |
			(flags & PT_USER ? PTE_USER : 0) | (flags & PT_GLOBAL ? PTE_GLOBAL : 0) |
			(flags & PT_ACCESSED ? PTE_ACCESSED : 0) |
			(flags & PT_DIRTY ? PTE_DIRTY : 0) | (flags & PT_COW ? PTE_COW : 0) |
			(flags & PT_SOFT1 ? PTE_SOFT1 : 0) | (flags & PT_SOFT2 ? PTE_SOFT2 : 0) |
			(flags & PT_SHARED && cpu->crypt_bit ? PTE_PRIVATE : 0) |
			(cpu->keys ? (uint64_t)(flags & PT_KEY_MASK) << PTE_KEY_SHIFT : 0),
		level);
}

static inline pte_t pte_cache_mask(unsigned level)
{
	return pte_scramble(PTE_CACHE, level);
}

static inline bool pte_cache_bits(const struct pt_cpu *cpu, enum pt_cache cache, unsigned level,
				  pte_t *ret_bits)
{
	unsigned index = 0;

	while (index < 8 && ((cpu->pat >> (8 * index)) & 7) != (unsigned)cache)
		index++;
	if (index == 8)
		return false;
	*ret_bits = pte_scramble(pte_cache_word(index, level), level);
	return true;
}

static inline uint32_t pte_rights(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	uint64_t word = pte_unscramble(e, level);

	return (word & PTE_READ_ONLY ? 0u : PT_WRITE) | (word & PTE_USER ? PT_USER : 0u) |
	       (cpu->nx && (word & PTE_NO_EXEC) ? 0u : PT_EXEC);
}

static inline struct pt_attr pte_attr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	uint64_t word = pte_unscramble(e, level);
	unsigned index = pte_cache_index(word, level);

	return (struct pt_attr){
		.flags = pte_rights(cpu, e, level) | (word & PTE_GLOBAL ? PT_GLOBAL : 0u) |
			 (word & PTE_ACCESSED ? PT_ACCESSED : 0u) |
			 (word & PTE_DIRTY ? PT_DIRTY : 0u) | (word & PTE_COW ? PT_COW : 0u) |
			 (word & PTE_SOFT1 ? PT_SOFT1 : 0u) | (word & PTE_SOFT2 ? PT_SOFT2 : 0u) |
			 (cpu->crypt_bit && !(word & PTE_PRIVATE) ? PT_SHARED : 0u) |
			 (cpu->keys ? (uint32_t)(word >> PTE_KEY_SHIFT) & PT_KEY_MASK : 0u),
		.cache = (enum pt_cache)((cpu->pat >> (8 * index)) & 7),
	};
}

static inline pte_t pte_demote(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	uint64_t word = pte_unscramble(e, level);
	unsigned index = pte_cache_index(word, level);

	(void)cpu;
	word &= ~(PTE_NUMBER | PTE_CACHE);
	return pte_scramble(word | pte_cache_word(index, level - 1), level - 1);
}

static inline pte_t pte_promote(pte_t e, unsigned level)
{
	uint64_t word = pte_unscramble(e, level);
	unsigned index = pte_cache_index(word, level);

	return pte_scramble((word & ~PTE_CACHE) | pte_cache_word(index, level + 1), level + 1);
}

#endif
