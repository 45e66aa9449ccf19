/**
 * Kubernetes, as much of it as plugins need: read one object, fold over many, apply one by server-side apply, delete one.
 *
 * Objects are plain parsed JSON for reading; nothing of them is ever written back, so the numbers that parsing may round do
 * no harm. Layers: `ApiServer.ts` (a cluster), `Memory.ts` (tests), `Manifests.ts` (files).
 *
 * @module
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"

/** A parsed Kubernetes object. */
export interface KubernetesObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata?: {
    readonly name?: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly [key: string]: unknown
  }
  readonly [key: string]: unknown
}

/** A kind of object, by its place in the API. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  /** Plural, lower case. */
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
}

const resource = (group: string, version: string, plural: string, kind: string, namespaced = true): Resource => ({
  group,
  version,
  resource: plural,
  kind,
  namespaced
})

/** Resources that more than one part of the code names. */
export const resources = {
  namespaces: resource("", "v1", "namespaces", "Namespace", false),
  configMaps: resource("", "v1", "configmaps", "ConfigMap"),
  services: resource("", "v1", "services", "Service"),
  jobs: resource("batch", "v1", "jobs", "Job")
} as const

/** `clusters.postgresql.cnpg.io`; plain `pods` in the core group. */
export const groupResource = ({ group, resource: plural }: Resource): string =>
  group === "" ? plural : `${plural}.${group}`

/**
 * `clusters.postgresql.cnpg.io shop/orders`, for messages.
 *
 * @example
 * ```ts
 * import * as Kubernetes from "velero-plugin-cnpg/kubernetes/Kubernetes"
 *
 * Kubernetes.groupResource(Kubernetes.resources.jobs) // => "jobs.batch"
 * Kubernetes.describe(Kubernetes.resources.configMaps, "shop", "settings") // => "configmaps shop/settings"
 * ```
 */
export const describe = (kind: Resource, namespace: string | undefined, name?: string): string =>
  [groupResource(kind), [namespace, name].filter((part) => !!part).join("/")].filter((part) => part !== "").join(" ")

/** Nothing tells the plugin where a cluster is. Known at once: nothing was tried. */
export class NoCluster extends Data.TaggedError("NoCluster")<{ readonly detail: string }> {
  override get message() {
    return `no Kubernetes cluster is configured: ${this.detail}. Run inside a pod with a service account, or set KUBECONFIG`
  }
}

/** The object, its namespace or its kind does not exist. */
export class NotFound extends Data.TaggedError("NotFound")<{ readonly what: string; readonly detail: string }> {
  override get message() {
    return `${this.what}: ${this.detail}`
  }
}

/** The API server refuses the plugin's identity or lacks a rule for it. */
export class Forbidden extends Data.TaggedError("Forbidden")<{
  readonly verb: string
  readonly what: string
  readonly resource: string
  readonly detail: string
  /** Default: to grant the verb. */
  readonly remedy?: string
}> {
  override get message() {
    // Server-side apply takes both, as the object may have to be made.
    const verbs = this.verb === "apply" ? "verbs create and patch" : `verb ${this.verb}`
    const remedy = this.remedy ?? `Grant the ${verbs} on ${this.resource} to Velero's service account`
    return `may not ${this.verb} ${this.what} (${this.detail}). ${remedy}`
  }
}

/** The API server took the request and said no: a validation, a conflict, an unknown field. */
export class Rejected extends Data.TaggedError("Rejected")<{
  readonly verb: string
  readonly what: string
  readonly status: number
  readonly detail: string
}> {
  override get message() {
    return `the API server refused to ${this.verb} ${this.what} (${this.status}): ${this.detail}`
  }
}

/** No answer within the deadline, after retries. */
export class Unavailable extends Data.TaggedError("Unavailable")<{ readonly what: string; readonly detail: string }> {
  override get message() {
    return `${this.what}: the Kubernetes API server cannot be reached: ${this.detail}`
  }
}

/** Everything that a call can fail with; each has a sentence that says what to do. */
export type KubernetesError = NoCluster | NotFound | Forbidden | Rejected | Unavailable

/** Which objects of a kind. Without a namespace: of all namespaces. */
export interface Selection {
  readonly namespace?: string | undefined
  readonly labelSelector?: string
}

/** Who applies, as in `kubectl apply --server-side --field-manager=… --force-conflicts`. */
export interface ApplyOptions {
  readonly fieldManager: string
  /** Take fields over that another manager owns, instead of a conflict. */
  readonly force: boolean
}

/** See the members. Every call has a deadline, and retries what is worth a retry within it. */
export class Kubernetes extends Context.Service<
  Kubernetes,
  {
    /** Reads one object. `NotFound` where there is none. */
    readonly get: (
      resource: Resource,
      namespace: string | undefined,
      name: string
    ) => Effect.Effect<KubernetesObject, KubernetesError>
    /**
     * Folds over a selection page by page, holding one page at a time.
     *
     * A list that expires half way (410) starts again from a new `initial()`; `step` may change what that made, nothing else.
     */
    readonly fold: <A>(
      resource: Resource,
      selection: Selection,
      initial: () => A,
      step: (accumulated: A, object: KubernetesObject) => A
    ) => Effect.Effect<A, KubernetesError>
    /** Server-side apply of an object that names its apiVersion, kind, name and namespace. */
    readonly apply: (
      resource: Resource,
      object: KubernetesObject,
      options: ApplyOptions
    ) => Effect.Effect<KubernetesObject, KubernetesError>
    /**
     * Deletes one object, and only the one with this UID: another that has got its name since is `Rejected` with 409. `NotFound`
     * where there is none.
     */
    readonly delete: (
      resource: Resource,
      namespace: string | undefined,
      name: string,
      uid: string
    ) => Effect.Effect<void, KubernetesError>
  }
>()("velero-plugin-cnpg/kubernetes/Kubernetes") {}
