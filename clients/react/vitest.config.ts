import { defineConfig } from "vitest/config";

export default defineConfig({
  // The tests need no plugin: JSX is React's own.
  oxc: { jsx: { runtime: "automatic" } },
  resolve: {
    alias: [
      { find: /^@bindery\/react$/, replacement: `${import.meta.dirname}/src/index.ts` },
      { find: /^@bindery\/react\/view$/, replacement: `${import.meta.dirname}/src/view/index.ts` },
    ],
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    environment: "node",
    restoreMocks: true,
    // Generous: a busy machine is no fault of the code.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
