// Runs the section React of docs/quickstart-node.md in a copy of the project that holds what it
// needs: the commands run, the code type-checks, and a browser shows a daemon's books at the
// address that the last command prints.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { executablePath, root } from "./browser.js";
import { Books, Daemon } from "./stack.js";

const page = readFileSync(join(root, "../../docs/quickstart-node.md"), "utf8");
const commands = /^## React$.*?```sh\n(.*?)```/ms.exec(page)?.[1] ?? "";
const project = mkdtempSync(join(tmpdir(), "bindery-readme-"));
const books = new Books();
const daemon = new Daemon(null, "open");
let shell: ChildProcess | null = null;

beforeAll(async () => {
  const filter = (path: string) => !/\/(node_modules|dist|e2e|test|example)$/.test(path);
  cpSync(root, join(project, "clients/react"), { recursive: true, filter });
  await Promise.all([books.start(), daemon.start()]);
});

afterAll(async () => {
  if (shell?.pid !== undefined) process.kill(-shell.pid);
  await Promise.all([books.stop(), daemon.stop()]);
  rmSync(project, { recursive: true, force: true });
});

/** Runs the page's commands, and resolves with the address that the last one prints. */
function typed(): Promise<string> {
  const env = { ...process.env, BINDERY_URL: daemon.base, NO_COLOR: "1" };
  // A process group of its own: the last command runs until it is ended.
  const child = spawn("bash", ["-ec", commands], {
    cwd: project,
    env,
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  shell = child;
  return new Promise((resolve, reject) => {
    let output = "";
    const look = (text: Buffer) => {
      output += text.toString();
      const address = /http:\/\/localhost:\d+\//.exec(output)?.[0];
      if (address !== undefined) resolve(address);
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    child.on("exit", (status) =>
      reject(new Error(`the commands ended with ${status}:\n${output}`)),
    );
  });
}

test("the commands for React run as typed, and their code type-checks and shows the books live", async () => {
  expect(commands).toContain("<<'TSX'");
  const address = await typed();
  writeFileSync(
    join(project, "pages/tsconfig.json"),
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        module: "esnext",
        moduleResolution: "bundler",
        verbatimModuleSyntax: false,
        types: ["vite/client"],
        typeRoots: [join(root, "node_modules/@types"), join(project, "pages/node_modules")],
        paths: {
          react: [join(root, "node_modules/@types/react")],
          "react/*": [join(root, "node_modules/@types/react/*")],
          "react-dom/*": [join(root, "node_modules/@types/react-dom/*")],
        },
      },
      include: ["main.tsx"],
    }),
  );
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", join(project, "pages")], {
    stdio: "inherit",
  });

  const book = await books.book(randomUUID(), "The Salt Clock");
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    await page.goto(address);
    const tracker = page.locator(".bindery-tracker", { hasText: "The Salt Clock" });
    await tracker.waitFor();
    await books.report(book, 120);
    await tracker.getByText("120 of 200 pages").waitFor();
    const live = '.bindery-tracker[data-connection="live"]';
    await page.locator(live, { hasText: "The Salt Clock" }).waitFor();
  } finally {
    await browser.close();
  }
});
