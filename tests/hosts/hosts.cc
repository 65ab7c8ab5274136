// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/hosts/hosts.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"

namespace lockstep::hosts {
namespace {

using base::Result;
using base::Status;
using base::UniqueFd;
using std::chrono::milliseconds;
using std::chrono::seconds;
namespace fs = std::filesystem;

constexpr int kAllNamespaces =
    CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;
constexpr char kKit[] = "/run/lockstep-hosts";
constexpr char kSshd[] = "/usr/sbin/sshd";

/// Empty on every host; whatever of the machine lies in them is out of sight unless it is kept.
const std::vector<FreshFolder>& FreshOnHosts() {
  static const std::vector<FreshFolder> folders = {{"/tmp", "mode=1777"},
                                                   {"/var/tmp", "mode=1777"},
                                                   {"/run", "mode=0755"},
                                                   {"/dev/shm", "mode=1777"},
                                                   {"/root", "mode=0700"}};
  return folders;
}

const char* BridgeName(Nic nic) { return nic == Nic::kData ? "br-data" : "br-mgmt"; }
int Subnet(Nic nic) { return nic == Nic::kData ? 77 : 78; }
int AddressEnd(int host) { return host == kController ? 254 : host + 1; }

/// The same in each life of the host, so that its peers' neighbour tables stay right.
std::string MacAddress(int host, Nic nic) {
  char text[18];
  std::snprintf(text, sizeof text, "02:00:00:00:%02x:%02x", static_cast<unsigned>(Subnet(nic)),
                static_cast<unsigned>(AddressEnd(host)) & 0xffU);
  return text;
}

bool IsBelow(const std::string& path, const std::string& folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

std::string RealPath(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  return error ? "" : real.string();
}

/// The output base that a file of Bazel's lies in, since runfiles are links into all of it; else
/// the path itself.
std::string WithItsOutputBase(const std::string& path) {
  const size_t cut = std::min(path.find("/execroot/"), path.find("/sandbox/"));
  return path.substr(0, cut);
}

std::vector<std::string> PlacesOfThisProgram() {
  std::vector<std::string> places;
  const std::string program = RealPath("/proc/self/exe");
  if (!program.empty()) places.push_back(WithItsOutputBase(fs::path(program).parent_path()));
  places.push_back(WithItsOutputBase(RealPath(".")));
  if (const char* runfiles = std::getenv("TEST_SRCDIR"); runfiles != nullptr)
    places.push_back(WithItsOutputBase(RealPath(runfiles)));
  return places;
}

/// Read-only ones first, so that a shared folder inside one of them lies on top; each once.
std::vector<KeptFolder> FoldersToKeep(const Hosts::Options& options) {
  std::vector<std::string> visible = PlacesOfThisProgram();
  for (const std::string& path : options.visible) visible.push_back(RealPath(path));
  std::vector<KeptFolder> kept;
  for (const std::string& path : visible) {
    const bool hidden = std::any_of(FreshOnHosts().begin(), FreshOnHosts().end(),
                                    [&](const FreshFolder& f) { return IsBelow(path, f.path); });
    const bool there = std::any_of(kept.begin(), kept.end(), [&](const KeptFolder& folder) {
      return path == folder.path || IsBelow(path, folder.path);
    });
    if (hidden && !there) kept.push_back({path, false});
  }
  for (const std::string& path : options.shared) kept.push_back({RealPath(path), true});
  return kept;
}

Status CheckPrograms(const Hosts::Options& options) {
  std::vector<std::pair<std::string, std::string>> needed = {
      {"/usr/sbin/ip", "iproute2"}, {"/usr/sbin/tc", "iproute2"}, {"/usr/sbin/nft", "nftables"}};
  if (options.sshd) {
    needed.emplace_back(kSshd, "openssh-server");
    needed.emplace_back("/usr/bin/ssh-keygen", "openssh-client");
  }
  for (const auto& [program, package] : needed) {
    if (::access(program.c_str(), X_OK) != 0)
      return base::FailedPreconditionError(
          std::string("no hosts here: ").append(program).append(" is missing; apt-get install ") +
          package);
  }
  if (options.sshd && e2e::ReadFile("/proc/self/setgroups").starts_with("deny"))
    return base::FailedPreconditionError(
        "no hosts with sshd here: it needs setgroups, which this user namespace denies (Bazel's "
        "sandbox); tag the test no-sandbox, or set Options::sshd to false");
  return base::OkStatus();
}

std::string HostsFile(int count) {
  std::string text = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n";
  text += Hosts::Ipv4(kController, Nic::kMgmt) + " controller\n";
  for (int host = 0; host < count; ++host) {
    const std::string name = Hosts::Name(host);
    text += Hosts::Ipv4(host, Nic::kMgmt).append(" ").append(name);
    text += " " + name + "-mgmt\n";
    text += Hosts::Ipv4(host, Nic::kData) + " " + name + "-data\n";
    text += Hosts::Ipv6(host, Nic::kMgmt) + " " + name + "-mgmt6\n";
    text += Hosts::Ipv6(host, Nic::kData) + " " + name + "-data6\n";
  }
  return text;
}

Status Write(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  return file ? base::OkStatus() : base::ErrnoStatus(errno, "write " + path);
}

std::string SshFolder() { return std::string(kKit) + "/ssh"; }
std::string HostKey(int host) { return SshFolder() + "/host_key_" + std::to_string(host); }

std::string SshdConfig() {
  return "Port 22\nAuthorizedKeysFile " + SshFolder() +
         "/key.pub\nStrictModes no\nUsePAM no\nUseDNS no\nPasswordAuthentication no\n"
         "PermitRootLogin yes\nPidFile none\nPrintMotd no\nPrintLastLog no\nAcceptEnv *\n"
         "MaxStartups 200\nMaxSessions 200\nSubsystem sftp internal-sftp\n";
}

std::string ClientConfig() {
  return "Host *\n  User root\n  IdentityFile " + SshFolder() +
         "/key\n  IdentitiesOnly yes\n  UserKnownHostsFile " + SshFolder() +
         "/known_hosts\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
         "  BatchMode yes\n  GSSAPIAuthentication no\n  ConnectTimeout 10\n  LogLevel ERROR\n";
}

std::string KnownHost(int host, const std::string& public_key) {
  const std::string name = Hosts::Name(host);
  std::string names =
      name + "," + name + "-mgmt," + name + "-data," + name + "-mgmt6," + name + "-data6";
  for (Nic nic : kNics) names += "," + Hosts::Ipv4(host, nic) + "," + Hosts::Ipv6(host, nic);
  return names + " " + public_key;
}

bool IsSshdListening(pid_t init) {
  // The lines of /proc/PID/net/tcp: local address 0.0.0.0, port 22 in hexadecimal, state LISTEN.
  const std::string sockets = e2e::ReadFile("/proc/" + std::to_string(init) + "/net/tcp");
  return sockets.find(" 00000000:0016 00000000:0000 0A ") != std::string::npos;
}

bool EndsWithin(const UniqueFd& pidfd, milliseconds at_most) {
  pollfd end{pidfd.get(), POLLIN, 0};
  return ::poll(&end, 1, static_cast<int>(at_most.count())) > 0;
}

std::string NamespaceOf(const std::string& process) {
  std::error_code error;
  const fs::path link = fs::read_symlink("/proc/" + process + "/ns/pid", error);
  return error ? "" : link.string();
}

}  // namespace

std::string Hosts::Ipv4(int host, Nic nic) {
  return "10." + std::to_string(Subnet(nic)) + ".0." + std::to_string(AddressEnd(host));
}

std::string Hosts::Ipv6(int host, Nic nic) {
  return "fd" + std::to_string(Subnet(nic)) + "::" + std::to_string(AddressEnd(host));
}

std::string Hosts::SshConfig() { return SshFolder() + "/config"; }

bool Hosts::Unsupported(const Status& status) {
  return status.code() == base::Code::kFailedPrecondition;
}

Hosts::Hosts(Options options)
    : options_(std::move(options)),
      kept_(FoldersToKeep(options_)),
      hosts_(static_cast<size_t>(options_.count)),
      faults_(options_.count) {}

Result<std::unique_ptr<Hosts>> Hosts::Create(Options options) {
  if (options.count < 1 || options.count > kCountMax)
    return base::InvalidArgumentError("hosts: a count of " + std::to_string(options.count) +
                                      "; 1 to " + std::to_string(kCountMax) + " are possible");
  for (const auto* folders : {&options.visible, &options.shared}) {
    for (const std::string& folder : *folders) {
      if (!fs::is_directory(folder))
        return base::InvalidArgumentError("hosts: " + folder +
                                          ", to be seen by them, is no folder");
    }
  }
  RETURN_IF_ERROR(CheckPrograms(options));
  std::unique_ptr<Hosts> hosts(new Hosts(std::move(options)));
  RETURN_IF_ERROR(hosts->StartOuter());
  std::vector<int> all(static_cast<size_t>(hosts->count()));
  std::iota(all.begin(), all.end(), 0);
  RETURN_IF_ERROR(hosts->BootAll(all));
  return hosts;
}

Hosts::~Hosts() {
  life_.reset();
  if (outer_.pid <= 0) return;
  if (!EndsWithin(outer_.pidfd, seconds(10))) ::kill(outer_.pid, SIGKILL);
  if (EndsWithin(outer_.pidfd, seconds(10))) ::waitpid(outer_.pid, nullptr, 0);
}

const Hosts::Host& Hosts::At(int host) const {
  LOCKSTEP_CHECK(host >= 0 && host < count(), "no such host");
  return hosts_[static_cast<size_t>(host)];
}

int Hosts::PidfdOf(int host) const {
  return host == kController ? outer_.pidfd.get() : At(host).init.pidfd.get();
}

// --- Setting up ---

Status Hosts::StartOuter() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "pipe2");
  life_.reset(ends[1]);
  InitPlan plan;
  plan.hostname = "controller";
  plan.life.reset(ends[0]);
  plan.fresh = {{"/run", "mode=0755"}};
  for (const KeptFolder& folder : kept_) {
    if (IsBelow(folder.path, "/run")) plan.kept.push_back(folder);
  }
  plan.folders = {kKit, SshFolder(), "/run/lock"};
  ASSIGN_OR_RETURN(outer_, StartInit(plan, std::nullopt));

  const std::string root = Root(kController);
  RETURN_IF_ERROR(Write(root + kKit + "/hosts", HostsFile(count())));
  // A bind mount of our own after the fact: the file could not be there before the folder was.
  const e2e::Outcome bound =
      Run(kController, {"/bin/mount", "--bind", std::string(kKit) + "/hosts", "/etc/hosts"});
  if (bound.status != 0)
    return base::FailedPreconditionError("no hosts here: bind on /etc/hosts: " + bound.err);
  std::string links = "link set lo up\n";
  for (Nic nic : kNics) {
    const std::string bridge = BridgeName(nic);
    links += "link add " + bridge + " address " + MacAddress(kController, nic) +
             " type bridge mcast_snooping 0\n";
    links += "addr add " + Ipv4(kController, nic) + "/24 dev " + bridge + "\n";
    links += "addr add " + Ipv6(kController, nic) + "/64 dev " + bridge + " nodad\n";
    links += "link set " + bridge + " up\n";
  }
  RETURN_IF_ERROR(Tool(kController, {"/usr/sbin/ip", "-batch", "-"}, links));
  RETURN_IF_ERROR(ApplyRules());
  return options_.sshd ? WriteSshFiles() : base::OkStatus();
}

Status Hosts::WriteSshFiles() {
  std::string make_keys = "set -e; key() { ssh-keygen -q -t ed25519 -N '' -f $1; }; ";
  make_keys += "key " + SshFolder() + "/key & ";
  for (int host = 0; host < count(); ++host) make_keys += "key " + HostKey(host) + " & ";
  const e2e::Outcome made = Run(kController, {"/bin/sh", "-c", make_keys + "wait"});
  if (made.status != 0) return base::InternalError("hosts: ssh-keygen failed: " + made.err);

  const std::string root = Root(kController);
  std::string known;
  for (int host = 0; host < count(); ++host) {
    const std::string key = e2e::ReadFile(root + HostKey(host) + ".pub");
    if (key.empty()) return base::InternalError("hosts: no key of " + Name(host) + ": " + made.err);
    known += KnownHost(host, key);
  }
  RETURN_IF_ERROR(Write(root + SshFolder() + "/known_hosts", known));
  RETURN_IF_ERROR(Write(root + SshFolder() + "/sshd_config", SshdConfig()));
  return Write(root + SshConfig(), ClientConfig());
}

Status Hosts::BootAll(const std::vector<int>& which) {
  std::string links;
  for (int host : which) {
    RETURN_IF_ERROR(StartHost(host));
    for (Nic nic : kNics) {
      links += "link add " + PortName(host, nic) + " type veth peer name " + NicName(nic) +
               " address " + MacAddress(host, nic) + " netns " + std::to_string(At(host).init.pid) +
               "\n";
      links += "link set " + PortName(host, nic) + " master " + BridgeName(nic) +
               (faults_.At(host, nic).cut ? "\n" : " up\n");
    }
  }
  RETURN_IF_ERROR(Tool(kController, {"/usr/sbin/ip", "-batch", "-"}, links));
  for (int host : which) RETURN_IF_ERROR(ConnectHost(host));
  for (int host : which) RETURN_IF_ERROR(WaitForSshd(host));
  return base::OkStatus();
}

Status Hosts::StartHost(int host) {
  InitPlan plan;
  plan.hostname = Name(host);
  plan.fresh = FreshOnHosts();
  plan.kept = kept_;
  plan.kept.push_back({kKit, false});
  plan.read_only = true;
  plan.folders = {"/run/sshd", "/run/lock", "/root/.ssh"};
  if (options_.sshd)
    plan.daemon = {kSshd, "-D",          "-f", SshFolder() + "/sshd_config",
                   "-h",  HostKey(host), "-E", "/run/sshd.log"};
  ASSIGN_OR_RETURN(hosts_[static_cast<size_t>(host)].init, StartInit(plan, outer_.pidfd.get()));
  if (!options_.sshd) return base::OkStatus();
  return Write(Root(host) + "/root/.ssh/config", "Include " + SshConfig() + "\n");
}

Status Hosts::ConnectHost(int host) {
  std::string links = "link set lo up\n";
  for (Nic nic : kNics) {
    links += "addr add " + Ipv4(host, nic) + "/24 dev " + NicName(nic) + "\n";
    links += "addr add " + Ipv6(host, nic) + "/64 dev " + NicName(nic) + " nodad\n";
    links += "link set " + NicName(nic) + " up\n";
  }
  RETURN_IF_ERROR(Tool(host, {"/usr/sbin/ip", "-batch", "-"}, links));
  for (Nic nic : kNics) RETURN_IF_ERROR(ApplyRate(host, nic, false));
  return base::OkStatus();
}

Status Hosts::WaitForSshd(int host) {
  const pid_t init = At(host).init.pid;
  if (!options_.sshd || e2e::Eventually([&] { return IsSshdListening(init); }, seconds(10)))
    return base::OkStatus();
  return base::DeadlineExceededError("sshd of " + Name(host) + " does not listen after 10 s: " +
                                     e2e::ReadFile(Root(host) + "/run/sshd.log"));
}

// --- Programs ---

Result<std::unique_ptr<Program>> Hosts::Spawn(int host, const std::vector<std::string>& arguments,
                                              const ProgramOptions& options) {
  if (host != kController && !up(host))
    return base::FailedPreconditionError("cannot start a program on " + Name(host) +
                                         ": it is down");
  return Program::Start(PidfdOf(host), kAllNamespaces, arguments, options);
}

e2e::Outcome Hosts::Run(int host, const std::vector<std::string>& arguments,
                        const ProgramOptions& options, milliseconds at_most) {
  auto program = Spawn(host, arguments, options);
  if (program.ok()) return (*program)->Wait(at_most);
  e2e::Outcome outcome;
  outcome.status = 127;
  outcome.err = program.status().ToString();
  return outcome;
}

Status Hosts::Tool(int host, const std::vector<std::string>& arguments, const std::string& input) {
  ProgramOptions options;
  options.input = input;
  // The network alone: a pid in its input is one of ours.
  ASSIGN_OR_RETURN(const auto program,
                   Program::Start(PidfdOf(host), CLONE_NEWNET, arguments, options));
  const e2e::Outcome outcome = program->Wait(seconds(10));
  if (outcome.status == 0) return base::OkStatus();
  return base::InternalError("hosts: " + arguments[0] + " ended with " +
                             std::to_string(outcome.status) + ": " + outcome.err +
                             "its input: " + input);
}

int Hosts::CountProcesses(int host) const {
  if (host != kController && !up(host)) return 0;
  const pid_t init = host == kController ? outer_.pid : At(host).init.pid;
  const std::string wanted = NamespaceOf(std::to_string(init));
  int count = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string process = entry.path().filename();
    int pid = 0;
    std::from_chars(process.data(), process.data() + process.size(), pid);
    if (pid <= 0 || pid == init || NamespaceOf(process) != wanted) continue;
    if (e2e::ProcessState(pid) == 'Z' || e2e::ProcessState(pid) == '?') continue;
    if (e2e::ReadFile("/proc/" + process + "/comm") != "sshd\n") ++count;
  }
  return count;
}

std::string Hosts::Root(int host) const {
  if (host != kController && !up(host)) return "";
  return "/proc/" + std::to_string(host == kController ? outer_.pid : At(host).init.pid) + "/root";
}

UniqueFd Hosts::OpenNetwork(int host) const {
  if (host != kController && !up(host)) return UniqueFd();
  const pid_t init = host == kController ? outer_.pid : At(host).init.pid;
  return UniqueFd(
      ::open(("/proc/" + std::to_string(init) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
}

// --- Power ---

Status Hosts::Kill(int host) {
  if (!up(host)) return base::OkStatus();
  std::string down, remove;
  for (Nic nic : kNics) {
    down += "link set " + PortName(host, nic) + " down\n";
    remove += "link del " + PortName(host, nic) + "\n";
  }
  RETURN_IF_ERROR(Tool(kController, {"/usr/sbin/ip", "-batch", "-"}, down));
  // Held until the ports are gone: else the kernel may remove them, sooner or later, with it.
  const UniqueFd network = OpenNetwork(host);
  const UniqueFd& pidfd = At(host).init.pidfd;
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH)
    return base::ErrnoStatus(errno, "kill " + Name(host));
  // It ends after all others of its namespace have.
  if (!EndsWithin(pidfd, seconds(10)))
    return base::DeadlineExceededError("processes of " + Name(host) + " live 10 s after SIGKILL");
  hosts_[static_cast<size_t>(host)].init = Init();
  return Tool(kController, {"/usr/sbin/ip", "-batch", "-"}, remove);
}

Status Hosts::Boot(int host) {
  if (up(host)) return base::FailedPreconditionError("cannot boot " + Name(host) + ": it is up");
  return BootAll({host});
}

// --- Network ---

Status Hosts::ApplyRules() {
  return Tool(kController, {"/usr/sbin/nft", "-f", "-"}, NftRules(faults_));
}

Status Hosts::ApplyLink(int host, Nic nic) {
  if (!up(host)) return base::OkStatus();
  const std::string state = faults_.At(host, nic).cut ? "down" : "up";
  return Tool(kController, {"/usr/sbin/ip", "link", "set", PortName(host, nic), state}, "");
}

Status Hosts::ApplyRate(int host, Nic nic, bool limited_before) {
  const int rate_mbit = faults_.At(host, nic).rate_mbit;
  if (!up(host) || (rate_mbit == 0 && !limited_before)) return base::OkStatus();
  // What leaves the bridge's end arrives at the host, and the other way round.
  for (const auto& [where, device] :
       {std::pair(kController, PortName(host, nic)), std::pair(host, NicName(nic))}) {
    std::vector<std::string> arguments = {
        "/usr/sbin/tc", "qdisc", rate_mbit > 0 ? "replace" : "del", "dev", device, "root"};
    if (rate_mbit > 0) {
      // A burst of 10 ms: above what one tick of a 250 Hz kernel must pass (tc-tbf), and of 32 KiB
      // at least, so that slow links still take a few frames at once.
      const int burst_bytes = std::max(32 * 1024, rate_mbit * 1250);
      for (const std::string& word :
           {std::string("tbf"), std::string("rate"), std::to_string(rate_mbit) + "mbit",
            std::string("burst"), std::to_string(burst_bytes), std::string("latency"),
            std::string("50ms")})
        arguments.push_back(word);
    }
    RETURN_IF_ERROR(Tool(where, arguments, ""));
  }
  return base::OkStatus();
}

Status Hosts::Cut(int host, Nics nics) {
  At(host);
  for (Nic nic : kNics) {
    if (!Covers(nics, nic)) continue;
    faults_.At(host, nic).cut = true;
    RETURN_IF_ERROR(ApplyLink(host, nic));
  }
  return base::OkStatus();
}

Status Hosts::Drop(int host, Nics nics) {
  At(host);
  for (Nic nic : kNics) {
    if (Covers(nics, nic)) faults_.At(host, nic).drop = true;
  }
  return ApplyRules();
}

void Hosts::AddWay(Way way, Nics nics) {
  LOCKSTEP_CHECK(way.from != way.to, "a way leads from one place to another");
  for (int place : {way.from, way.to}) {
    if (place != kController) At(place);
  }
  faults_.one_way.push_back({way, nics});
}

Status Hosts::DropOneWay(Way way, Nics nics) {
  AddWay(way, nics);
  return ApplyRules();
}

Status Hosts::DropBetween(int one, int other, Nics nics) {
  return DropBetween(one, std::vector<int>{other}, nics);
}

Status Hosts::DropBetween(int one, const std::vector<int>& others, Nics nics) {
  for (int other : others) {
    AddWay({one, other}, nics);
    AddWay({other, one}, nics);
  }
  return ApplyRules();
}

Status Hosts::Lossy(int host, int percent, Nics nics) {
  At(host);
  if (percent < 0 || percent > 100)
    return base::InvalidArgumentError("hosts: a loss of " + std::to_string(percent) + " %");
  for (Nic nic : kNics) {
    if (Covers(nics, nic)) faults_.At(host, nic).loss_percent = percent;
  }
  return ApplyRules();
}

Status Hosts::Slow(int host, int rate_mbit, Nics nics) {
  At(host);
  if (rate_mbit < 1 || rate_mbit > 100'000)
    return base::InvalidArgumentError("hosts: a rate of " + std::to_string(rate_mbit) +
                                      " Mbit/s; 1 to 100,000 are possible");
  for (Nic nic : kNics) {
    if (!Covers(nics, nic)) continue;
    faults_.At(host, nic).rate_mbit = rate_mbit;
    RETURN_IF_ERROR(ApplyRate(host, nic, true));
  }
  return base::OkStatus();
}

Status Hosts::Heal(int host) {
  At(host);
  std::erase_if(faults_.one_way, [&](const Faults::OneWay& fault) {
    return fault.way.from == host || fault.way.to == host;
  });
  for (Nic nic : kNics) {
    const Faults::PerNic before = std::exchange(faults_.At(host, nic), {});
    if (before.cut) RETURN_IF_ERROR(ApplyLink(host, nic));
    RETURN_IF_ERROR(ApplyRate(host, nic, before.rate_mbit > 0));
  }
  return ApplyRules();
}

Status Hosts::Heal() {
  for (int host = 0; host < count(); ++host) RETURN_IF_ERROR(Heal(host));
  return base::OkStatus();
}

}  // namespace lockstep::hosts
