#!/usr/bin/env bash
# The Python package's own checks: style, types, and its tests against a real Postgres, Redis and
# binderyd. Style, types and tests of the example comic, too.
#
#   python.sh [check|test [ARGUMENT...]|bench]    only one of them; arguments go to pytest
#
# BINDERYD is the daemon (target/release/binderyd by default), PYTHON the interpreter, 3.10 or
# later.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT/clients/python"

PYTHON=${PYTHON:-python3}
has "$PYTHON" || die "no $PYTHON; run: make setup"
version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  die "$PYTHON is Python $version; the package needs 3.10 or later"
venv=$ROOT/target/python/venv-$version
bin=$venv/bin

make_venv "$venv" requirements-dev.txt "$ROOT/clients/python"

check() {
  "$bin/ruff" format --check .
  "$bin/ruff" check .
  "$bin/mypy"
  (cd "$ROOT/examples/comic" && "$bin/ruff" format --check . && "$bin/ruff" check . && "$bin/mypy")
}

run_tests() {
  export BINDERYD=${BINDERYD:-$ROOT/target/release/binderyd}
  [[ -x $BINDERYD ]] || die "no $BINDERYD; run: make build"
  "$bin/python" -m pytest "$@"
}

case ${1:-all} in
  check) check ;;
  test)
    shift
    run_tests "$@"
    ;;
  bench) "$bin/python" benchmarks/track.py ;;
  all)
    check
    run_tests
    (cd "$ROOT/examples/comic" && "$bin/python" -m pytest)
    ;;
  *) die "usage: python.sh [check|test [ARGUMENT...]|bench]" ;;
esac
