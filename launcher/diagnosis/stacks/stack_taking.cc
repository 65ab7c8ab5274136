// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/stack_taking.h"

#include <errno.h>
#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <string_view>
#include <utility>

#include "launcher/diagnosis/stacks/python_stacks.h"
#include "launcher/diagnosis/stacks/rank_program.h"
#include "launcher/diagnosis/stacks/thread_looks.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kOutputBytesMax = size_t{8} << 20;  // of one process
constexpr size_t kThreadsMax = 64;
constexpr rlim_t kPySpySpace = rlim_t{8} << 30;
// What starting it and printing take of the time that there is.
constexpr std::chrono::milliseconds kOverhead{300};
constexpr std::chrono::milliseconds kLeastTime{50};

std::string LinkTarget(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<size_t>(length)) : "";
}

bool RunsPython(pid_t pid) {
  const std::string program = LinkTarget("/proc/" + std::to_string(pid) + "/exe");
  return std::string_view(program).substr(program.rfind('/') + 1).starts_with("python");
}

bool IsProgram(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

}  // namespace

StackTools FindStackTools(const std::string& path_variable) {
  StackTools tools;
  const std::string self = LinkTarget("/proc/self/exe");
  tools.helper_folder = self.substr(0, self.rfind('/'));
  const std::string helper = tools.helper_folder + "/lockstep-stacks";
  if (IsProgram(helper)) tools.helper = helper;
  std::string_view rest = path_variable;
  while (!rest.empty() && tools.py_spy.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    const std::string candidate = std::string(rest.substr(0, end)) + "/py-spy";
    if (end > 0 && IsProgram(candidate)) tools.py_spy = candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return tools;
}

/// One process and what it has printed.
struct StackTaking::Run {
  process::SpawnSpec spec;
  Subject* python_of = nullptr;  // null: a helper
  base::UniqueFd output;
  base::UniqueFd child_end;
  event::Registration watch;
  std::string text;  // of a helper what is no whole line yet
  size_t bytes = 0;
  std::unique_ptr<process::Process> process;
  bool is_at_end = false;

  void Stop() {
    watch.reset();
    is_at_end = true;
  }
};

StackTaking::StackTaking(const Config& config, Deps deps, const std::vector<Target>& targets,
                         Done done)
    : config_(config), deps_(deps), done_(std::move(done)) {
  for (const Target& target : targets) {
    Subject& subject = subjects_.emplace_back(Subject{.target = target});
    subject.pid = ProgramOf(target.pid);
    subject.is_python = RunsPython(subject.pid);
  }
  Start();
  timer_ = deps_.loop.After(config_.limit, [this] { Finish(); });
  CheckAllDone();
}

StackTaking::~StackTaking() = default;

// ------------------------------------------------------------------------------------- starting

void StackTaking::AddHelpers(std::vector<std::unique_ptr<Run>>& runs) const {
  if (config_.tools.helper.empty() || subjects_.empty()) return;
  const size_t helpers = std::min(kHelpersMax, subjects_.size());
  const size_t each = (subjects_.size() + helpers - 1) / helpers;
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(config_.limit);
  const auto time = std::max((limit - kOverhead) / static_cast<int64_t>(each), kLeastTime);
  for (size_t i = 0; i < helpers; ++i) {
    auto run = std::make_unique<Run>();
    run->spec.name = "stacks-" + std::to_string(i);
    run->spec.arguments = {config_.tools.helper, "--time-ms=" + std::to_string(time.count()),
                           "--threads=" + std::to_string(kThreadsMax)};
    for (size_t k = i; k < subjects_.size(); k += helpers)
      run->spec.arguments.push_back(std::to_string(subjects_[k].pid));
    runs.push_back(std::move(run));
  }
}

void StackTaking::AddPySpies(std::vector<std::unique_ptr<Run>>& runs) {
  size_t asked = 0;
  for (Subject& subject : subjects_) {
    if (!subject.is_python) continue;
    if (config_.tools.py_spy.empty()) {
      subject.python_problem =
          "py-spy is not on PATH: where it is in Python is not known "
          "(pip install py-spy)";
    } else if (++asked > kPythonMax) {
      subject.python_problem = "py-spy is asked about " + std::to_string(kPythonMax) +
                               " ranks at a time; name this one by --rank";
    } else {
      auto run = std::make_unique<Run>();
      run->spec.name = "py-spy-" + std::to_string(asked);
      // Without holding it: lockstep-stacks may do that now.
      run->spec.arguments = {config_.tools.py_spy, "dump",  "--json",
                             "--nonblocking",      "--pid", std::to_string(subject.pid)};
      run->spec.limits = {{RLIMIT_AS, {kPySpySpace, kPySpySpace}}};
      run->python_of = &subject;
      runs.push_back(std::move(run));
    }
  }
}

void StackTaking::Start() {
  AddHelpers(runs_);
  AddPySpies(runs_);
  std::vector<process::SpawnRequest> requests;
  for (const std::unique_ptr<Run>& run : runs_) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
      run->output.reset(ends[0]);
      run->child_end.reset(ends[1]);
      // The child's own, which it expects to wait when it is full.
      ::fcntl(ends[1], F_SETFL, O_WRONLY);
      run->spec.fds = {{ends[1], STDOUT_FILENO}};
    }
    run->spec.environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"};
    run->spec.limits.push_back({RLIMIT_CORE, {0, 0}});
    requests.push_back({run->spec, [](const process::Exit&) {}});
  }
  if (requests.empty()) return;
  std::vector<process::SpawnResult> spawned = deps_.processes.SpawnAll(std::move(requests));
  for (size_t i = 0; i < runs_.size(); ++i) {
    Run& run = *runs_[i];
    run.child_end.reset();
    if (!spawned[i].ok() || !run.output.valid()) {
      run.is_at_end = true;
      continue;
    }
    run.process = *std::move(spawned[i]);
    run.watch = deps_.loop.Watch(run.output.get(), {.readable = true},
                                 [this, &run](event::Readiness) { OnReadable(run); });
  }
}

// -------------------------------------------------------------------------------------- reading

void StackTaking::OnReadable(Run& run) {
  char bytes[65536];
  const ssize_t size = ::read(run.output.get(), bytes, sizeof bytes);
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (size > 0) {
    run.bytes += static_cast<size_t>(size);
    run.text.append(bytes, static_cast<size_t>(size));
  }
  if (run.python_of == nullptr) {
    size_t begin = 0;
    for (size_t end = 0; (end = run.text.find('\n', begin)) != run.text.npos; begin = end + 1)
      OnLine(run.text.substr(begin, end - begin));
    run.text.erase(0, begin);
  }
  // A rank's names cannot make that much of it; whatever it is, it is not kept.
  if (size > 0 && run.bytes <= kOutputBytesMax) return;
  run.Stop();
  if (run.python_of != nullptr) {
    auto threads = ParsePySpy(run.text);
    if (threads.ok()) run.python_of->python = *std::move(threads);
  }
  CheckAllDone();
}

void StackTaking::OnLine(const std::string& line) {
  proto::ProcessStacks seen;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  if (!google::protobuf::util::JsonStringToMessage(line, &seen, options).ok()) return;
  for (Subject& subject : subjects_) {
    if (subject.pid == seen.pid()) subject.seen = seen;
  }
}

void StackTaking::CheckAllDone() {
  const bool all = std::all_of(runs_.begin(), runs_.end(),
                               [](const std::unique_ptr<Run>& run) { return run->is_at_end; });
  if (all && !finish_.active()) finish_ = deps_.loop.After(base::Duration(0), [this] { Finish(); });
}

// ---------------------------------------------------------------------------------------- telling

proto::RankStacks StackTaking::Told(Subject& subject) const {
  proto::RankStacks told;
  told.set_rank(subject.target.rank.value());
  if (!subject.seen.has_value()) subject.seen = LookAtThreads(subject.pid, kThreadsMax);
  if (!subject.seen.has_value()) return told;
  proto::ProcessStacks& process = *told.mutable_process();
  process = *std::move(subject.seen);
  const bool has_frames = std::any_of(
      process.threads().begin(), process.threads().end(), [](const proto::ThreadStack& thread) {
        return thread.frames_size() > 0 || !thread.problem().empty();
      });
  if (!has_frames && process.problems_size() == 0) {
    process.add_problems(config_.tools.helper.empty()
                             ? "lockstep-stacks is not in " + config_.tools.helper_folder +
                                   ", so frames are not known; put it there, beside lockstep"
                             : "frames are not known: lockstep-stacks did not read them within " +
                                   base::FormatDuration(config_.limit));
  }
  if (subject.is_python && subject.python.empty() && subject.python_problem.empty())
    subject.python_problem = "py-spy told nothing of it: where it is in Python is not known";
  if (!subject.python_problem.empty()) process.add_problems(subject.python_problem);
  for (proto::ThreadStack& thread : subject.python) *process.add_python() = std::move(thread);
  return told;
}

void StackTaking::Finish() {
  timer_.reset();
  finish_.reset();
  std::vector<proto::RankStacks> ranks;
  for (Subject& subject : subjects_) {
    proto::RankStacks told = Told(subject);
    if (told.has_process()) ranks.push_back(std::move(told));
  }
  runs_.clear();  // ends what still runs
  const Done done = std::move(done_);
  done(std::move(ranks));
}

}  // namespace lockstep::launcher
