// SPDX-License-Identifier: GPL-3.0-or-later
#include "call_lines.hpp"

#include <algorithm>

namespace parley {

namespace {

using Lines = std::vector<std::shared_ptr<MixLine>>;

Lines::iterator find(Lines &lines, uint32_t source_id, LineTrack track) {
    return std::find_if(lines.begin(), lines.end(), [&](const auto &line) {
        return line->source_id() == source_id && line->track() == static_cast<int>(track) && !line->closing();
    });
}

} // namespace

bool CallLines::connect(CallLines &source, uint32_t source_id, LineTrack track, CallLines &sink, LineEnd end,
                        double gain) {
    sink.sweep();
    std::shared_ptr<MixLine> line;
    {
        Side &side = sink.side_of(end);
        std::lock_guard lock(side.mutex);
        if (const auto at = find(side.to_here, source_id, track); at != side.to_here.end()) {
            (*at)->set_gain(gain);
            return true;
        }
        if (side.to_here.size() >= kMost) // a call without a stream lets no line fade out
            side.to_here.erase(std::remove_if(side.to_here.begin(), side.to_here.end(),
                                              [](const auto &one) { return one->closing(); }),
                               side.to_here.end());
        if (side.to_here.size() >= kMost)
            return false;
        line = std::make_shared<MixLine>(source_id, static_cast<int>(track), gain);
    }
    {
        Side &side = source.side_of(track);
        std::lock_guard lock(side.mutex);
        if (side.from_here.size() >= kMost)
            return false;
        side.from_here.push_back(line);
        side.counted();
    }
    Side &side = sink.side_of(end);
    std::lock_guard lock(side.mutex);
    if (end == LineEnd::kEar && sink.ear_.empty())
        sink.ear_.resize(kEarSamples);
    side.to_here.push_back(std::move(line));
    side.counted();
    return true;
}

void CallLines::disconnect(CallLines &source, uint32_t source_id, LineTrack track, CallLines &sink, LineEnd end) {
    std::shared_ptr<MixLine> line;
    {
        Side &side = sink.side_of(end);
        std::lock_guard lock(side.mutex);
        const auto at = find(side.to_here, source_id, track);
        if (at == side.to_here.end())
            return;
        line = *at;
        line->close();
    }
    Side &side = source.side_of(track);
    std::lock_guard lock(side.mutex);
    side.from_here.erase(std::remove(side.from_here.begin(), side.from_here.end(), line), side.from_here.end());
    side.counted();
}

void CallLines::sweep() {
    to_sweep_.store(false, std::memory_order_relaxed);
    for (Side *side : {&heard_, &sent_}) {
        Lines over; // freed without the lock
        std::lock_guard lock(side->mutex);
        const auto end = std::stable_partition(side->to_here.begin(), side->to_here.end(),
                                               [](const auto &line) { return !line->over(); });
        over.assign(std::make_move_iterator(end), std::make_move_iterator(side->to_here.end()));
        side->to_here.erase(end, side->to_here.end());
        side->counted();
    }
}

MixLineCounters CallLines::counters() const {
    MixLineCounters all;
    for (const Side *side : {&heard_, &sent_}) {
        std::lock_guard lock(side->mutex);
        for (const auto &line : side->to_here)
            all += line->counters();
    }
    return all;
}

const int16_t *CallLines::pass_heard(uint32_t rate_hz, const int16_t *pcm, size_t samples) noexcept {
    std::unique_lock lock(heard_.mutex, std::try_to_lock);
    if (!lock)
        return pcm;
    for (const auto &line : heard_.from_here)
        line->write(rate_hz, pcm, samples);
    if (heard_.to_here.empty() || samples > ear_.size())
        return pcm;
    std::copy(pcm, pcm + samples, ear_.begin());
    mix(heard_.to_here, rate_hz, ear_.data(), samples, false);
    return ear_.data();
}

void CallLines::pass_sent(uint32_t rate_hz, int16_t *pcm, size_t samples, bool silent, bool secret) noexcept {
    std::unique_lock lock(sent_.mutex, std::try_to_lock);
    if (!lock)
        return;
    if (!secret)
        for (const auto &line : sent_.from_here)
            line->write(rate_hz, pcm, samples);
    mix(sent_.to_here, rate_hz, pcm, samples, silent);
}

void CallLines::mix(Lines &lines, uint32_t rate_hz, int16_t *pcm, size_t samples, bool silent) noexcept {
    for (const auto &line : lines) {
        if (line->over())
            continue;
        line->mix_into(pcm, samples, rate_hz, silent);
        if (line->over())
            to_sweep_.store(true, std::memory_order_relaxed);
    }
}

void CallLines::flush() noexcept {
    std::unique_lock lock(sent_.mutex, std::try_to_lock);
    if (!lock)
        return;
    for (const auto &line : sent_.to_here)
        line->flush();
}

} // namespace parley
