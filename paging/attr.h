/*
 * What a leaf says, and the processor that will read it.
 */
#ifndef PAGING_ATTR_H
#define PAGING_ATTR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Rights and properties of a mapping. Reading is always allowed. They are
 * numbers, not enumerators, because a union of two is one of them in C++ too.
 *
 * PT_ACCESSED and PT_DIRTY are reported by reads, and may be set in advance.
 * PT_SHARED (with the host: not encrypted) needs a processor with an encryption
 * bit, PT_KEY() one with keys. PT_COW says that the page is to be copied before
 * it is written to, so it never comes with PT_WRITE. The meaning of PT_SOFT1
 * and PT_SOFT2 is the owner's.
 */
#define PT_WRITE    UINT32_C(0x0001)
#define PT_EXEC     UINT32_C(0x0002)
#define PT_USER     UINT32_C(0x0004)
#define PT_GLOBAL   UINT32_C(0x0008)
#define PT_ACCESSED UINT32_C(0x0010)
#define PT_DIRTY    UINT32_C(0x0020)
#define PT_SHARED   UINT32_C(0x0040)
#define PT_COW      UINT32_C(0x0080)
#define PT_SOFT1    UINT32_C(0x0100)
#define PT_SOFT2    UINT32_C(0x0200)
#define PT_KEY_MASK UINT32_C(0xf000)

/* Protection key n, 0 to 15, as flags (SDM 3A 4.6.2). */
#define PT_KEY(n) ((uint32_t)(n) << 12 & PT_KEY_MASK)

#define PT_FLAGS_ALL                                                                              \
	(PT_WRITE | PT_EXEC | PT_USER | PT_GLOBAL | PT_ACCESSED | PT_DIRTY | PT_SHARED | PT_COW | \
	 PT_SOFT1 | PT_SOFT2 | PT_KEY_MASK)

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
	uint32_t flags; /* PT_WRITE and so on */
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
