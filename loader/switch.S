/*
 * switch_enter(const struct switch_target *target), in rdi
 *
 * Everything that is needed later is taken into registers first: when CR3 has
 * changed, neither the caller's stack nor *target need to be mapped.
 *
 *	r12 root   r13 stack top   r14 entry   r15 argument
 */

#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

#define EFER_LME (1 << 8)
#define EFER_LMA (1 << 10)
#define EFER_NXE (1 << 11)

#define CR4_PAE        (1 << 5)
#define CR4_MCE        (1 << 6)
#define CR4_OSFXSR     (1 << 9)
#define CR4_OSXMMEXCPT (1 << 10)
#define CR4_LA57       (1 << 12)

/* PG, WP, NE, ET, MP, PE: caches on, no AM, no EM, no TS (SDM 3A 2.5) */
#define CR0_KERNEL 0x80010033

#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18

	.section .switch.text, "ax", @progbits
	.balign 4096
	.globl switch_code
	.hidden switch_code
switch_code:

	.globl switch_enter
	.hidden switch_enter
	.type switch_enter, @function
switch_enter:
	cli
	cld
	mov	0(%rdi), %r12
	mov	8(%rdi), %r13
	mov	16(%rdi), %r14
	mov	24(%rdi), %r15
	mov	32(%rdi), %r8
	mov	40(%rdi), %r9

	/* Own GDT; CS by a far return, then the rest. */
	lea	switch_gdt(%rip), %rax
	sub	$16, %rsp
	movw	$(switch_gdt_end - switch_gdt - 1), (%rsp)
	mov	%rax, 2(%rsp)
	lgdt	(%rsp)
	/* No IDT yet: a limit of 0. */
	movw	$0, (%rsp)
	lidt	(%rsp)
	lea	1f(%rip), %rax
	push	$SELECTOR_CODE
	push	%rax
	lretq
1:	mov	$SELECTOR_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	lldt	%ax

	/* Some processors keep the base when a null selector is loaded. */
	xor	%edx, %edx
	mov	$MSR_FS_BASE, %ecx
	wrmsr
	mov	$MSR_GS_BASE, %ecx
	wrmsr
	mov	$MSR_KERNEL_GS_BASE, %ecx
	wrmsr

	/* NX before tables that use it; no system calls, no virtualisation. */
	mov	$MSR_EFER, %ecx
	rdmsr
	and	$(EFER_LME | EFER_LMA), %eax
	xor	%edx, %edx
	test	%r9, %r9
	jz	2f
	or	$EFER_NXE, %eax
2:	wrmsr

	/*
	 * CR4 without PGE, before CR3: clearing it drops global translations of
	 * the firmware's, which loading CR3 would keep (SDM 3A 4.10.4.1).
	 */
	mov	$CR0_KERNEL, %eax
	mov	%rax, %cr0
	mov	%cr4, %rax
	and	$(CR4_MCE | CR4_LA57), %eax
	or	$(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
	mov	%rax, %cr4

	/* x87 and SSE as after reset, exceptions masked. */
	fninit
	movl	$0x1f80, (%rsp)
	ldmxcsr	(%rsp)

	/*
	 * The first four entries of the PAT are what they are after reset, and
	 * firmware uses no others, so the tables in use keep their meaning; the
	 * load of CR3 drops cached types (SDM 3A 12.12.4).
	 */
	wbinvd
	mov	$MSR_PAT, %ecx
	mov	%r8d, %eax
	mov	%r8, %rdx
	shr	$32, %rdx
	wrmsr
	mov	%r12, %cr3

	/* The new space. A return address of 0 ends a kernel's stack trace. */
	mov	%r13, %rsp
	push	$0
	mov	%r15, %rdi
	mov	%r14, %rax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	push	$2
	popfq
	jmp	*%rax
	.size switch_enter, . - switch_enter

	.balign 4096
	.globl switch_code_end
	.hidden switch_code_end
switch_code_end:

	.section .switch.data, "aw", @progbits
	.balign 4096
	.globl switch_data
	.hidden switch_data
switch_data:
	/* Flat 64-bit code at 0x10, data at 0x18 (SDM 3A 3.4.5). */
switch_gdt:
	.quad	0
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
switch_gdt_end:
	.balign 4096
	.globl switch_data_end
	.hidden switch_data_end
switch_data_end:

	.section .note.GNU-stack, "", @progbits
