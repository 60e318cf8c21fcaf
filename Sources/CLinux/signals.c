#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
enum { FORWARDED_COUNT = sizeof forwarded / sizeof *forwarded };

static struct sigaction before[FORWARDED_COUNT];
static bool is_replaced[FORWARDED_COUNT];
// A parent that ignores SIGCHLD would make the kernel reap the child unseen, its exit code with it.
static bool was_child_ignored;
static atomic_int target;
static atomic_uint waiting;

static void forward(int number, siginfo_t *info, void *context) {
    (void)context;
    // Above 0: sent by the kernel, that is by the terminal, to the whole foreground group.
    if (info->si_code > 0) return;
    int saved = errno;
    pid_t pid = atomic_load(&target);
    if (pid > 0) {
        kill(pid, number);
    } else {
        atomic_fetch_or(&waiting, 1u << number);
    }
    errno = saved;
}

void wattle_forward_signals_begin(void) {
    atomic_store(&target, 0);
    atomic_store(&waiting, 0);
    struct sigaction child;
    was_child_ignored = sigaction(SIGCHLD, NULL, &child) == 0 && child.sa_handler == SIG_IGN;
    if (was_child_ignored) signal(SIGCHLD, SIG_DFL);
    for (int i = 0; i < FORWARDED_COUNT; i++) {
        is_replaced[i] = false;
        if (sigaction(forwarded[i], NULL, &before[i]) != 0 || before[i].sa_handler == SIG_IGN) continue;
        struct sigaction action;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = forward;
        action.sa_flags = SA_SIGINFO | SA_RESTART;
        sigfillset(&action.sa_mask);
        is_replaced[i] = sigaction(forwarded[i], &action, NULL) == 0;
    }
}

void wattle_forward_signals_to(int pid) {
    atomic_store(&target, pid);
    unsigned kept = atomic_exchange(&waiting, 0);
    for (int i = 0; i < FORWARDED_COUNT; i++) {
        if (kept & (1u << forwarded[i])) kill(pid, forwarded[i]);
    }
}

void wattle_forward_signals_here(void) {
    sigset_t open;
    sigemptyset(&open);
    for (int i = 0; i < FORWARDED_COUNT; i++) {
        if (is_replaced[i]) sigaddset(&open, forwarded[i]);
    }
    pthread_sigmask(SIG_UNBLOCK, &open, NULL);
}

void wattle_forward_signals_stop(int pid) {
    int expected = pid;
    atomic_compare_exchange_strong(&target, &expected, 0);
}

bool wattle_forward_signals_ignored_child(void) { return was_child_ignored; }

void wattle_forward_signals_end(void) {
    atomic_store(&target, 0);
    if (was_child_ignored) signal(SIGCHLD, SIG_IGN);
    was_child_ignored = false;
    for (int i = 0; i < FORWARDED_COUNT; i++) {
        if (is_replaced[i]) sigaction(forwarded[i], &before[i], NULL);
        is_replaced[i] = false;
    }
    // Those that came after the process had ended are for this one.
    unsigned kept = atomic_exchange(&waiting, 0);
    for (int i = 0; i < FORWARDED_COUNT; i++) {
        if (kept & (1u << forwarded[i])) raise(forwarded[i]);
    }
}
