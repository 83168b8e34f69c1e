import { createElement, type ReactElement } from "react";
import type { H } from "../view/h.js";

/** React's `h` for the views. */
export const h: H<ReactElement> = (tag, props, ...children) =>
  createElement(tag, props, ...children);
