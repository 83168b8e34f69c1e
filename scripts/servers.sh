#!/usr/bin/env bash
# Private servers: a Postgres cluster and a Redis of their own in a folder, on free loopback ports.
# The one place that starts them, for the demo, for development and for the tests. Nothing outside
# the folder is touched.
#
#   servers.sh start|stop|status|env DIR
#   servers.sh leash DIR              start; when standard input closes, stop and remove DIR (for
#                                     test programs)
#   servers.sh leash DIR PRIMARY      the same with Postgres alone: a streaming replica of the
#                                     server at this URL
#   servers.sh restart-postgres DIR [fast|immediate]
#   servers.sh stop-postgres|start-postgres|kill9-postgres DIR
#   servers.sh restart-redis|stop-redis|start-redis|kill9-redis DIR
#
# DIR holds: env (exports for clients), postgres/, postgres.log, postgres.port, redis/, redis.log,
# redis.port, redis.pid. Anyone on this machine may connect, as superuser too: for tests and
# development only.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"

usage() {
  sed -n 's/^#   //p' "$0" >&2
  exit 2
}

# ---- processes

# is_alive PID WORD: that process runs, is no zombie and has WORD in its command line. A pid file
# alone may be out of date.
is_alive() {
  local words
  words=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") && [[ $words == *"$2"* ]]
}

wait_gone() { # PID WORD
  local try
  for ((try = 0; try < 600; try++)); do
    is_alive "$1" "$2" || return 0
    sleep 0.05
  done
  die "process $1 ($2) does not end"
}

# with_port FILE COMMAND: uses the port in FILE, so that clients find a restarted server again; a
# free one at the first start.
with_port() {
  local try port
  if [[ -s $1 ]]; then
    "$2" "$(<"$1")" || die "$2 failed; see the logs in $dir"
    return
  fi
  for ((try = 0; try < 10; try++)); do
    port=$(free_port)
    echo "$port" >"$1" # first, so that whatever gets started can be found and stopped
    if "$2" "$port"; then return; fi
    rm "$1"
    tail -n 20 "$dir"/*.log 2>/dev/null |
      grep -qi 'address already in use\|could not create any TCP' || break
  done
  tail -n 20 "$dir"/*.log >&2
  die "$2 failed; the logs above are in $dir"
}

# ---- Postgres

postgres_pid() {
  local pid
  # By its folder: the pid file of a copied folder names the original's process.
  pid=$(as_postgres head -n1 "$dir/postgres/postmaster.pid" 2>/dev/null) &&
    [[ $(readlink "/proc/$pid/cwd") == "$dir/postgres" ]] && echo "$pid"
}

# Leaves nothing half-made behind, and prints the reason.
no_cluster() { # LOG
  local cause
  rm -rf "$dir/postgres"
  if cause=$(cause_of "$1"); then die "$cause"; fi
  cat "$1" >&2
  die "initdb failed"
}

create_cluster() {
  has setpriv || die "no setpriv (package util-linux)"
  if is_root && ! id postgres >/dev/null 2>&1; then
    die "Postgres does not run as root, and there is no user postgres; run: make setup"
  fi
  postgres_reaches "$dir" ||
    die "user postgres, which Postgres runs as here, cannot reach $dir;" \
      "choose a folder that it can (chmod a+x its parents)"
  mkdir -p "$dir/postgres"
  chmod 700 "$dir/postgres"
  : >"$dir/postgres.log"
  if is_root; then chown postgres: "$dir/postgres" "$dir/postgres.log"; fi
  if [[ $primary ]]; then
    # The configuration comes with the data.
    as_postgres "$bin/pg_basebackup" --dbname="$primary" --pgdata="$dir/postgres" \
      --write-recovery-conf --checkpoint=fast --no-sync >"$dir/basebackup.log" 2>&1 || {
      cat "$dir/basebackup.log" >&2
      die "pg_basebackup failed"
    }
    return
  fi
  as_postgres "$bin/initdb" -D "$dir/postgres" --username=postgres --auth=trust \
    --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
    no_cluster "$dir/initdb.log"
  as_postgres tee -a "$dir/postgres/postgresql.conf" >/dev/null <<'CONF'

# Bindery's private server
listen_addresses = '127.0.0.1'
unix_socket_directories = ''      # their paths may be 107 bytes long at most, and loopback does
max_connections = 200
shared_buffers = '256MB'
wal_level = logical               # as Supabase Realtime needs it
fsync = on                        # the tests kill servers, and the benchmark measures commits
synchronous_commit = on
jit = off
log_line_prefix = '%m [%p] %a '
log_lock_waits = on
CONF
}

run_postgres() { # PORT
  # With RUST_BACKTRACE in the server's environment the extension's errors would carry backtraces.
  as_postgres env -u RUST_BACKTRACE -u RUST_LIB_BACKTRACE \
    "$bin/pg_ctl" start -w -t 120 -s -D "$dir/postgres" -l "$dir/postgres.log" -o "-p $1" \
    >/dev/null 2>&1 9>&-
}

start_postgres() {
  if postgres_pid >/dev/null; then return; fi
  [[ -x $bin/postgres ]] || die "no PostgreSQL $PG_MAJOR in $bin; run: make setup"
  as_postgres test -s "$dir/postgres/PG_VERSION" || create_cluster
  # Its process has ended, but another process or a zombie may have its number by now.
  as_postgres rm -f "$dir/postgres/postmaster.pid"
  with_port "$dir/postgres.port" run_postgres
}

stop_postgres() { # [MODE]
  postgres_pid >/dev/null || return 0
  as_postgres "$bin/pg_ctl" stop -w -t 120 -s -D "$dir/postgres" -m "${1:-fast}" ||
    die "Postgres does not stop; see $dir/postgres.log"
}

# As in a crash of the machine: kills the server and all its sessions at once, without a shutdown.
kill9_postgres() {
  local pid child children
  pid=$(postgres_pid) || die "Postgres is not running in $dir"
  read -ra children <"/proc/$pid/task/$pid/children" || true
  kill -9 "$pid" "${children[@]}" 2>/dev/null || true
  for child in "$pid" "${children[@]}"; do wait_gone "$child" postgres; done
}

# ---- Redis

redis_pid() {
  local pid
  # By its folder: the pid file of a copied folder names the original's process.
  pid=$(cat "$dir/redis.pid" 2>/dev/null) &&
    [[ $(readlink "/proc/$pid/cwd") == "$dir/redis" ]] && echo "$pid"
}

run_redis() { # PORT
  local try pid answer
  mkdir -p "$dir/redis"
  : >"$dir/redis.log"
  setsid redis-server --port "$1" --bind 127.0.0.1 --dir "$dir/redis" --logfile "$dir/redis.log" \
    --appendonly yes --appendfsync everysec --save '' </dev/null >/dev/null 2>&1 9>&- &
  pid=$!
  disown
  echo "$pid" >"$dir/redis.pid"
  for ((try = 0; try < 1200; try++)); do
    kill -0 "$pid" 2>/dev/null || return 1
    # Check that this folder's server answers, and that it has loaded its append-only file.
    answer=$(redis-cli -p "$1" info 2>&1)
    # With the line's beginning: `async_loading:0` is true meanwhile.
    if [[ $answer == *"process_id:$pid"$'\r'* && $answer == *$'\n'"loading:0"$'\r'* ]]; then
      return
    fi
    sleep 0.05
  done
  return 1
}

start_redis() {
  if redis_pid >/dev/null; then return; fi
  has redis-server || die "no redis-server; run: make setup"
  with_port "$dir/redis.port" run_redis
}

end_redis() { # SIGNAL
  local pid
  pid=$(redis_pid) || return 0
  kill "-$1" "$pid"
  wait_gone "$pid" "$(<"$dir/redis.port")"
}

# ---- both

write_env() {
  {
    echo "export DATABASE_URL=postgresql://postgres@127.0.0.1:$(<"$dir/postgres.port")/postgres"
    [[ $primary ]] || echo "export REDIS_URL=redis://127.0.0.1:$(<"$dir/redis.port")/"
  } >"$dir/env"
}

is_up() { postgres_pid >/dev/null && { [[ $primary ]] || redis_pid >/dev/null; }; }

# A copied folder names the original's ports: if another process has one, a free one is taken.
forget_taken_ports() {
  local name
  for name in postgres redis; do
    [[ -s $dir/$name.port ]] && ! "${name}_pid" >/dev/null || continue
    if (exec 3<>"/dev/tcp/127.0.0.1/$(<"$dir/$name.port")") 2>/dev/null; then
      rm "$dir/$name.port"
    fi
  done
}

start() {
  if is_up; then
    echo "already running in $dir"
    return
  fi
  forget_taken_ports
  start_postgres
  [[ $primary ]] || start_redis
  write_env
}

stop() {
  stop_postgres fast
  end_redis TERM
  rm -f "$dir/env"
}

status() {
  local name pid
  for name in postgres redis; do
    if pid=$("${name}_pid"); then
      echo "$name: running (process $pid, port $(<"$dir/$name.port"))"
    else
      echo "$name: stopped"
    fi
  done
  is_up
}

# The caller keeps standard input open while it lives; however it ends, the servers stop and DIR is
# removed.
leash() {
  local failed=0
  # In a subshell, so that a failure too comes to the end of this function.
  (start) || failed=1
  if [[ $failed -eq 0 ]]; then
    flock -u 9
    echo ready
    cat >/dev/null
    flock 9
  fi
  stop >/dev/null 2>&1 || true
  rm -rf "$dir"
  return "$failed"
}

[[ $# -ge 2 ]] || usage
command=$1
dir=$2
primary=
if [[ $command == leash ]]; then primary=${3:-}; fi
# The caller of leash reads the reason of a failure in place of `ready`.
if [[ $command == leash ]]; then exec 2>&1; fi
bin=$("$PG_CONFIG" --bindir 2>/dev/null) ||
  die "no PostgreSQL $PG_MAJOR ($PG_CONFIG); run: make setup"

case $command in
  start | leash) mkdir -p "$dir" ;;
  *) [[ -d $dir ]] || die "no servers in $dir" ;;
esac
dir=$(cd "$dir" && pwd -P)
# One command at a time; the servers themselves must not inherit the lock (9>&- above).
exec 9>"$dir/lock"
flock 9

case $command in
  start | stop | status | leash) "$command" ;;
  env)
    is_up || die "the servers in $dir are not running"
    cat "$dir/env"
    ;;
  start-postgres) start_postgres ;;
  stop-postgres) stop_postgres "${3:-fast}" ;;
  restart-postgres)
    stop_postgres "${3:-fast}"
    start_postgres
    ;;
  kill9-postgres) kill9_postgres ;;
  start-redis) start_redis ;;
  stop-redis) end_redis TERM ;;
  restart-redis)
    end_redis TERM
    start_redis
    ;;
  kill9-redis) end_redis KILL ;;
  *) usage ;;
esac
