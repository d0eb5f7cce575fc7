/*
 * The guard's entries, and what last words need of the machine; guard.h says
 * what for.
 */

#define GUARD_CODE 0x10
#define GUARD_DATA 0x18
#define GUARD_TSS  0x20

#define GDT_LIMIT  (6 * 8 - 1)
#define IDT_OFFSET 152
#define IDT_LIMIT  (32 * 16 - 1)

/* Vectors that push an error code: 8, 10 to 14, 17, 21, 29, 30 (SDM 3A table 6-1, APM 2 8.2) */
#define WITH_ERROR 0x60227d00

	.section .switch.text, "ax", @progbits

	.globl guard_arm
	.hidden guard_arm
	.type guard_arm, @function
guard_arm:
	cli
	cld
	lea	guard_tables(%rip), %rcx
	sub	$24, %rsp
	movw	$GDT_LIMIT, (%rsp)
	mov	%rcx, 2(%rsp)
	lgdt	(%rsp)
	/* CS by a far return, then the rest; the IDT last, its gates need all of it. */
	lea	1f(%rip), %rax
	pushq	$GUARD_CODE
	push	%rax
	lretq
1:	mov	$GUARD_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	lldt	%ax
	mov	$GUARD_TSS, %eax
	ltr	%ax
	add	$IDT_OFFSET, %rcx
	movw	$IDT_LIMIT, (%rsp)
	mov	%rcx, 2(%rsp)
	lidt	(%rsp)
	add	$24, %rsp
	ret
	.size guard_arm, . - guard_arm

	/* One entry for each vector: the same frame for all of them. */
	.balign 16
	.globl guard_stubs
	.hidden guard_stubs
guard_stubs:
	.set vector, 0
	.rept 32
	.balign 16
	.if ((WITH_ERROR >> vector) & 1) == 0
	pushq	$0
	.endif
	pushq	$vector
	jmp	guard_common
	.set vector, vector + 1
	.endr

	/*
	 * struct lastwords_frame. What comes back from it was guard_read(), and
	 * keeps nothing in registers that a function may change.
	 */
	.balign 16
guard_common:
	cld
	mov	%cr2, %rax
	push	%rax
	mov	%cr3, %rax
	push	%rax
	mov	%cr4, %rax
	push	%rax
	mov	%rsp, %rdi
	call	lastwords_fault
	add	$40, %rsp
	iretq

	.globl guard_read, guard_read_load, guard_read_failed
	.hidden guard_read, guard_read_load, guard_read_failed
	.type guard_read, @function
guard_read:
guard_read_load:
	mov	(%rdi), %rax
	mov	%rax, (%rsi)
	mov	$1, %eax
	ret
guard_read_failed:
	xor	%eax, %eax
	ret
	.size guard_read, . - guard_read

	.globl guard_halt
	.hidden guard_halt
	.type guard_halt, @function
guard_halt:
	cli
	hlt
	jmp	guard_halt
	.size guard_halt, . - guard_halt

	.globl guard_shut_down
	.hidden guard_shut_down
	.type guard_shut_down, @function
guard_shut_down:
	/* An exception without an IDT (SDM 3A 6.15, interrupt 8). */
	pushq	$0
	pushq	$0
	lidt	(%rsp)
	ud2
	.size guard_shut_down, . - guard_shut_down

	.globl port_in8
	.hidden port_in8
	.type port_in8, @function
port_in8:
	mov	%edi, %edx
	in	%dx, %al
	ret
	.size port_in8, . - port_in8

	.globl port_out8
	.hidden port_out8
	.type port_out8, @function
port_out8:
	mov	%edi, %edx
	mov	%esi, %eax
	out	%al, %dx
	ret
	.size port_out8, . - port_out8

	.section .switch.data, "aw", @progbits
	/* Stacks, the first on top: whoever overruns one has gone wrong for good. */
	.balign 16
	.skip	5 * 1024
	.globl guard_stack_tops
	.hidden guard_stack_tops
guard_stack_tops:

	.section .note.GNU-stack, "", @progbits
