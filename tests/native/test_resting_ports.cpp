// SPDX-License-Identifier: GPL-3.0-or-later
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.hpp"
#include "resting_ports.hpp"

using parley::RestingPorts;

namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;

// A UDP socket on loopback; its port, too.
struct Socket {
    explicit Socket(uint16_t wanted = 0) : number(socket(AF_INET, SOCK_DGRAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(wanted);
        bound = bind(number, reinterpret_cast<sockaddr *>(&address), sizeof(address)) == 0;
        socklen_t size = sizeof(address);
        getsockname(number, reinterpret_cast<sockaddr *>(&address), &size);
        port = ntohs(address.sin_port);
    }
    ~Socket() { close(number); }
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;

    void send_to(uint16_t there) const {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(there);
        sendto(number, "late", 4, 0, reinterpret_cast<sockaddr *>(&address), sizeof(address));
    }

    int number;
    bool bound;
    uint16_t port;
};

bool is_free(uint16_t port) { return Socket(port).bound; }

// The ports of a call that has just ended.
uint16_t end_call(RestingPorts &ports, int64_t now_ns) {
    const Socket rtp, rtcp;
    ports.receive(rtp.number, rtcp.number, now_ns);
    return rtp.port;
}

} // namespace

TEST("a port rests until it has been quiet for ten seconds") {
    RestingPorts ports(8);
    const uint16_t port = end_call(ports, 0);
    CHECK(!is_free(port));
    ports.sweep(9 * kSecond_ns);
    CHECK(!is_free(port));
    EQUAL(ports.size(), 1u);
    ports.sweep(10 * kSecond_ns);
    EQUAL(ports.size(), 0u);
}

TEST("late packets prolong the rest, up to ten minutes") {
    RestingPorts ports(8);
    const uint16_t port = end_call(ports, 0);
    const Socket late;
    for (int64_t seconds = 10; seconds < 600; seconds += 10) {
        late.send_to(port);
        ports.sweep(seconds * kSecond_ns);
        CHECK(!is_free(port));
    }
    late.send_to(port);
    ports.sweep(600 * kSecond_ns);
    EQUAL(ports.size(), 0u);
}

TEST("when too many rest, the first is given back") {
    RestingPorts ports(2);
    end_call(ports, 0);
    const uint16_t second = end_call(ports, 1), third = end_call(ports, 2);
    EQUAL(ports.size(), 2u);
    CHECK(!is_free(second));
    CHECK(!is_free(third));
    ports.clear();
    EQUAL(ports.size(), 0u);
    RestingPorts none(0);
    end_call(none, 0);
    EQUAL(none.size(), 0u);
}
