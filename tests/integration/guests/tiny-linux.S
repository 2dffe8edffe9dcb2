/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The guest of tiny.S as a kernel, which a loader boots as it does Linux (Documentation/arch/x86/boot.rst): a sector whose end is the setup
 * header, and behind it the setup code, in real mode, which is all of it. For HVM guests of Xen.
 *
 * It can do two things more: c says its command line, and n the first line of its initramfs.
 */

.set LINUX, 1
.code16

.set HERE, 0x7a00                       /* where it copies itself to: tiny.S, the second sector, is to be at 0x7c00 */
.set LINE, 0x8000                       /* room for what is copied from the initramfs, which is in high memory */
.set LINE_SIZE, 64

.org 0x1f1
        .byte   2                       /* sectors of setup code */
        .word   0
        .long   1                       /* 16 bytes of what runs in protected mode, of which there has to be some */
        .word   0, 0, 0, 0xaa55
.org 0x200
.macro kernel_header
        jmp     start
        .ascii  "HdrS"
        .word   0x0203
        .word   0, 0, 0, 0
        .byte   0
        .byte   1                       /* loaded high, as a bzImage is */
        .word   0
        .long   0x100000
initramfs: .long 0
initramfs_size: .long 0
        .long   0
        .word   0
        .byte   0, 0
command_line: .long 0
        .long   0x37ffffff              /* the highest address of an initramfs */

/* The loader has put it, header and all, to the segment of ds. */
start:
        cli
        cld
        xor     %si, %si
        xor     %ax, %ax
        mov     %ax, %es
        mov     $HERE, %di
        mov     $1536 / 2, %cx
        rep movsw
        ljmp    $0, $1f
1:
.endm

/* Another letter: says what is wanted of it in al, or echoes it. */
.macro kernel_told
        cmp     $'c', %al
        je      say_command_line
        cmp     $'n', %al
        je      say_initramfs
.endm

.macro kernel_code
say_command_line:
        mov     command_line, %eax
        shr     $4, %eax                /* it is at the beginning of a segment */
        mov     %ax, %ds
        xor     %si, %si
        call    say_line
        jmp     wait

say_initramfs:
        mov     initramfs, %eax
        mov     %ax, source
        shr     $16, %eax
        mov     %al, source + 2
        mov     %ah, source + 5
        mov     $0x87, %ah              /* the BIOS copies it here */
        mov     $LINE_SIZE / 2, %cx
        mov     $descriptors, %si
        int     $0x15
        mov     $LINE, %si
        call    say_line
        jmp     wait

/* From ds:si to the end of the text or line, and its end. */
say_line:
        lodsb
        cmp     $' ', %al
        jb      1f
        call    say
        jmp     say_line
1:      xor     %ax, %ax
        mov     %ax, %ds
        mov     $'\r', %al
        call    say
        mov     $'\n', %al
        jmp     say

descriptors:
        .quad   0, 0
        .word   0xffff
source: .byte   0, 0, 0, 0x93, 0, 0     /* its address, in two parts, and the rights to data */
        .word   0xffff, LINE, 0x9300, 0
        .quad   0, 0

.org 1536
        .skip   512                     /* in protected mode */
.endm

.include "tiny.S"
