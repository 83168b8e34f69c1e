#!/usr/bin/env bash
# The tests that depend on PostgreSQL, on one of its major versions: the extension is built for it;
# pgTAP and the end-to-end tests run on both kernels. The server is found or made by postgres.sh.
# One line of timings at the end.
#
#   test-pg.sh MAJOR           with QUICK=1: end to end only the schema's tests, on the native
# kernel
# shellcheck source-path=SCRIPTDIR
given=${PG_CONFIG:-}
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

[[ $# -eq 1 && $1 =~ ^[0-9]+$ ]] || die "which PostgreSQL? make test-pg PG=17 (15 to 18)"
export PG_MAJOR=$1
PG_CONFIG=$(PG_CONFIG=$given scripts/postgres.sh "$PG_MAJOR") || exit 1
export PG_CONFIG
timings=
failed=

# Continues after a failure, to show every difference of this version.
suite() { # NAME COMMAND...
  local name=$1 began=$SECONDS
  shift
  echo "==> PostgreSQL $PG_MAJOR: $name"
  "$@" || failed+=" $name"
  timings+=" $name $((SECONDS - began)) s;"
}

build() {
  WITHOUT_NODE=yes scripts/setup.sh
  local packages=()
  if [[ -z ${BINDERYD:-} ]]; then packages=(binderyd); fi
  scripts/build.sh "${packages[@]}"
  cargo test --workspace --exclude bindery --test e2e --no-run
}

end_to_end() { # KERNEL ARGUMENT...
  local kernel=$1
  shift
  BINDERY_KERNEL=$kernel cargo test --workspace --exclude bindery --test e2e -- "$@"
}

"$PG_CONFIG" --version
echo "==> PostgreSQL $PG_MAJOR: building"
build
timings=" build $SECONDS s;"
suite pgtap-native scripts/pgtap.sh --kernel native
suite pgtap-portable scripts/pgtap.sh --kernel portable
if [[ -n ${QUICK:-} ]]; then
  suite end-to-end-schema end_to_end native upgrade:: dump:: migrate:: kernels:: illegal::
else
  suite end-to-end-native end_to_end native
  suite end-to-end-portable end_to_end portable --skip kernels::
fi
echo "==> PostgreSQL $PG_MAJOR:${timings%;}"
[[ -z $failed ]] || die "PostgreSQL $PG_MAJOR failed:$failed"
