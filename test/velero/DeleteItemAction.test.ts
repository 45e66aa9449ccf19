import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info } from "../../src/velero/Action.ts"
import type { Backup } from "../../src/velero/Backup.ts"
import * as DeleteItemAction from "../../src/velero/DeleteItemAction.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import * as Fixtures from "./Fixtures.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const backup: Backup = { metadata: { name: "nightly", namespace: "velero", uid: "uid-1" } }
const plugin = "example.io/a"
const call = { plugin, item: Fixtures.bytesOf(Fixtures.podText), backup }

/** An action that writes down what it removes. */
const removing = (removed: Array<unknown>, allows = true) =>
  DeleteItemAction.make({
    selector: { includedResources: ["pods"] },
    config: Schema.Struct({ mode: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("fast"))) }),
    decode: Schema.Struct({ metadata: Schema.Struct({ name: Schema.String }) }),
    fetch: ({ metadata }, request) => Effect.as(Effect.logInfo("fetching"), { name: metadata.name, request }),
    transform: (_, facts) => (allows ? Result.succeed(facts) : Result.fail(new Refused({ message: "not this one" }))),
    encode: (item, { name }) => ({
      notes: [info(`removed what belongs to ${name} of ${item.text.length} characters`)]
    }),
    commit: ({ request }, committed) => Effect.sync(() => removed.push(request, committed))
  })

describe("make", () => {
  it.effect("gives the steps plugin, configuration and Backup, and removes in the commit step", () =>
    Effect.gen(function* () {
      const removed: Array<unknown> = []
      const action = removing(removed)
      const reply = yield* Effect.provide(action.execute(call), PluginConfig.layerTest())
      const request = { plugin, config: { mode: "fast" }, backup }
      assert.deepStrictEqual(removed, [request, request])
      assert.deepStrictEqual(reply.notes, [
        info(`removed what belongs to web of ${Fixtures.podText.length} characters`)
      ])
      assert.deepStrictEqual(action.selector, { includedResources: ["pods"] })
    })
  )

  it.effect("removes nothing where a step before has failed", () =>
    Effect.gen(function* () {
      const removed: Array<unknown> = []
      const failures = [
        removing(removed, false).execute(call),
        removing(removed).execute({ ...call, item: Fixtures.bytesOf('{"kind":"Pod"}') }),
        removing(removed).execute({ ...call, item: new Uint8Array() })
      ]
      const tags = yield* Effect.forEach(failures, (failure) =>
        Effect.map(Effect.flip(Effect.provide(failure, PluginConfig.layerTest())), ({ _tag }) => _tag)
      )
      assert.deepStrictEqual(tags, ["Refused", "UnreadableItem", "MalformedItem"])
      assert.deepStrictEqual(removed, [])
    })
  )

  it.effect("names Backup and item in the log, and asks for the configuration by the Backup and its own kind", () =>
    Effect.gen(function* () {
      const log = Fixtures.makeLog()
      const asked: Array<unknown> = []
      yield* removing([])
        .execute(call)
        .pipe(
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
          [`${plugin}:report`, `removed what belongs to web of ${Fixtures.podText.length} characters`]
        ]
      )
      assert.deepStrictEqual(asked, [["uid-1", plugin, "DeleteItemAction"]])
    })
  )
})
