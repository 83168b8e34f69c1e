// The package as users get it: packed, installed in apps of their own, and opened in Chromium.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { preview, type PreviewServer } from "vite";
import { bookId, Daemon } from "./daemon.js";
import { freePort, Packed, root, run, serve, serveFiles, type Manifest } from "./packed.js";

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
const nextApps = [
  { name: "16", react: "19", next: "16.4.6", manifest: react19 },
  { name: "14", react: "18", next: "14.2.35", manifest: react18 },
];
const packed = new Packed();
/** Next.js takes long to install, so this begins first. */
const installing = new Map<string, Promise<string>>();
const daemon = new Daemon();
let browser: Browser;

beforeAll(async () => {
  await packed.pack();
  for (const { name, next, manifest } of nextApps) {
    const dependencies = { ...manifest.dependencies, next };
    const app = packed.install(join(apps, "next"), `next-${name}`, { ...manifest, dependencies });
    // Its test reports the failure.
    app.catch(() => undefined);
    installing.set(name, app);
  }
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

/** Checks every type that the package exports, which most apps skip. */
async function checkTypes(app: string) {
  const entries = ["", "/client", "/element", "/tanstack-query", "/view"];
  const lines = entries.map((entry, n) => `export * as part${n} from "@bindery/react${entry}";\n`);
  writeFileSync(join(app, "strict.ts"), lines.join(""));
  const strict = ["--noEmit", "--strict", "--skipLibCheck", "false", "--jsx", "react-jsx"];
  const target = ["--target", "es2022", "--module", "nodenext"];
  await run(app, "npx", "tsc", "--ignoreConfig", ...strict, ...target, "strict.ts");
  rmSync(join(app, "strict.ts"));
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
    if (version === "19") await checkTypes(app);
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

describe("with Vue", () => {
  test("an app works with the custom element", async () => {
    const app = await packed.install(join(apps, "vue"), "vue");
    await run(app, "npx", "vite", "build");
    await previewed(app, async (address) => {
      const { page, problems } = await open(address);
      await followElement(page);
      expect(problems).toEqual([]);
    });
  });
});

describe("without a framework", () => {
  let plain: string;
  beforeAll(async () => {
    plain = await packed.install(join(apps, "html"), "plain");
  });

  test("the client runs in Node, and installs nothing but preact", async () => {
    const program = `
      import { bookStatusSchema, createBindery, sseTransport } from "@bindery/react/client";
      const bindery = createBindery(sseTransport(process.argv[1]));
      const view = await new Promise((resolve) =>
        bindery.watchBook("${bookId}", (view) => view.book && resolve(view)));
      await bindery.close();
      if (view.book.title !== "The Salt Clock" || bookStatusSchema.safeParse({}).success) process.exit(1);
    `;
    await run(plain, "node", "--input-type=module", "--eval", program, daemon.base);
    const installed = readdirSync(join(plain, "node_modules")).filter(
      (name) => !name.startsWith("."),
    );
    expect(installed).toEqual(["@bindery", "preact"]);
  });

  test("the custom element works in an HTML page without a bundler", async () => {
    const files = await serveFiles(plain);
    try {
      const place = new URLSearchParams({ base: daemon.base, book: bookId });
      const { page, problems } = await open(`${files.base}/index.html?${place}`);
      await followElement(page);
      expect(problems).toEqual([]);
    } finally {
      await files.stop();
    }
  });
});

const named = nextApps.map(({ name, react }) => [name, react] as const);
describe.each(named)("Next.js %s with React %s", (name) => {
  let app: string;
  beforeAll(async () => {
    app = (await installing.get(name)) ?? "";
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
      await page.context().close();
    } finally {
      await stop();
    }
  }

  test("a page hydrates what a server component has rendered, in StrictMode", () => check("dev"));

  // A build is the slowest of all, and the older one shows nothing that the newer one does not.
  if (name === "16")
    test("a page hydrates it in production", async () => {
      await run(app, "npx", "next", "build");
      await check("start");
    });
});
