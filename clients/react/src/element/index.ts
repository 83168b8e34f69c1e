// @bindery/react/element: defines <bindery-progress>.
import { BinderyProgressElement } from "./bindery-progress.js";

export { BinderyProgressElement };

/** The events `bindery-complete` and `bindery-fail`. */
export type BinderyOutcomeEvent = CustomEvent<{ book: import("../status.js").BookStatus }>;

declare global {
  interface HTMLElementTagNameMap {
    "bindery-progress": BinderyProgressElement;
  }
  interface HTMLElementEventMap {
    "bindery-complete": BinderyOutcomeEvent;
    "bindery-fail": BinderyOutcomeEvent;
  }
}

if (
  globalThis.customElements !== undefined &&
  customElements.get("bindery-progress") === undefined
) {
  customElements.define("bindery-progress", BinderyProgressElement);
}
