// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/c10d/python_call_site.h"

#include <pybind11/pybind11.h>

#include <set>
#include <string>

namespace lockstep::train {
namespace {

constexpr int kFramesMax = 64;  // a deeper program gets no call site rather than a slow op

/// Guarded by the interpreter's lock. As many as the program has source files; records point at
/// them for ever.
const char* Intern(const std::string& file) {
  static auto& files = *new std::set<std::string>;
  return files.insert(file).first->c_str();
}

/// Whether it is one of the installed torch's own.
bool IsTorchs(const std::string& file) {
  static const auto& folder = *new std::string(pybind11::module_::import("torch")
                                                   .attr("__path__")
                                                   .attr("__getitem__")(0)
                                                   .cast<std::string>() +
                                               "/");
  return file.compare(0, folder.size(), folder) == 0;
}

}  // namespace

PythonCallSite FindPythonCallSite() {
  if (PyGILState_GetThisThreadState() == nullptr) return {};
  const pybind11::gil_scoped_acquire lock;
  PyFrameObject* const innermost = PyEval_GetFrame();
  auto frame =
      pybind11::reinterpret_borrow<pybind11::object>(reinterpret_cast<PyObject*>(innermost));
  for (int depth = 0; frame && depth < kFramesMax; ++depth) {
    auto* const raw = reinterpret_cast<PyFrameObject*>(frame.ptr());
    const auto code = pybind11::reinterpret_steal<pybind11::object>(
        reinterpret_cast<PyObject*>(PyFrame_GetCode(raw)));
    const auto file = code.attr("co_filename").cast<std::string>();
    if (!IsTorchs(file)) {
      return {Intern(file), static_cast<uint32_t>(PyFrame_GetLineNumber(raw))};
    }
    frame = pybind11::reinterpret_steal<pybind11::object>(
        reinterpret_cast<PyObject*>(PyFrame_GetBack(raw)));
  }
  return {};
}

}  // namespace lockstep::train
