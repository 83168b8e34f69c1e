// Runs the tests that render with React 18, in a copy: of two Reacts in one folder, packages would
// import both.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
const work = mkdtempSync(join(tmpdir(), "bindery-react-18-"));
const parts = [
  "src",
  "test",
  "registry",
  "registry.json",
  "styles.css",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "vitest.config.ts",
  ".npmrc",
];

function run(command, ...args) {
  const { status } = spawnSync(command, args, { cwd: work, stdio: "inherit" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`);
}

try {
  for (const part of parts) cpSync(join(root, part), join(work, part), { recursive: true });
  run(
    "npm",
    "install",
    "react@18.3.1",
    "react-dom@18.3.1",
    "@types/react@18",
    "@types/react-dom@18",
  );
  run("npx", "tsc", "-p", ".");
  run("npx", "vitest", "run", ".test.tsx");
} finally {
  rmSync(work, { recursive: true, force: true });
}
