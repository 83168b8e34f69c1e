"use client";
import { useEffect, useRef, useState } from "react";
import type { BookStatus } from "../status.js";
import { announce, type Told } from "./announce.js";
import { unseen } from "./hidden.js";
import type { Labels } from "./labels.js";

/**
 * The live region. It is rendered empty from the start, because screen readers do not read one that
 * appears with its text.
 */
export function Announcer({ book, labels }: { book: BookStatus | null; labels: Labels }) {
  const told = useRef<Told | null>(null);
  const [text, setText] = useState("");
  useEffect(() => {
    if (book === null) return;
    const first = told.current?.bookId !== book.book_id;
    const next = announce(told.current, book, Date.now(), labels);
    told.current = next.told;
    if (next.text !== null) setText(next.text);
    else if (first) setText("");
  }, [book, labels]);
  return (
    <p role="status" aria-live="polite" style={unseen}>
      {text}
    </p>
  );
}
