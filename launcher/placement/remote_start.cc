// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/remote_start.h"

namespace lockstep::launcher {
namespace {

constexpr std::string_view kMark = "lockstep-start ";

// Between single quotes there must be no newline (csh), no ! (csh), no backslash (fish) and no
// single quote; a test holds it against that.
//
// A file has a folder of its own, named by its hash, below ~/.cache/lockstep, or below /tmp where
// home cannot be written. There it must be no link, and ours, in one look (`ls`), since whoever
// else can write into /tmp may put one thing in the place of another between two; what is a folder
// and ours at one time stays that, because /tmp is sticky. Files appear by a rename, whole and
// checked, so that two jobs may copy the same one at once; their temporary names tell hosts apart
// that share a home. They are on the disk before they have their name, since a power loss may leave
// a file of the right size and of zeros; to check the hash before each use instead costs 33 ms of
// CPU for a lockstep of 13 MB (EPYC with SHA extensions, coreutils 9.1), a tenth of a start.
constexpr std::string_view kCommand =
    "exec sh -c '"
    "mask=$(umask); umask 077; "
    "say() { echo \"lockstep-start $*\"; }; "
    "own() { mkdir -p \"$1\" 2>/dev/null; "
    "[ -d \"$1\" ] && [ -O \"$1\" ] && [ -w \"$1\" ] && chmod 700 \"$1\"; }; "
    "tmp() { me=$(id -u); base=/tmp/lockstep-agents-$me; mkdir $base 2>/dev/null; "
    "set -- $(ls -ldn $base 2>/dev/null); "
    "case $1:$3 in d*:$me) own $base && return ;; esac; "
    "say fail no folder for the agent can be written: neither "
    "${HOME:-the home folder}/.cache nor $base, if that is a folder and yours; exit 73; }; "
    "say hello $(uname -m); "
    "read -r agent agent_bytes program program_bytes || exit 0; "
    "base=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/lockstep; "
    "own \"$base\" || tmp; "
    "there() { [ -f \"$file\" ] && [ $(($(wc -c < \"$file\"))) = $1 ]; }; "
    "give_up() { rm -f \"$new\"; say fail $*; exit 73; }; "
    "fetch() { folder=$base/$1/$3; file=$folder/$2; "
    "if there $4; then say have \"$file\"; return; fi; "
    "own \"$folder\" || { say fail folder $folder cannot be written; exit 73; }; "
    "new=$file.$(uname -n).$$; "
    "say need; "
    "head -c $4 > \"$new\" || give_up $new cannot be written; "
    "sum=$(sha256sum < \"$new\") || give_up sha256sum is missing; "
    "[ \"${sum%% *}\" = $3 ] || give_up $new came incomplete; "
    "{ sync \"$new\" || sync; } 2>/dev/null; "
    "chmod 700 \"$new\" && mv -f \"$new\" \"$file\" || give_up $file cannot be written; "
    "say have \"$file\"; }; "
    "fetch agents lockstep $agent $agent_bytes; "
    "run=$file; "
    "if [ ${program_bytes:-0} -gt 0 ]; then "
    "fetch programs program $program $program_bytes; fi; "
    "say run; "
    "umask $mask; "
    "exec \"$run\" agent'";

std::string ToText(const RemoteFile& file) { return file.hash + " " + std::to_string(file.bytes); }

}  // namespace

std::string_view RemoteStartCommand() { return kCommand; }

std::string RemoteStartRequest(const RemoteFile& agent, const std::optional<RemoteFile>& program) {
  return ToText(agent) + (program ? " " + ToText(*program) : "") + "\n";
}

std::optional<RemoteStartLine> ParseRemoteStartLine(std::string_view line) {
  if (!line.starts_with(kMark)) return std::nullopt;
  line.remove_prefix(kMark.size());
  const size_t blank = line.find(' ');
  const std::string_view word = line.substr(0, blank);
  RemoteStartLine parsed;
  parsed.text = blank == line.npos ? "" : line.substr(blank + 1);
  using Kind = RemoteStartLine::Kind;
  if (word == "hello") {
    parsed.kind = Kind::kHello;
  } else if (word == "need") {
    parsed.kind = Kind::kNeed;
  } else if (word == "have") {
    parsed.kind = Kind::kHave;
  } else if (word == "run") {
    parsed.kind = Kind::kRun;
  } else if (word == "fail") {
    parsed.kind = Kind::kFail;
  } else {
    return std::nullopt;
  }
  return parsed;
}

}  // namespace lockstep::launcher
