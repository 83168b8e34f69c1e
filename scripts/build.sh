#!/usr/bin/env bash
# Builds the extension, and packages of this workspace in the same call of cargo, so that every core
# has work to the end. Then installs the extension into the PostgreSQL of PG_CONFIG: its library,
# control file and SQL, unless they are there. Sessions that a running server has keep the old
# library.
#
#   build.sh [PACKAGE...]            BINDERY_PROFILE: the Cargo profile; the default is release
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

[[ -x $PG_CONFIG ]] || die "no $PG_CONFIG; run: make setup"
library=$("$PG_CONFIG" --pkglibdir)/bindery.so
extensions=$("$PG_CONFIG" --sharedir)/extension
files=(extension/bindery.control extension/sql/bindery--*.sql)

# Quiet and without a network where all is there.
fetch() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  cargo fetch --locked --offline --target "$host" >/dev/null 2>&1 ||
    step "downloading crates" cargo fetch --locked --target "$host"
}

build() {
  local package packages=()
  for package in "$@" bindery; do packages+=(--package "$package"); done
  # --no-default-features: the extension's is a version of PostgreSQL.
  cargo build --profile "$PROFILE" "${packages[@]}" --no-default-features \
    --features "bindery/pg$PG_MAJOR"
}

is_installed() {
  local file
  cmp -s "$built" "$library" || return
  for file in "${files[@]}"; do cmp -s "$file" "$extensions/${file##*/}" || return; done
}

# sudo only where it is needed.
is_ours() { [[ -w ${library%/*} && -w $extensions ]] || is_root; }
into_place() { if is_ours; then "$@"; else as_root "$@"; fi; }

copy() {
  # Renamed: writing to a library that a server has mapped would crash it, and a session that
  # begins now must find one.
  if ! into_place install -m 755 "$built" "$library.new"; then
    into_place rm -f "$library.new"
    return 1
  fi
  into_place mv -f "$library.new" "$library"
  into_place install -m 644 "${files[@]}" "$extensions"
}

has cc || die "missing: a C compiler (build-essential); run: make setup"
mkdir -p "$(target_dir)"
# A first build fills some 2 GB; a later one hardly anything.
if [[ -e $(built libbindery.so) ]]; then need_room "$(target_dir)" 200; else
  need_room "$(target_dir)" 2500
fi
fetch
build "$@"
built=$(built libbindery.so)
if ! is_installed; then
  is_ours || as_root -v # asks for the password now, not in the middle of a line
  step "installing the extension for PostgreSQL $PG_MAJOR" copy
fi
