// SPDX-License-Identifier: GPL-3.0-or-later
#include "clock.hpp"

#include <algorithm>
#include <chrono>

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace parley {

namespace {

// libstdc++'s steady_clock is CLOCK_MONOTONIC, which Python's time.monotonic() and PJLIB also read.
std::chrono::steady_clock::time_point time_point(int64_t ns) {
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(ns));
}

} // namespace

int64_t monotonic_ns() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

MediaClock::MediaClock(Hooks hooks) : hooks_(std::move(hooks)) {}

MediaClock::~MediaClock() { stop(); }

void MediaClock::start() {
    std::lock_guard lock(mutex_);
    if (thread_.joinable())
        return;
    stopping_ = false;
    thread_ = std::thread([this] { run(); });
}

void MediaClock::stop() {
    std::thread thread;
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
        thread.swap(thread_);
    }
    wake_.notify_all();
    if (thread.joinable())
        thread.join();
    std::lock_guard lock(mutex_);
    stats_.scheduling = "stopped";
}

bool MediaClock::running() const {
    std::lock_guard lock(mutex_);
    return thread_.joinable();
}

void MediaClock::attach(std::shared_ptr<Ticker> ticker, int64_t interval_ns) {
    auto entry = std::make_shared<Entry>();
    entry->ticker = std::move(ticker);
    {
        std::lock_guard lock(mutex_);
        Group *emptiest = nullptr;
        for (auto &group : groups_)
            if (group->interval_ns == interval_ns &&
                (!emptiest || group->entries->size() < emptiest->entries->size()))
                emptiest = group.get();
        const int64_t now = monotonic_ns();
        if (!emptiest) {
            const int64_t grid = (now / kPhase_ns + 1) * kPhase_ns;
            const int64_t phases = std::clamp<int64_t>(interval_ns / kPhase_ns, 1, 12);
            for (int64_t phase = phases - 1; phase >= 0; --phase) {
                groups_.push_back(std::make_unique<Group>(
                    Group{interval_ns, grid + phase * kPhase_ns, std::make_shared<const Entries>()}));
                emptiest = groups_.back().get();
            }
        }
        if (emptiest->entries->empty() && emptiest->deadline_ns <= now) // it slept; nothing was missed
            emptiest->deadline_ns += ((now - emptiest->deadline_ns) / interval_ns + 1) * interval_ns;
        auto entries = std::make_shared<Entries>(*emptiest->entries);
        entries->push_back(std::move(entry));
        emptiest->entries = std::move(entries);
        ++stats_.tickers;
    }
    wake_.notify_all();
}

void MediaClock::detach(const Ticker *ticker) {
    std::shared_ptr<Entry> found;
    {
        std::lock_guard lock(mutex_);
        for (auto &group : groups_) {
            const auto at = std::find_if(group->entries->begin(), group->entries->end(),
                                         [&](const auto &entry) { return entry->ticker.get() == ticker; });
            if (at == group->entries->end())
                continue;
            found = *at;
            auto entries = std::make_shared<Entries>(*group->entries);
            entries->erase(entries->begin() + (at - group->entries->begin()));
            group->entries = std::move(entries);
            --stats_.tickers;
            break;
        }
    }
    if (found) {
        std::lock_guard tick(found->mutex); // waits for a tick under way
        found->live = false;
    }
}

ClockStats MediaClock::stats() const {
    std::lock_guard lock(mutex_);
    return stats_;
}

MediaClock::Group *MediaClock::next_group() {
    Group *next = nullptr;
    for (auto &group : groups_)
        if (!group->entries->empty() && (!next || group->deadline_ns < next->deadline_ns))
            next = group.get();
    return next;
}

void MediaClock::record(int64_t late_ns, int64_t skipped, size_t ticks) {
    static constexpr std::array<int64_t, 7> kBounds_us{100, 500, 1000, 2000, 5000, 10000, 20000};
    const int64_t late_us = late_ns / 1000;
    const auto bound = std::upper_bound(kBounds_us.begin(), kBounds_us.end(), late_us);
    ++stats_.late_histogram[static_cast<size_t>(bound - kBounds_us.begin())];
    ++stats_.bursts;
    stats_.ticks += ticks;
    stats_.late += late_ns > kPhase_ns;
    stats_.skipped_bursts += static_cast<uint64_t>(skipped);
    stats_.max_late_us = std::max(stats_.max_late_us, late_us);
}

void MediaClock::run() {
    if (hooks_.thread_started)
        hooks_.thread_started();
    raise_priority();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        Group *group = next_group();
        if (!group) {
            wake_.wait(lock);
            continue;
        }
        const int64_t now = monotonic_ns();
        if (now < group->deadline_ns) {
            wake_.wait_until(lock, time_point(group->deadline_ns));
            continue;
        }
        const int64_t late = now - group->deadline_ns;
        const int64_t skipped = std::max<int64_t>(0, late / group->interval_ns - kCatchUp);
        group->deadline_ns += (skipped + 1) * group->interval_ns;
        const std::shared_ptr<const Entries> entries = group->entries;
        record(late, skipped, entries->size());

        lock.unlock();
        for (const auto &entry : *entries) {
            std::lock_guard tick(entry->mutex);
            if (!entry->live)
                continue;
            if (skipped > 0)
                entry->ticker->skipped(static_cast<unsigned>(skipped));
            entry->ticker->tick(now);
        }
        if (hooks_.burst_done)
            hooks_.burst_done();
        const int64_t burst_us = (monotonic_ns() - now) / 1000;
        lock.lock();
        stats_.max_burst_us = std::max(stats_.max_burst_us, burst_us);
    }
}

void MediaClock::raise_priority() {
    // A container or an ordinary user may not: then the default has to do, and the counters show whether it does.
    std::string scheduling = "normal";
    sched_param fifo{};
    fifo.sched_priority = 10;
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &fifo) == 0)
        scheduling = "fifo";
    else if (setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), -10) == 0)
        scheduling = "nice";
    pthread_setname_np(pthread_self(), "parley-clock");
    std::lock_guard lock(mutex_);
    stats_.scheduling = scheduling;
}

} // namespace parley
