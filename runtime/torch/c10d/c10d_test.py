# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The backend `lockstep` of Debian's torch.distributed in jobs of real ranks: c10d_test.py LOCKSTEP PACKAGE_FILE FILE..."""
import os
import re
import shutil
import subprocess
import unittest

from jobs import DEADLINE_S, DEBIANS, FILES, PACKAGE, Jobs

COMPILED = "_lockstep_c10d_*.so"


class DebiansTorchTest(Jobs):

    def test_each_op_gives_known_values(self):
        self.expect_ops(DEBIANS)

    def test_ddp_gives_the_losses_of_gloo_to_the_last_bit(self):
        self.expect_gloos_losses(DEBIANS, "ddp.py")

    def test_a_killed_rank_is_named_when_the_timeout_of_the_process_group_has_passed(self):
        texts, job = self.told_to_others(DEBIANS, "killed")
        for text in texts:
            self.assertRegex(text, r"all_reduce\(f32, sum, 4\), op 1 of group world, ran out of its 2s: rank 1 never called it")
        self.assertIn("rank 1 failed first: killed by signal 9", job.stderr)

    def test_a_rank_that_returned_is_named_at_once_and_stays_the_cause(self):
        texts, job = self.told_to_others(DEBIANS, "returned")
        self.assertEqual(len(texts), 4, job.stdout + job.stderr)
        for text in texts:
            self.assertIn("rank 1 left the group without calling it", text)
        self.assertEqual(sum("failed before this call" in text for text in texts), 2)

    def test_ddp_names_the_rank_that_returned(self):
        texts, _ = self.told_to_others(DEBIANS, "returned_from_ddp")
        for text in texts:
            self.assertIn("rank 1 left the group without calling it", text)

    def test_calls_that_differ_are_shown_with_their_lines(self):
        for fault, theirs in (("other_dtype", r"all_reduce\(f64, sum, 4\)"), ("other_op", "barrier")):
            texts, _ = self.told_to_others(DEBIANS, fault)
            for text in texts:
                self.assertRegex(text, r"ranks 0, 2 called all_reduce\(f32, sum, 4\) at faults.py:\d+; "
                                 r"rank 1 called %s at faults.py:\d+" % theirs)

    def test_a_monitored_barrier_names_all_that_are_missing(self):
        texts, _ = self.told_to_others(DEBIANS, "never_at_the_barrier", others="0")
        self.assertEqual(len(texts), 2)
        for text in texts:  # with wait_all_ranks, and without
            self.assertRegex(text, r"barrier, op 1 of group \S+, ran out of its 2s: ranks 1, 2 never called it")

    def test_outputs_are_compared_where_the_process_group_says_so(self):
        texts, _ = self.told_to_others(DEBIANS, "verified_by_others")
        for text in texts:
            self.assertRegex(text, r"(?s)rank 1 called barrier.*|failed before this call")

    def test_a_rank_that_says_that_it_saves_is_not_blamed(self):
        flags = ("-np", "2", "--hang-grace", "300ms", "--hang-action-after", "1s")
        job = self.run_job(DEBIANS, FILES["phases.py"], "3", "60", flags=flags)
        self.assertEqual(job.returncode, 0, job.stdout + job.stderr)
        self.assertEqual(job.stdout.count("through"), 2)
        self.assertRegex(job.stderr, r"waiting: rank 1 .*checkpoint")
        job = self.run_job(DEBIANS, FILES["phases.py"], "60", "0", flags=flags)
        self.assertEqual(job.returncode, 69, job.stdout + job.stderr)
        self.assertIn("lockstep: rank 1 has not come to all_reduce", job.stderr)

    def test_survivors_go_on_in_their_processes(self):
        self.expect_survivors(DEBIANS)

    def test_survivors_of_a_job_that_keeps_none_are_an_error(self):
        script = ("import lockstep_c10d, torch.distributed as d; d.init_process_group('lockstep');"
                  "lockstep_c10d.shrink_to_survivors()")
        job = self.run_job(DEBIANS, "-c", script, flags=("-np", "1"))
        self.assertIn("RuntimeError", job.stderr + job.stdout)
        self.assertIn("--on-rank-failure keep", job.stderr + job.stdout)

    def test_a_group_that_a_member_never_makes_names_it(self):
        texts, _ = self.told_to_others(DEBIANS, "never_made")
        for text in texts:
            self.assertIn("rank 1 never came within 2s", text)

    def test_a_rank_ends_while_its_op_waits_for_a_late_one(self):
        for fault in ("late", "late_and_kept"):
            self.assertIn("rank 0 ended", self.run_well(DEBIANS, FILES["faults.py"], fault))

    def test_a_first_group_of_some_ranks_is_refused(self):
        job = self.run_job(DEBIANS, FILES["faults.py"], "subset_first")
        self.assertIn("holds 1 of the job's 2 ranks", job.stdout, job.stderr)

    def test_several_ranks_without_an_agent_are_told_to_use_lockstep_run(self):
        environment = dict(os.environ, PYTHONPATH=PACKAGE, RANK="0", WORLD_SIZE="2", MASTER_ADDR="localhost",
                           MASTER_PORT="0", HOME=self.folder)
        run = subprocess.run([DEBIANS, "-c", "import lockstep_c10d; lockstep_c10d._extension.RankGroups()"],
                             capture_output=True, text=True, timeout=DEADLINE_S, env=environment)
        self.assertRegex(run.stderr, r"RuntimeError: .*start the program with `lockstep run`")

    def test_a_rank_that_is_not_the_agents_is_refused(self):
        script = ("import os, lockstep_c10d, torch.distributed as d; r = int(os.environ['RANK']);"
                  "d.init_process_group('lockstep', rank=1 - r, world_size=2)")
        job = self.run_job(DEBIANS, "-c", script)
        self.assertRegex(job.stderr + job.stdout, r"says that this is rank \d of 2, and its agent that it is rank \d of 2")

    def test_the_process_does_not_end_up_with_two_standard_libraries_of_ours(self):
        output = self.run_well(DEBIANS, "-c", "import lockstep_c10d; print(open('/proc/self/maps').read())", flags=("-np", "1"))
        self.assertEqual(len(set(re.findall(r"\S*/libstdc\+\+\S*", output))), 1)


class CompiledOnFirstUseTest(Jobs):
    """A torch that the package has no extension for: here Debian's, without the one that is there for it."""

    def package_without_extension(self):
        package = os.path.join(self.folder, "package")
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns(COMPILED), symlinks=False)
        return package

    def test_ranks_compile_it_once(self):
        output = self.run_well(DEBIANS, FILES["ops.py"], "all_reduce", flags=("-np", "3"),
                               package=self.package_without_extension())
        self.assertEqual(output.count(": all_reduce\n"), 3)
        made = os.listdir(os.path.join(self.folder, "lockstep", "c10d"))
        self.assertEqual(sum(name.endswith(".so") for name in made), 1, made)

    def test_without_a_compiler_it_says_so(self):
        run = subprocess.run([DEBIANS, "-c", "import os; os.environ['PATH'] = '/nowhere'; import lockstep_c10d"],
                             capture_output=True, text=True, timeout=DEADLINE_S,
                             env=dict(os.environ, PYTHONPATH=self.package_without_extension(), HOME=self.folder,
                                      XDG_CACHE_HOME=self.folder))
        self.assertRegex(run.stderr, r"ImportError: lockstep_c10d has no extension for torch 1.13.*install g\+\+")

    def run_python(self, script, path):
        return subprocess.run([DEBIANS, "-c", script], capture_output=True, text=True, timeout=DEADLINE_S,
                              env=dict(os.environ, PYTHONPATH=path, HOME=self.folder, XDG_CACHE_HOME=self.folder))

    def test_debians_extension_is_for_debians_torch_alone(self):
        run = self.run_python("import os, torch; os.environ['PATH'] = '/nowhere'; torch.__file__ = '/pypi/torch/__init__.py';"
                              "import lockstep_c10d", PACKAGE)
        self.assertRegex(run.stderr, r"ImportError: lockstep_c10d has no extension for torch 1.13.*install g\+\+")

    def test_a_torch_that_is_too_old_is_refused(self):
        run = self.run_python("import torch; torch.__version__ = '2.0.1+cpu'; import lockstep_c10d", PACKAGE)
        self.assertIn("ImportError: lockstep_c10d works with torch 1.13, and with 2.1 or later; this is torch 2.0.1+cpu",
                      run.stderr)

    def test_a_compiler_that_takes_too_long_is_given_up_and_leaves_nothing(self):
        compiler = os.path.join(self.folder, "g++")
        with open(compiler, "w") as file:
            file.write("#!/bin/sh\n: > %s/made.so.$PPID\nexec sleep 300\n" % self.folder)
        os.chmod(compiler, 0o755)
        run = self.run_python("import os, extension; os.environ['PATH'] = '%s:' + os.environ['PATH'];"
                              "extension.COMPILER_DEADLINE_S = 2; extension.compile_to('%s/made.so')" %
                              (self.folder, self.folder), os.path.join(PACKAGE, "lockstep_c10d"))
        self.assertRegex(run.stderr, "ImportError: compiling lockstep_c10d for torch 1.13.* took more than 2 s")
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("made")], [])

    def test_an_error_of_the_compiler_is_shown(self):
        package = self.package_without_extension()
        sources = os.path.join(package, "lockstep_c10d/src/runtime/torch/c10d")
        for name in os.listdir(sources):
            if name.endswith(".cc"):
                os.unlink(os.path.join(sources, name))  # a good one would take its time
        with open(os.path.join(sources, "c10d_module.cc"), "w") as file:
            file.write("this is no C++")
        run = subprocess.run([DEBIANS, "-c", "import lockstep_c10d"], capture_output=True, text=True, timeout=DEADLINE_S,
                             env=dict(os.environ, PYTHONPATH=package, HOME=self.folder, XDG_CACHE_HOME=self.folder))
        self.assertRegex(run.stderr, r"(?s)ImportError: compiling lockstep_c10d for torch 1.13.*c10d_module.cc:1")
