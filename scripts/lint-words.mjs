#!/usr/bin/env node
// Fails on words and phrases that Bindery's documentation, comments, messages and test names do not
// use (docs/glossary.md has the terms to use), and on lines of more than 100 columns.
//
//   lint-words.mjs           every file of the repository
//   lint-words.mjs FILE...   only these
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const COLUMNS = 100;

/** What is not written, and what is written instead. @type {[RegExp, string][]} */
const WORDS = [
  [/\b(?:nobody|somebody|anybody|whoever|whomever)\b/, 'name the subject'],
  [/\bbur(?:y|ies|ied|ying)\b/, 'reject, dead letter'],
  [/\b(?:tell|tells|telling|told)\b/, 'report, log, notify, show'],
  [/\b(?:hear|hears|hearing|heard)\b/, 'receive, subscribe'],
  [/\b(?:say|says|saying|said)\b/, 'report, state, name, describe'],
  [/\bmend(?:s|ed|ing)?\b/, 'fix, correct'],
  [/\bwish(?:es|ed)?\b/, 'request, setting'],
  [/\b(?:by|of) itself\b/, 'automatically, alone'],
  [/\b(?:go|goes|going|went|gone) on\b/, 'continue'],
  [/\b(?:take|takes|taking|took|taken) back\b/, 'rewind, undo, roll back'],
  [/\bfor good\b/, 'permanently'],
  [/\bfor ever\b/, 'forever, without end'],
  [/\bsigns? of life\b/, 'heartbeat'],
  [/\bsees? to it\b|\bsees to\b/, 'ensure'],
  [/\bmakes? way\b/, 'name the effect'],
  [/\b(?:own affair|would be a wonder|has teeth)\b/, 'state it plainly'],
  [/\b(?:of which none|what is no|where that is there)\b/, 'begin with the subject'],
];

/** Text that has one of the words for a reason: an API's field, a user of the system, a policy. */
const ALLOWED = [
  /"hears"|\bhears\b(?=:| *\})/g,
  /\bpolicy (?:if exists )?nobody\b/g,
  /\bit said no\b/g,
];

/** Generated files, those of package managers, and stories. */
const NOT_WRITTEN_HERE = [
  /(?:^|\/)package-lock\.json$/,
  /\.lock$/,
  /\.(?:png|svg|ico|jsonl?|csv)$/,
  /(?:^|\/)requirements[\w-]*\.txt$/,
  /^docs\/schema\//,
  /^extension\/sql\//,
  /^supabase\/(?:migrations|types)\//,
  /^tests\/fixtures\//,
  /^daemon\/src\/http\/page\//,
  /^LICENSE$/,
  // The stories of the example, and the code that finds who speaks in them.
  /^examples\/comic\/(?:books\/|(?:brief|cast|lexicon|story)\.py$|tests\/test_(?:story|units)\.py$)/,
  // This list and its test.
  /^scripts\/lint-words\.mjs$/,
  /^tests\/scripts\/lint-words\.test\.js$/,
];

/** Files that are still to be brought to this; the list only becomes shorter. */

/** A line as prose: without code, and without texts of one word, which are names or values. */
function prose(line, path) {
  let text = line.replace(/'{1,2}[\w./:@-]+'{1,2}|"[\w./:@-]+"/g, '""');
  // In JavaScript, backquotes are around messages, too.
  const code = /\.(?:m?[jt]sx?)$/.test(path) ? /`[^`\s]*`/g : /`[^`]*`/g;
  text = text.replace(code, '``');
  // The name of a test is a sentence.
  text = text.replace(/\b[a-z0-9]+(?:_[a-z0-9]+){3,}\b/g, (name) => name.replaceAll('_', ' '));
  // Names in capitals are states and variables.
  text = text.replace(/\b[A-Z][A-Z_]+\b/g, (name) => name.replace(/./g, 'X'));
  for (const allowed of ALLOWED) text = text.replace(allowed, '""');
  return text;
}

/** Comments of languages whose code rustfmt, prettier or ruff breaks at 100 columns; not types. */
const COMMENT = /^\s*(?:\/\/|\/\*\*?|\*|# )(?!.*@(?:type|typedef|param|returns) \{)/;

/**
 * Whether a line may be longer: a table, a URL, text that cannot be broken, and code that a formatter
 * or another program has written.
 */
function mayBeLong(line, path, isFenced) {
  const text = line.trim();
  if (isFenced || /[a-z]:\/\/|^(?:\/\/!? |\/\/\/ |# )?\|/.test(text)) return true;
  if (/\.toml$/.test(path)) return true;
  if (/\.(?:rs|py|[cm]?[jt]sx?)$/.test(path) && !COMMENT.test(line)) return true;
  const bare = text.replace(/^(?:\/\/[/!]?|#|--|\*|-|\d+\.)\s+/, '').replace(/`[^`]*`/g, '``');
  return !bare.includes(' ') || bare.split(' ').some((word) => word.length > 60);
}

/**
 * The faults of a file's text. Phrases that continue on the next line are found, too.
 * @param {string} path @param {string} text @returns {{ line: number, fault: string }[]}
 */
export function faults(path, text) {
  const lines = text.split('\n');
  const proses = lines.map((line) => prose(line, path));
  let isFenced = false;
  return lines.flatMap((line, at) => {
    const found = [];
    const next = (proses[at + 1] ?? '').replace(/^[\s/!#*-]+/, '');
    const both = `${proses[at].trimEnd()} ${next}`;
    for (const [word, instead] of WORDS) {
      const match = new RegExp(word, 'i').exec(both);
      if (match && match.index < proses[at].trimEnd().length) {
        found.push({ line: at + 1, fault: `"${match[0]}": write ${instead}` });
      }
    }
    if (path.endsWith('.md') && /^\s*```/.test(line)) isFenced = !isFenced;
    const columns = [...line].length;
    if (columns > COLUMNS && !mayBeLong(line, path, isFenced)) {
      found.push({ line: at + 1, fault: `${columns} columns; at most ${COLUMNS}` });
    }
    return found;
  });
}

/** @param {string} path */
export const isChecked = (path) =>
  ![...NOT_WRITTEN_HERE].some((pattern) => pattern.test(path));

/** The files that Git has, or will have. */
function tracked() {
  process.chdir(join(dirname(fileURLToPath(import.meta.url)), '..'));
  const listed = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  return execFileSync('git', listed, { encoding: 'utf8' }).split('\0');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const named = process.argv.slice(2);
  const paths = (named.length > 0 ? named : tracked()).filter(
    (path) => isChecked(path) && statSync(path, { throwIfNoEntry: false })?.isFile(),
  );
  let count = 0;
  for (const path of paths) {
    const text = readFileSync(path, 'utf8');
    if (text.includes('\0')) continue;
    for (const { line, fault } of faults(path, text)) {
      console.log(`${path}:${line}: ${fault}`);
      count += 1;
    }
  }
  if (count > 0) {
    console.error(`error: ${count} faults of language or length; CONTRIBUTING.md describes both`);
    process.exit(1);
  }
}
