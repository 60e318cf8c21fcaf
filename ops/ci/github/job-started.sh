#!/bin/sh
# ACTIONS_RUNNER_HOOK_JOB_STARTED of a self-hosted runner of GitHub's, Gitea's or Forgejo's: in the runner's .env
#   ACTIONS_RUNNER_HOOK_JOB_STARTED=/usr/share/wattle/ci/github/job-started.sh
# The job's first instant at the agent, with its cgroup. It never fails the job and takes two seconds at most.
# WATTLE_JOB_SOCKETS=1: the job gets a socket of its own for its containers, in WATTLE_JOB_SOCKET.
# WATTLE: the program, where it is not in PATH. WATTLE_HOOK_CONFIG: settings that are for the hooks only, such as WATTLE_URL.
set -u
if [ -r "${WATTLE_HOOK_CONFIG:-/etc/wattle/hook.env}" ]; then
    set -a
    # shellcheck source=/dev/null
    . "${WATTLE_HOOK_CONFIG:-/etc/wattle/hook.env}"
    set +a
fi
wattle=${WATTLE:-wattle}
if command -v "$wattle" >/dev/null 2>&1; then
    "$wattle" span start --github-hook ${WATTLE_JOB_SOCKETS:+--job-socket} || true
else
    echo "wattle: no program $wattle here; the job goes on unmeasured by the hook" >&2
fi
exit 0
