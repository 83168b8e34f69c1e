#!/usr/bin/env bash
# Bindery as Supabase sees it, on a private Postgres, with the real CLI and without Docker.
#
#   supabase.sh generate          writes supabase/migrations/ and supabase/types/
#   supabase.sh test [FILE...]    checks that they are current; applies, seeds, lints and tests
#                                 them, then tests REST, Realtime and the gateways
#   supabase.sh with-api COMMAND  pastes the migration, starts the Data API, and runs a command with
#                                 its address and keys
#   supabase.sh load [ARG...]     runs k6 over REST (tests/load), if it is installed: 10, 50 and 200
#                                 books at once, or ARGs
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/substitutes.sh"
cd "$ROOT"

migration=supabase/migrations/20261123000000_bindery.sql
types=supabase/types/database.ts
node_tests=$ROOT/tests/supabase
modules=$node_tests/node_modules
# The CLI would use TLS to a remote server, and both would send telemetry.
export PGSSLMODE=disable DO_NOT_TRACK=1 SUPABASE_TELEMETRY_DISABLED=1

prepare() {
  binderyd=$(built binderyd)
  [[ -x $binderyd ]] || die "no $binderyd; run: make build"
  if ! { has node && has npm; }; then die "no Node.js with npm; run: make setup"; fi
  # supabase-js requires a newer Node.js than Debian has.
  need_node 22
  # Every version is pinned, so an installation that matches the lock file is kept.
  if ! (cd "$node_tests" && npm ls --all >/dev/null 2>&1); then
    # Not `npm ci`: it requires the binaries of every other platform in the lock file, too.
    step "installing Supabase's CLI and Data API (npm)" \
      npm --prefix "$node_tests" install --no-save --ignore-scripts
  fi
  export PATH=$PATH:$modules/.bin
  dir=$(mktemp -d /tmp/bindery-supabase.XXXXXX)
  chmod 755 "$dir"
  trap clean_up EXIT
  scripts/servers.sh start "$dir"
  # shellcheck source=/dev/null
  source "$dir/env"
  server=${DATABASE_URL%/*}
  # Create what a Supabase project has and a plain Postgres lacks. `project` is like Supabase's role
  # postgres: no superuser.
  psql -Xq -v ON_ERROR_STOP=1 -d "$DATABASE_URL" \
    -c 'create role project login createrole replication bypassrls' \
    -c 'create database bindery owner project'
  export DATABASE_URL=$server/bindery
  psql -Xq -v ON_ERROR_STOP=1 -d "$DATABASE_URL" -c 'create publication supabase_realtime' \
    -c 'alter publication supabase_realtime owner to project' -c 'create schema extensions'
}

as_project() { echo "${server/postgres@/project@}/$1"; }

clean_up() {
  local pid
  if pid=$(cat "$dir/data-api.pid" 2>/dev/null); then kill "$pid" 2>/dev/null || true; fi
  "$ROOT/scripts/servers.sh" stop "$dir"
  rm -rf "$dir"
}

# A copy: the CLI writes beside what it reads.
project() {
  mkdir -p "$dir/project"
  rm -rf "$dir/project/supabase"
  cp -r supabase "$dir/project/"
}

cli() {
  "$modules/.bin/supabase" --workdir "$dir/project" --agent no "$@" \
    --remote="$(as_project bindery)"
}

print_types() {
  cli gen types --lang typescript --schema bindery 2>"$dir/types.log" >"$dir/types.ts" || {
    cat "$dir/types.log" >&2
    die "gen types failed"
  }
  {
    printf '%s ' "// Made by the Supabase CLI (gen types) of the migration, through"
    echo "scripts/supabase.sh generate. Do not edit."
    "$modules/.bin/prettier" --parser typescript --print-width 140 --single-quote <"$dir/types.ts"
  } >"$dir/database.ts"
}

up() { step "supabase migration up" cli migration up --yes; }

generate() {
  prepare
  mkdir -p "${migration%/*}" "${types%/*}"
  "$binderyd" migration --kernel portable >"$migration"
  project
  up
  print_types
  cp "$dir/database.ts" "$types"
  echo "==> written: $migration, $types"
}

is_current() { # FILE NEW
  cmp -s "$1" "$2" || die "$1 is not what the schema gives now; run: make supabase"
}

push_twice() { cli db push --include-seed --yes && cli db push --include-seed --yes; }

seed() {
  local books
  step "supabase db push --include-seed, twice" push_twice
  books=$(psql -XAtq -d "$DATABASE_URL" \
    -c "select count(*) from bindery.book_status where metadata ? 'seed'")
  [[ $books -eq 6 ]] || die "the seed made $books books, not 6"
}

ask_advisors() { cli db advisors --level info --fail-on warn >"$dir/advisors.json"; }

# In a new database every index is unused; nothing else may be found in our schemas.
advise() {
  local findings
  step "supabase db advisors" ask_advisors
  findings=$(node -e '
    const found = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    for (const f of found) {
      if (!f.metadata?.schema?.startsWith("bindery") || f.name === "unused_index") continue;
      console.log(f.level, f.name, f.detail);
    }
  ' "$dir/advisors.json")
  [[ -z $findings ]] || die "supabase db advisors: $findings"
}

# As in self-hosted/: a superuser makes the extension, and the schema is the project's.
self_host() {
  psql -Xq -v ON_ERROR_STOP=1 -d "$server/postgres" -c 'create database self_hosted owner project'
  sed 's/ postgres / project /' supabase/self-hosted/bindery.sql |
    psql -Xq -v ON_ERROR_STOP=1 -d "$server/self_hosted"
  "$binderyd" migrate --kernel native --database-url "$(as_project self_hosted)"
  psql -Xq -v ON_ERROR_STOP=1 -d "$(as_project self_hosted)" -f supabase/seed.sql
}

# Supabase's own Data API server from npm, over the database.
start_data_api() {
  local try
  export PUBLISHABLE_KEY=sb_publishable_of_the_tests SECRET_KEY=sb_secret_of_the_tests
  export JWT_SECRET=0f7c4e1b92d86a35f7c4e1b92d86a35e
  for try in 1 2 3; do
    if try_data_api; then return; fi
    # Another process took the port first.
    grep -qi 'in use\|EADDRINUSE' "$dir/data-api.log" || break
  done
  tail -n 30 "$dir/data-api.log" >&2
  die "the Data API does not answer at $API_URL; above is the end of its log"
}

# One try, on a port of its own; succeeds if it answers within a minute.
try_data_api() {
  local port wait
  port=$(free_port)
  export API_URL=http://127.0.0.1:$port
  mkdir -p "$dir/api/supabase"
  cat >"$dir/api/supabase/config.toml" <<TOML
project_id = "bindery"
[api]
port = $port
schemas = ["bindery"]
max_rows = 1000
[db]
driver = "postgres"
url = "$DATABASE_URL"
[auth]
enabled = true
jwt_secret = "$JWT_SECRET"
publishable_key = "$PUBLISHABLE_KEY"
secret_key = "$SECRET_KEY"
TOML
  (cd "$dir/api" && exec node --import "$node_tests/data-api.js" \
    "$modules/@supabase/lite/dist/cli/index.js" start --no-admin) \
    >"$dir/data-api.log" 2>&1 </dev/null &
  echo $! >"$dir/data-api.pid"
  # Its log is for people, and is coloured if CI is set, so probe the server itself.
  for ((wait = 0; wait < 600; wait++)); do
    kill -0 "$!" 2>/dev/null || return 1
    # With the key, so that another server on that port is not mistaken for it.
    if node -e '
      const [url, apikey] = process.argv.slice(1);
      const end = (isThere) => process.exit(isThere ? 0 : 1);
      fetch(url, { headers: { apikey } }).then((answer) => end(answer.ok), () => end(false));
    ' "$API_URL/rest/v1/" "$SECRET_KEY"; then
      return
    fi
    sleep 0.1
  done
  return 1
}

run_tests() {
  local second
  prepare
  "$binderyd" migration --kernel portable >"$dir/migration.sql"
  is_current "$migration" "$dir/migration.sql"
  project
  up
  second=$(cli migration up --yes 2>&1) || die "a second migration up fails: $second"
  [[ $second == *'up to date'* ]] || die "a second migration up finds something to do: $second"
  print_types
  is_current "$types" "$dir/database.ts"
  # A session of the CLI may take time to end, and a template database must have no sessions.
  psql -Xq -d "$server/postgres" \
    -c "select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = 'bindery'" \
    -c 'create database bindery_template template bindery' >/dev/null
  advise
  seed
  step "self-hosted: the native kernel, and a schema without a superuser" self_host
  echo "==> supabase/tests"
  pg_prove -Q -d "$DATABASE_URL" supabase/tests/*.test.sql
  start_data_api
  cd "$node_tests"
  echo "==> types of the Node tests and of the Edge Function"
  npm run --silent check
  step "building the Rust client's worker" \
    cargo build --quiet --package bindery-tests --bin client --manifest-path "$ROOT/Cargo.toml"
  export CLIENT_WORKER
  CLIENT_WORKER=$(target_dir)/debug/client
  echo "==> REST, Realtime, gateways"
  if [[ $# -gt 0 ]]; then
    node --test --test-concurrency=1 "$@"
    return
  fi
  npm run --silent test
  if find_envoy; then node --test gateway.envoy.js; else
    skipped "the gateway Envoy" "Envoy cannot be had here"
  fi
}

# As in the SQL editor: the whole file is one simple query, of a role that is no superuser.
paste() {
  node --input-type=module -e '
    import { readFileSync } from "node:fs";
    import { createRequire } from "node:module";
    const postgres = createRequire(process.argv[1])("postgres");
    const sql = postgres(process.argv[2], { onnotice: () => {} });
    await sql.unsafe(readFileSync(process.argv[3], "utf8"));
    await sql.end();
  ' "$node_tests/" "$(as_project bindery)" "$migration"
}

# In the PATH, at the path in K6, or where Go has installed it.
find_k6() {
  if [[ -z ${K6:-} ]] && has go && [[ -x $(go env GOPATH)/bin/k6 ]]; then
    K6=$(go env GOPATH)/bin/k6
  fi
  export K6=${K6:-k6}
  has "$K6"
}

case ${1:-} in
  generate) generate ;;
  test)
    shift
    run_tests "$@"
    ;;
  with-api)
    shift
    prepare
    step "pasting the migration" paste
    start_data_api
    PROJECT_URL=$(as_project bindery) MIGRATION=$migration "$@"
    ;;
  load)
    shift
    if ! find_k6; then
      skipped "load over HTTP" "no k6; with Go: go install go.k6.io/k6@latest"
      exit 0
    fi
    prepare
    project
    up
    start_data_api
    tests/load/run.sh "$@"
    ;;
  *) die "usage: supabase.sh generate|test|with-api|load" ;;
esac
