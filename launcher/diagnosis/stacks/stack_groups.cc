// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/stack_groups.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "launcher/diagnosis/stacks/stack_text.h"

namespace lockstep::launcher {
namespace {

using Path = std::vector<std::string>;

constexpr char kInterpreter[] = "Python";

bool StartsWithAny(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [text](std::string_view prefix) { return text.starts_with(prefix); });
}

bool Communicates(const proto::Frame& frame) {
  return StartsWithAny(frame.function(), {"lockstep::collectives::", "lockstep_", "MPI_", "PMPI_",
                                          "nccl", "pnccl", "c10d::", "gloo::"}) ||
         StartsWithAny(frame.module(), {"libmpi", "libnccl", "libopen-pal", "libopen-rte"});
}

bool IsOfSystem(const proto::Frame& frame) {
  return StartsWithAny(frame.module(), {"libc.so", "libc-", "libpthread", "ld-linux", "[vdso"});
}

/// Its own functions, which change from moment to moment whatever the program does.
bool IsOfInterpreter(const proto::Frame& frame) {
  return StartsWithAny(frame.module(), {"libpython", "python"});
}

/// From main() inwards.
Path PathOf(const proto::ProcessStacks& process) {
  std::vector<proto::Frame> frames = MainStack(process);
  std::reverse(frames.begin(), frames.end());
  Path path;
  for (const proto::Frame& frame : frames) {
    if (IsOfSystem(frame)) continue;
    if (IsOfInterpreter(frame)) {
      if (path.empty() || path.back() != kInterpreter) path.push_back(kInterpreter);
      continue;
    }
    // Addresses differ from rank to rank, places in a file do not.
    path.push_back(frame.function().empty() ? frame.module() + "+" + frame.offset()
                                            : frame.function());
    if (Communicates(frame)) break;
  }
  return path;
}

struct Member {
  int rank = 0;
  Path path;
};

size_t CommonLength(const std::vector<Member>& members) {
  size_t length = members.front().path.size();
  for (const Member& member : members) {
    const auto [end, unused] =
        std::mismatch(members.front().path.begin(), members.front().path.end(), member.path.begin(),
                      member.path.end());
    length = std::min(length, static_cast<size_t>(end - members.front().path.begin()));
  }
  return length;
}

proto::StackGroup GroupOf(const std::vector<Member>& members) {
  proto::StackGroup group;
  for (const Member& member : members) group.add_ranks(member.rank);
  const Path& path = members.front().path;
  for (size_t i = 0; i < CommonLength(members); ++i) group.add_path(path[i]);
  return group;
}

}  // namespace

std::vector<proto::StackGroup> GroupStacks(const std::vector<proto::RankStacks>& ranks) {
  std::vector<Member> known;
  std::vector<Member> unknown;
  for (const proto::RankStacks& rank : ranks) {
    Member member{rank.rank(), PathOf(rank.process())};
    (member.path.empty() ? unknown : known).push_back(std::move(member));
  }
  std::vector<proto::StackGroup> groups;
  if (!known.empty()) {
    const size_t common = CommonLength(known);
    std::map<std::string, std::vector<Member>> by_next;  // "": they stand where the paths part
    for (Member& member : known) {
      const std::string next = member.path.size() > common ? member.path[common] : "";
      by_next[next].push_back(std::move(member));
    }
    for (const auto& [next, members] : by_next) groups.push_back(GroupOf(members));
  }
  std::sort(groups.begin(), groups.end(),
            [](const proto::StackGroup& a, const proto::StackGroup& b) {
              if (a.ranks_size() != b.ranks_size()) return a.ranks_size() > b.ranks_size();
              return a.ranks(0) < b.ranks(0);
            });
  if (!groups.empty() && static_cast<size_t>(groups.front().ranks_size()) * 2 > ranks.size()) {
    for (size_t i = 1; i < groups.size(); ++i) groups[i].set_is_outlier(true);
  }
  if (!unknown.empty()) groups.push_back(GroupOf(unknown));
  return groups;
}

}  // namespace lockstep::launcher
