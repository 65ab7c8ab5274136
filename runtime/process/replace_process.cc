// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/replace_process.h"

#include <errno.h>
#include <unistd.h>

#include "runtime/process/spawn_error.h"

namespace lockstep::process {
namespace {

/// For execve, which changes none of them.
std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

base::Status ReplaceProcess(const std::vector<std::string>& arguments,
                            const std::vector<std::string>& environment) {
  const SpawnSpec spec{
      .name = arguments.front(), .arguments = arguments, .environment = environment};
  ASSIGN_OR_RETURN(const std::vector<std::string> paths, ProgramPaths(spec));
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  int error = 0;
  for (const std::string& path : paths) {  // as ExecChild
    ::execve(path.c_str(), argv.data(), envp.data());
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
      return ExplainExecFailure(spec, paths, ExecStage::kExec, errno, 0);
    }
    if (error != EACCES) error = errno;
  }
  return ExplainExecFailure(spec, paths, ExecStage::kExec, error, 0);
}

}  // namespace lockstep::process
