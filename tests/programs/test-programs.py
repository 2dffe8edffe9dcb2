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


class Datagrams(Programs):
    """UDP sockets that a program connects."""

    arguments = ("--all", "--udp", "--")

    def setUp(self):
        super().setUp()
        self.server = self.stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.server.bind((self.address, 0))
        self.server.settimeout(60)
        self.port = self.server.getsockname()[1]

    def serve(self, answer):
        """Answers what comes, until a datagram 'end'."""
        def run():
            while (one := self.server.recvfrom(65536))[0] != b"end":
                if (answered := answer(one[0])) is not None:
                    self.server.sendto(answered, one[1])

        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def end():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", (self.address, self.port))
            thread.join(20)

        self.stack.callback(end)

    def run_python(self, script, **options):
        start = f"import socket\none = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nserver = ('{self.address}', {self.port})\n"
        return self.xen.run(DOM, RUN, *self.arguments, sys.executable, "-c", start + script, **options).stdout

    def test_a_query_of_names(self):
        def answer(query):
            """A record of type A for a question of it, and none for others."""
            end = query.index(b"\0", 12) + 5
            is_a = query[end - 4:end] == b"\0\1\0\1"
            record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("192.0.2.77")
            return query[:2] + b"\x81\x80\0\1" + bytes((0, is_a)) + b"\0\0\0\0" + query[12:end] + (record if is_a else b"")

        self.serve(answer)
        said = self.xen.run(DOM, RUN, *self.arguments, "busybox", "nslookup", "name.example", f"{self.address}:{self.port}")
        self.assertIn("192.0.2.77", said.stdout)
        self.wait_tidy()

    def test_with_and_without_addresses(self):
        self.serve(lambda data: data)
        said = self.run_python("""
one.connect(server)
one.settimeout(60)
for size in (0, 1, 1400, 30000):
    one.send(bytes(size))
    data, address = one.recvfrom(65536)
    print(len(data), address == server)
    one.sendto(b"x" * size, server)
    print(one.recv(65536) == b"x" * size)
print(one.getpeername() == server, one.getsockname()[0])
""")
        lines = [line for size in (0, 1, 1400, 30000) for line in (f"{size} True", "True")]
        self.assertEqual(said.splitlines(), [*lines, "True 127.0.0.1"])

    def test_waiting_calls(self):
        self.serve(lambda data: data if data == b"answer" else None)
        said = self.run_python("""
import errno, select, struct, threading
one.connect(server)
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200000))
try:
    one.recvfrom(10)
except BlockingIOError as error:
    print("in vain")
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
try:
    one.recvfrom(10, socket.MSG_DONTWAIT)
except BlockingIOError as error:
    print("in vain")
got = []
thread = threading.Thread(target=lambda: got.append(one.recvfrom(10)))
thread.start()
one.send(b"question")
one.send(b"answer")
thread.join(30)
print(got == [(b"answer", server)])
one.send(b"answer")
poll = select.poll()
poll.register(one, select.POLLIN)
print(poll.poll(30000) == [(one.fileno(), select.POLLIN)], one.recvfrom(10, socket.MSG_PEEK)[0], one.recvfrom(3)[0])
""")
        self.assertEqual(said.splitlines(), ["in vain", "in vain", "True", "True b'answer' b'ans'"])

    def test_those_that_have_to_wait_for_room(self):
        """The ring has room for the first and not for the second as well, and the backend takes none for a while."""
        process = self.stack.enter_context(self.xen.start(DOM, RUN, *self.arguments, sys.executable, "-uc", f"""
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.connect(("{self.address}", {self.port}))
print("connected")
sys.stdin.readline()
for size in (1000, 32720, 10):
    one.send(bytes(size))
    for _ in range(10):
        one.getpeername()  # and the supervisor has looked
print("sent")
sys.stdin.readline()
"""))
        process.wait_output("connected")
        os.kill(self.backend.pid(), signal.SIGSTOP)
        try:
            process.write("\n")
            process.wait_output("sent")
        finally:
            os.kill(self.backend.pid(), signal.SIGCONT)
        self.assertEqual([len(self.server.recv(65536)) for _ in range(3)], [1000, 32720, 10])

    def test_one_that_is_too_long_to_come(self):
        def answer(data):
            return b"x" * 32721 if data == b"longer" else b"y" * 32720

        self.serve(answer)
        said = self.run_python("""
one.settimeout(60)
one.connect(server)
one.send(b"longer")
one.send(b"as long")
print(one.recv(65536) == b"y" * 32720)
""")
        self.assertEqual(said.strip(), "True")

    def test_connected_again_and_to_nobody(self):
        self.serve(lambda data: data)
        said = self.run_python("""
import ctypes
one.settimeout(60)
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.bind(("127.0.0.1", 0))
one.connect(server)
one.connect(server)
one.send(b"a")
print(one.recvfrom(10) == (b"a", server))
print(ctypes.CDLL(None).connect(one.fileno(), bytes(16), 16))
one.sendto(b"own", other.getsockname())
print(other.recv(10))
""")
        self.assertEqual(said.splitlines(), ["True", "0", "b'own'"])
        self.wait_tidy()

    def test_refused_by_policy(self):
        self.backend.ask("policy\ndeny\n")
        self.assertEqual(self.run_python("print(one.connect_ex(server))").strip(), "13")

    def test_without_the_option_they_are_the_domain_s_own(self):
        self.arguments = ("--all", "--")
        self.assertEqual(self.run_python("one.connect(server); print(one.getpeername() == server)").strip(), "True")
        self.assertEqual(self.backend.sockets(), [])

    def test_a_backend_that_has_gone(self):
        self.serve(lambda data: data)
        process = self.stack.enter_context(self.xen.start(DOM, RUN, *self.arguments, sys.executable, "-uc", f"""
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.settimeout(1)
one.connect(("{self.address}", {self.port}))
one.send(b"a")
print(one.recv(10))
sys.stdin.readline()
while True:
    try:
        one.send(b"b")
        one.recv(10)
    except ConnectionRefusedError:
        print("refused")
        break
    except TimeoutError:
        pass
"""))
        process.wait_output("b'a'")
        self.backend.process.signal(signal.SIGTERM)
        self.backend.process.wait()
        process.write("\n")
        process.wait_output("refused")


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

    def test_a_program_that_is_killed_leaves_nothing(self):
        httpd = self.start_httpd(8082)
        with socket.create_connection((self.address, 8082), 20) as one:
            httpd.kill()
            one.settimeout(60)
            self.assertEqual(one.recv(1), b"")
        wait_until(lambda: not self.backend.sockets(), "the listener to be gone")
        self.wait_tidy()

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
"""
        said = self.run_carried(sys.executable, "-c", script).stdout.splitlines()
        self.assertEqual(said, ["io_uring ENOSYS", "x32 ENOSYS", "fast open ENOTSUP", "urgent ENOTSUP"])

    def test_a_second_time_around_a_program(self):
        said = self.run_carried(RUN, "--all", "--", "true", check=125)
        self.assertIn("has a supervisor already", said.stderr)

    def test_wrong_arguments(self):
        for words, complaint in (((), "which program?"), (("--net", "x", "--", "true"), "--net x:"), (("--wait", "-1", "--", "true"), "--wait -1:"),
                                 (("--nte", "10.0.0.0/8", "--", "true"), "xcp-pvcalls-run: unrecognized option '--nte'\nxcp-pvcalls-run: see")):
            with self.subTest(words=words):
                self.assertIn(complaint, self.xen.run(DOM, RUN, *words, check=125).stderr)


class FewDescriptors(Programs):
    """The supervisor has no descriptors for more: connections fail with what socket(2) says then, others go on, and nothing is lost."""

    def test_connections_beyond_fail_and_the_others_go_on(self):
        server = self.stack.enter_context(Server(echo))
        script = f"""
import errno, socket
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
with socket.create_connection(("127.0.0.1", {server.port}), 60) as one:
    one.sendall(b"again")
    print(len(kept) > 3, failed, one.recv(5))
"""
        said = self.xen.run(DOM, "prlimit", "--nofile=160:160", RUN, "--all", "--", "prlimit", "--nofile=120:120", sys.executable, "-c", script)
        self.assertRegex(said.stdout, r"True (EMFILE|ENFILE|ENOBUFS|ENOMEM) b'again'")
        self.wait_tidy()


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
