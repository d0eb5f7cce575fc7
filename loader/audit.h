/*
 * The audit before the jump: walks finished page tables and compares them with
 * the mapping list, leaf by leaf. It shares no code with the builder, and
 * reads bits as the SDM gives them.
 */
#ifndef LOADER_AUDIT_H
#define LOADER_AUDIT_H

#include "loader/hoist.h"
#include "loader/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What must be mapped for the switch and the kernel's first instruction, whatever the list says. */
struct audit_need {
	uint64_t virt;
	uint64_t address; /* physical */
	uint64_t size;
	uint32_t rights; /* of enum hoist_right: at least these */
};

struct audit_request {
	const void *tables;   /* the memory in which all tables lie */
	uint64_t tables_base; /* its physical address */
	uint64_t table_count; /* tables in it: all must be linked once, counting the root */
	uint64_t root;        /* physical address of the root */
	uint32_t levels;      /* 4 or 5 */
	uint32_t max_leaf;    /* largest leaf of the processor: 1 to 3 */
	uint32_t phys_bits;   /* MAXPHYADDR */
	bool nx;              /* EFER.NXE will be set */
	uint64_t pat;         /* IA32_PAT as it will be */
	const struct hoist_mapping *mappings; /* ascending, disjoint */
	size_t mapping_count;
	const struct audit_need *needs;
	size_t need_count;
};

/*
 * LOADER_OK if the tables map exactly what the list says: every leaf at its
 * place with its rights and cache type, none missing, none besides, none
 * effectively writable and executable (where there is NX), none global, no bit
 * of software's and none that the processor sets, every table in the block,
 * linked once, and as many as announced; and every need is met. Else
 * LOADER_ERR_AUDIT, with the first difference in *ret_error: `value` is its
 * virtual address (or, of "levels" and "tables", their number).
 */
enum loader_status audit_tables(const struct audit_request *request,
				struct loader_error *ret_error);

/* The last part of it, which looks at the list alone: the needs. */
enum loader_status audit_needs(const struct audit_request *request, struct loader_error *ret_error);

#endif
