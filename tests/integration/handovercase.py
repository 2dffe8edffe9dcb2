# SPDX-License-Identifier: LGPL-2.1-or-later
"""Test cases with a storage service that is moved: from process to process on one bus, or between domains."""

import os
import pathlib
import signal
import sys
import threading
import time

from dbuswire import Bus as Wire
from dbuswire import CallFailed
from harness import Emulation, Process, TestCase, build_directory, wait_until
from harness.bus import Bus

BUILD = build_directory()
STORAGE = BUILD / "services/storage/xcp-storage"
MOVE = BUILD / "bridge/xcp-move"
DRIVER = BUILD / "vhost/blk/vhost-toy-driver"
BRIDGE = BUILD / "bridge/xcp-bridge"
BUS_RUN = BUILD / "bus/xcp-bus-run"
XCPCTL = BUILD / "tools/xcpctl/xcpctl"

NAME = "org.xen.xcp.storage"
ROOT = "/org/xen/xcp/storage"
MANAGER = "org.xen.xcp.storage1.Manager"
SR = "org.xen.xcp.storage1.SR"
VDI = "org.xen.xcp.storage1.VDI"
TASK = "org.xen.xcp.Task1"
HANDOVER = "org.xen.xcp.Handover1"
PROPERTIES = "org.freedesktop.DBus.Properties"
NO_REPLY = "org.freedesktop.DBus.Error.NoReply"

STEPS = ("rehearse", "quiesce", "copy", "load", "retire", "activate", "relay")
MOVED = r"^(moved|failed) (.*)$"


class Client(Wire):
    """Calls the service by its name, wherever it is."""

    def ask(self, path, interface, method, signature="", *arguments, destination=NAME):
        return self.call(destination, path, interface, method, signature, *arguments)

    def finish(self, task):
        """Waits for a task and destroys it; its result."""
        properties = {}

        def ended():
            properties.update(self.ask(task, PROPERTIES, "GetAll", "s", TASK)[0])
            return properties["State"][1] in ("Succeeded", "Failed", "Cancelled")

        wait_until(ended, f"the end of {task}")
        self.ask(task, TASK, "Destroy")
        if properties["State"][1] != "Succeeded":
            raise CallFailed(*properties["Error"][1][:2])
        return {key: value for key, (_, value) in properties["Result"][1].items()}

    def run(self, path, interface, method, signature="", *arguments):
        return self.finish(self.ask(path, interface, method, signature, *arguments)[0])

    def create(self, sr, name):
        return self.run(sr, SR, "CreateVDI", "a{sv}", {"name": ("s", name), "size": ("t", 1 << 20)})["vdi"]

    def names(self, sr):
        return sorted(name for _, _, name, *_ in self.ask(sr, SR, "ListVDIs")[0])


class Load:
    """Clients that call without a pause until they are told to end. What failed is in .failures, what was done in .done."""

    def __init__(self, path, sr, vdi, by_unique_name=True):
        self.failures, self.created, self.attempted = [], [], []
        self.done = {}
        self.longest = 0.0
        self._path, self._sr, self._vdi = path, sr, vdi
        self._stop = threading.Event()
        self._lock = threading.Lock()
        jobs = [self.list, self.list, self.create, self.create, self.pipeline] + [self.hold_on] * by_unique_name
        self._n_kinds = len(set(jobs))
        self._threads = [threading.Thread(target=self._run, args=(job, number), daemon=True) for number, job in enumerate(jobs)]
        for thread in self._threads:
            thread.start()

    def _run(self, job, number):
        with Client(self._path) as client:
            state = {"owner": client.owner(NAME), "n": 0, "number": number}
            while not self._stop.is_set():
                before = time.monotonic()
                try:
                    job(client, state)
                except CallFailed as failed:
                    with self._lock:
                        self.failures.append((job.__name__, failed.name, failed.text))
                except Exception as error:  # it is the test's to say so
                    self.failures.append((job.__name__, type(error).__name__, str(error)))
                    return
                with self._lock:
                    self.longest = max(self.longest, time.monotonic() - before)
                    self.done[job.__name__] = self.done.get(job.__name__, 0) + 1

    def list(self, client, state):
        assert len(client.ask(ROOT, MANAGER, "ListSRs")[0]) == 1

    def create(self, client, state):
        name = f"{state['number']}-{state['n']}"
        state["n"] += 1
        self.attempted.append(name)
        client.create(self._sr, name)
        self.created.append(name)

    def pipeline(self, client, state):
        """Calls that are sent without waiting are handled in their order, also when the service moves in between."""
        serials = []
        for _ in range(10):
            state["n"] += 1
            serials.append(client.call_async(NAME, self._vdi, PROPERTIES, "Set", "ssv", VDI, "Description", ("s", str(state["n"]))))
        serials.append(client.call_async(NAME, self._vdi, PROPERTIES, "Get", "ss", VDI, "Description"))
        answers = [client.answer(serial) for serial in serials]
        assert answers[-1][0][1] == str(state["n"]), f"{answers[-1]} is not {state['n']}"

    def hold_on(self, client, state):
        """A client that has asked once who owns the name, as many bindings do, and notices a little later that somebody else does."""
        client.ask(ROOT, MANAGER, "ListSRs", destination=state["owner"])
        state["n"] += 1
        if state["n"] % 100 == 0:
            state["owner"] = client.owner(NAME) or state["owner"]

    def wait_for_more(self, n=10):
        """Waits until each of the clients has done n things more."""
        before = dict(self.done)
        wait_until(lambda: len(self.done) == self._n_kinds and all(self.done[job] >= before.get(job, 0) + n for job in self.done) or self.failures,
                   lambda: f"{n} more of each of {self.done}, {before}")

    def end(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "a client still waits for an answer"


class HandoverTest(TestCase):
    """A bus; the storage service, with a storage repository; and one that stands by."""

    def setUp(self):
        self.root = pathlib.Path(self.temporary_directory())
        self.bus = Bus(self.root)
        self.addCleanup(self.bus.kill)
        self.path = self.root / "bus"
        (self.root / "sr").mkdir()
        self.old = self.start("a")
        self.client = self.connect()
        spec = {"name": ("s", "d"), "driver": ("s", "directory"), "config": ("a{ss}", {"path": str(self.root / "sr")})}
        self.sr = self.client.run(ROOT, MANAGER, "CreateSR", "a{sv}", spec)["sr"]
        self.vdi = self.client.create(self.sr, "first")
        self.new = self.start("b", "--standby")
        self.changes = self.connect()
        self.changes.match(f"type='signal',member='NameOwnerChanged',arg0='{NAME}'")

    def connect(self):
        client = Client(self.path)
        self.addCleanup(client.close)
        return client

    def start(self, state, *arguments, haste=1):
        """haste: all its bounds are so many times shorter."""
        service = Process.ready([STORAGE, "--bus-address", self.bus.address, "--state-dir", self.root / state, *arguments],
                                env={"XCP_HANDOVER_HASTE": str(haste)})
        self.addCleanup(self.end, service)
        return service

    def end(self, service):
        """Ends it as it should be ended, and sees that nothing that a sanitizer complains of has happened."""
        if service.running():
            service.signal(signal.SIGTERM)
            service.wait()
        self.assertNotRegex(service.stderr, "Sanitizer|runtime error")

    def mover(self, *arguments):
        mover = Process([MOVE, NAME, *arguments], env={"XCP_BUS_ADDRESS": self.bus.address})
        self.addCleanup(mover.kill)
        return mover

    def move(self):
        """All of a move. Its last line: moved or failed, and what more it says."""
        return self.mover().wait_output(MOVED).groups()

    def move_until(self, step):
        """A move that waits before a step."""
        mover = self.mover(step)
        mover.wait_output(f"^step {step}$")
        return mover

    def load(self):
        load = Load(self.path, self.sr, self.vdi)
        self.addCleanup(load.end)
        load.wait_for_more()
        return load

    def owner_pid(self):
        """Of the process that has the name; None if nobody has, or has ended since it was asked who."""
        owner = self.client.owner(NAME)
        try:
            return owner and self.client.driver("GetConnectionUnixProcessID", "s", owner)[0]
        except CallFailed as failed:
            if failed.name != "org.freedesktop.DBus.Error.NameHasNoOwner":
                raise
            return None

    def n_changes(self):
        """How often the name has changed hands since the last question."""
        self.changes.driver("GetId")  # what was sent before has arrived
        changes = [m.body for m in self.changes.queue if m.member == "NameOwnerChanged"]
        self.changes.queue.clear()
        return changes

    def check_done_once(self, load, failed=()):
        """Nothing failed but what may; what was acknowledged is there, and nothing twice."""
        load.end()
        self.assertEqual([f for f in load.failures if f[1] not in failed], [])
        names = self.client.names(self.sr)
        self.assertEqual(len(names), len(set(names)), "executed twice")
        self.assertEqual(set(load.created) - set(names), set(), "lost")
        if not load.failures:
            self.assertEqual(names, sorted(["first", *load.attempted]))

    def check_is_back(self, service, load=None, failed=()):
        """It serves, as if nothing had been."""
        wait_until(lambda: self.owner_pid() == service.pid, "the name to come back")
        self.client.create(self.sr, "after all")
        if load:
            load.attempted.append("after all")
            load.wait_for_more()
            self.check_done_once(load, failed)

    def wait_gone(self, service):
        service.wait()


class AcrossTest(TestCase):
    """Domains that are joined by bridges, and see the same directory of disks, as domains on a shared file system do."""

    domains = 2
    broker = os.environ.get("XCP_BROKER", "dbus-daemon")
    policy = "".join(f"{line}\n" for name in (NAME, f"{NAME}.*") for line in (
        f"allow in any {name} from any", f"allow out any {name} to any", f"allow own {name} by any"))

    def setUp(self):
        self.shared = pathlib.Path(self.temporary_directory())
        self.xen = self.enterContext(Emulation(domains=self.domains, arguments=("--keep", self.shared, "--keep", BUILD)))
        for domain in range(self.domains + 1):
            self.start_ready(domain, BUS_RUN, "--broker", self.broker)
            (self.directory(domain) / "test.policy").write_text(self.policy)
            self.start_ready(domain, BRIDGE, "--policy", self.directory(domain) / "test.policy")
        self.client = self.connect(0)
        for domain in range(1, self.domains + 1):
            wait_until(lambda: self.link_is_up(domain), f"the link to domain {domain}")

    def start_storage(self, domain, *arguments, state="state/storage", **options):
        return self.start_ready(domain, STORAGE, "--bus-address", f"unix:path={self.path(domain)}", "--state-dir", self.directory(domain) / state,
                                *arguments, **options)

    def make_disks(self, place="sr"):
        (self.shared / place).mkdir()
        spec = {"name": ("s", place), "driver": ("s", "directory"), "config": ("a{ss}", {"path": str(self.shared / place)})}
        self.sr = self.client.run(ROOT, MANAGER, "CreateSR", "a{sv}", spec)["sr"]
        self.vdi = self.client.create(self.sr, "first")

    def directory(self, domain):
        return self.xen.rundir / f"dom{domain}"

    def path(self, domain):
        return self.directory(domain) / "bus"

    def start_ready(self, domain, *argv, **options):
        process = self.xen.start_ready(domain, *argv, **options)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """Ends it as it should be ended. Of a test that failed, what it had to say is shown."""
        if process.running():
            process.signal(signal.SIGTERM)
            process.wait()
        if self._outcome.result is not None and self._outcome.result._errors:
            print(f"--- {process}\n{process.stderr[-3000:]}", file=sys.stderr)
        self.assertNotRegex(process.stderr, "Sanitizer|runtime error")

    def connect(self, domain):
        client = Client(self.path(domain))
        self.addCleanup(client.close)
        return client

    def bridge(self, method, signature="", *arguments):
        return self.client.ask("/org/xen/xcp/bridge", "org.xen.xcp.bridge1.Manager", method, signature, *arguments,
                               destination="org.xen.xcp.bridge")

    def link_is_up(self, domain):
        try:
            return self.client.ask(f"/org/xen/xcp/bridge/link/{domain}", PROPERTIES, "Get", "ss", "org.xen.xcp.bridge1.Link", "State",
                                   destination="org.xen.xcp.bridge")[0][1] == "Up"
        except CallFailed:
            return False

    def move(self, domain):
        """Moves it; the result, and what became of the task's progress."""
        task, = self.bridge("MoveService", "su", NAME, domain)
        properties = {}

        def ended():
            properties.update(self.client.ask(task, PROPERTIES, "GetAll", "s", TASK, destination="org.xen.xcp.bridge")[0])
            return properties["State"][1] in ("Succeeded", "Failed", "Cancelled")

        wait_until(ended, f"the end of {task}", deadline=90)
        if properties["State"][1] != "Succeeded":
            raise CallFailed(*properties["Error"][1][:2])
        return {key: value for key, (_, value) in properties["Result"][1].items()}

    def n_changes(self, client):
        client.driver("GetId")
        changes = [m.body for m in client.queue if m.member == "NameOwnerChanged"]
        client.queue.clear()
        return changes
