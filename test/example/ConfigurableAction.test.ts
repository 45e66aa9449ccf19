import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/example/ConfigurableAction.ts"
import * as JsonText from "../../src/testing/JsonText.ts"
import { backUp, odd, plugin } from "./World.ts"

/** A ConfigMap as Velero's convention labels it. */
const configured = (
  data: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>> = { [plugin]: "BackupItemAction" }
) => [{ metadata: { name: "custom-plugin-config", labels }, data }]

describe("a labelled item", () => {
  it.effect.each<readonly [data: Record<string, string>, key: string]>([
    [{ annotationKey: "custom.example.com/backup" }, "custom.example.com/backup"],
    [{ annotationKey: "backup" }, "backup"],
    [{ annotationKey: "a-1.b/C_d.e-F" }, "a-1.b/C_d.e-F"],
    [{ annotationKey: "" }, "backup.example.com/default"],
    [{}, "backup.example.com/default"]
  ])("is annotated with the key of the ConfigMap %j: %s", ([data, key]) =>
    Effect.gen(function* () {
      const { lines, text } = yield* backUp(action, odd("Service"), { configMaps: configured(data) })
      assert.strictEqual(text, odd("Service", `,"annotations":{"${key}":"true"}`))
      assert.deepStrictEqual(lines, [["info", `Annotated with ${key}`]])
      assert.isTrue((yield* backUp(action, text, { configMaps: configured(data) })).isUntouched, "once more")
    })
  )

  it.effect("is annotated with the default where nothing configures the action", () =>
    Effect.gen(function* () {
      const { text } = yield* backUp(action, odd("Service", `,"annotations":null`))
      assert.strictEqual(text, odd("Service", `,"annotations":{"backup.example.com/default":"true"}`))
    })
  )

  it.effect("takes no notice of a ConfigMap that is labelled as document 003 has it", () =>
    Effect.gen(function* () {
      const labels = { "velero.io/plugin-config": "", "velero.io/custom-backup-action": "ConfigurableAction" }
      const configMaps = configured({ annotationKey: "custom.example.com/backup" }, labels)
      const { text } = yield* backUp(action, odd("Service"), { configMaps })
      assert.include(text, "backup.example.com/default")
    })
  )

  it.effect.each([
    ["no annotation's key", { annotationKey: "not a key" }, "custom.example.com/backup"],
    ["another", { annotationKey: "/a" }, "annotationKey"],
    ["another", { annotationKey: "a/b/c" }, "annotationKey"],
    ["a name of 64 characters", { annotationKey: `a/${"b".repeat(64)}` }, "annotationKey"],
    ["a key that it does not know", { annotationkey: "a" }, "annotationkey"]
  ] as const)("is an error that names the ConfigMap: %s", ([, data, words]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(backUp(action, odd("Service"), { configMaps: configured(data) }))
      assert.strictEqual(error._tag, "InvalidPluginConfig")
      for (const part of ["velero/custom-plugin-config", plugin, words]) assert.include(error.message, part)
    })
  )

  it.effect.prop(
    "keeps every other byte",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { document } }) =>
      Effect.gen(function* () {
        const value = JsonText.print(document.root)
        const of = (annotations: string) =>
          odd("Service", `,"x":${value},"annotations":${annotations}`, `,"spec":${value}`)
        assert.strictEqual((yield* backUp(action, of("{}"))).text, of(`{"backup.example.com/default":"true"}`))
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("the selector", () => {
  it("asks for what is labelled for it", () => {
    assert.deepStrictEqual(action.selector, { labelSelector: "backup-required=true" })
  })
})
