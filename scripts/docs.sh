#!/usr/bin/env bash
# README's tracks and the quickstarts, typed as they stand in a copy of this checkout, the links of
# every page, and the facts that stand in several places (tests/docs).
#
#   docs.sh [links|tracks|supabase]    only one of them
#   docs.sh site                       builds the site of docs/ into target/site/ (book.toml)
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"

if ! { has node && has npm; }; then die "no Node.js with npm; run: make setup"; fi
cd "$ROOT/tests/docs"

servers() {
  BINDERYD=${BINDERYD:-$(built binderyd)}
  CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser ||
    command -v google-chrome || true)}
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

# The programs that build the site, unpacked into target/site-tools/.
MDBOOK=0.5.4
MERMAID=12.3.0
MERMAID_SHA512=4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw==
tools=$ROOT/target/site-tools

get_mdbook() {
  [[ $("$tools/bin/mdbook" --version 2>/dev/null) == "mdbook v$MDBOOK" ]] && return
  # A debug build compiles in a third of the time, and builds the site in two seconds.
  step "building mdbook $MDBOOK" again cargo install --quiet --locked --debug --root "$tools" \
    --target-dir "$tools/target" --no-default-features --features search "mdbook@$MDBOOK"
  rm -rf "$tools/target"
}

get_mermaid() {
  local file=$tools/mermaid-$MERMAID.min.js archive=$tools/mermaid-$MERMAID.tgz
  [[ -s $file ]] && return
  mkdir -p "$tools"
  step "fetching mermaid $MERMAID" \
    again npm pack --silent --pack-destination "$tools" "mermaid@$MERMAID"
  [[ $(openssl dgst -sha512 -binary "$archive" | base64 -w0) == "$MERMAID_SHA512" ]] ||
    die "$archive is not the one that was pinned"
  tar -xzOf "$archive" package/dist/mermaid.min.js >"$file.part"
  mv "$file.part" "$file"
  rm "$archive"
}

site() {
  get_mdbook
  get_mermaid
  node --test site.test.js
  "$tools/bin/mdbook" build "$ROOT"
  # The playground has to be built, and is served by scripts/typescript.sh.
  rm -rf "$ROOT/target/site/playground"
  install -m 644 "$tools/mermaid-$MERMAID.min.js" "$ROOT/target/site/mermaid.min.js"
  node --test built.test.js
  echo "The site is in $ROOT/target/site/index.html"
}

links() { node --test links.test.js site.test.js facts.test.js; }

case ${1:-all} in
  links) links ;;
  site) site ;;
  tracks) tracks ;;
  supabase) supabase ;;
  all)
    links
    tracks
    supabase
    ;;
  *) die "usage: docs.sh [links|tracks|supabase|site]" ;;
esac
