// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/frame.h"

#include <algorithm>
#include <utility>

namespace lockstep::net {
namespace {

size_t ReadLength(std::string_view header) {
  size_t length = 0;
  for (size_t i = kFrameHeaderBytes; i-- > 0;)
    length = length << 8 | static_cast<uint8_t>(header[i]);
  return length;
}

/// Moves up to `count` bytes from the front of `from` to the end of `to`.
void Move(size_t count, std::string_view* from, std::string* to) {
  const size_t moved = std::min(count, from->size());
  to->append(from->substr(0, moved));
  from->remove_prefix(moved);
}

}  // namespace

void AppendFrameHeader(size_t payload_bytes, std::string* out) {
  for (size_t i = 0; i < kFrameHeaderBytes; ++i) {
    out->push_back(static_cast<char>(payload_bytes >> (8 * i) & 0xff));
  }
}

base::Status FrameDecoder::Feed(std::string_view bytes,
                                const std::function<bool(std::string_view)>& on_payload) {
  RETURN_IF_ERROR(failure_);
  while (!bytes.empty()) {
    if (unfinished_.size() < kFrameHeaderBytes) {
      Move(kFrameHeaderBytes - unfinished_.size(), &bytes, &unfinished_);
      if (unfinished_.size() < kFrameHeaderBytes) break;
    }
    const size_t length = ReadLength(unfinished_);
    if (length > payload_bytes_max_) {
      failure_ = base::ResourceExhaustedError("read a message: the peer announces " +
                                              std::to_string(length) + " bytes; the limit is " +
                                              std::to_string(payload_bytes_max_));
      return failure_;
    }
    bool go_on = true;
    if (unfinished_.size() == kFrameHeaderBytes && bytes.size() >= length) {
      unfinished_.clear();
      const std::string_view payload = bytes.substr(0, length);  // all of it is here: no copy
      bytes.remove_prefix(length);
      go_on = on_payload(payload);
    } else {
      Move(kFrameHeaderBytes + length - unfinished_.size(), &bytes, &unfinished_);
      if (unfinished_.size() < kFrameHeaderBytes + length) break;
      const std::string frame = std::exchange(unfinished_, {});
      go_on = on_payload(std::string_view(frame).substr(kFrameHeaderBytes));
    }
    if (!go_on) return base::OkStatus();  // this may be gone by now
  }
  return base::OkStatus();
}

}  // namespace lockstep::net
