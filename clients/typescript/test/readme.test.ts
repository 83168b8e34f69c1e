import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestBindery } from "../src/testing/index.js";

// The package as it is published, beside a program of its user.
const root = new URL("..", import.meta.url).pathname;
const app = mkdtempSync(join(tmpdir(), "bindery-readme-"));
const tsc = join(root, "node_modules/.bin/tsc");

beforeAll(() => {
  const installed = join(app, "node_modules/@bindery/producer");
  mkdirSync(installed, { recursive: true });
  execFileSync(tsc, ["-p", join(root, "tsconfig.build.json"), "--outDir", join(installed, "dist")]);
  cpSync(join(root, "package.json"), join(installed, "package.json"));
  for (const name of ["@electric-sql", "uuid", "zod", "@types", "undici-types"])
    symlinkSync(join(root, "node_modules", name), join(app, "node_modules", name));
  writeFileSync(join(app, "package.json"), '{"type": "module"}');
});
afterAll(() => rmSync(app, { recursive: true, force: true }));

const readme = readFileSync(join(root, "README.md"), "utf8");
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1] ?? "");

function compiled(name: string, code: string): string {
  writeFileSync(join(app, `${name}.ts`), code);
  const options = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node"];
  execFileSync(tsc, [...options, "--skipLibCheck", `${name}.ts`], { cwd: app, encoding: "utf8" });
  return join(app, `${name}.js`);
}

test("the example of a test without a server prints what its comment says", async () => {
  const example = examples.find((code) => code.includes("// ANALYZING 1.25")) ?? "";
  const program = compiled("testing", example);
  expect(execFileSync("node", [program], { cwd: app, encoding: "utf8" })).toBe("ANALYZING 1.25\n");
});

test("the example of a snapshot in a file starts from that file", async () => {
  const example = examples.find((code) => code.includes("openAsBlob")) ?? "";
  const original = await createTestBindery();
  await original.registerBook("kept");
  const snapshot = await original.snapshot();
  writeFileSync(join(app, "bindery.tar"), new Uint8Array(await snapshot.arrayBuffer()));
  await original.close();
  const check = `console.log((await bindery.status("kept")).status); await bindery.close();\n`;
  const program = compiled("snapshot", example + check);
  expect(execFileSync("node", [program], { cwd: app, encoding: "utf8" })).toBe("UPLOADED\n");
});
