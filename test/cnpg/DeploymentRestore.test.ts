import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/cnpg/DeploymentRestore.ts"
import * as Json from "../../src/velero/Json.ts"
import {
  assertLine,
  at,
  makeWorld,
  pick,
  pluginConfig,
  restoreOf,
  shop,
  start,
  startProcess,
  stripped,
  textOf
} from "./World.ts"

const wait = "wait-for-migration-job"
const list: Json.Path = ["spec", "template", "spec", "initContainers"]

/** A Deployment whose init containers have this text, and odd spellings around it. */
const deployment = (initContainers: string): string =>
  `{ "spec":{"x":1e400,"template":{"spec":{ "initContainers" : ${initContainers} , "n":12345678901234567890,"containers":[]},"\\u0061":1.0}},"metadata":{"name":"web","namespace":"shop"},"kind":"Deployment" }`

const container = (name: string): string => `{ "name":"${name}", "z" : 1.0 }`

const namesIn = (tree: unknown) =>
  (at(tree, ...list) as ReadonlyArray<{ readonly name: string }>).map(({ name }) => name)

const withNames = (initContainers: string) => startProcess(makeWorld([]), [pluginConfig({ initContainers })])

describe("a Deployment", () => {
  it.effect("of the example loses the one that waits, and keeps the other", () =>
    Effect.gen(function* () {
      const item = pick(shop, "Deployment", "shop-web")
      const { process, world } = yield* start([])
      const outcome = yield* process.restore(action, item)
      assert.deepStrictEqual(namesIn(outcome.tree), ["fix-upload-permissions"])
      assert.strictEqual(outcome.text, Json.patch(stripped(textOf(item)), [Json.remove([...list, 0])]))
      assertLine(outcome.lines, "Info", "Deployment shop/shop-web", wait)
      assert.deepStrictEqual(world.calls, [])
    })
  )

  it.effect.each([
    ["first", [wait, "a", "b"], ["a", "b"]],
    ["last", ["a", "b", wait], ["a", "b"]],
    ["in the middle", ["a", wait, "b"], ["a", "b"]],
    ["several times", [wait, "a", wait, wait, "b", wait], ["a", "b"]]
  ] as const)("keeps the others in their order and spelling where it waits %s", ([, names, kept]) =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, deployment(`[${names.map(container).join(",")}]`))
      assert.strictEqual(outcome.text, deployment(`[${kept.map(container).join(",")}]`))
      assert.isTrue((yield* process.restore(action, outcome.text)).isUntouched)
    })
  )

  it.effect.each([[[wait]], [[wait, wait]]] as const)("loses the list with its last one: %s", ([names]) =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const item = deployment(`[${names.map(container).join(",")}]`)
      const outcome = yield* process.restore(action, item)
      assert.notProperty(at(outcome.tree, "spec", "template", "spec"), "initContainers")
      assert.strictEqual(outcome.text, Json.patch(item, [Json.remove(list)]))
      assert.include(outcome.text, `"n":12345678901234567890`)
    })
  )

  it.effect.each([
    ["with others only", deployment(`[${container("a")},${container(`${wait}-2`)},${container(`my-${wait}`)}]`)],
    ["with an empty list", deployment("[]")],
    ["with a null list", deployment("null")],
    ["without a list", deployment("null").replace(`"initContainers" : null , `, "")],
    [
      "with a container of that name",
      `{"metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[${container(wait)}]}}}}`
    ],
    ["without a template", `{"metadata":{"name":"web"},"spec":{"template":null}}`],
    ["without a spec", `{"metadata":{"name":"web"}}`]
  ] as const)("stays as it is, same bytes, silently: %s", ([, item]) =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, item)
      assert.isTrue(outcome.isUntouched)
      assert.isFalse(outcome.skip)
      assert.deepStrictEqual(outcome.lines, [])
    })
  )
})

describe("the names in plugin configuration", () => {
  const item = deployment(`[${[wait, "b", "c", "d"].map(container).join(",")}]`)

  it.effect.each([
    ["b", [wait, "c", "d"]],
    ["d,b", [wait, "c"]],
    [" b ,\n\tc  d,, ", [wait]],
    [`${wait},b`, ["c", "d"]],
    ["none-of-them", [wait, "b", "c", "d"]],
    ["", [wait, "b", "c", "d"]],
    [" , ", [wait, "b", "c", "d"]]
  ] as const)("replace the default: %j", ([names, kept]) =>
    Effect.gen(function* () {
      const outcome = yield* (yield* withNames(names)).restore(action, item)
      assert.deepStrictEqual(namesIn(outcome.tree), [...kept])
      assert.strictEqual(outcome.isUntouched, kept.length === 4)
    })
  )

  it.effect("may be all of a Deployment's, and are named in the line in its order", () =>
    Effect.gen(function* () {
      const outcome = yield* (yield* withNames(`d c b ${wait}`)).restore(action, item)
      assert.notProperty(at(outcome.tree, "spec", "template", "spec"), "initContainers")
      assertLine(outcome.lines, "Info", `${wait}, b, c, d`)
    })
  )

  it.effect("give way to those of the Restore's annotation", () =>
    Effect.gen(function* () {
      const wish = restoreOf("r", {}, { "velero-cnpg/init-containers": "d" })
      const outcome = yield* (yield* withNames("b")).restore(action, item, wish)
      assert.deepStrictEqual(namesIn(outcome.tree), [wait, "b", "c"])
    })
  )

  it.effect("are an error under another key, which names the ConfigMap and the key", () =>
    Effect.gen(function* () {
      const process = yield* startProcess(makeWorld([]), [pluginConfig({ initContainer: "b" })])
      const error = yield* Effect.flip(process.restore(action, item))
      assert.strictEqual(error._tag, "InvalidPluginConfig")
      for (const part of ["velero/tested", "initContainer"]) assert.include(error.message, part)
    })
  )
})

describe("the selector", () => {
  it("asks for Deployments", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["deployments"] })
  })
})
