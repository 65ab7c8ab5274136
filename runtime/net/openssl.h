// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_OPENSSL_H_
#define LOCKSTEP_RUNTIME_NET_OPENSSL_H_

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

/// What the files of this folder that call OpenSSL 3 share.
namespace lockstep::net {

/// Before anything else of OpenSSL; may be called often. Keeps it from reading openssl.cnf, which
/// may name providers, whose shared objects would then be loaded into a static program.
/// Thread-safe.
void InitOpenSsl();

/// "reason; reason" of this thread's error queue, which it empties; "no reason given".
std::string TakeOpenSslErrors();

struct OpenSslDeleter {
  void operator()(BIO* bio) const { ::BIO_free_all(bio); }
  void operator()(EVP_KDF* kdf) const { ::EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { ::EVP_KDF_CTX_free(context); }
  void operator()(EVP_CIPHER* cipher) const { ::EVP_CIPHER_free(cipher); }
  void operator()(EVP_CIPHER_CTX* context) const { ::EVP_CIPHER_CTX_free(context); }
  void operator()(EVP_MAC* mac) const { ::EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { ::EVP_MAC_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { ::EVP_MD_CTX_free(context); }
  void operator()(EVP_PKEY* key) const { ::EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { ::EVP_PKEY_CTX_free(context); }
  void operator()(SSL* ssl) const { ::SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
  void operator()(X509* certificate) const { ::X509_free(certificate); }
};
template <class T>
using OpenSslPtr = std::unique_ptr<T, OpenSslDeleter>;

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_OPENSSL_H_
