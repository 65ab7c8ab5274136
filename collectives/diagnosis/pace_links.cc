// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/pace_links.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "collectives/diagnosis/robust.h"

namespace lockstep::collectives {
namespace {

constexpr size_t kLinksTold = 16;
/// Transfers of a link, before anything is said of it.
constexpr size_t kTransfersLeast = 5;
/// Others that a link is compared with.
constexpr size_t kOthersLeast = 3;
constexpr double kScatters = 3;
/// Of the time: what a link costs beyond that is said.
constexpr double kShareLeast = 0.05;

/// A transfer by its sender and its receiver.
struct Side {
  const PaceWindow* window = nullptr;
  PaceLane::Transfer transfer;
};
// Group, its round; sender and receiver in the group; number.
using TransferKey =
    std::tuple<base::GroupId, base::Round, base::GroupRank, base::GroupRank, uint64_t>;

struct Cell {
  LinkPace link;
  bool within_host = false;
  double seconds_per_byte = 0;  // by the median
  double seconds = 0;           // in all of its transfers
  double bytes = 0;
  double length = 0;  // of the window
};

/// Who came later waited for the link and nothing else: the shorter of both durations. A sender
/// that does not wait for its receiver makes a link look faster than it is, never slower.
std::vector<Cell> CellsOf(const std::vector<PaceWindow>& windows) {
  std::map<TransferKey, Side> sent;
  for (const PaceWindow& window : windows) {
    for (const PaceLane& lane : window.lanes) {
      if (!lane.sends) continue;
      for (const PaceLane::Transfer& transfer : lane.transfers)
        sent[{lane.group, lane.epoch, lane.self, lane.peer, transfer.seq}] = {&window, transfer};
    }
  }
  struct Link {
    std::vector<double> seconds_per_byte;
    Cell cell;
  };
  std::map<std::pair<base::Rank, base::Rank>, Link> links;
  for (const PaceWindow& window : windows) {
    for (const PaceLane& lane : window.lanes) {
      if (lane.sends) continue;
      for (const PaceLane::Transfer& transfer : lane.transfers) {
        const auto other = sent.find({lane.group, lane.epoch, lane.peer, lane.self, transfer.seq});
        if (other == sent.end() || transfer.bytes == 0) continue;
        const Side& sender = other->second;
        if (sender.window == &window || sender.transfer.bytes != transfer.bytes) continue;
        const double took = Seconds(std::min(transfer.took, sender.transfer.took));
        if (took <= 0) continue;
        Link& link = links[{sender.window->rank, window.rank}];
        link.cell.within_host = sender.window->host == window.host;
        link.cell.length = Seconds(window.length);
        link.cell.seconds += took;
        link.cell.bytes += static_cast<double>(transfer.bytes);
        link.seconds_per_byte.push_back(took / static_cast<double>(transfer.bytes));
      }
    }
  }
  std::vector<Cell> cells;
  for (auto& [ends, link] : links) {
    if (link.seconds_per_byte.size() < kTransfersLeast) continue;
    Cell& cell = link.cell;
    const auto transfers = static_cast<int>(link.seconds_per_byte.size());
    cell.seconds_per_byte = Median(std::move(link.seconds_per_byte));
    cell.link = {ends.first, ends.second, transfers, 1 / cell.seconds_per_byte};
    cells.push_back(cell);
  }
  std::sort(cells.begin(), cells.end(), [](const Cell& a, const Cell& b) {
    return a.seconds_per_byte > b.seconds_per_byte;
  });
  return cells;
}

/// Links of one rank, and those of them that are slow.
struct Links {
  int sent = 0, sent_hot = 0, received = 0, received_hot = 0;
  bool sends_slowly() const { return sent > 1 && sent == sent_hot; }
  bool receives_slowly() const { return received > 1 && received == received_hot; }
  bool all_are_slow() const {
    return sent > 0 && received > 0 && sent == sent_hot && received == received_hot;
  }
};

Links LinksOf(base::Rank rank, bool within_host, const std::vector<Cell>& cells, double limit) {
  Links links;
  for (const Cell& cell : cells) {
    if (cell.within_host != within_host) continue;
    const int hot = cell.seconds_per_byte > limit ? 1 : 0;
    if (cell.link.from == rank) links.sent += 1, links.sent_hot += hot;
    if (cell.link.to == rank) links.received += 1, links.received_hot += hot;
  }
  return links;
}

SlowLink::Side SideOf(const Cell& hot, const std::vector<Cell>& cells, double limit) {
  const Links from = LinksOf(hot.link.from, hot.within_host, cells, limit);
  const Links to = LinksOf(hot.link.to, hot.within_host, cells, limit);
  if (from.all_are_slow() && !to.all_are_slow()) return SlowLink::Side::kRankOfSender;
  if (to.all_are_slow() && !from.all_are_slow()) return SlowLink::Side::kRankOfReceiver;
  if (from.sends_slowly()) return SlowLink::Side::kSender;
  if (to.receives_slowly()) return SlowLink::Side::kReceiver;
  return SlowLink::Side::kLink;
}

bool IsOfRank(const SlowLink& slow) {
  return slow.side == SlowLink::Side::kRankOfSender || slow.side == SlowLink::Side::kRankOfReceiver;
}

std::string Megabytes(double bytes_per_second) {
  const double mega = bytes_per_second / 1e6;
  if (mega >= 100) return std::to_string(std::lround(mega)) + " MB/s";
  const auto tenths = std::lround(mega * 10);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB/s";
}

}  // namespace

void JudgeLinks(const std::vector<PaceWindow>& windows, const PaceOptions& options, Pace& pace) {
  const std::vector<Cell> cells = CellsOf(windows);
  for (const Cell& hot : cells) {
    if (pace.links.size() < kLinksTold) pace.links.push_back(hot.link);
    std::vector<double> others;
    for (const Cell& cell : cells) {
      if (&cell != &hot && cell.within_host == hot.within_host)
        others.push_back(cell.seconds_per_byte);
    }
    if (others.size() < kOthersLeast) continue;
    pace.links_unknown = false;
    const double middle = Median(others);
    const double limit =
        std::max(options.least_link_factor * middle, middle + kScatters * Scatter(others, middle));
    if (hot.seconds_per_byte <= limit || hot.length <= 0) continue;
    const double share = (hot.seconds - hot.bytes * middle) / hot.length;
    if (share <= kShareLeast) continue;
    const SlowLink::Side side = SideOf(hot, cells, limit);
    SlowLink slow{hot.link, side, 1 / middle, std::min(share, 1.0)};
    // Of all links of a rank the slowest stands for all.
    const bool is_told = std::any_of(
        pace.slow_links.begin(), pace.slow_links.end(), [&](const SlowLink& told) {
          return side != SlowLink::Side::kLink && IsOfRank(told) == IsOfRank(slow) &&
                 (IsOfRank(slow) || told.side == side) && RanksOf(told) == RanksOf(slow);
        });
    if (!is_told) pace.slow_links.push_back(slow);
  }
}

std::vector<base::Rank> RanksOf(const SlowLink& slow) {
  switch (slow.side) {
    case SlowLink::Side::kLink: break;
    case SlowLink::Side::kSender:
    case SlowLink::Side::kRankOfSender: return {slow.link.from};
    case SlowLink::Side::kReceiver:
    case SlowLink::Side::kRankOfReceiver: return {slow.link.to};
  }
  return {slow.link.from, slow.link.to};
}

std::string Summary(const SlowLink& slow) {
  const std::string from = "rank " + slow.link.from.ToString();
  const std::string to = "rank " + slow.link.to.ToString();
  std::string text;
  switch (slow.side) {
    case SlowLink::Side::kLink: text = "the link from " + from + " to " + to + " is slow: "; break;
    case SlowLink::Side::kSender:
      text = "all that " + from + " sends is slow, most of all to " + to + ": ";
      break;
    case SlowLink::Side::kReceiver:
      text = "all that " + to + " receives is slow, most of all from " + from + ": ";
      break;
    case SlowLink::Side::kRankOfSender:
      text = "all links of " + from + " are slow, most of all that to " + to + ": ";
      break;
    case SlowLink::Side::kRankOfReceiver:
      text = "all links of " + to + " are slow, most of all that from " + from + ": ";
      break;
  }
  return text + Megabytes(slow.link.bytes_per_second) + " by " +
         std::to_string(slow.link.transfers) + " transfers, where others reach " +
         Megabytes(slow.others_bytes_per_second) + "; that takes " +
         std::to_string(std::lround(slow.share * 100)) + " % of the time";
}

}  // namespace lockstep::collectives
