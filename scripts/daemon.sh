#!/usr/bin/env bash
# binderyd in the background, for the private servers of a folder (servers.sh): schema first, then
# the relay.
#
#   daemon.sh start|stop|status DIR
#
# Adds to DIR: binderyd.log, binderyd.pid, binderyd.http (the address), binderyd.settings.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"

[[ $# -eq 2 ]] || { sed -n 's/^#   //p' "$0" >&2; exit 2; }
command=$1
dir=$(cd "$2" && pwd -P) || exit 1

# By its log: a zombie has none, and the pid file of a copied folder names the original's process.
daemon_pid() {
  local pid
  pid=$(cat "$dir/binderyd.pid" 2>/dev/null) &&
    [[ $(readlink "/proc/$pid/fd/1") == "$dir/binderyd.log" ]] && echo "$pid"
}

# is_ready ADDRESS: GET /readyz answers 200.
is_ready() {
  local line
  exec 3<>"/dev/tcp/${1/://}" || return 1
  printf 'GET /readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" >&3
  read -r -t 5 line <&3 && [[ $line == *" 200 "* ]]
} 2>/dev/null

# BINDERY_PORT, if it is set; else the previous address, so that open pages and environments stay
# valid, unless another process has that port.
address_of() {
  local before
  if [[ -n ${BINDERY_PORT:-} ]]; then
    echo "127.0.0.1:$BINDERY_PORT"
    return
  fi
  before=$(sed -n 's|^http://||p' "$dir/binderyd.http" 2>/dev/null) || true
  if [[ -n $before ]] && ! (exec 3<>"/dev/tcp/${before/://}") 2>/dev/null; then
    echo "$before"
  else
    echo "127.0.0.1:$(free_port)"
  fi
}

# The daemon's settings in the environment, without those for other programs: addresses that `make
# env` has exported, and settings of the scripts.
settings() {
  local others='URL|STATUS_URL|KERNEL|PORT|PROFILE|SCRATCH|CACHE|PAUSES|SKIPPED|SUBSTITUTES'
  env | sed -nE "/^BINDERY_($others)=/d; /^BINDERY_/p" | sort
}

# Starts it and waits until it is ready.
run() {
  local address try pid
  address=$(address_of)
  setsid "$binderyd" run --database-url "$DATABASE_URL" --redis-url "$REDIS_URL" \
    --stream bindery:events --http "$address" \
    --cors-origin 'http://localhost:*,http://127.0.0.1:*' \
    </dev/null >"$dir/binderyd.log" 2>&1 &
  pid=$!
  disown
  settings >"$dir/binderyd.settings"
  echo "$pid" >"$dir/binderyd.pid"
  echo "http://$address" >"$dir/binderyd.http"
  for ((try = 0; try < 600; try++)); do
    if (is_ready "$address"); then return; fi
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.05
  done
  return 1
}

start() {
  local try
  if [[ -n ${BINDERY_PORT:-} ]] && ! daemon_pid >/dev/null; then
    check_port BINDERY_PORT "$BINDERY_PORT"
  fi
  binderyd=$(built binderyd)
  [[ -x $binderyd ]] || die "no $binderyd; run: make build"
  if daemon_pid >/dev/null; then
    if [[ ! $binderyd -nt $dir/binderyd.pid ]] &&
      [[ $(settings) == "$(cat "$dir/binderyd.settings" 2>/dev/null)" ]]; then
      return 0
    fi
    stop # it was built anew since, or has other settings now
  fi
  # shellcheck source=/dev/null
  source "$dir/env"
  "$binderyd" migrate --database-url "$DATABASE_URL" >"$dir/migrate.log" 2>&1 || {
    cat "$dir/migrate.log" >&2
    die "binderyd migrate failed"
  }
  for ((try = 0; try < 3; try++)); do
    run && return
    # Another process took the port in the meantime.
    grep -qi 'address.*in use' "$dir/binderyd.log" || break
    rm -f "$dir/binderyd.http"
  done
  tail -n 20 "$dir/binderyd.log" >&2
  die "binderyd did not get ready; its log: $dir/binderyd.log"
}

# SIGTERM lets it finish what is in flight and release its lease.
stop() {
  local pid try
  pid=$(daemon_pid) || return 0
  kill -TERM "$pid"
  for ((try = 0; try < 300; try++)); do
    daemon_pid >/dev/null || return 0
    sleep 0.05
  done
  echo "binderyd (process $pid) does not stop after 15 s; killing it" >&2
  kill -KILL "$pid"
}

status() {
  local pid
  if pid=$(daemon_pid); then echo "binderyd: running (process $pid, $(<"$dir/binderyd.http"))"; else
    echo "binderyd: stopped"
    return 1
  fi
}

case $command in
  start | stop | status) "$command" ;;
  *) die "daemon.sh: $command?" ;;
esac
