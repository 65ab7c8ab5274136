// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_JOB_CA_H_
#define LOCKSTEP_RUNTIME_NET_JOB_CA_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/net/openssl.h"
#include "runtime/net/secret.h"

namespace lockstep::net {

/// What a node needs to prove that it belongs to a job, and to tell who else does. All PEM. Handed
/// to an agent over its standard input, never by arguments, environment or a file that outlives it.
struct NodeCredentials {
  std::string ca_certificate;
  std::string certificate;  // of the node, signed by the CA
  Secret key;               // of the certificate
};

/// Whether a certificate may carry it: 1 to 64 letters, digits, '.', '-' or '_'.
bool IsNodeName(std::string_view name);

/// The certificate authority of one job: made by its launcher, lives in its memory alone, and ends
/// with it. Keys are P-256.
///
/// Certificates say that they are valid from an hour ago for 30 days, for tools that look; our own
/// verification ignores the dates (TlsTransport). A job's certificates are worth nothing once its
/// CA is gone, so dates would protect nobody, and would lock out nodes whose clocks are wrong and
/// end jobs that run for longer.
///
/// Confined to one thread.
class JobCa {
 public:
  /// Blocks: no; some milliseconds of computing. Errors: Internal - OpenSSL failed (no randomness).
  static base::Result<std::unique_ptr<JobCa>> Create(std::string_view job_id,
                                                     const base::Clock& clock);

  /// A new key and a certificate in the name of `node_name`. Errors: InvalidArgument - no node
  /// name; Internal - OpenSSL failed.
  base::Result<NodeCredentials> Issue(std::string_view node_name);

 private:
  JobCa(OpenSslPtr<EVP_PKEY> key, OpenSslPtr<X509> certificate, std::string pem,
        const base::Clock& clock)
      : key_(std::move(key)),
        certificate_(std::move(certificate)),
        pem_(std::move(pem)),
        clock_(clock) {}

  const OpenSslPtr<EVP_PKEY> key_;
  const OpenSslPtr<X509> certificate_;
  const std::string pem_;
  const base::Clock& clock_;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_JOB_CA_H_
