/**
 * What a backup of living Clusters would find: the Clusters, and beside them in their namespaces whatever a plugin is called for or
 * looks up. It is read, and nothing else: the backup and the restore are played on the copy.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import {
  Kubernetes,
  type KubernetesError,
  type KubernetesObject,
  type Resource,
  resources as coreResources
} from "../../kubernetes/Kubernetes.ts"
import type { KubernetesObject as Placed } from "../../testing/ApiServer.ts"
import * as VeleroHost from "../../testing/VeleroHost.ts"
import * as PluginConfig from "../../velero/PluginConfig.ts"
import type { Subject } from "../Preview.ts"

/** There is nothing to back up. */
export class NothingLiving extends Data.TaggedError("NothingLiving")<{
  readonly namespace: string | undefined
  readonly subject: Subject
  /** Where there are some. */
  readonly namespaces: ReadonlyArray<string>
}> {
  override get message() {
    const { namespace, namespaces, subject } = this
    if (namespace === undefined)
      return `there are none of ${subject.title} in the cluster: choose another with --context`
    const others = namespaces.length === 0 ? "nor in any other that may be read" : `but in ${namespaces.join(", ")}`
    return `there are none of ${subject.title} in namespace ${namespace}, ${others}: choose with --namespace and --context`
  }
}

/** Which part of the cluster. */
export interface Choice {
  /** Of the Clusters; `undefined`: all that have some. */
  readonly namespace: string | undefined
  /** Instead: these, whatever is there. */
  readonly targets?: ReadonlyArray<string>
  readonly veleroNamespace: string
}

/** A copy of what lives. */
export interface Living {
  readonly objects: ReadonlyArray<Placed>
  /** Namespaces that a backup is played of. */
  readonly namespaces: ReadonlyArray<string>
  /** Kinds that could not be read. */
  readonly unread: ReadonlyArray<KubernetesError>
}

const list = (resource: Resource, namespace: string | undefined, labelSelector?: string) =>
  Effect.flatMap(Kubernetes, ({ fold }) =>
    fold(
      resource,
      { namespace, ...(labelSelector === undefined ? {} : { labelSelector }) },
      (): Array<KubernetesObject> => [],
      (objects, object) => {
        objects.push(object)
        return objects
      }
    )
  )

const placeOf = ({ metadata }: KubernetesObject): string => metadata?.namespace ?? ""

/** Of all namespaces, since no server name of any is free; of the one only, where the reader may no more. */
const subjects = (subject: Subject, namespace: string | undefined) =>
  list(subject.resource, undefined).pipe(
    Effect.catchTag("Forbidden", (error) =>
      namespace === undefined ? Effect.fail(error) : list(subject.resource, namespace)
    )
  )

/** What is of a kind, none where the cluster does not know it, and what stands against reading it. */
const attempt = (
  resource: Resource,
  namespace: string | undefined,
  labelSelector?: string
): Effect.Effect<Result.Result<ReadonlyArray<KubernetesObject>, KubernetesError>, KubernetesError, Kubernetes> =>
  list(resource, namespace, labelSelector).pipe(
    Effect.map((objects) => Result.succeed<ReadonlyArray<KubernetesObject>>(objects)),
    Effect.catchTags({
      NotFound: () => Effect.succeed(Result.succeed([])),
      Forbidden: (error) => Effect.succeed(Result.fail(error))
    })
  )

/** Plugins' configuration, where the plugins of the preview look for it. */
const asConfiguration = (object: KubernetesObject): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, namespace: VeleroHost.veleroNamespace }
})

/** Reads what belongs to the Clusters of a namespace, or of all. */
export const read = (
  subject: Subject,
  resources: ReadonlyArray<Resource>,
  { namespace, targets, veleroNamespace }: Choice
): Effect.Effect<Living, KubernetesError | NothingLiving, Kubernetes> =>
  Effect.gen(function* () {
    const kubernetes = yield* Kubernetes
    // First, so that a cluster that does not answer is waited for once.
    const found = yield* subjects(subject, namespace)
    const all = [...new Set(found.map(placeOf))].toSorted()
    const namespaces = targets ?? all.filter((each) => namespace === undefined || each === namespace)
    if (targets === undefined && namespaces.length === 0) {
      return yield* new NothingLiving({ namespace, subject, namespaces: all })
    }

    const others = resources.filter(
      (resource) => resource !== subject.resource && resource !== coreResources.namespaces
    )
    const places = others.flatMap((resource) =>
      (resource.namespaced ? namespaces : [undefined]).map((place) => ({ resource, place }))
    )
    const read = yield* Effect.forEach(places, ({ place, resource }) => attempt(resource, place), { concurrency: 8 })
    const configuration = yield* attempt(coreResources.configMaps, veleroNamespace, PluginConfig.pluginConfigLabel)
    const spaces = yield* Effect.forEach(namespaces, (name) => {
      const space = { apiVersion: "v1", kind: "Namespace", metadata: { name } }
      return kubernetes.get(coreResources.namespaces, undefined, name).pipe(
        Effect.map((found) => [{ ...space, ...found }]),
        Effect.catchTags({ Forbidden: () => Effect.succeed([space]), NotFound: () => Effect.succeed([]) })
      )
    })
    const objects = [
      ...spaces.flat(),
      ...found,
      ...read.flatMap((each) => (Result.isSuccess(each) ? each.success : [])),
      ...(Result.isSuccess(configuration) ? configuration.success.map(asConfiguration) : [])
    ]
    return {
      objects: objects as ReadonlyArray<Placed>,
      namespaces,
      unread: [...read, configuration].flatMap((each) => (Result.isFailure(each) ? [each.failure] : []))
    }
  })
