/* Copy-on-write faults, and fork with them: paging/pt_cow.h on x86-64. */
#include "paging/pt_cow.h"
#include "tests/fake/scene.h"
#include "tests/fake/shared.h"

#define NEW_PAGE UINT64_C(0x2000000)
#define TOP      UINT64_C(0xfffffffffffff000)

enum { WRITE_FAULT = PT_FAULT_PRESENT | PT_FAULT_WRITE, USER_FAULT = WRITE_FAULT | PT_FAULT_USER };

static struct shared ground;
static struct pt_space parent, child;

/* The pages that copies are made in, from NEW_PAGE on. */
static struct {
	unsigned left, out, copies, asked;
	uint64_t next, to, from;
	bool last;
	const struct pt_space *watched; /* must not translate to the copy before it is made */
} pages;

static bool page_take(void *ctx, phys_addr *ret_page)
{
	(void)ctx;
	if (pages.left == 0)
		return false;
	pages.left--;
	pages.out++;
	*ret_page = phys(pages.next);
	pages.next += 4096;
	return true;
}

static void page_give(void *ctx, phys_addr page)
{
	(void)ctx;
	CHECK_EQ(page.raw, pages.next - 4096, "the page that was taken");
	pages.next -= 4096;
	pages.left++;
	pages.out--;
}

static void page_copy(void *ctx, phys_addr to, phys_addr from)
{
	phys_addr now;

	(void)ctx;
	pages.copies++;
	pages.to = to.raw;
	pages.from = from.raw;
	if (pages.watched && pt_translate(pages.watched, virt(0x1000), &now) == PT_OK)
		CHECK(now.raw != to.raw, "complete before it is mapped");
}

/* As a kernel that counts mappings would say it. */
static bool page_is_last(void *ctx, phys_addr page)
{
	(void)ctx;
	pages.asked++;
	return pages.last || ground.mapped[page.raw >> 12] == 1;
}

static struct pt_pages page_ops = { page_take, page_give, page_copy, NULL, NULL };

static void start(void)
{
	struct pt_cpu cpu = scene_cpu();

	shared_init(&ground);
	memset(&pages, 0, sizeof(pages));
	pages.left = 1000;
	pages.next = NEW_PAGE;
	page_ops.is_last = NULL;
	CHECK_STATUS(pt_init(&parent, &cpu, &ground.mem, &ground.tables), PT_OK, space_text, "");
}

static void put(struct pt_space *space, uint64_t va, uint64_t pa, uint64_t count, uint32_t flags)
{
	struct pt_mapping m = { virt(va), phys(pa), count, { flags, PT_WT } };

	CHECK_STATUS(pt_map(space, &m, NULL, &ground.flush), PT_OK, space_text, "put");
}

static enum pt_status fault(struct pt_space *space, uint64_t va, uint64_t error)
{
	return pt_cow_resolve(space, virt(va), error, &page_ops, &ground.flush);
}

static struct pt_leaf leaf_at(const struct pt_space *space, uint64_t va)
{
	struct pt_leaf leaf = { .pages = 0 };

	CHECK_STATUS(pt_query(space, virt(va), &leaf), PT_OK, space_text, "query");
	return leaf;
}

/* ---- which faults ---------------------------------------------------------------------- */

static void only_a_write_to_a_present_page_is_resolved(void)
{
	for (uint64_t error = 0; error < 0x10000; error = error < 256 ? error + 1 : error * 2) {
		enum pt_status want = PT_ERR_COW;
		char name[32];

		snprintf(name, sizeof(name), "error %#x", (unsigned)error);
		if (!(error & 1))
			want = PT_ERR_NOT_MAPPED;
		else if (error == 3 || error == 7)
			want = PT_OK;
		start();
		put(&parent, 0x1000, 0x5000, 1, PT_USER | PT_COW);
		CHECK_STATUS(fault(&parent, 0x1234, error), want, space_text, name);
		CHECK_EQ(pages.out, want == PT_OK, name);
		CHECK_EQ(leaf_at(&parent, 0x1000).pa.raw, want == PT_OK ? NEW_PAGE : 0x5000, name);
		pt_release(&parent, &ground.flush);
		pt_destroy(&parent);
		shared_free(&ground, name);
	}
}

struct page_row {
	const char *name;
	uint32_t flags; /* of the page at 0x1000 */
	uint64_t va;
	uint64_t error;
	enum pt_status status;
	bool copies, flushes;
	bool allow_wx;
	uint32_t link; /* rights that the lowest link lets through, if not all */
};

static const struct page_row page_rows[] = {
	{ "kernel's page", PT_COW, 0x1000, WRITE_FAULT, PT_OK, true, true, false, 7 },
	{ "last byte", PT_COW, 0x1fff, WRITE_FAULT, PT_OK, true, true, false, 7 },
	{ "user's page", PT_COW | PT_USER, 0x1000, USER_FAULT, PT_OK, true, true, false, 7 },
	{ "user's page, kernel writes", PT_COW | PT_USER, 0x1000, WRITE_FAULT, PT_OK, true, true,
	  false, 7 },
	{ "kernel's page, user writes", PT_COW, 0x1000, USER_FAULT, PT_ERR_COW, false, false, false,
	  7 },
	{ "user's page, link is the kernel's", PT_COW | PT_USER, 0x1000, USER_FAULT, PT_ERR_COW,
	  false, false, false, PT_WRITE | PT_EXEC },
	{ "a global one", PT_COW | PT_GLOBAL, 0x1000, WRITE_FAULT, PT_OK, true, true, false, 7 },
	{ "read-only", PT_USER, 0x1000, USER_FAULT, PT_ERR_COW, false, false, false, 7 },
	{ "writable by now", PT_WRITE | PT_USER, 0x1000, USER_FAULT, PT_OK, false, true, false, 7 },
	{ "writable and global", PT_WRITE | PT_GLOBAL, 0x1abc, WRITE_FAULT, PT_OK, false, true,
	  false, 7 },
	{ "writable, but the kernel's", PT_WRITE, 0x1000, USER_FAULT, PT_ERR_COW, false, false,
	  false, 7 },
	{ "a link forbids", PT_WRITE | PT_USER, 0x1000, USER_FAULT, PT_ERR_COW, false, false, false,
	  PT_USER },
	{ "a link forbids the copy", PT_COW | PT_USER, 0x1000, USER_FAULT, PT_ERR_LINK, false,
	  false, false, PT_USER },
	{ "executable", PT_COW | PT_EXEC, 0x1000, WRITE_FAULT, PT_ERR_WX, false, false, false, 7 },
	{ "executable, allowed", PT_COW | PT_EXEC, 0x1000, WRITE_FAULT, PT_OK, true, true, true,
	  7 },
	{ "not mapped", PT_COW, 0x2000, WRITE_FAULT, PT_ERR_NOT_MAPPED, false, false, false, 7 },
	{ "soft", PT_COW, 0x3000, WRITE_FAULT, PT_ERR_NOT_MAPPED, false, false, false, 7 },
	{ "not canonical", PT_COW, UINT64_C(1) << 47, WRITE_FAULT, PT_ERR_RANGE, false, false,
	  false, 7 },
};

static void expect_page(const struct page_row *row)
{
	struct pt_leaf leaf = leaf_at(&parent, 0x1000);

	CHECK_EQ(leaf.attr.cache, PT_WT, row->name);
	CHECK_EQ(leaf.pa.raw, row->copies ? NEW_PAGE : 0x5000, row->name);
	CHECK_EQ(leaf.own, row->copies ? (row->flags & ~(uint32_t)PT_COW) | PT_WRITE : row->flags,
		 row->name);
	CHECK_EQ(pages.copies != 0 && row->status == PT_OK, row->copies, row->name);
	CHECK_EQ(pages.out, row->copies, row->name);
	if (row->copies)
		CHECK(pages.to == NEW_PAGE && pages.from == 0x5000, row->name);
	CHECK_EQ(ground.flush.pages, row->flushes, row->name);
	if (row->flushes)
		CHECK_EQ(ground.flush.va.raw, 0x1000, row->name);
	CHECK_EQ(ground.flush.global, row->flushes && (row->flags & PT_GLOBAL), row->name);
}

static void a_page_is_copied_flushed_or_left_as_it_says(void)
{
	for (size_t i = 0; i < ARRAY_LEN(page_rows); i++) {
		const struct page_row *row = &page_rows[i];
		struct pt_entry old;

		start();
		parent.allow_wx = row->allow_wx;
		pages.watched = &parent;
		put(&parent, 0x1000, 0x5000, 1, row->flags);
		CHECK_STATUS(pt_set_soft(&parent, &(struct pt_soft){ virt(0x3000), 1, 0x7700 },
					 &ground.flush, &old),
			     PT_OK, space_text, row->name);
		CHECK_STATUS(pt_set_link(&parent, virt(0x1000), 2, row->link, &ground.flush), PT_OK,
			     space_text, row->name);
		ground.flush = (struct pt_flush)PT_FLUSH_NONE;
		CHECK_STATUS(fault(&parent, row->va, row->error), row->status, space_text,
			     row->name);
		expect_page(row);
		pt_release(&parent, &ground.flush);
		pt_destroy(&parent);
		shared_free(&ground, row->name);
	}
}

/* ---- large leaves, the last page --------------------------------------------------------- */

static void a_large_leaf_is_split_and_its_neighbours_stay_copy_on_write(void)
{
	static const struct {
		const char *name;
		uint64_t va, pa, size, page;
		size_t tables;
	} rows[] = {
		{ "2 MiB", 4 * MIB, 8 * MIB, 2 * MIB, 7, 1 },
		{ "1 GiB", 3 * GIB, 1 * GIB, GIB, 1000, 2 },
		{ "its last page", 3 * GIB, 1 * GIB, GIB, 262143, 2 },
		{ "the last of all", TOP - (2 * MIB - 4096), 8 * MIB, 2 * MIB, 511, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const uint64_t va = rows[i].va + rows[i].page * 4096;

		start();
		put(&parent, rows[i].va, rows[i].pa, rows[i].size / 4096, PT_COW | PT_USER);
		size_t taken = ground.pool.taken;

		for (size_t left = 0; left < rows[i].tables; left++) {
			ground.limit = taken + left;
			CHECK_STATUS(fault(&parent, va, USER_FAULT), PT_ERR_NO_TABLES, space_text,
				     rows[i].name);
			CHECK_EQ(pages.out, 0, "the page is given back");
			CHECK_EQ(ground.pool.taken, taken, "so are the tables");
			CHECK_EQ(leaf_at(&parent, va).pages * 4096, rows[i].size, "not split");
		}
		ground.limit = SHARED_TABLES;
		CHECK_STATUS(fault(&parent, va + 5, USER_FAULT), PT_OK, space_text, rows[i].name);
		CHECK_EQ(ground.pool.taken, taken + rows[i].tables, rows[i].name);
		CHECK_EQ(pages.from, rows[i].pa + rows[i].page * 4096, "the byte's page");
		CHECK_EQ(leaf_at(&parent, va).pa.raw, NEW_PAGE, rows[i].name);
		CHECK_EQ(leaf_at(&parent, va).own, PT_WRITE | PT_USER, rows[i].name);
		struct pt_leaf before = leaf_at(&parent, va - 4096);

		CHECK_EQ(before.own, PT_COW | PT_USER, "the neighbour");
		CHECK_EQ(before.pa.raw, rows[i].pa + (rows[i].page - 1) * 4096, "the neighbour");
		CHECK_EQ(before.attr.cache, PT_WT, "the neighbour");
		pt_release(&parent, &ground.flush);
		pt_destroy(&parent);
		shared_free(&ground, rows[i].name);
	}
}

static void without_a_page_nothing_is_done(void)
{
	start();
	put(&parent, 0x1000, 0x5000, 1, PT_COW);
	pages.left = 0;
	CHECK_STATUS(fault(&parent, 0x1000, WRITE_FAULT), PT_ERR_NO_PAGE, space_text, "none");
	CHECK_EQ(leaf_at(&parent, 0x1000).own, PT_COW, "as it was");
	CHECK(pt_flush_is_empty(&ground.flush), "nothing to flush");
	pt_destroy(&parent);
	shared_free(&ground, "no page");
}

static void what_is_not_the_spaces_to_change_is_refused_and_the_page_given_back(void)
{
	struct pt_space reader;

	start();
	put(&parent, 0x1000, 0x5000, 1, PT_COW);
	CHECK_STATUS(pt_open(&reader, &parent.cpu, &ground.mem, NULL, parent.root), PT_OK,
		     space_text, "open");
	CHECK_STATUS(fault(&reader, 0x1000, WRITE_FAULT), PT_ERR_READ_ONLY, space_text, "reader");
	CHECK_EQ(pages.out, 0, "given back");
	parent.root_first = 1;
	CHECK_STATUS(fault(&parent, 0x1000, WRITE_FAULT), PT_ERR_FOREIGN, space_text, "foreign");
	CHECK_EQ(pages.out, 0, "given back");
	parent.root_first = 0;
	pt_destroy(&parent);
	shared_free(&ground, "refused");
}

/* ---- the last owner -------------------------------------------------------------------------- */

static void the_last_owner_writes_where_the_page_is(void)
{
	start();
	page_ops.is_last = page_is_last;
	pages.last = true;
	put(&parent, 0x1000, 0x5000, 2, PT_COW | PT_GLOBAL | PT_SOFT1);
	put(&parent, 4 * MIB, 4 * MIB, 512, PT_COW);
	CHECK_STATUS(fault(&parent, 0x1008, WRITE_FAULT), PT_OK, space_text, "in place");
	CHECK_EQ(leaf_at(&parent, 0x1000).pa.raw, 0x5000, "the same page");
	CHECK_EQ(leaf_at(&parent, 0x1000).own, PT_WRITE | PT_GLOBAL | PT_SOFT1, "writable");
	CHECK_EQ(leaf_at(&parent, 0x2000).own, PT_COW | PT_GLOBAL | PT_SOFT1, "the next is not");
	CHECK(ground.flush.pages == 1 && ground.flush.global, "flushed");
	CHECK_STATUS(fault(&parent, 4 * MIB + 0x3000, WRITE_FAULT), PT_OK, space_text, "split");
	CHECK_EQ(leaf_at(&parent, 4 * MIB + 0x3000).pa.raw, 4 * MIB + 0x3000, "the same page");
	CHECK_EQ(leaf_at(&parent, 4 * MIB + 0x4000).own, PT_COW, "the next is not");
	CHECK_EQ(pages.copies + pages.out, 0, "nothing taken or copied");
	pt_release(&parent, &ground.flush);
	pt_destroy(&parent);
	shared_free(&ground, "last");
}

static void a_page_in_a_common_table_has_another_owner_whatever_the_count(void)
{
	start();
	page_ops.is_last = page_is_last;
	pages.last = true;
	put(&parent, 0x1000, 0x5000, 1, PT_COW);
	for (unsigned shallow = 0; shallow < 2; shallow++) {
		CHECK_STATUS(pt_clone(&child, &parent, shallow ? PT_CLONE_SHALLOW : PT_CLONE_COW),
			     PT_OK, space_text, "clone");
		CHECK_STATUS(fault(&child, 0x1000, WRITE_FAULT), PT_OK, space_text, "fault");
		CHECK_EQ(pages.asked, 0, "not even asked");
		CHECK_EQ(leaf_at(&child, 0x1000).pa.raw, NEW_PAGE + shallow * 4096, "a copy");
		CHECK_EQ(leaf_at(&parent, 0x1000).pa.raw, 0x5000, "the other's");
		pt_release(&child, &ground.flush);
		pt_destroy(&child);
	}
	CHECK_STATUS(fault(&parent, 0x1000, WRITE_FAULT), PT_OK, space_text, "alone");
	CHECK_EQ(leaf_at(&parent, 0x1000).pa.raw, 0x5000, "in place");
	pt_release(&parent, &ground.flush);
	pt_destroy(&parent);
	shared_free(&ground, "common");
}

static void the_hooks_know_of_the_copy_at_once_and_of_the_old_page_until_the_release(void)
{
	start();
	parent.frames = ground.frames;
	put(&parent, 0x1000, 0x5000, 2, PT_COW);
	CHECK_STATUS(fault(&parent, 0x1000, WRITE_FAULT), PT_OK, space_text, "fault");
	CHECK_EQ(ground.mapped[NEW_PAGE >> 12], 1, "the copy");
	CHECK_EQ(ground.mapped[5], 1, "processors may know it");
	pt_release(&parent, &ground.flush);
	CHECK_EQ(ground.mapped[5], 0, "no more");
	CHECK_EQ(ground.mapped[6], 1, "the next");
	pt_destroy(&parent);
	CHECK_EQ(ground.mapped[6] + ground.mapped[NEW_PAGE >> 12], 0, "none");
	shared_free(&ground, "hooks");
}

/* ---- fork -------------------------------------------------------------------------------------
 */

static void fork_space(void)
{
	const struct pt_update freeze = { .only = PT_WRITE, .set = PT_COW, .clear = PT_WRITE };

	CHECK_STATUS(pt_update(&parent, pt_lower_half(&parent.cpu), freeze, &ground.flush), PT_OK,
		     space_text, "freeze");
	CHECK(ground.flush.pages != 0, "processors could write");
	pt_release(&parent, &ground.flush);
	CHECK_STATUS(pt_clone(&child, &parent, PT_CLONE_COW), PT_OK, space_text, "clone");
}

static void write_to(struct pt_space *space, uint64_t va, uint64_t pa)
{
	CHECK_STATUS(fault(space, va, USER_FAULT), PT_OK, space_text, "fault");
	CHECK_EQ(leaf_at(space, va).pa.raw, pa, "the page written to");
	CHECK_EQ(leaf_at(space, va).own, PT_WRITE | PT_USER, "writable");
	pt_release(space, &ground.flush);
}

/* Two data pages at 0x1000, a text page at 0x4000, one at the end of the half. */
static void fork_copies_what_either_side_writes_to_and_nothing_else(void)
{
	const struct pt_space *both[] = { &parent, &child };

	start();
	page_ops.is_last = page_is_last;
	parent.frames = ground.frames;
	put(&parent, 0x1000, 0x5000, 2, PT_WRITE | PT_USER);
	put(&parent, 0x4000, 0x8000, 1, PT_EXEC | PT_USER);
	put(&parent, 0x7ffffffff000, 0x9000, 1, PT_WRITE | PT_USER);
	fork_space();
	shared_expect(&ground, both, 2, "forked");
	CHECK_EQ(leaf_at(&child, 0x1000).own, PT_COW | PT_USER, "to be copied");
	CHECK_EQ(leaf_at(&child, 0x4000).own, PT_EXEC | PT_USER, "text stays");
	write_to(&child, 0x1010, NEW_PAGE);
	CHECK_EQ(leaf_at(&parent, 0x1000).pa.raw, 0x5000, "the parent's");
	CHECK_EQ(ground.mapped[5], 1, "the parent's alone");
	CHECK_EQ(ground.mapped[6], 2, "in two tables by now");
	write_to(&parent, 0x1000, 0x5000);
	write_to(&parent, 0x2000, NEW_PAGE + 4096);
	write_to(&child, 0x2000, 0x6000);
	shared_expect(&ground, both, 2, "written");
	CHECK_EQ(leaf_at(&parent, 0x7ffffffff000).pa.raw, 0x9000, "still common");
	CHECK_STATUS(fault(&child, 0x4000, USER_FAULT), PT_ERR_COW, space_text, "text");
	CHECK_STATUS(fault(&child, 0x1000, USER_FAULT), PT_OK, space_text, "spurious");
	CHECK_EQ(ground.flush.pages, 1, "flushed again");
	pt_release(&child, &ground.flush);
	pt_destroy(&parent);
	shared_expect(&ground, both + 1, 1, "the child alone");
	write_to(&child, 0x7ffffffff000, 0x9000);
	pt_destroy(&child);
	for (size_t i = 0; i < SHARED_FRAMES; i++)
		CHECK_EQ(ground.mapped[i], 0, "pages");
	shared_free(&ground, "fork");
}

static void a_fork_that_runs_out_at_any_table_leaves_both_sides_as_they_were(void)
{
	bool done = false;

	start();
	put(&parent, 0x1000, 0x5000, 2, PT_WRITE | PT_USER);
	fork_space();
	for (size_t left = 0; !done; left++) {
		ground.limit = ground.pool.taken + left;
		done = fault(&child, 0x1000, USER_FAULT) == PT_OK;
		CHECK_EQ(pages.out, done, "the page");
		CHECK_EQ(leaf_at(&parent, 0x1000).pa.raw, 0x5000, "the parent's");
		CHECK_EQ(leaf_at(&child, 0x1000).pa.raw, done ? NEW_PAGE : 0x5000, "the child's");
		if (done)
			CHECK_EQ(left, 4, "three copies and a list");
		else
			CHECK(pt_flush_is_empty(&ground.flush), "no flush");
	}
	ground.limit = SHARED_TABLES;
	pt_release(&child, &ground.flush);
	pt_destroy(&parent);
	pt_destroy(&child);
	shared_free(&ground, "starved");
}

int main(void)
{
	RUN(only_a_write_to_a_present_page_is_resolved);
	RUN(a_page_is_copied_flushed_or_left_as_it_says);
	RUN(a_large_leaf_is_split_and_its_neighbours_stay_copy_on_write);
	RUN(without_a_page_nothing_is_done);
	RUN(what_is_not_the_spaces_to_change_is_refused_and_the_page_given_back);
	RUN(the_last_owner_writes_where_the_page_is);
	RUN(a_page_in_a_common_table_has_another_owner_whatever_the_count);
	RUN(the_hooks_know_of_the_copy_at_once_and_of_the_old_page_until_the_release);
	RUN(fork_copies_what_either_side_writes_to_and_nothing_else);
	RUN(a_fork_that_runs_out_at_any_table_leaves_both_sides_as_they_were);
	return check_done();
}
