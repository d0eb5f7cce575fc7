#include "tests/bench/bench.h"

#include <stdlib.h>
#include <string.h>

enum { LEVELS = 4 };

static const struct pt_attr DATA = { PT_WRITE, PT_WB }, DEVICE = { PT_WRITE, PT_UC };

/* ---- the arithmetic ----------------------------------------------------------- */

static uint64_t bytes_of(unsigned level)
{
	return UINT64_C(4096) << 9 * (level - 1);
}

struct leaf list_leaf(const struct pt_mapping *m, uint64_t done, unsigned cap)
{
	uint64_t va = m->va.raw + done, pa = m->pa.raw + done, left = m->pages * 4096 - done;
	unsigned level = cap == 0 ? 3 : cap;

	while (level > 1 && ((va | pa) % bytes_of(level) != 0 || left < bytes_of(level)))
		level--;
	return (struct leaf){ va, pa, level };
}

/* Adds the leaf, and its tables if they are not the last ones `counted` at their levels. */
static void count_leaf(struct shape *shape, uint64_t counted[LEVELS], struct leaf leaf)
{
	for (unsigned level = leaf.level; level < LEVELS; level++) {
		uint64_t table = leaf.va / bytes_of(level + 1);

		shape->tables += counted[level] != table;
		counted[level] = table;
	}
	shape->leaves++;
}

/* The list is sorted, so a table that was counted is the last of its level. */
static struct shape shape_of(const struct list *sorted)
{
	struct shape shape = { .tables = 1 };
	uint64_t counted[LEVELS] = { [1] = UINT64_MAX, UINT64_MAX, UINT64_MAX };

	for (size_t i = 0; i < sorted->count; i++) {
		const struct pt_mapping *m = &sorted->at[i];

		for (uint64_t done = 0; done < m->pages * 4096;) {
			struct leaf leaf = list_leaf(m, done, sorted->max_leaf);

			count_leaf(&shape, counted, leaf);
			done += bytes_of(leaf.level);
		}
	}
	return shape;
}

static int compare(const void *a, const void *b)
{
	const struct pt_mapping *x = a, *y = b;

	return (x->va.raw > y->va.raw) - (x->va.raw < y->va.raw);
}

struct list list_sorted(const struct list *list)
{
	struct list sorted = *list;

	sorted.at = bench_allocate(list->count, sizeof(*sorted.at));
	memcpy(sorted.at, list->at, list->count * sizeof(*sorted.at));
	qsort(sorted.at, sorted.count, sizeof(*sorted.at), compare);
	return sorted;
}

void list_free(struct list *list)
{
	free(list->at);
	*list = (struct list){ 0 };
}

static struct list list_of(size_t count, unsigned max_leaf)
{
	return (struct list){
		.at = bench_allocate(count, sizeof(struct pt_mapping)),
		.count = count,
		.max_leaf = max_leaf,
	};
}

static struct list with_shape(struct list list)
{
	struct list sorted = list_sorted(&list);

	list.shape = shape_of(&sorted);
	list_free(&sorted);
	return list;
}

/* ---- the lists ------------------------------------------------------------------ */

struct list list_skewed(uint64_t pages)
{
	struct list list = list_of(1, 0);

	list.at[0] = (struct pt_mapping){ virt(TIB), phys(4 * GIB + 4 * KIB), pages, DATA };
	return with_shape(list);
}

struct list list_identity(unsigned max_leaf)
{
	struct list list = list_of(1, max_leaf);

	list.at[0] = (struct pt_mapping){ virt(0), phys(0), 512 * GIB / 4096, DATA };
	return with_shape(list);
}

/* One to one on the numbers below `span`, a power of two of which `bits` is the binary logarithm.
 */
static uint64_t permute(uint64_t n, unsigned bits)
{
	uint64_t mask = (UINT64_C(1) << bits) - 1;

	for (unsigned round = 0; round < 3; round++) {
		n = (n * UINT64_C(0x9e3779b97f4a7c15) + 0x2545f491) & mask;
		n ^= n >> (bits / 2);
	}
	return n;
}

struct list list_random(size_t count, uint64_t span)
{
	struct list list = list_of(count, 0);
	unsigned bits = 0;

	while (UINT64_C(1) << bits < span)
		bits++;
	for (size_t i = 0; i < count; i++) {
		uint64_t va = permute(i, bits) * 4096;

		/* Neighbours must not continue each other, or a wrong page could look right. */
		list.at[i] = (struct pt_mapping){ virt(va), phys(GIB + i * 4096), 1, DATA };
	}
	return with_shape(list);
}

/* A size from `least` to about `most`, any order of magnitude as likely as another. */
static uint64_t random_size(uint64_t *state, uint64_t least, uint64_t most)
{
	unsigned doublings = 1;

	while (least << doublings < most)
		doublings++;

	uint64_t size = least << (bench_random(state) % doublings);

	return (size + bench_random(state) % size) & ~UINT64_C(4095);
}

enum { DESCRIPTORS = 120, LARGE_EVERY = 6 };

/* Devices: their places in the map and their sizes. */
static const struct {
	size_t index;
	uint64_t size;
} DEVICES[] = {
	{ 29, 256 * MIB }, { 40, 4 * KIB }, { 41, 4 * KIB }, { 44, 16 * MIB }, { 119, 64 * MIB },
};

static uint64_t device_size(size_t index)
{
	for (size_t i = 0; i < sizeof(DEVICES) / sizeof(DEVICES[0]); i++) {
		if (DEVICES[i].index == index)
			return DEVICES[i].size;
	}
	return 0;
}

/* Devices, small pieces, and few large ones that share what is left of 32 GiB. */
static void firmware_sizes(uint64_t sizes[DESCRIPTORS])
{
	uint64_t state = 7, left = 32 * GIB;
	size_t large = 0;

	for (size_t i = 0; i < DESCRIPTORS; i++) {
		bool is_large = !device_size(i) && i % LARGE_EVERY == 3;

		sizes[i] = device_size(i);
		if (is_large)
			large++;
		else if (sizes[i] == 0)
			sizes[i] = random_size(&state, 4 * KIB, 32 * MIB);
		left -= sizes[i];
	}
	for (size_t i = 0; large > 0 && i < DESCRIPTORS; i++) {
		if (sizes[i] != 0)
			continue;
		sizes[i] = left / large-- & ~UINT64_C(4095);
		left -= sizes[i];
	}
}

struct list list_firmware(void)
{
	const uint64_t direct_map = UINT64_C(0xffff800000000000);
	struct list list = list_of((size_t)2 * DESCRIPTORS, 0);
	uint64_t sizes[DESCRIPTORS], at = 0;

	firmware_sizes(sizes);
	for (size_t i = 0; i < DESCRIPTORS; i++) {
		bool device = device_size(i) != 0;

		/* The registers of a device lie at a multiple of their size. */
		if (device)
			at = align_up(at, sizes[i]);
		list.at[i] = (struct pt_mapping){ virt(at), phys(at), sizes[i] / 4096,
						  device ? DEVICE : DATA };
		list.at[DESCRIPTORS + i] = list.at[i];
		list.at[DESCRIPTORS + i].va = virt(direct_map + at);
		at += sizes[i];
	}
	return with_shape(list);
}

struct list list_extents(size_t count, uint64_t start, uint64_t span)
{
	struct list list = list_of(count, 0);
	uint64_t state = 10, stride = align_down(span / count, 4 * KIB);

	for (size_t i = 0; i < count; i++) {
		uint64_t size = random_size(&state, 4 * KIB, stride / 4);
		uint64_t gap = bench_random(&state) % (stride - size);
		uint64_t at = start + i * stride + align_down(gap, 4 * KIB);

		list.at[i] = (struct pt_mapping){ virt(at), phys(at), size / 4096, DATA };
	}
	return with_shape(list);
}
