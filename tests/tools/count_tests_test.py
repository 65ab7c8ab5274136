# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""tools/count_tests over small build event files, in the forms that Bazel 4.2 and GoogleTest 1.12 write."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

COUNT_TESTS = os.path.abspath(sys.argv[1])

# What Bazel writes for a test that left no XML of its own.
STAND_IN = '<testsuites><testsuite name="t"><testcase name="t" status="run" duration="1" time="1"/></testsuite></testsuites>'
GTEST_HEADER = "[==========] Running 2 tests from 1 test suite.\n"


def gtest(*cases):
    return '<testsuites><testsuite name="S">%s</testsuite></testsuites>' % "".join(cases)


def passed(name="Good"):
    return '<testcase name="%s" status="run" result="completed" time="0" classname="S"/>' % name


FAILED = ('<testcase name="Bad" status="run" result="completed" time="0" classname="S">'
          '<failure message="x_test.cc:3&#x0A;Expected 1"/><failure message="x_test.cc:4&#x0A;Expected 2"/></testcase>')
SKIPPED = ('<testcase name="Absent" status="run" result="skipped" time="0" classname="S">'
           '<skipped message="x_test.cc:9&#x0A;no GPU here"/></testcase>')
DISABLED = '<testcase name="DISABLED_Old" status="notrun" result="suppressed" time="0" classname="S"/>'


class CountTestsTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"])
        self.events = []
        self.finish()

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(content)
        return path

    def finish(self, code=0, name="SUCCESS"):
        self.events[:] = [event for event in self.events if "finished" not in event]
        self.events.append({"id": {"buildFinished": {}}, "finished": {"exitCode": {"name": name, "code": code}}})

    def add_test(self, label="//a:b", status="PASSED", xml=None, log="", **key):
        number = len(self.events)
        outputs = [{"name": "test.log", "uri": "file://" + self.write("%d.log" % number, log)}]
        if xml is not None:
            outputs.append({"name": "test.xml", "uri": "file://" + self.write("%d.xml" % number, xml)})
        self.events.append({"id": {"testResult": {"label": label, "run": 1, **key}},
                            "testResult": {"status": status, "testActionOutput": outputs}})

    def count(self, more_files=()):
        path = self.write("main.json", "".join(json.dumps(event) + "\n" for event in self.events))
        result = subprocess.run([COUNT_TESTS, path, *more_files], capture_output=True, text=True, timeout=60)
        return result.returncode, result.stdout

    def assert_counts(self, last_line, returncode, *mentioned):
        actual, output = self.count()
        self.assertEqual(output.splitlines()[-1], last_line, output)
        self.assertEqual(actual, returncode, output)
        for text in mentioned:
            self.assertIn(text, output)

    def test_cases_of_gtest_are_counted_one_by_one(self):
        self.add_test(xml=gtest(passed("A"), passed("B"), SKIPPED, DISABLED))

        self.assert_counts("2 passed, 0 failed, 2 skipped", 0, "S.Absent: no GPU here", "S.DISABLED_Old: disabled")

    def test_a_case_with_two_failures_is_one_failed_case(self):
        self.add_test(status="FAILED", xml=gtest(passed(), FAILED))

        self.assert_counts("1 passed, 1 failed, 0 skipped", 1, "failed [main]: //a:b S.Bad")

    def test_a_script_is_one_case(self):
        self.add_test(xml=STAND_IN)

        self.assert_counts("1 passed, 0 failed, 0 skipped", 0)

    def test_a_script_gives_the_reason_of_its_skip(self):
        self.add_test(label="//a:runs", xml=STAND_IN)
        self.add_test(xml=STAND_IN, log="hello\nSKIPPED: no cgroups here\n")

        self.assert_counts("1 passed, 0 failed, 1 skipped", 0, "//a:b: no cgroups here")

    def test_a_crash_counts_as_failed(self):
        self.add_test(label="//a:good", xml=gtest(passed()))
        self.add_test(status="FAILED", xml=STAND_IN, log=GTEST_HEADER)

        self.assert_counts("1 passed, 1 failed, 0 skipped", 1)

    def test_a_timeout_counts_as_failed(self):
        self.add_test(status="TIMEOUT", log=GTEST_HEADER)

        self.assert_counts("0 passed, 1 failed, 0 skipped", 1, "TIMEOUT")

    def test_a_gtest_that_leaves_in_the_middle_with_status_0_counts_as_failed(self):
        self.add_test(xml=STAND_IN, log=GTEST_HEADER)

        self.assert_counts("0 passed, 1 failed, 0 skipped", 1, "ended before gtest wrote its results")

    def test_a_failure_after_the_last_case_counts_as_failed(self):
        self.add_test(status="FAILED", xml=gtest(passed()))

        self.assert_counts("1 passed, 1 failed, 0 skipped", 1)

    def test_a_target_that_was_not_built_counts_as_failed(self):
        self.add_test(label="//a:good", xml=gtest(passed()))
        self.events.append({"id": {"targetCompleted": {"label": "//a:b"}}, "completed": {"success": False}})
        self.events.append({"id": {"targetCompleted": {"label": "//a:c"}}, "aborted": {"reason": "ANALYSIS_FAILURE"}})

        self.assert_counts("1 passed, 2 failed, 0 skipped", 1, "//a:b: was not built", "//a:c: was not built")

    def test_an_incompatible_target_does_not_count(self):
        self.add_test(xml=gtest(passed()))
        self.events.append({"id": {"targetCompleted": {"label": "//a:c"}}, "aborted": {"reason": "SKIPPED"}})

        self.assert_counts("1 passed, 0 failed, 0 skipped", 0)

    def test_the_last_attempt_of_a_flaky_test_counts(self):
        self.add_test(status="FLAKY", xml=gtest(passed()), attempt=2)
        self.add_test(status="FAILED", xml=gtest(FAILED), attempt=1)

        self.assert_counts("1 passed, 0 failed, 0 skipped", 0)

    def test_shards_add_up(self):
        self.add_test(xml=gtest(passed("A")), shard=1)
        self.add_test(xml=gtest(passed("B")), shard=2)
        self.add_test(xml=gtest(), shard=3)

        self.assert_counts("2 passed, 0 failed, 0 skipped", 0)

    def test_several_runs_add_up_and_are_named(self):
        self.add_test(xml=gtest(passed()))
        first = self.write("asan.json", "".join(json.dumps(event) + "\n" for event in self.events))

        returncode, output = self.count(more_files=[first])

        self.assertEqual(returncode, 0)
        self.assertIn("asan: 1 passed, 0 failed, 0 skipped\n2 passed, 0 failed, 0 skipped\n", output)

    def test_a_run_that_broke_off_counts_as_failed(self):
        self.add_test(xml=gtest(passed()))
        torn = self.write("torn.json", json.dumps(self.events[-1]) + '\n{"id": {"buildFin')

        self.assertEqual(self.count(more_files=[torn])[0], 1)
        self.assertEqual(self.count(more_files=["/nonexistent"])[0], 1)

    def test_a_run_that_selected_no_test_counts_as_failed(self):
        self.finish(code=4, name="NO_TESTS_FOUND")

        self.assert_counts("0 passed, 1 failed, 0 skipped", 1, "NO_TESTS_FOUND")

    def test_nothing_at_all_is_no_success(self):
        self.assert_counts("0 passed, 0 failed, 0 skipped", 1)
