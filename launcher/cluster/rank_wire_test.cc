// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/rank_wire.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>

namespace lockstep::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::SizeIs;

TEST(RankWireTest, AnEndArrivesAsItWasSent) {
  RankEnd end;
  end.exit = {7, 0, false, "ValueError: bad shape at train.py:#"};
  end.evidence.stderr_lines = {"first", "not UTF-8: \xff\xfe"};
  end.evidence.stderr_path = "/logs/rank-3.stderr";
  end.evidence.error = ErrorFile{"ValueError: bad shape", "Traceback ...", 1764000000};
  proto::RankEnded sent;
  ToWire(end, sent);
  proto::RankEnded received;
  ASSERT_TRUE(received.ParseFromString(sent.SerializeAsString()));

  const RankEnd back = FromWire(received);

  EXPECT_EQ(back.exit, end.exit);
  EXPECT_THAT(back.evidence.stderr_lines, ElementsAre("first", "not UTF-8: \xff\xfe"));
  EXPECT_EQ(back.evidence.stderr_path, end.evidence.stderr_path);
  ASSERT_TRUE(back.evidence.error.has_value());
  EXPECT_EQ(back.evidence.error->message, "ValueError: bad shape");
  EXPECT_EQ(back.evidence.error->traceback, "Traceback ...");
  EXPECT_EQ(back.evidence.error->timestamp, 1764000000);
}

TEST(RankWireTest, ARankWithoutAnErrorFileHasNone) {
  proto::RankEnded wire;
  ToWire(RankEnd{.exit = {0, 9, true, ""}, .evidence = {}}, wire);

  const RankEnd back = FromWire(wire);

  EXPECT_EQ(back.exit.signal, 9);
  EXPECT_TRUE(back.exit.out_of_memory);
  EXPECT_FALSE(back.evidence.error.has_value());
}

TEST(RankWireTest, AnExitThatNoProcessHasIsAFailure) {
  for (const auto& [code, signal] : {std::pair{256, 0}, {-1, 0}, {0, 65}, {0, -9}}) {
    proto::RankEnded wire;
    wire.set_exit_code(code);
    wire.set_signal(signal);

    const RankEnd back = FromWire(wire);

    EXPECT_EQ(back.exit.exit_code, 255) << code << " " << signal;
    EXPECT_EQ(back.exit.signal, 0) << code << " " << signal;
  }
}

TEST(RankWireTest, TextsAreBoundedBothWays) {
  RankEnd end;
  end.evidence.stderr_lines.assign(1000, std::string(1 << 16, 'x'));
  end.evidence.error = ErrorFile{"", std::string(1 << 20, 'a') + " the innermost call", 0};
  proto::RankEnded wire;
  ToWire(end, wire);
  EXPECT_LT(wire.ByteSizeLong(), 64U << 10);
  EXPECT_THAT(wire.evidence().error().traceback(), EndsWith(" the innermost call"));

  proto::RankEnded hostile;
  for (int i = 0; i < 1000; ++i) {
    hostile.mutable_evidence()->add_stderr_lines(std::string(1 << 12, 'y'));
  }
  const RankEnd back = FromWire(hostile);
  EXPECT_THAT(back.evidence.stderr_lines, SizeIs(kStderrLines));
  EXPECT_THAT(back.evidence.stderr_lines.front(), SizeIs(kEvidenceLineColumns));
}

TEST(RankWireTest, WhoIsGoneArrivesWithWhyUnlessThereAreMany) {
  proto::NextRound few;
  ToWire(base::Round(3), {{base::Rank(7), std::string(1000, 'x')}}, few);
  std::vector<elastic::GoneRank> all;
  for (int rank = 0; rank < 65'536; ++rank) all.push_back({base::Rank(rank), "its node was lost"});
  proto::NextRound many;
  ToWire(base::Round(4), all, many);

  EXPECT_EQ(few.round(), 3u);
  EXPECT_EQ(FromWire(few.gone(0)), (elastic::GoneRank{base::Rank(7), std::string(200, 'x')}));
  EXPECT_EQ(FromWire(many.gone(65'535)), (elastic::GoneRank{base::Rank(65'535), ""}));
  EXPECT_LT(many.ByteSizeLong(), size_t{1} << 20) << "it goes into one message";
}

}  // namespace
}  // namespace lockstep::launcher
