// @vitest-environment jsdom
// The registry for shadcn's command line: its form, and the files that it copies into an app.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import { act } from "react";
import { afterEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { ProgressTracker } from "../registry/progress-tracker.js";
import { at, status } from "./support/books.js";
import { render, unmountAll } from "./support/render.js";
import { failed, moments, view } from "./support/views.js";

const root = join(import.meta.dirname, "..");
const registry: unknown = JSON.parse(readFileSync(join(root, "registry.json"), "utf8"));

const type = z.enum(
  [
    "lib",
    "block",
    "component",
    "ui",
    "hook",
    "theme",
    "page",
    "file",
    "style",
    "item",
    "example",
    "internal",
  ].map((name) => `registry:${name}`),
);
type Css = string | { [name: string]: Css };
const css: z.ZodType<Css> = z.lazy(() => z.union([z.string(), z.record(z.string(), css)]));

/** https://ui.shadcn.com/schema/registry.json, as far as it is used here. */
const schema = z.strictObject({
  $schema: z.literal("https://ui.shadcn.com/schema/registry.json"),
  name: z.string(),
  homepage: z.url(),
  items: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z][a-z-]*$/),
        type,
        title: z.string(),
        description: z.string(),
        dependencies: z.array(z.string()),
        files: z.array(z.strictObject({ path: z.string(), type, target: z.string() })).optional(),
        css: z.record(z.string(), css).optional(),
      }),
    )
    .min(1),
});

afterEach(unmountAll);

describe("registry.json", () => {
  test("has the form that shadcn's command line reads", () => {
    expect(schema.safeParse(registry).error).toBeUndefined();
  });

  test("lists files that exist and are published, and import only what they declare", () => {
    const { items } = schema.parse(registry);
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      files: string[];
    };
    const files = items.flatMap(({ files = [], dependencies }) =>
      files.map(({ path }) => ({ path, dependencies })),
    );
    expect(files.length).toBeGreaterThan(0);
    expect(manifest.files).toEqual(expect.arrayContaining(["registry", "registry.json"]));
    for (const { path, dependencies } of files) {
      expect([path, existsSync(join(root, path))]).toEqual([path, true]);
      const source = readFileSync(join(root, path), "utf8");
      const imports = [...source.matchAll(/from "([^"]+)"/g)].map(([, name = ""]) => name);
      expect(imports.length).toBeGreaterThan(0);
      for (const name of imports)
        expect(dependencies.some((one) => name === one || name.startsWith(`${one}/`))).toBe(true);
    }
  });

  test("sets variables that styles.css reads", () => {
    const styles = readFileSync(join(root, "styles.css"), "utf8");
    const { items } = schema.parse(registry);
    const variables = items.flatMap(({ css }) => Object.keys(css?.[":root"] ?? {}));
    expect(variables.length).toBeGreaterThan(0);
    for (const name of variables) expect(styles).toContain(`${name}: `);
  });
});

describe("the component that it copies", () => {
  test.each(moments)("has nothing that axe finds fault with: %s", async (_, moment) => {
    const { container } = await render(<ProgressTracker view={moment} onRetry={() => undefined} />);
    const { violations } = await axe.run(container, {
      rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
    });
    expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
  });

  test("shows the stages with their weights, the open substeps and the progress in words", async () => {
    const stages = status().stages.map((stage, place) => ({ ...stage, weight: place + 1 }));
    const { container } = await render(<ProgressTracker view={view(status({ stages }))} />);
    const bar = container.querySelector('[role="progressbar"]');
    expect(bar?.getAttribute("aria-valuetext")).toContain("Extract text 48 of 120 pages");
    const segments = [...(bar?.children ?? [])] as HTMLElement[];
    expect(segments.map((one) => one.style.flexGrow)).toEqual(["1", "2", "3"]);
    expect(container.textContent).toContain("Detect chapters");
  });

  test("shows why a book failed, and retries", async () => {
    let retried = 0;
    const shown = view({ ...failed, resume_at: at(-1) });
    const { container } = await render(
      <ProgressTracker view={shown} onRetry={() => (retried += 1)} />,
    );
    expect(container.textContent).toContain("The ink ran out");
    expect(container.textContent).toContain("The next attempt is due");
    await act(async () => container.querySelector("button")?.click());
    expect(retried).toBe(1);
  });
});
