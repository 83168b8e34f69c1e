// Adds progress events to a stream. Both relays read streams that this program filled.
//   REDIS_URL=… node fill.js STREAM BOOKS REPORTS FROM TO
// Each of the three substeps of stage ANALYZING of books 1 to BOOKS is reported REPORTS times,
// the last time as 100 percent. This adds the reports number FROM to TO, each for one substep of
// all books, then for the next substep. Prints the id of the last entry.
import process from 'node:process';
import { Redis } from 'ioredis';

const PIPELINE = 5000;
const SUBSTEPS = ['extract_text', 'detect_chapters', 'analyze_characters'];

const [stream, ...numbers] = process.argv.slice(2);
const [books, reports, from, to] = numbers.map(Number);
const redis = new Redis(process.env.REDIS_URL);

function* events() {
  for (let report = from; report <= to; report++) {
    const progress = ((100 * report) / reports).toFixed(2);
    for (const substep of SUBSTEPS) {
      for (let book = 1; book <= books; book++) {
        const bookId = `${book.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
        yield { type: 'progress', book_id: bookId, stage: 'ANALYZING', substep, progress };
      }
    }
  }
}

let last;
let pipeline = redis.pipeline();
const flush = async () => {
  for (const [error, id] of await pipeline.exec()) {
    if (error) throw error;
    last = id;
  }
  pipeline = redis.pipeline();
};
for (const event of events()) {
  pipeline.xadd(stream, '*', ...Object.entries(event).flat());
  if (pipeline.length === PIPELINE) await flush();
}
if (pipeline.length > 0) await flush();
console.log(last);
redis.disconnect();
