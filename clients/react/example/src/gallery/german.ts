// The texts of the components in German, as an example of a translation.
import type { SomeLabels } from "@bindery/react";

export const german: SomeLabels = {
  locale: "de",
  units: {
    page: { one: "Seite", other: "Seiten" },
    panel: { one: "Bild", other: "Bilder" },
    batch: { one: "Stapel", other: "Stapel" },
  },
  time: { day: { one: "Tag", other: "Tage" }, hour: { other: "Std." }, minute: { other: "Min." } },
  untitled: "Buch ohne Titel",
  loading: "Wird geladen",
  unavailable: "Nicht verfügbar",
  completed: "Fertig",
  failed: "Fehlgeschlagen",
  cancelled: "Abgebrochen",
  health: { live: "In Arbeit", waiting: "Wartet", quiet: "Ohne Meldung", stalled: "Steht still" },
  stageState: {
    done: "erledigt",
    active: "in Arbeit",
    pending: "offen",
    failed: "fehlgeschlagen",
    cancelled: "abgebrochen",
  },
  connection: {
    connecting: "Verbindung wird aufgebaut",
    live: "Verbunden",
    delayed: "Verzögert: alle paar Sekunden neu",
    reconnecting: "Verbindung wird wiederhergestellt",
    polling: "Keine Live-Verbindung: alle paar Sekunden neu",
    closed: "Nicht verbunden",
  },
  stale: "Möglicherweise veraltet",
  errors: { stalled: "Der Schritt steht still: zu lange keine Meldung." },
  problems: {
    gone: "Dieses Buch gibt es nicht, oder Sie dürfen es nicht sehen.",
    denied: "Sie dürfen dieses Buch nicht sehen.",
    signed_out: "Ihre Sitzung ist abgelaufen. Melden Sie sich wieder an.",
    unreachable: "Der Server ist nicht erreichbar.",
    refused: "Der Server hat die Anfrage abgelehnt.",
    bad_answer: "Die Antwort des Servers ist ungültig.",
    invalid: "Die Kennung des Buches ist ungültig.",
  },
  amount: (done, total, unit) =>
    [total === null ? done : `${done} von ${total}`, unit].filter(Boolean).join(" "),
  substeps: (done, total, shown) => `${done} von ${total} Teilschritten erledigt; ${shown} gezeigt`,
  stageOf: (stage, place, count) => `${stage}, Schritt ${place} von ${count}`,
  attempt: (attempt, most) =>
    most === null ? `Versuch ${attempt}` : `Versuch ${attempt} von ${most}`,
  remaining: (duration) => `noch etwa ${duration}`,
  overdue: (median, elapsed) => `länger als üblich (Median ${median}, jetzt ${elapsed})`,
  resumesIn: (duration) => `Nächster Versuch in ${duration}`,
  resumesNow: "Der nächste Versuch steht an",
  retry: "Erneut versuchen",
  retrying: "Wird versucht",
  retryFailed: "Das ist fehlgeschlagen.",
};
