/* The processor's state at the entry. */
#include "tests/kernels/judge.h"
#include "tests/kernels/lib/cpu.h"

#define PAT     0x0007010500070406
#define CR0     0x80010033
#define CR4     0x620 /* OSXMMEXCPT, OSFXSR, PAE */
#define CR4_MCE 0x40
#define DR6     0xffff0ff0
#define DR7     0x400

#define TSS_SELECTOR 0x20
#define TSS_LIMIT    103
#define IDT_LIMIT    511

/* MTRRs (SDM 3A 12.11). */
#define MSR_MTRR_DEFAULT 0x2ff
#define MTRR_ENABLED     0x800

#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK  0xa1

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
	uint16_t tr, gap_4[3];
	uint64_t cr2, cr8, dr[4], dr6, dr7, gap_5;
	uint8_t fx[512]; /* FXSAVE, SDM 1 table 10-2 */
} __attribute__((aligned(16)));

_Static_assert(offsetof(struct judge_entry, cs) == 24, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, gdt) == 32, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, idt) == 48, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, rax) == 64, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, fs) == 168, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, bases) == 184, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, tr) == 208, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, cr2) == 216, "judge_start.S");
_Static_assert(offsetof(struct judge_entry, fx) == 288, "judge_start.S");

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

/* Offsets in the area of FXSAVE. */
#define FX_TAGS 4
#define FX_XMM  160
#define FX_END  416

static void check_vectors(void)
{
	if (judge_entry.fx[FX_TAGS])
		judge_flaw("tags are %x", judge_entry.fx[FX_TAGS]);
	for (unsigned i = FX_XMM; i < FX_END; i++) {
		if (judge_entry.fx[i])
			judge_flaw("byte %u is %x", i - FX_XMM, judge_entry.fx[i]);
	}
	judge_verdict("the x87 stack is empty, XMM0 to XMM15 are 0");
}

static void check_debug(void)
{
	if (judge_entry.cr2 || judge_entry.cr8)
		judge_flaw("CR2 is %lx, CR8 %lx", judge_entry.cr2, judge_entry.cr8);
	judge_verdict("CR2 and CR8 are 0");

	for (unsigned i = 0; i < 4; i++) {
		if (judge_entry.dr[i])
			judge_flaw("DR%u is %lx", i, judge_entry.dr[i]);
	}
	if (judge_entry.dr6 != DR6 || judge_entry.dr7 != DR7)
		judge_flaw("DR6 is %lx, DR7 %lx", judge_entry.dr6, judge_entry.dr7);
	judge_verdict("the debug registers are as after a reset");
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
}

/* The code of hoist's that the gate of this vector leads to is mapped for the handoff. */
static void check_gate(unsigned vector)
{
	const uint64_t *gate = (const uint64_t *)(uintptr_t)(judge_entry.idt.base + 16 * vector);
	uint64_t handler = (gate[0] & 0xffff) | gate[0] >> 48 << 16 | gate[1] << 32;
	const struct hoist_mapping *m = judge_mapping_at(handler);

	/* Present, ring 0, an interrupt gate, and on one of the stacks of the TSS. */
	if ((gate[0] >> 40 & 0xff) != 0x8e || (gate[0] >> 16 & 0xffff) != judge_entry.cs ||
	    (gate[0] >> 32 & 7) == 0)
		judge_flaw("gate %u is %lx %lx", vector, gate[0], gate[1]);
	if (!m || m->purpose != HOIST_PURPOSE_HANDOFF || !(m->rights & HOIST_RIGHT_EXECUTE))
		judge_flaw("gate %u leads to %lx", vector, handler);
}

static void check_idt(void)
{
	bool mapped = is_handoff(judge_entry.idt) && judge_entry.idt.limit == IDT_LIMIT;

	if (!mapped)
		judge_flaw("it is at %lx, limit %x", judge_entry.idt.base, judge_entry.idt.limit);
	judge_verdict("the IDT has 32 gates and lies in memory mapped for the handoff");
	for (unsigned i = 0; mapped && i < 32; i++)
		check_gate(i);
	judge_verdict("each gate leads to code of hoist's, on a stack of its own");
}

static void check_task(void)
{
	const uint64_t *d = (const uint64_t *)(uintptr_t)(judge_entry.gdt.base + TSS_SELECTOR);
	uint64_t base, stack;

	if (judge_entry.tr != TSS_SELECTOR || judge_entry.gdt.limit < TSS_SELECTOR + 15) {
		judge_flaw("TR is %x, the limit of the GDT %x", judge_entry.tr,
			   judge_entry.gdt.limit);
		judge_verdict("TR is 20");
		return;
	}
	base = (d[0] >> 16 & 0xffffff) | d[0] >> 56 << 24 | d[1] << 32;
	/* Present, busy since it was loaded. */
	if ((d[0] >> 40 & 0xff) != 0x8b || (d[0] & 0xffff) != TSS_LIMIT ||
	    !is_handoff((struct table_register){ .limit = TSS_LIMIT, .base = base }))
		judge_flaw("its descriptor is %lx %lx", d[0], d[1]);
	judge_verdict("TR is 20, a TSS in memory mapped for the handoff");
	for (unsigned i = 0; i < 4; i++) {
		__builtin_memcpy(&stack, (const char *)(uintptr_t)base + 36 + 8 * i, sizeof(stack));
		if (!is_handoff((struct table_register){ .limit = 1023, .base = stack - 1024 }))
			judge_flaw("IST %u is %lx", i + 1, stack);
	}
	judge_verdict("IST 1 to 4 are stacks in memory mapped for the handoff");
}

static void check_controllers(void)
{
	uint8_t master = cpu_in8(PIC_MASTER_MASK), slave = cpu_in8(PIC_SLAVE_MASK);

	if (master != 0xff || slave != 0xff)
		judge_flaw("the masks are %x and %x", master, slave);
	judge_verdict("the 8259 interrupt controllers are masked");

	if (!(cpu_rdmsr(MSR_MTRR_DEFAULT) & MTRR_ENABLED))
		judge_flaw("the default type is %lx", cpu_rdmsr(MSR_MTRR_DEFAULT));
	judge_verdict("the MTRRs are enabled");
}

void judge_registers(void)
{
	check_flags();
	check_stack();
	check_general();
	check_vectors();
	check_debug();
	check_control();
	check_segments();
	check_idt();
	check_task();
	check_controllers();
}
