// SPDX-License-Identifier: GPL-3.0-or-later
#include "mix_line.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "check.hpp"

using parley::MixLine;

namespace {

using Pcm = std::vector<int16_t>;

Pcm constant(size_t samples, int16_t value) { return Pcm(samples, value); }

Pcm tone(size_t samples, double hz, double rate_hz, double level = 8000) {
    Pcm pcm(samples);
    for (size_t i = 0; i < samples; ++i)
        pcm[i] = static_cast<int16_t>(level * std::sin(static_cast<double>(i) * hz * 2 * M_PI / rate_hz));
    return pcm;
}

Pcm take(MixLine &line, size_t samples = 160, uint32_t rate_hz = 8000, bool silent = false, int16_t under = 0) {
    Pcm out = constant(samples, under);
    line.mix_into(out.data(), samples, rate_hz, silent);
    return out;
}

int largest_step(const Pcm &pcm, int16_t before) {
    int largest = 0;
    for (const int16_t sample : pcm) {
        largest = std::max(largest, std::abs(sample - before));
        before = sample;
    }
    return largest;
}

double delay_ms(const MixLine &line, uint32_t rate_hz = 8000) {
    return static_cast<double>(line.counters().queued_samples) * 1000 / rate_hz;
}

// Two legs in simulated time: one whose frames arrive with jitter on a clock of its own, one that takes one per beat.
struct Line {
    MixLine line{1, 0, 1.0};
    double frame_s = 0.02;   // between the writer's frames, on our clock
    double jitter_s = 0.0;   // uniform
    double written_s = 0.005; // when the next one would arrive without jitter
    double arrives_s = 0.005;
    double now_s = 0.0;
    std::mt19937 random{7};
    Pcm frame = constant(160, 1000);
    double longest_ms = 0;

    void run(double seconds) {
        for (const double until_s = now_s + seconds; now_s < until_s; now_s += 0.02) {
            while (arrives_s <= now_s) {
                line.write(8000, frame.data(), frame.size());
                written_s += frame_s;
                const double late_s = jitter_s * std::uniform_real_distribution<>(0, 1)(random);
                arrives_s = std::max(arrives_s, written_s + late_s);
            }
            take(line);
            longest_ms = std::max(longest_ms, delay_ms(line));
        }
    }
};

} // namespace

TEST("a mix line adds what is written to what is there, two milliseconds behind, and saturates") {
    MixLine line(1, 0, 1.0);
    Pcm ramp(320);
    for (size_t i = 0; i < ramp.size(); ++i)
        ramp[i] = static_cast<int16_t>(i * 50);
    CHECK(take(line, 160, 8000, false, 7) == constant(160, 7)); // nothing yet
    line.write(8000, ramp.data(), 160);
    const Pcm first = take(line, 160, 8000, false, 1000);
    CHECK(Pcm(first.begin(), first.begin() + 16) == constant(16, 1000));
    CHECK(largest_step(first, 1000) <= 7200 / 40 + 200); // led in
    EQUAL(first.back(), 143 * 50 + 1000);
    line.write(8000, ramp.data() + 160, 160);
    const Pcm second = take(line, 160, 8000, false, 20000);
    for (size_t i = 0; i < second.size(); ++i)
        EQUAL(second[i], std::min<int>(20000 + ramp[144 + i], 32767));
    EQUAL(line.counters().queued_samples, 16);
    EQUAL(line.counters().shortages, 0u);
}

TEST("a mix line that runs dry is led out, grows by the gap, and goes on with nothing lost") {
    MixLine line(1, 0, 1.0);
    const Pcm frame = constant(160, 8000);
    for (int i = 0; i < 3; ++i) {
        line.write(8000, frame.data(), frame.size());
        take(line);
    }
    const Pcm dry = take(line); // this one is late
    EQUAL(line.counters().shortages, 1u);
    EQUAL(dry[15], 8000);
    CHECK(largest_step(dry, 8000) <= 8000 / 40 + 1);
    CHECK(Pcm(dry.begin() + 56, dry.end()) == constant(104, 0));
    line.write(8000, frame.data(), frame.size());
    line.write(8000, frame.data(), frame.size());
    const Pcm next = take(line);
    CHECK(largest_step(next, 0) <= 8000 / 40 + 1);
    EQUAL(next.back(), 8000);
    EQUAL(line.counters().queued_samples, 160);
    take(line); // and now lateness is no matter
    EQUAL(line.counters().shortages, 1u);
}

TEST("a mix line's delay follows the network's jitter, up and down") {
    Line legs;
    legs.run(4);
    CHECK(delay_ms(legs.line) <= 2.1);
    EQUAL(legs.line.counters().shortages, 0u);
    legs.jitter_s = 0.03;
    legs.run(120);
    const uint64_t gaps = legs.line.counters().shortages;
    CHECK(gaps >= 1);
    CHECK(gaps <= 12); // each makes it wait longer before it tries again
    CHECK(legs.longest_ms <= 60);
    legs.jitter_s = 0.0;
    legs.run(300);
    CHECK(delay_ms(legs.line) <= 10.1);
    EQUAL(legs.line.counters().dropped, 0u);
}

TEST("clocks that drift by 200 ppm either way stay within some milliseconds, without many gaps") {
    for (const double ppm : {200.0, -200.0}) {
        Line legs;
        legs.frame_s = 0.02 * (1 - ppm * 1e-6);
        legs.run(1800);
        const auto counters = legs.line.counters();
        CHECK(legs.longest_ms <= 50);
        CHECK(counters.cuts + counters.shortages >= 5); // 360 ms in all
        CHECK(counters.shortages <= 40);
        EQUAL(counters.dropped, 0u);
    }
}

TEST("what is too long is cut where it is quiet, elsewhere a while later, without a click") {
    for (const bool quiet : {true, false}) {
        Line legs;
        legs.frame = tone(160, 400, 8000, quiet ? 50 : 8000); // whole periods: frames join
        legs.run(1);
        legs.arrives_s += 0.02;
        legs.run(0.1);
        legs.arrives_s = legs.written_s; // 20 ms that are needed no more
        EQUAL(legs.line.counters().shortages, 1u);
        double waited_s = 0;
        int step = 0;
        while (legs.line.counters().cuts == 0 && waited_s < 30) {
            legs.line.write(8000, legs.frame.data(), legs.frame.size());
            step = largest_step(take(legs.line), 0);
            waited_s += 0.02;
        }
        EQUAL(legs.line.counters().cuts, 1u);
        CHECK(delay_ms(legs.line) <= 2.1);
        CHECK(step <= 5500); // two tones of this level, faded into each other at worst, and where the frame begins
        CHECK(quiet ? waited_s < 5 : waited_s > 5 && waited_s < 10);
    }
}

TEST("after a machine stood still a mix line is soon in time again, and bounded meanwhile") {
    Line legs;
    legs.run(1);
    for (int i = 0; i < 1000; ++i)
        legs.line.write(8000, legs.frame.data(), legs.frame.size());
    EQUAL(legs.line.counters().dropped, 1000u - 24);
    take(legs.line);
    CHECK(delay_ms(legs.line) <= 400);
    CHECK(delay_ms(legs.line) >= 350);
    legs.run(1);
    CHECK(delay_ms(legs.line) <= 30);
    for (int i = 0; i < 20; ++i)
        legs.line.write(8000, legs.frame.data(), legs.frame.size());
    legs.line.flush();
    CHECK(take(legs.line) == constant(160, 0));
}

TEST("a mix line converts between any two rates, and follows a change of either") {
    for (const uint32_t from_hz : {8000u, 16000u, 24000u, 48000u})
        for (const uint32_t to_hz : {8000u, 16000u, 48000u}) {
            MixLine line(1, 0, 1.0);
            const size_t in = from_hz / 50, out = to_hz / 50;
            const Pcm said = tone(in * 50, 440, from_hz);
            Pcm heard;
            for (size_t i = 0; i < 50; ++i) {
                line.write(from_hz, said.data() + i * in, in);
                const Pcm frame = take(line, out, to_hz);
                heard.insert(heard.end(), frame.begin(), frame.end());
            }
            EQUAL(line.counters().shortages, 0u);
            const Pcm second_half(heard.begin() + static_cast<std::ptrdiff_t>(heard.size() / 2), heard.end());
            double power = 0, in_phase = 0, quadrature = 0;
            for (size_t i = 0; i < second_half.size(); ++i) {
                const double angle = static_cast<double>(i) * 440 * 2 * M_PI / to_hz;
                power += second_half[i] * second_half[i];
                in_phase += second_half[i] * std::sin(angle);
                quadrature += second_half[i] * std::cos(angle);
            }
            const auto n = static_cast<double>(second_half.size());
            const double level = 2 * std::hypot(in_phase, quadrature) / n;
            CHECK(std::abs(level - 8000) < 200);
            CHECK(power / n - level * level / 2 < 8000.0 * 8000 / 2 / 1000); // all else: 30 dB below
            const Pcm other = tone(640, 440, 16000);
            line.write(16000, other.data(), other.size());
            take(line, 160, 8000);
            line.write(8000, said.data(), 160);
            CHECK(take(line, 160, 8000).size() == 160);
        }
}

TEST("gain glides over a frame, silence keeps time, and a closed line fades out once") {
    MixLine line(1, 0, 1.0);
    const Pcm frame = constant(160, 8000);
    const auto next = [&](bool silent = false) {
        line.write(8000, frame.data(), frame.size());
        return take(line, 160, 8000, silent);
    };
    next();
    EQUAL(next().back(), 8000);
    line.set_gain(0.5);
    Pcm pcm = next();
    CHECK(largest_step(pcm, 8000) <= 4000 / 160 + 1);
    EQUAL(pcm.back(), 4000);
    pcm = next(true);
    EQUAL(pcm.back(), 0);
    EQUAL(line.counters().queued_samples, 16);
    line.set_gain(2.0);
    next();
    EQUAL(next().back(), 16000);
    line.close();
    CHECK(!line.over());
    line.write(8000, frame.data(), frame.size()); // refused
    take(line);
    CHECK(line.over());
    CHECK(take(line) == constant(160, 0));
}

TEST("a mix line is written and read by two threads at once") {
    MixLine line(1, 0, 1.0);
    std::atomic<bool> done{false};
    std::thread writer([&] {
        const Pcm frame = constant(160, 100);
        for (int i = 0; i < 20000; ++i)
            line.write(i % 3000 < 1500 ? 8000 : 16000, frame.data(), frame.size());
        done = true;
    });
    std::thread owner([&] {
        while (!done) {
            line.set_gain(1.0);
            line.counters();
        }
    });
    int loudest = 0;
    while (!done)
        for (const int16_t sample : take(line))
            loudest = std::max(loudest, std::abs(int{sample}));
    writer.join();
    owner.join();
    CHECK(loudest <= 200); // samples of two halves that never belonged together would ring, but not more than that
}
