// The example app, built from the sources and served as files; a Chromium; and the stand-in of the daemon behind it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { build, preview, type PreviewServer } from "vite";
import { SseServer } from "../test/support/sse-server.js";

const root = new URL("..", import.meta.url).pathname;

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
      { find: /^@bindery\/react\/styles.css$/, replacement: `${root}styles.css` },
    ];
    const files = { outDir: this.#folder, emptyOutDir: true };
    const common = { root: `${root}example`, configFile: false as const, logLevel: "error" as const, base: "./" };
    await build({ ...common, resolve: { alias }, build: files });
    this.#preview = await preview({ ...common, build: files, preview: { port: 0, host: "127.0.0.1" } });
    this.#browser = await chromium.launch({
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: ["--no-sandbox"],
    });
    this.base = await this.server.start();
  }

  /** The example app in a new page, with the daemon at `base` and what else is in its address. */
  async page(address: Record<string, string>, looks: Parameters<Browser["newPage"]>[0] = {}): Promise<Page> {
    const page = await this.#browser?.newPage(looks);
    const at = this.#preview?.resolvedUrls?.local[0];
    if (page === undefined || at === undefined) throw new Error("the stage was not started");
    await page.goto(`${at}?${new URLSearchParams({ base: this.base, ...address })}`);
    return page;
  }

  /** Kills the daemon's stand-in. */
  async stopServer() {
    await this.server.stop();
  }

  async startServer(answer: SseServer["answer"]) {
    this.server = new SseServer();
    this.server.answer = answer;
    await this.server.start(Number(new URL(this.base).port));
  }

  async stop() {
    await this.#browser?.close();
    await this.#preview?.close();
    await this.server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
