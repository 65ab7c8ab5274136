"""NCCL's header, where this machine has one: for the test that holds our own declarations against it.

Looked for in $NCCL_INCLUDE_DIR, in the system's and CUDA's include folders, and in the wheel nvidia-nccl-cu* of the
python3 in PATH. The product itself needs none. nccl.h includes CUDA's headers, of which four lines serve here.
"""

_BUILD = """package(default_visibility = ["//visibility:public"])

cc_library(
    name = "nccl_header",
    hdrs = glob(["include/*.h"]),
    includes = ["include"],
)
"""

_CUDA = """#ifndef LOCKSTEP_STANDS_FOR_CUDA_RUNTIME_H_
#define LOCKSTEP_STANDS_FOR_CUDA_RUNTIME_H_
#include <stddef.h>
#include <stdint.h>
#define CUDART_VERSION 13000
#define __CUDA_BF16_TYPES_EXIST__
typedef struct CUstream_st* cudaStream_t;
#endif
"""

def _find(rctx):
    folders = [rctx.os.environ["NCCL_INCLUDE_DIR"]] if "NCCL_INCLUDE_DIR" in rctx.os.environ else []
    folders += ["/usr/include", "/usr/local/cuda/include", "/usr/local/include"]
    if rctx.which("python3"):
        result = rctx.execute(["python3", "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"])
        if result.return_code == 0:
            folders.append(result.stdout.strip() + "/nvidia/nccl/include")
    for folder in folders:
        if rctx.path(folder + "/nccl.h").exists:
            return folder, folders
    return None, folders

def _impl(rctx):
    folder, folders = _find(rctx)
    if folder:
        # Copied, so that another version is another input.
        rctx.file("include/nccl.h", rctx.read(folder + "/nccl.h"))
        for name in ["cuda_runtime.h", "cuda_fp16.h", "cuda_bf16.h", "cuda_fp8.h"]:
            rctx.file("include/" + name, _CUDA)
        text = "#define LOCKSTEP_NCCL_HEADER\n#include <nccl.h>\n"
    else:
        text = "#define LOCKSTEP_NCCL_HEADER_MISSING \"no nccl.h in %s; name its folder in NCCL_INCLUDE_DIR\"\n" % ", ".join(folders)
    rctx.file("include/lockstep_nccl_header.h", text)
    rctx.file("BUILD", _BUILD)

nccl_header_repository = repository_rule(
    implementation = _impl,
    local = True,
    environ = ["NCCL_INCLUDE_DIR"],
)
