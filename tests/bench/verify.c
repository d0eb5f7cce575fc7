#include "tests/bench/bench.h"

#include <stdio.h>

/* Of lists with more leaves than this, one leaf in PRIME is looked up, and all edges are. */
enum { MANY_LEAVES = 8000000, PRIME = 17 };

_Noreturn static void wrong_at(const char *what, uint64_t va)
{
	char text[80];

	snprintf(text, sizeof(text), "wrong result at %#llx", (unsigned long long)va);
	bench_die(what, text);
}

static struct sdm_translation translate(struct bench *b, size_t space, uint64_t va)
{
	return sdm_translate(&b->arena, &b->spaces[space].cpu, b->spaces[space].root, va);
}

static void expect_leaf(struct bench *b, size_t space, struct leaf leaf, struct pt_attr attr)
{
	struct sdm_translation t = translate(b, space, leaf.va);

	if (!t.present || t.pa != leaf.pa || t.level != leaf.level ||
	    t.write != (attr.flags & PT_WRITE) || t.exec || t.user || t.global ||
	    t.type != (unsigned)attr.cache)
		wrong_at("a leaf", leaf.va);
}

static void expect_nothing(struct bench *b, size_t space, uint64_t va)
{
	struct sdm_translation t = translate(b, space, va);

	if (t.present || t.reserved)
		wrong_at("a page that is not mapped", va);
}

static void expect_mapping(struct bench *b, size_t space, const struct list *list, size_t index)
{
	const struct pt_mapping *m = &list->at[index];
	uint64_t size = m->pages * 4096, number = 0;
	uint64_t step = list->shape.leaves > MANY_LEAVES ? PRIME : 1;

	for (uint64_t done = 0; done < size; number++) {
		struct leaf leaf = list_leaf(m, done, list->max_leaf);

		done += UINT64_C(4096) << 9 * (leaf.level - 1);
		if (number % step == 0 || done == size)
			expect_leaf(b, space, leaf, m->attr);
	}
}

/* The page before a mapping and the one behind it, unless the next mapping is there. */
static void expect_gaps(struct bench *b, size_t space, const struct list *sorted, size_t index)
{
	uint64_t first = sorted->at[index].va.raw;
	uint64_t end = first + sorted->at[index].pages * 4096;
	const struct pt_mapping *before = index > 0 ? &sorted->at[index - 1] : NULL;
	bool last = index + 1 == sorted->count;

	if (first != 0 && (!before || before->va.raw + before->pages * 4096 != first))
		expect_nothing(b, space, first - 4096);
	if (end != 0 && (last || sorted->at[index + 1].va.raw != end))
		expect_nothing(b, space, end);
}

void verify_mapped(struct bench *b, const struct list *list)
{
	struct list sorted = list_sorted(list);
	uint64_t tables = list->shape.tables;

	for (size_t space = 0; space < b->batch; space++) {
		for (size_t i = 0; i < sorted.count; i++) {
			expect_mapping(b, space, &sorted, i);
			expect_gaps(b, space, &sorted, i);
		}
		if (sdm_count_tables(&b->arena, &b->spaces[space].cpu, b->spaces[space].root) !=
		    tables)
			bench_die("tables", "not the arithmetic minimum");
	}
	if (b->block.taken != b->batch * tables)
		bench_die("tables", "more were taken than are used");
	list_free(&sorted);
}

void verify_written(struct bench *b, size_t space, bool written)
{
	const struct pt_mapping *m = &b->list.at[0];

	for (uint64_t page = 0; page < m->pages; page++) {
		struct leaf leaf = list_leaf(m, page * 4096, 1);
		struct pt_attr attr = m->attr;

		if (written && page % 512 == 0)
			attr.flags &= ~(uint32_t)PT_WRITE;
		expect_leaf(b, space, leaf, attr);
	}
}

void verify_unmapped(struct bench *b)
{
	const struct pt_space *space = &b->spaces[0];

	for (size_t i = 0; i < b->list.count; i++) {
		const struct pt_mapping *m = &b->list.at[i];

		for (uint64_t page = 0; page < m->pages; page++)
			expect_nothing(b, 0, m->va.raw + page * 4096);
	}
	if (sdm_count_tables(&b->arena, &space->cpu, space->root) != 1)
		bench_die("unmap", "tables are left");
	b->released += pt_release(&b->spaces[0], &b->flush);
	if (b->released + 1 != b->list.shape.tables || b->given != b->released)
		bench_die("release", "not all tables came back");
}

void verify_sum(struct bench *b)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < b->va_count; i++)
		sum += translate(b, 0, b->vas[i]).pa;
	if (sum != b->sum)
		bench_die("translation", "wrong sum of physical addresses");
}

void verify_limit_sum(struct bench *b)
{
	uint64_t offsets = 0;

	for (size_t i = 0; i < b->va_count; i++)
		offsets += b->vas[i] % 4096;
	if (b->limit_sum + offsets != b->sum)
		bench_die("limit", "another sum of physical addresses than the core's");
}

static uint64_t leaves_of(const uint64_t by_level[PT_MAX_LEAF_LEVEL + 1])
{
	return by_level[1] + by_level[2] + by_level[3];
}

void verify_plan(const struct bench *b, uint64_t root)
{
	if (b->plan.tables + root != b->list.shape.tables ||
	    leaves_of(b->plan.leaves) != b->list.shape.leaves)
		bench_die("plan", "not what the arithmetic says");
}

void verify_audit(struct bench *b)
{
	if (b->audit.tables != b->list.shape.tables || b->audit.empty_tables != 0 ||
	    leaves_of(b->audit.leaves) != b->list.shape.leaves)
		bench_die("audit", "not what the arithmetic says");
}
