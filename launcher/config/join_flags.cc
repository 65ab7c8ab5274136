// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/join_flags.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include "launcher/config/rdzv_conf.h"
#include "launcher/placement/meeting.h"
#include "runtime/base/result.h"
#include "runtime/net/endpoint.h"

namespace lockstep::launcher {
namespace {

using proto::Placement;
using proto::ShortValue;

constexpr char kEndpoint[] = "spec.placement.join.endpoint";
constexpr char kTokenFile[] = "spec.placement.join.tokenFile";
constexpr char kJoinTimeout[] = "spec.placement.joinTimeout";

constexpr int kNodeRankMax = 9999;  // of Gang.nodes

constexpr char kMakeToken[] =
    "make one, the same on every node: head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE";

int NodesOf(const proto::Gang& gang) {
  return gang.has_max_nodes() ? gang.max_nodes() : gang.has_nodes() ? gang.nodes() : 1;
}

bool IsFlag(const GivenJoinFlag& given) { return given.source.starts_with("flag "); }

std::string WithSeconds(const std::string& text) {
  const bool number = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || c == '.';
  });
  return number ? text + "s" : text;
}

/// One reading in the making.
class Reader {
 public:
  Reader(const JoinFlags& flags, const proto::JobSpec& spec, const JoinContext& context)
      : flags_(flags), spec_(spec), context_(context) {}

  JoinReading Run() && {
    const bool several = NodesOf(spec_.gang()) > 1;
    reading_.is_meant = several && IsMeant();
    if (reading_.is_meant) {
      ReadFields();
      ReadThisNode();
      ReadConf();
      ReadBackend();
    } else if (several) {
      NoteUnused("the job's agents are started by `lockstep run` itself");
    } else {
      ReadOneNode();
    }
    return std::move(reading_);
  }

 private:
  const GivenJoinFlag* Find(std::string_view name) const {
    const auto found = flags_.find(name);
    return found == flags_.end() ? nullptr : &found->second;
  }
  void AddProblem(const GivenJoinFlag& given, std::string what, std::string path = "") {
    reading_.problems.push_back(
        {std::move(path), ShortValue(given.text), std::move(what), 0, given.source});
  }
  void NoEffect(const GivenJoinFlag& given, std::string_view why) {
    reading_.notes.push_back(given.source + " has no effect: " + std::string(why));
  }

  // -- whether

  bool IsMeant() {
    const GivenJoinFlag* endpoint = Find("--rdzv-endpoint");
    switch (spec_.placement().kind_case()) {
      case Placement::kJoin: return true;
      // torchrun's static habit: nodes meet where rank 0 is.
      case Placement::KIND_NOT_SET: return endpoint != nullptr || spec_.gang().has_master_address();
      case Placement::kLocal:
      case Placement::kSimulated:
      case Placement::kSsh: break;
    }
    if (endpoint == nullptr || endpoint->layer < context_.placement_layer) return false;
    if (endpoint->layer > context_.placement_layer) return true;
    if (IsFlag(*endpoint)) {
      AddProblem(*endpoint, "contradicts " + context_.placement_source + "; give one of the two");
    }
    return false;
  }

  void NoteUnused(std::string_view why) {
    for (const auto& [name, given] : flags_) {
      // A variable that holds for all jobs of a user.
      if (name == "--token-file" && !IsFlag(given)) continue;
      if (reading_.problems.empty()) NoEffect(given, why);
    }
  }

  void ReadOneNode() {
    for (const auto& [name, given] : flags_) {
      if (name == "--node-rank") {
        if (given.text != "0" && given.text != "auto") {
          AddProblem(given, "must be 0 or auto: the job has one node (--nnodes)");
        }
      } else if (name != "--token-file" || IsFlag(given)) {
        NoEffect(given, given.flag->note);
      }
    }
  }

  // -- what

  void SetField(std::string path, std::string text, std::string source) {
    reading_.fields.push_back({std::move(path), std::move(text), std::move(source)});
  }

  bool SettingWins(const std::string& path, Layer layer) const {
    const auto source = context_.sources.find(path);
    return source != context_.sources.end() && source->second == "--set" && layer < Layer::kSetting;
  }

  void ReadFields() {
    for (const auto& [name, given] : flags_) {
      const std::string path(given.flag->field);
      if (!path.empty() && !SettingWins(path, given.layer)) {
        SetField(path, given.text, given.source);
      }
    }
    const bool has_endpoint =
        Find("--rdzv-endpoint") != nullptr || spec_.placement().join().has_endpoint();
    if (!has_endpoint && spec_.gang().has_master_address()) UseMasterAddress();
  }

  /// MASTER_PORT is for what rank 0 listens on, so the agents have another one.
  void UseMasterAddress() {
    const bool taken = spec_.gang().has_master_port() && spec_.gang().master_port() == kMeetingPort;
    const net::Endpoint endpoint{spec_.gang().master_address(),
                                 static_cast<uint16_t>(kMeetingPort + (taken ? 1 : 0))};
    SetField(kEndpoint, endpoint.ToString(), "from masterAddress");
  }

  void ReadThisNode() {
    if (const GivenJoinFlag* rank = Find("--node-rank")) ReadNodeRank(*rank);
    if (const GivenJoinFlag* address = Find("--local-addr")) {
      reading_.this_node.address = address->text;
      if (net::IsLoopback(address->text)) {
        AddProblem(*address, "means this machine alone; name what the other nodes reach it by");
      }
    }
  }

  void ReadNodeRank(const GivenJoinFlag& given) {
    const std::string& text = given.text;
    if (text == "auto") return;
    int rank = -1;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, rank);
    if (error != std::errc() || rest != end || rank < 0 || rank > kNodeRankMax) {
      return AddProblem(given, "must be auto, or a number from 0");
    }
    const int nodes = NodesOf(spec_.gang());
    if (rank >= nodes) {
      return AddProblem(given, "must be less than the number of nodes, " + std::to_string(nodes) +
                                   ": they are numbered from 0");
    }
    reading_.this_node.node_rank = rank;
  }

  void ReadConf() {
    const GivenJoinFlag* given = Find("--rdzv-conf");
    if (given == nullptr) return;
    base::Result<RdzvConf> conf = ParseRdzvConf(given->text);
    if (!conf.ok()) {
      return reading_.problems.push_back({"", "", conf.status().message(), 0, given->source});
    }
    reading_.this_node.holds_coordinator = conf->is_host;
    const std::string source = given->source + " join_timeout";
    if (!conf->join_timeout.empty() && !spec_.placement().has_join_timeout()) {
      SetField(kJoinTimeout, WithSeconds(conf->join_timeout), source);
    }
    for (const std::string& key : conf->others) {
      reading_.notes.push_back(given->source + " " + ShortValue(key) +
                               " has no effect: only join_timeout and is_host mean something here");
    }
  }

  void ReadBackend() {
    const GivenJoinFlag* given = Find("--rdzv-backend");
    if (given == nullptr || given->text == "c10d" || given->text == "static") return;
    NoEffect(*given,
             "agents meet at the endpoint without a store of their own, so its host must be one of "
             "the job's nodes");
  }

  const JoinFlags& flags_;
  const proto::JobSpec& spec_;
  const JoinContext& context_;
  JoinReading reading_;
};

proto::Problem CheckEndpoint(const proto::JobSpec& spec) {
  const std::string& text = spec.placement().join().endpoint();
  proto::Problem problem{kEndpoint, ShortValue(text), "", 0, ""};
  if (text.empty()) {
    problem.what =
        "is missing; say where the nodes meet: --rdzv-endpoint HOST:PORT, HOST being one "
        "of them";
    return problem;
  }
  const base::Result<net::Endpoint> endpoint = net::ParseEndpoint(text, kMeetingPort);
  if (!endpoint.ok()) {
    problem.what = "is no HOST:PORT: " + endpoint.status().message();
  } else if (net::IsLoopback(endpoint->host)) {
    problem.what =
        "means this machine alone, and each node would wait for itself; name the host by what the "
        "other nodes reach it by, or give --simulate-hosts to have all nodes here";
  } else if (spec.gang().master_port() == endpoint->port) {
    problem.what =
        "has the port that ranks are to meet at, --master-port; leave that away, or choose another";
  }
  return problem;
}

}  // namespace

JoinReading ReadJoinFlags(const JoinFlags& flags, const proto::JobSpec& spec,
                          const JoinContext& context) {
  return Reader(flags, spec, context).Run();
}

std::vector<proto::Problem> CheckJoin(const proto::JobSpec& spec) {
  std::vector<proto::Problem> problems;
  const proto::JoinPlacement& join = spec.placement().join();
  if (proto::Problem problem = CheckEndpoint(spec); !problem.what.empty()) {
    problems.push_back(std::move(problem));
  }
  const bool plain =
      std::all_of(join.id().begin(), join.id().end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!plain) {
    problems.push_back({"spec.placement.join.id", ShortValue(join.id()),
                        "must be of ASCII's letters, digits and signs, without blanks", 0, ""});
  }
  const proto::Gang& gang = spec.gang();
  if (!gang.has_processes_per_node() && gang.nodes() > 0) {
    problems.push_back({"spec.gang.totalProcesses", std::to_string(gang.total_processes()),
                        "must be a multiple of nodes (" + std::to_string(gang.nodes()) +
                            "); else say what each node has: --nproc-per-node",
                        0, ""});
  }
  if (join.token_file().empty() && !join.allow_plain()) {
    problems.push_back({kTokenFile, "",
                        "is missing: whoever reaches the endpoint could take a node's place in "
                        "the job, or end it; name a file with a secret (--token-file FILE or "
                        "LOCKSTEP_TOKEN_FILE), or, in a network that you trust with that, say "
                        "--allow-plain. To " +
                            std::string(kMakeToken),
                        0, ""});
  }
  if (!join.token_file().empty() && join.allow_plain()) {
    problems.push_back(
        {"spec.placement.join.allowPlain", "true",
         "contradicts the token file, " + ShortValue(join.token_file()) + "; give one of the two",
         0, ""});
  }
  return problems;
}

}  // namespace lockstep::launcher
