// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_C10D_PYTHON_CALL_SITE_H_
#define LOCKSTEP_RUNTIME_TORCH_C10D_PYTHON_CALL_SITE_H_

#include <cstdint>

namespace lockstep::train {

struct PythonCallSite {
  const char* file = nullptr;  // lives as long as the process; null where no Python is on the stack
  uint32_t line = 0;
};

/// The line of the user's program that this thread is in: the innermost frame that is not of the
/// package torch. Records and errors show it. Any thread may call it, with the interpreter's lock
/// or without; on a thread that Python did not start (autograd's) it takes none and finds nothing.
PythonCallSite FindPythonCallSite();

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_C10D_PYTHON_CALL_SITE_H_
