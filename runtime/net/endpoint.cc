// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace lockstep::net {
namespace {

constexpr size_t kHostBytesMax = 253;  // RFC 1035's 255 less its two length bytes
constexpr size_t kShownBytesMax = 80;
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kDigits = "0123456789";

bool ConsistsOf(std::string_view text, std::string_view a, std::string_view b = {},
                std::string_view c = {}) {
  return std::all_of(text.begin(), text.end(), [&](char character) {
    for (const std::string_view set : {a, b, c}) {
      if (set.find(character) != std::string_view::npos) return true;
    }
    return false;
  });
}

/// Somebody else's text, safe to print.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kShownBytesMax));
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (text.size() > kShownBytesMax) shown += "...";
  return "\"" + shown + "\"";
}

// inet_pton stops at a zero byte, so other characters are refused before it.
std::optional<in_addr> ParseV4(std::string_view text) {
  if (!ConsistsOf(text, kDigits, ".")) return std::nullopt;
  in_addr address{};
  if (::inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) return std::nullopt;
  return address;
}

/// With or without a zone ("%eth0").
std::optional<in6_addr> ParseV6(std::string_view text) {
  const size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    const std::string_view zone = text.substr(percent + 1);
    if (zone.empty() || zone.size() >= IF_NAMESIZE || !ConsistsOf(zone, kLetters, kDigits, "._-")) {
      return std::nullopt;
    }
  }
  if (!ConsistsOf(text.substr(0, percent), kDigits, "abcdefABCDEF", ":.")) return std::nullopt;
  in6_addr address{};
  if (::inet_pton(AF_INET6, std::string(text.substr(0, percent)).c_str(), &address) != 1)
    return std::nullopt;
  return address;
}

/// What is wrong with a host without colons; "" = nothing.
std::string WrongInHost(std::string_view host) {
  if (host.empty()) return "the host is missing";
  if (host.size() > kHostBytesMax)
    return "a host name has at most " + std::to_string(kHostBytesMax) + " characters";
  if (!ConsistsOf(host, kLetters, kDigits, ".-_"))
    return "a host name consists of letters, digits, '.', '-' and '_'";
  if (ConsistsOf(host, kDigits, ".") && !ParseV4(host)) return "it is no IPv4 address";
  return "";
}

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

/// The text cut in two, neither part looked at.
struct Parts {
  std::string_view host;
  std::optional<std::string_view> port;
  bool is_v6 = false;
};

base::Result<Parts> Split(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return base::InvalidArgumentError("']' is missing");
    const std::string_view rest = text.substr(end + 1);
    Parts parts{.host = text.substr(1, end - 1), .is_v6 = true};
    if (rest.empty()) return parts;
    if (rest[0] != ':') return base::InvalidArgumentError("after ']' comes \":PORT\"");
    parts.port = rest.substr(1);
    return parts;
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return Parts{.host = text};
  if (text.find(':', colon + 1) != std::string_view::npos)
    return Parts{.host = text, .is_v6 = true};
  return Parts{.host = text.substr(0, colon), .port = text.substr(colon + 1)};
}

base::Result<Endpoint> Parse(std::string_view text, int default_port) {
  ASSIGN_OR_RETURN(const Parts parts, Split(text));
  if (parts.is_v6 && !ParseV6(parts.host))
    return base::InvalidArgumentError("it is no IPv6 address");
  const std::string wrong = parts.is_v6 ? "" : WrongInHost(parts.host);
  if (!wrong.empty()) return base::InvalidArgumentError(wrong);
  Endpoint endpoint{.host = std::string(parts.host)};
  if (!parts.port) {
    if (default_port < 0) return base::InvalidArgumentError("the port is missing");
    endpoint.port = static_cast<uint16_t>(default_port);
    return endpoint;
  }
  const std::optional<uint16_t> port = ParsePort(*parts.port);
  if (!port) return base::InvalidArgumentError("the port is no number from 1 to 65535");
  endpoint.port = *port;
  return endpoint;
}

}  // namespace

std::string Endpoint::ToString() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

base::Result<Endpoint> ParseEndpoint(std::string_view text, int default_port) {
  base::Result<Endpoint> endpoint = Parse(text, default_port);
  if (endpoint.ok()) return endpoint;
  return base::InvalidArgumentError("read " + Shown(text) +
                                    " as HOST:PORT: " + endpoint.status().message() +
                                    "; write node7:29400, 10.0.0.7:29400 or [fd00::7]:29400");
}

bool IsLoopback(std::string_view host) {
  if (::strcasecmp(std::string(host).c_str(), "localhost") == 0) return true;
  const auto is_127 = [](const uint8_t* v4) { return v4[0] == 127; };
  if (const auto v4 = ParseV4(host)) return is_127(reinterpret_cast<const uint8_t*>(&*v4));
  const auto v6 = ParseV6(host);
  if (!v6) return false;
  if (IN6_IS_ADDR_V4MAPPED(&*v6)) return is_127(v6->s6_addr + 12);
  return IN6_IS_ADDR_LOOPBACK(&*v6);
}

}  // namespace lockstep::net
