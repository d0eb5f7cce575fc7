/* What the audit counts, and what it says of self links and of counts in links. */
#include "paging/pt_recursive.h"
#include "tests/check.h"
#include "tests/fake/scene.h"

enum { MOST = 64 };

#define KERNEL 0xffffffff80000000

static struct pt_audit audit(const struct space_fixture *f, enum pt_status want, const char *name)
{
	phys_addr scratch[MOST];
	struct pt_audit ret;

	CHECK_STATUS(pt_audit(&f->space, scratch, MOST, &ret), want, space_text, name);
	return ret;
}

static void map_page(struct space_fixture *f, uint64_t va, uint32_t flags)
{
	scene_map(f, (struct pt_mapping){ virt(va), phys(0x5000), 1, { flags, PT_WB } });
}

static void leaves_are_counted_by_what_they_effectively_allow(void)
{
	struct space_fixture f;
	struct pt_audit a;

	scene_init(&f, scene_cpu());
	map_page(&f, 0x1000, 0);
	map_page(&f, 0x2000, PT_WRITE);
	map_page(&f, 0x3000, PT_EXEC);
	map_page(&f, 0x4000, PT_USER | PT_WRITE);
	map_page(&f, KERNEL, PT_USER | PT_GLOBAL);
	map_page(&f, KERNEL + 0x1000, PT_GLOBAL | PT_EXEC);
	f.space.allow_wx = true;
	map_page(&f, KERNEL + 0x2000, PT_USER | PT_WRITE | PT_EXEC);
	a = audit(&f, PT_OK, "all");
	CHECK_EQ(a.leaves[1], 7, "leaves");
	CHECK_EQ(a.writable, 3, "writable");
	CHECK_EQ(a.executable, 3, "executable");
	CHECK_EQ(a.user, 3, "user");
	CHECK_EQ(a.global, 2, "global");
	CHECK_EQ(a.wx, 1, "both");
	CHECK_EQ(a.user_upper, 2, "the user's in the upper half");
	CHECK_EQ(a.self_links, 0, "self links");
	/* Links withhold. */
	CHECK_STATUS(pt_set_link(&f.space, virt(KERNEL), 4, PT_EXEC, &f.flush), PT_OK, space_text,
		     "link");
	a = audit(&f, PT_OK, "withheld");
	CHECK_EQ(a.user_upper, 0, "the user's in the upper half");
	CHECK_EQ(a.user, 1, "user");
	CHECK_EQ(a.writable, 2, "writable");
	CHECK_EQ(a.wx, 0, "both");
	CHECK_EQ(a.executable, 3, "executable");
	space_fixture_free(&f);
}

static void writable_and_executable_is_a_finding_unless_it_is_allowed(void)
{
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	f.space.allow_wx = true;
	map_page(&f, KERNEL, PT_WRITE | PT_EXEC);
	CHECK_EQ(audit(&f, PT_OK, "allowed").wx, 1, "allowed");
	f.space.allow_wx = false;
	CHECK_EQ(audit(&f, PT_ERR_WX, "not allowed").where.raw, KERNEL, "not allowed");
	space_fixture_free(&f);
}

static void one_self_link_is_accepted_and_counted(void)
{
	struct space_fixture f;
	struct pt_audit a;

	scene_init(&f, scene_cpu());
	map_page(&f, 0x1000, PT_WRITE);
	CHECK_STATUS(pt_recursive_enter(&f.space, 511, &f.flush), PT_OK, space_text, "enter");
	a = audit(&f, PT_OK, "one");
	CHECK_EQ(a.self_links, 1, "one");
	CHECK_EQ(a.tables, 4, "tables");
	CHECK_EQ(a.empty_tables, 0, "empty tables");
	CHECK_EQ(a.writable, 2, "the tables can be written");
	CHECK_EQ(a.user + a.executable + a.user_upper, 0, "and nothing else");
	f.root[510] = f.root[511];
	a = audit(&f, PT_ERR_SHARED, "two");
	CHECK_EQ(a.where.raw, f.space.root.raw, "two");
	space_fixture_free(&f);
}

/* Tables that the user reaches, or that are code, are as bad as such leaves. */
static void the_rights_of_a_self_link_count(void)
{
	struct space_fixture f;
	struct pt_audit a;

	scene_init(&f, scene_cpu());
	f.root[300] = f.space.root.raw | 7 | UINT64_C(1) << 63;
	a = audit(&f, PT_OK, "the user's");
	CHECK_EQ(a.user, 1, "the user's");
	CHECK_EQ(a.user_upper, 1, "the user's");
	f.root[300] = f.space.root.raw | 3;
	a = audit(&f, PT_ERR_WX, "code");
	CHECK_EQ(a.where.raw, pt_recursive_range(300, 4).va.raw, "code");
	space_fixture_free(&f);
}

/* A link to the root from below is a cycle, not a self link. */
static void a_link_to_the_root_from_elsewhere_is_not_accepted(void)
{
	struct space_fixture f;

	scene_init(&f, scene_cpu());
	map_page(&f, 0x1000, PT_WRITE);
	*scene_entry(&f, 2 * GIB, 3) = f.space.root.raw | 3 | UINT64_C(1) << 63;
	CHECK_EQ(audit(&f, PT_ERR_SHARED, "a cycle").self_links, 0, "a cycle");
	space_fixture_free(&f);
}

/* Every link on the way, its count one too high, one too low, far off, unknown. */
static void a_wrong_count_in_a_link_is_found(void)
{
	static const struct {
		const char *name;
		int by;
		bool counted;
		enum pt_status status;
	} rows[] = {
		{ "right", 0, true, PT_OK },
		{ "one too many", 1, true, PT_ERR_CORRUPT },
		{ "one too few", -1, true, PT_ERR_CORRUPT },
		{ "far off", 500, true, PT_ERR_CORRUPT },
		{ "nobody counts", 1, false, PT_OK },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows) * 3; i++) {
		unsigned level = 2 + (unsigned)(i % 3);
		const char *name = rows[i / 3].name;
		struct space_fixture f;
		uint64_t *link;
		struct pt_audit a;

		scene_init(&f, scene_cpu());
		f.space.counted = true;
		map_page(&f, KERNEL, PT_WRITE);
		map_page(&f, KERNEL + 0x5000, PT_WRITE);
		link = scene_entry(&f, KERNEL, level);
		*link = pte_set_count(*link, (unsigned)((int)pte_count(*link) + rows[i / 3].by));
		f.space.counted = rows[i / 3].counted;
		a = audit(&f, rows[i / 3].status, name);
		if (rows[i / 3].status != PT_OK)
			CHECK_EQ(a.where.raw, align_down(KERNEL, level_size(level)), name);
		*link = pte_set_count(*link, 0);
		f.space.counted = true;
		audit(&f, PT_OK, "unknown");
		space_fixture_free(&f);
	}
}

/* Whatever a counted space goes through, its links say what is in use. */
static void every_change_keeps_the_counts(void)
{
	struct space_fixture f;
	struct pt_range all = { virt(0), PAGES(4 * GIB) };
	struct pt_mapping m = SCENE_RUN(GIB, GIB, PAGES(GIB) + 3, PT_WRITE, PT_WB);
	struct pt_options small = { .conflict = PT_REPLACE, .max_leaf = 2 };
	struct pt_entry old;

	scene_init(&f, scene_cpu());
	f.space.counted = true;
	scene_map(&f, m);
	audit(&f, PT_OK, "map");
	CHECK_STATUS(pt_unmap(&f.space, (struct pt_range){ virt(GIB + 0x5000), 2 }, &f.flush),
		     PT_OK, space_text, "split");
	audit(&f, PT_OK, "split");
	CHECK_STATUS(pt_set_soft(&f.space, &(struct pt_soft){ virt(GIB + 0x5000), 1, 0xabc00 },
				 &f.flush, &old),
		     PT_OK, space_text, "soft");
	audit(&f, PT_OK, "soft");
	CHECK_STATUS(pt_set_soft(&f.space, &(struct pt_soft){ virt(GIB + 0x5000), 1, 0 }, &f.flush,
				 &old),
		     PT_OK, space_text, "no longer soft");
	audit(&f, PT_OK, "no longer soft");
	CHECK_STATUS(pt_set_soft(&f.space, &(struct pt_soft){ virt(GIB + 0x7000), 1, 0 }, &f.flush,
				 &old),
		     PT_OK, space_text, "a leaf goes");
	audit(&f, PT_OK, "a leaf goes");
	CHECK_STATUS(pt_map(&f.space, &m, &small, &f.flush), PT_OK, space_text, "replace");
	audit(&f, PT_OK, "replace");
	CHECK_STATUS(pt_protect(&f.space, (struct pt_range){ virt(GIB + 0x9000), 3 },
				(struct pt_attr){ 0, PT_WB }, &f.flush),
		     PT_OK, space_text, "protect");
	audit(&f, PT_OK, "protect");
	CHECK_STATUS(pt_set_link(&f.space, virt(GIB), 3, PT_WRITE, &f.flush), PT_OK, space_text,
		     "link");
	audit(&f, PT_OK, "link");
	CHECK_STATUS(pt_protect(&f.space, all, (struct pt_attr){ 0, PT_WB }, &f.flush), PT_OK,
		     space_text, "protect all");
	CHECK_STATUS(pt_collapse(&f.space, all, &f.flush), PT_OK, space_text, "collapse");
	audit(&f, PT_OK, "collapse");
	CHECK_STATUS(pt_clean(&f.space, all, &f.flush), PT_OK, space_text, "clean");
	audit(&f, PT_OK, "clean");
	CHECK_STATUS(pt_unmap(&f.space, all, &f.flush), PT_OK, space_text, "unmap");
	CHECK_EQ(audit(&f, PT_OK, "unmap").tables, 1, "unmap");
	space_fixture_free(&f);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	RUN(leaves_are_counted_by_what_they_effectively_allow);
	RUN(writable_and_executable_is_a_finding_unless_it_is_allowed);
	RUN(one_self_link_is_accepted_and_counted);
	RUN(the_rights_of_a_self_link_count);
	RUN(a_link_to_the_root_from_elsewhere_is_not_accepted);
	RUN(a_wrong_count_in_a_link_is_found);
	RUN(every_change_keeps_the_counts);
	return check_done();
}
