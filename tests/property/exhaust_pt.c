/*
 * Exhaustive checking on the fake layout, whose whole address space is 64 or
 * 256 pages: every sequence of map (under every policy), protect, unmap, clean
 * and collapse over all ranges between the edges of a window, up to a depth,
 * compared with a flat array of pages.
 *
 * States that are equal but for the addresses of their tables are visited
 * once: nothing that a call does depends on where a table lies. A state is
 * remembered as the call that led to it and the state before, and made anew
 * from there when its turn comes. Every call is checked, its result only where
 * the tables and the array have not been seen together before.
 */
#include "tests/check.h"
#include "tests/fake/space.h"

enum { TABLES = 64, EDGES_MAX = 33, PAGES_MAX = 256 };

struct cell {
	uint32_t frame;
	uint8_t flags, cache;
	bool mapped;
	uint8_t unused; /* cells are hashed and compared whole */
};

/*
 * Ranges begin and end at these pages, all of one half; with every_page at all
 * those from the first edge to the second.
 */
struct window {
	const char *name;
	uint8_t levels;
	unsigned depth;
	bool every_page;
	unsigned edges[EDGES_MAX];
};

enum op { OP_MAP, OP_PROTECT, OP_UNMAP, OP_CLEAN, OP_COLLAPSE };

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
	{ OP_MAP, 304, { PT_WRITE, PT_WB }, { .conflict = PT_REFUSE, .max_leaf = 1 } },
	{ OP_MAP, 68, { PT_EXEC | PT_GLOBAL, PT_WC }, { .conflict = PT_REPLACE } },
	{ OP_MAP, 33, { PT_USER, PT_WB }, { .conflict = PT_REPLACE } },
	{ OP_MAP,
	  100,
	  { PT_USER | PT_DIRTY, PT_WT },
	  { .conflict = PT_REPLACE, .max_leaf = 2, .exact = true } },
	{ OP_PROTECT, 0, { PT_WRITE | PT_DIRTY, PT_WP }, { .conflict = PT_REFUSE } },
	{ OP_UNMAP, 0, { 0, PT_WB }, { .conflict = PT_REFUSE } },
	{ OP_CLEAN, 0, { 0, PT_WB }, { .conflict = PT_REFUSE } },
	{ OP_COLLAPSE, 0, { 0, PT_WB }, { .conflict = PT_REFUSE } },
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

/* Hashes of states, 0: free. Grows. */
struct hash_set {
	uint64_t *hashes;
	size_t count, room; /* room: a power of two */
};

static struct space_fixture fixture;
static struct cell cells[PAGES_MAX], saved_cells[PAGES_MAX];
static struct cell after[PAGES_MAX];   /* as the call should leave the cells */
static uint8_t leaf_levels[PAGES_MAX]; /* as a collapse should leave them, 0: none */
static const struct window *window;
static struct call calls[EDGES_MAX * EDGES_MAX / 2 * ARRAY_LEN(VERBS)];
static size_t call_count;
static struct node *nodes;
static size_t node_count, node_room;
static struct hash_set seen;          /* in this window */
static struct hash_set compared;      /* in any */
static size_t most_states = SIZE_MAX; /* for a short run: of a window, about */
static uint64_t transitions;
static uint32_t current_node;
static const struct call *current_call;

/* What is being checked; asked for only when something is wrong. */
static const char *place(void)
{
	static char text[96];

	snprintf(text, sizeof(text), "%s: state %u, verb %td, pages %u + %u", window->name,
		 current_node, current_call->verb - VERBS, current_call->first,
		 current_call->count);
	return text;
}

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

/* Fast, and good enough in its upper half, which remember() looks at. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* All that a tree says, but not where its tables lie. */
static uint64_t hash_tree(phys_addr table, unsigned level, uint64_t hash, size_t *tables)
{
	const pte_t *entries = space_table(&fixture.arena, table);

	++*tables;
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		if (pte_kind(entries[i], level) == PTE_TABLE)
			hash = hash_tree(pte_table_addr(&fixture.space.cpu, entries[i], level),
					 level - 1, mix(hash, 1), tables);
		else
			hash = mix(hash, entries[i]);
	}
	return mix(hash, 2);
}

/* Tables and array together, and how many tables there are. */
static uint64_t hash_state(size_t *ret_tables)
{
	size_t tables = 0;
	uint64_t hash = hash_tree(fixture.space.root, window->levels, window->levels, &tables);

	for (unsigned page = 0; page < page_count(); page++) {
		uint64_t word;

		memcpy(&word, &cells[page], sizeof(word));
		hash = mix(hash, word);
	}
	*ret_tables = tables;
	return hash | 1;
}

_Static_assert(sizeof(struct cell) == sizeof(uint64_t), "a cell is hashed as a word");

/* Where the hash is, or the free place for it. */
static uint64_t *set_find(const struct hash_set *set, uint64_t hash)
{
	size_t i = hash >> 24 & (set->room - 1);

	while (set->hashes[i] != 0 && set->hashes[i] != hash)
		i = (i + 1) & (set->room - 1);
	return &set->hashes[i];
}

static void set_init(struct hash_set *ret_set, size_t room)
{
	*ret_set = (struct hash_set){ calloc(room, sizeof(uint64_t)), 0, room };
	if (!ret_set->hashes)
		exit(2);
}

static void set_grow(struct hash_set *set)
{
	struct hash_set larger;

	set_init(&larger, 2 * set->room);
	for (size_t i = 0; i < set->room; i++) {
		if (set->hashes[i] != 0)
			*set_find(&larger, set->hashes[i]) = set->hashes[i];
	}
	larger.count = set->count;
	free(set->hashes);
	*set = larger;
}

/* False if it was there already. */
static bool remember(struct hash_set *set, uint64_t hash)
{
	uint64_t *slot = set_find(set, hash);

	if (*slot == hash)
		return false;
	*slot = hash;
	if (++set->count > set->room / 2)
		set_grow(set);
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
	if (call->verb->op == OP_COLLAPSE)
		return pt_plan_collapse(&fixture.space, range, ret_plan);
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
	if (call->verb->op == OP_COLLAPSE)
		return pt_collapse(&fixture.space, range, &fixture.flush);
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
		table = pte_table_addr(&fixture.space.cpu, *entry, level);
	}
	*entry = 0;
	memset(&cells[align_down(call->first, leaf.pages)], 0, leaf.pages * sizeof(cells[0]));
}

/* The cell as it is after the call. */
static struct cell cell_after(const struct call *call, unsigned page)
{
	const uint8_t use = PT_ACCESSED | PT_DIRTY;
	struct cell cell = cells[page];
	const struct verb *verb = call->verb;
	struct cell stated = { .frame = cell.frame,
			       .flags = (uint8_t)verb->attr.flags,
			       .cache = (uint8_t)verb->attr.cache,
			       .mapped = true };

	switch (verb->op) {
	case OP_MAP:
		stated.frame = page + (uint32_t)verb->shift;
		return cell.mapped && verb->options.conflict == PT_KEEP ? cell : stated;
	case OP_UNMAP:
		return (struct cell){ .mapped = false };
	case OP_PROTECT:
		stated.flags |= cell.flags & use;
		return cell.mapped ? stated : cell;
	case OP_CLEAN:
	case OP_COLLAPSE:
		break;
	}
	return cell;
}

/* True if these pages continue each other and say the same, but for use. */
static bool cells_continue(const struct cell *a, const struct cell *b)
{
	const uint8_t use = PT_ACCESSED | PT_DIRTY;

	return a->mapped && b->mapped && b->frame == a->frame + 1 && a->cache == b->cache &&
	       ((a->flags ^ b->flags) & ~use) == 0;
}

/* True if a table maps these pages with leaves that make a larger one. */
static bool can_collapse(unsigned first, unsigned count, unsigned level)
{
	for (unsigned page = first; page < first + count; page++) {
		if (leaf_levels[page] != level - 1 ||
		    (page > first && !cells_continue(&after[page - 1], &after[page])))
			return false;
	}
	return after[first].frame % count == 0;
}

static void collapse_block(unsigned first, unsigned count, unsigned level)
{
	uint8_t flags = 0;

	if (!can_collapse(first, count, level))
		return;
	for (unsigned page = first; page < first + count; page++)
		flags |= after[page].flags;
	for (unsigned page = first; page < first + count; page++) {
		after[page].flags = flags;
		leaf_levels[page] = (uint8_t)level;
	}
}

/* From small to large. Only the tables say how large a leaf is, so they are asked first. */
static void collapse_cells(const struct call *call)
{
	for (unsigned page = 0; page < page_count(); page++) {
		struct pt_leaf leaf = { .level = 0 };

		pt_query(&fixture.space, page_va(page), &leaf);
		leaf_levels[page] = (uint8_t)leaf.level;
	}
	for (unsigned level = 2; level <= PT_MAX_LEAF_LEVEL; level++) {
		unsigned count = (unsigned)level_pages(level);
		unsigned first = call->first - call->first % count;

		for (; first < call->first + call->count; first += count)
			collapse_block(first, count, level);
	}
}

/* What the array is to be, before the tables change. */
static void expect_cells(const struct call *call)
{
	memcpy(after, cells, page_count() * sizeof(cells[0]));
	for (unsigned page = call->first; page < call->first + call->count; page++)
		after[page] = cell_after(call, page);
	if (call->verb->op == OP_COLLAPSE)
		collapse_cells(call);
}

static void apply_to_cells(void)
{
	memcpy(cells, after, page_count() * sizeof(cells[0]));
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
	       ((cell->flags ^ verb->attr.flags) & ~use) != 0 || cell->cache != verb->attr.cache;
}

/* The first page of the range that hinders, or the page behind it. */
static unsigned first_obstacle(const struct call *call)
{
	unsigned page = call->first;

	while (page < call->first + call->count && !cell_hinders(call, page))
		page++;
	return page;
}

/* What the call is to answer; *ret_obstacle: the page to be named, if it is refused. */
static enum pt_status expected_status(const struct call *call, unsigned *ret_obstacle)
{
	const struct pt_options *options = &call->verb->options;
	uint64_t unit = options->exact ? level_pages(options->max_leaf) : 1;

	*ret_obstacle = call->first;
	if (!is_aligned(call->first | call->count, unit))
		return PT_ERR_UNALIGNED;
	*ret_obstacle = first_obstacle(call);
	return *ret_obstacle < call->first + call->count ? PT_ERR_OVERLAP : PT_OK;
}

/* True if a page's translation changes that was there: it has to be flushed. */
static bool cell_changes(unsigned page)
{
	return cells[page].mapped && memcmp(&cells[page], &after[page], sizeof(cells[0])) != 0;
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
			CHECK(status == PT_ERR_NOT_MAPPED, place());
			continue;
		}
		CHECK(status == PT_OK && frame == cells[page].frame &&
			      leaf.attr.flags == cells[page].flags &&
			      (uint8_t)leaf.attr.cache == cells[page].cache,
		      place());
	}
}

/* After a collapse: all leaves are as large as they should be. */
static void compare_levels(void)
{
	for (unsigned page = 0; page < page_count(); page++) {
		struct pt_leaf leaf = { .level = 0 };

		pt_query(&fixture.space, page_va(page), &leaf);
		CHECK(leaf.level == leaf_levels[page], place());
	}
}

static bool cell_continues(unsigned page)
{
	return page != page_count() / 2 && cells_continue(&cells[page - 1], &cells[page]);
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
			      place());
			page = end;
		}
		CHECK(runs.end == PT_ERR_NOT_MAPPED, place());
	}
	while (page < page_count() && !cells[page].mapped)
		page++;
	CHECK(page == page_count(), place());
}

static void compare_structure(void)
{
	phys_addr scratch[TABLES];
	struct pt_audit audit;

	CHECK_STATUS(pt_audit(&fixture.space, scratch, TABLES, &audit), PT_OK, space_text, place());
	CHECK(audit.tables == space_taken(&fixture.arena), place());
	CHECK(audit.empty_tables == 0 && audit.soft == 0, place());
}

/* ------------------------------------------------------------------------
 * The search
 */

/*
 * Before the array is changed: the flush names all that changes, and nothing
 * beside the range, but that a collapse changes whole tables.
 */
static void compare_flush(const struct call *call)
{
	const struct pt_flush *flush = &fixture.flush;
	bool whole = call->verb->op == OP_COLLAPSE;
	unsigned first = whole ? 0 : call->first;
	unsigned end = whole ? page_count() : call->first + call->count;
	uint64_t start = page_va(call->first).raw;
	bool global = false;

	for (unsigned page = first; page < end; page++) {
		uint64_t offset = (page_va(page).raw - flush->va.raw) / PT_PAGE_SIZE;

		if (!cell_changes(page))
			continue;
		global = global || (cells[page].flags & PT_GLOBAL);
		CHECK(offset < flush->pages, place());
	}
	CHECK(!global || flush->global, place());
	CHECK(whole || flush->pages == 0 ||
		      fits((flush->va.raw - start) / PT_PAGE_SIZE, flush->pages, call->count),
	      place());
	CHECK(call->verb->op != OP_MAP || call->verb->options.conflict == PT_REPLACE ||
		      flush->pages == 0,
	      place());
}

/* Before the array is changed: the leaves of a map or protect are all that the range gets. */
static void compare_plan(const struct call *call, const struct pt_plan *plan)
{
	bool maps = call->verb->op == OP_MAP && call->verb->options.conflict != PT_KEEP;
	uint64_t planned = 0, mapped = 0;

	for (unsigned level = 1; level <= PT_MAX_LEAF_LEVEL; level++)
		planned += plan->leaves[level] * level_pages(level);
	for (unsigned page = call->first; page < call->first + call->count; page++)
		mapped += after[page].mapped;
	if (maps || call->verb->op == OP_PROTECT)
		CHECK_EQ(planned, mapped, place());
}

/* True if the call leads to a state that is new in this window. */
static bool expect_state(const struct call *call)
{
	size_t tables;
	uint64_t hash = hash_state(&tables);

	CHECK_EQ(tables, space_taken(&fixture.arena), place());
	CHECK_EQ(fixture.arena.misuses, 0, place());
	if (call->verb->op == OP_COLLAPSE)
		compare_levels();
	if (remember(&compared, hash)) {
		compare_cells();
		compare_runs();
		compare_structure();
	}
	return remember(&seen, hash);
}

/* Makes the call; true if it leads to a state that is new in this window. */
static bool expect_call(const struct call *call)
{
	size_t taken = space_taken(&fixture.arena), released;
	unsigned obstacle;
	enum pt_status status = expected_status(call, &obstacle);
	struct pt_plan plan;

	lose_leaf(call);
	fixture.flush = (struct pt_flush)PT_FLUSH_NONE;
	CHECK_STATUS(plan_call(call, &plan), status, space_text, place());
	if (status == PT_OK)
		expect_cells(call);
	CHECK_STATUS(make_call(call), status, space_text, place());
	if (status != PT_OK) {
		CHECK(plan.where.raw == page_va(obstacle).raw, place());
		CHECK(space_snapshot_equal(&fixture.shot, &fixture.arena), place());
		return false;
	}
	compare_flush(call);
	compare_plan(call, &plan);
	apply_to_cells();
	CHECK(space_taken(&fixture.arena) == taken + plan.tables, place());
	released = pt_release(&fixture.space, &fixture.flush);
	/* Sub-trees are announced; only a collapse retires each table for itself. */
	CHECK(released >= plan.retired && (released > 0) == (plan.retired > 0), place());
	CHECK(call->verb->op != OP_COLLAPSE || released == plan.retired, place());
	return expect_state(call);
}

/* Makes the space and the array of a node by repeating its calls. */
static void restore_node(uint32_t number)
{
	if (number == 0) {
		space_fixture_free(&fixture);
		space_fixture_init(&fixture,
				   &(struct pt_cpu){ .levels = window->levels,
						     .max_leaf = 3,
						     .phys_bits = PTE_MAX_PHYS_BITS,
						     .nx = true,
						     .pat = PT_PAT_FULL },
				   TABLES, false);
		memset(cells, 0, sizeof(cells));
		return;
	}
	restore_node(nodes[number].parent);
	lose_leaf(&calls[nodes[number].call]);
	expect_cells(&calls[nodes[number].call]);
	make_call(&calls[nodes[number].call]);
	apply_to_cells();
	pt_release(&fixture.space, &fixture.flush);
}

static void expand_node(uint32_t number)
{
	restore_node(number);
	space_snapshot_take(&fixture.shot, &fixture.arena);
	memcpy(saved_cells, cells, sizeof(cells));
	current_node = number;
	for (size_t i = 0; i < call_count && check_failures == 0; i++) {
		current_call = &calls[i];
		transitions++;
		if (expect_call(&calls[i]) && nodes[number].depth + 1u < window->depth)
			add_node((struct node){ number, (uint16_t)i,
						(uint16_t)(nodes[number].depth + 1) });
		space_snapshot_restore(&fixture.shot, &fixture.arena);
		memcpy(cells, saved_cells, page_count() * sizeof(cells[0]));
	}
}

static void list_calls_of(unsigned first, unsigned end)
{
	for (size_t i = 0; i < ARRAY_LEN(VERBS) && end > first; i++)
		calls[call_count++] = (struct call){ &VERBS[i], first, end - first };
}

static void list_calls(void)
{
	const unsigned *edges = window->edges;

	call_count = 0;
	if (window->every_page) {
		for (unsigned first = edges[0]; first < edges[1]; first++) {
			for (unsigned end = first + 1; end <= edges[1]; end++)
				list_calls_of(first, end);
		}
		return;
	}
	for (size_t from = 0; from < EDGES_MAX; from++) {
		for (size_t to = from + 1; to < EDGES_MAX; to++)
			list_calls_of(edges[from], edges[to]);
	}
}

static void explore(const struct window *w)
{
	size_t tables;

	window = w;
	node_count = 0;
	transitions = 0;
	set_init(&seen, 1 << 16);
	list_calls();
	add_node((struct node){ .depth = 0 });
	restore_node(0);
	remember(&seen, hash_state(&tables));
	for (size_t i = 0; i < node_count && seen.count < most_states && check_failures == 0; i++)
		expand_node((uint32_t)i);
	printf("# %s: every sequence of %u calls, %zu states, %" PRIu64 " calls\n", w->name,
	       w->depth, seen.count, transitions);
	free(seen.hashes);
}

static const struct window WINDOWS[] = {
	{ "all pages of the lower half", 3, 2, true, { 0, 32 } },
	{ "pages about an entry of level 3", 3, 3, false, { 13, 14, 15, 16, 17, 18, 19 } },
	{ "leaves of level 2", 3, 4, false, { 4, 8, 12, 16, 20 } },
	{ "leaves of level 3 and a page to either side",
	  3,
	  3,
	  false,
	  { 0, 1, 15, 16, 17, 31, 32 } },
	{ "the last pages", 3, 3, false, { 58, 59, 60, 62, 63, 64 } },
	{ "four levels", 4, 3, false, { 0, 1, 16, 63, 64, 65, 128 } },
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
	printf("# %zu different states in all\n", compared.count);
}

int main(int argc, char **argv)
{
	const char *text = getenv("STATES");

	(void)argc;
	(void)argv;
	if (text)
		most_states = strtoull(text, NULL, 0);
	set_init(&compared, 1 << 16);
	RUN(every_short_sequence_of_calls_agrees_with_an_array);
	space_fixture_free(&fixture);
	free(nodes);
	free(compared.hashes);
	return check_done();
}
