#!/usr/bin/env bash
# The producer package for TypeScript (clients/typescript): types, style, tests, pgTAP in PGlite,
# and the playground in Chromium.
#
#   typescript.sh [build|check|test [ARGUMENT...]|pgtap [FILE...]|browser|playground]
#   typescript.sh pack FOLDER            builds its tarball into the folder
#
# One of them only: the package; types and style; the tests in Node, arguments go to Vitest; pgTAP;
# the playground's test; docs/playground served for reading. BINDERYD is the daemon
# (target/release/binderyd by default), CHROMIUM names the browser.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/substitutes.sh"
cd "$ROOT/clients/typescript"

if ! { has node && has npm; }; then die "no Node.js with npm; run: make setup"; fi
need_node 20
# npm writes the hidden lock file last: it is as new as what is installed.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  step "installing the TypeScript producer's packages" \
    again npm ci --ignore-scripts --no-audit --no-fund
fi

run_tests() {
  export BINDERYD=${BINDERYD:-$ROOT/target/release/binderyd}
  [[ -x $BINDERYD ]] || die "no $BINDERYD; run: make build"
  npm run --silent test -- "$@"
}

run_pgtap() {
  npm run --silent build
  "$ROOT/scripts/pgtap.sh" --pglite "$@"
}

browser() {
  CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser ||
    command -v google-chrome || true)}
  export CHROMIUM
  [[ -x $CHROMIUM ]] || die "no Chromium; run: make setup WITH_WEB=yes (or set CHROMIUM)"
  npm run --silent test:browser
}

command=${1:-all}
shift || true
case $command in
  build) npm run --silent build ;;
  pack) npm pack --silent --pack-destination "$1" ;;
  check) npm run --silent check ;;
  test) run_tests "$@" ;;
  pgtap) run_pgtap "$@" ;;
  browser) browser ;;
  playground) npm run --silent playground ;;
  all)
    npm run --silent check
    run_tests
    run_pgtap
    browser
    ;;
  *) die "usage: typescript.sh" \
    "[build|check|test [ARGUMENT...]|pgtap [FILE...]|browser|playground]" \
    "or: typescript.sh pack FOLDER" ;;
esac
