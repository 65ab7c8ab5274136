// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Bytes of a stranger to both kinds of TLS server and to both kinds of TLS client, in pieces. The
// first byte says to which, and in what pieces the rest arrives. Nobody gets through a handshake,
// or reads a byte, without having a key.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <memory>
#include <string_view>

#include "runtime/base/clock.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/job_token.h"
#include "runtime/net/tls_transport.h"

namespace {

using lockstep::base::UniqueFd;
using lockstep::net::ByteStream;
using lockstep::net::JobCa;
using lockstep::net::Secret;
using lockstep::net::TlsTransport;
using lockstep::net::Transport;

constexpr size_t kBytesMax = 64 << 10;  // less than what a socket takes

std::unique_ptr<TlsTransport> WithCertificates() {
  const lockstep::base::RealClock clock;
  const auto ca = JobCa::Create("job", clock).value();
  return TlsTransport::Create(ca->Issue("node-0").value()).value();
}

std::unique_ptr<TlsTransport> WithToken() {
  return TlsTransport::Create(
      lockstep::net::DeriveJobKey(Secret("0123456789abcdef0123456789abcdef"), "job"));
}

/// Until it is broken, or wants more than there is.
void Feed(ByteStream& stream, int peer, std::string_view bytes, size_t piece_bytes) {
  while (true) {
    const ByteStream::Outcome outcome = stream.Handshake();
    if (outcome.done()) ::abort();
    if (!outcome.blocked() || bytes.empty()) return;
    const std::string_view piece = bytes.substr(0, piece_bytes);
    if (::send(peer, piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(piece.size()))
      return;
    bytes.remove_prefix(piece.size());
    char answer[16 << 10];
    while (::recv(peer, answer, sizeof(answer), MSG_DONTWAIT) > 0) {
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<TlsTransport> kTransports[] = {WithCertificates(), WithToken()};
  if (size == 0 || size > kBytesMax) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return 0;
  const UniqueFd peer(ends[1]);
  const auto side = (data[0] & 2) != 0 ? Transport::Side::kClient : Transport::Side::kServer;
  const std::unique_ptr<ByteStream> stream =
      kTransports[data[0] & 1]->Wrap(UniqueFd(ends[0]), side);
  Feed(*stream, peer.get(), bytes, 1 + size_t{data[0]} / 4 * 8);
  return 0;
}
