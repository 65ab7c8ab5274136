// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/help.h"

#include <algorithm>
#include <string_view>

namespace lockstep::launcher {
namespace {

constexpr size_t kColumns = 100;
constexpr size_t kFlagColumn = 35;

std::string Padded(const std::string& text, size_t width) {
  return text.size() < width ? text + std::string(width - text.size(), ' ') : text + " ";
}

std::string FlagRow(const FlagSpec& flag) {
  return Padded("  " + FlagUsage(flag), kFlagColumn) + std::string(flag.help) + "\n";
}

// Flags that do nothing are listed, not explained.
std::string CompactList(std::span<const FlagSpec> flags) {
  std::string text;
  std::string line = " ";
  for (const FlagSpec& flag : flags) {
    if (flag.section != FlagSection::kCompatibility) continue;
    const std::string name(flag.name);
    if (line.size() + name.size() + 2 > kColumns) {
      text += line + "\n";
      line = " ";
    }
    line += " " + name;
  }
  return text + line + "\n";
}

std::string FlagsOf(const VerbSpec& verb) {
  if (verb.verb != Verb::kRun) {
    std::string text = verb.flags.empty() ? "" : "\nFlags:\n";
    for (const FlagSpec& flag : verb.flags) text += FlagRow(flag);
    return text + (verb.further_flags.empty() ? "" : "  and every flag of lockstep run\n");
  }
  std::string text;
  FlagSection section = FlagSection::kCompatibility;
  for (const FlagSpec& flag : verb.flags) {
    if (flag.section == FlagSection::kCompatibility) break;
    if (flag.section != section) text += "\n" + std::string(SectionName(flag.section)) + ":\n";
    section = flag.section;
    text += FlagRow(flag);
  }
  return text + "\n" + std::string(SectionName(FlagSection::kCompatibility)) + ":\n" +
         CompactList(verb.flags);
}

}  // namespace

std::string FlagUsage(const FlagSpec& flag) {
  std::string text;  // short spellings first
  for (std::string_view rest = flag.aliases; !rest.empty();) {
    const size_t blank = std::min(rest.find(' '), rest.size());
    text += std::string(rest.substr(0, blank)) + ", ";
    rest.remove_prefix(std::min(blank + 1, rest.size()));
  }
  text += flag.name;
  return flag.is_switch() ? text : text + " " + std::string(flag.value_name);
}

std::string HelpOnAll() {
  std::string text =
      "lockstep runs a training job: one program on many ranks, started, watched and ended "
      "together.\n\n"
      "Usage: lockstep VERB [FLAGS] ...\n\n";
  for (const VerbSpec& verb : Verbs()) {
    text += Padded("  " + std::string(verb.name), 12) + std::string(verb.summary) + "\n";
  }
  return text + "\nExamples:\n" + std::string(VerbSpecOf(Verb::kRun).examples) +
         "\nMore: lockstep help VERB\n";
}

std::string HelpOnVerb(const VerbSpec& verb) {
  std::string text = std::string(verb.summary) + "\n\nUsage: lockstep " + std::string(verb.name);
  if (!verb.synopsis.empty()) text += " " + std::string(verb.synopsis);
  text += "\n";
  if (!verb.details.empty()) text += "\n" + std::string(verb.details);
  return text + FlagsOf(verb) + "\nExamples:\n" + std::string(verb.examples);
}

}  // namespace lockstep::launcher
