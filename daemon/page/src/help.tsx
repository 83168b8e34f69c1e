import { Dialog } from "./dialog.js";

const keys: readonly (readonly [keys: readonly string[], effect: string])[] = [
  [["/"], "Search"],
  [["j", "k"], "Next book, previous book"],
  [["Enter"], "Open the book"],
  [["x"], "Select the book"],
  [["r"], "Resume the selected or the open book"],
  [["Esc"], "Close the book, or clear the selection"],
  [["?"], "This help"],
];

export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="keys">
        {keys.map(([names, effect]) => (
          <div key={effect}>
            <dt>
              {names.map((name) => (
                <kbd key={name}>{name}</kbd>
              ))}
            </dt>
            <dd>{effect}</dd>
          </div>
        ))}
      </dl>
      <div class="actions">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
