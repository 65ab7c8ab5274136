// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <string.h>

#include <array>

#include "runtime/base/check.h"
#include "runtime/net/openssl.h"

namespace lockstep::net {

Secret HkdfSha256(std::string_view secret, std::string_view salt, std::string_view label,
                  size_t bytes) {
  constexpr size_t kBytesMax = 255 * 32;  // RFC 5869, 2.3
  LOCKSTEP_CHECK(!secret.empty() && !salt.empty() && !label.empty() && bytes > 0, "as it says");
  LOCKSTEP_CHECK(bytes <= kBytesMax, "HKDF gives no more");
  InitOpenSsl();
  const OpenSslPtr<EVP_KDF> kdf(::EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const OpenSslPtr<EVP_KDF_CTX> context(::EVP_KDF_CTX_new(kdf.get()));
  const auto octets = [](const char* name, std::string_view value) {
    return ::OSSL_PARAM_construct_octet_string(name, const_cast<char*>(value.data()), value.size());
  };
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      ::OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, secret),
      octets(OSSL_KDF_PARAM_SALT, salt),
      octets(OSSL_KDF_PARAM_INFO, label),
      ::OSSL_PARAM_construct_end(),
  };
  std::array<unsigned char, kBytesMax> derived;
  LOCKSTEP_CHECK(::EVP_KDF_derive(context.get(), derived.data(), bytes, params) == 1,
                 "HKDF is always there");
  Secret result(std::string_view(reinterpret_cast<const char*>(derived.data()), bytes));
  ::explicit_bzero(derived.data(), bytes);
  return result;
}

}  // namespace lockstep::net
