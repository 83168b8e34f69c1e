// A copy of this checkout as a reader has it, and a shell in it that types what a page has.
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './pages.js';

/** How long anything may take, ms: a busy machine is no fault of a page. */
export const PATIENCE = Number(process.env.PATIENCE ?? 300_000);

// `make dev` without its build, which would take minutes and compile what this checkout has
// compiled.
const MAKE = `#!/bin/sh
case "$1" in
  dev) exec scripts/dev.sh start ;;
  dev-stop) exec scripts/dev.sh stop ;;
  env) exec scripts/dev.sh env ;;
  *) echo "make $*: not in these tests" >&2; exit 2 ;;
esac
`;

export class Checkout {
  constructor() {
    const { BINDERYD } = process.env;
    if (!BINDERYD) throw new Error('no BINDERYD; run scripts/docs.sh');
    // In /tmp, since user postgres must reach the servers' data.
    this.home = mkdtempSync('/tmp/bindery-docs.');
    chmodSync(this.home, 0o755);
    this.path = join(this.home, 'bindery');
    const listed = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    for (const file of execFileSync('git', listed, { cwd: root, encoding: 'utf8' }).split('\0')) {
      if (file === '' || !existsSync(join(root, file))) continue;
      mkdirSync(dirname(join(this.path, file)), { recursive: true });
      cpSync(join(root, file), join(this.path, file));
    }
    mkdirSync(join(this.home, 'bin'));
    mkdirSync(join(this.home, 'target/release'), { recursive: true });
    writeFileSync(join(this.home, 'bin/make'), MAKE, { mode: 0o755 });
    symlinkSync(BINDERYD, join(this.home, 'target/release/binderyd'));
    this.env = {
      ...process.env,
      PATH: `${join(this.home, 'bin')}:${process.env.PATH}`,
      CARGO_TARGET_DIR: join(this.home, 'target'),
      BINDERY_PROFILE: 'release',
      BINDERY_SCRATCH: join(this.home, 'scratch'),
      NO_COLOR: '1',
    };
  }

  remove() {
    execFileSync('scripts/dev.sh', ['stop'], { cwd: this.path, env: this.env });
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** A shell, which ends with the first command that fails; that is an error of `type`. */
export class Shell {
  /** @param {Checkout} checkout */
  constructor(checkout) {
    // A process group of its own: what was started in the background ends with it.
    this.child = spawn('bash', ['-e'], { cwd: checkout.path, env: checkout.env, detached: true });
    this.output = '';
    this.ended = false;
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (text) => {
        this.output += text;
      });
    }
    this.child.on('exit', () => {
      this.ended = true;
    });
    this.count = 0;
  }

  /** @param {string} text commands that end */
  async type(text) {
    const done = `::${(this.count += 1)}::`;
    this.child.stdin.write(`${text}\necho "${done}"\n`);
    await eventually(`the commands\n${text}\nend`, () => {
      if (this.output.includes(done)) return true;
      if (this.ended) throw new Error(`a command failed:\n${text}\n${this.output}`);
      return false;
    });
  }

  /** @param {string} text commands that are not waited for; the next ones are */
  command(text) {
    this.child.stdin.write(`${text.trimEnd()}\n`);
  }

  /**
   * Ctrl-C for the program that has this in its command line, of this shell's.
   * @param {string} word
   */
  interrupt(word) {
    const pids = execFileSync('pgrep', ['-g', String(this.child.pid), '-f', word], {
      encoding: 'utf8',
    });
    for (const pid of pids.trim().split('\n')) process.kill(Number(pid), 'SIGINT');
  }

  /** @param {string} text commands of which the last one runs until it is stopped */
  go(text) {
    this.child.stdin.write(`(\n${text}\n) &\n`);
  }

  /** @param {import('./pages.js').Block} block a file, or commands */
  async block(block) {
    if (block.file === null) return this.type(block.text);
    return this.type(`cat >${block.file} <<'END_OF_FILE'\n${block.text}END_OF_FILE`);
  }

  /** @param {string} name */
  async variable(name) {
    await this.type(`echo "::${name}=$${name}::"`);
    const values = [...this.output.matchAll(new RegExp(`::${name}=(.*)::`, 'g'))];
    return values[values.length - 1][1];
  }

  stop() {
    if (this.child.pid !== undefined) {
      try {
        process.kill(-this.child.pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
  }
}

/**
 * Asks until the answer is true.
 * @template T @param {string} what @param {() => T | Promise<T>} ask @returns {Promise<T>}
 */
export async function eventually(what, ask) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${PATIENCE / 1000} s: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
  }
}

/** The book with this title, by HTTP. @param {string} url @param {string} title */
export async function book(url, title) {
  const answer = await fetch(`${url}/api/books`);
  const { books } = await answer.json();
  return books.find((/** @type {{ title: string }} */ found) => found.title === title);
}

/** Waits for a bar that has begun and continues. @param {string} url @param {string} title */
export async function aMovingBar(url, title) {
  const progress = async () => (await book(url, title))?.overall_progress ?? 0;
  const first = await eventually(`"${title}" has a bar`, progress);
  await eventually(`the bar of "${title}" moves`, async () => (await progress()) > first);
}
