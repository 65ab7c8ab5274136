// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_REDACT_H_
#define LOCKSTEP_RUNTIME_PROTO_REDACT_H_

#include <string_view>

#include "runtime/proto/job.pb.h"

namespace lockstep::proto {

inline constexpr std::string_view kRedacted = "<redacted>";

/// Whether a variable of this name is taken for a secret: it contains TOKEN, SECRET, PASSWORD,
/// PASSWD, PASSPHRASE, KEY, CREDENTIAL, COOKIE or AUTH, in upper or lower case. Too many are
/// redacted rather than one too few.
bool IsSecretName(std::string_view name);

/// What every dump of a spec goes through (--print-config, the job directory, messages): the values
/// of secret variables are <redacted>. Arguments of the program are kept: `ps` shows them to
/// everybody anyway.
TrainingJob RedactedCopy(const TrainingJob& job);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_REDACT_H_
