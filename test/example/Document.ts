/**
 * Documents whose code is included by reference.
 *
 * A fenced block, of whatever language, below `<!-- code: src/example/Buckets.ts -->` is that file, one below `<!-- code: FILE name "title" -->` the
 * top-level declarations of these names and the `describe` blocks of these titles. `UPDATE_DOCS=1 npm run vitest -- Document`
 * writes them anew.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert } from "@effect/vitest"
import { repository } from "../executable/Executable.ts"

export const read = (path: string): string => Fs.readFileSync(Path.join(repository, path), "utf8")

const escaped = (text: string): string => text.replace(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)

/** A top-level statement with the comment above it. */
const statement = (path: string, name: string): string => {
  const lines = read(path).split("\n")
  const begins = name.startsWith('"')
    ? new RegExp(`^describe\\(${escaped(name)},`)
    : new RegExp(`^(export )?(const|class|interface|type) ${escaped(name)}\\b`)
  let first = lines.findIndex((line) => begins.test(line))
  assert.isAtLeast(first, 0, `${path} has no ${name}`)
  let last = first
  // Blank lines inside a statement are followed by indented ones.
  while (lines[last + 1] !== undefined && !(lines[last + 1] === "" && /^\S|^$/.test(lines[last + 2] ?? ""))) last++
  while (/^(\/\*\*| \*|\/\/)/.test(lines[first - 1] ?? "")) first--
  return lines.slice(first, last + 1).join("\n")
}

/** What a reference leads to. */
const code = (reference: string): string => {
  const [path = "", ...names] = reference.match(/"[^"]+"|\S+/g) ?? []
  return names.length === 0 ? read(path).trimEnd() : names.map((name) => statement(path, name)).join("\n\n")
}

const included = /(<!-- code: (.+?) -->\n+```(\w+)\n)([\s\S]*?)(^```$)/gm

/** Checks a document's included code; there is no other TypeScript in it. */
export const assertIncluded = (path: string): void => {
  const text = read(path)
  if (process.env["UPDATE_DOCS"] !== undefined) {
    const updated = text.replace(included, (_, before: string, reference: string, __, ___, after: string) =>
      [before, code(reference), "\n", after].join("")
    )
    Fs.writeFileSync(Path.join(repository, path), updated)
    return
  }
  const blocks = [...text.matchAll(included)]
  for (const [, , reference = "", , block] of blocks) assert.strictEqual(block, `${code(reference)}\n`, reference)
  assert.strictEqual(
    text.split("```ts\n").length - 1,
    blocks.filter(([, , , language]) => language === "ts").length,
    "every block of TypeScript is included by reference"
  )
}

/** Relative links of a document, as paths in the repository. */
export const links = (path: string): ReadonlyArray<string> =>
  [...read(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => Path.join(Path.dirname(path), target))

/** What a heading is linked to by. */
const anchors = (path: string): ReadonlyArray<string> =>
  [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-")
  )

export const assertLinks = (path: string): void => {
  for (const link of links(path)) assert.isTrue(Fs.existsSync(Path.join(repository, link)), `${path} links to ${link}`)
  for (const [, target = "", anchor = ""] of read(path).matchAll(/\]\(([^)#\s:]*)#([^)]+)\)/g)) {
    const document = target === "" ? path : Path.join(Path.dirname(path), target)
    assert.include(anchors(document), anchor, `${path} links to ${document}`)
  }
}
