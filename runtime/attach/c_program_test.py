# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The attach client is C alone: it links into a program that a C compiler links, and brings no library but libc. And such a
program can be of another release than its agent.
"""
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import unittest

SOURCES = ["agent_tracer.c", "attach_client.c", "attach_wire.c", "fork_guard.c", "shared_memory.c", "testdata/c_program.c"]
WIRE = "runtime/attach/attach_wire.h"

HELLO, SEGMENT_REQUEST, PROGRESS, WORLD, SEGMENT = 1, 2, 3, 17, 18


def compile_program(folder, include="."):
    program = os.path.join(folder, "program")
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I" + include, "-I.", "-o", program] +
                   ["runtime/attach/" + source for source in SOURCES], check=True, timeout=60)
    return program


def message(kind, version, body):
    return struct.pack("<IHHII", 0x3141534C, kind, version, 16 + len(body), 0) + body


def world(version):
    return message(WORLD, version, struct.pack("<6i4IQ", 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 4096) + bytes(128 + 256 + 4096))


class CProgramTest(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir="/tmp", prefix="lockstep-")  # short enough for a socket's path
        self.addCleanup(shutil.rmtree, self.folder)

    def test_links_without_libstdcxx_and_runs(self):
        program = compile_program(self.folder)
        dynamic = subprocess.run(["readelf", "-d", program], check=True, capture_output=True, text=True, timeout=60)
        needed = [line.split("[")[1].rstrip("]") for line in dynamic.stdout.splitlines() if "(NEEDED)" in line]
        self.assertEqual(needed, ["libc.so.6"])
        run = subprocess.run([program, "/nonexistent/s", "ab" * 32], capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0)
        self.assertRegex(run.stdout, "^6 .*/nonexistent/s.*No such file")

    def compile_of_next_release(self):
        """Speaks version 4 as well."""
        patched = os.path.join(self.folder, WIRE)
        os.makedirs(os.path.dirname(patched))
        with open(WIRE) as file, open(patched, "w") as out:
            before = file.read()
            after = before.replace("#define LOCKSTEP_ATTACH_VERSION 3u", "#define LOCKSTEP_ATTACH_VERSION 4u")
            self.assertNotEqual(after, before)
            out.write(after)
        return compile_program(self.folder, self.folder)

    def serve(self, program, version_of_world, version_of_segment):
        """An agent for one rank: the types and versions of what the rank says, and the rank's end."""
        path = os.path.join(self.folder, "s%d%d" % (version_of_world, version_of_segment))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, open("/dev/null") as ring:
            listener.bind(path)
            listener.listen()
            listener.settimeout(60)
            rank = subprocess.Popen([program, path, "ab" * 32], stdout=subprocess.PIPE, text=True)
            said = []
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60)
                while True:
                    try:
                        received = connection.recv(8192)
                    except ConnectionResetError:  # it left an answer unread
                        break
                    if not received:
                        break
                    kind, version = struct.unpack_from("<HH", received, 4)
                    said.append((kind, version))
                    answer = None
                    if kind == HELLO:
                        answer = world(version_of_world)
                    elif kind == SEGMENT_REQUEST:
                        request_id, _, size = struct.unpack_from("<QQQ", received, 16)
                        answer = message(SEGMENT, version_of_segment, struct.pack("<QQII", request_id, size, 0, 0) + bytes(512))
                    if answer is not None:
                        socket.send_fds(connection, [answer], [ring.fileno()])
            output, _ = rank.communicate(timeout=60)
            return said, rank.returncode, output

    def test_a_newer_program_speaks_the_version_that_an_older_agent_took(self):
        program = self.compile_of_next_release()
        for version in (1, 2, 3, 4):
            with self.subTest(version=version):
                said, code, output = self.serve(program, version, version)

                self.assertEqual((code, output), (0, ""))
                self.assertEqual(said, [(HELLO, 0), (SEGMENT_REQUEST, version), (PROGRESS, version)])

    def test_an_agent_that_changes_its_version_is_not_understood(self):
        program = self.compile_of_next_release()
        said, code, _ = self.serve(program, 1, 2)
        self.assertNotEqual(code, 0)
        self.assertEqual(said, [(HELLO, 0), (SEGMENT_REQUEST, 1)])

        _, _, output = self.serve(program, 5, 5)
        self.assertIn("another version of the attach protocol", output)


if __name__ == "__main__":
    unittest.main()
