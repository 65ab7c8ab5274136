"""Repositories that stand for libraries installed on the machine.

A system_repository offers one cc_library named like itself. Include directories outside the compiler's own are linked
into the repository (Bazel 4 refuses undeclared inclusions otherwise), and the installed package versions are an input
of every dependent compile, so that an apt upgrade can never meet a stale cache entry.
"""

_BUILD = """package(default_visibility = ["//visibility:public"])

cc_library(
    name = "{name}",
    hdrs = glob({globs}, allow_empty = True),
    textual_hdrs = ["VERSION.stamp"],
    includes = {includes},
    defines = {defines},
    linkopts = {linkopts},
)
"""

_COMPILER_DIRS = [
    "/usr/include",
    "/usr/include/x86_64-linux-gnu",
    "/usr/include/aarch64-linux-gnu",
]

def missing(rctx, what, deb):
    fail("%s: %s\n\nInstall it with:\n    apt-get install --no-install-recommends %s\n(or run `make setup`, which installs everything the build needs)" %
         (rctx.name, what, " ".join(deb)))

def run_or_explain(rctx, args, deb):
    if not rctx.which(args[0]):
        missing(rctx, "the program '%s' is not installed." % args[0], deb)
    result = rctx.execute(args)
    if result.return_code != 0:
        missing(rctx, "`%s` failed: %s" % (" ".join(args), result.stderr.strip()), deb)
    return result.stdout.strip()

def stamp_versions(rctx, deb):
    """Writes VERSION.stamp: the cache key that stands for undeclared system headers."""
    result = rctx.execute(["dpkg-query", "-W", "-f", "${Package}=${Version}\n"] + deb)
    rctx.file("VERSION.stamp", result.stdout if result.return_code == 0 else "unknown\n")

def _impl(rctx):
    deb = rctx.attr.deb
    if rctx.attr.probe_header and not rctx.path(rctx.attr.probe_header).exists:
        missing(rctx, "%s does not exist." % rctx.attr.probe_header, deb)

    include_dirs = list(rctx.attr.include_dirs)
    defines = []
    linkopts = []
    if rctx.attr.modules:
        pkg_config_deb = ["pkg-config"] + deb
        for flag in run_or_explain(rctx, ["pkg-config", "--cflags"] + rctx.attr.modules, pkg_config_deb).split(" "):
            if flag.startswith("-I") and flag[2:] not in include_dirs:
                include_dirs.append(flag[2:])
            elif flag.startswith("-D"):
                defines.append(flag[2:])
        for flag in run_or_explain(rctx, ["pkg-config", "--libs"] + rctx.attr.modules, pkg_config_deb).split(" "):
            if flag[:2] in ["-L", "-l", "-W"]:
                linkopts.append(flag)
    linkopts += rctx.attr.linkopts

    includes = []
    globs = []
    for index, directory in enumerate([d for d in include_dirs if d.rstrip("/") not in _COMPILER_DIRS]):
        local = "inc%d" % index
        rctx.symlink(directory, local)
        includes.append(local)
        globs += [local + "/**/*.h", local + "/**/*.hpp"]

    stamp_versions(rctx, deb)
    rctx.file("BUILD", _BUILD.format(
        name = rctx.name,
        defines = repr(defines),
        globs = repr(globs),
        includes = repr(includes),
        linkopts = repr(linkopts),
    ))

system_repository = repository_rule(
    implementation = _impl,
    local = True,
    attrs = {
        "deb": attr.string_list(mandatory = True, doc = "Debian packages that provide it, named in the error."),
        "include_dirs": attr.string_list(),
        "linkopts": attr.string_list(doc = "Added after what pkg-config says."),
        "modules": attr.string_list(doc = "pkg-config modules."),
        "probe_header": attr.string(doc = "A header that must exist, for libraries without a .pc file."),
    },
)
