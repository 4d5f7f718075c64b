// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>

#include "check.hpp"
#include "rtp_latch.hpp"

using parley::IpAddress;
using parley::MediaSources;
using parley::Networks;
using parley::RtpLatch;
using parley::SocketAddress;
using Verdict = parley::RtpLatch::Verdict;

namespace {

constexpr int64_t kMs = 1'000'000;

IpAddress ip(const std::string &text) {
    IpAddress address;
    CHECK(IpAddress::parse(text, address));
    return address;
}

SocketAddress at(const std::string &text, uint16_t port) { return {ip(text), port}; }

bool same(const std::optional<SocketAddress> &a, const SocketAddress &b) { return a && *a == b; }

// A call whose peer signals from `host` and names `signalled` for its RTP.
struct Call {
    Call(const SocketAddress &signalled, const std::string &host, MediaSources sources = {})
        : latch(std::move(sources)), rtp(signalled), rtcp{signalled.ip, static_cast<uint16_t>(signalled.port + 1)} {
        latch.negotiated(rtp, rtcp, ip(host));
    }

    // Packets from there, 20 ms apart; how many were taken.
    int hear(const SocketAddress &from, int packets, int64_t step_ms = 20) {
        int taken = 0;
        for (int i = 0; i < packets; ++i, now_ns += step_ms * kMs)
            taken += latch.receive_rtp(from, now_ns) != Verdict::kDrop;
        return taken;
    }
    // How many of so many packets go out.
    int speak(int packets) {
        int sent = 0;
        for (int i = 0; i < packets; ++i)
            sent += latch.send_rtp();
        return sent;
    }

    RtpLatch latch;
    SocketAddress rtp, rtcp;
    int64_t now_ns = 7'000 * kMs;
};

} // namespace

TEST("once the signalled address has spoken, nobody else is heard, however long it is silent") {
    Call call(at("203.0.113.9", 4000), "203.0.113.9");
    EQUAL(call.speak(50), 50);
    EQUAL(call.hear(call.rtp, 1), 1);
    EQUAL(call.hear(at("203.0.113.9", 4002), 100), 0);
    EQUAL(call.hear(at("198.51.100.1", 4000), 100), 0);
    call.now_ns += 60'000 * kMs;
    EQUAL(call.hear(at("203.0.113.9", 4002), 100), 0);
    EQUAL(call.hear(call.rtp, 5), 5);
    CHECK(same(call.latch.send_rtcp(), call.rtcp));
}

TEST("a third address is nobody from the first packet on") {
    Call call(at("203.0.113.9", 4000), "203.0.113.1");
    EQUAL(call.hear(at("198.51.100.1", 4000), 1000, 1), 0);
    EQUAL(call.hear(call.rtp, 5), 5);
}

TEST("who was quicker than the signalled address is left at its first packet and got five") {
    Call call(at("203.0.113.9", 4000), "203.0.113.9");
    const SocketAddress quick = at("203.0.113.9", 6000);
    CHECK(call.latch.receive_rtp(quick, call.now_ns) == Verdict::kSwitch);
    CHECK(call.latch.receive_rtp(quick, call.now_ns) == Verdict::kTake);
    EQUAL(call.hear(quick, 400, 1), 3);
    EQUAL(call.speak(20), 5);
    CHECK(call.latch.receive_rtp(call.rtp, call.now_ns) == Verdict::kSwitch);
    EQUAL(call.hear(quick, 100), 0);
    EQUAL(call.speak(20), 20);
}

TEST("a likely peer that goes on for half a second gets everything, and keeps it while it speaks") {
    Call call(at("203.0.113.9", 4000), "203.0.113.9");
    const SocketAddress mapped = at("203.0.113.9", 6000);
    EQUAL(call.hear(mapped, 25), 5);
    EQUAL(call.speak(10), 5);
    EQUAL(call.hear(mapped, 3), 3);
    EQUAL(call.speak(50), 50);
    EQUAL(call.hear(at("203.0.113.9", 6002), 10), 0);
}

TEST("who sprays is never taken for a caller") {
    Call call(at("203.0.113.9", 4000), "203.0.113.9");
    EQUAL(call.hear(at("203.0.113.9", 6000), 4000, 1), 5);
    EQUAL(call.speak(50), 5);
    Call slow(at("203.0.113.9", 4000), "203.0.113.9");
    EQUAL(slow.hear(at("203.0.113.9", 6000), 40, 100), 5); // nor who drips
}

TEST("a caller behind a NAT gets everything at once, from where its SIP messages come") {
    Call call(at("192.168.1.20", 4000), "203.0.113.9");
    EQUAL(call.speak(50), 3); // its private address may be anybody's
    const SocketAddress mapped = at("203.0.113.9", 61'234);
    CHECK(call.latch.receive_rtp(mapped, call.now_ns) == Verdict::kSwitch);
    EQUAL(call.speak(50), 50);
    CHECK(same(call.latch.send_rtcp(), at("203.0.113.9", 61'235)));
    CHECK(call.latch.receive_rtcp(at("203.0.113.9", 61'999))); // a NAT maps each port as it likes
    CHECK(same(call.latch.send_rtcp(), at("203.0.113.9", 61'999)));
    CHECK(!call.latch.receive_rtcp(at("198.51.100.1", 61'999)));
}

TEST("a program of this machine that names a public address of it gets everything at once") {
    Call call(at("198.51.100.1", 4000), "127.0.0.1");
    EQUAL(call.hear(at("127.0.0.1", 4000), 1), 1);
    EQUAL(call.speak(50), 50);
    Call stranger(at("198.51.100.1", 4000), "203.0.113.9");
    EQUAL(stranger.hear(at("127.0.0.1", 4000), 10), 0);
}

TEST("a NAT that changes its mapping is followed after a second of silence") {
    Call call(at("192.168.1.20", 4000), "203.0.113.9");
    call.hear(at("203.0.113.9", 61'000), 10);
    EQUAL(call.hear(at("203.0.113.9", 62'000), 40), 0);
    call.now_ns += 1000 * kMs;
    EQUAL(call.hear(at("203.0.113.9", 62'000), 10), 10);
}

TEST("a phone behind a NAT and a proxy is found, a neighbour of ours is not") {
    Call far(at("192.168.1.20", 4000), "203.0.113.1");
    EQUAL(far.hear(at("198.51.100.7", 61'000), 40), 5 + 15); // half a second of probation
    Call near(at("192.168.1.20", 4000), "10.0.0.1");
    EQUAL(near.hear(at("10.0.0.77", 61'000), 10), 0);
}

TEST("networks for media let nobody else in, and nothing out") {
    MediaSources sources{Networks("198.51.100.0/24 2001:db8::/32"), true};
    Call call(at("198.51.100.9", 4000), "203.0.113.1", sources);
    EQUAL(call.speak(50), 50);
    EQUAL(call.hear(at("203.0.113.1", 4000), 10), 0);
    EQUAL(call.hear(at("198.51.101.1", 4000), 10), 0);
    EQUAL(call.hear(at("198.51.100.44", 7000), 10), 10); // another machine of theirs
    CHECK(!call.latch.receive_rtcp(at("198.51.101.1", 4001)));
    Call other(at("192.0.2.5", 4000), "203.0.113.1", sources);
    EQUAL(other.speak(50), 0);
    EQUAL(other.hear(other.rtp, 10), 0);
    Call six(at("2001:db8:1::9", 4000), "203.0.113.1", sources);
    EQUAL(six.speak(50), 50);
}

TEST("an address that neither signals nor speaks gets three packets, RTCP included") {
    Call call(at("198.51.100.9", 4000), "203.0.113.1");
    CHECK(same(call.latch.send_rtcp(), call.rtcp));
    EQUAL(call.speak(50), 2);
    CHECK(!call.latch.send_rtcp());
    call.hear(call.rtp, 1);
    EQUAL(call.speak(50), 50);
}

TEST("an address that sends RTCP alone listens") {
    Call call(at("198.51.100.9", 4000), "203.0.113.1");
    EQUAL(call.speak(50), 3);
    CHECK(!call.latch.receive_rtcp(at("198.51.100.9", 9)));
    CHECK(call.latch.receive_rtcp(call.rtcp));
    EQUAL(call.speak(50), 50);
}

TEST("a trusted trunk names any address but those that are nobody's") {
    MediaSources trusted{Networks(), true};
    EQUAL(Call(at("198.51.100.9", 4000), "203.0.113.1", trusted).speak(50), 50);
    for (const char *nobody : {"0.0.0.0", "255.255.255.255", "239.1.1.1", "::", "ff02::1"})
        EQUAL(Call(at(nobody, 4000), "203.0.113.1", trusted).speak(50), 0);
    for (const char *ours : {"127.0.0.1", "::1"})
        EQUAL(Call(at(ours, 4000), "203.0.113.1", trusted).speak(50), 0);
    EQUAL(Call(at("127.0.0.1", 4000), "127.0.0.1").speak(50), 50);
}

TEST("the same address negotiated again changes nothing, another begins anew") {
    Call call(at("192.168.1.20", 4000), "203.0.113.9");
    const SocketAddress mapped = at("203.0.113.9", 61'234);
    call.hear(mapped, 10);
    call.latch.negotiated(call.rtp, call.rtcp, std::nullopt);
    CHECK(call.latch.receive_rtp(mapped, call.now_ns) == Verdict::kSwitch); // the shell has forgotten where
    EQUAL(call.speak(50), 50);
    call.latch.negotiated(at("203.0.113.9", 5000), at("203.0.113.9", 5001), std::nullopt);
    CHECK(call.latch.receive_rtp(at("203.0.113.9", 5000), call.now_ns) == Verdict::kTake);
    EQUAL(call.hear(mapped, 10), 0);
}

TEST("with RTCP on RTP's port both go to the same place") {
    RtpLatch latch({});
    latch.negotiated(at("192.168.1.20", 4000), at("192.168.1.20", 4000), ip("203.0.113.9"));
    latch.receive_rtp(at("203.0.113.9", 61'234), 0);
    CHECK(same(latch.send_rtcp(), at("203.0.113.9", 61'234)));
}

TEST("networks know their members, and IPv4 in IPv6") {
    const Networks networks("10.1.0.0/20 192.0.2.7 2001:db8::/33 nonsense 1.2.3");
    CHECK(networks.contains(ip("10.1.15.255")));
    CHECK(!networks.contains(ip("10.1.16.0")));
    CHECK(networks.contains(ip("::ffff:192.0.2.7")));
    CHECK(!networks.contains(ip("192.0.2.8")));
    CHECK(networks.contains(ip("2001:db8:7fff::1")));
    CHECK(!networks.contains(ip("2001:db8:8000::1")));
    CHECK(Networks("0.0.0.0/0").contains(ip("8.8.8.8")));
    CHECK(!Networks("0.0.0.0/0").contains(ip("2001:db8::1")));
    CHECK(!Networks("::/0").contains(ip("8.8.8.8")));
    CHECK(Networks("::/0").contains(ip("2001:db8::1")));
    CHECK(Networks("").empty());
}
