/** Namespaces as a whole: everything in them, and their end. */
import * as Effect from "effect/Effect"
import type { Api } from "./Api.ts"
import type { Resource, Saved } from "./Objects.ts"
import * as Objects from "./Objects.ts"
import { untilTrue } from "./Poll.ts"
import { Stand } from "./Stand.ts"

interface ResourceList {
  readonly resources: ReadonlyArray<{
    readonly name: string
    readonly kind: string
    readonly namespaced: boolean
    readonly verbs: ReadonlyArray<string>
  }>
}

interface GroupList {
  readonly groups: ReadonlyArray<{ readonly preferredVersion: { readonly groupVersion: string } }>
}

/** What changes by itself, or belongs to no one's intentions. */
const restless = ["events", "leases"]

/** Every namespaced resource that can be listed. */
const listable = Effect.fnUntraced(function* (api: Api) {
  const { groups } = (yield* api.request("GET", "/apis")) as GroupList
  const versions = ["v1", ...groups.map(({ preferredVersion }) => preferredVersion.groupVersion)]
  const lists = yield* Effect.forEach(
    versions,
    Effect.fnUntraced(function* (groupVersion) {
      const [group, version] = groupVersion.includes("/") ? groupVersion.split("/") : ["", groupVersion]
      const root = group === "" ? `/api/${version}` : `/apis/${groupVersion}`
      const { resources } = (yield* api.request("GET", root)) as ResourceList
      return resources
        .filter(({ name, namespaced, verbs }) => namespaced && verbs.includes("list") && !restless.includes(name))
        .map(({ kind, name }) => ({
          group: group ?? "",
          version: version ?? "",
          plural: name,
          kind,
          namespaced: true
        }))
    }),
    { concurrency: 8 }
  )
  return lists.flat()
})

/** The text of every object in a namespace, by what it is. */
export const snapshot = Effect.fn("snapshot")(function* (namespace: string) {
  const { api } = yield* Stand
  const lists = yield* Effect.forEach(
    yield* listable(api),
    (resource) =>
      Effect.map(api.list(resource, namespace), (objects: ReadonlyArray<Saved<unknown>>) =>
        objects.map((object): [string, string] => [`${resource.kind} ${object.metadata.name}`, JSON.stringify(object)])
      ),
    { concurrency: 8 }
  )
  return new Map(lists.flat())
})

/** The objects in which two snapshots differ. */
export const differences = (
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>
): ReadonlyArray<string> =>
  [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key))

/** Waits until nothing happens in a namespace any more; yields what is there then. */
export const untilQuiet = Effect.fn("untilQuiet")(function* (namespace: string) {
  let last: ReadonlyMap<string, string> = new Map()
  let same = 0
  yield* untilTrue(
    `namespace ${namespace} is quiet`,
    "60 seconds",
    Effect.map(snapshot(namespace), (next) => {
      same = differences(last, next).length === 0 ? same + 1 : 0
      last = next
      return same >= 3
    }),
    "500 millis"
  )
  return last
})

/** PVCs are protected while Pods use them; a namespace that meets one on its way waits for ten seconds before it looks again. */
const protectedAndTheirUsers = [
  Objects.clusters,
  Objects.jobs,
  Objects.pods,
  Objects.persistentVolumeClaims
] as ReadonlyArray<Resource<unknown>>

/** Deletes a namespace and waits until it is gone. */
export const remove = Effect.fn("remove")(function* (namespace: string) {
  const { api } = yield* Stand
  for (const resource of protectedAndTheirUsers) yield* api.removeAll(resource, namespace)
  yield* untilTrue(
    `PVCs of namespace ${namespace} are gone`,
    "60 seconds",
    Effect.map(api.list(Objects.persistentVolumeClaims, namespace), (left) => left.length === 0)
  )
  yield* api.remove(Objects.namespaces, "", namespace)
  yield* untilTrue(
    `namespace ${namespace} is gone`,
    "60 seconds",
    Effect.map(api.find(Objects.namespaces, "", namespace), (found) => found === undefined)
  )
  // As a provisioner does with the volumes of claims that are gone.
  for (const { metadata, spec } of yield* api.list(Objects.persistentVolumes)) {
    if (spec.claimRef?.namespace === namespace) yield* api.remove(Objects.persistentVolumes, "", metadata.name)
  }
})

const belongsToTheStand = (name: string): boolean => name === "default" || /^(kube-|cnpg-|velero)/.test(name)

/** Deletes every namespace that scenarios have made. */
export const removeAll = Effect.fn("removeAll")(function* () {
  const { api } = yield* Stand
  const names = (yield* api.list(Objects.namespaces)).map(({ metadata }) => metadata.name)
  yield* Effect.forEach(
    names.filter((name) => !belongsToTheStand(name)),
    remove,
    { concurrency: "unbounded", discard: true }
  )
})
