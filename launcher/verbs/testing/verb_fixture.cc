// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/testing/verb_fixture.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "launcher/agent/gang_status.h"
#include "launcher/jobs/job_addresses.h"
#include "runtime/base/check.h"
#include "runtime/process/proc_scan.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {

std::string CapturedOutput::text() const {
  std::fflush(file_);
  std::string text;
  char block[4096];
  ssize_t count = 0;
  off_t offset = 0;
  while ((count = ::pread(::fileno(file_), block, sizeof(block), offset)) > 0) {
    text.append(block, static_cast<size_t>(count));
    offset += count;
  }
  return text;
}

FakeAgent::FakeAgent(const std::string& socket_path,
                     std::function<void(const proto::StopRequest&)> on_stop)
    : on_stop_(std::move(on_stop)) {
  std::atomic<bool> listens{false};
  thread_ = std::thread([this, &listens, socket_path] {
    auto loop = event::EpollLoop::Create(clock_);
    LOCKSTEP_CHECK(loop.ok(), "a loop");
    loop_ = *std::move(loop);
    const auto server = ControlServer::Create(socket_path, *this, *loop_);
    LOCKSTEP_CHECK(server.ok(), server.status().ToString().c_str());
    listens = true;
    listens.notify_one();
    loop_->Run();
  });
  listens.wait(false);
}

FakeAgent::~FakeAgent() {
  loop_->Quit();
  thread_.join();
}

void FakeAgent::Answer(const proto::ControlRequest& request, Reply reply_to) {
  proto::ControlReply answer;
  if (!refused.ok()) {
    *answer.mutable_error() = proto::ToProto(refused);
  } else if (request.kind_case() == proto::ControlRequest::kStop) {
    if (on_stop_) on_stop_(request.stop());
    *answer.mutable_stop() = stop_reply;
  } else if (request.has_stacks()) {
    answer = stacks(request.stacks());
  } else if (!then_refused.ok() && std::exchange(has_told_, true)) {
    *answer.mutable_error() = proto::ToProto(then_refused);
  } else {
    *answer.mutable_status() = StatusPage(reply, request.status().first_row());
  }
  reply_to(answer);
}

MarkedProcess::MarkedProcess(const std::string& mark) {
  std::string variable = "LOCKSTEP_MARK=" + mark;
  char* const environment[] = {variable.data(), nullptr};
  char program[] = "/bin/sleep";
  char seconds[] = "60";
  char* const arguments[] = {program, seconds, nullptr};
  const int error = ::posix_spawn(&pid_, program, nullptr, nullptr, arguments, environment);
  LOCKSTEP_CHECK(error == 0, "spawn /bin/sleep");
  // posix_spawn returns a little before exec has put the environment in its place.
  const base::RealClock clock;
  const base::SteadyTime deadline = clock.Now() + std::chrono::seconds(10);
  while (process::ReadMark(pid_) != mark) {
    LOCKSTEP_CHECK(clock.Now() < deadline, "the process has its mark");
    ::poll(nullptr, 0, 1);
  }
}

MarkedProcess::~MarkedProcess() {
  if (!Lives()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool MarkedProcess::Lives() {
  int status = 0;
  if (killed_by_ == 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) killed_by_ = WTERMSIG(status);
  return killed_by_ == 0;
}

int MarkedProcess::AwaitSignal() {
  const base::RealClock clock;
  const base::SteadyTime deadline = clock.Now() + std::chrono::seconds(10);
  while (Lives() && clock.Now() < deadline) ::poll(nullptr, 0, 1);
  return killed_by_;
}

VerbTest::VerbTest() : context_(MakeContext()) {
  const auto self = IdentifyProcess(here_, ::getpid());
  LOCKSTEP_CHECK(self.ok(), "/proc is mounted");
  self_ = *self;
}

VerbTest::~VerbTest() { std::filesystem::remove_all(folder_); }

VerbContext VerbTest::MakeContext() {
  folder_ = "/tmp/lockstep-verbs-XXXXXX";
  LOCKSTEP_CHECK(::mkdtemp(folder_.data()) != nullptr, "a folder in /tmp");
  std::filesystem::create_directory(folder_ + "/jobs");
  std::filesystem::create_directory(folder_ + "/sockets");
  return {.jobs_root = folder_ + "/jobs",
          .socket_directory = folder_ + "/sockets",
          .here = here_,
          .clock = clock_,
          .files = files_,
          .out = out_.file(),
          .err = err_.file()};
}

JobDirectory VerbTest::Make(const std::string& name, proto::JobState state) {
  auto made = JobDirectory::Create(context_.jobs_root,
                                   {.name = name, .seed = ++seed_, .state = std::move(state)},
                                   here_, files_);
  LOCKSTEP_CHECK(made.ok(), "a job directory");
  return *std::move(made);
}

JobDirectory VerbTest::MakeLiveJob(const std::string& name, proto::JobState state) {
  if (state.phase() == proto::JOB_PHASE_UNSPECIFIED) state.set_phase(proto::JOB_PHASE_RUNNING);
  *state.mutable_front() = self_;
  return Make(name, std::move(state));
}

JobDirectory VerbTest::MakeDeadJob(const std::string& name, proto::JobState state) {
  if (state.phase() == proto::JOB_PHASE_UNSPECIFIED) state.set_phase(proto::JOB_PHASE_RUNNING);
  // The pid is this process's, which is another one: a pid that was used again.
  for (proto::ProcessIdentity* process : {state.mutable_front(), state.mutable_agent()}) {
    *process = self_;
    process->set_start_ticks(1);
  }
  return Make(name, std::move(state));
}

JobDirectory VerbTest::MakeEndedJob(const std::string& name, int exit_code, proto::JobState state) {
  state.set_phase(proto::JOB_PHASE_ENDED);
  state.set_exit_code(exit_code);
  return MakeDeadJob(name, std::move(state));
}

JobEntry VerbTest::Entry(const JobDirectory& job) {
  const auto entry = OpenStore(context_).Get(job.job_id());
  LOCKSTEP_CHECK(entry.ok(), "the job is there");
  return *entry;
}

std::string VerbTest::ControlSocket(const JobDirectory& job) const {
  return ControlSocketPath(context_.socket_directory, job.job_id());
}

void VerbTest::MakeSocketFile(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX};
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  LOCKSTEP_CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, "bind");
  ::close(fd);
}

}  // namespace lockstep::launcher
