// SPDX-License-Identifier: GPL-3.0-or-later
#include "socket_address.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include <arpa/inet.h>

namespace parley {

namespace {

constexpr unsigned kMappedBits = 96;
constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool begins_alike(const IpAddress &a, const IpAddress &b, unsigned bits) noexcept {
    const unsigned whole = bits / 8, rest = bits % 8;
    if (std::memcmp(a.bytes.data(), b.bytes.data(), whole) != 0)
        return false;
    return rest == 0 || ((a.bytes[whole] ^ b.bytes[whole]) >> (8 - rest)) == 0;
}

} // namespace

IpAddress IpAddress::v4(const void *network_order) noexcept {
    IpAddress address;
    std::copy(std::begin(kMapped), std::end(kMapped), address.bytes.begin());
    std::memcpy(address.bytes.data() + sizeof(kMapped), network_order, 4);
    return address;
}

IpAddress IpAddress::v6(const void *network_order) noexcept {
    IpAddress address;
    std::memcpy(address.bytes.data(), network_order, 16);
    return address;
}

bool IpAddress::parse(const std::string &text, IpAddress &out) {
    uint8_t raw[16];
    if (inet_pton(AF_INET, text.c_str(), raw) == 1)
        out = v4(raw);
    else if (inet_pton(AF_INET6, text.c_str(), raw) == 1)
        out = v6(raw);
    else
        return false;
    return true;
}

bool IpAddress::is_v4() const noexcept { return std::memcmp(bytes.data(), kMapped, sizeof(kMapped)) == 0; }

bool IpAddress::is_loopback() const noexcept {
    if (is_v4())
        return bytes[12] == 127;
    return std::all_of(bytes.begin(), bytes.end() - 1, [](uint8_t byte) { return byte == 0; }) && bytes[15] == 1;
}

bool IpAddress::is_local() const noexcept {
    static const Networks local("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 169.254.0.0/16 127.0.0.0/8 "
                                "::1/128 fc00::/7 fe80::/10");
    return local.contains(*this);
}

bool IpAddress::is_nobody() const noexcept {
    static const Networks nobody("0.0.0.0/8 224.0.0.0/4 240.0.0.0/4 ::/128 ff00::/8");
    return nobody.contains(*this);
}

Networks::Networks(const std::string &text) {
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        const size_t slash = word.find('/');
        Network network{};
        if (!IpAddress::parse(word.substr(0, slash), network.address))
            continue;
        const unsigned before = network.address.is_v4() && word.find(':') == std::string::npos ? kMappedBits : 0;
        network.bits = 128;
        if (slash != std::string::npos)
            network.bits = std::min(128u, before + static_cast<unsigned>(std::strtoul(word.c_str() + slash + 1, nullptr, 10)));
        list_.push_back(network);
    }
}

bool Networks::contains(const IpAddress &address) const noexcept {
    return std::any_of(list_.begin(), list_.end(), [&](const Network &network) {
        // `::/0` is all of IPv6, and none of IPv4.
        return (network.bits >= kMappedBits || !address.is_v4()) && begins_alike(network.address, address, network.bits);
    });
}

} // namespace parley
