// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_OUTPUT_RELAY_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_OUTPUT_RELAY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/process/console_sink.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// The console of a node that has none: sends what its output pump would write to the coordinator,
/// as whole lines and no faster than that gives credit for. A coordinator whose terminal is slow
/// costs lines here, never time: what does not fit into kHeldBytes a stream is dropped and counted
/// (the node's files have it), before anybody has made lines of it. One per member agent, owned by
/// it. Confined to the loop's thread.
///
///   output pump --whole lines--> held blocks --credit--> Output messages, a block each
class OutputRelay final : public process::ConsoleSink {
 public:
  static constexpr size_t kHeldBytes = size_t{4} << 20;  // exceeded by one block at most
  static constexpr size_t kMessageBytes = size_t{256} << 10;

  /// Sends a message; may add to it what the node knows, and move its bytes elsewhere meanwhile,
  /// but not for good.
  using Send = std::function<void(proto::Output&)>;

  OutputRelay(Send send, event::Loop& loop) : send_(std::move(send)), loop_(loop) {}
  OutputRelay(const OutputRelay&) = delete;
  OutputRelay& operator=(const OutputRelay&) = delete;

  bool HasRoom(bool is_stderr) const override;
  void Take(bool is_stderr, std::string_view lines) override;
  void CountDropped(uint64_t lines) override;

  void AddCredit(uint64_t bytes);
  /// The pump has written its last: sends the rest, as far as credit comes within `timeout`, and
  /// calls `done`.
  void Finish(base::Duration timeout, std::function<void()> done);

 private:
  struct Stream {
    std::deque<std::string> blocks;  // whole lines; of the first, `sent` bytes have been sent
    size_t sent = 0;
    size_t held_bytes = 0;  // that have not been sent
  };

  /// Where lines may be added to.
  std::string& LastBlock(Stream& stream);
  void SendSoon();
  void SendSome();
  /// Moves what may go now from the stream's first block into `out`.
  void Move(Stream& stream, std::string* out);
  void EndFirstBlock(Stream& stream);
  void KeepForReuse(std::string&& block);
  void DropHeld();
  void CheckFinished();

  const Send send_;
  event::Loop& loop_;
  base::Sequence seq_;
  std::array<Stream, 2> streams_;   // standard output, standard error
  std::deque<std::string> spares_;  // empty, with their memory
  proto::Output message_;
  int64_t credit_ = 0;  // may go below 0 by a line
  uint64_t dropped_lines_ = 0;
  std::function<void()> finished_;
  event::Registration soon_;
  event::Registration give_up_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_OUTPUT_RELAY_H_
