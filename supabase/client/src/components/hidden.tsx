import type { CSSProperties, ReactNode } from "react";

/** Read out, not seen; by its own style, since a page may go without our CSS. */
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
