// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/words.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "collectives/diagnosis/broken_network.h"
#include "collectives/engine/op.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {
namespace {

using Class = Finding::Class;

constexpr size_t kRanksNamed = 16;
/// An op on a stream that has ended is recorded as ended some 10 ms later, by a thread of its rank.
constexpr base::Duration kStreamTold = std::chrono::milliseconds(100);

const SeenRank* Find(const Evidence& evidence, base::Rank rank) {
  // Where everybody is there, it is at its own place.
  const auto place = static_cast<size_t>(rank.value());
  if (place < evidence.ranks.size() && evidence.ranks[place].rank == rank)
    return &evidence.ranks[place];
  const auto found =
      std::find_if(evidence.ranks.begin(), evidence.ranks.end(),
                   [&](const SeenRank& candidate) { return candidate.rank == rank; });
  return found != evidence.ranks.end() ? &*found : nullptr;
}

std::string Place(const SeenOp& op, const Evidence& evidence) {
  return PlaceText(op, GroupName(op.group, op.epoch, evidence));
}

std::string At(const SeenOp& op) {
  return op.call_site.empty() || op.kind == OpKind::kInit ? "" : " at " + op.call_site;
}

std::string InPhase(const SeenRank& rank) {
  return rank.marked_phase.empty() ? "" : ", in the phase \"" + rank.marked_phase + "\"";
}

std::string AbsenceText(Absence absence, const SeenRank& rank) {
  const SeenProcess& process = rank.process;
  const std::string pid = std::to_string(process.pid);
  switch (absence) {
    case Absence::kNone: return "";
    case Absence::kStopped: return "its process is stopped by a signal";
    case Absence::kFrozen: return "its process is frozen with its cgroup";
    case Absence::kTraced: return "a debugger holds its process";
    case Absence::kRunsElsewhere: {
      if (process.state == ProcessState::kUnknown)
        return "what its process does instead is not known";
      std::string text = "its process runs, in no op";
      if (process.cpu_share.has_value())
        text += ", and uses " + std::to_string(std::lround(*process.cpu_share * 100)) +
                " % of a processor";
      return text;
    }
    case Absence::kSleepsElsewhere: return "its process sleeps, in no op";
    case Absence::kBlockedInIo: return "its process waits for input or output, in no op";
    case Absence::kInOtherGroup: return "it waits in an op of another group";
    case Absence::kEndedEarly:
      return process.exit_is_known ? "its process has ended, with exit status 0"
                                   : "its process has ended; its launcher knows how";
    case Absence::kNeverInitialised: return "its process has made no group yet";
    case Absence::kInDeclaredPhase: return "it is in the declared phase \"" + rank.phase + "\"";
  }
  return "";
}

std::string FieldText(Finding::Field field) {
  switch (field) {
    case Finding::Field::kOp: return "the ops differ";
    case Finding::Field::kDtype: return "the dtypes differ";
    case Finding::Field::kReduction: return "the reductions differ";
    case Finding::Field::kRoot: return "the roots differ";
    case Finding::Field::kCount: return "the counts differ";
    case Finding::Field::kOrder: return "one of them is a call ahead: the order differs";
    case Finding::Field::kNone: break;
  }
  return "the calls differ";
}

std::string MismatchText(const Finding& finding, const Evidence& evidence) {
  const SeenOp& most = *finding.op;
  const SeenOp& other = *finding.other_op;
  const std::string place =
      "as op " + most.seq.ToString() + " of group " + GroupName(most.group, most.epoch, evidence);
  return "called " + CallText(other) + At(other) + " where " +
         (finding.is_tie ? "as many" : "the others") + " called " + CallText(most) + At(most) +
         " " + place + ": " + FieldText(finding.field);
}

std::string WaitLine(const SeenRank& rank, const SeenOp& op, const Evidence& evidence) {
  return "rank " + rank.rank.ToString() + " has waited " + base::FormatDuration(op.age) + " in " +
         Place(op, evidence) + At(op);
}

/// What the kernel knows of it.
std::string SocketText(const SeenSocket& socket) {
  return socket.local + " to " + socket.remote + ": " + std::to_string(socket.unacked_bytes) +
         " bytes unacknowledged, sent again " + std::to_string(socket.retransmits) +
         " times in vain" +
         (socket.rto_ms > 0 ? ", rto " + std::to_string(socket.rto_ms) + " ms" : "");
}

/// Of a rank that is named for links that are broken.
std::string LinkText(const Finding& finding, base::Rank rank) {
  std::vector<base::Rank> to, from;
  for (const Finding::BrokenLink& link : finding.links) {
    if (link.from == rank) to.push_back(link.to);
    if (link.to == rank) from.push_back(link.from);
  }
  for (auto* const ranks : {&to, &from}) {
    std::sort(ranks->begin(), ranks->end());
    ranks->erase(std::unique(ranks->begin(), ranks->end()), ranks->end());
  }
  if (!to.empty()) return "reaches " + RankList(to) + " no longer over the network";
  if (!from.empty()) return "is no longer reached by " + RankList(from) + " over the network";
  return "is cut off from other ranks with its side of the network";
}

/// What it last did that is recorded.
std::string LastOpLine(const SeenRank& rank, const Evidence& evidence) {
  const std::string who = "rank " + rank.rank.ToString();
  if (rank.ops.empty()) return who + " has called no op";
  const SeenOp& last = rank.ops.back();
  return who + " called last, " + base::FormatDuration(last.age) + " ago" +
         (rank.step >= 0 ? " in step " + std::to_string(rank.step) : "") + ", " +
         Place(last, evidence) + At(last);
}

/// The latest op of which it is sure that its rank stood in it when it was held, or ended.
const SeenOp* StoodIn(const SeenRank& rank, const Finding& finding) {
  const SeenProcess& process = rank.process;
  for (auto op = rank.ops.rbegin(); op != rank.ops.rend(); ++op) {
    if (!op->is_waited_in()) continue;
    const bool is_waited_in_by_others = finding.op.has_value() && op->group == finding.op->group &&
                                        op->epoch == finding.op->epoch &&
                                        op->seq == finding.op->seq;
    const bool outlasted =
        process.state == ProcessState::kEnded && op->age - process.ended_ago >= kStreamTold;
    if (op->caller_waits || is_waited_in_by_others || outlasted) return &*op;
  }
  return nullptr;
}

std::string OpOfTheHeldLine(const SeenRank& rank, const SeenOp& op, const Evidence& evidence) {
  const bool has_ended = rank.process.state == ProcessState::kEnded;
  return "rank " + rank.rank.ToString() + (has_ended ? " was in " : " is in ") +
         Place(op, evidence) + At(op) + ", called " + base::FormatDuration(op.age) + " ago" +
         (rank.step >= 0 ? " in step " + std::to_string(rank.step) : "");
}

}  // namespace

std::string CallText(const SeenOp& op) {
  if (op.kind == OpKind::kNone && !op.name.empty()) return op.name;
  if (op.kind == OpKind::kSplit) return std::string(OpKindName(op.kind));
  // What has no dtype is counted in bytes.
  const Dtype dtype = op.dtype == Dtype() ? Dtype::kU8 : op.dtype;
  return DescribeOp(op.kind, dtype, op.reduction, op.root_or_peer, op.count);
}

std::string PlaceText(const SeenOp& op, const std::string& group_name) {
  const std::string group = "group " + group_name;
  if (op.kind == OpKind::kInit) return "the making of " + group;
  const char* const number = op.is_transfer() ? ", number " : ", op ";
  return CallText(op) + number + op.seq.ToString() + " of " + group;
}

const SeenOp* LongestWait(const SeenRank& rank) {
  const SeenOp* longest = nullptr;
  for (const SeenOp& op : rank.ops) {
    if (!op.is_waited_in()) continue;
    if (longest == nullptr || op.age > longest->age) longest = &op;
  }
  return longest;
}

std::string StandingText(const SeenRank& rank) {
  const std::string phase = InPhase(rank);
  switch (rank.process.state) {
    case ProcessState::kUnknown: return "not known" + phase;
    case ProcessState::kNeverStarted: return "not started";
    case ProcessState::kRuns: return "runs" + phase;
    case ProcessState::kSleeps: return "sleeps" + phase;
    case ProcessState::kBlockedInIo: return "waits for input or output" + phase;
    case ProcessState::kStopped: return "stopped by a signal" + phase;
    case ProcessState::kTraced: return "held by a debugger" + phase;
    case ProcessState::kFrozen: return "frozen with its cgroup" + phase;
    case ProcessState::kEnded: return "ended";
  }
  return "not known";
}

std::string GroupName(base::GroupId group, base::Round epoch, const Evidence& evidence) {
  for (const SeenRank& rank : evidence.ranks) {
    for (const SeenGroup& seen : rank.groups) {
      if (seen.id == group && seen.epoch == epoch) return seen.name;
    }
  }
  // Nobody is in it any more; its making may still be recorded.
  for (const SeenRank& rank : evidence.ranks) {
    for (const SeenOp& op : rank.ops) {
      const bool is_making = op.kind == OpKind::kInit && !op.name.empty();
      if (is_making && op.group == group && op.epoch == epoch) return op.name;
    }
  }
  return group.ToString();
}

std::string RankList(const std::vector<base::Rank>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  const size_t named = std::min(ranks.size(), kRanksNamed);
  for (size_t i = 0; i < named; ++i) text += (i == 0 ? "" : ", ") + ranks[i].ToString();
  if (named < ranks.size()) text += " and " + std::to_string(ranks.size() - named) + " more";
  return text;
}

std::string WhatItDid(const Finding& finding, const Finding::Culprit& culprit,
                      const Evidence& evidence) {
  const SeenRank* const rank = Find(evidence, culprit.rank);
  if (rank == nullptr) return "";
  switch (finding.verdict_class) {
    case Class::kDeadRank:
      return rank->process.signal != 0
                 ? "was killed by signal " + std::to_string(rank->process.signal)
                 : "ended with exit status " + std::to_string(rank->process.exit_code);
    case Class::kNodeLost: return "is on a node that does not answer";
    case Class::kNetworkStall:
    case Class::kPartition:
      return LinkText(finding, culprit.rank) +
             (finding.op.has_value() ? ", in " + Place(*finding.op, evidence) : "");
    case Class::kMismatch: return MismatchText(finding, evidence);
    case Class::kMissingRank: {
      const bool tells_phase =
          culprit.absence == Absence::kInDeclaredPhase || culprit.absence == Absence::kEndedEarly;
      const std::string why =
          AbsenceText(culprit.absence, *rank) + (tells_phase ? "" : InPhase(*rank));
      if (!finding.op.has_value()) return "does not come: " + why;
      // Who is held inside of an op has come to it, and goes on as little.
      const bool has_come = std::any_of(rank->ops.begin(), rank->ops.end(), [&](const SeenOp& op) {
        return op.group == finding.op->group && op.epoch == finding.op->epoch &&
               op.seq >= finding.op->seq && op.is_transfer() == finding.op->is_transfer();
      });
      return (has_come ? "stands still in " : "has not come to ") + Place(*finding.op, evidence) +
             ": " + why;
    }
    case Class::kCrossGroupDeadlock: {
      const SeenOp* const wait = LongestWait(*rank);
      return wait == nullptr ? "waits in a circle"
                             : "waits in " + Place(*wait, evidence) + At(*wait);
    }
    default: return "";
  }
}

std::vector<std::string> WhatItRestsOn(const Finding& finding, const Evidence& evidence) {
  std::vector<std::string> lines;
  for (const Finding::Edge& edge : finding.cycle) {
    const SeenRank* const rank = Find(evidence, edge.waiter);
    const SeenOp* const wait = rank != nullptr ? LongestWait(*rank) : nullptr;
    lines.push_back("rank " + edge.waiter.ToString() + " waits for rank " +
                    edge.awaited.ToString() +
                    (wait != nullptr ? " in " + Place(*wait, evidence) + At(*wait) : ""));
  }
  for (const std::vector<base::Rank>& part : finding.parts)
    lines.push_back(RankList(part) + (part.size() == 1 ? " is" : " are") + " on one side");
  for (const Finding::BrokenLink& link : finding.links)
    lines.push_back("rank " + link.from.ToString() + " to rank " + link.to.ToString() + ", " +
                    SocketText(link.socket));
  for (const Finding::Culprit& culprit : finding.culprits) {
    if (!finding.links.empty()) break;  // what their processes do is to wait
    const SeenRank* const rank = Find(evidence, culprit.rank);
    if (rank == nullptr) continue;
    const bool may_be_held =
        finding.verdict_class == Class::kMissingRank || finding.verdict_class == Class::kDeadRank;
    const SeenOp* const held_in = may_be_held ? StoodIn(*rank, finding) : nullptr;
    if (finding.cycle.empty() && rank->ring_read)
      lines.push_back(held_in != nullptr ? OpOfTheHeldLine(*rank, *held_in, evidence)
                                         : LastOpLine(*rank, evidence));
    if (!rank->process.detail.empty())
      lines.push_back("rank " + rank->rank.ToString() + ": process " +
                      std::to_string(rank->process.pid) + " " + rank->process.detail);
  }
  std::set<std::string> hosts;
  for (const Finding::Culprit& culprit : finding.culprits) {
    const SeenRank* const rank = Find(evidence, culprit.rank);
    if (rank == nullptr || rank->process.memory_kills == 0) continue;
    if (!hosts.insert(rank->process.host).second) continue;
    const uint32_t kills = rank->process.memory_kills;
    lines.push_back("on " + rank->process.host + " the kernel has killed " + std::to_string(kills) +
                    (kills == 1 ? " process" : " processes") +
                    " for want of memory that no rank is: one that a rank started, perhaps");
  }
  if (finding.cycle.empty()) {
    for (const base::Rank victim : finding.victims) {
      const SeenRank* const rank = Find(evidence, victim);
      const SeenOp* const wait = rank != nullptr ? LongestWait(*rank) : nullptr;
      if (wait == nullptr) continue;
      // Where all have come the library knows whose bytes are missing.
      const bool knows = finding.verdict_class == Class::kLibraryStall && wait->waits_for;
      lines.push_back(WaitLine(*rank, *wait, evidence) +
                      (knows ? ", for rank " + wait->waits_for->ToString() : ""));
    }
  }
  const bool is_of_network = finding.verdict_class == Class::kLibraryStall ||
                             finding.verdict_class == Class::kNetworkStall ||
                             finding.verdict_class == Class::kPartition;
  for (const PacketLosses& losses : FindPacketLosses(evidence)) {
    if (!is_of_network) break;
    lines.push_back("the network of " + losses.host + " loses packets: " +
                    std::to_string(losses.lost) + " of " + std::to_string(losses.sent) +
                    " TCP segments lately, which arrived when they were sent again");
  }
  hosts.clear();
  for (const SeenRank& rank : evidence.ranks) {
    // Whether the network is broken is asked where all have come.
    if (finding.verdict_class != Class::kLibraryStall || !rank.sockets_cut) continue;
    if (!hosts.insert(rank.process.host).second) continue;
    lines.push_back(rank.process.host +
                    " has more connections than were looked at: one of a rank may be broken");
  }
  if (!finding.unheard.empty())
    lines.push_back("of " + RankList(finding.unheard) + " too little is known");
  return lines;
}

std::string WhatToDo(const Finding& finding, const Evidence& evidence) {
  if (finding.verdict_class == Class::kMismatch)
    return "make all ranks call the same; the call sites are above";
  if (finding.verdict_class == Class::kCrossGroupDeadlock)
    return "have all ranks call ops of these groups in one order";
  if (!finding.links.empty()) {
    const Finding::BrokenLink& link = finding.links.front();
    const SeenRank* const from = Find(evidence, link.from);
    return "look at the network from " + (from != nullptr ? from->process.host + " " : "") +
           link.socket.local + " to " + link.socket.remote + ": cable, switch, firewall, routes";
  }
  if (finding.culprits.empty()) return "";
  const SeenRank* const rank = Find(evidence, finding.culprits.front().rank);
  const std::string pid = rank != nullptr ? std::to_string(rank->process.pid) : "PID";
  switch (finding.culprits.front().absence) {
    case Absence::kStopped: return "kill -CONT " + pid + " lets it go on";
    case Absence::kFrozen: return "thaw its cgroup (freezer.state, or cgroup.freeze)";
    case Absence::kTraced: return "let the debugger go on, or detach it";
    case Absence::kRunsElsewhere: return "look where it computes, or loops: its stack tells";
    case Absence::kSleepsElsewhere:
      return "look what it sleeps for, a lock, a queue, a child: its stack tells";
    case Absence::kNeverInitialised:
      return "look where it stands before its first group, or why it never makes one";
    case Absence::kInDeclaredPhase:
      return "look where it stands; --hang-deadline is how long a declared phase may take";
    case Absence::kBlockedInIo: return "look at what it reads or writes";
    case Absence::kEndedEarly: return "look why it makes fewer calls than the others";
    default: return "";
  }
}

std::string Summary(const Finding& finding, const Evidence& evidence) {
  switch (finding.verdict_class) {
    case Class::kNone: return "";
    case Class::kUnknown:
      return RankList(finding.victims) + (finding.victims.size() == 1 ? " waits" : " wait") +
             (finding.op.has_value() ? " in " + Place(*finding.op, evidence) : "") +
             ", and too little is known of " + RankList(finding.unheard) + " to tell why";
    case Class::kLibraryStall:
      return "all have come to " + Place(*finding.op, evidence) + " and for " +
             base::FormatDuration(finding.waited) + " nothing moves";
    case Class::kCrossGroupDeadlock: {
      std::vector<base::Rank> ranks;
      for (const Finding::Culprit& culprit : finding.culprits) ranks.push_back(culprit.rank);
      return RankList(ranks) + " wait for each other in different groups";
    }
    default: break;
  }
  std::string text;
  for (const Finding::Culprit& culprit : finding.culprits) {
    text += (text.empty() ? "rank " : "; rank ") + culprit.rank.ToString() + " " +
            WhatItDid(finding, culprit, evidence);
    if (text.size() > 600) break;
  }
  if (finding.verdict_class == Class::kMissingRank && !finding.victims.empty()) {
    text += "; " + RankList(finding.victims) + (finding.victims.size() == 1 ? " has" : " have") +
            " waited for " + base::FormatDuration(finding.waited);
  }
  return text;
}

}  // namespace lockstep::collectives
