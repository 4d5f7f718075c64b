// SPDX-License-Identifier: GPL-3.0-or-later
// Addresses as values: IPv4 and IPv6 in one form, and networks of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace parley {

// IPv4 is kept as IPv6 keeps it (::ffff:192.0.2.1, RFC 4291 section 2.5.5.2), so that a dual-stack socket's view of a
// peer is the same as an IPv4 socket's.
struct IpAddress {
    std::array<uint8_t, 16> bytes{};

    // From 4 or 16 bytes in network order.
    static IpAddress v4(const void *network_order) noexcept;
    static IpAddress v6(const void *network_order) noexcept;
    // From text; false when it is no address. No names are looked up.
    static bool parse(const std::string &text, IpAddress &out);

    bool operator==(const IpAddress &other) const noexcept { return bytes == other.bytes; }
    bool operator!=(const IpAddress &other) const noexcept { return bytes != other.bytes; }

    bool is_v4() const noexcept;
    bool is_loopback() const noexcept;
    // Of no use on the Internet: private (RFC 1918, RFC 4193), shared (RFC 6598), link-local, loopback.
    bool is_local() const noexcept;
    // Nobody's own: unspecified, multicast, broadcast, reserved (RFC 6890).
    bool is_nobody() const noexcept;
};

struct SocketAddress {
    IpAddress ip;
    uint16_t port = 0;

    bool operator==(const SocketAddress &other) const noexcept { return port == other.port && ip == other.ip; }
    bool operator!=(const SocketAddress &other) const noexcept { return !(*this == other); }
};

// A list of networks such as "198.51.100.0/24 2001:db8::/32 203.0.113.7".
class Networks {
  public:
    Networks() = default;
    // Words that are no network are left out: the configuration has checked them.
    explicit Networks(const std::string &text);

    bool empty() const noexcept { return list_.empty(); }
    bool contains(const IpAddress &address) const noexcept;

  private:
    struct Network {
        IpAddress address;
        unsigned bits; // of the 128
    };
    std::vector<Network> list_;
};

} // namespace parley
