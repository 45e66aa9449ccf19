/** What is there of the objects that belong to a Cluster, each looked for once in a Velero Backup or Restore. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { KubernetesError, Resource } from "../kubernetes/Kubernetes.ts"
import { Kubernetes } from "../kubernetes/Kubernetes.ts"
import type { ResourceIdentifier } from "../velero/Resources.ts"
import { resources } from "./Names.ts"
import { makeOnce } from "./Once.ts"

/** Kinds whose objects say which Cluster they are for. */
const companionResources: ReadonlyArray<Resource> = [
  resources.scheduledBackups,
  resources.poolers,
  resources.databases,
  resources.publications,
  resources.subscriptions,
  resources.databaseRoles
]

/** What was found, and what could not be looked for. */
export interface Companions {
  readonly found: ReadonlyArray<ResourceIdentifier>
  readonly unreadable: ReadonlyArray<KubernetesError>
}

export class Belongings extends Context.Service<
  Belongings,
  {
    /** Whether an object is there; the error where nothing can tell. */
    readonly has: (
      owner: string,
      resource: Resource,
      namespace: string,
      name: string
    ) => Effect.Effect<Result.Result<boolean, KubernetesError>>
    /** ScheduledBackups, Poolers, Databases, Publications, Subscriptions and DatabaseRoles of a Cluster. */
    readonly companions: (owner: string, namespace: string, cluster: string) => Effect.Effect<Companions>
  }
>()("velero-plugin-cnpg/cnpg/Belongings") {}

/** An identifier as Velero wants it. */
export const identifier = ({ group, namespaced, resource }: Resource, namespace: string, name: string) =>
  ({ group, resource, namespace: namespaced ? namespace : "", name }) satisfies ResourceIdentifier

const clusterOf = (object: { readonly [key: string]: unknown }): unknown =>
  (object["spec"] as { readonly cluster?: { readonly name?: unknown } } | undefined)?.cluster?.name

const make = Effect.gen(function* () {
  const kubernetes = yield* Kubernetes
  const once = makeOnce()

  /** Names of a namespace's objects by Cluster; none where the kind does not exist. */
  const byCluster = (owner: string, resource: Resource, namespace: string) =>
    once(
      owner,
      `list ${resource.resource} ${namespace}`,
      kubernetes
        .fold(
          resource,
          { namespace },
          () => new Map<unknown, ReadonlyArray<string>>(),
          (names, object) => {
            const cluster = clusterOf(object)
            return names.set(cluster, [...(names.get(cluster) ?? []), object.metadata?.name ?? ""])
          }
        )
        .pipe(
          Effect.catchTag("NotFound", () => Effect.succeed(new Map<unknown, ReadonlyArray<string>>())),
          Effect.result
        )
    )

  return Belongings.of({
    has: (owner, resource, namespace, name) =>
      once(
        owner,
        `get ${resource.resource} ${namespace}/${name}`,
        kubernetes.get(resource, resource.namespaced ? namespace : undefined, name).pipe(
          Effect.as(true),
          Effect.catchTag("NotFound", () => Effect.succeed(false)),
          Effect.result
        )
      ),
    companions: (owner, namespace, cluster) =>
      Effect.map(
        Effect.forEach(
          companionResources,
          (resource) => Effect.map(byCluster(owner, resource, namespace), (names) => ({ resource, names })),
          // Where nobody answers, all of them take as long as one.
          { concurrency: "unbounded" }
        ),
        (lists) => ({
          found: lists.flatMap(({ names, resource }) =>
            Result.isSuccess(names)
              ? (names.success.get(cluster) ?? []).map((name) => identifier(resource, namespace, name))
              : []
          ),
          unreadable: lists.flatMap(({ names }) => (Result.isFailure(names) ? [names.failure] : []))
        })
      )
  })
})

export const layer: Layer.Layer<Belongings, never, Kubernetes> = Layer.effect(Belongings, make)
