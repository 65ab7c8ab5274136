// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_OUTPUT_PUMP_H_
#define LOCKSTEP_RUNTIME_PROCESS_OUTPUT_PUMP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/console_sink.h"
#include "runtime/process/file_limits.h"
#include "runtime/process/output_lines.h"
#include "runtime/process/output_writer.h"
#include "runtime/process/rotation_ledger.h"

namespace lockstep::process {

/// Where the bytes of one stream go.
enum class OutputTarget : uint8_t { kNone, kConsole, kFile, kBoth };

/// What becomes of one of a rank's streams.
struct StreamPlan {
  OutputTarget target = OutputTarget::kConsole;
  // For kFile and kBoth; made at the first byte, so that a silent stream leaves no file.
  std::string file_path;
};

/// What becomes of a rank's output.
struct RankOutputPlan {
  base::Rank rank;
  std::string prefix;  // before each line on the console: "[3] "; at most 128 bytes
  StreamPlan standard_output;
  StreamPlan standard_error;
  /// Standard output is a pty, so that the C library flushes each line; for programs that cannot be
  /// told to.
  bool line_buffered = false;
};

/// The child's ends: for SpawnSpec::fds, to be closed when the child has them.
struct RankOutputFds {
  base::UniqueFd standard_output;
  base::UniqueFd standard_error;
};

/// Captures what ranks write: whole lines with a prefix to the console (standard output to ours,
/// standard error to ours), every byte without prefix to the rank's files. One per agent, owned by
/// it; lives through all rounds.
///
///   rank --pipe--> loop thread: lines --queue--> thread "console" --> our stdout, stderr
///                                     \--queue--> thread "files"  --> per-rank files
///
/// Promises:
/// - A line on the console is never torn by another rank's. What a line is: see OutputLines
///   (progress bars, long lines).
/// - Every byte that a rank has written arrives, also when it was SIGKILLed: pipes are read to
///   their end, or, when some process still holds one, until the rank is opened again and then
///   until it is empty.
/// - A slow console or disk pauses reading, so ranks wait in write(); the loop never does. With
///   Options::on_dropped a slow console costs lines instead, which are counted, and so does one
///   that is an Options::console. Queues are bounded.
/// - A console that is gone, or a full disk, is told once to on_trouble; output goes on where it
///   can.
///
/// Confined to the loop's thread; callbacks run there, never inside a call, and none after
/// destruction. The process ignores nothing for it: its threads block SIGPIPE for themselves.
class OutputPump {
 public:
  enum class Sink : uint8_t { kConsole, kFiles };

  struct Options {
    int rank_count = 1;  // expected at a time: pipes share 16 MiB, each 64 KiB to 1 MiB
    int stdout_fd = 1;   // ours; duplicated, flags untouched (others share the open file)
    int stderr_fd = 2;
    /// Where lines go instead, when set: the two above are not used, nobody waits for the console,
    /// and there is no thread for it. Outlives the pump.
    ConsoleSink* console = nullptr;
    bool color_stdout = false;  // color the prefixes: the caller knows about terminals and NO_COLOR
    bool color_stderr = false;
    /// At most one progress line a stream in this time.
    base::Duration progress_interval = std::chrono::seconds(1);
    /// Of each of the two queues; exceeded by one read at most.
    size_t queue_bytes_max = size_t{4} << 20;
    /// When set, lines that find the console's queue full are not shown, whole ones, and nobody
    /// waits for the console. Told how many those were when it has room again; the last of them are
    /// for TakeDroppedLines().
    std::function<void(uint64_t lines)> on_dropped;
    /// How much is kept in files; each round's are in a folder of their own.
    FileLimits files;
    /// Of their rotations, for those who read them by the streams' offsets. May be null. Shared
    /// with the thread that writes them, which may be left behind.
    std::shared_ptr<RotationLedger> ledger;
    /// What was lost and why; once per sink. May be null.
    std::function<void(Sink, base::Status)> on_trouble;
    /// What became of files because of their limits (OutputWriter::Handlers). May be null.
    std::function<void(const FileNotice&)> on_file_notice;
  };

  /// Errors: ResourceExhausted - descriptor limit; InvalidArgument - stdout_fd or stderr_fd is not
  /// open.
  static base::Result<std::unique_ptr<OutputPump>> Create(Options options, event::Loop& loop);
  /// Drops what is queued: Flush() first. Waits at most 100 ms for a write that is under way.
  ~OutputPump();
  OutputPump(const OutputPump&) = delete;
  OutputPump& operator=(const OutputPump&) = delete;

  /// Opens a rank's streams. If those of its last incarnation are still open, they are drained of
  /// what they hold now and closed. Errors: InvalidArgument - prefix too long; ResourceExhausted -
  /// descriptor limit or no pty.
  base::Result<RankOutputFds> Open(const RankOutputPlan& plan);

  /// Reads at once what the rank has written so far, also when the queues are full: for what it
  /// said last, right after its leader has ended. Streams that somebody still holds stay open.
  void ReadNow(base::Rank rank);

  /// Runs `done` when everything read so far has been written: OK, or DeadlineExceeded after
  /// `timeout` (somebody stopped the terminal). One at a time.
  void Flush(base::Duration timeout, std::function<void(base::Status)> done);

  /// Runs `done` when everything read so far is in the files, whatever the console does; not after
  /// destruction.
  void FlushFiles(std::function<void()> done);

  /// How many lines were dropped that on_dropped has not been told of; it will not be.
  uint64_t TakeDroppedLines();

  /// A line of our own on the console's standard error, between the ranks' lines. `text` ends with
  /// a newline or gets one.
  void Print(std::string_view text);

  /// Whole lines of ranks elsewhere, with their prefixes, between those of ours. `written` runs
  /// when they are (or were dropped: the console is gone); not after destruction.
  void Forward(bool is_stderr, std::string_view lines, std::function<void()> written);

  /// The last lines, at most `count`, of the last 64 KiB that the rank wrote to standard error;
  /// also of a stream that goes nowhere.
  std::vector<std::string> LastStderrLines(base::Rank rank, size_t count) const;

  /// Bytes that were read and are in no file because of FileLimits::total_bytes_max. Complete after
  /// Flush().
  uint64_t unwritten_bytes() const { return files_->unwritten_bytes(); }

  uint64_t bytes_read_total() const {
    seq_.AssertHeld();
    return bytes_read_total_;
  }

 private:
  struct Stream;
  struct RankOutput;

  OutputPump(Options options, event::Loop& loop);
  base::Result<base::UniqueFd> OpenStream(const RankOutputPlan& plan, bool is_stderr,
                                          RankOutput* output) REQUIRES(seq_);
  void OnReadable(Stream& stream);
  /// Reads once. False when there was nothing, or no more.
  bool ReadOnce(Stream& stream) REQUIRES(seq_);
  void Take(Stream& stream, std::string_view bytes) REQUIRES(seq_);
  void ShowProgress(Stream& stream);
  void EndStream(Stream& stream) REQUIRES(seq_);
  void ReadWhatIsThere(Stream& stream) REQUIRES(seq_);
  void DrainNow(RankOutput& output);
  /// What is in lines_, on the console.
  void Show(const Stream& stream) REQUIRES(seq_);
  void ToConsole(bool is_stderr, std::string_view lines) REQUIRES(seq_);
  /// Whether lines of this stream would be dropped now.
  bool DropsNow(const Stream& stream) REQUIRES(seq_);
  void CountDropped(uint64_t lines) REQUIRES(seq_);
  bool HasRoom(const Stream& stream) const;
  void OnConsoleSpace();
  void ResumePaused();
  void OnFileFailed(base::Status why);
  void OnConsoleFailed(OutputWriter::TargetId target, base::Status why);
  void Tell(Sink sink, base::Status why) REQUIRES(seq_);
  void CheckFlushed();

  const Options options_;
  event::Loop& loop_;

  base::Sequence seq_;
  std::unique_ptr<char[]> read_buffer_ GUARDED_BY(seq_);
  std::string lines_ GUARDED_BY(seq_);  // scratch: console lines of one read
  std::map<base::Rank, std::unique_ptr<RankOutput>> ranks_ GUARDED_BY(seq_);
  OutputWriter::TargetId console_out_ GUARDED_BY(seq_);
  OutputWriter::TargetId console_err_ GUARDED_BY(seq_);
  bool files_stopped_ GUARDED_BY(seq_) = false;
  bool told_[2] GUARDED_BY(seq_) = {false, false};
  uint64_t bytes_read_total_ GUARDED_BY(seq_) = 0;
  uint64_t dropped_lines_ GUARDED_BY(seq_) = 0;
  std::function<void(base::Status)> flushed_ GUARDED_BY(seq_);
  int flushes_pending_ GUARDED_BY(seq_) = 0;
  uint64_t flush_number_ GUARDED_BY(seq_) = 0;
  event::Registration flush_timer_ GUARDED_BY(seq_);
  /// Last: destroyed first, so that no callback of theirs meets a half-destroyed pump.
  std::unique_ptr<OutputWriter> console_;
  std::unique_ptr<OutputWriter> files_;
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_OUTPUT_PUMP_H_
