// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The forms in which a result is shown, each held against a file.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "launcher/bench/all_capabilities.h"
#include "launcher/bench/json_report.h"
#include "launcher/bench/svg_plot.h"
#include "launcher/bench/text_report.h"
#include "runtime/base/testing/golden.h"

namespace lockstep::launcher {
namespace {

using base::testing::MatchesGolden;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kFolder[] = "launcher/bench/testdata/";

Contender ContenderOf(const std::string& name, const std::string& peer, const std::string& knobs) {
  Contender contender;
  contender.name = name;
  contender.peer = peer;
  contender.knobs = knobs;
  return contender;
}

Cell CellOf(double us, uint64_t wrong) {
  Cell cell;
  cell.wrong = wrong;
  cell.time_us = us;
  cell.round_us = {us, us * 2};
  cell.all_us = {us, us, us * 2};
  return cell;
}

Cell RefusedCell() {
  Cell cell;
  cell.supported = false;
  cell.refusal = "in place it is another op";
  return cell;
}

/// Two sizes; at the second there is no ratio, and one mode that a peer has not.
BenchResult SomeResult() {
  BenchResult result;
  result.contenders = {ContenderOf("host", "", "buffers of AllocBuffer"),
                       ContenderOf("openmpi", "openmpi", "-np 2"),
                       ContenderOf("openmpi ring", "openmpi", "-np 2 --mca \"a\" ring")};
  result.libraries = {"Lockstep, shm, recorder on", "Open MPI v4.1.4", "Open MPI v4.1.4"};
  SizeResult small{.bytes = 4096, .part_count = 1024};
  small.cells = {{CellOf(0.66, 0), CellOf(0.5, 0)},
                 {CellOf(2.95, 0), CellOf(2.8, 0)},
                 {CellOf(4.1, 0), CellOf(3.9, 0)}};
  small.rounds = std::vector<Round>(7, Round{.pressure = 0.01});
  small.counted_rounds = 7;
  small.ratios = {{.ours = 0,
                   .peer = 1,
                   .mode = BenchMode::kOutOfPlace,
                   .times = {.low = 4.2, .median = 4.47, .high = 4.6, .coverage = 0.984375}},
                  {.ours = 0,
                   .peer = 1,
                   .mode = BenchMode::kInPlace,
                   .times = {.low = 5.1, .median = 5.6, .high = 5.9, .coverage = 0.984375}}};
  SizeResult large{.bytes = 16 << 20, .part_count = 4 << 20};
  large.cells = {{CellOf(1245, 0), CellOf(1100, 0)},
                 {CellOf(3750, 3), RefusedCell()},
                 {CellOf(3600, 0), RefusedCell()}};
  large.rounds = std::vector<Round>(7, Round{.pressure = 0.63, .valid = false});
  result.sizes = {small, large};
  return result;
}

BenchOptions SomeOptions() {
  BenchOptions options;
  options.peers = {BenchBackend::kOpenMpi};
  options.sizes = {4096, 16 << 20};
  options.statistics = true;
  options.command_line = {"-np", "2", "--compare", "openmpi"};
  return options;
}

TEST(ReportsTest, TheTableHasTheColumnsOfNcclTests) {
  const BenchResult result = SomeResult();
  std::string text = TableHead(SomeOptions(), result, {0, 1});
  for (const SizeResult& size : result.sizes) text += TableRows(SomeOptions(), result, size);
  text += TableFoot(SomeOptions(), result);

  EXPECT_TRUE(MatchesGolden(std::string(kFolder) + "report.txt", text));
}

TEST(ReportsTest, NothingThatRanIsNothingRight) {
  BenchResult result = SomeResult();
  result.sizes.resize(1);
  for (auto& cells : result.sizes[0].cells) cells = {RefusedCell(), RefusedCell()};

  EXPECT_THAT(
      TableFoot(SomeOptions(), result),
      AllOf(HasSubstr("# Wrong elements: 0 NONE CHECKED\n"),
            HasSubstr("# Did not run: host, out of place, at 1 of 1 sizes: in place it is")));
}

TEST(ReportsTest, WhyNothingIsJudgedIsSaid) {
  BenchResult result = SomeResult();
  result.judges_pressure = false;

  EXPECT_THAT(TableHead(SomeOptions(), result, {0, 1}), HasSubstr("the kernel does not tell it"));
}

TEST(ReportsTest, DisturbedRatiosAreMarked) {
  BenchResult result = SomeResult();
  EXPECT_THAT(TableFoot(SomeOptions(), result), Not(HasSubstr("DISTURBED")));
  result.marked = true;

  EXPECT_THAT(TableFoot(SomeOptions(), result), HasSubstr("DISTURBED"));
}

TEST(ReportsTest, TheJsonIsWhatItsSchemaSays) {
  const BenchMachine machine{.version = "1.2.3",
                             .end_time = "2026-01-31T12:00:00Z",
                             .cpu = "A \"fast\" one",
                             .kernel = "6.1",
                             .cores = 2,
                             .cpus = {0, 1}};
  const std::string text = JsonReport(SomeOptions(), machine, SomeResult());

  EXPECT_TRUE(MatchesGolden(std::string(kFolder) + "report.json", text));
  google::protobuf::Struct parsed;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(text, &parsed).ok());
  EXPECT_EQ(parsed.fields().at("results").list_value().values_size(), 2);
}

TEST(ReportsTest, ThePlotShowsAPeerWithItsBestKnobs) {
  const std::vector<PlotSeries> series = SeriesOf(SomeResult());

  ASSERT_EQ(series.size(), 2u);
  EXPECT_EQ(series[1].name, "openmpi, best knobs");
  EXPECT_EQ(series[1].points[1], (std::pair<double, double>(16 << 20, 3600)));
  EXPECT_TRUE(MatchesGolden(std::string(kFolder) + "report.svg",
                            SvgPlot("all_reduce <f32> & more", series)));
}

TEST(ReportsTest, APlotOfNothingIsStillAPicture) {
  EXPECT_THAT(SvgPlot("empty", {{.name = "host", .points = {}}}), HasSubstr("no times"));
  EXPECT_THAT(SvgPlot("one", {{.name = "host", .points = {{4096, 1}}}}), Not(HasSubstr("nan")));
}

TEST(ReportsTest, CapabilitiesOfEveryBackendAndTheGuideShowsThem) {
  const std::string tables = CapabilityTables(AllCapabilities());
  EXPECT_TRUE(MatchesGolden(std::string(kFolder) + "capabilities.txt", tables));
  std::ifstream file("docs/collectives.md");
  const std::string guide((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  EXPECT_THAT(guide, HasSubstr("```\n" + tables + "```\n"));
}

}  // namespace
}  // namespace lockstep::launcher
