import { defineConfig } from "vitest/config";

// The packed package in apps of its own, in a real Chromium. It needs npm's registry.
export default defineConfig({
  test: {
    include: ["e2e/apps/*.test.ts"],
    environment: "node",
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
