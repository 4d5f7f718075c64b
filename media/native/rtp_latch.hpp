// SPDX-License-Identifier: GPL-3.0-or-later
// Whose RTP a call takes, and where it sends its own: symmetric RTP (RFC 4961) that nobody else can take over.
#pragma once

#include <cstdint>
#include <optional>

#include "socket_address.hpp"

namespace parley {

// What the configuration says about a trunk's media.
struct MediaSources {
    Networks allow;       // RTP comes from and goes to these only; empty: see RtpLatch
    bool trusted = false; // it may name any address for its media, as carriers do
};

// An engine without clock or socket. `Signalled` is the address of the session description, `host` where the peer's
// SIP messages come from.
//
//     from               taken as
//     signalled          kSignalled: once heard, nothing else is any more, and what came before is left at once
//     the networks of `allow`; host, when what is signalled is a private address of somebody else, which is a NAT
//                        beyond doubt, or any, and host is a program of this machine, which names its network's: kSure
//     host or the signalled IP address, another port; anybody, when the signalled address is private and neither host
//                        nor he is: kLikely, who may be behind a NAT
//     anybody else       nobody
//
// The better one comes before the one that was there first; of equals, the first, unless it has been silent for
// kSilence_ns. Of a kLikely peer kProbes packets are taken and as many go to it, until it has gone on for kProbation_ns
// at a pace that speech has: who was just quicker than the caller gets no call ("RTP bleed").
//
// A session description can also name somebody who never asked for our packets. Nothing is sent to addresses that are
// nobody's, nor to our own host for a caller from elsewhere, and kStrangerProbes packets to an address that neither
// signals nor is allowed, unless it is heard.
class RtpLatch {
  public:
    static constexpr int64_t kSilence_ns = 1'000'000'000;
    static constexpr int64_t kProbation_ns = 500'000'000;
    static constexpr unsigned kProbationPackets = 10; // at the least
    static constexpr unsigned kProbationMost = 100;   // twice of what packets of 10 ms come to
    static constexpr unsigned kProbes = 5;
    static constexpr unsigned kStrangerProbes = 3;

    enum class Verdict {
        kDrop,
        kTake,
        kSwitch, // taken, and what we send goes there from now on
    };

    explicit RtpLatch(MediaSources sources) : sources_(std::move(sources)) {}

    // What has been negotiated; the same again (hold, session timer) changes nothing. The shell sends to `rtp` from
    // here on, until receive_rtp() says otherwise.
    void negotiated(const SocketAddress &rtp, const SocketAddress &rtcp, std::optional<IpAddress> host);

    Verdict receive_rtp(const SocketAddress &from, int64_t now_ns) noexcept;
    // Whether a packet of the RTCP port is taken.
    bool receive_rtcp(const SocketAddress &from) noexcept;

    // Whether one more RTP packet may go out.
    bool send_rtp() noexcept;
    // Where one more RTCP packet may go.
    std::optional<SocketAddress> send_rtcp() noexcept;

  private:
    enum class Rank { kNobody, kLikely, kSure, kSignalled };

    Rank rank(const IpAddress &from, bool exact) const noexcept;
    bool may_probe(unsigned limit) noexcept;
    bool may_send() noexcept;

    const MediaSources sources_;
    SocketAddress signalled_, signalled_rtcp_;
    std::optional<IpAddress> host_;

    Rank peer_rank_ = Rank::kNobody; // of peer_; kNobody: none has been heard
    SocketAddress peer_;
    SocketAddress target_; // where the shell sends
    int64_t since_ns_ = 0, heard_ns_ = 0;
    bool confirmed_ = false;
    unsigned packets_ = 0; // since then, of a peer on probation
    unsigned taken_ = 0;   // of these
    unsigned probes_ = 0; // sent to an address that is not confirmed
    std::optional<SocketAddress> peer_rtcp_; // when it is not the signalled one
    bool signalled_rtcp_heard_ = false;
};

} // namespace parley
