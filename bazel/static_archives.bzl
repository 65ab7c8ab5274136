"""@static_libs: a folder that holds only the .a files of system libraries.

A binary that puts it first on its library path (cc_app does) finds the archive for every -lNAME, libstdc++ included,
and so links all but glibc statically (of glibc too the few functions of libm that it calls: to load that library whole
would cost every command 0.05 ms); every other binary keeps the shared libraries. Nothing is compiled twice.
"""

load("//bazel:system_repository.bzl", "missing", "run_or_explain", "stamp_versions")

def _link_archive(rctx, name):
    path = run_or_explain(rctx, ["gcc", "-print-file-name=lib%s.a" % name], ["g++"])
    if not path.startswith("/"):
        missing(rctx, "lib%s.a is not installed." % name, rctx.attr.deb)
    rctx.symlink(path, "lib%s.a" % name)

def _impl(rctx):
    names = rctx.attr.archives + ["stdc++", "m"]
    for name in names:
        _link_archive(rctx, name)
    stamp_versions(rctx, rctx.attr.deb)
    rctx.file("BUILD", 'package(default_visibility = ["//visibility:public"])\n\nfilegroup(name = "archives", srcs = %s)\n' %
                       repr(["lib%s.a" % name for name in names] + ["VERSION.stamp"]))

static_archives_repository = repository_rule(
    implementation = _impl,
    local = True,
    attrs = {
        "archives": attr.string_list(mandatory = True, doc = "Library names without lib and .a."),
        "deb": attr.string_list(mandatory = True),
    },
)
