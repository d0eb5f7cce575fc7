/*
 * From QEMU's -kernel to C. The image is linked in the last 2 GiB and loaded at
 * its address less WINDOW; a PVH note (xen/include/public/elfnote.h, type 18)
 * names the entry, in 32-bit protected mode without paging, with the physical
 * address of struct hvm_start_info in EBX (xen/include/public/arch-x86/hvm).
 *
 * The first tables: 1 GiB at 0 and at WINDOW, in 2 MiB leaves, with as many
 * levels as the processor has.
 */
#define WINDOW    0xffffffff80000000
#define PHYS(x)   ((x) - WINDOW)
#define LINK      0x03 /* present, writable */
#define LARGE     0x83 /* the same, as a leaf above level 1 */
#define CR4_PAE   (1 << 5)
#define CR4_LA57  (1 << 12)
#define EFER_LME  (1 << 8)
#define EFER_NXE  (1 << 11)
#define MSR_EFER  0xc0000080
/* PG, WP, NE, MP, PE. */
#define CR0       0x80010023

	.section .note.pvh, "a", @note
	.balign 4
	.long	4, 8, 18
	.asciz	"Xen"
	.quad	PHYS(boot_start)

	.text
	.code32
	.globl	boot_start
boot_start:
	cld
	mov	%ebx, %ebp
	mov	$PHYS(boot_directory), %edi
	mov	$LARGE, %eax
	mov	$512, %ecx
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	loop	1b
	/* WINDOW is entry 510 of the last table of level 3. */
	movl	$PHYS(boot_directory) + LINK, PHYS(boot_low)
	movl	$PHYS(boot_directory) + LINK, PHYS(boot_high + 510 * 8)
	movl	$PHYS(boot_low) + LINK, PHYS(boot_level4)
	movl	$PHYS(boot_high) + LINK, PHYS(boot_level4 + 511 * 8)
	movl	$PHYS(boot_level4) + LINK, PHYS(boot_level5)
	movl	$PHYS(boot_level4) + LINK, PHYS(boot_level5 + 511 * 8)

	/* CPUID leaf 7, ECX bit 16: five levels. */
	mov	$7, %eax
	xor	%ecx, %ecx
	cpuid
	mov	$CR4_PAE, %eax
	mov	$PHYS(boot_level4), %esi
	bt	$16, %ecx
	jnc	2f
	mov	$CR4_PAE | CR4_LA57, %eax
	mov	$PHYS(boot_level5), %esi
2:	mov	%eax, %cr4
	mov	%esi, %cr3

	/* CPUID leaf 80000001h, EDX bit 20: execute-disable. */
	mov	$0x80000001, %eax
	cpuid
	mov	%edx, %esi
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	bt	$20, %esi
	jnc	3f
	or	$EFER_NXE, %eax
3:	wrmsr
	mov	$CR0, %eax
	mov	%eax, %cr0
	lgdt	PHYS(boot_gdtr)
	ljmp	$0x08, $PHYS(boot_long)

	.code64
boot_long:
	mov	$boot_window, %rax
	jmp	*%rax
boot_window:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$boot_stack_top, %rsp
	mov	%ebp, %edi
	xor	%ebp, %ebp
	call	prober_main

	.section .rodata
	.balign 8
boot_gdt:
	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
	.word	. - boot_gdt - 1
	.quad	PHYS(boot_gdt)

	.bss
	.globl	boot_level4
	.balign 4096
boot_level5:	.skip 4096
boot_level4:	.skip 4096
boot_low:	.skip 4096
boot_high:	.skip 4096
boot_directory:	.skip 4096
boot_stack:	.skip 32768
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
