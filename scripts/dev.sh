#!/usr/bin/env bash
# For development: private servers and the daemon in the background, until stopped.
#
#   dev.sh start|stop|env
#   dev.sh check            whether BINDERY_PORT can be had
#   dev.sh clean            stop, and remove all private data and logs
#
# BINDERY_PORT is the port of the page and the API; without it a free one, which is kept.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"

dir=$(scratch)/dev
servers=$ROOT/scripts/servers.sh
daemon=$ROOT/scripts/daemon.sh

# Before anything is built or started, unless it is our own daemon that listens there.
check() {
  if [[ -n ${BINDERY_PORT:-} ]] &&
    ! { [[ -d $dir ]] && "$daemon" status "$dir" >/dev/null 2>&1; }; then
    check_port BINDERY_PORT "$BINDERY_PORT"
  fi
}

start() {
  check
  need_room "$(scratch)" 300
  if ! "$servers" start "$dir" || ! "$daemon" start "$dir"; then
    stop
    exit 1
  fi
  print_env
  echo "# logs and data: $dir; stop with: make dev-stop"
}

stop() {
  [[ -d $dir ]] || return 0
  "$daemon" stop "$dir"
  "$servers" stop "$dir"
}

print_env() {
  if ! "$daemon" status "$dir" >/dev/null 2>&1 || ! "$servers" status "$dir" >/dev/null 2>&1; then
    die "not running; start it with: make dev"
  fi
  cat "$dir/env"
  echo "export BINDERY_URL=$(<"$dir/binderyd.http")"
}

case ${1:-} in
  check | start | stop) "$1" ;;
  env) print_env ;;
  clean)
    stop
    rm -rf "$(scratch)"
    ;;
  *) die "usage: dev.sh check|start|stop|env|clean" ;;
esac
