// SPDX-License-Identifier: GPL-3.0-or-later
#include "dtmf_detector.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "dtmf_frequencies.hpp"

using parley::DtmfDetector;
using parley::KeyEvent;

namespace {

constexpr char kNames[] = "0123456789*#ABCD";

struct Line {
    uint32_t rate_hz = 8000;
    int on_ms = 40, off_ms = 40;
    double row_dbov = -20, column_dbov = -20; // of each sine
    double off_frequency = 0;                 // share by which both are too high
    double noise_db = 200;                    // below the louder tone
    int gap_at_ms = -1, gap_ms = 0;           // an interruption of each tone
};

std::string shuffled_keys(std::mt19937 &random) {
    std::string keys;
    for (int i = 0; i < 8; ++i)
        keys += kNames;
    std::shuffle(keys.begin(), keys.end(), random);
    return keys;
}

std::vector<int16_t> sound(const std::string &keys, const Line &line, std::mt19937 &random) {
    std::uniform_real_distribution<double> phase(0, 6.283);
    std::normal_distribution<double> hiss(0, 32768 * std::pow(10, (std::max(line.row_dbov, line.column_dbov) - line.noise_db) / 20));
    const double row = 32768 * std::sqrt(2) * std::pow(10, line.row_dbov / 20);
    const double column = 32768 * std::sqrt(2) * std::pow(10, line.column_dbov / 20);
    std::vector<int16_t> samples(random() % (line.rate_hz / 40)); // begins anywhere in the detector's windows
    const auto add = [&](double value) {
        if (line.noise_db < 200)
            value += hiss(random);
        samples.push_back(static_cast<int16_t>(std::lround(std::clamp(value, -32768.0, 32767.0))));
    };
    for (const char name : keys) {
        const auto key = static_cast<uint8_t>(std::string(kNames).find(name));
        const double a = phase(random), b = phase(random);
        const int on = static_cast<int>(line.rate_hz) * line.on_ms / 1000;
        for (int n = 0; n < on; ++n) {
            const double t = 6.283185307179586 * n / line.rate_hz * (1 + line.off_frequency);
            const double ms = 1000.0 * n / line.rate_hz;
            const bool gap = line.gap_at_ms >= 0 && ms >= line.gap_at_ms && ms < line.gap_at_ms + line.gap_ms;
            add(gap ? 0 : row * std::sin(t * parley::kDtmfRows_hz[parley::dtmf_row(key)] + a) +
                              column * std::sin(t * parley::kDtmfColumns_hz[parley::dtmf_column(key)] + b));
        }
        for (int n = 0; n < static_cast<int>(line.rate_hz) * line.off_ms / 1000; ++n)
            add(0);
    }
    for (uint32_t n = 0; n < line.rate_hz / 10; ++n)
        add(0);
    return samples;
}

std::string heard(const std::vector<int16_t> &samples, uint32_t rate_hz, std::vector<uint32_t> *durations_ms = nullptr,
                  size_t frame = 0) {
    DtmfDetector detector;
    detector.set_rate(rate_hz);
    std::string pressed;
    frame = frame ? frame : rate_hz / 50;
    for (size_t at = 0; at < samples.size(); at += frame) {
        detector.receive(samples.data() + at, std::min(frame, samples.size() - at), static_cast<int64_t>(at));
        for (KeyEvent event; detector.next(event);) {
            if (!event.released)
                pressed += kNames[event.key];
            else if (durations_ms)
                durations_ms->push_back(event.duration_ms);
        }
    }
    return pressed;
}

void all_heard(const char *what, const Line &line) {
    for (const uint32_t rate_hz : {8000u, 16000u, 24000u, 48000u}) {
        std::mt19937 random(rate_hz);
        Line here = line;
        here.rate_hz = rate_hz;
        const std::string keys = shuffled_keys(random);
        const std::string got = heard(sound(keys, here, random), rate_hz);
        if (got != keys)
            std::printf("  %s at %u Hz: %zu of %zu\n", what, rate_hz, got.size(), keys.size());
        CHECK(got == keys);
    }
}

void none_heard(const char *what, const Line &line) {
    for (const uint32_t rate_hz : {8000u, 16000u, 24000u, 48000u}) {
        std::mt19937 random(rate_hz);
        Line here = line;
        here.rate_hz = rate_hz;
        const std::string got = heard(sound(shuffled_keys(random), here, random), rate_hz);
        if (!got.empty())
            std::printf("  %s at %u Hz: %zu\n", what, rate_hz, got.size());
        CHECK(got.empty());
    }
}

Line with(void (*change)(Line &)) {
    Line line;
    change(line);
    return line;
}

} // namespace

TEST("keys of 40 ms with 40 ms between them are heard at every rate") { all_heard("plain", Line{}); }

TEST("frequencies 1.5 % off are a key's, 3.5 % off and more are not") {
    all_heard("+1.5 %", with([](Line &line) { line.off_frequency = 0.015; }));
    all_heard("-1.5 %", with([](Line &line) { line.off_frequency = -0.015; }));
    none_heard("+3.5 %", with([](Line &line) { line.off_frequency = 0.035; }));
    none_heard("-3.5 %", with([](Line &line) { line.off_frequency = -0.035; }));
    none_heard("+5 %", with([](Line &line) { line.off_frequency = 0.05; }));
    none_heard("-7 %", with([](Line &line) { line.off_frequency = -0.07; }));
}

TEST("a column 4 dB louder than its row is a key's, and a row 8 dB louder; much more is not") {
    all_heard("column +4 dB", with([](Line &line) { line.row_dbov = -24; }));
    all_heard("row +8 dB", with([](Line &line) { line.column_dbov = -28; }));
    none_heard("column +8 dB", with([](Line &line) { line.row_dbov = -28; }));
    none_heard("row +13 dB", with([](Line &line) { line.column_dbov = -33; }));
}

TEST("loud and soft keys are heard, whispers are not") {
    all_heard("loud", with([](Line &line) { line.row_dbov = line.column_dbov = -7; }));
    all_heard("soft", with([](Line &line) { line.row_dbov = line.column_dbov = -36; }));
    none_heard("whisper", with([](Line &line) { line.row_dbov = line.column_dbov = -46; }));
}

TEST("noise 15 dB below the tones hides no key, even with frequencies off and twist") {
    all_heard("noise", with([](Line &line) { line.noise_db = 15; }));
    all_heard("noise, off", with([](Line &line) {
        line.noise_db = 15;
        line.off_frequency = -0.015;
        line.column_dbov = -24;
    }));
}

TEST("a tone of 23 ms is no key") {
    none_heard("23 ms", with([](Line &line) {
        line.on_ms = 23;
        line.off_ms = 60;
    }));
}

TEST("a tone interrupted for 8 ms is one key, and its duration is that of the whole") {
    const Line line = with([](Line &one) {
        one.on_ms = 150;
        one.off_ms = 60;
        one.gap_at_ms = 70;
        one.gap_ms = 8;
    });
    all_heard("interrupted", line);
    std::mt19937 random(1);
    std::vector<uint32_t> durations_ms;
    heard(sound("159D", line, random), 8000, &durations_ms);
    EQUAL(durations_ms.size(), 4u);
    for (const uint32_t ms : durations_ms)
        CHECK(ms >= 130 && ms <= 170);
}

TEST("how the audio is cut into frames does not matter") {
    std::mt19937 random(5);
    const std::string keys = shuffled_keys(random);
    const auto samples = sound(keys, Line{}, random);
    for (const size_t frame : {1u, 7u, 80u, 160u, 240u, 480u, 960u})
        CHECK(heard(samples, 8000, nullptr, frame) == keys);
}

TEST("one tone alone, noise and silence are no keys") {
    std::mt19937 random(7);
    Line alone;
    alone.on_ms = 200;
    alone.row_dbov = -100;
    CHECK(heard(sound(kNames, alone, random), 8000).empty());
    std::normal_distribution<double> hiss(0, 3000);
    std::vector<int16_t> noise(8000 * 60);
    for (int16_t &one : noise)
        one = static_cast<int16_t>(hiss(random));
    CHECK(heard(noise, 8000).empty());
    CHECK(heard(std::vector<int16_t>(8000), 8000).empty());
    CHECK(heard(std::vector<int16_t>(8000, INT16_MIN), 8000).empty());
}

TEST("ringing, busy and dial tones are no keys") {
    const double tones[][2] = {{440, 480}, {480, 620}, {350, 440}, {425, 425}, {697, 770}, {1209, 1336}};
    for (const auto &pair : tones) {
        std::vector<int16_t> samples(16000);
        for (size_t n = 0; n < samples.size(); ++n)
            samples[n] = static_cast<int16_t>(6000 * (std::sin(7.853981634e-4 * pair[0] * static_cast<double>(n)) +
                                                      std::sin(7.853981634e-4 * pair[1] * static_cast<double>(n))));
        CHECK(heard(samples, 8000).empty());
    }
}

TEST("a change of rate forgets what was being heard") {
    DtmfDetector detector;
    std::mt19937 random(3);
    Line held;
    held.on_ms = 300;
    const auto samples = sound("5", held, random);
    detector.receive(samples.data(), 1600, 0);
    CHECK(detector.active());
    detector.set_rate(16000);
    CHECK(!detector.active());
}
