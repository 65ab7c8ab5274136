"""What tools/setup_extras has installed: a file for each, with the path of its folder, or empty where it is not there.

Found again when Bazel's server starts; tools/setup_extras ends one that is running. A test that has such a file in its
data runs again when another content was installed, since the path is another one then.
"""

_NAMES = ["openmpi5", "torch2"]

def _impl(rctx):
    folder = rctx.os.environ.get("LOCKSTEP_EXTRAS", "")
    if not folder:
        user = rctx.execute(["sh", "-c", "getent passwd $(id -u)"]).stdout.split(":")
        folder = (user[5] if len(user) > 5 else "/nowhere") + "/.cache/lockstep/extras"
    for name in _NAMES:
        place = rctx.path(folder + "/" + name)
        rctx.file(name, str(place.realpath) + "\n" if place.exists else "")
    rctx.file("BUILD", "exports_files(%s)\n" % repr(_NAMES))

extras_repository = repository_rule(
    implementation = _impl,
    environ = ["LOCKSTEP_EXTRAS"],
    local = True,
)
