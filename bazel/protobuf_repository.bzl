"""@com_google_protobuf from the installed protoc and libprotobuf, so that the native proto rules work offline."""

load("//bazel:system_repository.bzl", "run_or_explain", "stamp_versions")

_DEB = ["libprotobuf-dev", "protobuf-compiler"]

_BUILD = """package(default_visibility = ["//visibility:public"])

load("@lockstep//bazel:prebuilt_binary.bzl", "prebuilt_binary")

prebuilt_binary(name = "protoc", src = "protoc_bin")

cc_library(
    name = "protobuf",
    textual_hdrs = ["VERSION.stamp"],
    linkopts = ["-lprotobuf", "-lpthread"],
)

proto_lang_toolchain(
    name = "cc_toolchain",
    command_line = "--cpp_out=$(OUT)",
    runtime = ":protobuf",
    blacklisted_protos = {well_known},
)
"""

_PROTO = """
proto_library(
    name = "{name}_proto",
    srcs = ["src/google/protobuf/{name}.proto"],
    strip_import_prefix = "src",
    deps = {deps},
)
"""

_WELL_KNOWN = {
    "any": [],
    "descriptor": [],
    "duration": [],
    "empty": [],
    "struct": [],
    "timestamp": [],
    "wrappers": [],
}

def _impl(rctx):
    run_or_explain(rctx, ["protoc", "--version"], _DEB)
    rctx.symlink(rctx.which("protoc"), "protoc_bin")
    rctx.symlink("/usr/include/google/protobuf", "src/google/protobuf")
    stamp_versions(rctx, _DEB)
    build = _BUILD.format(well_known = repr([":%s_proto" % name for name in _WELL_KNOWN]))
    for name, deps in _WELL_KNOWN.items():
        build += _PROTO.format(name = name, deps = repr([":%s_proto" % dep for dep in deps]))
    rctx.file("BUILD", build)

system_protobuf_repository = repository_rule(implementation = _impl, local = True)
