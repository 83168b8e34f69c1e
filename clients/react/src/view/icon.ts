import type { Stage } from "../status.js";
import type { H } from "./h.js";
import type { Tone } from "./tone.js";

/** Each tone and state has its own shape, so that no meaning depends on colour. */
const shapes: Record<Tone | Stage["state"], string> = {
  waiting: "M5 2.4V5l1.7 1.1M8.8 5A3.8 3.8 0 1 1 1.2 5a3.8 3.8 0 0 1 7.6 0",
  pending: "M8.2 5A3.2 3.2 0 1 1 1.8 5a3.2 3.2 0 0 1 6.4 0",
  active: "M3.2 2l5 3-5 3z",
  quiet: "M3.6 2.4v5.2M6.4 2.4v5.2",
  stalled: "M5 1.3l4 7.2H1zM5 4v2M5 7.1v.1",
  failed: "M5 1.6v4.2M5 8v.1",
  cancelled: "M2.4 2.4l5.2 5.2M7.6 2.4L2.4 7.6",
  done: "M1.8 5.4l2.3 2.3L8.3 3",
};

/** The box has ten units, so that SVG's default stroke of one unit fits. */
export function icon<N>(h: H<N>, of: Tone | Stage["state"]): N {
  const box = { viewBox: "0 0 10 10", width: "1em", height: "1em", fill: "none" };
  return h(
    "svg",
    {
      className: "bindery-icon",
      ...box,
      stroke: "currentColor",
      "aria-hidden": "true",
      focusable: "false",
    },
    h("path", { d: shapes[of] }),
  );
}
