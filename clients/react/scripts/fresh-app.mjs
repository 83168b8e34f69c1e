// Proves that the package, as it is published, can be used: packs it, puts the example app somewhere of its own, installs the
// tarball there as anybody would, type-checks and builds it; with React 19, and with React 18.
// `--keep FOLDER` leaves the build with React 19 there.
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
const keep = process.argv[2] === "--keep" ? process.argv[3] : undefined;
const work = mkdtempSync(join(tmpdir(), "bindery-fresh-"));

function run(folder, command, ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  return stdout;
}

function build(name, versions) {
  const app = join(work, name);
  cpSync(join(root, "example"), app, {
    recursive: true,
    filter: (path) => !/node_modules|dist|package-lock/.test(path),
  });
  const manifest = JSON.parse(readFileSync(join(app, "package.json"), "utf8"));
  manifest.dependencies = {
    ...manifest.dependencies,
    ...versions.dependencies,
    "@bindery/react": `file:${tarball}`,
  };
  manifest.devDependencies = { ...manifest.devDependencies, ...versions.devDependencies };
  writeFileSync(join(app, "package.json"), JSON.stringify(manifest));
  run(app, "npm", "install", "--no-package-lock");
  // README's examples are typed in, too: each is a module of its own.
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const examples = [...readme.matchAll(/```tsx?\n(.*?)```/gs)].map((match) => match[1]);
  examples.forEach((code, place) => writeFileSync(join(app, "src", `readme-${place}.tsx`), code));
  // Once as most do, once with every type of the package looked at.
  run(app, "npx", "tsc");
  writeFileSync(join(app, "src", "strict.ts"), 'export * from "@bindery/react";\n');
  const strict = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "false",
    "--jsx",
    "react-jsx",
    "--target",
    "es2022",
  ];
  run(app, "npx", "tsc", "--ignoreConfig", ...strict, "--module", "nodenext", "src/strict.ts");
  rmSync(join(app, "src", "strict.ts"));
  run(app, "npx", "vite", "build");
  if (keep !== undefined && name === "react-19")
    cpSync(join(app, "dist"), keep, { recursive: true });
  console.log(
    `${name}: installed from the tarball, type-checked with ${examples.length} examples, built`,
  );
}

function runWithoutReact() {
  const plain = join(work, "plain");
  mkdirSync(plain);
  writeFileSync(join(plain, "package.json"), JSON.stringify({ private: true, type: "module" }));
  run(plain, "npm", "install", "--no-package-lock", tarball);
  const program = `
    import { bookStatusSchema, createBindery, sseTransport } from "@bindery/react/client";
    const bindery = createBindery(sseTransport("http://127.0.0.1:9"));
    const view = await new Promise((resolve) => bindery.watchBook("6f1d5a2e-0b3c-4b8e-9a57-0c1d2e3f4a5b", (view) => view.error && resolve(view)));
    await bindery.close();
    if (view.error.kind !== "unreachable" || bookStatusSchema.safeParse({}).success) process.exit(1);
  `;
  run(plain, "node", "--input-type=module", "--eval", program);
  const found = readdirSync(join(plain, "node_modules")).filter((name) => !name.startsWith("."));
  if (found.join() !== "@bindery,preact")
    throw new Error(`installed beside the package: ${found.join(", ")}`);
  console.log("without React: installed with preact alone, ran in Node");
}

let tarball = "";
try {
  run(root, "npm", "pack", "--pack-destination", work);
  tarball = join(work, readdirSync(work).find((name) => name.endsWith(".tgz")) ?? "");
  runWithoutReact();
  build("react-19", {});
  const react18 = { react: "18.3.1", "react-dom": "18.3.1" };
  build("react-18", {
    dependencies: react18,
    devDependencies: { "@types/react": "^18.3.0", "@types/react-dom": "^18.3.0" },
  });
} finally {
  rmSync(work, { recursive: true, force: true });
}
