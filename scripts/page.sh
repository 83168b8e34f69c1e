#!/usr/bin/env bash
# The page in Chromium (tests/page) against private servers and the real daemon.
#
#   page.sh                the tests
#   page.sh screenshots    makes docs/images/page-*.png anew
#   page.sh frames         prints how smooth a busy list is
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT/tests/page"

BINDERYD=${BINDERYD:-$(built binderyd)}
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
export BINDERYD CHROMIUM
[[ -x $BINDERYD ]] || die "no $BINDERYD; run: make build"
[[ -x $CHROMIUM ]] || die "no Chromium; run: make setup (or set CHROMIUM)"
if ! { has node && has npm; }; then die "no Node.js with npm; run: make setup"; fi
# Every version is pinned, so an installation that matches the lock file is kept.
if ! npm ls --all >/dev/null 2>&1; then step "installing Playwright and what its test needs" npm ci --ignore-scripts; fi
npm run --silent check

dir=$(mktemp -d /tmp/bindery-page.XXXXXX)
chmod 755 "$dir"
trap '"$ROOT/scripts/servers.sh" stop "$dir"; rm -rf "$dir"' EXIT
"$ROOT/scripts/servers.sh" start "$dir"
# shellcheck source=/dev/null
source "$dir/env"
"$BINDERYD" migrate --kernel "${BINDERY_KERNEL:-native}" --database-url "$DATABASE_URL"
npm run --silent "${1:-test}"
