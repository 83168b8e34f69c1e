// Apps outside of this folder that install the packed package, as users do.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";

export const root = join(import.meta.dirname, "../..");
// Without the NODE_ENV of this test, each tool sets its own.
const { NODE_ENV: _, ...outer } = process.env;
const env = { ...outer, NEXT_TELEMETRY_DISABLED: "1", npm_config_fund: "false" };

export async function run(folder: string, command: string, ...args: string[]): Promise<string> {
  const child = spawn(command, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (text: Buffer) => (output += text.toString()));
  child.stderr.on("data", (text: Buffer) => (output += text.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${output}`);
  return output;
}

export interface Manifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

export class Packed {
  readonly work = mkdtempSync(join(tmpdir(), "bindery-apps-"));
  tarball = "";

  async pack() {
    await run(root, "npm", "pack", "--pack-destination", this.work);
    const name = readdirSync(this.work).find((name) => name.endsWith(".tgz"));
    if (name === undefined) throw new Error("npm pack made no tarball");
    this.tarball = join(this.work, name);
  }

  /** A copy of a folder with the packed package and other packages installed. */
  async install(from: string, name: string, more: Manifest = {}): Promise<string> {
    const app = join(this.work, name);
    const isSource = (path: string) =>
      !/node_modules|dist|package-lock/.test(path.slice(from.length));
    cpSync(from, app, { recursive: true, filter: isSource });
    const path = join(app, "package.json");
    const manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
    const { dependencies, devDependencies } = manifest;
    const own = { "@bindery/react": `file:${this.tarball}` };
    manifest.dependencies = { ...dependencies, ...more.dependencies, ...own };
    manifest.devDependencies = { ...devDependencies, ...more.devDependencies };
    writeFileSync(path, JSON.stringify(manifest));
    await run(app, "npm", "install", "--no-package-lock", "--no-audit", "--prefer-offline");
    return app;
  }

  remove() {
    rmSync(this.work, { recursive: true, force: true });
  }
}

/** Starts a server of an app, and waits until it answers. Returns how to end it. */
export async function serve(
  folder: string,
  address: string,
  more: Record<string, string>,
  command: string,
  ...args: string[]
): Promise<() => Promise<void>> {
  const options = { cwd: folder, env: { ...env, ...more }, detached: true } as const;
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (text: Buffer) => (output += text.toString()));
  child.stderr.on("data", (text: Buffer) => (output += text.toString()));
  const closed = once(child, "close");
  for (;;) {
    const answer = await fetch(address).catch(() => null);
    if (answer?.ok === true) break;
    if (child.exitCode !== null || (answer !== null && answer.status >= 500))
      throw new Error(`${command} ${args.join(" ")}: HTTP ${answer?.status}\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return async () => {
    // Its process group, since the server is a child of npx. At SIGTERM it would wait for browsers
    // to close their connections.
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL");
    await closed;
  };
}

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
};

/** A server of files as they are. */
export async function serveFiles(folder: string) {
  const server = createHttpServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1");
    const type = types[extname(pathname)];
    if (type === undefined) return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": type }).end(readFileSync(join(folder, pathname)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { base: `http://127.0.0.1:${port}`, stop };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
