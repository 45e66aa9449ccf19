import { assert, describe, it } from "@effect/vitest"
import * as Documents from "../example/Document.ts"
import { literalAt, messages } from "./Messages.ts"

const document = "docs/troubleshooting.md"

const rows = [...Documents.read(document).matchAll(/^\| `(.*?)` +\| (.*?) +\| (.*?) +\|$/gm)].map(
  ([, message = "", meaning = "", remedy = ""]) => ({ message, meaning, remedy })
)

const found = messages()
const texts = new Set(found.flatMap(({ text }) => (text === undefined ? [] : [text])))

describe(document, () => {
  it("has every message that the plugin can print at warn or above, and no other", () => {
    assert.deepStrictEqual(rows.map(({ message }) => message).toSorted(), [...texts].toSorted())
  })

  it("says what each means and what to do", () => {
    for (const { meaning, message, remedy } of rows) assert.isTrue(meaning !== "" && remedy !== "", message)
  })

  it("misses none that is no literal: these only hand on what is printed elsewhere", () => {
    assert.deepStrictEqual(
      found
        .filter(({ text }) => text === undefined)
        .map(({ code, file }) => `${file}: ${code.trim()}`)
        .toSorted(),
      [
        // Warnings of `src/cnpg/RecoveryEnd.ts`.
        "src/cnpg/ClusterRestore.ts: .map(warn),",
        // Notes of decisions.
        "src/velero/Action.ts: Effect.logWarning(message) : Effect.logInfo(message)",
        // The reason of "these plugins cannot be served".
        "src/velero/PluginName.ts: return this.detail"
      ]
    )
  })

  it("links to what exists", () => Documents.assertLinks(document))
})

describe("a literal", () => {
  it.each<readonly [source: string, text: string | undefined]>([
    ['"a \\"b\\""', 'a "b"'],
    ["`a ${b({ c: `d` })} e`", "a … e"],
    ["`${a}${b}`", "……"],
    ["message)", undefined],
    ["`never ends", undefined]
  ])("%s is read", (source, text) => assert.strictEqual(literalAt(source, 0), text))
})
