// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_ASKS_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_ASKS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "launcher/diagnosis/flight_source.h"
#include "runtime/base/clock.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher {

/// Writes into the pipe of each, and waits until what they dump is there and whole, `limit` at the
/// most. torch truncates its file and writes it anew, so that it may be seen half written: it is
/// whole when it can be read to its end. Blocks; for a thread that may. Between two looks `pause`
/// is called with how long to wait; false: nobody wants the answers any more.
FlightAnswers AskFlights(const std::vector<FlightAsk>& ranks, base::Duration limit,
                         const std::function<bool(base::Duration)>& pause);

/// The same on a thread of its own ("torch-asker", made for the first question), as the folder may
/// be on a server that hangs, and the loop holds the node's lease. One for each agent, owned by it.
/// Confined to the loop's thread.
///
/// A question that hangs is given up at the limit. There is one such thread at most: until it comes
/// back questions are answered at once, by FlightAnswers::hangs. It outlives this object without
/// touching anything of it.
class FlightAsks final : public FlightSource {
 public:
  /// AskFlights, on that thread.
  using Asker = std::function<FlightAnswers(const std::vector<FlightAsk>&, base::Duration limit,
                                            const std::function<bool(base::Duration)>& pause)>;

  /// Of a question, all in all; ranks have four fifths of it. torch looks into its pipe once a
  /// second; the first dump of 2,000 entries took up to 3.3 s (torch 2.11, three ranks on two busy
  /// cores, 2026-11-30), later ones 80 ms.
  static constexpr base::Duration kLimit = std::chrono::seconds(10);

  explicit FlightAsks(event::Loop& loop, base::Duration limit = kLimit, Asker asker = AskFlights);
  ~FlightAsks() override;
  FlightAsks(const FlightAsks&) = delete;
  FlightAsks& operator=(const FlightAsks&) = delete;

  /// Where no thread can be made, nobody answers: ResourceExhausted.
  void Ask(std::vector<FlightAsk> ranks, std::function<void(FlightAnswers)> done) override;

 private:
  struct Shared;

  bool EnsureThread();
  /// Whether the thread takes the question; else it hangs in an earlier one.
  bool HandOver(std::vector<FlightAsk> ranks);
  void GiveUp();
  void Answer(FlightAnswers answers);
  /// That nobody has answered, for that reason.
  FlightAnswers None(const base::Status& why) const;

  event::Loop& loop_;
  const base::Duration limit_;
  base::Sequence seq_;
  const std::shared_ptr<Shared> shared_;  // with the thread, which may have to be left behind
  bool has_thread_ = false;
  uint64_t question_ = 0;                    // counted
  std::vector<FlightAsk> asked_;             // by it
  event::Registration deadline_;             // of it
  std::function<void(FlightAnswers)> done_;  // null: nobody has been asked, or all is answered
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_ASKS_H_
