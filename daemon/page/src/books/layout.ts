import type { RefObject } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";

/** The list is let go once the pointer has rested for this long. */
const REST_MS = 15_000;
/** Below this width a row has two lines. */
const NARROW_PX = 620;

/** Whether the pointer is over an element and was moved lately; and a function that ends that. */
export function useHeld(box: RefObject<HTMLElement | null>): [boolean, () => void] {
  const [isHeld, setHeld] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const rest = () => setHeld(false);
    const move = (event: PointerEvent) => {
      // A finger that has left the screen points to nothing.
      if (event.pointerType === "touch" && event.type === "pointerup") return leave();
      clearTimeout(timer);
      timer = setTimeout(rest, REST_MS);
      setHeld(true);
    };
    const leave = () => {
      clearTimeout(timer);
      setHeld(false);
    };
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerdown", move);
    element.addEventListener("pointerup", move);
    element.addEventListener("pointerleave", leave);
    return () => {
      clearTimeout(timer);
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerdown", move);
      element.removeEventListener("pointerup", move);
      element.removeEventListener("pointerleave", leave);
    };
  }, []);
  const release = useCallback(() => setHeld(false), []);
  return [isHeld, release];
}

export function useNarrow(box: RefObject<HTMLElement | null>): boolean {
  const [narrow, setNarrow] = useState(() => innerWidth < NARROW_PX);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) setNarrow(element.clientWidth < NARROW_PX);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return narrow;
}
