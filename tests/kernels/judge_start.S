/*
 * The entry point: keeps every register that hoist promises something about,
 * before a compiler could touch one, and goes on as if nothing had been.
 */
	.text
	.globl	judge_start
	.type	judge_start, @function
judge_start:
	pushfq
	pop	%rax
	cld
	mov	%rax, judge_entry+0(%rip)
	mov	%rsp, judge_entry+8(%rip)
	mov	%rbp, judge_entry+16(%rip)
	mov	%cs, %eax
	mov	%ax, judge_entry+24(%rip)
	mov	%ss, %eax
	mov	%ax, judge_entry+26(%rip)
	mov	%ds, %eax
	mov	%ax, judge_entry+28(%rip)
	mov	%es, %eax
	mov	%ax, judge_entry+30(%rip)
	sgdt	judge_entry+32(%rip)
	sidt	judge_entry+48(%rip)
	jmp	kernel_main
	.size judge_start, . - judge_start

/* _Noreturn void judge_on_stack(void (*function)(void), void *top) */
	.globl	judge_on_stack
	.type	judge_on_stack, @function
judge_on_stack:
	mov	%rsi, %rsp
	xor	%ebp, %ebp
	call	*%rdi
	ud2
	.size judge_on_stack, . - judge_on_stack

	.globl	judge_return
judge_return:
	ret

	.section .note.GNU-stack, "", @progbits
