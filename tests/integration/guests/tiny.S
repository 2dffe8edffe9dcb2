/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A guest of one sector, for tests of the QEMU backend: a BIOS boots it in a fraction of a second, also in software emulation. Assembled
 * with XEN defined, it is one for HVM guests of Xen. tiny-linux.S makes a kernel of it.
 *
 * It says "tiny" on its serial line, and then does what it is told there, a letter each: o switches itself off, r reboots, p panics
 * (pvpanic), d lets its watchdog (ib700) run out, w writes its second sector, e lets go of devices that are to be unplugged, x says
 * how often it has been asked, and any other letter is echoed. Its power button switches it off, unless i was said before.
 */

.code16
.globl _start

.set SERIAL, 0x3f8
.set SERIAL_STATUS, 0x3fd
.ifdef XEN
.set POWER_STATUS, 0xb000               /* where Xen has ACPI's PM1a event block; the enable register is 2 further */
.else
.set POWER_STATUS, 0x600                /* where SeaBIOS puts it */
.endif
.set POWER_CONTROL, POWER_STATUS + 4
.set POWER_BUTTON, 0x100
.set SLEEP_S5, 0x2000                   /* SLP_EN; QEMU's S5 is sleep type 0 */
.set PANIC, 0x505
.set WATCHDOG, 0x443
.set HOTPLUG, 0xae00                    /* QEMU's ACPI PCI hotplug of a pc (QEMU, docs/specs/acpi_pci_hotplug.txt) */

_start:
.ifdef LINUX
        kernel_header
.endif
        cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7c00, %sp
        mov     %dl, drive
.ifndef XEN                             /* the button is seen there without, and an interrupt that is not wanted would come */
        mov     $POWER_STATUS + 2, %dx
        mov     $POWER_BUTTON, %ax
        out     %ax, %dx
.endif
        mov     $hello, %si
1:      lodsb
        test    %al, %al
        jz      wait
        call    say
        jmp     1b

wait:
.ifdef XEN                              /* to look all the time would take the processor from the device model that is to answer */
        sti
        hlt                             /* until the BIOS has counted its clock on */
        cli
.endif
        mov     $SERIAL_STATUS, %dx
        in      %dx, %al
        test    $1, %al
        jnz     told
        mov     $POWER_STATUS, %dx
        in      %dx, %ax
        test    $POWER_BUTTON, %ax
        jz      wait
        out     %ax, %dx                /* seen */
        incb    asked
        cmpb    $0, ignores
        jne     wait
off:
        mov     $POWER_CONTROL, %dx
        mov     $SLEEP_S5, %ax
        out     %ax, %dx
        jmp     halt

told:
        mov     $SERIAL, %dx
        in      %dx, %al
        cmp     $'o', %al
        je      off
        cmp     $'r', %al
        je      reboot
        cmp     $'p', %al
        je      panic
        cmp     $'d', %al
        je      watchdog
        cmp     $'w', %al
        je      write
        cmp     $'e', %al
        je      eject
        cmp     $'i', %al
        je      ignore
.ifdef LINUX
        kernel_told
.endif
        cmp     $'x', %al
        jne     2f
        mov     asked, %al
        add     $'0', %al
2:      call    say
        jmp     wait

reboot:
        mov     $0xfe, %al              /* the keyboard controller's reset */
        out     %al, $0x64
        jmp     halt
panic:
        mov     $PANIC, %dx
        mov     $1, %al
        out     %al, %dx
        jmp     wait
watchdog:
        mov     $WATCHDOG, %dx
        mov     $0x0f, %al              /* 0 seconds */
        out     %al, %dx
        jmp     wait
ignore:
        incb    ignores
        jmp     2b

write:
        mov     $0x0301, %ax            /* one sector */
        mov     $0x0002, %cx            /* the second */
        xor     %dh, %dh
        mov     drive, %dl
        mov     $0x7c00, %bx
        int     $0x13
        mov     $'W', %al
        jnc     2b
        mov     $'F', %al
        jmp     2b

eject:
        xor     %eax, %eax
        mov     $HOTPLUG + 16, %dx      /* of the bus 0 */
        out     %eax, %dx
        mov     $HOTPLUG + 4, %dx       /* those that are to go */
        in      %dx, %eax
        mov     $HOTPLUG + 8, %dx
        out     %eax, %dx
        mov     $'E', %al
        jmp     2b

halt:
.ifdef XEN                              /* a processor that halts for good is a guest that is off, whatever it has asked for */
        sti
.endif
        hlt
        jmp     halt

say:
        push    %ax
1:      mov     $SERIAL_STATUS, %dx
        in      %dx, %al
        test    $0x20, %al
        jz      1b
        pop     %ax
        mov     $SERIAL, %dx
        out     %al, %dx
        ret

hello:  .asciz  "tiny\r\n"
drive:  .byte   0
asked:  .byte   0
ignores: .byte  0

.ifdef LINUX
        kernel_code
.else
.org 510
.word 0xaa55
.endif
