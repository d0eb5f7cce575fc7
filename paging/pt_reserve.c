/*
 * The second of the three steps of a change: as many tables as the plan
 * counted, or none.
 */
#include "paging/pt_internal.h"

static bool run_is_reachable(const struct pt_mem *mem, phys_addr first, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!table_at(mem, phys(first.raw + i * PT_PAGE_SIZE), 0, 0))
			return false;
	}
	return true;
}

/* A reserved table; reserve_take() has seen that it can be reached. */
static uint64_t *reserved_at(const struct pt_mem *mem, uint64_t table)
{
	uint64_t *words = table_at(mem, phys(table), 0, 0);

	if (!words)
		__builtin_unreachable();
	return words;
}

/* Takes the head of a run off its list; a table that was zeroed is so again. */
static uint64_t *run_open(struct reserve *reserve)
{
	uint64_t *head = reserved_at(&reserve->space->mem, reserve->runs);

	reserve->next = reserve->runs;
	reserve->runs = head[0];
	reserve->left = head[1];
	head[0] = 0;
	head[1] = 0;
	return head;
}

void reserve_end(struct reserve *reserve)
{
	const struct pt_tables *tables = &reserve->space->tables;

	if (reserve->left != 0)
		tables->give(tables->ctx, phys(reserve->next), (size_t)reserve->left);
	/* The last run taken is the first to go back. */
	while (reserve->runs != PT_NO_TABLE) {
		run_open(reserve);
		tables->give(tables->ctx, phys(reserve->next), (size_t)reserve->left);
	}
	reserve->left = 0;
}

enum pt_status reserve_take(struct reserve *reserve, uint64_t count)
{
	const struct pt_space *space = reserve->space;
	enum pt_status status = PT_OK;

	while (count > 0 && status == PT_OK) {
		phys_addr first;
		size_t most = count < SIZE_MAX ? (size_t)count : SIZE_MAX;
		size_t got = space->tables.take(space->tables.ctx, most, &first);

		if (got == 0) {
			status = PT_ERR_NO_TABLES;
		} else if (!run_is_reachable(&space->mem, first, got)) {
			space->tables.give(space->tables.ctx, first, got);
			status = PT_ERR_CORRUPT;
		} else {
			uint64_t *head = reserved_at(&space->mem, first.raw);

			head[0] = reserve->runs;
			head[1] = got;
			reserve->runs = first.raw;
			count -= got;
		}
	}
	if (status != PT_OK)
		reserve_end(reserve);
	return status;
}

pte_t *reserve_use(struct reserve *reserve, phys_addr *ret_table)
{
	if (reserve->left == 0) {
		if (reserve->runs == PT_NO_TABLE)
			return NULL;
		run_open(reserve);
	}
	*ret_table = phys(reserve->next);
	reserve->next += PT_PAGE_SIZE;
	reserve->left--;
	return reserved_at(&reserve->space->mem, ret_table->raw);
}
