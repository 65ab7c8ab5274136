// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLI_FLAG_TABLES_H_
#define LOCKSTEP_LAUNCHER_CLI_FLAG_TABLES_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

/// Every verb and every flag of `lockstep`, once: the parser, the help, the environment's names and
/// docs/configuration.md are made from these tables. Constants, for any thread.
namespace lockstep::launcher {

enum class Verb : uint8_t {
  kRun,
  kRender,
  kExec,
  kPs,
  kStatus,
  kTop,
  kMetrics,
  kStacks,
  kDiagnose,
  kLogs,
  kHangs,
  kStop,
  kRm,
  kPrune,
  kBench,
  kVersion,
  kHelp
};

/// What a flag's value does.
enum class FlagEffect : uint8_t {
  kCommand,   // nothing to the job; whoever carries the verb out asks for it by name
  kField,     // becomes the job's field
  kWord,      // becomes an enum field: "mpi" is its value Mpi
  kSeconds,   // becomes a duration field; a number without a unit is seconds, as torchrun has it
  kStreams,   // becomes a StreamChoice: "3" or "0:3,12:1"
  kNodes,     // "2" or "1:4" becomes nodes, minNodes, maxNodes
  kVariable,  // "NAME=value" is added to the ranks' environment
  kSetting,   // "path=value" sets any field
  kHosts,     // a list of hosts; each one that is given adds to it
  kJoin,      // how a job's nodes find each other; means something with several of them
  kNothing,   // accepted for the sake of torchrun's and mpirun's users; FlagSpec::note says why it
              // has no effect
};

/// Where a flag's value may come from beside the command line: LOCKSTEP_MAX_RESTARTS,
/// PET_MAX_RESTARTS.
enum class FlagEnvironment : uint8_t { kNone, kLockstep, kLockstepAndPet };

enum class FlagSection : uint8_t {
  kRanks,
  kMachines,
  kSameLine,
  kProgram,
  kSpec,
  kFailures,
  kOutput,
  kCompatibility
};

struct FlagSpec {
  std::string_view name;     // "--max-restarts"; '_' stands for '-' wherever somebody types it
  std::string_view aliases;  // "-np -n"
  std::string_view
      value_name;  // in the help; "" = a switch, which takes =true or =false and nothing else
  std::string_view help;
  FlagEffect effect = FlagEffect::kCommand;
  std::string_view field = "";  // of the job, as --set takes it
  std::string_view field_value =
      "";  // of a switch: what `field` becomes when it is on; "" = true or false
  FlagEnvironment environment = FlagEnvironment::kNone;
  FlagSection section = FlagSection::kRanks;
  std::string_view note = "";  // for kNothing, and for kJoin on one node

  bool is_switch() const { return value_name.empty(); }
};

struct VerbSpec {
  Verb verb;
  std::string_view name;
  std::string_view synopsis;  // after "lockstep NAME"
  std::string_view summary;   // one line
  std::string_view details;   // lines of at most 98 columns, each ended by a newline; may be empty
  std::string_view examples;  // likewise; never empty
  std::span<const FlagSpec> flags;
  size_t operands_min = 0;
  size_t operands_max = 0;
  bool takes_program = false;  // flags end at the first operand; it and all after are a program's
  /// Taken too, but not repeated in the help: those of `run`, of a verb that takes a job as it
  /// does.
  std::span<const FlagSpec> further_flags = {};
};

std::span<const VerbSpec> Verbs();
const VerbSpec& VerbSpecOf(Verb verb);
/// Null when there is none of that name.
const VerbSpec* FindVerb(std::string_view name);
/// By name or alias, without "=value"; '_' and '-' are equal after the leading dashes. Null when
/// the verb has none.
const FlagSpec* FindFlag(const VerbSpec& verb, std::string_view spelling);

/// "PET_MAX_RESTARTS" of --max-restarts and "PET_".
std::string FlagVariable(const FlagSpec& flag, std::string_view prefix);

/// "Ranks", the section's headline in the help.
std::string_view SectionName(FlagSection section);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLI_FLAG_TABLES_H_
