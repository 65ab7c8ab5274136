// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/spawn_error.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/process/process_limit.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::Status;

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

std::string What(const SpawnSpec& spec) { return "start " + spec.name; }

/// The value of a variable in the child's environment; of duplicates the first, as getenv has it.
std::optional<std::string_view> Variable(const SpawnSpec& spec, std::string_view name) {
  for (const std::string_view entry : spec.environment) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return entry.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

std::string_view SearchPath(const SpawnSpec& spec) {
  return Variable(spec, "PATH").value_or(kDefaultPath);
}

/// `path` as seen from here, when it counts from the child's working directory.
std::string FromHere(const SpawnSpec& spec, const std::string& path) {
  if (path.starts_with('/') || spec.working_directory.empty()) return path;
  return spec.working_directory + "/" + path;
}

bool IsFile(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::string FirstBytes(const std::string& path) {
  char bytes[4096];
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t size = fd.valid() ? ::read(fd.get(), bytes, sizeof(bytes)) : 0;
  return std::string(bytes, size > 0 ? static_cast<size_t>(size) : 0);
}

/// "/usr/bin/python9" of "#!/usr/bin/python9 -u\n".
std::optional<std::string> ScriptInterpreter(std::string_view head) {
  if (!head.starts_with("#!")) return std::nullopt;
  head.remove_prefix(2);
  head = head.substr(0, head.find('\n'));
  const size_t begin = head.find_first_not_of(" \t");
  if (begin == head.npos) return "";
  head.remove_prefix(begin);
  return std::string(head.substr(0, head.find_first_of(" \t\r")));
}

/// The dynamic loader that a 64-bit ELF file asks for.
std::optional<std::string> ElfInterpreter(std::string_view head) {
  Elf64_Ehdr header;
  if (!head.starts_with(ELFMAG) || head.size() < sizeof(header)) return std::nullopt;
  ::memcpy(&header, head.data(), sizeof(header));
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    const size_t at = header.e_phoff + i * sizeof(segment);
    if (at > head.size() || head.size() - at < sizeof(segment)) return std::nullopt;
    ::memcpy(&segment, head.data() + at, sizeof(segment));
    if (segment.p_type != PT_INTERP) continue;
    if (segment.p_offset >= head.size()) return std::nullopt;
    return std::string(head.substr(segment.p_offset).substr(0, segment.p_filesz).data());
  }
  return std::nullopt;
}

std::string MachineName(unsigned machine) {
  switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_386: return "x86 (32 bit)";
    case EM_AARCH64: return "aarch64";
    case EM_ARM: return "arm (32 bit)";
    case EM_PPC64: return "ppc64";
    case EM_RISCV: return "riscv";
    case EM_S390: return "s390";
    default: return "ELF machine " + std::to_string(machine);
  }
}

/// Of several paths the first that leads to a file; nullopt when none does.
std::optional<std::string> FirstFile(const SpawnSpec& spec, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (IsFile(FromHere(spec, path))) return path;
  }
  return std::nullopt;
}

Status NowhereOnPath(const SpawnSpec& spec) {
  const std::string& name = spec.arguments.front();
  const bool here = IsFile(FromHere(spec, "./" + name));
  return base::NotFoundError(
      What(spec) + ": no program \"" + name + "\" on PATH (" + std::string(SearchPath(spec)) + ")" +
      (here ? "; for the file in the working directory write ./" + name : ""));
}

Status NotFound(const SpawnSpec& spec, const std::string& path) {
  const std::string seen = FromHere(spec, path);
  if (!IsFile(seen))
    return base::NotFoundError(What(spec) + ": " + seen + ": no such file (ENOENT)");
  // The file is there, so what is missing is what it asks for.
  const std::string head = FirstBytes(seen);
  if (const auto interpreter = ScriptInterpreter(head)) {
    const bool dos = head.substr(0, head.find('\n')).ends_with('\r');
    return base::NotFoundError(
        What(spec) + ": " + seen + " is a script for the interpreter \"" + *interpreter +
        "\", which does not exist (ENOENT)" +
        (dos ? "; its first line ends in a carriage return: save it with Unix line ends"
             : "; install it or correct the script's first line"));
  }
  if (const auto loader = ElfInterpreter(head)) {
    return base::NotFoundError(
        What(spec) + ": " + seen + " needs the dynamic loader " + *loader +
        ", which does not exist (ENOENT); the program was built for another system");
  }
  return base::NotFoundError(What(spec) + ": " + seen +
                             ": its interpreter does not exist (ENOENT)");
}

Status NotPermitted(const SpawnSpec& spec, const std::string& path) {
  const std::string seen = FromHere(spec, path);
  const std::string what = What(spec) + ": " + seen;
  struct stat info;
  if (::stat(seen.c_str(), &info) != 0) {
    return base::PermissionDeniedError(what + ": a folder on its path may not be entered (EACCES)");
  }
  if (S_ISDIR(info.st_mode))
    return base::PermissionDeniedError(what + " is a folder, not a program (EACCES)");
  struct statvfs mount;
  if (::statvfs(seen.c_str(), &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0) {
    return base::PermissionDeniedError(what + " lies on a file system mounted noexec (EACCES)");
  }
  if (::access(seen.c_str(), X_OK) != 0) {
    return base::PermissionDeniedError(what + " is not executable (EACCES); try: chmod +x " + seen);
  }
  if (const auto interpreter = ScriptInterpreter(FirstBytes(seen))) {
    return base::PermissionDeniedError(what + ": its interpreter \"" + *interpreter +
                                       "\" is not executable (EACCES)");
  }
  return base::PermissionDeniedError(what + ": Permission denied (EACCES)");
}

Status NotAProgram(const SpawnSpec& spec, const std::string& path) {
  const std::string seen = FromHere(spec, path);
  const std::string head = FirstBytes(seen);
  if (head.starts_with(ELFMAG) && head.size() > offsetof(Elf64_Ehdr, e_version)) {
    Elf64_Half machine = 0;
    ::memcpy(&machine, head.data() + offsetof(Elf64_Ehdr, e_machine), sizeof(machine));
    return base::InvalidArgumentError(What(spec) + ": " + seen + " was built for " +
                                      MachineName(machine) + ", this machine is " +
                                      MachineName(EM_X86_64) + " (ENOEXEC)");
  }
  return base::InvalidArgumentError(
      What(spec) + ": " + seen +
      " is not a program (ENOEXEC); a script needs a first line such as #!/bin/sh");
}

Status TooLong(const SpawnSpec& spec, const std::string& path) {
  size_t bytes = 0;
  for (const std::string& argument : spec.arguments) bytes += argument.size() + 1;
  for (const std::string& entry : spec.environment) bytes += entry.size() + 1;
  return base::ResourceExhaustedError(
      What(spec) + ": " + path + ": arguments and environment of " + std::to_string(bytes) +
      " bytes are too long (E2BIG); the limit is " + std::to_string(::sysconf(_SC_ARG_MAX)) +
      " bytes in all and 131072 for each: pass them in a file, or ulimit -s unlimited");
}

Status ExplainExec(const SpawnSpec& spec, const std::vector<std::string>& paths, int error) {
  const std::optional<std::string> file = FirstFile(spec, paths);
  if (!file && error == ENOENT && spec.arguments.front().find('/') == std::string::npos)
    return NowhereOnPath(spec);
  const std::string path = file.value_or(paths.front());
  switch (error) {
    case ENOENT:
    case ENOTDIR: return NotFound(spec, path);
    case EACCES: return NotPermitted(spec, path);
    case ENOEXEC: return NotAProgram(spec, path);
    case E2BIG: return TooLong(spec, path);
    default: return base::ErrnoStatus(error, What(spec) + ": execve " + path);
  }
}

Status ExplainDescriptor(const SpawnSpec& spec, int descriptor, int error) {
  // A number beyond the limit is no bad descriptor to dup3 and an invalid one to F_DUPFD.
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const bool beyond = error == EBADF && static_cast<rlim_t>(descriptor) >= limit.rlim_cur;
  return base::ErrnoStatus(beyond || error == EINVAL ? EMFILE : error,
                           What(spec) + ": give it descriptor " + std::to_string(descriptor));
}

}  // namespace

base::Result<std::vector<std::string>> ProgramPaths(const SpawnSpec& spec) {
  const std::string& name = spec.arguments.front();
  if (name.empty()) return base::InvalidArgumentError(What(spec) + ": the program's name is empty");
  if (name.find('/') != name.npos) return std::vector<std::string>{name};
  std::vector<std::string> paths;
  const std::string_view folders = SearchPath(spec);
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string folder(folders.substr(begin, end - begin));
    paths.push_back((folder.empty() ? "." : folder) + "/" +
                    name);  // an empty folder is the current one
    begin = end + 1;
  }
  return paths;
}

Status ExplainExecFailure(const SpawnSpec& spec, const std::vector<std::string>& paths,
                          ExecStage stage, int error, int subject) {
  switch (stage) {
    case ExecStage::kStarting:
    case ExecStage::kParentGone:
      return base::CancelledError(What(spec) + ": its parent died meanwhile");
    case ExecStage::kSession: return base::ErrnoStatus(error, What(spec) + ": setsid");
    case ExecStage::kCgroup: return base::ErrnoStatus(error, What(spec) + ": join its cgroup");
    case ExecStage::kTerminal:
      return base::ErrnoStatus(error, What(spec) + ": make the pty its controlling terminal");
    case ExecStage::kDescriptors: return ExplainDescriptor(spec, subject, error);
    case ExecStage::kLimits:
      return base::ErrnoStatus(error, What(spec) + ": set resource limit " +
                                          std::to_string(subject) +
                                          " (a limit above the hard one needs root)");
    case ExecStage::kWorkingDirectory:
      return base::ErrnoStatus(
          error, What(spec) + ": enter its working directory " + spec.working_directory);
    case ExecStage::kExec: return ExplainExec(spec, paths, error);
  }
  return base::InternalError(What(spec) + ": failed at an unknown stage");
}

Status ExplainCloneFailure(const SpawnSpec& spec, int error) {
  if (error == EAGAIN) return ProcessLimitError(What(spec));
  return base::ErrnoStatus(error, What(spec) + ": clone");
}

}  // namespace lockstep::process
