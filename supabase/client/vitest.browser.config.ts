import { defineConfig } from "vitest/config";

// In a real Chromium (CHROMIUM names another than Debian's), over real sockets: what jsdom cannot know.
export default defineConfig({
  test: { include: ["e2e/**/*.test.ts"], environment: "node", testTimeout: 60_000, hookTimeout: 60_000 },
});
