#include "loader/walk.h"

#define P     UINT64_C(1)
#define PS    UINT64_C(0x80)
#define XD    (UINT64_C(1) << 63)
#define FRAME UINT64_C(0x000ffffffffff000)
/* In a large leaf a bit of its cache type lies where the frame would begin. */
#define PAT_LARGE UINT64_C(0x1000)

uint64_t walk_entry_size(uint32_t level)
{
	return UINT64_C(1) << (12 + 9 * (level - 1));
}

static bool is_canonical(const struct walk_space *space, uint64_t address)
{
	unsigned unused = 64 - (12 + 9u * space->levels);

	return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

/* Bits that have to be clear in a present entry (SDM 3A tables 4-15 to 4-20). */
static uint64_t reserved_bits(const struct walk_space *space, uint64_t entry, uint32_t level)
{
	uint64_t reserved = FRAME & ~((UINT64_C(1) << space->phys_bits) - 1);

	if (!space->nx)
		reserved |= XD;
	if (level > 1 && level > space->max_leaf)
		reserved |= PS;
	else if (level > 1 && (entry & PS))
		reserved |= (walk_entry_size(level) - 1) & FRAME & ~PAT_LARGE;
	return reserved;
}

static enum walk_kind kind_of(const struct walk_space *space, uint64_t entry, uint32_t level)
{
	if (!(entry & P))
		return WALK_ABSENT;
	if (entry & reserved_bits(space, entry, level))
		return WALK_RESERVED;
	return level == 1 || (entry & PS) ? WALK_LEAF : WALK_TABLE;
}

uint32_t walk_address(const struct walk_space *space, uint64_t address,
		      struct walk_step ret_steps[WALK_STEPS])
{
	uint64_t table = space->root & FRAME;
	uint32_t count = 0;

	if (!is_canonical(space, address))
		return 0;
	for (uint32_t level = space->levels; level > 0; level--) {
		struct walk_step *step = &ret_steps[count++];

		step->level = level;
		step->index = address / walk_entry_size(level) & 511;
		step->at = table + 8 * (uint64_t)step->index;
		step->entry = 0;
		step->kind = WALK_UNREADABLE;
		if (space->read(step->at, &step->entry))
			step->kind = kind_of(space, step->entry, level);
		if (step->kind != WALK_TABLE)
			break;
		table = step->entry & FRAME;
	}
	return count;
}
