// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/record_cipher.h"

#include <array>
#include <cstring>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/net/hkdf.h"
#include "runtime/net/openssl.h"

namespace lockstep::net {
namespace {

constexpr size_t kNonceBytes = 12;

const unsigned char* Bytes(const void* bytes) { return static_cast<const unsigned char*>(bytes); }
unsigned char* Bytes(void* bytes) { return static_cast<unsigned char*>(bytes); }

}  // namespace

struct RecordCipher::Context {
  OpenSslPtr<EVP_CIPHER> cipher;
  OpenSslPtr<EVP_CIPHER_CTX> state;
};

RecordCipher::RecordCipher(Role role, Secret key, uint64_t records_per_key)
    : role_(role),
      records_per_key_(records_per_key),
      key_(std::move(key)),
      context_(std::make_unique<Context>()) {
  LOCKSTEP_CHECK(key_.view().size() == kKeyBytes, "a key has 32 bytes");
  InitOpenSsl();
  context_->cipher.reset(::EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  context_->state.reset(::EVP_CIPHER_CTX_new());
  LOCKSTEP_CHECK(context_->cipher != nullptr && context_->state != nullptr,
                 "OpenSSL has AES-256-GCM");
  SetKey();
}
RecordCipher::~RecordCipher() = default;

void RecordCipher::SetKey() {
  LOCKSTEP_CHECK(
      ::EVP_CipherInit_ex2(context_->state.get(), context_->cipher.get(), Bytes(key_.view().data()),
                           nullptr, role_ == Role::kSeals ? 1 : 0, nullptr) == 1,
      "a key of the right size is a key");
}

void RecordCipher::Begin(std::span<const std::byte> shown) {
  if (number_ > 0 && number_ % records_per_key_ == 0) {
    key_ = HkdfSha256(key_.view(), "lockstep records 1", "next key", kKeyBytes);
    SetKey();
  }
  // Each direction has a key of its own, so the number alone tells all nonces of a key apart.
  std::array<unsigned char, kNonceBytes> nonce{};
  std::memcpy(nonce.data() + kNonceBytes - sizeof number_, &number_, sizeof number_);
  ++number_;
  int length = 0;
  LOCKSTEP_CHECK(::EVP_CipherInit_ex2(context_->state.get(), nullptr, nullptr, nonce.data(), -1,
                                      nullptr) == 1 &&
                     ::EVP_CipherUpdate(context_->state.get(), nullptr, &length,
                                        Bytes(shown.data()), static_cast<int>(shown.size())) == 1,
                 "a record can begin");
}

void RecordCipher::Seal(std::span<const std::byte> shown, std::span<const iovec> pieces,
                        std::byte* to) {
  EVP_CIPHER_CTX* const state = context_->state.get();
  Begin(shown);
  int length = 0;
  for (const iovec& piece : pieces) {
    LOCKSTEP_CHECK(::EVP_CipherUpdate(state, Bytes(to), &length, Bytes(piece.iov_base),
                                      static_cast<int>(piece.iov_len)) == 1,
                   "encrypting memory cannot fail");
    to += length;
  }
  LOCKSTEP_CHECK(::EVP_CipherFinal_ex(state, Bytes(to), &length) == 1 &&
                     ::EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_GET_TAG, kTagBytes, to) == 1,
                 "a record can end");
}

bool RecordCipher::Open(std::span<const std::byte> shown, std::span<const std::byte> sealed,
                        const std::byte* tag, std::byte* to) {
  EVP_CIPHER_CTX* const state = context_->state.get();
  Begin(shown);
  int length = 0;
  LOCKSTEP_CHECK(::EVP_CipherUpdate(state, Bytes(to), &length, Bytes(sealed.data()),
                                    static_cast<int>(sealed.size())) == 1,
                 "decrypting memory cannot fail");
  std::array<std::byte, kTagBytes> wanted;
  std::memcpy(wanted.data(), tag, wanted.size());
  const bool is_right =
      ::EVP_CIPHER_CTX_ctrl(state, EVP_CTRL_AEAD_SET_TAG, kTagBytes, wanted.data()) == 1 &&
      ::EVP_CipherFinal_ex(state, Bytes(to + length), &length) == 1;
  if (!is_right) std::memset(to, 0, sealed.size());
  return is_right;
}

}  // namespace lockstep::net
