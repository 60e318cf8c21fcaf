#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int wattle_open(const char *path, int flags) {
    int descriptor = open(path, flags | O_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
}

int wattle_create(const char *path, int flags, unsigned mode) {
    int descriptor = open(path, flags | O_CREAT | O_CLOEXEC, (mode_t)mode);
    return descriptor < 0 ? -errno : descriptor;
}

int wattle_connect_unix(const char *path, int timeout_milliseconds) {
    // Where there is no socket no connection is tried.
    if (access(path, F_OK) != 0) return -errno;
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);

    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -errno;
    // A full backlog answers EAGAIN at once and cannot be waited for: tried again until the time is over.
    for (;;) {
        if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0) return descriptor;
        int error = errno;
        if ((error == EAGAIN || error == EINTR) && timeout_milliseconds > 0) {
            poll(NULL, 0, 5);
            timeout_milliseconds -= 5;
            continue;
        }
        close(descriptor);
        return -(error == EAGAIN ? ETIMEDOUT : error);
    }
}
