#!/usr/bin/env bash
# Builds everything that a user would install, from one compile of the program, into dist/. What was
# there is replaced once all is built. docs/install.md describes the files.
#
#   dist.sh build    MAJORS='15 17': the extension for these majors, which postgres.sh finds or
#                    makes; by default for those whose server headers are installed
#                    QUICK=1: compile nothing, package what `make build` has built, which needs the
#                    C library of this machine
#   dist.sh check    versions, container files, workflows; needs no build
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

parts=deploy/packages
# The oldest C library that the programs run with: Debian 11's and Ubuntu 20.04's.
GLIBC=2.31
ACTIONLINT=1.7.12
# All files in the packages have the time of the commit. The compilers do not see it: they would
# compile much anew at each commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)

need() { # COMMAND REMEDY
  has "$1" || die "no $1; $2"
}

platform() {
  case $(uname -sm) in
    'Linux x86_64') deb_arch=amd64 node_arch=x64 ;;
    'Linux aarch64') deb_arch=arm64 node_arch=arm64 ;;
    *) die "packages are built on Linux on x86_64 and aarch64; this is $(uname -sm)" ;;
  esac
  machine=$(uname -m)
}

# ---- programs and libraries

# zig links against the C library of that version.
compile_daemon() {
  env -u SOURCE_DATE_EPOCH "PATH=$venv/bin:$PATH" \
    cargo zigbuild --locked --profile dist --package binderyd \
    --target "$machine-unknown-linux-gnu.$GLIBC"
}

# The two calls of cargo would undo each other's work in one folder.
extension_target() { echo "$(target_dir)/packages/extension"; }

# compiled FILE: where cargo has put it.
compiled() {
  local target
  if [[ -n ${QUICK:-} ]]; then built "$1"; else
    if [[ $1 == *.so ]]; then target=$(extension_target); else target=$(target_dir); fi
    echo "$target/$machine-unknown-linux-gnu/dist/$1"
  fi
}

# libc_of FILE: the version of the C library that it needs. A file that needs other libraries than
# that and gcc's is refused.
libc_of() {
  local others
  others=$(readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -vE '^(lib(c|m|dl|rt|pthread|gcc_s)\.so|ld-linux)' || true)
  [[ -z $others ]] || die "$1 needs a library that the packages do not name: $others"
  readelf --version-info "$1" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n1
}

# libraries_of FILE: the same as Debian's packages.
libraries_of() {
  local gcc
  gcc=$(readelf --dynamic "$1" | sed -n 's/.*\[libgcc_s.*/, libgcc-s1/p')
  echo "libc6 (>= $(libc_of "$1"))$gcc"
}

# take FILE TO: a compiled file, stripped.
take() {
  [[ -e $(compiled "$1") ]] || die "no $(compiled "$1"); run: make build"
  strip --strip-unneeded -o "$2" "$(compiled "$1")"
  chmod 755 "$2"
  local libc
  libc=$(libc_of "$2")
  [[ -n ${QUICK:-} || $(printf '%s\n' "$libc" "$GLIBC" | sort -V | tail -n1) == "$GLIBC" ]] ||
    die "$2 needs glibc $libc; at most $GLIBC is promised"
}

# Sets pg_configs, by the majors that the extension is built for, and skipped, the others.
find_majors() {
  local major supported pg_config
  supported=$(sed -n 's/^pg\([0-9]*\) = .*/\1/p' extension/Cargo.toml)
  pg_configs=() skipped=
  for major in ${MAJORS:-}; do
    grep -qx "$major" <<<"$supported" ||
      die "MAJORS names $major; the extension supports PostgreSQL $(paste -sd, <<<"$supported")"
  done
  for major in $supported; do
    pg_config=/usr/lib/postgresql/$major/bin/pg_config
    if [[ -n ${QUICK:-} ]]; then
      if [[ $major == "$PG_MAJOR" ]]; then pg_configs[major]=$PG_CONFIG; else skipped+=" $major"; fi
    elif [[ " ${MAJORS:-} " == *" $major "* ]]; then
      pg_configs[major]=$(PG_CONFIG='' scripts/postgres.sh "$major") || exit 1
    elif [[ -z ${MAJORS:-} && -e $("$pg_config" --includedir-server 2>/dev/null)/postgres.h ]]; then
      pg_configs[major]=$pg_config
    else
      skipped+=" $major"
    fi
  done
}

# By cargo itself with zig as its linker: `cargo zigbuild` points bindgen to zig's headers, with
# which those of PostgreSQL do not compile.
compile_extension() { # MAJOR
  local linker variable
  linker=$(target_dir)/packages/linker
  # shellcheck disable=SC2016  # the linker's own arguments
  printf '#!/bin/sh\nexec "%s" zig cc -- -target %s-linux-gnu.%s "$@"\n' \
    "$venv/bin/cargo-zigbuild" "$machine" "$GLIBC" >"$linker"
  chmod +x "$linker"
  variable=CARGO_TARGET_${machine^^}_UNKNOWN_LINUX_GNU_LINKER
  env -u SOURCE_DATE_EPOCH "PATH=$venv/bin:$PATH" "$variable=$linker" \
    "CARGO_TARGET_DIR=$(extension_target)" "PGRX_PG_CONFIG_PATH=${pg_configs[$1]}" \
    cargo build --locked --profile dist --target "$machine-unknown-linux-gnu" \
    --package bindery --lib --no-default-features --features "pg$1"
}

# ---- packages

# fill FILE TO: with the fields between @ replaced.
fill() {
  sed -e "s/@VERSION@/$version/g; s/@DEB_ARCH@/$deb_arch/g; s/@NODE_ARCH@/$node_arch/g" \
    -e "s/@MAJOR@/${major:-}/g; s/@SIZE@/${size:-}/g; s/@LIBRARIES@/${libraries:-}/g" "$1" >"$2"
}

# archive TREE FILE: a tarball that is the same whenever it is made.
archive() {
  tar --create --directory "${1%/*}" --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
    --owner=0 --group=0 --numeric-owner "${1##*/}" |
    gzip --no-name -9 >"$2"
}

tarball() {
  local tree=$work/tarball
  DESTDIR=$tree PREFIX=/usr/local UNITDIR=/usr/local/lib/systemd/system BINDERYD=$program \
    scripts/install.sh
  # The example of the configuration is among the documentation, too.
  mv "$tree/usr/local" "$work/binderyd-$version"
  archive "$work/binderyd-$version" "$out/binderyd-$version-$machine-linux.tar.gz"
}

# debian PART NAME TREE
debian() {
  local file size
  mkdir -p "$3/usr/share/doc/$2" "$3/DEBIAN"
  install -m 644 LICENSE "$3/usr/share/doc/$2/copyright"
  size=$(du --summarize --apparent-size --block-size=1K "$3" | cut -f1)
  for file in "$parts/debian/$1"/*; do fill "$file" "$3/DEBIAN/${file##*/}"; done
  chmod 755 "$3"/DEBIAN/p* 2>/dev/null || true
  (cd "$3" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  dpkg-deb --root-owner-group -Zxz --build "$3" "$out/$2_${version}_$deb_arch.deb"
}

debian_daemon() {
  local tree=$work/debian libraries
  libraries=$(libraries_of "$program")
  DESTDIR=$tree PREFIX=/usr UNITDIR=/usr/lib/systemd/system BINDERYD=$program scripts/install.sh
  gzip --no-name -9 "$tree"/usr/share/man/man1/*.1
  rm "$tree/usr/share/doc/binderyd/LICENSE"
  debian binderyd binderyd "$tree"
}

debian_extension() { # MAJOR
  local major=$1 tree=$work/debian-$1 libraries
  libraries=$(libraries_of "$work/bindery-$1.so")
  install -D -m 644 "$work/bindery-$1.so" "$tree/usr/lib/postgresql/$1/lib/bindery.so"
  mkdir -p "$tree/usr/share/postgresql/$1/extension"
  install -m 644 extension/bindery.control extension/sql/bindery--*.sql \
    "$tree/usr/share/postgresql/$1/extension/"
  debian extension "postgresql-$1-bindery" "$tree"
}

wheel() {
  local tree=$work/wheel libc
  libc=$(libc_of "$program")
  mkdir "$tree"
  cp "$parts"/wheel/* LICENSE "$tree/"
  fill "$parts/wheel/pyproject.toml" "$tree/pyproject.toml"
  cp "$program" "$tree/binderyd"
  (
    cd "$tree"
    export WHEEL_PLATFORM=manylinux_${libc/./_}_$machine
    "$venv/bin/hatchling" build --target wheel --directory "$out"
  )
}

npm_daemon() {
  local part
  for part in npm npm-platform; do
    cp -r "$parts/$part" "$work/$part"
    fill "$parts/$part/package.json" "$work/$part/package.json"
    cp LICENSE "$work/$part/"
  done
  cp "$program" "$work/npm-platform/binderyd"
  npm pack --silent --pack-destination "$out" "$work/npm" "$work/npm-platform"
}

# The whole schema with the portable kernel, for three ways to install it.
schema() {
  local sql=$work/schema.sql tree=$work/dbdev/bindery
  "$program" migration --kernel portable >"$sql"
  cp "$sql" "$out/$(basename supabase/migrations/*_bindery.sql)"
  {
    echo "-- Bindery $version for PostgreSQL 15 or later: the whole schema, all of it or nothing."
    printf 'begin;\n\n'
    cat "$sql"
    printf '\ncommit;\n'
  } >"$out/bindery-$version.sql"
  # Its tables must not be members of the extension: pg_dump would not save them.
  mkdir -p "$tree"
  cp "$parts/dbdev/README.md" "$tree/"
  fill "$parts/dbdev/bindery.control" "$tree/bindery.control"
  ! grep -q 'bindery_\(install\|package\)\$' "$sql" ||
    die "the schema contains the quotes that the package puts around it"
  cat "$parts/dbdev/begin.sql" "$sql" "$parts/dbdev/end.sql" >"$tree/bindery--$version.sql"
  archive "$tree" "$out/bindery-dbdev-$version.tar.gz"
}

clients() {
  (cd clients/python && "$venv/bin/hatchling" build --directory "$out")
  scripts/react.sh pack "$out"
  scripts/typescript.sh pack "$out"
}

package_daemon() {
  tarball
  debian_daemon
  wheel
  npm_daemon
}

build() {
  local file major
  platform
  need cargo 'run: make setup'
  need python3 'install Python 3.10 or later with its module venv'
  need npm 'run: make setup'
  need dpkg-deb 'install the package dpkg'
  need readelf 'install the package binutils'
  find_majors
  check
  # Beside what it replaces, so that it can be renamed.
  work=$(mktemp -d "$ROOT/.dist.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  out=$work/out
  program=$work/binderyd
  mkdir "$out"
  if [[ -z ${QUICK:-} ]]; then step "compiling binderyd" compile_daemon; fi
  take binderyd "$program"
  for major in "${!pg_configs[@]}"; do
    if [[ -z ${QUICK:-} ]]; then
      step "compiling the extension for PostgreSQL $major" compile_extension "$major"
    fi
    take libbindery.so "$work/bindery-$major.so"
  done
  step "packaging binderyd: tarball, Debian, wheel, npm" package_daemon
  for major in "${!pg_configs[@]}"; do
    step "packaging the extension for PostgreSQL $major" debian_extension "$major"
  done
  step "packaging the schema: SQL, Supabase, dbdev" schema
  step "packaging the clients" clients
  (cd "$out" && sha256sum -- * >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)
  rm -rf dist
  mv "$out" dist
  echo "==> in dist/, with sizes in kB:"
  for file in dist/*; do
    printf '%10d  %s\n' $((($(stat -c %s "$file") + 999) / 1000)) "${file#dist/}"
  done
  skipped=${skipped# }
  [[ -z $skipped ]] || echo "==> not built: the extension for PostgreSQL ${skipped// /, };" \
    "for these, too: make dist MAJORS='${!pg_configs[*]} $skipped'"
}

# ---- checks

# The workspace's version is that of every package.
check_versions() {
  local file found
  local versions='s/^version = "\(.*\)"$/\1/p; s/^  "version": "\(.*\)",$/\1/p
    s/^      "version": "\(.*\)",$/\1/p; s/^default_version = .\(.*\).$/\1/p'
  for file in clients/*/pyproject.toml clients/*/package.json \
    clients/react/package-lock.json extension/bindery.control; do
    [[ -e $file ]] || continue
    # A lock file has the package first, twice.
    found=$(sed -n "$versions" "$file" | head -n1)
    [[ $found == "$version" ]] || die "$file has the version $found; Cargo.toml has $version"
  done
  file=extension/sql/bindery--$version.sql
  [[ -e $file ]] || die "no $file for the version of Cargo.toml"
}

# What a container file takes from the checkout is there, and .dockerignore lets it pass.
check_container() { # FILE
  local path
  while read -r path; do
    compgen -G "$path" >/dev/null || die "$1 takes $path, which does not exist"
    ! git -c core.excludesFile="$ROOT/.dockerignore" check-ignore --quiet --no-index "$path" ||
      die "$1 takes $path, which .dockerignore excludes"
  done < <(
    sed -n 's/^COPY \([^-].*\) [^ ]*$/\1/p' "$1" | tr ' ' '\n'
    # Files of the checkout in commands.
    grep -vE '^ *(#|FROM |COPY )' "$1" |
      grep -oE '(^|[ "])(extension|sql|supabase|deploy)/[^ ";]+' | tr -d ' "'
  )
}

# actionlint is written in Go.
check_workflows() {
  local bin
  bin=$(target_dir)/packages/bin
  if [[ ! -x $bin/actionlint ]]; then
    has go || { echo "==> not checked, since there is no Go: the workflows"; return; }
    GOBIN=$bin again go install "github.com/rhysd/actionlint/cmd/actionlint@v$ACTIONLINT"
  fi
  "$bin/actionlint"
}

check() {
  local file
  local containers=(deploy/docker/Dockerfile supabase/self-hosted/Dockerfile)
  check_versions
  for file in "${containers[@]}"; do check_container "$file"; done
  while read -r file; do
    [[ -e $file ]] || die "docker-compose.bindery.yml names $file, which does not exist"
  done < <(sed -n 's/^ *dockerfile: //p' supabase/self-hosted/docker-compose.bindery.yml)
  venv=$(target_dir)/packages/venv
  make_venv "$venv" "$parts/requirements.txt"
  "$venv/bin/hadolint" "${containers[@]}"
  check_workflows
}

case ${1:-} in
  build | check) "$1" ;;
  *) die "usage: dist.sh build|check" ;;
esac
