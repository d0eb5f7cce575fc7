#include "tests/kernels/judge.h"

const struct hoist_mapping *judge_mapping_at(uint64_t virt)
{
	uint32_t low = 0, high = judge.mapping_count;

	/* Mappings before `low` begin at or below virt, those from `high` on above it. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (judge.mappings[middle].address_virt <= virt)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;

	const struct hoist_mapping *m = &judge.mappings[low - 1];

	return judge_inside(virt, m->address_virt, m->size) ? m : NULL;
}

static const struct hoist_mapping *with_purpose(uint64_t virt, enum hoist_purpose purpose)
{
	const struct hoist_mapping *m = judge_mapping_at(virt);

	return m && m->purpose == purpose ? m : NULL;
}

const struct hoist_mapping *judge_direct_at(uint64_t address)
{
	return with_purpose(judge.info.direct_map_virt + address, HOIST_PURPOSE_DIRECT_MAP);
}

const struct hoist_mapping *judge_identity_at(uint64_t address)
{
	return with_purpose(address, HOIST_PURPOSE_IDENTITY);
}

bool judge_has_identity_map(void)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		if (judge.mappings[i].purpose == HOIST_PURPOSE_IDENTITY)
			return true;
	}
	return false;
}

uint64_t judge_common(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	uint64_t first = a > b ? a : b;
	uint64_t a_left, b_left;

	if (first - a >= a_size || first - b >= b_size)
		return 0;
	a_left = a_size - (first - a);
	b_left = b_size - (first - b);
	return a_left < b_left ? a_left : b_left;
}

uint64_t judge_bytes_of_kind(uint64_t address, uint64_t size, uint32_t kinds)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < judge.memory_count; i++) {
		const struct hoist_memory *m = &judge.memory[i];

		if (kinds >> (m->kind & 31) & 1)
			bytes += judge_common(address, size, m->address, m->size);
	}
	return bytes;
}

bool judge_can_read(uint64_t address, uint64_t size)
{
	uint64_t done = 0;

	while (done < size) {
		const struct hoist_mapping *m = judge_direct_at(address + done);

		if (!m)
			return false;
		done = m->address + m->size - address;
	}
	return true;
}
