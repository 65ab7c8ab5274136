// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/output_lines.h"

#include <gtest/gtest.h>

#include <string>

namespace lockstep::process {
namespace {

std::string FeedAll(OutputLines& lines, std::string_view bytes) {
  std::string out;
  lines.Feed(bytes, &out);
  return out;
}

std::string Finish(OutputLines& lines) {
  std::string out;
  lines.Finish(&out);
  return out;
}

TEST(OutputLinesTest, EveryLineGetsThePrefix) {
  OutputLines lines("[3] ");

  EXPECT_EQ(FeedAll(lines, "one\ntwo\n\nfour\n"), "[3] one\n[3] two\n[3] \n[3] four\n");
  EXPECT_EQ(Finish(lines), "");
}

TEST(OutputLinesTest, UnfinishedLinesWaitForTheirEnd) {
  OutputLines lines("> ");

  EXPECT_EQ(FeedAll(lines, "a\nbe"), "> a\n");
  EXPECT_EQ(FeedAll(lines, "gin"), "");
  EXPECT_EQ(FeedAll(lines, " end\nrest"), "> begin end\n");
  EXPECT_EQ(Finish(lines), "> rest\n");
  EXPECT_EQ(Finish(lines), "");
}

TEST(OutputLinesTest, AnyCutOfTheInputGivesTheSameLines) {
  const std::string input = "plain\nwindows\r\n 10%\r 20%\r 30%\ndone\r\rlast\r\nno end";
  OutputLines whole("p ");
  std::string expected = FeedAll(whole, input);
  expected += Finish(whole);
  EXPECT_EQ(expected, "p plain\np windows\np  30%\np last\np no end\n");

  for (size_t first = 0; first <= input.size(); ++first) {
    for (size_t second = first; second <= input.size(); ++second) {
      OutputLines lines("p ");
      std::string out = FeedAll(lines, input.substr(0, first));
      out += FeedAll(lines, input.substr(first, second - first));
      out += FeedAll(lines, input.substr(second));
      out += Finish(lines);
      EXPECT_EQ(out, expected) << "cut at " << first << " and " << second;
    }
  }
}

TEST(OutputLinesTest, SkippedLinesAreCountedAsTheyWouldHaveBeenShown) {
  const std::string input = "plain\nwindows\r\n 10%\r 20%\r 30%\ndone\r\rlast\r\n\nno end";
  for (size_t first = 0; first <= input.size(); ++first) {
    for (size_t second = first; second <= input.size(); ++second) {
      OutputLines lines("p ");
      OutputLines shown("p ");
      FeedAll(lines, input.substr(0, first));
      FeedAll(shown, input.substr(0, first));

      const uint64_t skipped = lines.Skip(std::string_view(input).substr(first, second - first));

      EXPECT_EQ(skipped, CountLines(FeedAll(shown, input.substr(first, second - first))))
          << "from " << first << " to " << second;
      EXPECT_EQ(lines.has_progress(), shown.has_progress());
      std::string rest = FeedAll(lines, input.substr(second));
      rest += Finish(lines);
      std::string expected = FeedAll(shown, input.substr(second));
      expected += Finish(shown);
      EXPECT_EQ(rest, expected) << "from " << first << " to " << second;
    }
  }
}

TEST(OutputLinesTest, SkippedPiecesOfALongLineCountAndItsEndIsAContinuation) {
  OutputLines lines("> ");

  EXPECT_EQ(lines.Skip(std::string(OutputLines::kLineBytesMax + 1, 'x')), 1U);
  EXPECT_LE(lines.held_bytes(), 2 * OutputLines::kLineBytesMax);

  EXPECT_EQ(FeedAll(lines, "end\n"), "> ... xend\n");
}

TEST(OutputLinesTest, ProgressBarShowsItsNewestStateWhenAsked) {
  OutputLines lines("[0] ");
  std::string out;

  EXPECT_EQ(FeedAll(lines, "\r 10%\r 20%\r 30%"), "");
  ASSERT_TRUE(lines.has_progress());
  lines.TakeProgress(&out);
  EXPECT_EQ(out, "[0]  20%\n");  // 30% may still be growing
  EXPECT_FALSE(lines.has_progress());
  EXPECT_EQ(FeedAll(lines, "\r100%\n"), "[0] 100%\n");
  EXPECT_FALSE(lines.has_progress());
}

TEST(OutputLinesTest, ProgressBarThatEndsWithReturnIsShownAtTheEndOfTheStream) {
  OutputLines lines("");

  EXPECT_EQ(FeedAll(lines, "working 99%\r"), "");
  EXPECT_EQ(Finish(lines), "working 99%\n");
}

TEST(OutputLinesTest, LineAtTheLimitStaysWhole) {
  OutputLines lines("> ");
  const std::string longest(OutputLines::kLineBytesMax, 'x');

  EXPECT_EQ(FeedAll(lines, longest + "\n"), "> " + longest + "\n");
  EXPECT_EQ(FeedAll(lines, longest), "");
  EXPECT_EQ(FeedAll(lines, "\n"), "> " + longest + "\n");
}

TEST(OutputLinesTest, LongerLinesComeInMarkedPieces) {
  OutputLines lines("> ");
  const std::string piece(OutputLines::kLineBytesMax, 'x');

  EXPECT_EQ(FeedAll(lines, piece + piece + "tail\nnext\n"),
            "> " + piece + "\n> ... " + piece + "\n> ... tail\n> next\n");
  EXPECT_LE(lines.held_bytes(), 2 * OutputLines::kLineBytesMax);
}

TEST(OutputLinesTest, HeldBytesAreBoundedWhateverComes) {
  OutputLines lines("");
  std::string out;

  for (int i = 0; i < 100; ++i) {
    lines.Feed(std::string(30'011, i % 7 == 0 ? '\r' : 'x'), &out);
    ASSERT_LE(lines.held_bytes(), 2 * OutputLines::kLineBytesMax);
  }
}

TEST(OutputLinesTest, BytesThatAreNoTextPass) {
  OutputLines lines("");
  const std::string binary("\0\x01\xff\x80\n", 5);

  EXPECT_EQ(FeedAll(lines, binary), binary);
}

}  // namespace
}  // namespace lockstep::process
