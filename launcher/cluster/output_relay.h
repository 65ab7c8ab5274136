// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_OUTPUT_RELAY_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_OUTPUT_RELAY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// Takes what this node's output pump would write on a console and sends it to the coordinator, as
/// whole lines and no faster than that gives credit for. A coordinator whose terminal is slow costs
/// lines here, never time: what does not fit into kHeldBytes a stream is dropped and counted (the
/// node's files have it). One per member agent. Confined to the loop's thread.
///
///   output pump --pipes--> held lines --credit--> Output messages
class OutputRelay {
 public:
  static constexpr size_t kHeldBytes = size_t{4} << 20;
  static constexpr size_t kMessageBytes = size_t{256} << 10;

  using Send = std::function<void(const proto::Output&)>;

  /// Errors: ResourceExhausted - descriptor limit.
  static base::Result<std::unique_ptr<OutputRelay>> Create(Send send, event::Loop& loop);
  OutputRelay(const OutputRelay&) = delete;
  OutputRelay& operator=(const OutputRelay&) = delete;

  /// The pump's console. They stay this object's.
  int stdout_fd() const { return streams_[0].write_end.get(); }
  int stderr_fd() const { return streams_[1].write_end.get(); }

  void AddCredit(uint64_t bytes);
  /// The pump has written its last: sends the rest, as far as credit comes within `timeout`, and
  /// calls `done`.
  void Finish(base::Duration timeout, std::function<void()> done);

 private:
  struct Stream {
    base::UniqueFd read_end;
    base::UniqueFd write_end;
    std::string held;  // with, at its begin, `sent` bytes that have been sent
    size_t sent = 0;
    bool within_line = false;  // the last byte that was read was no line's end
    bool dropping = false;     // the line that is being read
    event::Registration watch;
  };

  OutputRelay(Send send, event::Loop& loop) : send_(std::move(send)), loop_(loop) {}
  void ReadSome(Stream& stream);
  void Take(Stream& stream, std::string_view bytes);
  static void MakeRoom(Stream& stream);
  void SendSome();
  /// Moves what may go now from the stream's held bytes into `out`.
  void Move(Stream& stream, std::string* out);
  void CheckFinished();

  const Send send_;
  event::Loop& loop_;
  base::Sequence seq_;
  std::array<Stream, 2> streams_;
  std::unique_ptr<char[]> buffer_;
  int64_t credit_ = 0;  // may go below 0 by a line
  uint64_t dropped_lines_ = 0;
  std::function<void()> finished_;
  event::Registration give_up_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_OUTPUT_RELAY_H_
