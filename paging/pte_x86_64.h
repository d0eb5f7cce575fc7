/*
 * Entries of x86-64 page tables (SDM 3A 4.5.4, tables 4-14 to 4-20).
 *
 *	 63  62..59 58..52  51 .. 12        11..9 8 7   6 5 4   3   2 1 0
 *	+---+------+-------+---------------+-----+-+---+-+-+---+---+-+-+-+
 *	|XD | key  |ignored| address       | ign.|G|PAT|D|A|PCD|PWT|U|W|P|  4 KiB leaf
 *	|XD | key  |ignored| addr.   |PAT12| ign.|G|1  |D|A|PCD|PWT|U|W|P|  larger leaf
 *	|XD |i| count      | address       | ignored |0|i|A|PCD|PWT|U|W|P|  link to a table
 *	| anything                                                  |0|  absent or soft
 *
 * Bit 7 is PAT in a 4 KiB leaf and "this is a leaf" above; the PAT bit of a
 * larger leaf is bit 12, the lowest of its address field. Of the ignored bits
 * of a leaf, 9 is PT_COW, 10 and 11 are software's. With memory encryption, one
 * bit of the address field is not part of the address.
 */
#ifndef PAGING_PTE_X86_64_H
#define PAGING_PTE_X86_64_H

typedef uint64_t pte_t;

#define PTE_PAGE_SHIFT    12
#define PTE_INDEX_BITS    9
#define PT_MIN_LEVELS     4
#define PT_MAX_LEVELS     5
#define PT_MAX_LEAF_LEVEL 3
#define PTE_MAX_PHYS_BITS 52
#define PTE_SIGN_EXTENDS  1

/* Bits 58:52, ignored in every entry; a retired table keeps a list in them. */
#define PTE_STASH_BITS  7
#define PTE_STASH_SHIFT 52
#define PTE_STASH_MASK  UINT64_C(0x07f0000000000000)

#define PTE_COUNT_SHIFT 52
#define PTE_COUNT_MASK  UINT64_C(0x3ff0000000000000)

#define PTE_P     UINT64_C(0x001)
#define PTE_W     UINT64_C(0x002)
#define PTE_U     UINT64_C(0x004)
#define PTE_PWT   UINT64_C(0x008)
#define PTE_PCD   UINT64_C(0x010)
#define PTE_A     UINT64_C(0x020)
#define PTE_D     UINT64_C(0x040)
#define PTE_PS    UINT64_C(0x080)
#define PTE_G     UINT64_C(0x100)
#define PTE_COW   UINT64_C(0x200)
#define PTE_SOFT1 UINT64_C(0x400)
#define PTE_SOFT2 UINT64_C(0x800)
#define PTE_KEYS  UINT64_C(0x7800000000000000)
#define PTE_XD    UINT64_C(0x8000000000000000)
#define PTE_ADDR  UINT64_C(0x000ffffffffff000)

#define PTE_KEY_SHIFT (59 - 12) /* from PT_KEY_MASK to PTE_KEYS */

/* The bit that is not part of an address, where memory can be encrypted. */
static inline pte_t pte_crypt(const struct pt_cpu *cpu)
{
	return cpu->crypt_bit ? UINT64_C(1) << cpu->crypt_bit : 0;
}

/* The PAT bit of a leaf of this level. */
static inline uint64_t pte_pat_bit(unsigned level)
{
	return level == 1 ? UINT64_C(1) << 7 : UINT64_C(1) << 12;
}

/* The address field of a leaf of this level. */
static inline uint64_t pte_addr_mask(unsigned level)
{
	return PTE_ADDR & ~((UINT64_C(1) << (PTE_PAGE_SHIFT + PTE_INDEX_BITS * (level - 1))) - 1);
}

static inline enum pte_kind pte_kind(pte_t e, unsigned level)
{
	if (!(e & PTE_P))
		return (e & ~PTE_STASH_MASK) == 0 ? PTE_ABSENT : PTE_SOFT;
	return level == 1 || (e & PTE_PS) ? PTE_LEAF : PTE_TABLE;
}

/* Reserved in every entry: address bits above the physical width, XD without NX. */
static inline pte_t pte_reserved(const struct pt_cpu *cpu)
{
	return (PTE_ADDR & ~((UINT64_C(1) << cpu->phys_bits) - 1) & ~pte_crypt(cpu)) |
	       (cpu->nx ? 0 : PTE_XD);
}

/* Reserved besides: the gap below the address of a large leaf, and bit 7 where
   there is no such leaf. */
static inline bool pte_is_valid(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	pte_t reserved = pte_reserved(cpu);

	if (level > 1 && (e & PTE_PS)) {
		if (level > cpu->max_leaf)
			return false;
		reserved |= PTE_ADDR & ~pte_addr_mask(level) & ~pte_pat_bit(level);
	}
	return (e & reserved) == 0;
}

/* Tables are private memory: encrypted. */
static inline pte_t pte_link(const struct pt_cpu *cpu, phys_addr table, uint32_t rights,
			     unsigned level)
{
	(void)level;
	return table.raw | PTE_P | (rights & PT_WRITE ? PTE_W : 0) |
	       (rights & PT_USER ? PTE_U : 0) | (cpu->nx && !(rights & PT_EXEC) ? PTE_XD : 0) |
	       (cpu->crypt_means_shared ? 0 : pte_crypt(cpu));
}

static inline pte_t pte_relink(const struct pt_cpu *cpu, pte_t e, uint32_t rights, unsigned level)
{
	(void)level;
	return (e & ~(PTE_W | PTE_U | PTE_XD)) | (rights & PT_WRITE ? PTE_W : 0) |
	       (rights & PT_USER ? PTE_U : 0) | (cpu->nx && !(rights & PT_EXEC) ? PTE_XD : 0);
}

static inline phys_addr pte_table_addr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	(void)level;
	return phys(e & PTE_ADDR & ~pte_crypt(cpu));
}

static inline phys_addr pte_leaf_addr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	return phys(e & pte_addr_mask(level) & ~pte_crypt(cpu));
}

static inline pte_t pte_leaf(pte_t bits, uint64_t pa, unsigned level)
{
	(void)level;
	return bits | pa;
}

static inline pte_t pte_mark(unsigned level)
{
	return PTE_P | (level > 1 ? PTE_PS : 0);
}

static inline uint32_t pte_flags(const struct pt_cpu *cpu)
{
	return PT_FLAGS_ALL & ~(cpu->crypt_bit ? 0u : (uint32_t)PT_SHARED) &
	       ~(cpu->keys ? 0u : (uint32_t)PT_KEY_MASK);
}

static inline pte_t pte_flag_bits(const struct pt_cpu *cpu, uint32_t flags, unsigned level)
{
	bool crypt = (flags & PT_SHARED ? true : false) == cpu->crypt_means_shared;

	(void)level;
	return (flags & PT_WRITE ? PTE_W : 0) | (flags & PT_USER ? PTE_U : 0) |
	       (flags & PT_GLOBAL ? PTE_G : 0) | (flags & PT_ACCESSED ? PTE_A : 0) |
	       (flags & PT_DIRTY ? PTE_D : 0) | (flags & PT_COW ? PTE_COW : 0) |
	       (flags & PT_SOFT1 ? PTE_SOFT1 : 0) | (flags & PT_SOFT2 ? PTE_SOFT2 : 0) |
	       (cpu->nx && !(flags & PT_EXEC) ? PTE_XD : 0) | (crypt ? pte_crypt(cpu) : 0) |
	       (cpu->keys ? (pte_t)(flags & PT_KEY_MASK) << PTE_KEY_SHIFT : 0);
}

static inline pte_t pte_flag_mask(const struct pt_cpu *cpu, uint32_t flags, unsigned level)
{
	(void)level;
	return (flags & PT_WRITE ? PTE_W : 0) | (flags & PT_USER ? PTE_U : 0) |
	       (flags & PT_GLOBAL ? PTE_G : 0) | (flags & PT_ACCESSED ? PTE_A : 0) |
	       (flags & PT_DIRTY ? PTE_D : 0) | (flags & PT_COW ? PTE_COW : 0) |
	       (flags & PT_SOFT1 ? PTE_SOFT1 : 0) | (flags & PT_SOFT2 ? PTE_SOFT2 : 0) |
	       (cpu->nx && (flags & PT_EXEC) ? PTE_XD : 0) |
	       (flags & PT_SHARED ? pte_crypt(cpu) : 0) |
	       (cpu->keys ? (pte_t)(flags & PT_KEY_MASK) << PTE_KEY_SHIFT : 0);
}

/* The three PAT index bits of a leaf (SDM 3A 4.9.2), put where they belong. */
static inline pte_t pte_pat_bits(unsigned index, unsigned level)
{
	return (index & 1 ? PTE_PWT : 0) | (index & 2 ? PTE_PCD : 0) |
	       (index & 4 ? pte_pat_bit(level) : 0);
}

static inline unsigned pte_pat_index(pte_t e, unsigned level)
{
	return (e & PTE_PWT ? 1u : 0) | (e & PTE_PCD ? 2u : 0) | (e & pte_pat_bit(level) ? 4u : 0);
}

static inline pte_t pte_cache_mask(unsigned level)
{
	return pte_pat_bits(7, level);
}

static inline bool pte_cache_bits(const struct pt_cpu *cpu, enum pt_cache cache, unsigned level,
				  pte_t *ret_bits)
{
	unsigned index = 0;

	while (index < 8 && ((cpu->pat >> (8 * index)) & 7) != (unsigned)cache)
		index++;
	if (index == 8)
		return false;
	*ret_bits = pte_pat_bits(index, level);
	return true;
}

static inline struct pt_attr pte_attr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	unsigned index = pte_pat_index(e, level);
	bool crypt = (e & pte_crypt(cpu)) != 0;
	struct pt_attr attr = {
		(e & PTE_W ? PT_WRITE : 0u) | (e & PTE_U ? PT_USER : 0u) |
			(e & PTE_G ? PT_GLOBAL : 0u) | (e & PTE_A ? PT_ACCESSED : 0u) |
			(e & PTE_D ? PT_DIRTY : 0u) | (e & PTE_COW ? PT_COW : 0u) |
			(e & PTE_SOFT1 ? PT_SOFT1 : 0u) | (e & PTE_SOFT2 ? PT_SOFT2 : 0u) |
			(cpu->nx && (e & PTE_XD) ? 0u : PT_EXEC) |
			(cpu->crypt_bit && crypt == cpu->crypt_means_shared ? PT_SHARED : 0u) |
			(cpu->keys ? (uint32_t)(e >> PTE_KEY_SHIFT) & PT_KEY_MASK : 0u),
		(enum pt_cache)((cpu->pat >> (8 * index)) & 7),
	};

	return attr;
}

static inline uint32_t pte_rights(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	(void)level;
	return (e & PTE_W ? PT_WRITE : 0u) | (e & PTE_U ? PT_USER : 0u) |
	       (cpu->nx && (e & PTE_XD) ? 0u : PT_EXEC);
}

static inline pte_t pte_demote(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	pte_t bits = e & ~((PTE_ADDR & ~pte_crypt(cpu)) | PTE_PS);

	return bits | pte_pat_bits(pte_pat_index(e, level), level - 1) |
	       (level - 1 > 1 ? PTE_PS : 0);
}

static inline pte_t pte_promote(pte_t e, unsigned level)
{
	pte_t bits = e & ~(pte_pat_bits(7, level) | PTE_PS);

	return bits | pte_pat_bits(pte_pat_index(e, level), level + 1) | PTE_PS;
}

/*
 * With the ignored bits taken out, a sound link less P is the address, so one
 * comparison of the difference, its lower bits rotated to the top, says all.
 */
#define PTE_HAS_WINDOW

struct pte_window {
	uint64_t mask, base, pages; /* of links */
	uint64_t page_mask, page_addr;
};

static inline struct pte_window pte_window(const struct pt_cpu *cpu, phys_addr first,
					   phys_addr last)
{
	struct pte_window window = {
		PTE_P | PTE_PS | (PTE_ADDR & ~pte_crypt(cpu)) | pte_reserved(cpu),
		first.raw | PTE_P,
		(last.raw - first.raw) >> PTE_PAGE_SHIFT,
		PTE_P | pte_reserved(cpu),
		PTE_ADDR & ~pte_crypt(cpu),
	};

	return window;
}

static inline bool pte_follow(const struct pte_window *window, pte_t e, unsigned level,
			      uint64_t *ret_offset)
{
	uint64_t offset = (e & window->mask) - window->base;

	(void)level;
	*ret_offset = offset;
	return (offset >> PTE_PAGE_SHIFT | offset << (64 - PTE_PAGE_SHIFT)) <= window->pages;
}

static inline bool pte_follow_page(const struct pte_window *window, pte_t e, phys_addr *ret_pa)
{
	*ret_pa = phys(e & window->page_addr);
	return (e & window->page_mask) == PTE_P;
}

#endif
