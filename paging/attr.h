/*
 * What a leaf says, and the processor that will read it.
 */
#ifndef PAGING_ATTR_H
#define PAGING_ATTR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Rights and properties of a mapping. Reading is always allowed.
 *
 * PT_ACCESSED and PT_DIRTY are reported by reads, and may be set in advance.
 * PT_SHARED needs a processor with an encryption bit, PT_KEY() one with keys.
 * PT_COW says that the page is to be copied before it is written to, so it
 * never comes with PT_WRITE. The meaning of PT_SOFT1 and PT_SOFT2 is the
 * owner's.
 */
enum pt_flag {
	PT_WRITE = 1 << 0,
	PT_EXEC = 1 << 1,
	PT_USER = 1 << 2,
	PT_GLOBAL = 1 << 3,
	PT_ACCESSED = 1 << 4,
	PT_DIRTY = 1 << 5,
	PT_SHARED = 1 << 6, /* with the host: not encrypted */
	PT_COW = 1 << 7,
	PT_SOFT1 = 1 << 8,
	PT_SOFT2 = 1 << 9,
	PT_KEY_MASK = 0xf << 12,
};

/* Protection key n, 0 to 15, as flags (SDM 3A 4.6.2). */
#define PT_KEY(n) ((uint32_t)(n) << 12 & PT_KEY_MASK)

#define PT_FLAGS_ALL                                                                    \
	((uint32_t)(PT_WRITE | PT_EXEC | PT_USER | PT_GLOBAL | PT_ACCESSED | PT_DIRTY | \
		    PT_SHARED | PT_COW | PT_SOFT1 | PT_SOFT2 | PT_KEY_MASK))

/*
 * Memory types, numbered as the PAT encodes them (SDM 3A 12.12.2, table 12-10).
 */
enum pt_cache {
	PT_UC = 0,
	PT_WC = 1,
	PT_WT = 4,
	PT_WP = 5,
	PT_WB = 6,
	PT_UC_MINUS = 7,
};

struct pt_attr {
	uint32_t flags; /* of enum pt_flag */
	enum pt_cache cache;
};

/* IA32_PAT after reset, and for processors without PAT (SDM 3A 12.12.4). */
#define PT_PAT_RESET 0x0007040600070406u

/*
 * The PAT this library recommends: the first four as after reset, so that
 * foreign tables keep their meaning, then WP, WC, UC-, UC.
 */
#define PT_PAT_FULL 0x0007010500070406u

/*
 * The processor that will walk the tables. A value, not a global: tables can
 * be built for another machine.
 */
struct pt_cpu {
	uint8_t levels;    /* of tables, the root included */
	uint8_t max_leaf;  /* level of the largest leaf it has */
	uint8_t phys_bits; /* MAXPHYADDR, 52 at most */
	bool nx;           /* leaves can forbid execution (EFER.NXE is, or will be, set) */
	uint64_t pat;      /* value that IA32_PAT has while the tables are in use */
	bool keys;         /* leaves have protection keys (CR4.PKE or CR4.PKS) */

	/*
	 * The address bit that says whether memory is encrypted, phys_bits at
	 * least; 0: there is none. In AMD's SEV a set bit means encrypted, in
	 * Intel's TDX shared. Tables are never shared.
	 */
	uint8_t crypt_bit;
	bool crypt_means_shared;
};

#endif
