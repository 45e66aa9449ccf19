import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as ObjectStores from "../../src/testing/ObjectStores.ts"
import type { Operations } from "../../src/velero/ObjectStore.ts"

/** A store on a map, as right as one can be. */
const right = (objects = new Map<string, Uint8Array>()): Operations<never> & { readonly objects: typeof objects } => {
  const below = (prefix: string) => [...objects.keys()].filter((key) => key.startsWith(prefix))
  return {
    objects,
    putObject: (_, key, body) =>
      Effect.map(Stream.runCollect(body), (parts) => void objects.set(key, Buffer.concat(parts))),
    objectExists: (_, key) => Effect.sync(() => objects.has(key)),
    getObject: (_, key) => {
      const object = objects.get(key)
      return object === undefined ? Stream.die("no such object") : Stream.succeed(object)
    },
    listCommonPrefixes: (_, delimiter, prefix) =>
      Effect.sync(() => {
        const rests = below(prefix).map((key) => key.slice(prefix.length).split(delimiter))
        return [
          ...new Set(rests.flatMap(([first, ...more]) => (more.length > 0 ? [`${prefix}${first}${delimiter}`] : [])))
        ]
      }),
    listObjects: (_, prefix) => Effect.sync(() => below(prefix)),
    deleteObject: (_, key) => Effect.sync(() => void objects.delete(key)),
    createSignedURL: () => Effect.die("not compared")
  }
}

/** What is found, if anything. */
const problem = (store: () => Operations<never>, runs = 100) =>
  Effect.map(
    Arbitrary.checkEffect(ObjectStores.calls, (calls) => Effect.as(ObjectStores.compare(store(), "b", calls), true), {
      runs
    }),
    Arbitrary.formatCheckFailure
  )

type Store = ReturnType<typeof right>

describe("a store", () => {
  it.effect("that does what a map does has nothing to be found", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* problem(right))
    })
  )

  it.effect.each<readonly [string, (store: Store) => Partial<Operations<never>>, string]>([
    ["forgets objects", () => ({ putObject: () => Effect.void }), "put|get|list"],
    [
      "shows half of an upload",
      ({ objects }) => ({
        putObject: (_, key, body) =>
          Stream.runForEach(body, (part) =>
            Effect.sync(() => objects.set(key, Buffer.concat([objects.get(key) ?? new Uint8Array(), part])))
          )
      }),
      "abandon|get|list"
    ],
    [
      "takes no empty object",
      (store) => ({
        putObject: (bucket, key, body) =>
          Effect.andThen(
            store.putObject(bucket, key, body),
            Effect.sync(() => void (store.objects.get(key)?.length === 0 && store.objects.delete(key)))
          )
      }),
      "exists|get|list"
    ],
    ["finds everything", () => ({ objectExists: () => Effect.succeed(true) }), "exists"],
    [
      "reads nothing where nothing is",
      ({ objects }) => ({
        getObject: (_, key) => Stream.succeed(objects.get(key) ?? new Uint8Array())
      }),
      "get|abandon"
    ],
    [
      "deletes what begins so too",
      ({ objects }) => ({
        deleteObject: (_, prefix) =>
          Effect.sync(() =>
            [...objects.keys()].filter((key) => key.startsWith(prefix)).forEach((key) => objects.delete(key))
          )
      }),
      "list|get|exists|prefixes"
    ],
    [
      "lists one level",
      ({ objects }) => ({
        listObjects: (_, prefix) =>
          Effect.sync(() =>
            [...objects.keys()].filter((key) => key.startsWith(prefix) && !key.slice(prefix.length).includes("/"))
          )
      }),
      "list"
    ],
    [
      "lists prefixes without their delimiter",
      (store) => ({
        listCommonPrefixes: (...args) =>
          Effect.map(store.listCommonPrefixes(...args), (found) => found.map((prefix) => prefix.slice(0, -1)))
      }),
      "prefixes"
    ]
  ])("that %s is found out", ([, change, call]) =>
    Effect.gen(function* () {
      // Keys have to meet for a fault to show; it ends with the first that does.
      const found = yield* problem(() => {
        const store = right()
        return { ...store, ...change(store) }
      }, 5000)
      assert.match(found ?? "nothing was found", new RegExp(`Disagreement: (${call}) `))
    })
  )
})
