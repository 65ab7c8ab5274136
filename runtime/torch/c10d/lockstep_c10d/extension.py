# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""Finds the extension that fits the running torch and Python, or compiles it from the sources beside this file.

An extension works with the one release of torch and of Python that it was compiled for. That of Debian's torch comes
with the package; others are made on first use, by g++, into $XDG_CACHE_HOME/lockstep/c10d (~/.cache by default).
"""
import contextlib
import fcntl
import hashlib
import importlib.machinery
import importlib.util
import os
import subprocess
import sysconfig

import torch

FOLDER = os.path.dirname(os.path.abspath(__file__))
NAME = "_lockstep_c10d"
LIBRARY = "liblockstep_collectives.so"
COMPILER_DEADLINE_S = 600
DEBIANS_PACKAGES = "/usr/lib/python3/dist-packages"
LEAST_TORCH_1, LEAST_TORCH_2 = (1, 13), (2, 1)  # 2.0 has none of the coalesced ops that we override


def version():
    """What an extension must have been compiled for: "1.13_cpython-311-x86_64-linux-gnu"."""
    release = ".".join(torch.__version__.split("+")[0].split(".")[:2])
    return "%s_%s" % (release, sysconfig.get_config_var("SOABI"))


def check_release():
    release = tuple(int(number) for number in torch.__version__.split("+")[0].split(".")[:2])
    if release < LEAST_TORCH_1 or (2, 0) <= release < LEAST_TORCH_2:
        raise ImportError("lockstep_c10d works with torch %d.%d, and with %d.%d or later; this is torch %s" %
                          (*LEAST_TORCH_1, *LEAST_TORCH_2, torch.__version__))


def shipped():
    """None where there is none for this torch; one of PyPI has the same version as Debian's and another ABI."""
    path = os.path.join(FOLDER, "%s_%s.so" % (NAME, version()))
    is_debians = os.path.dirname(os.path.dirname(os.path.abspath(torch.__file__))) == DEBIANS_PACKAGES
    return path if is_debians and os.path.exists(path) else None


def sources():
    folder = os.path.join(FOLDER, "src")
    return sorted(os.path.join(parent, file) for parent, _, files in os.walk(folder) for file in files)


def cached():
    """Where the one that is compiled here goes: another for each compiler input."""
    key = hashlib.sha256()
    for text in (torch.__version__, torch.__file__, FOLDER, version()):
        key.update(text.encode() + b"\0")
    for path in sources() + [os.path.join(FOLDER, LIBRARY)]:
        with open(path, "rb") as file:
            key.update(hashlib.sha256(file.read()).digest())
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "lockstep", "c10d", "%s_%s.so" % (NAME, key.hexdigest()[:32]))


def command(output):
    root = os.path.dirname(torch.__file__)
    libraries = os.path.join(root, "lib")
    includes = [os.path.join(FOLDER, "src"), os.path.join(root, "include"),
                os.path.join(root, "include", "torch", "csrc", "api", "include"),
                "/usr/include/torch/csrc/api/include", sysconfig.get_paths()["include"]]
    defines = ["_GLIBCXX_USE_CXX11_ABI=%d" % torch.compiled_with_cxx11_abi()]
    for name in ("COMPILER_TYPE", "STDLIB", "BUILD_ABI"):  # torch's classes are found by these
        value = getattr(torch._C, "_PYBIND11_" + name, None)
        if value is not None:
            defines.append('PYBIND11_%s="%s"' % (name, value))
    return (["g++", "-std=c++20", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-w"] +
            ["-D" + define for define in defines] +
            ["-isystem" + folder for folder in includes if os.path.isdir(folder)] +
            [path for path in sources() if path.endswith(".cc")] +
            ["-o", output, "-L" + FOLDER, "-llockstep_collectives", "-Wl,-rpath," + FOLDER, "-L" + libraries,
             "-Wl,--no-as-needed", "-ltorch_python", "-ltorch_cpu", "-lc10", "-Wl,-rpath," + libraries])


def compile_to(path):
    temporary = "%s.%d" % (path, os.getpid())
    try:
        compile_and_rename(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def compile_and_rename(temporary, path):
    try:
        result = subprocess.run(command(temporary), capture_output=True, text=True, timeout=COMPILER_DEADLINE_S)
    except FileNotFoundError:
        raise ImportError("lockstep_c10d has no extension for torch %s (%s), and there is no g++ to compile it; "
                          "install g++" % (torch.__version__, version())) from None
    except subprocess.TimeoutExpired:
        raise ImportError("compiling lockstep_c10d for torch %s took more than %g s and was given up; try again when the "
                          "machine is less busy" % (torch.__version__, COMPILER_DEADLINE_S)) from None
    if result.returncode != 0:
        raise ImportError("compiling lockstep_c10d for torch %s failed; the backend `lockstep` is not available:\n%s" %
                          (torch.__version__, result.stderr[-4000:]))
    os.rename(temporary, path)


@contextlib.contextmanager
def locked(path):
    """Of the ranks of a machine one compiles, and the others wait for it."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path + ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find():
    check_release()
    path = shipped()
    if path is not None:
        return path
    path = cached()
    if not os.path.exists(path):
        with locked(path):
            if not os.path.exists(path):
                compile_to(path)
    return path


def load():
    loader = importlib.machinery.ExtensionFileLoader(NAME, find())
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(NAME, loader))
    loader.exec_module(module)
    return module
