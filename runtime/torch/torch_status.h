// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_TORCH_STATUS_H_
#define LOCKSTEP_RUNTIME_TORCH_TORCH_STATUS_H_

#include <exception>
#include <string_view>

#include "runtime/base/status.h"

namespace lockstep::train {

/// The border to LibTorch, which throws: what `exception` says, without its C++ backtrace, behind
/// "while WHAT". ResourceExhausted - out of memory; InvalidArgument - LibTorch's index, value and
/// type errors; Unimplemented - its own; Internal - the rest.
base::Status StatusFromException(const std::exception& exception, std::string_view what);

/// Runs `body`, which returns a Status or a Result, and turns what it throws into one.
template <class Body>
auto CatchExceptions(std::string_view what, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::exception& exception) {
    return StatusFromException(exception, what);
  }
}

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_TORCH_STATUS_H_
