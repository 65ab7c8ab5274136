// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/news_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace lockstep::launcher {
namespace {

elastic::RankProcess Process(int rank) { return {base::Rank(rank), base::Incarnation(1)}; }

void AddEnd(NewsQueue& queue, int rank, size_t bytes) {
  queue.Add(base::Round(1), Process(rank))
      .mutable_ended()
      ->set_fingerprint(std::string(bytes, 'x'));
}

TEST(NewsQueueTest, FatNewsOfManyRanksGoesInSeveralMessagesInOrder) {
  NewsQueue queue;
  for (int rank = 0; rank < 64; ++rank) {
    AddEnd(queue, rank, 46'000);
    queue.Add(base::Round(1), Process(rank)).set_gone(true);
  }

  std::vector<int> ended;
  int messages = 0;
  for (; !queue.empty(); ++messages) {
    const proto::RankNews news = queue.Take();
    EXPECT_LE(news.ByteSizeLong(), NewsQueue::kMessageBytes + 16);
    for (const proto::RankChange& change : news.changes()) {
      if (change.has_ended()) ended.push_back(change.rank());
      EXPECT_EQ(change.rank(), ended.back()) << "its end comes first";
    }
  }

  ASSERT_EQ(ended.size(), 64u);
  EXPECT_TRUE(std::is_sorted(ended.begin(), ended.end()));
  EXPECT_EQ(messages, 13);
}

TEST(NewsQueueTest, OneThatIsTooLongAloneGoesAlone) {
  NewsQueue queue;
  AddEnd(queue, 0, NewsQueue::kMessageBytes);
  AddEnd(queue, 1, 1);

  EXPECT_EQ(queue.Take().changes_size(), 1);
  EXPECT_EQ(queue.Take().changes(0).rank(), 1);
}

TEST(NewsQueueTest, AMessageIsOfOneRound) {
  NewsQueue queue;
  queue.Add(base::Round(1), Process(0)).set_gone(true);
  queue.Add(base::Round(2), Process(0)).mutable_runs();

  EXPECT_EQ(queue.Take().round(), 1u);
  EXPECT_EQ(queue.Take().round(), 2u);
  EXPECT_TRUE(queue.empty());
}

TEST(NewsQueueTest, AStepTakesThePlaceOfOneThatWaits) {
  NewsQueue queue;
  queue.Add(base::Round(1), Process(3)).mutable_runs();
  (void)queue.Take();
  for (int64_t step = 1; step <= 1000; ++step) {
    queue.SetStep(base::Round(1), Process(3), step);
    queue.SetStep(base::Round(1), Process(4), step * 2);
  }
  queue.Add(base::Round(1), Process(3)).set_gone(true);

  const proto::RankNews news = queue.Take();

  ASSERT_EQ(news.changes_size(), 3);
  EXPECT_EQ(news.changes(0).step(), 1000);
  EXPECT_EQ(news.changes(1).step(), 2000);
  EXPECT_TRUE(news.changes(2).gone());
  queue.SetStep(base::Round(1), Process(3), 1001);
  EXPECT_EQ(queue.Take().changes(0).step(), 1001);
}

}  // namespace
}  // namespace lockstep::launcher
