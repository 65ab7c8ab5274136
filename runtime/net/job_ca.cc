// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/job_ca.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lockstep::net {
namespace {

constexpr base::Duration kBackdated = std::chrono::hours(1);
constexpr base::Duration kLifetime = std::chrono::hours(24 * 30);
constexpr size_t kNodeNameBytesMax = 64;  // X.509's bound on a common name
constexpr size_t kJobIdBytesShown = 30;   // with a number of 20 digits, within the same bound
constexpr int kSerialBits = 128;          // random: two certificates of a job never share one
constexpr long kVersion3 = 2;             // X.509 counts from 0

base::Status Failed(const char* what) {
  return base::InternalError(std::string(what) + ": OpenSSL failed: " + TakeOpenSslErrors());
}

time_t Seconds(base::WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

bool SetSerial(X509* certificate) {
  BIGNUM* number = ::BN_new();
  const bool set = ::BN_rand(number, kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                   ::BN_to_ASN1_INTEGER(number, ::X509_get_serialNumber(certificate)) != nullptr;
  ::BN_free(number);
  return set;
}

bool SetCommonName(X509* certificate, std::string_view name) {
  return ::X509_NAME_add_entry_by_NID(::X509_get_subject_name(certificate), NID_commonName,
                                      MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(name.data()),
                                      static_cast<int>(name.size()), -1, 0) == 1;
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  if (extension == nullptr) return false;
  const bool added = ::X509_add_ext(certificate, extension, -1) == 1;
  ::X509_EXTENSION_free(extension);
  return added;
}

/// All but issuer, extensions and signature; null when OpenSSL failed.
OpenSslPtr<X509> Blank(std::string_view name, EVP_PKEY* key, const base::Clock& clock) {
  OpenSslPtr<X509> certificate(::X509_new());
  const base::WallTime now = clock.WallNow();
  if (!certificate || ::X509_set_version(certificate.get(), kVersion3) != 1 ||
      !SetSerial(certificate.get()) || !SetCommonName(certificate.get(), name) ||
      ::ASN1_TIME_set(X509_getm_notBefore(certificate.get()), Seconds(now - kBackdated)) ==
          nullptr ||
      ::ASN1_TIME_set(X509_getm_notAfter(certificate.get()),
                      Seconds(now - kBackdated + kLifetime)) == nullptr ||
      ::X509_set_pubkey(certificate.get(), key) != 1) {
    return nullptr;
  }
  return certificate;
}

/// "" when OpenSSL failed.
std::string ToPem(X509* certificate) {
  const OpenSslPtr<BIO> out(::BIO_new(::BIO_s_mem()));
  if (!out || ::PEM_write_bio_X509(out.get(), certificate) != 1) return "";
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

Secret ToPem(EVP_PKEY* key) {
  const OpenSslPtr<BIO> out(::BIO_new(::BIO_s_secmem()));  // wiped when it is freed
  if (!out ||
      ::PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return Secret();
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return Secret(std::string_view(text, static_cast<size_t>(size)));
}

}  // namespace

bool IsNodeName(std::string_view name) {
  return !name.empty() && name.size() <= kNodeNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

base::Result<std::unique_ptr<JobCa>> JobCa::Create(std::string_view job_id,
                                                   const base::Clock& clock) {
  InitOpenSsl();
  OpenSslPtr<EVP_PKEY> key(::EVP_EC_gen("P-256"));
  if (!key) return Failed("make the job's key");
  // Two CAs of one job id have different names, so that who meets the other is told of an unknown
  // issuer and not of a forged signature.
  uint64_t number = 0;
  if (::RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof(number)) != 1)
    return Failed("make the job's certificate");
  const std::string name =
      "lockstep " + std::string(job_id.substr(0, kJobIdBytesShown)) + " " + std::to_string(number);
  OpenSslPtr<X509> certificate = Blank(name, key.get(), clock);
  if (!certificate ||
      ::X509_set_issuer_name(certificate.get(), ::X509_get_subject_name(certificate.get())) != 1 ||
      !AddExtension(certificate.get(), certificate.get(), NID_basic_constraints,
                    "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(certificate.get(), certificate.get(), NID_key_usage, "critical,keyCertSign") ||
      ::X509_sign(certificate.get(), key.get(), ::EVP_sha256()) == 0) {
    return Failed("make the job's certificate");
  }
  std::string pem = ToPem(certificate.get());
  if (pem.empty()) return Failed("write the job's certificate");
  return std::unique_ptr<JobCa>(
      new JobCa(std::move(key), std::move(certificate), std::move(pem), clock));
}

base::Result<NodeCredentials> JobCa::Issue(std::string_view node_name) {
  if (!IsNodeName(node_name)) {
    return base::InvalidArgumentError(
        "issue a certificate for \"" + std::string(node_name.substr(0, kNodeNameBytesMax)) +
        "\": a node's name is 1 to 64 letters, digits, '.', '-', '_'");
  }
  const std::string what = "make a certificate for " + std::string(node_name);
  const OpenSslPtr<EVP_PKEY> key(::EVP_EC_gen("P-256"));
  if (!key) return Failed(what.c_str());
  const OpenSslPtr<X509> certificate = Blank(node_name, key.get(), clock_);
  if (!certificate ||
      ::X509_set_issuer_name(certificate.get(), ::X509_get_subject_name(certificate_.get())) != 1 ||
      !AddExtension(certificate.get(), certificate_.get(), NID_basic_constraints,
                    "critical,CA:FALSE") ||
      !AddExtension(certificate.get(), certificate_.get(), NID_key_usage,
                    "critical,digitalSignature") ||
      !AddExtension(certificate.get(), certificate_.get(), NID_ext_key_usage,
                    "serverAuth,clientAuth") ||
      ::X509_sign(certificate.get(), key_.get(), ::EVP_sha256()) == 0) {
    return Failed(what.c_str());
  }
  NodeCredentials credentials{
      .ca_certificate = pem_, .certificate = ToPem(certificate.get()), .key = ToPem(key.get())};
  if (credentials.certificate.empty() || credentials.key.empty()) return Failed(what.c_str());
  return credentials;
}

}  // namespace lockstep::net
