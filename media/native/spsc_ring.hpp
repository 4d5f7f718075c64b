// SPDX-License-Identifier: GPL-3.0-or-later
// A bounded queue between one producer and one consumer thread, without locks.
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

namespace parley {

// When full, push() refuses: what goes through here is control, which is never dropped, so the producer keeps it and
// tries again.
template <class T> class SpscRing {
  public:
    explicit SpscRing(size_t capacity) : slots_(capacity) {}

    // Producer.
    bool push(const T &item) noexcept {
        const size_t head = head_.load(std::memory_order_relaxed);
        if (head - tail_.load(std::memory_order_acquire) == slots_.size())
            return false;
        slots_[head % slots_.size()] = item;
        head_.store(head + 1, std::memory_order_release);
        return true;
    }
    size_t space() const noexcept {
        return slots_.size() - (head_.load(std::memory_order_relaxed) - tail_.load(std::memory_order_acquire));
    }

    // Consumer. front() stays valid until pop().
    const T *front() const noexcept {
        const size_t tail = tail_.load(std::memory_order_relaxed);
        return tail == head_.load(std::memory_order_acquire) ? nullptr : &slots_[tail % slots_.size()];
    }
    void pop() noexcept { tail_.store(tail_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

    // Only while neither side is at work.
    template <class Change> void rewrite(Change change) {
        for (size_t i = tail_.load(); i != head_.load(); ++i)
            change(slots_[i % slots_.size()]);
    }

  private:
    std::vector<T> slots_;
    std::atomic<size_t> head_{0};
    std::atomic<size_t> tail_{0};
};

} // namespace parley
