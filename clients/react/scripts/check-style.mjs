// What neither the compiler nor the formatter minds, and this package does.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
const forbidden = [
  [/(:|\bas|<)\s*any\b(?!\s+\w)/, "any"],
  [/@ts-(ignore|nocheck|expect-error)/, "a silenced compiler"],
  [/\bconsole\.(log|debug|info|warn)/, "a library does not print"],
  [/\.(only|skip|todo)\(/, "a test that is not run, or keeps others from it"],
];
const LONGEST = 350;

let faults = 0;
for (const folder of ["src", "registry", "test", "e2e", "example/src"]) {
  for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.(ts|tsx|mjs)$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const lines = readFileSync(path, "utf8").split("\n");
    const fault = (line, what) =>
      console.error(`${path.slice(root.length)}:${line}: ${what}`, (faults += 1));
    if (lines.length > LONGEST && folder === "src")
      fault(LONGEST, `more than ${LONGEST} lines: a file has one subject`);
    lines.forEach((line, place) => {
      for (const [pattern, what] of forbidden) if (pattern.test(line)) fault(place + 1, what);
    });
  }
}
process.exit(faults === 0 ? 0 : 1);
