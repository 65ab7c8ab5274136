// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Whoever comes to a member's port: what is not of the job costs only its own connection.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/tcp/stranger.h"
#include "collectives/host/tcp/tcp_handshake.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing::LocalTcpConfig;
using testing::LocalTcpMaker;
using testing::Stranger;
using testing::ThreadGang;

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";

/// A group of two that lives while strangers come; it must work afterwards.
class TcpStrangersTest : public ::testing::Test {
 protected:
  TcpStrangersTest() : maker_(LocalTcpMaker()), gang_(2, maker_) {
    std::thread other([this] { members_[1] = std::move(gang_.Join(1)).value(); });
    members_[0] = std::move(gang_.Join(0)).value();
    other.join();
  }
  void TearDown() override {
    std::thread other([this] { EXPECT_OK(members_[1]->Barrier()->Wait()); });
    EXPECT_OK(members_[0]->Barrier()->Wait());
    other.join();
  }
  Hello GoodHello(FlowPurpose purpose = FlowPurpose::kTransfers) const {
    Hello hello;
    hello.purpose = purpose;
    hello.from = 0;
    hello.to = 1;
    hello.group = members_[0]->info().id.value();
    hello.challenge.fill(5);
    return hello;
  }
  /// What a member says before it measures. False: it was not let in.
  bool BeginMeasuring(Stranger& member) const {
    const Hello hello = GoodHello(FlowPurpose::kMeasure);
    member.Say(hello);
    Answer answer;
    if (!member.Hear(answer)) return false;
    member.Say(ProofOf(Key(), hello, answer));
    return answer.verdict == Answer::Verdict::kWelcome;
  }
  const TcpService& service() const { return maker_->service(); }
  HandshakeKey Key(std::string_view key = kKey, std::string_view job = "test") const {
    return {.key = key, .job = job, .listener = service().card()};
  }

  const std::shared_ptr<TcpBackendMaker> maker_;
  ThreadGang gang_;
  std::unique_ptr<Group> members_[2];
};

// It once looked at its port all the time, on a whole core.
TEST_F(TcpStrangersTest, WithoutDescriptorsItWaitsAndTakesTheNextOnesLater) {
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const auto processor_time = [] {
    timespec time;
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };

  const base::UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address =
      net::NumericAddress({.host = service().card().addresses[0], .port = service().card().port});
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(client.get()) + 1;
  std::vector<base::UniqueFd> fill;  // below the limit
  for (int fd = 0; fd < client.get(); ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) fill.emplace_back(::dup(0));
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_EQ(::connect(client.get(), address->get(), address->size()), 0);  // by the kernel
  const auto since = processor_time();
  std::this_thread::sleep_for(milliseconds(500));  // tidy:allow sleep: what is burnt meanwhile
  EXPECT_LT(processor_time() - since, milliseconds(100));
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  fill.clear();

  Stranger next(service());
  EXPECT_TRUE(BeginMeasuring(next));
}

TEST_F(TcpStrangersTest, RandomBytesAndOtherProtocolsAreCutOff) {
  base::Random random(1);
  for (int i = 0; i < 50; ++i) {
    Stranger stranger(service());
    std::string noise(1 + random.Below(300), '\0');
    for (char& c : noise) c = static_cast<char>(random.Next());
    noise.resize(std::max(noise.size(), sizeof(Hello)), 'x');
    stranger.SayText(i == 0 ? std::string(100, ' ') : noise);
    EXPECT_TRUE(stranger.IsCutOff());
  }
  EXPECT_EQ(service().refused_total(), 50u);
}

TEST_F(TcpStrangersTest, WhoHasTheKeyAndSpeaksOfTheGroupIsLetIn) {
  Stranger member(service());
  const Hello hello = GoodHello(FlowPurpose::kControl);
  member.Say(hello);
  Answer answer;
  ASSERT_TRUE(member.Hear(answer));
  EXPECT_OK(ParseAnswer(std::as_bytes(std::span(&answer, 1)), Key(), hello));
  EXPECT_EQ(answer.verdict, Answer::Verdict::kWelcome);
  member.Say(ProofOf(Key(), hello, answer));
  FrameHeader query;
  query.kind = FrameKind::kQuery;
  query.group = hello.group;
  member.Say(query);

  FrameHeader state;
  ASSERT_TRUE(member.Hear(state));
  EXPECT_EQ(state.kind, FrameKind::kState);
}

TEST_F(TcpStrangersTest, AWrongKeyOrJobIsCutOffBeforeAFrame) {
  const HandshakeKey keys[] = {Key("fedcba9876543210fedcba9876543210"), Key(kKey, "another")};
  for (const HandshakeKey& key : keys) {
    Stranger stranger(service());
    const Hello hello = GoodHello(FlowPurpose::kControl);
    stranger.Say(hello);
    Answer answer;
    ASSERT_TRUE(stranger.Hear(answer));
    stranger.Say(ProofOf(key, hello, answer));
    EXPECT_TRUE(stranger.IsCutOff());
  }
  EXPECT_EQ(service().refused_total(), 2u);
}

TEST_F(TcpStrangersTest, ARecordedProofAndAReflectedOneProveNothing) {
  const Hello hello = GoodHello(FlowPurpose::kControl);
  Answer first, second;
  Stranger recorded(service()), replays(service()), reflects(service());
  recorded.Say(hello);
  ASSERT_TRUE(recorded.Hear(first));
  recorded.Say(ProofOf(Key(), hello, first));

  replays.Say(hello);
  ASSERT_TRUE(replays.Hear(second));
  replays.Say(ProofOf(Key(), hello, first));
  EXPECT_TRUE(replays.IsCutOff());
  reflects.Say(hello);
  ASSERT_TRUE(reflects.Hear(second));
  reflects.Say(second.proof);
  EXPECT_TRUE(reflects.IsCutOff());
}

TEST_F(TcpStrangersTest, AnOldEpochAnotherGroupAndNoMemberAreToldSo) {
  Hello epoch = GoodHello(), group = GoodHello(), member = GoodHello();
  epoch.epoch = 9;
  ++group.group;
  member.to = 2;
  for (const Hello& hello : {epoch, group, member}) {
    Stranger stranger(service());
    stranger.Say(hello);
    Answer answer;
    ASSERT_TRUE(stranger.Hear(answer));
    EXPECT_OK(ParseAnswer(std::as_bytes(std::span(&answer, 1)), Key(), hello));
    EXPECT_EQ(answer.verdict, Answer::Verdict::kUnknown);
    EXPECT_TRUE(stranger.IsCutOff());
  }
}

TEST_F(TcpStrangersTest, AFrameOfAnotherEpochOnAGoodConnectionEndsIt) {
  Stranger member(service());
  const Hello hello = GoodHello(FlowPurpose::kControl);
  member.Say(hello);
  Answer answer;
  ASSERT_TRUE(member.Hear(answer));
  member.Say(ProofOf(Key(), hello, answer));
  FrameHeader query;
  query.kind = FrameKind::kQuery;
  query.group = hello.group;
  query.epoch = 9;
  member.Say(query);

  EXPECT_TRUE(member.IsCutOff());
}

// ----------------------------------------------------------------------- those who measure the way

TEST_F(TcpStrangersTest, WhoMeasuresNeedsTheKeyToo) {
  Stranger stranger(service());
  const Hello hello = GoodHello(FlowPurpose::kMeasure);
  stranger.Say(hello);
  Answer answer;
  ASSERT_TRUE(stranger.Hear(answer));
  stranger.Say(ProofOf(Key("fedcba9876543210fedcba9876543210"), hello, answer));
  stranger.Say(uint64_t{0});

  EXPECT_TRUE(stranger.IsCutOff());
  EXPECT_EQ(service().refused_total(), 1u);
}

// Nobody here has made a group that would be measured now; the question costs its answer.
TEST_F(TcpStrangersTest, AMeasurementThatNobodyExpectsIsAnsweredAndDisturbsNothing) {
  Stranger member(service());
  ASSERT_TRUE(BeginMeasuring(member));
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{100}, TcpService::kProbeBytesMax}) {
    member.Say(bytes);
    member.SayText(std::string(bytes, 'x'));
    uint64_t answer = 1;
    ASSERT_TRUE(member.Hear(answer));
    EXPECT_EQ(answer, bytes);
  }
}

TEST_F(TcpStrangersTest, AQuestionThatIsTooLargeEndsTheMeasurement) {
  for (const uint64_t bytes : {TcpService::kProbeBytesMax + 1, ~uint64_t{0}}) {
    Stranger member(service());
    ASSERT_TRUE(BeginMeasuring(member));
    const auto before = std::chrono::steady_clock::now();
    member.Say(bytes);
    EXPECT_TRUE(member.IsCutOff());
    EXPECT_LT(std::chrono::steady_clock::now() - before, TcpService::kEchoTimeout);
  }
}

// Questions without end, whose answers it does not read; and one that never ends its question.
TEST_F(TcpStrangersTest, WhoAsksAndDoesNotReadIsCutOffInTimeAndKeepsNobodyWaiting) {
  Stranger floods(service()), dawdles(service()), other(service());
  ASSERT_TRUE(BeginMeasuring(floods));
  ASSERT_TRUE(BeginMeasuring(dawdles));
  dawdles.Say(TcpService::kProbeBytesMax);
  const auto before = std::chrono::steady_clock::now();
  std::thread flood([&floods] {
    while (floods.Send(std::string(64 << 10, '\0'))) {
    }
  });

  ASSERT_TRUE(BeginMeasuring(other));
  other.Say(uint64_t{0});
  uint64_t answer = 1;
  EXPECT_TRUE(other.Hear(answer));
  EXPECT_EQ(answer, 0u);
  EXPECT_TRUE(dawdles.IsCutOff());
  flood.join();
  EXPECT_LT(std::chrono::steady_clock::now() - before, TcpService::kEchoTimeout + seconds(10));
}

TEST_F(TcpStrangersTest, ManyWhoMeasureMakeRoomForTheLast) {
  for (int tries = 0; tries < 10; ++tries) {
    const uint64_t refused_before = service().refused_total();
    const auto since = std::chrono::steady_clock::now();
    std::vector<std::unique_ptr<Stranger>> many;
    for (size_t i = 0; i < TcpService::kMaxEchoes + 20; ++i) {
      many.push_back(std::make_unique<Stranger>(service()));
      ASSERT_TRUE(BeginMeasuring(*many.back()));
    }
    many.back()->Say(uint64_t{0});

    uint64_t answer = 1;
    EXPECT_TRUE(many.back()->Hear(answer));
    const uint64_t refused = service().refused_total() - refused_before;
    // Else some have ended by themselves: again, on a machine that is as busy as that.
    if (std::chrono::steady_clock::now() - since >= TcpService::kEchoTimeout) continue;
    EXPECT_EQ(refused, 20u);
    EXPECT_TRUE(many.front()->IsCutOff());
    return;
  }
  GTEST_SKIP() << "so many connections take longer here than one may measure";
}

TEST_F(TcpStrangersTest, ThoseWhoSayNothingMakeRoomAndAreCutOffInTime) {
  std::vector<std::unique_ptr<Stranger>> silent;
  for (size_t i = 0; i < TcpService::kMaxHandshakes + 20; ++i) {
    silent.push_back(std::make_unique<Stranger>(service()));
    if (i % 2 == 0) silent.back()->SayText("LKSTP");
  }

  EXPECT_TRUE(silent.front()->IsCutOff());  // it made room
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(silent.back()->IsCutOff());
  EXPECT_LT(std::chrono::steady_clock::now() - before, TcpService::kFlowTimeout + seconds(5));
}

/// The members' cards, but that of member 1, who is somebody else.
class TamperedExchange final : public AddressExchange {
 public:
  explicit TamperedExchange(AddressCard instead) : instead_(std::move(instead)) {}
  base::Result<std::vector<std::optional<AddressCard>>> Exchange(const ExchangeRequest& request,
                                                                 const AddressCard& mine,
                                                                 const OpDeadline&) override {
    std::vector<std::optional<AddressCard>> cards(2, mine);
    cards[static_cast<size_t>(1 - request.member)] = instead_;
    return cards;
  }

 private:
  const AddressCard instead_;
};

TEST_F(TcpStrangersTest, AProcessOfAnotherKeyIsNotTakenForTheMember) {
  auto config = LocalTcpConfig();
  config.key = net::Secret("fedcba9876543210fedcba9876543210");
  const auto maker =
      LocalTcpMaker(std::make_shared<TamperedExchange>(service().card()), std::move(config));
  ThreadGang gang(2, maker);
  ASSERT_OK_AND_ASSIGN(const auto group, gang.Join(0));

  EXPECT_THAT(group->Barrier({.timeout = seconds(30)})->Wait(),
              StatusIs(Code::kUnavailable, HasSubstr("another key")));
}

TEST_F(TcpStrangersTest, APortThatNobodyListensOnIsAMemberThatHasEnded) {
  AddressCard gone = service().card();
  {
    const auto other = LocalTcpMaker();
    gone = other->service().card();
  }
  ThreadGang gang(2, LocalTcpMaker(std::make_shared<TamperedExchange>(gone)));
  ASSERT_OK_AND_ASSIGN(const auto group, gang.Join(0));

  EXPECT_THAT(group->Barrier({.timeout = seconds(30)})->Wait(),
              StatusIs(Code::kUnavailable, HasSubstr("cannot be reached")));
}

}  // namespace
}  // namespace lockstep::collectives
