#include "tests/kernels/adopt.h"

#define PAGE       ((uint64_t)HOIST_PAGE_SIZE)
#define LARGE_LEAF (512 * PAGE)

/* Tables of our own. */
#define OWN_TABLES 64u

static uint64_t data, own;
static phys_addr unused[JUDGE_MAX_TABLES];
static unsigned count, of_hoist, reused;

/* Data from the first large leaf's border on, tables behind. */
static bool take_from(const struct hoist_memory *m)
{
	uint64_t first = align_up(m->address, LARGE_LEAF);
	uint64_t need = (ADOPT_DATA_PAGES + OWN_TABLES) * PAGE;

	if (m->kind != HOIST_MEMORY_USABLE || first < m->address ||
	    !fits(first - m->address, need, m->size))
		return false;
	data = first;
	own = first + ADOPT_DATA_PAGES * PAGE;
	return true;
}

bool adopt_memory_init(void)
{
	uint32_t i = 0;

	while (i < judge.memory_count && !take_from(&judge.memory[i]))
		i++;
	if (i == judge.memory_count)
		return false;
	while (count < OWN_TABLES) {
		unused[count] = phys(own + count * PAGE);
		count++;
	}
	return true;
}

uint64_t adopt_data(void)
{
	return data;
}

bool adopt_is_of_hoist(uint64_t table)
{
	for (uint32_t i = 0; i < judge.extent_count; i++) {
		if (judge_inside(table, judge.extents[i].address, judge.extents[i].size))
			return true;
	}
	return false;
}

static size_t take(void *ctx, size_t most, phys_addr *ret_first)
{
	(void)ctx;
	if (!count || !most)
		return 0;
	*ret_first = unused[--count];
	if (adopt_is_of_hoist(ret_first->raw)) {
		of_hoist--;
		reused++;
	}
	return 1;
}

static void give_one(uint64_t table)
{
	bool known = adopt_is_of_hoist(table);

	for (unsigned i = 0; i < count; i++) {
		if (unused[i].raw == table)
			judge_flaw("the table at %lx is given back twice", table);
	}
	if (!known && !judge_inside(table, own, OWN_TABLES * PAGE))
		judge_flaw("the table at %lx is nobody's", table);
	of_hoist += known;
	unused[count++] = phys(table);
}

static void give(void *ctx, phys_addr first, size_t number)
{
	(void)ctx;
	for (size_t i = 0; i < number; i++)
		give_one(first.raw + i * PAGE);
}

struct pt_tables adopt_tables(void)
{
	return (struct pt_tables){ .take = take, .give = give };
}

uint64_t adopt_last_byte(void)
{
	uint64_t last = own + OWN_TABLES * PAGE - 1;

	for (uint32_t i = 0; i < judge.extent_count; i++) {
		const struct hoist_extent *e = &judge.extents[i];

		if (e->address + e->size - 1 > last)
			last = e->address + e->size - 1;
	}
	return last;
}

unsigned adopt_free_tables(void)
{
	return count;
}

unsigned adopt_free_of_hoist(void)
{
	return of_hoist;
}

unsigned adopt_reused_of_hoist(void)
{
	return reused;
}
