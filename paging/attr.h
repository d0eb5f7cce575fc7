/*
 * What a leaf says, and the processor that will read it.
 */
#ifndef PAGING_ATTR_H
#define PAGING_ATTR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Rights and properties of a mapping. Reading is always allowed. PT_ACCESSED
 * and PT_DIRTY are reported by reads, and may be set in advance. They are
 * numbers, not enumerators, because a union of two is one of them in C++ too.
 */
#define PT_WRITE    UINT32_C(0x01)
#define PT_EXEC     UINT32_C(0x02)
#define PT_USER     UINT32_C(0x04)
#define PT_GLOBAL   UINT32_C(0x08)
#define PT_ACCESSED UINT32_C(0x10)
#define PT_DIRTY    UINT32_C(0x20)

#define PT_FLAGS_ALL (PT_WRITE | PT_EXEC | PT_USER | PT_GLOBAL | PT_ACCESSED | PT_DIRTY)

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
};

#endif
