#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The generator: what it makes of documents, and what it says to bad ones."""

import contextlib
import io
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import unittest

TESTS = os.path.dirname(os.path.realpath(__file__))
IDL = os.path.dirname(TESTS)
sys.path.insert(0, IDL)

from codegen import command, compare, documents, interface_c, names, reference, text, types, types_c, xml_reader  # noqa: E402
from codegen.problem import Problem  # noqa: E402

BASE = [os.path.join(IDL, "errors.xml"), os.path.join(TESTS, "test-types.xml")]
EVERYTHING = os.path.join(TESTS, "org.xen.xcp.test1.Everything.xml")
MUTATIONS_SECONDS = 8
MUTATIONS_SEED = 20120111


def run(*arguments, function=command.main):
    """Exit status, output and errors of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = function(list(arguments))
    return status, out.getvalue(), err.getvalue()


class Names(unittest.TestCase):
    def test_snake(self):
        for name, expected in {"Start": "start", "CreateVDI": "create_vdi", "VDISpec": "vdi_spec", "ListVDIs": "list_vdis",
                               "LookupSRByName": "lookup_sr_by_name", "IOError": "io_error", "Int16": "int16", "Qcow2": "qcow2",
                               "StartedUs": "started_us"}.items():
            self.assertEqual(names.snake(name), expected)

    def test_prefix(self):
        self.assertEqual(names.interface_prefix("org.xen.xcp.xenopsd1.NetworkInterface", "org.xen.xcp"),
                         "xenopsd1_network_interface")
        self.assertEqual(names.interface_prefix("org.example.Thing", "org.xen.xcp"), "org_example_thing")

    def test_words_of_c(self):
        self.assertEqual(names.c_name("default"), "default_")
        self.assertEqual(names.c_name("linux"), "linux_")
        self.assertEqual(names.parameter_name("path", {"path"}), "path_")
        self.assertEqual(names.parameter_name("path", {"bus"}), "path")

    def test_validity(self):
        self.assertTrue(names.is_member("A" * 255))
        for name in ("A" * 256, "a", "A_b", "", "A\n", "Ä"):
            self.assertFalse(names.is_member(name))
        for name in ("a", "a__b", "a.", ".a.b", "a.b\n", "1.b"):
            self.assertFalse(names.is_interface(name))


class Types(unittest.TestCase):
    def test_signatures_round_trip(self):
        for signature in ("y", "as", "a{sv}", "(s)", "a(sa{sv})", "a{s(iav)}", "a{oa{sa{sv}}}", "a" * 32 + "s",
                          "(" * 32 + "i" + ")" * 32):
            self.assertEqual(types.parse_signature(signature).signature(), signature)

    def test_bad_signatures(self):
        for signature in ("", "a", "z", "ss", "a{s}", "a{sss}", "a{vs}", "a{(s)s}", "()", "(s", "s)", "{ss}", "a" * 33 + "s",
                          "(" * 33 + "i" + ")" * 33, "r", "e", "m", "*", "[Color]", "a{s", "\0", "a{", "a{ss", "é"):
            with self.assertRaises(types.BadType, msg=signature):
                types.parse_signature(signature)

    def test_expressions(self):
        known = documents.read_files(BASE).types
        for expression, signature in {"[Color]": "s", "a[Point]": "a(iu)", "a{[Color][Options]}": "a{sa{sv}}"}.items():
            self.assertEqual(types.parse_expression(expression, known).signature(), signature)
        for expression in ("[", "[]", "[color]", "a{[Point]s}", "[Color]s", "]"):
            with self.assertRaises(types.BadType, msg=expression):
                types.parse_expression(expression, known)


class Text(unittest.TestCase):
    def test_string(self):
        self.assertEqual(text.string('a"\\\nü'), '"a\\"\\\\\\012\\303\\274"')

    def test_comments_end_where_they_should(self):
        self.assertEqual(text.comment("a */ b"), "/* a * / b */")
        self.assertEqual(text.with_comment(["int x;"], "a */ b")[0].count("*/"), 1)

    def test_long_calls_are_wrapped(self):
        lines = text.call("int function", [f"int argument_number_{i}" for i in range(20)], ";").split("\n")
        self.assertGreater(len(lines), 2)
        self.assertTrue(all(len(line) <= text.WIDTH for line in lines))
        self.assertTrue(all(line.startswith(" " * len("int function(")) for line in lines[1:]))


class Generated(unittest.TestCase):
    def test_same_every_time(self):
        model = documents.read_files(BASE + [EVERYTHING])
        again = documents.read_files([EVERYTHING] + BASE)
        for generate in (lambda m: types_c.generate(m, "test", "x"),
                         lambda m: interface_c.generate(m.interfaces[0], m, "test", "x"), reference.generate):
            self.assertEqual(generate(model), generate(again))

    def test_no_line_is_too_long(self):
        model = documents.read_files(BASE + [EVERYTHING])
        files = types_c.generate(model, "test", "x") | interface_c.generate(model.interfaces[0], model, "test", "x")
        for name, content in files.items():
            for number, line in enumerate(content.split("\n"), 1):
                self.assertLessEqual(len(line), 140, f"{name}:{number}")
                self.assertEqual(line, line.rstrip(), f"{name}:{number}")

    def test_files(self):
        with tempfile.TemporaryDirectory() as directory:
            status, out, err = run("service", "--errors", "--namespace", "test", "--output", directory, *BASE, EVERYTHING)
            self.assertEqual((status, out, err), (0, "", ""))
            self.assertEqual(sorted(os.listdir(directory)), ["idl-errors.c", "idl-errors.h", "test-types.c", "test-types.h",
                                                             "test1-everything.c", "test1-everything.h"])
            before = {name: os.stat(os.path.join(directory, name)).st_mtime_ns for name in os.listdir(directory)}
            run("service", "--errors", "--namespace", "test", "--output", directory, *BASE, EVERYTHING)
            after = {name: os.stat(os.path.join(directory, name)).st_mtime_ns for name in os.listdir(directory)}
            self.assertEqual(before, after)

    def test_members(self):
        status, out, _ = run("members", *BASE, EVERYTHING)
        self.assertEqual(status, 0)
        interface = "org.xen.xcp.test1.Everything"
        self.assertIn(f"{interface}\tmethod\tLater\toperate\ts\ts\n", out)
        self.assertIn(f"{interface}\tproperty\tLoud\tobserve\ts\t\n", out)
        self.assertIn(f"{interface}\tset-property\tLoud\toperate\ts\t\n", out)
        self.assertIn(f"{interface}\tsignal\tNothing\tobserve\t\t\n", out)


class BadDocuments(unittest.TestCase):
    """Each of bad/*.xml, with good errors and types, and each of bad/errors/*.xml alone. bad/expected has what is said to it."""

    def test_each(self):
        found = []
        with tempfile.TemporaryDirectory() as output:
            target = os.path.join(output, "generated")
            for directory, with_ in (("bad", BASE), ("bad/errors", [])):
                for name in sorted(os.listdir(os.path.join(TESTS, directory))):
                    if not name.endswith(".xml"):
                        continue
                    status, out, err = run("service", "--output", target, *with_, os.path.join(TESTS, directory, name))
                    self.assertEqual((status, out), (1, ""), name)
                    found.append(err.replace(TESTS + "/", "").replace(IDL + "/", ""))
            self.assertFalse(os.path.exists(target), "something was generated from a bad document")
        with open(os.path.join(TESTS, "bad", "expected"), encoding="utf-8") as file:
            self.assertEqual("".join(found).split("\n"), file.read().split("\n"))

    def check(self, data, message):
        with self.assertRaises(Problem) as caught:
            xml_reader.parse("x", data)
        self.assertEqual(str(caught.exception), message)

    def test_bytes(self):
        self.check(b"<node>\n  \xff</node>", "x:2:3: is not UTF-8")
        self.check("<a>\n ä \xff</a>".encode("utf-16"), "x:1:1: is not UTF-8")
        self.check(b"<node>\r\n\r\n x</node>", "x:3:2: text between elements: 'x'")
        self.check(b" " * (xml_reader.DOCUMENT_SIZE_MAX + 1), "x:1:1: has 1048577 bytes, more than 1048576")
        self.check(b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><a>&d;</a>',
                   "x:1:25: a document may not declare entities")
        self.check(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>&b;</a>', "x:1:44: undefined entity '&b;'")
        self.check(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a\n b="&lt;&#65;&b;"/>', "x:2:14: undefined entity '&b;'")

    def test_missing_file(self):
        status, _, err = run("check", "/nowhere/at-all.xml")
        self.assertEqual((status, err), (1, "/nowhere/at-all.xml:1:1: No such file or directory\n"))
        status, _, err = run("check", TESTS)
        self.assertEqual((status, err), (1, f"{TESTS}:1:1: Is a directory\n"))


class Mutations(unittest.TestCase):
    """Documents with something wrong somewhere. Either they are read, or a Problem says where; never anything else."""

    PIECES = [b"<", b">", b"/>", b'"', b"'", b"&", b"&lt;", b"=", b" ", b"\n", b"\0", b"\xff", b"\xc3", b"<node>", b"</node>",
              b"<interface", b"<method", b"<arg", b"<annotation", b'name="', b'type="', b'value="', b'direction="in"',
              b"a{sv}", b"(", b")", b"{", b"}", b"[", b"]", b"[Color]", b"org.xen.xcp.", b"<![CDATA[x]]>", b"<!--", b"-->",
              b"<?xml", b"<!DOCTYPE a [", "\N{SNOWMAN}".encode(), b"A" * 300, b"a" * 33, b"-1", b"9" * 23]
    MESSAGE = re.compile(r"mutated[0-9]:[0-9]+:[0-9]+: [^\n]+\Z")

    def mutate(self, rng, data):
        data = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            at = rng.randrange(len(data) + 1)
            kind = rng.randrange(6)
            if kind == 0:
                data[at:at + rng.choice((1, 1, 2, 10, 100))] = b""
            elif kind == 1:
                data[at:at] = rng.choice(self.PIECES)
            elif kind == 2:
                data[at:at + 1] = bytes([rng.randrange(256)])
            elif kind == 3:
                data[at:at + rng.randrange(20)] = rng.choice(self.PIECES)
            elif kind == 4:
                start = rng.randrange(len(data) + 1)
                data[at:at] = data[start:start + rng.choice((5, 50, 500))]
            else:
                del data[at:]
        return bytes(data)

    def test_problems_only(self):
        rng = random.Random(MUTATIONS_SEED)
        originals = []
        for path in BASE + [EVERYTHING]:
            with open(path, "rb") as file:
                originals.append(file.read())
        # The interface is long and much alike: of its 21 kB, the ends are what matters.
        originals[2] = re.sub(rb'(?s)<method name="EchoBasic">.*?</method>', b"", originals[2])
        deadline = time.monotonic() + MUTATIONS_SECONDS
        n_bad = n_good = 0
        while time.monotonic() < deadline:
            which = rng.randrange(3)
            mutated = [self.mutate(rng, data) if i == which else data for i, data in enumerate(originals)]
            try:
                model = documents.read_roots([xml_reader.parse(f"mutated{i}", data) for i, data in enumerate(mutated)])
                n_good += 1
            except Problem as problem:
                self.assertRegex(str(problem), self.MESSAGE)
                data = mutated[int(problem.position.file[-1])]
                self.assertLessEqual(problem.position.line, data.count(b"\n") + data.count(b"\r") + 2)
                n_bad += 1
                continue
            # What is read can be written.
            types_c.generate(model, "test", "x")
            for interface in model.interfaces:
                interface_c.generate(interface, model, "test", "x")
            reference.generate(model)
        self.assertGreater(n_bad, 100)
        self.assertGreater(n_good, 0)


class Compare(unittest.TestCase):
    def setUp(self):
        with open(EVERYTHING, encoding="utf-8") as file:
            self.xml = file.read()

    def differences(self, introspected, expected=()):
        roots = [xml_reader.parse_file(path) for path in BASE + [EVERYTHING]]
        return compare.differences(roots, xml_reader.parse("x", introspected.encode()), expected)

    def check(self, old, new, *expected):
        self.assertIn(old, self.xml)
        lines = self.differences(self.xml.replace(old, new))
        for line in expected:
            self.assertIn(line, lines)
        self.assertNotEqual(lines, [])

    def test_equal(self):
        self.assertEqual(self.differences(self.xml), [])
        self.assertEqual(self.differences(re.sub(r'<annotation name="org\.(gtk|xen)\.[^>]*>', "", self.xml)), [])
        self.assertEqual(self.differences("<node/>"), [])

    def test_different(self):
        self.check('type="aas"', 'type="aao"')
        self.check('<arg name="amount" type="u" direction="in">', '<arg name="amount" type="u" direction="out">',
                   "+  method Poke() -> (u amount) {NoReply=true}", "-  method Poke(u amount) -> () {NoReply=true}")
        self.check('value="invalidates"', 'value="false"', "+  property read as Quiet {EmitsChangedSignal=false}")
        self.check('<property name="Loud" type="s" access="readwrite">', '<property name="Loud" type="s" access="read">')
        self.check('<signal name="Nothing">', '<signal name="Nothing2">')
        self.check('name="org.freedesktop.DBus.Deprecated" value="true"', 'name="org.freedesktop.DBus.Deprecated" value="false"')

    def test_missing_and_unknown(self):
        self.assertEqual(self.differences("<node/>", ["org.xen.xcp.test1.Everything", "org.xen.xcp.No"]),
                         ["org.xen.xcp.test1.Everything: is expected, but the object does not have it",
                          "org.xen.xcp.No: is expected, but not in the IDL",
                          "org.xen.xcp.No: is expected, but the object does not have it"])
        self.assertEqual(self.differences('<node><interface name="org.xen.xcp.New1"/><interface name="org.example.A"/></node>'),
                         ["org.xen.xcp.New1: the object has it, but the IDL does not"])

    def test_running_service(self):
        introspected = subprocess.run([os.environ["IDL_TEST_SERVICE"], "--introspect"], check=True, capture_output=True).stdout
        with tempfile.NamedTemporaryFile() as file:
            file.write(introspected)
            file.flush()
            arguments = (*BASE, EVERYTHING, "--introspection", file.name, "--expect", "org.xen.xcp.test1.Everything")
            self.assertEqual(run(*arguments, function=command.main_compare), (0, "", ""))
            status, out, _ = run(*arguments, "--expect", "org.xen.xcp.Task1", function=command.main_compare)
            self.assertEqual(status, 1)
            self.assertIn("org.xen.xcp.Task1: is expected, but the object does not have it\n", out)
            file.seek(0)
            file.write(introspected.replace(b'"EchoColors"', b'"EchoColour"'))
            file.flush()
            status, out, _ = run(*arguments, function=command.main_compare)
            self.assertEqual(status, 1)
            self.assertIn("+  method EchoColour", out)


class Reference(unittest.TestCase):
    def test_check(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "reference.md")
            status, _, err = run("reference", "--check", path, *BASE, EVERYTHING)
            self.assertEqual(status, 1)
            self.assertIn("is not what the IDL says", err)
            with open(path, "w", encoding="utf-8") as file:
                file.write(run("reference", *BASE, EVERYTHING)[1])
            self.assertEqual(run("reference", "--check", path, *BASE, EVERYTHING), (0, "", ""))

    def test_links_lead_somewhere(self):
        idl = [os.path.join(IDL, name) for name in os.listdir(IDL) if name.endswith(".xml")]
        for paths in (BASE + [EVERYTHING], idl):
            content = run("reference", *paths)[1]
            anchors = {reference.anchor(heading) for heading in re.findall(r"^#+ (.*)$", content, re.MULTILINE)}
            for link in re.findall(r"\]\(#([^)]*)\)", content):
                self.assertIn(link, anchors)


if __name__ == "__main__":
    unittest.main()
