# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
import unittest

import update_document

LOG = """
== //tests/bench:launch_benchmark
INFO: what Bazel says
machine: a small one; load before: 0.1

Launch (ms)

| | median |
|---|---|
| lockstep | 4.00 |


bar holds: 4 ms <= 5 ms
bar MISSED: 4 ms <= 3 ms

== //tests/bench:other_benchmark
nothing

== the bars
bar holds: 4 ms <= 5 ms
"""

DOCUMENT = """# Performance
<!-- launch_benchmark -->
old
<!-- end -->
between
<!-- not_run_benchmark -->
kept
<!-- end -->
"""

UPDATED = """# Performance
<!-- launch_benchmark -->

machine: a small one; load before: 0.1

Launch (ms)

| | median |
|---|---|
| lockstep | 4.00 |

- bar holds: 4 ms <= 5 ms
- bar MISSED: 4 ms <= 3 ms

<!-- end -->
between
<!-- not_run_benchmark -->
kept
<!-- end -->
"""


class UpdateDocumentTest(unittest.TestCase):
    def test_what_a_benchmark_printed_stands_between_its_marks(self):
        self.assertEqual(update_document.updated(DOCUMENT, update_document.printed_by(LOG)), UPDATED)

    def test_twice_is_once(self):
        self.assertEqual(update_document.updated(UPDATED, update_document.printed_by(LOG)), UPDATED)
