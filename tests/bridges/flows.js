// Registers books by XADD and adds each one's jobs at once, as a service does that waits for
// neither: node flows.js REDIS_URL STREAM '[{"book": "…", "flow": {"queue": "…", "data": {}}}]'.
// A flow may have "children", [{queue, data, children?}], whose jobs come before its own.
import { FlowProducer, Queue } from 'bullmq';
import { Redis } from 'ioredis';

const [url, stream, input] = process.argv.slice(2);
const books = JSON.parse(input);
const redis = new Redis(url);
const producer = new FlowProducer({ connection: { url } });
const queues = new Map();
for (const { flow } of books) {
  if (!queues.has(flow.queue)) {
    queues.set(flow.queue, new Queue(flow.queue, { connection: { url } }));
  }
}

const job = ({ queue, data, children }) => ({
  name: 'work',
  queueName: queue,
  data,
  children: children?.map(job),
});
const add = (flow) =>
  flow.children ? producer.add(job(flow)) : queues.get(flow.queue).add('work', flow.data);

await Promise.all(
  books.flatMap(({ book, flow }) => [
    redis.xadd(stream, '*', 'type', 'register', 'book_id', book),
    add(flow),
  ]),
);
await Promise.all([...queues.values()].map((queue) => queue.close()));
await producer.close();
await redis.quit();
