// k6: many books at once through the whole pipeline, over REST, and a check of every row and of the
// history at the end.
//
//   k6 run -e API_URL=https://PROJECT.supabase.co -e API_KEY=… -e BOOKS=50 tests/load/concurrent-status-updates.js
//
// API_KEY is the service's; BEARER a token of the role service_role where the key is none itself.
// Every book has a client of its own. The books stay, with {"load": RUN} in their metadata.
import { check, fail } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter, Trend } from 'k6/metrics';
import { uuidv4 } from './uuid.js';

const BOOKS = Number(__ENV.BOOKS || 50);
const UNITS = Number(__ENV.UNITS || 10);
const REST = `${__ENV.API_URL || fail('API_URL is not set')}/rest/v1`;
const KEY = __ENV.API_KEY || fail('API_KEY is not set');
const STAGES = [
  ['ANALYZING', 'extract_text'],
  ['GENERATING_SCENES', 'split_scenes'],
  ['CREATING_ARTWORK', 'panels'],
];
/** Every fifth book fails in the middle, and is resumed. */
const FAILS = (number) => number % 5 === 0;

export const options = {
  scenarios: {
    books: { executor: 'per-vu-iterations', vus: BOOKS, iterations: 1, maxDuration: '10m' },
  },
  setupTimeout: '1m',
  teardownTimeout: '5m',
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
  thresholds: {
    // What was not expected: anything but success, and anything but a conflict where one was
    // provoked.
    http_req_failed: ['rate==0'],
    checks: ['rate==1'],
    books_completed: [`count==${BOOKS}`],
    conflicts_provoked: [`count==${BOOKS * 2 * STAGES.length}`],
  },
};

const completed = new Counter('books_completed');
const provoked = new Counter('conflicts_provoked');
const writing = new Trend('write_duration', true);
const reading = new Trend('read_duration', true);

const headers = {
  apikey: KEY,
  Authorization: `Bearer ${__ENV.BEARER || KEY}`,
  'Content-Type': 'application/json',
  'Content-Profile': 'bindery',
  'Accept-Profile': 'bindery',
};
const succeeds = http.expectedStatuses({ min: 200, max: 299 });
const conflicts = http.expectedStatuses(409);

/** Calls a function that must succeed; its row. */
function call(name, args) {
  const answer = http.post(`${REST}/rpc/${name}`, JSON.stringify(args), {
    headers,
    responseCallback: succeeds,
    tags: { name },
  });
  writing.add(answer.timings.duration);
  if (!check(answer, { 'a call succeeds': (r) => r.status >= 200 && r.status < 300 })) {
    fail(`${name} of ${args.book_id}: ${answer.status} ${answer.body}`);
  }
  const row = answer.json();
  return Array.isArray(row) ? row[0] : row;
}

/** Calls a function that must be refused with this code. */
function conflict(name, args, code) {
  const answer = http.post(`${REST}/rpc/${name}`, JSON.stringify(args), {
    headers,
    responseCallback: conflicts,
    tags: { name: `${name} (refused)` },
  });
  const names = (r) =>
    r.status === 409 && r.json('code') === 'PT409' && JSON.parse(r.json('details')).code === code;
  check(answer, { 'what is provoked is a conflict that names its code': names });
  provoked.add(1);
}

function get(path) {
  const answer = http.get(`${REST}${path}`, {
    headers,
    responseCallback: succeeds,
    tags: { name: path.split('?')[0] },
  });
  reading.add(answer.timings.duration);
  if (answer.status !== 200) fail(`${path}: ${answer.status} ${answer.body}`);
  return answer.json();
}

export function setup() {
  return { run: uuidv4() };
}

export default function ({ run }) {
  const number = exec.vu.idInTest;
  const book_id = uuidv4();
  let row = call('register_book', {
    book_id,
    title: `Load ${number}`,
    metadata: { load: run, number },
  });
  for (const [stage, substep] of STAGES) {
    const before = row.revision;
    row = call('transition_book', { book_id, to_status: stage, expected_revision: before });
    // A call with an old revision, and one that goes back to a state without an edge to it.
    conflict(
      'transition_book',
      { book_id, to_status: 'CANCELLED', expected_revision: before },
      'stale_revision',
    );
    conflict('transition_book', { book_id, to_status: 'UPLOADED' }, 'illegal_transition');
    for (let done = 1; done <= UNITS; done += 1) {
      row = call('report_progress', {
        book_id,
        substep,
        done,
        total: UNITS,
        stage,
        attempt: row.attempt,
        message: `${done} of ${UNITS}`,
      });
      if (stage === 'GENERATING_SCENES' && done * 2 === UNITS && FAILS(number)) {
        call('fail_book', { book_id, error: { code: 'load', retry: false } });
        row = call('resume_book', { book_id });
      }
    }
    const status = get(`/rpc/get_book_status?book_id=${book_id}`);
    check(status, {
      'the status is that of the last call': (s) =>
        s.revision === row.revision &&
        s.status === stage &&
        s.overall_progress === row.overall_progress,
    });
  }
  row = call('transition_book', { book_id, to_status: 'COMPLETED' });
  if (row.status === 'COMPLETED') completed.add(1);
}

/** Every row, and the history of each. */
export function teardown({ run }) {
  const events = 'book_events(revision,from_status,to_status,attempt)';
  const books = get(
    `/book_status?metadata->>load=eq.${run}&select=*,book_progress(stage,substep,progress,done),${events}&book_events.order=revision&limit=${BOOKS + 1}`,
  );
  check(books, { 'every book is there, once': (b) => b.length === BOOKS });
  for (const book of books) {
    const failed = FAILS(book.metadata.number);
    const way = [
      'UPLOADED',
      'ANALYZING',
      'GENERATING_SCENES',
      ...(failed ? ['FAILED', 'GENERATING_SCENES'] : []),
      'CREATING_ARTWORK',
      'COMPLETED',
    ];
    // One for the registration, four moves, the reports, and two for failing and resuming.
    const revisions = 1 + 4 + STAGES.length * UNITS + (failed ? 2 : 0);
    const ends =
      book.status === 'COMPLETED' &&
      book.overall_progress === 100 &&
      book.revision === revisions &&
      book.completed_at !== null &&
      book.error === null;
    // The other declared substeps have rows, too, at 0.
    const reported = book.book_progress.filter((g) => g.progress > 0);
    const substeps =
      reported.length === STAGES.length &&
      reported.every((g) => g.progress === 100 && g.done === UNITS);
    const seen = book.book_events;
    const history =
      seen.map((e) => e.to_status).join() === way.join() &&
      seen.every((e, n) =>
        n === 0
          ? e.from_status === null
          : e.from_status === seen[n - 1].to_status && e.revision > seen[n - 1].revision,
      );
    const right = check(book, {
      'every row is COMPLETED at 100, with a revision for each change': () => ends,
      'every reported substep is done': () => substeps,
      'every history has its steps in order': () => history,
    });
    if (!right) console.error(JSON.stringify(book));
  }
}
