import { useEffect, useState } from "preact/hooks";

/** Copies a text, and confirms that for two seconds. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [state, setState] = useState<"ready" | "copied" | "failed">("ready");
  useEffect(() => {
    if (state === "ready") return;
    const timer = setTimeout(() => setState("ready"), 2000);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setState("copied");
    } catch {
      // Not allowed, or the page is not served over https or from this machine.
      setState("failed");
    }
  };
  const texts = { ready: label, copied: "Copied", failed: "Not allowed to copy" };
  return (
    <span class="copy">
      <button type="button" class="small" onClick={() => void copy()}>
        {texts[state]}
      </button>
      <span class="unseen" role="status">
        {state === "ready" ? "" : texts[state]}
      </span>
    </span>
  );
}

/** JSON, indented, with a button that copies it. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const text = JSON.stringify(value, null, 2);
  return (
    <div class="json">
      <CopyButton text={text} />
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
    </div>
  );
}
