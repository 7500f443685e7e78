// Builds the pages into dist, which ducklens embeds. The same sources and package-lock.json give the same bytes.
import { build } from "esbuild";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

const dist = "dist";
const accepted = new Set(["MIT", "ISC", "BSD-3-Clause", "Apache-2.0", "0BSD"]);
await rm(dist, { recursive: true, force: true });
await mkdir(dist);

const result = await build({
  entryPoints: { app: "src/main.ts", editor: "src/editor.ts", wasm: "src/wasm.ts" },
  outdir: dist,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none", // licences.txt has all of them
  external: ["./editor.js", "./wasm.js"],
  metafile: true,
});
await cp("src/index.html", path.join(dist, "index.html"));
await cp("src/app.css", path.join(dist, "app.css"));
await writeFile(path.join(dist, "licences.txt"), await licences(Object.keys(result.metafile.inputs)));
for (const name of (await readdir(dist)).sort()) {
  console.log(name.padEnd(14), (await readFile(path.join(dist, name))).length);
}

// licences has the name, version and licence of every package that something of is in the pages. Packages that come without the text of
// their licence have it in the folder licences.
async function licences(inputs) {
  const folders = new Set(inputs.map((file) => file.match(/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]).filter(Boolean));
  const texts = ["What the pages of ducklens explore hold beside ducklens itself, with its licences."];
  for (const folder of [...folders].sort()) {
    const about = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
    if (!accepted.has(about.license)) throw new Error(`${about.name} ${about.version} has the licence ${about.license}`);
    const files = (await readdir(folder)).sort().filter((name) => /^(licen[cs]e|notice)/i.test(name)).map((name) => path.join(folder, name));
    if (files.length === 0) files.push(path.join("licences", `${path.basename(about.name)}.txt`));
    const parts = await Promise.all(files.map((file) => readFile(file, "utf8")));
    texts.push([`${about.name} ${about.version} (${about.license})`, ...parts.map((part) => part.trim())].join("\n\n"));
  }
  return texts.join(`\n\n${"-".repeat(80)}\n\n`) + "\n";
}
