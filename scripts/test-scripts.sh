#!/usr/bin/env bash
# The scripts themselves (tests/scripts): bad input, two checkouts, substitutes, the check of words,
# what CI prints last.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT/tests/scripts"

BINDERYD=${BINDERYD:-$(built binderyd)}
export BINDERYD
[[ -x $BINDERYD ]] || die "no $BINDERYD; run: make build"
has node || die "no Node.js; run: make setup"
node --test --test-concurrency=1 lint-words.test.js scripts.test.js
