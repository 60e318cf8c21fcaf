#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

// The kernel's struct clone_args up to the field that is used here; older headers lack it.
struct clone3_arguments {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

enum stage { STAGE_CGROUP = 1, STAGE_DIRECTORY = 2, STAGE_EXEC = 3 };

// What the child tells of its failures; a successful exec closes the pipe.
struct report {
    int stage;
    int error;
};

// The mask that this program was started with: threads of a runtime (libdispatch's) block every signal, and whoever starts a
// program from one of them must not hand that on.
static sigset_t mask_at_start;

__attribute__((constructor)) static void remember_mask(void) { sigprocmask(SIG_SETMASK, NULL, &mask_at_start); }

static void send_report(int pipe, int stage, int error) {
    struct report report = {stage, error};
    // Less than PIPE_BUF: written whole or not at all.
    ssize_t written = write(pipe, &report, sizeof report);
    (void)written;
}

// Runs in the child. Only async-signal-safe calls from here to exec: other threads of the parent may hold any lock.
static void run_child(const struct wattle_spawn_request *request, const sigset_t *mask, int pipe) {
    int cgroup_error = 0;
    for (size_t i = 0; i < request->cgroup_procs_count; i++) {
        if (write(request->cgroup_procs[i], "0", 1) != 1) cgroup_error = errno;
    }
    if (cgroup_error) send_report(pipe, STAGE_CGROUP, cgroup_error);

    // The parent's handlers must not run here. Exec resets them too, but the mask opens before it.
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0) continue;
        if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) continue;
        memset(&action, 0, sizeof action);
        action.sa_handler = SIG_DFL;
        sigaction(number, &action, NULL);
    }
    if (wattle_forward_signals_ignored_child()) signal(SIGCHLD, SIG_IGN);
    sigprocmask(SIG_SETMASK, mask, NULL);

    if (request->working_directory && chdir(request->working_directory) != 0) {
        send_report(pipe, STAGE_DIRECTORY, errno);
        _exit(126);
    }
    execvpe(request->arguments[0], request->arguments, request->environment);
    int error = errno;
    send_report(pipe, STAGE_EXEC, error);
    _exit(error == ENOENT ? 127 : 126);
}

int wattle_spawn(const struct wattle_spawn_request *request, struct wattle_spawn_result *result, bool *in_exec) {
    *in_exec = false;
    result->pid = 0;
    result->entry = WATTLE_CGROUP_NONE;
    result->cgroup_errno = 0;

    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) return errno;

    sigset_t all, mask;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);

    pid_t pid = -1;
    int clone_error = 0;
    if (request->cgroup_directory >= 0 && !request->without_clone3) {
        struct clone3_arguments arguments = {
            .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)request->cgroup_directory
        };
        pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
        if (pid == 0) {
            struct wattle_spawn_request inside = *request;
            inside.cgroup_procs_count = 0;
            run_child(&inside, &mask_at_start, pipes[1]);
        }
        if (pid > 0) result->entry = WATTLE_CGROUP_CLONE;
        if (pid < 0) clone_error = errno;
    }
    if (pid < 0) {
        // An old kernel, a seccomp filter, or a cgroup that takes no processes: the plain way, and the child enters by itself.
        pid = fork();
        if (pid == 0) run_child(request, &mask_at_start, pipes[1]);
        if (pid < 0) clone_error = errno;
        if (pid > 0 && request->cgroup_procs_count > 0) result->entry = WATTLE_CGROUP_PROCS;
        if (pid > 0 && request->cgroup_procs_count == 0) result->cgroup_errno = clone_error;
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return clone_error;
    }

    int error = 0;
    struct report report;
    for (;;) {
        ssize_t count = read(pipes[0], &report, sizeof report);
        if (count < 0 && errno == EINTR) continue;
        if (count != (ssize_t)sizeof report) break;
        if (report.stage == STAGE_CGROUP) {
            result->entry = WATTLE_CGROUP_NONE;
            result->cgroup_errno = report.error;
        } else {
            error = report.error;
            *in_exec = report.stage == STAGE_EXEC;
        }
    }
    close(pipes[0]);
    if (error) {
        int status;
        int64_t unused;
        wattle_wait(pid, &status, &unused);
        return error;
    }
    result->pid = pid;
    return 0;
}

int wattle_wait(int pid, int *status, int64_t *cpu_microseconds) {
    // Its number is free for others once it is reaped: signals must not go there from then on.
    siginfo_t ended;
    while (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT) < 0) {
        if (errno != EINTR) return errno;
    }
    wattle_forward_signals_stop(pid);
    struct rusage usage;
    while (wait4(pid, status, 0, &usage) < 0) {
        if (errno != EINTR) return errno;
    }
    *cpu_microseconds = (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return 0;
}

bool wattle_exited(int status) { return WIFEXITED(status); }
int wattle_exit_status(int status) { return WEXITSTATUS(status); }
int wattle_term_signal(int status) { return WTERMSIG(status); }
