/* Which space a processor has loaded, and what it forgets when one has changed. */
#include "paging/pt_active.h"
#include "tests/fake/cpu.h"
#include "tests/fake/scene.h"

#include <pthread.h>

#define PCIDE (UINT64_C(1) << 17)
#define NXE   (UINT64_C(1) << 11)
#define KEEP  (UINT64_C(1) << 63)

/* The processor of scene_cpu(), with more bits; everything in CPUID but what it needs is 0. */
static void build_processor(uint64_t cr4)
{
	fake_cpu = (struct fake_cpu){ .cr3 = 0xfff000, .cr4 = cr4 };
	fake_cpu.leaves[1].leaf = 1;
	fake_cpu.leaves[1].id.d = 1u << 16;
	fake_cpu.leaves[2].leaf = 0x80000000u;
	fake_cpu.leaves[2].id.a = 0x80000008u;
	fake_cpu.leaves[3].leaf = 0x80000001u;
	fake_cpu.leaves[3].id.d = 1u << 26;
	fake_cpu.leaves[4].leaf = 0x80000008u;
	fake_cpu.leaves[4].id.a = 48;
	fake_cpu.msrs[0].number = 0xc0000080u;
	fake_cpu.msrs[0].value = NXE;
	fake_cpu.msrs[1].number = 0x277;
	fake_cpu.msrs[1].value = PT_PAT_FULL;
}

static void expect_event(unsigned i, enum fake_cpu_what what, uint64_t value, const char *name)
{
	CHECK(i < fake_cpu.count, name);
	CHECK_EQ(fake_cpu.log[i].what, what, name);
	CHECK_EQ(fake_cpu.log[i].value, value, name);
}

/* ---- what is decided ------------------------------------------------------------------- */

#define TOP_PAGE (UINT64_MAX - 4095)

static const struct {
	const char *name;
	struct pt_flush flush;
	uint64_t first, count, step;
	unsigned level;
	enum pt_forget_how global, current, pcid, pcids;
} choices[] = {
#define HULL(va, pages, global)                         \
	{                                               \
		{ va }, pages, global, { PT_NO_TABLE }, \
		{                                       \
			PT_NO_TABLE                     \
		}                                       \
	}
#define NOTHING     PT_FORGET_NOTHING, PT_FORGET_NOTHING, PT_FORGET_NOTHING, PT_FORGET_NOTHING
#define TABLES      PT_FORGET_NOTHING, PT_FORGET_LOCAL, PT_FORGET_PCID, PT_FORGET_ALL
#define FEW         PT_FORGET_NOTHING, PT_FORGET_PAGES, PT_FORGET_PCID_PAGES, PT_FORGET_ALL
#define FEW_GLOBAL  PT_FORGET_PAGES, PT_FORGET_PAGES, PT_FORGET_ALL, PT_FORGET_ALL
#define MANY        PT_FORGET_NOTHING, PT_FORGET_LOCAL, PT_FORGET_PCID, PT_FORGET_ALL
#define MANY_GLOBAL PT_FORGET_ALL, PT_FORGET_ALL, PT_FORGET_ALL, PT_FORGET_ALL
	{ "nothing", HULL(0, 0, false), 0, 0, 4096, 1, NOTHING },
	{ "nothing, which is global", HULL(0, 0, true), 0, 0, 4096, 1, NOTHING },
	{ "a table", { { 0 }, 0, false, { 0x1000 }, { PT_NO_TABLE } }, 0, 0, 4096, 1, TABLES },
	{ "a log", { { 0 }, 0, true, { PT_NO_TABLE }, { 0x1000 } }, 0, 0, 4096, 1, TABLES },
	{ "a page", HULL(0x5000, 1, false), 0x5000, 1, 4096, 1, FEW },
	{ "a page and a table",
	  { { 0x5000 }, 1, false, { 0x1000 }, { PT_NO_TABLE } },
	  0x5000,
	  1,
	  4096,
	  1,
	  FEW },
	{ "as many as the limit", HULL(0x5000, 32, false), 0x5000, 32, 4096, 1, FEW },
	{ "one more", HULL(0x5000, 33, false), 0x5000, 33, 4096, 1, MANY },
	{ "a global page", HULL(0x5000, 1, true), 0x5000, 1, 4096, 1, FEW_GLOBAL },
	{ "as many global ones", HULL(0x5000, 32, true), 0x5000, 32, 4096, 1, FEW_GLOBAL },
	{ "one more global one", HULL(0x5000, 33, true), 0x5000, 33, 4096, 1, MANY_GLOBAL },
	{ "the last page", HULL(TOP_PAGE, 1, false), TOP_PAGE, 1, 4096, 1, FEW },
	{ "the upper half", HULL(UINT64_C(0xffff800000000000), UINT64_C(1) << 35, false),
	  UINT64_C(0xffff800000000000), UINT64_C(1) << 35, 4096, 1, MANY },
	{ "large pages", HULL(2 * MIB, 32 * 512, false), 2 * MIB, 32, 2 * MIB, 2, FEW },
	{ "one page more", HULL(2 * MIB, 32 * 512 + 1, false), 2 * MIB, 33, 2 * MIB, 2, MANY },
	{ "from the middle of one to that of the next", HULL(3 * MIB, 512, true), 2 * MIB, 2,
	  2 * MIB, 2, FEW_GLOBAL },
	{ "the middle of one", HULL(3 * MIB, 1, true), 2 * MIB, 1, 2 * MIB, 2, FEW_GLOBAL },
	{ "huge pages", HULL(0 - 32 * GIB, 32 << 18, true), 0 - 32 * GIB, 32, GIB, 3, FEW_GLOBAL },
	{ "huge pages, one too many", HULL(0 - 33 * GIB, 33 << 18, true), 0 - 33 * GIB, 33, GIB, 3,
	  MANY_GLOBAL },
};

static void every_flush_has_its_way_to_forget_it(void)
{
	for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
		const enum pt_forget_how want[] = {
			[PT_HELD_GLOBAL] = choices[i].global,
			[PT_HELD_CURRENT] = choices[i].current,
			[PT_HELD_PCID] = choices[i].pcid,
			[PT_HELD_PCIDS] = choices[i].pcids,
		};

		for (size_t held = 0; held < ARRAY_LEN(want); held++) {
			struct pt_forget forget = pt_forget_choose(
				&choices[i].flush, (enum pt_held)held, 32, choices[i].level);

			CHECK_EQ(forget.how, want[held], choices[i].name);
			CHECK_EQ(forget.va.raw, choices[i].first, choices[i].name);
			CHECK_EQ(forget.count, choices[i].count, choices[i].name);
			CHECK_EQ(forget.step, choices[i].step, choices[i].name);
		}
	}
}

static void a_limit_of_none_takes_no_page_alone(void)
{
	struct pt_flush flush = HULL(0x5000, 1, false);

	CHECK_EQ(pt_forget_choose(&flush, PT_HELD_CURRENT, 0, 1).how, PT_FORGET_LOCAL, "0");
	CHECK_EQ(pt_forget_choose(&flush, PT_HELD_CURRENT, 1, 1).how, PT_FORGET_PAGES, "1");
	flush.pages = UINT64_C(1) << 35;
	CHECK_EQ(pt_forget_choose(&flush, PT_HELD_CURRENT, UINT64_MAX, 1).how, PT_FORGET_PAGES,
		 "any");
}

/* ---- what is executed ---------------------------------------------------------------------- */

/* Pages of two PCIDs in [0, 4 pages), global and not, and what they are reached through. */
static void remember_all(uint16_t other)
{
	uint64_t cr3 = fake_cpu.cr3;

	for (uint64_t page = 0; page < 4; page++)
		fake_cpu_remember(page * 4096, page % 2 != 0);
	fake_cpu.cr3 = 0x9000 | other;
	for (uint64_t page = 0; page < 4; page++)
		fake_cpu_remember(page * 4096, false);
	fake_cpu.cr3 = cr3;
}

static const struct {
	const char *name;
	struct pt_forget forget;
	unsigned events;
	unsigned left;    /* of 16 entries */
	bool knows[2][2]; /* by PCID: the first page, and the second, which is global in 1 */
} executions[] = {
	{ "nothing", { .how = PT_FORGET_NOTHING }, 0, 16, { { 1, 1 }, { 1, 1 } } },
	{ "pages", { PT_FORGET_PAGES, { 0 }, 2, 4096 }, 2, 10, { { 0, 0 }, { 1, 1 } } },
	{ "local", { .how = PT_FORGET_LOCAL }, 1, 10, { { 0, 1 }, { 1, 1 } } },
	{ "all", { .how = PT_FORGET_ALL }, 1, 0, { { 0, 0 }, { 0, 0 } } },
	{ "pages of a PCID",
	  { PT_FORGET_PCID_PAGES, { 0 }, 2, 4096 },
	  2,
	  12,
	  { { 1, 1 }, { 0, 0 } } },
	{ "a PCID", { .how = PT_FORGET_PCID }, 1, 8, { { 1, 1 }, { 0, 0 } } },
};

static void each_way_forgets_what_the_manual_says(void)
{
	for (size_t i = 0; i < ARRAY_LEN(executions); i++) {
		const char *name = executions[i].name;

		build_processor(PCIDE);
		fake_cpu.cr3 = 0x8001;
		remember_all(2);
		pt_forget(&executions[i].forget, 2);
		CHECK_EQ(fake_cpu.count, executions[i].events, name);
		CHECK_EQ(fake_cpu_remembered(), executions[i].left, name);
		CHECK_EQ(fake_cpu.cr3, 0x8001, name);
		CHECK_EQ(fake_cpu.misuses, 0, name);
		for (uint16_t pcid = 1; pcid <= 2; pcid++) {
			for (unsigned page = 0; page < 2; page++)
				CHECK_EQ(fake_cpu_knows(page * 4096, pcid),
					 executions[i].knows[pcid - 1][page], name);
		}
	}
}

static void pages_are_named_by_their_steps_up_to_the_last_of_all(void)
{
	const struct pt_forget forget = { PT_FORGET_PAGES, { 0 - 2 * GIB }, 2, GIB };
	const struct pt_forget whole = { .how = PT_FORGET_PCID };
	const struct pt_forget of_pcid = { PT_FORGET_PCID_PAGES, { 0 - UINT64_C(8192) }, 2, 4096 };

	build_processor(PCIDE);
	pt_forget(&forget, 0);
	CHECK_EQ(fake_cpu.count, 2, "INVLPG");
	expect_event(0, FAKE_CPU_INVLPG, 0 - 2 * GIB, "INVLPG");
	expect_event(1, FAKE_CPU_INVLPG, 0 - GIB, "INVLPG");
	pt_forget(&of_pcid, 7);
	CHECK_EQ(fake_cpu.count, 4, "INVPCID");
	expect_event(2, FAKE_CPU_INVPCID, 0 - UINT64_C(8192), "INVPCID");
	expect_event(3, FAKE_CPU_INVPCID, 0 - UINT64_C(4096), "INVPCID");
	CHECK_EQ(fake_cpu.log[3].type, PT_INVPCID_PAGE, "INVPCID");
	CHECK_EQ(fake_cpu.log[3].pcid, 7, "INVPCID");
	pt_forget(&whole, 7);
	expect_event(4, FAKE_CPU_INVPCID, 0, "no page");
	CHECK_EQ(fake_cpu.log[4].type, PT_INVPCID_SINGLE, "no page");
	CHECK_EQ(fake_cpu.log[4].pcid, 7, "no page");
}

/* ---- spaces on a processor --------------------------------------------------------------- */

/* Two spaces on one arena, and a processor. */
struct ground {
	struct space_fixture f; /* f.space is the first */
	struct pt_space other;
	struct pt_processor cpu;
	struct pt_tables tables;
};

static void ground_init(struct ground *ret_ground, uint64_t cr4)
{
	struct pt_cpu cpu = scene_cpu();

	build_processor(cr4);
	scene_init(&ret_ground->f, cpu);
	ret_ground->tables = space_tables(&ret_ground->f.arena);
	CHECK_STATUS(
		pt_init(&ret_ground->other, &cpu, &ret_ground->f.space.mem, &ret_ground->tables),
		PT_OK, space_text, "other");
	pt_processor_init(&ret_ground->cpu);
}

static void activate(struct ground *g, struct pt_space *space)
{
	CHECK_STATUS(pt_activate(&g->cpu, space), PT_OK, space_text, "activate");
}

static void a_new_processor_has_nothing_loaded(void)
{
	struct pt_processor cpu;

	build_processor(0);
	memset(&cpu, 0xa5, sizeof(cpu));
	pt_processor_init(&cpu);
	CHECK_EQ(cpu.limit, PT_PAGE_LIMIT, "limit");
	CHECK_EQ(cpu.cpu.phys_bits, 48, "described");
	CHECK(!cpu.space && !cpu.others && !cpu.last && !cpu.keeps, "nothing");
	CHECK_EQ(fake_cpu.count, 0, "executed");
}

static void the_first_activation_loads_and_forgets_everything(void)
{
	struct ground g;

	ground_init(&g, 0);
	fake_cpu_remember(0x5000, true);
	CHECK_STATUS(pt_activate_first(&g.cpu, &g.f.space), PT_OK, space_text, "first");
	CHECK_EQ(fake_cpu.count, 2, "executed");
	expect_event(0, FAKE_CPU_CR3, g.f.space.root.raw, "CR3 comes first");
	expect_event(1, FAKE_CPU_ALL, 0, "then what it left");
	CHECK_EQ(fake_cpu_remembered(), 0, "forgotten");
	CHECK_EQ(g.f.space.processors, 1, "counted");
	CHECK(g.f.space.live, "live");
	CHECK(!g.other.live && g.other.processors == 0, "the other");
	space_fixture_free(&g.f);
}

static void what_is_loaded_is_not_loaded_again(void)
{
	struct ground g;

	ground_init(&g, 0);
	activate(&g, &g.f.space);
	CHECK_EQ(fake_cpu.count, 1, "loaded");
	activate(&g, &g.f.space);
	CHECK_EQ(fake_cpu.count, 1, "nothing");
	CHECK_EQ(g.f.space.processors, 1, "counted once");
	activate(&g, &g.other);
	CHECK_EQ(fake_cpu.count, 2, "another");
	expect_event(1, FAKE_CPU_CR3, g.other.root.raw, "another");
	CHECK_EQ(g.f.space.processors, 0, "left");
	CHECK_EQ(g.other.processors, 1, "entered");
	CHECK(g.f.space.live && g.other.live, "live");
	activate(&g, &g.f.space);
	expect_event(2, FAKE_CPU_CR3, g.f.space.root.raw, "back");
	CHECK_EQ(fake_cpu.misuses, 0, "no bit out of place");
	space_fixture_free(&g.f);
}

static void a_second_space_of_the_same_root_is_taken_over_without_a_load(void)
{
	struct ground g;
	struct pt_space twin;

	ground_init(&g, 0);
	CHECK_STATUS(pt_open(&twin, &g.f.space.cpu, &g.f.space.mem, &g.tables, g.f.space.root),
		     PT_OK, space_text, "twin");
	activate(&g, &g.f.space);
	activate(&g, &twin);
	CHECK_EQ(fake_cpu.count, 1, "loaded once");
	CHECK_EQ(g.f.space.processors, 0, "left");
	CHECK_EQ(twin.processors, 1, "entered");
	CHECK(twin.live, "live");
	space_fixture_free(&g.f);
}

static void a_space_for_another_processor_is_refused(void)
{
	struct ground g;
	struct pt_processor before;

	ground_init(&g, 0);
	activate(&g, &g.f.space);
	g.other.cpu.levels = 5;
	before = g.cpu;
	CHECK_STATUS(pt_activate(&g.cpu, &g.other), PT_ERR_PROCESSOR, space_text, "levels");
	CHECK_STATUS(pt_activate_first(&g.cpu, &g.other), PT_ERR_PROCESSOR, space_text, "levels");
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.other, 1, false), PT_ERR_PROCESSOR, space_text,
		     "levels");
	CHECK(g.cpu.space == before.space && g.cpu.root.raw == before.root.raw, "the same");
	CHECK_EQ(fake_cpu.count, 1, "nothing is executed");
	CHECK_EQ(g.other.processors, 0, "not counted");
	CHECK_EQ(g.f.space.processors, 1, "counted");
	CHECK(!g.other.live, "not live");
	space_fixture_free(&g.f);
}

static const struct {
	const char *name;
	uint8_t bit;
	bool means_shared;
	uint64_t cr3;
} encryptions[] = {
	{ "no encryption", 0, false, 0 },
	{ "a set bit means encrypted", 50, false, UINT64_C(1) << 50 },
	{ "a set bit means shared", 51, true, 0 },
};

static void the_root_is_private_memory(void)
{
	for (size_t i = 0; i < ARRAY_LEN(encryptions); i++) {
		const char *name = encryptions[i].name;
		struct ground g;

		ground_init(&g, 0);
		g.f.space.cpu.crypt_bit = g.cpu.cpu.crypt_bit = encryptions[i].bit;
		g.f.space.cpu.crypt_means_shared = encryptions[i].means_shared;
		g.cpu.cpu.crypt_means_shared = encryptions[i].means_shared;
		activate(&g, &g.f.space);
		expect_event(0, FAKE_CPU_CR3, g.f.space.root.raw | encryptions[i].cr3, name);
		space_fixture_free(&g.f);
	}
}

static void pcids_keep_what_they_may(void)
{
	struct ground g;

	ground_init(&g, PCIDE);
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.f.space, 5, false), PT_OK, space_text, "5");
	expect_event(0, FAKE_CPU_CR3, g.f.space.root.raw | 5, "5");
	fake_cpu_remember(0x5000, false);
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.other, 0xfff, true), PT_OK, space_text, "4095");
	expect_event(1, FAKE_CPU_CR3, g.other.root.raw | 0xfff | KEEP, "4095");
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.other, 0xfff, false), PT_OK, space_text, "again");
	CHECK_EQ(fake_cpu.count, 2, "nothing to do");
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.f.space, 5, true), PT_OK, space_text, "back");
	expect_event(2, FAKE_CPU_CR3, g.f.space.root.raw | 5 | KEEP, "back");
	CHECK(fake_cpu_knows(0x5000, 5), "kept");
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.f.space, 0, true), PT_OK, space_text, "0");
	expect_event(3, FAKE_CPU_CR3, g.f.space.root.raw, "0 keeps nothing");
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.f.space, 5, false), PT_OK, space_text, "5 again");
	CHECK(!fake_cpu_knows(0x5000, 5), "not kept");
	CHECK_EQ(g.f.space.processors, 1, "counted");
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.f.space, 0x1000, false), PT_ERR_PROCESSOR,
		     space_text, "4096");
	fake_cpu.cr4 = 0;
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.other, 0, false), PT_ERR_PROCESSOR, space_text,
		     "no PCIDs");
	CHECK_EQ(fake_cpu.misuses, 0, "no bit out of place");
	space_fixture_free(&g.f);
}

/* ---- giving up ---------------------------------------------------------------------------- */

static void a_space_that_nobody_has_loaded_is_destroyed_at_once(void)
{
	struct ground g;
	struct pt_mapping m = SCENE_RUN(0x5000, 0x5000, 1, 0, PT_WB);

	ground_init(&g, 0);
	scene_map(&g.f, m);
	activate(&g, &g.f.space);
	activate(&g, &g.other);
	CHECK_EQ(space_taken(&g.f.arena), 5, "before");
	CHECK(pt_abandon(&g.f.space), "destroyed");
	CHECK_EQ(space_taken(&g.f.arena), 1, "after");
	CHECK_EQ(g.f.arena.misuses, 0, "misuses");
	space_fixture_free(&g.f);
}

static void a_loaded_space_is_destroyed_by_the_last_to_leave_it(void)
{
	struct ground g;
	struct pt_processor second;

	ground_init(&g, 0);
	pt_processor_init(&second);
	activate(&g, &g.f.space);
	CHECK_STATUS(pt_activate(&second, &g.f.space), PT_OK, space_text, "second");
	CHECK_EQ(g.f.space.processors, 2, "both");
	CHECK(!pt_abandon(&g.f.space), "not yet");
	CHECK_EQ(space_taken(&g.f.arena), 2, "not yet");
	activate(&g, &g.other);
	CHECK_EQ(space_taken(&g.f.arena), 2, "one is left");
	CHECK_STATUS(pt_activate(&second, &g.other), PT_OK, space_text, "second");
	CHECK_EQ(space_taken(&g.f.arena), 1, "none is left");
	CHECK_EQ(g.other.processors, 2, "both");
	CHECK_EQ(g.f.arena.misuses, 0, "misuses");
	space_fixture_free(&g.f);
}

static void note_last(void *ctx, struct pt_space *space)
{
	struct pt_space **noted = ctx;

	CHECK(!*noted, "told once");
	*noted = space;
}

static void the_owner_may_destroy_it_later(void)
{
	struct ground g;
	struct pt_space *noted = NULL;

	ground_init(&g, 0);
	g.cpu.last = note_last;
	g.cpu.ctx = &noted;
	activate(&g, &g.f.space);
	activate(&g, &g.other);
	CHECK(!noted, "nobody gave it up");
	activate(&g, &g.f.space);
	CHECK(!pt_abandon(&g.f.space), "not yet");
	CHECK(!noted, "not yet");
	activate(&g, &g.other);
	CHECK(noted == &g.f.space, "told");
	CHECK_EQ(space_taken(&g.f.arena), 2, "not destroyed");
	CHECK_EQ(pt_destroy(noted), 1, "destroyed");
	expect_event(fake_cpu.count - 1, FAKE_CPU_CR3, g.other.root.raw, "it was left before");
	space_fixture_free(&g.f);
}

enum { THREADS = 3, THREAD_ROUNDS = 400 };

/* Threads are processors, which race for the end of a space. */
struct race {
	struct ground *ground;
	struct pt_space *spaces;
	pthread_barrier_t start;
	uint32_t ended[THREAD_ROUNDS];
};

static void count_last(void *ctx, struct pt_space *space)
{
	struct race *race = ctx;

	__atomic_fetch_add(&race->ended[space - race->spaces], 1, __ATOMIC_RELAXED);
}

static void *race_to_leave(void *arg)
{
	struct race *race = arg;
	struct pt_processor cpu;
	bool all_well = true;

	build_processor(0);
	pt_processor_init(&cpu);
	cpu.last = count_last;
	cpu.ctx = race;
	for (unsigned i = 0; i < THREAD_ROUNDS; i++) {
		all_well = pt_activate(&cpu, &race->spaces[i]) == PT_OK && all_well;
		pthread_barrier_wait(&race->start);
		all_well = pt_activate(&cpu, &race->ground->other) == PT_OK && all_well;
	}
	return all_well && fake_cpu.misuses == 0 ? race : NULL;
}

static void processors_that_leave_together_end_it_once(void)
{
	static struct pt_space spaces[THREAD_ROUNDS];
	static struct race race;
	pthread_t threads[THREADS];
	struct ground g;
	void *well;

	ground_init(&g, 0);
	race = (struct race){ .ground = &g, .spaces = spaces };
	pthread_barrier_init(&race.start, NULL, THREADS + 1);
	for (unsigned i = 0; i < THREAD_ROUNDS; i++)
		spaces[i] = g.f.space;
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, race_to_leave, &race), 0, "thread");
	for (unsigned i = 0; i < THREAD_ROUNDS; i++) {
		/* So that it is never this thread that ends it, which would free the table. */
		__atomic_fetch_add(&spaces[i].processors, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&race.start);
		CHECK(!pt_abandon(&spaces[i]), "others hold it");
		if (__atomic_sub_fetch(&spaces[i].processors, 1, __ATOMIC_SEQ_CST) == 0x80000000u)
			count_last(&race, &spaces[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &well);
		CHECK(well, "a thread");
	}
	for (unsigned i = 0; i < THREAD_ROUNDS; i++)
		CHECK_EQ(race.ended[i], 1, "ended once");
	CHECK_EQ(g.other.processors, THREADS, "all are there");
	space_fixture_free(&g.f);
}

/* ---- flushes -------------------------------------------------------------------------------- */

static void the_loaded_space_is_flushed_page_by_page(void)
{
	struct ground g;
	struct pt_flush flush = HULL(0x5000, 2, false);

	ground_init(&g, 0);
	activate(&g, &g.f.space);
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	CHECK_EQ(fake_cpu.count, 3, "two pages");
	expect_event(1, FAKE_CPU_INVLPG, 0x5000, "first");
	expect_event(2, FAKE_CPU_INVLPG, 0x6000, "second");
	g.cpu.limit = 1;
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	expect_event(3, FAKE_CPU_CR3, g.f.space.root.raw, "above the limit");
	CHECK_EQ(flush.pages, 2, "the flush is only read");
	space_fixture_free(&g.f);
}

static void another_space_is_flushed_for_its_global_pages_alone(void)
{
	struct ground g;
	struct pt_flush flush = HULL(0x5000, 1, false);

	ground_init(&g, 0);
	activate(&g, &g.other);
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	CHECK_EQ(fake_cpu.count, 1, "nothing");
	flush.global = true;
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	CHECK_EQ(fake_cpu.count, 2, "global");
	expect_event(1, FAKE_CPU_INVLPG, 0x5000, "global");
	space_fixture_free(&g.f);
}

static void before_the_first_activation_any_space_may_be_the_loaded_one(void)
{
	struct ground g;
	struct pt_flush flush = HULL(0x5000, 1, false);

	ground_init(&g, 0);
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	expect_event(0, FAKE_CPU_INVLPG, 0x5000, "unknown");
	flush.pages = 99;
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	expect_event(1, FAKE_CPU_CR3, 0xfff000, "CR3 as it is");
	space_fixture_free(&g.f);
}

static void tables_that_are_opened_twice_are_loaded_as_either(void)
{
	struct ground g;
	struct pt_space twin;
	struct pt_flush flush = HULL(0x5000, 1, false);

	ground_init(&g, 0);
	CHECK_STATUS(pt_open(&twin, &g.f.space.cpu, &g.f.space.mem, &g.tables, g.f.space.root),
		     PT_OK, space_text, "twin");
	activate(&g, &g.f.space);
	pt_flush_here(&g.cpu, &twin, &flush);
	expect_event(1, FAKE_CPU_INVLPG, 0x5000, "the other name of what is loaded");
	space_fixture_free(&g.f);
}

static void a_pinned_kernel_is_in_every_space(void)
{
	struct ground g;
	struct pt_flush flush = HULL(0x5000, 1, false);

	ground_init(&g, PCIDE);
	g.f.space.pins_upper = true;
	activate(&g, &g.other);
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	CHECK_EQ(fake_cpu.count, 2, "a user is loaded");
	expect_event(1, FAKE_CPU_INVLPG, 0x5000, "a user is loaded");
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.f.space, 1, false), PT_OK, space_text, "PCID");
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	expect_event(3, FAKE_CPU_ALL, 0, "several PCIDs know it");
	space_fixture_free(&g.f);
}

static void with_pcids_a_space_that_is_not_loaded_is_forgotten_too(void)
{
	struct ground g;
	struct pt_flush flush = HULL(0x5000, 1, false);

	ground_init(&g, PCIDE);
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.f.space, 1, false), PT_OK, space_text, "1");
	fake_cpu_remember(0x5000, false);
	CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.other, 2, false), PT_OK, space_text, "2");
	CHECK(fake_cpu_knows(0x5000, 1), "kept");
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	CHECK(!fake_cpu_knows(0x5000, 1), "forgotten");
	pt_flush_here(&g.cpu, &g.other, &flush);
	expect_event(fake_cpu.count - 1, FAKE_CPU_INVLPG, 0x5000, "what is loaded");
	flush = (struct pt_flush)PT_FLUSH_NONE;
	pt_flush_here(&g.cpu, &g.f.space, &flush);
	CHECK_EQ(fake_cpu.count, 4, "nothing is nothing");
	space_fixture_free(&g.f);
}

/* ---- roots that move -------------------------------------------------------------------- */

static phys_addr frozen_root;
static unsigned moves;

static enum pt_hold hold_root(void *ctx, phys_addr table)
{
	(void)ctx;
	return table.raw == frozen_root.raw ? PT_FROZEN : PT_OWN;
}

static void count_move(void *ctx, phys_addr root)
{
	(void)ctx;
	(void)root;
	moves++;
}

static const struct pt_holds root_is_frozen = { .hold = hold_root, .moved = count_move };

static void freeze(struct ground *g)
{
	frozen_root = g->f.space.root;
	g->f.space.tables.holds = &root_is_frozen;
	moves = 0;
}

static void a_root_that_has_moved_is_loaded(void)
{
	struct ground g;
	struct pt_mapping m = SCENE_RUN(0x5000, 0x5000, 1, 0, PT_WB);

	ground_init(&g, 0);
	activate(&g, &g.f.space);
	freeze(&g);
	CHECK_STATUS(pt_map(&g.f.space, &m, NULL, &g.f.flush), PT_OK, space_text, "map");
	CHECK_EQ(moves, 1, "it has moved");
	CHECK(g.f.space.root.raw != frozen_root.raw, "it has moved");
	CHECK_EQ(pt_settle(&g.cpu, &g.f.space, &g.f.flush), 0, "a frozen one is not given back");
	CHECK_EQ(fake_cpu.count, 2, "loaded");
	expect_event(1, FAKE_CPU_CR3, g.f.space.root.raw, "loaded");
	CHECK_EQ(pt_settle(&g.cpu, &g.f.space, &g.f.flush), 0, "nothing more");
	CHECK_EQ(fake_cpu.count, 2, "nothing more");
	freeze(&g);
	m.va = virt(0x6000);
	CHECK_STATUS(pt_map(&g.f.space, &m, NULL, &g.f.flush), PT_OK, space_text, "map");
	activate(&g, &g.f.space);
	expect_event(2, FAKE_CPU_CR3, g.f.space.root.raw, "activation sees it too");
	space_fixture_free(&g.f);
}

static const struct {
	const char *name;
	struct pt_flush flush;
	enum fake_cpu_what then; /* after the load */
} moved_flushes[] = {
	{ "nothing", HULL(0, 0, false), FAKE_CPU_NOTHING },
	{ "few", HULL(0x5000, 1, false), FAKE_CPU_INVLPG },
	{ "many", HULL(0x5000, 99, false), FAKE_CPU_NOTHING },
	{ "many global ones", HULL(0x5000, 99, true), FAKE_CPU_ALL },
};

static void a_moved_root_is_loaded_under_its_pcid_and_all_else_is_flushed(void)
{
	for (size_t i = 0; i < ARRAY_LEN(moved_flushes); i++) {
		const char *name = moved_flushes[i].name;
		struct ground g;

		ground_init(&g, PCIDE);
		CHECK_STATUS(pt_activate_pcid(&g.cpu, &g.f.space, 3, false), PT_OK, space_text,
			     name);
		g.f.space.root = g.other.root;
		pt_flush_here(&g.cpu, &g.f.space, &moved_flushes[i].flush);
		expect_event(1, FAKE_CPU_CR3, g.other.root.raw | 3, name);
		CHECK_EQ(fake_cpu.log[2].what, moved_flushes[i].then, name);
		CHECK_EQ(fake_cpu.count, moved_flushes[i].then == FAKE_CPU_NOTHING ? 2 : 3, name);
		CHECK_EQ(g.cpu.root.raw, g.other.root.raw, name);
		space_fixture_free(&g.f);
	}
}

/* ---- all of it at once --------------------------------------------------------------------- */

/* What the others saw, and when. */
struct witness {
	struct ground *ground;
	unsigned calls, executed;
	uint64_t pages;
	size_t taken;
	const struct pt_space *space;
};

static void witness(void *ctx, struct pt_space *space, const struct pt_flush *flush)
{
	struct witness *w = ctx;

	w->calls++;
	w->executed = fake_cpu.count;
	w->pages = flush->pages;
	w->taken = space_taken(&w->ground->f.arena);
	w->space = space;
}

static void settling_is_here_then_elsewhere_then_release(void)
{
	struct ground g;
	struct witness w = { .ground = &g };
	struct pt_mapping m = SCENE_RUN(0x5000, 0x5000, 1, 0, PT_WB);
	struct pt_range range = { virt(0x5000), 1 };

	ground_init(&g, 0);
	g.cpu.others = witness;
	g.cpu.ctx = &w;
	activate(&g, &g.f.space);
	CHECK_STATUS(pt_map(&g.f.space, &m, NULL, &g.f.flush), PT_OK, space_text, "map");
	CHECK_EQ(pt_settle(&g.cpu, &g.f.space, &g.f.flush), 0, "nothing was there");
	CHECK_EQ(w.calls, 0, "nobody is bothered");
	CHECK_STATUS(pt_unmap(&g.f.space, range, &g.f.flush), PT_OK, space_text, "unmap");
	CHECK_EQ(pt_settle(&g.cpu, &g.f.space, &g.f.flush), 3, "tables given back");
	CHECK_EQ(w.calls, 1, "the others");
	CHECK(w.space == &g.f.space, "of this space");
	CHECK_EQ(w.pages, 1, "before it was emptied");
	CHECK_EQ(w.executed, 2, "after this processor");
	CHECK_EQ(w.taken, 5, "before the release");
	CHECK_EQ(space_taken(&g.f.arena), 2, "released");
	CHECK(pt_flush_is_empty(&g.f.flush), "emptied");
	space_fixture_free(&g.f);
}

static void a_protection_counts_when_the_call_returns(void)
{
	struct ground g;
	struct witness w = { .ground = &g };
	struct pt_mapping m = SCENE_RUN(0x5000, 0x5000, 1, PT_WRITE, PT_WB);
	struct pt_range range = { virt(0x5000), 1 };
	struct pt_attr read_only = { 0, PT_WB }, both = { PT_WRITE | PT_EXEC, PT_WB };

	ground_init(&g, 0);
	g.cpu.others = witness;
	g.cpu.ctx = &w;
	scene_map(&g.f, m);
	activate(&g, &g.f.space);
	CHECK_STATUS(pt_protect_now(&g.cpu, &g.f.space, range, both), PT_ERR_WX, space_text, "WX");
	CHECK_EQ(fake_cpu.count, 1, "nothing is executed");
	CHECK_STATUS(pt_protect_now(&g.cpu, &g.f.space, range, read_only), PT_OK, space_text, "ro");
	expect_event(1, FAKE_CPU_INVLPG, 0x5000, "flushed");
	CHECK_EQ(w.calls, 1, "the others");
	CHECK(!sdm_translate(&g.f.arena, &g.f.space.cpu, g.f.space.root, 0x5000).write, "ro");
	space_fixture_free(&g.f);
}

/* ---- at random: nothing stale is left ------------------------------------------------------- */

enum { SPACES = 3, STEPS = 4000 };

/* Every space has its number plus one as PCID, or 0 without PCIDs. */
struct model {
	struct pt_processor cpu;
	struct pt_space spaces[SPACES];
	uint64_t random;
	bool pcids;
};

static uint16_t model_pcid(const struct model *m, const struct pt_space *space)
{
	return m->pcids ? (uint16_t)(space - m->spaces + 1) : 0;
}

static void model_activate(struct model *m, struct pt_space *space)
{
	enum pt_status status = m->pcids ? pt_activate_pcid(&m->cpu, space, model_pcid(m, space),
							    check_random(&m->random) % 2)
					 : pt_activate(&m->cpu, space);

	CHECK_STATUS(status, PT_OK, space_text, "activate");
}

/* An entry that says what the flush took back. */
static bool model_is_stale(const struct model *m, const struct fake_cpu_entry *e,
			   const struct pt_space *space, const struct pt_flush *flush)
{
	bool is_known = e->pcid == model_pcid(m, space) && (m->pcids || m->cpu.space == space);

	if (!e->is_used)
		return false;
	if (e->is_link)
		return is_known && flush->retired.raw != PT_NO_TABLE;
	/* A flush that is not global is of pages that were not. */
	return (e->global ? flush->global : is_known) && e->va >= flush->va.raw &&
	       e->va - flush->va.raw < flush->pages * 4096;
}

static void model_flush(struct model *m, struct pt_space *space)
{
	uint64_t sizes[] = { 0, 1, 1 + check_random(&m->random) % 8, 40 };
	struct pt_flush flush = HULL(check_random(&m->random) % 8 * 4096,
				     sizes[check_random(&m->random) % 4],
				     check_random(&m->random) % 4 == 0);

	if (flush.pages == 0)
		flush.global = false;
	if (check_random(&m->random) % 2)
		flush.retired = phys(0x1000);
	pt_flush_here(&m->cpu, space, &flush);
	for (unsigned i = 0; i < FAKE_CPU_ENTRIES; i++)
		CHECK(!model_is_stale(m, &fake_cpu.entries[i], space, &flush), "stale");
}

static void model_run(bool pcids, uint64_t seed)
{
	struct model m = { .random = seed, .pcids = pcids };

	build_processor(pcids ? PCIDE : 0);
	pt_processor_init(&m.cpu);
	for (unsigned i = 0; i < SPACES; i++) {
		m.spaces[i].cpu = scene_cpu();
		m.spaces[i].root = phys(0x10000 * (i + 1));
	}
	model_activate(&m, &m.spaces[0]);
	for (unsigned i = 0; i < STEPS; i++) {
		struct pt_space *space = &m.spaces[check_random(&m.random) % SPACES];

		switch (check_random(&m.random) % 4) {
		case 0:
			model_activate(&m, space);
			break;
		case 1:
			model_flush(&m, space);
			break;
		default:
			/* A page of this number is global in no space but the first. */
			if (fake_cpu_remembered() < FAKE_CPU_ENTRIES - 2)
				fake_cpu_remember(check_random(&m.random) % 16 * 4096,
						  m.cpu.space == m.spaces && i % 5 == 0);
		}
	}
	CHECK_EQ(fake_cpu.misuses, 0, "misuses");
	CHECK(fake_cpu.count > STEPS / 8, "something was executed");
}

static void random_flushes_leave_nothing_stale(void)
{
	uint64_t seed = check_seed(1);

	model_run(false, seed);
	model_run(true, seed + 1);
}

int main(void)
{
	RUN(every_flush_has_its_way_to_forget_it);
	RUN(a_limit_of_none_takes_no_page_alone);
	RUN(each_way_forgets_what_the_manual_says);
	RUN(pages_are_named_by_their_steps_up_to_the_last_of_all);
	RUN(a_new_processor_has_nothing_loaded);
	RUN(the_first_activation_loads_and_forgets_everything);
	RUN(what_is_loaded_is_not_loaded_again);
	RUN(a_second_space_of_the_same_root_is_taken_over_without_a_load);
	RUN(a_space_for_another_processor_is_refused);
	RUN(the_root_is_private_memory);
	RUN(pcids_keep_what_they_may);
	RUN(a_space_that_nobody_has_loaded_is_destroyed_at_once);
	RUN(a_loaded_space_is_destroyed_by_the_last_to_leave_it);
	RUN(the_owner_may_destroy_it_later);
	RUN(processors_that_leave_together_end_it_once);
	RUN(the_loaded_space_is_flushed_page_by_page);
	RUN(another_space_is_flushed_for_its_global_pages_alone);
	RUN(before_the_first_activation_any_space_may_be_the_loaded_one);
	RUN(tables_that_are_opened_twice_are_loaded_as_either);
	RUN(a_pinned_kernel_is_in_every_space);
	RUN(with_pcids_a_space_that_is_not_loaded_is_forgotten_too);
	RUN(a_root_that_has_moved_is_loaded);
	RUN(a_moved_root_is_loaded_under_its_pcid_and_all_else_is_flushed);
	RUN(settling_is_here_then_elsewhere_then_release);
	RUN(a_protection_counts_when_the_call_returns);
	RUN(random_flushes_leave_nothing_stale);
	return check_done();
}
