// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/output_pump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"

namespace lockstep::process {
namespace {

/// One read(). Larger ones gain nothing measurable, and this much leaves the caches of a core
/// alone.
constexpr size_t kReadBytes = size_t{128} << 10;
constexpr size_t kPrefixBytesMax = 128;
constexpr size_t kStderrTailBytes = size_t{64} << 10;
/// Of kernel memory that all standard output pipes may fill. Above 64 MiB a user without privileges
/// gets single-page pipes (fs.pipe-user-pages-soft), in all of their programs.
constexpr int kPipesBytesTotal = 16 << 20;
constexpr int kPipeBytesMin = 64 << 10;  // the kernel's own default
constexpr int kPipeBytesMax = 1 << 20;   // fs.pipe-max-size's default

/// Red is left to errors.
constexpr std::string_view kColors[] = {"\033[36m", "\033[32m", "\033[33m",
                                        "\033[35m", "\033[34m", "\033[96m"};
constexpr std::string_view kColorEnd = "\033[0m";

std::string Colored(const std::string& prefix, base::Rank rank) {
  if (prefix.empty()) return prefix;
  std::string colored(kColors[static_cast<size_t>(rank.value()) % std::size(kColors)]);
  return colored.append(prefix).append(kColorEnd);
}

int PipeBytes(int rank_count) {
  const int share = kPipesBytesTotal / std::max(rank_count, 1);
  const int power_of_two =
      static_cast<int>(std::bit_floor(static_cast<unsigned>(std::max(share, kPipeBytesMin))));
  return std::min(power_of_two, kPipeBytesMax);
}

/// Our end and the child's.
struct EndPair {
  base::UniqueFd ours;
  base::UniqueFd child;
};

base::Result<EndPair> MakePipe(int pipe_bytes) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return base::ErrnoStatus(errno, "make a pipe for a rank's output");
  EndPair pair{base::UniqueFd(ends[0]), base::UniqueFd(ends[1])};
  // The two ends are two open files: the child's stays blocking.
  if (::fcntl(ends[0], F_SETFL, O_RDONLY | O_NONBLOCK) != 0)
    return base::ErrnoStatus(errno, "fcntl on a pipe");
  // A smaller pipe is slower and nothing else, so a refusal is no error.
  if (pipe_bytes > kPipeBytesMin) (void)::fcntl(ends[0], F_SETPIPE_SZ, pipe_bytes);
  return pair;
}

base::Result<EndPair> MakePty() {
  EndPair pair;
  pair.ours.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  char name[64];
  if (!pair.ours.valid() || ::grantpt(pair.ours.get()) != 0 || ::unlockpt(pair.ours.get()) != 0 ||
      ::ptsname_r(pair.ours.get(), name, sizeof(name)) != 0) {
    return base::ErrnoStatus(errno,
                             "make a pty for a rank's output (limit: /proc/sys/kernel/pty/max)");
  }
  pair.child.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios settings;
  if (!pair.child.valid() || ::tcgetattr(pair.child.get(), &settings) != 0) {
    return base::ErrnoStatus(errno, std::string("open ") + name);
  }
  settings.c_oflag &=
      ~static_cast<tcflag_t>(OPOST);  // no "\n" to "\r\n": the file gets what the rank wrote
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  if (::tcsetattr(pair.child.get(), TCSANOW, &settings) != 0)
    return base::ErrnoStatus(errno, "tcsetattr on a pty");
  return pair;
}

bool IncludesConsole(OutputTarget target) {
  return target == OutputTarget::kConsole || target == OutputTarget::kBoth;
}
bool IncludesFile(OutputTarget target) {
  return target == OutputTarget::kFile || target == OutputTarget::kBoth;
}

}  // namespace

struct OutputPump::Stream {
  Stream(RankOutput& rank_output, std::string prefix)
      : output(rank_output), lines(std::move(prefix)) {}

  RankOutput& output;
  OutputLines lines;
  bool is_stderr = false;
  bool to_console = false;
  OutputWriter::TargetId console;
  bool to_file = false;
  OutputWriter::TargetId file;
  base::UniqueFd fd;  // invalid once ended
  bool paused = false;
  event::Registration watch;
  event::Registration progress_timer;
};

struct OutputPump::RankOutput {
  std::unique_ptr<Stream> streams[2];  // standard output, standard error
  std::string stderr_tail;
};

base::Result<std::unique_ptr<OutputPump>> OutputPump::Create(Options options, event::Loop& loop) {
  std::unique_ptr<OutputPump> pump(new OutputPump(std::move(options), loop));
  pump->seq_.AssertHeld();
  if (pump->options_.console != nullptr) return pump;
  ASSIGN_OR_RETURN(pump->console_out_, pump->console_->AddFd(pump->options_.stdout_fd));
  ASSIGN_OR_RETURN(pump->console_err_, pump->console_->AddFd(pump->options_.stderr_fd));
  return pump;
}

OutputPump::OutputPump(Options options, event::Loop& loop)
    : options_(std::move(options)), loop_(loop) {
  const auto resume = [this] { ResumePaused(); };
  console_ = std::make_unique<OutputWriter>(
      OutputWriter::Options{.name = "console", .queue_bytes_max = options_.queue_bytes_max},
      OutputWriter::Handlers{
          .on_failed = [this](OutputWriter::TargetId target,
                              const base::Status& why) { OnConsoleFailed(target, why); },
          .on_space = [this] { OnConsoleSpace(); }},
      loop_);
  files_ = std::make_unique<OutputWriter>(
      OutputWriter::Options{.name = "files",
                            .queue_bytes_max = options_.queue_bytes_max,
                            .files = options_.files,
                            .ledger = options_.ledger},
      OutputWriter::Handlers{.on_failed = [this](OutputWriter::TargetId,
                                                 const base::Status& why) { OnFileFailed(why); },
                             .on_space = resume,
                             .on_file_notice =
                                 [this](const FileNotice& notice) {
                                   if (options_.on_file_notice) options_.on_file_notice(notice);
                                 }},
      loop_);
}

OutputPump::~OutputPump() { seq_.AssertHeld(); }

base::Result<RankOutputFds> OutputPump::Open(const RankOutputPlan& plan) {
  seq_.AssertHeld();
  if (plan.prefix.size() > kPrefixBytesMax) {
    return base::InvalidArgumentError("prefix of rank " + plan.rank.ToString() + "'s output has " +
                                      std::to_string(plan.prefix.size()) + " bytes; the limit is " +
                                      std::to_string(kPrefixBytesMax));
  }
  if (const auto old = ranks_.find(plan.rank); old != ranks_.end()) DrainNow(*old->second);
  auto output = std::make_unique<RankOutput>();
  RankOutputFds fds;
  ASSIGN_OR_RETURN(fds.standard_output, OpenStream(plan, false, output.get()));
  ASSIGN_OR_RETURN(fds.standard_error, OpenStream(plan, true, output.get()));
  ranks_[plan.rank] = std::move(output);
  return fds;
}

base::Result<base::UniqueFd> OutputPump::OpenStream(const RankOutputPlan& plan, bool is_stderr,
                                                    RankOutput* output) {
  const StreamPlan& stream_plan = is_stderr ? plan.standard_error : plan.standard_output;
  const bool color = is_stderr ? options_.color_stderr : options_.color_stdout;
  auto stream =
      std::make_unique<Stream>(*output, color ? Colored(plan.prefix, plan.rank) : plan.prefix);
  const bool pty = plan.line_buffered && !is_stderr;
  const int pipe_bytes = is_stderr ? kPipeBytesMin : PipeBytes(options_.rank_count);
  ASSIGN_OR_RETURN(EndPair ends, pty ? MakePty() : MakePipe(pipe_bytes));
  stream->is_stderr = is_stderr;
  stream->to_console = IncludesConsole(stream_plan.target);
  stream->console = is_stderr ? console_err_ : console_out_;
  stream->to_file = IncludesFile(stream_plan.target) && !files_stopped_;
  if (stream->to_file) stream->file = files_->AddFile(stream_plan.file_path);
  stream->fd = std::move(ends.ours);
  stream->watch = loop_.Watch(stream->fd.get(), {.readable = true},
                              [this, raw = stream.get()](event::Readiness) { OnReadable(*raw); });
  output->streams[is_stderr] = std::move(stream);
  return std::move(ends.child);
}

bool OutputPump::HasRoom(const Stream& stream) const {
  const bool drops = options_.on_dropped != nullptr || options_.console != nullptr;
  const bool waits_for_console = stream.to_console && !drops;
  return !(waits_for_console && console_->full()) && !(stream.to_file && files_->full());
}

void OutputPump::Show(const Stream& stream) {
  if (DropsNow(stream)) {
    CountDropped(CountLines(lines_));
  } else {
    ToConsole(stream.is_stderr, lines_);
  }
}

void OutputPump::ToConsole(bool is_stderr, std::string_view lines) {
  if (options_.console != nullptr) {
    options_.console->Take(is_stderr, lines);
  } else {
    console_->Append(is_stderr ? console_err_ : console_out_, lines);
  }
}

bool OutputPump::DropsNow(const Stream& stream) {
  if (options_.console != nullptr) return !options_.console->HasRoom(stream.is_stderr);
  return options_.on_dropped != nullptr && console_->full();
}

void OutputPump::CountDropped(uint64_t lines) {
  if (options_.console != nullptr) {
    options_.console->CountDropped(lines);
  } else {
    dropped_lines_ += lines;
  }
}

void OutputPump::OnConsoleSpace() {
  seq_.AssertHeld();
  if (dropped_lines_ > 0) options_.on_dropped(std::exchange(dropped_lines_, 0));
  ResumePaused();
}

uint64_t OutputPump::TakeDroppedLines() {
  seq_.AssertHeld();
  return std::exchange(dropped_lines_, 0);
}

void OutputPump::OnReadable(Stream& stream) {
  seq_.AssertHeld();
  if (!HasRoom(stream)) {
    stream.paused = true;
    loop_.SetInterest(stream.watch, {});
    return;
  }
  ReadOnce(stream);
}

void OutputPump::ResumePaused() {
  seq_.AssertHeld();
  for (auto& [rank, output] : ranks_) {
    for (const auto& stream : output->streams) {
      if (!stream->paused || !HasRoom(*stream)) continue;
      stream->paused = false;
      loop_.SetInterest(stream->watch, {.readable = true});
    }
  }
}

bool OutputPump::ReadOnce(Stream& stream) {
  if (read_buffer_ == nullptr) read_buffer_ = std::make_unique_for_overwrite<char[]>(kReadBytes);
  const ssize_t count = ::read(stream.fd.get(), read_buffer_.get(), kReadBytes);
  if (count > 0) {
    Take(stream, std::string_view(read_buffer_.get(), static_cast<size_t>(count)));
    return true;
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  // End of file; a pty says it by EIO, once all that was written has been read.
  EndStream(stream);
  return false;
}

void OutputPump::Take(Stream& stream, std::string_view bytes) {
  bytes_read_total_ += bytes.size();
  if (stream.to_file) files_->Append(stream.file, bytes);
  if (stream.is_stderr) {
    std::string& tail = stream.output.stderr_tail;
    tail.append(bytes.substr(bytes.size() - std::min(bytes.size(), kStderrTailBytes)));
    // Cut at twice the size, so that each byte is moved once at most.
    if (tail.size() > 2 * kStderrTailBytes) tail.erase(0, tail.size() - kStderrTailBytes);
  }
  if (!stream.to_console) return;
  if (DropsNow(stream)) {
    CountDropped(stream.lines.Skip(bytes));
  } else {
    lines_.clear();
    stream.lines.Feed(bytes, &lines_);
    ToConsole(stream.is_stderr, lines_);
  }
  if (stream.lines.has_progress() && !stream.progress_timer.active()) {
    stream.progress_timer =
        loop_.After(options_.progress_interval, [this, &stream] { ShowProgress(stream); });
  }
}

void OutputPump::ShowProgress(Stream& stream) {
  seq_.AssertHeld();
  lines_.clear();
  stream.lines.TakeProgress(&lines_);
  Show(stream);
}

void OutputPump::EndStream(Stream& stream) {
  if (!stream.fd.valid()) return;
  stream.watch.reset();
  stream.progress_timer.reset();
  stream.paused = false;
  stream.fd.reset();
  if (stream.to_console) {
    lines_.clear();
    stream.lines.Finish(&lines_);
    Show(stream);
  }
  if (stream.to_file) files_->Remove(stream.file);
}

void OutputPump::ReadNow(base::Rank rank) {
  seq_.AssertHeld();
  const auto found = ranks_.find(rank);
  if (found == ranks_.end()) return;
  for (const auto& stream : found->second->streams) ReadWhatIsThere(*stream);
}

void OutputPump::ReadWhatIsThere(Stream& stream) {
  // A process that writes on for ever must not keep us: nobody can have written more than a
  // pipe's capacity before this moment that is not read by then.
  const uint64_t limit = bytes_read_total_ + kPipeBytesMax;
  while (stream.fd.valid() && bytes_read_total_ < limit && ReadOnce(stream)) continue;
}

void OutputPump::DrainNow(RankOutput& output) {
  seq_.AssertHeld();
  for (const auto& stream : output.streams) {
    ReadWhatIsThere(*stream);
    EndStream(*stream);
  }
}

void OutputPump::Flush(base::Duration timeout, std::function<void(base::Status)> done) {
  seq_.AssertHeld();
  LOCKSTEP_CHECK(!flushed_, "one Flush() at a time");
  flushed_ = std::move(done);
  flushes_pending_ = 2;
  const uint64_t number = ++flush_number_;
  // The files first: what becomes of them may have to be said on the console.
  files_->Flush([this, number] {
    seq_.AssertHeld();
    if (number != flush_number_) return;
    --flushes_pending_;
    console_->Flush([this, number] {
      seq_.AssertHeld();
      if (number == flush_number_ && --flushes_pending_ == 0) CheckFlushed();
    });
  });
  flush_timer_ = loop_.After(timeout, [this] { CheckFlushed(); });
}

void OutputPump::FlushFiles(std::function<void()> done) {
  seq_.AssertHeld();
  files_->Flush(std::move(done));
}

void OutputPump::CheckFlushed() {
  seq_.AssertHeld();
  ++flush_number_;
  flush_timer_.reset();
  const auto done = std::exchange(flushed_, nullptr);
  if (flushes_pending_ == 0) {
    done(base::OkStatus());
    return;
  }
  done(base::DeadlineExceededError(
      "write the ranks' output: " + std::to_string(console_->queued_bytes()) +
      " bytes for the console and " + std::to_string(files_->queued_bytes()) +
      " for files are still waiting; nobody takes them"));
}

void OutputPump::Print(std::string_view text) {
  seq_.AssertHeld();
  std::string line(text);
  if (!line.ends_with('\n')) line.push_back('\n');
  ToConsole(true, line);
}

void OutputPump::Forward(bool is_stderr, std::string_view lines, std::function<void()> written) {
  seq_.AssertHeld();
  ToConsole(is_stderr, lines);
  console_->Flush(std::move(written));
}

std::vector<std::string> OutputPump::LastStderrLines(base::Rank rank, size_t count) const {
  seq_.AssertHeld();
  std::vector<std::string> lines;
  const auto found = ranks_.find(rank);
  if (found == ranks_.end()) return lines;
  std::string_view tail = found->second->stderr_tail;
  if (tail.size() > kStderrTailBytes) tail.remove_prefix(tail.size() - kStderrTailBytes);
  if (tail.ends_with('\n')) tail.remove_suffix(1);
  while (!tail.empty() && lines.size() < count) {
    const size_t newline = tail.rfind('\n');
    const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
    lines.emplace_back(tail.substr(begin));
    tail = tail.substr(0, begin == 0 ? 0 : begin - 1);
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

void OutputPump::OnFileFailed(base::Status why) {
  seq_.AssertHeld();
  // The first full disk stops them all: half of the ranks' files would be of no use to anybody.
  files_stopped_ = true;
  for (auto& [rank, output] : ranks_) {
    for (const auto& stream : output->streams) {
      if (std::exchange(stream->to_file, false)) files_->Remove(stream->file);
    }
  }
  ResumePaused();
  Tell(Sink::kFiles, std::move(why));
}

void OutputPump::OnConsoleFailed(OutputWriter::TargetId target, base::Status why) {
  seq_.AssertHeld();
  for (auto& [rank, output] : ranks_) {
    for (const auto& stream : output->streams) {
      if (stream->to_console && stream->console == target) stream->to_console = false;
    }
  }
  ResumePaused();
  Tell(Sink::kConsole, std::move(why));
}

void OutputPump::Tell(Sink sink, base::Status why) {
  bool& told = told_[static_cast<size_t>(sink)];
  if (std::exchange(told, true) || !options_.on_trouble) return;
  options_.on_trouble(sink, std::move(why));
}

}  // namespace lockstep::process
