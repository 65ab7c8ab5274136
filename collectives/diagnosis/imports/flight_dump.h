// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_DUMP_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_DUMP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/diagnosis/imports/tree.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

/// What one rank's PyTorch flight recorder wrote, whatever the form of the file: versions 2.1 to
/// 2.10, which torch 2.4 to 2.11 write. Plain values.
namespace lockstep::collectives {

/// One entry: a collective, or one send or receive.
struct FlightEntry {
  enum class State : uint8_t { kScheduled, kStarted, kCompleted };

  int64_t record_id = 0;
  std::string group;        // its name, which is the same on all members: "0"
  std::string description;  // "default_pg"
  std::string name;         // "nccl:all_reduce"
  int64_t collective_seq = 0;
  bool is_transfer = false;
  State state = State::kScheduled;
  /// The recorder has let go of it: it is over. Backends but NCCL and XCCL say no more than that,
  /// and say it of ops that failed, too.
  bool is_retired = false;
  std::vector<int64_t> input_elements, output_elements;  // by tensor
  std::vector<std::string> input_dtypes, output_dtypes;  // "Float"
  int64_t created_ns = 0;                                // wall clock
  int64_t last_seen_ns = 0;                              // the latest time in the entry
  std::string call_site;  // "train.py:42"; "" where the dump has no stacks, as in JSON
};

struct FlightGroup {
  std::string name, description;
  std::vector<base::Rank> members;  // by group rank; empty: not told
};

struct FlightDump {
  std::string version;
  std::optional<base::Rank> rank;  // only dumps that Lockstep has written say
  std::vector<FlightGroup> groups;
  std::vector<FlightEntry> entries;  // oldest first
};

/// Whether this is a flight recorder's dump, and not some other JSON or pickle.
bool IsFlightDump(const Tree& tree);

/// Errors: InvalidArgument - an entry that is none; OutOfRange - more than a dump has.
base::Result<FlightDump> ReadFlightDump(const Tree& tree);

/// The rank that the name of a dump's file ends with, before its extension: 3 of
/// "/tmp/nccl_trace_rank_3", "rank3.json".
std::optional<base::Rank> RankOfFileName(std::string_view path);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_DUMP_H_
