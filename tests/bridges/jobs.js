// Adds jobs to a queue: node jobs.js REDIS_URL QUEUE '[{"data": {}, "opts": {}}]'. Prints their ids
// as JSON. With {"pad": BYTES} a job's data has a text of so many bytes besides.
// Or does something else with the queue: '{"queue": "drain", "args": [true]}', or with a job of it:
// '{"job": "7", "does": "retry"}'.
import { Queue } from 'bullmq';

const [url, name, input] = process.argv.slice(2);
const queue = new Queue(name, { connection: { url } });
const request = JSON.parse(input);
if (request.job) {
  const job = await queue.getJob(request.job);
  await job[request.does](...(request.args ?? []));
} else if (request.queue) {
  await queue[request.queue](...(request.args ?? []));
} else {
  const ids = [];
  for (const { data, opts, pad } of request) {
    // Before the fields that the daemon reads.
    const whole = pad ? { text: 'x'.repeat(pad), ...data } : data;
    ids.push((await queue.add('work', whole, opts)).id);
  }
  console.log(JSON.stringify(ids));
}
await queue.close();
