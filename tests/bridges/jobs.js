// Adds jobs to a queue: node jobs.js REDIS_URL QUEUE '[{"data": {}, "opts": {}}]'; or has one done again: '{"retry": "7"}'.
// Prints the jobs' ids as JSON.
import { Queue } from 'bullmq';

const [url, name, what] = process.argv.slice(2);
const queue = new Queue(name, { connection: { url } });
const asked = JSON.parse(what);
if (asked.retry) {
  const job = await queue.getJob(asked.retry);
  await job.retry();
  console.log(JSON.stringify([job.id]));
} else {
  const jobs = await queue.addBulk(asked.map(({ data, opts }) => ({ name: 'work', data, opts })));
  console.log(JSON.stringify(jobs.map((job) => job.id)));
}
await queue.close();
