// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/program_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/net/file_hash.h"

namespace lockstep::launcher {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";
constexpr off_t kHashedBytesMax = off_t{256} << 20;

/// Where it may be. With a slash, and of scripts, that is one place.
std::vector<std::string> Candidates(const ProgramFile& program,
                                    const topology::Environment& environment,
                                    const std::string& directory) {
  const auto in = [](std::string folder, const std::string& name) {
    if (name.starts_with('/') || folder.empty()) return name;
    if (!folder.ends_with('/')) folder += '/';
    return folder + name;
  };
  if (program.is_script || program.name.find('/') != std::string::npos) {
    return {in(directory, program.name)};
  }
  std::vector<std::string> paths;
  const auto path = environment.find("PATH");
  std::string_view rest = path == environment.end() ? kDefaultPath : std::string_view(path->second);
  for (bool more = true; more;) {
    const size_t colon = rest.find(':');
    more = colon != rest.npos;
    const std::string folder(rest.substr(0, colon));
    if (more) rest.remove_prefix(colon + 1);
    // An empty folder is the current one.
    paths.push_back(in(in(directory, folder.empty() ? "." : folder), program.name));
  }
  return paths;
}

bool IsOfTheSystem(std::string_view path) {
  if (path.starts_with("/usr/local/")) return false;
  return path.starts_with("/usr/") || path.starts_with("/bin/") || path.starts_with("/sbin/");
}

}  // namespace

base::Result<std::string> FindProgram(const ProgramFile& program,
                                      const topology::Environment& environment,
                                      const std::string& directory) {
  const std::vector<std::string> paths = Candidates(program, environment, directory);
  std::string unusable;
  for (const std::string& path : paths) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) continue;
    const bool usable = program.is_script
                            ? ::access(path.c_str(), R_OK) == 0
                            : S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
    if (usable) return path;
    if (unusable.empty()) unusable = path;
  }
  if (!unusable.empty()) {
    return base::PermissionDeniedError("the program " + unusable +
                                       (program.is_script ? " cannot be read there; see its mode"
                                                          : " cannot be executed there; chmod +x"));
  }
  const std::string where =
      paths.size() == 1 ? paths.front() : program.name + " in any folder of PATH";
  return base::NotFoundError("the program is not there: no " + where +
                             "; copy it there, or let --stage do it");
}

std::string HashProgram(const std::string& path) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return "";
  if (IsOfTheSystem(path) || !S_ISREG(status.st_mode) || status.st_size > kHashedBytesMax)
    return "";
  const base::Result<std::string> hash = net::Sha256OfFile(fd.get(), path);
  return hash.ok() ? *hash : "";
}

}  // namespace lockstep::launcher
