// A worker that tests start, kill and start again: node program.mjs MODE [ARGUMENT...], with the
// book's id in BOOK. Each finished item is a line of the file RECORD, written before the package
// can report it. It runs the package as it is built.
import { appendFileSync, readFileSync } from "node:fs";
import * as bindery from "../../dist/index.js";
import { Worker } from "../../dist/worker.js";

const note = (line) => appendFileSync(process.env.RECORD, `${line}\n`);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const book = bindery.book(process.env.BOOK ?? "none", { title: "Moby Dick", pipeline: "brief" });

const modes = {
  // Finishes items, each after a pause. The end of the program delivers.
  async work(items, milliseconds) {
    await book.stage("ANALYZING", async (stage) => {
      note(`attempt ${stage.attempt}`);
      const numbers = Array.from({ length: Number(items) }, (_, place) => place);
      for await (const item of stage.track(numbers, "extract_text", { unit: "page" })) {
        await pause(Number(milliseconds));
        note(item);
      }
    });
  },
  // Works on several books at once, up to the item whose number is in a file.
  async many(first, last, limits) {
    bindery.configure(undefined, { beginTimeout: 60_000, flushTimeout: 60_000 });
    const work = async (name) => {
      const each = bindery.book(name);
      await each.stage("ANALYZING", async (stage) => {
        let total = Number(stage.resumePoint?.left.get("extract_text")?.checkpoint ?? 0);
        const numbers = Array.from({ length: 200 }, (_, place) => place);
        for await (const item of stage.track(numbers, "extract_text")) {
          while (item >= Number(readFileSync(limits, "utf8"))) await pause(100);
          total += item;
          note(`${name} ${stage.attempt} ${item} ${total}`);
          stage.message(`at ${item}`);
          stage.checkpoint(total);
        }
      });
      // The end of a stage does not wait for a server that is away.
      await each.flush(60_000);
    };
    const names = Array.from(
      { length: Number(last) - Number(first) },
      (_, place) => `${process.env.BOOK}-${Number(first) + place}`,
    );
    await Promise.all(names.map(work));
  },
  // Works on all stages of the pipeline `short`, in a consumer group.
  async follow(milliseconds, group, lease) {
    const worker = new Worker({ group, lease: Number(lease), grace: 10_000, concurrency: 3 });
    const work = (substep) => async (stage) => {
      const numbers = Array.from({ length: 20 }, (_, place) => place);
      for await (const item of stage.track(numbers, substep)) {
        await pause(Number(milliseconds));
        note(`${process.pid} ${stage.book.bookId} ${stage.name} ${stage.attempt} ${item}`);
      }
    };
    worker.stage("READING", { toStatus: "DRAWING" }, work("read"));
    worker.stage("DRAWING", { toStatus: "COMPLETED" }, work("draw"));
    note(`ended ${await worker.run()}`);
  },
  // Closes its client, and only then ends.
  async close() {
    await book.stage("ANALYZING", (stage) => stage.report(50, "extract_text"));
    await bindery.defaultClient().close();
    note("closed");
  },
  // An uncaught error ends the program.
  async fail() {
    await book.stage("ANALYZING", () => {
      throw new TypeError("Page 31 is torn.");
    });
  },
};

const [mode, ...given] = process.argv.slice(2);
await modes[mode](...given);
