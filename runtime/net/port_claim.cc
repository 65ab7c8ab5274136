// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/port_claim.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/base/random.h"

namespace lockstep::net {
namespace {

constexpr int kPortMax = 65535;
constexpr int kPreferredPortMin = 10000;  // below live registered services
constexpr int kPortMin = 1024;            // below only root may bind

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::optional<int> ParsePort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 0 || port > kPortMax)
    return std::nullopt;
  return port;
}

/// "A" or "A<separator>B".
std::optional<PortRange> ParseRange(std::string_view text, std::string_view separators) {
  const size_t cut = text.find_first_of(separators);
  const std::optional<int> first = ParsePort(Trimmed(text.substr(0, cut)));
  const std::optional<int> last =
      cut == std::string_view::npos ? first : ParsePort(Trimmed(text.substr(cut + 1)));
  if (!first || !last || *first > *last) return std::nullopt;
  return PortRange{*first, *last};
}

std::string ReadProc(const char* path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

uint64_t Hash(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

/// Holds "\0lockstep-port-N", or an errno value.
std::pair<base::UniqueFd, int> HoldName(int port) {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return {base::UniqueFd(), errno};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "lockstep-port-" + std::to_string(port);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return {base::UniqueFd(), errno};
  return {std::move(fd), 0};
}

/// Whether a TCP socket of this family can be bound to the port, now and without SO_REUSEADDR. A
/// family that this machine does not have is no hindrance.
template <class Address>
bool Binds(const Address& address, int family) {
  const base::UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return true;
  const int only_v6 = 1;
  if (family == AF_INET6)
    (void)::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return true;
  return errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT;
}

bool PortBinds(int port) {
  sockaddr_in any4{};
  any4.sin_family = AF_INET;
  any4.sin_port = htons(static_cast<uint16_t>(port));
  sockaddr_in6 any6{};
  any6.sin6_family = AF_INET6;
  any6.sin6_port = htons(static_cast<uint16_t>(port));
  return Binds(any4, AF_INET) && Binds(any6, AF_INET6);
}

using PortRanges = std::vector<PortRange>;

/// `ranges` less the ports of `hole`.
PortRanges Without(const PortRanges& ranges, PortRange hole) {
  PortRanges left;
  for (const PortRange& range : ranges) {
    const PortRange below{range.first, std::min(range.last, hole.first - 1)};
    const PortRange above{std::max(range.first, hole.last + 1), range.last};
    if (below.first <= below.last) left.push_back(below);
    if (above.first <= above.last) left.push_back(above);
  }
  return left;
}

PortRanges Candidates(int first, const KernelPorts& kernel, bool allow_ephemeral) {
  PortRanges ranges = {{first, kPortMax}};
  if (!allow_ephemeral) ranges = Without(ranges, kernel.ephemeral);
  for (const PortRange& range : kernel.reserved) ranges = Without(ranges, range);
  return ranges;
}

size_t SizeOf(const PortRange& range) {
  const int size = range.last - range.first + 1;
  return static_cast<size_t>(size);
}

size_t CountOf(const PortRanges& ranges) {
  size_t count = 0;
  for (const PortRange& range : ranges) count += SizeOf(range);
  return count;
}

/// The port numbered `index`, which is below CountOf(ranges).
int PortAt(const PortRanges& ranges, size_t index) {
  for (const PortRange& range : ranges) {
    const size_t size = SizeOf(range);
    if (index < size) return range.first + static_cast<int>(index);
    index -= size;
  }
  return kPortMax;
}

}  // namespace

base::Result<KernelPorts> ParseKernelPorts(std::string_view port_range,
                                           std::string_view reserved_ports) {
  KernelPorts ports;
  const std::optional<PortRange> ephemeral = ParseRange(Trimmed(port_range), " \t");
  if (!ephemeral) {
    return base::InvalidArgumentError("parse net.ipv4.ip_local_port_range: \"" +
                                      std::string(port_range) + "\"");
  }
  ports.ephemeral = *ephemeral;
  std::string_view rest = Trimmed(reserved_ports);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::optional<PortRange> range = ParseRange(rest.substr(0, comma), "-");
    if (!range) {
      return base::InvalidArgumentError("parse net.ipv4.ip_local_reserved_ports: \"" +
                                        std::string(reserved_ports) + "\"");
    }
    ports.reserved.push_back(*range);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
  }
  return ports;
}

KernelPorts ReadKernelPorts() {
  const auto ports = ParseKernelPorts(ReadProc("/proc/sys/net/ipv4/ip_local_port_range"),
                                      ReadProc("/proc/sys/net/ipv4/ip_local_reserved_ports"));
  return ports.ok() ? *ports : KernelPorts();
}

base::Result<PortClaim> PortClaim::Create(std::string_view seed, const KernelPorts& kernel) {
  PortRanges ports = Candidates(kPreferredPortMin, kernel, false);
  if (ports.empty()) ports = Candidates(kPortMin, kernel, false);
  if (ports.empty()) ports = Candidates(kPreferredPortMin, kernel, true);
  const size_t count = CountOf(ports);
  // A walk from a seeded place: two jobs seldom begin at the same one, and every port gets its
  // turn.
  base::Random random(Hash(seed));
  const size_t start = count == 0 ? 0 : random.Below(count);
  for (size_t i = 0; i < count; ++i) {
    const int port = PortAt(ports, (start + i) % count);
    auto [holder, error] = HoldName(port);
    if (holder.valid()) {
      if (PortBinds(port)) return PortClaim(port, std::move(holder));
    } else if (error != EADDRINUSE) {
      return base::ErrnoStatus(error, "claim a port for MASTER_PORT");
    }
  }
  return base::ResourceExhaustedError(
      "claim a port for MASTER_PORT: none of " + std::to_string(count) +
      " is free; see net.ipv4.ip_local_port_range and ip_local_reserved_ports");
}

}  // namespace lockstep::net
