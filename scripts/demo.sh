#!/usr/bin/env bash
# The demo, once all is built: private servers, the daemon, and real workers over demo/books/.
# On a terminal the books' progress is shown live; with ONCE=1, or without a terminal, the conductor's own words are.
# Ends with the conductor's exit code and leaves nothing running.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

dir=$(scratch)/demo
binderyd=$(built binderyd)
workers=$(built bindery-demo)
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
  "$workers" --database-url "$DATABASE_URL" --redis-url "$REDIS_URL" --out demo/out --books demo/books --once
}

if [[ -d $dir ]] && { scripts/servers.sh status "$dir" || scripts/daemon.sh status "$dir"; } >/dev/null 2>&1; then
  die "a demo is already running in $dir; end it, or what is left of it: scripts/daemon.sh stop $dir; scripts/servers.sh stop $dir"
fi
if [[ -d $dir ]]; then scripts/servers.sh stop "$dir"; fi
rm -rf "$dir"
mkdir -p "$dir" demo/out
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

step "starting a private Postgres and Redis" scripts/servers.sh start "$dir"
step "installing the schema and starting the daemon" scripts/daemon.sh start "$dir"
# shellcheck source=/dev/null
source "$dir/env"
address=$(<"$dir/binderyd.http")
echo "    the books, live: $address/    metrics: $address/metrics    logs: $dir"

code=0
if [[ -t 1 && ${ONCE:-0} != 1 ]]; then
  conduct >"$dir/demo.log" 2>&1 &
  conductor=$!
  children+=("$conductor")
  "$binderyd" watch --database-url "$DATABASE_URL" &
  watch=$!
  children+=("$watch")
  # Ctrl-C ends the view with 130, and with it the demo; q only the view.
  wait -n "$conductor" "$watch" || code=$?
  if kill -0 "$conductor" 2>/dev/null; then
    if ((code == 130)); then exit 130; fi
    code=0
    wait "$conductor" || code=$?
  fi
  sleep 1 # for the last change to be drawn
  kill -TERM "$watch" 2>/dev/null || true
  wait "$watch" || true
  echo
  cat "$dir/demo.log"
else
  conduct &
  children+=($!)
  wait $! || code=$?
fi
echo "    the comics lie in $ROOT/demo/out"
exit "$code"
