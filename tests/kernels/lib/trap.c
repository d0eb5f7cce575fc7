#include "tests/kernels/lib/trap.h"

#include "tests/kernels/lib/cpu.h"

#define VECTORS   32u
#define STUB_SIZE 16u

#define TASK 0x28u

/* Present, 64-bit interrupt gate (SDM 3A 6.14.1); present, available 64-bit TSS (3.5). */
#define INTERRUPT_GATE 0x8e
#define FROM_RING_3    0x60
#define TSS_AVAILABLE  0x89

struct __attribute__((packed)) gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t stack;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

struct __attribute__((packed)) tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map;
};

struct __attribute__((packed)) table_register {
	uint16_t limit;
	uint64_t base;
};

/* What trap_entry() in trap.S leaves on the stack; the first register is R15. */
struct frame {
	uint64_t registers[14], rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

extern const char trap_stubs[], trap_resume[];

void trap_load(const struct table_register *gdt, const struct table_register *idt);
bool trap_call(void (*action)(uintptr_t), uintptr_t argument, uint64_t *ret_rsp);
void trap_handle(struct frame *frame);

static struct gate idt[VECTORS];
static struct tss tss;
static uint8_t stack[8192] __attribute__((aligned(16)));

/* Null, code, data, the same for ring 3, and two for the TSS. */
static uint64_t gdt[7] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00affb000000ffff,
			   0x00cff3000000ffff };

static struct trap caught;
static uint64_t resume_rsp; /* 0: nobody expects an exception */

static void set_tss_descriptor(void)
{
	uint64_t base = (uintptr_t)&tss;

	gdt[TASK / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 |
			(uint64_t)TSS_AVAILABLE << 40 | (base >> 24 & 0xff) << 56;
	gdt[TASK / 8 + 1] = base >> 32;
}

static void set_gate(unsigned vector)
{
	uint64_t offset = (uintptr_t)trap_stubs + (uint64_t)vector * STUB_SIZE;

	idt[vector] = (struct gate){
		.offset_low = (uint16_t)offset,
		.selector = TRAP_CODE,
		.stack = 1,
		.type = INTERRUPT_GATE | (vector == CPU_BREAKPOINT ? FROM_RING_3 : 0),
		.offset_middle = (uint16_t)(offset >> 16),
		.offset_high = (uint32_t)(offset >> 32),
	};
}

void trap_init(void)
{
	struct table_register gdtr = { sizeof(gdt) - 1, (uintptr_t)gdt };
	struct table_register idtr = { sizeof(idt) - 1, (uintptr_t)idt };

	tss.ist[0] = (uintptr_t)stack + sizeof(stack);
	tss.io_map = sizeof(tss);
	set_tss_descriptor();
	for (unsigned vector = 0; vector < VECTORS; vector++)
		set_gate(vector);
	trap_load(&gdtr, &idtr);
	__asm__ volatile("ltr %w0" : : "r"(TASK));
}

void trap_handle(struct frame *frame)
{
	caught = (struct trap){
		.vector = frame->vector,
		.error = frame->error,
		.address = cpu_cr2(),
		.rip = frame->rip,
		.rax = frame->rax,
	};
	if (!resume_rsp)
		trap_unexpected(&caught);
	frame->rip = (uintptr_t)trap_resume;
	frame->cs = TRAP_CODE;
	frame->rsp = resume_rsp;
	frame->ss = TRAP_DATA;
	frame->rflags &= ~CPU_RFLAGS_DF;
	resume_rsp = 0;
}

bool trap_catch(void (*action)(uintptr_t), uintptr_t argument, struct trap *ret_trap)
{
	bool faulted = trap_call(action, argument, &resume_rsp);

	resume_rsp = 0;
	if (faulted)
		*ret_trap = caught;
	return faulted;
}
