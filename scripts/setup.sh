#!/usr/bin/env bash
# Installs what Bindery's build, demo and tests need and this machine lacks. Checks the machine
# itself each time (no stamps), so it is fast if nothing is missing, and restores what was removed.
# On Debian and Ubuntu, as root or through sudo; elsewhere it prints what to install by hand.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"

missing=()

# need PACKAGE CHECK...: the package is missing unless the check succeeds.
need() {
  local package=$1
  shift
  "$@" || missing+=("$package")
}

has_c() { has cc && has make; }
# The plain name comes with the -dev package only, which also brings the headers that bindgen needs.
has_libclang() {
  [[ -n ${LIBCLANG_PATH:-} ]] || compgen -G '/usr/lib/llvm-*/lib/libclang.so' >/dev/null ||
    compgen -G '/usr/lib*/libclang.so' >/dev/null
}
has_node() { has node && node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)'; }
has_venv() { has python3 && python3 -c 'import ensurepip' >/dev/null 2>&1; }
has_chromium() {
  [[ -n ${CHROMIUM:-} ]] || has chromium || has chromium-browser || has google-chrome
}
has_pgbouncer() { has pgbouncer || [[ -x /usr/sbin/pgbouncer ]]; }
has_faketime() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; }
has_fonts() { compgen -G '/usr/share/fonts/*/*' >/dev/null; }
pg_file() { [[ -x $PG_CONFIG && -e $("$PG_CONFIG" "$1")/$2 ]]; }

find_missing() {
  missing=()
  need build-essential has_c
  need libclang-dev has_libclang
  need "postgresql-$PG_MAJOR" pg_file --bindir postgres
  need "postgresql-server-dev-$PG_MAJOR" pg_file --includedir-server postgres.h
  need "postgresql-$PG_MAJOR-pgtap" pg_file --sharedir extension/pgtap.control
  need libtap-parser-sourcehandler-pgtap-perl has pg_prove
  need redis-server has redis-server
  need openssl has openssl
  # The demo's workers are Python programs.
  need python3-venv has_venv
  # For the tests alone.
  if [[ -z ${WITHOUT_NODE:-} ]]; then
    need systemd has systemd-analyze
    need pgbouncer has_pgbouncer
    need faketime has_faketime
  fi
  # For the tests and `make bench ONLY=peer`. Debian's npm comes in 400 packages, so nothing else
  # installs it.
  if [[ -z ${WITHOUT_NODE:-} || -n ${WITH_PEER:-} ]]; then
    need nodejs has_node
    need npm has npm
  fi
  # For `make test-web` and `make bench`.
  if [[ -n ${WITH_WEB:-}${WITH_BENCH:-} ]]; then
    need "postgresql-$PG_MAJOR-wal2json" pg_file --pkglibdir wal2json.so
  fi
  # For `make test-web` alone.
  if [[ -n ${WITH_WEB:-} ]]; then
    # For the page's tests and pictures; with fonts, so that text is visible.
    # Ubuntu's package is a snap, which runs in no container: bring one, and name it in CHROMIUM.
    if ! grep -qs '^ID=ubuntu' /etc/os-release; then need chromium has_chromium; fi
    need fonts-liberation has_fonts
  fi
}

check_rust() {
  local wanted found
  has cargo || die "no Rust toolchain. Install one as https://rustup.rs describes:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
  then run this again."
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")
  # In the checkout rustup picks the toolchain that rust-toolchain.toml names.
  found=$(cd "$ROOT" && rustc --version | cut -d' ' -f2) ||
    die "rustc does not run; see the message above"
  [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n1) == "$wanted" ]] ||
    die "Rust $wanted or newer is needed, this is $found. With rustup: rustup update stable"
}

check_pg_major() {
  grep -q "^pg$PG_MAJOR = " "$ROOT/extension/Cargo.toml" ||
    die "PG_MAJOR=$PG_MAJOR: the extension supports" \
      "$(sed -n 's/^pg\([0-9]*\) = .*/PostgreSQL \1/p' "$ROOT/extension/Cargo.toml" | paste -sd,)" \
      "for now"
}

# The dependencies that set-up cannot install here, in one line.
by_hand() { # WHY
  local named=${missing[*]}
  if [[ $named == *build-essential* ]]; then
    named="a C compiler (build-essential)${named/build-essential/}"
  fi
  die "missing: $named; $1. Install them by hand, as CONTRIBUTING.md lists, then run this again"
}

# Installing postgresql would also create and enable an unwanted cluster `main`.
without_main_cluster() {
  local conf=/etc/postgresql-common/createcluster.d/bindery-setup.conf failed=0
  as_root mkdir -p "${conf%/*}"
  echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
  "$@" || failed=$?
  as_root rm -f "$conf"
  return "$failed"
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

has_candidate() {
  [[ $(apt-cache policy "postgresql-server-dev-$PG_MAJOR" |
    sed -n 's/^ *Candidate: //p') =~ ^[0-9] ]]
}

# Ubuntu has other majors than Debian 12; the PostgreSQL project's own package source has them all.
add_pgdg() {
  step "installing postgresql-common" \
    without_main_cluster apt_install postgresql-common ca-certificates
  step "adding the PostgreSQL project's package source, for PostgreSQL $PG_MAJOR" \
    as_root /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y
  step "apt-get update" again as_root apt-get update
  has_candidate ||
    die "neither this system nor the PostgreSQL project has PostgreSQL $PG_MAJOR for it;" \
      "set PG_CONFIG to one of your own"
}

install_missing() {
  has apt-get || by_hand "this system has no apt-get"
  is_root || has sudo || by_hand "installing them needs root, and there is no sudo"
  is_root || as_root -v # asks for the password now, not in the middle of a line
  step "apt-get update" again as_root apt-get update
  has_candidate || pg_file --bindir postgres || add_pgdg
  step "installing ${missing[*]}" again without_main_cluster apt_install "${missing[@]}"
  if [[ " ${missing[*]} " == *" redis-server "* && -d /run/systemd/system ]]; then
    echo "    The package may have started a Redis service of its own on port 6379." \
      "Bindery does not use it."
  fi
  find_missing
  [[ ${#missing[@]} -eq 0 ]] || die "still missing after the installation: ${missing[*]}"
}

check_pg_major
check_rust
find_missing
if [[ ${#missing[@]} -gt 0 ]]; then install_missing; fi
