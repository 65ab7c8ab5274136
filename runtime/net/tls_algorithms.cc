// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_algorithms.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/net/openssl.h"

namespace lockstep::net {
namespace {

constexpr char kProvider[] = "lockstep-tls";
/// By the first of its names. DER: what tells the kinds of keys apart. HMAC, a key to OpenSSL too,
/// binds a handshake to a job's token.
constexpr std::array<std::string_view, 4> kKinds = {"EC", "X25519", "DER", "HMAC"};

/// OpenSSL's end of a list.
constexpr OSSL_ALGORITHM kNoMore = {nullptr, nullptr, nullptr, nullptr};

/// The default provider of the process, and what of it is kept. The functions of an algorithm get
/// that provider's context, so they work as ever; what is cut is only what can be found.
struct Kept {
  OSSL_PROVIDER* whole = nullptr;
  std::vector<OSSL_ALGORITHM> key_kinds;
  std::vector<OSSL_ALGORITHM> decoders;
};

std::vector<OSSL_ALGORITHM> KeepOf(OSSL_PROVIDER* whole, int operation) {
  std::vector<OSSL_ALGORITHM> kept;
  int no_cache = 0;
  const OSSL_ALGORITHM* all = ::OSSL_PROVIDER_query_operation(whole, operation, &no_cache);
  for (; all != nullptr && all->algorithm_names != nullptr; ++all) {
    const std::string_view names = all->algorithm_names;
    const std::string_view first = names.substr(0, names.find(':'));
    if (std::find(kKinds.begin(), kKinds.end(), first) != kKinds.end()) kept.push_back(*all);
  }
  LOCKSTEP_CHECK(!kept.empty(), "OpenSSL has EC and X25519");
  kept.push_back(kNoMore);
  return kept;
}

const Kept& GetKept() {
  static const Kept* const kept = [] {
    OSSL_PROVIDER* whole = ::OSSL_PROVIDER_load(nullptr, "default");
    LOCKSTEP_CHECK(whole != nullptr, "OpenSSL has a default provider");
    return new Kept{.whole = whole,
                    .key_kinds = KeepOf(whole, OSSL_OP_KEYMGMT),
                    .decoders = KeepOf(whole, OSSL_OP_DECODER)};
  }();
  return *kept;
}

const OSSL_ALGORITHM* Query(void*, int operation, int* no_cache) {
  const Kept& kept = GetKept();
  *no_cache = 0;
  if (operation == OSSL_OP_KEYMGMT) return kept.key_kinds.data();
  if (operation == OSSL_OP_DECODER) return kept.decoders.data();
  return ::OSSL_PROVIDER_query_operation(kept.whole, operation, no_cache);
}

int GetCapabilities(void*, const char* capability, OSSL_CALLBACK* callback, void* argument) {
  return ::OSSL_PROVIDER_get_capabilities(GetKept().whole, capability, callback, argument);
}

int InitProvider(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** functions,
                 void** context) {
  static const OSSL_DISPATCH kFunctions[] = {
      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(Query)},
      {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(GetCapabilities)},
      {0, nullptr}};
  *functions = kFunctions;
  *context = ::OSSL_PROVIDER_get0_provider_ctx(GetKept().whole);
  return 1;
}

}  // namespace

OSSL_LIB_CTX* TlsAlgorithms() {
  static OSSL_LIB_CTX* const algorithms = [] {
    InitOpenSsl();
    OSSL_LIB_CTX* made = ::OSSL_LIB_CTX_new();
    LOCKSTEP_CHECK(made != nullptr &&
                       ::OSSL_PROVIDER_add_builtin(made, kProvider, InitProvider) == 1 &&
                       ::OSSL_PROVIDER_load(made, kProvider) != nullptr,
                   "OpenSSL takes a provider");
    return made;
  }();
  return algorithms;
}

}  // namespace lockstep::net
