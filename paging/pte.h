/*
 * The layout of an entry. The core never looks at a bit: it asks the functions
 * of one layout file, chosen when it is compiled (PTE_LAYOUT, a quoted file
 * name). A layout file defines
 *
 *	PTE_PAGE_SHIFT, PTE_INDEX_BITS  geometry: page size and entries of a table
 *	PT_MIN_LEVELS, PT_MAX_LEVELS    numbers of levels that it can have
 *	PT_MAX_LEAF_LEVEL               level of its largest leaf
 *	PTE_MAX_PHYS_BITS               widest physical address an entry can hold
 *
 *	PTE_SIGN_EXTENDS                whether addresses have an upper half
 *	PTE_STASH_MASK, _SHIFT, _BITS   bits of any entry that neither the processor nor
 *	                                these functions look at: see pte_stash()
 *	PTE_COUNT_MASK, _SHIFT          bits of a link, for numbers up to PTE_COUNT + 1,
 *	                                that the processor does not look at and
 *	                                pte_relink() keeps: see pte_count()
 *
 *	pte_kind      what an entry is; looks at the entry alone
 *	pte_is_valid  no reserved bit is set (only for tables and leaves)
 *	pte_link      an entry that links to a table and lets these rights through
 *	pte_relink    a link with other rights; all else in it stays
 *	pte_leaf      the bits of a leaf with its address
 *	pte_demote    the bits, but for the address, of the leaves one level down
 *	              that together say what this leaf does
 *	pte_promote   the leaf one level up that begins as this one does
 *	pte_leaf_addr, pte_table_addr  the address in a leaf, in a link
 *	pte_attr      flags and cache type that a leaf itself states
 *	pte_rights    PT_WRITE, PT_USER, PT_EXEC as far as a link lets them through
 *
 * The bits of a leaf but for its address are pte_mark() | pte_flag_bits() |
 * pte_cache_bits(), which have no bit in common:
 *
 *	pte_mark        makes an entry a leaf
 *	pte_flags       flags that leaves for this processor can carry
 *	pte_flag_bits   that state all flags: these as set, the others as not set
 *	pte_flag_mask   where the flags given are stated
 *	pte_cache_bits  that state the cache type; false if the processor has none such
 *	pte_cache_mask  where it is stated
 *
 * tests/unit/test_pte.c is compiled for every layout and says what they must do.
 * There are pte_x86_64.h, and pte_vtd.h for I/O memory management units.
 */
#ifndef PAGING_PTE_H
#define PAGING_PTE_H

#include "paging/addr.h"
#include "paging/attr.h"

/*
 * Entries are of a closed set of kinds, with one meaning in every call: absent
 * is all zero; soft is not present for the processor but not zero, and belongs
 * to the owner of the space. The stash bits alone do not make an entry soft.
 */
enum pte_kind { PTE_ABSENT, PTE_TABLE, PTE_LEAF, PTE_SOFT };

#ifndef PTE_LAYOUT
#define PTE_LAYOUT "paging/pte_x86_64.h"
#endif
#include PTE_LAYOUT

#define PT_PAGE_SIZE (UINT64_C(1) << PTE_PAGE_SHIFT)
#define PTE_COUNT    (1u << PTE_INDEX_BITS)

/* A number in an entry that changes nothing that the entry says. */
static inline pte_t pte_stash(pte_t e, unsigned value)
{
	return (e & ~PTE_STASH_MASK) | (pte_t)value << PTE_STASH_SHIFT;
}

static inline unsigned pte_unstash(pte_t e)
{
	return (unsigned)((e & PTE_STASH_MASK) >> PTE_STASH_SHIFT);
}

/* A number in a link that changes nothing that the link says. */
static inline pte_t pte_set_count(pte_t link, unsigned count)
{
	return (link & ~PTE_COUNT_MASK) | (pte_t)count << PTE_COUNT_SHIFT;
}

static inline unsigned pte_count(pte_t link)
{
	return (unsigned)((link & PTE_COUNT_MASK) >> PTE_COUNT_SHIFT);
}

/*
 * Links and pages that can be followed without a second look, the links to
 * tables from `first` to `last`. A layout whose entries allow for a shorter
 * check than this one defines the three itself (PTE_HAS_WINDOW).
 */
#ifndef PTE_HAS_WINDOW
struct pte_window {
	struct pt_cpu cpu;
	uint64_t first, last;
};

static inline struct pte_window pte_window(const struct pt_cpu *cpu, phys_addr first,
					   phys_addr last)
{
	struct pte_window window = { *cpu, first.raw, last.raw };

	return window;
}

/* False if `e` is no link, not a sound one, or leads elsewhere; else how far from `first`. */
static inline bool pte_follow(const struct pte_window *window, pte_t e, unsigned level,
			      uint64_t *ret_offset)
{
	if (pte_kind(e, level) != PTE_TABLE || !pte_is_valid(&window->cpu, e, level))
		return false;

	uint64_t table = pte_table_addr(&window->cpu, e, level).raw;

	*ret_offset = table - window->first;
	return table >= window->first && table <= window->last;
}

/* False if `e` is no page, or not a sound one; else where the page is. */
static inline bool pte_follow_page(const struct pte_window *window, pte_t e, phys_addr *ret_pa)
{
	if (pte_kind(e, 1) != PTE_LEAF || !pte_is_valid(&window->cpu, e, 1))
		return false;
	*ret_pa = pte_leaf_addr(&window->cpu, e, 1);
	return true;
}
#endif

/* Bits of address below an entry of this level: 12, 21, 30, 39, 48 on x86-64. */
static inline unsigned level_shift(unsigned level)
{
	if (level < 1 || level > PT_MAX_LEVELS)
		__builtin_unreachable();
	return PTE_PAGE_SHIFT + PTE_INDEX_BITS * (level - 1);
}

/* Bytes that one entry of this level covers. */
static inline uint64_t level_size(unsigned level)
{
	return UINT64_C(1) << level_shift(level);
}

/* Pages that one entry of this level covers. */
static inline uint64_t level_pages(unsigned level)
{
	return UINT64_C(1) << (level_shift(level) - PTE_PAGE_SHIFT);
}

/* Which entry of a table of this level translates `va`. */
static inline unsigned level_index(uint64_t va, unsigned level)
{
	return (unsigned)(va >> level_shift(level)) & (PTE_COUNT - 1);
}

#endif
