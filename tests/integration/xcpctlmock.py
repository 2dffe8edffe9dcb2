# SPDX-License-Identifier: LGPL-2.1-or-later
"""A VM manager and a storage service that say whatever a test wants, and every command of xcpctl with the call that it makes."""

import pathlib

from harness import Process, build_directory, wait_until
from xcpctlcase import XcpctlTest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MOCK = build_directory() / "tools/xcpctl/xcpctl-mock"

WEB, DB, TWIN = "0a000000-0000-4000-8000-000000000001", "0a000000-0000-4000-8000-000000000002", "0b000000-0000-4000-8000-000000000003"
LOCAL, DISK, OTHER = "1a000000-0000-4000-8000-000000000001", "2a000000-0000-4000-8000-000000000001", "2b000000-0000-4000-8000-000000000002"
XENOPSD, STORAGE = "/org/xen/xcp/xenopsd", "/org/xen/xcp/storage"
MANAGER, VM = "org.xen.xcp.xenopsd1.Manager", "org.xen.xcp.xenopsd1.VM"
VM_DISK, VM_NIC = "org.xen.xcp.xenopsd1.Disk", "org.xen.xcp.xenopsd1.NetworkInterface"
SMANAGER, SR, VDI = "org.xen.xcp.storage1.Manager", "org.xen.xcp.storage1.SR", "org.xen.xcp.storage1.VDI"
TASK = "org.xen.xcp.Task1"


def path(root, kind, uuid):
    return f"{root}/{kind}/{uuid.replace('-', '_')}"


WEB_PATH, DISK_PATH, LOCAL_PATH = path(XENOPSD, "vm", WEB), path(STORAGE, "vdi", DISK), path(STORAGE, "sr", LOCAL)
DISK0, NET0 = WEB_PATH + "/disk/disk0", WEB_PATH + "/network/net0"

# Words after xcpctl, and the call that they make: path, interface, method and arguments in GVariant's text format.
XENOPSD_CALLS = [
    ("vm list", XENOPSD, MANAGER, "ListVms", "()"),
    ("vm backends", XENOPSD, MANAGER, "ListBackends", "()"),
    ("vm host", XENOPSD, MANAGER, "GetHostInfo", "()"),
    ("vm create new", XENOPSD, MANAGER, "Create", "({'name': <'new'>},)"),
    ("vm create new --vcpus 2", XENOPSD, MANAGER, "Create", "({'name': <'new'>, 'vcpus': <uint32 2>},)"),
    ("vm log web", WEB_PATH, VM, "GetConsoleLog", "('serial0', uint32 1048576)"),
    ("vm start web", WEB_PATH, VM, "Start", "(false,)"),
    ("vm start web --paused", WEB_PATH, VM, "Start", "(true,)"),
    ("vm stop web", WEB_PATH, VM, "Stop", "(uint32 60000,)"),
    ("vm stop web --grace 1.5s", WEB_PATH, VM, "Stop", "(uint32 1500,)"),
    ("vm kill web", WEB_PATH, VM, "Kill", "()"),
    ("vm reboot web --grace 5", WEB_PATH, VM, "Reboot", "(uint32 5000,)"),
    ("vm reset web", WEB_PATH, VM, "Reset", "()"),
    ("vm suspend web", WEB_PATH, VM, "Suspend", "()"),
    ("vm resume web", WEB_PATH, VM, "Resume", "()"),
    ("vm save web root", WEB_PATH, VM, "Save", f"(objectpath '{DISK_PATH}',)"),
    ("vm restore web --paused", WEB_PATH, VM, "Restore", "(true,)"),
    ("vm migrate web org.xen.xcp.other --compress", WEB_PATH, VM, "Migrate", "('org.xen.xcp.other', {'compress': <true>})"),
    ("vm snapshot create web now", WEB_PATH, VM, "Snapshot", "('now', @a{sv} {})"),
    ("vm snapshot create web now --sr local", WEB_PATH, VM, "Snapshot", f"('now', {{'sr': <objectpath '{LOCAL_PATH}'>}})"),
    ("vm snapshot revert web now", WEB_PATH, VM, "Revert", "('now',)"),
    ("vm snapshot delete web now", WEB_PATH, VM, "DeleteSnapshot", "('now',)"),
    ("vm prepare web", WEB_PATH, VM, "Prepare", "()"),
    ("vm destroy web", WEB_PATH, VM, "Destroy", "()"),
    ("vm power-button web", WEB_PATH, VM, "PowerButton", "()"),
    ("vm state web", WEB_PATH, VM, "QueryState", "()"),
    ("vm spec web", WEB_PATH, VM, "GetSpec", "()"),
    ("vm statistics web", WEB_PATH, VM, "GetStatistics", "()"),
    ("vm set-memory web 1GiB", WEB_PATH, VM, "SetMemory", "(uint64 1073741824,)"),
    ("vm set-vcpus web 4", WEB_PATH, VM, "SetVcpus", "(uint32 4,)"),
    ("vm rename web web2", WEB_PATH, VM, "Name", "= 'web2'"),
    ("vm set web Autostart true", WEB_PATH, VM, "Autostart", "= true"),
    ("vm set web AutostartOrder 7", WEB_PATH, VM, "AutostartOrder", "= uint32 7"),
    ("vm set web AutostartDelayMs 2000", WEB_PATH, VM, "AutostartDelayMs", "= uint32 2000"),
    ("vm set web AutostartDelayMs 2s", WEB_PATH, VM, "AutostartDelayMs", "= uint32 2000"),
    ("vm set web OnCrash Preserve", WEB_PATH, VM, "OnCrash", "= 'Preserve'"),
    ("vm disk add web root --mode ReadOnly", WEB_PATH, VM, "AddDisk", f"({{'vdi': <objectpath '{DISK_PATH}'>, 'mode': <'ReadOnly'>}},)"),
    ("vm disk add web --kind CdRom", WEB_PATH, VM, "AddDisk", "({'kind': <'CdRom'>},)"),
    ("vm disk remove web disk0", DISK0, VM_DISK, "Remove", "()"),
    ("vm disk plug web disk0", DISK0, VM_DISK, "Plug", "()"),
    ("vm disk unplug web disk0 --force", DISK0, VM_DISK, "Unplug", "(true,)"),
    ("vm disk insert web disk0 root", DISK0, VM_DISK, "Insert", f"(objectpath '{DISK_PATH}',)"),
    ("vm disk eject web disk0", DISK0, VM_DISK, "Eject", "()"),
    ("vm disk refresh web disk0", DISK0, VM_DISK, "Refresh", "()"),
    ("vm disk statistics web disk0", DISK0, VM_DISK, "GetStatistics", "()"),
    ("vm nic add web xenbr0 --no-carrier", WEB_PATH, VM, "AddNetworkInterface", "({'network': <'xenbr0'>, 'carrier': <false>},)"),
    ("vm nic remove web net0", NET0, VM_NIC, "Remove", "()"),
    ("vm nic plug web net0", NET0, VM_NIC, "Plug", "()"),
    ("vm nic unplug web net0", NET0, VM_NIC, "Unplug", "(false,)"),
    ("vm nic move web net0 xenbr1", NET0, VM_NIC, "Move", "('xenbr1',)"),
    ("vm nic statistics web net0", NET0, VM_NIC, "GetStatistics", "()"),
]

STORAGE_CALLS = [
    ("sr list", STORAGE, SMANAGER, "ListSRs", "()"),
    ("sr drivers", STORAGE, SMANAGER, "ListDrivers", "()"),
    ("sr create new directory --config path=/srv", STORAGE, SMANAGER, "CreateSR",
     "({'name': <'new'>, 'driver': <'directory'>, 'config': <{'path': '/srv'}>},)"),
    ("sr introduce old file", STORAGE, SMANAGER, "IntroduceSR", "({'name': <'old'>, 'driver': <'file'>},)"),
    ("sr attach local", LOCAL_PATH, SR, "Attach", "()"),
    ("sr detach local", LOCAL_PATH, SR, "Detach", "()"),
    ("sr scan local", LOCAL_PATH, SR, "Scan", "()"),
    ("sr space local", LOCAL_PATH, SR, "GetSpace", "()"),
    ("sr forget local", LOCAL_PATH, SR, "Forget", "()"),
    ("sr destroy local", LOCAL_PATH, SR, "Destroy", "()"),
    ("sr set local Description text", LOCAL_PATH, SR, "Description", "= 'text'"),
    ("vdi list", LOCAL_PATH, SR, "ListVDIs", "()"),
    ("vdi create local new 10GiB", LOCAL_PATH, SR, "CreateVDI", "({'name': <'new'>, 'size': <uint64 10737418240>},)"),
    ("vdi create local new 1M --sharable", LOCAL_PATH, SR, "CreateVDI",
     "({'name': <'new'>, 'size': <uint64 1048576>, 'sharable': <true>},)"),
    ("vdi clone root copy", DISK_PATH, VDI, "Clone", "('copy',)"),
    ("vdi snapshot root then", DISK_PATH, VDI, "Snapshot", "('then',)"),
    ("vdi copy root local copy", DISK_PATH, VDI, "Copy", f"(objectpath '{LOCAL_PATH}', {{'name': <'copy'>}})"),
    ("vdi resize root 20GiB", DISK_PATH, VDI, "Resize", "(uint64 21474836480,)"),
    ("vdi destroy root", DISK_PATH, VDI, "Destroy", "()"),
    ("vdi stats root me", DISK_PATH, VDI, "GetStatistics", "('me',)"),
    ("vdi usage root", DISK_PATH, VDI, "GetUsage", "()"),
    ("vdi attach root me Nbd File", DISK_PATH, VDI, "Attach", "('me', 'ReadOnly', ['Nbd', 'File'])"),
    ("vdi attach root me Nbd --mode ReadWrite", DISK_PATH, VDI, "Attach", "('me', 'ReadWrite', ['Nbd'])"),
    ("vdi activate root me", DISK_PATH, VDI, "Activate", "('me',)"),
    ("vdi deactivate root me", DISK_PATH, VDI, "Deactivate", "('me',)"),
    ("vdi detach root me", DISK_PATH, VDI, "Detach", "('me',)"),
    ("vdi set root ReadOnly true", DISK_PATH, VDI, "ReadOnly", "= true"),
    ("vdi set root IopsLimit 500", DISK_PATH, VDI, "IopsLimit", "= uint64 500"),
    ("vdi set root Labels {'a':'b'}", DISK_PATH, VDI, "Labels", "= {'a': 'b'}"),
]


class Script:
    """What a made-up service says."""

    def __init__(self, root):
        self.root = root
        self.lines = []
        self.n_tasks = 0

    def add(self, *fields):
        self.lines.append("\t".join(fields))

    def property(self, *fields):
        self.add("property", *fields)

    def reply(self, *fields):
        self.add("reply", *fields)

    def task(self, state="Succeeded", result="@a{sv} {}", error="('', '', @a{sv} {})"):
        """Adds a task at its end. Returns the reply of a method that began it."""
        self.n_tasks += 1
        task = f"{self.root}/task/{self.n_tasks}"
        for name, value in (("State", f"'{state}'"), ("Result", result), ("Error", error), ("Description", "'Something'"), ("Progress", "1.0"),
                            ("CreatedUs", "uint64 1795239207470173"), ("CancelWithinMs", "uint32 1000")):
            self.property(task, TASK, name, value)
        return f"(objectpath '{task}',)"


class MockTest(XcpctlTest):
    """A VM manager with the VMs web, db and twin, of which web has a disk and a network interface, and a storage service."""

    def setUp(self):
        super().setUp()
        self.xenopsd, self.storage = Script(XENOPSD), Script(STORAGE)
        self.services = {}

    def start(self):
        """Starts the services, with what a test has added in front of what all of them have."""
        self.add_xenopsd()
        self.add_storage()
        for name, script in (("xenopsd", self.xenopsd), ("storage", self.storage)):
            file = self.root / name
            file.write_text("\n".join(script.lines) + "\n")
            documents = [*SOURCE.glob(f"idl/org.xen.xcp.{name}1.*.xml"), SOURCE / "idl/org.xen.xcp.Task1.xml"]
            self.services[name] = Process([MOCK, self.address, f"org.xen.xcp.{name}", file, *documents])
            self.addCleanup(self.services[name].kill)
            self.services[name].wait_output("ready")

    def add_xenopsd(self):
        script, vms = self.xenopsd, ((WEB, "web", "Running"), (DB, "db", "Halted"), (TWIN, "twin", "Halted"))
        rows = ", ".join(f"(objectpath '{path(XENOPSD, 'vm', uuid)}', '{uuid}', '{name}', '{state}', 'noop')" for uuid, name, state in vms)
        script.reply(XENOPSD, MANAGER, "ListVms", f"([{rows}],)")
        script.reply(XENOPSD, MANAGER, "LookupByUuid", f"(objectpath '{WEB_PATH}',)")
        script.reply(XENOPSD, MANAGER, "Create", f"(objectpath '{path(XENOPSD, 'vm', DB)}',)")
        script.reply(XENOPSD, MANAGER, "GetHostInfo", "({'memory': <uint64 8589934592>, 'memory_free': <uint64 1610612736>, 'cpus': <uint32 4>},)")
        script.reply(XENOPSD, MANAGER, "ListBackends", "([{'name': <'noop'>, 'available': <true>, 'features': <['save']>}],)")
        script.property(WEB_PATH, VM, "Uuid", f"'{WEB}'")
        script.property(WEB_PATH, VM, "Name", "'web'")
        script.property(WEB_PATH, VM, "State", "'Running'")
        script.property(WEB_PATH, VM, "Memory", "uint64 1610612736")
        script.property(WEB_PATH, VM, "Consoles", "[('vnc0', 'Vnc'), ('serial0', 'Serial')]")
        script.property(WEB_PATH, VM, "Addresses", "[('10.0.0.5', '00:16:3e:00:00:01', 'Lease')]")
        script.reply(WEB_PATH, VM, "OpenConsole", "(handle 0,)")
        script.reply(WEB_PATH, VM, "GetConsoleLog", f"([byte {', '.join(map(str, b'what it said' + bytes([10])))}],)")
        script.reply(WEB_PATH, VM, "QueryState", "('Running', 'Requested')")
        script.reply(WEB_PATH, VM, "GetSpec", "({'name': <'web'>, 'memory': <uint64 1073741824>},)")
        script.reply(WEB_PATH, VM, "GetStatistics", "({'uptime_us': <uint64 302000000>, 'memory': <uint64 1024>},)")
        for place, interface, name, root in ((DISK0, VM_DISK, "disk0", DISK_PATH), (NET0, VM_NIC, "net0", None)):
            script.property(place, interface, "Name", f"'{name}'")
            script.property(place, interface, "VM", f"objectpath '{WEB_PATH}'")
            if root:
                script.property(place, interface, "VDI", f"objectpath '{root}'")
            else:
                script.property(place, interface, "Network", "'xenbr0'")
            script.reply(place, interface, "GetStatistics", "({'errors': <uint64 0>},)")
        self.add_tasks(script, XENOPSD_CALLS)

    def add_storage(self):
        script = self.storage
        script.reply(STORAGE, SMANAGER, "ListSRs", f"([(objectpath '{LOCAL_PATH}', '{LOCAL}', 'local', 'directory', 'Attached')],)")
        script.reply(STORAGE, SMANAGER, "ListDrivers", "([('directory', 'Files in a directory.', ['clone'], {'path': 'Where.'})],)")
        script.reply(LOCAL_PATH, SR, "ListVDIs", f"([(objectpath '{DISK_PATH}', '{DISK}', 'root', uint64 10737418240), "
                     f"(objectpath '{path(STORAGE, 'vdi', OTHER)}', '{OTHER}', 'twin', uint64 512)],)")
        script.reply(LOCAL_PATH, SR, "GetSpace", "({'total': <uint64 1099511627776>, 'free': <uint64 512>},)")
        script.property(LOCAL_PATH, SR, "Name", "'local'")
        script.property(DISK_PATH, VDI, "Name", "'root'")
        script.property(DISK_PATH, VDI, "Size", "uint64 10737418240")
        script.reply(DISK_PATH, VDI, "GetUsage", "({'allocated': <uint64 1048576>},)")
        script.reply(DISK_PATH, VDI, "GetStatistics", "({'reads': <uint64 7>, 'read_bytes': <uint64 28672>},)")
        script.reply(LOCAL_PATH, SR, "ImportVDI", script.task(result=f"{{'vdi': <objectpath '{DISK_PATH}'>}}"))
        script.reply(DISK_PATH, VDI, "Export", script.task())
        self.add_tasks(script, STORAGE_CALLS)

    def add_tasks(self, script, calls):
        """Methods that nothing has been said about return a task that has succeeded."""
        said = {tuple(line.split("\t")[1:4]) for line in script.lines}
        for _, *place, arguments in calls:
            if tuple(place) not in said and not arguments.startswith("=") and place[2] != "PowerButton":
                said.add(tuple(place))
                script.reply(*place, script.task())

    def called(self, service, *parts):
        """Waits until the last call that a service saw has all these parts."""

        def last():
            return self.services[service].stdout.splitlines()[-1]

        wait_until(lambda: all(part in last() for part in parts), lambda: f"a call with {parts}; the last is {last()}")
