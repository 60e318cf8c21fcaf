#include "CLinux.h"

#include <errno.h>
#include <linux/ipmi.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

static long milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

int wattle_ipmi_request(
    int descriptor, uint8_t network_function, uint8_t command, const uint8_t *body, size_t body_size, uint8_t *reply, size_t reply_size,
    long number, int timeout_milliseconds
) {
    struct ipmi_system_interface_addr bmc;
    memset(&bmc, 0, sizeof bmc);
    bmc.addr_type = IPMI_SYSTEM_INTERFACE_ADDR_TYPE;
    bmc.channel = IPMI_BMC_CHANNEL;

    struct ipmi_req request;
    memset(&request, 0, sizeof request);
    request.addr = (unsigned char *)&bmc;
    request.addr_len = sizeof bmc;
    request.msgid = number;
    request.msg.netfn = network_function;
    request.msg.cmd = command;
    request.msg.data = (unsigned char *)body;
    request.msg.data_len = (unsigned short)body_size;
    if (ioctl(descriptor, IPMICTL_SEND_COMMAND, &request) < 0) return -errno;

    long deadline = milliseconds_now() + timeout_milliseconds;
    for (;;) {
        long left = deadline - milliseconds_now();
        if (left <= 0) return -ETIMEDOUT;
        struct pollfd one = {descriptor, POLLIN, 0};
        int count = poll(&one, 1, (int)left);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -errno;
        if (count == 0) return -ETIMEDOUT;

        struct ipmi_addr from;
        struct ipmi_recv answer;
        memset(&answer, 0, sizeof answer);
        answer.addr = (unsigned char *)&from;
        answer.addr_len = sizeof from;
        answer.msg.data = reply;
        answer.msg.data_len = (unsigned short)reply_size;
        if (ioctl(descriptor, IPMICTL_RECEIVE_MSG_TRUNC, &answer) < 0) {
            if (errno == EINTR || errno == EAGAIN) continue;
            return -errno;
        }
        // An answer to a request that ran out of time comes later: it is not this one's.
        if (answer.recv_type != IPMI_RESPONSE_RECV_TYPE || answer.msgid != number) continue;
        return answer.msg.data_len;
    }
}
