# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recipe: which packages and modules make up the lab, and how hypervisor and kernels are started.

Whatever changes an image is in this file, in dom0/ or in guest/; the cache is keyed by their content.
"""

XEN = "4.17"
XEN_BIN = f"usr/lib/xen-{XEN}/bin"
PYTHON = "3.11"
PYTHON_FOLDERS = ["usr/lib/python3", f"usr/lib/python{PYTHON}"]    # compiled once here, not at every start under emulation

HYPERVISOR_PACKAGE = f"xen-hypervisor-{XEN}-amd64"
KERNEL_PACKAGES = ["linux-image-amd64", "linux-headers-amd64"]      # not the cloud flavour: that one cannot be dom0
SOURCE_PACKAGE = "linux-source-6.1"

# Dom0 holds the files of these, and of what they depend on only the libraries that they are linked with. They are unpacked and not
# configured: none of them needs it here, and it would need root.
DOM0_PACKAGES = [
    "bash",                     # Xen's hotplug scripts, and people
    "busybox-static",           # all the small tools
    "dbus-bin",
    "dbus-daemon",
    "gir1.2-glib-2.0",          # with Python's, D-Bus for tests that are written in it
    f"libpython{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    f"python{PYTHON}-minimal",
    "python3-gi",
    "python3-minimal",
    "xen-utils-common",
    f"xen-utils-{XEN}",
    "xenstore-utils",
]
# And of these only what is named: what Xen's hotplug scripts call, and busybox has not, or with another output; what disks that are qcow2
# are made with, and the QEMU that libxl starts for them and for HVM guests, which does not start without its keymap; what those boot by: a
# BIOS, that of a screen, the ROM that gives them a kernel, and a network interface's, without which there is none.
DOM0_TOOL_PACKAGES = ["ipxe-qemu", "mount", "qemu-system-data", "qemu-system-xen", "qemu-utils", "seabios", "util-linux"]
DOM0_TOOLS = [
    "usr/bin/flock", "usr/bin/qemu-img", "usr/lib/ipxe/qemu/efi-rtl8139.rom", "usr/libexec/xen-qemu-system-i386", "usr/sbin/losetup",
    "usr/share/qemu/keymaps/en-us", "usr/share/qemu/linuxboot.bin", "usr/share/seabios/bios-256k.bin", "usr/share/seabios/vgabios-stdvga.bin",
]
# What tests do without: modules, and those that bring libraries along.
PYTHON_DROP = [
    "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "sqlite3", "tkinter", "venv", "wsgiref", "xmlrpc",
    *(f"lib-dynload/{name}.cpython-{PYTHON.replace('.', '')}-x86_64-linux-gnu.so" for name in [
        "_curses", "_curses_panel", "_dbm", "_hashlib", "_sqlite3", "_ssl", "nis", "readline",
    ]),
]
DOM0_DROP = [
    "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/share/bash-completion", "usr/share/info",
    "usr/share/python3", f"usr/lib/xen-{XEN}/lib/python", f"usr/lib/xen-{XEN}/boot/xen-shim", "usr/lib/debug",
    *(f"usr/lib/python{PYTHON}/{name}" for name in PYTHON_DROP), f"{XEN_BIN}/oxenstored", "usr/lib/systemd", "etc/init.d", "etc/grub.d",
]

# A guest holds these, of the same packages, and the libraries they are linked with.
GUEST_PROGRAMS = ["usr/bin/busybox", "usr/bin/xenstore-*", f"{XEN_BIN}/vchan-socket-proxy"]

# Loaded at run time and so named nowhere in a program: libc wants it to cancel a thread.
LOADED_LIBRARIES = ["libgcc_s.so.1"]

# Modules by name; what they depend on comes along. Those of PV Calls are built here, from the source of the same kernel.
XEN_MODULES = ["xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs"]
PVCALLS_MODULES = ["pvcalls-back", "pvcalls-front", "pvcalls-drive"]
DOM0_MODULES = [*XEN_MODULES, *PVCALLS_MODULES, "bridge", "loop", "tun", "xen-netback", "xen-blkback", "virtio_pci", "virtio_console"]
GUEST_MODULES = [*XEN_MODULES, *PVCALLS_MODULES, "xen-blkfront", "xen-netfront"]

# The guests of every boot, named by the type that a test asks for, in the order in which they are created.
GUEST_TYPES = ["pv", "pvh"]
GUEST_MEMORY_MIB = 192

MEMORY_MIB = 2560
DOM0_MEMORY_MIB = 1280

# One CPU: with two, about every second PVH guest died or hung at boot, with one none of 30. Inferred from QEMU's source: its VMRUN
# leaves the vector of an event that it injects behind, and delivers it again if another CPU makes this one leave its loop.
CPUS = 1

# With the CPU unmasked dom0 crashes at boot (SMAP); with RDTSCP PVH guests loop in the emulation of an instruction.
CPU_MODEL_NEEDS = "max,-smap,-smep,-la57,-pku,-pks,-rdtscp"

# And what costs time, as each word of memory is a call in QEMU: XSAVE, which Xen and Linux do at every switch and the dynamic linker at
# every symbol that it looks up, saves far more than FXSAVE; with ERMS memory is copied and cleared by bytes and not by words.
CPU_MODEL = f"{CPU_MODEL_NEEDS},-avx,-avx2,-f16c,-fma,-xsave,-xsaveopt,-xsavec,-xgetbv1,-erms"

XEN_ARGUMENTS = [
    "console=com1", "com1=115200,8n1", f"dom0_mem={DOM0_MEMORY_MIB}M,max:{DOM0_MEMORY_MIB}M", "loglvl=all", "guest_loglvl=warning",
    "bootscrub=0",                  # emulated memory: nothing to scrub
    "spec-ctrl=no,eager-fpu",       # an emulated CPU: nobody to protect. Switched lazily, vector registers get mixed up.
]
KERNEL_ARGUMENTS = [
    "console=hvc0", "rdinit=/init", "panic=-1", "mitigations=off",
    "cryptomgr.notests", "apparmor=0", "audit=0",       # seconds of every boot, for nothing that is used here
    "init_on_alloc=0", "initcall_blacklist=tracer_init_tracefs",        # the same: memory that is cleared without need, files to trace events
]
