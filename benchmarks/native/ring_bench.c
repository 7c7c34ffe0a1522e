/* Moves N pointers, one at a time, from one thread to another through a ring; prints items a second.

   Built as C it drives spsc.h, as C++ (-x c++) the reference in plain_ring.hpp: the loops are the same text.
   Arguments: items, slots. */
#ifdef __cplusplus
#include "plain_ring.hpp"
typedef PlainRing<void> ring_type;
#define RING_NEW(slots) (new ring_type(slots))
#define RING_FREE(ring) (delete (ring))
#define RING_PUSH(ring, item) ((ring)->push(item))
#define RING_POP(ring) ((ring)->pop())
#else
#include "spsc.h"
typedef spsc_ring ring_type;
#define RING_NEW(slots) spsc_new(slots)
#define RING_FREE(ring) spsc_free(ring)
#define RING_PUSH(ring, item) spsc_push(ring, item)
#define RING_POP(ring) spsc_pop(ring)
#endif

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A side that cannot move tries this often, then lets another thread have the core. */
#define TRIES 10000

static ring_type *ring;  /* written by main before the threads start */
static uintptr_t items;  /* likewise */

static void wait_a_little(unsigned *tries) {
    if (++*tries % TRIES == 0) sched_yield();
}

static void *produce(void *unused) {
    unsigned tries = 0;
    for (uintptr_t item = 1; item <= items; item++)
        while (!RING_PUSH(ring, (void *)item)) wait_a_little(&tries);
    return unused;
}

/* The sum of everything popped, so that a lost or doubled item shows. */
static uintptr_t consume(void) {
    unsigned tries = 0;
    uintptr_t sum = 0;
    for (uintptr_t popped = 0; popped < items; popped++) {
        void *item;
        while ((item = RING_POP(ring)) == NULL) wait_a_little(&tries);
        sum += (uintptr_t)item;
    }
    return sum;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: %s items slots\n", argv[0]), 2;
    items = strtoull(argv[1], NULL, 10);
    ring = RING_NEW(strtoull(argv[2], NULL, 10));
    pthread_t producer;
    double start = now();
    if (pthread_create(&producer, NULL, produce, NULL) != 0) return 3;
    uintptr_t sum = consume();
    pthread_join(producer, NULL);
    double seconds = now() - start;
    RING_FREE(ring);
    printf("%.0f\n", (double)items / seconds);
    return sum == items * (items + 1) / 2 ? 0 : 1;
}
