// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/openssl.h"

#include <openssl/err.h>

#include "runtime/base/check.h"

namespace lockstep::net {

void InitOpenSsl() {
  LOCKSTEP_CHECK(::OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr) == 1, "OpenSSL starts");
}

std::string TakeOpenSslErrors() {
  std::string text;
  while (const unsigned long error = ::ERR_get_error()) {
    const char* reason = ::ERR_reason_error_string(error);
    if (!text.empty()) text += "; ";
    text += reason != nullptr ? reason : "error " + std::to_string(error);
  }
  return text.empty() ? "no reason given" : text;
}

}  // namespace lockstep::net
