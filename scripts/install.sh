#!/usr/bin/env bash
# Installs the built program, its unit for systemd, an example of its configuration, and the
# operator's pages of docs/. It starts nothing. PREFIX is where programs go; DESTDIR is put before
# every path, for building packages. BINDERYD is the program to install.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"
cd "$ROOT"

prefix=${PREFIX:-/usr/local}
destdir=${DESTDIR:-}
units=${UNITDIR:-/etc/systemd/system}
config=${SYSCONFDIR:-/etc}/binderyd
binary=${BINDERYD:-$(built binderyd)}
[[ -x $binary ]] || die "no $binary; run: make build, or: cargo build --release -p binderyd"

# put MODE FILE TO
put() {
  install -D -m "$1" "$2" "$destdir$3"
  echo "    $destdir$3"
}

put 755 "$binary" "$prefix/bin/binderyd"
unit=$(mktemp)
trap 'rm -f "$unit"' EXIT
sed -e "s#/usr/local/bin/#$prefix/bin/#; s#/usr/local/share/#$prefix/share/#" \
  -e "s#=/etc/binderyd/#=$config/#" deploy/systemd/binderyd.service >"$unit"
put 644 "$unit" "$units/binderyd.service"
pages=$(mktemp -d)
trap 'rm -rf "$unit" "$pages"' EXIT
"$binary" man "$pages"
for page in "$pages"/*.1; do put 644 "$page" "$prefix/share/man/man1/${page##*/}"; done
for shell in bash:bash-completion/completions/binderyd zsh:zsh/site-functions/_binderyd \
  fish:fish/vendor_completions.d/binderyd.fish; do
  "$binary" completions "${shell%%:*}" >"$pages/completions"
  put 644 "$pages/completions" "$prefix/share/${shell#*:}"
done
put 644 LICENSE "$prefix/share/doc/binderyd/LICENSE"
for page in install configure monitor alerts scale maintain upgrade commands; do
  put 644 "docs/$page.md" "$prefix/share/doc/binderyd/$page.md"
done
put 644 deploy/systemd/env.example "$prefix/share/doc/binderyd/env.example"
put 644 deploy/prometheus/alerts.yml "$prefix/share/doc/binderyd/alerts.yml"
put 644 deploy/grafana/bindery.json "$prefix/share/doc/binderyd/grafana.json"
# An existing configuration is kept.
if [[ ! -e $destdir$config/env ]]; then put 600 deploy/systemd/env.example "$config/env"; fi
if [[ -z $destdir && -d /run/systemd/system ]]; then
  systemctl daemon-reload
  echo "Write the addresses into $config/env, then: systemctl enable --now binderyd"
fi
