// SPDX-License-Identifier: GPL-3.0-or-later
#include "check.hpp"
#include "loss_policy.hpp"

using parley::LossPolicy;

namespace {

// A peer that reports every 250 packets, as RTCP does with packets of 20 ms.
struct Peer {
    explicit Peer(LossPolicy &policy) : policy(policy) {}

    void report(uint64_t lost_of_250) {
        sent += 250;
        lost += lost_of_250;
        policy.receive_totals(++reports, sent, lost);
    }

    LossPolicy &policy;
    uint64_t reports = 0;
    uint64_t sent = 0;
    uint64_t lost = 0;
};

} // namespace

TEST("a clean line and a single lost packet call for nothing") {
    LossPolicy policy;
    Peer peer(policy);
    EQUAL(policy.generations(), 0u);
    for (int i = 0; i < 100; ++i) {
        peer.report(i % 10 == 0 ? 1 : 0);
        EQUAL(policy.generations(), 0u);
    }
}

TEST("the first report of 5 % loss brings one generation, of 10 % two") {
    LossPolicy five;
    Peer(five).report(12);
    EQUAL(five.generations(), 1u);
    LossPolicy ten;
    Peer(ten).report(25);
    EQUAL(ten.generations(), 2u);
}

TEST("loss that begins later is believed by halves") {
    LossPolicy policy;
    Peer peer(policy);
    peer.report(0);
    peer.report(25);
    EQUAL(policy.generations(), 1u);
    peer.report(25);
    EQUAL(policy.generations(), 2u);
}

TEST("protection ends after a clean while, one generation after the other, and does not flutter") {
    LossPolicy policy;
    Peer peer(policy);
    peer.report(25);
    unsigned before = policy.generations();
    int changes = 0, reports = 0;
    while (policy.generations() > 0 && reports < 100) {
        peer.report(0);
        ++reports;
        CHECK(policy.generations() <= before);
        changes += policy.generations() != before;
        before = policy.generations();
    }
    EQUAL(changes, 2);
    EQUAL(reports, 11);
    for (int i = 0; i < 20; ++i) {
        peer.report(i % 2 == 0 ? 3 : 0); // about 0.6 %: under the threshold
        EQUAL(policy.generations(), 0u);
    }
}

TEST("loss between the thresholds leaves things as they are") {
    LossPolicy policy;
    Peer peer(policy);
    peer.report(3); // 1.2 %
    EQUAL(policy.generations(), 1u);
    for (int i = 0; i < 50; ++i)
        peer.report(2); // 0.8 %
    EQUAL(policy.generations(), 1u);
}

TEST("the same report counts once, and one of too few packets with the next") {
    LossPolicy policy;
    CHECK(!policy.receive_totals(1, 20, 10)); // too early to say anything
    EQUAL(policy.generations(), 0u);
    CHECK(!policy.receive_totals(1, 500, 10));
    CHECK(policy.receive_totals(2, 510, 51));
    EQUAL(policy.generations(), 2u);
    const double loss = policy.loss();
    CHECK(!policy.receive_totals(2, 900, 51));
    CHECK(policy.loss() == loss);
}

TEST("a total that falls is no loss, and one beyond what was sent no more than all") {
    LossPolicy policy;
    CHECK(policy.receive_totals(1, 250, 10));
    CHECK(policy.receive_totals(2, 500, 5));
    CHECK(policy.loss() < 0.04);
    LossPolicy liar;
    CHECK(liar.receive_totals(1, 250, 1'000'000'000));
    EQUAL(liar.loss(), 1.0);
}

TEST("whoever wants a generation whatever is reported has it from the first packet on") {
    LossPolicy policy(1);
    EQUAL(policy.generations(), 1u);
    Peer peer(policy);
    peer.report(25);
    EQUAL(policy.generations(), 2u);
    for (int i = 0; i < 100; ++i)
        peer.report(0);
    EQUAL(policy.generations(), 1u);
}
