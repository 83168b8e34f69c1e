# shellcheck shell=bash
# What the other scripts share: where things are, how a step is shown, how to fail. Sourced, never run.

set -euo pipefail
umask 022

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The Postgres that Bindery is built for and runs on. PG_CONFIG points to one outside Debian's place.
export PG_MAJOR=${PG_MAJOR:-15}
export PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/$PG_MAJOR/bin/pg_config}

# A fresh rustup is not in the PATH of shells that were open before it.
command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

# For pgrx, which the extension is made with.
export PGRX_PG_CONFIG_PATH=$PG_CONFIG

# The Cargo profile of the programs that are built and run.
PROFILE=${BINDERY_PROFILE:-release}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null; }

is_root() { [[ $EUID -eq 0 ]]; }

# Runs a command as root, however we got here.
as_root() {
  if is_root; then "$@"; else
    has sudo || die "this needs root: $* (sudo is not installed)"
    sudo "$@"
  fi
}

# Postgres refuses to run as root; Debian's user for it steps in.
as_postgres() {
  if is_root; then
    (cd / && HOME=/ setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
  else "$@"; fi
}

# Packages come over a network that fails now and then.
export npm_config_fetch_retries=6 CARGO_NET_RETRY=8

# again COMMAND...: what asks a network, up to three times.
again() {
  local pause
  for pause in 5 20; do
    if "$@"; then return; fi
    sleep "$pause"
  done
  "$@"
}

# step TEXT COMMAND...: one line that ends with the time it took. The output goes to a log, whose tail is shown on failure.
step() {
  local text=$1 began=$SECONDS log
  shift
  log=$(scratch)/logs/$(tr -cs 'a-zA-Z0-9.\n' '-' <<<"$text").log
  mkdir -p "${log%/*}"
  printf '==> %s … ' "$text"
  if [[ -n ${STEP_IS_LONG:-} ]]; then printf '(%s; log: %s) ' "$STEP_IS_LONG" "$log"; fi
  local code
  # In a shell of its own, where `set -e` holds and whatever dies leaves its last words in the log.
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  code=$?
  set -e
  if ((code == 0)); then
    printf '%d s\n' $((SECONDS - began))
  else
    printf 'failed after %d s; the end of %s:\n' $((SECONDS - began)) "$log"
    tail -n 30 "$log" | sed 's/^/    /'
    exit 1
  fi
}

# Where logs and private servers' data go: .bindery/ in the checkout. User postgres cannot reach a checkout under
# /root, say; as root it is then a folder of its own in /tmp.
scratch() {
  local dir=${BINDERY_SCRATCH:-$ROOT/.bindery}
  mkdir -p "$dir"
  if is_root && ! postgres_reaches "$dir"; then
    dir=/tmp/bindery-$(sha256sum <<<"$ROOT" | cut -c1-12)
    mkdir -p "$dir"
    [[ -O $dir && ! -L $dir ]] || die "$dir belongs to somebody else; set BINDERY_SCRATCH to a folder of your own"
  fi
  echo "$dir"
}

# Before set-up there may be no user postgres yet, and nothing that it would have to reach.
postgres_reaches() { ! id postgres >/dev/null 2>&1 || as_postgres test -x "$1"; }

# Cargo knows best where it puts what it builds (CARGO_TARGET_DIR, the user's own configuration).
target_dir() {
  if [[ ${CARGO_TARGET_DIR:-} == /* ]]; then
    echo "$CARGO_TARGET_DIR"
    return
  fi
  cargo metadata --manifest-path "$ROOT/Cargo.toml" --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

# built FILE: its path, once cargo has built it.
built() { echo "$(target_dir)/$PROFILE/$1"; }

# A port that nobody listens on now; below the range that the system gives to outgoing connections. Somebody may still
# be faster, so whoever takes one tries again with another.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# make_venv FOLDER LOCKFILE: a Python environment with what the lock file pins, and with the client
# package of this checkout. One that is there is kept, without a network: the stamp, which is written
# last, says what it was made of.
make_venv() {
  local stamp
  stamp=$("${PYTHON:-python3}" -V && echo "$ROOT" && cat "$2")
  if [[ -x $1/bin/python && $(cat "$1/stamp" 2>/dev/null) == "$stamp" ]]; then return; fi
  step "installing Python packages" fill_venv "$1" "$2"
  echo "$stamp" >"$1/stamp"
}

fill_venv() {
  "${PYTHON:-python3}" -m venv --clear "$1"
  again "$1/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$2"
  # What builds it comes from the lock file, too.
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --editable "$ROOT/clients/python"
}

# Puts a newer Node.js first in the PATH where this one is older than MAJOR, as Debian 12's is for what Vite and Vitest want.
# It comes from npm's registry, is kept in the cache, and is nobody else's.
need_node() { # MAJOR
  local version=22.23.3 found arch home
  found=$(node -p 'process.versions.node.split(".")[0]')
  if ((found >= $1)); then return; fi
  arch=$(node -p process.arch)
  home=${BINDERY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bindery}/node-$version
  if [[ ! -x $home/node_modules/.bin/node ]]; then
    step "getting Node.js $version, since this is $found" \
      npm install --prefix "$home" --no-audit --no-fund --ignore-scripts "node-linux-$arch@$version"
  fi
  export PATH=$home/node_modules/.bin:$PATH
}
