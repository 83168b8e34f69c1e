import type { CSSProperties, ReactNode } from "react";

/** For screen readers only; it has inline styles, because a page may omit our CSS. */
export const unseen: CSSProperties = {
  position: "absolute",
  width: 1,
  height: 1,
  margin: -1,
  padding: 0,
  border: 0,
  overflow: "hidden",
  clipPath: "inset(50%)",
  whiteSpace: "nowrap",
};

export function Unseen({ children }: { children: ReactNode }) {
  return <span style={unseen}>{children}</span>;
}
