#!/usr/bin/env bash
# README's tracks and the quickstarts, typed as they stand in a copy of this checkout, and the links
# of every page (tests/docs).
#
#   docs.sh [links|tracks|supabase]    only one of them
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"

if ! { has node && has npm; }; then die "no Node.js with npm; run: make setup"; fi
cd "$ROOT/tests/docs"

servers() {
  BINDERYD=${BINDERYD:-$(built binderyd)}
  CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
  export BINDERYD CHROMIUM
  [[ -x $BINDERYD ]] || die "no $BINDERYD; run: make build"
}

tracks() {
  servers
  node --test --test-concurrency=1 tracks.test.js
}

supabase() {
  servers
  "$ROOT/scripts/supabase.sh" with-api node --test "$ROOT/tests/docs/supabase.test.js"
}

case ${1:-all} in
  links) node --test links.test.js ;;
  tracks) tracks ;;
  supabase) supabase ;;
  all)
    node --test links.test.js
    tracks
    supabase
    ;;
  *) die "usage: docs.sh [links|tracks|supabase]" ;;
esac
