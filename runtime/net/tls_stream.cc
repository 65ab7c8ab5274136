// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/tls_stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <sys/socket.h>

#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/tls_status.h"

namespace lockstep::net {
namespace {

TlsStream::Socket& SocketOf(BIO* bio) {
  return *static_cast<TlsStream::Socket*>(::BIO_get_data(bio));
}

bool IsTransient(int error) { return error == EAGAIN || error == EINTR; }

int WriteBio(BIO* bio, const char* bytes, int size) {
  TlsStream::Socket& socket = SocketOf(bio);
  BIO_clear_retry_flags(bio);
  const int flags = MSG_NOSIGNAL | (socket.more_follows ? MSG_MORE : 0);
  const ssize_t count = ::send(socket.fd.get(), bytes, static_cast<size_t>(size), flags);
  if (count >= 0) return static_cast<int>(count);
  if (IsTransient(errno)) {
    BIO_set_retry_write(bio);
  } else {
    socket.error = errno;
  }
  return -1;
}

int ReadBio(BIO* bio, char* buffer, int size) {
  TlsStream::Socket& socket = SocketOf(bio);
  BIO_clear_retry_flags(bio);
  const ssize_t count = ::recv(socket.fd.get(), buffer, static_cast<size_t>(size), 0);
  if (count > 0) return static_cast<int>(count);
  if (count == 0) {
    socket.ended = true;
    return 0;
  }
  if (IsTransient(errno)) {
    BIO_set_retry_read(bio);
  } else {
    socket.error = errno;
  }
  return -1;
}

long ControlBio(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return SocketOf(bio).ended ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* SocketMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    LOCKSTEP_CHECK(made != nullptr && ::BIO_meth_set_write(made, WriteBio) == 1 &&
                       ::BIO_meth_set_read(made, ReadBio) == 1 &&
                       ::BIO_meth_set_ctrl(made, ControlBio) == 1,
                   "OpenSSL makes a BIO");
    return made;
  }();
  return method;
}

/// The common name of the certificate that the peer has proved to own; "" when there is none.
std::string NameOfPeer(SSL* ssl) {
  X509* certificate = ::SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return "";
  X509_NAME* subject = ::X509_get_subject_name(certificate);
  const int index = ::X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return "";
  ASN1_STRING* name = ::X509_NAME_ENTRY_get_data(::X509_NAME_get_entry(subject, index));
  return std::string(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(name)),
                     static_cast<size_t>(::ASN1_STRING_length(name)));
}

/// OpenSSL has no answer for a peer that does not speak TLS, who would take us for a server that is
/// not up yet and come again and again: the alert that it would be sent if it did (RFC 8446, 6.2:
/// protocol_version) tells it what it has met. What it has sent is read first, since a close with
/// unread bytes takes back what was said last.
void TellThatWeSpeakTls(int fd) {
  char rest[64];
  (void)!::recv(fd, rest, sizeof(rest), MSG_DONTWAIT);
  constexpr char kAlert[] = {0x15, 3, 3, 0, 2, 2, 70};
  (void)!::send(fd, kAlert, sizeof(kAlert), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

TlsStream::TlsStream(base::UniqueFd fd, OpenSslPtr<SSL> ssl)
    : socket_{.fd = std::move(fd)}, ssl_(std::move(ssl)) {
  BIO* bio = ::BIO_new(SocketMethod());
  LOCKSTEP_CHECK(bio != nullptr, "OpenSSL has memory for a connection");
  ::BIO_set_data(bio, &socket_);
  ::BIO_set_init(bio, 1);
  ::SSL_set_bio(ssl_.get(), bio, bio);
}

TlsStream::~TlsStream() {
  if (!secured_) return;
  ::ERR_clear_error();
  (void)::SSL_shutdown(ssl_.get());
  ::ERR_clear_error();
}

ByteStream::Outcome TlsStream::Failed(int result, const char* what) {
  const int error = ::SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return Outcome::NeedsReadable();
  if (error == SSL_ERROR_WANT_WRITE) return Outcome::NeedsWritable();
  if (error == SSL_ERROR_ZERO_RETURN) return Outcome::End();
  secured_ = false;
  // OpenSSL answers an error with an alert, which may fail in its turn (EPIPE); the first one
  // counts.
  if (socket_.ended) {
    ::ERR_clear_error();
    return Outcome::End(
        base::UnavailableError("the connection ended without a farewell of the peer"));
  }
  if (error == SSL_ERROR_SYSCALL) {
    return Outcome::Broken(
        base::UnavailableError(base::ErrnoStatus(socket_.error, what).message()));
  }
  return Outcome::Broken(TlsStatus(::SSL_get_verify_result(ssl_.get())));
}

ByteStream::Outcome TlsStream::Handshake() {
  ::ERR_clear_error();
  const int result = ::SSL_do_handshake(ssl_.get());
  if (result != 1) {
    const bool no_tls = ERR_GET_REASON(::ERR_peek_last_error()) == SSL_R_WRONG_VERSION_NUMBER;
    if (no_tls && ::SSL_is_server(ssl_.get()) == 1) TellThatWeSpeakTls(fd());
    Outcome outcome = Failed(result, "shake hands with the peer");
    if (outcome.kind == Outcome::Kind::kEnd) outcome.kind = Outcome::Kind::kBroken;
    return outcome;
  }
  peer_name_ = NameOfPeer(ssl_.get());
  if (::SSL_get0_peer_certificate(ssl_.get()) != nullptr && !IsNodeName(peer_name_)) {
    return Outcome::Broken(
        base::PermissionDeniedError("the peer's certificate does not name a node"));
  }
  secured_ = true;
  return {};
}

ByteStream::Outcome TlsStream::Read(char* buffer, size_t size) {
  if (ended_) return *ended_;
  size_t count = 0;
  while (count < size) {
    size_t piece = 0;
    ::ERR_clear_error();
    const int result = ::SSL_read_ex(ssl_.get(), buffer + count, size - count, &piece);
    if (result == 1) {
      count += piece;
      // What else there is, the descriptor shows. To ask the socket for it costs a system call, and
      // most often nothing has come.
      if (::SSL_has_pending(ssl_.get()) == 0) return Outcome::Bytes(count);
      continue;
    }
    Outcome outcome = Failed(result, "read from the peer");
    if (!outcome.blocked()) ended_ = outcome;
    if (count == 0) return outcome;
    return Outcome::Bytes(count, outcome.kind != Outcome::Kind::kNeedsReadable);
  }
  return Outcome::Bytes(count, true);
}

ByteStream::Outcome TlsStream::Write(std::string_view bytes) {
  size_t count = 0;
  ::ERR_clear_error();
  // One call writes one record (SSL_MODE_ENABLE_PARTIAL_WRITE). Without a word of the next ones
  // each would be a segment of its own, which wakes the peer.
  socket_.more_follows = bytes.size() > SSL3_RT_MAX_PLAIN_LENGTH;
  const int result = ::SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
  socket_.more_follows = false;
  if (result == 1) return Outcome::Bytes(count);
  return Failed(result, "write to the peer");
}

}  // namespace lockstep::net
