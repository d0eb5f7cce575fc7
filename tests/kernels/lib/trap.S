/* The parts of trap.c that must be exact about registers and stack. */

	.text

/* void trap_load(const struct table_register *gdt, const struct table_register *idt) */
	.globl trap_load
	.type trap_load, @function
trap_load:
	lgdt	(%rdi)
	lidt	(%rsi)
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	pop	%rax
	push	$0x08
	push	%rax
	lretq
	.size trap_load, . - trap_load

/*
 * bool trap_call(void (*action)(uintptr_t), uintptr_t argument, uint64_t *ret_rsp)
 *
 * Returns 0 if the action returned. trap_handle() lets an exception go on at
 * trap_resume, with the stack pointer that was written to *ret_rsp.
 */
	.globl trap_call, trap_resume
	.type trap_call, @function
trap_call:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$8, %rsp
	mov	%rsp, (%rdx)
	mov	%rdi, %rax
	mov	%rsi, %rdi
	call	*%rax
	xor	%eax, %eax
	jmp	1f
trap_resume:
	mov	$1, %eax
1:	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size trap_call, . - trap_call

/*
 * One stub a vector, 16 bytes each. Vectors 8, 10 to 14, 17, 21, 29 and 30 come
 * with an error code (SDM 3A table 6-1, APM volume 2 table 8-1); the others get
 * a 0, so that all frames are alike.
 */
	.set	WITH_ERROR_CODE, 1 << 8 | 0x1f << 10 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30
	.balign	16
	.globl	trap_stubs
trap_stubs:
	.set	vector, 0
	.rept	32
	.balign	16
	.if	(WITH_ERROR_CODE >> vector & 1) == 0
	push	$0
	.endif
	push	$vector
	jmp	trap_entry
	.set	vector, vector + 1
	.endr

	.type trap_entry, @function
trap_entry:
	push	%rax
	push	%rbx
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rbp
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	cld
	mov	%rsp, %rdi
	/* The processor aligned the frame to 16; 5 + 2 + 15 words lie in it (SDM 3A 6.14.2). */
	call	trap_handle
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rbp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq
	.size trap_entry, . - trap_entry

	.section .note.GNU-stack, "", @progbits
