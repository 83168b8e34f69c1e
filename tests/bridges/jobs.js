// Adds jobs to a queue: node jobs.js REDIS_URL QUEUE '[{"data": {}, "opts": {}}]'. Retries a job
// that has failed: '{"retry": "7"}'. Prints the jobs' ids as JSON.
import { Queue } from 'bullmq';

const [url, name, input] = process.argv.slice(2);
const queue = new Queue(name, { connection: { url } });
const request = JSON.parse(input);
if (request.retry) {
  const job = await queue.getJob(request.retry);
  await job.retry();
  console.log(JSON.stringify([job.id]));
} else {
  const jobs = await queue.addBulk(request.map(({ data, opts }) => ({ name: 'work', data, opts })));
  console.log(JSON.stringify(jobs.map((job) => job.id)));
}
await queue.close();
