import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { repository } from "../executable/Executable.ts"
import * as Documents from "./Document.ts"

describe("docs/example.md", () => {
  const document = "docs/example.md"

  it("includes its code by reference", () => Documents.assertIncluded(document))

  it("links to what exists", () => Documents.assertLinks(document))

  it("tells of every plugin of the executable and its kind", () => {
    const registrations = Documents.read("src/bin/velero-plugin-example.ts").matchAll(
      /Plugin\.([a-zA-Z0-9]+)\(\s*"(example\.com\/[a-z-]+)"/g
    )
    const rows = Documents.read(document).matchAll(/^\| `(example\.com\/[a-z-]+)` +\| ([A-Za-z0-9]+) /gm)
    const kindOf = (name: string) => `${name.charAt(0).toUpperCase()}${name.slice(1)}`
    const registered = [...registrations].map(([, kind = "", name]) => [name, kindOf(kind)])
    assert.strictEqual(registered.length, 8)
    assert.deepStrictEqual(
      [...rows].map(([, name, kind]) => [name, kind]),
      registered
    )
  })
})

describe("docs/source-documents.md", () => {
  const document = "docs/source-documents.md"
  const text = Documents.read(document)

  it("includes its code by reference", () => Documents.assertIncluded(document))

  it("links to what exists", () => Documents.assertLinks(document))

  it("names tests that are there", () => {
    const named = [...text.matchAll(/\]\(\.\.\/(test\/[^)]+)\)((?:,? “[^”]+”)+)/g)]
    assert.isAtLeast(named.length, 20)
    for (const [, path = "", titles = ""] of named) {
      const source = Fs.readFileSync(Path.join(repository, path), "utf8")
      for (const [, title = ""] of titles.matchAll(/“([^”]+)”/g)) assert.include(source, title, path)
    }
  })

  it("has a row for every section of the source documents", () => {
    const sections: ReadonlyArray<readonly [document: string, titles: ReadonlyArray<string>]> = [
      ["000", ["Overview", "Installation", "Create a new plugin"]],
      ["001", ["Plugins", "Plugin Naming", "Plugin Kinds", "Plugin Logging", "Plugin Configuration"]],
      [
        "003",
        [
          "Understanding Velero Plugin Architecture",
          "Setting Up Development Environment",
          "Creating a BackupItemAction Plugin",
          "Implementing RestoreItemAction Plugin",
          "Creating ObjectStore Plugin for Custom Storage",
          "Building the Plugin Binary",
          "Installing the Custom Plugin",
          "Testing Plugin Functionality",
          "Implementing Advanced Plugin Features",
          "Debugging Plugin Issues",
          "Best Practices for Plugin Development"
        ]
      ]
    ]
    for (const [number, titles] of sections) {
      const [, table = ""] = new RegExp(`\\n## [^\\n]*${number}[^\\n]*\\n([\\s\\S]*?)(?=\\n## |$)`).exec(text) ?? []
      for (const title of titles) assert.include(table, `\n| ${title}`, `document ${number}`)
    }
  })
})
