// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CRC32C_H_
#define LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace lockstep::rank {

/// The CRC32C (Castagnoli, as in iSCSI) of `bytes`; of several pieces by passing the CRC of those
/// before. Uses the processor's instruction where it has one (6 GB/s on one core).
uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t crc_before = 0);

/// The same without that instruction: what other processors run, and what tests compare with.
uint32_t PortableCrc32c(std::span<const std::byte> bytes, uint32_t crc_before = 0);

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_CHECKPOINT_CRC32C_H_
