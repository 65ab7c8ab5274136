#!/usr/bin/python3
# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""run_unittest.py FILE [ARGS...]: runs the unittest cases of a Python file and reports each one to Bazel.

Without the XML that this writes, Bazel would count the whole file as one case. ARGS reach the file as sys.argv[1:].
"""
import importlib.util
import os
import sys
import time
import unittest
from xml.etree import ElementTree


class XmlResult(unittest.TextTestResult):
    """The usual text on stderr, and a <testcase> for each test."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.suite = ElementTree.Element("testsuite", name="python")

    def startTest(self, test):
        super().startTest(test)
        classname, name = test.id().split(".")[-2:]
        self.case = ElementTree.SubElement(self.suite, "testcase", classname=classname, name=name)
        self.started_at = time.monotonic()

    def stopTest(self, test):
        self.case.set("time", "%.3f" % (time.monotonic() - self.started_at))
        super().stopTest(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        ElementTree.SubElement(self.case, "failure", message=str(err[1]))

    def addError(self, test, err):
        super().addError(test, err)
        ElementTree.SubElement(self.case, "error", message=repr(err[1]))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            ElementTree.SubElement(self.case, "failure", message="%s: %s" % (subtest, err[1]))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        ElementTree.SubElement(self.case, "skipped", message=reason)


def main():
    path = sys.argv.pop(1)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # for the modules beside it
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("test_module", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = unittest.defaultTestLoader.loadTestsFromModule(module)
    if tests.countTestCases() == 0:
        sys.exit("%s holds no test" % path)
    result = unittest.TextTestRunner(resultclass=XmlResult, verbosity=2).run(tests)
    if "XML_OUTPUT_FILE" in os.environ:
        root = ElementTree.Element("testsuites")
        root.append(result.suite)
        ElementTree.ElementTree(root).write(os.environ["XML_OUTPUT_FILE"], encoding="utf-8", xml_declaration=True)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
