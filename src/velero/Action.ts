/**
 * The pipeline that every item action is made of.
 *
 * | step | shape | may use |
 * | --- | --- | --- |
 * | decode | schema of a view: the fields that the action reads | nothing |
 * | fetch | `(view, request) => Effect<Facts>` | the world, for reading |
 * | transform | `(view, facts) => Result<Decision>` | nothing |
 * | encode | `(item, decision) => Reply` | nothing: patches of the fields that the action owns |
 * | commit (if any) | `(decision, request) => Effect<void>` | the world, for writing |
 *
 * Whatever can fail for a reason that is known beforehand fails before `commit`, so that a failed call has changed nothing. The
 * log lines of a decision are written last, when they are true.
 *
 * @module
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Failure } from "../go-plugin/Status.ts"
import * as Item from "./Item.ts"
import type { PluginConfig } from "./PluginConfig.ts"
import * as Config from "./PluginConfig.ts"
import type { ResourceSelector } from "./Resources.ts"

export type { Failure } from "../go-plugin/Status.ts"

/** The item lacks what the action has to read, or has it with another type. */
export class UnreadableItem extends Data.TaggedError("UnreadableItem")<{
  readonly resource: string
  readonly plugin: string
  readonly detail: string
}> {
  override get message() {
    return `${this.plugin} cannot read ${this.resource}: ${this.detail}. Correct the object, or exclude it`
  }
}

/** A line of a decision in Velero's log. `warn` also shows in `velero backup describe`; `error` would fail a whole backup. */
export interface Note {
  readonly level: "info" | "warn"
  readonly message: string
}

/** A line for everybody: what was done. */
export const info = (message: string): Note => ({ level: "info", message })
/** A line for somebody to look at. */
export const warn = (message: string): Note => ({ level: "warn", message })

/** What every kind of request has. */
export interface Request<Config> {
  /** The name that the action is registered under. */
  readonly plugin: string
  /** The action's plugin configuration; `undefined` where it declares none. */
  readonly config: Config
}

/** The steps of an action, from the view to the reply. */
export interface Steps<View, Config, Req extends Request<Config>, Facts, Decision, Reply, R> {
  readonly selector: ResourceSelector
  /** Schema of the plugin ConfigMap's data (strings to anything); every key needs a default. */
  readonly config?: Schema.ConstraintDecoder<Config>
  /** The plugin whose ConfigMap that is, for actions that have to agree; default: the action's own. */
  readonly configuredAs?: string
  readonly decode: Schema.ConstraintDecoder<View>
  /** What has to be known besides the item; for reading only. */
  readonly fetch: (view: View, request: Req) => Effect.Effect<Facts, Failure, R>
  /** The decision, without the world; a failure fails the item. */
  readonly transform: (view: View, facts: Facts) => Result.Result<Decision, Failure>
  /** The reply: patches of what the action owns, and nothing else. */
  readonly encode: (item: Item.Item, decision: Decision) => Reply
  /** What is to be written elsewhere, when the reply is known already. May be called again for the same item. */
  readonly commit?: (decision: Decision, request: Req) => Effect.Effect<void, Failure, R>
}

/** What the pipeline itself needs to know of a call. */
export interface Call<Config, Req extends Request<Config>> {
  readonly plugin: string
  readonly kind: string
  /** The Backup or Restore that the plugin configuration is read for. */
  readonly owner: string
  /** Name and value of the log field that names the Backup or Restore. */
  readonly ownerField: Readonly<Record<string, string>>
  readonly item: Uint8Array
  /** The request that the steps get; it may hold more that has to be read first. */
  readonly request: (config: Config) => Result.Result<Req, Failure>
}

interface Noted {
  readonly notes?: ReadonlyArray<Note>
}

const writeNote = ({ level, message }: Note) =>
  level === "warn" ? Effect.logWarning(message) : Effect.logInfo(message)

/** A step with its log line at debug level; `logSource` tells which action and which step speaks. */
const step = <A, E, R>(plugin: string, name: string, run: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.logDebug(name).pipe(Effect.andThen(run), Effect.annotateLogs({ logSource: `${plugin}:${name}` }))

/**
 * Composes an action's steps into one function of a call.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import { Kubernetes, resources } from "velero-plugin-cnpg/kubernetes/Kubernetes"
 * import * as Actions from "velero-plugin-cnpg/testing/Actions"
 * import { warn } from "velero-plugin-cnpg/velero/Action"
 * import * as BackupItemAction from "velero-plugin-cnpg/velero/BackupItemAction"
 * import * as View from "velero-plugin-cnpg/velero/View"
 *
 * // All five steps, which every kind of item action has.
 * const action = BackupItemAction.make({
 *   selector: { includedResources: ["services"] },
 *   decode: Schema.Struct({ metadata: View.Metadata }),
 *   // The world, for reading.
 *   fetch: ({ metadata }) =>
 *     Effect.gen(function* () {
 *       const kubernetes = yield* Kubernetes
 *       const isNamed = (object: { readonly metadata?: { readonly name?: string } }) => object.metadata?.name === metadata.name
 *       return yield* kubernetes.fold(resources.jobs, { namespace: "shop" }, () => false, (found, job) => found || isNamed(job))
 *     }),
 *   // No world: what to do, from what is known.
 *   transform: ({ metadata }, hasJob) => Result.succeed({ name: metadata.name, hasJob }),
 *   // No world either: the item with patches, and what to say in the log.
 *   encode: (item, { hasJob, name }) => ({ item, notes: hasJob ? [] : [warn(`no job is called ${name}`)] }),
 *   // The world, for writing, when nothing can fail any more.
 *   commit: ({ name }) =>
 *     Effect.flatMap(Kubernetes, ({ apply }) => {
 *       const metadata = { name: `${name}-was-backed-up`, namespace: "shop" }
 *       const options = { fieldManager: "example.com/action", force: false }
 *       return Effect.asVoid(apply(resources.configMaps, { apiVersion: "v1", kind: "ConfigMap", metadata }, options))
 *     })
 * })
 *
 * const service = { apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace: "shop" } }
 * const { cluster, lines } = await Effect.runPromise(Actions.backUp(action, service))
 * lines // => [["warn", "no job is called web"]]
 * cluster.map(({ metadata }) => metadata?.name) // => ["web-was-backed-up"]
 * ```
 */
export const compose = <View, Config, Req extends Request<Config>, Facts, Decision, Reply extends Noted, R>(
  steps: Steps<View, Config, Req, Facts, Decision, Reply, R>
): ((call: Call<Config, Req>) => Effect.Effect<Reply, Failure, R | PluginConfig>) => {
  const decode = Schema.decodeEffect(steps.decode)
  const configure = Config.reader(steps.config)
  return Effect.fnUntraced(function* (call: Call<Config, Req>) {
    const item = yield* Effect.fromResult(Item.parse(call.item))
    const identity = Item.identity(item)
    const resource = Item.describe(identity)
    const { plugin } = call
    return yield* Effect.gen(function* () {
      const view = yield* step(plugin, "decode", () =>
        Effect.mapError(
          decode(item.tree),
          (error) => new UnreadableItem({ resource, plugin, detail: oneLine(error.message) })
        )
      )
      const config = yield* step(plugin, "configure", () =>
        configure({ ...call, plugin: steps.configuredAs ?? plugin })
      )
      const request = yield* Effect.fromResult(call.request(config))
      const facts = yield* step(plugin, "fetch", () => steps.fetch(view, request))
      const decision = yield* step(plugin, "transform", () => Effect.fromResult(steps.transform(view, facts)))
      const reply = yield* step(plugin, "encode", () => Effect.sync(() => steps.encode(item, decision)))
      const { commit } = steps
      if (commit !== undefined) yield* step(plugin, "commit", () => commit(decision, request))
      yield* step(plugin, "report", () => Effect.forEach(reply.notes ?? [], writeNote, { discard: true }))
      return reply
    }).pipe(
      Effect.annotateLogs({
        ...call.ownerField,
        resource: identity.groupKind,
        namespace: identity.namespace,
        name: identity.name
      }),
      Effect.withSpan(`${plugin}.execute`, { attributes: { ...call.ownerField, ...identity } })
    )
  })
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, " ")
