// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/cli/command_line.h"
#include "launcher/config/program_arguments.h"
#include "launcher/config/resolve_job.h"
#include "runtime/base/check.h"

// Each line of the input is one word of the command line. It ends in an error or in a job that has
// what every part relies on.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<std::string> words;
  for (std::string_view rest(reinterpret_cast<const char*>(data), size); !rest.empty();) {
    const size_t end = rest.find('\n');
    words.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  const auto command = lockstep::launcher::ParseCommandLine(words);
  if (!command.ok() || command->verb != lockstep::launcher::Verb::kRun) return 0;
  const auto resolved =
      lockstep::launcher::ResolveJob({*command, std::nullopt, {{"PET_NNODES", "1"}}, [] {
                                        return lockstep::launcher::MachineFacts{4, 0};
                                      }});
  if (!resolved.ok()) return 0;
  LOCKSTEP_CHECK(!lockstep::launcher::ProgramArguments(resolved->job.spec().program(), {}).empty(),
                 "a program");
  LOCKSTEP_CHECK(resolved->job.spec().gang().total_processes() >= 1, "ranks");
  LOCKSTEP_CHECK(!lockstep::launcher::PrintConfig(*resolved).empty(), "something to print");
  return 0;
}
