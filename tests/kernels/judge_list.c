/* The mapping list: in itself, and against what the rest of the handoff says. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"
#include "tests/kernels/lib/words.h"

#define RIGHTS (HOIST_RIGHT_WRITE | HOIST_RIGHT_EXECUTE)
#define PAGE   ((uint64_t)HOIST_PAGE_SIZE)

static bool is_canonical(uint64_t virt)
{
	unsigned unused = judge.info.levels == 5 ? 7 : 16;

	return (uint64_t)((int64_t)(virt << unused) >> unused) == virt;
}

static void check_order(void)
{
	uint64_t next = 0; /* least address that may come */
	bool full = false;

	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];
		uint64_t last = m->address_virt + (m->size - 1);

		if (!m->size || (m->size | m->address_virt | m->address) % PAGE)
			judge_flaw("mapping %u: %lx + %lx", i, m->address_virt, m->size);
		if (full || m->address_virt < next || last < m->address_virt)
			judge_flaw("mapping %u: %lx + %lx", i, m->address_virt, m->size);
		if (!is_canonical(m->address_virt) || !is_canonical(last) ||
		    (m->address_virt ^ last) >> 63)
			judge_flaw("mapping %u: %lx + %lx", i, m->address_virt, m->size);
		next = last + 1;
		full = next == 0;
	}
}

static void check_numbers(void)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];
		bool cache = m->cache <= HOIST_CACHE_WB && m->cache != 2 && m->cache != 3;

		if (!cache || m->rights & ~(unsigned)RIGHTS || m->purpose > HOIST_PURPOSE_HANDOFF)
			judge_flaw("mapping %u: cache %u, rights %x, purpose %u", i, m->cache,
				   m->rights, m->purpose);
	}
	judge_verdict("rights, cache types and purposes are those of hoist.h");
}

static void check_rights(void)
{
	uint32_t always = cpu_has_nx() ? 0 : HOIST_RIGHT_EXECUTE;

	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->rights == RIGHTS)
			judge_flaw("mapping %u at %lx", i, m->address_virt);
	}
	judge_verdict("no mapping is writable and executable");

	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->effective != (m->rights | always))
			judge_flaw("mapping %u: rights %x, effective %x", i, m->rights,
				   m->effective);
	}
	judge_verdict("effective rights are those asked for, and execution if there is no NX");

	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->rights & HOIST_RIGHT_EXECUTE && m->purpose != HOIST_PURPOSE_KERNEL &&
		    m->purpose != HOIST_PURPOSE_HANDOFF)
			judge_flaw("mapping %u at %lx", i, m->address_virt);
	}
	judge_verdict("only the kernel and the handoff are executable");
}

bool judge_list(void)
{
	bool sorted;

	check_order();
	sorted = judge_verdict("the mapping list is sorted, disjoint, page-aligned and canonical");
	check_numbers();
	check_rights();
	return sorted;
}

/* ---- Against the rest ------------------------------------------------------ */

/* Where a mapping of this purpose must lead. */
static uint64_t expected_address(const struct hoist_mapping *m)
{
	switch ((enum hoist_purpose)m->purpose) {
	case HOIST_PURPOSE_IDENTITY:
	case HOIST_PURPOSE_HANDOFF:
		return m->address_virt;
	case HOIST_PURPOSE_DIRECT_MAP:
		return m->address_virt - judge.info.direct_map_virt;
	case HOIST_PURPOSE_KERNEL:
		return m->address_virt - judge.info.kernel_virt + judge.info.kernel;
	case HOIST_PURPOSE_STACK:
		return m->address_virt - judge.info.stack_virt + judge.info.stack;
	}
	return 0;
}

static void check_addresses(void)
{
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->address != expected_address(m))
			judge_flaw("mapping %u: %lx to %lx, purpose %u", i, m->address_virt,
				   m->address, m->purpose);
	}
	judge_verdict("every mapping leads where its purpose says");

	if (judge.mappings[0].address_virt < PAGE)
		judge_flaw("mapping 0 is at %lx", judge.mappings[0].address_virt);
	judge_verdict("NULL is not mapped");
}

/* All pages of the segment are mapped for the kernel with its rights; returns their bytes. */
static uint64_t check_segment(const struct judge_segment *segment)
{
	uint64_t first = (uintptr_t)segment->first & -PAGE;
	uint64_t past = ((uintptr_t)segment->end + PAGE - 1) & -PAGE;

	if (segment->first == segment->end)
		return 0;
	for (uint64_t virt = first; virt < past; virt += PAGE) {
		const struct hoist_mapping *m = judge_mapping_at(virt);

		if (!m || m->purpose != HOIST_PURPOSE_KERNEL || m->rights != segment->rights ||
		    m->cache != HOIST_CACHE_WB)
			judge_flaw("%s at %lx", segment->name, virt);
	}
	return past - first;
}

static uint64_t bytes_of_purpose(enum hoist_purpose purpose)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		if (judge.mappings[i].purpose == purpose)
			bytes += judge.mappings[i].size;
	}
	return bytes;
}

static void check_kernel(void)
{
	const struct hoist_info *info = &judge.info;
	uint64_t first = (uintptr_t)judge_segments[0].first;
	uint64_t end = (uintptr_t)judge_segments[JUDGE_SEGMENTS - 1].end;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < JUDGE_SEGMENTS; i++)
		bytes += check_segment(&judge_segments[i]);
	if (bytes != bytes_of_purpose(HOIST_PURPOSE_KERNEL))
		judge_flaw("%lx bytes are mapped, the segments have %lx",
			   bytes_of_purpose(HOIST_PURPOSE_KERNEL), bytes);
	judge_verdict("each segment of the image is mapped with its rights, and nothing more");

	if (info->kernel_virt != first || info->kernel % PAGE ||
	    info->kernel_size != ((end - first + PAGE - 1) & -PAGE))
		judge_flaw("kernel %lx, kernel_virt %lx, kernel_size %lx", info->kernel,
			   info->kernel_virt, info->kernel_size);
	judge_verdict("kernel, kernel_virt and kernel_size are those of the image");
}

static void check_stack(void)
{
	const struct hoist_info *info = &judge.info;
	const struct hoist_mapping *m = judge_mapping_at(info->stack_virt);

	if (!m || m->purpose != HOIST_PURPOSE_STACK || m->address_virt != info->stack_virt ||
	    m->size != info->stack_size || m->rights != HOIST_RIGHT_WRITE ||
	    m->cache != HOIST_CACHE_WB || bytes_of_purpose(HOIST_PURPOSE_STACK) != m->size)
		judge_flaw("stack_virt is %lx, stack_size %lx", info->stack_virt, info->stack_size);
	judge_verdict("the stack is one writable mapping, as stack_virt and stack_size say");

	if (judge_mapping_at(info->stack_virt - 1) || judge_mapping_at(info->stack_virt - PAGE) ||
	    judge_mapping_at(info->stack_virt + info->stack_size) ||
	    judge_mapping_at(info->stack_virt + info->stack_size + PAGE - 1))
		judge_flaw("stack_virt is %lx", info->stack_virt);
	judge_verdict("the pages below and above the stack are not mapped");
}

/* What the two maps must agree on at each page, page 0 and the handoff's excepted. */
static void compare_with_identity(const struct hoist_mapping *direct)
{
	uint64_t address = direct->address, end = direct->address + direct->size;

	if (!address)
		address = PAGE;
	while (address < end) {
		const struct hoist_mapping *m = judge_mapping_at(address);

		if (!m) {
			judge_flaw("%lx is not identity-mapped", address);
			return;
		}
		if (m->purpose == HOIST_PURPOSE_IDENTITY &&
		    (m->rights != direct->rights || m->cache != direct->cache))
			judge_flaw("%lx: rights %x and %x, cache %u and %u", address,
				   direct->rights, m->rights, direct->cache, m->cache);
		address = m->address_virt + m->size;
	}
}

static void check_identity(void)
{
	uint64_t wanted;

	if (words_number(judge.cmdline, "expect-identity=", &wanted)) {
		if (wanted != judge_has_identity_map())
			judge_flaw("%s",
				   judge_has_identity_map() ? "there is one" : "there is none");
		judge_verdict("there is an identity map exactly if it was wanted");
	}
	if (!judge_has_identity_map())
		return;
	for (uint32_t i = 0; i < judge.mapping_count; i++) {
		const struct hoist_mapping *m = &judge.mappings[i];

		if (m->purpose == HOIST_PURPOSE_DIRECT_MAP)
			compare_with_identity(m);
		else if (m->purpose == HOIST_PURPOSE_IDENTITY &&
			 !judge_can_read(m->address, m->size))
			judge_flaw("%lx is not in the direct map", m->address);
	}
	judge_verdict("the identity map and the direct map are the same");
}

static void check_framebuffer(void)
{
	const struct hoist_framebuffer *fb = &judge.info.framebuffer;

	if (fb->format == HOIST_PIXELS_NONE)
		return;
	for (uint64_t at = 0; at < fb->size; at += PAGE) {
		const struct hoist_mapping *m = judge_direct_at(fb->address + at);

		if (!m || m->cache != HOIST_CACHE_WC || m->rights != HOIST_RIGHT_WRITE)
			judge_flaw("%lx", fb->address + at);
	}
	judge_verdict("the framebuffer is mapped writable and write-combining");
}

void judge_space(void)
{
	check_addresses();
	check_kernel();
	check_stack();
	check_identity();
	check_framebuffer();
}
