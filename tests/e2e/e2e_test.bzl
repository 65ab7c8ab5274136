"""What the tests of the whole program have in common."""

load("//bazel:defs.bzl", "cc_unit_test")

def cc_e2e_test(name, deps = [], data = [], tags = [], timeout = "moderate", **kwargs):
    """A test that runs `lockstep` itself; no-sandbox, for its ranks are held by cgroups."""
    cc_unit_test(
        name = name,
        timeout = timeout,
        data = ["//launcher:lockstep"] + data,
        tags = ["no-sandbox"] + tags,
        deps = [
            "//tests/e2e:command",
            "//tests/e2e:run_fixture",
        ] + deps,
        **kwargs
    )
