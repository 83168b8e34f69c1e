// Reads the pages of the documentation: their fenced blocks, headings and links.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** @param {string} page */
export const read = (page) => readFileSync(join(root, page), 'utf8');

/**
 * The fenced blocks of a page, or of one of its sections, in order. A block that is a file has the
 * name that the line before it gives: "`work.py`:".
 * @typedef {{ language: string, text: string, file: string | null, section: string, line: number }} Block
 * @param {string} page @param {string} [section] the text of a heading
 * @returns {Block[]}
 */
export function blocks(page, section) {
  /** @type {Block[]} */
  const found = [];
  /** @type {Block | null} */
  let open = null;
  let heading = '';
  let file = null;
  for (const [number, line] of read(page).split('\n').entries()) {
    const fence = /^```(\w*)$/.exec(line);
    if (open && fence) {
      found.push(open);
      open = null;
    } else if (open) open.text += `${line}\n`;
    else if (fence) {
      open = { language: fence[1], text: '', file, section: heading, line: number + 1 };
      file = null;
    } else if (/^#+ /.test(line)) heading = line.replace(/^#+ /, '');
    else if (line !== '') file = /`([\w./-]+\.\w+)`:$/.exec(line)?.[1] ?? null;
  }
  if (open) throw new Error(`${page}: the block at line ${open.line} has no end`);
  const chosen = found.filter((block) => section === undefined || block.section === section);
  if (chosen.length === 0) throw new Error(`${page} has no block in a section "${section}"`);
  return chosen;
}

/** The anchors of a page's headings, as GitHub makes them. @param {string} text */
export function anchors(text) {
  /** @type {Map<string, number>} */
  const seen = new Map();
  const found = new Set();
  for (const [, heading] of withoutCode(text).matchAll(/^#+ (.*)$/gm)) {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const anchor = plain
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .trim()
      .replace(/ /g, '-');
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    found.add(times === 0 ? anchor : `${anchor}-${times}`);
  }
  return found;
}

/** @param {string} text */
export const withoutCode = (text) => text.replace(/^( *)```[^]*?^ *```$/gm, '');
