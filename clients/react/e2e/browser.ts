// The example app, built from the sources and served as files, and a Chromium. Behind it is the
// daemon's stand-in, or a real daemon where a test starts one.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  chromium,
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  type Page,
} from "playwright-core";
import { build, preview, type PreviewServer } from "vite";
import { SseServer } from "../test/support/sse-server.js";

export const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
export const root = new URL("..", import.meta.url).pathname;

export class Stage {
  server = new SseServer();
  base = "";
  #folder = "";
  #preview: PreviewServer | null = null;
  #browser: Browser | null = null;

  async start() {
    this.#folder = mkdtempSync(join(tmpdir(), "bindery-e2e-"));
    const alias = [
      { find: /^@bindery\/react$/, replacement: `${root}src/index.ts` },
      { find: /^@bindery\/react\/client$/, replacement: `${root}src/client.ts` },
      { find: /^@bindery\/react\/element$/, replacement: `${root}src/element/index.ts` },
      { find: /^@bindery\/react\/styles.css$/, replacement: `${root}styles.css` },
    ];
    const input = ["index.html", "gallery.html"].map((name) => `${root}example/${name}`);
    const files = { outDir: this.#folder, emptyOutDir: true, rollupOptions: { input } };
    const common = {
      root: `${root}example`,
      configFile: false as const,
      logLevel: "error" as const,
      base: "./",
    };
    await build({ ...common, resolve: { alias }, build: files });
    this.#preview = await preview({
      ...common,
      build: files,
      preview: { port: 0, host: "127.0.0.1" },
    });
    this.#browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
    this.base = await this.server.start();
  }

  /** The origin of the pages, as in a browser's header. */
  get origin(): string {
    return new URL(this.#at).origin;
  }

  get #at(): string {
    const at = this.#preview?.resolvedUrls?.local[0];
    if (at === undefined) throw new Error("call start() first");
    return at;
  }

  /** A separate browser context. */
  async context(looks: BrowserContextOptions = {}): Promise<BrowserContext> {
    if (this.#browser === null) throw new Error("call start() first");
    const context = await this.#browser.newContext(looks);
    context.setDefaultTimeout(120_000);
    return context;
  }

  /** The example app in a new page, with the daemon at `base` and what else is in its address. */
  async page(
    address: Record<string, string>,
    where: BrowserContextOptions | BrowserContext = {},
  ): Promise<Page> {
    const context = "newPage" in where ? where : await this.context(where);
    const page = await context.newPage();
    await page.goto(this.address(address));
    return page;
  }

  address(more: Record<string, string>): string {
    return `${this.#at}?${new URLSearchParams({ base: this.base, ...more })}`;
  }

  /** The gallery in a new page. */
  async gallery(looks: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await this.context(looks)).newPage();
    await page.goto(new URL("gallery.html", this.#at).href);
    return page;
  }

  async stop() {
    await this.#browser?.close();
    await this.#preview?.close();
    await this.server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
