// A worker of BullMQ that knows nothing of Bindery: node worker.js REDIS_URL QUEUE. A job's data
// says what the job does:
//   steps     values for job.updateProgress, one after the other
//   takes     milliseconds of work
//   waits     a list of Redis: the job waits for an item of it
//   failures  how many attempts fail
//   hangs     true: the first attempt never ends
//   adds      jobs for other queues, [{queue, data}], which the job adds at its end
// BRIEF=1: a worker that is to be killed. Its lock on a job soon expires, and it does not look for
// stalled jobs.
import { setTimeout } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const [url, name] = process.argv.slice(2);
const redis = new Redis(url);
const queues = new Map();
const brief = Boolean(process.env.BRIEF);

function queue(name) {
  if (!queues.has(name)) queues.set(name, new Queue(name, { connection: { url } }));
  return queues.get(name);
}

const worker = new Worker(
  name,
  async (job) => {
    const { steps, takes, waits, failures, hangs, adds } = job.data;
    for (const step of steps ?? []) await job.updateProgress(step);
    if (takes) await setTimeout(takes);
    if (waits) await redis.blpop(waits, 0);
    if (job.attemptsMade < (failures ?? 0)) {
      throw new Error(`no memory, for the ${job.attemptsMade + 1}. time`);
    }
    if (hangs && job.attemptsStarted === 1) await new Promise(() => setInterval(() => {}, 1000));
    for (const { queue: next, data } of adds ?? []) await queue(next).add('work', data);
    return job.id;
  },
  {
    connection: { url, maxRetriesPerRequest: null },
    lockDuration: brief ? 1000 : 60_000,
    skipStalledCheck: brief,
    stalledInterval: 250,
    drainDelay: 1,
  },
);
worker.on('error', (error) => console.error(error.message));
await worker.waitUntilReady();
console.log('ready');
