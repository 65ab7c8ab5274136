// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/job_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/proto/yaml_tree.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kMaxBytes = proto::YamlTree::kMaxBytes;

base::Result<std::string> ReadAtMost(int fd, const std::string& name) {
  std::string text;
  char buffer[16 * 1024];
  while (text.size() <= kMaxBytes) {
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoStatus(errno, "read " + name);
    if (count == 0) return text;
    text.append(buffer, static_cast<size_t>(count));
  }
  return base::InvalidArgumentError(name + " has more than " + std::to_string(kMaxBytes) +
                                    " bytes, the limit of a job file");
}

}  // namespace

base::Result<JobFile> ReadJobFile(const std::string& path) {
  const bool standard_input = path == "-";
  const std::string name = standard_input ? "stdin" : path;
  base::UniqueFd file;
  if (!standard_input) {
    file.reset(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) {
      // Not errno's code: NotFound is for jobs, and what is wrong here is the command line.
      const base::Status why = base::ErrnoStatus(errno, "open the job file " + path);
      return base::InvalidArgumentError(why.message());
    }
  }
  ASSIGN_OR_RETURN(std::string text, ReadAtMost(standard_input ? STDIN_FILENO : file.get(), name));
  return JobFile{name, std::move(text)};
}

}  // namespace lockstep::launcher
