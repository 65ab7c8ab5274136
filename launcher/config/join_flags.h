// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_JOIN_FLAGS_H_
#define LOCKSTEP_LAUNCHER_CONFIG_JOIN_FLAGS_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/cli/flag_tables.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/problem.h"

/// torchrun's habit: the same line on every node, whose agents meet at an endpoint. Its flags mean
/// something together, with several nodes, and unless the job's agents get there in another way; so
/// they are gathered first and understood when everything else is known. Pure functions.
namespace lockstep::launcher {

/// Where a value came from, the later winning over the earlier.
enum class Layer : uint8_t { kNobody, kFile, kPet, kLockstep, kSetting, kCommandLine };

struct GivenJoinFlag {
  const FlagSpec* flag = nullptr;
  std::string text;
  std::string source;  // for people: "flag --rdzv-id"
  Layer layer = Layer::kNobody;
};
/// By the flag's name, the last that was given.
using JoinFlags = std::map<std::string_view, GivenJoinFlag>;

/// What is true of this node and not of the others, and so is in no job spec.
struct ThisNode {
  int node_rank = -1;   // its place; -1 = any
  std::string address;  // by which the others reach it; "" = whichever they have shown to work
  std::optional<bool> holds_coordinator;  // unset: when the endpoint's host is this machine
};

struct JoinReading {
  struct Field {
    std::string path, text, source;  // as --set takes them
  };
  bool is_meant = false;      // the job's nodes meet by an endpoint
  std::vector<Field> fields;  // of the spec
  ThisNode this_node;
  std::vector<proto::Problem> problems;
  std::vector<std::string> notes;
};

struct JoinContext {
  Layer placement_layer = Layer::kNobody;  // that chose spec.placement's kind last
  std::string placement_source;            // that flag, file ..., for people
  /// Whether --set has set the field, and so wins over what the environment says.
  std::map<std::string, std::string> sources;
};

/// `spec` is what everything but `flags` says, without defaults.
JoinReading ReadJoinFlags(const JoinFlags& flags, const proto::JobSpec& spec,
                          const JoinContext& context);

/// What is wrong with a spec whose nodes meet by an endpoint, with the cure; the spec is complete.
std::vector<proto::Problem> CheckJoin(const proto::JobSpec& spec);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_JOIN_FLAGS_H_
