import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Setting from "../../src/cnpg/Setting.ts"
import { settings } from "../../src/cnpg/Settings.ts"

const colour: Setting.Setting<"red" | "blue"> = {
  annotation: "velero-cnpg/colour",
  key: "colour",
  plugin: "example.com/painter",
  on: "Restore",
  isOfCluster: true,
  values: "red or blue",
  default: "red",
  description: "A colour.",
  parse: Setting.oneOf("red", "blue")
}

/** Where something may be said: on the Restore, on the Cluster, in the ConfigMap. */
const places = (restore?: string, cluster?: string, config?: string): Setting.Places => ({
  velero: {
    metadata: { name: "monday", annotations: restore === undefined ? null : { [colour.annotation]: restore } }
  },
  cluster: {
    name: "Cluster shop/orders",
    annotations: cluster === undefined ? null : { [colour.annotation]: cluster }
  },
  config: config === undefined ? {} : { colour: config }
})

const chosen = (setting: Setting.Setting<string>, of: Setting.Places): string =>
  Result.match(Setting.choose(setting, of), { onSuccess: (value) => value, onFailure: ({ message }) => message })

describe("a setting", () => {
  it.for([
    [undefined, undefined, undefined, "red"],
    [undefined, undefined, "blue", "blue"],
    [undefined, "blue", "red", "blue"],
    ["blue", "red", "red", "blue"],
    ["red", "blue", "blue", "red"],
    ["blue", "nonsense", undefined, "blue"]
  ] as const)("of Restore %s, Cluster %s, ConfigMap %s is %s", ([restore, cluster, config, expected]) => {
    assert.strictEqual(chosen(colour, places(restore, cluster, config)), expected)
  })

  it.for([
    ["green", "blue", "Restore monday", '"green"'],
    ["", "blue", "Restore monday", '""'],
    [undefined, "Blue", "Cluster shop/orders", '"Blue"']
  ] as const)("that means nothing names its place and the right values: %s, %s", ([restore, cluster, where, value]) => {
    const message = chosen(colour, places(restore, cluster, "blue"))
    for (const part of [colour.annotation, where, value, "red or blue", "restore again"]) assert.include(message, part)
  })

  it("of a Backup says to back up again", () => {
    assert.include(chosen({ ...colour, on: "Backup" }, places("green")), "on Backup monday is")
    assert.include(chosen({ ...colour, on: "Backup" }, places("green")), "back up again")
  })

  it("that is none of a Cluster's is not looked for there", () => {
    assert.strictEqual(chosen({ ...colour, isOfCluster: false }, places(undefined, "blue")), "red")
  })
})

describe("the ConfigMap of a plugin", () => {
  const decode = Schema.decodeUnknownEffect(Setting.config([colour]), { errors: "all", onExcessProperty: "error" })

  it.effect("is empty, or right", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* decode({}), {})
      assert.deepStrictEqual(yield* decode({ colour: "blue" }), { colour: "blue" })
    })
  )

  it.effect.each([
    ["a wrong value", { colour: "green" }, "expected red or blue"],
    ["an unknown key", { color: "blue" }, "color"]
  ] as const)("is an error with %s", ([, data, part]) =>
    Effect.gen(function* () {
      assert.include((yield* Effect.flip(decode(data))).message, part)
    })
  )
})

describe("every setting of the pack", () => {
  const document = Fs.readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8")

  /** Its section. The page has one for each setting and none besides. */
  const section = ({
    annotation,
    default: unset,
    description,
    isOfCluster,
    key,
    on,
    plugin,
    values
  }: (typeof settings)[number]) =>
    [
      `### \`${annotation}\``,
      description,
      [
        `- Values: ${values}.`,
        `- Default: \`${unset}\`.`,
        `- Annotation on the Velero ${on}${isOfCluster ? ", else on the Cluster" : ""}.`,
        `- Else key \`${key}\` in the ConfigMap of \`${plugin}\`.`
      ].join("\n")
    ].join("\n\n")

  it.for(settings.map((setting) => [setting.annotation, setting] as const))("is documented: %s", ([, setting]) => {
    assert.include(document, section(setting))
  })

  it("is one of those that are documented", () => {
    assert.deepStrictEqual(
      [...document.matchAll(/^### `(.*)`$/gm)].map(([, annotation]) => annotation),
      settings.map(({ annotation }) => annotation)
    )
  })

  it("has a default that it understands, and its own annotation and key", () => {
    for (const { annotation, default: unset, parse } of settings) assert.isTrue(Option.isSome(parse(unset)), annotation)
    assert.strictEqual(new Set(settings.map(({ annotation }) => annotation)).size, settings.length)
    assert.strictEqual(new Set(settings.map(({ key, plugin }) => `${plugin} ${key}`)).size, settings.length)
    for (const { annotation, key } of settings) {
      const kebab = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
      assert.strictEqual(annotation, `velero-cnpg/${kebab}`)
    }
  })
})
