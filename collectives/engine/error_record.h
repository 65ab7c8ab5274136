// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_ERROR_RECORD_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_ERROR_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "collectives/engine/member_names.h"
#include "collectives/engine/op.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

inline constexpr size_t kErrorCallSiteBytes = 40;
inline constexpr size_t kErrorMessageBytesMax = 2000;
/// Of a whole record, as bytes.
inline constexpr size_t kErrorBytesMax =
    48 + kNamedMembersMax * (4 + kErrorCallSiteBytes) + kErrorMessageBytesMax;

/// A group's first error as its members tell it to each other, over TCP and on the boards of nccl.
/// A value. As bytes: 48 of numbers, (member, call site)[blamed], the message.
struct ErrorRecord {
  struct Blamed {
    int member = 0;
    std::string call_site;
  };

  base::Code code = base::Code::kUnknown;
  base::FailureClass failure_class = base::FailureClass::kUnspecified;
  uint64_t op_seq = 0;         // 0 = no op
  uint64_t from_seq = 0;       // collectives before this one may still end well
  Op op;                       // kind, dtype, reduction, peer and count
  std::string message;         // kErrorMessageBytesMax are kept
  std::vector<Blamed> blamed;  // of which others hear of kNamedMembersMax

  /// That it ends `about`, collective `seq`.
  void SetOp(const Op& about, uint64_t seq);
};

std::vector<std::byte> EncodeError(const ErrorRecord& record);
/// Errors: DataLoss - no such record, in a group of `size`.
base::Result<ErrorRecord> ParseError(std::span<const std::byte> payload, int size);
/// The record as the error that a member of that group returns. Who has found it out has all that
/// are blamed as subjects, since survivors have to know them. `subject_of` knows a member.
base::Status StatusOf(const ErrorRecord& record, base::GroupId group, base::Round epoch,
                      const std::function<base::Subject(int member)>& subject_of);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_ERROR_RECORD_H_
