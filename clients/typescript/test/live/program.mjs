// A worker that tests start, kill and start again: node program.mjs MODE [ARGUMENT...], with the
// book's id in BOOK. Each finished item is a line of the file RECORD, written before the package can
// report it. It runs the package as it is built.
import { appendFileSync } from "node:fs";
import * as bindery from "../../dist/index.js";

const note = (line) => appendFileSync(process.env.RECORD, `${line}\n`);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const book = bindery.book(process.env.BOOK, { title: "Moby Dick", pipeline: "brief" });

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
  // An uncaught error ends the program.
  async fail() {
    await book.stage("ANALYZING", () => {
      throw new TypeError("Page 31 is torn.");
    });
  },
};

const [mode, ...given] = process.argv.slice(2);
await modes[mode](...given);
