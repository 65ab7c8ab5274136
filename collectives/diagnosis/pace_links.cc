// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/pace_links.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "collectives/diagnosis/robust.h"

namespace lockstep::collectives {
namespace {

constexpr size_t kLinksTold = 16;
/// Of all ranks together, those that send; what is beyond is left out.
constexpr size_t kLanesMax = 16384;
/// Transfers of a link, before anything is said of it.
constexpr size_t kTransfersLeast = 5;
/// Others that a link is compared with.
constexpr size_t kOthersLeast = 3;
constexpr double kScatters = 3;
/// Of more, one link does not matter for the scatter of all.
constexpr size_t kFewLinks = 64;
/// Of the time: what a link costs beyond that is said.
constexpr double kShareLeast = 0.05;

// Group, its round; sender and receiver in the group.
using LaneKey = std::tuple<base::GroupId, base::Round, base::GroupRank, base::GroupRank>;

/// Transfers that are compared with each other: of links within a host, or between hosts; and of
/// sizes within a factor of four, since what begins a transfer takes as long for a small one.
using Kind = std::pair<bool, int>;

int SizeClass(uint64_t bytes) { return static_cast<int>(std::bit_width(bytes) / 2); }

/// A link, by transfers of one kind.
struct Cell {
  LinkPace link;
  Kind kind;
  double seconds_per_byte = 0;  // by the median
  double seconds = 0;           // in all of its transfers, also those that were not told one by one
  double bytes = 0;
  double length = 0;  // of the window
  bool is_hot = false;
  double others = 0;  // seconds per byte, by the median
};

struct Transfers {
  std::vector<double> seconds_per_byte;
  Cell cell;
};
using Matrix = std::map<std::tuple<base::Rank, base::Rank, Kind>, Transfers>;

uint64_t CountOf(const PaceLane& lane) {
  return std::max<uint64_t>(lane.count, lane.transfers.size());
}

/// Who came later waited for the link and nothing else: the shorter of both durations. A sender
/// that does not wait for its receiver makes a link look faster than it is, never slower.
void Match(const PaceWindow& sender, const PaceLane& sends, const PaceWindow& receiver,
           const PaceLane& receives, Matrix& matrix) {
  struct Matched {
    double took = 0;
    uint64_t bytes = 0;
  };
  std::vector<Matched> matched;
  auto sent = sends.transfers.begin();
  for (const PaceLane::Transfer& transfer : receives.transfers) {
    while (sent != sends.transfers.end() && sent->seq < transfer.seq) ++sent;
    if (sent == sends.transfers.end()) break;
    if (sent->seq != transfer.seq || sent->bytes != transfer.bytes || transfer.bytes == 0) continue;
    const double took = Seconds(std::min(transfer.took, sent->took));
    if (took > 0) matched.push_back({took, transfer.bytes});
  }
  if (matched.empty()) return;
  const auto all = static_cast<double>(std::min(CountOf(sends), CountOf(receives)));
  const double each = std::max(1.0, all / static_cast<double>(matched.size()));
  for (const Matched& one : matched) {
    const Kind kind{sender.host == receiver.host, SizeClass(one.bytes)};
    Transfers& transfers = matrix[{sender.rank, receiver.rank, kind}];
    transfers.cell.kind = kind;
    transfers.cell.length = Seconds(receiver.length);
    transfers.cell.seconds += one.took * each;
    transfers.cell.bytes += static_cast<double>(one.bytes) * each;
    transfers.seconds_per_byte.push_back(one.took / static_cast<double>(one.bytes));
  }
}

/// The slowest first.
std::vector<Cell> CellsOf(const std::vector<PaceWindow>& windows) {
  std::map<LaneKey, std::pair<const PaceWindow*, const PaceLane*>> senders;
  for (const PaceWindow& window : windows) {
    for (const PaceLane& lane : window.lanes) {
      if (lane.sends && senders.size() < kLanesMax)
        senders[{lane.group, lane.epoch, lane.self, lane.peer}] = {&window, &lane};
    }
  }
  Matrix matrix;
  for (const PaceWindow& window : windows) {
    for (const PaceLane& lane : window.lanes) {
      if (lane.sends) continue;
      const auto sender = senders.find({lane.group, lane.epoch, lane.peer, lane.self});
      if (sender == senders.end() || sender->second.first == &window) continue;
      Match(*sender->second.first, *sender->second.second, window, lane, matrix);
    }
  }
  std::vector<Cell> cells;
  for (auto& [key, transfers] : matrix) {
    if (transfers.seconds_per_byte.size() < kTransfersLeast) continue;
    Cell& cell = transfers.cell;
    const auto count = static_cast<int>(transfers.seconds_per_byte.size());
    cell.seconds_per_byte = Median(std::move(transfers.seconds_per_byte));
    cell.link = {std::get<0>(key), std::get<1>(key), count, 1 / cell.seconds_per_byte};
    cells.push_back(cell);
  }
  std::sort(cells.begin(), cells.end(),
            [](const Cell& a, const Cell& b) { return a.seconds_per_byte > b.seconds_per_byte; });
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
using LinksByRank = std::map<std::pair<base::Rank, Kind>, Links>;

double ScatterWithout(size_t index, std::vector<double> values, double middle) {
  values.erase(values.begin() + static_cast<ptrdiff_t>(index));
  return Scatter(values, middle);
}

/// Says of each cell whether it is hot. Returns whether there were enough to say so of any.
bool Compare(const PaceOptions& options, std::vector<Cell>& cells) {
  std::map<Kind, std::vector<Cell*>> kinds;
  for (Cell& cell : cells) kinds[cell.kind].push_back(&cell);
  bool is_known = false;
  for (const auto& [kind, alike] : kinds) {
    if (alike.size() <= kOthersLeast) continue;
    is_known = true;
    std::vector<double> seconds;
    for (const Cell* cell : alike) seconds.push_back(cell->seconds_per_byte);
    const MedianOfOthers others(seconds);
    const double scatter_of_all = Scatter(seconds, Median(seconds));
    for (size_t i = 0; i < alike.size(); ++i) {
      Cell& cell = *alike[i];
      cell.others = others.Without(i);
      const double scatter =
          alike.size() > kFewLinks ? scatter_of_all : ScatterWithout(i, seconds, cell.others);
      cell.is_hot = cell.seconds_per_byte > std::max(options.least_link_factor * cell.others,
                                                     cell.others + kScatters * scatter);
      if (!cell.is_hot) break;  // nor are those after it, which are faster
    }
  }
  return is_known;
}

LinksByRank LinksOf(const std::vector<Cell>& cells) {
  LinksByRank links;
  for (const Cell& cell : cells) {
    const int hot = cell.is_hot ? 1 : 0;
    Links& from = links[{cell.link.from, cell.kind}];
    from.sent += 1, from.sent_hot += hot;
    Links& to = links[{cell.link.to, cell.kind}];
    to.received += 1, to.received_hot += hot;
  }
  return links;
}

SlowLink::Side SideOf(const Cell& hot, const LinksByRank& links) {
  const Links& from = links.at({hot.link.from, hot.kind});
  const Links& to = links.at({hot.link.to, hot.kind});
  if (from.all_are_slow() && !to.all_are_slow()) return SlowLink::Side::kRankOfSender;
  if (to.all_are_slow() && !from.all_are_slow()) return SlowLink::Side::kRankOfReceiver;
  if (from.sends_slowly()) return SlowLink::Side::kSender;
  if (to.receives_slowly()) return SlowLink::Side::kReceiver;
  return SlowLink::Side::kLink;
}

std::string Megabytes(double bytes_per_second) {
  const double mega = bytes_per_second / 1e6;
  if (mega >= 100) return std::to_string(std::lround(mega)) + " MB/s";
  const auto tenths = std::lround(mega * 10);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB/s";
}

}  // namespace

void JudgeLinks(const std::vector<PaceWindow>& windows, const PaceOptions& options, Pace& pace) {
  std::vector<Cell> cells = CellsOf(windows);
  std::set<std::pair<base::Rank, base::Rank>> listed;
  for (const Cell& cell : cells) {
    if (pace.links.size() == kLinksTold) break;
    if (listed.emplace(cell.link.from, cell.link.to).second) pace.links.push_back(cell.link);
  }
  pace.links_unknown = !Compare(options, cells);
  const LinksByRank links = LinksOf(cells);
  std::set<std::vector<base::Rank>> told;
  for (const Cell& hot : cells) {
    if (!hot.is_hot || hot.length <= 0) continue;
    if (pace.slow_links.size() == kLinksTold) break;
    const double share = (hot.seconds - hot.bytes * hot.others) / hot.length;
    if (share <= kShareLeast) continue;
    const SlowLink slow{hot.link, SideOf(hot, links), 1 / hot.others, std::min(share, 1.0)};
    // Of all links of a rank the slowest stands for all.
    if (told.insert(RanksOf(slow)).second) pace.slow_links.push_back(slow);
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
