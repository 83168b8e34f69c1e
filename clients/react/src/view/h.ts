// The views are functions without a framework: each makes elements with the `h` of its host, which
// is React's createElement or Preact's h. Props have only names that both take, and style values
// are strings, so that both write the same markup.

export type Child<N> = N | string | null | undefined | false;

export interface Props {
  readonly key?: string;
  readonly id?: string;
  readonly className?: string;
  readonly role?: string;
  readonly title?: string;
  readonly dir?: "auto";
  readonly type?: "button";
  readonly style?: Readonly<Record<string, string>>;
  readonly onClick?: () => void;
  readonly viewBox?: string;
  readonly width?: string;
  readonly height?: string;
  readonly fill?: string;
  readonly stroke?: string;
  readonly focusable?: "false";
  readonly d?: string;
  readonly [attribute: `aria-${string}`]: string | number | boolean | undefined;
  readonly [attribute: `data-${string}`]: string | number | boolean | undefined;
}

export type H<N> = (tag: string, props: Props | null, ...children: Child<N>[]) => N;

/** Class names, without the missing ones. */
export function classes(...names: (string | null | undefined | false)[]): string {
  return names.filter(Boolean).join(" ");
}

/** The parts that exist, joined as in "42 % · attempt 2". */
export function joined(...parts: (string | null | undefined | false)[]): string {
  return parts.filter(Boolean).join(" · ");
}

/** For screen readers only; the styles are inline, because a page may omit our CSS. */
const unseenStyle = {
  position: "absolute",
  width: "1px",
  height: "1px",
  margin: "-1px",
  padding: "0px",
  border: "0px",
  overflow: "hidden",
  clipPath: "inset(50%)",
  whiteSpace: "nowrap",
};

export function unseen<N>(h: H<N>, text: string): N {
  return h("span", { className: "bindery-unseen", style: unseenStyle }, text);
}

/**
 * The live region. Render it empty from the start, because screen readers do not read one that
 * appears with its text.
 */
export function announcer<N>(h: H<N>, text: string): N {
  const props = { role: "status", "aria-live": "polite", style: unseenStyle };
  return h("p", { className: "bindery-announcer", ...props }, text);
}
