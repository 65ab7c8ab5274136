// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/key_share.h"

#include <openssl/err.h>
#include <string.h>

#include <string_view>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/net/openssl.h"

namespace lockstep::net {

struct KeyShare::Key {
  OpenSslPtr<EVP_PKEY> pkey;
};

KeyShare::KeyShare(std::unique_ptr<Key> key, const Public& shown)
    : key_(std::move(key)), shown_(shown) {}
KeyShare::KeyShare(KeyShare&&) noexcept = default;
KeyShare& KeyShare::operator=(KeyShare&&) noexcept = default;
KeyShare::~KeyShare() = default;

KeyShare KeyShare::Make() {
  InitOpenSsl();
  auto key = std::make_unique<Key>();
  key->pkey.reset(::EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  LOCKSTEP_CHECK(key->pkey != nullptr, "OpenSSL has X25519");
  Public shown{};
  size_t bytes = shown.size();
  LOCKSTEP_CHECK(
      ::EVP_PKEY_get_raw_public_key(key->pkey.get(), shown.data(), &bytes) == 1 && bytes == kBytes,
      "a share has 32 bytes");
  return KeyShare(std::move(key), shown);
}

base::Result<Secret> KeyShare::Agree(const Public& other) const {
  const OpenSslPtr<EVP_PKEY> theirs(
      ::EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, other.data(), other.size()));
  const OpenSslPtr<EVP_PKEY_CTX> context(::EVP_PKEY_CTX_new(key_->pkey.get(), nullptr));
  LOCKSTEP_CHECK(theirs != nullptr && context != nullptr, "any 32 bytes are a share");
  std::array<unsigned char, kBytes> bytes{};
  size_t size = bytes.size();
  const bool agreed = ::EVP_PKEY_derive_init(context.get()) == 1 &&
                      ::EVP_PKEY_derive_set_peer(context.get(), theirs.get()) == 1 &&
                      ::EVP_PKEY_derive(context.get(), bytes.data(), &size) == 1;
  Secret secret(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  ::explicit_bzero(bytes.data(), bytes.size());
  if (agreed) return secret;
  return base::InvalidArgumentError("agreeing on a key by X25519: the other end's share is none (" +
                                    TakeOpenSslErrors() + ")");
}

}  // namespace lockstep::net
