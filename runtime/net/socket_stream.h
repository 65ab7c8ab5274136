// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_SOCKET_STREAM_H_
#define LOCKSTEP_RUNTIME_NET_SOCKET_STREAM_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/unique_fd.h"
#include "runtime/net/byte_stream.h"

namespace lockstep::net {

/// The bytes of a connected, non-blocking stream socket as they are: one system call for each read
/// or write. Errors: errno's code.
class SocketStream final : public ByteStream {
 public:
  explicit SocketStream(base::UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const override { return fd_.get(); }
  const std::string& peer_name() const override { return no_name_; }
  Outcome Read(char* buffer, size_t size) override;
  Outcome Write(std::string_view bytes) override;

 private:
  const base::UniqueFd fd_;
  const std::string no_name_;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_SOCKET_STREAM_H_
