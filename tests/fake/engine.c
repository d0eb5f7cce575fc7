#include "tests/fake/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BYTES ((size_t)PT_PAGE_SIZE)

static void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory) {
		fputs("out of memory\n", stderr);
		exit(2);
	}
	return memory;
}

/* The table's number; the count of all if it is not one of the arena's. */
static size_t number_of(const struct engine *e, phys_addr table)
{
	uint64_t offset = table.raw - SPACE_BASE;

	if (table.raw < SPACE_BASE || !is_aligned(offset, TABLE_BYTES) ||
	    offset / TABLE_BYTES >= e->f.arena.count)
		return e->f.arena.count;
	return (size_t)(offset / TABLE_BYTES);
}

static phys_addr address_of(size_t number)
{
	return phys(SPACE_BASE + number * TABLE_BYTES);
}

/* ---- the allocator, holds and hooks --------------------------------------------- */

static size_t engine_take(void *ctx, size_t most, phys_addr *ret_first)
{
	struct engine *e = ctx;
	struct pt_tables tables = space_tables(&e->f.arena);
	size_t count = tables.take(tables.ctx, most, ret_first);

	for (size_t i = 0; i < count; i++)
		e->references[number_of(e, *ret_first) + i] = 1;
	return count;
}

static void engine_give(void *ctx, phys_addr first, size_t count)
{
	struct engine *e = ctx;
	struct pt_tables tables = space_tables(&e->f.arena);

	for (size_t i = count; i-- > 0;) {
		phys_addr table = phys(first.raw + i * TABLE_BYTES);
		size_t number = number_of(e, table);

		if (number == e->f.arena.count || e->references[number] == 0 ||
		    e->frozen_level[number]) {
			e->misuses++;
			continue;
		}
		if (--e->references[number] != 0)
			continue;
		e->is_foreign[number] = false;
		tables.give(tables.ctx, table, 1);
	}
}

static enum pt_hold engine_hold(void *ctx, phys_addr table)
{
	const struct engine *e = ctx;
	size_t number = number_of(e, table);

	if (number == e->f.arena.count || e->frozen_level[number])
		return PT_FROZEN;
	return e->references[number] > 1 ? PT_COMMON : PT_OWN;
}

static void engine_share(void *ctx, phys_addr table)
{
	struct engine *e = ctx;
	size_t number = number_of(e, table);

	if (number == e->f.arena.count || e->references[number] == 0 || e->frozen_level[number])
		e->misuses++;
	else
		e->references[number]++;
}

static void engine_has_moved(void *ctx, phys_addr root)
{
	struct engine *e = ctx;

	e->moves++;
	e->moved_to = root;
}

static const struct pt_holds engine_holds = { engine_hold, engine_share, engine_has_moved };

/* False if there are no such frames. */
static bool note_pages(int32_t *mapped, phys_addr pa, uint64_t pages, int by)
{
	uint64_t first = pa.raw >> PTE_PAGE_SHIFT;

	if (!is_aligned(pa.raw, PT_PAGE_SIZE) || !fits(first, pages, ENGINE_FRAMES))
		return false;
	mapped[first] += by;
	mapped[first + pages] -= by;
	return true;
}

static void engine_acquire(void *ctx, phys_addr pa, uint64_t pages)
{
	struct engine *e = ctx;

	e->acquired += pages;
	e->misuses += e->is_releasing || !note_pages(e->mapped, pa, pages, 1);
}

static void engine_give_up(void *ctx, phys_addr pa, uint64_t pages)
{
	struct engine *e = ctx;

	e->released += pages;
	e->misuses += !e->is_releasing || !note_pages(e->mapped, pa, pages, -1);
}

void engine_init(struct engine *ret_engine, const struct engine_options *options)
{
	struct engine *e = ret_engine;
	size_t tables = options->tables;

	*e = (struct engine){ .other = { PT_NO_TABLE }, .moved_to = { PT_NO_TABLE } };
	e->references = allocate(tables, sizeof(*e->references));
	e->saved_references = allocate(tables, sizeof(*e->references));
	e->frozen_level = allocate(tables, 1);
	e->is_foreign = allocate(tables, sizeof(bool));
	e->foreign = allocate(tables, TABLE_BYTES);
	e->mapped = allocate(ENGINE_FRAMES + 1, sizeof(int32_t));
	e->expected = allocate(ENGINE_FRAMES + 1, sizeof(int32_t));
	space_fixture_init(&e->f, &options->cpu, tables, false);
	e->references[number_of(e, e->f.space.root)] = 1;
	e->f.space.tables = (struct pt_tables){ .take = engine_take,
						.give = engine_give,
						.ctx = e,
						.holds = options->holds ? &engine_holds : NULL };
	e->f.space.counted = options->counted;
	e->f.space.live = options->live;
	if (options->hooks)
		e->f.space.frames = (struct pt_frames){ engine_acquire, engine_give_up, e };
	engine_save(e);
}

void engine_free(struct engine *engine)
{
	free(engine->references);
	free(engine->saved_references);
	free(engine->frozen_level);
	free(engine->is_foreign);
	free(engine->foreign);
	free(engine->mapped);
	free(engine->expected);
	space_fixture_free(&engine->f);
}

size_t engine_release(struct engine *engine)
{
	size_t count;

	engine->is_releasing = true;
	count = pt_release(&engine->f.space, &engine->f.flush);
	engine->is_releasing = false;
	return count;
}

size_t engine_destroy(struct engine *engine, struct pt_space *space)
{
	size_t count;

	engine->is_releasing = true;
	count = pt_destroy(space);
	engine->is_releasing = false;
	return count;
}

/* ---- walking ------------------------------------------------------------------------ */

static pte_t *table_of(const struct engine *e, phys_addr table)
{
	size_t number = number_of(e, table);

	return number == e->f.arena.count
		       ? NULL
		       : (pte_t *)(void *)(e->f.arena.bytes + number * TABLE_BYTES);
}

pte_t *engine_entry(const struct engine *engine, phys_addr root, uint64_t va, unsigned *ret_level)
{
	const struct pt_cpu *cpu = &engine->f.space.cpu;
	pte_t *table = table_of(engine, root), *entry = NULL;

	for (unsigned level = cpu->levels; table; level--) {
		entry = &table[level_index(va, level)];
		*ret_level = level;
		if (pte_kind(*entry, level) != PTE_TABLE)
			break;
		table = table_of(engine, pte_table_addr(cpu, *entry, level));
	}
	return entry;
}

pte_t *engine_entry_at(const struct engine *engine, uint64_t va, unsigned level)
{
	const struct pt_cpu *cpu = &engine->f.space.cpu;
	pte_t *table = table_of(engine, engine->f.space.root);

	for (unsigned at = cpu->levels; table && at > level; at--) {
		pte_t e = table[level_index(va, at)];

		table = pte_kind(e, at) == PTE_TABLE ? table_of(engine, pte_table_addr(cpu, e, at))
						     : NULL;
	}
	return table ? &table[level_index(va, level)] : NULL;
}

static unsigned level_below(const struct engine *e, phys_addr from, unsigned level, phys_addr table)
{
	const struct pt_cpu *cpu = &e->f.space.cpu;
	const pte_t *entries = table_of(e, from);
	unsigned found = from.raw == table.raw ? level : 0;

	for (unsigned i = 0; entries && found == 0 && i < PTE_COUNT; i++) {
		if (pte_kind(entries[i], level) == PTE_TABLE)
			found = level_below(e, pte_table_addr(cpu, entries[i], level), level - 1,
					    table);
	}
	return found;
}

unsigned engine_level(const struct engine *engine, phys_addr table)
{
	return level_below(engine, engine->f.space.root, engine->f.space.cpu.levels, table);
}

/* One pass over all that can be reached, each table once. */
struct pass {
	const struct engine *e;
	uint32_t *links;   /* to each table; 0: not reached yet */
	int32_t *expected; /* frames, or NULL */
	size_t tables;
	uint64_t wrong_counts, empty;
};

static void pass_table(struct pass *pass, phys_addr table, unsigned level);

static void pass_entry(struct pass *pass, pte_t entry, unsigned level)
{
	const struct pt_cpu *cpu = &pass->e->f.space.cpu;

	if (pass->expected && pte_kind(entry, level) == PTE_LEAF)
		note_pages(pass->expected, pte_leaf_addr(cpu, entry, level), level_pages(level), 1);
	if (pte_kind(entry, level) != PTE_TABLE)
		return;

	phys_addr below = pte_table_addr(cpu, entry, level);
	const pte_t *entries = table_of(pass->e, below);
	unsigned used = 0, count = pte_count(entry);

	for (unsigned i = 0; entries && i < PTE_COUNT; i++)
		used += pte_kind(entries[i], level - 1) != PTE_ABSENT;
	pass->wrong_counts += count != 0 && count != used + 1;
	pass->empty += used == 0;
	pass_table(pass, below, level - 1);
}

static void pass_table(struct pass *pass, phys_addr table, unsigned level)
{
	const pte_t *entries = table_of(pass->e, table);

	if (!entries || pass->links[number_of(pass->e, table)]++ != 0)
		return;
	pass->tables++;
	for (unsigned i = 0; i < PTE_COUNT; i++)
		pass_entry(pass, entries[i], level);
}

static struct pass pass_start(const struct engine *e, int32_t *expected)
{
	return (struct pass){ .e = e,
			      .links = allocate(e->f.arena.count, sizeof(uint32_t)),
			      .expected = expected };
}

static struct pass pass_all(const struct engine *e, int32_t *expected)
{
	struct pass pass = pass_start(e, expected);
	unsigned top = e->f.space.cpu.levels;

	if (e->f.space.root.raw != PT_NO_TABLE)
		pass_table(&pass, e->f.space.root, top);
	if (e->other.raw != PT_NO_TABLE)
		pass_table(&pass, e->other, top);
	for (size_t i = 0; i < e->f.arena.count; i++) {
		if (e->frozen_level[i] && pass.links[i] == 0)
			pass_table(&pass, address_of(i), e->frozen_level[i]);
	}
	return pass;
}

uint64_t engine_wrong_counts(const struct engine *engine)
{
	struct pass pass = pass_all(engine, NULL);

	free(pass.links);
	return pass.wrong_counts;
}

uint64_t engine_empty_tables(const struct engine *engine)
{
	struct pass pass = pass_all(engine, NULL);

	free(pass.links);
	return pass.empty;
}

size_t engine_reachable(const struct engine *engine)
{
	struct pass pass = pass_all(engine, NULL);

	free(pass.links);
	return pass.tables;
}

uint64_t engine_wrong_references(const struct engine *engine)
{
	struct pass pass = pass_all(engine, NULL);
	uint64_t wrong = 0;

	for (size_t i = 0; i < engine->f.arena.count; i++) {
		if (!engine->frozen_level[i])
			wrong += pass.links[i] != engine->references[i];
	}
	free(pass.links);
	return wrong;
}

bool engine_frames_balance(const struct engine *engine)
{
	memset(engine->expected, 0, (ENGINE_FRAMES + 1) * sizeof(int32_t));

	struct pass pass = pass_all(engine, engine->expected);

	free(pass.links);
	return memcmp(engine->expected, engine->mapped, (ENGINE_FRAMES + 1) * sizeof(int32_t)) == 0;
}

/* ---- tables that others see ----------------------------------------------------------- */

static void foreign_note(struct engine *e, phys_addr table, unsigned level, bool freezes)
{
	const struct pt_cpu *cpu = &e->f.space.cpu;
	const pte_t *entries = table_of(e, table);
	size_t number = number_of(e, table);

	if (!entries)
		return;
	if (freezes)
		e->frozen_level[number] = (unsigned char)level;
	if (!e->is_foreign[number])
		memcpy(e->foreign + number * TABLE_BYTES, entries, TABLE_BYTES);
	e->is_foreign[number] = true;
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		if (pte_kind(entries[i], level) == PTE_TABLE)
			foreign_note(e, pte_table_addr(cpu, entries[i], level), level - 1, freezes);
	}
}

void engine_freeze(struct engine *engine, phys_addr table, unsigned level)
{
	foreign_note(engine, table, level, false);
	engine->frozen_level[number_of(engine, table)] = (unsigned char)level;
}

void engine_freeze_all(struct engine *engine)
{
	foreign_note(engine, engine->f.space.root, engine->f.space.cpu.levels, true);
}

void engine_share_all(struct engine *engine)
{
	const struct pt_space *space = &engine->f.space;
	unsigned top = space->cpu.levels;
	phys_addr root;

	if (engine_take(engine, 1, &root) != 1) {
		fputs("no table for another root\n", stderr);
		exit(2);
	}

	pte_t *entries = table_of(engine, root);

	memcpy(entries, table_of(engine, space->root), TABLE_BYTES);
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		phys_addr at = pte_table_addr(&space->cpu, entries[i], top);

		if (pte_kind(entries[i], top) == PTE_TABLE &&
		    !engine->frozen_level[number_of(engine, at)])
			engine_share(engine, at);
		else if (pte_kind(entries[i], top) == PTE_LEAF && space->frames.acquire)
			engine_acquire(engine, pte_leaf_addr(&space->cpu, entries[i], top),
				       level_pages(top));
	}
	engine->other = root;
	foreign_note(engine, root, top, false);
}

bool engine_others_are_unchanged(const struct engine *engine)
{
	for (size_t i = 0; i < engine->f.arena.count; i++) {
		size_t at = i * TABLE_BYTES;

		if (engine->is_foreign[i] &&
		    memcmp(engine->foreign + at, engine->f.arena.bytes + at, TABLE_BYTES) != 0)
			return false;
	}
	return true;
}

struct pt_space engine_other(const struct engine *engine)
{
	struct pt_space other = engine->f.space;

	other.root = engine->other;
	return other;
}

/* ---- state ------------------------------------------------------------------------------ */

void engine_save(struct engine *engine)
{
	space_snapshot_take(&engine->f.shot, &engine->f.arena);
	memcpy(engine->saved_references, engine->references,
	       engine->f.arena.count * sizeof(*engine->references));
	engine->saved = (struct engine_sums){ engine->acquired, engine->released, engine->moves,
					      engine->f.space.root, engine->f.flush };
}

static bool flush_is_equal(const struct pt_flush *a, const struct pt_flush *b)
{
	return space_flush_equal(a, b) && a->log.raw == b->log.raw;
}

bool engine_is_as_saved(const struct engine *engine)
{
	const struct engine_sums *saved = &engine->saved;

	for (size_t i = 0; i < engine->f.arena.count; i++) {
		/* Free tables have none, whatever they had. */
		if (engine->f.arena.is_taken[i] &&
		    engine->references[i] != engine->saved_references[i])
			return false;
	}
	return space_snapshot_equal(&engine->f.shot, &engine->f.arena) &&
	       saved->acquired == engine->acquired && saved->released == engine->released &&
	       saved->moves == engine->moves && saved->root.raw == engine->f.space.root.raw &&
	       flush_is_equal(&saved->flush, &engine->f.flush);
}

uint64_t engine_log_tables(const struct engine *engine, uint64_t count)
{
	uint64_t room = 0;

	/* The second word of a list's table is how many entries it has. */
	if (engine->f.flush.log.raw != PT_NO_TABLE)
		room = PT_LOG_ENTRIES - table_of(engine, engine->f.flush.log)[1];
	return count <= room ? 0 : (count - room + PT_LOG_ENTRIES - 1) / PT_LOG_ENTRIES;
}

/* Links of a saved table at `va` in whose place there is a link to another table now. */
static uint64_t moved_below(const struct engine *e, phys_addr table, unsigned level, uint64_t va)
{
	const struct pt_cpu *cpu = &e->f.space.cpu;
	const pte_t *saved = (const pte_t *)(const void *)(e->f.shot.bytes +
							   number_of(e, table) * TABLE_BYTES);
	uint64_t moved = 0;

	for (unsigned i = 0; i < PTE_COUNT; i++) {
		uint64_t at = va + i * level_size(level);
		const pte_t *now = engine_entry_at(e, at, level);
		phys_addr below = pte_table_addr(cpu, saved[i], level);

		if (pte_kind(saved[i], level) != PTE_TABLE)
			continue;
		if (now && pte_kind(*now, level) == PTE_TABLE)
			moved += pte_table_addr(cpu, *now, level).raw != below.raw;
		moved += moved_below(e, below, level - 1, at);
	}
	return moved;
}

uint64_t engine_moved(const struct engine *engine)
{
	phys_addr root = engine->saved.root;

	return (root.raw != engine->f.space.root.raw) +
	       moved_below(engine, root, engine->f.space.cpu.levels, 0);
}
