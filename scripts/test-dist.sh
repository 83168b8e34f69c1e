#!/usr/bin/env bash
# Installs each package of dist/ in a clean place, and shows that a book makes progress there.
# Nothing outside a temporary folder is touched. Python and npm download what the clients depend on.
#
#   test-dist.sh [FOLDER]    of another folder with packages
#
# PG_MAJOR and PG_CONFIG name the server for the extension: one of Debian's or of the PostgreSQL
# project's packages, installed or unpacked by postgres.sh.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)
dist=$(realpath "${1:-dist}")
[[ -s $dist/SHA256SUMS ]] || die "no packages in $dist; run: make dist"
for tool in dpkg node npm psql python3 redis-server; do
  has "$tool" || die "no $tool; run: make setup"
done
book=6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b

# The one file that fits, in dist/.
file() { # PATTERN
  local found
  mapfile -t found < <(compgen -G "$dist/$1")
  [[ ${#found[@]} -eq 1 ]] || die "$dist has ${#found[@]} files $1, not one"
  echo "${found[0]}"
}

clean_up() {
  [[ -z ${daemon:-} ]] || kill "$daemon" 2>/dev/null || true
  PG_CONFIG=$server_config scripts/servers.sh stop "$work/servers" 2>/dev/null || true
  rm -rf "$work"
}

sums() {
  local unnamed
  cd "$dist"
  sha256sum --check --strict --quiet SHA256SUMS
  unnamed=$(comm -3 <(sed 's/^[0-9a-f]*  //' SHA256SUMS | sort) \
    <(find . -type f ! -name SHA256SUMS -printf '%P\n' | sort))
  [[ -z $unnamed ]] || die "SHA256SUMS and the folder differ: $unnamed"
}

# ---- servers

# debian_root FOLDER: a system for dpkg that has no package.
debian_root() {
  mkdir -p "$1"/var/lib/dpkg/{info,triggers,updates}
  touch "$1/var/lib/dpkg/status"
}

# Dependencies are the system's, which dpkg does not see there.
in_root() { # FOLDER ARGUMENT...
  local root=$1
  shift
  dpkg --root="$root" --log="$root/var/log" --force-not-root --force-depends \
    --force-script-chrootless "$@"
}

# A copy of PostgreSQL, which finds its files by where its programs are, and has no Bindery.
copy_server() {
  local folder
  root=$work/root
  folder=$root/usr/lib/postgresql/$PG_MAJOR
  mkdir -p "$folder" "$root/usr/share/postgresql"
  cp -a "$("$PG_CONFIG" --bindir)" "$folder/bin"
  cp -a "$("$PG_CONFIG" --pkglibdir)" "$folder/lib"
  cp -a "$("$PG_CONFIG" --sharedir)" "$root/usr/share/postgresql/$PG_MAJOR"
  rm -f "$folder/lib/bindery.so" "$root/usr/share/postgresql/$PG_MAJOR"/extension/bindery*
  debian_root "$root"
  server_config=$folder/bin/pg_config
}

sql() { # DATABASE ARGUMENT...
  local database=$1
  shift
  psql -XAtq -v ON_ERROR_STOP=1 -d "$server/$database" "$@"
}

new_database() { sql postgres -c "create database $1 encoding 'UTF8' template template0"; }

# ---- a bar

progress_in_sql() { # DATABASE
  local progress
  progress=$(sql "$1" -c "select from bindery.register_book('$book', title => 'The Salt Clock')" \
    -c "select from bindery.begin_stage('$book', 'ANALYZING')" \
    -c "select overall_progress from bindery.report_progress('$book', 'extract_text', 50)" |
    tail -n1)
  [[ $progress == 2.5 ]] || die "the book is at '$progress' percent, not at 2.5"
}

# get PATH: what the daemon answers.
get() {
  python3 - "$api$1" <<'PYTHON'
import sys
import urllib.request

print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())
PYTHON
}

progress() {
  { get "/api/books/$book/status" |
    python3 -c 'import json, sys; print(float(json.load(sys.stdin)["overall_progress"]))'; } \
    2>/dev/null
}

start_daemon() { # NAME PROGRAM...
  local try name=$1
  shift
  for try in 1 2 3; do
    api=http://127.0.0.1:$(free_port)
    "$@" run --database-url "$server/$name" --redis-url "$REDIS_URL" --stream "$name:events" \
      --http "${api#http://}" </dev/null >"$work/$name.log" 2>&1 &
    daemon=$!
    until get /readyz >/dev/null 2>&1; do
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.1
    done
    if kill -0 "$daemon" 2>/dev/null; then return; fi
    # Another program was faster at the port.
    grep -qi 'address.*in use' "$work/$name.log" || break
  done
  cat "$work/$name.log"
  die "binderyd does not start"
}

stop_daemon() {
  local code=0
  kill -TERM "$daemon"
  wait "$daemon" || code=$?
  daemon=
  [[ $code -eq 0 ]] || die "binderyd ends with $code"
}

# await_progress PERCENT
await_progress() {
  local try
  for ((try = 0; try < 300; try++)); do
    if [[ $(progress) == "$1" ]]; then return; fi
    sleep 0.1
  done
  get "/api/books/$book/status" || true
  die "the book is not at $1 percent after 30 s"
}

# see_a_bar NAME KERNEL PROGRAM...: an installed binderyd, from the empty database to the HTTP API.
see_a_bar() {
  local name=$1 kernel=$2 event
  shift 2
  [[ $("$@" --version) == "binderyd $version" ]] || die "$* --version: $("$@" --version)"
  new_database "$name"
  "$@" migrate --kernel "$kernel" --database-url "$server/$name"
  start_daemon "$name" "$@"
  event=("$@" publish --redis-url "$REDIS_URL" --to-stream "$name:events" --book-id "$book")
  "${event[@]}" --type register --title 'The Salt Clock'
  "${event[@]}" --type begin --to-status ANALYZING
  "${event[@]}" --type progress --substep extract_text --done 1 --total 2
  await_progress 2.5
  stop_daemon
}

# ---- the packages

from_tarball() {
  local path home=$work/tarball
  mkdir "$home"
  tar -xzf "$(file "binderyd-$version-*-linux.tar.gz")" -C "$home" --strip-components=1
  for path in share/doc/binderyd/{LICENSE,env.example} share/man/man1/binderyd.1 \
    lib/systemd/system/binderyd.service share/bash-completion/completions/binderyd; do
    [[ -s $home/$path ]] || die "the tarball has no $path"
  done
  see_a_bar tarball portable "$home/bin/binderyd"
}

from_debian() {
  local started left
  in_root "$root" --install "$(file "binderyd_${version}_*.deb")"
  [[ $(stat -c %a "$root/etc/binderyd/env") == 600 ]] || die "others can read /etc/binderyd/env"
  started=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$root/usr/lib/systemd/system/binderyd.service")
  see_a_bar debian "$kernel" "$root$started"
  in_root "$root" --purge binderyd
  left=$(find "$root" -name '*binderyd*' ! -path "$root/var/*")
  [[ -z $left ]] || die "dpkg --purge leaves $left"
}

from_wheel() {
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --no-index "$(file "binderyd-$version-*.whl")"
  see_a_bar wheel portable "$work/venv/bin/binderyd"
  # The extra can be resolved, too.
  again "$work/venv/bin/pip" install --dry-run \
    "binderyd[dev] @ file://$(file "binderyd-$version-*.whl")" | grep embedded
}

from_npm() {
  npm install --global --prefix "$work/npm" --no-audit --no-fund \
    "$(file "bindery-binderyd-*-$version.tgz")" "$(file "binderyd-$version.tgz")"
  see_a_bar npm portable "$work/npm/bin/binderyd"
}

# The library and its SQL, by the package; then a schema that calls it.
extension_by_debian() {
  in_root "$root" --install "$(file "postgresql-$PG_MAJOR-bindery_${version}_*.deb")"
  new_database extension
  "$program" migrate --kernel native --database-url "$server/extension"
  [[ $(sql extension -c "select extversion from pg_extension where extname = 'bindery'") \
    == "$version" ]] || die "the extension is not installed"
  progress_in_sql extension
}

schema_by_sql() {
  local schema
  schema=$(file "bindery-$version.sql")
  new_database schema_sql
  sql schema_sql -f "$schema" >/dev/null
  progress_in_sql schema_sql
  # A second time changes nothing: it is refused as a whole.
  if sql schema_sql -f "$schema" >/dev/null 2>&1; then die "the schema installs twice"; fi
  new_database supabase
  sql supabase --single-transaction -f "$(file '*_bindery.sql')" >/dev/null
  progress_in_sql supabase
  # The daemon finds its own version there.
  "$program" migrate --database-url "$server/schema_sql"
  "$program" migrate --database-url "$server/supabase"
}

# As an extension of the server, since pg_tle, which dbdev needs, runs the same file.
schema_by_dbdev() {
  local extensions
  extensions=$("$server_config" --sharedir)/extension
  mkdir "$work/dbdev"
  tar -xzf "$(file "bindery-dbdev-$version.tar.gz")" -C "$work/dbdev"
  cp "$work"/dbdev/bindery/bindery.control "$work"/dbdev/bindery/bindery--*.sql "$extensions/"
  new_database dbdev
  sql dbdev -c 'create extension bindery' -c 'select bindery_package.install()'
  progress_in_sql dbdev
  # Its rows are in a dump, and outlive the extension.
  new_database dbdev_restored
  "$bin/pg_dump" --format=custom --file="$work/dbdev.dump" "$server/dbdev"
  "$bin/pg_restore" --exit-on-error --dbname="$server/dbdev_restored" "$work/dbdev.dump"
  sql dbdev_restored -c 'drop extension bindery cascade'
  [[ $(sql dbdev_restored -c 'select overall_progress from bindery.book_status') == 2.5 ]] ||
    die "the dump does not have the book"
  rm "$extensions"/bindery*
}

python_client() {
  local wheel
  wheel=$(file "bindery_client-$version-*.whl")
  again "$work/venv/bin/pip" install --quiet "$wheel"
  start_daemon wheel "$program"
  BINDERY_URL=$REDIS_URL BINDERY_STREAM=wheel:events "$work/venv/bin/python" - "$book" <<'PYTHON'
import sys

import bindery_client as bindery

with bindery.book(sys.argv[1]) as book:
    with book.stage("ANALYZING") as stage:
        stage.progress(100, "extract_text")
    assert book.flush(timeout=10)
PYTHON
  await_progress 5.0
  stop_daemon
  # The sources build into the same files.
  again "$work/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$work/wheels" \
    "$(file "bindery_client-$version.tar.gz")"
  diff <(python3 -m zipfile --list "$wheel" | awk '{print $1}') \
    <(python3 -m zipfile --list "$work"/wheels/*.whl | awk '{print $1}')
}

# The producer reports, the client for pages reads.
npm_clients() {
  mkdir "$work/app"
  echo '{"private": true, "type": "module"}' >"$work/app/package.json"
  cd "$work/app"
  again npm install --no-audit --no-fund ioredis "$(file "bindery-producer-$version.tgz")" \
    "$(file "bindery-react-$version.tgz")"
  start_daemon wheel "$program"
  export BINDERY_URL=$REDIS_URL BINDERY_STREAM=wheel:events
  node --input-type=module - "$book" <<'JAVASCRIPT'
import * as bindery from "@bindery/producer";

const book = bindery.book(process.argv[2]);
await book.stage("ANALYZING", async (stage) => stage.report(100, "detect_chapters"));
if (!(await book.flush())) throw new Error("the report was not delivered");
process.exit();
JAVASCRIPT
  await_progress 10.0
  node --input-type=module - "$api" "$book" <<'JAVASCRIPT'
import { createBindery, sseTransport } from "@bindery/react/client";

const [api, book] = process.argv.slice(2);
const bindery = createBindery(sseTransport(api));
const progress = await new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error("no status within 30 s")), 30_000).unref();
  bindery.watchBook(book, (view) => view.book && resolve(view.book.overall_progress));
});
await bindery.close();
if (progress !== 10) throw new Error(`the book is at ${progress} percent`);
JAVASCRIPT
  stop_daemon
}

work=$(mktemp -d /tmp/bindery-dist.XXXXXX)
chmod 755 "$work"
server_config=$PG_CONFIG
trap clean_up EXIT
step "checksums" sums
copy_server
bin=$("$server_config" --bindir)
PG_CONFIG=$server_config scripts/servers.sh start "$work/servers"
# shellcheck source=/dev/null
source "$work/servers/env"
server=${DATABASE_URL%/*}
mkdir "$work/program"
tar -xzf "$(file "binderyd-$version-*-linux.tar.gz")" -C "$work/program" --strip-components=1
program=$work/program/bin/binderyd
step "the schema by dbdev's layout" schema_by_dbdev
kernel=portable
if compgen -G "$dist/postgresql-$PG_MAJOR-bindery_*.deb" >/dev/null; then
  step "the extension by Debian's package" extension_by_debian
  kernel=native
else
  skipped "the extension's package for PostgreSQL $PG_MAJOR" "there is none"
fi
step "the schema by SQL" schema_by_sql
step "binderyd by its tarball" from_tarball
step "binderyd by Debian's package" from_debian
step "binderyd by its wheel" from_wheel
step "binderyd by npm" from_npm
step "the Python client" python_client
step "the npm clients" npm_clients
for package in "$dist"/postgresql-*.deb; do
  if [[ -e $package && $package != */postgresql-$PG_MAJOR-* ]]; then
    skipped "${package##*/}" "this server is PostgreSQL $PG_MAJOR"
  fi
done
echo "==> every package installs and shows a book's progress"
