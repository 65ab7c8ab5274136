// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_TLS_STATUS_H_
#define LOCKSTEP_RUNTIME_NET_TLS_STATUS_H_

#include "runtime/base/status.h"

namespace lockstep::net {

/// Why a handshake or a connection failed, from OpenSSL's error queue of this thread (emptied) and
/// the verdict on the peer's certificate (SSL_get_verify_result). Says what to look at.
/// Always PermissionDenied: the peer is not of this job, or says that we are not.
base::Status TlsStatus(long verify_result);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_TLS_STATUS_H_
