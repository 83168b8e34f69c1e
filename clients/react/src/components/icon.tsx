import type { Stage } from "../status.js";
import type { Tone } from "./tone.js";

/** Each tone and state has its own shape, so that no meaning depends on colour. */
const shapes: Record<Tone | Stage["state"], string> = {
  waiting: "M8 4v4l3 2M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0",
  pending: "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0",
  active: "M5 3l8 5-8 5z",
  quiet: "M6 4v8M10 4v8",
  stalled: "M8 2l6.5 11.5h-13zM8 6.5v3M8 11.5v.1",
  failed: "M8 3v6.5M8 12.5v.1",
  cancelled: "M4 4l8 8M12 4l-8 8",
  done: "M3 8.5l3.5 3.5L13 5",
};

export function Icon({ of }: { of: Tone | Stage["state"] }) {
  return (
    <svg
      className="bindery-icon"
      viewBox="0 0 16 16"
      width="1em"
      height="1em"
      aria-hidden="true"
      focusable="false"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      <path d={shapes[of]} />
    </svg>
  );
}
