#!/usr/bin/env node
// Runs the program from the package of this platform, and ends as it ends.
"use strict";
const { spawn } = require("node:child_process");

const platform = `@bindery/binderyd-${process.platform}-${process.arch}`;
let program;
try {
  program = require.resolve(`${platform}/binderyd`);
} catch {
  console.error(
    `error: the package ${platform} is not installed; binderyd runs on Linux with glibc, on x64 ` +
      "and arm64. There, install it again without --omit=optional.",
  );
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
const signals = ["SIGHUP", "SIGINT", "SIGTERM"];
for (const signal of signals) {
  process.on(signal, () => {
    // A terminal sends Ctrl+C to the program as well.
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on("error", (error) => {
  console.error(`error: ${program} does not start: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code);
  for (const handled of signals) process.removeAllListeners(handled);
  process.kill(process.pid, signal);
});
