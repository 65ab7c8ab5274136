# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""docs/protocols.md has the fields, messages and timers of the code (its state tables: elastic/protocols_document_test.cc).

As tests/tidy does, it finds the tree behind the link to one known file, and always runs again.
"""
import os
import re
import sys
import unittest

ROOT = os.path.dirname(os.path.realpath(sys.argv[1]))

SECONDS = {"milliseconds": 1e-3, "seconds": 1, "minutes": 60, "ms": 1e-3, "s": 1, "min": 60}


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def table(header):
    """The cells of each row of the tables that begin with this line."""
    rows = []
    for part in read("docs/protocols.md").split(header + "\n")[1:]:
        for line in part.split("\n")[1:]:
            if not line.startswith("| "):
                break
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def messages_of(path):
    """Each message of a .proto file with its fields, as the document writes them."""
    text = re.sub(r"//[^\n]*", "", read(path))
    messages = {}
    for name, body in re.findall(r"message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}", text):
        fields = re.findall(r"(\w+) = (\d+)", body)
        messages[name] = ", ".join("`%s` %s" % field for field in fields) or "-"
    return messages


def seconds(text):
    """Of "5s", "std::chrono::milliseconds(250)" or the document's "250 ms"."""
    number, unit = re.match(r"(\d+) ?(\w+)$", text).groups() if text[0].isdigit() else reversed(
        re.match(r"(?:std::chrono::)?(\w+)\((\d+)\)$", text).groups())
    return int(number) * SECONDS[unit]


class ProtocolsDocumentTest(unittest.TestCase):
    def test_messages_have_the_fields_of_the_proto_files(self):
        documented = {row[0]: row[1] for row in table("| message | fields | what it says |")}
        code = {}
        for name in ("agent", "control"):
            code.update(messages_of("runtime/proto/%s.proto" % name))
        self.assertGreater(len(code), 25)
        for name, fields in code.items():
            self.assertEqual(documented.get(name), fields, "write: | %s | %s |" % (name, fields))
        self.assertEqual(set(documented), set(code))

    def test_attach_messages_are_those_of_the_header(self):
        documented = {row[0]: row[1] for row in table("| message | number | from | what it says |")}
        body = re.search(r"enum lockstep_attach_type \{(.*?)\}", read("runtime/attach/attach_wire.h"), re.S).group(1)
        self.assertEqual(documented, dict(re.findall(r"LOCKSTEP_ATTACH_(\w+) = (\d+)", body)))

    def test_frames_between_ranks_are_those_of_the_headers(self):
        frames = read("collectives/host/tcp/tcp_frames.h")
        sizes = {"uint8_t": 1, "FrameKind": 1, "uint16_t": 2, "uint32_t": 4, "int32_t": 4, "uint64_t": 8}
        fields, offset = [], 0
        header = re.search(r"struct FrameHeader \{(.*?)\};", frames, re.S).group(1)
        for kind, name in re.findall(r"(?m)^\s*(\w+) (\w+) = ", header):
            fields.append(["`%s`" % name, str(offset), str(sizes[kind])])
            offset += sizes[kind]
        self.assertEqual([row[:3] for row in table("| field | offset | bytes | what it says |")], fields)
        kinds = re.search(r"enum class FrameKind [^{]*\{(.*?)\};", frames, re.S).group(1)
        self.assertEqual([row[:2] for row in table("| kind | number | payload |")],
                         [["`%s`" % name, number] for name, number in re.findall(r"(k\w+) = (\d+)", kinds)])
        purposes = re.search(r"enum class FlowPurpose [^{]*\{(.*?)\};", read("collectives/host/tcp/tcp_handshake.h"), re.S).group(1)
        self.assertEqual([row[:2] for row in table("| purpose | number | what passes |")],
                         [["`%s`" % name, number] for name, number in re.findall(r"(k\w+) = (\d+)", purposes)])

    def test_timers_have_the_values_of_the_code(self):
        rows = table("| what waits | constant | value | in | then |")
        self.assertGreater(len(rows), 20)
        for waits, constant, value, path, _ in rows:
            defined = re.search(r"\b%s = ([\w:]+(?:\(\d+\))?);" % constant.strip("`"), read(path))
            self.assertIsNotNone(defined, "%s is not in %s" % (constant, path))
            self.assertEqual(seconds(defined.group(1)), seconds(value), "%s: %s" % (waits, constant))
