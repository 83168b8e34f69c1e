#!/usr/bin/env bash
# A PostgreSQL of any major version that the tests run on, with server headers and pgTAP: finds one,
# or makes one in a cache, and prints the path of its pg_config. What it does goes to standard
# error.
#
#   postgres.sh MAJOR
#
# The first of these that is there:
#   PG_CONFIG, where it is set and of that version
#   the system's packages: installed, or to be had by apt (on Ubuntu the PostgreSQL project's source
#   is added for that)
#   on Debian 12, where neither is: a substitute (substitutes.sh)
# shellcheck source-path=SCRIPTDIR
given=${PG_CONFIG:-}
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/substitutes.sh"

[[ $# -eq 1 && $1 =~ ^[0-9]+$ ]] || { sed -n 's/^#   \(postgres\.sh\)/\1/p' "$0" >&2; exit 2; }
major=$1
packaged=/usr/lib/postgresql/$major/bin/pg_config

# is_whole PG_CONFIG: of the version, runs, and has the headers.
is_whole() {
  [[ $("$1" --version 2>/dev/null) == "PostgreSQL $major"[!0-9]* &&
    -e $("$1" --includedir-server)/postgres.h && -x $("$1" --bindir)/postgres ]]
}

has_package() {
  has apt-cache && [[ $(apt-cache policy "postgresql-server-dev-$major" |
    sed -n 's/^ *Candidate: //p') =~ ^[0-9] ]]
}

if [[ -n $given ]]; then
  is_whole "$given" || die "PG_CONFIG=$given is not that of a PostgreSQL $major with server headers"
  echo "$given"
  exit
fi
if is_whole "$packaged" || has_package || ! has apt-get ||
  ! grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
  # On other systems setup.sh installs it, or prints what to install by hand.
  PG_CONFIG='' PG_MAJOR=$major "$ROOT/scripts/setup.sh" >&2
  echo "$packaged"
  exit
fi
substitute_postgres "$major"
