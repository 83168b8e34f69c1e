#!/usr/bin/env bash
# The daemon's API as its OpenAPI document describes it: the document is valid, and schemathesis,
# which makes requests of all kinds from it, finds no answer 5xx and none that is not documented.
#
#   api.sh [ARGUMENT...]      arguments go to schemathesis, such as --include-path /api/events
#
# PYTHON is the interpreter, 3.10 or later; EXAMPLES how many requests of each kind are made.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "$0")/lib.sh"

PYTHON=${PYTHON:-python3}
has "$PYTHON" || die "no $PYTHON; run: make setup"
version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
venv=$ROOT/target/python/api-$version
make_venv "$venv" "$ROOT/tests/api/requirements.txt"

dir=$(mktemp -d /tmp/bindery-api.XXXXXX)
chmod 755 "$dir"
trap '"$ROOT/scripts/daemon.sh" stop "$dir"
  "$ROOT/scripts/servers.sh" stop "$dir"
  rm -rf "$dir"' EXIT
"$ROOT/scripts/servers.sh" start "$dir"
"$ROOT/scripts/daemon.sh" start "$dir"
url=$(<"$dir/binderyd.http")
# schemathesis keeps what it found in the current folder.
cd "$dir"

"$venv/bin/python" - "$url" "$dir/openapi.json" <<'PYTHON'
"""Saves and validates the document, and registers the book that the requests are about."""

import json
import sys
import urllib.request

from openapi_spec_validator import validate

BOOK = "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b"
url, file = sys.argv[1:]
with urllib.request.urlopen(f"{url}/api/openapi.json") as answer:
    document = json.load(answer)
validate(document)
with open(file, "w") as out:
    json.dump(document, out)
batch = [
    {"type": "register", "book_id": BOOK},
    {"type": "begin", "book_id": BOOK, "to_status": "ANALYZING"},
]
headers = {"Content-Type": "application/json"}
request = urllib.request.Request(f"{url}/api/events", json.dumps(batch).encode(), headers)
with urllib.request.urlopen(request) as answer:
    assert all(o["outcome"] == "applied" for o in json.load(answer)["outcomes"])
PYTHON

# Streams of events do not end. A body of text/event-stream has no schema to check it with.
checks=not_a_server_error,status_code_conformance,content_type_conformance
checks+=,response_headers_conformance,response_schema_conformance
for id in known any; do
  echo "==> requests about $id book"
  config=$dir/$id.toml
  : >"$config"
  if [[ $id == known ]]; then
    printf '[parameters]\n"path.id" = "6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b"\n' >"$config"
  fi
  "$venv/bin/schemathesis" --config-file "$config" run "$dir/openapi.json" --url "$url" \
    --exclude-operation-id watchBook --exclude-operation-id watchBooks \
    --checks "$checks" --phases examples,coverage,fuzzing --max-examples "${EXAMPLES:-50}" \
    --seed 1 --generation-database none --warnings off --suppress-health-check all "$@"
done
