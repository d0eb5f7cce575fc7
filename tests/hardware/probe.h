/*
 * Accesses to a space, made by the processor, against what pt_query() says
 * about it. Every access is one of: read, write or fetch of one byte, in ring 0
 * or ring 3.
 *
 * What QEMU's emulation (TCG) cannot show is not looked at: cache types have no
 * effect, there are no PCIDs, and loading CR3 forgets global translations, too,
 * so each access begins with an empty TLB. The library's part in these is tested
 * as data, on the host (tests/unit); flushes are tested by the adopter
 * (tests/kernels/adopt_changes.c).
 */
#ifndef HARDWARE_PROBE_H
#define HARDWARE_PROBE_H

#include "tests/hardware/maker.h"

enum probe_kind {
	PROBE_READ,
	PROBE_WRITE,
	PROBE_FETCH,
	PROBE_USER_READ,
	PROBE_USER_WRITE,
	PROBE_USER_FETCH,
	PROBE_KINDS,
};

/* Results: page faults by error code (0 to 31), then these. */
#define PROBE_PROTECTION 32u /* a general protection fault */
#define PROBE_SUCCESS    33u
#define PROBE_RESULTS    34u

/* Sums since the start. */
struct probe_counts {
	uint64_t probes, flaws;
	uint64_t results[PROBE_KINDS][PROBE_RESULTS];
	uint64_t successes[PT_MAX_LEAF_LEVEL + 1]; /* by the level of the leaf */
};

extern struct probe_counts probe_counts;

/*
 * Probes the first and last byte of every leaf and the bytes beside them, the
 * same for every edge of a change, and some bytes anywhere; at least a hundred.
 * CR4 says whether SMEP and SMAP are on. Differences are printed, and counted.
 */
void probe_space(struct maker *maker);

#endif
