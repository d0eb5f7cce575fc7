/*
 * The entry point: keeps every register that hoist promises something about,
 * before a compiler could touch one, and goes on as if nothing had been.
 */
	.text
	.globl	judge_start
	.type	judge_start, @function
judge_start:
	mov	%rax, judge_entry+64(%rip)
	mov	%rbx, judge_entry+72(%rip)
	mov	%rcx, judge_entry+80(%rip)
	mov	%rdx, judge_entry+88(%rip)
	mov	%rsi, judge_entry+96(%rip)
	mov	%r8, judge_entry+104(%rip)
	mov	%r9, judge_entry+112(%rip)
	mov	%r10, judge_entry+120(%rip)
	mov	%r11, judge_entry+128(%rip)
	mov	%r12, judge_entry+136(%rip)
	mov	%r13, judge_entry+144(%rip)
	mov	%r14, judge_entry+152(%rip)
	mov	%r15, judge_entry+160(%rip)
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
	mov	%fs, %eax
	mov	%ax, judge_entry+168(%rip)
	mov	%gs, %eax
	mov	%ax, judge_entry+170(%rip)
	sldt	judge_entry+172(%rip)
	str	judge_entry+208(%rip)
	fnstcw	judge_entry+174(%rip)
	stmxcsr	judge_entry+176(%rip)
	/* Bases of FS and GS, and the one that SWAPGS brings. */
	mov	$0xc0000100, %ecx
	rdmsr
	mov	%eax, judge_entry+184(%rip)
	mov	%edx, judge_entry+188(%rip)
	mov	$0xc0000101, %ecx
	rdmsr
	mov	%eax, judge_entry+192(%rip)
	mov	%edx, judge_entry+196(%rip)
	mov	$0xc0000102, %ecx
	rdmsr
	mov	%eax, judge_entry+200(%rip)
	mov	%edx, judge_entry+204(%rip)
	mov	%cr2, %rax
	mov	%rax, judge_entry+216(%rip)
	mov	%cr8, %rax
	mov	%rax, judge_entry+224(%rip)
	mov	%dr0, %rax
	mov	%rax, judge_entry+232(%rip)
	mov	%dr1, %rax
	mov	%rax, judge_entry+240(%rip)
	mov	%dr2, %rax
	mov	%rax, judge_entry+248(%rip)
	mov	%dr3, %rax
	mov	%rax, judge_entry+256(%rip)
	mov	%dr6, %rax
	mov	%rax, judge_entry+264(%rip)
	mov	%dr7, %rax
	mov	%rax, judge_entry+272(%rip)
	fxsave	judge_entry+288(%rip)
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
