/*
 * Entries of second-stage tables, with which an I/O memory management unit
 * translates what devices ask for (Intel Virtualization Technology for Directed
 * I/O, rev. 4.1, 3.7 and 9.8 "Second-Stage Paging Entries"). Compile with
 * PTE_LAYOUT as "paging/pte_vtd.h".
 *
 *	 63  62 61  60 59 58..52  51 .. 12  11  10 9 8 7  6..2 1 0
 *	+---+--+---+--+--+-------+---------+---+--+-+-+--+----+-+-+
 *	|ign|0 |COW|S2|S1|ignored| address |SNP|ig|D|A|ig| 0  |W|R|  4 KiB leaf
 *	|ign|0 |COW|S2|S1|ignored| address |SNP|ig|D|A|1 | 0  |W|R|  larger leaf
 *	|ign|0 | count           | address | 0 |ign.|A|0 | 0  |W|R|  link to a table
 *	| anything                                            |0|0|  absent or soft
 *
 * Three levels translate 39 bits, four 48, five 57 (3.7); no sign is extended,
 * so a space has one half, which begins at 0.
 *
 *   - There is no bit for presence: what can be neither read nor written is not
 *     present (9.8). attr.h has mappings that can be read, and written as well.
 *     An entry with W but not R would cease to be present where it loses the
 *     right to be written, and no flag says what it is: it is not valid.
 *   - Bits 6..2 are X, EMT and IPAT of earlier revisions, bit 62 is TM: ignored
 *     by some units and reserved by others (9.8). They have to be 0.
 *   - Nothing is executed, no user is known, no translation is global, a domain
 *     has no keys: flags for these are not a leaf's, and W^X holds.
 *   - An entry has no memory type. That of an access is the device's choice
 *     (3.9, 3.10): write-back and coherent, unless it asks not to snoop, which
 *     SNP overrides in units that have it (ECAP.SC). So PT_WB is the only type
 *     that can be stated, whatever cpu.pat is. SNP stays as it is found.
 *   - A and D are set by units that can (ECAP.SSADS) for domains that ask for it
 *     (SSADE), and ignored otherwise.
 *
 * Two things are left to who calls the library: to write back caches for a unit
 * that walks tables without snooping (ECAP.C is 0), and to invalidate after a
 * map too for one that remembers what was not present (CAP.CM, 6.1).
 */
#ifndef PAGING_PTE_VTD_H
#define PAGING_PTE_VTD_H

typedef uint64_t pte_t;

#define PTE_PAGE_SHIFT    12
#define PTE_INDEX_BITS    9
#define PT_MIN_LEVELS     3
#define PT_MAX_LEVELS     5
#define PT_MAX_LEAF_LEVEL 3
#define PTE_MAX_PHYS_BITS 52
#define PTE_SIGN_EXTENDS  0

/* Bits 58:52, ignored in every entry; a retired table keeps a list in them. */
#define PTE_STASH_BITS  7
#define PTE_STASH_SHIFT 52
#define PTE_STASH_MASK  UINT64_C(0x07f0000000000000)

/* Bits 61:52 of a link. */
#define PTE_COUNT_SHIFT 52
#define PTE_COUNT_MASK  UINT64_C(0x3ff0000000000000)

#define PTE_R     UINT64_C(0x001)
#define PTE_W     UINT64_C(0x002)
#define PTE_PS    UINT64_C(0x080)
#define PTE_A     UINT64_C(0x100)
#define PTE_D     UINT64_C(0x200)
#define PTE_SNP   UINT64_C(0x800)
#define PTE_SOFT1 UINT64_C(0x0800000000000000)
#define PTE_SOFT2 UINT64_C(0x1000000000000000)
#define PTE_COW   UINT64_C(0x2000000000000000)
#define PTE_ADDR  UINT64_C(0x000ffffffffff000)

/* Not ours to state, and not the same for all units. */
#define PTE_FOREIGN UINT64_C(0x400000000000007c)

/* The address field of a leaf of this level. */
static inline uint64_t pte_addr_mask(unsigned level)
{
	return PTE_ADDR & ~((UINT64_C(1) << (PTE_PAGE_SHIFT + PTE_INDEX_BITS * (level - 1))) - 1);
}

static inline enum pte_kind pte_kind(pte_t e, unsigned level)
{
	if (!(e & (PTE_R | PTE_W)))
		return (e & ~PTE_STASH_MASK) == 0 ? PTE_ABSENT : PTE_SOFT;
	return level == 1 || (e & PTE_PS) ? PTE_LEAF : PTE_TABLE;
}

/* Reserved: address bits above the host's width, the gap below the address of a large leaf,
   SNP in a link, bit 7 where there is no such leaf; and what cannot be said in attr.h. */
static inline bool pte_is_valid(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	uint64_t reserved = PTE_FOREIGN | (PTE_ADDR & ~((UINT64_C(1) << cpu->phys_bits) - 1));

	if (level > 1 && (e & PTE_PS)) {
		if (level > cpu->max_leaf)
			return false;
		reserved |= PTE_ADDR & ~pte_addr_mask(level);
	} else if (level > 1) {
		reserved |= PTE_SNP;
	}
	return (e & PTE_R) && (e & reserved) == 0;
}

static inline pte_t pte_link(const struct pt_cpu *cpu, phys_addr table, uint32_t rights,
			     unsigned level)
{
	(void)cpu;
	(void)level;
	return table.raw | PTE_R | (rights & PT_WRITE ? PTE_W : 0);
}

static inline pte_t pte_relink(const struct pt_cpu *cpu, pte_t e, uint32_t rights, unsigned level)
{
	(void)cpu;
	(void)level;
	return (e & ~PTE_W) | (rights & PT_WRITE ? PTE_W : 0);
}

static inline phys_addr pte_table_addr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	(void)cpu;
	(void)level;
	return phys(e & PTE_ADDR);
}

static inline phys_addr pte_leaf_addr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	(void)cpu;
	return phys(e & pte_addr_mask(level));
}

static inline pte_t pte_leaf(pte_t bits, uint64_t pa, unsigned level)
{
	(void)level;
	return bits | pa;
}

static inline pte_t pte_mark(unsigned level)
{
	return PTE_R | (level > 1 ? PTE_PS : 0);
}

static inline uint32_t pte_flags(const struct pt_cpu *cpu)
{
	(void)cpu;
	return PT_WRITE | PT_ACCESSED | PT_DIRTY | PT_COW | PT_SOFT1 | PT_SOFT2;
}

static inline pte_t pte_flag_bits(const struct pt_cpu *cpu, uint32_t flags, unsigned level)
{
	(void)cpu;
	(void)level;
	return (flags & PT_WRITE ? PTE_W : 0) | (flags & PT_ACCESSED ? PTE_A : 0) |
	       (flags & PT_DIRTY ? PTE_D : 0) | (flags & PT_COW ? PTE_COW : 0) |
	       (flags & PT_SOFT1 ? PTE_SOFT1 : 0) | (flags & PT_SOFT2 ? PTE_SOFT2 : 0);
}

/* Every flag is stated by a bit that is set. */
static inline pte_t pte_flag_mask(const struct pt_cpu *cpu, uint32_t flags, unsigned level)
{
	return pte_flag_bits(cpu, flags, level);
}

static inline pte_t pte_cache_mask(unsigned level)
{
	(void)level;
	return 0;
}

static inline bool pte_cache_bits(const struct pt_cpu *cpu, enum pt_cache cache, unsigned level,
				  pte_t *ret_bits)
{
	(void)cpu;
	(void)level;
	if (cache != PT_WB)
		return false;
	*ret_bits = 0;
	return true;
}

static inline struct pt_attr pte_attr(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	struct pt_attr attr = {
		.flags = (e & PTE_W ? PT_WRITE : 0u) | (e & PTE_A ? PT_ACCESSED : 0u) |
			 (e & PTE_D ? PT_DIRTY : 0u) | (e & PTE_COW ? PT_COW : 0u) |
			 (e & PTE_SOFT1 ? PT_SOFT1 : 0u) | (e & PTE_SOFT2 ? PT_SOFT2 : 0u),
		.cache = PT_WB,
	};

	(void)cpu;
	(void)level;
	return attr;
}

/* What does not exist is not withheld. */
static inline uint32_t pte_rights(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	(void)cpu;
	(void)level;
	return PT_USER | PT_EXEC | (e & PTE_W ? PT_WRITE : 0u);
}

static inline pte_t pte_demote(const struct pt_cpu *cpu, pte_t e, unsigned level)
{
	(void)cpu;
	return (e & ~(PTE_ADDR | PTE_PS)) | (level - 1 > 1 ? PTE_PS : 0);
}

/* In a leaf of the lowest level bit 7 may be anything. */
static inline pte_t pte_promote(pte_t e, unsigned level)
{
	(void)level;
	return e | PTE_PS;
}

#endif
