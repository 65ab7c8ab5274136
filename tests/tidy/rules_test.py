# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Each rule finds its bad sample, names the line and the way out, and leaves the good one alone."""
import unittest

import rules

LAYERS = """
package_group(name = "above_base", packages = ["//..."])
package_group(name = "above_runtime", packages = ["//launcher/...", "//tests/..."])
package_group(name = "above_launcher", packages = ["//launcher/...", "//tests/..."])
"""
LICENCE = "// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0\n"


class RulesTest(unittest.TestCase):
    def assert_finds(self, rule, tree, *expected):
        """Exactly one complaint for each expected beginning."""
        complaints = sorted(rule({"BUILD": LAYERS, **tree}))
        self.assertEqual(len(complaints), len(expected), complaints)
        for complaint, beginning in zip(complaints, sorted(expected)):
            self.assertTrue(complaint.startswith(beginning), complaint)
            self.assertIn(";", complaint)  # what instead

    def test_includes_go_downwards(self):
        self.assert_finds(rules.includes_go_downwards, {
            "runtime/base/a.h": '#include <vector>\n#include "launcher/l.h"\n',
            "runtime/net/n.h": '#include "runtime/base/a.h"\n#include "gmock/gmock.h"\n',
            "launcher/l.h": '#include "runtime/net/n.h"\n',
            "elastic/e.h": '#include "runtime/net/n.h"\n#include "elastic/f.h"\n',
            "elastic/f.h": "",
            "launcher/uses_example.cc": '#include "examples/x/x.h"\n',
            "examples/x/x.h": "",
            "tests/sim/s.cc": '#include "launcher/l.h"\n#include "examples/x/x.h"\n',
        }, "runtime/base/a.h:2: runtime/base may not include from launcher", "elastic/e.h:1: ",
            "launcher/uses_example.cc:1: ")

    def test_the_picture_shows_the_layers(self):
        files = {"launcher/l.cc": "", "runtime/net/n.cc": "", "runtime/event/e.cc": "", "runtime/base/b.cc": "",
                 "tests/sim/s.cc": ""}
        picture = "## Layers\n\n```\n L4 launcher/  verbs\n L2 runtime/{net,event}/\n L0 runtime/base/  Status\n```\n"
        self.assert_finds(rules.the_picture_shows_the_layers, {**files, "docs/architecture.md": picture})
        self.assert_finds(rules.the_picture_shows_the_layers, {
            **files, "docs/architecture.md": picture.replace("event", "gone")},
            "docs/architecture.md:1: runtime/event is not in", "docs/architecture.md:1: runtime/gone is drawn")
        self.assert_finds(rules.the_picture_shows_the_layers, {
            **files, "docs/architecture.md": picture.replace("launcher/  verbs", "").replace("}/", "}/ launcher/")},
            "docs/architecture.md:1: launcher is not drawn above runtime/event",
            "docs/architecture.md:1: launcher is not drawn above runtime/net")

    def test_libraries_stay_in_their_folders(self):
        self.assert_finds(rules.libraries_stay_in_their_folders, {
            "collectives/a.cc": "#include <torch/torch.h>\n",
            "collectives/b.cc": "#include <mpi.h>\n#include <my_mpi.h>\n",
            "launcher/c.cc": "#include <curl/curl.h>\n#include <glog/logging.h>\n",
            "launcher/d.cc": "#include <gflags/gflags.h>\n",
            "launcher/e.cc": '#include "nccl.h"\n#include "topology/torch/x.h"\n',
            "runtime/torch/f.cc": "#include <ATen/core/ivalue.h>\n",
            "runtime/base/logging.h": "#include <glog/logging.h>\n",
            "launcher/lockstep_main.cc": "#include <gflags/gflags.h>\n",
        }, "collectives/a.cc:1: LibTorch", "collectives/b.cc:1: MPI", "launcher/c.cc:1: libcurl", "launcher/c.cc:2: glog",
            "launcher/d.cc:1: gflags", "launcher/e.cc:1: NCCL")

    def test_only_runtime_process_makes_processes(self):
        self.assert_finds(rules.only_runtime_process_makes_processes, {
            "launcher/a.cc": "// never fork() here\nauto copy = tensor.clone();\nauto b = p->clone();\npid = fork();\n",
            "launcher/b.cc": 'Log("cannot fork(2)");\n  ::posix_spawn(&pid);\n',
            "launcher/c.cc": "syscall(SYS_clone3, &arguments);\nGatewaySystem(1); unfork(2); file_system(3);\n",
            "launcher/d.cc": "system(command);  // tidy:allow process: no reason is not needed\n"
                             "system(command);  // tidy:allow process:\n",
            "launcher/a_test.cc": "fork();\n",
            "runtime/process/spawn.cc": "vfork();\n",
        }, "launcher/a.cc:4: fork", "launcher/b.cc:2: ::posix_spawn", "launcher/c.cc:1: SYS_clone3", "launcher/d.cc:2: ")

    def test_flags_are_defined_in_mains(self):
        self.assert_finds(rules.flags_are_defined_in_mains, {
            "launcher/a.cc": "DEFINE_int32(port, 0, \"\");\n// DEFINE_bool(x)\n",
            "launcher/a_main.cc": "DEFINE_int32(port, 0, \"\");\n",
        }, "launcher/a.cc:1: DEFINE_int32")

    def test_tests_do_not_sleep(self):
        self.assert_finds(rules.tests_do_not_sleep, {
            "elastic/a_test.cc": "std::this_thread::sleep_for(1ms);\nint x = 1'000;\nusleep(x);  // don't\n",
            "tests/e2e/b_test.py": "time.sleep(1)\n",  # tidy:allow sleep: a bad sample
            "tests/e2e/c.cc": "sleep(100);  // tidy:allow sleep: this rank plays one that hangs\n",
            "elastic/product.cc": "std::this_thread::sleep_for(1ms);\n",
        }, "elastic/a_test.cc:1: sleep_for", "elastic/a_test.cc:3: usleep", "tests/e2e/b_test.py:1: time.sleep")

    def test_types_have_one_definition(self):
        self.assert_finds(rules.types_have_one_definition, {
            "launcher/a.h": "namespace lockstep::launcher {\nclass Later;\nstruct Meeting {\n  struct Config {};\n};\n"
                            "enum class Kind : uint8_t { kOne };\nvoid F(struct Tail* t) { struct Local {}; }\n}\n",
            "launcher/b.h": "namespace lockstep::launcher {\n// struct Meeting {\nclass Other final : public Base {\n"
                            "  struct Config {};\n};\nclass Meeting final : public Base {};\n}\n",
            "launcher/c.cc": "namespace lockstep::launcher {\nnamespace {\nstruct Other {};\nstruct Local {};\n}\n"
                             "enum class Kind { kTwo };\n}\n",
            "elastic/d.h": "namespace lockstep::elastic {\nclass Meeting;\nstruct Meeting {};\n}\n",
            "launcher/e_test.cc": "namespace lockstep::launcher {\nstruct Meeting {};\n}\n",
        }, "launcher/b.h:6: lockstep::launcher::Meeting is defined in launcher/a.h:3",
            "launcher/c.cc:6: lockstep::launcher::Kind is defined in launcher/a.h:6")

    def test_files_begin_with_the_licence(self):
        hash_form = LICENCE.replace("//", "#")
        self.assert_finds(rules.files_begin_with_the_licence, {
            "a/good.cc": LICENCE, "a/good.py": hash_form, "a/good": "#!/bin/sh\n" + hash_form, "a/data.txt": "",
            "a/bad.cc": "#include <vector>\n", "a/bad.py": "", "a/bad": "#!/bin/sh\necho\n", "a/bad.h": hash_form,
        }, "a/bad.cc:1: ", "a/bad.h:1: ", "a/bad.py:1: ", "a/bad:1: ")

    def test_comments_keep_within_the_columns(self):
        fits, too_long = "x" * 97, "x" * 98
        self.assert_finds(rules.comments_keep_within_the_columns, {
            "a/good.cc": "// %s\nint a;  // %s\n" % (fits, too_long), "a/good.py": "# " + too_long,
            "a/bad.cc": "int a;\n// %s\n" % too_long, "a/bad.h": "  /// %s\n" % fits, "a/bad.c": " * %s\n" % too_long,
        }, "a/bad.c:1: ", "a/bad.cc:2: ", "a/bad.h:1: ")

    def test_guards_are_named_after_their_path(self):
        self.assert_finds(rules.guards_are_named_after_their_path, {
            "runtime/base/good.h": "#ifndef LOCKSTEP_RUNTIME_BASE_GOOD_H_\n#define LOCKSTEP_RUNTIME_BASE_GOOD_H_\n",
            "runtime/base/old.h": "#ifndef LOCKSTEP_BASE_OLD_H_\n#define LOCKSTEP_BASE_OLD_H_\n",
            "runtime/base/once.h": "#pragma once\n",
        }, "runtime/base/old.h:1: ", "runtime/base/once.h:1: ")

    def test_sources_include_their_header_first(self):
        self.assert_finds(rules.sources_include_their_header_first, {
            "a/good.h": "", "a/good.cc": '#define _GNU_SOURCE\n#include "a/good.h"\n#include <vector>\n',
            "a/late.h": "", "a/late.cc": '#include <vector>\n#include "a/late.h"\n',
            "a/never.h": "", "a/never.c": "",
            "a/late_test.cc": '#include <vector>\n#include "a/late.h"\n',
        }, "a/late.cc:1: ", "a/never.c:1: ")

    def test_build_files_use_the_house_rules(self):
        self.assert_finds(rules.build_files_use_the_house_rules, {
            "a/BUILD": '# cc_library( is not used\ncc_lib(name = "x")\ncc_library(\n    name = "y",\n)\n',
            "b/BUILD": 'cc_lib(name = "x", srcs = glob(["*.cc"]))\n',
            "bazel/BUILD": 'cc_library(name = "x")\n',
        }, "a/BUILD:3: cc_library", "b/BUILD:1: glob")

    def test_soak_tests_are_tagged(self):
        self.assert_finds(rules.soak_tests_are_tagged, {
            "a/BUILD": 'cc_unit_test(name = "untagged_test")\ncc_unit_test(name = "good_test", tags = ["x", "soak"])\n'
                       'cc_unit_test(name = "short_test", tags = ["soak"])\ncc_unit_test(name = "plain_test")\n'
                       '[py_unit_test(name = name, tags = tags) for name, tags in [("p_test", []), ("q_test", ["soak"])]]\n',
            "a/untagged_test.cc": 'getenv("LOCKSTEP_SOAK")', "a/good_test.cc": 'getenv("LOCKSTEP_SOAK")',
            "a/short_test.cc": "", "a/plain_test.cc": "",
            "b/BUILD": 'cc_unit_test(name = "by_header_test", tags = ["soak"], deps = ["//a:seeds"])\n',
            "b/by_header_test.cc": "", "a/seeds.h": 'getenv("LOCKSTEP_SOAK")',
            "a/p_test.py": 'os.environ["LOCKSTEP_SOAK"]', "a/q_test.py": 'os.environ["LOCKSTEP_SOAK"]',
        }, "a/BUILD:1: untagged_test reads", "a/BUILD:1: short_test has", "a/BUILD:1: p_test reads")

    def test_folders_have_a_readme(self):
        self.assert_finds(rules.folders_have_a_readme, {
            "good/BUILD": "", "good/README.md": "", "bad/inner/BUILD": "", "docs/page.md": "",
        }, "bad/README.md: ")

    def test_document_links_resolve(self):
        self.assert_finds(rules.document_links_resolve, {
            "docs/a.md": "# A Heading, named\n[b](b.md) [root](../BUILD) [web](https://x.y/z) [own](#a-heading-named)\n"
                         "[folder](../docs) `[code](nowhere)`\n```\n[code](nowhere)\n# not a heading\n```\n",
            "docs/b.md": "[gone](gone.md)\n[no heading](a.md#not-a-heading)\n[here](a.md#a-heading-named)\n",
        }, "docs/b.md:1: the link gone.md", "docs/b.md:2: docs/a.md has no heading")
