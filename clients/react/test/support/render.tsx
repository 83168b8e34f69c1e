// Renders into a document, and lets React finish what it has begun.
import { act, type ReactNode } from "react";
import { createRoot, hydrateRoot, type Root } from "react-dom/client";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

export interface Rendered {
  container: HTMLElement;
  render(node: ReactNode): Promise<void>;
  unmount(): Promise<void>;
}

const roots = new Set<Root>();

export async function render(node: ReactNode, html?: string): Promise<Rendered> {
  const container = document.body.appendChild(document.createElement("main"));
  let root: Root | undefined;
  await act(async () => {
    if (html === undefined) {
      root = createRoot(container);
      root.render(node);
    } else {
      container.innerHTML = html;
      root = hydrateRoot(container, node);
    }
  });
  if (root === undefined) throw new Error("nothing was rendered");
  const mounted = root;
  roots.add(mounted);
  return {
    container,
    render: (next) => act(async () => mounted.render(next)),
    unmount: () => act(async () => unmount(mounted)),
  };
}

export async function unmountAll() {
  await act(async () => roots.forEach(unmount));
  document.body.replaceChildren();
}

function unmount(root: Root) {
  roots.delete(root);
  root.unmount();
}
