// How much a page loads above React, in gzip: built with Vite from the sources, as an app is.
// Raise a limit only together with what the page gets for it.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test, vi } from "vitest";
import { build, type Rolldown } from "vite";

const source = join(import.meta.dirname, "../src");

interface Bundle {
  bytes: number;
  modules: string[];
}

async function bundle(name: string, code: string): Promise<Bundle> {
  const entry = join(source, `bundle-${name}-${process.pid}.ts`);
  writeFileSync(entry, code);
  // Else the elements of React have their lines in the source, as in development.
  vi.stubEnv("NODE_ENV", "production");
  try {
    const built = (await build({
      configFile: false,
      logLevel: "error",
      build: {
        write: false,
        target: "es2022",
        lib: { entry, formats: ["es"] },
        rolldownOptions: { external: /^react(-dom)?($|\/)/, output: { minify: true } },
      },
    })) as Rolldown.RolldownOutput[];
    const chunks = built.flatMap(({ output }) => output).filter((one) => one.type === "chunk");
    return {
      bytes: gzipSync(chunks.map(({ code }) => code).join("\n"), { level: 9 }).length,
      modules: chunks.flatMap(({ moduleIds }) => moduleIds),
    };
  } finally {
    vi.unstubAllEnvs();
    rmSync(entry);
  }
}

const withClient = (create: string, transport: string) =>
  `export { BinderyProvider, ${create}, ProgressTracker, ${transport} } from "./index.js";`;

test.each([
  ["tracker with SSE", withClient("createBookClient", "sseBookTransport"), 14_200],
  ["tracker with SSE and lists", withClient("createBindery", "sseTransport"), 17_700],
  ["element", 'import "./element/index.js";', 18_500],
  ["view", 'export { tracker } from "./view/index.js";', 4_450],
])("the %s stays within its size", async (name, code, most) => {
  const { bytes, modules } = await bundle(name.replaceAll(" ", "-"), code);
  process.stdout.write(`${JSON.stringify({ what: `bundle: ${name}`, gzip_bytes: bytes })}\n`);
  expect(bytes).toBeLessThan(most);
  // Less would mean that something else was built.
  expect(bytes).toBeGreaterThan(most / 2);
  expect(modules.filter((id) => /zod|supabase/.test(id))).toEqual([]);
  expect(modules.some((id) => id.includes("preact"))).toBe(name === "element");
});
