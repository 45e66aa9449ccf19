import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Plugin from "../../src/velero/Plugin.ts"
import * as Documents from "../example/Document.ts"
import { repository } from "../executable/Executable.ts"

const document = "docs/write-a-plugin.md"
const text = Documents.read(document)

describe("links of the README and of every page", () => {
  it.each(["README.md", ...Fs.readdirSync(Path.join(repository, "docs")).map((file) => `docs/${file}`)])(
    "%s links to what exists",
    (path) => Documents.assertLinks(path)
  )
})

describe(document, () => {
  it("includes its code by reference", () => Documents.assertIncluded(document))

  it("shows an action of 30 lines at most", () => {
    assert.isAtMost(Documents.read("src/new-plugin/template/src/Action.ts").trimEnd().split("\n").length, 30)
  })

  it("tells of every kind, how it is registered, and since when Velero has it", () => {
    const rows = [...text.matchAll(/^\| \[?(\w+)(?:\]\([^)]+\))? +\| `Plugin\.(\w+)` +\| (\S+) +\|/gm)]
    const source = Documents.read("src/velero/Plugin.ts")
    const registrations = source.matchAll(
      /^\/\*\* (?:Velero (\S+) and later|Every Velero).*\*\/\nexport const (\w+) = register\("(\w+)"\)/gm
    )
    assert.deepStrictEqual(
      rows.map(([, kind, register, version]) => [kind, register, version]),
      [...registrations].map(([, version = "any", register, kind]) => [kind, register, version])
    )
    const functions = Object.entries(Plugin).filter(([name]) =>
      /^(backup|restore|delete|itemBlock|object|volume)/.test(name)
    )
    assert.strictEqual(rows.length, functions.length)
  })

  it("has a section for every kind", () => {
    const kinds = [
      "Backup item action",
      "Restore item action",
      "Delete item action",
      "Item block action",
      "Object store"
    ]
    for (const kind of [...kinds, "Volume snapshotter"]) assert.include(text, `\n### ${kind}\n`)
  })
})
