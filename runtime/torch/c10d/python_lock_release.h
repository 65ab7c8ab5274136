// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_C10D_PYTHON_LOCK_RELEASE_H_
#define LOCKSTEP_RUNTIME_TORCH_C10D_PYTHON_LOCK_RELEASE_H_

#include <Python.h>

namespace lockstep::train {

/// Gives up the interpreter's lock for as long as it lives, where this thread has it. For
/// destructors, which run with the lock and without: a group that closes waits for its thread, and
/// callbacks on that may want the lock. On the stack.
class PythonLockRelease {
 public:
  PythonLockRelease()
      : state_(Py_IsInitialized() != 0 && PyGILState_Check() != 0 ? PyEval_SaveThread() : nullptr) {
  }
  ~PythonLockRelease() {
    if (state_ != nullptr) PyEval_RestoreThread(state_);
  }
  PythonLockRelease(const PythonLockRelease&) = delete;
  PythonLockRelease& operator=(const PythonLockRelease&) = delete;

 private:
  PyThreadState* const state_;  // null: there was nothing to give up
};

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_C10D_PYTHON_LOCK_RELEASE_H_
