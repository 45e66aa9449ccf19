/**
 * Kubernetes in memory, for tests of actions.
 *
 * **When to use**: unit tests of `fetch` and `commit` steps. **Gotchas** (for these, use `testing/ApiServer.ts`): apply merges
 * objects and replaces everything else, without ownership or conflicts; selectors know `key`, `key=value` and commas; nothing
 * is paged, validated, defaulted or refused.
 *
 * @module
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { KubernetesObject, Resource } from "./Kubernetes.ts"
import { describe, Kubernetes, NotFound, Rejected } from "./Kubernetes.ts"

const apiVersionOf = ({ group, version }: Resource): string => (group === "" ? version : `${group}/${version}`)

const isOf = (resource: Resource, object: KubernetesObject): boolean =>
  object.kind === resource.kind && (object.apiVersion ?? "") === apiVersionOf(resource)

const keyOf = (object: KubernetesObject): string =>
  [object.apiVersion, object.kind, object.metadata?.namespace ?? "", object.metadata?.name].join("|")

const placeOf = ({ metadata }: KubernetesObject): string => `${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`

const matchesLabels = (object: KubernetesObject, selector: string | undefined): boolean =>
  (selector ?? "")
    .split(",")
    .filter((term) => term !== "")
    .every((term) => {
      const [key = "", value] = term.split("=")
      const labels = object.metadata?.labels ?? {}
      const label = Object.hasOwn(labels, key) ? labels[key] : undefined
      return value === undefined ? label !== undefined : label === value
    })

// The type of `JSON` lacks the proposal that its engine has: https://github.com/tc39/proposal-json-parse-with-source
const { isRawJSON } = JSON as unknown as { readonly isRawJSON: (value: unknown) => boolean }

/** A number with its own spelling is an object to JavaScript, not here. */
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isRawJSON(value)

const merge = (old: unknown, applied: unknown): unknown =>
  isObject(old) && isObject(applied)
    ? Object.fromEntries([
        ...Object.entries(old),
        ...Object.entries(applied).map(([key, value]) => [key, merge(old[key], value)])
      ])
    : applied

/** A cluster in memory, with a way to look at it. */
export interface Memory {
  readonly layer: Layer.Layer<Kubernetes>
  /** All objects, in the order in which they came. */
  readonly objects: () => ReadonlyArray<KubernetesObject>
}

/**
 * A cluster that holds these objects.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { Kubernetes, resources } from "velero-plugin-cnpg/kubernetes/Kubernetes"
 * import * as Memory from "velero-plugin-cnpg/kubernetes/Memory"
 *
 * const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a", namespace: "shop" } }
 * const cluster = Memory.make([configMap])
 * const use = Effect.gen(function* () {
 *   const kubernetes = yield* Kubernetes
 *   const names = yield* kubernetes.fold(
 *     resources.configMaps,
 *     { namespace: "shop" },
 *     (): ReadonlyArray<string | undefined> => [],
 *     (found, { metadata }) => [...found, metadata?.name]
 *   )
 *   const options = { fieldManager: "example", force: false }
 *   yield* kubernetes.apply(resources.configMaps, { ...configMap, data: { found: names.join() } }, options)
 *   return (yield* Effect.flip(kubernetes.get(resources.configMaps, "shop", "b")))._tag
 * })
 * await Effect.runPromise(Effect.provide(use, cluster.layer)) // => "NotFound"
 * cluster.objects() // => [{ ...configMap, data: { found: "a" } }]
 * ```
 */
export const make = (initial: ReadonlyArray<KubernetesObject> = []): Memory => {
  const objects = new Map(initial.map((object) => [keyOf(object), object]))
  const service = Kubernetes.of({
    get: (resource, namespace, name) =>
      Effect.suspend(() => {
        const found = objects.get([apiVersionOf(resource), resource.kind, namespace ?? "", name].join("|"))
        return found === undefined
          ? Effect.fail(new NotFound({ what: describe(resource, namespace, name), detail: "not found" }))
          : Effect.succeed(found)
      }),
    fold: (resource, selection, start, step) =>
      Effect.sync(() =>
        [...objects.values()]
          .filter((object) => isOf(resource, object))
          .filter(({ metadata }) => !selection.namespace || metadata?.namespace === selection.namespace)
          .filter((object) => matchesLabels(object, selection.labelSelector))
          // As an API server does it.
          .toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
          .reduce(step, start())
      ),
    apply: (_, object) =>
      Effect.sync(() => {
        const key = keyOf(object)
        const applied = merge(objects.get(key) ?? {}, object) as KubernetesObject
        objects.set(key, applied)
        return applied
      }),
    delete: (resource, namespace, name, uid) =>
      Effect.suspend((): Effect.Effect<void, NotFound | Rejected> => {
        const key = [apiVersionOf(resource), resource.kind, namespace ?? "", name].join("|")
        const what = describe(resource, namespace, name)
        const found = objects.get(key)
        if (found === undefined) return Effect.fail(new NotFound({ what, detail: "not found" }))
        if (found.metadata?.["uid"] !== uid) {
          const detail = `UID in precondition: ${uid}, UID in object meta: ${String(found.metadata?.["uid"])}`
          return Effect.fail(new Rejected({ verb: "delete", what, status: 409, detail }))
        }
        objects.delete(key)
        return Effect.void
      })
  })
  return { layer: Layer.succeed(Kubernetes, service), objects: () => [...objects.values()] }
}

/** The layer alone, where nothing is looked at afterwards. */
export const layer = (initial: ReadonlyArray<KubernetesObject> = []): Layer.Layer<Kubernetes> => make(initial).layer
