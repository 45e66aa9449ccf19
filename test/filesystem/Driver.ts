/**
 * A process of its own that works on a store: to be killed, or to have a file system mounted that nobody else sees.
 *
 * Arguments: the root, then operations as JSON, done by so many at once. Each outcome is a line of JSON on stdout, written when
 * the store has answered.
 */
import * as Fs from "node:fs"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Objects from "../../src/filesystem/Objects.ts"
import { contentOf, versionOf } from "./Content.ts"

export interface Operation {
  readonly name: "put" | "get" | "list" | "remove" | "exists" | "makeBucket"
  readonly bucket: string
  readonly key: string
  /** Of a put. */
  readonly version?: number
  readonly size?: number
}

export interface Outcome {
  readonly operation: Operation
  readonly error?: string
  readonly message?: string
  readonly result?: unknown
}

const [root = "", list = "[]"] = process.argv.slice(2)
const objects = Objects.make(root)

const run = ({ bucket, key, name, size = 0, version = 0 }: Operation) => {
  switch (name) {
    case "makeBucket":
      return objects.makeBucket(bucket)
    case "put":
      return objects.put(bucket, key, Stream.fromIterable(contentOf(version, size)))
    case "get":
      return Effect.map(
        Stream.runCollect(objects.get(bucket, key)),
        (parts) => versionOf(Buffer.concat(parts)) ?? "damaged"
      )
    case "list":
      return Stream.runCollect(objects.keys(bucket, key))
    case "remove":
      return objects.remove(bucket, key)
    case "exists":
      return objects.exists(bucket, key)
  }
}

const say = (outcome: Outcome) => Effect.sync(() => Fs.writeSync(1, `${JSON.stringify(outcome)}\n`))

/** Operations of one key follow each other; different keys are worked on at once. */
const queues = Map.groupBy(JSON.parse(list) as ReadonlyArray<Operation>, ({ key, name }) => (name === "put" ? key : ""))

await Effect.runPromise(
  Effect.forEach(
    queues.values(),
    (queue) =>
      Effect.forEach(
        queue,
        (operation) =>
          Effect.flatMap(
            Effect.match(run(operation), {
              onSuccess: (result): Outcome => ({ operation, result }),
              onFailure: ({ _tag, message }): Outcome => ({ operation, error: _tag, message })
            }),
            say
          ),
        { discard: true }
      ),
    { concurrency: "unbounded", discard: true }
  )
)
