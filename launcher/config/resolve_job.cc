// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/resolve_job.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "launcher/config/ssh_hosts.h"
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
constexpr char kHosts[] = "spec.placement.ssh.hosts";

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

// The source of the field itself, or of the nearest part of the job that holds it:
// "spec.program.args[3]" is of "spec.program.args". "" = nobody set it.
std::string SourceOf(const std::map<std::string, std::string>& sources, std::string path) {
  for (;;) {
    const auto found = sources.find(path);
    if (found != sources.end()) return found->second;
    const size_t end = path.find_last_of(".[");
    if (end == std::string::npos) return "";
    path.resize(end);
  }
}

class Resolver {
 public:
  explicit Resolver(const JobInputs& inputs) : inputs_(inputs) {}

  base::Result<ResolvedJob> Run() {
    problems_ = inputs_.command.problems;
    if (inputs_.file) ApplyLayer(Layer::kFile, [this] { ApplyFile(*inputs_.file); });
    ApplyLayer(Layer::kPet, [this] { ApplyEnvironment(kPetPrefix); });
    ApplyLayer(Layer::kLockstep, [this] { ApplyEnvironment(kLockstepPrefix); });
    WarnOfMistypedVariables();
    ApplyLayer(Layer::kSetting, [this] { ApplySettings(); });
    ApplyLayer(Layer::kCommandLine, [this] { ApplyCommandLine(); });
    Complete();
    RETURN_IF_ERROR(ProblemsToStatus(problems_));
    CountProcesses();
    RETURN_IF_ERROR(ProblemsToStatus(problems_));
    RETURN_IF_ERROR(CheckNodes());
    return std::move(resolved_);
  }

 private:
  proto::TrainingJob& job() { return resolved_.job; }
  proto::Program& program() { return *job().mutable_spec()->mutable_program(); }

  void AddProblem(std::string path, std::string value, std::string what, std::string source) {
    problems_.push_back({std::move(path), std::move(value), std::move(what), 0, std::move(source)});
  }

  void AddNote(std::string note) {
    if (std::find(resolved_.notes.begin(), resolved_.notes.end(), note) == resolved_.notes.end()) {
      resolved_.notes.push_back(std::move(note));
    }
  }

  void Take(const ReadReport& report, const std::string& source) {
    for (Problem problem : report.problems) {
      problem.source = source;
      problems_.push_back(std::move(problem));
    }
    for (const std::string& note : report.notes) AddNote(source + ": " + note);
    for (const std::string& path : report.paths) resolved_.sources[path] = source;
  }

  void Set(std::string_view path, std::string_view text, const std::string& source) {
    const proto::Placement::KindCase kind_before = job().spec().placement().kind_case();
    Take(SetJobField(path, text, &job()), source);
    if (job().spec().placement().kind_case() != kind_before) placement_source_ = source;
  }

  // ---------------------------------------------------------------------------------------- layers

  // processesPerNode and totalProcesses are two ways to say one thing, so a layer that sets one
  // replaces both of the layers before. Only a layer that sets both can contradict itself. A
  // torchrun line belongs to the layer where it stands.
  template <class Apply>
  void ApplyLayer(Layer layer, Apply apply) {
    layer_ = layer;
    const proto::Gang before = job().spec().gang();
    const proto::Placement::KindCase kind_before = job().spec().placement().kind_case();
    job().mutable_spec()->mutable_gang()->clear_processes_per_node();
    job().mutable_spec()->mutable_gang()->clear_total_processes();
    apply();
    if (job().spec().placement().kind_case() != kind_before) placement_layer_ = layer;
    proto::Gang& gang = *job().mutable_spec()->mutable_gang();
    if (gang.has_processes_per_node() || gang.has_total_processes()) {
      if (!gang.has_processes_per_node()) resolved_.sources.erase(kPerNode);
      if (!gang.has_total_processes()) resolved_.sources.erase(kTotal);
      return;
    }
    if (before.has_processes_per_node())
      *gang.mutable_processes_per_node() = before.processes_per_node();
    if (before.has_total_processes()) gang.set_total_processes(before.total_processes());
  }

  void ApplyFile(const JobFile& file) {
    Take(ReadJobYaml(file.text, &job()), file.name);
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
        AddNote("environment " + name + " is read by nobody; did you mean LOCKSTEP_" +
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
      return Set(text.substr(0, equals), text.substr(equals + 1), "--set");
    AddProblem("", ShortValue(text),
               "is no setting; write --set PATH=VALUE, as --set spec.gang.nodes=1", "--set");
  }

  void ApplyCommandLine() {
    const std::vector<std::string>& words = inputs_.command.operands;
    if (!words.empty()) {
      ForgetTheFilesKind();
      SetProgram(words, "command line");
      UnwrapTorchrunLine("command line");
    }
    ApplyHosts();
    for (const GivenFlag& given : inputs_.command.flags) {
      if (given.flag->effect == FlagEffect::kCommand || given.flag->effect == FlagEffect::kSetting)
        continue;
      CheckContradiction(given);
      ApplyFlag(*given.flag, given.value, "flag " + given.spelling);
    }
  }

  // --host, which may be given several times, or --hostfile.
  void ApplyHosts() {
    std::string list;
    for (const GivenFlag& given : inputs_.command.flags) {
      if (given.flag->effect != FlagEffect::kHosts) continue;
      list += (list.empty() ? "" : ",") + given.value;
      hosts_source_ = "flag " + given.spelling;
    }
    if (inputs_.host_file) {
      if (!hosts_source_.empty()) {
        AddProblem("", "", "contradicts " + hosts_source_.substr(5) + "; give one of the two",
                   "flag --hostfile");
      }
      hosts_source_ = inputs_.host_file->name;
    }
    if (hosts_source_.empty()) return;
    const bool is_file = inputs_.host_file.has_value();
    Take(ReadSshHosts(is_file ? inputs_.host_file->text : list, is_file,
                      job().mutable_spec()->mutable_placement()),
         hosts_source_);
    resolved_.sources[kHosts] = hosts_source_;
    placement_source_ = hosts_source_;
  }

  void Take(SshHostsReading reading, const std::string& source) {
    for (Problem& problem : reading.problems) {
      if (problem.source.empty())
        problem.source = source.empty() ? SourceOf(resolved_.sources, problem.path) : source;
      problems_.push_back(std::move(problem));
    }
    for (std::string& note : reading.notes) AddNote(std::move(note));
  }

  // Another program than the file's is started in its own way.
  void ForgetTheFilesKind() {
    const auto source = resolved_.sources.find("spec.program.kind");
    if (!inputs_.file || source == resolved_.sources.end() ||
        !source->second.starts_with(inputs_.file->name))
      return;
    program().clear_kind();
    resolved_.sources.erase(source);
  }

  void SetProgram(const std::vector<std::string>& words, const std::string& source) {
    program().clear_command();
    program().clear_args();
    program().add_command(words[0]);
    for (size_t i = 1; i < words.size(); ++i) program().add_args(words[i]);
    resolved_.sources["spec.program.command"] = source;
    resolved_.sources["spec.program.args"] = source;
  }

  void UnwrapTorchrunLine(const std::string& source) {
    std::vector<std::string> words(program().command().begin(), program().command().end());
    words.insert(words.end(), program().args().begin(), program().args().end());
    const std::optional<TorchrunLine> torchrun = ParseTorchrunLine(words);
    if (!torchrun) return;
    const std::string inner = source + ", torchrun line";
    AddNote(source +
            ": the torchrun line is understood as flags of lockstep run; torchrun itself is not "
            "started");
    for (Problem problem : torchrun->line.problems) {
      problem.source = inner;
      problems_.push_back(std::move(problem));
    }
    if (torchrun->line.rest.empty())
      return AddProblem("spec.program.command", "", "names no script", inner);
    SetProgram(torchrun->line.rest, inner);
    Set("spec.program.kind", "PythonScript",
        inner);  // torchrun's default; its -m and --no-python come below
    if (!torchrun->python.empty()) Set("spec.program.python", torchrun->python, inner);
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
        AddProblem("", "", "contradicts " + other.spelling + "; give one of the two",
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
      case FlagEffect::kSeconds: return Set(flag.field, WithSeconds(text), source);
      case FlagEffect::kStreams: return ApplyStreams(flag, text, source);
      case FlagEffect::kNodes: return ApplyNodes(text, source);
      case FlagEffect::kVariable: return ApplyRankVariable(text, source);
      case FlagEffect::kJoin: join_flags_[flag.name] = {&flag, text, source, layer_}; return;
      case FlagEffect::kNothing:
        if (!flag.note.empty()) AddNote(source + " has no effect: " + std::string(flag.note));
        return;
    }
  }

  void ApplyField(const FlagSpec& flag, const std::string& text, const std::string& source) {
    if (flag.field_value.empty()) return Set(flag.field, text, source);
    if (text == "true") return Set(flag.field, flag.field_value, source);
    if (text != "false") AddProblem("", ShortValue(text), "must be true or false", source);
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
    Set("spec.gang.minNodes", min, source);
    Set("spec.gang.nodes", max, source);
    Set("spec.gang.maxNodes", max, source);
  }

  void ApplyRankVariable(const std::string& text, const std::string& source) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    if (equals == std::string::npos) {
      if (inputs_.environment.contains(name)) return AddInherited(name, source);
      return AddProblem("spec.program.env", ShortValue(name),
                        "is not set here; write " + name + "=VALUE", source);
    }
    auto& variables = *program().mutable_env();
    auto variable = std::find_if(variables.begin(), variables.end(),
                                 [&](const auto& one) { return one.name() == name; });
    proto::EnvironmentVariable& target = variable == variables.end() ? *variables.Add() : *variable;
    target.set_name(name);
    target.set_value(text.substr(equals + 1));
    std::string& sources = resolved_.sources["spec.program.env"];
    if (!sources.ends_with(source)) sources += (sources.empty() ? "" : ", ") + source;
  }

  // mpirun's -x NAME. Ranks of this machine inherit it anyway, those of others do not.
  void AddInherited(const std::string& name, const std::string& source) {
    inherited_.push_back({name, source});
  }

  // torchrun's notation: "3", or "0:3,12:1" for ranks of a node.
  void ApplyStreams(const FlagSpec& flag, const std::string& text, const std::string& source) {
    const std::string path(flag.field);
    const auto malformed = [&] {
      AddProblem(path, ShortValue(text),
                 "is no choice of streams; write 0 (none), 1 (stdout), 2 (stderr), 3 (both), or "
                 "by rank 0:3,12:1",
                 source);
    };
    static constexpr const char* kTexts[] = {"None", "Stdout", "Stderr", "Both"};
    const auto streams_of = [](std::string_view digit) -> const char* {
      return digit.size() == 1 && digit[0] >= '0' && digit[0] <= '3' ? kTexts[digit[0] - '0']
                                                                     : nullptr;
    };
    std::string json = "{everyRank: None, ranks: {";
    if (const char* all = streams_of(text)) {
      json = std::string("{everyRank: ") + all + ", ranks: {";
    } else {
      for (std::string_view rest = text; !rest.empty();) {
        const std::string_view entry = rest.substr(0, rest.find(','));
        const size_t colon = entry.find(':');
        const bool digits = colon != std::string_view::npos && colon > 0 && colon <= 5 &&
                            std::all_of(entry.begin(), entry.begin() + colon,
                                        [](char c) { return c >= '0' && c <= '9'; });
        const char* streams = digits ? streams_of(entry.substr(colon + 1)) : nullptr;
        if (streams == nullptr) return malformed();
        json += std::string(json.ends_with('{') ? "" : ", ") + std::string(entry.substr(0, colon)) +
                ": " + streams;
        rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
      }
      if (json.ends_with('{')) return malformed();
    }
    auto& logs = *job().mutable_spec()->mutable_logs();
    flag.name == "--tee" ? logs.clear_tee() : logs.clear_redirects();
    ReadReport report = SetJobField(path, json + "}}", &job());
    report.paths = {path};
    Take(report, source);
  }

  // ------------------------------------------------------------------------------------ completion

  void Complete() {
    const bool detached = inputs_.command.IsOn("--detach");
    if (detached && !resolved_.sources.contains(kStdin)) Set(kStdin, "none", "flag --detach");
    if (detached && job().spec().logs().stdin_reader().has_rank()) {
      AddProblem(kStdin, std::to_string(job().spec().logs().stdin_reader().rank()),
                 "contradicts --detach, which leaves stdin; write --stdin none",
                 resolved_.sources[kStdin]);
    }
    const bool has_resources =
        job().spec().has_resources() && job().spec().resources().ByteSizeLong() > 0;
    if (has_resources)
      AddNote("spec.resources is for clusters; nothing is reserved or limited on this machine");
    CompleteMeeting();
    CompleteHosts();
    CompleteCounts();
    std::vector<Problem> found = Validate(job());
    if (job().spec().placement().has_join()) {
      for (Problem& problem : CheckJoin(job().spec())) found.push_back(std::move(problem));
    }
    for (Problem& problem : found) {
      // What could not be read was reported where it stands.
      const auto same = [&](const Problem& known) { return known.path == problem.path; };
      if (std::any_of(problems_.begin(), problems_.end(), same)) continue;
      problem.source = SourceOf(resolved_.sources, problem.path);
      problems_.push_back(std::move(problem));
    }
  }

  void CompleteHosts() {
    if (!job().spec().placement().has_ssh()) {
      if (!hosts_source_.empty())
        AddProblem("", "", "contradicts another placement of the nodes; give one of the two",
                   hosts_source_);
      return;
    }
    for (const auto& [name, source] : inherited_)
      ApplyRankVariable(name + "=" + inputs_.environment.at(name), source);
    const bool total = job().spec().gang().has_total_processes();
    Take(CompleteSshHosts(job().mutable_spec()), "");
    const std::string source = SourceOf(resolved_.sources, kHosts);
    for (const char* path : {"spec.gang.nodes", "spec.gang.minNodes", "spec.gang.maxNodes"})
      resolved_.sources.try_emplace(path, "from " + source);
    if (!total) resolved_.sources[kTotal] = "from " + source;
    resolved_.sources.try_emplace(kPerNode, "from " + source);
  }

  // How the nodes meet, when their agents come by themselves.
  void CompleteMeeting() {
    JoinReading reading = ReadJoinFlags(join_flags_, job().spec(),
                                        {placement_layer_, placement_source_, resolved_.sources});
    if (!reading.is_meant) job().mutable_spec()->mutable_placement()->clear_join();
    for (const JoinReading::Field& field : reading.fields)
      Set(field.path, field.text, field.source);
    for (Problem& problem : reading.problems) problems_.push_back(std::move(problem));
    for (std::string& note : reading.notes) AddNote(std::move(note));
    resolved_.this_node = std::move(reading.this_node);
  }

  // Says of a count that was derived what it was derived from.
  void CompleteCounts() {
    const bool per_node = job().spec().gang().has_processes_per_node();
    const bool total = job().spec().gang().has_total_processes();
    ApplyDefaults(&job());
    if (job().spec().placement().has_ssh()) return;
    if (total && !per_node) resolved_.sources[kPerNode] = "from totalProcesses";
    if (per_node && !total) resolved_.sources[kTotal] = "from processesPerNode";
  }

  base::Status CheckNodes() {
    const proto::Gang& gang = job().spec().gang();
    if (gang.max_nodes() == 1) return base::OkStatus();
    if (job().spec().placement().has_local()) {
      return base::InvalidArgumentError(
          std::to_string(gang.max_nodes()) +
          " nodes (--nnodes, spec.gang.nodes) need machines: name them (--host a:4,b:4), start the "
          "same line on each (--rdzv-endpoint HOST:PORT), or let this one play them "
          "(--simulate-hosts)");
    }
    if (gang.min_nodes() != gang.max_nodes()) {
      return base::UnimplementedError(
          "the number of nodes cannot change while a job runs yet: write --nnodes=" +
          std::to_string(gang.max_nodes()));
    }
    return base::OkStatus();
  }

  // Of what a unit stands for on this machine.
  void CountProcesses() {
    proto::Gang& gang = *job().mutable_spec()->mutable_gang();
    if (!gang.processes_per_node().has_unit()) return;
    const std::string source = SourceOf(resolved_.sources, kPerNode);
    const proto::NodeUnit unit = gang.processes_per_node().unit();
    const MachineFacts machine = inputs_.machine();
    const bool gpus =
        unit == proto::NODE_UNIT_GPU || (unit == proto::NODE_UNIT_AUTO && machine.gpus > 0);
    const int count = gpus ? machine.gpus : machine.cpus;
    if (count < 1)
      return AddProblem(kPerNode, "gpu",
                        "is none: this machine shows no GPU; give a number, or cpu", source);
    gang.mutable_processes_per_node()->set_count(count);
    resolved_.sources[kPerNode] = source + (gpus ? ", GPUs counted" : ", cores counted");
    resolved_.sources[kTotal] = resolved_.sources[kPerNode];
    gang.set_total_processes(count * gang.nodes());
    for (Problem problem : Validate(job())) {
      problem.source = SourceOf(resolved_.sources, problem.path);
      problems_.push_back(std::move(problem));
    }
  }

  const JobInputs& inputs_;
  ResolvedJob resolved_;
  std::vector<Problem> problems_;
  std::string hosts_source_;                                    // of --host or --hostfile
  std::vector<std::pair<std::string, std::string>> inherited_;  // of -x NAME: name and source
  Layer layer_ = Layer::kNobody;                                // that is being applied
  Layer placement_layer_ = Layer::kNobody;                      // that chose the placement's kind
  std::string placement_source_ = "spec.placement";
  JoinFlags join_flags_;
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
