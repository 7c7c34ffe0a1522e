/* A lock-free ring of pointers between one producer thread and one consumer thread. */
#ifndef HEADGATE_SPSC_H
#define HEADGATE_SPSC_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

/* How a sequence is published. Only the negative control of the tests builds with another order. */
#ifndef SPSC_PUBLISH
#define SPSC_PUBLISH memory_order_release
#endif

/* Each field has a block of its own, or a side would wait for a line that the other keeps taking away. So has
   what a side remembers: it must not share a line with a sequence, which both sides touch. Two lines of 64
   bytes, as x86 fetches lines in pairs and some ARM cores have lines of 128. */
#define SPSC_BLOCK _Alignas(128)

/* The sequences count pointers since the start and only grow; the ring holds `pushed - popped` of them. Slots
   from `popped` up to `pushed` are the consumer's to read, the others the producer's to write. */
typedef struct {
    SPSC_BLOCK _Atomic uint64_t pushed; /* written by the producer, read by both */
    SPSC_BLOCK uint64_t popped_seen;    /* the producer's alone: `popped` when it last looked */
    SPSC_BLOCK _Atomic uint64_t popped; /* written by the consumer, read by both */
    SPSC_BLOCK uint64_t pushed_seen;    /* the consumer's alone: `pushed` when it last looked */
    SPSC_BLOCK uint64_t mask;           /* slots - 1; written by spsc_new, read by both */
    SPSC_BLOCK void *slots[];           /* written by the producer, read by the consumer */
} spsc_ring;

/* A ring of at least `slots` slots (the next power of two, no less than 2), or NULL when memory is out. */
static inline spsc_ring *spsc_new(uint64_t slots) {
    uint64_t size = 2;
    while (size < slots && size <= SIZE_MAX / sizeof(void *) / 4) size *= 2;
    if (size < slots) return NULL;
    size_t align = _Alignof(spsc_ring), bytes = sizeof(spsc_ring) + size * sizeof(void *);
    spsc_ring *ring = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (ring == NULL) return NULL;
    atomic_init(&ring->pushed, 0);
    atomic_init(&ring->popped, 0);
    ring->popped_seen = ring->pushed_seen = 0;
    ring->mask = size - 1;
    return ring;
}

/* Both threads have let go. What is still inside is the caller's to pop before. NULL is allowed. */
static inline void spsc_free(spsc_ring *ring) { free(ring); }

/* Producer: free slots; there may be more by now, never fewer. */
static inline uint64_t spsc_room(spsc_ring *ring) {
    ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
    return ring->mask + 1 - (atomic_load_explicit(&ring->pushed, memory_order_relaxed) - ring->popped_seen);
}

/* Producer: 1 when `item` is in the ring and belongs to the consumer, 0 when the ring is full. */
static inline int spsc_push(spsc_ring *ring, void *item) {
    uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);
    if (pushed - ring->popped_seen > ring->mask && spsc_room(ring) == 0) return 0;
    ring->slots[pushed & ring->mask] = item;
    atomic_store_explicit(&ring->pushed, pushed + 1, SPSC_PUBLISH);
    return 1;
}

/* Consumer: 1 when there is nothing to pop; there may be by now. */
static inline int spsc_is_empty(spsc_ring *ring) {
    uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);
    if (popped != ring->pushed_seen) return 0;
    ring->pushed_seen = atomic_load_explicit(&ring->pushed, memory_order_acquire);
    return popped == ring->pushed_seen;
}

/* Consumer: the oldest pointer, which now belongs to the caller, or NULL when the ring is empty. */
static inline void *spsc_pop(spsc_ring *ring) {
    if (spsc_is_empty(ring)) return NULL;
    uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);
    void *item = ring->slots[popped & ring->mask];
    atomic_store_explicit(&ring->popped, popped + 1, SPSC_PUBLISH);
    return item;
}

#endif
