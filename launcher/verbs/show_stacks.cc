// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_stacks.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "launcher/diagnosis/stacks/stack_groups.h"
#include "launcher/diagnosis/stacks/stack_taking.h"
#include "launcher/diagnosis/stacks/stack_text.h"
#include "launcher/jobs/job_addresses.h"
#include "launcher/verbs/ask_agent.h"
#include "launcher/verbs/verb_text.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/real_processes.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kAnswerLimit = 5s;
// Ranks share four helpers; symbols of large libraries are read anew for each rank.
constexpr base::Duration kTakingLimit = 2s;
constexpr base::Duration kTakingLimitOfRank = 500ms;
constexpr int kRanksOfRequest = 8;  // as its agent takes them
constexpr base::Duration kFarLimit = 30s;
// Half of what a node's agent takes at once: the coordinator may want a verdict's stacks from it.
constexpr size_t kFarAtOnce = 2;
constexpr size_t kStackLines = 24;
constexpr size_t kRanksNamed = 16;

/// Whether it is a process of this machine, and that rank's: a pid of another machine may be
/// anybody's here. Ranks of simulated hosts say another host's name, but carry the job's mark.
bool IsHere(const VerbContext& context, const JobEntry& job, const proto::RankStatus& rank) {
  if (rank.pid() <= 0 || !rank.exit().empty()) return false;
  const auto pid = static_cast<pid_t>(rank.pid());
  const auto mark = process::ReadMark(pid);
  if (mark.has_value() && !mark->empty()) return process::MarkMatches(*mark, JobMarkPrefix(job.id));
  // Of another launcher's ranks only their hosts are known, and of a process that hides its
  // environment.
  return process::ReadProcStat(pid).has_value() &&
         (rank.host().empty() || rank.host() == context.here.host);
}

/// Ranks that their agent is asked about at once, those of another machine above all.
struct FarRanks {
  proto::StacksRequest request;
  std::string host;
};

struct Found {
  std::vector<StackTaking::Target> targets;
  std::vector<FarRanks> far;
  bool has_rank = false;  // that was asked for
};

Found FindTargets(const VerbContext& context, const JobEntry& job, const ShowStacksOptions& options,
                  const proto::StatusReply& status) {
  Found found;
  std::map<int, size_t> last_of_node;  // in `far`
  for (const proto::RankStatus& rank : status.ranks()) {
    if (options.rank.has_value() && options.rank->value() != rank.rank()) continue;
    found.has_rank = true;
    const bool is_here = IsHere(context, job, rank);
    const bool is_elsewhere = !is_here && rank.pid() > 0 && rank.exit().empty() &&
                              !rank.host().empty() && rank.host() != context.here.host;
    // The agent of another launcher's job does not look for others.
    if (is_here && (options.may_trace || !job.state.launcher().empty())) {
      found.targets.push_back({base::Rank(rank.rank()), static_cast<pid_t>(rank.pid())});
    } else if (is_here || is_elsewhere) {
      const auto last = last_of_node.find(rank.node());
      if (last == last_of_node.end() ||
          found.far[last->second].request.ranks_size() == kRanksOfRequest) {
        last_of_node[rank.node()] = found.far.size();
        found.far.push_back(
            {.request = {}, .host = is_here ? "this machine" : Printable(rank.host())});
        found.far.back().request.set_node(rank.node());
      }
      found.far[last_of_node[rank.node()]].request.add_ranks(rank.rank());
    }
  }
  return found;
}

base::Status WhyNobody(const JobEntry& job, const ShowStacksOptions& options, const Found& found) {
  const std::string what = "stacks of " + job.id + ": ";
  if (options.rank.has_value() && !found.has_rank)
    return base::NotFoundError(what + "it has no rank " + options.rank->ToString());
  return base::NotFoundError(what + (options.rank.has_value()
                                         ? "rank " + options.rank->ToString() + " does not run now"
                                         : "none of its ranks runs now"));
}

base::Result<std::vector<proto::RankStacks>> Take(const VerbContext& context,
                                                  const std::vector<StackTaking::Target>& targets,
                                                  const StackTools& tools) {
  ASSIGN_OR_RETURN(const std::unique_ptr<event::Loop> loop,
                   event::EpollLoop::Create(context.clock));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<process::RealProcesses> processes,
      process::RealProcesses::Create({.mark = "stacks-" + std::to_string(::getpid())}, *loop));
  std::vector<proto::RankStacks> taken;
  const base::Duration limit = kTakingLimit + kTakingLimitOfRank * targets.size();
  const StackTaking taking({.tools = tools, .limit = limit}, {*loop, *processes}, targets,
                           [&](std::vector<proto::RankStacks> ranks) {
                             taken = std::move(ranks);
                             loop->Quit();
                           });
  loop->Run();
  return taken;
}

/// Of the ranks of one request, as their agent tells it.
base::Result<std::vector<proto::RankStacks>> AskFor(const VerbContext& context, const JobEntry& job,
                                                    const FarRanks& far, base::Duration limit) {
  proto::ControlRequest request;
  *request.mutable_stacks() = far.request;
  ASSIGN_OR_RETURN(const proto::ControlReply reply, AskAgent(context, job, request, limit));
  std::vector<proto::RankStacks> taken;
  for (const proto::RankStacks& rank : reply.stacks().ranks()) {
    const auto& asked = far.request.ranks();
    if (std::find(asked.begin(), asked.end(), rank.rank()) != asked.end()) taken.push_back(rank);
  }
  return taken;
}

struct Told {
  std::vector<proto::RankStacks> ranks;
  std::set<std::string> problems;
};

/// Of all of them, several at once. What an agent does not tell is said.
Told TakeFar(const VerbContext& context, const JobEntry& job, const std::vector<FarRanks>& far) {
  const base::SteadyTime deadline = context.clock.Now() + kFarLimit;
  std::vector<std::optional<base::Result<std::vector<proto::RankStacks>>>> answers(far.size());
  std::atomic<size_t> next{0};
  {
    std::vector<std::jthread> askers;
    for (size_t i = 0; i < std::min(kFarAtOnce, far.size()); ++i) {
      askers.emplace_back([&] {
        for (size_t one = next++; one < far.size(); one = next++) {
          const base::Duration left = deadline - context.clock.Now();
          if (left > base::Duration(0))
            answers[one] = AskFor(context, job, far[one], std::min(left, kAnswerLimit));
        }
      });
    }
  }
  Told told;
  for (size_t i = 0; i < far.size(); ++i) {
    const std::string who = "ranks on " + far[i].host + " are not seen: ";
    if (!answers[i].has_value()) {
      told.problems.insert(who + "no time was left to ask");
    } else if (!answers[i]->ok()) {
      told.problems.insert(who + Printable(answers[i]->status().message()));
    } else {
      for (proto::RankStacks& rank : **answers[i]) told.ranks.push_back(std::move(rank));
    }
  }
  return told;
}

// -------------------------------------------------------------------------------------- printing

std::string RanksText(const google::protobuf::RepeatedField<int32_t>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  const auto named = std::min(kRanksNamed, static_cast<size_t>(ranks.size()));
  for (size_t i = 0; i < named; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(ranks[static_cast<int>(i)]);
  return named < static_cast<size_t>(ranks.size()) ? text + " ..." : text;
}

std::string PlaceText(const proto::StackGroup& group) {
  const std::string verb = group.ranks_size() == 1 ? " is" : " are";
  if (group.path_size() == 0) return verb + ":";
  const std::string& last = group.path(group.path_size() - 1);
  const std::string caller =
      group.path_size() > 1 ? ", called by " + group.path(group.path_size() - 2) : "";
  return verb + (group.is_outlier() ? " elsewhere, in " : " in ") + Printable(last + caller) + ":";
}

const proto::RankStacks* Find(const proto::GangStacks& stacks, int rank) {
  const auto found = std::find_if(stacks.ranks().begin(), stacks.ranks().end(),
                                  [rank](const auto& one) { return one.rank() == rank; });
  return found == stacks.ranks().end() ? nullptr : &*found;
}

}  // namespace

std::string StacksText(const proto::GangStacks& stacks) {
  std::string text;
  for (const proto::StackGroup& group : stacks.groups()) {
    const proto::RankStacks* const first = Find(stacks, group.ranks(0));
    if (first == nullptr) continue;
    const proto::ProcessStacks& process = first->process();
    if (!text.empty()) text += "\n";
    text += RanksText(group.ranks()) + " of " + std::to_string(stacks.ranks_size()) +
            PlaceText(group) + "\n";
    if (process.threads_size() > 0 && group.path_size() > 0)
      text += "  " + Printable(process.threads(0).doing()) + "\n";
    for (const std::string& line : MainStackLines(process, kStackLines))
      text += "  | " + Printable(line) + "\n";
  }
  // Each once: mostly all ranks have the same.
  std::set<std::string> problems;
  for (const proto::RankStacks& rank : stacks.ranks()) {
    if (MainStack(rank.process()).empty()) continue;  // told above
    for (const std::string& problem : rank.process().problems())
      problems.insert(Printable(problem));
  }
  if (!problems.empty()) text += "\n";
  for (const std::string& problem : problems) text += "note: " + problem + "\n";
  return text;
}

base::Status ShowStacks(const VerbContext& context, const ShowStacksOptions& options) {
  ASSIGN_OR_RETURN(const JobEntry job, OpenStore(context).Find(options.job));
  if (job.condition != JobCondition::kLive)
    return base::NotFoundError("stacks of " + job.id + ": it does not run");
  ASSIGN_OR_RETURN(const proto::StatusReply status, AskStatus(context, job, kAnswerLimit));
  const Found found = FindTargets(context, job, options, status);
  if (found.targets.empty() && found.far.empty()) return WhyNobody(job, options, found);
  Told far = TakeFar(context, job, found.far);
  std::vector<proto::RankStacks> taken;
  if (!found.targets.empty()) {
    auto here = Take(context, found.targets, FindStackTools(options.path));
    // What others have told is not thrown away for it.
    if (!here.ok() && found.far.empty()) return here.status();
    if (here.ok()) {
      taken = *std::move(here);
    } else {
      far.problems.insert("ranks on this machine are not seen: " +
                          Printable(here.status().message()));
    }
  }
  for (proto::RankStacks& rank : far.ranks) taken.push_back(std::move(rank));
  std::sort(taken.begin(), taken.end(),
            [](const auto& a, const auto& b) { return a.rank() < b.rank(); });
  if (taken.empty() && !far.problems.empty())
    return base::UnavailableError("stacks of " + job.id + ": " + *far.problems.begin());
  if (taken.empty()) return base::NotFoundError("stacks of " + job.id + ": its ranks have ended");

  proto::GangStacks stacks;
  stacks.set_job(job.id);
  for (const proto::RankStacks& rank : taken) *stacks.add_ranks() = rank;
  for (proto::StackGroup& group : GroupStacks(taken)) *stacks.add_groups() = std::move(group);
  if (options.json) {
    ASSIGN_OR_RETURN(const std::string json, ToJson(stacks));
    std::fprintf(context.out, "%s\n", json.c_str());
  } else if (options.rank.has_value()) {
    for (const std::string& line : StackLines(taken.front().process()))
      std::fprintf(context.out, "%s\n", Printable(line).c_str());
  } else {
    std::fputs(StacksText(stacks).c_str(), context.out);
  }
  for (const std::string& problem : far.problems)
    std::fprintf(context.err, "lockstep: note: %s\n", problem.c_str());
  return base::OkStatus();
}

}  // namespace lockstep::launcher
