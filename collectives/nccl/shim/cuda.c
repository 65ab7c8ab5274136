// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/shim/cuda.h"

#include "collectives/shim/old_glibc.h"

/* CUresult, CUstreamCaptureStatus, CUstreamCaptureMode and flags: numbers of CUDA's ABI. */
enum {
  CUDA_OK = 0,
  CUDA_NOT_READY = 600,
  EVENT_WITHOUT_TIMING = 2,
  NO_CAPTURE = 0,
  RELAXED_CAPTURE = 2
};

/* By the names that the library shows, which the headers hide behind macros. */
#define CUDA_FUNCTIONS(X)                                         \
  X(cuEventCreate, (shim_event * event, unsigned flags))          \
  X(cuEventDestroy_v2, (shim_event event))                        \
  X(cuEventRecord, (shim_event event, shim_stream stream))        \
  X(cuEventQuery, (shim_event event))                             \
  X(cuStreamIsCapturing, (shim_stream stream, int* status))       \
  X(cuStreamGetCtx, (shim_stream stream, shim_context * context)) \
  X(cuCtxGetCurrent, (shim_context * context))                    \
  X(cuCtxSetCurrent, (shim_context context))                      \
  X(cuCtxPushCurrent_v2, (shim_context context))                  \
  X(cuCtxPopCurrent_v2, (shim_context * context))                 \
  X(cuThreadExchangeStreamCaptureMode, (int* mode))

/* Written once, before anybody reads it. */
static struct {
#define DECLARE(name, parameters) int(*name) parameters;
  CUDA_FUNCTIONS(DECLARE)
#undef DECLARE
} cuda;

static bool look_into(void* library) {
  if (library == NULL) return false;
#define LOOK_UP(name, parameters)              \
  *(void**)&cuda.name = dlsym(library, #name); \
  if (cuda.name == NULL) return false;
  CUDA_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
  return true;
}

bool shim_find_cuda(const void* near) {
  return look_into(dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD)) ||
         look_into(shim_library_of(near));
}

shim_context shim_context_of(shim_stream stream) {
  shim_context context = NULL;
  int capture = NO_CAPTURE;
  if (cuda.cuStreamIsCapturing(stream, &capture) != CUDA_OK || capture != NO_CAPTURE) return NULL;
  return cuda.cuStreamGetCtx(stream, &context) == CUDA_OK ? context : NULL;
}

/* Another thread may record a graph in a way that forbids calls everywhere. Returns the mode to be
 * set again. */
static int set_capture_mode(int mode) {
  (void)cuda.cuThreadExchangeStreamCaptureMode(&mode);
  return mode;
}

shim_event shim_new_event(shim_context context) {
  const int mode = set_capture_mode(RELAXED_CAPTURE);
  shim_context current = NULL, popped = NULL;
  shim_event event = NULL;
  const bool is_in = cuda.cuCtxGetCurrent(&current) == CUDA_OK && current == context;
  const bool enters = !is_in && cuda.cuCtxPushCurrent_v2(context) == CUDA_OK;
  if ((is_in || enters) && cuda.cuEventCreate(&event, EVENT_WITHOUT_TIMING) != CUDA_OK)
    event = NULL;
  if (enters) (void)cuda.cuCtxPopCurrent_v2(&popped);
  (void)set_capture_mode(mode);
  return event;
}

void shim_free_event(shim_event event) {
  if (event == NULL) return;
  const int mode = set_capture_mode(RELAXED_CAPTURE);
  (void)cuda.cuEventDestroy_v2(event);
  (void)set_capture_mode(mode);
}

bool shim_record_event(shim_event event, shim_stream stream) {
  return cuda.cuEventRecord(event, stream) == CUDA_OK;
}

void shim_enter_context(shim_context context) {
  static _Thread_local shim_context entered;
  if (entered != context && cuda.cuCtxSetCurrent(context) == CUDA_OK) entered = context;
}

void shim_keep_out_of_graphs(void) { (void)set_capture_mode(RELAXED_CAPTURE); }

enum shim_passed shim_ask_event(shim_event event) {
  const int code = cuda.cuEventQuery(event);
  return code == CUDA_OK ? SHIM_PASSED : code == CUDA_NOT_READY ? SHIM_NOT_PASSED : SHIM_BROKEN;
}
