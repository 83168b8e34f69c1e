// The work of the worker in docs/events.md ("The way back"); src/bin/worker.rs has the same. Prints
// a line for each unit of work. At the unit WAITS_AT (`substep:unit`, or `*` for each one) it waits
// for an item of the list WAITS_FOR.
import { Redis } from 'ioredis';

const units = 3;
export const stages = {
  ANALYZING: {
    substeps: ['extract_text', 'detect_chapters', 'analyze_characters'],
    units,
    next: 'GENERATING_SCENES',
  },
  GENERATING_SCENES: {
    substeps: ['split_scenes', 'write_prompts'],
    units,
    next: 'CREATING_ARTWORK',
  },
  CREATING_ARTWORK: { substeps: ['page_1', 'page_2', 'page_3'], units, next: 'COMPLETED' },
};

const { REDIS_URL, WAITS_AT, WAITS_FOR } = process.env;
const gate = new Redis(REDIS_URL);

export async function work(book, stage, substep, unit) {
  console.log(`works ${book} ${stage} ${substep} ${unit}`);
  if (WAITS_AT === '*' || WAITS_AT === `${substep}:${unit}`) await gate.blpop(WAITS_FOR, 0);
}
