// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/against_floor.h"

#include <gtest/gtest.h>

namespace lockstep::bench {
namespace {

BenchRow::Peer PeerOf(const char* best, double time_us, double ratio) {
  return {.best = best, .time_us = time_us, .ratio = ratio, .low = ratio, .high = ratio};
}

/// Ours took 10 us of AllocBuffer and 20 of malloc.
BenchRow Row() {
  BenchRow row;
  row.bytes = 4096;
  row.ours["host"] = {.time_us = 10,
                      .peers = {{"floor", PeerOf("floor halves-past-caches", 8, 0.8)},
                                {"floor-plain", PeerOf("floor-plain whole", 16, 1.6)},
                                {"mpich", PeerOf("mpich yield", 24, 2.4)},
                                {"openmpi", PeerOf("openmpi ring", 12, 1.2)}}};
  row.ours["host plain"] = {.time_us = 20,
                            .peers = {{"floor", PeerOf("floor halves-past-caches", 8, 0.4)},
                                      {"floor-plain", PeerOf("floor-plain whole", 16, 0.8)},
                                      {"openmpi", PeerOf("openmpi ring", 12, 0.6)}}};
  row.ours["tcp"] = {.time_us = 50, .peers = {{"mpich", PeerOf("mpich yield", 24, 0.5)}}};
  return row;
}

TEST(AgainstFloorTest, TheFloorIsNoLibraryAndEachKindOfBuffersHasItsOwn) {
  const BenchRow row = Row();

  EXPECT_EQ(BestLibrary(row.ours.at("host")).best, "openmpi ring");
  EXPECT_EQ(FloorOf(row, "host")->best, "floor halves-past-caches");
  EXPECT_EQ(FloorOf(row, "host plain")->best, "floor-plain whole");
  EXPECT_FALSE(FloorOf(row, "tcp"));
  EXPECT_FALSE(FloorOf(row, "wide"));
  EXPECT_TRUE(BestLibrary({}).best.empty());
}

TEST(AgainstFloorTest, PlacesAreInTimesOfTheFloor) {
  const auto place = PlaceAboveFloor(Row(), "host");

  ASSERT_TRUE(place);
  EXPECT_DOUBLE_EQ(place->ours, 1.25);
  EXPECT_DOUBLE_EQ(place->peer, 1.5);
  EXPECT_FALSE(PlaceAboveFloor(Row(), "tcp"));
  BenchRow alone = Row();
  alone.ours.at("host").peers.erase("openmpi");
  alone.ours.at("host").peers.erase("mpich");
  EXPECT_FALSE(PlaceAboveFloor(alone, "host"));
}

TEST(AgainstFloorTest, ABarBelowTheFloorIsSaidToBe) {
  EXPECT_EQ(
      FloorText({.ours = 1.25, .peer = 1.5}, 2),
      "ours takes 1.25 times the floor, the best MPI 1.50 times; the bar asks for 0.75, which "
      "would be faster than the floor itself");
  EXPECT_EQ(FloorText({.ours = 1.25, .peer = 2.5}, 2),
            "ours takes 1.25 times the floor, the best MPI 2.50 times; the bar asks for 1.25");
}

TEST(AgainstFloorTest, CellsSayTheWayAndHowFarOursIs) {
  EXPECT_EQ(FloorCell(Row(), "host"), "8.00 (halves-past-caches; ours 1.25 times)");
  EXPECT_EQ(FloorCell(Row(), "host plain"), "16.0 (whole; ours 1.25 times)");
  EXPECT_EQ(FloorCell(Row(), "tcp"), "-");
}

TEST(AgainstFloorTest, AFloorThatOursIsBelowIsNone) {
  BenchRow row = Row();
  EXPECT_EQ(BelowFloorText(row, "host"), "");
  BenchRow::Peer& floor = row.ours.at("host").peers.at("floor");
  floor.ratio = 1.1;
  floor.low = 0.99;  // may as well be chance
  EXPECT_EQ(BelowFloorText(row, "host"), "");
  floor.low = 1.05;
  EXPECT_EQ(BelowFloorText(row, "host"),
            "no floor at 4096 bytes, host: floor halves-past-caches takes 1.10 times ours");
  EXPECT_EQ(BelowFloorText(row, "tcp"), "");
}

}  // namespace
}  // namespace lockstep::bench
