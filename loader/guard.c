#include "loader/guard.h"

/* Flat 64-bit code and data of ring 0, accessed (SDM 3A 3.4.5). */
#define CODE UINT64_C(0x00af9b000000ffff)
#define DATA UINT64_C(0x00cf93000000ffff)

/* Types of system descriptors (SDM 3A table 3-2), and the bit that says present. */
#define TYPE_TSS  UINT64_C(0x9)
#define TYPE_GATE UINT64_C(0xe)
#define PRESENT   UINT64_C(0x80)

#define STUB_SIZE 16

/* Stacks: as guard.S has them, the ends of each. */
enum { STACK_FIRST, STACK_SECOND, STACK_DOUBLE_FAULT, STACK_NMI, STACK_MACHINE_CHECK };

#define STACK_SIZE 1024

/* Vectors that come on stacks of their own: they can come at any time. */
#define VECTOR_NMI           2
#define VECTOR_DOUBLE_FAULT  8
#define VECTOR_MACHINE_CHECK 18

#define IST_ALL           1
#define IST_DOUBLE_FAULT  2
#define IST_NMI           3
#define IST_MACHINE_CHECK 4

__attribute__((section(".switch.data"), aligned(16))) struct guard_tables guard_tables;

struct guard_descriptor guard_tss_descriptor(uint64_t base, uint32_t limit)
{
	return (struct guard_descriptor){
		.low = (limit & 0xffff) | (base & 0xffffff) << 16 | (PRESENT | TYPE_TSS) << 40 |
		       (uint64_t)(limit >> 16 & 0xf) << 48 | (base >> 24 & 0xff) << 56,
		.high = base >> 32,
	};
}

struct guard_descriptor guard_gate(uint64_t handler, uint16_t selector, unsigned ist)
{
	return (struct guard_descriptor){
		.low = (handler & 0xffff) | (uint64_t)selector << 16 | (uint64_t)(ist & 7) << 32 |
		       (PRESENT | TYPE_GATE) << 40 | (handler >> 16 & 0xffff) << 48,
		.high = handler >> 32,
	};
}

static unsigned ist_of(unsigned vector)
{
	switch (vector) {
	case VECTOR_NMI:
		return IST_NMI;
	case VECTOR_DOUBLE_FAULT:
		return IST_DOUBLE_FAULT;
	case VECTOR_MACHINE_CHECK:
		return IST_MACHINE_CHECK;
	default:
		return IST_ALL;
	}
}

static uint64_t stack_top(unsigned stack)
{
	return (uintptr_t)guard_stack_tops - (uint64_t)stack * STACK_SIZE;
}

void guard_prepare(void)
{
	struct guard_tables *t = &guard_tables;
	struct guard_descriptor tss = guard_tss_descriptor((uintptr_t)&t->tss, sizeof(t->tss) - 1);

	t->gdt[GUARD_CODE / 8] = CODE;
	t->gdt[GUARD_DATA / 8] = DATA;
	t->gdt[GUARD_TSS / 8] = tss.low;
	t->gdt[GUARD_TSS / 8 + 1] = tss.high;
	t->tss.ist[IST_ALL - 1] = stack_top(STACK_FIRST);
	t->tss.ist[IST_DOUBLE_FAULT - 1] = stack_top(STACK_DOUBLE_FAULT);
	t->tss.ist[IST_NMI - 1] = stack_top(STACK_NMI);
	t->tss.ist[IST_MACHINE_CHECK - 1] = stack_top(STACK_MACHINE_CHECK);
	/* Beyond the limit: no port may be used by other rings (SDM 1 19.5.2). */
	t->tss.io_map = sizeof(t->tss);
	for (unsigned i = 0; i < GUARD_VECTORS; i++)
		t->idt[i] = guard_gate((uintptr_t)guard_stubs + (uint64_t)i * STUB_SIZE, GUARD_CODE,
				       ist_of(i));
}

void guard_move_stack(void)
{
	guard_tables.tss.ist[IST_ALL - 1] = stack_top(STACK_SECOND);
}
