// SPDX-License-Identifier: GPL-3.0-or-later
#include "hub.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <sys/eventfd.h>
#include <unistd.h>

#include "pcm_port.hpp"

namespace parley {

PcmHub::PcmHub() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0)
        throw std::system_error(errno, std::generic_category(), "eventfd");
}

PcmHub::~PcmHub() {
    std::vector<std::shared_ptr<PcmPort>> left;
    collect(left);
    close(fd_);
}

void PcmHub::ready(PcmPort &port) noexcept {
    if (port.listed_.exchange(true, std::memory_order_acq_rel))
        return;
    port.keep_while_listed_ = port.shared_from_this();
    PcmPort *newest = newest_.load(std::memory_order_relaxed);
    do
        port.listed_before_ = newest;
    while (!newest_.compare_exchange_weak(newest, &port, std::memory_order_acq_rel, std::memory_order_relaxed));
}

void PcmHub::signal() noexcept {
    if (!newest_.load(std::memory_order_acquire) || signalled_.exchange(true, std::memory_order_acq_rel))
        return;
    wakeups_.fetch_add(1, std::memory_order_relaxed);
    signalled_ns_.store(monotonic_ns(), std::memory_order_relaxed);
    const uint64_t one = 1;
    while (write(fd_, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void PcmHub::nudge(int64_t now_ns) noexcept {
    if (now_ns - signalled_ns_.load(std::memory_order_relaxed) >= kPulse_ns)
        signal();
}

void PcmHub::watch(std::shared_ptr<PcmPort> port) {
    std::lock_guard lock(watch_mutex_);
    watched_.push_back(std::move(port));
}

void PcmHub::pulse(int64_t now_ns) noexcept {
    {
        std::lock_guard lock(watch_mutex_);
        pulsed_.swap(watched_);
    }
    for (std::shared_ptr<PcmPort> &port : pulsed_)
        if (port->pulse(now_ns))
            watch(std::move(port));
    pulsed_.clear();
    signal();
}

void PcmHub::collect(std::vector<std::shared_ptr<PcmPort>> &ports) {
    uint64_t count;
    while (read(fd_, &count, sizeof count) < 0 && errno == EINTR) {
    }
    // Before the list is taken: a port that comes later finds the flag down and writes the eventfd again.
    signalled_.exchange(false, std::memory_order_acq_rel);
    PcmPort *port = newest_.exchange(nullptr, std::memory_order_acq_rel);
    const size_t first = ports.size();
    while (port) {
        PcmPort *before = port->listed_before_;
        ports.push_back(std::move(port->keep_while_listed_));
        // Before its rings are read: what is added from now on lists it anew.
        ports.back()->listed_.exchange(false, std::memory_order_acq_rel);
        port = before;
    }
    std::reverse(ports.begin() + static_cast<std::ptrdiff_t>(first), ports.end());
}

} // namespace parley
