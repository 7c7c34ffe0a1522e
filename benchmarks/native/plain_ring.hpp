// The reference for spsc.h: the same kind of ring as a C++ programmer would write it with std::atomic.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

// One producer and one consumer thread; slots a power of two; each side remembers the other's index.
template <typename T>
class PlainRing {
public:
    explicit PlainRing(std::size_t slots) : buffer_(std::bit_ceil(slots)), mask_(buffer_.size() - 1) {}

    bool push(T *item) noexcept {
        const std::uint64_t head = head_.load(std::memory_order_relaxed);
        if (head - tail_cache_ > mask_) {
            tail_cache_ = tail_.load(std::memory_order_acquire);
            if (head - tail_cache_ > mask_) return false;
        }
        buffer_[head & mask_] = item;
        head_.store(head + 1, std::memory_order_release);
        return true;
    }

    T *pop() noexcept {
        const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
        if (tail == head_cache_) {
            head_cache_ = head_.load(std::memory_order_acquire);
            if (tail == head_cache_) return nullptr;
        }
        T *item = buffer_[tail & mask_];
        tail_.store(tail + 1, std::memory_order_release);
        return item;
    }

private:
    static constexpr std::size_t line = 64;

    std::vector<T *> buffer_;
    const std::uint64_t mask_;
    alignas(line) std::atomic<std::uint64_t> head_{0};  // written by the producer, read by both
    alignas(line) std::uint64_t tail_cache_{0};         // the producer's alone
    alignas(line) std::atomic<std::uint64_t> tail_{0};  // written by the consumer, read by both
    alignas(line) std::uint64_t head_cache_{0};         // the consumer's alone
};
