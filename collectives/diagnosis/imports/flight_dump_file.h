// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_DUMP_FILE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_DUMP_FILE_H_

#include <string>
#include <string_view>

#include "collectives/diagnosis/imports/flight_dump.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What stands in a file that has to be a flight recorder's dump, pickle or JSON. Pure; any thread;
/// any bytes. Errors, all with the path: InvalidArgument - it is none, cut short, damaged, or wants
/// to run code; OutOfRange - more than a dump has.
base::Result<FlightDump> ReadFlightDumpFile(const std::string& path, std::string_view bytes);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_FLIGHT_DUMP_FILE_H_
