#!/usr/bin/env bash
# Runs k6 over REST with 10, 50 and 200 books at once (or as many as the arguments give), and looks
# at the database afterwards. scripts/supabase.sh load starts what it runs against, and passes that
# by API_URL, SECRET_KEY and DATABASE_URL.
set -euo pipefail
cd "$(dirname "$0")"

k6=${K6:-k6}
bearer=$(node --input-type=module -e '
  const { token } = await import(process.argv[1]);
  console.log(token({ role: "service_role" }));
' "$PWD/../supabase/stack.js")

if [[ $# -eq 0 ]]; then set -- 10 50 200; fi
for books in "$@"; do
  echo "==> $books books at once"
  K6_NO_USAGE_REPORT=true "$k6" run --quiet --no-color -e API_URL="$API_URL" \
    -e API_KEY="$SECRET_KEY" -e BEARER="$bearer" -e BOOKS="$books" \
    concurrent-status-updates.js
done

# k6 has looked at each book; this looks at what belongs to none.
psql -XAtq -v ON_ERROR_STOP=1 -d "$DATABASE_URL" <<'SQL'
do $$
declare
  wrong text;
begin
  select string_agg(what, ', ') into wrong from (
    select format('%s books are not COMPLETED', count(*)) from bindery.book_status
    where status <> 'COMPLETED' having count(*) > 0
    union all
    select format('%s revisions stand twice in the history', count(*)) from (
      select from bindery.book_events group by book_id, revision having count(*) > 1) twice
    having count(*) > 0
    union all
    select format('%s messages of the outbox are of no row of the history', count(*))
    from bindery.outbox o
    where not exists (select from bindery.book_events e
      where e.book_id = o.book_id and e.revision = o.revision)
    having count(*) > 0
    union all
    select format('%s deadlocks', deadlocks) from pg_stat_database
    where datname = current_database() and deadlocks > 0
  ) as found(what);
  if wrong is not null then
    raise exception 'After the load: %.', wrong;
  end if;
end
$$;
select format('%s books, %s rows of history, %s messages in the outbox; no deadlock',
  (select count(*) from bindery.book_status),
  (select count(*) from bindery.book_events), (select count(*) from bindery.outbox));
SQL
