/**
 * A process of its own, as the executable is one: says what it has loaded before its first call and after it, and how its
 * memory grows with a list.
 */
import { createRequire } from "node:module"
import * as Effect from "effect/Effect"
import * as ApiServer from "../../src/kubernetes/ApiServer.ts"
import { Kubernetes, resources } from "../../src/kubernetes/Kubernetes.ts"

// Bun keeps ES modules there, too.
const { cache } = createRequire(import.meta.url)

const loaded = (): number => Object.keys(cache).filter((path) => path.includes("@kubernetes/client-node")).length

const megabytes = (): number => {
  Bun.gc(true)
  return process.memoryUsage().rss / 2 ** 20
}

const program = Effect.gen(function* () {
  const kubernetes = yield* Kubernetes
  const before = loaded()
  const count = kubernetes.fold(
    resources.configMaps,
    { namespace: "shop" },
    () => 0,
    (found) => found + 1
  )
  yield* kubernetes.fold(
    resources.configMaps,
    { namespace: "few" },
    () => 0,
    (found) => found + 1
  )
  const start = megabytes()
  const found = yield* count
  process.stdout.write(JSON.stringify({ before, after: loaded(), found, grown: megabytes() - start }))
})

void Effect.runPromise(Effect.provide(program, ApiServer.layer))
