// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/host_list.h"

#include <gmock/gmock.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(HostListTest, ListsAsMpirunAndHorovodHaveThem) {
  EXPECT_THAT(ParseHostList("a:4,b:2"),
              IsOkAndHolds(ElementsAre(HostEntry{"", "a", 4}, HostEntry{"", "b", 2})));
  EXPECT_THAT(ParseHostList("node-1.cluster"),
              IsOkAndHolds(ElementsAre(HostEntry{"", "node-1.cluster", 0})));
  EXPECT_THAT(ParseHostList("ada@a:1, 10.0.0.7"),
              IsOkAndHolds(ElementsAre(HostEntry{"ada", "a", 1}, HostEntry{"", "10.0.0.7", 0})));
}

TEST(HostListTest, AddressesOfIPv6KeepTheirColons) {
  EXPECT_THAT(ParseHostList("[fe80::1%eth0]:8,fd00::2,[fd00::3]"),
              IsOkAndHolds(ElementsAre(HostEntry{"", "fe80::1%eth0", 8},
                                       HostEntry{"", "fd00::2", 0}, HostEntry{"", "fd00::3", 0})));
}

TEST(HostListTest, EverythingThatIsWrongIsToldAtOnce) {
  EXPECT_THAT(
      ParseHostList("a:0,b:x,-oProxyCommand=true,c,,c"),
      StatusIs(base::Code::kInvalidArgument,
               AllOf(HasSubstr("host 1 (\"a:0\"): the number of ranks is 1 to 4096"),
                     HasSubstr("host 2 (\"b:x\")"), HasSubstr("host 3 (\"-oProxyCommand=true\")"),
                     HasSubstr("host 5 (\"\")"),
                     HasSubstr("host 6 (\"c\"): is named twice, first in host 4; name it once"))));
  EXPECT_THAT(ParseHostList(""), StatusIs(base::Code::kInvalidArgument, HasSubstr("no host")));
  EXPECT_THAT(ParseHostList("a$(reboot)"),
              StatusIs(base::Code::kInvalidArgument, HasSubstr("a host is")));
  EXPECT_THAT(ParseHostList("a b@c"),
              StatusIs(base::Code::kInvalidArgument, HasSubstr("a user's name")));
}

TEST(HostListTest, WhatIsShownOfBadInputIsBounded) {
  std::string many;
  for (int i = 0; i < 100; ++i) many += std::string(1000, '!') + ",";

  const auto hosts = ParseHostList(many);

  EXPECT_THAT(hosts, StatusIs(base::Code::kInvalidArgument, HasSubstr("and 92 more")));
  EXPECT_LT(hosts.status().message().size(), 2000U);
}

TEST(HostListTest, ListsAreBounded) {
  std::string hosts;
  for (size_t i = 0; i < kHostsMax; ++i) hosts += "h" + std::to_string(i) + ",";
  EXPECT_THAT(ParseHostList(hosts), IsOkAndHolds(SizeIs(kHostsMax)));
  EXPECT_THAT(ParseHostList(hosts + "one-more"),
              StatusIs(base::Code::kInvalidArgument, HasSubstr("more than")));
  EXPECT_THAT(ParseHostList(std::string(kHostListBytes + 1, 'a')),
              StatusIs(base::Code::kInvalidArgument, HasSubstr("longer than")));
}

TEST(HostListTest, FilesAsMpirunHydraAndHorovodHaveThem) {
  EXPECT_THAT(ParseHostFile("# cluster\n"
                            "a slots=4 max_slots=8\n"
                            "\n"
                            "ada@b:2   # Hydra's way\r\n"
                            "\tc\n"
                            "d\tmax-slots=4\tslots=3"),
              IsOkAndHolds(ElementsAre(HostEntry{"", "a", 4}, HostEntry{"ada", "b", 2},
                                       HostEntry{"", "c", 0}, HostEntry{"", "d", 3})));
}

TEST(HostListTest, FilesTellTheLineThatIsWrong) {
  EXPECT_THAT(ParseHostFile("a\nb slots=4 max_slots=2\na\nc cpus=2\nd slots=many\n"),
              StatusIs(base::Code::kInvalidArgument,
                       AllOf(HasSubstr("line 2 (\"b\"): slots is above max_slots"),
                             HasSubstr("line 3 (\"a\"): is named twice, first in line 1"),
                             HasSubstr("line 4 (\"cpus=2\"): only slots=N"),
                             HasSubstr("line 5 (\"many\"): the number of ranks"))));
  EXPECT_THAT(ParseHostFile("# nothing\n"),
              StatusIs(base::Code::kInvalidArgument, HasSubstr("no host")));
}

}  // namespace
}  // namespace lockstep::launcher
