# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""What lockstep_rank.py tells its library, which is one that writes it down."""
import os
import signal
import unittest

import lockstep_rank


class Notebook:
    """In the library's place."""

    def __init__(self, refusal=b""):
        self.told, self.refusal, self.sessions = [], refusal, 0

    def lockstep_session_open(self, session, status):
        self.sessions += 1
        status._obj.text = self.refusal
        return 1 if self.refusal else 0

    def lockstep_session_report_progress(self, session, step):
        self.told.append(("step", step))

    def lockstep_session_report_samples(self, session, samples):
        self.told.append(("samples", samples))

    def lockstep_session_set_long_phase(self, session, name, left_ns):
        self.told.append((name.decode(), round(left_ns / 1e9)))

    def lockstep_session_stop_requested(self, session):
        return 7


class LockstepRankTest(unittest.TestCase):

    def setUp(self):
        self.load = lockstep_rank._load
        self.use(Notebook())

    def tearDown(self):
        lockstep_rank._load = self.load
        self.use(None)

    def use(self, notebook):
        self.notebook = notebook
        lockstep_rank._session = lockstep_rank._owner = None
        lockstep_rank._load = lambda: notebook

    def test_steps_and_samples_are_passed_on_in_one_session(self):
        lockstep_rank.report_step(3)
        lockstep_rank.report_samples(32)
        self.assertEqual(self.notebook.told, [("step", 3), ("samples", 32)])
        self.assertEqual(self.notebook.sessions, 1)
        self.assertIs(lockstep_rank.stop_requested(), True)

    def test_of_phases_the_innermost_is_shown_and_the_longest_time_holds(self):
        with lockstep_rank.phase("save", at_most=60):
            with lockstep_rank.phase("copy"):
                with lockstep_rank.phase("flush", at_most=5):
                    pass
        self.assertEqual(self.notebook.told, [("save", 60), ("copy", 60), ("flush", 60), ("copy", 60), ("save", 60), ("", 0)])

    def test_a_longer_time_inside_ends_with_its_phase(self):
        with lockstep_rank.phase("save", at_most=5):
            with lockstep_rank.phase("copy", at_most=60):
                pass
        self.assertEqual(self.notebook.told, [("save", 5), ("copy", 60), ("save", 5), ("", 0)])

    def test_a_phase_without_a_time_is_only_shown(self):
        with lockstep_rank.phase("evaluation"):
            pass
        self.assertEqual(self.notebook.told, [("evaluation", 0), ("", 0)])

    def test_a_phase_ends_with_an_error_in_it(self):
        with self.assertRaises(KeyError):
            with lockstep_rank.phase("save", at_most=60):
                raise KeyError("x")
        self.assertEqual(self.notebook.told[-1], ("", 0))

    def test_no_time_is_too_long(self):
        with lockstep_rank.phase("save", at_most=1e30):
            pass
        self.assertEqual(self.notebook.told[0], ("save", round(2**62 / 1e9)))

    def test_a_forked_child_tells_nobody(self):
        lockstep_rank.report_step(1)
        child = os.fork()
        if child == 0:
            with lockstep_rank.phase("load"):
                lockstep_rank.report_step(2)
            is_silent = self.notebook.told == [("step", 1)] and lockstep_rank.stop_requested() is False
            os._exit(0 if is_silent else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_a_child_that_is_forked_in_the_middle_of_a_call_is_not_blocked(self):
        lockstep_rank.report_step(1)
        with lockstep_rank._lock, lockstep_rank._phases_lock:
            child = os.fork()
            if child == 0:
                signal.alarm(5)
                with lockstep_rank.phase("load"):
                    os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_who_is_refused_is_told_why(self):
        self.use(Notebook(b"this process is no rank"))
        with self.assertRaisesRegex(RuntimeError, "no rank"):
            lockstep_rank.report_step(1)
