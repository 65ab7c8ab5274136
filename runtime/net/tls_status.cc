// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_status.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>

#include <string>

#include "runtime/net/openssl.h"

namespace lockstep::net {
namespace {

/// What a reason means between two agents; null where OpenSSL's own words must do.
const char* Meaning(int reason) {
  switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return "the peer speaks HTTP; this port is for lockstep agents alone";
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_RECORD_TOO_SMALL:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return "the peer does not speak TLS: it is no lockstep agent, or one whose job allows plain "
             "connections";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return "the peer speaks only TLS before 1.3: it is no lockstep agent";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "the peer showed no certificate of this job";
    case SSL_R_BINDER_DOES_NOT_VERIFY:
    case SSL_R_BAD_PSK:
      return "the peer's token is not ours; give the same token file to every node";
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_MISSING_SIGALGS_EXTENSION:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
      return "the peer holds no key of this job: it is of another job, has no token, or belongs by "
             "other means";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
      return "the peer refuses our certificate: it is of another job";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return "the peer wants a certificate of its job, and we have none";
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER:
      return "the peer refuses our key: it belongs to another job, or its token is another one; "
             "give "
             "the same token file to every node";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return "the peer knows no key of ours: it is of another job, or belongs by other means";
    default: return nullptr;
  }
}

}  // namespace

base::Status TlsStatus(long verify_result) {
  const int reason = ERR_GET_REASON(::ERR_peek_last_error());
  const std::string words = TakeOpenSslErrors();
  if (verify_result != X509_V_OK && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    return base::PermissionDeniedError("the peer's certificate is not of this job (" +
                                       std::string(::X509_verify_cert_error_string(verify_result)) +
                                       ")");
  }
  const char* meaning = Meaning(reason);
  return base::PermissionDeniedError(meaning != nullptr ? meaning + (" (" + words + ")")
                                                        : "TLS failed: " + words);
}

}  // namespace lockstep::net
