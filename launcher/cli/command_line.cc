// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/command_line.h"

#include <algorithm>

#include "runtime/proto/nearest_name.h"
#include "runtime/proto/problem.h"

namespace lockstep::launcher {
namespace {

using proto::NearestName;
using proto::ShortValue;

// "-" alone is a word like any other.
bool LooksLikeFlag(std::string_view word) { return word.size() > 1 && word[0] == '-'; }

std::string_view SpellingOf(std::string_view word) { return word.substr(0, word.find('=')); }

bool AsksForHelp(std::string_view word) { return word == "--help" || word == "-h"; }

std::string SeeHelp(const VerbSpec& verb) {
  return "; see lockstep help " + std::string(verb.name);
}

base::Status UnknownFlag(const VerbSpec& verb, std::string_view word) {
  const std::string_view spelling = SpellingOf(word);
  std::vector<std::string_view> names;
  for (const FlagSpec& flag : verb.flags) names.push_back(flag.name);
  const auto nearest = NearestName(spelling, names);
  return base::InvalidArgumentError(
      "lockstep " + std::string(verb.name) + ": unknown flag " + ShortValue(spelling) +
      (nearest ? "; did you mean " + std::string(*nearest) + "?" : SeeHelp(verb)));
}

base::Status MissingValue(const VerbSpec& verb, const FlagSpec& flag, std::string_view spelling) {
  return base::InvalidArgumentError(
      "lockstep " + std::string(verb.name) + ": " + std::string(spelling) +
      " needs a value: " + std::string(spelling) + " " + std::string(flag.value_name));
}

base::Result<std::string> SwitchValue(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos) return std::string("true");
  const std::string_view value = word.substr(equals + 1);
  if (value == "true" || value == "false") return std::string(value);
  return base::InvalidArgumentError(std::string(word.substr(0, equals)) +
                                    " is a switch: it takes =true or =false, not " +
                                    ShortValue(value));
}

// Takes one flag, and its value, off `words`.
base::Result<GivenFlag> TakeFlag(const VerbSpec& verb, std::span<const std::string>& words) {
  const std::string_view word = words[0];
  GivenFlag given{FindFlag(verb, SpellingOf(word)), std::string(SpellingOf(word)), ""};
  if (given.flag == nullptr) return UnknownFlag(verb, word);
  words = words.subspan(1);
  if (given.flag->is_switch()) {
    ASSIGN_OR_RETURN(given.value, SwitchValue(word));
  } else if (const size_t equals = word.find('='); equals != std::string_view::npos) {
    given.value = word.substr(equals + 1);
  } else if (words.empty() || words[0] == "--" || FindFlag(verb, SpellingOf(words[0])) != nullptr) {
    return MissingValue(verb, *given.flag, given.spelling);
  } else {
    given.value = words[0];
    words = words.subspan(1);
  }
  return given;
}

Command HelpOn(std::string_view verb) {
  Command help;
  if (!verb.empty()) help.operands.emplace_back(verb);
  return help;
}

base::Status UnknownVerb(std::string_view word) {
  std::vector<std::string_view> names;
  std::string all;
  for (const VerbSpec& verb : Verbs()) {
    names.push_back(verb.name);
    all += (all.empty() ? "" : ", ") + std::string(verb.name);
  }
  const auto nearest = NearestName(word, names);
  return base::InvalidArgumentError("unknown verb " + ShortValue(word) +
                                    (nearest
                                         ? "; did you mean lockstep " + std::string(*nearest) + "?"
                                         : "; the verbs are " + all));
}

// Flags of verbs other than run may also stand behind the operands: `lockstep logs mnist --follow`.
base::Result<SplitLine> SplitAll(const VerbSpec& verb, std::span<const std::string> words) {
  SplitLine line;
  bool flags_end = false;
  while (!words.empty()) {
    if (!flags_end && words[0] == "--") {
      flags_end = true;
      words = words.subspan(1);
    } else if (!flags_end && LooksLikeFlag(words[0])) {
      ASSIGN_OR_RETURN(line.flags.emplace_back(), TakeFlag(verb, words));
    } else {
      line.rest.push_back(words[0]);
      words = words.subspan(1);
    }
  }
  return line;
}

base::Status CheckOperands(const VerbSpec& verb, const std::vector<std::string>& operands) {
  const std::string usage =
      "usage: lockstep " + std::string(verb.name) + " " + std::string(verb.synopsis);
  if (operands.size() < verb.operands_min)
    return base::InvalidArgumentError("no job is named; " + usage);
  if (operands.size() > verb.operands_max) {
    return base::InvalidArgumentError("nothing more is expected at " +
                                      ShortValue(operands[verb.operands_max]) + "; " + usage);
  }
  return base::OkStatus();
}

bool HelpIsAmongFlags(const VerbSpec& verb, std::span<const std::string> words) {
  // Of `run` only what stands before the program: `lockstep run ./train --help` is the program's.
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (AsksForHelp(words[i])) return true;
    const FlagSpec* flag = FindFlag(verb, SpellingOf(words[i]));
    const bool takes_next =
        flag != nullptr && !flag->is_switch() && words[i].find('=') == std::string::npos;
    if (takes_next) ++i;
    if (flag == nullptr && !LooksLikeFlag(words[i]) && verb.verb == Verb::kRun) return false;
  }
  return false;
}

}  // namespace

std::optional<std::string> Command::Value(std::string_view name) const {
  const auto found = std::find_if(flags.rbegin(), flags.rend(),
                                  [&](const GivenFlag& given) { return given.flag->name == name; });
  if (found == flags.rend()) return std::nullopt;
  return found->value;
}

base::Result<SplitLine> SplitFlags(const VerbSpec& verb, std::span<const std::string> words) {
  SplitLine line;
  while (!words.empty() && words[0] != "--" && LooksLikeFlag(words[0])) {
    ASSIGN_OR_RETURN(line.flags.emplace_back(), TakeFlag(verb, words));
  }
  if (!words.empty() && words[0] == "--") words = words.subspan(1);
  line.rest.assign(words.begin(), words.end());
  return line;
}

base::Result<Command> ParseCommandLine(std::span<const std::string> words) {
  if (words.empty() || AsksForHelp(words[0])) return HelpOn("");
  if (words[0] == "--version") return Command{Verb::kVersion, {}, {}};
  const VerbSpec* verb = FindVerb(words[0]);
  if (verb == nullptr) return UnknownVerb(words[0]);
  words = words.subspan(1);
  if (HelpIsAmongFlags(*verb, words)) return HelpOn(verb->name);
  ASSIGN_OR_RETURN(SplitLine line,
                   verb->verb == Verb::kRun ? SplitFlags(*verb, words) : SplitAll(*verb, words));
  RETURN_IF_ERROR(CheckOperands(*verb, line.rest));
  if (verb->verb == Verb::kHelp && !line.rest.empty() && FindVerb(line.rest[0]) == nullptr) {
    return UnknownVerb(line.rest[0]);
  }
  return Command{verb->verb, std::move(line.flags), std::move(line.rest)};
}

}  // namespace lockstep::launcher
