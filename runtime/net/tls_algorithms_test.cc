// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_algorithms.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/openssl.h"

namespace lockstep::net {
namespace {

bool Knows(const char* kind) {
  EVP_KEYMGMT* found = ::EVP_KEYMGMT_fetch(TlsAlgorithms(), kind, nullptr);
  ::EVP_KEYMGMT_free(found);
  return found != nullptr;
}

OpenSslPtr<X509> Parse(const std::string& pem, OSSL_LIB_CTX* algorithms) {
  X509* certificate = ::X509_new_ex(algorithms, nullptr);
  const OpenSslPtr<BIO> from(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  EXPECT_NE(::PEM_read_bio_X509(from.get(), &certificate, nullptr, nullptr), nullptr);
  return OpenSslPtr<X509>(certificate);
}

std::chrono::nanoseconds ThreadTime() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

/// The least of many tries.
std::chrono::nanoseconds TimeToParse(const std::string& pem, OSSL_LIB_CTX* algorithms) {
  auto least = std::chrono::nanoseconds::max();
  for (int i = 0; i < 200; ++i) {
    const auto begun = ThreadTime();
    (void)Parse(pem, algorithms);
    least = std::min(least, ThreadTime() - begun);
  }
  return least;
}

TEST(TlsAlgorithmsTest, KnowsTheKeysOfAgentsAlone) {
  EXPECT_TRUE(Knows("EC"));
  EXPECT_TRUE(Knows("X25519"));
  EXPECT_TRUE(Knows("HMAC"));
  for (const char* kind : {"RSA", "DSA", "DH", "ED25519", "X448"})
    EXPECT_FALSE(Knows(kind)) << kind;
}

TEST(TlsAlgorithmsTest, ParsesTheKeyOfACertificate) {
  const base::RealClock clock;
  ASSERT_OK_AND_ASSIGN(const auto ca, JobCa::Create("j", clock));
  ASSERT_OK_AND_ASSIGN(const NodeCredentials node, ca->Issue("node-0"));

  const OpenSslPtr<X509> certificate = Parse(node.certificate, TlsAlgorithms());

  ASSERT_NE(certificate, nullptr);
  EVP_PKEY* const key = ::X509_get0_pubkey(certificate.get());
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(::EVP_PKEY_is_a(key, "EC"), 1);
}

// OpenSSL 3.0.19 takes 2 to 4 times as long with all of its algorithms. Should a later one not,
// then tls_algorithms has become needless: SSL_CTX_new does as well.
TEST(TlsAlgorithmsTest, SparesAWalkOverWhatNobodyUses) {
  const base::RealClock clock;
  ASSERT_OK_AND_ASSIGN(const auto ca, JobCa::Create("j", clock));
  ASSERT_OK_AND_ASSIGN(const NodeCredentials node, ca->Issue("node-0"));

  const auto with_all = TimeToParse(node.certificate, nullptr);
  const auto with_these = TimeToParse(node.certificate, TlsAlgorithms());

  EXPECT_GT(with_all.count() * 2, with_these.count() * 3)
      << with_all.count() << " ns against " << with_these.count();
}

}  // namespace
}  // namespace lockstep::net
