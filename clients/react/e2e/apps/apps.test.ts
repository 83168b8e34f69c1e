// The package as users get it: packed, installed in apps of their own, and opened in Chromium.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { preview, type PreviewServer } from "vite";
import { bookId, Daemon } from "./daemon.js";
import { freePort, Packed, root, run, serve, type Manifest } from "./packed.js";

const apps = join(root, "e2e/apps");
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const react19: Manifest = {
  dependencies: { react: "19.3.1", "react-dom": "19.3.1" },
  devDependencies: { "@types/react": "19.3.0", "@types/react-dom": "19.3.0" },
};
const react18: Manifest = {
  dependencies: { react: "18.3.1", "react-dom": "18.3.1" },
  devDependencies: { "@types/react": "18.3.31", "@types/react-dom": "18.3.7" },
};
const packed = new Packed();
const daemon = new Daemon();
let browser: Browser;

beforeAll(async () => {
  await packed.pack();
  await daemon.start();
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
});

afterAll(async () => {
  await browser.close();
  await daemon.stop();
  packed.remove();
});

beforeEach(() => daemon.reset());

/** Opens a page, and collects what the console and the network report as wrong. */
async function open(address: string): Promise<{ page: Page; problems: string[] }> {
  const context = await browser.newContext();
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`HTTP ${response.status()}: ${response.url()}`);
  });
  await page.goto(address);
  return { page, problems };
}

async function shows(page: Page, selector: string, text: string) {
  await expect.poll(() => page.textContent(selector), { timeout: 30_000 }).toContain(text);
}

/** The whole life of a book on a page with React. */
async function follow(page: Page) {
  await shows(page, ".bindery-tracker", "The Salt Clock");
  await shows(page, "#timeline", "register");
  await shows(page, "#books", "The Salt Clock");
  await page.waitForSelector('.bindery-tracker[data-connection="live"]');
  daemon.progress(42, "halfway");
  await shows(page, "#percent", "42");
  await shows(page, "#cached", "halfway");
  await shows(page, "#substeps", "extract_text 42");
  daemon.fail();
  await shows(page, "#ends", "failed at 1");
  await shows(page, "#timeline", "fail register");
  await page.click("#resume");
  await shows(page, "#timeline", "resume fail register");
  await shows(page, "#resume", "idle");
  daemon.complete();
  await shows(page, "#ends", "failed at 1, completed at 2");
  await shows(page, "#percent", "100");
  expect(await page.textContent("#ends")).toBe("failed at 1, completed at 2");
  const resumes = daemon.server.requests.filter(({ method }) => method === "POST");
  expect(resumes.length).toBe(1);
}

/** The same with the custom element. */
async function followElement(page: Page) {
  await shows(page, "bindery-progress", "The Salt Clock");
  await page.waitForSelector('bindery-progress [data-connection="live"]');
  daemon.progress(42, "halfway");
  await shows(page, "bindery-progress", "halfway");
  daemon.fail();
  await shows(page, "#ends", "failed at 1");
  await page.click(".bindery-retry");
  await expect.poll(() => page.locator(".bindery-error").count()).toBe(0);
  daemon.complete();
  await shows(page, "#ends", "failed at 1, completed at 2");
}

async function previewed(app: string, use: (address: string) => Promise<void>) {
  let server: PreviewServer | null = null;
  try {
    const port = await freePort();
    const options = { root: app, configFile: false as const, logLevel: "error" as const };
    server = await preview({ ...options, preview: { port, host: "127.0.0.1" } });
    const place = new URLSearchParams({ base: daemon.base, book: bookId });
    await use(`http://127.0.0.1:${port}/?${place}`);
  } finally {
    await server?.close();
  }
}

function share(app: string, folder: string) {
  cpSync(join(apps, "shared/live.tsx"), join(app, folder, "live.tsx"));
}

describe.each([
  ["19", react19],
  ["18", react18],
])("with React %s", (version, manifest) => {
  test("a Vite app works in StrictMode and in production", async () => {
    const app = await packed.install(join(apps, "vite"), `vite-${version}`, manifest);
    share(app, "src");
    // README's examples are checked, too: each is a module of its own.
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const examples = [...readme.matchAll(/```tsx?\n(.*?)```/gs)].map((match) => match[1] ?? "");
    examples.forEach((code, place) => writeFileSync(join(app, `src/readme-${place}.tsx`), code));
    await run(app, "npx", "tsc", "--exactOptionalPropertyTypes", "false");
    examples.forEach((_, place) => rmSync(join(app, `src/readme-${place}.tsx`)));
    for (const mode of ["development", "production"]) {
      daemon.reset();
      await run(app, "env", `NODE_ENV=${mode}`, "npx", "vite", "build", "--mode", mode);
      await previewed(app, async (address) => {
        const { page, problems } = await open(address);
        await follow(page);
        expect(problems).toEqual([]);
      });
    }
  });
});

test("all types of the package are valid without skipLibCheck", async () => {
  const app = join(packed.work, "vite-19");
  const entries = ["", "/client", "/element", "/tanstack-query", "/view"];
  const lines = entries.map((entry, n) => `export * as part${n} from "@bindery/react${entry}";\n`);
  writeFileSync(join(app, "strict.ts"), lines.join(""));
  const strict = ["--noEmit", "--strict", "--skipLibCheck", "false", "--jsx", "react-jsx"];
  const target = ["--target", "es2022", "--module", "nodenext"];
  await run(app, "npx", "tsc", "--ignoreConfig", ...strict, ...target, "strict.ts");
});

test("without React the client runs in Node, and installs nothing but preact", async () => {
  const plain = await packed.install(join(apps, "html"), "plain");
  const program = `
    import { bookStatusSchema, createBindery, sseTransport } from "@bindery/react/client";
    const bindery = createBindery(sseTransport(process.argv[1]));
    const view = await new Promise((resolve) =>
      bindery.watchBook("${bookId}", (view) => view.book && resolve(view)));
    await bindery.close();
    if (view.book.title !== "The Salt Clock" || bookStatusSchema.safeParse({}).success) process.exit(1);
    process.exit(0);
  `;
  await run(plain, "node", "--input-type=module", "--eval", program, daemon.base);
  const installed = readdirSync(join(plain, "node_modules")).filter(
    (name) => !name.startsWith("."),
  );
  expect(installed).toEqual(["@bindery", "preact"]);
});

describe("the custom element", () => {
  test("works in a Vue app", async () => {
    const app = await packed.install(join(apps, "vue"), "vue");
    await run(app, "npx", "vite", "build");
    await previewed(app, async (address) => {
      const { page, problems } = await open(address);
      await followElement(page);
      expect(problems).toEqual([]);
    });
  });

  test("works in an HTML page without a bundler", async () => {
    const app = join(packed.work, "plain");
    const port = await freePort();
    const { createServer } = await import("vite");
    const server = await createServer({
      root: app,
      configFile: false,
      logLevel: "error",
      appType: "mpa",
      server: { port, host: "127.0.0.1" },
    });
    await server.listen();
    try {
      const place = new URLSearchParams({ base: daemon.base, book: bookId });
      const { page, problems } = await open(`http://127.0.0.1:${port}/?${place}`);
      await followElement(page);
      expect(problems).toEqual([]);
    } finally {
      await server.close();
    }
  });
});

describe.each([
  ["16", "19", "16.4.6", react19],
  ["14", "18", "14.2.35", react18],
])("Next.js %s with React %s", (name, _, next, manifest) => {
  let app: string;
  beforeAll(async () => {
    const dependencies = { ...manifest.dependencies, next };
    app = await packed.install(join(apps, "next"), `next-${name}`, { ...manifest, dependencies });
    share(app, "app");
  });

  /** Opens the page of a server, which renders the status that it has fetched. */
  async function check(command: "dev" | "start") {
    const port = await freePort();
    const address = `http://127.0.0.1:${port}/`;
    const place = { BINDERY_URL: daemon.base, BINDERY_BOOK: bookId };
    const bind = ["-p", String(port), "-H", "127.0.0.1"];
    const stop = await serve(app, address, place, "npx", "next", command, ...bind);
    try {
      expect(await (await fetch(address)).text()).toContain("The Salt Clock");
      const { page, problems } = await open(address);
      await follow(page);
      expect(problems).toEqual([]);
      await page.close();
    } finally {
      await stop();
    }
  }

  test("a page hydrates what a server component has rendered, in StrictMode", () => check("dev"));

  // A build is the slowest of all, and the older one shows nothing that the newer one does not.
  test.runIf(name === "16")("a page hydrates it in production", async () => {
    await run(app, "npx", "next", "build");
    await check("start");
  });
});
