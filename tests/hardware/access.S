/*
 * One access to memory in another address space. All that runs meanwhile lies
 * in the image, which every space maps; all ways end in an exception.
 */
	.text

/* void access_go(uintptr_t request): see struct access in access.h. Does not return. */
	.globl access_go
	.type access_go, @function
access_go:
	mov	(%rdi), %rax
	mov	%rax, %cr3
	pushq	8(%rdi)
	pushq	16(%rdi)
	pushq	$2
	pushq	24(%rdi)
	pushq	32(%rdi)
	mov	48(%rdi), %rsi
	mov	56(%rdi), %rax
	mov	40(%rdi), %rdi
	iretq
	.size access_go, . - access_go

/* The byte at RDI, and then the word at RSI that holds it, which tells one page from another. */
	.macro READ
	movb	(%rdi), %al
	mov	(%rsi), %rax
	int3
	.endm

/* AL to the byte at RDI. */
	.macro WRITE
	movb	%al, (%rdi)
	int3
	.endm

	.globl access_read, access_write
access_read:
	READ
access_write:
	WRITE

/* The same on a page that ring 3 can execute. */
	.section .user, "ax"
	.globl access_user_read, access_user_write
access_user_read:
	READ
access_user_write:
	WRITE

	.section .note.GNU-stack, "", @progbits
