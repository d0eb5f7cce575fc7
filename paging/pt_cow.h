/*
 * What a page fault handler does for pages that are copied on write.
 */
#ifndef PAGING_PT_COW_H
#define PAGING_PT_COW_H

#include "paging/pt.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A page fault's error code (SDM 3A 4.7, figure 4-12). */
enum pt_fault {
	PT_FAULT_PRESENT = 1 << 0,
	PT_FAULT_WRITE = 1 << 1,
	PT_FAULT_USER = 1 << 2,
	PT_FAULT_RESERVED = 1 << 3,
	PT_FAULT_FETCH = 1 << 4,
	PT_FAULT_KEY = 1 << 5,
};

/*
 * Where copies come from, one page of PT_PAGE_SIZE each. take() hands out a
 * page, or returns false if there is none; give() takes back one that came to
 * no use. copy() copies the bytes. is_last() says whether nobody else has the
 * page, so that it can be written to where it is; NULL: somebody always has.
 * Whether the page is mapped from elsewhere is known to those who count, as the
 * hooks of the space can: these are called for the mapping of the copy, and for
 * the end of the old one, as for any other.
 */
struct pt_pages {
	bool (*take)(void *ctx, phys_addr *ret_page);
	void (*give)(void *ctx, phys_addr page);
	void (*copy)(void *ctx, phys_addr to, phys_addr from);
	bool (*is_last)(void *ctx, phys_addr page);
	void *ctx;
};

/*
 * Resolves a page fault at va (any byte of a page), if it is a write to a page
 * with PT_COW: maps a copy of the page, writable and without PT_COW, all else as
 * it was. A large leaf is split. If nobody else has the page, and no table on
 * the way to it is held by others too, it becomes writable itself. If the page
 * can be written to by now, because another processor has resolved the fault,
 * the page is flushed and that is all.
 *
 *   PT_ERR_NOT_MAPPED  the page is not there
 *   PT_ERR_COW         the fault is another one: no write, or for another reason than
 *                      that the leaf forbids it; or the page is not one of these
 *   PT_ERR_NO_PAGE     take() had none
 *   PT_ERR_LINK        a link on the way forbids writing
 *   PT_ERR_WX          the page is executable, and the space does not allow both
 *   PT_ERR_RANGE, PT_ERR_CORRUPT, PT_ERR_NO_TABLES, PT_ERR_READ_ONLY, PT_ERR_FOREIGN  as ever
 */
PT_MUST_USE enum pt_status pt_cow_resolve(struct pt_space *space, virt_addr va, uint64_t error,
					  const struct pt_pages *pages, struct pt_flush *flush);

#ifdef __cplusplus
}
#endif

#endif
