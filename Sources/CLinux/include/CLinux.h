// What Swift cannot call or must not do: starting a program (nothing of Swift may run between fork and exec), and forwarding
// signals (a handler may call only a few functions).
#ifndef WATTLE_CLINUX_H
#define WATTLE_CLINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Plain C types only: a header of the system that is included here would make Swift take its types for this module's.

/// How a program is to be started.
struct wattle_spawn_request {
    /// Looked up in PATH as a shell does. Ends with NULL, as environment does.
    char *const *arguments;
    char *const *environment;
    /// NULL: the caller's.
    const char *working_directory;
    /// The directory of a cgroup of the v2 hierarchy, opened; -1: none.
    int cgroup_directory;
    /// cgroup.procs files, opened for writing, that the child writes itself into before it starts the program.
    const int *cgroup_procs;
    size_t cgroup_procs_count;
    /// For tests: as if the kernel had no clone3.
    bool without_clone3;
};

/// How the child came into its cgroup.
enum wattle_cgroup_entry {
    /// It is where the caller is: none was asked for, or none could be entered.
    WATTLE_CGROUP_NONE = 0,
    /// Born there (clone3 with CLONE_INTO_CGROUP).
    WATTLE_CGROUP_CLONE = 1,
    /// It wrote itself into cgroup.procs before exec.
    WATTLE_CGROUP_PROCS = 2,
};

struct wattle_spawn_result {
    int pid;
    enum wattle_cgroup_entry entry;
    /// Why the cgroup could not be entered; 0 where it was, or where none was asked for.
    int cgroup_errno;
};

/// Starts a program and returns when it has begun to run: 0, or the errno of what failed.
///
/// The program inherits standard streams, descriptors that are not close-on-exec, process group and ignored signals; the signal mask
/// is the one this program was started with, and handlers are reset. `*in_exec` tells whether the failure was that of exec itself (then there is no such
/// program, or it cannot be run) or one before it.
int wattle_spawn(const struct wattle_spawn_request *request, struct wattle_spawn_result *result, bool *in_exec);

/// Waits for the end of a child. Returns 0 or an errno; interruptions by signals are passed over.
///
/// `*cpu_microseconds` is the user and system time of the child and of its descendants that were waited for.
int wattle_wait(int pid, int *status, int64_t *cpu_microseconds);

bool wattle_exited(int status);
int wattle_exit_status(int status);
int wattle_term_signal(int status);

/// Passes the signals that end or steer a program (HUP, INT, QUIT, TERM, USR1, USR2) on to a process that will be named.
///
/// Signals that the terminal itself sends are not passed on: it sends them to the whole foreground group, so the process has had
/// them. A signal that is ignored stays ignored. Signals that arrive before `wattle_forward_signals_to` are kept and passed on by it.
/// One process at a time.
void wattle_forward_signals_begin(void);
void wattle_forward_signals_to(int pid);
/// Lets the calling thread take the signals that are passed on: others may block them.
void wattle_forward_signals_here(void);
/// Passes nothing on any more if `pid` is the process named.
void wattle_forward_signals_stop(int pid);
/// SIGCHLD was ignored before and is not now, so that the end of a child is seen; the child shall have it as it was.
bool wattle_forward_signals_ignored_child(void);
/// Restores what was before.
void wattle_forward_signals_end(void);

/// Connects to a Unix socket within a time. Returns a close-on-exec, non-blocking descriptor, or the negated errno.
int wattle_connect_unix(const char *path, int timeout_milliseconds);

/// open(2) without a mode; close-on-exec. Returns a descriptor, or the negated errno.
int wattle_open(const char *path, int flags);
/// open(2) that makes the file; close-on-exec. Returns a descriptor, or the negated errno.
int wattle_create(const char *path, int flags, unsigned mode);

/// pipe(2), both ends close-on-exec. Returns 0 or the errno.
int wattle_pipe(int *read_end, int *write_end);

/// Sends a request to the BMC through an opened /dev/ipmi* and waits for its answer, whose first byte is the completion code.
///
/// `number` tells answers apart: another one for each request. Returns the size of the answer, or the negated errno.
int wattle_ipmi_request(
    int descriptor, uint8_t network_function, uint8_t command, const uint8_t *body, size_t body_size, uint8_t *reply, size_t reply_size,
    long number, int timeout_milliseconds
);

/// Waits until a time of CLOCK_MONOTONIC or until one of up to 8 descriptors can be read; -1 among them is passed over.
///
/// One wake-up, to the microsecond. Returns the set of readable ones as bits, 0 at the time or after an interruption.
unsigned wattle_wait_until(int64_t monotonic_microseconds, const int *descriptors, size_t count);

// MARK: descriptors.c

/// Sends one short message with a descriptor beside it (SCM_RIGHTS); -1: none. Returns 0, or the negated errno.
int wattle_send_descriptor(int socket, const void *bytes, size_t count, int descriptor);
/// Receives bytes and at most one descriptor, which is made close-on-exec; `*descriptor` is -1 where none came. Returns the number of
/// bytes, 0 at the end, or the negated errno.
long wattle_receive_descriptor(int socket, void *bytes, size_t capacity, int *descriptor);
/// Who made the other end of a connected Unix socket (SO_PEERCRED). Returns 0, or the negated errno.
int wattle_peer(int socket, int *pid, unsigned *uid, unsigned *gid);
/// Opens a path that may not leave the directory, neither by `..` nor by a symbolic link, and does not end in a link (openat2, Linux 5.6).
/// Close-on-exec. `follows_links`: links that stay beneath are followed. Returns a descriptor, or the negated errno.
int wattle_open_beneath(int directory, const char *path, int flags, bool follows_links);
/// No program that this one might start gains rights; nobody but root traces this one. Returns 0, or the negated errno.
int wattle_no_new_privileges(void);

#endif
