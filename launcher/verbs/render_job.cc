// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/render_job.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "launcher/agent/rank_setup.h"
#include "launcher/agent/rank_world.h"
#include "launcher/mpi/watch_shim.h"
#include "launcher/verbs/verb_text.h"
#include "runtime/base/json_string.h"
#include "runtime/proto/redact.h"
#include "runtime/topology/environment.h"
#include "runtime/topology/world.h"

namespace lockstep::launcher {
namespace {

/// As somebody would type it into a shell.
std::string ShellWord(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("_-./=:,+@%").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string quoted = "'";
  for (const char c : Printable(word)) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

class JsonObject {
 public:
  JsonObject& Add(std::string_view key, int64_t value) {
    return AddJson(key, std::to_string(value));
  }
  JsonObject& Add(std::string_view key, std::string_view value) {
    std::string json;
    base::AppendJsonString(value, &json);
    return AddJson(key, json);
  }
  JsonObject& AddJson(std::string_view key, std::string_view json) {
    text_ += text_.size() > 1 ? ", " : "";
    base::AppendJsonString(key, &text_);
    text_.append(": ").append(json);
    return *this;
  }
  std::string Finish() { return std::move(text_) + "}"; }

 private:
  std::string text_ = "{";
};

std::string JsonList(const std::vector<std::string>& strings) {
  std::string json = "[";
  for (const std::string& text : strings) {
    if (json.size() > 1) json += ", ";
    base::AppendJsonString(text, &json);
  }
  return json + "]";
}

std::string CurrentFolder() {
  std::error_code error;
  return std::filesystem::current_path(error).string();
}

class Renderer {
 public:
  Renderer(const VerbContext& context, const JobPlan& plan, const RenderJobOptions& options)
      : context_(context),
        plan_(plan),
        options_(options),
        variables_(VariablesOf(spec().program())),
        facts_(JobFactsOf(spec(), std::string(kChosenAtStart), plan.environment)) {
    std::vector<topology::Node> nodes;
    for (const PlannedNode& node : plan.nodes) {
      nodes.push_back({.host = node.host, .slots = node.slots});
    }
    const std::string& address = plan.nodes.front().address;
    world_ =
        WorldOf(spec().gang(), std::move(nodes),
                {.address = address.empty() ? std::string(kChosenAtStart) : address, .port = 0});
    places_ = topology::PlaceRanks(world_);
    const std::string logs =
        LogFolderOf(spec().logs(), CurrentFolder(), std::string(kChosenAtStart));
    round_folder_ =
        (logs.empty() ? context.jobs_root + "/" + std::string(kChosenAtStart) : logs) + "/round-0";
  }

  base::Status Render() {
    if (options_.to == RenderTarget::kAgents) {
      options_.json ? PrintAgentsJson() : PrintAgents();
      return base::OkStatus();
    }
    if (options_.rank) {
      const int rank = options_.rank->value();
      if (rank >= static_cast<int>(places_.size())) {
        return base::OutOfRangeError("render rank " + std::to_string(rank) + ": the job has " +
                                     std::to_string(places_.size()) +
                                     " ranks, the first of which is 0");
      }
      places_ = {places_[static_cast<size_t>(rank)]};
    }
    if (options_.json) {
      PrintRanksJson();
    } else if (options_.to == RenderTarget::kEnvironment) {
      PrintEnvironments();
    } else {
      PrintProcesses();
    }
    return base::OkStatus();
  }

 private:
  const proto::JobSpec& spec() const { return plan_.job.spec(); }
  const std::string& HostOf(const topology::RankPlace& place) const {
    return world_.nodes[static_cast<size_t>(place.node.value())].host;
  }
  void Print(const std::string& text) const { std::fputs(text.c_str(), context_.out); }

  // ------------------------------------------------------------------------------- environment

  bool IsWanted(const std::string& name, const std::string& value) const {
    if (options_.all || topology::IsWorldVariable(name) || variables_.contains(name)) return true;
    const auto inherited = plan_.environment.find(name);
    return inherited == plan_.environment.end() || inherited->second != value;
  }

  topology::Environment EnvironmentOf(const topology::RankPlace& place) const {
    const std::string unknown(kChosenAtStart);
    topology::Environment environment =
        topology::MakeRankEnvironment(world_, facts_,
                                      {.place = place,
                                       .incarnation = base::Incarnation(),
                                       .socket_path = unknown,
                                       .cookie = unknown,
                                       .error_file = RankFilesOf(round_folder_, place.rank).error},
                                      plan_.environment, variables_);
    // What cannot be had is said when the job starts.
    const std::string watch = WatchWord(spec().hangs().watch());
    if (plan_.nodes.size() == 1 && plan_.nodes.front().is_here()) {
      (void)PreloadShim(watch, OwnFolder(), environment);
    } else {
      const std::string job_folder = context_.jobs_root + "/" + std::string(kChosenAtStart);
      ShowFarShim(watch, OwnFolder(), job_folder, environment);
    }
    if (!spec().gang().has_master_port()) environment["MASTER_PORT"] = unknown;
    environment["LOCKSTEP_MARK"] = unknown;  // the process runner's
    std::erase_if(environment, [this](const auto& variable) {
      return !IsWanted(variable.first, variable.second);
    });
    for (auto& [name, value] : environment) {
      if (proto::IsSecretName(name) && value != unknown) value = proto::kRedacted;
    }
    return environment;
  }

  void PrintEnvironments() const {
    for (const topology::RankPlace& place : places_) {
      std::string text;
      if (places_.size() > 1) {
        text = (place.rank.value() > 0 ? "\n# rank " : "# rank ") + place.rank.ToString() +
               ", on node " + place.node.ToString() + ", " + HostOf(place) + "\n";
      }
      for (const std::string& entry : topology::ToBlock(EnvironmentOf(place))) {
        text += Printable(entry) + "\n";
      }
      Print(text);
    }
  }

  // --------------------------------------------------------------------------------- processes

  std::string WorkingDirectory() const {
    const std::filesystem::path folder =
        std::filesystem::path(CurrentFolder()) / spec().program().working_directory();
    const std::string text = folder.lexically_normal().string();
    return text.size() > 1 && text.ends_with('/') ? text.substr(0, text.size() - 1) : text;
  }

  void PrintProcesses() const {
    std::string command;
    for (const std::string& word : plan_.arguments) {
      command += (command.empty() ? "" : " ") + ShellWord(word);
    }
    const std::string folder = Printable(WorkingDirectory());
    std::vector<std::vector<std::string>> rows = {
        {"RANK", "NODE", "LOCAL", "HOST", "DIRECTORY", "COMMAND"}};
    for (const topology::RankPlace& place : places_) {
      rows.push_back({place.rank.ToString(), place.node.ToString(), place.local_rank.ToString(),
                      HostOf(place), folder, command});
    }
    Print(FormatTable(rows));
  }

  void PrintRanksJson() const {
    std::string separator = "[";
    for (const topology::RankPlace& place : places_) {
      JsonObject rank;
      rank.Add("rank", place.rank.value())
          .Add("local_rank", place.local_rank.value())
          .Add("node", place.node.value())
          .Add("host", HostOf(place));
      if (options_.to == RenderTarget::kEnvironment) {
        JsonObject environment;
        for (const auto& [name, value] : EnvironmentOf(place)) environment.Add(name, value);
        rank.AddJson("environment", environment.Finish());
      } else {
        rank.Add("working_directory", WorkingDirectory())
            .AddJson("arguments", JsonList(plan_.arguments));
      }
      Print(separator + rank.Finish());
      separator = ",\n ";
    }
    Print("]\n");
  }

  // ------------------------------------------------------------------------------------ agents

  void PrintAgents() const {
    std::vector<std::vector<std::string>> rows = {{"NODE", "HOST", "SLOTS", "RANKS", "AGENT"}};
    int first = 0;
    for (size_t i = 0; i < plan_.nodes.size(); ++i) {
      const PlannedNode& node = plan_.nodes[i];
      const int last = first + node.slots - 1;
      rows.push_back(
          {std::to_string(i), node.host, std::to_string(node.slots),
           std::to_string(first) + (last > first ? "-" + std::to_string(last) : std::string()),
           std::string(AgentStartText(node.start))});
      first = last + 1;
    }
    Print(FormatTable(rows));
  }

  void PrintAgentsJson() const {
    std::string separator = "[";
    int first = 0;
    for (size_t i = 0; i < plan_.nodes.size(); ++i) {
      const PlannedNode& node = plan_.nodes[i];
      Print(separator + JsonObject()
                            .Add("node", static_cast<int64_t>(i))
                            .Add("host", node.host)
                            .Add("slots", node.slots)
                            .Add("first_rank", first)
                            .Add("agent", AgentStartText(node.start))
                            .Finish());
      separator = ",\n ";
      first += node.slots;
    }
    Print("]\n");
  }

  const VerbContext& context_;
  const JobPlan& plan_;
  const RenderJobOptions& options_;
  const topology::Environment variables_;  // the job's own
  const topology::JobFacts facts_;
  topology::WorldSpec world_;
  std::vector<topology::RankPlace> places_;  // of the ranks that are asked for
  std::string round_folder_;
};

}  // namespace

base::Status RenderJob(const VerbContext& context, const JobPlan& plan,
                       const RenderJobOptions& options) {
  return Renderer(context, plan, options).Render();
}

}  // namespace lockstep::launcher
