// SPDX-License-Identifier: GPL-3.0-or-later
#include "clock.hpp"

#include <atomic>
#include <chrono>
#include <set>

#include "check.hpp"

using namespace std::chrono_literals;
using parley::MediaClock;
using parley::Ticker;

namespace {

constexpr int64_t kFrame_ns = 20'000'000;

struct Counter : Ticker {
    std::atomic<int64_t> ticks{0}, frames_skipped{0}, last_ns{0};
    void tick(int64_t now_ns) noexcept override {
        ++ticks;
        last_ns = now_ns;
    }
    void skipped(unsigned frames) noexcept override { frames_skipped += frames; }
};

} // namespace

TEST("a ticker is called once per frame") {
    MediaClock clock;
    auto counter = std::make_shared<Counter>();
    clock.attach(counter, kFrame_ns);
    const int64_t from = parley::monotonic_ns();
    clock.start();
    std::this_thread::sleep_for(400ms);
    clock.detach(counter.get());
    const int64_t frames = (parley::monotonic_ns() - from) / kFrame_ns;
    // A busy machine may be late, but what is late is made up for or told.
    const int64_t accounted = counter->ticks + counter->frames_skipped;
    CHECK(accounted >= frames - 2 && accounted <= frames + 1);
    CHECK(clock.stats().ticks >= static_cast<uint64_t>(counter->ticks));
}

TEST("tickers of one interval are spread over its phases") {
    MediaClock clock;
    std::vector<std::shared_ptr<Counter>> counters;
    for (int i = 0; i < 8; ++i) {
        counters.push_back(std::make_shared<Counter>());
        clock.attach(counters.back(), kFrame_ns);
    }
    clock.start();
    std::this_thread::sleep_for(100ms);
    clock.stop();
    const auto stats = clock.stats();
    EQUAL(stats.tickers, 8u);
    CHECK(stats.ticks == stats.bursts * 2); // two in each of four
    std::set<int64_t> moments;
    for (const auto &counter : counters)
        moments.insert(counter->last_ns);
    EQUAL(moments.size(), 4u);
}

TEST("a detached ticker is not being called and never will be") {
    MediaClock clock;
    clock.start();
    struct Slow : Counter {
        std::atomic<bool> inside{false};
        void tick(int64_t now_ns) noexcept override {
            inside = true;
            std::this_thread::sleep_for(5ms);
            Counter::tick(now_ns);
            inside = false;
        }
    };
    for (int i = 0; i < 10; ++i) {
        auto slow = std::make_shared<Slow>();
        clock.attach(slow, 10'000'000);
        while (!slow->inside)
            std::this_thread::yield();
        clock.detach(slow.get());
        CHECK(!slow->inside);
        const int64_t ticks = slow->ticks;
        std::this_thread::sleep_for(12ms);
        EQUAL(slow->ticks.load(), ticks);
    }
}

TEST("after a stall a few frames are made up for and the rest is told") {
    MediaClock clock;
    struct Stalling : Counter {
        std::atomic<bool> stalled{false};
        void tick(int64_t now_ns) noexcept override {
            Counter::tick(now_ns);
            if (!stalled.exchange(true))
                std::this_thread::sleep_for(300ms);
        }
    };
    auto stalling = std::make_shared<Stalling>();
    auto other = std::make_shared<Counter>();
    clock.attach(stalling, kFrame_ns);
    clock.attach(other, kFrame_ns);
    const int64_t from = parley::monotonic_ns();
    clock.start();
    while (!stalling->stalled)
        std::this_thread::yield();
    std::this_thread::sleep_for(400ms);
    clock.stop();
    const int64_t frames = (parley::monotonic_ns() - from) / kFrame_ns;
    CHECK(other->frames_skipped >= 5);
    const int64_t accounted = other->ticks + other->frames_skipped;
    CHECK(accounted >= frames - 2 && accounted <= frames + 1);
    CHECK(clock.stats().max_late_us >= 200'000);
}

TEST("tickers come and go on many threads while the clock runs") {
    MediaClock clock;
    clock.start();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&clock, t] {
            for (int i = 0; i < 150; ++i) {
                auto counter = std::make_shared<Counter>();
                clock.attach(counter, 5'000'000 * (1 + (i + t) % 4));
                std::this_thread::sleep_for(std::chrono::microseconds(300 * (i % 5)));
                clock.detach(counter.get());
                counter->ticks = -1; // freed here: the sanitizers would see a late tick
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    EQUAL(clock.stats().tickers, 0u);
}

TEST("a clock can be stopped and started again") {
    MediaClock clock;
    auto counter = std::make_shared<Counter>();
    clock.attach(counter, 5'000'000);
    for (int i = 0; i < 3; ++i) {
        clock.start();
        clock.start();
        CHECK(clock.running());
        const int64_t before = counter->ticks;
        while (counter->ticks == before)
            std::this_thread::yield();
        clock.stop();
        CHECK(!clock.running());
    }
}
