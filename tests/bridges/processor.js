// What a job does; its data determines it:
//   steps     values for job.updateProgress, one after the other
//   takes     milliseconds of work
//   waits     a list of Redis: the job waits for an item of it
//   failures  how many attempts fail
//   hangs     true: the first attempt never ends
//   adds      jobs for other queues, [{queue, data}], which the job adds at its end
// worker.js runs it in its own process, or as a sandboxed processor.
import { setTimeout } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';

const url = process.env.REDIS_URL;
const redis = new Redis(url);
const queues = new Map();

function queue(name) {
  if (!queues.has(name)) queues.set(name, new Queue(name, { connection: { url } }));
  return queues.get(name);
}

export default async function process_job(job) {
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
}
