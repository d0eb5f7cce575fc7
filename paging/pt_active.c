/*
 * Activation, and the execution of flushes. The decisions are functions of
 * their arguments; what they decide goes through cpu.h.
 */
#include "paging/pt_active.h"

#include "paging/pt_internal.h"

/* In pt_space.processors, beside the number of them. */
#define ACTIVE_DOOMED UINT32_C(0x80000000)

/* In CR3 with PCIDs: the PCID, and that nothing is to be forgotten (SDM 3A 4.10.4.1). */
#define ACTIVE_PCID_MAX 0xfffu
#define ACTIVE_KEEP     (UINT64_C(1) << 63)

/* ---- what a flush asks for ----------------------------------------------------------- */

/* The columns of the table in pt_active.h. */
enum active_size {
	ACTIVE_NONE,
	ACTIVE_TABLES,
	ACTIVE_FEW,
	ACTIVE_FEW_GLOBAL,
	ACTIVE_MANY,
	ACTIVE_MANY_GLOBAL,
	ACTIVE_SIZES,
};

static const uint8_t active_choice[][ACTIVE_SIZES] = {
	[PT_HELD_GLOBAL] = { [ACTIVE_FEW_GLOBAL] = PT_FORGET_PAGES,
			     [ACTIVE_MANY_GLOBAL] = PT_FORGET_ALL },
	[PT_HELD_CURRENT] = { [ACTIVE_TABLES] = PT_FORGET_LOCAL,
			      [ACTIVE_FEW] = PT_FORGET_PAGES,
			      [ACTIVE_FEW_GLOBAL] = PT_FORGET_PAGES,
			      [ACTIVE_MANY] = PT_FORGET_LOCAL,
			      [ACTIVE_MANY_GLOBAL] = PT_FORGET_ALL },
	[PT_HELD_PCID] = { [ACTIVE_TABLES] = PT_FORGET_PCID,
			   [ACTIVE_FEW] = PT_FORGET_PCID_PAGES,
			   [ACTIVE_FEW_GLOBAL] = PT_FORGET_ALL,
			   [ACTIVE_MANY] = PT_FORGET_PCID,
			   [ACTIVE_MANY_GLOBAL] = PT_FORGET_ALL },
	[PT_HELD_PCIDS] = { [ACTIVE_TABLES] = PT_FORGET_ALL,
			    [ACTIVE_FEW] = PT_FORGET_ALL,
			    [ACTIVE_FEW_GLOBAL] = PT_FORGET_ALL,
			    [ACTIVE_MANY] = PT_FORGET_ALL,
			    [ACTIVE_MANY_GLOBAL] = PT_FORGET_ALL },
};

struct pt_forget pt_forget_choose(const struct pt_flush *flush, enum pt_held held, uint64_t limit,
				  unsigned level)
{
	uint64_t step = level_size(level), first = align_down(flush->va.raw, step), count = 0;
	enum active_size size = pt_flush_is_empty(flush) ? ACTIVE_NONE : ACTIVE_TABLES;

	if (flush->pages != 0) {
		uint64_t last = flush->va.raw + ((flush->pages - 1) << PTE_PAGE_SHIFT);

		count = (last - first) / step + 1;
		size = count <= limit ? ACTIVE_FEW : ACTIVE_MANY;
		if (flush->global)
			size++;
	}

	struct pt_forget forget = { (enum pt_forget_how)active_choice[held][size], virt(first),
				    count, step };

	return forget;
}

/* The addresses may end at the last page of all: the sum wraps after its last use. */
static void active_forget_pages(const struct pt_forget *forget)
{
	uint64_t va = forget->va.raw;

	for (uint64_t i = 0; i < forget->count; i++, va += forget->step)
		pt_cpu_invlpg(virt(va));
}

static void active_forget_pcid_pages(const struct pt_forget *forget, uint16_t pcid)
{
	uint64_t va = forget->va.raw;

	for (uint64_t i = 0; i < forget->count; i++, va += forget->step)
		pt_cpu_invpcid(PT_INVPCID_PAGE, pcid, virt(va));
}

void pt_forget(const struct pt_forget *forget, uint16_t pcid)
{
	switch (forget->how) {
	case PT_FORGET_NOTHING:
		break;
	case PT_FORGET_PAGES:
		active_forget_pages(forget);
		break;
	case PT_FORGET_LOCAL:
		/* As read, bit 63 is clear. */
		pt_cpu_load_cr3(pt_cpu_cr3());
		break;
	case PT_FORGET_ALL:
		pt_cpu_flush_all();
		break;
	case PT_FORGET_PCID_PAGES:
		active_forget_pcid_pages(forget, pcid);
		break;
	case PT_FORGET_PCID:
		pt_cpu_invpcid(PT_INVPCID_SINGLE, pcid, virt(0));
		break;
	}
}

/* ---- activation ------------------------------------------------------------------------ */

void pt_processor_init(struct pt_processor *ret_processor)
{
	*ret_processor = (struct pt_processor){ .limit = PT_PAGE_LIMIT,
						.cpu = pt_cpu_describe(),
						.root = { PT_NO_TABLE } };
}

/* The root is private memory, as tables are (pte_link()). */
static void active_load(struct pt_processor *processor, phys_addr root, uint16_t pcid, bool keep)
{
	const struct pt_cpu *cpu = &processor->cpu;
	uint64_t crypt = cpu->crypt_bit && !cpu->crypt_means_shared ? UINT64_C(1) << cpu->crypt_bit
								    : 0;

	pt_cpu_load_cr3(root.raw | crypt | pcid | (keep ? ACTIVE_KEEP : 0));
	processor->root = root;
	processor->pcid = pcid;
	processor->keeps = processor->keeps || pcid != 0;
}

/*
 * Counts this processor. That comes before the root is read and loaded: who
 * changes the space, and then looks whom to tell, either sees the processor or
 * is seen by it.
 */
static void active_enter(struct pt_processor *processor, struct pt_space *space)
{
	processor->space = space;
	__atomic_fetch_add(&space->processors, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&space->live, true, __ATOMIC_SEQ_CST);
}

/* The space is no longer loaded. Who takes the number to zero may be the one to destroy it. */
static void active_leave(const struct pt_processor *processor, struct pt_space *space)
{
	if (__atomic_sub_fetch(&space->processors, 1, __ATOMIC_SEQ_CST) != ACTIVE_DOOMED)
		return;
	if (processor->last)
		processor->last(processor->ctx, space);
	else
		pt_destroy(space);
}

static void active_switch(struct pt_processor *processor, struct pt_space *space, uint16_t pcid,
			  bool keep)
{
	struct pt_space *before = processor->space;

	if (before != space)
		active_enter(processor, space);

	phys_addr root = root_addr(space);

	if (root.raw != processor->root.raw || pcid != processor->pcid)
		active_load(processor, root, pcid, keep);
	if (before && before != space)
		active_leave(processor, before);
}

enum pt_status pt_activate_first(struct pt_processor *processor, struct pt_space *space)
{
	enum pt_status status = pt_activate(processor, space);

	if (status == PT_OK)
		pt_cpu_flush_all();
	return status;
}

enum pt_status pt_activate(struct pt_processor *processor, struct pt_space *space)
{
	if (!pt_cpu_accepts(&processor->cpu, &space->cpu))
		return PT_ERR_PROCESSOR;
	active_switch(processor, space, 0, false);
	return PT_OK;
}

enum pt_status pt_activate_pcid(struct pt_processor *processor, struct pt_space *space,
				uint16_t pcid, bool keep)
{
	if (!pt_cpu_accepts(&processor->cpu, &space->cpu) || pcid > ACTIVE_PCID_MAX ||
	    !pt_cpu_has_pcids())
		return PT_ERR_PROCESSOR;
	active_switch(processor, space, pcid, keep && pcid != 0);
	return PT_OK;
}

bool pt_abandon(struct pt_space *space)
{
	uint32_t before = __atomic_fetch_or(&space->processors, ACTIVE_DOOMED, __ATOMIC_SEQ_CST);

	/* The last processor to leave may have destroyed it by now: it is not to be looked at. */
	if (before != 0)
		return false;
	pt_destroy(space);
	return true;
}

/* ---- flushes --------------------------------------------------------------------------- */

/*
 * What is below pinned entries of a root is reached from other spaces' roots
 * too; tables that are opened twice are loaded as either space; and what was
 * loaded before the first activation can be any tables, these too.
 */
static enum pt_held active_held(const struct pt_processor *processor, const struct pt_space *space)
{
	if (space->pins_upper)
		return processor->keeps ? PT_HELD_PCIDS : PT_HELD_CURRENT;
	if (!processor->space || processor->space == space ||
	    processor->root.raw == root_addr(space).raw)
		return PT_HELD_CURRENT;
	return processor->keeps ? PT_HELD_PCIDS : PT_HELD_GLOBAL;
}

static bool active_is_behind(const struct pt_processor *processor, const struct pt_space *space)
{
	return processor->space == space && processor->root.raw != root_addr(space).raw;
}

void pt_flush_here(struct pt_processor *processor, const struct pt_space *space,
		   const struct pt_flush *flush)
{
	enum pt_held held = active_held(processor, space);
	struct pt_forget forget = pt_forget_choose(flush, held, processor->limit, 1);

	if (active_is_behind(processor, space)) {
		active_load(processor, root_addr(space), processor->pcid, false);
		if (forget.how == PT_FORGET_LOCAL)
			return;
	}
	pt_forget(&forget, 0);
}

size_t pt_settle(struct pt_processor *processor, struct pt_space *space, struct pt_flush *flush)
{
	if (pt_flush_is_empty(flush) && !active_is_behind(processor, space))
		return 0;
	pt_flush_here(processor, space, flush);
	/* The change is seen by others before they are counted: see active_enter(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (processor->others)
		processor->others(processor->ctx, space, flush);
	return pt_release(space, flush);
}

enum pt_status pt_protect_now(struct pt_processor *processor, struct pt_space *space,
			      struct pt_range range, struct pt_attr attr)
{
	PT_FLUSH(flush);
	enum pt_status status = pt_protect(space, range, attr, &flush);

	if (status == PT_OK)
		pt_settle(processor, space, &flush);
	return status;
}
