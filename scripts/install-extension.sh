#!/usr/bin/env bash
# Builds the extension and installs it into the Postgres of PG_CONFIG, if the sources differ from what is installed.
# A private server that is running keeps its old library in the sessions it has; new sessions load the new one.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

[[ -x $PG_CONFIG ]] || die "no $PG_CONFIG; run: make setup"
library=$("$PG_CONFIG" --pkglibdir)/bindery.so
extensions=$("$PG_CONFIG" --sharedir)/extension
# The stamp lies where the library lies, so that two checkouts on one machine do not fool each other.
stamp=$extensions/bindery.sources

sources_hash() {
  find core extension Cargo.toml Cargo.lock rust-toolchain.toml -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

is_installed() {
  [[ -f $extensions/bindery.control && -f $library && -f $stamp && ! $library -nt $stamp && $(<"$stamp") == "$hash" ]]
}

build() {
  rm -rf "$package"
  "$CARGO_PGRX_ROOT/bin/cargo-pgrx" pgrx package --manifest-path extension/Cargo.toml \
    --pg-config "$PG_CONFIG" --out-dir "$package"
}

# sudo only where it is needed.
into_place() {
  if [[ -w ${library%/*} && -w $extensions ]]; then "$@"; else as_root "$@"; fi
}

copy() {
  into_place rm -f "$stamp"
  # `install` makes a new file: overwriting a library that a server has mapped would crash it.
  into_place install -m 755 "$package$library" "$library"
  into_place install -m 644 "$package$extensions"/bindery* "$extensions"
  into_place tee "$stamp" <<<"$hash"
}

hash=$(sources_hash)
if ! is_installed; then
  package=$(target_dir)/bindery-pg$PG_MAJOR
  STEP_IS_LONG="the first time about 2 minutes" step "building the extension for PostgreSQL $PG_MAJOR" build
  if [[ ! -w $extensions ]] && ! is_root; then sudo -v; fi
  step "installing the extension" copy
fi
