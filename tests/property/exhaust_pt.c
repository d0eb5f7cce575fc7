/*
 * Exhaustive checking on the fake layout, whose whole address space is 64 or
 * 256 pages: every sequence of map (under every policy), protect, unmap and
 * clean over all ranges between the edges of a window, up to a depth, compared
 * with a flat array of pages.
 *
 * States that are equal but for the addresses of their tables are visited
 * once: nothing that a call does depends on where a table lies. A state is
 * remembered as the call that led to it and the state before, and made anew
 * from there when its turn comes.
 */
#include "tests/check.h"
#include "tests/fake/space.h"

enum { TABLES = 64, EDGES_MAX = 9, PAGES_MAX = 256, SET_SIZE = 1 << 22 };

struct cell {
	bool mapped;
	uint64_t frame;
	struct pt_attr attr;
};

/* Ranges begin and end at these pages, all of one half. */
struct window {
	const char *name;
	uint8_t levels;
	unsigned depth;
	unsigned edges[EDGES_MAX];
};

enum op { OP_MAP, OP_PROTECT, OP_UNMAP, OP_CLEAN };

/*
 * A mapping's frame is its page and `shift` frames, so some shifts allow large
 * leaves. The first maps the arena of tables itself: a leaf taken for a link
 * leads to a table. A clean follows the loss of the range's first leaf, which
 * is cleared behind the core's back: the tables left empty must go.
 */
struct verb {
	enum op op;
	uint64_t shift;
	struct pt_attr attr;
	struct pt_options options;
};

static const struct verb VERBS[] = {
	{ OP_MAP, 304, { PT_WRITE, PT_WB }, { .conflict = PT_REFUSE } },
	{ OP_MAP, 304, { PT_WRITE | PT_ACCESSED, PT_WB }, { .conflict = PT_KEEP } },
	{ OP_MAP, 68, { PT_EXEC | PT_GLOBAL, PT_WC }, { .conflict = PT_REPLACE } },
	{ OP_MAP, 33, { PT_USER, PT_WB }, { .conflict = PT_REPLACE } },
	{ OP_PROTECT, 0, { PT_WRITE | PT_DIRTY, PT_WP }, { .conflict = PT_REFUSE } },
	{ OP_UNMAP, 0, { 0, PT_WB }, { .conflict = PT_REFUSE } },
	{ OP_CLEAN, 0, { 0, PT_WB }, { .conflict = PT_REFUSE } },
};

struct call {
	const struct verb *verb;
	unsigned first, count; /* pages */
};

/* Made by calls[call] from nodes[parent]; the empty space is node 0. */
struct node {
	uint32_t parent;
	uint16_t call;
	uint16_t depth;
};

static struct space_fixture fixture;
static struct cell cells[PAGES_MAX], saved_cells[PAGES_MAX];
static const struct window *window;
static struct call calls[EDGES_MAX * EDGES_MAX * ARRAY_LEN(VERBS)];
static size_t call_count;
static struct node *nodes;
static size_t node_count, node_room;
static uint64_t *seen; /* a hash set, 0: free */
static size_t seen_count;
static uint64_t transitions;
static size_t most_states = SIZE_MAX; /* for a short run: of a window, about */
static char name[96];

static unsigned page_count(void)
{
	return window->levels == 3 ? 64 : 256;
}

static virt_addr page_va(unsigned page)
{
	uint64_t pages = page_count();

	return virt((page < pages / 2 ? page : page - pages) * PT_PAGE_SIZE);
}

/* ------------------------------------------------------------------------
 * States
 */

static uint64_t mix(uint64_t hash, uint64_t value)
{
	uint64_t state = hash ^ value;

	return check_random(&state);
}

/* All that a tree says, but not where its tables lie. */
static uint64_t hash_tree(phys_addr table, unsigned level, uint64_t hash)
{
	const pte_t *entries = space_table(&fixture.arena, table);

	for (unsigned i = 0; i < PTE_COUNT; i++) {
		if (pte_kind(entries[i], level) == PTE_TABLE)
			hash = hash_tree(pte_table_addr(entries[i], level), level - 1,
					 mix(hash, 1));
		else
			hash = mix(hash, entries[i]);
	}
	return mix(hash, 2);
}

/* False if it was there already. */
static bool remember(uint64_t hash)
{
	size_t i = hash % SET_SIZE;

	while (seen[i] != 0 && seen[i] != hash)
		i = (i + 1) % SET_SIZE;
	if (seen[i] == hash)
		return false;
	if (++seen_count > SET_SIZE / 2) {
		fputs("too many states\n", stderr);
		exit(2);
	}
	seen[i] = hash;
	return true;
}

static void add_node(struct node node)
{
	if (node_count == node_room) {
		node_room = node_room ? 2 * node_room : 1024;
		nodes = realloc(nodes, node_room * sizeof(*nodes));
		if (!nodes)
			exit(2);
	}
	nodes[node_count++] = node;
}

/* ------------------------------------------------------------------------
 * Calls
 */

static enum pt_status plan_call(const struct call *call, struct pt_plan *ret_plan)
{
	struct pt_range range = { page_va(call->first), call->count };
	struct pt_mapping m = {
		.va = range.va,
		.pa = phys((call->first + call->verb->shift) * PT_PAGE_SIZE),
		.pages = call->count,
		.attr = call->verb->attr,
	};

	if (call->verb->op == OP_MAP)
		return pt_plan_map(&fixture.space, &m, &call->verb->options, ret_plan);
	if (call->verb->op == OP_PROTECT)
		return pt_plan_protect(&fixture.space, range, m.attr, ret_plan);
	if (call->verb->op == OP_CLEAN)
		return pt_plan_clean(&fixture.space, range, ret_plan);
	return pt_plan_unmap(&fixture.space, range, ret_plan);
}

static enum pt_status make_call(const struct call *call)
{
	struct pt_range range = { page_va(call->first), call->count };
	struct pt_mapping m = {
		.va = range.va,
		.pa = phys((call->first + call->verb->shift) * PT_PAGE_SIZE),
		.pages = call->count,
		.attr = call->verb->attr,
	};

	if (call->verb->op == OP_MAP)
		return pt_map(&fixture.space, &m, &call->verb->options, &fixture.flush);
	if (call->verb->op == OP_PROTECT)
		return pt_protect(&fixture.space, range, m.attr, &fixture.flush);
	if (call->verb->op == OP_CLEAN)
		return pt_clean(&fixture.space, range, &fixture.flush);
	return pt_unmap(&fixture.space, range, &fixture.flush);
}

/* Before a clean: clears the leaf that maps the first page, here and there. */
static void lose_leaf(const struct call *call)
{
	virt_addr va = page_va(call->first);
	struct pt_leaf leaf = { .level = 0 };
	phys_addr table = fixture.space.root;
	pte_t *entry = NULL;

	if (call->verb->op != OP_CLEAN || pt_query(&fixture.space, va, &leaf) != PT_OK)
		return;
	for (unsigned level = window->levels; level >= leaf.level; level--) {
		entry = &space_table(&fixture.arena, table)[level_index(va.raw, level)];
		table = pte_table_addr(*entry, level);
	}
	*entry = 0;
	memset(&cells[align_down(call->first, leaf.pages)], 0, leaf.pages * sizeof(cells[0]));
}

/* The cell as it is after the call. */
static struct cell cell_after(const struct call *call, unsigned page)
{
	struct cell cell = cells[page];
	const struct verb *verb = call->verb;

	switch (verb->op) {
	case OP_MAP:
		if (cell.mapped && verb->options.conflict == PT_KEEP)
			return cell;
		return (struct cell){ true, page + verb->shift, verb->attr };
	case OP_UNMAP:
		return (struct cell){ .mapped = false };
	case OP_PROTECT:
		break;
	case OP_CLEAN:
		return cell;
	}
	if (cell.mapped) {
		uint32_t use = cell.attr.flags & (PT_ACCESSED | PT_DIRTY);

		cell.attr = (struct pt_attr){ verb->attr.flags | use, verb->attr.cache };
	}
	return cell;
}

static void apply_to_cells(const struct call *call)
{
	for (unsigned page = call->first; page < call->first + call->count; page++)
		cells[page] = cell_after(call, page);
}

/* True if the cell does not allow the call. */
static bool cell_hinders(const struct call *call, unsigned page)
{
	const uint32_t use = PT_ACCESSED | PT_DIRTY;
	const struct cell *cell = &cells[page];
	const struct verb *verb = call->verb;

	if (verb->op != OP_MAP || !cell->mapped || verb->options.conflict == PT_REPLACE)
		return false;
	return verb->options.conflict == PT_REFUSE || cell->frame != page + verb->shift ||
	       ((cell->attr.flags ^ verb->attr.flags) & ~use) != 0 ||
	       cell->attr.cache != verb->attr.cache;
}

/* The first page of the range that hinders, or the page behind it. */
static unsigned first_obstacle(const struct call *call)
{
	unsigned page = call->first;

	while (page < call->first + call->count && !cell_hinders(call, page))
		page++;
	return page;
}

/* True if a page's translation changes that was there: it has to be flushed. */
static bool cell_changes(const struct call *call, unsigned page)
{
	struct cell after = cell_after(call, page);

	return cells[page].mapped && (!after.mapped || after.frame != cells[page].frame ||
				      after.attr.flags != cells[page].attr.flags ||
				      after.attr.cache != cells[page].attr.cache);
}

/* ------------------------------------------------------------------------
 * Comparison
 */

static void compare_cells(void)
{
	for (unsigned page = 0; page < page_count(); page++) {
		struct pt_leaf leaf = { .level = 0 };
		enum pt_status status = pt_query(&fixture.space, page_va(page), &leaf);
		uint64_t frame = (leaf.pa.raw + page_va(page).raw - leaf.va.raw) >> PTE_PAGE_SHIFT;

		if (!cells[page].mapped) {
			CHECK(status == PT_ERR_NOT_MAPPED, name);
			continue;
		}
		CHECK(status == PT_OK && frame == cells[page].frame &&
			      leaf.attr.flags == cells[page].attr.flags &&
			      leaf.attr.cache == cells[page].attr.cache,
		      name);
	}
}

static bool cell_continues(unsigned page)
{
	const uint32_t use = PT_ACCESSED | PT_DIRTY;
	const struct cell *a = &cells[page - 1], *b = &cells[page];

	return page != page_count() / 2 && a->mapped && b->frame == a->frame + 1 &&
	       ((a->attr.flags ^ b->attr.flags) & ~use) == 0 && a->attr.cache == b->attr.cache;
}

static void compare_runs(void)
{
	struct pt_range halves[] = { pt_lower_half(&fixture.space.cpu),
				     pt_upper_half(&fixture.space.cpu) };
	struct pt_mapping run = { .pages = 0 };
	struct pt_runs runs;
	unsigned page = 0, end;

	for (size_t half = 0; half < 2; half++) {
		pt_runs_start(&runs, &fixture.space, halves[half], TABLES);
		while (pt_runs_next(&runs, &run) == PT_OK) {
			while (page < page_count() && !cells[page].mapped)
				page++;
			for (end = page + 1;
			     end < page_count() && cells[end].mapped && cell_continues(end);)
				end++;
			CHECK(run.va.raw == page_va(page).raw && run.pages == end - page &&
				      run.pa.raw == cells[page].frame * PT_PAGE_SIZE,
			      name);
			page = end;
		}
		CHECK(runs.end == PT_ERR_NOT_MAPPED, name);
	}
	while (page < page_count() && !cells[page].mapped)
		page++;
	CHECK(page == page_count(), name);
}

static void compare_structure(void)
{
	phys_addr scratch[TABLES];
	struct pt_audit audit;

	CHECK_STATUS(pt_audit(&fixture.space, scratch, TABLES, &audit), PT_OK, space_text, name);
	CHECK(audit.tables == space_taken(&fixture.arena), name);
	CHECK(audit.empty_tables == 0 && audit.soft == 0, name);
	CHECK(fixture.arena.misuses == 0, name);
}

/* ------------------------------------------------------------------------
 * The search
 */

/* Before the array is changed: the flush names all that changes, in the range. */
static void compare_flush(const struct call *call)
{
	const struct pt_flush *flush = &fixture.flush;
	uint64_t start = page_va(call->first).raw;
	bool global = false;

	for (unsigned page = call->first; page < call->first + call->count; page++) {
		uint64_t offset = (page_va(page).raw - flush->va.raw) / PT_PAGE_SIZE;

		if (!cell_changes(call, page))
			continue;
		global = global || (cells[page].attr.flags & PT_GLOBAL);
		CHECK(offset < flush->pages, name);
	}
	CHECK(!global || flush->global, name);
	CHECK(flush->pages == 0 ||
		      fits((flush->va.raw - start) / PT_PAGE_SIZE, flush->pages, call->count),
	      name);
	CHECK(call->verb->op != OP_MAP || call->verb->options.conflict == PT_REPLACE ||
		      flush->pages == 0,
	      name);
}

static void expect_call(const struct call *call)
{
	unsigned obstacle = first_obstacle(call);
	bool refused = obstacle < call->first + call->count;
	size_t taken = space_taken(&fixture.arena);
	struct pt_plan plan;

	lose_leaf(call);
	fixture.flush = (struct pt_flush)PT_FLUSH_NONE;
	CHECK_STATUS(plan_call(call, &plan), refused ? PT_ERR_OVERLAP : PT_OK, space_text, name);
	CHECK_STATUS(make_call(call), refused ? PT_ERR_OVERLAP : PT_OK, space_text, name);
	if (refused) {
		CHECK(plan.where.raw == page_va(obstacle).raw, name);
		CHECK(space_snapshot_equal(&fixture.shot, &fixture.arena), name);
		return;
	}
	compare_flush(call);
	apply_to_cells(call);
	CHECK(space_taken(&fixture.arena) == taken + plan.tables, name);
	pt_release(&fixture.space, &fixture.flush);
	compare_cells();
	compare_runs();
	compare_structure();
}

/* Makes the space and the array of a node by repeating its calls. */
static void restore_node(uint32_t number)
{
	if (number == 0) {
		space_fixture_free(&fixture);
		space_fixture_init(
			&fixture,
			&(struct pt_cpu){ window->levels, 3, PTE_MAX_PHYS_BITS, true, PT_PAT_FULL },
			TABLES, false);
		memset(cells, 0, sizeof(cells));
		return;
	}
	restore_node(nodes[number].parent);
	lose_leaf(&calls[nodes[number].call]);
	make_call(&calls[nodes[number].call]);
	apply_to_cells(&calls[nodes[number].call]);
	pt_release(&fixture.space, &fixture.flush);
}

static void expand_node(uint32_t number)
{
	restore_node(number);
	space_snapshot_take(&fixture.shot, &fixture.arena);
	memcpy(saved_cells, cells, sizeof(cells));
	for (size_t i = 0; i < call_count && check_failures == 0; i++) {
		snprintf(name, sizeof(name), "%s: state %u, verb %td, pages %u + %u", window->name,
			 number, calls[i].verb - VERBS, calls[i].first, calls[i].count);
		expect_call(&calls[i]);
		transitions++;
		if (remember(hash_tree(fixture.space.root, window->levels, 0)) &&
		    nodes[number].depth + 1u < window->depth)
			add_node((struct node){ number, (uint16_t)i,
						(uint16_t)(nodes[number].depth + 1) });
		space_snapshot_restore(&fixture.shot, &fixture.arena);
		memcpy(cells, saved_cells, sizeof(cells));
	}
}

static void list_calls(void)
{
	call_count = 0;
	for (size_t from = 0; from < EDGES_MAX; from++) {
		for (size_t to = from + 1; to < EDGES_MAX; to++) {
			unsigned first = window->edges[from], end = window->edges[to];

			for (size_t i = 0; i < ARRAY_LEN(VERBS) && end > first; i++)
				calls[call_count++] = (struct call){ &VERBS[i], first,
								     end - first };
		}
	}
}

static void explore(const struct window *w)
{
	window = w;
	node_count = seen_count = 0;
	transitions = 0;
	memset(seen, 0, SET_SIZE * sizeof(*seen));
	list_calls();
	add_node((struct node){ .depth = 0 });
	restore_node(0);
	remember(hash_tree(fixture.space.root, window->levels, 0));
	for (size_t i = 0; i < node_count && seen_count < most_states && check_failures == 0; i++)
		expand_node((uint32_t)i);
	printf("# %s: every sequence of %u calls, %zu states, %" PRIu64 " calls\n", w->name,
	       w->depth, seen_count, transitions);
}

static const struct window WINDOWS[] = {
	{ "pages about an entry of level 3", 3, 3, { 13, 14, 15, 16, 17, 18, 19 } },
	{ "leaves of level 2", 3, 4, { 4, 8, 12, 16, 20 } },
	{ "leaves of level 3 and a page to either side", 3, 3, { 0, 1, 15, 16, 17, 31, 32 } },
	{ "the last pages", 3, 3, { 58, 59, 60, 62, 63, 64 } },
	{ "four levels", 4, 3, { 0, 1, 16, 63, 64, 65, 128 } },
};

static void every_short_sequence_of_calls_agrees_with_an_array(void)
{
	const char *text = getenv("DEEPER");
	unsigned deeper = text ? (unsigned)strtoul(text, NULL, 0) : 0;

	for (size_t i = 0; i < ARRAY_LEN(WINDOWS) && check_failures == 0; i++) {
		struct window w = WINDOWS[i];

		w.depth += deeper;
		explore(&w);
	}
}

int main(int argc, char **argv)
{
	const char *text = getenv("STATES");

	(void)argc;
	(void)argv;
	if (text)
		most_states = strtoull(text, NULL, 0);
	seen = calloc(SET_SIZE, sizeof(*seen));
	if (!seen)
		return 2;
	RUN(every_short_sequence_of_calls_agrees_with_an_array);
	space_fixture_free(&fixture);
	free(nodes);
	free(seen);
	return check_done();
}
