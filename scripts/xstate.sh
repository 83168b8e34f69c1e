#!/usr/bin/env bash
# Runs the Node tests (tests/xstate) against a private Postgres with the schema in it: XState walks
# the pipelines beside SQL, and the SQL of docs/pipelines.md is executed.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT/tests/xstate"

binderyd=$(built binderyd)
[[ -x $binderyd ]] || die "no $binderyd; run: make build"
if ! { has node && has npm; }; then die "no Node.js with npm; run: make setup"; fi
# Every version is pinned, so an installation that matches the lock file is kept.
if ! npm ls --all >/dev/null 2>&1; then
  step "installing XState and what its test needs" npm ci --ignore-scripts
fi
npm run --silent check

dir=$(mktemp -d /tmp/bindery-xstate.XXXXXX)
chmod 755 "$dir"
trap '"$ROOT/scripts/servers.sh" stop "$dir"; rm -rf "$dir"' EXIT
"$ROOT/scripts/servers.sh" start "$dir"
# shellcheck source=/dev/null
source "$dir/env"
"$binderyd" migrate --kernel native --database-url "$DATABASE_URL"
npm run --silent test
