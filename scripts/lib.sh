# shellcheck shell=bash
# Functions of the other scripts: where files are, how a step is shown, how to fail. Sourced, never
# run.

set -euo pipefail
umask 022

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The Postgres that Bindery is built for and runs on. PG_CONFIG points to one outside Debian's
# place.
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

# Runs a command as root, directly or through sudo.
as_root() {
  if is_root; then "$@"; else
    has sudo || die "this needs root: $* (sudo is not installed)"
    sudo "$@"
  fi
}

# Postgres refuses to run as root; run it as Debian's user postgres.
as_postgres() {
  if is_root; then
    (cd / && HOME=/ setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
  else "$@"; fi
}

# Downloads of packages fail at times.
export npm_config_fetch_retries=6 CARGO_NET_RETRY=8

# again COMMAND...: runs a command that uses the network up to three times, with these pauses in
# seconds.
again() {
  local pause
  for pause in ${BINDERY_PAUSES-5 20}; do
    if "$@"; then return; fi
    sleep "$pause"
  done
  "$@"
}

# cause_of LOG: if the machine caused the failure, the cause and its remedy in one line.
cause_of() {
  local line
  if line=$(grep -iE -m 1 'no space left on device|disk quota exceeded' "$1"); then
    echo "no disk space: $(cut_line "$line"); free some, then run this again"
  elif line=$(grep -iE -m 1 'file too large|file size limit exceeded' "$1"); then
    echo "a file may not be that large: $(cut_line "$line");" \
      "raise ulimit -f, then run this again"
  elif line=$(grep -iE -m 1 "$UNREACHABLE" "$1"); then
    echo "no network to the package source: $(cut_line "$line");" \
      "check network, proxy and mirror, then run this again"
  else
    return 1
  fi
}
UNREACHABLE='could not resolve|temporary failure (in name resolution|resolving)|timeout was reached'
UNREACHABLE+='|network is unreachable|no route to host|connection (refused|timed out)'
UNREACHABLE+='|unable to connect|(could not|cannot|failed to) connect|failed to (fetch|download)'
UNREACHABLE+='|\(from versions: none\)'
UNREACHABLE+='|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|NewConnectionError'
cut_line() { sed 's/^[[:space:]]*//; s/[[:space:]]*$//' <<<"$1" | cut -c1-160; }

# need_room FOLDER MEGABYTES: dies if the disk of a folder has less free space than that.
need_room() {
  local free
  free=$(df --output=avail --block-size=1M "$1" 2>/dev/null | tail -n1) || return 0
  ((free >= $2)) || die "no disk space: $1 has $((free)) MB free, and this needs about $2 MB;" \
    "free some, then run this again"
}

# check_port NAME PORT: dies if PORT, the value of the setting NAME, is in use.
check_port() {
  if ! [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || (($2 > 65535)); then
    die "$1 is '$2'; set it to a port, 1 to 65535"
  fi
  if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
    die "port $2 is in use by another program;" \
      "set $1 to another port, or leave it out for a free one"
  fi
}

# step TEXT COMMAND...: prints one line that ends with the time it took; the output goes to a log.
# On a failure, prints the cause in one line if it is the machine's, else the tail of the log.
step() {
  local text=$1 began=$SECONDS log
  shift
  log=$(scratch)/logs/$(tr -cs 'a-zA-Z0-9.\n' '-' <<<"$text").log
  mkdir -p "${log%/*}"
  printf '==> %s … ' "$text"
  if [[ -n ${STEP_IS_LONG:-} ]]; then printf '(%s; log: %s) ' "$STEP_IS_LONG" "$log"; fi
  local code
  # In a shell of its own, in which `set -e` holds and a failing command writes its error to the
  # log.
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
    printf 'failed after %d s' $((SECONDS - began))
    local cause
    if cause=$(cause_of "$log"); then
      printf '\n'
      die "$cause (log: $log)"
    fi
    printf '; the end of %s:\n' "$log"
    tail -n 30 "$log" | sed 's/^/    /'
    exit 1
  fi
}

# The folder of logs and private servers' data: .bindery/ in the checkout. User postgres cannot
# reach a checkout under /root, for example; as root it is therefore a folder of its own in /tmp.
scratch() {
  local dir=${BINDERY_SCRATCH:-$ROOT/.bindery}
  mkdir -p "$dir"
  if is_root && ! postgres_reaches "$dir"; then
    dir=/tmp/bindery-$(sha256sum <<<"$ROOT" | cut -c1-12)
    mkdir -p "$dir"
    [[ -O $dir && ! -L $dir ]] ||
      die "$dir belongs to another user; set BINDERY_SCRATCH to a folder of your own"
  fi
  echo "$dir"
}

# Before set-up, user postgres may not exist, and needs no access to any folder.
postgres_reaches() { ! id postgres >/dev/null 2>&1 || as_postgres test -x "$1"; }

# Cargo prints where it puts its builds (CARGO_TARGET_DIR, the user's own configuration).
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

# A free port, below the range that the system gives to outgoing connections. Another process may
# take it first; then the caller retries with another port.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# make_venv FOLDER LOCKFILE [PROJECT]: a Python environment with the packages that the lock file
# pins and, editable, the project of that folder. An existing one is kept, without network access,
# if its stamp, which is written last, matches.
make_venv() {
  local stamp
  stamp=$("${PYTHON:-python3}" -V && echo "${3:-}" && cat "$2")
  if [[ -x $1/bin/python && $(cat "$1/stamp" 2>/dev/null) == "$stamp" ]]; then return; fi
  step "installing Python packages" fill_venv "$@"
  echo "$stamp" >"$1/stamp"
}

fill_venv() {
  "${PYTHON:-python3}" -m venv --clear "$1"
  # Python compiles what is imported; most of these files never are.
  again "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
    --require-hashes -r "$2"
  # What builds it comes from the lock file, too.
  [[ -z ${3:-} ]] || "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --no-build-isolation --editable "$3"
}

# skipped WHAT WHY: prints that WHAT is skipped; .ci/run prints it again at its end.
skipped() {
  echo "==> not tested: $1 ($2)"
  if [[ -n ${BINDERY_SKIPPED:-} ]]; then echo "$1 ($2)" >>"$BINDERY_SKIPPED"; fi
}
