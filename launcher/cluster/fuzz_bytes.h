// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_FUZZ_BYTES_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_FUZZ_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lockstep::launcher {

/// A fuzzer's input, read as the choices that it stands for; what is beyond its end reads as 0. A
/// value, for one thread.
class FuzzBytes {
 public:
  FuzzBytes(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  /// Small ones mostly, and now and then one from the edge of what an integer holds.
  int64_t Number() {
    const uint8_t byte = Byte();
    constexpr int64_t kEdges[] = {-1,        INT32_MAX, INT32_MIN,     INT64_MAX,
                                  INT64_MIN, 65'536,    1'000'000'000, int64_t{1} << 40};
    return byte < 0xf0 ? byte : kEdges[byte % 8];
  }
  /// As many bytes as the next one says.
  std::string_view Text() {
    const size_t size = Byte();
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(text.size());
    return text;
  }

 private:
  std::string_view rest_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_FUZZ_BYTES_H_
