// A worker of BullMQ that knows nothing of Bindery: node worker.js REDIS_URL QUEUE. processor.js
// has what its jobs do.
// SANDBOXED=1: the processor runs in a process of its own.
// BRIEF=1: a worker that is to be killed. Its lock on a job soon expires, and it does not look for
// stalled jobs.
import { Worker } from 'bullmq';

const [url, name] = process.argv.slice(2);
const brief = Boolean(process.env.BRIEF);
process.env.REDIS_URL = url;

const file = new URL('./processor.js', import.meta.url);
const processor = process.env.SANDBOXED ? file : (await import(file)).default;
const worker = new Worker(name, processor, {
  connection: { url, maxRetriesPerRequest: null },
  lockDuration: brief ? 1000 : 60_000,
  skipStalledCheck: brief,
  stalledInterval: 250,
  drainDelay: 1,
});
worker.on('error', (error) => console.error(error.message));
await worker.waitUntilReady();
console.log('ready');
