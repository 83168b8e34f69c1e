// The element with all that it needs in one file, for a page without a bundler.
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  build: {
    target: "es2022",
    emptyOutDir: false,
    lib: { entry: "src/element/index.ts", formats: ["es"], fileName: () => "bindery-progress.js" },
    rolldownOptions: { output: { minify: true } },
  },
});
