// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/hmac.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "runtime/base/check.h"
#include "runtime/net/openssl.h"

namespace lockstep::net {

Hmac HmacSha256(std::string_view key, std::span<const std::string_view> parts) {
  InitOpenSsl();
  const OpenSslPtr<EVP_MAC> mac(::EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  LOCKSTEP_CHECK(mac != nullptr, "OpenSSL has HMAC");
  const OpenSslPtr<EVP_MAC_CTX> context(::EVP_MAC_CTX_new(mac.get()));
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {::OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               ::OSSL_PARAM_construct_end()};
  const auto* const key_bytes = reinterpret_cast<const unsigned char*>(key.data());
  LOCKSTEP_CHECK(::EVP_MAC_init(context.get(), key_bytes, key.size(), params) == 1,
                 "OpenSSL has SHA-256");
  for (const std::string_view part : parts) {
    uint8_t size[4];
    for (size_t i = 0; i < 4; ++i) size[i] = static_cast<uint8_t>(part.size() >> (8 * i));
    LOCKSTEP_CHECK(
        ::EVP_MAC_update(context.get(), size, sizeof size) == 1 &&
            ::EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(part.data()),
                             part.size()) == 1,
        "hashing memory cannot fail");
  }
  Hmac result{};
  size_t written = 0;
  LOCKSTEP_CHECK(::EVP_MAC_final(context.get(), result.data(), &written, result.size()) == 1 &&
                     written == result.size(),
                 "SHA-256 has 32 bytes");
  return result;
}

bool EqualInConstantTime(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void FillRandom(std::span<uint8_t> bytes) {
  InitOpenSsl();
  LOCKSTEP_CHECK(::RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1,
                 "the system has random bytes");
}

}  // namespace lockstep::net
