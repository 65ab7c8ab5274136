// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TLS_ALGORITHMS_H_
#define LOCKSTEP_RUNTIME_NET_TLS_ALGORITHMS_H_

#include <openssl/types.h>

namespace lockstep::net {

/// OpenSSL's own algorithms (its default provider), of the kinds of keys those alone that agents
/// use: EC and X25519, and what goes with them. For SSL_CTX_new_ex and the keys and certificates of
/// connections. One per process, made by the first call, which also does InitOpenSsl(); lives for
/// ever, since connections may outlive whoever made them. Thread-safe.
///
/// Why: each public key that OpenSSL 3.0 parses is preceded by a walk over all kinds of keys and
/// all decoders that it knows, and a handshake parses one. With all of them the walk is a fifth of
/// what the handshake computes (tls_algorithms_test.cc measures it, and fails once the walk is
/// cheap). As a consequence a peer's key that is no EC key is unknown here.
OSSL_LIB_CTX* TlsAlgorithms();

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TLS_ALGORITHMS_H_
