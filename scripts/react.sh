#!/usr/bin/env bash
# The client package's own checks: types, style, its tests in Node; that it installs; and in
# Chromium against the real daemon.
#
#   react.sh [check|browser [FILE...]|package]    only one of them; package: as published, in apps
#   of its own (Vite, Next.js, Vue, plain HTML), with React 19 and 18
#   react.sh pack FOLDER                          builds its tarball into the folder
#   react.sh screenshots                          makes docs/images/gallery-*.png anew
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/substitutes.sh"
cd "$ROOT/clients/react"

if ! { has node && has npm; }; then die "no Node.js with npm; run: make setup"; fi
need_node 20
# npm writes the hidden lock file last: it is as new as what is installed.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  step "installing the client's packages" npm ci --no-audit --no-fund
fi

need_chromium() {
  CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser ||
    command -v google-chrome || true)}
  export CHROMIUM
  [[ -x $CHROMIUM ]] || die "no Chromium; run: make setup (or set CHROMIUM)"
}

browser() {
  local dir
  BINDERYD=${BINDERYD:-$(built binderyd)}
  export BINDERYD
  [[ -x $BINDERYD ]] || die "no $BINDERYD; run: make build"
  need_chromium
  dir=$(mktemp -d /tmp/bindery-client.XXXXXX)
  chmod 755 "$dir"
  # shellcheck disable=SC2064  # the folder of now
  trap "'$ROOT/scripts/servers.sh' stop '$dir'; rm -rf '$dir'" EXIT
  "$ROOT/scripts/servers.sh" start "$dir"
  # shellcheck source=/dev/null
  source "$dir/env"
  "$BINDERYD" migrate --kernel "${BINDERY_KERNEL:-native}" --database-url "$DATABASE_URL"
  npm run --silent test:browser -- "$@"
}

package() {
  need_chromium
  npm run --silent test:apps
  npm run --silent test:react-18
}

screenshots() {
  need_chromium
  export SHOTS="$ROOT/docs/images"
  npm run --silent test:browser -- e2e/gallery.test.ts
}

case ${1:-all} in
  pack) npm pack --silent --pack-destination "$2" ;;
  check) npm run --silent check ;;
  package) package ;;
  screenshots) screenshots ;;
  browser)
    shift
    browser "$@"
    ;;
  all)
    npm run --silent check
    package
    browser
    ;;
  *) die "usage: react.sh [check|browser|package|screenshots|pack FOLDER]" ;;
esac
