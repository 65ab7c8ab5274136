// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/recorder/recorder.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/recorder/ring_reader.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::SteadyTime;
using base::testing::StatusIs;
using std::chrono::nanoseconds;
using ::testing::HasSubstr;

/// A ring as the agent makes it, and its memory as a test sees it.
class Ring {
 public:
  explicit Ring(uint32_t slot_count)
      : bytes_(RingBytes(slot_count)), fd_(lockstep_shared_memory_create("test-ring", bytes_)) {
    memory_ = static_cast<std::byte*>(
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0));
    FormatRing({.job = "job-1",
                .host = "node-a",
                .boot_id = "b00t",
                .rank = base::Rank(3),
                .round = base::Round(2),
                .incarnation = base::Incarnation(1),
                .world_size = 4},
               slot_count, header());
  }
  ~Ring() { munmap(memory_, bytes_); }

  const base::UniqueFd& fd() const { return fd_; }
  lockstep_ring_header& header() { return *reinterpret_cast<lockstep_ring_header*>(memory_); }
  lockstep_record& slot(uint64_t number) {
    return reinterpret_cast<lockstep_record*>(memory_ + LOCKSTEP_RING_HEADER_BYTES)[number];
  }
  std::span<const std::byte> memory() const { return {memory_, bytes_}; }

 private:
  const size_t bytes_;
  const base::UniqueFd fd_;
  std::byte* memory_;
};

Recorder::Call CallNumber(uint64_t seq) {
  return {.group = base::GroupId(7),
          .epoch = base::Round(2),
          .seq = base::OpSeq(seq),
          .op = 1,
          .dtype = 11,
          .reduction = 1,
          .group_size = 4,
          .count_in = 100,
          .count_out = 100,
          .fingerprint = 0xfeed,
          .enqueued = SteadyTime(nanoseconds(1000)),
          .timeout = nanoseconds(5000),
          .call_file = "/src/app/train.cc",
          .call_line = 42,
          .tag = "bucket 3"};
}

TEST(RecorderTest, ARecordTellsTheLifeOfAnOp) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  recorder->SetStep(17);

  const auto ticket = recorder->Begin(CallNumber(1));
  ASSERT_OK_AND_ASSIGN(RingContent begun, ReadRing(ring.memory()));
  recorder->Started(ticket, SteadyTime(nanoseconds(2000)));
  recorder->WaitsFor(ticket, base::Rank(2));
  ASSERT_OK_AND_ASSIGN(RingContent waiting, ReadRing(ring.memory()));
  recorder->Ended(ticket, LOCKSTEP_RECORD_COMPLETED, 400, SteadyTime(nanoseconds(3000)));
  ASSERT_OK_AND_ASSIGN(RingContent ended, ReadRing(ring.memory()));

  ASSERT_EQ(begun.records.size(), 1u);
  const lockstep_record& first = begun.records[0];
  EXPECT_EQ(first.state, LOCKSTEP_RECORD_ENQUEUED);
  EXPECT_EQ(first.group_id, 7u);
  EXPECT_EQ(first.seq, 1u);
  EXPECT_EQ(first.epoch, 2u);
  EXPECT_EQ(first.fingerprint, 0xfeedu);
  EXPECT_EQ(first.root_or_peer, -1);
  EXPECT_EQ(first.waiting_on, -1);
  EXPECT_EQ(first.enqueued_ns, 1000u);
  EXPECT_EQ(first.timeout_ns, 5000u);
  EXPECT_EQ(first.step, 17);
  EXPECT_EQ(first.thread_id, static_cast<uint32_t>(gettid()));
  EXPECT_STREQ(first.call_site, "train.cc:42");
  EXPECT_STREQ(first.tag, "bucket 3");
  EXPECT_EQ(waiting.records[0].state, LOCKSTEP_RECORD_STARTED);
  EXPECT_EQ(waiting.records[0].started_ns, 2000u);
  EXPECT_EQ(waiting.records[0].waiting_on, 2);
  EXPECT_EQ(waiting.records[0].root_or_peer, -1);
  EXPECT_EQ(ended.records[0].state, LOCKSTEP_RECORD_COMPLETED);
  EXPECT_EQ(ended.records[0].ended_ns, 3000u);
  EXPECT_EQ(ended.records[0].bytes_done, 400u);
  EXPECT_EQ(ended.records[0].waiting_on, -1);
}

TEST(RecorderTest, TheHeaderNamesAgentAndProcess) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(const RingHead before, ReadRingHead(ring.memory()));
  EXPECT_EQ(before.pid, 0);

  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  ASSERT_OK_AND_ASSIGN(const RingHead head, ReadRingHead(ring.memory()));

  EXPECT_EQ(head.job, "job-1");
  EXPECT_EQ(head.host, "node-a");
  EXPECT_EQ(head.boot_id, "b00t");
  EXPECT_EQ(head.rank, 3);
  EXPECT_EQ(head.incarnation, 1u);
  EXPECT_EQ(head.round, 2u);
  EXPECT_EQ(head.pid, getpid());
  EXPECT_GT(head.process_start_ticks, 0u);
  EXPECT_GT(head.attached_wall_ns, head.attached_monotonic_ns);
}

TEST(RecorderTest, ASeatTellsOfAGroupAndOfThoseWhoWaitInIt) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  const auto seats = [&ring] { return ReadRing(ring.memory())->seats; };
  const std::vector<base::Rank> evens{base::Rank(0), base::Rank(2), base::Rank(4)};
  const std::vector<base::Rank> others{base::Rank(5), base::Rank(2), base::Rank(3)};

  Recorder::Seat even =
      recorder->TakeSeat(base::GroupId(7), base::Round(2), base::GroupRank(1), evens, "world/1.0");
  {
    const Recorder::Seat other =
        recorder->TakeSeat(base::GroupId(8), base::Round(2), base::GroupRank(1), others, "odd");
    even.AddWaiters(false, 1);
    ASSERT_EQ(seats().size(), 2u);
    EXPECT_EQ(seats()[0].group_id, 7u);
    EXPECT_EQ(seats()[0].epoch, 2u);
    EXPECT_EQ(seats()[0].group_rank, 1);
    EXPECT_EQ(seats()[0].group_size, 3);
    EXPECT_EQ(seats()[0].first, 0);
    EXPECT_EQ(seats()[0].stride, 2);
    EXPECT_EQ(seats()[0].waiters, 1);
    EXPECT_EQ(seats()[0].transfer_waiters, 0);
    EXPECT_STREQ(seats()[0].name, "world/1.0");
    EXPECT_EQ(seats()[1].stride, 0) << "no sequence";
    EXPECT_TRUE(ReadRingPulse(ring.memory())->waits);
    even.AddWaiters(false, -1);
    EXPECT_FALSE(ReadRingPulse(ring.memory())->waits);
    even.AddStreamWaiters(1);
    EXPECT_TRUE(ReadRingPulse(ring.memory())->waits);
    EXPECT_EQ(seats()[0].stream_waiters, 1);
    even.AddStreamWaiters(-1);
  }
  ASSERT_EQ(seats().size(), 1u);
  EXPECT_EQ(seats()[0].waiters, 0);
  even = Recorder::Seat();
  EXPECT_TRUE(seats().empty());
}

TEST(RecorderTest, GroupsBeyondTheSeatsAreCounted) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  const std::vector<base::Rank> members{base::Rank(0), base::Rank(1)};
  std::vector<Recorder::Seat> seats;
  for (uint64_t group = 1; group <= LOCKSTEP_RING_SEATS + 2; ++group) {
    seats.push_back(recorder->TakeSeat(base::GroupId(group), base::Round(0), base::GroupRank(0),
                                       members, "many"));
  }
  seats.back().AddWaiters(true, 1);  // of a group without: nothing

  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRing(ring.memory()));
  EXPECT_EQ(content.seats.size(), LOCKSTEP_RING_SEATS);
  EXPECT_EQ(content.head.seatless_count, 2u);
}

TEST(RecorderTest, ADeclaredPhaseIsSeenUntilItIsOver) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));

  recorder->SetPhase("checkpoint", SteadyTime(nanoseconds(5000)));
  ASSERT_OK_AND_ASSIGN(const RingHead in_it, ReadRingHead(ring.memory()));
  recorder->SetPhase("", SteadyTime());
  ASSERT_OK_AND_ASSIGN(const RingHead after, ReadRingHead(ring.memory()));

  EXPECT_EQ(in_it.phase, "checkpoint");
  EXPECT_EQ(in_it.phase_until_ns, 5000u);
  EXPECT_EQ(after.phase, "");
}

TEST(RecorderTest, AMarkedPhaseNamesADeclaredOneAndFollowsIt) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  const auto head = [&] { return *ReadRingHead(ring.memory()); };

  EXPECT_EQ(recorder->MarkPhase({"checkpoint"}).name, "");
  EXPECT_EQ(head().phase, "checkpoint");
  EXPECT_EQ(head().phase_until_ns, LOCKSTEP_PHASE_MARKED);
  recorder->SetPhase("long phase", SteadyTime(nanoseconds(5000)));
  EXPECT_EQ(head().phase, "checkpoint");
  EXPECT_EQ(head().phase_until_ns, 5000u);
  recorder->SetPhase("", SteadyTime());
  EXPECT_EQ(head().phase, "checkpoint");
  EXPECT_EQ(head().phase_until_ns, LOCKSTEP_PHASE_MARKED);
  EXPECT_EQ(recorder->MarkPhase({}).name, "checkpoint");
  EXPECT_EQ(head().phase, "");
  EXPECT_EQ(head().phase_until_ns, 0u);
}

TEST(RecorderTest, AMarkedPhaseMayClaimTime) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  const auto head = [&] { return *ReadRingHead(ring.memory()); };

  (void)recorder->MarkPhase({"load", SteadyTime(nanoseconds(9000))});
  EXPECT_EQ(head().phase, "load");
  EXPECT_EQ(head().phase_until_ns, 9000u);
  recorder->SetPhase("long phase", SteadyTime(nanoseconds(5000)));
  EXPECT_EQ(head().phase_until_ns, 9000u) << "the later of the two";
  recorder->SetPhase("", SteadyTime());
  EXPECT_EQ(head().phase_until_ns, 9000u);
  const Recorder::Mark before = recorder->MarkPhase({"train"});
  EXPECT_EQ(before.until, SteadyTime(nanoseconds(9000)));
  EXPECT_EQ(head().phase_until_ns, LOCKSTEP_PHASE_MARKED);
  (void)recorder->MarkPhase(before);
  EXPECT_EQ(head().phase, "load");
  EXPECT_EQ(head().phase_until_ns, 9000u);
}

TEST(RecorderTest, SamplesAreReadWithTheirTime) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  EXPECT_EQ(ReadRingHead(ring.memory())->samples_since_ns, 0u);

  recorder->SetSamples(640, SteadyTime(nanoseconds(5000)));

  EXPECT_EQ(ReadRingHead(ring.memory())->samples, 640u);
  EXPECT_EQ(ReadRingHead(ring.memory())->samples_since_ns, 5000u);
}

/// What a rank costs its machine's memory, however long it trains.
TEST(RecorderTest, ARanksRingTakesLessThanAMebibyteAndDoesNotGrow) {
  static_assert(RingBytes() <= size_t{1} << 20);
  Ring ring(LOCKSTEP_RING_DEFAULT_SLOTS);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  for (uint64_t seq = 1; seq <= 3 * LOCKSTEP_RING_DEFAULT_SLOTS; ++seq) {
    const auto ticket = recorder->Begin(CallNumber(seq));
    recorder->Ended(ticket, LOCKSTEP_RECORD_COMPLETED, 400, SteadyTime(nanoseconds(3000)));
  }
  struct stat memory;
  ASSERT_EQ(fstat(ring.fd().get(), &memory), 0);
  EXPECT_EQ(static_cast<size_t>(memory.st_size), RingBytes());
  EXPECT_LE(memory.st_blocks * 512, 1 << 20);
}

TEST(RecorderTest, TheEndOfARingIsItsLastRecords) {
  Ring ring(8);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  for (int i = 0; i < 11; ++i) recorder->Begin({});

  ASSERT_OK_AND_ASSIGN(const RingContent end, ReadRingEnd(ring.memory(), 3));

  ASSERT_EQ(end.records.size(), 3u);
  EXPECT_EQ(end.records.front().index, 8u);
  EXPECT_EQ(end.head.record_count, 11u);
  EXPECT_EQ(ReadRingEnd(ring.memory(), 100)->records.size(), 8u);
}

// A helper that inherited the rank's cookie once put its pid over the rank's.
TEST(RecorderTest, TheFirstProcessSignsForAsLongAsItLives) {
  Ring ring(8);
  const auto signer_after_a_child_came = [&ring] {
    const pid_t child = fork();
    if (child == 0) {
      const auto recorder = Recorder::Create(ring.fd());
      _exit(recorder.ok() ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    return std::make_pair(static_cast<int64_t>(child), ring.header().pid);
  };
  const auto [child, signer] = signer_after_a_child_came();
  EXPECT_EQ(signer, child);

  ASSERT_OK_AND_ASSIGN(const auto recorder, Recorder::Create(ring.fd()));
  EXPECT_EQ(ring.header().pid, getpid()) << "the one before has ended";
  EXPECT_EQ(signer_after_a_child_came().second, getpid());
}

TEST(RecorderTest, ANewerRecordTakesTheSlotAndALateUpdateLeavesIt) {
  Ring ring(4);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  const auto oldest = recorder->Begin(CallNumber(1));
  for (uint64_t seq = 2; seq <= 6; ++seq) (void)recorder->Begin(CallNumber(seq));

  recorder->Ended(oldest, LOCKSTEP_RECORD_ERROR, 0, SteadyTime(nanoseconds(9)));

  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRing(ring.memory()));
  ASSERT_EQ(content.records.size(), 4u);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(content.records[i].seq, i + 3);
    EXPECT_EQ(content.records[i].state, LOCKSTEP_RECORD_ENQUEUED);
  }
}

TEST(RecorderTest, ALongCallSiteAndTagAreCut) {
  Ring ring(4);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  Recorder::Call call = CallNumber(1);
  call.call_file = "a_file_name_that_is_longer_than_the_field.cc";
  call.call_line = 123456;
  call.tag = "more than fifteen characters";

  (void)recorder->Begin(call);

  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRing(ring.memory()));
  EXPECT_STREQ(content.records[0].call_site, "a_file_name_that_is_long:123456");
  EXPECT_STREQ(content.records[0].tag, "more than fifte");
}

TEST(RecorderTest, ACallSiteWithoutALineIsANameAlone) {
  Ring ring(4);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  Recorder::Call call = CallNumber(1);
  call.call_file = "train+0x1234";
  call.call_line = 0;

  (void)recorder->Begin(call);

  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRing(ring.memory()));
  EXPECT_STREQ(content.records[0].call_site, "train+0x1234");
}

TEST(RecorderTest, AForkedChildNeverWrites) {
  Ring ring(4);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  const auto ticket = recorder->Begin(CallNumber(1));

  const pid_t child = fork();
  if (child == 0) {
    recorder->SetStep(99);
    recorder->Ended(ticket, LOCKSTEP_RECORD_ERROR, 0, SteadyTime(nanoseconds(1)));
    const bool wrote = recorder->Begin(CallNumber(2)).valid;
    recorder.reset();
    _exit(wrote ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);

  EXPECT_EQ(status, 0);
  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRing(ring.memory()));
  EXPECT_EQ(content.head.record_count, 1u);
  EXPECT_EQ(content.head.step, -1);
  EXPECT_EQ(content.records[0].state, LOCKSTEP_RECORD_ENQUEUED);
}

TEST(RecorderTest, MemoryThatIsNoRingIsRefused) {
  Ring ring(4);
  ring.header().layout_version = 9;
  EXPECT_THAT(Recorder::Create(ring.fd()),
              StatusIs(Code::kFailedPrecondition, HasSubstr("version 9")));
  EXPECT_THAT(ReadRing(ring.memory()), StatusIs(Code::kFailedPrecondition, HasSubstr("version 9")));

  ring.header().layout_version = LOCKSTEP_RING_LAYOUT_VERSION;
  ring.header().slot_count = 5;
  EXPECT_THAT(Recorder::Create(ring.fd()), StatusIs(Code::kDataLoss, HasSubstr("5 slots")));

  ring.header().magic = 1;
  EXPECT_THAT(Recorder::Create(ring.fd()), StatusIs(Code::kDataLoss));
  EXPECT_THAT(ReadRing(ring.memory()), StatusIs(Code::kDataLoss));
}

TEST(RingReaderTest, ASlotStoppedInMidWriteIsLeftOut) {
  Ring ring(4);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  for (uint64_t seq = 1; seq <= 3; ++seq) (void)recorder->Begin(CallNumber(seq));
  ring.slot(1).lock += 1;

  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRing(ring.memory()));

  ASSERT_EQ(content.records.size(), 2u);
  EXPECT_EQ(content.torn_count, 1u);
  EXPECT_EQ(content.records[1].seq, 3u);
}

TEST(RingReaderTest, ARingCutShortGivesWhatIsThere) {
  Ring ring(4);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  for (uint64_t seq = 1; seq <= 4; ++seq) (void)recorder->Begin(CallNumber(seq));
  const size_t half = LOCKSTEP_RING_HEADER_BYTES + 2 * LOCKSTEP_RECORD_BYTES + 100;

  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRing(ring.memory().first(half)));

  EXPECT_EQ(content.records.size(), 2u);
  EXPECT_THAT(ReadRing(ring.memory().first(100)), StatusIs(Code::kDataLoss));
}

TEST(RingReaderTest, RecordsReadWhileTheyAreWrittenAreWhole) {
  Ring ring(16);
  ASSERT_OK_AND_ASSIGN(auto recorder, Recorder::Create(ring.fd()));
  std::atomic<bool> done{false};
  std::vector<std::thread> writers;
  for (uint64_t writer = 0; writer < 2; ++writer) {
    writers.emplace_back([&, writer] {
      for (uint64_t i = 0; i < 20'000; ++i) {
        Recorder::Call call = CallNumber(i * 2 + writer);
        call.count_in = call.count_out = call.fingerprint = call.seq.value();
        const auto ticket = recorder->Begin(call);
        recorder->Ended(ticket, LOCKSTEP_RECORD_COMPLETED, call.seq.value(),
                        SteadyTime(nanoseconds(i)));
      }
    });
  }
  std::thread reader([&] {
    while (!done.load()) {
      ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRingFrom(ring.fd().get()));
      for (const lockstep_record& record : content.records) {
        EXPECT_EQ(record.count_in, record.seq);
        EXPECT_EQ(record.count_out, record.seq);
        EXPECT_EQ(record.fingerprint, record.seq);
        EXPECT_EQ(record.bytes_done, record.state == LOCKSTEP_RECORD_COMPLETED ? record.seq : 0);
      }
    }
  });
  for (std::thread& writer : writers) writer.join();
  done = true;
  reader.join();

  ASSERT_OK_AND_ASSIGN(const RingContent content, ReadRing(ring.memory()));
  EXPECT_EQ(content.head.record_count, 40'000u);
  EXPECT_EQ(content.torn_count, 0u);
}

}  // namespace
}  // namespace lockstep::collectives
