// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_transport.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/net/tls_algorithms.h"
#include "runtime/net/tls_stream.h"

namespace lockstep::net {
namespace {

// Each connection's own read buffer: what is there is taken with one system call for several
// records of 16 KiB, and is held for no longer than the turn of the loop that takes it.
constexpr size_t kReadBufferBytes = size_t{64} << 10;

/// What both kinds of membership have in common.
OpenSslPtr<SSL_CTX> MakeContext(const char* cipher_suites) {
  OpenSslPtr<SSL_CTX> context(::SSL_CTX_new_ex(TlsAlgorithms(), nullptr, ::TLS_method()));
  LOCKSTEP_CHECK(context != nullptr, "OpenSSL has memory for its settings");
  SSL_CTX* const c = context.get();
  ::SSL_CTX_set_security_level(c, 2);
  LOCKSTEP_CHECK(SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) == 1 &&
                     SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) == 1 &&
                     ::SSL_CTX_set_ciphersuites(c, cipher_suites) == 1 &&
                     SSL_CTX_set1_groups_list(c, "X25519:P-256") == 1,
                 "OpenSSL has TLS 1.3, AES-GCM, X25519 and P-256");
  // Nothing of a connection serves for the next one.
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_num_tickets(c, 0);
  ::SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Channel::Send appends to the bytes that are waiting, so that a repeated write finds them
  // elsewhere; and thousands of silent connections keep no buffers.
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
  // Each side has the job's certificate. OpenSSL would look for it in its store and send it along,
  // in every handshake, and the peer would parse it: a fifth of what a handshake computes.
  SSL_CTX_set_mode(c, SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_read_ahead(c, 1);
  ::SSL_CTX_set_default_read_buffer_len(c, kReadBufferBytes);
  return context;
}

OpenSslPtr<BIO> ReadFrom(std::string_view bytes) {
  return OpenSslPtr<BIO>(::BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

OpenSslPtr<X509> ParseCertificate(std::string_view pem) {
  X509* certificate = ::X509_new_ex(TlsAlgorithms(), nullptr);
  const bool read =
      ::PEM_read_bio_X509(ReadFrom(pem).get(), &certificate, nullptr, nullptr) != nullptr;
  OpenSslPtr<X509> owner(certificate);  // which OpenSSL frees and clears upon some errors alone
  return read ? std::move(owner) : nullptr;
}

/// Never asks for a passphrase.
OpenSslPtr<EVP_PKEY> ParseKey(std::string_view pem) {
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  return OpenSslPtr<EVP_PKEY>(::PEM_read_bio_PrivateKey_ex(
      ReadFrom(pem).get(), nullptr, no_passphrase, nullptr, TlsAlgorithms(), nullptr));
}

base::Status Unusable(const char* what) {
  return base::InvalidArgumentError("use the credentials of a node: " + std::string(what) + ": " +
                                    TakeOpenSslErrors());
}

const JobKey& KeyOf(SSL* ssl) {
  return *static_cast<const JobKey*>(SSL_CTX_get_app_data(::SSL_get_SSL_CTX(ssl)));
}

unsigned int CopyKey(const JobKey& from, unsigned char* key, unsigned int key_bytes_max) {
  const std::string_view bytes = from.key.view();
  if (bytes.size() > key_bytes_max) return 0;
  ::memcpy(key, bytes.data(), bytes.size());
  return static_cast<unsigned int>(bytes.size());
}

}  // namespace

base::Result<std::unique_ptr<TlsTransport>> TlsTransport::Create(
    const NodeCredentials& credentials) {
  OpenSslPtr<SSL_CTX> context = MakeContext("TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
  ::ERR_clear_error();
  const OpenSslPtr<X509> ca = ParseCertificate(credentials.ca_certificate);
  if (!ca) return Unusable("the job's certificate");
  const OpenSslPtr<X509> certificate = ParseCertificate(credentials.certificate);
  if (!certificate) return Unusable("its certificate");
  const OpenSslPtr<EVP_PKEY> key = ParseKey(credentials.key.view());
  if (!key) return Unusable("its key");
  X509_STORE* const store = ::SSL_CTX_get_cert_store(context.get());
  if (::X509_STORE_add_cert(store, ca.get()) != 1 ||
      ::X509_STORE_set_flags(store, X509_V_FLAG_NO_CHECK_TIME) != 1 ||
      ::SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      ::SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 ||
      ::SSL_CTX_check_private_key(context.get()) != 1) {
    return Unusable("key and certificate");
  }
  ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return std::unique_ptr<TlsTransport>(new TlsTransport(std::move(context), std::nullopt));
}

std::unique_ptr<TlsTransport> TlsTransport::Create(JobKey key) {
  // Keys of these callbacks go with SHA-256 alone.
  OpenSslPtr<SSL_CTX> context = MakeContext("TLS_AES_128_GCM_SHA256");
  ::SSL_CTX_set_psk_server_callback(context.get(), GiveKeyToServer);
  ::SSL_CTX_set_psk_client_callback(context.get(), GiveKeyToClient);
  return std::unique_ptr<TlsTransport>(new TlsTransport(std::move(context), std::move(key)));
}

TlsTransport::TlsTransport(OpenSslPtr<SSL_CTX> context, std::optional<JobKey> key)
    : context_(std::move(context)), key_(std::move(key)) {
  if (key_) SSL_CTX_set_app_data(context_.get(), const_cast<JobKey*>(&*key_));
}

unsigned int TlsTransport::GiveKeyToServer(SSL* ssl, const char* identity, unsigned char* key,
                                           unsigned int key_bytes_max) {
  const JobKey& own = KeyOf(ssl);
  if (identity == nullptr || own.identity != identity) return 0;  // of another job
  return CopyKey(own, key, key_bytes_max);
}

unsigned int TlsTransport::GiveKeyToClient(SSL* ssl, const char*, char* identity,
                                           unsigned int identity_bytes_max, unsigned char* key,
                                           unsigned int key_bytes_max) {
  const JobKey& own = KeyOf(ssl);
  if (own.identity.size() + 1 > identity_bytes_max) return 0;
  ::memcpy(identity, own.identity.c_str(), own.identity.size() + 1);
  return CopyKey(own, key, key_bytes_max);
}

std::unique_ptr<ByteStream> TlsTransport::Wrap(base::UniqueFd fd, Side side) const {
  OpenSslPtr<SSL> ssl(::SSL_new(context_.get()));
  LOCKSTEP_CHECK(ssl != nullptr, "OpenSSL has memory for a connection");
  if (side == Side::kServer) {
    ::SSL_set_accept_state(ssl.get());
  } else {
    ::SSL_set_connect_state(ssl.get());
    // A server without our key could show a certificate instead: where we have no CA, none is
    // believed. Only on this side: OpenSSL lets no server both verify and take such keys without
    // session contexts, which would have to differ between its ends.
    ::SSL_set_verify(ssl.get(), SSL_VERIFY_PEER, nullptr);
  }
  return std::make_unique<TlsStream>(std::move(fd), std::move(ssl));
}

}  // namespace lockstep::net
