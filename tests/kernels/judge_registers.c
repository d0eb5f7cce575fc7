/* The processor's state at the entry. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"

#define PAT     0x0007010500070406
#define CR0     0x80010033
#define CR4     0x620 /* OSXMMEXCPT, OSFXSR, PAE */
#define CR4_MCE 0x40

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* As judge_start.S writes it. */
struct judge_entry {
	uint64_t rflags, rsp, rbp;
	uint16_t cs, ss, ds, es;
	struct table_register gdt;
	uint8_t gap[6];
	struct table_register idt;
	uint8_t gap_2[6];
	uint64_t rax, zero[12]; /* RBX RCX RDX RSI, R8 to R15 */
	uint16_t fs, gs, ldtr, fcw;
	uint32_t mxcsr, gap_3;
	uint64_t bases[3]; /* of FS, of GS, and for SWAPGS */
};

_Static_assert(offsetof(struct judge_entry, cs) == 24, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, gdt) == 32, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, idt) == 48, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, rax) == 64, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, fs) == 168, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, bases) == 184, "judge_start.S");

extern const char judge_start[];
extern struct judge_entry judge_entry;
struct judge_entry judge_entry;

static void check_flags(void)
{
	if (judge_entry.rflags != 2)
		judge_flaw("RFLAGS is %lx", judge_entry.rflags);
	judge_verdict("RFLAGS is 2 at entry: interrupts and direction clear");
}

static void check_general(void)
{
	if (judge_entry.rax != (uint64_t)(uintptr_t)judge_start)
		judge_flaw("RAX is %lx", judge_entry.rax);
	for (unsigned i = 0; i < 12; i++) {
		if (judge_entry.zero[i])
			judge_flaw("number %u is %lx", i, judge_entry.zero[i]);
	}
	judge_verdict("RAX is the entry point, the other general registers are 0");

	if (judge_entry.fcw != 0x37f || judge_entry.mxcsr != 0x1f80)
		judge_flaw("FCW is %x, MXCSR %x", judge_entry.fcw, judge_entry.mxcsr);
	judge_verdict("x87 and SSE are as after their reset");

	if (judge_entry.fs || judge_entry.gs || judge_entry.ldtr)
		judge_flaw("FS is %x, GS %x, LDTR %x", judge_entry.fs, judge_entry.gs,
			   judge_entry.ldtr);
	for (unsigned i = 0; i < 3; i++) {
		if (judge_entry.bases[i])
			judge_flaw("base %u is %lx", i, judge_entry.bases[i]);
	}
	judge_verdict("FS, GS, LDTR and the bases of FS and GS are 0");
}

static void check_stack(void)
{
	uint64_t depth = judge_entry.rsp - judge.info.stack_virt;

	if (!depth || depth > judge.info.stack_size)
		judge_flaw("RSP is %lx, the stack %lx + %lx", judge_entry.rsp,
			   judge.info.stack_virt, judge.info.stack_size);
	/* System V ABI 3.2.2: RSP + 8 is a multiple of 16 where a function begins. */
	if (judge_entry.rsp % 16 != 8)
		judge_flaw("RSP is %lx", judge_entry.rsp);
	judge_verdict("RSP lies in the stack, aligned as at the entry of a function");

	if (judge_entry.rbp)
		judge_flaw("RBP is %lx", judge_entry.rbp);
	judge_verdict("RBP is 0 at entry");
}

static void check_control(void)
{
	uint64_t cr0 = cpu_cr0(), cr4 = cpu_cr4(), efer = cpu_rdmsr(CPU_MSR_EFER);
	uint64_t efer_wanted = CPU_EFER_LME | CPU_EFER_LMA | (cpu_has_nx() ? CPU_EFER_NXE : 0);

	if (cr0 != CR0)
		judge_flaw("CR0 is %lx", cr0);
	judge_verdict("CR0 has PG, WP, NE, ET, MP and PE set, and nothing else");

	if ((cr4 & ~(uint64_t)(CR4_MCE | CPU_CR4_LA57)) != CR4)
		judge_flaw("CR4 is %lx", cr4);
	judge_verdict("CR4 has PAE, OSFXSR and OSXMMEXCPT set, but for MCE and LA57 nothing else");

	if ((judge.info.levels != 4 && judge.info.levels != 5) ||
	    (judge.info.levels == 5) != ((cr4 & CPU_CR4_LA57) != 0))
		judge_flaw("%u levels, CR4 is %lx", judge.info.levels, cr4);
	judge_verdict("CR4.LA57 says how many levels there are");

	if (efer != efer_wanted)
		judge_flaw("EFER is %lx", efer);
	judge_verdict(
		"EFER has LME and LMA set, NXE exactly if the processor has NX, nothing else");

	if (cpu_rdmsr(CPU_MSR_PAT) != PAT)
		judge_flaw("the PAT is %lx", cpu_rdmsr(CPU_MSR_PAT));
	judge_verdict("the PAT is that of the specification");

	if (cpu_cr3() != judge.info.page_table_root)
		judge_flaw("CR3 is %lx, page_table_root %lx", cpu_cr3(),
			   judge.info.page_table_root);
	judge_verdict("CR3 is page_table_root");
}

/* All of a descriptor table is mapped for the handoff. */
static bool is_handoff(struct table_register table)
{
	const struct hoist_mapping *m = judge_mapping_at(table.base);

	return m && m->purpose == HOIST_PURPOSE_HANDOFF &&
	       table.limit < m->size - (table.base - m->address_virt);
}

/*
 * The descriptor of `selector` has these type and flag bits (SDM 3A 3.4.5). It
 * is read through the direct map: both are views of the same memory.
 */
static void check_selector(const char *name, uint16_t selector, uint64_t mask, uint64_t bits)
{
	uint64_t descriptor;

	if (selector < 8 || selector & 7 || selector + 7u > judge_entry.gdt.limit) {
		judge_flaw("%s is %x, the limit %x", name, selector, judge_entry.gdt.limit);
		return;
	}
	descriptor = *(const uint64_t *)(uintptr_t)(judge_entry.gdt.base + selector);
	if ((descriptor & mask) != bits)
		judge_flaw("%s is %x, descriptor %lx", name, selector, descriptor);
}

static void check_segments(void)
{
	/* Present, DPL 0, code or data, and of code: 64-bit, not 32-bit. */
	const uint64_t code_mask = 0x0060f80000000000, code = 0x0020980000000000;
	const uint64_t data_mask = 0x0000fa0000000000, data = 0x0000920000000000;
	bool mapped = is_handoff(judge_entry.gdt);

	if (!mapped)
		judge_flaw("it is at %lx", judge_entry.gdt.base);
	judge_verdict("the GDT lies in memory mapped for the handoff");
	if (mapped) {
		check_selector("CS", judge_entry.cs, code_mask, code);
		check_selector("SS", judge_entry.ss, data_mask, data);
		check_selector("DS", judge_entry.ds, data_mask, data);
		check_selector("ES", judge_entry.es, data_mask, data);
		judge_verdict("CS, SS, DS and ES have descriptors in the GDT");
	}
	if (judge_entry.cs != 0x10 || judge_entry.ss != 0x18 || judge_entry.ds != 0x18 ||
	    judge_entry.es != 0x18)
		judge_flaw("CS is %x, SS %x, DS %x, ES %x", judge_entry.cs, judge_entry.ss,
			   judge_entry.ds, judge_entry.es);
	judge_verdict("CS is 10, SS, DS and ES are 18");

	if (judge_entry.idt.limit)
		judge_flaw("it is at %lx, limit %x", judge_entry.idt.base, judge_entry.idt.limit);
	judge_verdict("the IDT has the limit 0");
}

void judge_registers(void)
{
	check_flags();
	check_stack();
	check_general();
	check_control();
	check_segments();
}
