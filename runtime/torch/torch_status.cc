// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/torch_status.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

namespace lockstep::train {
namespace {

template <class T>
bool Is(const std::exception& exception) {
  return dynamic_cast<const T*>(&exception) != nullptr;
}

base::Code CodeOf(const std::exception& exception) {
  if (Is<std::bad_alloc>(exception) || Is<c10::OutOfMemoryError>(exception)) {
    return base::Code::kResourceExhausted;
  }
  if (Is<c10::IndexError>(exception) || Is<c10::ValueError>(exception) ||
      Is<c10::TypeError>(exception)) {
    return base::Code::kInvalidArgument;
  }
  if (Is<c10::NotImplementedError>(exception)) return base::Code::kUnimplemented;
  return base::Code::kInternal;
}

}  // namespace

base::Status StatusFromException(const std::exception& exception, std::string_view what) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&exception);
  const char* message =
      torch_error != nullptr ? torch_error->what_without_backtrace() : exception.what();
  return base::Status(CodeOf(exception), message).WithFrame("while " + std::string(what));
}

}  // namespace lockstep::train
