# SPDX-License-Identifier: LGPL-2.1-or-later
"""PV Calls in a test: the toolstack's part, a backend, a frontend that does what it is told, and a server to talk to."""

import contextlib
import os
import re
import socket
import threading

from harness import Emulation, TestCase, build_directory, wait_until

LINUX = {"EPERM": 1, "EBADF": 9, "ENOMEM": 12, "EACCES": 13, "EBUSY": 16, "EEXIST": 17, "EINVAL": 22, "EMFILE": 24, "EPIPE": 32,
         "EDESTADDRREQ": 89, "ENOPROTOOPT": 92, "EOPNOTSUPP": 95, "EAFNOSUPPORT": 97, "EADDRINUSE": 98, "ECONNABORTED": 103, "ECONNRESET": 104, "ENOBUFS": 105, "EISCONN": 106, "ENOTCONN": 107,
         "ECONNREFUSED": 111, "EALREADY": 114, "ENOTSUP": 524}

DOM = 1  # of the frontend
ALLOW_LOOPBACK = "allow inet 127.0.0.0/8\n"


def directory():
    return build_directory() / "pvcalls/backend"


def make_device(xen, domid, frontend_state="1", backend_domid=0):
    """Writes the nodes of a device as libxl does. `backend` comes last: a frontend that is there looks at it then."""
    backend, frontend = f"/local/domain/{backend_domid}/backend/pvcalls/{domid}/0", f"/local/domain/{domid}/device/pvcalls/0"
    nodes = {
        backend: {"frontend": frontend, "frontend-id": domid, "online": 1, "state": 1},
        frontend: {"backend-id": backend_domid, "state": frontend_state, "backend": backend},
    }
    for path, permissions in ((backend, [f"n{backend_domid}", f"r{domid}"]), (frontend, [f"n{domid}", f"r{backend_domid}"])):
        for name, value in nodes[path].items():
            xen.run(0, "xenstore-write", f"{path}/{name}", str(value))
        for node in (path, *(f"{path}/{name}" for name in nodes[path])):
            xen.run(0, "xenstore-chmod", node, *permissions)


class Backend:
    """A running xcp-pvcalls-backend, with its control socket."""

    def __init__(self, xen, domid, policy=ALLOW_LOOPBACK, arguments=(), prefix=(), where=0):
        self._xen = xen
        place = xen.rundir / f"dom{where}" if where else xen.rundir  # of another domain's, it sees no more
        self.path = str(place / f"pvcalls-{domid}")
        policy_file = place / f"pvcalls-{domid}.policy"
        policy_file.write_text(policy)
        self.process = xen.start(where, *prefix, directory() / "xcp-pvcalls-backend", "--domain", str(domid), "--policy", str(policy_file),
                                 "--control", self.path, "--log-level", "debug", *arguments)
        self.control = None
        self.events = []

    def __enter__(self):
        self.process.wait_output("Serves", stream="stderr")
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(60)
        self.control.connect(self.path)
        self.counters()             # it has accepted: from here on it has the descriptors that a test counts
        return self

    def __exit__(self, *exception):
        if self.control:
            self.control.close()
        self.process.kill()

    def ask(self, request):
        """Returns the lines of the answer, without the ok of the first. What is told besides is kept in events."""
        self.control.send(request.encode())
        while True:
            answer = self.control.recv(65536).decode()
            if not answer:
                raise AssertionError(f"the backend closed its control socket\n{self.process.stderr}")
            if not answer.startswith("event "):
                break
            self.events.append(answer)
        first, *rest = answer.splitlines()
        if not first.startswith("ok"):
            raise AssertionError(first)
        return [first[2:].strip(), *rest]

    def counters(self):
        return {name: int(value) for name, _, value in (line.rpartition(" ") for line in self.ask("counters")[1:])}

    def sockets(self):
        return self.ask("list")[1:]

    def pid(self):
        """Of the program itself, which is a child of `xenemu exec`."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            return int(file.read().split()[0])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid()}/fd"))


class Refused(Exception):
    """A request was answered with an error, or could not be made; the text is the errno's name."""


class Frontend:
    """The toy frontend in a domain: call("connect", 1, "127.0.0.1", 80, 1)."""

    def __init__(self, xen, domid):
        self.process = xen.start(domid, directory() / "pvcalls-toy-frontend")
        self._answers = 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()

    def do(self, *words, deadline=90):
        """Returns the words of the answer."""
        self.process.write(" ".join(str(word) for word in words) + "\n")
        self._answers += 1
        self.process.wait_output(rf"\A(?:.*\n){{{self._answers}}}", deadline)
        answer = self.process.stdout.splitlines()[self._answers - 1].split()
        if answer[0] != "ok":
            raise Refused(answer[1])
        return answer[1:]

    def attach(self, suppress=False):
        self.do("attach", *(["suppress"] if suppress else []))

    def request(self, *words):
        """Puts a request. Returns its number."""
        return int(self.do(*words)[0])

    def result(self, number, milliseconds=60000):
        """The result of a request: 0, or the error's name."""
        return name_of(int(self.do("await", number, milliseconds)[0]))

    def call(self, *words):
        return self.result(self.request(*words))

    def call_long(self, *words):
        """For a request of an extension: the result, and if it is 0, the bytes that the response has, and how many there are."""
        result, n, piece = self.do("await-long", self.request(*words))
        return name_of(int(result)), int(n), bytes.fromhex(piece)[: int(n)]

    def name(self, socket_id, which):
        """A socket's address or its peer's: (address, port), or the name of an error. which: LOCAL or PEER."""
        result, n, piece = self.call_long("getname", socket_id, which)
        return result or parse_name(piece[:n])

    def is_answered(self, number, milliseconds=300):
        try:
            self.do("await", number, milliseconds)
        except Refused as error:
            if str(error) == "ETIME":
                return False
            raise
        return True

    def connect(self, socket_id, port, order=1, address="127.0.0.1"):
        """Returns 0 or the name of an error."""
        return self.call("socket", socket_id) or self.call("connect", socket_id, address, port, order)

    def transfer(self, how, socket_id, n):
        """Returns how many bytes went, and the name of the error that ended it or 0."""
        moved, error = self.do(how, socket_id, n)
        return int(moved), name_of(int(error))


LOCAL, PEER = 0, 1  # of getname
READ, WRITE, BOTH = 0, 1, 2  # of shutdown


def parse_name(data):
    """A socket address as it is on the ring: (address, port)."""
    family = int.from_bytes(data[:2], "little")
    if family == 2 and len(data) == 16:
        return socket.inet_ntop(socket.AF_INET, data[4:8]), int.from_bytes(data[2:4], "big")
    if family == 10 and len(data) == 28:
        return socket.inet_ntop(socket.AF_INET6, data[8:24]), int.from_bytes(data[2:4], "big")
    raise AssertionError(f"{data.hex()} is no address")


def name_of(number):
    return 0 if number == 0 else next((name for name, value in LINUX.items() if value == -number), str(number))


class Server:
    """A TCP server of the host: each connection is handed to a function in a thread of its own. address is where it listens."""

    def __init__(self, handle, address="127.0.0.1"):
        self._handle = handle
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, 0), backlog=1024, family=family)
        self.port = self.listener.getsockname()[1]
        self.connections = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            self._handle(connection)

    def wait_connections(self, n):
        wait_until(lambda: len(self.connections) >= n, lambda: f"{n} connections in place of {len(self.connections)}")


def echo(connection):
    """Sends back what comes, and its end."""
    buffer = memoryview(bytearray(1 << 18))
    while n := connection.recv_into(buffer):
        connection.sendall(buffer[:n])
    connection.shutdown(socket.SHUT_WR)


def keep(connection):
    """Does nothing with it."""


class Counted(TestCase):
    """What there is of devices, so that a test can say that nothing is left: event channels, maps, nodes of the store, and backends' descriptors."""

    def used(self):
        """What domain 0 has of Xen."""
        domain = next(domain for domain in self.xen.list() if domain["domid"] == 0)
        return {what: domain[what]["used"] for what in ("ports", "maptrack")}

    def wait_used(self, expected, what="at the end"):
        wait_until(lambda: self.used() == expected, lambda: f"domain 0 using {expected} in place of {self.used()}, {what}")

    def nodes(self, domid=None):
        """Paths of all devices' nodes, or of those of one frontend domain; what went wrong with them is among them."""
        found = (line.partition(" = ")[0] for line in self.xen.run(0, "xenstore-ls", "-f", "/local/domain").stdout.splitlines())
        wanted = rf"/pvcalls/{domid}(/|$)|/domain/{domid}/device/pvcalls" if domid else "/pvcalls|/error"
        return sorted(path for path in found if re.search(wanted, path))

    def left(self, *backends):
        return {**self.used(), "nodes": self.nodes(), "descriptors": [backend.descriptors() for backend in backends]}

    def wait_left(self, expected, *backends, what="at the end"):
        """Waits until there is exactly as much as left() has said before."""
        wait_until(lambda: self.left(*backends) == expected, lambda: f"{expected} to be left in place of {self.left(*backends)}, {what}")

    def wait_destroyed(self, before, nodes, *domids):
        """
        Waits until domain 0 has nothing of domains that were destroyed: no more than before their devices were there (used()), less xenstored's port
        and page of each. The nodes are the toolstack's to remove, which here is nobody: there are none but those that were there when it was attached.
        """
        self.wait_used({what: n - len(domids) for what, n in before.items()}, f"after the end of {domids}")
        self.assertEqual(set(self.nodes()) - set(nodes), set())


class Attached(Counted):
    """Domain 1 with a device, a backend for it in domain 0, and a frontend that is connected."""

    policy = ALLOW_LOOPBACK
    arguments = ()
    prefix = ()  # in front of the backend's command line
    suppress = False
    emulation = ()

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.xen = stack.enter_context(Emulation(domains=1, arguments=self.emulation))
        make_device(self.xen, DOM)
        self.before = self.used()
        self.backend = stack.enter_context(Backend(self.xen, DOM, self.policy, self.arguments, self.prefix))
        self.frontend = stack.enter_context(Frontend(self.xen, DOM))
        self.stack = stack
        self.frontend.attach(self.suppress)
        self.attached = self.left(self.backend)

    def serve(self, handle=echo, address="127.0.0.1"):
        return self.stack.enter_context(Server(handle, address))

    def listen(self, socket_id, backlog=16):
        """Returns the port."""
        self.assertEqual(self.frontend.call("socket", socket_id), 0)
        self.assertEqual(self.frontend.call("bind", socket_id, "127.0.0.1", 0), 0)
        self.assertEqual(self.frontend.call("listen", socket_id, backlog), 0)
        line = next(line for line in self.backend.sockets() if " Listening " in line)
        return int(line.split()[4])

    def dial(self, port):
        connection = self.stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
        connection.settimeout(60)
        return connection
