// A relay as a careful team would write it by hand: the one that Bindery is measured beside.
//   DATABASE_URL=… REDIS_URL=… node relay.js STREAM EVENTS
// Reads EVENTS entries through a consumer group, up to 5,000 at a time, and keeps the last report
// of each substep. Two set-based statements in one transaction apply what was read; then it is
// acknowledged. Prints one line of JSON; the time runs from the first read to the last commit.
import process from 'node:process';
import { Redis } from 'ioredis';
import pg from 'pg';

const BATCH = 5000;
const GROUP = 'relay';
const CONSUMER = 'bench';

const UPSERT = {
  name: 'upsert',
  text: `
    insert into peer.book_progress as p (book_id, stage, substep, progress)
    select r.book_id, r.stage, r.substep, r.progress
    from unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[])
      as r (book_id, stage, substep, progress)
    on conflict (book_id, stage, substep) do update
    set progress = greatest(p.progress, excluded.progress), updated_at = now()`,
};

// Where a stage starts and what it weighs are those of the pipeline comic.
const ROLL_UP = {
  name: 'roll_up',
  text: `
    update peer.book_status b
    set overall_progress = case r.stage
          when 'ANALYZING' then 0.20 * r.mean
          when 'GENERATING_SCENES' then 20 + 0.30 * r.mean
          when 'CREATING_ARTWORK' then 50 + 0.50 * r.mean
          else b.overall_progress end,
        updated_at = now()
    from (
      select p.book_id, p.stage, sum(p.progress) / 3 as mean
      from peer.book_progress p
      where p.book_id = any ($1::uuid[])
      group by p.book_id, p.stage
    ) r
    where b.book_id = r.book_id and b.current_stage = r.stage`,
};

const [stream, count] = process.argv.slice(2);
const wanted = Number(count);
const redis = new Redis(process.env.REDIS_URL);
const database = new pg.Client({ connectionString: process.env.DATABASE_URL });
await database.connect();
await redis.xgroup('CREATE', stream, GROUP, '0').catch((error) => {
  // A second run continues where the first one ended.
  if (!String(error).includes('BUSYGROUP')) throw error;
});

const fieldsOf = (flat) => {
  const fields = {};
  for (let at = 0; at < flat.length; at += 2) fields[flat[at]] = flat[at + 1];
  return fields;
};

const apply = async (reports) => {
  const columns = ['book_id', 'stage', 'substep', 'progress'];
  const values = columns.map((column) => reports.map((report) => report[column]));
  await database.query('begin');
  await database.query({ ...UPSERT, values });
  await database.query({ ...ROLL_UP, values: [[...new Set(values[0])]] });
  await database.query('commit');
};

let events = 0;
let rows = 0;
let ended;
const began = process.hrtime.bigint();
while (events < wanted) {
  const read = await redis.xreadgroup(
    ...['GROUP', GROUP, CONSUMER, 'COUNT', BATCH, 'BLOCK', 1000, 'STREAMS', stream, '>'],
  );
  if (!read) throw new Error(`the stream ended after ${events} of ${wanted} events`);
  const latest = new Map();
  const ids = [];
  for (const [id, flat] of read[0][1]) {
    const fields = fieldsOf(flat);
    ids.push(id);
    latest.set(`${fields.book_id} ${fields.stage} ${fields.substep}`, fields);
  }
  await apply([...latest.values()]);
  ended = process.hrtime.bigint();
  await redis.xack(stream, GROUP, ...ids);
  events += ids.length;
  rows += latest.size;
}

const seconds = Number(ended - began) / 1e9;
console.log(JSON.stringify({ events, rows, seconds, events_per_second: events / seconds }));
redis.disconnect();
await database.end();
