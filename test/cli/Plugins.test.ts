import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { program as cnpg } from "../../src/bin/velero-plugin-cnpg.ts"
import { program as example } from "../../src/bin/velero-plugin-example.ts"
import { program as filesystem } from "../../src/bin/velero-plugin-filesystem.ts"
import { program as kyma } from "../../src/bin/velero-plugin-kyma.ts"
import * as Plugins from "../../src/cli/Plugins.ts"
import * as Render from "../../src/cli/Render.ts"
import type { ItemBlockAction } from "../../src/velero/ItemBlockAction.ts"
import type { ObjectStore } from "../../src/velero/ObjectStore.ts"
import * as Plugin from "../../src/velero/Plugin.ts"
import type { ResourceSelector } from "../../src/velero/Resources.ts"
import * as Documents from "../example/Document.ts"
import { capture } from "./Capture.ts"

/** The packs, and where their documents tell of each plugin: the column of what it changes. */
const packs: ReadonlyArray<{
  readonly pack: string
  readonly plugins: ReadonlyArray<Plugin.Plugin<unknown>>
  readonly run: (args: ReadonlyArray<string>) => Promise<number>
  readonly document: string
  readonly column: number
}> = [
  { pack: "cnpg", plugins: cnpg.plugins, run: cnpg.commands, document: "README.md", column: 2 },
  { pack: "kyma", plugins: kyma.plugins, run: kyma.commands, document: "docs/kyma.md", column: 2 },
  { pack: "example", plugins: example.plugins, run: example.commands, document: "docs/example.md", column: 3 },
  {
    pack: "filesystem",
    plugins: filesystem.plugins,
    run: filesystem.commands,
    document: "docs/filesystem.md",
    column: 1
  }
]

/** As it stands in a table. */
const asCell = (sentence: string): string =>
  `${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`.replace(/\.$/, "")

describe.each(packs)("the plugins of $pack", ({ column, document, plugins, run }) => {
  it("say in one sentence what they change", () => {
    for (const { description, name } of plugins) assert.match(description, /^[A-Z][^.\n]*(?:\.\S[^.\n]*)*\.$/, name)
  })

  it("are told of in the same words in its document", () => {
    const rows = new Map(
      [...Documents.read(document).matchAll(/^\| `([a-z.-]+\/[a-z-]+)` .*\|$/gm)].map(([row, name = ""]) => [
        name,
        row
          .slice(2, -2)
          .split(" | ")
          .map((cell) => cell.replaceAll("`", "").trim())
      ])
    )
    for (const { description, name } of plugins) assert.strictEqual(rows.get(name)?.[column], asCell(description), name)
  })

  it("are listed as data, with the selectors of their actions", async () => {
    const { code, stdout } = await capture(() => run(["plugins", "--output", "json"]))
    assert.strictEqual(code, 0)
    const listed = JSON.parse(stdout) as ReadonlyArray<Plugins.Listed>
    assert.deepStrictEqual(
      listed.map(({ description, kind, name }) => ({ description, kind, name })),
      plugins.map(({ description, kind, name }) => ({ description, kind, name }))
    )
    for (const { kind, selector } of listed) {
      assert.strictEqual(selector === null, kind === "ObjectStore" || kind === "VolumeSnapshotter")
    }
  })

  it("are listed for people", async () => {
    const { code, stdout } = await capture(() => run(["plugins"]))
    assert.strictEqual(code, 0)
    for (const { description, kind, name } of plugins) {
      assert.match(stdout, new RegExp(`^${name} +${kind} +\\S`, "m"))
      assert.include(`${stdout}\n`, `\n  ${description}\n`)
    }
  })
})

describe("docs/actions.md", () => {
  it("has a section for every plugin", () => {
    const headings =
      Documents.read("docs/actions.md")
        .match(/^## .*$/gm)
        ?.join("\n") ?? ""
    for (const { name } of cnpg.plugins) assert.include(headings, `\`${name}\``)
  })
})

describe("a list of plugins", () => {
  const action = (selector: ResourceSelector) => async () => ({ selector }) as ItemBlockAction<never>

  it("has aligned columns, and a line below for who says what he changes", () => {
    const plugins = [
      Plugin.itemBlockAction("a.io/b", action({ includedResources: ["pods", "jobs.batch"] }), "Changes nothing."),
      Plugin.objectStore("example.com/longer", async () => ({}) as ObjectStore<never>)
    ]
    return Effect.runPromise(
      Effect.map(Plugins.list(plugins), (listed) =>
        assert.strictEqual(
          Plugins.render(listed, Render.style(false)),
          [
            "NAME                KIND             CALLED FOR",
            "a.io/b              ItemBlockAction  pods, jobs.batch",
            "  Changes nothing.",
            "example.com/longer  ObjectStore      -"
          ].join("\n")
        )
      )
    )
  })

  it.each<readonly [selector: ResourceSelector | null, text: string]>([
    [null, "-"],
    [{}, "every item"],
    [{ includedResources: [] }, "every item"],
    [{ labelSelector: "a=b" }, "every item; labelled a=b"],
    [
      {
        includedResources: ["pods"],
        includedNamespaces: ["a", "b"],
        excludedNamespaces: ["c"],
        excludedResources: ["secrets"],
        labelSelector: "x"
      },
      "pods; labelled x; in a, b; not in c; but for secrets"
    ]
  ])("tells a selector %j", (selector, text) => assert.strictEqual(Plugins.selectorText(selector), text))

  it.effect("says which plugin could not be loaded", () =>
    Effect.gen(function* () {
      const broken = Plugin.itemBlockAction<never>("a.io/b", () => Promise.reject(new Error("no such file")))
      const { message } = yield* Effect.flip(Plugins.list([broken]))
      assert.strictEqual(message, "plugin a.io/b could not be loaded: no such file")
    })
  )
})
