// @vitest-environment jsdom
import { expect, test, vi } from "vitest";
import { systemEnvironment } from "../src/environment.js";

function visibility(state: "visible" | "hidden") {
  vi.spyOn(document, "visibilityState", "get").mockReturnValue(state);
  document.dispatchEvent(new Event("visibilitychange"));
}

test("the page wakes when it is seen, when the network is back, and when it comes out of the cache", () => {
  const woken = vi.fn();
  const stop = systemEnvironment.onWake(woken);
  visibility("hidden");
  expect([systemEnvironment.isHidden(), woken.mock.calls.length]).toEqual([true, 0]);
  visibility("visible");
  expect([systemEnvironment.isHidden(), woken.mock.calls.length]).toEqual([false, 1]);
  window.dispatchEvent(new Event("online"));
  expect(woken).toHaveBeenCalledTimes(2);
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false }));
  expect(woken).toHaveBeenCalledTimes(2);
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  expect(woken).toHaveBeenCalledTimes(3);
  stop();
  window.dispatchEvent(new Event("online"));
  expect(woken).toHaveBeenCalledTimes(3);
});
