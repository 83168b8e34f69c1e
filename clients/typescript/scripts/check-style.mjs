// Checks what neither the compiler nor the formatter checks.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
const forbidden = [
  [/(:|\bas|<)\s*any\b(?!\s+\w)/, "any"],
  [/@ts-(ignore|nocheck|expect-error)/, "a silenced compiler"],
  [/\.(only|skip|todo)\(/, "a test that is skipped, or keeps others from running"],
];
const printing = [/\bconsole\.(log|debug|info)/, "a library does not print"];
const LONGEST_LINES = 350;

let faults = 0;
for (const folder of ["src", "test", "e2e"]) {
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(ts|mjs)$/.test(entry.name) || entry.name === "schema.ts") continue;
    const path = join(entry.parentPath, entry.name);
    const lines = readFileSync(path, "utf8").split("\n");
    const fault = (line, what) => {
      console.error(`${path.slice(root.length)}:${line}: ${what}`);
      faults += 1;
    };
    if (lines.length > LONGEST_LINES && folder === "src")
      fault(LONGEST_LINES, `more than ${LONGEST_LINES} lines: a file has one subject`);
    lines.forEach((line, place) => {
      for (const [pattern, what] of folder === "src" ? [...forbidden, printing] : forbidden)
        if (pattern.test(line)) fault(place + 1, what);
    });
  }
}
process.exit(faults === 0 ? 0 : 1);
