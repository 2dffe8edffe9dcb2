# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that people have, unmodified in a domain, with their sockets in another: as their users know them."""

import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sys
import threading

from carried import DOM, RUN, Carried
from harness import Emulation, TestCase, run, wait_until
from pvcalls import Backend, Server, echo, keep, make_device

MIB = 1 << 20


def kept_alive(ends):
    """Of ("local" or "remote", port), those that a connection of the host's has whose timer is that of keep-alive; once for each."""
    found = []
    for line in pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, state, _, timer, *_ = line.split()
        if state == "01" and timer.startswith("02:"):
            found += [(which, port) for which, port in (("local", int(local[-4:], 16)), ("remote", int(remote[-4:], 16))) if (which, port) in ends]
    return found


class Programs(Carried):
    def setUp(self):
        super().setUp()
        # Of the loopback, where the backend has the sockets: nobody else's programs listen there, whatever the port.
        self.address = "127.{}.{}.{}".format(*(random.randrange(1, 255) for _ in range(3)))

    def put(self, path, text):
        """Makes a file in the domain's own /tmp."""
        self.xen.run(DOM, "sh", "-c", f'mkdir -p "$(dirname "{path}")" && cat > "{path}" && chmod 600 "{path}"', input=text)

    def serve_page(self, size=2 * MIB):
        """A web server of the host; returns its address, and what it serves."""
        page = random.Random(2).randbytes(size)

        def handle(connection):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
            connection.close()

        server = self.stack.enter_context(Server(handle))
        return f"http://127.0.0.1:{server.port}/", hashlib.sha256(page).hexdigest()


class Clients(Programs):
    def fetch(self, command):
        url, digest = self.serve_page()
        result = self.run_carried("sh", "-c", f"{command} {url} | sha256sum")
        self.assertEqual(result.stdout.split()[0], digest, result.stderr)
        self.wait_tidy()

    def test_curl(self):
        self.fetch("curl --silent --show-error")

    def test_wget(self):
        self.fetch("wget --quiet --output-document=-")

    def test_static_wget(self):
        self.fetch("busybox wget -q -O -")

    def test_static_nc(self):
        received = []

        def handle(connection):
            while chunk := connection.recv(65536):
                received.append(chunk)
            connection.sendall(b"answered")
            connection.close()

        server = self.stack.enter_context(Server(handle))
        said = self.run_carried("busybox", "nc", "127.0.0.1", str(server.port), input=b"question" * 10000).stdout
        self.assertEqual((said, b"".join(received)), ("answered", b"question" * 10000))

    def test_refused(self):
        with socket.socket() as refusing:
            refusing.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:{}/".format(refusing.getsockname()[1])
            self.assertEqual(self.run_carried("curl", "--silent", url, check=None).status, 7)  # "failed to connect", curl(1)
            self.assertIn("Connection refused", self.run_carried("wget", "--tries=1", "-O", "-", url, check=None).stderr)

    def test_refused_by_policy(self):
        url, _ = self.serve_page()
        self.backend.ask("policy\ndeny\n")
        self.assertIn("Permission denied", self.run_carried("wget", "--tries=1", "-O", "-", url, check=None).stderr)

    def test_a_reset_by_the_other_side(self):
        def handle(connection):
            connection.recv(1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()

        server = self.stack.enter_context(Server(handle))
        script = f"import socket; one = socket.create_connection(('127.0.0.1', {server.port})); one.send(b'x'); one.recv(1)"
        self.assertIn("ConnectionResetError", self.run_carried(sys.executable, "-c", script, check=None).stderr)


class Servers(Programs):
    def test_nginx(self):
        self.put("/tmp/nginx/conf", f"""
            daemon off; worker_processes 2; pid /tmp/nginx/pid; error_log stderr warn;
            events {{ use epoll; }}
            http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 20;
                    server {{ listen {self.address}:8080; root /tmp/nginx/www; }} }}""")
        self.xen.run(DOM, "sh", "-c", "mkdir -p /tmp/nginx/www && chmod 755 /tmp/nginx /tmp/nginx/www"
                     " && head -c 1000000 /dev/urandom > /tmp/nginx/www/page")
        digest = self.xen.run(DOM, "sha256sum", "/tmp/nginx/www/page").stdout.split()[0]
        self.start_carried("nginx", "-e", "stderr", "-c", "/tmp/nginx/conf")
        self.wait_listening(8080)
        url = f"http://{self.address}:8080/page"
        digests = []

        def fetch():
            fetched = run("sh", "-c", f"for i in 1 2 3 4 5; do curl --silent --show-error {url} | sha256sum; done").stdout
            digests.extend(line.split()[0] for line in fetched.splitlines())

        threads = [threading.Thread(target=fetch) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(digests, [digest] * 20)
        again = run("curl", "--silent", "--output", "/dev/null", "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\\n", url, url)
        self.assertEqual(again.stdout, "200 1\n200 0\n")  # the connection was kept
        self.assertEqual(run("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", url + "-not").stdout, "404")

    def test_redis(self):
        server = self.start_carried("redis-server", "--bind", self.address, "--port", "6379", "--save", "", "--protected-mode", "no", "--dir", "/tmp")
        self.wait_listening(6379)
        ask = ("redis-cli", "-h", self.address, "--raw")
        self.assertEqual(run(*ask, "set", "a", "b").stdout.strip(), "OK")
        said = self.run_carried("redis-benchmark", "-h", self.address, "-n", "2000", "-c", "20", "-d", "1000", "-q", "-t", "set,get")
        self.assertRegex(said.stdout, r"(?s)SET: .* requests per second.*GET: .* requests per second")
        self.assertEqual(self.run_carried(*ask, "get", "a").stdout.strip(), "b")
        clients = run(*ask, "client", "list").stdout
        self.assertRegex(clients, r"addr=127\.0\.0\.1:\d+ laddr=" + self.address.replace(".", r"\.") + ":6379")
        os.kill(self.backend.pid(), signal.SIGKILL)
        self.backend.process.wait()
        with Backend(self.xen, DOM, policy="allow inet\n") as self.backend:
            self.wait_listening(6379)  # a listener outlives its backend
            self.assertEqual(run(*ask, "get", "a").stdout.strip(), "b")
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait().status, 0)

    def test_iperf3_server(self):
        self.start_carried("iperf3", "--server", "--bind", self.address, "--one-off")
        self.wait_listening(5201)
        said = json.loads(run("iperf3", "--client", self.address, "--bytes", "32M", "--parallel", "2", "--json").stdout)
        self.assertGreaterEqual(said["end"]["sum_sent"]["bytes"], 32 * MIB)
        self.assertGreater(said["end"]["sum_received"]["bytes"], MIB)  # when the client says that it is done, much is still on its way

    def test_iperf3_client_that_receives(self):
        with self.xen.start(0, "iperf3", "--server", "--bind", self.address, "--one-off", "--forceflush") as server:
            server.wait_output("Server listening")
            said = json.loads(self.run_carried("iperf3", "--client", self.address, "--bytes", "32M", "--reverse", "--json").stdout)
        self.assertGreaterEqual(said["end"]["sum_received"]["bytes"], 32 * MIB)
        self.assertEqual(said["start"]["connected"][0]["remote_host"], self.address)
        self.assertEqual(said["start"]["connected"][0]["local_host"], "127.0.0.1")

    def test_asyncio(self):
        script = pathlib.Path(__file__).with_name("asyncio-echo.py")
        self.assertEqual(self.run_carried(sys.executable, script, self.address).stdout, "40 connections, 2000000 bytes each way\n")

    def test_ssh(self):
        directory = pathlib.Path(self.temporary_directory())
        for name in ("host", "user"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name)
        for name in ("host", "user", "user.pub"):
            self.put(f"/tmp/ssh/{name}", (directory / name).read_text())
        self.put("/tmp/ssh/config", f"""
            ListenAddress {self.address}:2222
            HostKey /tmp/ssh/host
            AuthorizedKeysFile /tmp/ssh/user.pub
            StrictModes no
            UsePAM no
            PermitRootLogin yes
            PidFile none
            """)
        self.xen.run(DOM, "mkdir", "-p", "/run/sshd")
        self.start_carried("/usr/sbin/sshd", "-D", "-e", "-f", "/tmp/ssh/config")
        self.wait_listening(2222)
        options = ("-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", "2222")
        data = random.Random(3).randbytes(MIB)
        command = 'sha256sum; echo "$SSH_CONNECTION"; exit 3'
        for ssh, key in ((lambda *words: run(*words, input=data, check=3), directory / "user"),
                         (lambda *words: self.run_carried(*words, input=data, check=3), "/tmp/ssh/user")):
            said = ssh("ssh", *options, "-i", key, f"root@{self.address}", command).stdout
            self.assertEqual(said.split()[0], hashlib.sha256(data).hexdigest())
            self.assertRegex(said, rf"127\.0\.0\.1 \d+ {self.address} 2222")


class Running(Programs):
    def test_the_exit_status_is_the_program_s(self):
        self.run_carried("sh", "-c", "exit 7", check=7)
        self.assertIn(self.run_carried("sh", "-c", "kill -KILL $$", check=None).status, (-9, 137))
        self.run_carried("/nowhere/nothing", check=127)
        self.run_carried("/etc/passwd", check=126)
        self.wait_tidy()

    def test_what_is_not_carried_stays_here(self):
        with socket.create_server((self.address, 0)) as outside:
            address = outside.getsockname()
            script = f"""
import socket
with socket.create_server(("127.0.0.1", 0)) as own, socket.create_connection(own.getsockname()) as one, own.accept()[0] as other:
    one.send(b"x")
    print(other.recv(1), other.getpeername() == one.getsockname())
print(socket.socket().connect_ex({address}))
"""
            arguments = ("--", sys.executable, "-c", script)
            self.assertEqual(self.xen.run(DOM, RUN, "--net", "10.0.0.0/8", *arguments).stdout.splitlines(), ["b'x' True", "111"])
            self.assertEqual(self.xen.run(DOM, RUN, "--net", f"10.0.0.0/8,{self.address}/31", *arguments).stdout.splitlines(), ["b'x' True", "0"])

    def start_httpd(self, port):
        """A static server with one file."""
        self.xen.run(DOM, "sh", "-c", "mkdir -p /tmp/www && echo served > /tmp/www/file")
        process = self.start_carried("busybox", "httpd", "-f", "-p", f"{self.address}:{port}", "-h", "/tmp/www")
        self.wait_listening(port)
        return process

    def test_programs_come_and_go_while_others_run(self):
        url, digest = self.serve_page(1000)
        httpd = self.start_httpd(8081)
        for _ in range(5):
            self.assertEqual(self.run_carried("sh", "-c", f"curl -s {url} | sha256sum").stdout.split()[0], digest)
            self.assertEqual(run("curl", "-s", f"http://{self.address}:8081/file").stdout, "served\n")
        httpd.kill()
        self.wait_tidy()

    def test_who_comes_while_the_supervisor_leaves_has_the_next(self):
        """Which is made when the first has let go of the device: two that write its nodes at once would undo what each other says."""
        def state():
            return self.xen.run(0, "xenstore-read", f"/local/domain/{DOM}/device/pvcalls/0/state").stdout.strip()

        def waits():
            lock = f":{os.stat(self.xen.rundir / f'dom{DOM}/pvcalls-run.lock').st_ino} "
            return any(" -> " in line and lock in line for line in pathlib.Path("/proc/locks").read_text().splitlines())

        first = self.start_carried("cat")
        wait_until(lambda: state() == "4", "the first to be connected")
        os.kill(self.backend.pid(), signal.SIGSTOP)
        try:
            first.close_stdin()
            first.wait().check()
            wait_until(lambda: state() == "5", "its supervisor to leave")
            second = self.start_carried("echo", "well")
            wait_until(lambda: waits() or state() != "5", "the second to come")
        finally:
            os.kill(self.backend.pid(), signal.SIGCONT)
        self.assertEqual(second.wait().check().stdout, "well\n")
        self.wait_tidy()

    def start_server(self, port, then):
        """A program that listens, says so, and does what `then` says, whose `one` is the listener."""
        script = f"import signal, socket\none = socket.create_server(({self.address!r}, {port}))\n{then}\nsignal.pause()"
        process = self.start_carried(sys.executable, "-u", "-c", script)
        self.wait_listening(port)
        return process

    def wait_nothing_left(self):
        wait_until(lambda: not self.backend.sockets(), lambda: f"no socket to be left: {self.backend.sockets()}")
        self.wait_tidy()

    def test_a_program_that_is_killed_ends_its_connections(self):
        server = self.start_server(8082, "two = one.accept()[0]\nprint(two.recv(10))")
        with socket.create_connection((self.address, 8082), 60) as one:
            one.send(b"taken")
            server.wait_output("b'taken'")
            server.kill()
            self.assertEqual(one.recv(1), b"")
        self.wait_nothing_left()

    def test_a_program_that_is_killed_resets_what_it_did_not_accept(self):
        server = self.start_server(8083, "")
        with socket.create_connection((self.address, 8083), 60) as one:
            server.kill()
            with self.assertRaises(ConnectionResetError):
                one.recv(1)
        self.wait_nothing_left()

    def test_a_peer_that_never_reads_keeps_nothing(self):
        server = self.stack.enter_context(Server(keep))
        script = f"""
import socket
one = socket.create_connection(("127.0.0.1", {server.port}))
one.settimeout(0.3)
try:
    while True:
        one.send(b"x" * 65536)
except TimeoutError:
    pass
"""
        self.run_carried(sys.executable, "-c", script)
        self.wait_tidy()  # some 5 s later: server.connections is still open

    def test_what_cannot_be_carried_says_so(self):
        script = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)

def name_of(result):
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "0"

print("io_uring", name_of(libc.syscall(425, 1, None)))
print("x32", name_of(libc.syscall(0x40000000 | 41, socket.AF_INET, socket.SOCK_STREAM, 0)))
for what, flags in (("fast open", socket.MSG_FASTOPEN), ("urgent", socket.MSG_OOB)):
    with socket.socket() as one:
        try:
            one.sendto(b"x", flags, ("127.0.0.1", 9))
        except OSError as error:
            print(what, errno.errorcode[error.errno])
with socket.socket() as one:
    for what, call in (("of a message", lambda: one.sendmsg([b"x"], [], socket.MSG_OOB)),
                       ("before connecting", lambda: one.setsockopt(socket.IPPROTO_TCP, 30, 1))):  # TCP_FASTOPEN_CONNECT
        try:
            print(what, call())
        except OSError as error:
            print(what, errno.errorcode[error.errno])
"""
        said = self.run_carried(sys.executable, "-c", script).stdout.splitlines()
        self.assertEqual(said, ["io_uring ENOSYS", "x32 ENOSYS", "fast open ENOTSUP", "urgent ENOTSUP", "of a message ENOTSUP", "before connecting ENOTSUP"])

    def test_keep_alive_is_the_connection_s(self):
        """Asked for before it is connected, by a connect that does not wait as well, afterwards, and by a listener: seen on the backend's sockets."""
        server = self.stack.enter_context(Server(keep))
        script = f"""
import select, socket
server, kept = ("127.0.0.1", {server.port}), []
for keep_before, waits in ((True, True), (True, False), (False, True)):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keep_before)
    one.setblocking(waits)
    one.connect_ex(server)
    select.select([], [one], [], 60)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) if not keep_before else None
    kept.append(one)
listener = socket.create_server(("{self.address}", 0))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
print(listener.getsockname()[1], flush=True)
accepted = listener.accept()[0]
print("accepted", flush=True)
accepted.recv(1)
"""
        program = self.start_carried(sys.executable, "-c", script)
        port = int(program.wait_output(r"^(\d+)\n").group(1))
        with socket.create_connection((self.address, port), 60) as client:
            program.wait_output("accepted")
            ends = [("remote", server.port)] * 3 + [("local", port)]
            wait_until(lambda: sorted(kept_alive(ends)) == sorted(ends), lambda: f"keep-alive of {ends}: {kept_alive(ends)}")
            client.sendall(b"x")
        program.wait().check()
        self.wait_tidy()

    def test_a_second_time_around_a_program(self):
        said = self.run_carried(RUN, "--all", "--", "true", check=125)
        self.assertIn("has a supervisor already", said.stderr)

    def test_wrong_arguments(self):
        for words, complaint in (((), "which program?"), (("--net", "x", "--", "true"), "--net x:"), (("--wait", "-1", "--", "true"), "--wait -1:"),
                                 (("--nte", "10.0.0.0/8", "--", "true"), "xcp-pvcalls-run: unrecognized option '--nte'\nxcp-pvcalls-run: see")):
            with self.subTest(words=words):
                self.assertIn(complaint, self.xen.run(DOM, RUN, *words, check=125).stderr)


class Few(Programs):
    """There is no more of something: connections beyond it fail, others go on, and nothing is lost."""

    def fill(self, supervisor=(), program=()):
        """
        Makes connections until one fails, with these in front of the command lines. Returns what was told: whether there were some, the error, and what
        was echoed to one that came later.
        """
        server = self.stack.enter_context(Server(echo))
        script = f"""
import errno, socket, time
kept, failed = [], None
while failed is None and len(kept) < 500:
    one = socket.socket()
    one.settimeout(60)
    try:
        one.connect(("127.0.0.1", {server.port}))
        kept.append(one)
    except OSError as error:
        failed = errno.errorcode.get(error.errno)
for one in kept:
    one.sendall(b"x")
    assert one.recv(1) == b"x"
for one in kept:
    one.close()
deadline = time.monotonic() + 60
while True:  # what was closed counts until the backend has let go of it
    try:
        one = socket.create_connection(("127.0.0.1", {server.port}), 60)
        break
    except OSError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.01)
one.sendall(b"again")
print(len(kept) > 3, failed, one.recv(5))
"""
        said = self.xen.run(DOM, *supervisor, RUN, "--all", "--", *program, sys.executable, "-c", script)
        self.wait_tidy()
        return said.stdout.strip()


class FewDescriptors(Few):
    def test_of_the_supervisor(self):
        told = self.fill(("prlimit", "--nofile=160:160"), ("prlimit", "--nofile=120:120"))
        self.assertRegex(told, r"True (EMFILE|ENFILE|ENOBUFS|ENOMEM) b'again'")


class FewPages(Few):
    shared_pages = 200

    def test_the_log_says_what_there_is_too_little_of(self):
        self.assertEqual(self.fill(), "True ENOBUFS b'again'")
        self.assertIn("gntalloc", (self.xen.rundir / f"dom{DOM}/pvcalls-run.log").read_text())


class Without(TestCase):
    """What cannot work says so."""

    def test_without_a_device(self):
        with Emulation(domains=1) as xen:
            said = xen.run(DOM, RUN, "--wait", "0", "--", "true", check=125)
            self.assertIn("this domain has no PV Calls device", said.stderr)

    def test_without_a_backend(self):
        with Emulation(domains=1) as xen:
            make_device(xen, DOM)
            said = xen.run(DOM, RUN, "--wait", "0", "--", "true", check=125)
            self.assertIn("no PV Calls backend has connected", said.stderr)

    def test_outside_of_a_domain(self):
        said = run(RUN, "--", "true", check=125, env={"XENSTORED_PATH": "/nowhere"})
        self.assertIn("is xenstore there?", said.stderr)


assert shutil.which("curl") and shutil.which("redis-server"), "tests/programs/packages.txt is not installed: ./dev setup"
