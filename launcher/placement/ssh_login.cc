// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/ssh_login.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kPieceBytes = size_t{128} << 10;  // of a file; there are at most 32 at a time
constexpr int kReadsPerTurn = 16;                  // so that a flood does not hold the loop up

struct Pipe {
  base::UniqueFd read_end;
  base::UniqueFd write_end;
};

base::Result<Pipe> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "make a pipe for ssh");
  return Pipe{base::UniqueFd(ends[0]), base::UniqueFd(ends[1])};
}

void SetNonBlocking(const base::UniqueFd& fd) {
  // F_SETFL on a pipe of our own does not fail.
  (void)::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

}  // namespace

base::Result<std::unique_ptr<SshLogin>> SshLogin::Start(Config config, Handlers handlers,
                                                        Deps deps) {
  ASSIGN_OR_RETURN(Pipe in, MakePipe());
  ASSIGN_OR_RETURN(Pipe out, MakePipe());
  ASSIGN_OR_RETURN(Pipe err, MakePipe());
  std::unique_ptr<SshLogin> login(new SshLogin(std::move(handlers), deps.loop));
  process::SpawnSpec spawn;
  spawn.name = std::move(config.name);
  spawn.arguments = std::move(config.arguments);
  spawn.environment = std::move(config.environment);
  spawn.fds = {{in.read_end.get(), STDIN_FILENO},
               {out.write_end.get(), STDOUT_FILENO},
               {err.write_end.get(), STDERR_FILENO}};
  ASSIGN_OR_RETURN(
      login->process_,
      deps.processes.Spawn(std::move(spawn), [self = login.get()](const process::Exit& exit) {
        self->OnExited(exit);
      }));
  login->input_ = std::move(in.write_end);
  login->out_.fd = std::move(out.read_end);
  login->err_.fd = std::move(err.read_end);
  login->WatchAll();
  return login;
}

void SshLogin::WatchAll() {
  SetNonBlocking(input_);
  SetNonBlocking(out_.fd);
  SetNonBlocking(err_.fd);
  input_watch_ = loop_.Watch(input_.get(), {}, [this](event::Readiness) { Flush(); });
  out_.watch = loop_.Watch(out_.fd.get(), {.readable = true},
                           [this](event::Readiness) { Read(out_, handlers_.on_line); });
  err_.watch = loop_.Watch(err_.fd.get(), {.readable = true},
                           [this](event::Readiness) { Read(err_, handlers_.on_error_line); });
}

// ----------------------------------------------------------------------------------------- writing

void SshLogin::Write(std::string bytes) {
  queued_ += bytes;
  ::explicit_bzero(bytes.data(), bytes.size());
  Flush();
}

void SshLogin::WriteFile(int fd, uint64_t bytes) {
  file_ = fd;
  file_at_ = 0;
  file_left_ = bytes;
  Flush();
}

void SshLogin::CloseInput() {
  close_input_ = true;
  Flush();
}

void SshLogin::Flush() {
  if (!input_.valid()) return;
  while (!queued_.empty() || FillFromFile()) {
    const ssize_t written = ::write(input_.get(), queued_.data(), queued_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      return loop_.SetInterest(input_watch_, {.writable = true});
    }
    if (written < 0) return EndInput();  // ssh is gone, and its end comes by itself
    ::explicit_bzero(queued_.data(), static_cast<size_t>(written));  // keys are among it
    queued_.erase(0, static_cast<size_t>(written));
    taken_bytes_ += static_cast<uint64_t>(written);
  }
  if (close_input_) return EndInput();
  loop_.SetInterest(input_watch_, {});
}

bool SshLogin::FillFromFile() {
  if (file_left_ == 0) return false;
  queued_.resize(std::min<uint64_t>(file_left_, kPieceBytes));
  ssize_t count = 0;
  do {
    count = ::pread(file_, queued_.data(), queued_.size(), file_at_);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) {
    queued_.clear();
    file_left_ = 0;
    close_input_ = true;
    return false;
  }
  queued_.resize(static_cast<size_t>(count));
  file_at_ += count;
  file_left_ -= static_cast<uint64_t>(count);
  return true;
}

void SshLogin::EndInput() {
  ::explicit_bzero(queued_.data(), queued_.size());
  queued_.clear();
  file_left_ = 0;
  input_watch_.reset();
  input_.reset();
}

// ----------------------------------------------------------------------------------------- reading

void SshLogin::Read(LineReader& reader, const std::function<void(std::string_view)>& tell) {
  for (int turn = 0; turn < kReadsPerTurn; ++turn) {
    char bytes[4096];
    const ssize_t count = ::read(reader.fd.get(), bytes, sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return reader.watch.reset();
    for (const char byte : std::string_view(bytes, static_cast<size_t>(count))) {
      if (byte == '\n') {
        tell(std::exchange(reader.line, {}));
      } else if (byte != '\r' && reader.line.size() < kLineBytesMax) {
        reader.line += byte;
      }
    }
  }
}

void SshLogin::OnExited(const process::Exit& exit) {
  EndInput();
  // What it had written is in the pipes; a child that it left may hold them open for longer.
  Read(out_, handlers_.on_line);
  Read(err_, handlers_.on_error_line);
  out_.watch.reset();
  err_.watch.reset();
  if (!out_.line.empty()) handlers_.on_line(std::exchange(out_.line, {}));
  if (!err_.line.empty()) handlers_.on_error_line(std::exchange(err_.line, {}));
  handlers_.on_ended(exit);
}

}  // namespace lockstep::launcher
