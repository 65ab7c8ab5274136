// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_CAPABILITIES_H_
#define LOCKSTEP_COLLECTIVES_CAPABILITIES_H_

#include <array>
#include <cstdint>
#include <string>

#include "collectives/types.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// What a backend can do. A call beyond it is an Unimplemented that names backend, op, dtype and
/// reduction; nothing falls back silently. A value: copied and compared, const once a group has it.
struct Capabilities {
  std::string backend;  // "shm", "tcp", "wide", "mpi", "nccl"
  uint32_t ops = 0;     // bit 1 << OpKind
  uint32_t dtypes = 0;  // bit 1 << Dtype: of the ops that only move elements
  std::array<uint16_t, kDtypeLimit> reductions{};  // by Dtype: bit 1 << Reduction
  bool host_memory = true;                         // takes buffers of the processor's memory
  bool cuda_memory = false;                        // and of a GPU's
  int cuda_device = -1;  // a group's: the GPU on which those buffers lie; -1 = it has none
  /// Reduces elements at any address; else at multiples of their size alone.
  bool unaligned_reductions = true;

  /// Before a byte is reduced the members compare kind, dtype, reduction, count and root of the op:
  /// a mismatch is the same FailedPrecondition (class kUsage) on every member, blaming the
  /// minority. Elsewhere calls that differ end as the library makes them end, or at their deadline.
  bool compares_calls = false;
  /// The same inputs give the same bits on every rank and in every run (reduction in rank order).
  bool bitwise_reproducible = false;

  void Allow(OpKind kind) { ops |= 1u << static_cast<unsigned>(kind); }
  void Allow(Dtype dtype) { dtypes |= 1u << static_cast<unsigned>(dtype); }
  void Allow(Dtype dtype, Reduction reduction) {
    reductions[static_cast<size_t>(dtype)] |=
        static_cast<uint16_t>(1u << static_cast<unsigned>(reduction));
  }

  bool Has(OpKind kind) const { return (ops >> static_cast<unsigned>(kind) & 1) != 0; }
  bool Has(Dtype dtype) const { return (dtypes >> static_cast<unsigned>(dtype) & 1) != 0; }
  bool Has(Dtype dtype, Reduction reduction) const {
    return (reductions[static_cast<size_t>(dtype)] >> static_cast<unsigned>(reduction) & 1) != 0;
  }
  /// Unimplemented - "backend shm has no all_reduce of f16 with band". `reduction` is kNone for
  /// ops that only move.
  base::Status Check(OpKind kind, Dtype dtype, Reduction reduction) const;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_CAPABILITIES_H_
