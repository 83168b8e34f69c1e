#!/usr/bin/env bash
# The demo, once all is built: private servers, the daemon, and the workers of examples/comic.
# On a terminal it shows the books live until q; with ONCE=1, or without a terminal, it ends when
# the comics are made. SPEED=2 is twice as fast. Exits with 0 if the demo's own checks hold (on a
# terminal also if it was left before), and leaves nothing running. BINDERY_PORT is the page's port;
# without it a free one. `demo.sh check` checks that port only.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

if [[ -n ${BINDERY_PORT:-} ]]; then check_port BINDERY_PORT "$BINDERY_PORT"; fi
if [[ ${1:-} == check ]]; then exit; fi

dir=$(scratch)/demo
binderyd=$(built binderyd)
speed=${SPEED:-1}
children=()

# Every way out comes through here, Ctrl-C included.
# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local code=$? child
  trap '' INT TERM
  for child in "${children[@]}"; do kill -TERM "$child" 2>/dev/null || true; done
  wait "${children[@]}" 2>/dev/null || true
  scripts/daemon.sh stop "$dir" || true
  scripts/servers.sh stop "$dir" || true
  exit "$code"
}

conduct() {
  SPEED=$speed BINDERY_URL=$REDIS_URL BINDERY_STATUS_URL=$DATABASE_URL \
    exec "$venv/bin/python" examples/comic/demo.py
}

# Opens an address in a browser, where there is one and a screen to show it on.
open_page() {
  local opener=
  if has wslview; then
    opener=wslview
  elif [[ $(uname) == Darwin ]]; then
    opener=open
  elif [[ -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]] && has xdg-open; then
    opener=xdg-open
  fi
  if [[ -n $opener ]]; then "$opener" "$1" >/dev/null 2>&1 </dev/null & fi
}

[[ $speed =~ ^[0-9]+(\.[0-9]+)?$ && $speed =~ [1-9] ]] ||
  die "SPEED is '$speed'; give a number above 0, such as 2"
python3 -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
  die "the demo needs Python 3.10 or later with its module venv; run: make setup"
is_running() { scripts/servers.sh status "$dir" || scripts/daemon.sh status "$dir"; }
if [[ -d $dir ]] && is_running >/dev/null 2>&1; then
  die "a demo is already running in $dir; end it, or what is left of it:" \
    "scripts/daemon.sh stop $dir; scripts/servers.sh stop $dir"
fi
if [[ -d $dir ]]; then
  scripts/servers.sh stop "$dir"
  # Removing a cluster can take seconds: in the background.
  mv "$dir" "$dir.old.$$"
  rm -rf "$dir".old.* &
fi
need_room "$(scratch)" 300
page=http://127.0.0.1:${BINDERY_PORT:-$(free_port)}
echo "    the books, live: $page/    metrics: $page/metrics    logs: $dir"
mkdir -p "$dir"
echo "$page" >"$dir/binderyd.http"
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

CARGO_TARGET_DIR=$(target_dir)
export CARGO_TARGET_DIR
venv=$CARGO_TARGET_DIR/python/demo
make_venv "$venv" examples/comic/requirements.txt "$ROOT/clients/python"
step "starting a private Postgres and Redis" scripts/servers.sh start "$dir"
step "installing the schema and starting the daemon" scripts/daemon.sh start "$dir"
# shellcheck source=/dev/null
source "$dir/env"
if [[ $(<"$dir/binderyd.http") != "$page" ]]; then
  page=$(<"$dir/binderyd.http")
  echo "    another program has taken that port; the books, live: $page/"
fi

code=0
if [[ -t 1 && ${ONCE:-0} != 1 ]]; then
  open_page "$page/"
  conduct >"$dir/demo.log" 2>&1 &
  conductor=$!
  "$binderyd" watch --database-url "$DATABASE_URL" --page "$page/" </dev/tty &
  watch=$!
  children=("$conductor" "$watch")
  wait -n "$conductor" "$watch" || code=$?
  if kill -0 "$watch" 2>/dev/null; then
    # The view stays until q, unless the conductor failed.
    if ((code != 0)); then kill -TERM "$watch"; fi
    wait "$watch" || ((code != 0)) || code=$?
  fi
  cat "$dir/demo.log"
else
  conduct &
  children=($!)
  wait $! || code=$?
fi
echo "    the comics are in $ROOT/examples/comic/out"
exit "$code"
