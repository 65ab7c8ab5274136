"""The project's build rules: warnings, linkage and test conventions live here once.

cc_lib        a class: header and source
cc_unit_test  a GoogleTest binary
cc_bench      a google-benchmark binary, and a test that runs each benchmark once
cc_fuzz       a libFuzzer target, and a test that replays its corpus
cc_app        a program linked statically but for glibc (--config=static: that too)
c_lib         plain C without libstdc++
"""

_WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Werror",
]

_CXX_WARNINGS = _WARNINGS + [
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    # GCC 12 sees false overlaps in std::string assignments under C++20 (gcc.gnu.org/PR105651).
    "-Wno-restrict",
    # Partly designated aggregates are the house form of named arguments.
    "-Wno-missing-field-initializers",
]

_PRODUCT_WARNINGS = _CXX_WARNINGS + ["-Wconversion"]

_STATIC_LINK = select({
    "//bazel:fully_static": ["-static"],
    "//conditions:default": [],
})

_STATIC_DEPS = select({
    "//bazel:fully_static": ["//bazel:builtin_nss", "//bazel:unwind_shim"],
    "//conditions:default": [],
})

def cc_lib(name, srcs = [], hdrs = [], deps = [], copts = [], testonly = False, **kwargs):
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        deps = deps,
        copts = (_CXX_WARNINGS if testonly else _PRODUCT_WARNINGS) + copts,
        testonly = testonly,
        **kwargs
    )

def c_lib(name, srcs = [], hdrs = [], deps = [], copts = [], **kwargs):
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        deps = deps,
        copts = _WARNINGS + ["-Wconversion", "-std=gnu11"] + copts,
        **kwargs
    )

def cc_unit_test(name, srcs = None, deps = [], copts = [], linkopts = [], **kwargs):
    native.cc_test(
        name = name,
        srcs = srcs if srcs != None else [name + ".cc"],
        deps = deps + ["@gtest_main"] + _STATIC_DEPS,
        copts = _CXX_WARNINGS + copts,
        linkopts = linkopts + _STATIC_LINK,
        **kwargs
    )

def cc_bench(name, srcs = None, deps = [], copts = [], tags = [], data = [], **kwargs):
    """Builds `name` and the test `name_runs`, which runs every benchmark for one iteration."""
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
        tags = tags,
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
        deps = deps + ["//bazel:replay_corpus", "@gtest"] + _STATIC_DEPS,
        args = ["$(location %s)" % file for file in corpus],
        data = corpus,
        copts = _CXX_WARNINGS + copts,
        linkopts = _STATIC_LINK,
        tags = tags,
    )

def cc_app(name, srcs = None, deps = [], copts = [], linkopts = [], **kwargs):
    """A program that needs nothing of the machine but glibc (--config=static: nothing)."""
    native.cc_binary(
        name = name,
        srcs = srcs if srcs != None else [name + "_main.cc"],
        deps = deps + ["//bazel:unwind_shim"] + select({
            "//bazel:fully_static": ["//bazel:builtin_nss"],
            "//conditions:default": [],
        }),
        copts = _PRODUCT_WARNINGS + copts,
        additional_linker_inputs = ["@static_libs//:archives"],
        linkopts = linkopts + ["-Lexternal/static_libs", "-static-libgcc"] + _STATIC_LINK,
        **kwargs
    )
