#!/usr/bin/env bash
# The client package's own checks: types, style, and its tests in Node.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT/supabase/client"

# npm writes the hidden lock file last: it is as new as what is installed.
if [[ ! node_modules/.package-lock.json -nt package-lock.json ]]; then
  step "installing the client's packages" npm ci --no-audit --no-fund
fi
npm run --silent check
