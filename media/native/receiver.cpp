// SPDX-License-Identifier: GPL-3.0-or-later
#include "receiver.hpp"

#include <ctime>

#include <pjlib.h>
#include <pjmedia/endpoint.h>

#include "clock.hpp"

namespace parley {

void RtpReceiver::start(pjmedia_endpt *endpoint) {
    if (thread_.joinable())
        return;
    pjmedia_endpt_stop_threads(endpoint);
    stopping_ = false;
    thread_ = std::thread([this, endpoint] { run(endpoint); });
}

void RtpReceiver::stop() {
    stopping_ = true;
    if (thread_.joinable())
        thread_.join();
}

void RtpReceiver::run(pjmedia_endpt *endpoint) {
    thread_local pj_thread_desc desc;
    pj_thread_t *self;
    pj_thread_register("parley-rtp", desc, &self);
    pthread_setname_np(pthread_self(), "parley-rtp");

    pj_ioqueue_t *const sockets = pjmedia_endpt_get_ioqueue(endpoint);
    const pj_time_val patience{0, 50}; // also how long stop() may take
    const pj_time_val at_once{0, 0};
    int64_t last_ns = 0;
    while (!stopping_) {
        int events = pj_ioqueue_poll(sockets, &patience);
        const int64_t now_ns = monotonic_ns();
        while (events >= PJ_IOQUEUE_MAX_EVENTS_IN_SINGLE_POLL && !stopping_)
            events = pj_ioqueue_poll(sockets, &at_once);
        if (events > 0 && now_ns - last_ns < 2 * kGather_ns) {
            const int64_t until = now_ns + kGather_ns;
            const timespec deadline{until / 1'000'000'000, until % 1'000'000'000};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, nullptr);
        }
        last_ns = now_ns;
    }
}

} // namespace parley
