/* A kernel that declines the identity map. */
#include "tests/kernels/judge.h"

HOIST_NOTE(HOIST_OPTION_IDENTITY_MAP, HOIST_REQUIRED, 0);

void judge_variant(void)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->address_virt >> 63 == 0 && m->purpose != HOIST_PURPOSE_HANDOFF)
			judge_flaw("mapping %u at %lx", i, m->address_virt);
	}
	judge_verdict("without an identity map the lower half holds the handoff alone");
}
