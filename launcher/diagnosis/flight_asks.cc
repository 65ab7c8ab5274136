// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/flight_asks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "collectives/diagnosis/imports/flight_dump_file.h"
#include "runtime/base/detached_thread.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

constexpr base::Duration kLookEvery = std::chrono::milliseconds(50);

/// What tells one writing of a file from the one before.
struct Writing {
  dev_t device = 0;
  ino_t inode = 0;
  off_t bytes = 0;
  timespec changed{};

  bool operator==(const Writing& other) const {
    return device == other.device && inode == other.inode && bytes == other.bytes &&
           changed.tv_sec == other.changed.tv_sec && changed.tv_nsec == other.changed.tv_nsec;
  }
};

/// nullopt: there is no such file.
std::optional<Writing> LastWriting(const std::string& path) {
  struct stat file{};
  if (::lstat(path.c_str(), &file) != 0) return std::nullopt;
  return Writing{file.st_dev, file.st_ino, file.st_size, file.st_mtim};
}

base::Status WriteToPipe(const std::string& path) {
  // A pipe that nobody reads would hold up whoever opens it.
  const base::UniqueFd pipe(
      ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY));
  if (!pipe.valid()) {
    if (errno == ENXIO) {
      return base::UnavailableError("asking torch at " + path +
                                    ": nobody reads it; its process group is gone");
    }
    if (errno == ELOOP) {
      return base::FailedPreconditionError("asking torch at " + path +
                                           ": it is a symbolic link, and not the pipe that "
                                           "torch makes");
    }
    return base::ErrnoStatus(errno, "asking torch at " + path);
  }
  struct stat what{};
  if (::fstat(pipe.get(), &what) != 0) return base::ErrnoStatus(errno, "asking torch at " + path);
  if (!S_ISFIFO(what.st_mode)) {
    return base::FailedPreconditionError("asking torch at " + path + ": it is no named pipe");
  }
  if (what.st_uid != ::geteuid()) {
    return base::FailedPreconditionError("asking torch at " + path + ": it is user " +
                                         std::to_string(what.st_uid) + "'s");
  }
  // What it is does not matter. Where the pipe is full torch has been asked, and has not looked.
  const ssize_t written = TEMP_FAILURE_RETRY(::write(pipe.get(), "1\n", 2));
  if (written < 0 && errno != EAGAIN) return base::ErrnoStatus(errno, "asking torch at " + path);
  return base::OkStatus();
}

base::Result<std::string> ReadWhole(const std::string& path) {
  const base::UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  struct stat what{};
  if (!file.valid() || ::fstat(file.get(), &what) != 0)
    return base::ErrnoStatus(errno, "reading torch's dump " + path);
  if (!S_ISREG(what.st_mode))
    return base::FailedPreconditionError("reading torch's dump " + path + ": it is no file");
  if (what.st_uid != ::geteuid()) {
    return base::FailedPreconditionError("reading torch's dump " + path + ": it is user " +
                                         std::to_string(what.st_uid) + "'s");
  }
  std::string bytes;
  std::string chunk(size_t{64} << 10, '\0');
  while (true) {
    const ssize_t count = TEMP_FAILURE_RETRY(::read(file.get(), chunk.data(), chunk.size()));
    if (count < 0) return base::ErrnoStatus(errno, "reading torch's dump " + path);
    if (count == 0) return bytes;
    bytes.append(chunk, 0, static_cast<size_t>(count));
    if (bytes.size() > kFlightDumpBytesMax) {
      return base::OutOfRangeError("reading torch's dump " + path + ": it has over " +
                                   std::to_string(kFlightDumpBytesMax >> 20) +
                                   " MiB; a smaller TORCH_FR_BUFFER_SIZE makes it shorter");
    }
  }
}

/// One that has been asked.
struct Awaited {
  size_t at = 0;                  // in the answers
  std::optional<Writing> before;  // of its dump, before it was asked
  std::optional<Writing> seen;    // that was read and was not whole
  base::Status why;               // it was not
};

/// Whether there is nothing more to wait for.
bool HasAnswered(const FlightAsk& ask, Awaited& awaited, FlightAnswer& answer) {
  const auto writing = LastWriting(ask.files.dump);
  if (!writing.has_value() || writing == awaited.before || writing == awaited.seen) return false;
  auto bytes = ReadWhole(ask.files.dump);
  if (!bytes.ok()) {
    answer.status = bytes.status();
    return true;
  }
  auto dump = collectives::ReadFlightDumpFile(ask.files.dump, *bytes);
  if (!dump.ok()) {
    awaited.seen = writing;
    awaited.why = dump.status();
    return false;
  }
  answer.status = base::OkStatus();
  answer.dump = *std::move(dump);
  answer.bytes = *std::move(bytes);
  return true;
}

base::Status NotInTime(const FlightAsk& ask, const Awaited& awaited, base::Duration limit) {
  const std::string in_time = " in " + base::FormatDuration(limit);
  if (!awaited.why.ok()) {
    return base::DataLossError("torch was asked, and has written no whole dump" + in_time + ": " +
                               awaited.why.message());
  }
  return base::DeadlineExceededError("torch was asked, and has not written its dump " +
                                     ask.files.dump + in_time);
}

}  // namespace

FlightAnswers AskFlights(const std::vector<FlightAsk>& ranks, base::Duration limit,
                         const std::function<bool(base::Duration)>& pause) {
  FlightAnswers answers;
  answers.asked_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  const auto deadline = std::chrono::steady_clock::now() + limit;
  std::vector<Awaited> awaited;
  for (const FlightAsk& ask : ranks) {
    Awaited one{.at = answers.ranks.size(), .before = LastWriting(ask.files.dump), .seen = {}};
    answers.ranks.push_back({.rank = ask.rank, .status = WriteToPipe(ask.files.pipe)});
    if (answers.ranks.back().status.ok()) awaited.push_back(std::move(one));
  }
  const auto is_over = [deadline] { return std::chrono::steady_clock::now() >= deadline; };
  while (true) {
    std::erase_if(awaited, [&](Awaited& one) {
      return !is_over() && HasAnswered(ranks[one.at], one, answers.ranks[one.at]);
    });
    if (awaited.empty() || is_over() || !pause(kLookEvery)) break;
  }
  for (const Awaited& one : awaited)
    answers.ranks[one.at].status = NotInTime(ranks[one.at], one, limit);
  return answers;
}

struct FlightAsks::Shared {
  Shared(event::Loop& the_loop, FlightAsks& the_asks, base::Duration the_limit, Asker the_asker)
      : limit(the_limit), asker(std::move(the_asker)), loop(&the_loop), asks(&the_asks) {}
  void Run(const std::shared_ptr<Shared>& self);

  const base::Duration limit;
  const Asker asker;
  std::mutex mutex;
  std::condition_variable wake;
  event::Loop* loop;  // guarded by mutex, as what follows `asks`; null once it is over
  FlightAsks* asks;   // of the loop's thread; null once it is gone
  std::optional<std::vector<FlightAsk>> question;
  uint64_t number = 0;   // of the last question
  bool is_busy = false;  // with one of them
};

void FlightAsks::Shared::Run(const std::shared_ptr<Shared>& self) {
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return loop == nullptr || question.has_value(); });
    if (loop == nullptr) return;
    const std::vector<FlightAsk> ranks = *std::exchange(question, std::nullopt);
    lock.unlock();
    const auto answers =
        std::make_shared<FlightAnswers>(asker(ranks, limit, [this](base::Duration time) {
          std::unique_lock waiting(mutex);
          return !wake.wait_for(waiting, time, [this] { return loop == nullptr; });
        }));
    lock.lock();
    is_busy = false;
    if (loop == nullptr) return;
    loop->Post([shared = self, answers, of = number] {
      // It may have been given up, and another one be asked since.
      if (shared->asks == nullptr || shared->asks->question_ != of) return;
      shared->asks->Answer(std::move(*answers));
    });
  }
}

FlightAsks::FlightAsks(event::Loop& loop, base::Duration limit, Asker asker)
    : loop_(loop),
      limit_(limit),
      shared_(std::make_shared<Shared>(loop, *this, limit * 4 / 5, std::move(asker))) {}

FlightAsks::~FlightAsks() {
  seq_.AssertHeld();
  std::lock_guard lock(shared_->mutex);
  shared_->loop = nullptr;
  shared_->asks = nullptr;
  shared_->wake.notify_one();
}

void FlightAsks::Ask(std::vector<FlightAsk> ranks, std::function<void(FlightAnswers)> done) {
  seq_.AssertHeld();
  done_ = std::move(done);
  asked_ = ranks;
  ++question_;
  FlightAnswers none;
  if (!EnsureThread()) {
    none =
        None(base::ResourceExhaustedError("no thread could be made that asks torch (ulimit -u)"));
  } else if (HandOver(std::move(ranks))) {
    deadline_ = loop_.After(limit_, [this] { GiveUp(); });
    return;
  } else {
    const base::Status why = base::UnavailableError(
        "torch was not asked: the reading of its dumps for an earlier question still hangs");
    none = None(why);
    none.hangs = why;
  }
  loop_.Post([shared = shared_, of = question_, none = std::move(none)]() mutable {
    if (shared->asks != nullptr && shared->asks->question_ == of)
      shared->asks->Answer(std::move(none));
  });
}

bool FlightAsks::HandOver(std::vector<FlightAsk> ranks) {
  std::lock_guard lock(shared_->mutex);
  if (std::exchange(shared_->is_busy, true)) return false;
  shared_->question = std::move(ranks);
  shared_->number = question_;
  shared_->wake.notify_one();
  return true;
}

void FlightAsks::GiveUp() {
  const std::string what = asked_.empty() ? "" : ", as " + asked_.front().files.dump + ",";
  const base::Status why =
      base::DeadlineExceededError("reading what torch dumps" + what + " has not ended in " +
                                  base::FormatDuration(limit_) + ": its file system may hang");
  FlightAnswers none = None(why);
  none.hangs = why;
  Answer(std::move(none));
}

void FlightAsks::Answer(FlightAnswers answers) {
  if (done_ == nullptr) return;  // it was given up
  deadline_.reset();
  std::exchange(done_, nullptr)(std::move(answers));
}

FlightAnswers FlightAsks::None(const base::Status& why) const {
  FlightAnswers answers;
  for (const FlightAsk& ask : asked_) answers.ranks.push_back({.rank = ask.rank, .status = why});
  return answers;
}

bool FlightAsks::EnsureThread() {
  // Who hangs in a file system cannot be called back.
  if (!has_thread_) {
    has_thread_ =
        base::StartDetachedThread("torch-asker", [shared = shared_] { shared->Run(shared); });
  }
  return has_thread_;
}

}  // namespace lockstep::launcher
