#define _GNU_SOURCE
#include "CLinux.h"

#include <poll.h>
#include <time.h>

unsigned wattle_wait_until(int64_t monotonic_microseconds, const int *descriptors, size_t count) {
    struct pollfd polled[8];
    if (count > 8) count = 8;
    for (size_t i = 0; i < count; i++) polled[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};

    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t left = monotonic_microseconds * 1000 - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    if (left < 0) left = 0;
    struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    if (ppoll(polled, count, &timeout, NULL) <= 0) return 0;
    unsigned readable = 0;
    for (size_t i = 0; i < count; i++) {
        if (polled[i].revents) readable |= 1u << i;
    }
    return readable;
}
