import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import * as Action from "../../src/velero/Action.ts"
import type { Item } from "../../src/velero/Item.ts"
import { MalformedItem } from "../../src/velero/Item.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import * as View from "../../src/velero/View.ts"
import * as Fixtures from "./Fixtures.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}
const refused = new Refused({ message: "no" })

const view = Schema.Struct({
  metadata: Schema.Struct({ name: Schema.String }),
  spec: View.optional(Schema.Struct({ replicas: View.optional(Schema.Int) }))
})
const config = Schema.Struct({ greeting: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed("hello"))) })

type Request = Action.Request<typeof config.Type>
type Steps = Action.Steps<typeof view.Type, typeof config.Type, Request, string, string, Reply, never>
interface Reply {
  readonly item: Item
  readonly text: string
  readonly notes: ReadonlyArray<Action.Note>
}

const notes = [Action.info("done"), Action.warn("but slowly")]

/** An action that writes down what it does, in steps that a test may replace. */
const recorded = (did: Array<string>, change: Partial<Steps> = {}): Steps => {
  const recording =
    <Args extends ReadonlyArray<unknown>, A>(name: string, f: (...args: Args) => A) =>
    (...args: Args): A => {
      did.push(name)
      return f(...args)
    }
  return {
    selector: {},
    config,
    decode: view,
    fetch: recording(
      "fetch",
      change.fetch ?? (({ metadata }, request) => Effect.succeed(`${request.config.greeting} ${metadata.name}`))
    ),
    transform: recording("transform", change.transform ?? ((_, facts) => Result.succeed(facts.toUpperCase()))),
    encode: recording("encode", change.encode ?? ((item, text) => ({ item, text, notes }))),
    commit: recording("commit", change.commit ?? (() => Effect.void))
  }
}

const plugin = "example.io/greet"
const callOf = (change: Partial<Action.Call<typeof config.Type, Request>> = {}) => ({
  plugin,
  kind: "BackupItemAction",
  owner: "uid-1",
  ownerField: { backup: "velero/nightly" },
  item: Fixtures.bytesOf(Fixtures.podText),
  request: (decoded: typeof config.Type) => Result.succeed({ plugin, config: decoded }),
  ...change
})

/** Runs an action once, and tells what came of it. */
const run = (change: Partial<Steps> = {}, call: Partial<Action.Call<typeof config.Type, Request>> = {}) =>
  Effect.gen(function* () {
    const did: Array<string> = []
    const log = Fixtures.makeLog()
    const exit = yield* Action.compose(recorded(did, change))(callOf(call)).pipe(
      Effect.provide(Layer.mergeAll(PluginConfig.layerTest(), log.layer)),
      Effect.exit
    )
    const error = Option.getOrUndefined(Exit.findErrorOption(exit))
    return { exit, error, did, lines: log.lines }
  })

describe("compose", () => {
  it.effect("hands each step what the steps before it made", () =>
    Effect.gen(function* () {
      const { did, exit } = yield* run()
      assert(Exit.isSuccess(exit))
      assert.strictEqual(exit.value.text, "HELLO WEB")
      assert.deepStrictEqual(did, ["fetch", "transform", "encode", "commit"])
    })
  )

  it.effect("hands encode the very item that came", () =>
    Effect.gen(function* () {
      const item = Fixtures.bytesOf(Fixtures.podText)
      const { exit } = yield* run({}, { item })
      assert(Exit.isSuccess(exit))
      assert.strictEqual(exit.value.item.bytes, item)
    })
  )

  it.effect("hands commit the decision and the request", () =>
    Effect.gen(function* () {
      let committed: unknown
      yield* run({ commit: (...args) => Effect.sync(() => (committed = args)) })
      assert.deepStrictEqual(committed, ["HELLO WEB", { plugin, config: { greeting: "hello" } }])
    })
  )

  it.effect("does without a commit", () =>
    Effect.gen(function* () {
      const { commit: _, ...steps } = recorded([])
      const reply = yield* Action.compose(steps)(callOf()).pipe(Effect.provide(PluginConfig.layerTest()))
      assert.strictEqual(reply.text, "HELLO WEB")
    })
  )

  it.effect("writes a debug line for each step, and the notes last, when they are true", () =>
    Effect.gen(function* () {
      const { lines } = yield* run({ commit: () => Effect.logInfo("committing") })
      assert.deepStrictEqual(
        lines.map((line) => [line["@level"], line["@message"], line["logSource"]]),
        [
          ["debug", "decode", `${plugin}:decode`],
          ["debug", "configure", `${plugin}:configure`],
          ["debug", "fetch", `${plugin}:fetch`],
          ["debug", "transform", `${plugin}:transform`],
          ["debug", "encode", `${plugin}:encode`],
          ["debug", "commit", `${plugin}:commit`],
          ["info", "committing", `${plugin}:commit`],
          ["debug", "report", `${plugin}:report`],
          ["info", "done", `${plugin}:report`],
          ["warn", "but slowly", `${plugin}:report`]
        ]
      )
    })
  )

  it.effect("says on every line whose item it is", () =>
    Effect.gen(function* () {
      const { lines } = yield* run({ fetch: () => Effect.as(Effect.logInfo("fetching", { size: 3 }), "") })
      for (const line of lines) {
        assert.include(line, { backup: "velero/nightly", resource: "Pod", namespace: "shop", name: "web" })
      }
      assert.strictEqual(lines.find((line) => line["@message"] === "fetching")?.["size"], "3")
    })
  )

  it.effect("writes strings even for an item that lacks them", () =>
    Effect.gen(function* () {
      const { lines } = yield* run(
        {},
        { item: Fixtures.jsonBytes({ kind: 5, metadata: { name: "web", namespace: null } }) }
      )
      assert.include(lines[0], { resource: "", namespace: "", name: "web" })
    })
  )

  const steps = ["decode", "configure", "fetch", "transform", "encode", "commit", "report"]
  const dies = () => {
    throw new TypeError("a bug")
  }
  it.effect.each<readonly [last: string, how: string, change: Partial<Steps>]>([
    ["fetch", "fails", { fetch: () => Effect.fail(refused) }],
    ["fetch", "dies", { fetch: dies }],
    ["transform", "fails", { transform: () => Result.fail(refused) }],
    ["transform", "dies", { transform: dies }],
    ["encode", "dies", { encode: dies }],
    ["commit", "fails", { commit: () => Effect.fail(refused) }],
    ["commit", "dies", { commit: dies }]
  ])("ends where %s %s, without later steps and without notes", ([last, how, change]) =>
    Effect.gen(function* () {
      const { did, error, exit, lines } = yield* run(change)
      assert(Exit.isFailure(exit))
      assert.strictEqual(error, how === "fails" ? refused : undefined)
      const ran = steps.slice(0, steps.indexOf(last) + 1)
      assert.deepStrictEqual(
        lines.map((line) => line["@message"]),
        ran
      )
      assert.deepStrictEqual(did, ran.slice(2))
    })
  )

  it.effect.each<readonly [name: string, item: Uint8Array, message: string]>([
    [
      "lacks a field",
      Fixtures.jsonBytes({ apiVersion: "apps/v1", kind: "Deployment", metadata: { namespace: "shop" } }),
      `${plugin} cannot read Deployment.apps shop/: Missing key at ["metadata"]["name"]. Correct the object, or exclude it`
    ],
    [
      "has a field of another type",
      Fixtures.jsonBytes({ kind: "Pod", metadata: { name: "web" }, spec: { replicas: "s3cret" } }),
      `${plugin} cannot read Pod web: Expected number | null at ["spec"]["replicas"]. Correct the object, or exclude it`
    ]
  ])("names plugin, resource and field where an item %s, and reads no further", ([, item, message]) =>
    Effect.gen(function* () {
      const { did, error } = yield* run({}, { item })
      assert.strictEqual(error?._tag, "UnreadableItem")
      assert.strictEqual(error?.message, message)
      assert.deepStrictEqual(did, [])
    })
  )

  it.effect("refuses what is no item", () =>
    Effect.gen(function* () {
      const { did, error } = yield* run({}, { item: Fixtures.bytesOf("[]") })
      assert.strictEqual(error?._tag, "MalformedItem")
      assert.deepStrictEqual(did, [])
    })
  )

  it.effect("fetches nothing for a request that cannot be made", () =>
    Effect.gen(function* () {
      const malformed = new MalformedItem({ detail: "it is empty" })
      const { did, error } = yield* run({}, { request: () => Result.fail(malformed) })
      assert.strictEqual(error, malformed)
      assert.deepStrictEqual(did, [])
    })
  )

  it.effect("reads the configuration of its plugin, kind and owner", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      yield* Action.compose(recorded([]))(callOf()).pipe(
        Effect.provideService(PluginConfig.PluginConfig, {
          namespace: "velero",
          find: (...args) => Effect.sync(() => (asked.push(args), Option.none()))
        })
      )
      assert.deepStrictEqual(asked, [["uid-1", plugin, "BackupItemAction"]])
    })
  )

  it.effect("looks for no configuration where the action has none", () =>
    Effect.gen(function* () {
      const { config: _, ...rest } = recorded([], { fetch: (__, request) => Effect.succeed(String(request.config)) })
      const unconfigured: Steps = rest
      const reply = yield* Action.compose(unconfigured)(callOf()).pipe(Effect.provide(Fixtures.noConfig))
      assert.strictEqual(reply.text, "UNDEFINED")
    })
  )

  it.effect("runs in a span that names the item", () =>
    Effect.gen(function* () {
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      yield* Effect.provideService(run(), Tracer.Tracer, tracer)
      const [span] = spans
      assert.strictEqual(span?.name, `${plugin}.execute`)
      assert.deepStrictEqual(Object.fromEntries(span?.attributes ?? []), {
        backup: "velero/nightly",
        groupKind: "Pod",
        namespace: "shop",
        name: "web"
      })
    })
  )
})
