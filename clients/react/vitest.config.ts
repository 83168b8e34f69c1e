import { defineConfig } from "vitest/config";

export default defineConfig({
  // The tests need no plugin: JSX is React's own.
  oxc: { jsx: { runtime: "automatic" } },
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
