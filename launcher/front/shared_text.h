// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_FRONT_SHARED_TEXT_H_
#define LOCKSTEP_LAUNCHER_FRONT_SHARED_TEXT_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace lockstep::launcher {

/// A short text that a front and its agent share, from before the fork on: what the agent learns
/// and the front must know after it, however the agent dies. Written once, by one process; read by
/// any of them, from any thread. Owned by whoever made it, and by each process forked since.
class SharedText {
 public:
  static constexpr size_t kBytesMax = 255;

  /// Errors: ResourceExhausted - no memory.
  static base::Result<SharedText> Create();
  SharedText(SharedText&& other) noexcept;
  SharedText& operator=(SharedText&&) = delete;
  ~SharedText();

  /// Does nothing when it was set before, and cuts what is too long.
  void Set(std::string_view text);
  /// "" until it was set.
  std::string Get() const;

 private:
  struct Page {
    std::atomic<size_t> size{0};  // 0 until the bytes are there
    char bytes[kBytesMax] = {};
  };
  explicit SharedText(Page* page) : page_(page) {}

  Page* page_;  // null when moved from
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_FRONT_SHARED_TEXT_H_
