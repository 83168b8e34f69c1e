// A scrolling list of rows of one height, of which only the visible ones exist. Rows that are not
// loaded yet have their place, so that the scroll bar shows the true length.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** Rows beyond each edge, which are there before they are scrolled to. */
const OVERSCAN = 8;

export interface RowsHandle {
  /** Scrolls as little as needed to show a row. */
  reveal(index: number): void;
}

export function Rows({
  count,
  height,
  label,
  anchor,
  placeOf,
  handle,
  onVisible,
  children,
}: {
  count: number;
  height: number;
  label: string;
  /** The key of a row: while the list is scrolled, its top row stays where it is. */
  anchor: (index: number) => string | undefined;
  placeOf: (key: string) => number;
  handle: { current: RowsHandle | null };
  onVisible: (from: number, to: number) => void;
  children: (from: number, to: number) => ComponentChildren;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [room, setRoom] = useState(0);
  const anchored = useRef<{ key: string; index: number } | null>(null);

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setRoom(element.clientHeight));
    observer.observe(element);
    setRoom(element.clientHeight);
    return () => observer.disconnect();
  }, []);

  const first = Math.floor(top / height);
  // Rows came or went above: the visible ones stay where they are.
  useLayoutEffect(() => {
    const element = box.current;
    const before = anchored.current;
    if (element !== null && before !== null && element.scrollTop > 0) {
      const place = placeOf(before.key);
      if (place >= 0 && place !== before.index)
        element.scrollTop += (place - before.index) * height;
    }
    const index = element === null ? first : Math.floor(element.scrollTop / height);
    const key = anchor(index);
    anchored.current = key === undefined ? null : { key, index };
  });

  handle.current = {
    reveal(index) {
      const element = box.current;
      if (element === null) return;
      const from = index * height;
      if (from < element.scrollTop) element.scrollTop = from;
      else if (from + height > element.scrollTop + element.clientHeight)
        element.scrollTop = from + height - element.clientHeight;
    },
  };

  const from = Math.max(0, first - OVERSCAN);
  const to = Math.min(count, Math.ceil((top + room) / height) + OVERSCAN);
  useEffect(() => onVisible(from, to), [from, to, count]);

  return (
    <div
      class="rows"
      ref={box}
      role="rowgroup"
      aria-label={label}
      tabIndex={0}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div class="rows-space" role="presentation" style={{ height: `${count * height}px` }}>
        {children(from, to)}
      </div>
    </div>
  );
}
