import { defineConfig } from "vitest/config";

// In a real Chromium (CHROMIUM names another than Debian's), over real sockets: what jsdom lacks.
export default defineConfig({
  test: {
    include: ["e2e/*.test.ts"],
    environment: "node",
    // One browser at a time, and no hurry: a busy machine is no fault of the code.
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
