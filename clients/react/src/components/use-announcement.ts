"use client";
import { useEffect, useRef, useState } from "react";
import type { BookStatus } from "../status.js";
import { announce, type Announced } from "../view/announce.js";
import type { Labels } from "../view/labels.js";

/** The text of the live region. */
export function useAnnouncement(book: BookStatus | null, labels: Labels): string {
  const last = useRef<Announced | null>(null);
  const [text, setText] = useState("");
  useEffect(() => {
    if (book === null) return;
    const next = announce(last.current, book, Date.now(), labels);
    last.current = next.announced;
    if (next.text !== null) setText(next.text);
  }, [book, labels]);
  return text;
}
