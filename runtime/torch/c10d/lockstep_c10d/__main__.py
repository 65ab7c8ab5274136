# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Runs a script that knows the backend `lockstep`: python3 -m lockstep_c10d [-m MODULE | SCRIPT] [ARGUMENT...]"""
import os
import runpy
import sys

import lockstep_c10d  # noqa: F401, for what it registers


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments == ["-m"]:
        sys.exit("usage: python3 -m lockstep_c10d [-m MODULE | SCRIPT] [ARGUMENT...]")
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))  # as python3 SCRIPT has it
        runpy.run_path(arguments[0], run_name="__main__")


main()
