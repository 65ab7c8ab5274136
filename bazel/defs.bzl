"""The project's build rules: warnings, linkage and test conventions live here once.

cc_lib        a class: header and source
c_lib         plain C without libstdc++
cc_unit_test  a GoogleTest binary
cc_bench      a google-benchmark binary, and a test that runs each benchmark once
cc_fuzz       a libFuzzer target, and a test that replays its corpus
cc_app        a program linked statically but for glibc (--config=static: that too)
c_app         the same in plain C
cc_portable_test a GoogleTest binary linked as cc_app is, for a machine without our libraries
cc_shared_app a program that needs LibTorch
c_plugin      a shared object that a program loads, in plain C
cc_test_plugin a shared object in C++ that tests alone load
cc_so_for_c   a shared object in C++ with a C interface, for programs of other compilers and languages
py_bench      a program in Python that measures, and a test that runs it once
cc_python_extension a shared object in C++ that Python imports
py_unit_test  a unittest file, each of its cases counted
"""

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Werror",
]

_C_COPTS = _WARNINGS + [
    "-Wconversion",
    "-std=gnu11",
]

_CXX_WARNINGS = _WARNINGS + [
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    # GCC 12 sees false overlaps in std::string assignments under C++20 (gcc.gnu.org/PR105651).
    "-Wno-restrict",
    # Partly designated aggregates are the house form of named arguments.
    "-Wno-missing-field-initializers",
]

_PRODUCT_WARNINGS = _CXX_WARNINGS + [
    "-Wconversion",
    # Part of -Wconversion in clang, not in GCC: size_t meets ptrdiff_t too often for it to say anything.
    "-Wno-sign-conversion",
]

_STATIC_LINK = select({
    "//bazel:fully_static": ["-static"],
    "//conditions:default": [],
})

_STATIC_TEST_DEPS = select({
    "//bazel:fully_static": ["//bazel:builtin_nss", "//bazel:unwind_shim"],
    "//conditions:default": [],
})

# In a sanitizer's build libstdc++ must stay shared: the runtime finds __cxa_throw in it.
_APP_DEPS = select({
    "//bazel:all_shared": [],
    "//conditions:default": ["//bazel:unwind_shim"],
})

_BUILTIN_NSS = select({
    "//bazel:fully_static": ["//bazel:builtin_nss"],
    "//conditions:default": [],
})

_APP_LINK = select({
    "//bazel:all_shared": [],
    "//bazel:fully_static": ["-static"],
    "//conditions:default": ["-Lexternal/static_libs", "-static-libgcc"],
})

_SO_LINK = select({
    "//bazel:all_shared": [],
    "//conditions:default": ["-Lexternal/static_libs", "-static-libgcc"],
})

def _sources_that_compile_headers_alone(name, headers, srcs, extension):
    """A one-line source for each header that no source of the library can be relied on to include first."""
    sources = []
    for header in headers:
        stem = header[:-len(".h")]
        if not header.endswith(".h") or ":" in header or stem + extension in srcs:
            continue
        source = "%s_compiles_alone%s" % (stem, extension)
        native.genrule(
            name = "%s_%s_compiles_alone" % (name, stem.replace("/", "_")),
            outs = [source],
            cmd = "echo '#include \"%s/%s\"  // must compile alone' > $@" % (native.package_name(), header),
        )
        sources.append(source)
    return sources

def cc_lib(name, srcs = [], hdrs = [], deps = [], copts = [], testonly = False, **kwargs):
    """Each header of it compiles alone: x.cc includes x.h first (tests/tidy), and a header without one gets a source."""
    private_headers = [src for src in srcs if src.endswith(".h")]
    native.cc_library(
        name = name,
        srcs = srcs + _sources_that_compile_headers_alone(name, hdrs + private_headers, srcs, ".cc"),
        hdrs = hdrs,
        deps = deps,
        copts = (_CXX_WARNINGS if testonly else _PRODUCT_WARNINGS) + copts,
        testonly = testonly,
        **kwargs
    )

def c_lib(name, srcs = [], hdrs = [], deps = [], copts = [], **kwargs):
    """Its headers compile alone as cc_lib's do, and as C."""
    private_headers = [src for src in srcs if src.endswith(".h")]
    native.cc_library(
        name = name,
        srcs = srcs + _sources_that_compile_headers_alone(name, hdrs + private_headers, srcs, ".c"),
        hdrs = hdrs,
        deps = deps,
        copts = _C_COPTS + copts,
        **kwargs
    )

def cc_unit_test(name, srcs = None, deps = [], copts = [], linkopts = [], **kwargs):
    native.cc_test(
        name = name,
        srcs = srcs if srcs != None else [name + ".cc"],
        deps = deps + ["@gtest_main"] + _STATIC_TEST_DEPS,
        copts = _CXX_WARNINGS + copts,
        linkopts = linkopts + _STATIC_LINK,
        **kwargs
    )

def cc_bench(name, srcs = None, deps = [], copts = [], tags = [], data = [], **kwargs):
    """Builds `name` and the test `name_runs` (tag once), which runs every benchmark for one iteration."""
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = srcs if srcs != None else [name + ".cc"],
        deps = deps + ["@benchmark"],
        copts = _CXX_WARNINGS + copts,
        tags = tags,
        data = data,
        **kwargs
    )
    native.sh_test(
        name = name + "_runs",
        srcs = ["//bazel:run_once.sh"],
        args = ["$(location :%s)" % name],
        data = [":" + name],
        tags = tags + ["once"],
    )

def cc_fuzz(name, corpus, srcs = None, deps = [], copts = [], tags = [], **kwargs):
    """Builds `name` (manual; only under --config=fuzz) and the test `name_corpus`, which replays the kept inputs.

    The source defines LLVMFuzzerTestOneInput; `corpus` is a list of files.
    """
    source = srcs if srcs != None else [name + ".cc"]
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = source,
        deps = deps,
        copts = _CXX_WARNINGS + copts,
        tags = tags + ["manual"],
        **kwargs
    )
    native.cc_test(
        name = name + "_corpus",
        srcs = source,
        deps = deps + ["//bazel:replay_corpus"] + _STATIC_TEST_DEPS,
        args = ["$(location %s)" % file for file in corpus],
        data = corpus,
        copts = _CXX_WARNINGS + copts,
        linkopts = _STATIC_LINK,
        tags = tags,
    )

def cc_app(name, srcs = None, deps = [], copts = [], linkopts = [], builtin_nss = True, **kwargs):
    """A program that needs nothing of the machine but glibc (--config=static: nothing).

    builtin_nss = False leaves out bazel/builtin_nss.cc, for the test that shows what happens then.
    """
    native.cc_binary(
        name = name,
        srcs = srcs if srcs != None else [name + "_main.cc"],
        deps = deps + _APP_DEPS + (_BUILTIN_NSS if builtin_nss else []),
        copts = _PRODUCT_WARNINGS + copts,
        additional_linker_inputs = ["@static_libs//:archives"],
        linkopts = linkopts + _APP_LINK,
        **kwargs
    )

def cc_portable_test(name, srcs, deps = [], copts = [], linkopts = [], gtest_main = True, **kwargs):
    """No test of Bazel's: whoever carries it to another machine runs it there (//tests/gpu)."""
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = srcs,
        deps = deps + (["@gtest_main"] if gtest_main else []) + _APP_DEPS,
        copts = _CXX_WARNINGS + copts,
        additional_linker_inputs = ["@static_libs//:archives"],
        linkopts = linkopts + _APP_LINK,
        **kwargs
    )

def cc_shared_app(name, srcs = None, deps = [], copts = [], **kwargs):
    """A program that links shared libraries, as those must that need LibTorch: it brings its own glog and gflags."""
    native.cc_binary(
        name = name,
        srcs = srcs if srcs != None else [name + "_main.cc"],
        deps = deps,
        copts = _PRODUCT_WARNINGS + copts,
        **kwargs
    )

def c_app(name, srcs = None, deps = [], copts = [], linkopts = [], **kwargs):
    native.cc_binary(
        name = name,
        srcs = srcs if srcs != None else [name + ".c"],
        deps = deps,
        copts = _C_COPTS + copts,
        linkopts = linkopts + _STATIC_LINK,
        **kwargs
    )

def c_plugin(name, srcs, deps = [], copts = [], linkopts = [], **kwargs):
    """`name` is the file name that the loading program looks for, .so included."""
    native.cc_binary(
        name = name,
        srcs = srcs,
        deps = deps,
        copts = _C_COPTS + copts,
        # The toolchain links libstdc++ into everything; a plugin must not bring it into a foreign process.
        linkopts = linkopts + ["-Wl,--as-needed"],
        linkshared = True,
        **kwargs
    )

def cc_so_for_c(name, exports, deps, linkopts = [], **kwargs):
    """`name` ends in .so; it needs nothing of the machine but glibc, and shows what `exports`, a linker's version script, names."""
    native.cc_binary(
        name = name,
        deps = deps + _APP_DEPS,
        additional_linker_inputs = [
            exports,
            "@static_libs//:archives",
        ],
        linkopts = linkopts + ["-Wl,--version-script=$(location %s)" % exports, "-Wl,-z,defs"] + _SO_LINK,
        linkshared = True,
        **kwargs
    )

def cc_test_plugin(name, srcs, deps = [], copts = [], linkopts = [], **kwargs):
    """As c_plugin in C++, for tests: it brings and finds libstdc++ as a test does. `name` is the file name."""
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = srcs,
        deps = deps,
        copts = _CXX_WARNINGS + copts,
        linkopts = linkopts,
        linkshared = True,
        **kwargs
    )

def cc_python_extension(name, srcs, deps = [], copts = [], linkopts = [], **kwargs):
    """`name` is the file name; it finds libstdc++ and libpython in the process, and its other libraries beside itself."""
    native.cc_binary(
        name = name,
        srcs = srcs,
        deps = deps,
        copts = _PRODUCT_WARNINGS + copts,
        linkopts = linkopts + ["-Wl,-rpath,$$ORIGIN"],
        linkshared = True,
        **kwargs
    )

def py_bench(name, args = [], data = [], tags = [], **kwargs):
    """An executable NAME.py for /usr/bin/python3; the test NAME_runs (tag once) gives it the argument --quick too."""
    native.sh_binary(
        name = name,
        testonly = True,
        srcs = [name + ".py"],
        args = args,
        data = data,
        tags = tags,
        **kwargs
    )
    native.sh_test(
        name = name + "_runs",
        srcs = [name + ".py"],
        args = args + ["--quick"],
        data = data,
        tags = tags + ["once"],
    )

def py_unit_test(name, srcs = None, args = [], data = [], **kwargs):
    """Runs under Debian's /usr/bin/python3 with nothing but its standard library."""
    file = srcs[0] if srcs != None else name + ".py"
    native.sh_test(
        name = name,
        srcs = ["//bazel:run_unittest.py"],
        args = ["$(location %s)" % file] + args,
        data = data + (srcs if srcs != None else [file]),
        **kwargs
    )
