// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TLS_TRANSPORT_H_
#define LOCKSTEP_RUNTIME_NET_TLS_TRANSPORT_H_

#include <memory>
#include <optional>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/byte_stream.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/job_token.h"
#include "runtime/net/openssl.h"
#include "runtime/net/transport.h"

namespace lockstep::net {

/// TLS 1.3 between agents that prove to each other that they belong to one job: by certificates of
/// its CA, or by its token's key. AES-GCM with an ephemeral key exchange; no tickets, no
/// resumption, no early data: each connection proves it anew, and a recorded one proves nothing.
///
/// Host names are not checked (the CA is the job's own, so whoever it has signed for may be reached
/// by any name), and neither are dates (job_ca.h).
///
/// Must outlive the handshakes of its streams, not the streams. Otherwise as Transport.
class TlsTransport final : public Transport {
 public:
  /// Peers have names. Errors: InvalidArgument - no PEM, or key and certificate do not match.
  static base::Result<std::unique_ptr<TlsTransport>> Create(const NodeCredentials& credentials);
  /// Peers have no names: any two who know the token look alike.
  static std::unique_ptr<TlsTransport> Create(JobKey key);

  std::unique_ptr<ByteStream> Wrap(base::UniqueFd fd, Side side) const override;

 private:
  TlsTransport(OpenSslPtr<SSL_CTX> context, std::optional<JobKey> key);

  static unsigned int GiveKeyToServer(SSL* ssl, const char* identity, unsigned char* key,
                                      unsigned int key_bytes_max);
  static unsigned int GiveKeyToClient(SSL* ssl, const char* hint, char* identity,
                                      unsigned int identity_bytes_max, unsigned char* key,
                                      unsigned int key_bytes_max);

  const OpenSslPtr<SSL_CTX> context_;
  const std::optional<JobKey> key_;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TLS_TRANSPORT_H_
