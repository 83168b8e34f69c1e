// Every rejection reason has a text about what to do.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

/** @param {string} path from the root of the repository */
const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), "utf8");

test("every rejection reason of docs/events.md has a remedy, and no other has one", async () => {
  const [docs, remedies] = await Promise.all([
    read("docs/events.md"),
    read("daemon/page/src/dead-letters/remedies.json").then(
      (text) => /** @type {Record<string, string>} */ (JSON.parse(text)),
    ),
  ]);
  const table = docs.split("## Rejection reasons")[1]?.split("\n## ")[0] ?? "";
  const rows = table.split("\n").filter((line) => line.startsWith("| `"));
  const documented = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`([a-z_]+)`/g)].map((match) => match[1] ?? ""),
  );
  assert.ok(documented.length > 20, `${documented.length} reasons in docs/events.md`);
  // `unknown` is what SQL writes for an item without a reason.
  assert.deepEqual(Object.keys(remedies).sort(), [...documented, "unknown"].sort());
  for (const [reason, text] of Object.entries(remedies))
    assert.match(text, /^[A-Z].{20,200}\.$/s, reason);
});

test("every code with which the daemon rejects an event has a remedy", async () => {
  const [error, remedies] = await Promise.all([
    read("core/src/event/error.rs"),
    read("daemon/page/src/dead-letters/remedies.json").then((text) => JSON.parse(text)),
  ]);
  const codes = [...error.matchAll(/=> "([a-z_]+)"/g)].map((match) => match[1] ?? "");
  assert.ok(codes.length > 5, `${codes.length} codes in core/src/event/error.rs`);
  for (const code of codes) assert.ok(code in remedies, code);
});
