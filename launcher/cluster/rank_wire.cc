// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/rank_wire.h"

#include <algorithm>
#include <string>
#include <utility>

namespace lockstep::launcher {
namespace {

constexpr size_t kTextBytes = 4096;  // paths, one-line messages, fingerprints
constexpr size_t kWhyBytes = 200;
constexpr size_t kWhysMax = 256;  // of a node that is lost with more, all were lost the same way
constexpr int kExitCodeMax = 255;
constexpr int kSignalMax = 64;

std::string Head(const std::string& text, size_t bytes) { return text.substr(0, bytes); }

std::string Tail(const std::string& text, size_t bytes) {
  return text.size() <= bytes ? text : text.substr(text.size() - bytes);
}

}  // namespace

void ToWire(const elastic::RankProcess& process, proto::RankProcess& wire) {
  wire.set_rank(process.rank.value());
  wire.set_incarnation(process.incarnation.value());
}

elastic::RankProcess FromWire(const proto::RankProcess& wire) {
  return {base::Rank(wire.rank()), base::Incarnation(wire.incarnation())};
}

void ToWire(const elastic::GoneRank& gone, proto::GoneRank& wire) {
  wire.set_rank(gone.rank.value());
  wire.set_why(Head(gone.why, kWhyBytes));
}

void ToWire(base::Round next, const std::vector<elastic::GoneRank>& gone, proto::NextRound& wire) {
  wire.set_round(next.value());
  for (const elastic::GoneRank& one : gone) {
    ToWire(gone.size() <= kWhysMax ? one : elastic::GoneRank{one.rank, ""}, *wire.add_gone());
  }
}

elastic::GoneRank FromWire(const proto::GoneRank& wire) {
  return {base::Rank(wire.rank()), Head(wire.why(), kWhyBytes)};
}

void ToWire(const RankEnd& end, proto::RankEnded& wire) {
  wire.set_exit_code(end.exit.exit_code);
  wire.set_signal(end.exit.signal);
  wire.set_out_of_memory(end.exit.out_of_memory);
  wire.set_fingerprint(Head(end.exit.fingerprint, kTextBytes));
  proto::RankEvidence& evidence = *wire.mutable_evidence();
  for (const std::string& line : end.evidence.stderr_lines) {
    if (evidence.stderr_lines_size() == static_cast<int>(kStderrLines)) break;
    evidence.add_stderr_lines(Head(line, kEvidenceLineColumns));
  }
  evidence.set_stderr_path(Head(end.evidence.stderr_path, kTextBytes));
  if (!end.evidence.error) return;
  proto::ErrorFile& error = *evidence.mutable_error();
  error.set_message(Head(end.evidence.error->message, kTextBytes));
  error.set_traceback(Tail(end.evidence.error->traceback, kWireTracebackBytes));
  error.set_timestamp(end.evidence.error->timestamp);
}

RankEnd FromWire(const proto::RankEnded& wire) {
  RankEnd end;
  // What no process ends with is a failure all the same; as an exit status it could read as
  // success.
  end.exit.exit_code =
      wire.exit_code() >= 0 && wire.exit_code() <= kExitCodeMax ? wire.exit_code() : kExitCodeMax;
  end.exit.signal = wire.signal() >= 0 && wire.signal() <= kSignalMax ? wire.signal() : 0;
  if (end.exit.signal != wire.signal()) end.exit.exit_code = kExitCodeMax;
  if (wire.has_at_steady_ns()) {
    end.when = {base::SteadyTime(base::Duration(wire.at_steady_ns())),
                base::Duration(wire.at_error_ns())};
  }
  end.exit.out_of_memory = wire.out_of_memory();
  end.exit.fingerprint = Head(wire.fingerprint(), kTextBytes);
  const int lines = std::min(wire.evidence().stderr_lines_size(), static_cast<int>(kStderrLines));
  for (int i = 0; i < lines; ++i) {
    end.evidence.stderr_lines.push_back(
        Head(wire.evidence().stderr_lines(i), kEvidenceLineColumns));
  }
  end.evidence.stderr_path = Head(wire.evidence().stderr_path(), kTextBytes);
  if (wire.evidence().has_error()) {
    const proto::ErrorFile& error = wire.evidence().error();
    end.evidence.error = ErrorFile{.message = Head(error.message(), kTextBytes),
                                   .traceback = Tail(error.traceback(), kWireTracebackBytes),
                                   .timestamp = error.timestamp()};
  }
  return end;
}

}  // namespace lockstep::launcher
