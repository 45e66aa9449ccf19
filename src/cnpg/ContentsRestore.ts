/**
 * `velero-cnpg/contents-restore-plugin`: what a Cluster refers to is restored before it, what is missing where it lands is named with
 * the consequence, and hosts of mapped namespaces are mapped.
 *
 * Secrets and ConfigMaps come before everything else by Velero's own order, ObjectStores and ImageCatalogs after Clusters.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Duration from "effect/Duration"
import { info, type Note, warn } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import type { ResourceIdentifier } from "../velero/Resources.ts"
import * as Restore from "../velero/Restore.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import { Kubernetes, type Resource } from "../kubernetes/Kubernetes.ts"
import { Belongings, identifier } from "./Belongings.ts"
import { findLiving } from "./Living.ts"
import { mustIncludeAdditionalItems, resources } from "./Names.ts"
import type { Reference, Referring } from "./References.ts"
import * as References from "./References.ts"
import { moveHost } from "./SecretRestore.ts"

export interface Facts {
  readonly restore: Restore.Restore
  /** What is not there, where the object lands. */
  readonly missing: ReadonlyArray<Reference>
  /** Whether Velero would overwrite one that lives. */
  readonly isLiving: boolean
}

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
  readonly items: ReadonlyArray<ResourceIdentifier>
  readonly notes: ReadonlyArray<Note>
}

/** A list of hosts with those of mapped namespaces mapped. */
const mapHosts = (hosts: string, mapping: ReadonlyArray<readonly [string, string]>): string =>
  hosts
    .split(",")
    .map((host) => {
      const moved = mapping.map(([from, to]) => moveHost(host, from, to))
      return moved.find((each) => each !== host) ?? host
    })
    .join(",")

interface Spec {
  readonly externalClusters?: ReadonlyArray<{ readonly connectionParameters?: Readonly<Record<string, unknown>> }>
  readonly certificates?: { readonly serverAltDNSNames?: ReadonlyArray<unknown> }
}

/** Each place of a Cluster that holds hosts. */
const hostsOf = ({ kind, spec }: Referring): ReadonlyArray<readonly [path: Json.Path, hosts: string]> => {
  if (kind !== "Cluster") return []
  const { certificates, externalClusters } = (spec ?? {}) as Spec
  const places: ReadonlyArray<readonly [Json.Path, unknown]> = [
    ...(externalClusters ?? []).map(
      ({ connectionParameters }, index) =>
        [["spec", "externalClusters", index, "connectionParameters", "host"], connectionParameters?.["host"]] as const
    ),
    ...(certificates?.serverAltDNSNames ?? []).map(
      (host, index) => [["spec", "certificates", "serverAltDNSNames", index], host] as const
    )
  ]
  return places.flatMap(([path, hosts]) => (typeof hosts === "string" ? [[path, hosts] as const] : []))
}

/** Whether Velero has restored all of a kind before it comes to Clusters: then what is missing will not come by itself. */
const comesFirst = (resource: Resource): boolean => resource === resources.secrets || resource === resources.configMaps

/** What to change of an object, what to restore before it, and what to say. */
export const transform = (referring: Referring, { isLiving, missing, restore }: Facts): Decision => {
  const { kind, metadata } = referring
  const from = metadata.namespace ?? ""
  const to = Restore.targetNamespace(restore, from)
  const name = `${kind} ${from}/${metadata.name}`
  if (isLiving) return { patches: [], items: [], notes: [] }
  const mapping = Object.entries(restore.spec?.namespaceMapping ?? {})
  const moved = hostsOf(referring).flatMap(([path, hosts]) => {
    const mapped = mapHosts(hosts, mapping)
    return mapped === hosts ? [] : [{ path, hosts, mapped }]
  })
  return {
    patches: [
      ...(metadata.annotations?.[mustIncludeAdditionalItems] === undefined
        ? []
        : [Json.remove(["metadata", "annotations", mustIncludeAdditionalItems])]),
      ...moved.map(({ mapped, path }) => Json.set(path, mapped))
    ],
    items: missing.map(({ name, resource }) => identifier(resource, from, name)),
    notes: [
      ...moved.map(({ hosts, mapped, path }) =>
        info(`${name}: ${path.join(".")} is ${mapped} instead of ${hosts}, as its namespace is mapped`)
      ),
      ...missing.map(({ name: needed, purpose, resource }) => {
        const what = `${name} needs ${resource.kind} ${needed} (${purpose.text}), which is not in namespace ${to} yet`
        return purpose.vital && comesFirst(resource)
          ? warn(`${what}: unless the backup has it, create it, or the operator waits for it`)
          : info(`${what}: it is restored first, if the backup has it`)
      })
    ]
  }
}

/** How long an object waits for what was restored before it: it only has to be seen. */
const patience = Duration.minutes(1)

export const action = RestoreItemAction.make({
  selector: { includedResources: References.referringResources },
  decode: References.Referring,
  fetch: Effect.fnUntraced(function* (referring, { restore }) {
    const { has } = yield* Belongings
    const { kind, metadata } = referring
    const to = Restore.targetNamespace(restore, metadata.namespace ?? "")
    // Asked again for each object: what was missing a moment ago may have been restored since.
    const owner = `${Restore.key(restore)} ${kind} ${metadata.name}`
    const checked = yield* Effect.forEach(
      References.of(referring),
      (reference) =>
        Effect.map(has(owner, reference.resource, to, reference.name), (presence) => ({ reference, presence })),
      // Where nobody answers, all of them take as long as one.
      { concurrency: "unbounded" }
    )
    return {
      restore,
      missing: checked.flatMap(({ presence, reference }) =>
        Result.isSuccess(presence) && !presence.success ? [reference] : []
      ),
      isLiving: kind === "Cluster" && (yield* findLiving(metadata.name, to, restore)) !== undefined
    } satisfies Facts
  }),
  transform: (referring, facts: Facts) => Result.succeed(transform(referring, facts)),
  encode: (item, { items, notes, patches }) => ({
    item: Item.patch(item, patches),
    additionalItems: items,
    ...(items.length === 0 ? {} : { waitForAdditionalItems: { timeout: patience } }),
    notes
  }),
  areAdditionalItemsReady: ({ additionalItems, restore }) =>
    Effect.flatMap(Kubernetes, (kubernetes) =>
      Effect.map(
        Effect.forEach(additionalItems, ({ group, name, namespace, resource }) => {
          const known = Object.values(resources).find((each) => each.group === group && each.resource === resource)
          if (known === undefined) return Effect.succeed(true)
          return kubernetes
            .get(known, known.namespaced ? Restore.targetNamespace(restore, namespace) : undefined, name)
            .pipe(
              Effect.as(true),
              Effect.catchTag("NotFound", () => Effect.succeed(false))
            )
        }),
        (ready) => ready.every((each) => each)
      )
    )
})
