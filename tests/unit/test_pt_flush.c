/* Flushes that are forgotten end the program; those that are not, do not. */
#include "tests/fake/scene.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum deed { NOTHING, MAP, UNMAP, RETIRE, UNMAP_LOGGED };

struct row {
	const char *name;
	enum deed deed;
	bool releases;
	bool dies;
};

static const struct row ROWS[] = {
	{ "nothing was done", NOTHING, false, false },
	{ "a map needs no flush", MAP, false, false },
	{ "an unmap is forgotten", UNMAP, false, true },
	{ "an unmap is released", UNMAP, true, false },
	{ "a table is forgotten", RETIRE, false, true },
	{ "a table is released", RETIRE, true, false },
	{ "a list of pages is forgotten", UNMAP_LOGGED, false, true },
	{ "a list of pages is released", UNMAP_LOGGED, true, false },
};

static void hook(void *ctx, phys_addr pa, uint64_t pages)
{
	(void)ctx;
	(void)pa;
	(void)pages;
}

/* The scope ends with the function. */
static void forgetful(struct space_fixture *f, const struct row *row)
{
	PT_FLUSH(flush);
	struct pt_range page = { virt(0), 1 }, table = { virt(2 * MIB), 512 };
	struct pt_mapping m = { virt(GIB), phys(GIB), 1, { 0, PT_WB } };
	enum pt_status status = PT_OK;

	if (row->deed == MAP)
		status = pt_map(&f->space, &m, NULL, &flush);
	if (row->deed == UNMAP_LOGGED)
		f->space.frames = (struct pt_frames){ hook, hook, NULL };
	if (row->deed == UNMAP || row->deed == UNMAP_LOGGED)
		status = pt_unmap(&f->space, page, &flush);
	if (row->deed == RETIRE)
		status = pt_unmap(&f->space, table, &flush);
	if (status != PT_OK)
		_exit(3);
	/* The list alone, or the table alone, is enough. */
	if (row->deed == UNMAP_LOGGED || row->deed == RETIRE)
		flush.pages = 0;
	if (row->releases)
		pt_release(&f->space, &flush);
}

static int child(const struct row *row)
{
	struct space_fixture f;

	signal(SIGILL, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	scene_init(&f, scene_cpu());
	scene_map(&f, (struct pt_mapping)SCENE_RUN(0, 0, 2, 0, PT_WB));
	scene_map(&f, (struct pt_mapping)SCENE_RUN(2 * MIB, 0, 1, 0, PT_WB));
	forgetful(&f, row);
	space_fixture_free(&f);
	return 0;
}

static void a_forgotten_flush_ends_the_program(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
		int status = 0;

		fflush(stdout);

		pid_t pid = fork();

		if (pid == 0)
			_exit(child(&ROWS[i]));
		CHECK_EQ(waitpid(pid, &status, 0), pid, ROWS[i].name);
		CHECK_EQ(WIFSIGNALED(status) &&
				 (WTERMSIG(status) == SIGILL || WTERMSIG(status) == SIGTRAP),
			 ROWS[i].dies, ROWS[i].name);
		CHECK_EQ(WIFEXITED(status) && WEXITSTATUS(status) == 0, !ROWS[i].dies,
			 ROWS[i].name);
	}
}

static void a_flush_is_empty_if_nothing_waits_in_it(void)
{
	struct pt_flush none = PT_FLUSH_NONE, flush = PT_FLUSH_NONE;

	CHECK(pt_flush_is_empty(&none), "none");
	flush.pages = 1;
	CHECK(!pt_flush_is_empty(&flush), "pages");
	flush = none;
	flush.retired = phys(0);
	CHECK(!pt_flush_is_empty(&flush), "a table at address 0");
	flush = none;
	flush.log = phys(0);
	CHECK(!pt_flush_is_empty(&flush), "a list at address 0");
	flush = none;
	flush.global = true;
	flush.va = virt(4096);
	CHECK(pt_flush_is_empty(&flush), "no pages");
	pt_flush_expect_empty(&none);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(a_forgotten_flush_ends_the_program);
	RUN(a_flush_is_empty_if_nothing_waits_in_it);
	return check_done();
}
