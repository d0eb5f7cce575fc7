/*
 * switch_enter(const struct switch_target *target), in rdi
 *
 * Everything that is needed later is taken into registers first: when CR3 has
 * changed, neither the caller's stack nor *target need to be mapped.
 *
 *	r12 root   r13 stack top   r14 entry   r15 argument
 *	r8 PAT     r9 EFER         r10 CR4     r11 base of physical memory
 */

#define MSR_APIC_BASE      0x1b
#define MSR_PAT            0x277
#define MSR_X2APIC         0x800
#define MSR_EFER           0xc0000080
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

/* PG, WP, NE, ET, MP, PE: caches on, no AM, no EM, no TS (SDM 3A 2.5) */
#define CR0_KERNEL 0x80010033

/* No breakpoints, none met (SDM 3B 17.2, table 9-1). */
#define DR6_RESET 0xffff0ff0
#define DR7_RESET 0x400

#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK  0xa1

/* SDM 3A 10.4.4, 10.5.1, 10.12.1.2 */
#define APIC_ENABLED 11
#define APIC_X2      10
#define APIC_VERSION 0x03
#define LVT_MASKED   0x10000
#define LVT_MOST     6

	.section .switch.text, "ax", @progbits

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
	mov	48(%rdi), %r10
	mov	56(%rdi), %r11

	call	quiet_controllers

	/* Some processors keep the base when a null selector is loaded. */
	xor	%eax, %eax
	xor	%edx, %edx
	mov	$MSR_FS_BASE, %ecx
	wrmsr
	mov	$MSR_GS_BASE, %ecx
	wrmsr
	mov	$MSR_KERNEL_GS_BASE, %ecx
	wrmsr
	mov	$DR7_RESET, %ecx
	mov	%rcx, %dr7
	mov	%rax, %dr0
	mov	%rax, %dr1
	mov	%rax, %dr2
	mov	%rax, %dr3
	mov	$DR6_RESET, %ecx
	mov	%rcx, %dr6
	mov	%rax, %cr2
	mov	%rax, %cr8

	/* NX before tables that use it; no system calls, no virtualisation. */
	mov	$MSR_EFER, %ecx
	mov	%r9d, %eax
	wrmsr

	/* CR4 without PGE, before CR3: control.h says why. */
	mov	$CR0_KERNEL, %eax
	mov	%rax, %cr0
	mov	%r10, %cr4

	/* x87 and SSE as after reset, exceptions masked. */
	fninit
	push	$0x1f80
	ldmxcsr	(%rsp)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	xorps	%xmm\n, %xmm\n
	.endr

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

	/* The new space: last words, if any, reach physical memory at another base. */
	mov	%r11, lastwords(%rip)
	mov	%r13, %rsp
	/* A return address of 0 ends a kernel's stack trace. */
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

/*
 * Masks the 8259 controllers and the local APIC's own sources but LINT1, the
 * NMI: nothing the firmware has started, a timer for one, reaches a kernel that
 * lets interrupts in. Changes rax, rcx, rdx, rbx, rsi, rdi, rbp.
 */
	.type quiet_controllers, @function
quiet_controllers:
	mov	$0xff, %al
	out	%al, $PIC_MASTER_MASK
	out	%al, $PIC_SLAVE_MASK
	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	bt	$APIC_ENABLED, %eax
	jnc	4f
	mov	%eax, %ebp
	mov	%edx, %edi
	shl	$32, %rdi
	mov	%eax, %ebx
	and	$0xfffff000, %ebx
	or	%rbx, %rdi

	/* The version tells the number of the last LVT entry: 3, or up to 6. */
	mov	$MSR_X2APIC + APIC_VERSION, %ecx
	bt	$APIC_X2, %ebp
	jnc	1f
	rdmsr
	jmp	2f
1:	mov	(APIC_VERSION << 4)(%rdi), %eax
2:	shr	$16, %eax
	movzbl	%al, %ebx
	cmp	$LVT_MOST, %ebx
	jbe	3f
	mov	$LVT_MOST, %ebx
3:	lea	lvt_entries(%rip), %rsi
	call	mask_entries
4:	ret
	.size quiet_controllers, . - quiet_controllers

/* The first ebx entries of the list at rsi; rdi is the APIC, bit 10 of ebp its mode. */
mask_entries:
	test	%ebx, %ebx
	jz	3f
1:	movzbl	(%rsi), %ecx
	inc	%rsi
	bt	$APIC_X2, %ebp
	jc	2f
	shl	$4, %ecx
	orl	$LVT_MASKED, (%rdi,%rcx)
	dec	%ebx
	jnz	1b
	ret
2:	add	$MSR_X2APIC, %ecx
	rdmsr
	or	$LVT_MASKED, %eax
	wrmsr
	dec	%ebx
	jnz	1b
3:	ret

/* Timer, LINT0, errors, then as processors got them: performance, thermal, CMCI. */
lvt_entries:
	.byte	0x32, 0x35, 0x37, 0x34, 0x33, 0x2f

	.section .note.GNU-stack, "", @progbits
