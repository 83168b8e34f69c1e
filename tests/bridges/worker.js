// A worker of BullMQ that knows nothing of Bindery: node worker.js REDIS_URL QUEUE. What a job has it do stands in its data.
// BRIEF=1: one that is to be killed. Its lock on a job is soon over, and it takes no job from itself.
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';

const [url, queue] = process.argv.slice(2);
const redis = new Redis(url);
const brief = Boolean(process.env.BRIEF);
const worker = new Worker(
  queue,
  async (job) => {
    for (const step of job.data.steps ?? []) await job.updateProgress(step);
    if (job.data.waits) await redis.blpop(job.data.waits, 0);
    if (job.attemptsMade < (job.data.failures ?? 0)) throw new Error(`no memory, for the ${job.attemptsMade + 1}. time`);
    if (job.data.hangs && job.attemptsStarted === 1) await new Promise(() => setInterval(() => {}, 1000));
    return job.id;
  },
  { connection: { url, maxRetriesPerRequest: null }, lockDuration: brief ? 1000 : 60_000, skipStalledCheck: brief, stalledInterval: 250, drainDelay: 1 },
);
worker.on('error', (error) => console.error(error.message));
await worker.waitUntilReady();
console.log('ready');
