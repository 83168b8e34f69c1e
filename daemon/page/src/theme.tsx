// Light or dark colours: the system's, until the reader chooses.
import { useState } from "preact/hooks";
import { browserStorage } from "./storage.js";

const KEY = "bindery.theme";
type Theme = "light" | "dark";

const chosen = (): Theme | null => {
  const theme = browserStorage.getItem(KEY);
  return theme === "light" || theme === "dark" ? theme : null;
};
const system = (): Theme => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

function show(theme: Theme | null) {
  if (theme !== null) document.documentElement.dataset["theme"] = theme;
}

// Before the first drawing.
show(chosen());

export function ThemeButton() {
  const [theme, setTheme] = useState(chosen);
  const other: Theme = (theme ?? system()) === "dark" ? "light" : "dark";
  const choose = () => {
    browserStorage.setItem(KEY, other);
    show(other);
    setTheme(other);
  };
  return (
    <button type="button" class="plain icon" aria-label={`Use ${other} colors`} onClick={choose}>
      <span aria-hidden="true">◐</span>
    </button>
  );
}
