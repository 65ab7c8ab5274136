// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TLS_STREAM_H_
#define LOCKSTEP_RUNTIME_NET_TLS_STREAM_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/unique_fd.h"
#include "runtime/net/byte_stream.h"
#include "runtime/net/openssl.h"

namespace lockstep::net {

/// One end of a TLS connection over a non-blocking socket. Made by TlsTransport. Destroying it says
/// farewell (close_notify) when the socket takes that at once, so that the peer can tell an end
/// from a cut. Errors of all calls: PermissionDenied, Unavailable - as TlsStatus; a socket's:
/// Unavailable.
class TlsStream final : public ByteStream {
 public:
  /// `ssl` knows its side (SSL_set_accept_state or SSL_set_connect_state).
  TlsStream(base::UniqueFd fd, OpenSslPtr<SSL> ssl);
  ~TlsStream() override;
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  int fd() const override { return socket_.fd.get(); }
  /// OpenSSL's client is done before the server has looked at its certificate: only what the server
  /// sends afterwards proves that it let us in.
  Outcome Handshake() override;
  const std::string& peer_name() const override { return peer_name_; }
  Outcome Read(char* buffer, size_t size) override;
  Outcome Write(std::string_view bytes) override;

  /// What OpenSSL reads and writes, instead of its own socket BIO, whose write() raises SIGPIPE.
  struct Socket {
    base::UniqueFd fd;
    int error = 0;  // errno of the call that failed for good
    bool ended = false;
    bool more_follows = false;  // what is written now may wait for what comes next
  };

 private:
  /// What a call that returned `result` came to.
  Outcome Failed(int result, const char* what);

  Socket socket_;
  const OpenSslPtr<SSL> ssl_;
  std::string peer_name_;
  std::optional<Outcome> ended_;  // found while there was still something to hand out
  bool secured_ = false;          // the handshake is done and nothing has failed since
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TLS_STREAM_H_
