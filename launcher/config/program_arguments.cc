// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/program_arguments.h"

#include <algorithm>
#include <string_view>

namespace lockstep::launcher {
namespace {

// As torchrun --run-path: the path stands in sys.argv[0] and is the program's __main__.
constexpr char kRunPath[] =
    "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')";

proto::ProgramKind KindOf(const proto::Program& program) {
  if (program.kind() != proto::PROGRAM_KIND_AUTO) return program.kind();
  const bool script = program.command_size() == 1 && program.command(0).ends_with(".py");
  return script ? proto::PROGRAM_KIND_PYTHON_SCRIPT : proto::PROGRAM_KIND_EXECUTABLE;
}

std::string PythonOf(const proto::Program& program, const topology::Environment& environment) {
  for (int i = program.env_size() - 1; i >= 0; --i) {
    if (program.env(i).name() == "PYTHON_EXEC" && !program.env(i).value().empty())
      return program.env(i).value();
  }
  const auto inherited = environment.find("PYTHON_EXEC");
  if (inherited != environment.end() && !inherited->second.empty()) return inherited->second;
  return program.python().empty() ? "python3" : program.python();
}

bool IsLabelCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

std::vector<std::string> ProgramArguments(const proto::Program& program,
                                          const topology::Environment& environment) {
  std::vector<std::string> arguments;
  const proto::ProgramKind kind = KindOf(program);
  if (kind != proto::PROGRAM_KIND_EXECUTABLE) {
    // Unbuffered, so that what a rank printed before it was killed is not lost in it.
    arguments = {PythonOf(program, environment), "-u"};
    if (kind == proto::PROGRAM_KIND_PYTHON_MODULE) arguments.push_back("-m");
    if (kind == proto::PROGRAM_KIND_PYTHON_PATH)
      arguments.insert(arguments.end(), {"-c", kRunPath});
  }
  arguments.insert(arguments.end(), program.command().begin(), program.command().end());
  arguments.insert(arguments.end(), program.args().begin(), program.args().end());
  return arguments;
}

std::optional<int> ProgramWord(const proto::Program& program) {
  switch (KindOf(program)) {
    case proto::PROGRAM_KIND_PYTHON_SCRIPT: return 2;  // after python -u
    case proto::PROGRAM_KIND_PYTHON_PATH: return 4;    // after python -u -c TEXT
    case proto::PROGRAM_KIND_PYTHON_MODULE: return std::nullopt;
    default: return 0;
  }
}

std::string DefaultJobName(const proto::Program& program) {
  std::string_view base;
  if (!program.command().empty()) base = program.command(0);
  base.remove_prefix(base.rfind('/') == std::string_view::npos ? 0 : base.rfind('/') + 1);
  if (base.ends_with(".py")) base.remove_suffix(3);
  std::string name;
  for (char c : base) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (IsLabelCharacter(c)) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  constexpr size_t kMaxBytes = 40;  // room for what tells equal names apart
  name.resize(std::min(name.size(), kMaxBytes));
  while (name.ends_with('-')) name.pop_back();
  return name.empty() ? "job" : name;
}

}  // namespace lockstep::launcher
