# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What the test halves of cc_bench, cc_fuzz and py_unit_test report when the code under them is broken."""
import os
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

FUZZ_CORPUS, BENCHMARK, RUN_ONCE, RUN_UNITTEST = (os.path.abspath(argument) for argument in sys.argv[1:5])


def run(*command, **env):
    kept = {name: value for name, value in os.environ.items() if name != "XML_OUTPUT_FILE"}
    return subprocess.run(command, env={**kept, **env}, capture_output=True, text=True, timeout=60)


def write(name, content):
    path = os.path.join(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"]), name)
    with open(path, "w") as file:
        file.write(content)
    return path


class CorpusReplayTest(unittest.TestCase):
    def test_an_input_that_kills_the_target_fails_and_is_printed(self):
        result = run(FUZZ_CORPUS, write("bad", "boom!"), LOCKSTEP_FUZZ_MILLISECONDS="1")

        self.assertNotEqual(result.returncode, 0)
        self.assertIn("boom".encode().hex(), result.stderr)

    def test_mutations_find_a_fault_near_the_corpus(self):
        result = run(FUZZ_CORPUS, write("close", "bomo"), LOCKSTEP_FUZZ_MILLISECONDS="30000")

        self.assertNotEqual(result.returncode, 0)
        self.assertIn("SeededMutations", result.stdout)
        self.assertIn("boom".encode().hex(), result.stderr)

    def test_an_absent_or_unreadable_corpus_fails(self):
        self.assertNotEqual(run(FUZZ_CORPUS).returncode, 0)
        self.assertNotEqual(run(FUZZ_CORPUS, "no-such-file", LOCKSTEP_FUZZ_MILLISECONDS="1").returncode, 0)


class RunOnceTest(unittest.TestCase):
    def test_each_benchmark_runs_for_one_iteration(self):
        result = run(RUN_ONCE, BENCHMARK)

        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.count("iteration\n"), 1)

    def test_a_benchmark_that_reports_an_error_fails(self):
        self.assertNotEqual(run(RUN_ONCE, BENCHMARK, SAMPLE_FAILS="1").returncode, 0)

    def test_a_binary_without_benchmarks_fails(self):
        self.assertNotEqual(run(RUN_ONCE, "/bin/true").returncode, 0)


class RunUnittestTest(unittest.TestCase):
    SAMPLE = """
import unittest
class SampleTest(unittest.TestCase):
    def test_good(self): pass
    def test_bad(self): self.assertEqual(1, 2)
    def test_broken(self): raise OSError("broken")
    def test_skipped(self): self.skipTest("no reason")
"""

    def test_every_case_is_reported_with_its_outcome(self):
        xml = write("unused", "") + ".xml"

        result = run(RUN_UNITTEST, write("sample.py", self.SAMPLE), XML_OUTPUT_FILE=xml)

        self.assertNotEqual(result.returncode, 0)
        outcomes = {case.get("name"): [child.tag for child in case] for case in ElementTree.parse(xml).iter("testcase")}
        self.assertEqual(outcomes, {
            "test_good": [], "test_bad": ["failure"], "test_broken": ["error"], "test_skipped": ["skipped"]})

    def test_a_file_without_cases_fails(self):
        self.assertNotEqual(run(RUN_UNITTEST, write("empty.py", "")).returncode, 0)
