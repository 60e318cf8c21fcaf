# For pre_build_script of gitlab-runner's config.toml; sourced by the shell that runs the job's script, sh or bash:
#   [[runners]]
#     pre_build_script = ". /usr/share/wattle/ci/gitlab/pre-build.sh"
# The job's edges at the agent, with its cgroup; the end also when the script fails. It never fails the job.
# A script that sets a trap of its own for EXIT takes this one away: then the webhook says when the job ended.
# shellcheck shell=sh
if command -v "${WATTLE:-wattle}" >/dev/null 2>&1; then
    "${WATTLE:-wattle}" span start --gitlab || true
    trap '"${WATTLE:-wattle}" span finish --gitlab || true' EXIT
fi
