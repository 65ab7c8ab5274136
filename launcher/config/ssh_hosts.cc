// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/ssh_hosts.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "launcher/placement/host_list.h"

namespace lockstep::launcher {
namespace {

constexpr char kHosts[] = "spec.placement.ssh.hosts";
constexpr char kStage[] = "spec.placement.ssh.stage";
constexpr char kNodes[] = "spec.gang.nodes";
constexpr char kPerNode[] = "spec.gang.processesPerNode";
constexpr char kTotal[] = "spec.gang.totalProcesses";
constexpr char kMasterAddress[] = "spec.gang.masterAddress";
constexpr int kNamedMax = 8;

std::string Count(int count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

/// "a:4,b:2", cut.
std::string HostsText(const proto::SshPlacement& ssh) {
  std::string text;
  for (int i = 0; i < std::min(ssh.hosts_size(), kNamedMax); ++i) {
    text += (i == 0 ? "" : ",") + ssh.hosts(i).host() + ":" + std::to_string(ssh.hosts(i).slots());
  }
  return ssh.hosts_size() > kNamedMax ? text + ",..." : text;
}

/// Without the name service, which is not asked here.
bool IsLoopbackText(const std::string& host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1";
}

class HostCounter {
 public:
  explicit HostCounter(proto::JobSpec* spec)
      : stages_nothing_(spec->program().kind() == proto::PROGRAM_KIND_PYTHON_MODULE),
        gang_(*spec->mutable_gang()),
        ssh_(*spec->mutable_placement()->mutable_ssh()) {}

  SshHostsReading Run() {
    if (ssh_.hosts().empty()) {
      Add(kHosts, "", "names no host; write --host a:4,b:4");
    } else {
      CheckNodes();
      CheckMasterAddress();
      CheckStage();
      if (GiveSlots()) FillSlots();
      SetCounts();
    }
    return std::move(reading_);
  }

 private:
  void Add(std::string path, std::string value, std::string what) {
    reading_.problems.push_back({std::move(path), std::move(value), std::move(what), 0, ""});
  }

  void CheckNodes() {
    const int listed = ssh_.hosts_size();
    if (!gang_.has_nodes() || gang_.nodes() == listed) return;
    Add(kNodes, std::to_string(gang_.nodes()),
        "contradicts the list of hosts, which names " + Count(listed, "host") +
            "; give one of the two");
  }

  void CheckMasterAddress() {
    if (ssh_.hosts_size() < 2 || !IsLoopbackText(gang_.master_address())) return;
    Add(kMasterAddress, gang_.master_address(),
        "is another machine on each of the " + Count(ssh_.hosts_size(), "host") +
            "; leave it out, or name an address by which all of them reach the first");
  }

  void CheckStage() {
    if (!ssh_.stage() || !stages_nothing_) return;
    Add(kStage, "true", "has no file to copy: Python finds a module itself; leave it out");
  }

  /// False when some host has none.
  bool GiveSlots() {
    const proto::ProcessesPerNode& per_node = gang_.processes_per_node();
    for (proto::SshHost& host : *ssh_.mutable_hosts()) {
      if (per_node.has_unit() && !host.has_slots()) {
        Add(kPerNode, "",
            "can be counted on this machine alone; say of each host how many ranks it has, as "
            "--host " +
                host.host() + ":4");
        return false;
      }
      if (per_node.has_count() && host.has_slots() && host.slots() != per_node.count()) {
        Add(kPerNode, std::to_string(per_node.count()),
            "contradicts host " + host.host() + ", which is given " + Count(host.slots(), "rank") +
                "; give one of the two");
        return false;
      }
      if (!host.has_slots()) host.set_slots(per_node.has_count() ? per_node.count() : 1);
    }
    return true;
  }

  void FillSlots() {
    int64_t room = 0;
    for (const proto::SshHost& host : ssh_.hosts()) room += host.slots();
    if (!gang_.has_total_processes() || gang_.total_processes() < 1) return;
    int left = gang_.total_processes();
    if (left > room) {
      Add(kTotal, std::to_string(left),
          "is more than the hosts have room for, " + std::to_string(room) + " (" + HostsText(ssh_) +
              "); give them more, as --host " + ssh_.hosts(0).host() + ":" +
              std::to_string((left + ssh_.hosts_size() - 1) / ssh_.hosts_size()));
      return;
    }
    int used = 0;
    for (proto::SshHost& host : *ssh_.mutable_hosts()) {
      host.set_slots(std::min(host.slots(), left));
      left -= host.slots();
      if (host.slots() > 0) ++used;
    }
    DropFrom(used);
  }

  void DropFrom(int used) {
    std::string names;
    for (int i = used; i < ssh_.hosts_size(); ++i) {
      if (i - used < kNamedMax) names += (i == used ? "" : ", ") + ssh_.hosts(i).host();
      if (i - used == kNamedMax) names += " ...";
    }
    if (names.empty()) return;
    reading_.notes.push_back(Count(gang_.total_processes(), "rank") + " fit on " +
                             Count(used, "host") + "; not used: " + names);
    ssh_.mutable_hosts()->DeleteSubrange(used, ssh_.hosts_size() - used);
  }

  void SetCounts() {
    int64_t total = 0;
    bool even = true;
    for (const proto::SshHost& host : ssh_.hosts()) {
      total += host.slots();
      even = even && host.slots() == ssh_.hosts(0).slots();
    }
    gang_.set_nodes(ssh_.hosts_size());
    gang_.set_min_nodes(ssh_.hosts_size());
    gang_.set_max_nodes(ssh_.hosts_size());
    if (!reading_.problems.empty()) return;
    gang_.set_total_processes(static_cast<int>(std::min<int64_t>(total, INT32_MAX)));
    gang_.clear_processes_per_node();
    if (even) gang_.mutable_processes_per_node()->set_count(ssh_.hosts(0).slots());
  }

  const bool stages_nothing_;
  proto::Gang& gang_;
  proto::SshPlacement& ssh_;
  SshHostsReading reading_;
};

}  // namespace

SshHostsReading ReadSshHosts(std::string_view text, bool is_file, proto::Placement* placement) {
  SshHostsReading reading;
  const base::Result<std::vector<HostEntry>> entries =
      is_file ? ParseHostFile(text) : ParseHostList(text);
  proto::SshPlacement& ssh = *placement->mutable_ssh();
  ssh.clear_hosts();
  if (!entries.ok()) {
    reading.problems.push_back({kHosts, "", entries.status().message(), 0, ""});
    return reading;
  }
  for (const HostEntry& entry : *entries) {
    proto::SshHost& host = *ssh.add_hosts();
    host.set_host(entry.host);
    if (!entry.user.empty()) host.set_user(entry.user);
    if (entry.slots > 0) host.set_slots(entry.slots);
  }
  return reading;
}

SshHostsReading CompleteSshHosts(proto::JobSpec* spec) { return HostCounter(spec).Run(); }

}  // namespace lockstep::launcher
