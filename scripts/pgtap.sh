#!/usr/bin/env bash
# Runs the pgTAP tests (tests/pgtap/*/*.sql) against a private Postgres with the schema in it.
#
#   pgtap.sh [--kernel native|portable] [FILE...]   only these files; native by default
#   pgtap.sh --pglite [FILE...]                     in PGlite, on the schema of the npm package;
#                                                   each file has as many tests as it had in the
#                                                   last run with --kernel portable
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

# What PGlite cannot run, and why.
declare -A not_in_pglite=(
  [tests/pgtap/catalog/plpgsql_check.sql]="PGlite has no plpgsql_check, a native library"
)

kernel=native
case ${1:-} in
  --kernel)
    kernel=${2:?native or portable}
    shift 2
    ;;
  --pglite)
    kernel=pglite
    shift
    ;;
esac
if [[ $# -gt 0 ]]; then files=("$@"); else
  mapfile -t files < <(find tests/pgtap -name '*.sql' | sort)
fi
[[ ${#files[@]} -gt 0 ]] || die "no tests in tests/pgtap"

dir=$(mktemp -d /tmp/bindery-pgtap.XXXXXX)
chmod 755 "$dir"

start_postgres() {
  local binderyd=${BINDERYD:-$(built binderyd)}
  [[ -x $binderyd ]] || die "no $binderyd; run: make build"
  trap 'scripts/servers.sh stop "$dir"; rm -rf "$dir"' EXIT
  scripts/servers.sh start "$dir"
  # shellcheck source=/dev/null
  source "$dir/env"
  "$binderyd" migrate --kernel "$kernel" --database-url "$DATABASE_URL"
  psql -Xq -v ON_ERROR_STOP=1 -d "$DATABASE_URL" -c 'create schema tap' \
    -c 'create extension pgtap schema tap'
}

start_pglite() {
  [[ -f clients/typescript/dist/testing/index.js ]] ||
    die "no build; run: scripts/typescript.sh build"
  exec 3< <(exec node clients/typescript/scripts/pgtap-server.mjs)
  pglite=$!
  trap 'kill "$pglite" 2>/dev/null; rm -rf "$dir"' EXIT
  read -r DATABASE_URL <&3 || die "PGlite does not start; see the message above"
}

if [[ $kernel == pglite ]]; then
  for file in "${!not_in_pglite[@]}"; do
    [[ -f $file ]] || die "there is no $file to leave out"
  done
  start_pglite
  here=()
  for file in "${files[@]}"; do [[ -n ${not_in_pglite[$file]:-} ]] || here+=("$file"); done
  files=("${here[@]}")
else
  start_postgres
fi

# The output of each file is kept, for the comparison below.
kept=$(scratch)/pgtap
mkdir -p "$kept/$kernel"
cat >"$dir/psql" <<'PSQL'
#!/usr/bin/env bash
set -o pipefail
psql "$@" | tee "$KEPT/$(tr / . <<<"${!#}")"
PSQL
chmod +x "$dir/psql"
if [[ $kernel != pglite && ! -e $("$PG_CONFIG" --sharedir)/extension/plpgsql_check.control ]]; then
  skipped "plpgsql_check on PostgreSQL $PG_MAJOR" \
    "postgresql-$PG_MAJOR-plpgsql-check is not installed"
fi
# Each file opens a transaction and rolls it back; pgTAP's functions are found without a prefix.
KEPT=$kept/$kernel PGOPTIONS='-c search_path=tap,pg_catalog' \
  pg_prove --psql-bin "$dir/psql" -d "$DATABASE_URL" "${files[@]}"

if [[ $kernel == pglite ]]; then
  count() { grep -cE '^(not )?ok ' "$1" || true; }
  compared=0
  for file in "${files[@]}"; do
    name=${file//\//.}
    # Only a run of the file as it is now can be compared.
    [[ $kept/portable/$name -nt $file ]] || continue
    found=$(count "$kept/pglite/$name") wanted=$(count "$kept/portable/$name")
    [[ $found == "$wanted" ]] || die "$file: $found tests in PGlite, $wanted on Postgres"
    compared=$((compared + 1))
  done
  echo "==> $compared of ${#files[@]} files: as many tests as on Postgres with the portable kernel"
  if ((compared < ${#files[@]})); then
    skipped "the number of tests of $((${#files[@]} - compared)) files in PGlite" \
      "no run of them with --kernel portable to compare with"
  fi
  for file in "${!not_in_pglite[@]}"; do skipped "$file in PGlite" "${not_in_pglite[$file]}"; done
fi
