// The browser's storage. A browser that forbids it to this page has a page that forgets.

type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

function memory(): Store {
  const known = new Map<string, string>();
  return {
    getItem: (key) => known.get(key) ?? null,
    setItem: (key, value) => void known.set(key, value),
    removeItem: (key) => void known.delete(key),
  };
}

function storage(name: "localStorage" | "sessionStorage"): Store {
  try {
    return window[name];
  } catch {
    return memory();
  }
}

/** Until the tab is closed. */
export const tabStorage = storage("sessionStorage");
/** Of this browser. */
export const browserStorage = storage("localStorage");
