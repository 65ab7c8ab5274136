// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/ras_report.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

namespace lockstep::collectives {
namespace {

constexpr int64_t kRanksMax = 65536;                // of a communicator
constexpr size_t kRanksTotalMax = size_t{1} << 20;  // of all communicators
constexpr size_t kFillsMax = size_t{1} << 24;
constexpr size_t kNameMax = 256;

std::string Clipped(std::string_view text) { return std::string(text.substr(0, kNameMax)); }

/// "0x27a079b828ff1a75" and "27a079b828ff1a75" are one.
std::string HashOf(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  std::string hash = Clipped(text);
  if (hash.size() < 16) hash.insert(0, 16 - hash.size(), '0');
  return hash;
}

/// Words of a line, and numbers among them: what the sentences of the text are made of.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}

  /// Whether these words are next; takes them if so.
  bool Take(std::string_view words) {
    SkipBlanks();
    if (!rest_.starts_with(words)) return false;
    rest_.remove_prefix(words.size());
    return true;
  }
  std::optional<int64_t> Number() {
    SkipBlanks();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return std::nullopt;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }
  std::string_view Word() {
    SkipBlanks();
    const std::string_view word = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(word.size());
    return word;
  }
  std::string_view rest() {
    SkipBlanks();
    return rest_;
  }

 private:
  void SkipBlanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == ',')) rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

base::Status CheckRank(const RasCommunicator& communicator, int64_t rank) {
  if (rank >= 0 && rank < kRanksMax && (communicator.size == 0 || rank < communicator.size))
    return base::OkStatus();
  return base::InvalidArgumentError("communicator " + communicator.hash + " of " +
                                    std::to_string(communicator.size) + " has no rank " +
                                    std::to_string(rank));
}

base::Result<RasRank> RankOf(const Tree& tree, const RasCommunicator& communicator) {
  RasRank rank;
  const int64_t place = tree.IntegerAt("rank", -1);
  RETURN_IF_ERROR(CheckRank(communicator, place));
  rank.rank = static_cast<int>(place);
  rank.host = Clipped(tree.TextAt("host"));
  rank.pid = tree.IntegerAt("pid");
  rank.gpu = static_cast<int>(std::clamp<int64_t>(tree.IntegerAt("nvml_dev", -1), -1, 4096));
  if (const Tree* const status = tree.Find("status"); status != nullptr) {
    rank.init_state = static_cast<int>(std::clamp<int64_t>(status->IntegerAt("init_state"), 0, 99));
    rank.async_error =
        static_cast<int>(std::clamp<int64_t>(status->IntegerAt("async_error"), 0, 99));
    rank.is_dead = status->BoolAt("considered_dead");
  }
  if (const Tree* const counts = tree.Find("collective_counts"); counts != nullptr) {
    for (const auto& [kind, count] : counts->fields())
      rank.launched[Clipped(kind)] =
          static_cast<uint64_t>(std::max<int64_t>(count->AsInteger().value_or(0), 0));
  }
  return rank;
}

base::Result<RasCommunicator> CommunicatorOf(const Tree& tree) {
  RasCommunicator communicator;
  communicator.hash = HashOf(tree.TextAt("hash"));
  const int64_t size = tree.IntegerAt("size");
  if (size <= 0 || size > kRanksMax) {
    return base::InvalidArgumentError("communicator " + communicator.hash + " has size " +
                                      std::to_string(size));
  }
  communicator.size = static_cast<int>(size);
  std::set<int> known;
  for (const char* const list : {"ranks", "missing_ranks"}) {
    for (const TreePtr& item : tree.ItemsAt(list)) {
      ASSIGN_OR_RETURN(RasRank rank, RankOf(*item, communicator));
      rank.is_missing = std::string_view(list) == "missing_ranks";
      if (known.insert(rank.rank).second) communicator.ranks.push_back(std::move(rank));
    }
  }
  std::sort(communicator.ranks.begin(), communicator.ranks.end(),
            [](const RasRank& a, const RasRank& b) { return a.rank < b.rank; });
  return communicator;
}

/// One text, line by line.
class RasText {
 public:
  base::Result<RasReport> Read(std::string_view text);

 private:
  /// Ranks of a communicator that have launched as many.
  struct Level {
    uint64_t count = 0;
    int64_t ranks = 0;
    std::vector<int> named;
  };
  struct Known {
    int size = 0;
    std::map<int, RasRank> ranks;
  };
  enum class Section : uint8_t { kNone, kDead, kMissing, kStatus, kCounts, kOther };

  base::Status Line(std::string_view line);
  void TableRow(std::string_view line);
  base::Status Headline(std::string_view line);
  base::Status Sentence(std::string_view line);
  base::Status RankLine(Words words);
  base::Result<RasRank*> RankNamed(int64_t rank);
  static void TakeProcess(Words& words, RasRank& rank);
  void EndLevels();

  RasReport report_;
  bool has_table_ = false, in_table_ = false;
  std::map<int64_t, int> sizes_;  // of the communicators of a group
  std::map<std::string, Known> known_;
  std::vector<std::string> order_;
  size_t ranks_total_ = 0;
  size_t fills_ = 0;  // ranks that were looked at for a level that names nobody
  std::string hash_;
  Section section_ = Section::kNone;
  std::string kind_;
  std::vector<Level> levels_;
  std::set<std::pair<std::string, int64_t>> dead_;  // host and pid
};

void RasText::TableRow(std::string_view line) {
  Words words(line);
  const auto group = words.Number();
  const auto communicators = words.Number();
  const auto nodes = words.Number();
  words.Word();  // ranks per node: "7-8"
  const auto size = words.Number();
  if (!group || !communicators || !nodes || !size || *size <= 0 || *size > kRanksMax) {
    if (line.find('#') == std::string_view::npos) in_table_ = false;
    return;
  }
  sizes_[*group] = static_cast<int>(*size);
}

base::Result<RasRank*> RasText::RankNamed(int64_t rank) {
  Known& known = known_[hash_];
  RETURN_IF_ERROR(CheckRank({.hash = hash_, .size = known.size, .ranks = {}}, rank));
  const auto [place, is_new] = known.ranks.try_emplace(static_cast<int>(rank));
  if (is_new && ++ranks_total_ > kRanksTotalMax) return base::OutOfRangeError("too many ranks");
  place->second.rank = static_cast<int>(rank);
  return &place->second;
}

/// "-- GPU 5 managed by process 3487984 on node 172.16.64.213".
void RasText::TakeProcess(Words& words, RasRank& rank) {
  if (!words.Take("-- GPU")) return;
  rank.gpu = static_cast<int>(std::clamp<int64_t>(words.Number().value_or(-1), -1, 4096));
  while (!words.rest().empty() && !words.Take("managed by process")) words.Word();
  rank.pid = words.Number().value_or(0);
  if (words.Take("on node")) rank.host = Clipped(words.Word());
}

/// "#0-0 (27a079b828ff1a75) MISMATCH".
base::Status RasText::Headline(std::string_view line) {
  Words words(line.substr(1));
  const auto group = words.Number();
  while (!words.rest().empty() && !words.Take("(")) words.Word();
  std::string_view hash = words.Word();
  if (!group || !hash.ends_with(")")) {
    return base::InvalidArgumentError("\"" + Clipped(line) + "\" names no communicator");
  }
  hash.remove_suffix(1);
  hash_ = HashOf(hash);
  const auto [known, is_new] = known_.try_emplace(hash_);
  if (is_new) {
    order_.push_back(hash_);
    const auto size = sizes_.find(*group);
    if (size != sizes_.end()) known->second.size = size->second;
  }
  section_ = words.Take("INCOMPLETE") ? Section::kMissing : Section::kOther;
  return base::OkStatus();
}

base::Status RasText::RankLine(Words words) {
  const auto number = words.Number();
  if (!number.has_value() || hash_.empty()) return base::OkStatus();
  if (section_ != Section::kMissing && section_ != Section::kCounts) return base::OkStatus();
  ASSIGN_OR_RETURN(RasRank* const rank, RankNamed(*number));
  if (section_ == Section::kMissing) {
    rank->is_missing = true;
  } else if (words.Take("has launched up to operation")) {
    levels_.push_back(
        {.count = static_cast<uint64_t>(std::max<int64_t>(words.Number().value_or(0), 0)),
         .ranks = 1,
         .named = {rank->rank}});
  } else if (words.Take("has not launched any operations")) {
    levels_.push_back({.count = 0, .ranks = 1, .named = {rank->rank}});
  } else if (!levels_.empty()) {
    levels_.back().named.push_back(rank->rank);
  }
  TakeProcess(words, *rank);
  return base::OkStatus();
}

/// Of the levels one may name nobody: then it is that of all others.
void RasText::EndLevels() {
  const auto is_unnamed = [](const Level& level) { return level.named.empty(); };
  std::map<int, RasRank>* const ranks = hash_.empty() ? nullptr : &known_[hash_].ranks;
  if (ranks != nullptr && !levels_.empty()) {
    for (const Level& level : levels_) {
      for (const int rank : level.named) (*ranks)[rank].launched[kind_] = level.count;
    }
    fills_ += static_cast<size_t>(known_[hash_].size);
    if (fills_ <= kFillsMax && std::count_if(levels_.begin(), levels_.end(), is_unnamed) == 1) {
      const auto level = std::find_if(levels_.begin(), levels_.end(), is_unnamed);
      for (int rank = 0; rank < known_[hash_].size && ranks_total_ < kRanksTotalMax; ++rank) {
        RasRank& other = (*ranks)[rank];
        ranks_total_ += other.rank < 0 ? 1 : 0;
        other.rank = rank;
        if (!other.is_missing) other.launched.try_emplace(kind_, level->count);
      }
    }
  }
  levels_.clear();
}

base::Status RasText::Sentence(std::string_view line) {
  Words words(line);
  if (words.Take("Communicator ranks have different status")) {
    EndLevels();
    section_ = Section::kStatus;
  } else if (words.Take("Communicator ranks have different")) {
    EndLevels();
    section_ = Section::kCounts;
    kind_ = Clipped(words.Word());
  } else if (words.Take("The missing rank")) {
    words.Take("s");
    words.Take(":");
    while (const auto number = words.Number()) {
      if (hash_.empty()) break;
      ASSIGN_OR_RETURN(RasRank* const rank, RankNamed(*number));
      rank->is_missing = true;
    }
  } else if (words.Take("Rank ")) {
    return RankLine(words);
  } else if (section_ == Section::kDead && words.Take("Process ")) {
    const int64_t pid = words.Number().value_or(0);
    if (words.Take("on node")) dead_.emplace(Clipped(words.Word()), pid);
  } else if (section_ == Section::kCounts) {
    const auto ranks = words.Number();
    if (!ranks.has_value()) return base::OkStatus();
    if (words.Take("ranks have launched up to operation")) {
      levels_.push_back(
          {.count = static_cast<uint64_t>(std::max<int64_t>(words.Number().value_or(0), 0)),
           .ranks = *ranks,
           .named = {}});
    } else if (words.Take("ranks have not launched any operations")) {
      levels_.push_back({.count = 0, .ranks = *ranks, .named = {}});
    }
  }
  return base::OkStatus();
}

base::Status RasText::Line(std::string_view line) {
  if (line.starts_with("NCCL version ")) {
    report_.nccl_version = Clipped(Words(line.substr(13)).Word());
  } else if (line.starts_with("Group ") && line.find("Comms") != std::string_view::npos) {
    has_table_ = in_table_ = true;
  } else if (line.starts_with("No communicator data collected")) {
    has_table_ = true;
  } else if (in_table_) {
    TableRow(line);
  } else if (line.starts_with("#")) {
    EndLevels();
    return Headline(line);
  } else if (line.starts_with("DEAD")) {
    EndLevels();
    section_ = Section::kDead;
    hash_.clear();
  } else if (line.empty() || line.front() != ' ') {
    EndLevels();
    // A communicator's sentences may have empty lines between them.
    if (line.empty()) return base::OkStatus();
    section_ = Section::kOther;
    hash_.clear();
  } else {
    return Sentence(line);
  }
  return base::OkStatus();
}

base::Result<RasReport> RasText::Read(std::string_view text) {
  report_.is_text = true;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const base::Status status = Line(line);
    if (!status.ok()) return status.WithFrame("line " + std::to_string(number));
  }
  EndLevels();
  if (!has_table_) {
    return base::DataLossError(
        "it ends before its table of communicators: RAS was cut off; ask it again, with a longer "
        "timeout (ncclras -t)");
  }
  size_t ranks = 0;
  for (const std::string& hash : order_) {
    Known& known = known_[hash];
    ranks += static_cast<size_t>(known.size);
    if (ranks > kRanksTotalMax) return base::OutOfRangeError("too many ranks");
    RasCommunicator communicator{.hash = hash, .size = known.size, .ranks = {}};
    for (auto& [_, rank] : known.ranks) {
      rank.is_dead = dead_.contains({rank.host, rank.pid});
      communicator.ranks.push_back(std::move(rank));
    }
    report_.communicators.push_back(std::move(communicator));
  }
  return std::move(report_);
}

}  // namespace

bool IsRasJson(const Tree& tree) { return tree.Find("communicators") != nullptr; }

bool IsRasText(std::string_view text) {
  // Far enough for the greeting of the port, the version and the summary of the job.
  const std::string_view head = text.substr(0, 65536);
  for (const char* const mark :
       {"Job summary\n===", "Communicators...", "Gathering data about the NCCL communicators"}) {
    if (head.find(mark) != std::string_view::npos) return true;
  }
  return head.starts_with("NCCL version ") || head.starts_with("SERVER PROTOCOL ");
}

base::Result<RasReport> ReadRasJson(const Tree& tree) {
  RasReport report{.nccl_version = Clipped(tree.TextAt("nccl_version")),
                   .timestamp = Clipped(tree.TextAt("timestamp")),
                   .communicators = {}};
  size_t ranks = 0;
  for (const TreePtr& item : tree.ItemsAt("communicators")) {
    ASSIGN_OR_RETURN(RasCommunicator communicator, CommunicatorOf(*item));
    ranks += static_cast<size_t>(communicator.size);
    if (ranks > kRanksTotalMax) return base::OutOfRangeError("too many ranks");
    report.communicators.push_back(std::move(communicator));
  }
  return report;
}

base::Result<RasReport> ReadRasText(std::string_view text) { return RasText().Read(text); }

}  // namespace lockstep::collectives
