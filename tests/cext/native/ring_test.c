/* The native test of spsc.h: lifetimes, edges of its capacity, and two threads on a tiny ring. */
#include "spsc.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#define CHECK(what) ((what) ? (void)0 : fail(__LINE__, #what))

#define ITEMS 100000 /* at most, through the threads' ring; an item's value is its place in the sequence */
#define SECONDS 3    /* at most: on a busy machine the two threads hardly ever run at once, and each wait is a long one */
#define LAST UINT64_MAX

typedef struct {
    uint64_t value;
} item;

static void fail(int line, const char *what) {
    fprintf(stderr, "ring_test.c:%d: not so: %s\n", line, what);
    exit(1);
}

/* Items allocated and not yet freed. Relaxed, so that counting never orders what the ring has to order. */
static _Atomic int64_t live;

static item *item_new(uint64_t value) {
    item *made = malloc(sizeof *made);
    CHECK(made != NULL);
    made->value = value;
    atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return made;
}

static uint64_t item_take(item *taken) {
    CHECK(taken != NULL);
    uint64_t value = taken->value;
    free(taken);
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    return value;
}

static void rounds_slots_up(void) {
    const uint64_t wanted[] = {0, 1, 2, 3, 4, 5, 1000, 1024, 1025};
    const uint64_t got[] = {2, 2, 2, 4, 4, 8, 1024, 1024, 2048};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        spsc_ring *ring = spsc_new(wanted[i]);
        CHECK(ring != NULL && spsc_room(ring) == got[i] && spsc_is_empty(ring));
        CHECK((uintptr_t)ring % 128 == 0);
        spsc_free(ring);
    }
}

static void refuses_what_memory_cannot_hold(void) {
    CHECK(spsc_new(UINT64_MAX) == NULL);
    CHECK(spsc_new((uint64_t)1 << 62) == NULL); /* rounding up or the size in bytes would overflow */
    spsc_free(NULL);
}

static void fills_and_drains(spsc_ring *ring, uint64_t slots) {
    for (uint64_t i = 0; i < slots; i++) {
        CHECK(spsc_room(ring) == slots - i);
        CHECK(spsc_push(ring, item_new(i)) == 1);
    }
    item spare;
    CHECK(spsc_room(ring) == 0 && spsc_push(ring, &spare) == 0 && !spsc_is_empty(ring));
    for (uint64_t i = 0; i < slots; i++) CHECK(item_take(spsc_pop(ring)) == i);
    CHECK(spsc_is_empty(ring) && spsc_pop(ring) == NULL && spsc_room(ring) == slots);
}

/* A ring as it is after so many pushes and pops: what would take centuries to reach. */
static void has_carried(spsc_ring *ring, uint64_t items) {
    atomic_store(&ring->pushed, items), atomic_store(&ring->popped, items);
    ring->pushed_seen = ring->popped_seen = items;
}

static void keeps_order_wherever_the_sequences_are(void) {
    const uint64_t starts[] = {0, 1, 3, UINT32_MAX - 2, UINT64_MAX - 9, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        spsc_ring *ring = spsc_new(4);
        CHECK(ring != NULL);
        has_carried(ring, starts[i]);
        for (int turn = 0; turn < 5; turn++) fills_and_drains(ring, 4);
        spsc_free(ring);
    }
}

static void has_room_for_what_is_not_inside(void) {
    spsc_ring *ring = spsc_new(8);
    CHECK(ring != NULL);
    for (uint64_t offset = 0; offset < 8; offset++)
        for (uint64_t level = 0; level <= 8; level++) {
            has_carried(ring, offset);
            for (uint64_t i = 0; i < level; i++) CHECK(spsc_push(ring, item_new(i)) == 1);
            CHECK(spsc_room(ring) == 8 - level && spsc_is_empty(ring) == (level == 0));
            for (uint64_t i = 0; i < level; i++) CHECK(item_take(spsc_pop(ring)) == i);
        }
    spsc_free(ring);
}

static void leaves_what_is_inside_to_the_caller(void) {
    spsc_ring *ring = spsc_new(2);
    CHECK(ring != NULL);
    item *kept = item_new(7);
    CHECK(spsc_push(ring, kept) == 1);
    spsc_free(ring);
    CHECK(item_take(kept) == 7);
}

/* The payload is written before the push and must be whole after the pop: its memory changes hands too. */
static void push(spsc_ring *ring, item *made) {
    while (!spsc_push(ring, made)) sched_yield();
}

static item *pop(spsc_ring *ring) {
    item *taken;
    while ((taken = spsc_pop(ring)) == NULL) sched_yield();
    return taken;
}

static void *produce(void *ring) {
    time_t end = time(NULL) + SECONDS;
    for (uint64_t i = 0; i < ITEMS && time(NULL) < end; i++) push(ring, item_new(i));
    push(ring, item_new(LAST));
    return NULL;
}

static void *consume(void *ring) {
    uint64_t value;
    for (uint64_t i = 0; (value = item_take(pop(ring))) != LAST; i++) CHECK(value == i);
    return NULL;
}

static void two_threads_on_a_tiny_ring(uint64_t already) {
    spsc_ring *ring = spsc_new(2);
    CHECK(ring != NULL);
    has_carried(ring, already);
    pthread_t producer, consumer;
    CHECK(pthread_create(&producer, NULL, produce, ring) == 0);
    CHECK(pthread_create(&consumer, NULL, consume, ring) == 0);
    CHECK(pthread_join(producer, NULL) == 0 && pthread_join(consumer, NULL) == 0);
    CHECK(spsc_is_empty(ring) && spsc_room(ring) == 2);
    spsc_free(ring);
}

int main(void) {
    rounds_slots_up();
    refuses_what_memory_cannot_hold();
    keeps_order_wherever_the_sequences_are();
    has_room_for_what_is_not_inside();
    leaves_what_is_inside_to_the_caller();
    two_threads_on_a_tiny_ring(0);
    two_threads_on_a_tiny_ring(UINT64_MAX - 99); /* soon past the end of 64 bits */
    CHECK(live == 0);
    puts("ok");
    return 0;
}
