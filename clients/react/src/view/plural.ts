// The plural of a producer's unit: from the labels, or by the rules of English.

/** The forms of a unit, by the categories of `Intl.PluralRules`. */
export type PluralForms = { readonly other: string } & {
  readonly [Category in Exclude<Intl.LDMLPluralRule, "other">]?: string;
};

const rules = new Map<string, Intl.PluralRules>();

/** The form of a unit for a count, by the rules of the locale. */
export function formFor(forms: PluralForms, count: number, locale: string): string {
  const known = rules.get(locale) ?? new Intl.PluralRules(locale);
  rules.set(locale, known);
  return forms[known.select(count)] ?? forms.other;
}

/** Words whose plural no rule below gives. "epoch" has the sound of a k at its end. */
const irregular: Readonly<Record<string, string>> = {
  person: "people",
  child: "children",
  man: "men",
  woman: "women",
  foot: "feet",
  index: "indices",
  vertex: "vertices",
  matrix: "matrices",
  criterion: "criteria",
  datum: "data",
  corpus: "corpora",
  quiz: "quizzes",
  leaf: "leaves",
  half: "halves",
  shelf: "shelves",
  life: "lives",
  hero: "heroes",
  echo: "echoes",
  epoch: "epochs",
  stomach: "stomachs",
  gas: "gases",
  lens: "lenses",
  alias: "aliases",
  atlas: "atlases",
  canvas: "canvases",
};

/** Words with one form, and abbreviations that look like words. */
const unchanged = /(^|[ _-])(series|species|data|media|sheep|min|sec|dpi|fps|rpm)$/i;
const plurals = new Set(Object.values(irregular));

/** "page" -> "pages", "batch" -> "batches", "story" -> "stories", "MB" -> "MB". */
export function englishPlural(unit: string): string {
  // A word of three letters or more has a plural; a symbol such as "MB" has none.
  const word = /(?:^|[ _-])(\p{L}\p{Ll}{2,})$/u.exec(unit)?.[1];
  if (word === undefined || unchanged.test(unit)) return unit;
  const start = unit.slice(0, unit.length - word.length);
  const lower = word.toLowerCase();
  if (plurals.has(lower)) return unit;
  const known = Object.hasOwn(irregular, lower) ? irregular[lower] : undefined;
  if (known !== undefined) return start + word.charAt(0) + known.slice(1);
  if (/[^s]sis$|axis$/.test(lower)) return unit.replace(/is$/, "es");
  if (/(ss|us|x|z|ch|sh)$/.test(lower)) return `${unit}es`;
  // A plural already.
  if (lower.endsWith("s")) return unit;
  if (/[^aeiou]y$/.test(lower)) return `${unit.slice(0, -1)}ies`;
  return `${unit}s`;
}
