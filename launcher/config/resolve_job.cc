// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/resolve_job.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include "launcher/config/job_draft.h"
#include "launcher/config/job_nodes.h"
#include "launcher/config/stream_choice.h"
#include "launcher/config/torchrun_line.h"
#include "runtime/proto/job_checks.h"
#include "runtime/proto/job_yaml.h"
#include "runtime/proto/nearest_name.h"
#include "runtime/proto/problem.h"
#include "runtime/proto/redact.h"

namespace lockstep::launcher {
namespace {

using proto::Problem;
using proto::ReadReport;
using proto::SetJobField;
using proto::ShortValue;

constexpr std::string_view kPetPrefix = "PET_";
constexpr std::string_view kLockstepPrefix = "LOCKSTEP_";
constexpr char kStdin[] = "spec.logs.stdin";
constexpr char kPerNode[] = "spec.gang.processesPerNode";
constexpr char kTotal[] = "spec.gang.totalProcesses";

// torchrun reads its switches from the environment as numbers.
std::string SwitchText(const FlagSpec& flag, const std::string& text) {
  if (!flag.is_switch()) return text;
  return text == "1" ? "true" : text == "0" ? "false" : text;
}

// The flag's variable with that prefix, if one is read.
std::optional<std::string> VariableOf(const FlagSpec& flag, std::string_view prefix) {
  const bool read = prefix == kPetPrefix ? flag.environment == FlagEnvironment::kLockstepAndPet
                                         : flag.environment != FlagEnvironment::kNone;
  return read ? std::optional(FlagVariable(flag, prefix)) : std::nullopt;
}

class Resolver {
 public:
  explicit Resolver(const JobInputs& inputs) : inputs_(inputs) {}

  base::Result<ResolvedJob> Run() {
    for (const Problem& problem : inputs_.command.problems) draft_.AddProblem(problem);
    if (inputs_.file) ApplyLayer(Layer::kFile, [this] { ApplyFile(*inputs_.file); });
    ApplyLayer(Layer::kPet, [this] { ApplyEnvironment(kPetPrefix); });
    ApplyLayer(Layer::kLockstep, [this] { ApplyEnvironment(kLockstepPrefix); });
    WarnOfMistypedVariables();
    ApplyLayer(Layer::kSetting, [this] { ApplySettings(); });
    ApplyLayer(Layer::kCommandLine, [this] { ApplyCommandLine(); });
    Complete();
    RETURN_IF_ERROR(ProblemsToStatus(draft_.problems()));
    CountProcesses();
    RETURN_IF_ERROR(ProblemsToStatus(draft_.problems()));
    RETURN_IF_ERROR(nodes_.Check());
    return ResolvedJob{.job = std::move(draft_.job()),
                       .notes = draft_.notes(),
                       .sources = std::move(draft_.sources()),
                       .this_node = std::move(this_node_)};
  }

 private:
  proto::TrainingJob& job() { return draft_.job(); }
  proto::Program& program() { return *draft_.spec().mutable_program(); }

  // ---------------------------------------------------------------------------------------- layers

  // processesPerNode and totalProcesses are two ways to say one thing, so a layer that sets one
  // replaces both of the layers before. Only a layer that sets both can contradict itself. A
  // torchrun line belongs to the layer where it stands.
  template <class Apply>
  void ApplyLayer(Layer layer, Apply apply) {
    layer_ = layer;
    const proto::Gang before = draft_.spec().gang();
    const proto::Placement::KindCase kind_before = draft_.spec().placement().kind_case();
    draft_.spec().mutable_gang()->clear_processes_per_node();
    draft_.spec().mutable_gang()->clear_total_processes();
    apply();
    if (draft_.spec().placement().kind_case() != kind_before) nodes_.OnPlacementChosen(layer);
    proto::Gang& gang = *draft_.spec().mutable_gang();
    if (gang.has_processes_per_node() || gang.has_total_processes()) {
      if (!gang.has_processes_per_node()) draft_.sources().erase(kPerNode);
      if (!gang.has_total_processes()) draft_.sources().erase(kTotal);
      return;
    }
    if (before.has_processes_per_node())
      *gang.mutable_processes_per_node() = before.processes_per_node();
    if (before.has_total_processes()) gang.set_total_processes(before.total_processes());
  }

  void ApplyFile(const JobFile& file) {
    draft_.Take(ReadJobYaml(file.text, &job()), file.name);
    UnwrapTorchrunLine(file.name);
  }

  void ApplyEnvironment(std::string_view prefix) {
    for (const FlagSpec& flag : VerbSpecOf(Verb::kRun).flags) {
      if (const auto name = VariableOf(flag, prefix)) ApplyVariable(flag, *name);
    }
  }

  void ApplyVariable(const FlagSpec& flag, const std::string& name) {
    const auto found = inputs_.environment.find(name);
    if (found == inputs_.environment.end() || found->second.empty()) return;
    ApplyFlag(flag, SwitchText(flag, found->second), "environment " + name);
  }

  // A variable that nobody reads is a wish that nobody grants. The ranks' own variables are no such
  // wishes.
  void WarnOfMistypedVariables() {
    constexpr size_t kShortest =
        6;  // of two short words either is near the other: LOCKSTEP_HOME is no LOCKSTEP_NAME
    std::vector<std::string> known;
    for (const FlagSpec& flag : VerbSpecOf(Verb::kRun).flags) {
      if (auto name = VariableOf(flag, kLockstepPrefix)) known.push_back(*std::move(name));
    }
    for (const auto& [name, value] : inputs_.environment) {
      if (!name.starts_with(kLockstepPrefix) || topology::IsWorldVariable(name)) continue;
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const std::string_view word = std::string_view(name).substr(kLockstepPrefix.size());
      if (word.size() < kShortest) continue;
      std::vector<std::string_view> words;
      for (const std::string& one : known)
        words.push_back(std::string_view(one).substr(kLockstepPrefix.size()));
      const auto nearest = proto::NearestName(word, words);
      if (nearest)
        draft_.AddNote("environment " + name + " is read by nobody; did you mean LOCKSTEP_" +
                       std::string(*nearest) + "?");
    }
  }

  void ApplySettings() {
    for (const GivenFlag& given : inputs_.command.flags) {
      if (given.flag->effect == FlagEffect::kSetting) ApplySetting(given.value);
    }
    UnwrapTorchrunLine("--set");
  }

  void ApplySetting(std::string_view text) {
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      return draft_.Set(text.substr(0, equals), text.substr(equals + 1), "--set");
    draft_.AddProblem("", ShortValue(text),
                      "is no setting; write --set PATH=VALUE, as --set spec.gang.nodes=1", "--set");
  }

  void ApplyCommandLine() {
    const std::vector<std::string>& words = inputs_.command.operands;
    if (!words.empty()) {
      ForgetTheFilesKind();
      SetProgram(words, "command line");
      UnwrapTorchrunLine("command line");
    }
    nodes_.ApplyHosts(inputs_.command, inputs_.host_file);
    for (const GivenFlag& given : inputs_.command.flags) {
      if (given.flag->effect == FlagEffect::kCommand || given.flag->effect == FlagEffect::kSetting)
        continue;
      CheckContradiction(given);
      ApplyFlag(*given.flag, given.value, "flag " + given.spelling);
    }
  }

  // Another program than the file's is started in its own way.
  void ForgetTheFilesKind() {
    const auto source = draft_.sources().find("spec.program.kind");
    if (!inputs_.file || source == draft_.sources().end() ||
        !source->second.starts_with(inputs_.file->name))
      return;
    program().clear_kind();
    draft_.sources().erase(source);
  }

  void SetProgram(const std::vector<std::string>& words, const std::string& source) {
    program().clear_command();
    program().clear_args();
    program().add_command(words[0]);
    for (size_t i = 1; i < words.size(); ++i) program().add_args(words[i]);
    draft_.sources()["spec.program.command"] = source;
    draft_.sources()["spec.program.args"] = source;
  }

  void UnwrapTorchrunLine(const std::string& source) {
    std::vector<std::string> words(program().command().begin(), program().command().end());
    words.insert(words.end(), program().args().begin(), program().args().end());
    const std::optional<TorchrunLine> torchrun = ParseTorchrunLine(words);
    if (!torchrun) return;
    const std::string inner = source + ", torchrun line";
    draft_.AddNote(
        source +
        ": the torchrun line is understood as flags of lockstep run; torchrun itself is not "
        "started");
    for (Problem problem : torchrun->line.problems) {
      problem.source = inner;
      draft_.AddProblem(std::move(problem));
    }
    if (torchrun->line.rest.empty())
      return draft_.AddProblem("spec.program.command", "", "names no script", inner);
    SetProgram(torchrun->line.rest, inner);
    draft_.Set("spec.program.kind", "PythonScript",
               inner);  // torchrun's default; its -m and --no-python come below
    if (!torchrun->python.empty()) draft_.Set("spec.program.python", torchrun->python, inner);
    for (const GivenFlag& given : torchrun->line.flags)
      ApplyFlag(*given.flag, given.value, inner + " " + given.spelling);
  }

  // ----------------------------------------------------------------------------------------- flags

  // Two different flags that want one field to be two things: nobody can know which is meant.
  void CheckContradiction(const GivenFlag& given) {
    if (!given.flag->is_switch() || given.flag->field_value.empty() || given.value != "true")
      return;
    for (const GivenFlag& other : inputs_.command.flags) {
      if (&other == &given) return;
      const bool same_field = other.flag != given.flag && other.flag->field == given.flag->field;
      if (same_field && other.value == "true") {
        draft_.AddProblem("", "", "contradicts " + other.spelling + "; give one of the two",
                          "flag " + given.spelling);
      }
    }
  }

  void ApplyFlag(const FlagSpec& flag, const std::string& text, const std::string& source) {
    switch (flag.effect) {
      case FlagEffect::kCommand:
      case FlagEffect::kHosts:
      case FlagEffect::kSetting: return;
      case FlagEffect::kField: return ApplyField(flag, text, source);
      case FlagEffect::kSeconds: return draft_.Set(flag.field, WithSeconds(text), source);
      case FlagEffect::kWord: return draft_.Set(flag.field, Capitalized(text), source);
      case FlagEffect::kStreams: return ApplyStreams(flag, text, source);
      case FlagEffect::kNodes: return ApplyNodes(text, source);
      case FlagEffect::kVariable: return ApplyRankVariable(text, source);
      case FlagEffect::kJoin: return nodes_.KeepJoinFlag({&flag, text, source, layer_});
      case FlagEffect::kNothing:
        if (!flag.note.empty())
          draft_.AddNote(source + " has no effect: " + std::string(flag.note));
        return;
    }
  }

  void ApplyField(const FlagSpec& flag, const std::string& text, const std::string& source) {
    if (flag.field_value.empty()) return draft_.Set(flag.field, text, source);
    if (text == "true") return draft_.Set(flag.field, flag.field_value, source);
    if (text != "false") draft_.AddProblem("", ShortValue(text), "must be true or false", source);
  }

  static std::string Capitalized(std::string text) {
    if (!text.empty())
      text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    return text;
  }

  static std::string WithSeconds(const std::string& text) {
    const bool number = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= '0' && c <= '9') || c == '.';
    });
    return number ? text + "s" : text;
  }

  void ApplyNodes(const std::string& text, const std::string& source) {
    const size_t colon = text.find(':');
    const std::string min = text.substr(0, colon);
    const std::string max = colon == std::string::npos ? min : text.substr(colon + 1);
    draft_.Set("spec.gang.nodes", max, source);
    // What no count of nodes can be is one problem and not three.
    if (colon == std::string::npos && !IsCount(text)) return;
    draft_.Set("spec.gang.minNodes", min, source);
    draft_.Set("spec.gang.maxNodes", max, source);
  }

  static bool IsCount(const std::string& text) {
    int count = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), count);
    return parsed.ec == std::errc() && count >= 1 && count <= proto::kNodesMax;
  }

  void ApplyRankVariable(const std::string& text, const std::string& source) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (equals == std::string::npos) {
      if (inputs_.environment.contains(name)) return AddInherited(name, source);
      return draft_.AddProblem("spec.program.env", ShortValue(name),
                               "is not set here; write " + name + "=VALUE", source);
    }
    auto& variables = *program().mutable_env();
    auto variable = std::find_if(variables.begin(), variables.end(),
                                 [&](const auto& one) { return one.name() == name; });
    proto::EnvironmentVariable& target = variable == variables.end() ? *variables.Add() : *variable;
    target.set_name(name);
    target.set_value(text.substr(equals + 1));
    std::string& sources = draft_.sources()["spec.program.env"];
    if (!sources.ends_with(source)) sources += (sources.empty() ? "" : ", ") + source;
  }

  // mpirun's -x NAME. Ranks of this machine inherit it anyway, those of others do not.
  void AddInherited(const std::string& name, const std::string& source) {
    inherited_.push_back({name, source});
  }

  // torchrun's notation (stream_choice.h).
  void ApplyStreams(const FlagSpec& flag, const std::string& text, const std::string& source) {
    const std::string path(flag.field);
    const std::optional<std::string> choice = StreamChoiceOf(text);
    if (!choice) {
      return draft_.AddProblem(path, ShortValue(text),
                               "is no choice of streams; write 0 (none), 1 (stdout), 2 (stderr), 3 "
                               "(both), or by rank 0:3,12:1",
                               source);
    }
    proto::Logs& logs = *draft_.spec().mutable_logs();
    flag.name == "--tee" ? logs.clear_tee() : logs.clear_redirects();
    ReadReport report = SetJobField(path, *choice, &job());
    report.paths = {path};
    draft_.Take(report, source);
  }

  // ------------------------------------------------------------------------------------ completion

  void Complete() {
    const bool detached = inputs_.command.IsOn("--detach");
    if (detached && !draft_.sources().contains(kStdin)) draft_.Set(kStdin, "none", "flag --detach");
    if (detached && draft_.spec().logs().stdin_reader().has_rank()) {
      draft_.AddProblem(kStdin, std::to_string(draft_.spec().logs().stdin_reader().rank()),
                        "contradicts --detach, which leaves stdin; write --stdin none",
                        draft_.sources()[kStdin]);
    }
    const bool has_resources =
        draft_.spec().has_resources() && draft_.spec().resources().ByteSizeLong() > 0;
    if (has_resources)
      draft_.AddNote(
          "spec.resources is for clusters; nothing is reserved or limited on this machine");
    CheckBackend();
    this_node_ = nodes_.CompleteMeeting();
    if (draft_.spec().placement().has_ssh()) PassOnInherited();
    nodes_.CompleteHosts();
    CompleteCounts();
    std::vector<Problem> found = Validate(job());
    if (draft_.spec().placement().has_join()) {
      for (Problem& problem : CheckJoin(draft_.spec())) found.push_back(std::move(problem));
    }
    draft_.AddFound(std::move(found));
  }

  // Where nobody serves MPI, each rank would be a world of one to it. Which MPI is loaded at run
  // time is not seen from here.
  void CheckBackend() {
    constexpr char kBackend[] = "spec.collectives.backend";
    if (draft_.spec().collectives().backend() == proto::COLLECTIVES_BACKEND_NCCL &&
        draft_.spec().restart().on_rank_failure() == proto::RANK_FAILURE_KEEP) {
      draft_.AddProblem(kBackend, "Nccl",
                        "cannot go on without a rank in the same processes; use backend host, or "
                        "leave --on-rank-failure at teardown",
                        draft_.sources()[kBackend]);
    }
    if (draft_.spec().collectives().backend() != proto::COLLECTIVES_BACKEND_MPI) return;
    const proto::MpiServer server = draft_.spec().program().mpi();
    if (server == proto::MPI_SERVER_PMIX || server == proto::MPI_SERVER_PMI1) return;
    draft_.AddProblem(kBackend, "Mpi",
                      "needs ranks that are an MPI's world: on one machine say whose, --mpi=pmix "
                      "(Open MPI) or --mpi=pmi1 (MPICH); on several write `mpirun -np N lockstep "
                      "exec --backend mpi -- PROGRAM` in place of `lockstep run`",
                      draft_.sources()[kBackend]);
  }

  void PassOnInherited() {
    for (const auto& [name, source] : inherited_)
      ApplyRankVariable(name + "=" + inputs_.environment.at(name), source);
  }

  // Says of a count that was derived what it was derived from.
  void CompleteCounts() {
    const bool per_node = draft_.spec().gang().has_processes_per_node();
    const bool total = draft_.spec().gang().has_total_processes();
    CompleteHangTimes();
    ApplyDefaults(&job());
    if (draft_.spec().placement().has_ssh()) return;
    if (total && !per_node) draft_.sources()[kPerNode] = "from totalProcesses";
    if (per_node && !total) draft_.sources()[kTotal] = "from processesPerNode";
  }

  // Who gives one time alone wants ranks that hang to be ended then, and not said alone.
  void CompleteHangTimes() {
    proto::Hangs& hangs = *draft_.spec().mutable_hangs();
    if (!hangs.has_grace() || hangs.has_action_after()) return;
    *hangs.mutable_action_after() = hangs.grace();
    draft_.sources()["spec.hangs.actionAfter"] = "from grace";
  }

  // Of what a unit stands for on this machine.
  void CountProcesses() {
    proto::Gang& gang = *draft_.spec().mutable_gang();
    if (!gang.processes_per_node().has_unit()) return;
    const std::string source = draft_.SourceOf(kPerNode);
    const proto::NodeUnit unit = gang.processes_per_node().unit();
    const MachineFacts machine = inputs_.machine();
    const bool gpus =
        unit == proto::NODE_UNIT_GPU || (unit == proto::NODE_UNIT_AUTO && machine.gpus > 0);
    const int count = gpus ? machine.gpus : machine.cpus;
    if (count < 1)
      return draft_.AddProblem(kPerNode, "gpu",
                               "is none: this machine shows no GPU; give a number, or cpu", source);
    gang.mutable_processes_per_node()->set_count(count);
    draft_.sources()[kPerNode] = source + (gpus ? ", GPUs counted" : ", cores counted");
    draft_.sources()[kTotal] = draft_.sources()[kPerNode];
    gang.set_total_processes(count * gang.nodes());
    for (Problem problem : Validate(job())) {
      problem.source = draft_.SourceOf(problem.path);
      draft_.AddProblem(std::move(problem));
    }
  }

  const JobInputs& inputs_;
  JobDraft draft_;
  JobNodes nodes_{draft_};
  ThisNode this_node_;
  std::vector<std::pair<std::string, std::string>> inherited_;  // of -x NAME: name and source
  Layer layer_ = Layer::kNobody;                                // that is being applied
};

}  // namespace

base::Result<ResolvedJob> ResolveJob(const JobInputs& inputs) { return Resolver(inputs).Run(); }

topology::Environment EnvironmentForRanks(topology::Environment environment) {
  for (const FlagSpec& flag : VerbSpecOf(Verb::kRun).flags) {
    for (const std::string_view prefix : {kPetPrefix, kLockstepPrefix}) {
      if (const auto name = VariableOf(flag, prefix)) environment.erase(*name);
    }
  }
  return environment;
}

std::string PrintConfig(const ResolvedJob& resolved) {
  return FormatJobYaml(RedactedCopy(resolved.job), [&](const std::string& path) {
    const std::string source = SourceOf(resolved.sources, path);
    return source.empty() ? std::string("built-in") : source;
  });
}

}  // namespace lockstep::launcher
