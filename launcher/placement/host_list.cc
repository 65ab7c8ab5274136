// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/host_list.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

namespace lockstep::launcher {
namespace {

constexpr size_t kShownBytes = 64;
constexpr size_t kProblemsMax = 8;
constexpr size_t kHostBytes = 253;

/// What a shell, ssh and /etc/hosts take for a host; and no option of ssh's.
bool IsHost(std::string_view text) {
  return !text.empty() && text.size() <= kHostBytes && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' ||
                  c == '_' || c == ':' || c == '%';
         });
}

bool IsUser(std::string_view text) {
  return !text.empty() && text[0] != '-' && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_';
  });
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// The next piece of `text` up to `separator`, taken off it.
std::string_view Take(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view piece = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return piece;
}

std::optional<int> ParseSlots(std::string_view text) {
  int slots = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), slots);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return slots >= 1 && slots <= kSlotsMax ? std::optional(slots) : std::nullopt;
}

/// Collects hosts and everything that is wrong with them.
class Reader {
 public:
  /// "[user@]host[:N]" at `place` ("entry 2", "line 7").
  void AddHost(std::string_view text, const std::string& place) {
    HostEntry entry;
    std::string_view rest = text;
    if (const size_t at = rest.find('@'); at != rest.npos) {
      entry.user = rest.substr(0, at);
      rest.remove_prefix(at + 1);
      if (!IsUser(entry.user))
        return Problem(place, text, "a user's name is letters, digits, . - _");
    }
    const std::optional<std::string_view> slots = TakeSlots(rest);
    if (!IsHost(rest)) {
      return Problem(place, text,
                     "a host is a name or an address; write an IPv6 one as [ADDRESS]:N");
    }
    entry.host = rest;
    if (slots) {
      const std::optional<int> count = ParseSlots(*slots);
      if (!count) return Problem(place, text, SlotsText());
      entry.slots = *count;
    }
    Add(std::move(entry), place);
  }

  void SetSlots(std::string_view text, bool is_limit, const std::string& place) {
    const std::optional<int> count = ParseSlots(text);
    if (!count) return Problem(place, text, SlotsText());
    HostEntry& last = hosts_.back();
    if (is_limit) {
      limit_ = *count;
    } else {
      last.slots = *count;
    }
  }

  void EndLine(const std::string& place) {
    if (limit_ && hosts_.back().slots > *limit_) {
      Problem(place, hosts_.back().host, "slots is above max_slots");
    }
    limit_.reset();
  }

  void Problem(const std::string& place, std::string_view text, std::string_view what) {
    if (problems_++ < kProblemsMax) {
      text_ += (text_.empty() ? "" : "; ") + place + " (\"" +
               std::string(text.substr(0, kShownBytes)) + "\"): " + std::string(what);
    }
  }

  size_t size() const { return hosts_.size(); }

  base::Result<std::vector<HostEntry>> Take() {
    if (problems_ > kProblemsMax) {
      text_ += "; and " + std::to_string(problems_ - kProblemsMax) + " more";
    }
    if (problems_ > 0) return base::InvalidArgumentError(text_);
    if (hosts_.empty()) return base::InvalidArgumentError("no host is named");
    return std::move(hosts_);
  }

 private:
  static std::string SlotsText() {
    return "the number of ranks is 1 to " + std::to_string(kSlotsMax);
  }

  /// Takes ":N" off the end of `host`, and the brackets of an IPv6 address. An address without
  /// brackets keeps all of its colons.
  static std::optional<std::string_view> TakeSlots(std::string_view& host) {
    std::string_view tail;
    if (host.starts_with('[')) {
      const size_t close = host.find(']');
      if (close == host.npos) return std::nullopt;
      tail = host.substr(close + 1);
      host = host.substr(1, close - 1);
      if (tail.empty()) return std::nullopt;
      return tail[0] == ':' ? tail.substr(1) : tail;
    }
    const size_t colon = host.find(':');
    if (colon == host.npos || host.find(':', colon + 1) != host.npos) return std::nullopt;
    tail = host.substr(colon + 1);
    host = host.substr(0, colon);
    return tail;
  }

  void Add(HostEntry entry, const std::string& place) {
    const auto [first, is_new] = places_.emplace(entry.host, place);
    if (!is_new) {
      return Problem(place, entry.host,
                     "is named twice, first in " + first->second +
                         "; name it once with the number of its ranks, HOST:N");
    }
    hosts_.push_back(std::move(entry));
  }

  std::vector<HostEntry> hosts_;
  std::map<std::string, std::string, std::less<>> places_;  // of each host
  std::optional<int> limit_;                                // max_slots of this line
  size_t problems_ = 0;
  std::string text_;
};

base::Status TooLong(size_t hosts, size_t bytes) {
  if (bytes > kHostListBytes) {
    return base::InvalidArgumentError("the list of hosts is longer than " +
                                      std::to_string(kHostListBytes) + " bytes");
  }
  if (hosts > kHostsMax) {
    return base::InvalidArgumentError("more than " + std::to_string(kHostsMax) + " hosts");
  }
  return base::OkStatus();
}

}  // namespace

std::string HostEntry::Destination() const { return user.empty() ? host : user + "@" + host; }

base::Result<std::vector<HostEntry>> ParseHostList(std::string_view text) {
  RETURN_IF_ERROR(TooLong(0, text.size()));
  Reader reader;
  for (int number = 1; !text.empty(); ++number) {
    reader.AddHost(Trim(Take(text, ',')), "host " + std::to_string(number));
    RETURN_IF_ERROR(TooLong(reader.size(), 0));
  }
  return reader.Take();
}

base::Result<std::vector<HostEntry>> ParseHostFile(std::string_view text) {
  RETURN_IF_ERROR(TooLong(0, text.size()));
  Reader reader;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = Take(text, '\n');
    line = Trim(Take(line, '#'));
    if (line.empty()) continue;
    const std::string place = "line " + std::to_string(number);
    const size_t hosts_before = reader.size();
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    reader.AddHost(line.substr(0, end), place);
    RETURN_IF_ERROR(TooLong(reader.size(), 0));
    if (reader.size() == hosts_before) continue;
    for (line = Trim(line.substr(end)); !line.empty(); line = Trim(line)) {
      const size_t word_end = std::min(line.find_first_of(" \t"), line.size());
      const std::string_view word = line.substr(0, word_end);
      line.remove_prefix(word_end);
      const bool is_limit = word.starts_with("max_slots=") || word.starts_with("max-slots=");
      if (!is_limit && !word.starts_with("slots=")) {
        reader.Problem(place, word, "only slots=N and max_slots=N may follow a host");
        continue;
      }
      reader.SetSlots(word.substr(word.find('=') + 1), is_limit, place);
    }
    reader.EndLine(place);
  }
  return reader.Take();
}

}  // namespace lockstep::launcher
