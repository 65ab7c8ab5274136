// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/flight_dump_file.h"

#include <utility>

#include "collectives/diagnosis/imports/json_tree.h"
#include "collectives/diagnosis/imports/pickle_reader.h"

namespace lockstep::collectives {

base::Result<FlightDump> ReadFlightDumpFile(const std::string& path, std::string_view bytes) {
  const std::string what = "torch's dump " + path;
  const auto tree = bytes.starts_with('\x80') ? ReadPickle(bytes) : ReadJson(bytes);
  if (!tree.ok()) return tree.status().WithFrame(what);
  if (!IsFlightDump(**tree)) return base::InvalidArgumentError(what + " is something else");
  auto dump = ReadFlightDump(**tree);
  if (!dump.ok()) return dump.status().WithFrame(what);
  return dump;
}

}  // namespace lockstep::collectives
