# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirtd for its user alone, with all that it has in one directory, and libvirt-dbus that brings it to a bus."""

from harness import Process, wait_listening, wait_until
from libvirt import CONNECT, NAME, unpack
from manager import DEADLINE, MEMORY, MIB, timed
from xenopsdclient import Caller

QEMU = "/org/libvirt/QEMU"
DOMAIN = "org.libvirt.Domain"
START_PAUSED = 1  # VIR_DOMAIN_START_PAUSED
# Nothing beside libvirtd itself: no virtlogd, no security driver; and the one daemon instead of one for each driver.
FILES = {
    "qemu.conf": 'stdio_handler = "file"\nsecurity_driver = "none"\n',
    "libvirt.conf": 'remote_mode = "legacy"\n',
}
# What a VM of ours has, device by device.
XML = """
<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/><apic/><vmport state='off'/></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{image}'/><target dev='vda' bus='virtio'/><boot order='1'/>
    </disk>
    <controller type='usb' model='none'/>
    <serial type='unix'><source mode='bind' path='{directory}/{name}.serial'/></serial>
    <channel type='unix'>
      <source mode='bind' path='{directory}/{name}.agent'/><target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='virtio'/>
    <panic model='isa'/>
  </devices>
</domain>
"""


class Libvirtd:
    """It is on the manager's bus, and ends with it."""

    def __init__(self, manager):
        self._directory = manager.bus.directory / "libvirtd"
        self._image = manager.image
        self._settings = self._directory / "config/libvirt"
        self._settings.mkdir(parents=True)
        for name, text in FILES.items():
            (self._settings / name).write_text(text)
        runtime = self._directory / "run"
        runtime.mkdir(mode=0o700)
        env = {"HOME": str(self._directory), "XDG_RUNTIME_DIR": str(runtime), "XDG_CONFIG_HOME": str(self._directory / "config"),
               "XDG_CACHE_HOME": str(self._directory / "cache"), "XDG_DATA_HOME": str(self._directory / "data")}
        self.daemon = manager.enter_context(Process(["/usr/sbin/libvirtd"], env=env))
        wait_listening(runtime / "libvirt/libvirt-sock", DEADLINE)
        unpacked = unpack()
        env |= {"DBUS_SESSION_BUS_ADDRESS": manager.bus.address, "VIRT_DBUS_INTERFACES_DIR": str(unpacked / "usr/share/dbus-1/interfaces")}
        self.gateway = manager.enter_context(Process([unpacked / "usr/sbin/libvirt-dbus", "--session"], env=env))
        self.caller = Caller(manager.bus.address, NAME)
        self.caller.record = False
        manager.callback(self.caller.close)
        manager.callback(self._end_all)
        bus = "org.freedesktop.DBus"
        wait_until(lambda: NAME in manager.bus.call(bus, "/" + bus.replace(".", "/"), f"{bus}.ListNames")[0], f"{NAME} on the bus", DEADLINE)

    def _end_all(self):
        for domain in self.caller.call(QEMU, CONNECT, "ListDomains", "(u)", 0)[0]:
            if self.caller.get(domain, DOMAIN, "Active"):
                self.call(domain, "Destroy", "(u)", 0)
            self.call(domain, "Undefine", "(u)", 0)

    def call(self, domain, method, *arguments):
        """Returns the seconds that it takes."""
        return timed(self.caller.call, domain, DOMAIN, method, *arguments)[1]

    def define(self, name, image=None):
        xml = XML.format(name=name, memory=MEMORY // MIB, image=image or self._image, directory=self._directory)
        return self.caller.call(QEMU, CONNECT, "DomainDefineXML", "(s)", xml)[0]

    def start(self, domain, paused=False):
        return self.call(domain, "Create", "(u)", START_PAUSED if paused else 0)

    def kill(self, domain):
        return self.call(domain, "Destroy", "(u)", 0)

    def undefine(self, domain):
        return self.call(domain, "Undefine", "(u)", 0)
