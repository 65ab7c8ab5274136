// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/command_line.h"

#include <algorithm>
#include <utility>

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

// The flag that somebody who typed `spelling` may have meant; null when none is near.
const FlagSpec* NearestFlag(const VerbSpec& verb, std::string_view spelling) {
  std::vector<std::string_view> names;
  for (const std::span<const FlagSpec> flags : {verb.flags, verb.further_flags}) {
    for (const FlagSpec& flag : flags) names.push_back(flag.name);
  }
  const auto nearest = NearestName(spelling, names);
  return nearest ? FindFlag(verb, *nearest) : nullptr;
}

// Takes the flags of one verb off the words, one by one.
class Splitter {
 public:
  Splitter(const VerbSpec& verb, std::span<const std::string> words) : verb_(verb), words_(words) {}

  bool done() const { return words_.empty(); }
  bool at_flag() const { return !done() && words_[0] != "--" && LooksLikeFlag(words_[0]); }
  bool at_end_of_flags() const { return !done() && words_[0] == "--"; }

  std::string TakeWord() {
    std::string word = words_[0];
    words_ = words_.subspan(1);
    return word;
  }

  void TakeFlag() {
    const std::string word = TakeWord();
    const FlagSpec* flag = FindFlag(verb_, SpellingOf(word));
    if (flag == nullptr) return ReportUnknown(word);
    std::optional<std::string> value = TakeValue(*flag, word);
    if (value) line_.flags.push_back({flag, std::string(SpellingOf(word)), *std::move(value)});
  }

  void AddOperand(std::string word) { line_.rest.push_back(std::move(word)); }
  void AddRest() { line_.rest.insert(line_.rest.end(), words_.begin(), words_.end()); }
  SplitLine Finish() { return std::move(line_); }

 private:
  void AddProblem(std::string what) {
    line_.problems.push_back(
        {.what = std::move(what), .source = "lockstep " + std::string(verb_.name)});
  }

  bool at_value() const {
    return !done() && words_[0] != "--" && FindFlag(verb_, SpellingOf(words_[0])) == nullptr;
  }

  void ReportUnknown(std::string_view word) {
    const FlagSpec* nearest = NearestFlag(verb_, SpellingOf(word));
    AddProblem("unknown flag " + ShortValue(SpellingOf(word)) +
               (nearest ? "; did you mean " + std::string(nearest->name) + "?" : SeeHelp(verb_)));
    const bool needs_value =
        nearest != nullptr && !nearest->is_switch() && word.find('=') == std::string_view::npos;
    // Left where it is, it would be taken for the program, and what follows for the program's.
    if (needs_value && at_value() && !at_flag()) TakeWord();
  }

  // Nothing when it is missing or wrong, which is then reported.
  std::optional<std::string> TakeValue(const FlagSpec& flag, const std::string& word) {
    const std::string spelling(SpellingOf(word));
    const bool joined = spelling.size() < word.size();
    if (joined && flag.is_switch()) return SwitchValue(word);
    if (joined) return word.substr(spelling.size() + 1);
    if (flag.is_switch()) return "true";
    if (at_value()) return TakeWord();
    AddProblem(spelling + " needs a value: " + spelling + " " + std::string(flag.value_name));
    return std::nullopt;
  }

  std::optional<std::string> SwitchValue(const std::string& word) {
    const std::string spelling(SpellingOf(word));
    std::string value = word.substr(spelling.size() + 1);
    if (value == "true" || value == "false") return value;
    AddProblem(spelling + " is a switch: it takes =true or =false, not " + ShortValue(value));
    return std::nullopt;
  }

  const VerbSpec& verb_;
  std::span<const std::string> words_;
  SplitLine line_;
};

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

// Flags of verbs that take no program may also stand behind the operands: `lockstep logs mnist
// --follow`.
SplitLine SplitAll(const VerbSpec& verb, std::span<const std::string> words) {
  Splitter splitter(verb, words);
  while (!splitter.done() && !splitter.at_end_of_flags()) {
    if (splitter.at_flag()) {
      splitter.TakeFlag();
    } else {
      splitter.AddOperand(splitter.TakeWord());
    }
  }
  if (!splitter.done()) splitter.TakeWord();
  splitter.AddRest();
  return splitter.Finish();
}

void CheckOperands(const VerbSpec& verb, Command& command) {
  const std::string usage =
      "; usage: lockstep " + std::string(verb.name) + " " + std::string(verb.synopsis);
  if (command.operands.size() < verb.operands_min) {
    command.problems.push_back(
        {.what = (verb.takes_program ? "no program is named" : "no job is named") + usage});
  } else if (command.operands.size() > verb.operands_max) {
    command.problems.push_back({.what = "nothing more is expected at " +
                                        ShortValue(command.operands[verb.operands_max]) + usage});
  }
}

bool HelpIsAmongFlags(const VerbSpec& verb, std::span<const std::string> words) {
  // Only what stands before a program: `lockstep run ./train --help` is the program's.
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (AsksForHelp(words[i])) return true;
    const FlagSpec* flag = FindFlag(verb, SpellingOf(words[i]));
    const bool takes_next =
        flag != nullptr && !flag->is_switch() && words[i].find('=') == std::string::npos;
    if (takes_next) ++i;
    if (flag == nullptr && !LooksLikeFlag(words[i]) && verb.takes_program) return false;
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

SplitLine SplitFlags(const VerbSpec& verb, std::span<const std::string> words) {
  Splitter splitter(verb, words);
  while (splitter.at_flag()) splitter.TakeFlag();
  if (splitter.at_end_of_flags()) splitter.TakeWord();
  splitter.AddRest();
  return splitter.Finish();
}

base::Result<Command> ParseCommandLine(std::span<const std::string> words) {
  if (words.empty() || AsksForHelp(words[0])) return HelpOn("");
  if (words[0] == "--version") return Command{Verb::kVersion, {}, {}, {}};
  const VerbSpec* verb = FindVerb(words[0]);
  if (verb == nullptr) return UnknownVerb(words[0]);
  words = words.subspan(1);
  if (HelpIsAmongFlags(*verb, words)) return HelpOn(verb->name);
  SplitLine line = verb->takes_program ? SplitFlags(*verb, words) : SplitAll(*verb, words);
  if (verb->verb == Verb::kHelp && !line.rest.empty() && FindVerb(line.rest[0]) == nullptr) {
    return UnknownVerb(line.rest[0]);
  }
  Command command{verb->verb, std::move(line.flags), std::move(line.rest),
                  std::move(line.problems)};
  // After a flag that nobody knows, what is an operand is a guess.
  if (command.problems.empty()) CheckOperands(*verb, command);
  return command;
}

}  // namespace lockstep::launcher
