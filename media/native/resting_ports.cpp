// SPDX-License-Identifier: GPL-3.0-or-later
#include "resting_ports.hpp"

#include <algorithm>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace parley {

namespace {

int duplicate(int socket) noexcept {
    const int copy = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
        const int little = 0; // the kernel's least: what comes is not wanted
        setsockopt(copy, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
    }
    return copy;
}

// Whether anything had come; it is thrown away.
bool drain(int socket) noexcept {
    char byte;
    bool any = false;
    // Bounded by the receive buffer that duplicate() left.
    for (int i = 0; i < 64 && recv(socket, &byte, 1, MSG_DONTWAIT) >= 0; ++i)
        any = true;
    return any;
}

} // namespace

RestingPorts::~RestingPorts() { clear(); }

void RestingPorts::close(const Pair &pair) noexcept {
    if (pair.rtp >= 0)
        ::close(pair.rtp);
    if (pair.rtcp >= 0)
        ::close(pair.rtcp);
}

void RestingPorts::receive(int rtp_socket, int rtcp_socket, int64_t now_ns) {
    sweep(now_ns);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (most_ == 0)
        return;
    if (pairs_.size() >= most_) {
        close(pairs_.front());
        pairs_.pop_front();
    }
    pairs_.push_back({duplicate(rtp_socket), duplicate(rtcp_socket), now_ns, now_ns});
}

void RestingPorts::sweep(int64_t now_ns) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto rested = [now_ns](Pair &pair) {
        if (now_ns - pair.since_ns < kLongest_ns) {
            if (now_ns - pair.heard_ns < kQuiet_ns)
                return false;
            if (drain(pair.rtp) || drain(pair.rtcp)) {
                pair.heard_ns = now_ns;
                return false;
            }
        }
        close(pair);
        return true;
    };
    pairs_.erase(std::remove_if(pairs_.begin(), pairs_.end(), rested), pairs_.end());
}

void RestingPorts::clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Pair &pair : pairs_)
        close(pair);
    pairs_.clear();
}

size_t RestingPorts::size() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return pairs_.size();
}

} // namespace parley
