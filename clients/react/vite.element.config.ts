// The element with all that it needs in one file, for a page without a bundler. Preact's licence
// stands beside it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const FILE = "bindery-progress.js";
const BANNER = `/*! @bindery/react, Apache-2.0; contains Preact, MIT: ${FILE}.LICENSE.txt */`;

const licence: Plugin = {
  name: "licence",
  generateBundle() {
    const manifest = createRequire(import.meta.url).resolve("preact/package.json");
    const source = readFileSync(join(dirname(manifest), "LICENSE"), "utf8");
    this.emitFile({ type: "asset", fileName: `${FILE}.LICENSE.txt`, source });
  },
};

export default defineConfig({
  publicDir: false,
  plugins: [licence],
  build: {
    target: "es2022",
    emptyOutDir: false,
    lib: { entry: "src/element/index.ts", formats: ["es"], fileName: () => FILE },
    rolldownOptions: { output: { minify: true, postBanner: BANNER } },
  },
});
