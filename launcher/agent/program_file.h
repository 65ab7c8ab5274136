// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_PROGRAM_FILE_H_
#define LOCKSTEP_LAUNCHER_AGENT_PROGRAM_FILE_H_

#include <string>

#include "runtime/base/result.h"
#include "runtime/topology/environment.h"

/// The file that a job's ranks execute, found before any of them is. Any thread.
namespace lockstep::launcher {

struct ProgramFile {
  std::string name;        // as the job has it
  bool is_script = false;  // an interpreter reads it: it need not be executable, and is not on PATH
};

/// Its path. `environment` has the PATH, `directory` is where ranks start. Errors: NotFound,
/// PermissionDenied - saying where was looked, and what to do.
base::Result<std::string> FindProgram(const ProgramFile& program,
                                      const topology::Environment& environment,
                                      const std::string& directory);

/// What tells it apart from other machines' files of that name: its SHA-256. "" for what is not
/// compared: programs of the system (/bin, /usr ...), which differ where packages do, folders, and
/// files of more than 256 MiB, whose reading would cost more than it tells. Blocks: reads the file.
std::string HashProgram(const std::string& path);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_PROGRAM_FILE_H_
