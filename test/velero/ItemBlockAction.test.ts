import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info } from "../../src/velero/Action.ts"
import type { Backup } from "../../src/velero/Backup.ts"
import * as ItemBlockAction from "../../src/velero/ItemBlockAction.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import * as Fixtures from "./Fixtures.ts"

const backup: Backup = { metadata: { name: "nightly", namespace: "velero", uid: "uid-1" } }
const plugin = "example.io/a"
const call = { plugin, item: Fixtures.bytesOf(Fixtures.podText), backup }

const fetched: Array<ItemBlockAction.ItemBlockRequest<{ readonly mode: string }>> = []
const action = ItemBlockAction.make({
  selector: { includedResources: ["pods"] },
  config: Schema.Struct({ mode: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("fast"))) }),
  decode: Schema.Struct({ metadata: Schema.Struct({ name: Schema.String }) }),
  fetch: (_, request) => Effect.as(Effect.logInfo("fetching"), fetched.push(request)),
  transform: ({ metadata }) => Result.succeed(`data-of-${metadata.name}`),
  encode: (_, name) => ({
    relatedItems: [{ group: "", resource: "persistentvolumeclaims", namespace: "shop", name }],
    notes: [info("named")]
  })
})

describe("make", () => {
  it.effect("gives the steps plugin, configuration and Backup, and answers the related items", () =>
    Effect.gen(function* () {
      fetched.length = 0
      const reply = yield* Effect.provide(action.relatedItems(call), PluginConfig.layerTest())
      assert.deepStrictEqual(reply.relatedItems, [
        { group: "", resource: "persistentvolumeclaims", namespace: "shop", name: "data-of-web" }
      ])
      assert.deepStrictEqual(fetched, [{ plugin, config: { mode: "fast" }, backup }])
      assert.deepStrictEqual(action.selector, { includedResources: ["pods"] })
    })
  )

  it.effect.each([
    ["UnreadableItem", '{"kind":"Pod"}'],
    ["MalformedItem", ""]
  ] as const)("fails with %s before it fetches", ([tag, item]) =>
    Effect.gen(function* () {
      fetched.length = 0
      const broken = { ...call, item: Fixtures.bytesOf(item) }
      const error = yield* Effect.flip(Effect.provide(action.relatedItems(broken), PluginConfig.layerTest()))
      assert.strictEqual(error._tag, tag)
      assert.deepStrictEqual(fetched, [])
    })
  )

  it.effect("names Backup and item in the log, and asks for the configuration by the Backup and its own kind", () =>
    Effect.gen(function* () {
      const log = Fixtures.makeLog()
      const asked: Array<unknown> = []
      yield* action.relatedItems(call).pipe(
        Effect.provide(log.layer),
        Effect.provideService(PluginConfig.PluginConfig, {
          namespace: "velero",
          find: (...args) => Effect.sync(() => (asked.push(args), Option.none()))
        })
      )
      const fields = { backup: "velero/nightly", resource: "Pod", namespace: "shop", name: "web" }
      for (const line of log.lines) assert.deepInclude(line, fields)
      assert.deepStrictEqual(
        log.lines.filter((line) => line["@level"] === "info").map((line) => [line["logSource"], line["@message"]]),
        [
          [`${plugin}:fetch`, "fetching"],
          [`${plugin}:report`, "named"]
        ]
      )
      assert.deepStrictEqual(asked, [["uid-1", plugin, "ItemBlockAction"]])
    })
  )
})
