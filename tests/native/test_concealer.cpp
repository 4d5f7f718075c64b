// SPDX-License-Identifier: GPL-3.0-or-later
#include "concealer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "check.hpp"

using parley::Concealer;

namespace {

std::vector<int16_t> sine(double hertz, size_t from, size_t samples, uint32_t rate_hz) {
    std::vector<int16_t> pcm(samples);
    for (size_t i = 0; i < samples; ++i)
        pcm[i] = static_cast<int16_t>(8000 * std::sin(2 * M_PI * hertz * static_cast<double>(from + i) / rate_hz));
    return pcm;
}

int largest_step(const std::vector<int16_t> &pcm) {
    int largest = 0;
    for (size_t i = 1; i < pcm.size(); ++i)
        largest = std::max(largest, std::abs(pcm[i] - pcm[i - 1]));
    return largest;
}

} // namespace

TEST("a lost frame is bridged by the voice's own period, without a seam on either side") {
    for (const uint32_t rate_hz : {8000u, 16000u, 48000u})
        for (const double hertz : {100.0, 180.0, 317.0}) {
            Concealer concealer(rate_hz);
            const size_t frame = rate_hz / 50;
            std::vector<int16_t> all = sine(hertz, 0, 5 * frame, rate_hz);
            concealer.hear(all.data(), all.size());
            std::vector<int16_t> made(frame);
            concealer.conceal(made.data(), frame);
            std::vector<int16_t> after = sine(hertz, 6 * frame, frame, rate_hz);
            concealer.hear(after.data(), frame);
            const int natural = largest_step(all);
            all.insert(all.end(), made.begin(), made.end());
            all.insert(all.end(), after.begin(), after.end());
            CHECK(largest_step(all) <= natural * 2);
            // The first 10 ms are as loud as what went before.
            double power = 0;
            for (size_t i = 0; i < frame / 2; ++i)
                power += double(made[i]) * made[i] / double(frame / 2);
            CHECK(std::sqrt(power) > 8000 / std::sqrt(2.0) * 0.7);
        }
}

TEST("concealment is silence after 70 ms") {
    Concealer concealer(8000);
    std::vector<int16_t> pcm = sine(200, 0, 800, 8000);
    concealer.hear(pcm.data(), pcm.size());
    std::vector<int16_t> made(640);
    for (size_t i = 0; i < made.size(); i += 160)
        concealer.conceal(made.data() + i, 160);
    CHECK(std::any_of(made.begin() + 400, made.begin() + 520, [](int16_t sample) { return sample != 0; }));
    CHECK(std::all_of(made.begin() + 560, made.end(), [](int16_t sample) { return sample == 0; }));
}

TEST("there is nothing to repeat before anything was heard") {
    Concealer concealer(8000);
    std::vector<int16_t> made(160, 5);
    concealer.conceal(made.data(), made.size());
    CHECK(std::all_of(made.begin(), made.end(), [](int16_t sample) { return sample == 0; }));
}

TEST("noise has the level it is asked for, and none is beyond what a sample holds") {
    Concealer concealer(8000);
    std::vector<int16_t> made(8000);
    for (const int level : {-5, 0, 20, 50, 70, 127, 400}) {
        concealer.noise(made.data(), made.size(), level);
        double power = 0;
        for (const int16_t sample : made)
            power += double(sample) * sample / double(made.size());
        if (level >= 20 && level <= 70)
            CHECK(std::abs(10 * std::log10(power / 32768 / 32768) + level) < 1);
        if (level >= 127)
            CHECK(power < 2);
    }
}
