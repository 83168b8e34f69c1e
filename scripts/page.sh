#!/usr/bin/env bash
# The operator's page: its sources in daemon/page, its built files in daemon/src/http/page, and its
# tests in Chromium (tests/page) against private servers and the real daemon.
#
#   page.sh                the check and the tests
#   page.sh build          builds the page; then build the daemon, which contains it
#   page.sh check          checks types and style, and that the built files are current
#   page.sh test FILE...   only these files of tests/page
#   page.sh screenshots    makes docs/images/page-*.png
#   page.sh frames         prints how smooth a busy list is
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/substitutes.sh"

if ! { has node && has npm; }; then die "no Node.js with npm; run: make setup"; fi
need_node 20

# packages FOLDER: installs what its lock file names.
packages() {
  cd "$1"
  # npm writes the hidden lock file last: it is as new as what is installed.
  if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
    step "installing the packages of ${1#"$ROOT"/}" npm ci --ignore-scripts --no-audit --no-fund
  fi
}

build() {
  packages "$ROOT/daemon/page"
  PAGE_OUT=${1:-$ROOT/daemon/src/http/page} npm run --silent build -- --logLevel warn
}

check() {
  local built
  packages "$ROOT/daemon/page"
  npm run --silent check
  built=$(mktemp -d /tmp/bindery-page.XXXXXX)
  build "$built"
  diff -rq "$built" "$ROOT/daemon/src/http/page" ||
    die "daemon/src/http/page is not what daemon/page builds; run: scripts/page.sh build"
  rm -rf "$built"
}

# browser SCRIPT [FILE...]: runs a script of tests/page against servers of its own.
browser() {
  local dir script=$1
  shift
  packages "$ROOT/tests/page"
  BINDERYD=${BINDERYD:-$(built binderyd)}
  CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser ||
    command -v google-chrome || true)}
  export BINDERYD CHROMIUM
  [[ -x $BINDERYD ]] || die "no $BINDERYD; run: make build"
  [[ -x $CHROMIUM ]] || die "no Chromium; run: make setup (or set CHROMIUM)"
  npm run --silent check
  dir=$(mktemp -d /tmp/bindery-page.XXXXXX)
  chmod 755 "$dir"
  # shellcheck disable=SC2064  # the folder of now
  trap "'$ROOT/scripts/servers.sh' stop '$dir'; rm -rf '$dir'" EXIT
  "$ROOT/scripts/servers.sh" start "$dir"
  # shellcheck source=/dev/null
  source "$dir/env"
  "$BINDERYD" migrate --kernel "${BINDERY_KERNEL:-native}" --database-url "$DATABASE_URL"
  npm run --silent "$script" -- "$@"
}

case ${1:-all} in
  build) build ;;
  check) check ;;
  test | screenshots | frames) browser "$@" ;;
  all)
    check
    browser test
    ;;
  *) die "usage: page.sh [build|check|test [FILE...]|screenshots|frames]" ;;
esac
