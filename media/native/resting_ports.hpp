// SPDX-License-Identifier: GPL-3.0-or-later
// Media ports of calls that are over: kept bound until nobody sends to them any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

namespace parley {

// A peer that has not noticed the end of a call goes on sending; the next call on that port would hear it. So a port
// rests until it has been quiet for kQuiet_ns, but no longer than kLongest_ns, nor when more than `most` pairs rest: the
// one that has rested longest is then given back first. Time passes with receive() and sweep(), which the shell calls every second and
// when media begins and ends.
class RestingPorts {
  public:
    static constexpr int64_t kQuiet_ns = 10'000'000'000;
    static constexpr int64_t kLongest_ns = 600'000'000'000;

    explicit RestingPorts(size_t most) : most_(most) {}
    ~RestingPorts();
    RestingPorts(const RestingPorts &) = delete;
    RestingPorts &operator=(const RestingPorts &) = delete;

    // Take duplicates of the two sockets, whose owner may close them.
    void receive(int rtp_socket, int rtcp_socket, int64_t now_ns);
    void sweep(int64_t now_ns);
    void clear();
    size_t size() const;

  private:
    struct Pair {
        int rtp, rtcp;
        int64_t since_ns, heard_ns;
    };
    static void close(const Pair &pair) noexcept;

    const size_t most_;
    mutable std::mutex mutex_;
    std::deque<Pair> pairs_; // the oldest first
};

} // namespace parley
