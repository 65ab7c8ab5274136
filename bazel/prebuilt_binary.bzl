"""An executable that is already on the machine, as a target."""

def _impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = out, target_file = ctx.file.src, is_executable = True)
    return [DefaultInfo(executable = out, files = depset([out]), runfiles = ctx.runfiles([out]))]

prebuilt_binary = rule(
    implementation = _impl,
    executable = True,
    attrs = {"src": attr.label(allow_single_file = True, mandatory = True)},
)
