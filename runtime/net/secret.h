// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_SECRET_H_
#define LOCKSTEP_RUNTIME_NET_SECRET_H_

#include <string.h>

#include <string_view>
#include <utility>
#include <vector>

namespace lockstep::net {

/// Bytes that must not be found in memory once nobody needs them: overwritten before they are
/// freed. Moves, does not copy, and prints nowhere. Whoever makes one wipes what it was made from.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes) : bytes_(bytes.begin(), bytes.end()) {}
  Secret(Secret&& other) noexcept = default;  // a vector's bytes move with their memory
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      Wipe();
      bytes_ = std::move(other.bytes_);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { Wipe(); }

  std::string_view view() const { return {bytes_.data(), bytes_.size()}; }
  bool empty() const { return bytes_.empty(); }

 private:
  void Wipe() {
    if (!bytes_.empty()) ::explicit_bzero(bytes_.data(), bytes_.size());
  }

  std::vector<char> bytes_;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_SECRET_H_
