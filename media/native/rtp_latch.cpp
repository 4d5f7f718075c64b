// SPDX-License-Identifier: GPL-3.0-or-later
#include "rtp_latch.hpp"

namespace parley {

void RtpLatch::negotiated(const SocketAddress &rtp, const SocketAddress &rtcp, std::optional<IpAddress> host) {
    if (host)
        host_ = host;
    target_ = rtp;
    if (rtp == signalled_ && rtcp == signalled_rtcp_)
        return;
    signalled_ = rtp;
    signalled_rtcp_ = rtcp;
    peer_rank_ = Rank::kNobody;
    probes_ = 0;
    peer_rtcp_.reset();
    signalled_rtcp_heard_ = false;
}

RtpLatch::Rank RtpLatch::rank(const IpAddress &from, bool exact) const noexcept {
    if (!sources_.allow.empty() && !sources_.allow.contains(from))
        return Rank::kNobody;
    if (exact)
        return Rank::kSignalled;
    const bool is_host = host_ && from == *host_;
    const bool is_translated = signalled_.ip != from && (signalled_.ip.is_local() || from.is_loopback());
    if (!sources_.allow.empty() || (is_host && is_translated))
        return Rank::kSure;
    if (is_host || from == signalled_.ip)
        return Rank::kLikely;
    if (signalled_.ip.is_local() && host_ && !host_->is_local() && !from.is_local())
        return Rank::kLikely;
    return Rank::kNobody;
}

RtpLatch::Verdict RtpLatch::receive_rtp(const SocketAddress &from, int64_t now_ns) noexcept {
    const bool is_peer = peer_rank_ != Rank::kNobody && from == peer_;
    if (!is_peer) {
        if (peer_rank_ == Rank::kSignalled)
            return Verdict::kDrop;
        const Rank found = rank(from.ip, from == signalled_);
        if (found == Rank::kNobody)
            return Verdict::kDrop;
        if (found <= peer_rank_ && now_ns - heard_ns_ < kSilence_ns)
            return Verdict::kDrop;
        peer_rank_ = found;
        peer_ = from;
        since_ns_ = now_ns;
        packets_ = taken_ = probes_ = 0;
        confirmed_ = found != Rank::kLikely;
        peer_rtcp_.reset();
    }
    heard_ns_ = now_ns;
    if (!confirmed_) {
        ++packets_;
        if (now_ns - since_ns_ >= kProbation_ns) {
            confirmed_ = packets_ >= kProbationPackets && packets_ <= kProbationMost;
            since_ns_ = now_ns;
            packets_ = 0;
        }
        if (!confirmed_ && ++taken_ > kProbes) {
            taken_ = kProbes;
            return Verdict::kDrop;
        }
    }
    if (target_ == from)
        return Verdict::kTake;
    target_ = from;
    return Verdict::kSwitch;
}

bool RtpLatch::receive_rtcp(const SocketAddress &from) noexcept {
    if (!sources_.allow.empty() && !sources_.allow.contains(from.ip))
        return false;
    if (from == signalled_rtcp_) {
        signalled_rtcp_heard_ = true;
        peer_rtcp_.reset();
        return true;
    }
    if (peer_rank_ == Rank::kNobody || from.ip != peer_.ip)
        return false;
    // A NAT maps the two ports as it likes.
    if (!signalled_rtcp_heard_ && peer_rank_ != Rank::kSignalled)
        peer_rtcp_ = from;
    return true;
}

bool RtpLatch::may_probe(unsigned limit) noexcept {
    if (probes_ >= limit)
        return false;
    ++probes_;
    return true;
}

bool RtpLatch::may_send() noexcept {
    if (peer_rank_ != Rank::kNobody)
        return confirmed_ || may_probe(kProbes);
    if (signalled_rtcp_heard_)
        return true; // it listens, and has nothing to say
    const IpAddress &to = signalled_.ip;
    if (to.is_nobody() || (to.is_loopback() && host_ && !host_->is_loopback()))
        return false;
    if (!sources_.allow.empty())
        return sources_.allow.contains(to);
    return sources_.trusted || (host_ && to == *host_) || may_probe(kStrangerProbes);
}

bool RtpLatch::send_rtp() noexcept { return may_send(); }

std::optional<SocketAddress> RtpLatch::send_rtcp() noexcept {
    if (!may_send())
        return std::nullopt;
    if (peer_rank_ == Rank::kNobody || peer_rank_ == Rank::kSignalled || signalled_rtcp_heard_)
        return signalled_rtcp_;
    if (peer_rtcp_)
        return peer_rtcp_;
    SocketAddress guess = peer_;
    if (signalled_rtcp_ != signalled_) // not multiplexed (RFC 5761)
        ++guess.port;
    return guess;
}

} // namespace parley
