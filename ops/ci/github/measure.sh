#!/bin/sh
# What action.yml runs: one command, measured. Its exit code is the command's own; without wattle the command runs unmeasured.
set -u
url=${WATTLE_ACTION_URL:-}
token=${WATTLE_ACTION_TOKEN:-}
if [ -n "$url" ]; then WATTLE_URL=$url && export WATTLE_URL; fi
if [ -n "$token" ]; then WATTLE_TOKEN=$token && export WATTLE_TOKEN; fi
command=$WATTLE_ACTION_RUN
wattle=${WATTLE_PROGRAM:-wattle}
footprint=${RUNNER_TEMP:-/tmp}/wattle-footprint-$$.json
set -- --format json --output "$footprint"
if [ -n "${WATTLE_ACTION_SERVICE:-}" ]; then set -- "$@" --service "$WATTLE_ACTION_SERVICE"; fi
if [ -n "${WATTLE_ACTION_JOB:-}" ]; then set -- "$@" --job "$WATTLE_ACTION_JOB"; fi
if [ -n "${WATTLE_ACTION_RELEASE:-}" ]; then set -- "$@" --release "$WATTLE_ACTION_RELEASE"; fi
unset WATTLE_ACTION_RUN WATTLE_ACTION_TOKEN
if ! command -v "$wattle" >/dev/null 2>&1; then
    echo "wattle: no program $wattle here; the command runs unmeasured" >&2
    exec sh -e -c "$command"
fi
# The command has no use for the token.
"$wattle" run "$@" -- env -u WATTLE_TOKEN sh -e -c "$command"
code=$?
if [ -n "${GITHUB_OUTPUT:-}" ] && [ -s "$footprint" ]; then echo "footprint=$footprint" >>"$GITHUB_OUTPUT"; fi
exit "$code"
