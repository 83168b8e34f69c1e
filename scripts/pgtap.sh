#!/usr/bin/env bash
# Runs the pgTAP tests (tests/pgtap/*/*.sql) against a private Postgres with the schema in it.
#
#   pgtap.sh [--kernel native|portable] [FILE...]    only these files; native where nothing is said
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

kernel=native
if [[ ${1:-} == --kernel ]]; then
  kernel=${2:?native or portable}
  shift 2
fi
if [[ $# -gt 0 ]]; then files=("$@"); else mapfile -t files < <(find tests/pgtap -name '*.sql' | sort); fi
[[ ${#files[@]} -gt 0 ]] || die "no tests in tests/pgtap"
binderyd=${BINDERYD:-$(built binderyd)}
[[ -x $binderyd ]] || die "no $binderyd; run: make build"

dir=$(mktemp -d /tmp/bindery-pgtap.XXXXXX)
chmod 755 "$dir"
trap 'scripts/servers.sh stop "$dir"; rm -rf "$dir"' EXIT
scripts/servers.sh start "$dir"
# shellcheck source=/dev/null
source "$dir/env"
"$binderyd" migrate --kernel "$kernel" --database-url "$DATABASE_URL"
psql -Xq -v ON_ERROR_STOP=1 -d "$DATABASE_URL" -c 'create schema tap' -c 'create extension pgtap schema tap'
# Each file opens a transaction and rolls it back; pgTAP's functions are found without a prefix.
if [[ ! -e $("$PG_CONFIG" --sharedir)/extension/plpgsql_check.control ]]; then
  skipped "plpgsql_check on PostgreSQL $PG_MAJOR" "postgresql-$PG_MAJOR-plpgsql-check is not installed"
fi
PGOPTIONS='-c search_path=tap,pg_catalog' pg_prove -d "$DATABASE_URL" "${files[@]}"
