/*
 * Random clones, links, copy-on-write faults and changes of several spaces with
 * tables in common, against a flat model of each: what a page of a space says
 * never depends on what happens to another. After each step all pages of all
 * spaces are looked up; references, tables and mapped pages are counted anew.
 * Compiled for both layouts.
 */
#include "paging/pt_cow.h"
#include "paging/pt_spaces.h"
#include "tests/check.h"
#include "tests/fake/shared.h"

enum { SLOTS = 5, STEPS = 12000, RUNS = 4, SEEN_MAX = 4096, UPDATES = 3 };

/* The pages that are looked at: every combination of these indices. */
#if PTE_INDEX_BITS > 2
static const unsigned root_indices[] = { 0, 1, PTE_COUNT / 2, PTE_COUNT - 1 };
static const unsigned indices[] = { 0, 1, PTE_COUNT - 1 };
enum { LEVELS = 4, ATOMS = 4 * 27, MAP_LEVEL = 2 };
#else
static const unsigned root_indices[] = { 0, 1, 2, 3 };
static const unsigned indices[] = { 0, 1, 2, 3 };
enum { LEVELS = 3, ATOMS = 64, MAP_LEVEL = 3 };
#endif

struct page {
	bool mapped;
	uint64_t pa;
	uint32_t flags;
};

struct slot {
	bool used, user; /* a user: its upper half is slot 0's */
	struct pt_space space;
	struct pt_flush flush;
	struct page pages[ATOMS];
};

static struct shared ground;
static struct slot slots[SLOTS];
static uint64_t vas[ATOMS];
static bool pinned; /* slot 0 */
static uint64_t state, copies_made, in_place, links_made, rebuilt, starved;
static struct pt_seen seen[SEEN_MAX];

static uint64_t below(uint64_t limit)
{
	return check_random(&state) % limit;
}

static struct pt_cpu random_cpu(void)
{
	return (struct pt_cpu){
		.levels = LEVELS,
		.max_leaf = (uint8_t)(1 + below(MAP_LEVEL)),
		.phys_bits = PTE_MAX_PHYS_BITS,
		.nx = true,
		.pat = PT_PAT_FULL,
	};
}

static void number_atoms(void)
{
	for (size_t i = 0; i < ATOMS; i++) {
		size_t rest = i;
		uint64_t va = 0;

		for (unsigned level = 1; level < LEVELS; level++) {
			va |= (uint64_t)indices[rest % ARRAY_LEN(indices)] << level_shift(level);
			rest /= ARRAY_LEN(indices);
		}
		va |= (uint64_t)root_indices[rest] << level_shift(LEVELS);
		if (root_indices[rest] >= PTE_COUNT / 2)
			va |= UINT64_MAX << (level_shift(LEVELS) + PTE_INDEX_BITS);
		vas[i] = va;
	}
}

/* ---- the model ----------------------------------------------------------------------- */

static bool is_upper(size_t atom)
{
	return vas[atom] >> 63;
}

static struct page *page_of(struct slot *slot, size_t atom)
{
	return slot->user && is_upper(atom) ? &slots[0].pages[atom] : &slot->pages[atom];
}

static bool covers(struct pt_range range, uint64_t va)
{
	return va >= range.va.raw && (va - range.va.raw) >> PTE_PAGE_SHIFT < range.pages;
}

static void expect_page(struct slot *slot, size_t atom, const char *what)
{
	const struct page *want = page_of(slot, atom);
	struct pt_leaf leaf;
	enum pt_status status = pt_query(&slot->space, virt(vas[atom]), &leaf);

	CHECK_STATUS(status, want->mapped ? PT_OK : PT_ERR_NOT_MAPPED, space_text, what);
	if (status != PT_OK || !want->mapped)
		return;
	CHECK_EQ(leaf.pa.raw + (vas[atom] - leaf.va.raw), want->pa, what);
	/* Leaves of a live space that were put together may have been used. */
	CHECK_EQ(leaf.own & ~(uint32_t)(PT_ACCESSED | PT_DIRTY), want->flags, what);
}

/* How often the leaves of one table map each page. */
static void count_leaves(const pte_t *table, unsigned level, const struct pt_cpu *cpu,
			 uint64_t *mapped)
{
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		if (pte_kind(table[i], level) != PTE_LEAF)
			continue;

		uint64_t first = pte_leaf_addr(cpu, table[i], level).raw >> PTE_PAGE_SHIFT;

		for (uint64_t page = 0; page < level_pages(level); page++)
			mapped[(first + page) % SHARED_FRAMES]++;
	}
}

/* The hooks' counts are those of all leaves in all tables, each table once. */
static void expect_mapped(const struct pt_space *const *list, size_t count, const char *what)
{
	static struct shared_audit a;
	static uint64_t mapped[SHARED_FRAMES];

	memset(&a, 0, sizeof(a));
	memset(mapped, 0, sizeof(mapped));
	a.ground = &ground;
	for (size_t i = 0; i < count; i++) {
		a.space = list[i];
		shared_visit(&a, list[i]->root, LEVELS);
	}
	for (size_t i = 0; i < SHARED_TABLES; i++) {
		for (unsigned level = 1; level <= LEVELS; level++) {
			phys_addr table = phys(SPACE_BASE + i * PT_PAGE_SIZE);

			if (a.seen[i][level])
				count_leaves(shared_table(&ground, table), level,
					     &slots[0].space.cpu, mapped);
		}
	}
	CHECK(memcmp(mapped, ground.mapped, sizeof(mapped)) == 0, what);
}

static void expect_all(const char *what)
{
	const struct pt_space *list[SLOTS];
	size_t count = 0;
	bool pending = false;

	for (size_t i = 0; i < SLOTS; i++) {
		if (!slots[i].used)
			continue;
		for (size_t atom = 0; atom < ATOMS; atom++)
			expect_page(&slots[i], atom, what);
		list[count++] = &slots[i].space;
		pending |= slots[i].flush.retired.raw != PT_NO_TABLE ||
			   slots[i].flush.log.raw != PT_NO_TABLE;
	}
	CHECK_EQ(ground.misuses, 0, what);
	if (pending)
		return;
	shared_expect(&ground, list, count, what);
	expect_mapped(list, count, what);
}

/* ---- ranges and changes ------------------------------------------------------------------ */

static size_t random_used(void)
{
	size_t i = below(SLOTS);

	while (!slots[i].used)
		i = (i + 1) % SLOTS;
	return i;
}

/* One page, or a few neighbours, or all that an entry of some level covers, `top` at most. */
static struct pt_range random_range(unsigned top)
{
	uint64_t va = vas[below(ATOMS)];
	unsigned level = 1 + (unsigned)below(top);

	va = align_down(va, level_size(level));
	return (struct pt_range){ virt(va), level_pages(level) };
}

static uint32_t random_flags(void)
{
	static const uint32_t all[] = {
		0,         PT_WRITE,           PT_WRITE | PT_USER, PT_COW, PT_COW | PT_USER,
		PT_GLOBAL, PT_WRITE | PT_SOFT1
	};

	return all[below(ARRAY_LEN(all))];
}

static bool is_foreign(const struct slot *slot, struct pt_range range)
{
	return slot->user && range.va.raw >> 63;
}

/* OK; or, where tables may run out, refused for that. True if it was done. */
static bool was_done(enum pt_status status, bool foreign, const char *what)
{
	if (!foreign && status == PT_ERR_NO_TABLES && ground.limit < SHARED_TABLES) {
		starved++;
		return false;
	}
	CHECK_STATUS(status, foreign ? PT_ERR_FOREIGN : PT_OK, space_text, what);
	return status == PT_OK;
}

static void step_map(struct slot *slot)
{
	struct pt_range range = random_range(MAP_LEVEL);
	uint64_t frame = below(SHARED_FRAMES - 2 * range.pages);
	struct pt_options options = { .conflict = PT_REPLACE };

	if (below(2))
		frame = align_down(frame, range.pages);

	struct pt_mapping m = {
		range.va, phys(frame << PTE_PAGE_SHIFT), range.pages, { random_flags(), PT_WB }
	};

	if (!was_done(pt_map(&slot->space, &m, &options, &slot->flush), is_foreign(slot, range),
		      "map"))
		return;
	for (size_t i = 0; i < ATOMS; i++) {
		if (covers(range, vas[i]))
			slot->pages[i] = (struct page){ true, m.pa.raw + (vas[i] - range.va.raw),
							m.attr.flags };
	}
}

static void step_unmap(struct slot *slot)
{
	struct pt_range range = random_range(LEVELS);

	if (!was_done(pt_unmap(&slot->space, range, &slot->flush), is_foreign(slot, range),
		      "unmap"))
		return;
	for (size_t i = 0; i < ATOMS; i++) {
		if (covers(range, vas[i]))
			slot->pages[i].mapped = false;
	}
}

static void step_update(struct slot *slot)
{
	static const struct pt_update all[UPDATES] = {
		{ .only = PT_WRITE, .set = PT_COW, .clear = PT_WRITE },
		{ .set = PT_SOFT2 },
		{ .only = PT_COW, .clear = PT_SOFT1 | PT_SOFT2 | PT_GLOBAL },
	};
	struct pt_update update = all[below(UPDATES)];
	struct pt_range range = random_range(LEVELS);

	if (!was_done(pt_update(&slot->space, range, update, &slot->flush), is_foreign(slot, range),
		      "update"))
		return;
	for (size_t i = 0; i < ATOMS; i++) {
		struct page *page = &slot->pages[i];

		if (covers(range, vas[i]) && (page->flags & update.only) == update.only)
			page->flags = (page->flags & ~update.clear) | update.set;
	}
}

/* Neither changes what is mapped. */
static void step_tidy(struct slot *slot)
{
	struct pt_range range = random_range(LEVELS);
	enum pt_status status = below(2) ? pt_clean(&slot->space, range, &slot->flush)
					 : pt_collapse(&slot->space, range, &slot->flush);

	was_done(status, is_foreign(slot, range), "tidy");
}

/* ---- clones, links, faults --------------------------------------------------------------------
 */

static void drop(struct slot *slot)
{
	pt_release(&slot->space, &slot->flush);
	pt_destroy(&slot->space);
	slot->used = false;
}

static void expect_view(struct slot *source)
{
	struct pt_space view;
	enum pt_status status = pt_clone(&view, &source->space, PT_CLONE_VIEW);

	if (!was_done(status, false, "view"))
		return;
	CHECK(shared_same(&view, &source->space, pt_lower_half(&view.cpu)), "view");
	CHECK(shared_same(&view, &source->space, pt_upper_half(&view.cpu)), "view");
	pt_destroy(&view);
}

static void step_clone(struct slot *source)
{
	static const enum pt_clone ways[] = { PT_CLONE_DEEP, PT_CLONE_COW, PT_CLONE_COW,
					      PT_CLONE_SHALLOW, PT_CLONE_VIEW };
	enum pt_clone how = ways[below(ARRAY_LEN(ways))];
	bool of_kernel = pinned && source == &slots[0];
	struct slot *slot = &slots[1 + below(SLOTS - 1)];

	if (how == PT_CLONE_VIEW) {
		expect_view(source);
		return;
	}
	/* A deep clone of the kernel would be a second one; shallow there is none. */
	if (slot == source || (of_kernel && how != PT_CLONE_COW))
		return;
	if (slot->used)
		drop(slot);
	if (!was_done(pt_clone(&slot->space, &source->space, how), false, "clone"))
		return;
	slot->used = true;
	slot->user = source->user || of_kernel;
	slot->flush = (struct pt_flush)PT_FLUSH_NONE;
	memcpy(slot->pages, source->pages, sizeof(slot->pages));
}

static void step_user(void)
{
	struct slot *slot = &slots[1 + below(SLOTS - 1)];

	if (!pinned)
		return;
	if (slot->used)
		drop(slot);
	if (!was_done(pt_init_user(&slot->space, &slots[0].space, &ground.tables), false, "user"))
		return;
	slot->space.frames = ground.frames;
	slot->space.counted = below(2);
	slot->used = slot->user = true;
	slot->flush = (struct pt_flush)PT_FLUSH_NONE;
	memset(slot->pages, 0, sizeof(slot->pages));
}

static size_t find_atom(uint64_t va)
{
	size_t i = 0;

	while (i < ATOMS && vas[i] != va)
		i++;
	return i;
}

static void step_link(struct slot *slot, struct slot *owner)
{
	unsigned level = 2 + (unsigned)below(LEVELS - 1);
	uint64_t size = level_size(level);
	uint64_t va = vas[below(ATOMS)], from = vas[below(ATOMS)];
	struct pt_tree tree = { &owner->space, virt(from), level };
	struct page copy[ATOMS];
	enum pt_status status = pt_link_tree(&slot->space, virt(va), tree, &slot->flush);

	if (status == PT_ERR_NOT_MAPPED || status == PT_ERR_SIZE || status == PT_ERR_OVERLAP ||
	    status == PT_ERR_FOREIGN)
		return;
	if (!was_done(status, false, "link"))
		return;
	links_made++;
	memcpy(copy, slot->pages, sizeof(copy));
	for (size_t i = 0; i < ATOMS; i++) {
		if (align_down(vas[i], size) != align_down(va, size))
			continue;

		size_t there = find_atom(align_down(from, size) | (vas[i] & (size - 1)));

		CHECK(there < ATOMS, "the atoms below entries are alike");
		if (there < ATOMS)
			copy[i] = *page_of(owner, there);
	}
	memcpy(slot->pages, copy, sizeof(copy));
}

static bool frame_take(void *ctx, phys_addr *ret_page)
{
	uint64_t frame = below(SHARED_FRAMES);

	(void)ctx;
	while (ground.mapped[frame] != 0)
		frame = (frame + 1) % SHARED_FRAMES;
	*ret_page = phys(frame << PTE_PAGE_SHIFT);
	return true;
}

static void frame_give(void *ctx, phys_addr page)
{
	(void)ctx;
	(void)page;
}

static void frame_copy(void *ctx, phys_addr to, phys_addr from)
{
	(void)ctx;
	CHECK(to.raw != from.raw, "another page");
}

static bool frame_is_last(void *ctx, phys_addr page)
{
	(void)ctx;
	return ground.mapped[page.raw >> PTE_PAGE_SHIFT] == 1;
}

/* How many pages of all spaces are mapped to `pa`. */
static unsigned count_users(uint64_t pa)
{
	unsigned count = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		for (size_t atom = 0; slots[i].used && atom < ATOMS; atom++) {
			const struct page *page = &slots[i].pages[atom];

			count += !(slots[i].user && is_upper(atom)) && page->mapped &&
				 page->pa == pa;
		}
	}
	return count;
}

static void step_fault(struct slot *slot)
{
	static const struct pt_pages pages = { frame_take, frame_give, frame_copy, frame_is_last,
					       NULL };
	size_t atom = below(ATOMS);
	struct page *page = page_of(slot, atom);
	bool foreign = slot->user && is_upper(atom) && page->mapped && (page->flags & PT_COW);
	enum pt_status status = pt_cow_resolve(&slot->space, virt(vas[atom]),
					       PT_FAULT_PRESENT | PT_FAULT_WRITE, &pages,
					       &slot->flush);
	struct pt_leaf leaf;

	if (!page->mapped || !(page->flags & (PT_COW | PT_WRITE))) {
		CHECK_STATUS(status, page->mapped ? PT_ERR_COW : PT_ERR_NOT_MAPPED, space_text,
			     "fault");
		return;
	}
	if (!was_done(status, foreign, "fault") || (page->flags & PT_WRITE))
		return;
	CHECK_STATUS(pt_query(&slot->space, virt(vas[atom]), &leaf), PT_OK, space_text, "fault");

	uint64_t pa = leaf.pa.raw + (vas[atom] - leaf.va.raw);

	if (pa == page->pa) {
		CHECK_EQ(count_users(pa), 1, "written in place: nobody else has it");
		in_place++;
	} else {
		CHECK_EQ(count_users(pa), 0, "a page of its own");
		copies_made++;
	}
	page->pa = pa;
	page->flags = (page->flags & ~(uint32_t)PT_COW) | PT_WRITE;
}

/* ---- rebuilding ------------------------------------------------------------------------------ */

struct shown_audit {
	const struct pt_space *space;
	bool known[SHARED_TABLES][LEVELS + 1], shown[SHARED_TABLES][LEVELS + 1];
	size_t count; /* of tables below a root with a leaf in them or below */
};

static bool holds_leaf(struct shown_audit *a, phys_addr table, unsigned level)
{
	size_t number = shared_number(table);
	const pte_t *entries = shared_table(&ground, table);
	bool shown = false;

	if (a->known[number][level])
		return a->shown[number][level];
	a->known[number][level] = true;
	for (unsigned i = 0; i < PTE_COUNT; i++) {
		enum pte_kind kind = pte_kind(entries[i], level);

		shown |= kind == PTE_LEAF;
		if (kind == PTE_TABLE)
			shown |= holds_leaf(a, pte_table_addr(&a->space->cpu, entries[i], level),
					    level - 1);
	}
	a->shown[number][level] = shown;
	a->count += shown;
	return shown;
}

static size_t count_shown(struct pt_space *const *list, size_t count)
{
	static struct shown_audit a;

	memset(&a, 0, sizeof(a));
	for (size_t i = 0; i < count; i++) {
		a.space = list[i];
		holds_leaf(&a, list[i]->root, LEVELS);
	}
	return a.count;
}

static enum pt_status rebuild_all(const struct pt_scope *scope, struct pt_space *const *to,
				  struct pt_flush *flush)
{
	struct pt_spaces walk;
	struct pt_item item;
	enum pt_status status = pt_spaces_start(&walk, scope);

	while (status == PT_OK) {
		status = pt_spaces_next(&walk, &item);
		if (status == PT_OK)
			status = pt_spaces_rebuild(to, &item, flush);
		if (status == PT_OK)
			pt_release(to[item.space], flush);
	}
	return status;
}

static void step_rebuild(void)
{
	const struct pt_cpu *cpu = &slots[0].space.cpu;
	struct pt_range halves[] = { pt_lower_half(cpu), pt_upper_half(cpu) };
	struct pt_space copies[SLOTS], *to[SLOTS], *from[SLOTS];
	const struct pt_space *as_read[SLOTS];
	struct pt_scope scope = { as_read, 0, halves, 2, seen, SEEN_MAX, PT_NO_BUDGET };
	struct pt_flush flush = PT_FLUSH_NONE;

	ground.limit = SHARED_TABLES;
	for (size_t i = 0; i < SLOTS; i++) {
		size_t n = scope.count;

		if (!slots[i].used)
			continue;
		CHECK_STATUS(pt_init(&copies[n], cpu, &ground.mem, &ground.tables), PT_OK,
			     space_text, "copy");
		to[n] = &copies[n];
		as_read[n] = from[n] = &slots[i].space;
		scope.count++;
	}
	CHECK_STATUS(rebuild_all(&scope, to, &flush), PT_ERR_NOT_MAPPED, space_text, "rebuild");
	for (size_t i = 0; i < scope.count; i++) {
		CHECK(shared_same(to[i], from[i], halves[0]), "rebuilt");
		CHECK(shared_same(to[i], from[i], halves[1]), "rebuilt");
	}
	CHECK_EQ(count_shown(to, scope.count), count_shown(from, scope.count), "tables");
	for (size_t i = 0; i < scope.count; i++)
		pt_destroy(to[i]);
	rebuilt++;
}

/* ---- runs --------------------------------------------------------------------------------------
 */

static void step_link_any(struct slot *slot)
{
	step_link(slot, &slots[random_used()]);
}

static void step_rarely(struct slot *slot)
{
	(void)slot;
	if (below(4) == 0)
		step_user();
	else if (below(8) == 0)
		step_rebuild();
}

static void step(void)
{
	static void (*const steps[])(struct slot * slot) = {
		step_map,   step_map,      step_map,      step_map,   step_map,   step_unmap,
		step_unmap, step_update,   step_update,   step_tidy,  step_fault, step_fault,
		step_clone, step_link_any, step_link_any, step_rarely
	};

	ground.limit = below(4) == 0 ? ground.pool.taken + below(6) : SHARED_TABLES;
	steps[below(ARRAY_LEN(steps))](&slots[random_used()]);
	for (size_t i = 0; i < SLOTS; i++) {
		if (slots[i].used && below(4) != 0)
			pt_release(&slots[i].space, &slots[i].flush);
	}
	expect_all("after the step");
}

static void run(bool with_kernel, unsigned steps)
{
	struct pt_cpu cpu = random_cpu();

	shared_init(&ground);
	memset(slots, 0, sizeof(slots));
	pinned = with_kernel;
	CHECK_STATUS(pt_init(&slots[0].space, &cpu, &ground.mem, &ground.tables), PT_OK, space_text,
		     "init");
	slots[0].used = true;
	slots[0].flush = (struct pt_flush)PT_FLUSH_NONE;
	slots[0].space.frames = ground.frames;
	slots[0].space.counted = below(2);
	slots[0].space.live = below(2);
	if (pinned)
		CHECK_STATUS(pt_pin_upper(&slots[0].space), PT_OK, space_text, "pin");
	for (unsigned i = 0; i < steps && check_failures == 0; i++)
		step();
	if (check_failures != 0)
		return;
	for (size_t i = SLOTS; i-- > 0;) {
		if (slots[i].used)
			drop(&slots[i]);
	}
	for (size_t i = 0; i < SHARED_FRAMES; i++)
		CHECK_EQ(ground.mapped[i], 0, "pages");
	shared_free(&ground, "all given back");
}

static void spaces_with_tables_in_common_never_see_each_others_changes(void)
{
	const char *text = getenv("STEPS");
	unsigned steps = text ? (unsigned)strtoul(text, NULL, 0) : STEPS;

	/* The second half of a root is the kernel's; 256 tables on x86-64 are many to count. */
	for (unsigned i = 0; i < RUNS && check_failures == 0; i++)
		run(i % 2, PTE_INDEX_BITS > 2 ? steps / 12 : steps);
	printf("# %" PRIu64 " links, %" PRIu64 " copies, %" PRIu64 " in place, %" PRIu64
	       " rebuilt, %" PRIu64 " starved\n",
	       links_made, copies_made, in_place, rebuilt, starved);
	CHECK(links_made && copies_made && in_place && rebuilt && starved, "all of it happened");
}

int main(void)
{
	state = check_seed(14);
	number_atoms();
	RUN(spaces_with_tables_in_common_never_see_each_others_changes);
	return check_done();
}
