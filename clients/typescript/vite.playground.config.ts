import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// docs/playground as static files in dist-playground/; they need no server but one for files.
export default defineConfig({
  root: fileURLToPath(new URL("../../docs/playground", import.meta.url)),
  base: "./",
  build: {
    target: "es2022",
    outDir: fileURLToPath(new URL("dist-playground", import.meta.url)),
    emptyOutDir: true,
    chunkSizeWarningLimit: 2000,
  },
  // PGlite finds its WebAssembly beside its own modules.
  optimizeDeps: { exclude: ["@electric-sql/pglite"] },
  server: { fs: { allow: [fileURLToPath(new URL("../..", import.meta.url))] } },
  logLevel: "error",
});
