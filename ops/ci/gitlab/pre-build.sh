# For pre_build_script of gitlab-runner's config.toml; sourced by the shell that runs the job's script, sh or bash:
#   [[runners]]
#     pre_build_script = ". /usr/share/wattle/ci/gitlab/pre-build.sh"
# The job's edges at the agent, with its cgroup; the end also when the script fails. It never fails the job.
# A script that sets a trap of its own for EXIT takes this one away: then the webhook says when the job ended.
# shellcheck shell=sh
if command -v "${WATTLE:-wattle}" >/dev/null 2>&1; then
    if [ -n "${WATTLE_JOB_SOCKETS:-}" ] && wattle_exports=$(mktemp); then
        # A socket of the job's own for the containers that it starts: what is printed exports its path. Not $(...): the shell that
        # calls is the one that is measured.
        "${WATTLE:-wattle}" span start --gitlab --job-socket >"$wattle_exports" || true
        # shellcheck source=/dev/null
        . "$wattle_exports"
        rm -f "$wattle_exports"
    else
        "${WATTLE:-wattle}" span start --gitlab || true
    fi
    trap '"${WATTLE:-wattle}" span finish --gitlab || true' EXIT
fi
