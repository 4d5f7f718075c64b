// SPDX-License-Identifier: GPL-3.0-or-later
#include "playout.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace parley {

// ---- writer

size_t Playout::write(uint32_t utterance_id, const int16_t *pcm, size_t samples) {
    if (samples == 0 || static_cast<int64_t>(utterance_id) <= closed_id_)
        return 0;
    free_chunks();
    const int64_t written = written_.load(std::memory_order_relaxed);
    int64_t room = capacity_ - queued();
    // After a clear() the clock may still stand inside the old chunks: the table holds both for one frame.
    room = std::min(room, freed_ + static_cast<int64_t>(chunks_.size()) * kChunk - written);
    samples = static_cast<size_t>(std::clamp<int64_t>(room, 0, static_cast<int64_t>(samples)));
    if (samples == 0)
        return 0;

    if (!segments_.empty() && !segments_.back().ended && segments_.back().utterance_id != utterance_id) {
        if (utterance_id < segments_.back().utterance_id || !close_last())
            return 0;
    }
    if (segments_.empty() || segments_.back().ended) {
        if (markers_.space() < 2) // a start is only begun with room for its end
            return 0;
        markers_.push({written, 0, utterance_id, false});
        segments_.push_back({utterance_id, written, written, false});
    }
    copy_in(written, pcm, samples);
    segments_.back().end += static_cast<int64_t>(samples);
    written_.store(written + static_cast<int64_t>(samples), std::memory_order_release);
    return samples;
}

void Playout::end(uint32_t utterance_id) {
    if (!segments_.empty() && !segments_.back().ended && segments_.back().utterance_id == utterance_id)
        close_last();
    closed_id_ = std::max(closed_id_, static_cast<int64_t>(utterance_id));
}

bool Playout::close_last() {
    Segment &last = segments_.back();
    if (!markers_.push({last.end, last.end - last.start, last.utterance_id, true}))
        return false;
    last.ended = true;
    closed_id_ = std::max(closed_id_, static_cast<int64_t>(last.utterance_id));
    return true;
}

std::vector<Heard> Playout::clear() {
    const int64_t written = written_.load(std::memory_order_relaxed);
    const int64_t read = read_.exchange(written, std::memory_order_acq_rel);
    std::vector<Heard> cut;
    for (const Segment &segment : segments_) {
        const int64_t heard = std::clamp<int64_t>(read - segment.start, 0, segment.end - segment.start);
        const int64_t discarded = segment.end - segment.start - heard;
        if (discarded > 0 || !segment.ended)
            cut.push_back({segment.utterance_id, heard, discarded});
        closed_id_ = std::max(closed_id_, static_cast<int64_t>(segment.utterance_id));
    }
    segments_.clear();
    clears_.fetch_add(1, std::memory_order_release);
    return cut;
}

size_t Playout::rewind(size_t samples) {
    trim();
    int64_t read = read_.load(std::memory_order_acquire);
    if (segments_.empty())
        return 0;
    const Segment &first = segments_.front();
    const int64_t oldest = std::max({first.start, kept_from_, freed_});
    const int64_t wanted = std::min(static_cast<int64_t>(samples), int64_t{rate_hz_} * kKeep_ms / 1000);
    const int64_t target = std::max(oldest, read - wanted);
    // An utterance that has ended and was sent has been reported finished.
    if (target >= read || (first.ended && read >= first.end))
        return 0;
    return read_.compare_exchange_strong(read, target, std::memory_order_acq_rel) ? static_cast<size_t>(read - target)
                                                                                  : 0;
}

std::optional<Heard> Playout::progress() {
    trim();
    if (segments_.empty())
        return std::nullopt;
    const Segment &first = segments_.front();
    const int64_t read = read_.load(std::memory_order_acquire);
    return Heard{first.utterance_id, std::clamp<int64_t>(read - first.start, 0, first.end - first.start), 0};
}

void Playout::trim() {
    const int64_t read = read_.load(std::memory_order_acquire);
    while (!segments_.empty() && segments_.front().ended && segments_.front().end <= read)
        segments_.pop_front();
    free_chunks();
}

void Playout::free_chunks() {
    // Never beyond `settled`: after a clear() an utterance may begin ahead of where the clock still reads.
    const int64_t settled = settled_.load(std::memory_order_acquire);
    int64_t until = std::min(settled, read_.load(std::memory_order_acquire));
    if (!segments_.empty()) // rewind() may want it again
        until = std::min(until, std::max(segments_.front().start, settled - int64_t{rate_hz_} * kKeep_ms / 1000));
    while (freed_ + kChunk <= until) {
        Chunk &chunk = chunks_[static_cast<size_t>(freed_ / kChunk) % chunks_.size()];
        if (!spare_)
            spare_ = std::move(chunk);
        chunk.reset();
        freed_ += kChunk;
    }
}

void Playout::copy_in(int64_t position, const int16_t *pcm, size_t samples) {
    while (samples > 0) {
        Chunk &chunk = chunks_[static_cast<size_t>(position / kChunk) % chunks_.size()];
        if (!chunk)
            chunk = spare_ ? std::move(spare_) : Chunk(new int16_t[kChunk]);
        const size_t offset = static_cast<size_t>(position % kChunk);
        const size_t part = std::min(samples, static_cast<size_t>(kChunk) - offset);
        std::memcpy(chunk.get() + offset, pcm, part * sizeof(int16_t));
        position += static_cast<int64_t>(part);
        pcm += part;
        samples -= part;
    }
}

// ---- both sides at rest

void Playout::settle() {
    position_ = read_.load();
    settled_.store(position_);
}

void Playout::set_rate(uint32_t rate_hz, uint32_t capacity_ms) {
    if (rate_hz == rate_hz_)
        return;
    const int64_t read = read_.load();
    const int64_t left = written_.load() - read;
    const double ratio = rate_hz_ ? static_cast<double>(rate_hz) / rate_hz_ : 1.0;
    std::vector<int16_t> old(static_cast<size_t>(left));
    copy_out(read, old.data(), old.size());

    // Positions go on from here, measured in the new samples. Linear interpolation: this is the tail of one utterance
    // on the rare call that changes codec while it is spoken.
    const auto scaled = [&](int64_t samples) { return int64_t{std::llround(static_cast<double>(samples) * ratio)}; };
    const auto moved = [&](int64_t position) { return read + scaled(position - read); };
    std::vector<int16_t> converted(static_cast<size_t>(moved(read + left) - read));
    for (size_t i = 0; i < converted.size(); ++i) {
        const double at = static_cast<double>(i) / ratio;
        const size_t whole = std::min(static_cast<size_t>(at), old.size() - 1);
        const size_t next = std::min(whole + 1, old.size() - 1);
        const double value = old[whole] + (old[next] - old[whole]) * (at - static_cast<double>(whole));
        converted[i] = static_cast<int16_t>(std::lround(value));
    }

    rate_hz_ = rate_hz;
    capacity_ = int64_t{rate_hz} * capacity_ms / 1000;
    chunks_.clear();
    chunks_.resize(static_cast<size_t>(2 * (capacity_ / kChunk + 2)));
    spare_.reset();
    freed_ = read / kChunk * kChunk;
    kept_from_ = read;
    converted.resize(std::min(converted.size(), static_cast<size_t>(capacity_)));
    copy_in(read, converted.data(), converted.size());
    const int64_t written = read + static_cast<int64_t>(converted.size());
    for (Segment &segment : segments_) {
        segment.start = std::min(moved(segment.start), written);
        segment.end = std::min(moved(segment.end), written);
    }
    markers_.rewrite([&](Marker &marker) {
        marker.position = std::min(moved(marker.position), written);
        marker.samples = scaled(marker.samples);
    });
    written_.store(written);
    settle();
}

// ---- reader

void Playout::copy_out(int64_t position, int16_t *out, size_t samples) const {
    while (samples > 0) {
        const Chunk &chunk = chunks_[static_cast<size_t>(position / kChunk) % chunks_.size()];
        const size_t offset = static_cast<size_t>(position % kChunk);
        const size_t part = std::min(samples, static_cast<size_t>(kChunk) - offset);
        std::memcpy(out, chunk.get() + offset, part * sizeof(int16_t));
        position += static_cast<int64_t>(part);
        out += part;
        samples -= part;
    }
}

size_t Playout::pull(int16_t *out, size_t samples, PlayoutMark *marks, size_t max_marks, size_t &mark_count) {
    mark_count = 0;
    int64_t read = read_.load(std::memory_order_acquire);
    if (read < position_) { // rewound: the marks on the way were passed before
        position_ = read;
        starved_ = false;
    }
    const int64_t cut_from = position_; // [cut_from, read) was discarded since the last frame
    const uint32_t clears = clears_.load(std::memory_order_acquire);
    cleared_ = read != position_;
    if (cleared_ || clears != clears_seen_)
        in_utterance_ = starved_ = false;
    clears_seen_ = clears;
    const int64_t cut_to = read;

    const int64_t available = written_.load(std::memory_order_acquire) - read;
    size_t count = static_cast<size_t>(std::min<int64_t>(available, static_cast<int64_t>(samples)));
    if (count > 0) {
        copy_out(read, out, count);
        if (read_.compare_exchange_strong(read, cut_to + static_cast<int64_t>(count), std::memory_order_acq_rel))
            read = cut_to + static_cast<int64_t>(count);
        else { // cleared (or rewound) under our hands: the next call sees how far
            count = 0;
            in_utterance_ = in_utterance_ && read < cut_to;
            read = cut_to;
        }
    }

    while (const Marker *marker = markers_.front()) {
        if (mark_count == max_marks)
            break;
        // A start belongs to the sample it stands before, an end to the one it stands behind.
        const bool discarded = marker->is_end ? marker->position > cut_from && marker->position <= cut_to
                                              : marker->position >= cut_from && marker->position < cut_to;
        const bool reached = marker->is_end ? marker->position <= read : marker->position < read;
        if (!discarded && !reached)
            break;
        if (!discarded && marker->is_end) {
            marks[mark_count++] = {Transition::kFinished, marker->utterance_id, marker->samples};
            in_utterance_ = false;
        } else if (!discarded) {
            marks[mark_count++] = {Transition::kStarted, marker->utterance_id, 0};
            in_utterance_ = true;
            current_id_ = marker->utterance_id;
        }
        markers_.pop();
    }

    if (count > 0)
        starved_ = false;
    if (count < samples && in_utterance_ && !starved_ && mark_count < max_marks) {
        starved_ = true; // once per gap, however long
        marks[mark_count++] = {Transition::kUnderrun, current_id_, 0};
    }
    position_ = read;
    settled_.store(read, std::memory_order_release);
    return count;
}

} // namespace parley
